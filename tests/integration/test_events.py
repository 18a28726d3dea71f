# SPDX-License-Identifier: Apache-2.0
"""The messages, as a client of the broker sees them: to the letter."""
import json
import re
import time
from datetime import datetime, timezone

from harness.broker import Broker, Received
from harness.service import UUID7, Server

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BODY = re.compile(r'^\{"created_at": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})", "queue": "user", "context": (\{.*\})\}$')


def check_message(message: Received, type_: str, answer: dict, sequence: int, request_id: str,
                  trace: dict[str, str]) -> None:
    properties = message.properties
    created_at, context = BODY.match(message.body.decode()).groups()
    assert json.loads(context) == answer
    assert UUID7.match(properties.message_id)
    moment = datetime.fromisoformat(created_at).replace(tzinfo=timezone.utc)
    assert abs(moment.timestamp() - time.time()) < 60
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert properties.app_id == "userbus"
    assert properties.type == type_
    assert properties.timestamp == int(moment.timestamp())
    assert properties.correlation_id == request_id
    assert (properties.reply_to, properties.expiration, properties.priority, properties.user_id) == (None,) * 4
    assert properties.headers == {
        "cloudEvents_id": properties.message_id,
        "cloudEvents_source": "/userbus",
        "cloudEvents_type": type_,
        "cloudEvents_subject": answer["id"],
        "cloudEvents_time": created_at + "Z",
        "cloudEvents_sequence": str(sequence),
        "cloudEvents_partitionkey": answer["id"],
        "cloudEvents_specversion": "1.0",
    } | trace


def test_four_requests_are_four_messages(server: Server, broker: Broker) -> None:
    def ask(method: str, path: str, number: int, **options) -> dict:
        headers = {"X-Request-Id": f"request-{number}", "traceparent": TRACEPARENT, "tracestate": "vendor=1"}
        return server.request(method, path, headers=headers, **options).json()

    user = {"email": "ada@example.org", "first_name": "Ada", "last_name": "Byron"}
    answers = [ask("POST", "/users", 1, json=user),
               ask("GET", "/users/ada@example.org", 2),
               ask("PATCH", "/users/ada@example.org", 3, json={"last_name": "Lovelace"}),
               ask("DELETE", "/users/ada@example.org", 4)]
    messages = broker.take(4)
    types = ["user.create", "user.read", "user.update", "user.delete"]
    for i, (message, type_, answer) in enumerate(zip(messages, types, answers), start=1):
        check_message(message, type_, answer, i, f"request-{i}",
                      {"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
        assert not message.redelivered
    assert len({message.properties.message_id for message in messages}) == 4
    assert broker.drain() == []


def test_the_request_id_of_the_answer_is_the_correlation_id(server: Server, broker: Broker) -> None:
    answer = server.create("ada@example.org")
    message = broker.take(1)[0]
    check_message(message, "user.create", answer.json(), 1, answer.headers["X-Request-Id"], {})


def test_settings_name_things(start, broker: Broker) -> None:
    with broker.connect() as connection:
        connection.channel().exchange_delete("people")
    server = start(Server, RABBIT_MQ_URL=broker.url, EVENT_HEADERS="minimal", APPLICATION_ID="people-service",
                   EXCHANGE_NAME="people")
    server.request("POST", "/users", headers={"traceparent": TRACEPARENT},
                   json={"email": "ada@example.org", "first_name": "Ada", "last_name": "Byron"})
    message = broker.take(1)[0]
    assert message.properties.app_id == "people-service"
    assert message.properties.headers == {"traceparent": TRACEPARENT, "cloudEvents_sequence": "1"}
    assert message.properties.type == "user.create"
    assert UUID7.match(message.properties.message_id)


def test_the_topology(server: Server, broker: Broker) -> None:
    server.create("ada@example.org")
    server.await_drained()
    with broker.connect() as connection:
        # declaring with the same arguments succeeds, with others it would not
        channel = connection.channel()
        channel.exchange_declare("userbus", "direct", durable=True)
        channel.queue_declare("user", durable=True,
                              arguments={"x-queue-type": "quorum", "x-single-active-consumer": True})
        channel.queue_declare("user.dead", durable=True,
                              arguments={"x-queue-type": "quorum", "x-message-ttl": 14 * 24 * 3600 * 1000})


def test_classic_queues_on_request(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url, QUEUE_TYPE="classic", BRIDGES="3")
    for i in range(20):
        server.create(f"user{i}@example.org")
    assert len(broker.take(20)) == 20
    with broker.connect() as connection:
        connection.channel().queue_declare(
            "user", durable=True, arguments={"x-queue-type": "classic", "x-single-active-consumer": True})

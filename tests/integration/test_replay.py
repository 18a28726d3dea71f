# SPDX-License-Identifier: Apache-2.0
"""broker replay: a broker that lost everything gets the events again, the same and in order."""
import datetime
import json

from harness.broker import Broker
from harness.service import Server, run
from harness.waiting import wait_for


def replay(server: Server, broker: Broker, *arguments: str, code: int = 0) -> dict:
    done = run("broker", "replay", "--json", *arguments, RABBIT_MQ_URL=broker.url,
               DATABASE_URL=f"sqlite:{server.database}")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


NOTHING = {"meant": 0, "replayed": 0, "failed": 0, "skipped": 0, "discarded": 0, "not_yet_sent": 0, "dry_run": False}
ALL = ("--from", "2020-01-01", "--to", "2100-01-01")


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fill(server: Server, users: int = 5, reads: int = 4) -> None:
    for user in range(users):
        assert server.create(f"u{user}@example.org").status_code == 200
    for i in range(reads):
        for user in range(users):
            server.request("PATCH", f"/users/u{user}@example.org", json={"last_name": f"Name {i}"})
            server.request("GET", f"/users/u{user}@example.org")
    server.await_drained()


def as_dict(message) -> dict:
    headers = {key: value for key, value in message.headers.items() if key != "userbus_replayed_at"}
    properties = message.properties
    return {"body": message.body, "headers": headers, "id": properties.message_id, "type": properties.type,
            "timestamp": properties.timestamp, "correlation": properties.correlation_id, "app": properties.app_id,
            "mode": properties.delivery_mode, "content": properties.content_type}


def test_a_broker_that_lost_all_gets_it_again(server: Server, broker: Broker) -> None:
    fill(server)
    first = broker.drain()
    assert len(first) == 45
    assert replay(server, broker, *ALL, "--dry-run") == {**NOTHING, "meant": 45, "dry_run": True}
    assert broker.depth() == 0
    assert replay(server, broker, *ALL)["replayed"] == 45
    again = broker.drain()
    assert all("userbus_replayed_at" in message.headers for message in again)
    by_id = {message["id"]: message for message in map(as_dict, again)}
    assert len(again) == 45 and by_id == {message["id"]: message for message in map(as_dict, first)}
    for user in {message.headers["cloudEvents_subject"] for message in first}:
        order = [int(m.headers["cloudEvents_sequence"]) for m in again if m.headers["cloudEvents_subject"] == user]
        assert order == list(range(1, 10))


def test_a_range_and_a_user(server: Server, broker: Broker) -> None:
    fill(server, 3, 1)
    between = now()
    fill_again = [server.request("GET", f"/users/u{user}@example.org").json()["id"] for user in (0, 1, 2)]
    server.await_drained()
    broker.drain()
    assert replay(server, broker, "--from", between, "--to", "2100-01-01")["replayed"] == 3
    assert {message.headers["cloudEvents_subject"] for message in broker.drain()} == set(fill_again)
    assert replay(server, broker, "--from", "2020-01-01", "--to", between)["replayed"] == 9
    assert replay(server, broker, *ALL, "--user", fill_again[1])["replayed"] == 4
    assert replay(server, broker, *ALL, "--user", "U2@example.org")["replayed"] == 4
    assert replay(server, broker, "--from", "2100-01-01", "--to", "2100-01-02")["replayed"] == 0


def test_without_the_service_and_slowly(server: Server, broker: Broker) -> None:
    fill(server, 2, 1)
    server.stop()
    broker.drain()
    before = datetime.datetime.now()
    assert replay(server, broker, *ALL, "--rate", "10")["replayed"] == 6
    assert (datetime.datetime.now() - before).total_seconds() >= 0.5
    assert broker.depth() == 6


def test_what_was_never_sent_is_left_to_the_service(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL="amqp://guest:guest@127.0.0.1:1/")
    server.create("ada@example.org")
    assert replay(server, broker, *ALL, code=78)["stderr"]  # no queue yet
    with broker.connect() as connection:
        connection.channel().queue_declare("user", durable=True, arguments={"x-queue-type": "quorum"})
    assert replay(server, broker, *ALL) == {**NOTHING, "not_yet_sent": 1}


def test_what_is_not_routed_is_told(server: Server, broker: Broker) -> None:
    fill(server, 2, 1)
    server.stop()
    with broker.connect() as connection:
        connection.channel().queue_unbind("user", "userbus", "user")
    assert replay(server, broker, *ALL, code=75)["replayed"] == 0


def test_errors(server: Server, broker: Broker) -> None:
    for arguments in ((), ("--from", "2020-01-01"), ("--from", "x", "--to", "2100-01-01"), (*ALL, "--rate", "0"),
                      (*ALL, "--user", "nobody@example.org"), (*ALL, "--speed", "1")):
        assert "stderr" in replay(server, broker, *arguments, code=64)
    wait_for(lambda: server.log_lines(event="publishing"), "a bridge")

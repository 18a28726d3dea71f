# SPDX-License-Identifier: Apache-2.0
"""The worker: what it makes of events, of duplicates, of rubbish and of the original producer's messages."""
import json
import uuid

import pika

from harness.broker import Broker
from harness.incoming import await_report, event
from harness.load import Load
from harness.service import Server, Worker, run
from harness.waiting import wait_for


def test_four_calls_can_be_seen_in_the_report(server: Server, worker: Worker) -> None:
    server.create("ada@example.org")
    server.request("GET", "/users/ada@example.org")
    server.request("GET", "/users/ada@example.org")
    updated = server.request("PATCH", "/users/ada@example.org", json={"last_name": "Byron"}).json()
    deleted = server.request("DELETE", "/users/ada@example.org").json()
    told = await_report(worker, registered=1, views=2, updates=1, disabled=1)
    assert told["users"] == [{"email": "ada@example.org", "views": 2, "updates": 1,
                              "last_update": updated["updated_at"], "disabled": True,
                              "disabled_at": deleted["updated_at"]}]
    table = run("report", CONSUMER_DATABASE_URL=f"sqlite:{worker.database}").stdout
    assert "1 registered, 1 disabled" in table and "ada@example.org" in table


def test_a_duplicate_changes_nothing(worker: Worker, broker: Broker) -> None:
    broker.publish(*event("ada@example.org", "one", "user.create", 1))
    for _ in range(3):
        broker.publish(*event("ada@example.org", "two", "user.read", 2))
    told = await_report(worker, duplicates=2)
    assert (told["registered"], told["views"]) == (1, 1)
    broker.publish(*event("ada@example.org", "three", "user.read", 3))  # which is none, and counts
    assert await_report(worker, views=2)["duplicates"] == 2


def test_what_cannot_be_read_is_put_aside_and_the_rest_goes_on(worker: Worker, broker: Broker) -> None:
    bad = [(b"no json", "bad-json"), (b"", "bad-json"), (b'{"a": 1}', "no-context"), (b"[]", "no-context"),
           (b'{"context": {"first_name": "Ada"}}', "no-email"),
           (b'{"context": {"email": "a@b.cd"}, "context": {}}', "bad-json")]
    for body, _ in bad:
        broker.publish(body, pika.BasicProperties(message_id=str(uuid.uuid4()), correlation_id="c",
                                                  headers={"mine": "kept"}))
    broker.publish(*event("ada@example.org", "unknown", "user.explode"))
    broker.publish(*event("ada@example.org", "good", "user.create"))
    await_report(worker, registered=1)
    letters = broker.take(len(bad) + 1, "user.dead")
    assert [letter.body for letter in letters[:-1]] == [body for body, _ in bad]
    for letter, slug in zip(letters, [slug for _, slug in bad] + ["unknown-type"]):
        headers = letter.headers
        assert headers["userbus_error"] == slug
        assert headers["userbus_reason"]
        assert headers["userbus_queue"] == "user"
        assert headers["userbus_first_failed_at"].endswith("Z")
        assert letter.properties.delivery_mode == 2
    assert letters[0].headers["mine"] == "kept" and letters[0].properties.correlation_id == "c"
    wait_for(lambda: broker.depth() == 0, "an empty queue")
    assert worker.stop() == 0  # and nothing was left unacked
    assert broker.depth() == 0


def test_messages_of_the_original_producer(worker: Worker, broker: Broker) -> None:
    """It publishes a body and no properties at all."""
    def body(email: str, **more) -> bytes:
        context = {"email": email, "first_name": "Ada", "last_name": "Byron"} | more
        return json.dumps({"created_at": "2021-05-01T10:00:00.123456", "queue": "user", "context": context}).encode()

    broker.publish(body("old@example.org"))
    broker.publish(body("gone@example.org"))
    broker.publish(body("gone@example.org", is_valid=False))
    broker.publish(body("old@example.org"))  # the same bytes again: a duplicate
    told = await_report(worker, registered=2, disabled=1, duplicates=1)
    assert {user["email"]: user["disabled"] for user in told["users"]} == {
        "old@example.org": False, "gone@example.org": True}


def test_killed_under_load_it_counts_every_event_once(server: Server, start, broker: Broker) -> None:
    worker = start(Worker, RABBIT_MQ_URL=broker.url)
    load = Load(server.host, server.port, "load")
    for _ in range(4):
        seen = load.answered()
        wait_for(lambda: load.answered() > seen + 300, "a load", 60)
        worker.kill()
        worker = start(Worker, RABBIT_MQ_URL=broker.url)
    records = load.stop()
    types = [answer.type for record in records for answer in record.answers]
    server.await_drained()
    told = await_report(worker, **{type_: types.count(type_) for type_ in set(types)})
    assert told["views"] == types.count("user.read")
    assert told["registered"] == types.count("user.create")
    assert told["updates"] == types.count("user.update")
    assert broker.depth("user.dead") == 0


def test_it_waits_for_a_broker_and_follows_it(start, own_broker: Broker) -> None:
    own_broker.kill()
    worker = start(Worker, RABBIT_MQ_URL=own_broker.url, wait=False)
    worker.await_log(event="cannot_consume")
    own_broker.start()
    worker.await_log(event="consuming", seconds=60)
    own_broker.publish(*event("ada@example.org", "one", "user.create"))
    await_report(worker, registered=1)
    own_broker.kill()
    worker.await_log(event="disconnected")
    own_broker.start()
    own_broker.publish(*event("bob@example.org", "two", "user.create"))
    await_report(worker, registered=2)


def test_a_deleted_queue_is_made_again(worker: Worker, broker: Broker) -> None:
    with broker.connect() as connection:
        connection.channel().queue_delete("user")
    wait_for(lambda: len(worker.log_lines(event="consuming")) >= 2, "another subscription", 60)
    broker.publish(*event("ada@example.org", "one", "user.create"))
    await_report(worker, registered=1)


def test_a_worker_within_the_service(start, broker: Broker) -> None:
    server = start(Server, "--with-worker", RABBIT_MQ_URL=broker.url)
    server.create("ada@example.org")
    server.request("GET", "/users/ada@example.org")

    def seen() -> bool:
        done = run("report", "--json", CONSUMER_DATABASE_URL=server.settings["CONSUMER_DATABASE_URL"])
        return done.returncode == 0 and json.loads(done.stdout)["views"] == 1

    wait_for(seen, "the view in the report")


def test_a_handler_table_of_ones_own(start, broker: Broker, folder) -> None:
    config = folder / "userbus.yaml"
    config.write_text("handlers:\n"
                      "  - {label: Look, queue: user, event: user.read, processor: count_user_viewing_processor}\n")
    worker = start(Worker, RABBIT_MQ_URL=broker.url, USERBUS_CONFIG=str(config))
    broker.publish(*event("ada@example.org", "one", "user.create"))
    broker.publish(*event("ada@example.org", "two", "user.read", 2))
    told = await_report(worker, views=1)
    assert (told["registered"], told["unhandled"]) == (0, 1)

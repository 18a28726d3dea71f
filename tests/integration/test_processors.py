# SPDX-License-Identifier: Apache-2.0
"""Processors that are programs of their own: retries, order, limits, deaths, from outside."""
import json
import os
import pathlib
import time
from collections.abc import Callable

import pika
import pytest

from harness.broker import ROOT, Broker
from harness.incoming import await_report, event, report
from harness.service import Worker, query
from harness.waiting import wait_for

CHILD = ROOT / "tests" / "harness" / "child.py"
QUICK = {"PROCESSOR_RETRY_BASE": "1", "PROCESSOR_RETRY_CAP": "20"}
EXECUTED = ("user.create", "user.update")


def configure(folder: pathlib.Path, command: str) -> str:
    """Creates and updates go to the command, reads to the database."""
    config = folder / "userbus.yaml"
    rows = [f"  - {{label: Run, queue: user, event: {kind}, processor: 'exec:{command}'}}\n" for kind in EXECUTED]
    rows.append("  - {label: View, queue: user, event: user.read, processor: count_user_viewing_processor}\n")
    config.write_text("handlers:\n" + "".join(rows))
    return str(config)


@pytest.fixture
def start_worker(start, broker: Broker, folder: pathlib.Path) -> Callable[..., Worker]:
    (folder / "hold").touch()
    config = configure(folder, f"{CHILD} {folder}")

    def start_one(**settings: str) -> Worker:
        return start(Worker, RABBIT_MQ_URL=broker.url, USERBUS_CONFIG=config, **(QUICK | settings))

    return start_one


def runs(folder: pathlib.Path, message_id: str | None = None) -> list[dict]:
    """What the child wrote down, in order."""
    path = folder / "runs"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = [json.loads(line) for line in lines]
    return [run for run in told if message_id in (None, run["id"])]


def publish(broker: Broker, message_id: str, told: str, user: str = "ada", kind: str = "user.create",
            sequence: int = 1) -> None:
    broker.publish(*event(f"{user}@example.org", message_id, kind, sequence, last_name=told))


def outcome(worker: Worker, message_id: str) -> int:
    """0 processed, 1 waiting, 2 dead."""
    return query(worker.database, f"SELECT outcome FROM inbox WHERE message_id = '{message_id}'")[0][0]


def lives(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("example", ["handler.py", "handler.sh"])
def test_the_examples(example: str, start, broker: Broker, folder) -> None:
    config = configure(folder, str(ROOT / "examples" / example))
    worker = start(Worker, RABBIT_MQ_URL=broker.url, USERBUS_CONFIG=config)
    for number in range(20):
        publish(broker, f"m-{number}", "Byron", f"user{number}")
    await_report(worker, **{"user.create": 20}, waiting=0, failed_runs=0)
    said = worker.log_lines(event="processor_says")
    assert len(said) == 20 and worker.log_lines(event="processor_started")[0].fields["command"].endswith(example)


def test_a_failure_that_passes_is_tried_again(start_worker, broker: Broker, folder) -> None:
    worker = start_worker()
    publish(broker, "one", "retry-2")
    await_report(worker, **{"user.create": 1}, failed_runs=2, waiting=0, dead=0)
    assert [run["attempt"] for run in runs(folder)] == [1, 2, 3]
    assert outcome(worker, "one") == 0
    publish(broker, "one", "retry-2")
    await_report(worker, duplicates=1)


def test_a_failure_for_good_is_a_dead_letter_at_once(start_worker, broker: Broker, folder) -> None:
    worker = start_worker()
    publish(broker, "one", "dead", sequence=7)
    letter, = broker.take(1, "user.dead")
    assert [run["attempt"] for run in runs(folder)] == [1]
    headers = letter.headers
    assert headers["userbus_error"] == "processor-failed" and headers["userbus_reason"] == "it will never do"
    assert headers["userbus_attempts"] == "1" and headers["userbus_queue"] == "user"
    assert headers["userbus_sequence"] == "7" and headers["cloudEvents_sequence"] == "7"
    assert headers["userbus_user"] == json.loads(letter.body)["context"]["id"]
    assert headers["userbus_first_failed_at"].endswith("Z") and len(headers["userbus_fingerprint"]) == 16
    assert letter.properties.message_id == "one" and letter.properties.type == "user.create"
    assert letter.properties.content_type == "application/json" and letter.properties.delivery_mode == 2
    await_report(worker, dead=1, waiting=0)
    assert outcome(worker, "one") == 2


def test_after_the_last_try_it_is_dead_and_the_lane_goes_on(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(PROCESSOR_TRIES="3")
    publish(broker, "one", "retry-99")
    publish(broker, "two", "done", kind="user.update", sequence=2)
    publish(broker, "three", "retry-99", user="bob")
    letters = broker.take(2, "user.dead")
    assert {letter.properties.message_id for letter in letters} == {"one", "three"}
    assert [letter.headers["userbus_attempts"] for letter in letters] == ["3", "3"]
    assert len({letter.headers["userbus_fingerprint"] for letter in letters}) == 1  # equal causes
    await_report(worker, **{"user.update": 1}, dead=2, failed_runs=6, waiting=0)
    assert [run["id"] for run in runs(folder) if run["id"] != "three"] == ["one"] * 3 + ["two"]


def test_a_user_waits_in_order_while_others_flow(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(PROCESSOR_TRIES="1000")
    publish(broker, "a1", "until-gone")
    publish(broker, "a2", "done", kind="user.read", sequence=2)  # of a processor in the database
    publish(broker, "a3", "done", kind="user.update", sequence=3)
    publish(broker, "a4", "done", kind="user.read", sequence=4)
    publish(broker, "a5", "done", kind="user.update", sequence=5)
    for number in range(30):
        publish(broker, f"b{number}", "done", user=f"b{number}")
        publish(broker, f"c{number}", "done", user=f"c{number}", kind="user.read")
    told = await_report(worker, **{"user.create": 30}, views=30, waiting=5, waiting_users=1)
    assert told["waiting_since"] and outcome(worker, "a2") == 1
    assert {run["id"] for run in runs(folder) if run["id"].startswith("a")} == {"a1"}
    (folder / "hold").unlink()
    await_report(worker, **{"user.create": 31, "user.update": 2}, views=32, waiting=0, gaps=0)
    assert [run["id"] for run in runs(folder) if run["id"] in ("a3", "a5")] == ["a3", "a5"]
    assert outcome(worker, "a2") == 0


def test_beyond_the_time_limit_it_is_killed_and_tried_again(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(PROCESSOR_TIMEOUT="5000")
    publish(broker, "one", "hang-1")
    for number in range(7):  # in its hand at the same time
        publish(broker, f"b{number}", "done", user=f"b{number}")
    await_report(worker, **{"user.create": 8}, failed_runs=1, timeouts=1, waiting=0)
    assert [run["attempt"] for run in runs(folder, "one")] == [1, 2]
    assert all(run["attempt"] == 1 for run in runs(folder) if run["id"] != "one")
    assert worker.log_lines(event="processor_timeout")[0].fields["message_id"] == "one"
    assert not lives(runs(folder, "one")[0]["pid"])


def test_a_child_that_dies_of_an_event_takes_nobody_else_along(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(PROCESSOR_TRIES="3")
    for number in range(10):
        publish(broker, f"b{number}", "done", user=f"b{number}")
        if number == 3:
            publish(broker, "poison", "crash-99")
    letter, = broker.take(1, "user.dead")
    assert letter.properties.message_id == "poison" and letter.headers["userbus_error"] == "processor-crashed"
    await_report(worker, **{"user.create": 10}, failed_runs=3, dead=1, waiting=0)


@pytest.mark.parametrize("told", ["noise-1", "stranger-1"])
def test_a_child_that_says_nonsense_is_started_again(told: str, start_worker, broker: Broker, folder) -> None:
    worker = start_worker()
    publish(broker, "one", told)
    await_report(worker, **{"user.create": 1}, failed_runs=1, waiting=0)
    assert worker.log_lines(event="run_failed")[0].fields["error"] == "processor-bad-answer"
    first, second = runs(folder)
    assert first["pid"] != second["pid"] and not lives(first["pid"])


def test_a_command_that_cannot_be_started_is_no_events_fault(start, broker: Broker, folder) -> None:
    config = configure(folder, "/no/such/program")
    worker = start(Worker, RABBIT_MQ_URL=broker.url, USERBUS_CONFIG=config, PROCESSOR_TRIES="1", **QUICK)
    publish(broker, "one", "done")
    wait_for(lambda: len(worker.log_lines(event="processor_ended")) >= 4, "some tries")
    told = report(worker)
    assert (told["waiting"], told["failed_runs"], told["dead"]) == (1, 0, 0)
    assert worker.log_lines(event="processor_ended", number="127")


def test_killed_while_events_wait_the_next_worker_goes_on(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(PROCESSOR_TRIES="1000")
    publish(broker, "a1", "until-gone")
    publish(broker, "a2", "done", kind="user.update", sequence=2)
    publish(broker, "b1", "wait", user="bob")
    await_report(worker, waiting=3)
    wait_for(lambda: runs(folder, "b1"), "a run in hand")
    assert broker.depth() == 0
    worker.kill()
    wait_for(lambda: not lives(runs(folder, "b1")[0]["pid"]), "the end of the child")
    before = runs(folder)[-1]
    worker = start_worker(PROCESSOR_TRIES="1000")
    wait_for(lambda: runs(folder)[-1]["pid"] != before["pid"], "a run of the next worker")
    (folder / "hold").unlink()
    told = await_report(worker, **{"user.create": 2, "user.update": 1}, waiting=0)
    assert (told["duplicates"], told["dead"]) == (0, 0)
    tries = [run["attempt"] for run in runs(folder, "a1")]
    assert tries == sorted(tries) and tries.count(1) == 1  # its failures were not forgotten
    assert [run["attempt"] for run in runs(folder, "b1")] == [1, 1]  # at least once


def test_a_stop_does_not_wait_for_a_child_that_hangs(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(STOP_TIMEOUT="3000")
    publish(broker, "one", "hang-1")
    wait_for(lambda: runs(folder, "one"), "a run in hand")
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 5
    assert not lives(runs(folder, "one")[0]["pid"])
    assert outcome(worker, "one") == 1


def test_a_stop_lets_a_run_end(start_worker, broker: Broker, folder) -> None:
    worker = start_worker()
    publish(broker, "one", "wait")
    wait_for(lambda: runs(folder, "one"), "a run in hand")
    os.kill(worker.pid, 15)
    worker.await_log(event="stopping")
    (folder / "hold").unlink()
    assert worker.process.wait(60) == 0
    assert outcome(worker, "one") == 0


def test_no_more_are_taken_than_may_wait(start_worker, broker: Broker, folder) -> None:
    worker = start_worker(WAITING_MAX_EVENTS="20", PREFETCH="5")
    for number in range(60):
        publish(broker, f"m-{number}", "wait", user=f"user{number}")
    worker.await_log(event="waiting_full")
    wait_for(lambda: broker.depth() == 60 - report(worker)["waiting"], "all prefetched to be written down")
    assert 20 <= report(worker)["waiting"] <= 25
    publish(broker, "poison", "done", user="eve")
    assert report(worker)["waiting_full"] <= 1
    (folder / "hold").unlink()
    await_report(worker, **{"user.create": 61}, waiting=0, duplicates=0)
    assert report(worker)["waiting_full"] >= 1  # as they run off it may be met again
    worker.await_log(event="waiting_accepts")
    wait_for(lambda: broker.depth() == 0, "an empty queue")
    assert worker.stop() == 0 and broker.depth() == 0  # and nothing was left unacked


def test_dead_ones_that_are_published_again_run_in_order(start_worker, broker: Broker, folder) -> None:
    worker = start_worker()
    for sequence, name in enumerate(("one", "two", "three"), 1):
        publish(broker, name, "dead", kind="user.update", sequence=sequence)
    letters = broker.take(3, "user.dead")
    await_report(worker, dead=3, waiting=0)
    (folder / "hold").unlink()  # the cause is gone
    for letter in letters:
        properties = letter.properties
        properties.headers["userbus_replayed_at"] = "2026-11-24T21:00:00Z"
        broker.publish(letter.body, properties)
    await_report(worker, **{"user.update": 3}, replayed=3, duplicates=0, waiting=0)
    assert [run["id"] for run in runs(folder)] == ["one", "two", "three"] * 2
    assert [run["attempt"] for run in runs(folder)] == [1] * 6


def test_a_replayed_one_that_fails_again_keeps_the_time_of_the_first_failure(start_worker, broker: Broker) -> None:
    start_worker()
    publish(broker, "one", "dead")
    first, = broker.take(1, "user.dead")
    broker.publish(first.body, first.properties)
    second, = broker.take(1, "user.dead")
    assert second.headers == first.headers


def test_without_a_broker_what_waits_runs_on(start, own_broker: Broker, folder) -> None:
    (folder / "hold").touch()
    config = configure(folder, f"{CHILD} {folder}")
    worker = start(Worker, RABBIT_MQ_URL=own_broker.url, USERBUS_CONFIG=config, PROCESSOR_TRIES="1000", **QUICK)
    publish(own_broker, "one", "until-gone")
    publish(own_broker, "two", "wait", user="bob")
    await_report(worker, waiting=2)
    own_broker.kill()
    worker.await_log(event="disconnected")
    (folder / "hold").unlink()
    await_report(worker, **{"user.create": 2}, waiting=0)
    own_broker.start()


def test_a_second_worker_stands_by_and_takes_over(start_worker, broker: Broker, folder) -> None:
    first = start_worker(PROCESSOR_TRIES="1000")
    publish(broker, "one", "until-gone")
    await_report(first, waiting=1)
    second = start_worker(PROCESSOR_TRIES="1000", wait=False)
    second.await_log(event="standing_by")
    first.kill()
    second.await_log(event="consuming")
    (folder / "hold").unlink()
    await_report(second, **{"user.create": 1}, waiting=0)


def test_closed_connections_are_opened_again(start_worker, own_broker: Broker, start, folder) -> None:
    worker = start(Worker, RABBIT_MQ_URL=own_broker.url, USERBUS_CONFIG=str(folder / "userbus.yaml"), **QUICK)
    own_broker.close_connections()
    wait_for(lambda: len(worker.log_lines(event="consuming")) >= 2, "another subscription")
    publish(own_broker, "one", "done")
    await_report(worker, **{"user.create": 1}, waiting=0)


def test_an_id_that_cannot_be_said_is_dead(start_worker, broker: Broker) -> None:
    worker = start_worker()
    body, properties = event("ada@example.org", "x", "user.create", last_name="done")
    properties.message_id = "caf\udce9".encode("utf-8", "surrogateescape")
    broker.publish(body, pika.BasicProperties(message_id=properties.message_id, type="user.create"))
    letter, = broker.take(1, "user.dead")
    assert letter.headers["userbus_error"] == "bad-message-id"
    await_report(worker, dead=1, waiting=0)

# SPDX-License-Identifier: Apache-2.0
"""How long things are kept: settings that contradict each other, and what the report tells of gaps and replays."""
import json

import pika
import pytest

from harness.broker import Broker
from harness.incoming import await_report, event
from harness.service import Worker, run
from harness.waiting import wait_for


@pytest.mark.parametrize("command", [("runserver",), ("broker", "start", "user")])
@pytest.mark.parametrize("inbox, dead", [("100", "100"), ("99", "100"), ("100", "0")])
def test_the_inbox_must_keep_for_longer(command: tuple[str, ...], inbox: str, dead: str, folder) -> None:
    done = run(*command, INBOX_RETENTION=inbox, DEAD_LETTER_RETENTION=dead, LISTEN="127.0.0.1:0", ADMIN_LISTEN="off",
               DATABASE_URL=f"sqlite:{folder}/users.db", CONSUMER_DATABASE_URL=f"sqlite:{folder}/consumer.db")
    assert done.returncode == 78
    lines = [line for line in done.stderr.splitlines() if line.startswith("userbus: ")]
    assert len(lines) == 1 and "inbox_retention" in lines[0] and "dead_letter_retention" in lines[0]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("inbox, dead", [("0", "0"), ("0", "100"), ("101", "100")])
def test_what_fits_is_taken(inbox: str, dead: str, start, broker: Broker) -> None:
    start(Worker, RABBIT_MQ_URL=broker.url, INBOX_RETENTION=inbox, DEAD_LETTER_RETENTION=dead)
    broker.publish(*event("ada@example.org", "one", "user.create"))
    wait_for(lambda: broker.depth() == 0, "an event that is taken")


def test_a_dead_letter_queue_with_another_retention_is_told(start, broker: Broker) -> None:
    assert start(Worker, RABBIT_MQ_URL=broker.url, DEAD_LETTER_RETENTION="100").stop() == 0
    worker = start(Worker, RABBIT_MQ_URL=broker.url, DEAD_LETTER_RETENTION="200", wait=False)
    line = worker.await_log(event="cannot_consume")
    assert line.fields["error"] == "topology"
    assert "user.dead" in line.fields["detail"] and "x-message-ttl" in line.fields["detail"]


def test_an_old_dead_letter_goes(start, broker: Broker) -> None:
    start(Worker, RABBIT_MQ_URL=broker.url, DEAD_LETTER_RETENTION="2")
    broker.publish(b"poison", pika.BasicProperties(message_id="one"))
    wait_for(lambda: broker.depth("user.dead") == 1, "a dead letter")
    wait_for(lambda: broker.depth("user.dead") == 0, "its end")


def test_gaps_are_counted_logged_once_and_healed(worker: Worker, broker: Broker) -> None:
    for sequence in (1, 2, 5, 6, 9):
        broker.publish(*event("ada@example.org", f"m-{sequence}", "user.read", sequence))
    assert await_report(worker, views=5, gaps=4)["gaps_healed"] == 0
    assert len(worker.log_lines(event="sequence_gap")) == 1  # sampled: a flood of gaps is not a flood of lines
    broker.publish(*event("ada@example.org", "m-3", "user.read", 3))
    assert await_report(worker, views=6, gaps_healed=1)["gaps"] == 4


def test_a_message_that_was_dead_is_run_when_it_comes_again(worker: Worker, broker: Broker) -> None:
    broker.publish(b"poison", pika.BasicProperties(message_id="one", type="user.create"))
    wait_for(lambda: broker.depth("user.dead") == 1, "a dead letter")
    broker.publish(*event("ada@example.org", "one", "user.create"))  # mended by somebody
    assert await_report(worker, registered=1, replayed=1, dead=1)["duplicates"] == 0
    broker.publish(*event("ada@example.org", "one", "user.create"))
    await_report(worker, registered=1, duplicates=1)


def test_the_table_tells_of_trouble(worker: Worker, broker: Broker) -> None:
    broker.publish(b"poison", pika.BasicProperties(message_id="one"))
    wait_for(lambda: broker.depth("user.dead") == 1, "a dead letter")
    table = run("report", CONSUMER_DATABASE_URL=f"sqlite:{worker.database}").stdout
    assert "waiting     0 events of 0 users" in table and "dead letters 1," in table
    told = json.loads(run("report", "--json", CONSUMER_DATABASE_URL=f"sqlite:{worker.database}").stdout)
    assert told["waiting"] == 0 and told["waiting_since"] is None

# SPDX-License-Identifier: Apache-2.0
"""broker dead_letters: nothing is lost by looking, nothing is deleted before its replay is confirmed."""
import datetime
import json
import signal
import subprocess
import uuid

import pika
import pytest

from harness.broker import Broker, Received
from harness.service import Worker, binary, environment, run
from harness.waiting import wait_for

from test_worker import await_report

LETTERS_MAX = 65535  # that one run looks at


def ago(seconds: float) -> str:
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ")


def letter(user: str, sequence: int, fingerprint: str = "f1", type_: str = "user.update", age: float = 60,
           message_id: str | None = None, queue: str = "user") -> tuple[bytes, pika.BasicProperties]:
    """As the worker would put it aside."""
    context = {"id": user, "email": f"{user}@example.org", "first_name": "Ada", "last_name": "Byron"}
    body = json.dumps({"created_at": "2026-11-23T21:39:48.123456", "queue": "user", "context": context})
    headers = {"userbus_error": "processor-failed", "userbus_reason": f"cause of {fingerprint}",
               "userbus_queue": queue, "userbus_first_failed_at": ago(age), "userbus_fingerprint": fingerprint,
               "userbus_attempts": "5", "cloudEvents_sequence": str(sequence), "cloudEvents_subject": user,
               "mine": "kept"}
    properties = pika.BasicProperties(message_id=message_id or f"{user}-{sequence}", type=type_, app_id="userbus",
                                      content_type="application/json", correlation_id="c", delivery_mode=2,
                                      headers=headers)
    return body.encode(), properties


def declare(broker: Broker, queue: str = "user", dead: bool = True) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("userbus", "direct", durable=True)
        quorum = {"x-queue-type": "quorum"}
        channel.queue_declare(queue, durable=True, arguments=quorum | {"x-single-active-consumer": True})
        channel.queue_bind(queue, "userbus", queue)
        if dead:
            channel.queue_declare(f"{queue}.dead", durable=True, arguments=quorum)


def publish_all(broker: Broker, letters: list[tuple[bytes, pika.BasicProperties]]) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body, properties in letters:
            channel.basic_publish("", "user.dead", body, properties, mandatory=True)


@pytest.fixture
def dead(broker: Broker) -> Broker:
    """A broker with the two queues and nothing in them."""
    declare(broker)
    return broker


def letters(broker: Broker, verb: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = run("broker", "dead_letters", verb, *arguments, seconds=200, RABBIT_MQ_URL=broker.url)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def told(broker: Broker, verb: str, *arguments: str, code: int = 0) -> dict:
    return json.loads(letters(broker, verb, *arguments, "--json", code=code).stdout)


def ids(messages: list[Received]) -> list[str]:
    return [message.properties.message_id for message in messages]


def await_depth(broker: Broker, depth: int, queue: str = "user.dead") -> None:
    """A quorum queue takes back what was not acked a moment after the connection has gone."""
    wait_for(lambda: broker.depth(queue) == depth, f"{depth} messages in {queue}")


def test_listing_by_cause_takes_nothing_away(dead: Broker) -> None:
    publish_all(dead, [letter("a", 1, "f1", age=300), letter("b", 1, "f2"), letter("a", 2, "f1", age=10),
                       (b"no json", pika.BasicProperties(headers={"userbus_error": "bad-json"}))])
    for _ in range(3):
        groups = told(dead, "list")
        assert (groups["letters"], groups["meant"]) == (4, 4)
        first = groups["groups"][0]
        assert (first["fingerprint"], first["count"], first["reason"]) == ("f1", 2, "cause of f1")
        assert first["first_failed_at"] < first["last_failed_at"]
        assert {group["error"] for group in groups["groups"]} == {"processor-failed", "bad-json"}
        await_depth(dead, 4)
    table = letters(dead, "list").stdout
    assert "4 letters" in table and "f1" in table and "cause of f2" in table
    await_depth(dead, 4)


def test_filters(dead: Broker) -> None:
    publish_all(dead, [letter("a", 1, "f1", "user.read", 7200), letter("a", 2, "f2"), letter("b", 1, "f1"),
                       (b"no json", pika.BasicProperties(headers={"userbus_error": "bad-json"}))])
    for arguments, count in (((), 4), (("--event", "user.read"), 1), (("--user", "a"), 2),
                             (("--user", "B@example.org"), 1), (("--fingerprint", "f1"), 2),
                             (("--older-than", "1h"), 1), (("--newer-than", "1h"), 2), (("--id", "a-2"), 1),
                             (("--user", "a", "--fingerprint", "f1"), 1), (("--id", "none"), 0)):
        assert told(dead, "list", *arguments)["meant"] == count, arguments
        await_depth(dead, 4)


def test_show_prints_them_whole(dead: Broker) -> None:
    publish_all(dead, [letter("a", n) for n in range(1, 13)])
    lines = [json.loads(line) for line in letters(dead, "show", "--json").stdout.splitlines()]
    assert [line["message_id"] for line in lines] == [f"a-{n}" for n in range(1, 11)]  # ten unless told
    assert lines[0]["headers"]["mine"] == "kept" and "cause of f1" in lines[0]["headers"]["userbus_reason"]
    assert json.loads(lines[0]["body"])["context"]["id"] == "a"
    text = letters(dead, "show", "--id", "a-12").stdout
    assert "letter a-12" in text and "cause of f1" in text and "1 of 1 letters" in text
    await_depth(dead, 12)


def test_nobody_steers_the_terminal(dead: Broker) -> None:
    publish_all(dead, [(b'\x1b[31m{"a"', pika.BasicProperties(
        message_id="x", headers={"userbus_reason": "\x1b]0;title\x07", "evil\x1b[2J": "v"}))])
    assert "\x1b" not in letters(dead, "show").stdout + letters(dead, "list").stdout


def test_a_replay_in_order_with_the_same_ids(dead: Broker) -> None:
    """What reading did to the order of the letters does not matter, and no user waits for another."""
    made = [letter(user, sequence) for sequence in (3, 1, 2) for user in ("a", "b", "c")]
    publish_all(dead, made)
    letters(dead, "show")
    letters(dead, "list")
    before = ago(0)
    assert told(dead, "replay", "--dry-run") == {"queue": "user.dead", "letters": 9, "meant": 9, "replayed": 0,
                                                 "dry_run": True}
    await_depth(dead, 9)
    assert told(dead, "replay")["replayed"] == 9
    await_depth(dead, 0)
    messages = dead.take(9)
    for user in "abc":
        assert [name for name in ids(messages) if name.startswith(user)] == [f"{user}-{n}" for n in (1, 2, 3)]
    original = {properties.message_id: (body, properties) for body, properties in made}
    for message in messages:
        body, properties = original[message.properties.message_id]
        assert message.body == body
        for name in ("type", "app_id", "content_type", "correlation_id", "delivery_mode"):
            assert getattr(message.properties, name) == getattr(properties, name)
        assert before <= message.headers.pop("userbus_replayed_at") <= ago(0)
        kept = ("userbus_first_failed_at", "cloudEvents_sequence", "cloudEvents_subject", "mine")
        assert message.headers == {name: properties.headers[name] for name in kept}


def test_a_replay_of_some(dead: Broker) -> None:
    publish_all(dead, [letter("a", 1), letter("a", 2), letter("a", 3, "f2"), letter("b", 1, "f2")])
    assert told(dead, "replay", "--fingerprint", "f1", "--limit", "1")["replayed"] == 1
    await_depth(dead, 3)
    assert told(dead, "replay", "--user", "b")["replayed"] == 1
    assert "2 of 2 letters replayed" in letters(dead, "replay").stdout
    await_depth(dead, 0)
    assert ids(dead.take(4)) == ["a-1", "b-1", "a-2", "a-3"]


def test_two_letters_with_one_id_and_some_without(dead: Broker) -> None:
    """Neither is mistaken for another."""
    publish_all(dead, [letter("a", 1, message_id="same"), letter("b", 1, message_id="same"),
                       *[(b"body %d" % n, pika.BasicProperties()) for n in range(5)]])
    assert told(dead, "replay")["replayed"] == 7
    await_depth(dead, 0)
    assert sorted(message.body for message in dead.take(7) if message.properties.message_id is None) == [
        b"body %d" % n for n in range(5)]


def test_what_cannot_be_routed_stays(dead: Broker) -> None:
    """Its queue is gone; another user's letter goes its way, and so does nothing behind the one that failed."""
    publish_all(dead, [letter("a", 1, queue="gone"), letter("a", 2), letter("b", 1),
                       (b"none", pika.BasicProperties(headers={"userbus_queue": "gone"}))])
    outcome = letters(dead, "replay", "--json", code=75)
    assert json.loads(outcome.stdout)["replayed"] == 1
    assert "3 letters" in outcome.stderr
    await_depth(dead, 3)
    assert ids(dead.take(1)) == ["b-1"]
    declare(dead, "gone", dead=False)
    assert told(dead, "replay")["replayed"] == 3
    assert dead.depth() == 1 and dead.depth("gone") == 2
    with dead.connect() as connection:
        connection.channel().queue_delete("gone")


def test_discarding(dead: Broker) -> None:
    publish_all(dead, [letter("a", 1), letter("a", 2), letter("b", 1, "f2"), letter("c", 1, "f3")])
    assert "needs a filter" in letters(dead, "discard", code=64).stderr
    assert told(dead, "discard", "--fingerprint", "f2", "--dry-run")["meant"] == 1
    await_depth(dead, 4)
    assert told(dead, "discard", "--fingerprint", "f2")["discarded"] == 1
    await_depth(dead, 3)
    assert told(dead, "discard", "--user", "a", "--limit", "1")["discarded"] == 1
    await_depth(dead, 2)
    assert "2 of 2 letters discarded" in letters(dead, "discard", "--all").stdout
    await_depth(dead, 0)
    assert dead.depth() == 0


def test_killed_in_the_middle_nothing_is_lost(dead: Broker) -> None:
    """SIGKILL between any two steps: each letter is then in its queue, or still a dead letter, or both."""
    wanted = {f"{user}-{sequence}" for user in "abcdefgh" for sequence in range(1, 51)}
    publish_all(dead, [letter(name.split("-")[0], int(name.split("-")[1])) for name in sorted(wanted)])
    order: list[str] = []
    for round_ in range(6):
        process = subprocess.Popen([binary(), "broker", "dead_letters", "replay", "--rate", "400"],
                                   env=environment({"RABBIT_MQ_URL": dead.url}), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        seen = dead.depth()
        wait_for(lambda: dead.depth() >= seen + 20 + round_ or process.poll() is not None, "replayed letters")
        process.send_signal(signal.SIGKILL)
        process.wait()
        order += ids(dead.drain())
        assert set(order) | set(ids_of_dead(dead)) >= wanted
    told(dead, "replay")
    order += ids(dead.drain())
    await_depth(dead, 0)
    assert set(order) == wanted
    for user in "abcdefgh":
        first = list(dict.fromkeys(name for name in order if name.startswith(user)))
        assert first == [f"{user}-{sequence}" for sequence in range(1, 51)]


def ids_of_dead(broker: Broker) -> list[str]:
    """Looks by pika, once all of them are back."""
    def look() -> list[str] | None:
        with broker.connect() as connection:
            channel = connection.channel()
            count = channel.queue_declare("user.dead", passive=True).method.message_count
            channel.basic_qos(prefetch_count=1000)
            found = []
            for method, properties, _ in channel.consume("user.dead", inactivity_timeout=0.5):
                if method is None:
                    break
                found.append(properties.message_id)
            return found if len(found) == count else None

    found = wait_for(lambda: (look(),), "the letters")[0]
    return found if found is not None else ids_of_dead(broker)


def test_many_letters(dead: Broker) -> None:
    publish_all(dead, [letter(f"u{n % 500}", n // 500 + 1) for n in range(3000)])
    assert told(dead, "list")["groups"][0]["count"] == 3000
    await_depth(dead, 3000)
    assert told(dead, "replay")["replayed"] == 3000
    await_depth(dead, 0)
    order = ids(dead.take(3000))
    for n in range(500):
        assert [name for name in order if name.startswith(f"u{n}-")] == [f"u{n}-{s}" for s in range(1, 7)]


def test_more_letters_than_one_run_looks_at(dead: Broker) -> None:
    """It says so, and does not touch the rest; the next run takes that."""
    more = 40
    with dead.connect() as connection:
        channel = connection.channel()
        for number in range(LETTERS_MAX + more):
            channel.basic_publish("", "user.dead", b"x", pika.BasicProperties(message_id=str(number)))
        channel.confirm_delivery()  # whose answer comes behind all of them
    await_depth(dead, LETTERS_MAX + more)
    done = letters(dead, "list", "--json")
    told_of = json.loads(done.stdout)
    assert (told_of["letters"], told_of["looked_at"], told_of["meant"]) == (LETTERS_MAX + more, LETTERS_MAX, LETTERS_MAX)
    assert f"held {LETTERS_MAX + more} letters, of which {LETTERS_MAX} were looked at" in done.stderr
    await_depth(dead, LETTERS_MAX + more)
    done = letters(dead, "discard", "--all", "--json", code=75)
    assert json.loads(done.stdout)["discarded"] == LETTERS_MAX and "run it again" in done.stderr
    await_depth(dead, more)
    done = letters(dead, "replay", "--json")
    assert json.loads(done.stdout)["replayed"] == more and done.stderr == ""
    await_depth(dead, 0)
    assert sorted(ids(dead.take(more)), key=int) == [str(LETTERS_MAX + number) for number in range(more)]


def test_the_worker_takes_a_replayed_letter(worker: Worker, broker: Broker) -> None:
    """What failed for its body fails again, and keeps the time of its first failure."""
    wait_for(lambda: broker.depth("user.dead") == 0, "the queues")
    broker.publish(b"no json", pika.BasicProperties(message_id=str(uuid.uuid4())))
    await_depth(broker, 1)
    first = json.loads(letters(broker, "show", "--json").stdout)
    await_depth(broker, 1)
    assert told(broker, "replay")["replayed"] == 1
    again = wait_for(lambda: json.loads(letters(broker, "show", "--json").stdout or "null"), "the letter again")
    assert again["message_id"] == first["message_id"]
    assert again["headers"]["userbus_first_failed_at"] == first["headers"]["userbus_first_failed_at"]
    assert "userbus_replayed_at" in again["headers"]
    body, properties = letter("ada", 1)
    properties.type = "user.create"
    publish_all(broker, [(body, properties)])
    assert told(broker, "replay", "--user", "ada")["replayed"] == 1
    await_report(worker, registered=1)


def test_errors(broker: Broker) -> None:
    done = letters(broker, "list", code=78)
    assert "user.dead" in done.stderr
    for arguments in (("--older-than", "old"), ("--limit", "0"), ("--event", "user.fly"), ("--rate", "9"), ("extra",)):
        assert letters(broker, "list", *arguments, code=64).stdout == ""
    done = run("broker", "dead_letters", "list", RABBIT_MQ_URL="amqp://guest:guest@127.0.0.1:1/")
    assert done.returncode == 69 and done.stdout == ""

# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, and one that fails: nothing is acknowledged that is not kept, reads go on while they can,
and each fault is seen to have happened."""
import itertools
import json
import os
import pathlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from harness import ledger
from harness.broker import Broker
from harness.disk import Injection, SmallDisk
from harness.service import Process, Server, Worker, query
from harness.waiting import wait_for

SLOW_SYNC_SECONDS = 1.5  # far more than a busy machine delays an answer
CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture(autouse=True)
def no_leak_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """LeakSanitizer needs ptrace for itself, and strace has it."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


@pytest.fixture
def small_disk(folder: pathlib.Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(folder / "disk", "4m")
    yield disk
    disk.close()


@pytest.fixture
def inject() -> Iterator[Callable[[Process, str, pathlib.Path], Injection]]:
    injections: list[Injection] = []

    def one(process: Process, what: str, path: pathlib.Path) -> Injection:
        injections.append(Injection(process.pid, what, path))
        return injections[-1]

    yield one
    for injection in injections:
        injection.close()


@pytest.fixture
def server_on(small_disk: SmallDisk, start, broker: Broker) -> Server:  # the disk outlives the service
    return start(Server, RABBIT_MQ_URL=broker.url, DATABASE_URL=f"sqlite:{small_disk.folder}/userbus.db")


def is_refused(answer: requests.Response) -> bool:
    """A write that was not done: told as such, and when to try again."""
    assert answer.status_code in (200, 503), answer.text
    if answer.status_code == 200:
        return False
    assert answer.json()["type"] == "urn:userbus:problem:store-unavailable"
    assert answer.headers["Retry-After"] == "2"
    return True


def is_counted(answer: requests.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return answer.headers.get("View-Counted") != "no"


def wal(database: pathlib.Path) -> pathlib.Path:
    return database.with_name(database.name + "-wal")


# --- full -----------------------------------------------------------------------------------------

def test_a_full_disk_refuses_writes_answers_reads_and_heals(server_on: Server, small_disk: SmallDisk,
                                                            broker: Broker) -> None:
    server, database = server_on, server_on.database
    kept = [f"user{i}@example.org" for i in range(20)]
    assert all(server.create(email).status_code == 200 for email in kept)
    small_disk.fill()
    # what the log's file already has room for may still be written; then every write is refused
    numbers = itertools.count()
    refused = 0
    while refused < 20:
        small_disk.fill()
        email = f"more{next(numbers)}@example.org"
        if is_refused(server.create(email)):
            refused += 1
        else:
            kept.append(email)
            refused = 0
    assert small_disk.free_bytes() == 0  # it really was full
    assert server.await_log(event="batch_failed", level="error")
    for email in kept[:5]:
        before = query(database, f"SELECT view_count, sequence FROM user WHERE email = '{email}'")
        answer = server.request("GET", f"/users/{email}")
        assert not is_counted(answer) and answer.json()["email"] == email
        assert query(database, f"SELECT view_count, sequence FROM user WHERE email = '{email}'") == before
    assert server.request("GET", "/users/nobody@example.org").status_code == 404
    assert is_refused(server.request("PATCH", f"/users/{kept[0]}", json={"first_name": "Grace"}))
    assert is_refused(server.request("DELETE", f"/users/{kept[0]}"))
    assert len(server.request("GET", "/users?limit=100").json()["users"]) == len(kept)
    answer = server.request("GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "read-only"})
    assert len(server.log_lines(event="batch_failed")) < 20  # not one a request

    small_disk.make_room()
    assert server.create("after@example.org").status_code == 200  # without a restart
    assert is_counted(server.request("GET", f"/users/{kept[0]}"))
    assert server.request("GET", "/readyz").json() == {"status": "ok"}
    assert server.log_lines(event="writing_again")
    server.await_drained()
    # nothing that was refused is there, nothing that was answered is missing
    kept.append("after@example.org")
    assert {row[0] for row in query(database, "SELECT email FROM user")} == set(kept)
    events = [json.loads(message.body)["context"]["email"] for message in broker.take(len(kept) + 1)]
    assert sorted(events) == sorted(kept + [kept[0]])
    assert broker.depth() == 0


def test_a_full_disk_at_the_start(server_on: Server, small_disk: SmallDisk, broker: Broker, start) -> None:
    """What is killed on a full disk comes back on it, and reads."""
    assert server_on.create("ada@example.org").status_code == 200
    server_on.await_drained()
    small_disk.fill()
    server_on.kill()
    small_disk.fill()
    server = start(Server, RABBIT_MQ_URL=broker.url, DATABASE_URL=server_on.settings["DATABASE_URL"])
    for i in range(2000):
        if is_refused(server.create(f"user{i}@example.org")):
            break
    else:
        pytest.fail("the disk was not full")
    # a checkpoint may have given the log room to begin again, which counted reads then use up
    wait_for(lambda: not is_counted(server.request("GET", "/users/ada@example.org")), "a read that is not counted")
    small_disk.make_room()
    wait_for(lambda: server.create("grace@example.org").status_code in (200, 409), "a write that is done")


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT"])
def test_no_space_in_the_middle_of_a_commit(start, broker: Broker, inject, error: str) -> None:
    """Each write of the log in turn fails, and no false answer is given."""
    server = start(Server, RABBIT_MQ_URL=CLOSED_PORT_URL)  # or a write of confirmed positions could be the one that fails
    answered = {server.create("ada@example.org").json()["email"]}
    for number in range(1, 13):
        injection = inject(server, f"pwrite64:error={error}:when={number}", wal(server.database))
        emails = [f"n{number}-{i}@example.org" for i in range(5)]
        refusals = 0
        for email in emails:
            if is_refused(server.create(email)):
                refusals += 1
            else:
                answered.add(email)
        injection.close()
        assert injection.hits() == 1 and refusals == 1, (number, injection.hits(), refusals)
    assert {row[0] for row in server.query("SELECT email FROM user")} == answered
    server.kill()  # and it is the same for who reads the file anew
    again = start(Server, RABBIT_MQ_URL=broker.url)
    assert {row[0] for row in again.query("SELECT email FROM user")} == answered
    again.await_drained()
    assert len(broker.take(len(answered))) == len(answered)
    assert broker.depth() == 0
    assert query(server.database, "PRAGMA integrity_check") == [("ok",)]


def test_a_checkpoint_without_space_waits(start, broker: Broker, inject) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url)
    injection = inject(server, "pwrite64:error=ENOSPC", server.database)
    server.create("ada@example.org")
    server.await_log(event="checkpoint_failed", level="warn")
    injection.await_hit()
    assert server.create("grace@example.org").status_code == 200  # the log takes it
    injection.close()
    server.create("joan@example.org")
    moved = f"file:{server.database}?mode=ro&immutable=1"  # what stands in the file itself

    def is_moved() -> bool:
        connection = sqlite3.connect(moved, uri=True)
        try:
            return connection.execute("SELECT count(*) FROM user").fetchone()[0] == 3
        except sqlite3.Error:
            return False
        finally:
            connection.close()

    wait_for(is_moved, "the checkpoint", 60)


def test_the_worker_on_a_full_disk_tries_again(start, broker: Broker, inject) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url)
    worker = start(Worker, RABBIT_MQ_URL=broker.url)
    injection = inject(worker, "pwrite64:error=ENOSPC:when=1", wal(worker.database))
    server.create("ada@example.org")
    wait_for(lambda: query(worker.database, "SELECT count(*) FROM user") == [(1,)] and broker.depth() == 0,
             "the message to be processed", 60)
    injection.close()
    assert injection.hits() == 1
    assert query(worker.database, "SELECT count(*) FROM inbox") == [(1,)]


def longest_post(start, broker: Broker, inject, checkpoints: str) -> float:
    """Seconds, while the sync of the database's file (the log's is another) takes SLOW_SYNC_SECONDS."""
    server = start(Server, RABBIT_MQ_URL=CLOSED_PORT_URL, CHECKPOINTS=checkpoints)
    injection = inject(server, f"fdatasync:delay_enter={SLOW_SYNC_SECONDS * 1000000:.0f}", server.database)
    server.create("first@example.org")
    injection.await_hit()  # the checkpoint of who is idle; the next one is under load
    longest = [0.0] * 2

    def write(client: int) -> None:
        session = requests.Session()
        for i in itertools.count():
            body = {"email": f"u{client}-{i}@example.org", "first_name": "Ada", "last_name": "Byron"}
            began = time.monotonic()
            answer = session.post(server.url + "/users", json=body, timeout=30)
            if i > 0:
                longest[client] = max(longest[client], time.monotonic() - began)
            assert answer.status_code == 200
            if injection.hits() > 1:
                return
            time.sleep(0.002)  # so slow that the log stays below the size at which the store helps

    clients = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    injection.close()
    assert wal(server.database).stat().st_size < 8000 * 4120
    return max(longest)


def test_a_slow_checkpoint_stalls_nobody(start, broker: Broker, inject) -> None:
    assert longest_post(start, broker, inject, "thread") < 0.8 * SLOW_SYNC_SECONDS


def test_a_slow_checkpoint_in_the_store_would_stall(start, broker: Broker, inject) -> None:
    """The control of the test above."""
    assert longest_post(start, broker, inject, "inline") > 0.9 * SLOW_SYNC_SECONDS


# --- failing --------------------------------------------------------------------------------------

FAILURES = [("fdatasync:error=EIO:when=1", "-wal"), ("pwrite64:error=EIO:when=1", "-wal"),
            ("pwrite64:error=EIO:when=3", "-wal")]


@pytest.mark.parametrize("what, suffix", FAILURES, ids=lambda value: value.lstrip("-"))
def test_a_failing_disk_ends_the_service(start, broker: Broker, inject, what: str, suffix: str) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url)
    answered = {server.create(f"user{i}@example.org").json()["email"] for i in range(10)}
    server.await_drained()
    injection = inject(server, what, server.database.with_name(server.database.name + suffix))
    outcomes: list[int | str] = []

    def write(number: int) -> None:
        try:
            outcomes.append(server.create(f"late{number}@example.org").status_code)
        except requests.RequestException:
            outcomes.append("closed")

    began = time.monotonic()
    clients = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for client in clients:
        client.start()
    code = server.process.wait(60)
    seconds = time.monotonic() - began
    for client in clients:
        client.join()
    injection.close()
    assert injection.hits() == 1  # and never a second try
    assert code == 75 and seconds < 10
    assert 200 not in outcomes, outcomes  # nobody was acknowledged
    last = server.log_text().splitlines()[-1]
    assert last.startswith("userbus: The database failed") and "check the disk, then start again" in last
    again = start(Server, RABBIT_MQ_URL=broker.url)
    emails = {row[0] for row in again.query("SELECT email FROM user")}
    assert answered <= emails  # those of the fault may be there: their clients were told nothing
    assert again.create("after@example.org").status_code == 200
    again.await_drained()
    messages = broker.drain()
    users = ledger.committed_users(again.query("SELECT hex(id), sequence FROM user"))
    findings = ledger.audit(messages, [], {message.properties.correlation_id for message in messages}, users)
    assert findings.clean(), findings


def test_a_failing_checkpoint_ends_the_service(start, broker: Broker, inject) -> None:
    """The log keeps what was answered."""
    server = start(Server, RABBIT_MQ_URL=broker.url)
    injection = inject(server, "fdatasync:error=EIO:when=1", server.database)
    assert server.create("ada@example.org").status_code == 200
    assert server.process.wait(60) == 75
    injection.close()
    assert injection.hits() == 1
    again = start(Server, RABBIT_MQ_URL=broker.url)
    assert again.request("GET", "/users/ada@example.org").json()["view_count"] == 1


def test_a_start_syncs_again_what_a_failed_sync_left(start, broker: Broker, inject) -> None:
    """What the log holds is moved and synced before anything is appended to it."""
    server = start(Server, RABBIT_MQ_URL=broker.url)
    inject(server, "fdatasync:error=EIO:when=1", wal(server.database))
    with pytest.raises(requests.RequestException):
        server.create("ada@example.org").raise_for_status()
    assert server.process.wait(60) == 75
    left = wal(server.database).stat().st_size
    again = start(Server, RABBIT_MQ_URL=broker.url)
    assert left > 0 and wal(again.database).stat().st_size == 0


def test_a_failing_disk_ends_the_worker(start, broker: Broker, inject) -> None:
    """Nothing is acknowledged to the broker."""
    server = start(Server, RABBIT_MQ_URL=broker.url)
    worker = start(Worker, RABBIT_MQ_URL=broker.url)
    injection = inject(worker, "fdatasync:error=EIO:when=1", wal(worker.database))
    server.create("ada@example.org")
    assert worker.process.wait(60) == 75
    injection.close()
    assert injection.hits() == 1
    wait_for(lambda: broker.depth() == 1, "the message to be there again", 60)
    start(Worker, RABBIT_MQ_URL=broker.url)
    wait_for(lambda: query(worker.database, "SELECT count(*) FROM user") == [(1,)] and broker.depth() == 0,
             "the message to be processed", 60)


def test_a_failing_disk_of_a_worker_inside_is_the_worker_s_own(start, broker: Broker, inject, folder: pathlib.Path) -> None:
    """The API goes on; the worker begins again and syncs what the log holds; nothing is acknowledged to the broker before."""
    server = start(Server, "--with-worker", RABBIT_MQ_URL=broker.url)
    database = folder / "consumer.db"
    server.await_log(event="consuming")
    injection = inject(server, "fdatasync:error=EIO:when=1", wal(database))
    assert server.create("ada@example.org").status_code == 200
    injection.await_hit()
    failure = server.await_log(event="actor_failed", name="consumer")
    assert failure.fields["error"] == "DATABASE_FATAL"
    injection.close()  # until then each start fails: strace counts the calls of each thread by itself
    server.await_log(event="actor_restarted", name="consumer")
    assert injection.hits() >= 1
    assert server.create("bob@example.org").status_code == 200
    wait_for(lambda: query(database, "SELECT count(*) FROM user") == [(2,)] and broker.depth() == 0,
             "both messages to be processed", 60)
    assert server.stop() == 0

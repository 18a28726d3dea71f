# SPDX-License-Identifier: Apache-2.0
"""The connection to the broker under everything that a network, a resolver and a broker can do to it."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness import ledger
from harness.broker import Broker
from harness.load import Load, Record
from harness.service import Server, Worker, run
from harness.tcp_proxy import TcpProxy
from harness.waiting import wait_for

HEARTBEAT = 2
DETECTED_WITHIN = 2 * HEARTBEAT
SLACK = 3  # of a busy machine, between what happens and what we see of it
MEMORY = ("absolute", "1GB")  # as scripts/broker sets it


def port_of(broker: Broker) -> int:
    return int(broker.url.rstrip("/").rsplit(":", 1)[1])


@pytest.fixture
def proxy(broker: Broker) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", port_of(broker), receive_buffer=8192) as proxy:
        yield proxy


@pytest.fixture
def fragile(own_broker: Broker) -> Iterator[Broker]:
    """A broker of the test's own; what a test froze thaws."""
    yield own_broker
    signal_all(own_broker, signal.SIGCONT)


def signal_all(broker: Broker, number: signal.Signals) -> None:
    for pid in broker.pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextlib.contextmanager
def alarm(broker: Broker) -> Iterator[None]:
    broker.control("set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        signal_all(broker, signal.SIGCONT)  # which a test that failed may have left frozen
        broker.control("set_vm_memory_high_watermark", *MEMORY)


def hot_user(server: Server) -> list[ledger.Answer]:
    user = server.create("hot@example.org", headers={"X-Request-Id": "hot"}).json()
    return [ledger.Answer("hot", "user.create", user["id"])]


def load_on(server: Server, name: str, hot: list[ledger.Answer], pause: float = 0.01) -> Load:
    server.await_log(event="publishing")  # or the fault would meet the first attempt instead of a connection
    load = Load(server.host, server.port, name, hot_user=hot[0].user_id, clients=4, pause=pause)
    wait_for(lambda: load.answered() >= 50, "a load", 60)
    return load


def audit(server: Server, broker: Broker, records: list[Record], extra: list[ledger.Answer]) -> ledger.Findings:
    server.await_drained()
    users = ledger.committed_users(server.query("SELECT hex(id), sequence FROM user"))
    answers = extra + [answer for record in records for answer in record.answers]
    sent = {answer.request_id for answer in extra}.union(*(record.sent for record in records))
    findings = ledger.audit(broker.drain(), answers, sent, users)
    assert findings.clean(), findings
    return findings


def goes_on(load: Load, answers: int = 50) -> None:
    """HTTP does not depend on the broker."""
    before = load.answered()
    wait_for(lambda: load.answered() > before + answers, "answers", 60)


def await_count(server: Server, event: str, count: int, seconds: float = 60) -> float:
    """Until the log has so many; gives how long it took."""
    began = time.monotonic()
    wait_for(lambda: len(server.log_lines(event=event)) >= count, f"{count} of {event}", seconds)
    return time.monotonic() - began


def stop_quickly(process: Server | Worker, seconds: float = 3) -> None:
    began = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - began < seconds


# --- several brokers ------------------------------------------------------------------------------------


def test_another_broker_takes_over(start, broker: Broker) -> None:
    with TcpProxy("127.0.0.1", port_of(broker)) as one, TcpProxy("127.0.0.1", port_of(broker)) as two:
        urls = f"amqp://127.0.0.1:1/,{one.amqp_url()}, {two.amqp_url()}"
        server = start(Server, RABBIT_MQ_URL=urls)
        server.await_log(event="publishing")
        hot = hot_user(server)
        load = load_on(server, "several", hot)
        used, spare = (one, two) if one.links else (two, one)
        used.refuse()
        assert await_count(server, "publishing", 2) < 5
        assert spare.links and not used.links
        goes_on(load)
        spare.refuse()
        used.pass_on()
        await_count(server, "publishing", 3)
        audit(server, broker, load.stop(), hot)


@pytest.mark.parametrize("urls, says", [("amqp://a,amqp://u:secret@b:x/,amqp://c", "broker 2 of 3"),
                                        ("amqp://a,,amqp://c", "place 2"),
                                        (",".join(["amqp://a"] * 17), "more than 16")])
def test_a_bad_list_is_refused_at_the_start(urls: str, says: str) -> None:
    for command in (("runserver",), ("broker", "start", "user")):
        done = run(*command, LISTEN="127.0.0.1:0", ADMIN_LISTEN="off", RABBIT_MQ_URL=urls)
        assert done.returncode == 78
        assert says in done.stderr and "secret" not in done.stderr


def test_the_check_says_which_of_several_brokers_answer(broker: Broker, tmp_path: pathlib.Path) -> None:
    """One is enough; but a spare that would not take over is told."""
    port = port_of(broker)
    wrong = broker.url.replace("guest:guest", "guest:not-the-password")

    def check(urls: str, *arguments: str) -> subprocess.CompletedProcess:
        return run("check", *arguments, RABBIT_MQ_URL=urls, DATABASE_URL=f"sqlite:{tmp_path}/a.db",
                   CONSUMER_DATABASE_URL=f"sqlite:{tmp_path}/b.db")

    several = f"amqp://127.0.0.1:1/,{broker.url},{wrong}"
    done = check(several)
    assert done.returncode == 0, done.stdout
    assert "ok    broker: 1 of 3 answer and accept the credentials" in done.stdout
    lines = [line.split(maxsplit=2)[:2] for line in done.stdout.splitlines() if line.startswith("      ")]
    assert lines == [["-", "127.0.0.1:1:"], ["+", f"127.0.0.1:{port}:"], ["-", f"127.0.0.1:{port}:"]]
    rows = {row["check"]: row for row in json.loads(check(several, "--json").stdout)["checks"]}
    assert [(row["broker"], row["ok"]) for row in rows["broker"]["brokers"]] == [
        ("127.0.0.1:1", False), (f"127.0.0.1:{port}", True), (f"127.0.0.1:{port}", False)]
    assert all(row["detail"] for row in rows["broker"]["brokers"])
    assert "not-the-password" not in done.stdout + json.dumps(rows)
    done = check(f"amqp://127.0.0.1:1/,{wrong}")
    assert done.returncode == 69 and "WRONG broker: 0 of 2 answer" in done.stdout
    assert "      +" not in done.stdout


# --- a frozen broker ------------------------------------------------------------------------------------


def test_frozen_while_it_is_dialled(start, fragile: Broker) -> None:
    """The kernel accepts connections, nobody answers: the start, the API and the stop do not care."""
    signal_all(fragile, signal.SIGSTOP)
    server = start(Server, "--with-worker", RABBIT_MQ_URL=fragile.url, STOP_TIMEOUT="2000")
    hot_user(server)
    server.await_log(event="connect_failed")
    server.await_log(event="cannot_consume")
    stop_quickly(server, 4)
    again = start(Server, "--with-worker", RABBIT_MQ_URL=fragile.url, STOP_TIMEOUT="2000")
    stop_quickly(again, 4)  # in the middle of the first attempt
    signal_all(fragile, signal.SIGCONT)
    start(Server, RABBIT_MQ_URL=fragile.url).await_drained()


def test_frozen_under_load(start, fragile: Broker) -> None:
    server = start(Server, "--with-worker", RABBIT_MQ_URL=fragile.url, STOP_TIMEOUT="2000")
    server.await_log(event="publishing")
    server.await_log(event="consuming")
    signal_all(fragile, signal.SIGSTOP)
    stop_quickly(server, 4)  # nobody is there to say goodbye to
    signal_all(fragile, signal.SIGCONT)
    server = start(Server, RABBIT_MQ_URL=fragile.url, BROKER_HEARTBEAT=str(HEARTBEAT), STOP_TIMEOUT="2000")
    hot = hot_user(server)
    load = load_on(server, "frozen", hot)
    signal_all(fragile, signal.SIGSTOP)
    assert await_count(server, "disconnected", 1) < DETECTED_WITHIN + SLACK
    goes_on(load)
    signal_all(fragile, signal.SIGCONT)
    await_count(server, "publishing", 2)
    audit(server, fragile, load.stop(), hot)


def test_a_worker_notices_a_frozen_broker(start, fragile: Broker) -> None:
    worker = start(Worker, RABBIT_MQ_URL=fragile.url, BROKER_HEARTBEAT=str(HEARTBEAT))
    signal_all(fragile, signal.SIGSTOP)
    began = time.monotonic()
    worker.await_log(event="cannot_consume")
    assert time.monotonic() - began < DETECTED_WITHIN + SLACK
    signal_all(fragile, signal.SIGCONT)
    wait_for(lambda: len(worker.log_lines(event="consuming")) >= 2, "another subscription", 60)


# --- alarms ---------------------------------------------------------------------------------------------


def test_an_alarm_pauses_publishing_and_cuts_nothing(start, fragile: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=fragile.url, BROKER_HEARTBEAT=str(HEARTBEAT))
    hot = hot_user(server)
    load = load_on(server, "alarm", hot)
    with alarm(fragile):
        blocked = server.await_log(event="blocked")
        assert "memory" in blocked.fields["reason"]
        end = time.monotonic() + 3 * 2 * HEARTBEAT
        while time.monotonic() < end:  # three times as long as a silent broker would live
            goes_on(load)
        depth = fragile.depth()
        goes_on(load)
        assert fragile.depth() == depth  # nothing is published
        assert not server.log_lines(event="disconnected")
    await_count(server, "publishing", 2)
    findings = audit(server, fragile, load.stop(), hot)
    assert not server.log_lines(event="disconnected")
    assert findings.duplicates == 0


def test_frozen_in_an_alarm(start, fragile: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=fragile.url, BROKER_HEARTBEAT=str(HEARTBEAT))
    hot = hot_user(server)
    load = load_on(server, "both", hot)
    with alarm(fragile):
        server.await_log(event="blocked")
        signal_all(fragile, signal.SIGSTOP)
        assert await_count(server, "disconnected", 1) < DETECTED_WITHIN + SLACK
        goes_on(load)
        signal_all(fragile, signal.SIGCONT)
    audit(server, fragile, load.stop(), hot)


def test_a_stop_in_an_alarm_is_quick(start, fragile: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=fragile.url, BROKER_HEARTBEAT=str(HEARTBEAT))
    hot = hot_user(server)
    load = load_on(server, "stop", hot)
    with alarm(fragile):
        server.await_log(event="blocked")
        goes_on(load)
        records = load.stop()
        stop_quickly(server)
    audit(start(Server, RABBIT_MQ_URL=fragile.url), fragile, records, hot)


# --- a bad network --------------------------------------------------------------------------------------


def test_a_black_hole(start, broker: Broker, proxy: TcpProxy) -> None:
    """A half-open connection: what we send is taken, and nothing ever comes."""
    server = start(Server, RABBIT_MQ_URL=proxy.amqp_url(), BROKER_HEARTBEAT=str(HEARTBEAT))
    hot = hot_user(server)
    load = load_on(server, "hole", hot)
    proxy.black_hole()
    assert await_count(server, "disconnected", 1) < DETECTED_WITHIN + SLACK
    await_count(server, "connect_failed", 1)
    goes_on(load)
    proxy.pass_on()
    await_count(server, "publishing", 2)
    audit(server, broker, load.stop(), hot)


def test_a_peer_that_stops_reading(start, broker: Broker, proxy: TcpProxy) -> None:
    """Its heartbeats still come, and our window fills: no write may wait for it."""
    server = start(Server, RABBIT_MQ_URL=proxy.amqp_url(), BROKER_HEARTBEAT=str(HEARTBEAT), STOP_TIMEOUT="3000")
    hot = hot_user(server)
    load = load_on(server, "deaf", hot, pause=0.002)
    proxy.stop_reading()
    assert await_count(server, "disconnected", 1) < DETECTED_WITHIN + SLACK
    goes_on(load)
    proxy.pass_on()
    await_count(server, "publishing", 2)
    goes_on(load)
    proxy.stop_reading()
    records = load.stop()
    stop_quickly(server, 4)
    proxy.pass_on()
    audit(start(Server, RABBIT_MQ_URL=proxy.amqp_url()), broker, records, hot)


def test_a_slow_and_ragged_network(start, broker: Broker, proxy: TcpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.amqp_url(), BROKER_HEARTBEAT=str(HEARTBEAT))
    hot = hot_user(server)
    load = load_on(server, "ragged", hot)
    proxy.slice(100)
    goes_on(load, 200)
    proxy.delay(100)
    goes_on(load, 200)
    findings = audit(server, broker, load.stop(), hot)
    assert findings.duplicates == 0
    assert not server.log_lines(event="disconnected")


def test_cut_again_and_again(start, broker: Broker, proxy: TcpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.amqp_url())
    hot = hot_user(server)
    load = load_on(server, "cut", hot)
    for cuts in range(1, 6):
        proxy.cut()
        await_count(server, "disconnected", cuts)
        await_count(server, "publishing", cuts + 1)
        goes_on(load)
    audit(server, broker, load.stop(), hot)


def test_a_silent_network_ends_no_healthy_connection(start, broker: Broker) -> None:
    """Heartbeats alone keep it, in both directions, also the shortest ones."""
    server = start(Server, "--with-worker", RABBIT_MQ_URL=broker.url, BROKER_HEARTBEAT="1")
    server.await_log(event="publishing")
    server.await_log(event="consuming")
    time.sleep(6)  # the broker would end a silent client, and we a silent broker, three times
    assert not server.log_lines(event="disconnected")
    server.create("still@example.org")
    server.await_drained()
    assert not server.log_lines(event="disconnected")


# --- names ----------------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve(start) -> None:
    server = start(Server, RABBIT_MQ_URL="amqp://no-such-broker.invalid/")
    assert "no-such-broker.invalid" in server.await_log(event="connect_failed").fields["detail"]
    hot_user(server)
    stop_quickly(server)


@pytest.fixture(scope="module")
def hang_lookup(tmp_path_factory: pytest.TempPathFactory) -> str:
    library = tmp_path_factory.mktemp("shim") / "hang_lookup.so"
    source = pathlib.Path(__file__).with_name("hang_lookup.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)
    return str(library)


def preloaded(library: str) -> dict[str, str]:
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": library, "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}


def test_a_resolver_that_hangs(start, hang_lookup: str) -> None:
    server = start(Server, "--with-worker", RABBIT_MQ_URL="amqp://broker.hang/", STOP_TIMEOUT="2000",
                   **preloaded(hang_lookup))
    hot_user(server)
    assert "lookup" in server.await_log(event="connect_failed").fields["detail"]
    wait_for(lambda: len(server.log_lines(event="connect_failed")) >= 3, "more attempts", 60)
    threads = [(path / "comm").read_text().strip() for path in
               pathlib.Path(f"/proc/{server.pid}/task").iterdir()]
    assert threads.count("dial") == 2  # the bridge's and the worker's, and no more for each attempt
    stop_quickly(server, 4)


def test_a_resolver_that_hangs_for_one_of_two(start, broker: Broker, hang_lookup: str) -> None:
    server = start(Server, RABBIT_MQ_URL=f"amqp://broker.hang/,{broker.url}", **preloaded(hang_lookup))
    server.await_log(event="publishing")
    server.create("ada@example.org")
    server.await_drained()
    assert len(broker.take(1)) == 1

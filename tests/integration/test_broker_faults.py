# SPDX-License-Identifier: Apache-2.0
"""The broker or the service goes away at the worst of times."""
import signal
import time

import pytest

from harness import ledger
from harness.amqp_proxy import AmqpProxy
from harness.broker import Broker
from harness.load import Load, Record
from harness.service import Server, run
from harness.waiting import wait_for


def audit(server: Server, broker: Broker, records: list[Record], extra: list[ledger.Answer]) -> ledger.Findings:
    """Once all is confirmed: is there an event for every answer, and for nothing else?"""
    server.await_drained()
    users = ledger.committed_users(server.query("SELECT hex(id), sequence FROM user"))
    answers = extra + [answer for record in records for answer in record.answers]
    sent = {answer.request_id for answer in extra}.union(*(record.sent for record in records))
    return ledger.audit(broker.drain(), answers, sent, users)


def make_hot_user(server: Server) -> list[ledger.Answer]:
    user = server.create("hot@example.org", headers={"X-Request-Id": "hot"}).json()
    return [ledger.Answer("hot", "user.create", user["id"])]


def load_on(server: Server, name: str, hot: list[ledger.Answer], **options) -> Load:
    load = Load(server.host, server.port, name, hot_user=hot[0].user_id, **options)
    wait_for(lambda: load.answered() >= 500, "a load", 60)
    return load


def test_down_at_the_start_then_up(start, own_broker: Broker) -> None:
    own_broker.kill()
    server = start(Server, RABBIT_MQ_URL=own_broker.url)
    hot = make_hot_user(server)
    records = load_on(server, "early", hot).stop()
    assert server.request("GET", "/readyz").status_code == 200  # the API does not depend on the broker
    server.await_log(event="connect_failed")
    assert not server.log_lines(event="publishing")
    own_broker.start()
    findings = audit(server, own_broker, records, hot)
    assert findings.clean(), findings
    assert findings.duplicates == 0


def test_killed_and_started_again_under_load(start, own_broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=own_broker.url)
    hot = make_hot_user(server)
    load = load_on(server, "steady", hot, pause=0.01)  # the broker takes seconds to come back
    own_broker.kill()
    server.await_log(event="disconnected")
    before = load.answered()
    wait_for(lambda: load.answered() > before + 100, "answers without a broker", 60)
    own_broker.start()
    wait_for(lambda: len(server.log_lines(event="publishing")) >= 2, "another connection", 60)
    records = load.stop()
    assert all(record.broken == 0 and record.refused == {} for record in records)
    findings = audit(server, own_broker, records, hot)
    assert findings.clean(), findings


def test_a_connection_closed_by_an_operator(start, own_broker: Broker) -> None:
    """With events in flight, whose confirms never come."""
    server = start(Server, RABBIT_MQ_URL=own_broker.url)
    hot = make_hot_user(server)
    load = load_on(server, "cut", hot)
    own_broker.close_connections()
    wait_for(lambda: len(server.log_lines(event="publishing")) >= 2, "another connection", 60)
    findings = audit(server, own_broker, load.stop(), hot)
    assert findings.clean(), findings


def test_a_deleted_queue_comes_back(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url)
    server.create("first@example.org")
    assert len(broker.take(1)) == 1
    with broker.connect() as connection:
        connection.channel().queue_delete("user")
    for i in range(50):
        assert server.create(f"user{i}@example.org").status_code == 200
    server.await_drained()
    messages = broker.drain()
    assert len({message.properties.message_id for message in messages}) == 50
    assert server.log_lines(event="parked")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_service_killed_under_load(start, broker: Broker, seed: int) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url)
    hot = make_hot_user(server)
    load = load_on(server, f"killed{seed}", hot, seed=seed)
    server.kill()
    records = load.join()
    assert sum(record.broken for record in records) > 0
    findings = audit(start(Server, RABBIT_MQ_URL=broker.url), broker, records, hot)
    assert findings.clean(), findings


def test_a_stop_under_load_fails_nobody(start, broker: Broker) -> None:
    """What was admitted is answered; who comes later meets a closed port or a plain 503."""
    server = start(Server, RABBIT_MQ_URL=broker.url)
    hot = make_hot_user(server)
    load = load_on(server, "stopped", hot)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    records = load.join()
    for record in records:
        assert set(record.refused) <= {503}
        # each has sent all it sent but for the one request that met a closed connection
        answered = len(record.answers) + sum(record.refused.values())
        assert len(record.sent) - answered <= 1
    findings = audit(start(Server, RABBIT_MQ_URL=broker.url), broker, records, hot)
    assert findings.clean(), findings
    # Nobody's change was made without an answer: the events are those of the answers.
    assert findings.events == 1 + sum(len(record.answers) for record in records)


def test_a_stop_without_a_broker_is_quick(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL="amqp://guest:guest@127.0.0.1:1/")
    server.create("ada@example.org")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    again = start(Server, RABBIT_MQ_URL=broker.url)
    again.await_drained()
    assert len(broker.drain()) == 1


def trouble_of(server: Server, url: str) -> str:
    done = run("broker", "status", ADMIN_LISTEN=server.admin_url.removeprefix("http://"), RABBIT_MQ_URL=url,
               DATABASE_URL=f"sqlite:{server.database}")
    assert done.returncode == 0, done.stderr
    return next((line for line in done.stdout.splitlines() if "TROUBLE" in line), "")


def test_a_queue_that_confirms_nothing(start, broker: Broker, proxy: AmqpProxy) -> None:
    """As one without a leader. It is told, tried again, and never in a tight loop."""
    server = start(Server, RABBIT_MQ_URL=proxy.url, CONFIRM_TIMEOUT="1")
    server.await_log(event="publishing")
    hot = make_hot_user(server)
    server.await_drained()
    proxy.keep_confirms()
    began = time.monotonic()
    load = load_on(server, "silent", hot, pause=0.005)
    line = server.await_log(event="nothing_confirmed", level="error")
    assert "quorum_status" in line.fields["detail"] and "replay" in line.fields["detail"]
    wait_for(lambda: len(server.log_lines(event="nothing_confirmed")) >= 3, "it is told again", 60)
    connections = len(server.log_lines(event="publishing"))
    assert connections <= 2 + (time.monotonic() - began)  # each waits its second
    wait_for(lambda: "confirmed nothing for 1 s" in trouble_of(server, broker.url), "a status that tells", 30)
    records = load.stop()
    proxy.pass_on()
    findings = audit(server, broker, records, hot)
    assert findings.clean(), findings
    wait_for(lambda: trouble_of(server, broker.url) == "", "a status without trouble", 30)


def test_a_broker_that_is_away_or_refuses_is_told_by_the_status(start, own_broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=own_broker.url)
    server.await_log(event="publishing")
    wait_for(lambda: trouble_of(server, own_broker.url) == "", "no trouble", 30)
    own_broker.kill()
    wait_for(lambda: "does not answer" in trouble_of(server, own_broker.url), "a status that tells", 30)
    own_broker.start()
    wait_for(lambda: trouble_of(server, own_broker.url) == "", "no trouble", 60)

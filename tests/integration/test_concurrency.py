# SPDX-License-Identifier: Apache-2.0
"""Many clients at once."""
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from harness import ledger
from harness.broker import Broker
from harness.load import Load
from harness.service import Server
from harness.waiting import wait_for

CREATES = 1000


def create_all(server: Server, emails: list[str]) -> Counter:
    with ThreadPoolExecutor(32) as pool:
        return Counter(pool.map(lambda email: server.create(email).status_code, emails))


def test_a_thousand_users_at_once(server: Server, broker: Broker) -> None:
    emails = [f"user{i}@example.org" for i in range(CREATES)]
    assert create_all(server, emails) == {200: CREATES}
    messages = broker.take(CREATES)
    assert len({message.properties.message_id for message in messages}) == CREATES
    assert len({message.headers["cloudEvents_subject"] for message in messages}) == CREATES
    assert broker.drain() == []


def test_a_thousand_users_who_want_one_email(server: Server, broker: Broker) -> None:
    emails = [("Ada" if i % 2 else "aDA") + "@Example.ORG" for i in range(CREATES)]
    assert create_all(server, emails) == {200: 1, 409: CREATES - 1}
    server.await_drained()
    assert len(broker.drain()) == 1
    assert server.query("SELECT count(*) FROM user") == [(1,)]


def test_every_users_events_come_in_order(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url, BRIDGES="2")
    hot = server.create("hot@example.org", headers={"X-Request-Id": "hot"}).json()["id"]
    load = Load(server.host, server.port, "order", clients=12, hot_user=hot)
    wait_for(lambda: load.answered() >= 3000, "a load", 60)
    records = load.stop()
    assert all(record.broken == 0 and record.refused == {} for record in records)
    server.await_drained()
    users = ledger.committed_users(server.query("SELECT hex(id), sequence FROM user"))
    answers = [ledger.Answer("hot", "user.create", hot)] + [a for record in records for a in record.answers]
    findings = ledger.audit(broker.drain(), answers, {answer.request_id for answer in answers}, users)
    assert findings.clean(), findings
    assert findings.duplicates == 0
    assert findings.events == len(answers)

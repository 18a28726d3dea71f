# SPDX-License-Identifier: Apache-2.0
"""A broker that does not take the events of one user: it is that user's trouble alone, and his order survives it.
Also when the number of bridges changes."""
from collections.abc import Callable

import requests

from harness import ledger
from harness.amqp_proxy import AmqpProxy
from harness.broker import Broker
from harness.load import Load, Record
from harness.service import Server
from harness.waiting import wait_for

POISON = "poison@example.org"
VENOM = "venom@example.org"
QUICK = {"LANE_RETRY": "50", "LANE_RETRY_MAX": "300"}
CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"


def lanes(server: Server) -> list[dict]:
    return requests.get(server.admin_url + "/lanes", timeout=30).json()["lanes"]


def await_lanes(server: Server, condition: Callable[[list[dict]], bool], what: str, seconds: float = 60) -> None:
    wait_for(lambda: condition(lanes(server)), what, seconds, 0.05)


def operate(server: Server, verb: str, user_id: str) -> dict:
    """Asks again while the lane is busy, as the answer says: events of its user may still be on their way to it."""
    def ask() -> requests.Response | None:
        answer = requests.post(f"{server.admin_url}/lanes/{verb}", json={"user_id": user_id}, timeout=30)
        return None if answer.status_code == 409 else answer

    answer = wait_for(ask, "a lane that is not busy", every=0.1)
    assert answer.status_code == 200, answer.text
    return answer.json()


def make(server: Server, email: str) -> ledger.Answer:
    user = server.create(email, headers={"X-Request-Id": email}).json()
    return ledger.Answer(email, "user.create", user["id"])


def audit(server: Server, broker: Broker, records: list[Record], extra: list[ledger.Answer]) -> ledger.Findings:
    """Once all is confirmed: an event for every answer, in order, and nothing else. On a slow machine a lane may
    be in quarantine by now."""
    requests.post(f"{server.admin_url}/lanes/release", json={"all": True}, timeout=30).raise_for_status()
    await_lanes(server, lambda parked: not parked, "no parked lane")
    server.await_drained()
    users = ledger.committed_users(server.query("SELECT hex(id), sequence FROM user"))
    answers = extra + [answer for record in records for answer in record.answers]
    sent = {answer.request_id for answer in extra}.union(*(record.sent for record in records))
    return ledger.audit(broker.drain(), answers, sent, users)


def test_one_user_s_trouble_is_his_alone(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, LANE_MAX_EVENTS="30", **QUICK)
    proxy.refuse(POISON.encode())
    poisoned = make(server, POISON)
    load = Load(server.host, server.port, "others", clients=4, pause=0.005)
    server.await_log(event="lane_parked")
    hot = Load(server.host, server.port, "hot", clients=2, hot_user=poisoned.user_id, pause=0.005)
    extra = [poisoned]

    def refused() -> list[requests.Response]:
        """A full lane has room for a moment when it is tried."""
        request_id = f"own-{len(extra)}"
        answer = server.request("GET", f"/users/{POISON}", headers={"X-Request-Id": request_id})
        if answer.status_code != 200:
            return [answer]
        extra.append(ledger.Answer(request_id, "user.read", poisoned.user_id))
        return []

    refusal, = wait_for(refused, "a full lane", 60)
    assert refusal.status_code == 429
    assert refusal.json()["type"] == "urn:userbus:problem:lane-full"
    assert int(refusal.headers["Retry-After"]) > 0
    # Others neither wait nor are refused, and the positions behind which the log is trimmed move on.
    before = load.answered()
    wait_for(lambda: load.answered() > before + 200, "answers for others", 60)
    low = requests.get(server.admin_url + "/status", timeout=30).json()["outbox"]["low"]
    wait_for(lambda: requests.get(server.admin_url + "/status", timeout=30).json()["outbox"]["low"] > low + 50,
             "positions that move", 60)
    others = load.stop()
    assert all(record.refused == {} and record.broken == 0 for record in others)
    records = hot.stop()
    assert all(set(record.refused) <= {429} for record in records)
    proxy.pass_on()
    findings = audit(server, broker, others + records, extra)
    assert findings.clean(), findings


def test_killed_while_a_lane_is_parked_and_tried_again(start, broker: Broker, proxy: AmqpProxy) -> None:
    """Again and again, so that it happens before, between and after the copy, the position and the probe."""
    proxy.refuse(POISON.encode())
    records: list[Record] = []
    poisoned = None
    for life in range(5):
        server = start(Server, RABBIT_MQ_URL=proxy.url, **QUICK)
        poisoned = poisoned or make(server, POISON)
        load = Load(server.host, server.port, f"life{life}", seed=life, clients=4, hot_user=poisoned.user_id,
                    pause=0.002)
        server.await_log(event="lane_parked")
        wait_for(lambda seen=load: seen.answered() > 300 + 50 * life, "a load", 60)
        server.kill()
        records += load.join()
    proxy.pass_on()
    server = start(Server, RABBIT_MQ_URL=proxy.url, **QUICK)
    findings = audit(server, broker, records, [poisoned])
    assert findings.clean(), findings


def test_quarantine_release_and_discard(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, LANE_RETRY="10", LANE_RETRY_MAX="50")
    proxy.refuse(POISON.encode(), VENOM.encode())
    poisoned, discarded = make(server, POISON), make(server, VENOM)
    load = Load(server.host, server.port, "others", clients=2, pause=0.01)
    await_lanes(server, lambda parked: [lane["state"] for lane in parked] == ["quarantined"] * 2,
                "two lanes in quarantine", 200)
    records = load.stop()
    refused = proxy.refused
    for email in (POISON, VENOM):  # behind what is parked
        assert server.request("GET", f"/users/{email}").status_code == 200
    assert proxy.refused == refused
    proxy.pass_on()
    assert operate(server, "discard", discarded.user_id) == {"discarded": 2}
    assert operate(server, "release", poisoned.user_id) == {"released": 1}
    await_lanes(server, lambda parked: not parked, "no parked lane")
    assert server.request("GET", f"/users/{VENOM}").status_code == 200
    server.await_drained()
    assert records
    events = [ledger.event_of(message) for message in broker.drain()]
    assert [event.sequence for event in events if event.user_id == poisoned.user_id] == [1, 2]
    assert [event.sequence for event in events if event.user_id == discarded.user_id] == [3]


def test_another_number_of_bridges_while_events_wait(start, broker: Broker) -> None:
    """Up, down and up again, with a backlog each time, of which some were sent before."""
    records: list[Record] = []
    hot = None
    for life, (bridges, url) in enumerate((("1", CLOSED_PORT_URL), ("4", broker.url), ("1", CLOSED_PORT_URL),
                                           ("3", broker.url))):
        server = start(Server, RABBIT_MQ_URL=url, BRIDGES=bridges)
        hot = hot or make(server, "hot@example.org")
        load = Load(server.host, server.port, f"life{life}", seed=life, clients=6, hot_user=hot.user_id)
        wait_for(lambda seen=load: seen.answered() >= 1000, "a load", 60)
        if life % 2 == 0:
            records += load.stop()
            assert server.stop() == 0
        else:
            server.kill()
            records += load.join()
    findings = audit(start(Server, RABBIT_MQ_URL=broker.url, BRIDGES="2"), broker, records, [hot])
    assert findings.clean(), findings

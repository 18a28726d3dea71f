# SPDX-License-Identifier: Apache-2.0
"""What the operator's commands say of events that are really parked, and what they do with them."""
import json
import subprocess
import time
from datetime import datetime

from harness import ledger
from harness.amqp_proxy import AmqpProxy
from harness.broker import Broker
from harness.service import Server, Worker, run
from harness.waiting import wait_for

POISON = "poison@example.org"
VENOM = "venom@example.org"
QUICK = {"LANE_RETRY": "50", "LANE_RETRY_MAX": "300"}
TO_QUARANTINE = {"LANE_RETRY": "10", "LANE_RETRY_MAX": "50"}
NOBODY = "01a20e72-2b15-7370-8c75-b0a11a1b00a5"
CLOCKS_SECONDS = 0.1  # the monotonic clock against the one on the wall, and milliseconds that are cut off
ALL = ("--from", "2020-01-01", "--to", "2100-01-01")


def command(server: Server, url: str, *words: str) -> subprocess.CompletedProcess:
    parent = server.database.parent
    return run(*words, ADMIN_LISTEN=server.admin_url.removeprefix("http://"), RABBIT_MQ_URL=url,
               DATABASE_URL=f"sqlite:{server.database}", CONSUMER_DATABASE_URL=f"sqlite:{parent}/consumer.db")


def told(server: Server, url: str, *words: str, code: int = 0) -> dict:
    done = command(server, url, *words, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def lanes(server: Server, url: str) -> list[dict]:
    return told(server, url, "broker", "lanes", "list")["lanes"]


def touch(server: Server, email: str, times: int) -> None:
    for _ in range(times):
        assert server.request("GET", f"/users/{email}").status_code == 200


def park(server: Server, proxy: AmqpProxy, *emails: str, state: str = "waiting") -> list[str]:
    """Users with two events that were taken, and three that are parked. Others' events, so that it is their fault."""
    ids = []
    for email in emails:
        ids.append(server.create(email).json()["id"])
        touch(server, email, 1)
    server.await_drained()
    proxy.refuse(*(email.encode() for email in emails))
    for email in emails:
        touch(server, email, 2)
    others = 0

    def parked() -> bool:
        nonlocal others
        others += 1
        assert server.create(f"other{others}@example.org").status_code == 200
        found = {lane["user_id"]: lane["state"] for lane in lanes(server, proxy.url)}
        return set(found) == set(ids) and (state == "waiting" or set(found.values()) == {state})

    wait_for(parked, f"lanes: {state}", 200, 0.05)
    for email in emails:
        touch(server, email, 1)
    return ids


def sequences(messages: list, user_id: str) -> list[int]:
    return [event.sequence for event in map(ledger.event_of, messages) if event.user_id == user_id]


def test_lanes_are_listed_released_and_discarded(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, **TO_QUARANTINE)
    poison, venom = park(server, proxy, POISON, VENOM, state="quarantined")
    listed = {lane["user_id"]: lane for lane in lanes(server, proxy.url)}
    for lane in listed.values():
        assert lane["events"] == 3 and lane["bytes"] > 0 and lane["tries"] == 8 and lane["reason"] == 312
        assert lane["since"].startswith("20") and lane["next_try"] is None
    text = command(server, proxy.url, "broker", "lanes", "list").stdout
    assert "2 of 2 lanes" in text and f"{poison}  state=quarantined  events=3" in text and "reason=312" in text
    status = told(server, proxy.url, "broker", "status")["lanes"]
    assert status == {"retrying": 0, "quarantined": 2, "events": 6, **{k: v for k, v in status.items() if k == "bytes"}}
    assert "2 in quarantine; 6 events" in command(server, proxy.url, "broker", "status").stdout
    for verb in ("release", "discard"):
        done = command(server, proxy.url, "broker", "lanes", verb, "--user", NOBODY)
        assert done.returncode == 70 and "404" in done.stderr and done.stderr.count("\n") == 1
    proxy.pass_on()
    assert told(server, proxy.url, "broker", "lanes", "discard", "--user", venom) == {"discarded": 3}
    assert told(server, proxy.url, "broker", "lanes", "release", "--all") == {"released": 1}
    wait_for(lambda: not lanes(server, proxy.url), "no lane", 60)
    server.await_drained()
    messages = broker.drain()
    assert sequences(messages, poison) == [1, 2, 3, 4, 5]
    assert sequences(messages, venom) == [1, 2]


def test_the_next_try_that_is_told_is_when_it_is_tried(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, LANE_RETRY="4000", LANE_RETRY_MAX="4000")
    poison, = park(server, proxy, POISON)

    def waiting() -> dict | None:
        lane, = lanes(server, proxy.url)
        return lane if lane["state"] == "waiting" else None

    def next_try(lane: dict) -> float:
        return datetime.fromisoformat(lane["next_try"]).timestamp()

    def due() -> tuple[dict, float] | None:
        """A lane whose next try is still to come, and this is known before it is."""
        lane = waiting()
        return (lane, next_try(lane)) if lane is not None and next_try(lane) > time.time() else None

    lane, due_at = wait_for(due, "a lane that waits for its next try")
    assert lane["since"] < lane["next_try"] and due_at < time.time() + 4 + CLOCKS_SECONDS  # lane_retry_max
    text = command(server, proxy.url, "broker", "lanes", "list").stdout
    assert "1 of 1 lanes" in text and f"{poison}  state=" in text

    def tried_again() -> bool:
        found, = lanes(server, proxy.url)
        tried = found["tries"] > lane["tries"] or found["state"] == "opening"
        assert tried or found["next_try"] is None or abs(next_try(found) - due_at) < CLOCKS_SECONDS
        return tried

    wait_for(tried_again, "the next try", 60)
    assert time.time() > due_at - CLOCKS_SECONDS  # not before its time
    proxy.pass_on()
    command(server, proxy.url, "broker", "lanes", "release", "--all")
    wait_for(lambda: not lanes(server, proxy.url), "no lane", 60)


def test_verify_counts_what_is_parked_released_and_discarded(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, **TO_QUARANTINE)
    start(Worker, RABBIT_MQ_URL=broker.url)
    poison, venom = park(server, proxy, POISON, VENOM, state="quarantined")

    def verify(code: int, *words: str) -> dict:
        return told(server, broker.url, "verify", *words, code=code)

    def parked() -> dict | None:
        found = verify(75, "--wait", "0")
        return found if found["totals"]["unsent"] + found["totals"]["unseen"] == 0 else None

    found = wait_for(parked, "nothing but parked events", 60)
    total = found["totals"]["stored"]
    assert found["totals"]["parked"] == found["quarantined"] == 6 and found["missing_ids"] == []
    assert found["totals"]["confirmed"] == found["totals"]["processed"] == total - 6
    assert total == server.query("SELECT sum(sequence) FROM user")[0][0]
    done = command(server, broker.url, "verify", "--wait", "0")
    assert done.returncode == 75 and "2 lanes with 6 of them are in quarantine" in done.stderr
    proxy.pass_on()
    told(server, proxy.url, "broker", "lanes", "discard", "--user", venom)
    told(server, proxy.url, "broker", "lanes", "release", "--user", poison)
    wait_for(lambda: not lanes(server, proxy.url), "no lane", 60)
    found = verify(0, "--wait", "30")
    assert found["verdict"] == "complete" and found["totals"]["stored"] == total
    assert found["totals"]["discarded"] == 3 and found["totals"]["processed"] == total - 3
    # Some stand in the log twice.
    assert server.query("SELECT count(*) - count(DISTINCT id) FROM event")[0][0] > 0


def test_what_was_discarded_is_remembered_as_long_as_the_log(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, **TO_QUARANTINE)
    park(server, proxy, POISON, state="quarantined")
    proxy.pass_on()
    told(server, proxy.url, "broker", "lanes", "discard", "--all")
    wait_for(lambda: not lanes(server, proxy.url), "no lane", 60)
    assert server.query("SELECT count(*) FROM unparked WHERE fate = 2")[0][0] == 3
    server.await_drained()
    server.stop()
    server = start(Server, RABBIT_MQ_URL=proxy.url, EVENT_RETENTION="0", **QUICK)
    wait_for(lambda: server.query("SELECT count(*) FROM event")[0][0] == 0, "a trimmed log", 60)
    wait_for(lambda: server.query("SELECT count(*) FROM unparked")[0][0] == 0, "trimmed marks", 60)


def test_replay_skips_users_whose_lane_is_parked(start, broker: Broker, proxy: AmqpProxy) -> None:
    server = start(Server, RABBIT_MQ_URL=proxy.url, **TO_QUARANTINE)
    poison, venom = park(server, proxy, POISON, VENOM, state="quarantined")
    server.await_drained()
    others = len(broker.drain()) - 4
    replayed = told(server, broker.url, "broker", "replay", *ALL, code=75)
    assert (replayed["replayed"], replayed["failed"], replayed["skipped"]) == (others, 0, 8)  # 2 sent, 2 that came back
    messages = broker.drain()
    assert len(messages) == others and sequences(messages, poison) == []
    proxy.pass_on()
    told(server, proxy.url, "broker", "lanes", "discard", "--user", venom)
    told(server, proxy.url, "broker", "lanes", "release", "--user", poison)
    wait_for(lambda: not lanes(server, proxy.url), "no lane", 60)
    server.await_drained()
    broker.drain()
    replayed = told(server, broker.url, "broker", "replay", *ALL)
    assert (replayed["replayed"], replayed["skipped"], replayed["discarded"]) == (others + 7, 0, 2)
    messages = broker.drain()
    assert sequences(messages, poison) == [1, 2, 3, 4, 5] and sequences(messages, venom) == [1, 2]


def test_replay_goes_on_for_others(server: Server, broker: Broker, proxy: AmqpProxy) -> None:
    ids = [server.create(email).json()["id"] for email in ("a@example.org", POISON, "b@example.org")]
    for _ in range(3):
        for email in ("a@example.org", POISON, "b@example.org"):
            touch(server, email, 1)
    server.await_drained()
    broker.drain()
    proxy.refuse(POISON.encode())
    done = command(server, proxy.url, "broker", "replay", *ALL, "--json")
    assert done.returncode == 75 and "did not take event" in done.stderr
    replayed = json.loads(done.stdout)
    assert (replayed["meant"], replayed["replayed"], replayed["failed"]) == (12, 8, 4)
    messages = broker.drain()
    assert [sequences(messages, user) for user in ids] == [[1, 2, 3, 4], [], [1, 2, 3, 4]]
    proxy.pass_on()
    assert told(server, proxy.url, "broker", "replay", *ALL)["replayed"] == 12

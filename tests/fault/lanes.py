# SPDX-License-Identifier: Apache-2.0
"""Rows about one user whose events the broker does not take: a proxy sends them astray, so that they come back. Others
flow; the lane is parked, tried again, or put in quarantine and released or discarded by an operator."""
import json
import subprocess

from harness.amqp_proxy import AmqpProxy
from harness.load import Answer
from harness.service import Server, environment
from harness.waiting import wait_for
from network import port_of
from suite import BINARY, Row, Scene, dashed

POISON, VENOM = "poison@example.org", "venom@example.org"
QUICK = {"LANE_RETRY": "50", "LANE_RETRY_MAX": "300"}
TO_QUARANTINE = {"LANE_RETRY": "10", "LANE_RETRY_MAX": "50"}


def told(server: Server, url: str, *words: str, code: int = 0) -> dict:
    """What a command says to an operator."""
    parent = server.database.parent
    settings = {"ADMIN_LISTEN": server.admin_url.removeprefix("http://"), "RABBIT_MQ_URL": url,
                "DATABASE_URL": f"sqlite:{server.database}", "CONSUMER_DATABASE_URL": f"sqlite:{parent}/consumer.db"}
    done = subprocess.run([BINARY, *words, "--json"], env=environment(settings), text=True, timeout=120,
                          stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(words)} gave exit code {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def lanes(scene: Scene, server: Server) -> dict[str, str]:
    """State by user."""
    return {lane["user_id"]: lane["state"] for lane in told(server, scene.broker.url, "broker", "lanes", "list")["lanes"]}


def make(scene: Scene, server: Server, email: str) -> str:
    answer = server.create(email, headers={"X-Request-Id": email})
    answer.raise_for_status()
    user = answer.json()["id"]
    scene.sent.add(email)
    scene.answers.append(Answer(email, "user.create", user))
    return user


def astray(scene: Scene) -> AmqpProxy:
    proxy = AmqpProxy("127.0.0.1", port_of(scene))
    scene.cleanups.append(proxy.close)
    return proxy


def empty_the_lanes(scene: Scene, server: Server) -> None:
    """A slow machine may have put one in quarantine by now."""
    def empty() -> bool:
        told(server, scene.broker.url, "broker", "lanes", "release", "--all")
        return not lanes(scene, server)

    wait_for(empty, "no parked lane", 60, 0.2)


def parked_lanes(scene: Scene) -> None:
    proxy = astray(scene)

    def start() -> Server:
        return scene.server(RABBIT_MQ_URL=proxy.url, **QUICK)

    server = start()
    server.await_log(event="publishing")
    load = scene.load(server, answered=200, pause=0.003)
    if scene.has_fault:
        proxy.refuse(b"hot@example.org")
    try:
        server.await_log(event="lane_parked", seconds=30 if scene.has_fault else 1)
        wait_for(lambda: server.query("SELECT count(*) FROM parked")[0][0] >= 20, "a parked lane", 30)
    except TimeoutError:
        scene.outcome.not_hit.append("no lane was parked")
    low = server.query("SELECT max(confirmed) FROM position WHERE partition = 64")[0][0]
    scene.answered_more(load, 300, "beside a parked lane")
    wait_for(lambda: server.query("SELECT max(confirmed) FROM position WHERE partition = 64")[0][0] > low + 100,
             "others' events that flow", 30)
    server = scene.sabotage(server, load, start)
    proxy.pass_on()
    scene.keep(load.stop(), refusable=(429,))
    empty_the_lanes(scene, server)
    scene.outcome.rounds += 1
    scene.audit(server)


def quarantined(scene: Scene, server: Server, users: set[str]) -> bool:
    found = lanes(scene, server)
    return set(found) == users and set(found.values()) == {"quarantined"}


def touch(scene: Scene, server: Server, email: str, user: str, name: str) -> None:
    for number in range(3):
        request_id = f"{name}-{email}-{number}"
        scene.sent.add(request_id)
        answer = server.request("GET", f"/users/{email}", headers={"X-Request-Id": request_id})
        scene.check(answer.status_code == 200, f"a read of {email} was answered {answer.status_code}")
        scene.answers.append(Answer(request_id, "user.read", user))


def quarantine(scene: Scene) -> None:
    """Two lanes run out of tries. One is released and must come whole; the other is discarded and must be counted."""
    proxy = astray(scene)

    def start() -> Server:
        return scene.server(RABBIT_MQ_URL=proxy.url, **TO_QUARANTINE)

    server, worker = start(), scene.worker()
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.01)
    users = {email: make(scene, server, email) for email in (POISON, VENOM)}
    server.await_log(event="publishing")
    if scene.has_fault:
        proxy.refuse(POISON.encode(), VENOM.encode())
    for name in ("before", "behind"):
        for email, user in users.items():
            touch(scene, server, email, user, name)
        try:
            wait_for(lambda: quarantined(scene, server, set(users.values())), "lanes in quarantine",
                     90 if scene.has_fault else 1, 0.1)
        except TimeoutError:
            scene.outcome.not_hit.append("no lane came into quarantine")
    if not scene.has_fault:
        scene.keep(load.stop())
        return
    server = scene.sabotage(server, load, start)
    proxy.pass_on()
    given_up = [row for row in server.query(
        "SELECT lower(hex(user_id)), sequence, request_id FROM parked") if dashed(row[0]) == users[VENOM]]
    discarded = told(server, scene.broker.url, "broker", "lanes", "discard", "--user", users[VENOM])["discarded"]
    told(server, scene.broker.url, "broker", "lanes", "release", "--user", users[POISON])
    wait_for(lambda: not lanes(scene, server), "no lane", 30, 0.1)
    scene.keep(load.stop())
    scene.check(discarded >= 6, f"{discarded} events were discarded")
    if scene.control is None:
        verdict = told(server, scene.broker.url, "verify", "--wait", "60")
        scene.check(verdict["verdict"] == "complete" and verdict["totals"]["discarded"] == discarded,
                    f"verify says {verdict}")
    scene.forgiven |= {(users[VENOM], sequence) for _, sequence, _ in given_up}
    requests = {request_id for _, _, request_id in given_up}
    scene.answers = [answer for answer in scene.answers if answer.request_id not in requests]
    gone = {dashed(row[0]) for row in server.query("SELECT lower(hex(id)) FROM unparked WHERE fate = 2")}
    scene.outcome.rounds += 1
    scene.audit_worker(server, worker, discarded=gone)


ROWS = (
    Row("parked_lanes", "the broker takes all but one user's events", parked_lanes,
        {"not_refused": "not_hit", "drop_parked": "lost", "invent_parked": "phantoms"}, long_rounds=1),
    Row("quarantine", "a lane out of tries is released, another discarded", quarantine,
        {"not_refused": "not_hit", "drop_parked": "lost"}, takes_long=True),
)

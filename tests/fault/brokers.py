# SPDX-License-Identifier: Apache-2.0
"""Rows about more than one broker, more or fewer bridges, and a broker that forgot a queue's log."""
import os
import pathlib
import shutil
import signal
import time

import sabotage
from harness import ledger
from harness.amqp_proxy import AmqpProxy
from harness.broker import Broker
from harness.service import Server
from harness.waiting import wait_for
from kills import QUEUE_AGE_SECONDS
from lanes import QUICK, empty_the_lanes, told
from network import failpoints_of, port_of
from queues import forgive
from suite import CLOSED_PORT_URL, Row, Scene


def in_use(server: Server, brokers: dict[str, Broker]) -> Broker | None:
    """The broker of the newest connection."""
    lines = server.log_lines(event="publishing")
    found = [broker for address, broker in brokers.items() if lines and address in lines[-1].fields["reason"]]
    return found[0] if found else None


def await_move(server: Server, brokers: dict[str, Broker], target: Broker) -> None:
    wait_for(lambda: in_use(server, brokers) is target, "a connection to the other broker", 60)
    time.sleep(QUEUE_AGE_SECONDS)  # as kills.let_the_queue_age says


def audit_several(scene: Scene, server: Server, brokers: list[Broker]) -> None:
    """All that was acknowledged is in one of them, and each has every user's events in order."""
    scene.settle(server)
    scene.outcome.acknowledged += len(scene.answers)
    every: list[ledger.Event] = []
    for broker in brokers:
        events = broker.drain(keep=ledger.event_of) if broker.depth() >= 0 else []
        alone = ledger.Findings()
        ledger.check_order(ledger.first_deliveries(events, alone), alone)
        scene.outcome.take(alone)
        every += events
    # who consumes from both sees no order between them, so here only what there is counts
    every.sort(key=lambda event: (event.user_id, event.sequence))
    scene.outcome.take(ledger.audit_events(every, scene.answers, scene.sent, scene.users(server)))


def several_brokers(scene: Scene) -> None:
    """The one in use is killed and comes back while the other is in use; with more rounds they take turns."""
    other = Broker()
    scene.cleanups.append(other.close)
    brokers = {f"127.0.0.1:{broker.url.rstrip('/').rsplit(':', 1)[1]}": broker for broker in (scene.broker, other)}
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=",".join((scene.broker.url, other.url)))
    server.await_log(event="publishing")
    time.sleep(QUEUE_AGE_SECONDS)
    load = scene.load(server, answered=300, pause=0.01)
    for _ in range(scene.rounds):
        used = in_use(server, brokers)
        left = next(broker for broker in brokers.values() if broker is not used)
        scene.answered_more(load, 200, "with two brokers")
        if scene.control == "confirm_early":
            stand_still(scene, used)
        if scene.has_fault:
            used.kill()
            await_move(server, brokers, left)
            scene.answered_more(load, 200, "with one broker")
            used.start()
        scene.hit(in_use(server, brokers) is left, "the service stayed with its broker")
        scene.outcome.rounds += 1
    scene.answered_more(load, 200, "with both again")
    scene.keep(load.stop())
    scene.check(load.record.broken == 0, f"{load.record.broken} clients' connections broke")
    audit_several(scene, server, list(brokers.values()))


def stand_still(scene: Scene, broker: Broker) -> None:
    """What is published now is in a socket that nobody reads, and dies with the broker."""
    for pid in broker.pids():
        os.kill(pid, signal.SIGSTOP)
    scene.answered_more(scene.loads[-1], 100, "beside a broker that stands still")
    time.sleep(0.3)


def publishing(server: Server) -> int:
    """Bridges that have a connection."""
    return len({line.fields["actor"] for line in server.log_lines(event="publishing")})


def bridges_changed(scene: Scene) -> None:
    """More and fewer bridges with each life, every second without a broker, so that events wait for the next."""
    numbers = set()
    for bridges, sends in (("1", False), ("4", True), ("2", False), ("3", True), ("16", False), ("1", True)) * scene.rounds:
        if scene.control == "same_number":
            bridges = "1"
        server = scene.server(BRIDGES=bridges, RABBIT_MQ_URL=scene.broker.url if sends else CLOSED_PORT_URL)
        load = scene.load(server, answered=400)
        if sends:
            wait_for(lambda each=server, count=int(bridges): publishing(each) == count, "all bridges publish", 30)
            numbers.add(publishing(server))
            server.kill()
            scene.keep(load.finish())
        else:
            scene.keep(load.stop())
            scene.stop(server)
        scene.outcome.rounds += 1
    scene.hit(len(numbers) > 1, "there were as many bridges all the time")
    server = scene.server(BRIDGES="4", RABBIT_MQ_URL=CLOSED_PORT_URL)
    load = scene.load(server, answered=300)
    server.kill()
    scene.keep(load.finish())
    if scene.control in sabotage.OF_THE_LOG:
        sabotage.apply(server.database, scene.control)
    scene.audit(scene.server(BRIDGES="5"))


def forget_the_log(scene: Scene, names: pathlib.Path, before: pathlib.Path) -> None:
    """The broker is killed, and what it knew of whose log is whose is as before the queue was made: so it is left when it is
    killed within half a second of that, which is nothing to aim at on a busy machine."""
    scene.broker.kill()
    if scene.has_fault:
        shutil.copy(before, names)
    scene.broker.start()


def trouble_of(scene: Scene, server: Server) -> str:
    return told(server, scene.broker.url, "broker", "status")["bridges"][0]["trouble"]


def no_leader(scene: Scene) -> None:
    """What the broker had confirmed is lost with the log that it forgot. All else must come, once an operator has deleted
    the queue as log and status say."""
    time.sleep(QUEUE_AGE_SECONDS)  # until it has written that the row before has no queue any more
    names, = pathlib.Path(scene.broker.folder).glob("data/*/quorum/*/names.dets")
    shutil.copy(names, scene.folder / "names")
    proxy = AmqpProxy("127.0.0.1", port_of(scene))
    scene.cleanups.append(proxy.close)
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=proxy.url, CONFIRM_TIMEOUT="2", **QUICK)
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.05)
    wait_for(lambda: proxy.confirmed(proxy.passed()), "something that is confirmed", 30)
    forget_the_log(scene, names, scene.folder / "names")
    passed = proxy.passed()
    try:
        server.await_log(event="nothing_confirmed", seconds=40 if scene.has_fault else 3)
    except TimeoutError:
        scene.outcome.not_hit.append("the queue has its leader")
    else:
        wait_for(lambda: "quorum_status" in trouble_of(scene, server), "a status that tells", 30, 0.2)
        scene.broker.control("delete_queue", "user")
    scene.keep(load.stop())
    empty_the_lanes(scene, server)  # a bridge that is full of refused events lets lanes go
    scene.settle(server)
    forgive(scene, proxy.confirmed(passed) if scene.has_fault else [])
    scene.outcome.rounds += 1
    scene.audit()


ROWS = (
    Row("several_brokers", "of two brokers the one in use is killed and comes back", several_brokers,
        {"not_killed": "not_hit", "confirm_early": "lost"}, long_rounds=6, chunk=2, takes_long=True),
    Row("bridges_changed", "another number of bridges at each start", bridges_changed,
        {"same_number": "not_hit", "drop_outbox": "lost", "reorder": "order_violations"}, long_rounds=5),
    Row("no_leader", "a broker that forgot the log of a queue it had just made", no_leader,
        {"not_killed": "not_hit", "forget": "lost"}, takes_long=True),
)

# SPDX-License-Identifier: Apache-2.0
"""Rows about a broker that says no: blocked, full, without the queue, with another one."""
import json
import time

from harness import ledger
from harness.amqp_proxy import AmqpProxy
from harness.broker import Received
from harness.waiting import wait_for
from network import failpoints_of, port_of
from suite import Row, Scene


def await_or_miss(scene: Scene, condition, what: str, seconds: float = 20) -> None:
    try:
        wait_for(condition, what, seconds if scene.has_fault else 1)
    except TimeoutError:
        scene.outcome.not_hit.append(f"it did not happen: {what}")


def memory_alarm(scene: Scene) -> None:
    server = scene.server()
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.01)
    scene.cleanups.append(lambda: scene.broker.control("set_vm_memory_high_watermark", "absolute", "1GB"))
    if scene.has_fault:
        scene.broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    await_or_miss(scene, lambda: server.log_lines(event="blocked"), "the broker blocks publishers")
    scene.answered_more(load, 200, "beside a blocked broker")
    server = scene.sabotage(server, load, scene.server)
    scene.cleanups.pop()()
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


def delete_queue(scene: Scene, proxy: AmqpProxy) -> int:
    """How many messages may have been in it."""
    if scene.control == "stays":
        return 0
    with scene.broker.connect() as connection:
        connection.channel().queue_delete("user")
    return proxy.passed()


def delete_at_work(scene: Scene, proxy: AmqpProxy, server, load) -> int:
    """With publishes on their way to it. Then the broker may return them, or end the connection."""
    passed = delete_queue(scene, proxy)
    await_or_miss(scene, lambda: server.log_lines(event="parked") or server.log_lines(event="disconnected"),
                  "events come back unroutable")
    wait_for(lambda: scene.broker.depth() > 0, "a new queue with events", 60, 0.2)
    return passed


def delete_while_held(scene: Scene, proxy: AmqpProxy, server, load) -> int:
    """While messages stand on the line, none of which can have been in it."""
    proxy.hold()
    wait_for(lambda: proxy.held, "a message that is held", 20)
    passed = delete_queue(scene, proxy)
    scene.answered_more(load, 100, "before the messages go on")
    proxy.pass_on()
    scene.answered_more(load, 500, "with a new queue")
    return passed


def forgive(scene: Scene, confirmed) -> None:
    """The broker had called these its own, and then somebody deleted them."""
    events = [ledger.event_of(Received(b"", properties, False)) for properties in confirmed]
    scene.forgiven |= {(event.user_id, event.sequence) for event in events}
    requests = {event.request_id for event in events}
    scene.answers = [answer for answer in scene.answers if answer.request_id not in requests]


def queue_deleted(scene: Scene) -> None:
    """What may be lost is what was confirmed and in the queue. All else must come, whatever the moment."""
    proxy = AmqpProxy("127.0.0.1", port_of(scene))
    scene.cleanups.append(proxy.close)
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=proxy.url)
    server.await_log(event="publishing")
    load = scene.load(server, answered=300, pause=0.005)
    # who calls events sent too early does not look at what comes back, and never makes another queue
    for delete in (delete_while_held,) if scene.control == "confirm_early" else (delete_at_work, delete_while_held):
        passed = delete(scene, proxy, server, load)
        scene.outcome.rounds += 1
    scene.keep(load.stop())
    scene.settle(server)
    forgive(scene, proxy.confirmed(passed))
    scene.hit(scene.forgiven, "nothing was in the queue")
    server = scene.server()
    server.await_log(event="publishing")
    scene.audit(server)


def topology(scene: Scene) -> None:
    """The service starts, answers, says what is wrong, and heals when somebody has mended it."""
    for what in ("queue", "exchange"):
        scene.broker.reset()
        with scene.broker.connect() as connection:
            channel = connection.channel()
            if scene.has_fault and what == "queue":
                channel.queue_declare("user", durable=True, arguments={"x-queue-type": "classic"})
            if scene.has_fault and what == "exchange":
                channel.exchange_declare("userbus", "fanout", durable=True)
        server = scene.server()
        load = scene.load(server, pause=0.01)
        await_or_miss(scene, lambda: server.log_lines(event="connect_failed", level="error"), f"a wrong {what} is told")
        scene.answered_more(load, 100, f"beside a wrong {what}")
        server = scene.sabotage(server, load, scene.server)
        with scene.broker.connect() as connection:
            channel = connection.channel()
            if scene.has_fault and what == "queue":
                channel.queue_delete("user")
            if scene.has_fault and what == "exchange":
                channel.exchange_delete("userbus")
        scene.keep(load.stop())
        server.await_log(event="publishing", seconds=60)
        server.await_drained(60)
        if what == "queue":
            scene.audit(server)
            (scene.folder / "userbus.db").unlink()
            scene.answers, scene.sent, scene.hot_user = [], set(), None
        else:
            scene.audit(server)
        scene.outcome.rounds += 1


def nack(scene: Scene) -> None:
    """A queue that is full and refuses; then it may grow again."""
    server = scene.server(failpoints=failpoints_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.01)
    scene.cleanups.append(lambda: scene.broker.control("clear_policy", "full"))
    scene.broker.control("set_policy", "--priority", "10", "--apply-to", "queues", "full", "^user$",
                         json.dumps({"max-length": 200, "overflow": "reject-publish"}))
    if scene.control == "confirm_early":
        scene.answered_more(load, 1000, "beside a full queue")
    else:
        await_or_miss(scene, lambda: server.log_lines(event="parked", returned="0"), "the broker refuses")
        scene.answered_more(load, 200, "beside a full queue")
    scene.cleanups.pop()()
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


def unroutable(scene: Scene) -> None:
    server = scene.server(failpoints=failpoints_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.005)
    for _ in range(5):
        with scene.broker.connect() as connection:
            connection.channel().queue_unbind("user", "userbus", "user")
        scene.answered_more(load, 100, "without a binding")
        time.sleep(0.3)
    if scene.control is None:
        await_or_miss(scene, lambda: server.log_lines(event="parked"), "events come back")
    with scene.broker.connect() as connection:
        connection.channel().queue_bind("user", "userbus", "user")
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


ROWS = (
    Row("memory_alarm", "the broker's memory alarm blocks publishers", memory_alarm, {"no_alarm": "not_hit", "phantom": "phantoms"}),
    Row("queue_deleted", "the queue is deleted under load", queue_deleted,
        {"stays": "not_hit", "confirm_early": "lost"}),
    Row("topology", "a queue, an exchange with other arguments", topology,
        {"same_arguments": "not_hit", "drop_outbox": "lost"}),
    Row("nack", "a full queue that refuses", nack, {"confirm_early": "lost"}),
    Row("unroutable", "the binding is taken away", unroutable, {"confirm_early": "lost"}),
)

# SPDX-License-Identifier: Apache-2.0
"""Rows about a broker that says no: blocked, full, without the queue, with another one."""
import json
import time

from harness.waiting import wait_for
from kills import CONFIRM_EARLY
from suite import Row, Scene


def failpoints_of(scene: Scene) -> str:
    return CONFIRM_EARLY if scene.control == "confirm_early" else ""


def await_or_miss(scene: Scene, condition, what: str, seconds: float = 20) -> None:
    try:
        wait_for(condition, what, seconds if scene.control in (None, "confirm_early") else 1)
    except TimeoutError:
        scene.outcome.not_hit.append(f"it did not happen: {what}")


def memory_alarm(scene: Scene) -> None:
    server = scene.server()
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.01)
    scene.cleanups.append(lambda: scene.broker.control("set_vm_memory_high_watermark", "absolute", "1GB"))
    if scene.control is None:
        scene.broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    await_or_miss(scene, lambda: server.log_lines(event="blocked"), "the broker blocks publishers")
    scene.answered_more(load, 200, "beside a blocked broker")
    scene.cleanups.pop()()
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


def forget_what_was(scene: Scene, server, load) -> None:
    """What was committed by now may have been in the queue that is gone; what comes later must arrive."""
    top = server.query("SELECT max(position) FROM event")[0][0]
    rows = server.query(f"SELECT lower(hex(user_id)), sequence, request_id FROM event WHERE position <= {top}")
    for user, sequence, _ in rows:
        scene.forgiven.add(("-".join((user[:8], user[8:12], user[12:16], user[16:20], user[20:])), sequence))
    scene.forgiven_requests = {request_id for _, _, request_id in rows}


def queue_deleted(scene: Scene) -> None:
    server = scene.server(failpoints=failpoints_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, answered=300, pause=0.005)
    if scene.control != "stays":
        with scene.broker.connect() as connection:
            connection.channel().queue_delete("user")
    forget_what_was(scene, server, load)
    # with a publish on its way to the queue the broker may end the connection instead
    if scene.control != "confirm_early":  # which does not look at what comes back
        await_or_miss(scene, lambda: server.log_lines(event="parked") or server.log_lines(event="disconnected"),
                      "events come back unroutable")
    scene.answered_more(load, 500, "with a new queue")
    scene.keep(load.stop())
    scene.answers = [answer for answer in scene.answers if answer.request_id not in scene.forgiven_requests]
    if scene.control == "confirm_early":  # and so has never made another queue
        scene.settle(server)
        server = scene.server()
        server.await_log(event="publishing")
    scene.outcome.rounds += 1
    scene.audit(server)


def topology(scene: Scene) -> None:
    """The service starts, answers, says what is wrong, and heals when somebody has mended it."""
    for what in ("queue", "exchange"):
        scene.broker.reset()
        with scene.broker.connect() as connection:
            channel = connection.channel()
            if scene.control is None and what == "queue":
                channel.queue_declare("user", durable=True, arguments={"x-queue-type": "classic"})
            if scene.control is None and what == "exchange":
                channel.exchange_declare("userbus", "fanout", durable=True)
        server = scene.server()
        load = scene.load(server, pause=0.01)
        await_or_miss(scene, lambda: server.log_lines(event="connect_failed", level="error"), f"a wrong {what} is told")
        scene.answered_more(load, 100, f"beside a wrong {what}")
        with scene.broker.connect() as connection:
            channel = connection.channel()
            if scene.control is None and what == "queue":
                channel.queue_delete("user")
            if scene.control is None and what == "exchange":
                channel.exchange_delete("userbus")
        scene.keep(load.stop())
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
    Row("memory_alarm", "the broker's memory alarm blocks publishers", memory_alarm, {"no_alarm": "not_hit"}),
    Row("queue_deleted", "the queue is deleted under load", queue_deleted,
        {"stays": "not_hit", "confirm_early": "lost"}),
    Row("topology", "a queue, an exchange with other arguments", topology, {"same_arguments": "not_hit"}),
    Row("nack", "a full queue that refuses", nack, {"confirm_early": "lost"}),
    Row("unroutable", "the binding is taken away", unroutable, {"confirm_early": "lost"}),
)

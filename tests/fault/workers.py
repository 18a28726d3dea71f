# SPDX-License-Identifier: Apache-2.0
"""Rows about the worker: killed at every step, cancelled, fed rubbish, fed everything twice. The audit is over its
database: every event processed once, every bad message a dead letter."""
import uuid

import pika

from harness.waiting import wait_for
from suite import Row, Scene

# step -> hits of it to choose the deadly one from
STEPS = {"consumer.delivered": 60, "consumer.begun": 2, "consumer.marked": 60, "consumer.processed": 2,
         "consumer.committed": 2, "consumer.acked": 2, "consumer.letter_published": 3, "consumer.letter_confirmed": 1}


def publish_bad(scene: Scene, first: int, count: int) -> int:
    with scene.broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(first, first + count):
            channel.basic_publish("", "user", b"no json", pika.BasicProperties(message_id=f"bad-{number}"))
    return first + count


def kill_worker(scene: Scene) -> None:
    server = scene.server()
    scene.load(server, answered=1500).stop()
    scene.load(server, pause=0.03)
    letters = 0
    steps = list(STEPS) if scene.control is None else ["consumer.processed"] * 3
    for step in steps * scene.rounds:
        letters = publish_bad(scene, letters, 4)
        # the control's first batch, since an ack of its tags once more makes the broker close the channel
        failpoints = f"{step}=kill:{scene.random.randint(1, STEPS[step]) if scene.control is None else 1}"
        if scene.control == "ack_early":
            failpoints += ",consumer.ack_early=on,consumer.acked_early=delay:1000"  # the ack must have arrived
        worker = scene.worker(failpoints, wait=False)
        scene.await_death(worker, failpoints)
        scene.outcome.rounds += 1
    for done in scene.loads:
        scene.keep(done.stop())
    scene.audit_worker(server, scene.worker(), letters)


def cancelled(scene: Scene) -> None:
    server = scene.server()
    worker = scene.worker("consumer.forget=every:50" if scene.control == "forget" else "")
    for number in range(2):
        scene.keep(scene.load(server, answered=300).stop())
        server.await_drained()
        wait_for(lambda: scene.broker.depth() == 0, "an empty queue", 60)
        if number == 0 and scene.has_fault:
            wait_for(lambda: not scene.broker.has_unacked(), "nothing unacked", 60)
            with scene.broker.connect() as connection:
                connection.channel().queue_delete("user")
        if number == 0:
            try:
                wait_for(lambda: len(worker.log_lines(event="consuming")) >= 2, "another subscription",
                         30 if scene.has_fault else 2)
            except TimeoutError:
                scene.outcome.not_hit.append("the subscription never ended")
    scene.outcome.rounds += 1
    scene.audit_worker(server, worker)


def hostile_messages() -> list[tuple[bytes, pika.BasicProperties]]:
    """None of them is an event."""
    properties = pika.BasicProperties
    wrong = {"cloudEvents_sequence": {"a": [1, {"b": None}]}, "cloudEvents_subject": 7, "traceparent": [1, 2]}
    return [(b"", properties()), (b"\0\xff\xfe", properties()), (b"null", properties()), (b'"text"', properties()),
            (b"x" * (16 << 20), properties(content_type="application/json")),
            (b'{"context": "' + b"y" * (16 << 20) + b'"}', properties()),
            (b"[" * 200000, properties()), (b'{"context":' * 50000, properties()),
            (b"{}", properties(headers={f"h{i}": "v" * 1000 for i in range(60)})),
            (b"{}", properties(headers=wrong, type="user.read", content_encoding="gzip", priority=9)),
            (b'{"context": {"email": 7}}', properties(headers=wrong)),
            (b'{"context": {"email": "a@b.cd", "id": []}, "queue": 3}', properties(type="user.explode")),
            (b'{"context": {"email": "a\\u0000@b.cd"}}', properties()),
            (b"1e999999", properties(type="x" * 255, app_id="y" * 255))]


def hostile(scene: Scene) -> None:
    server = scene.server()
    worker = scene.worker(failpoints="consumer.drop_letter=on" if scene.control == "drop_letter" else "")
    load = scene.load(server, answered=100, pause=0.01)
    messages = hostile_messages()
    with scene.broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number, (body, properties) in enumerate(messages):
            properties.message_id = f"bad-{number}"
            channel.basic_publish("", "user", body, properties, mandatory=True)
    scene.answered_more(load, 300, "beside hostile messages")
    scene.keep(load.stop())
    scene.check(worker.is_running(), "the worker ended")
    scene.outcome.rounds += 1
    scene.audit_worker(server, worker, len(messages))


def duplicates(scene: Scene) -> None:
    """Everything twice, some of it three times, in order, as after a lost confirm."""
    server = scene.server()
    scene.keep(scene.load(server, answered=600).stop())
    server.await_drained()
    received = scene.broker.drain()
    with scene.broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number, message in enumerate(received):
            for copy in range(2 + number % 2):
                if copy == 1 and scene.control == "renamed":
                    message.properties.message_id = str(uuid.uuid4())
                channel.basic_publish("", "user", message.body, message.properties)
    scene.outcome.rounds += 1
    scene.audit_worker(server, scene.worker())


ROWS = (
    Row("kill_worker", "SIGKILL to the worker at every named step", kill_worker, {"ack_early": "lost"},
        long_rounds=5, chunk=1),
    Row("cancelled", "the broker ends the worker's subscription", cancelled, 
        {"not_cancelled": "not_hit", "forget": "lost"}),
    Row("hostile", "messages that are no events, huge and deep ones among them", hostile, {"drop_letter": "lost"}),
    Row("duplicates", "every message delivered two or three times", duplicates, {"renamed": "phantoms"}),
)

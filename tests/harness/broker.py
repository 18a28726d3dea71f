# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ, started by scripts/broker, and what a client of it sees."""
import contextlib
import itertools
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pika

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "scripts" / "broker")
QUEUES = ("user", "user.dead")
SUBSCRIBE_TRIES = 5


@dataclass
class Received:
    """One message as it came from a queue."""

    body: bytes
    properties: pika.BasicProperties
    redelivered: bool

    @property
    def headers(self) -> dict:
        return self.properties.headers or {}


class Broker:
    """Owns the processes; close() leaves nothing behind."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="userbus-broker-")
        self.start(port=0)
        self.url = self._script("url").strip()

    def _script(self, verb: str, *more: str) -> str:
        done = subprocess.run([SCRIPT, verb, "--dir", self.folder, *more], check=True, text=True,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        return done.stdout

    def start(self, port: int | None = None) -> None:
        self._script("start", *([] if port is None else ["--port", str(port)]))

    def kill(self) -> None:
        """SIGKILL to all of it; start() takes it up again."""
        self._script("kill")

    def stop(self) -> None:
        self._script("stop")

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, *arguments: str) -> None:
        """rabbitmqctl; takes seconds."""
        done = subprocess.run(["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *arguments], text=True,
                              env=self._node_environment(), capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")

    def pids(self) -> list[int]:
        """Of the broker and all its helpers."""
        mark = f"RABBITMQ_MNESIA_BASE={self.folder}/data".encode()
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def close_connections(self) -> None:
        """As an operator would: the broker closes every client's connection."""
        self.control("close_all_connections", "test")

    def _node_environment(self) -> dict[str, str]:
        """Of the running broker: its command line tool finds the node by it."""
        mark = f"RABBITMQ_MNESIA_BASE={self.folder}/data"
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = path.read_text(encoding="utf-8", errors="replace").split("\0")
            except OSError:
                continue  # it has ended, or is another user's
            if mark in variables:
                return dict(variable.split("=", 1) for variable in variables if "=" in variable)
        raise RuntimeError("the broker does not run")

    def connect(self) -> pika.BlockingConnection:
        # localhost's /vhost is "/", which pika wants said
        return pika.BlockingConnection(pika.URLParameters(self.url.rstrip("/") + "/%2F"))

    def reset(self) -> None:
        """Deletes what a test before left."""
        with self.connect() as connection:
            channel = connection.channel()
            for queue in QUEUES:
                channel.queue_delete(queue)
            channel.exchange_delete("userbus")

    def depth(self, queue: str = "user") -> int:
        """Messages that wait in the queue; -1: there is no such queue."""
        with self.connect() as connection:
            try:
                return connection.channel().queue_declare(queue, passive=True).method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                return -1

    def has_unacked(self, queue: str = "user") -> bool:
        """A consumer holds messages; asking takes a second."""
        done = subprocess.run(["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", "list_queues", "name",
                               "messages_unacknowledged"], check=True, text=True, env=self._node_environment(),
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        return dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line).get(queue, "0") != "0"

    def publish(self, body: bytes, properties: pika.BasicProperties | None = None,
                queue: str = "user") -> None:
        """Confirmed, by the default exchange."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, properties, mandatory=True)

    @contextlib.contextmanager
    def _consuming(self, queue: str, prefetch: int, pause: float) -> Iterator[tuple]:
        """A channel and what comes on it. A quorum queue that was just made again answers 541 INTERNAL_ERROR to a
        subscription now and then, and takes the next one."""
        for left in reversed(range(SUBSCRIBE_TRIES)):
            connection = self.connect()
            channel = connection.channel()
            channel.basic_qos(prefetch_count=prefetch)
            messages = channel.consume(queue, inactivity_timeout=pause)
            try:
                first = next(messages)
            except pika.exceptions.ConnectionClosedByBroker as error:
                if error.reply_code != 541 or left == 0:
                    raise
                continue
            with connection:
                yield channel, itertools.chain([first], messages)
            return

    def take(self, count: int, queue: str = "user", seconds: float = 60) -> list[Received]:
        """Takes exactly so many messages, in order; fails when they do not come."""
        received = []
        with self._consuming(queue, 1000, seconds) as (channel, messages):
            for method, properties, body in messages:
                if method is None:
                    raise TimeoutError(f"{len(received)} of {count} messages came from {queue}")
                received.append(Received(body, properties, method.redelivered))
                channel.basic_ack(method.delivery_tag)
                if len(received) == count:
                    break
            channel.cancel()
        return received

    def drain(self, queue: str = "user", quiet_seconds: float = 0.5,
              keep: Callable[[Received], object] = lambda received: received) -> list:
        """Takes what is there and what still comes, until nothing does for a while; gives what `keep` made of each."""
        received = []
        with self._consuming(queue, 5000, quiet_seconds) as (channel, messages):
            for method, properties, body in messages:
                if method is None:
                    # a long queue on a busy machine pauses as well, and only an empty one has been drained
                    if channel.queue_declare(queue, passive=True).method.message_count == 0:
                        break
                    continue
                received.append(keep(Received(body, properties, method.redelivered)))
                channel.basic_ack(method.delivery_tag)
            channel.cancel()
        return received

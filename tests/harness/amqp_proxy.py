# SPDX-License-Identifier: Apache-2.0
"""A proxy that reads AMQP 0-9-1: messages that hold a marker go to a routing key that nobody has bound, so that
the broker returns them as unroutable, while all others pass. It knows what went through it, and what the broker said.

    with AmqpProxy("127.0.0.1", port) as proxy:
        connect to proxy.url
        proxy.refuse(b"poison@example.org")     from the next message on
        proxy.hold()                            the next message, and what comes behind it on its connection
        proxy.keep_confirms()                   the broker's acks and nacks, for good; the rest passes
        proxy.pass_on()                         as if it were not there
        proxy.confirmed(proxy.passed())         what the broker has called its own by now
"""
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass

import pika

PROTOCOL_HEADER_SIZE = 8
FRAME_HEAD = struct.Struct(">BHI")  # type, channel, size; then the payload and an end octet (section 2.3.5)
METHOD, HEADER, BODY = 1, 2, 3
BASIC_PUBLISH = struct.pack(">HH", 60, 40)
BASIC_RETURN = struct.pack(">HH", 60, 50)
BASIC_ACK = struct.pack(">HH", 60, 80)
BASIC_NACK = struct.pack(">HH", 60, 120)


def read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def misrouted(frame: bytes) -> bytes:
    """The basic.publish with another routing key of the same length."""
    at = FRAME_HEAD.size + len(BASIC_PUBLISH) + 2  # a reserved short, then exchange and routing key
    at += 1 + frame[at]
    size = frame[at]
    return frame[:at + 1] + b"x" * size + frame[at + 1 + size:]


def properties_of(header: bytes) -> pika.BasicProperties:
    """Of a content header frame: class, weight and body size come before them (section 2.3.5.2)."""
    properties = pika.BasicProperties()
    properties.decode(header[FRAME_HEAD.size + 12:-1])
    return properties


@dataclass(slots=True)
class Publish:
    """One message that went to the broker."""

    header: bytes
    acked: bool = False
    returned: bool = False


class Confirms:
    """What of one connection the broker has not answered yet. Its one publishing channel confirms from the start, so
    its messages are numbered from 1."""

    def __init__(self) -> None:
        self.open: dict[int, Publish] = {}  # by tag, in order
        self.last_tag = 0

    def add(self, publish: Publish) -> None:
        self.last_tag += 1
        self.open[self.last_tag] = publish

    def answered(self, method: bytes) -> None:
        tag, bits = struct.unpack_from(">QB", method, 4)
        tags = [each for each in list(self.open) if each <= tag] if bits & 1 else [tag]
        for each in tags:
            publish = self.open.pop(each, None)
            if publish is not None:
                publish.acked = method[:4] == BASIC_ACK

    def came_back(self, header: bytes) -> None:
        """A return comes before the ack of its message."""
        wanted = properties_of(header).message_id
        for publish in list(self.open.values()):
            if properties_of(publish.header).message_id == wanted:
                publish.returned = True
                return


class AmqpProxy:
    """Takes any number of connections; close() ends them."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.markers: tuple[bytes, ...] = ()
        self.refused = 0  # messages sent astray
        self.publishes: list[Publish] = []  # in the order they went on to the broker
        self.held: set[socket.socket] = set()  # clients that stand still with a message
        self.confirming = True
        self.going = threading.Event()
        self.going.set()
        self.ends: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}/"

    def __enter__(self) -> "AmqpProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refuse(self, *markers: bytes) -> None:
        self.markers = markers

    def hold(self) -> None:
        self.going.clear()

    def keep_confirms(self) -> None:
        self.confirming = False

    def pass_on(self) -> None:
        self.markers = ()
        self.confirming = True
        self.going.set()

    def passed(self) -> int:
        """Messages that have gone to the broker."""
        return len(self.publishes)

    def confirmed(self, count: int) -> list[pika.BasicProperties]:
        """Of the first so many messages those that the broker confirmed, and did not return."""
        return [properties_of(publish.header) for publish in self.publishes[:count]
                if publish.acked and not publish.returned]

    def close(self) -> None:
        self.going.set()
        for end in [self.listener, *self.ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that sits in it
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(self.server)
                except OSError:  # the broker is away
                    client.close()
                    continue
                self.ends += [client, server]
                confirms = Confirms()
                for pump in (self._up, self._down):
                    threading.Thread(target=self._run, args=(pump, client, server, confirms), daemon=True).start()

    @staticmethod
    def _run(pump, client: socket.socket, server: socket.socket, confirms: Confirms) -> None:
        with contextlib.suppress(OSError, EOFError):
            pump(client, server, confirms)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _down(self, client: socket.socket, server: socket.socket, confirms: Confirms) -> None:
        returning = False
        while True:
            frame = self._frame(server)
            method = frame[FRAME_HEAD.size:-1] if frame[0] == METHOD else b""
            if method[:4] in (BASIC_ACK, BASIC_NACK):
                confirms.answered(method)
                if not self.confirming:
                    continue
            if frame[0] == HEADER and returning:
                confirms.came_back(frame)
            returning = method[:4] == BASIC_RETURN
            client.sendall(frame)

    def _up(self, client: socket.socket, server: socket.socket, confirms: Confirms) -> None:
        server.sendall(read(client, PROTOCOL_HEADER_SIZE))
        while True:
            frame = self._frame(client)
            server.sendall(self._publish(frame, client, confirms) if self._is_publish(frame) else frame)

    @staticmethod
    def _frame(client: socket.socket) -> bytes:
        head = read(client, FRAME_HEAD.size)
        return head + read(client, FRAME_HEAD.unpack(head)[2] + 1)

    @staticmethod
    def _is_publish(frame: bytes) -> bool:
        return frame[0] == METHOD and frame[FRAME_HEAD.size:FRAME_HEAD.size + 4] == BASIC_PUBLISH

    def _publish(self, method: bytes, client: socket.socket, confirms: Confirms) -> bytes:
        """The whole message of the publish, astray when it is marked."""
        header = self._frame(client)
        size, = struct.unpack_from(">Q", header, FRAME_HEAD.size + 4)  # behind class and weight
        bodies, body = [], b""
        while len(body) < size:
            bodies.append(self._frame(client))
            body += bodies[-1][FRAME_HEAD.size:-1]
        if any(marker in body for marker in self.markers):
            self.refused += 1
            method = misrouted(method)
        if not self.going.is_set():
            self.held.add(client)
            self.going.wait()
            self.held.discard(client)
        publish = Publish(header)
        confirms.add(publish)
        self.publishes.append(publish)
        return b"".join([method, header, *bodies])

# SPDX-License-Identifier: Apache-2.0
"""A proxy that reads AMQP 0-9-1: messages that hold a marker go to a routing key that nobody has bound, so that
the broker returns them as unroutable, while all others pass.

    with AmqpProxy("127.0.0.1", port) as proxy:
        connect to proxy.url
        proxy.refuse(b"poison@example.org")     from the next message on
        proxy.pass_on()                         as if it were not there
"""
import contextlib
import socket
import struct
import threading

PROTOCOL_HEADER_SIZE = 8
FRAME_HEAD = struct.Struct(">BHI")  # type, channel, size; then the payload and an end octet (section 2.3.5)
METHOD, HEADER, BODY = 1, 2, 3
BASIC_PUBLISH = struct.pack(">HH", 60, 40)


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


class AmqpProxy:
    """Takes any number of connections; close() ends them."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.markers: tuple[bytes, ...] = ()
        self.refused = 0  # messages sent astray
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

    def pass_on(self) -> None:
        self.markers = ()

    def close(self) -> None:
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
                for pump in (self._up, self._down):
                    threading.Thread(target=self._run, args=(pump, client, server), daemon=True).start()

    @staticmethod
    def _run(pump, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            pump(client, server)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _down(client: socket.socket, server: socket.socket) -> None:
        while data := server.recv(65536):
            client.sendall(data)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        server.sendall(read(client, PROTOCOL_HEADER_SIZE))
        while True:
            frame = self._frame(client)
            server.sendall(self._publish(frame, client) if self._is_publish(frame) else frame)

    @staticmethod
    def _frame(client: socket.socket) -> bytes:
        head = read(client, FRAME_HEAD.size)
        return head + read(client, FRAME_HEAD.unpack(head)[2] + 1)

    @staticmethod
    def _is_publish(frame: bytes) -> bool:
        return frame[0] == METHOD and frame[FRAME_HEAD.size:FRAME_HEAD.size + 4] == BASIC_PUBLISH

    def _publish(self, method: bytes, client: socket.socket) -> bytes:
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
        return b"".join([method, header, *bodies])

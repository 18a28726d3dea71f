# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that is as bad as it is told to be, switched while connections run through it.

    with TcpProxy("127.0.0.1", port) as proxy:
        connect to proxy.host, proxy.port
        proxy.delay(200)          every chunk waits so many ms, in each direction
        proxy.slice(3)            at most so many bytes in a segment
        proxy.stop_reading()      from clients: their windows fill, while what the server says still comes
        proxy.freeze()            both directions stand still; nothing is lost
        proxy.black_hole()        takes everything and passes nothing on, also from new connections
        proxy.refuse()            resets every connection, now and as soon as it comes
        proxy.cut()               resets the connections of now; the mode stays
        proxy.pass_on()           as if it were not there

After a black hole the connections that lost bytes are reset, since nobody could make sense of the rest.
"""
import collections
import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass

CHUNK = 65536
SLICE_PAUSE_SECONDS = 0.0002  # or the kernel would put the slices together again


@dataclass(frozen=True)
class Mode:
    """What happens to a chunk."""

    delay_seconds: float = 0
    slice_bytes: int = CHUNK
    hold_up: bool = False  # nothing is read from clients
    hold_down: bool = False  # nothing is read from the server
    swallow: bool = False
    refuse: bool = False


def reset(end: socket.socket) -> None:
    """The peer sees a reset, whatever is still on the way."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # the other thread may sit in recv, and would keep the socket open
        end.shutdown(socket.SHUT_RD)
    end.close()


class Link:
    """One client's connection and ours to the server, a thread for each direction."""

    def __init__(self, proxy: "TcpProxy", client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.closed = self.lossy = False
        self.directions_left = 2
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target, up in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=(source, target, up), daemon=True).start()

    def reset(self) -> None:
        self.closed = True
        reset(self.client)
        reset(self.server)

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        try:
            while self._may_go_on(up):
                chunk = source.recv(CHUNK)
                if not chunk:
                    if not self.closed:  # a reset wakes us as well, and must not look like an end
                        target.shutdown(socket.SHUT_WR)
                    break
                self._pass(chunk, target, up)
        except OSError:
            self.reset()
        self._direction_ended()

    def _direction_ended(self) -> None:
        with self.proxy.changed:
            self.directions_left -= 1
            if self.directions_left > 0:
                return
            self.proxy.links.discard(self)
        if not self.closed:
            self.client.close()
            self.server.close()

    def _may_go_on(self, up: bool) -> bool:
        """Waits while the direction is held; False: the link was reset."""
        with self.proxy.changed:
            while not self.closed and (self.proxy.mode.hold_up if up else self.proxy.mode.hold_down):
                self.proxy.changed.wait()
        return not self.closed

    def _pass(self, chunk: bytes, target: socket.socket, up: bool) -> None:
        if not self._may_go_on(up):  # it was read before the mode changed
            return
        mode = self.proxy.mode
        if mode.swallow:
            self.lossy = True
            return
        if mode.delay_seconds > 0:
            time.sleep(mode.delay_seconds)
        for start in range(0, len(chunk), mode.slice_bytes):
            if start > 0:
                time.sleep(SLICE_PAUSE_SECONDS)
            target.sendall(chunk[start:start + mode.slice_bytes])
            self.proxy.pieces[mode.slice_bytes] += 1


class TcpProxy:
    """Listens on a free port of loopback. receive_buffer: bytes that a client can send before it notices
    that nobody reads (the kernel doubles it); None: the kernel's default, which grows to megabytes.
    listener: a socket that listens already, which becomes the proxy's."""

    def __init__(self, server_host: str, server_port: int, receive_buffer: int | None = None,
                 listener: socket.socket | None = None) -> None:
        self.server = (server_host, server_port)
        self.mode = Mode()
        self.changed = threading.Condition()
        self.links: set[Link] = set()
        self.accepted = 0
        self.pieces: collections.Counter[int] = collections.Counter()  # sent, by the slice size of then; about
        self._listener = listener or socket.socket()
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if listener is None:
            self._listener.bind(("127.0.0.1", 0))
            self._listener.listen(64)
        self.host, self.port = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def amqp_url(self, credentials: str = "guest:guest") -> str:
        return f"amqp://{credentials}@{self.host}:{self.port}/"

    def pass_on(self) -> None:
        self._switch(Mode())

    def delay(self, milliseconds: int) -> None:
        self._switch(Mode(delay_seconds=milliseconds / 1000))

    def slice(self, size: int) -> None:
        self._switch(Mode(slice_bytes=size))

    def stop_reading(self) -> None:
        self._switch(Mode(hold_up=True))

    def freeze(self) -> None:
        self._switch(Mode(hold_up=True, hold_down=True))

    def black_hole(self) -> None:
        self._switch(Mode(swallow=True))

    def refuse(self) -> None:
        self._switch(Mode(refuse=True))
        self.cut()

    def cut(self) -> None:
        self._reset({*self.links})

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RD)  # which ends accept, as close would not
        self._thread.join()
        self._listener.close()
        self.cut()

    def _reset(self, links: set[Link]) -> None:
        for link in links:
            link.reset()
        with self.changed:
            self.links -= links
            self.changed.notify_all()

    def _switch(self, mode: Mode) -> None:
        with self.changed:
            self.mode = mode
            self.changed.notify_all()
            broken = {link for link in self.links if link.lossy and not mode.swallow}
        self._reset(broken)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(self.server, timeout=10)
                server.settimeout(None)
            except OSError:
                reset(client)
                continue
            with self.changed:
                if not self.mode.refuse:
                    self.links.add(Link(self, client, server))
                    continue
            reset(client)
            reset(server)

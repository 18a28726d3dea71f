# SPDX-License-Identifier: Apache-2.0
"""The harness's own proxy must do to a connection what it says, or the tests that use it prove nothing."""
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from harness.tcp_proxy import TcpProxy
from harness.waiting import wait_for

QUIET_SECONDS = 0.3


def echo(end: socket.socket) -> None:
    with end, contextlib.suppress(OSError):
        while chunk := end.recv(65536):
            end.sendall(chunk)


def serve(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            end, _ = listener.accept()
            threading.Thread(target=echo, args=(end,), daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """Before a server that says back what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with TcpProxy(*listener.getsockname(), receive_buffer=8192) as proxy:
            yield proxy


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=10)


def take(end: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (chunk := end.recv(size - len(received))):
        received += chunk
    return received


def is_silent(end: socket.socket) -> bool:
    end.settimeout(QUIET_SECONDS)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(10)
    return False


def speaks(end: socket.socket, word: bytes) -> bool:
    end.sendall(word)
    return take(end, len(word)) == word


def test_passes_on(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        long = bytes(range(256)) * 4096
        threading.Thread(target=end.sendall, args=(long,), daemon=True).start()
        assert take(end, len(long)) == long
        end.shutdown(socket.SHUT_WR)
        assert end.recv(1) == b""  # the end passes through as well
    wait_for(lambda: not proxy.links, "the link's end")


def test_delays(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        proxy.delay(150)
        began = time.monotonic()
        assert speaks(end, b"slow")
        assert time.monotonic() - began >= 0.3  # there and back


def test_slices(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        proxy.slice(3)
        long = bytes(range(250)) * 12
        end.sendall(long)
        pieces = []
        while sum(map(len, pieces)) < len(long):
            pieces.append(end.recv(len(long)))
        assert b"".join(pieces) == long
        assert len(pieces) > 100  # of 1,000; the kernel joins what the reader is late for


def test_cuts_and_refuses(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        assert speaks(end, b"before")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with connect(proxy) as end:
        assert speaks(end, b"a new one passes")
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with pytest.raises(ConnectionResetError), connect(proxy) as end:  # perhaps before connect has returned
        end.recv(1)
    proxy.pass_on()
    with connect(proxy) as end:
        assert speaks(end, b"healed")


def test_black_hole(proxy: TcpProxy) -> None:
    with connect(proxy) as old:
        assert speaks(old, b"before")
        proxy.black_hole()
        with connect(proxy) as new:
            for end in (old, new):
                end.sendall(b"x" * 200_000)  # taken
                assert is_silent(end)
            proxy.pass_on()
            for end in (old, new):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)


def test_stops_reading(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        assert speaks(end, b"before")
        proxy.stop_reading()
        end.settimeout(QUIET_SECONDS)
        sent = 0
        with pytest.raises(TimeoutError):  # the window is full
            while sent < 100_000_000:
                sent += end.send(b"x" * 1000)
        end.settimeout(10)
        proxy.pass_on()
        assert take(end, sent) == b"x" * sent  # nothing was lost


def test_freezes(proxy: TcpProxy) -> None:
    with connect(proxy) as end:
        assert speaks(end, b"before")
        proxy.freeze()
        end.sendall(b"ice")
        assert is_silent(end)
        proxy.pass_on()
        assert take(end, 3) == b"ice"

# SPDX-License-Identifier: Apache-2.0
"""The same load on a server that is not ours, which is known by its address and its process alone."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from harness.broker import Broker
from harness.waiting import wait_for

from . import BENCH, load
from .accounts import cpu_seconds, resident_mb, tree
from .service import purged

LOADS = (("GET /livez", "/livez"), ("POST /users", "create"), ("GET /users/{email}", "read"))


@dataclass(frozen=True)
class Peer:
    name: str
    url: str
    pid: int  # its children count as well


@dataclass(frozen=True)
class Line:
    """of_livez: in %, or None when /livez was not answered; cpu: us per request; memory: MB at the end."""

    peer: str
    what: str
    rate: float
    of_livez: float | None
    p50: float
    p99: float
    cpu: float
    memory: float

    def cells(self) -> tuple[str, ...]:
        of_livez = "" if self.of_livez is None else f"{self.of_livez:.0f}%"
        return (self.peer, self.what, f"{self.rate:,.0f}", of_livez, f"{self.p50:.2f}", f"{self.p99:.2f}", f"{self.cpu:,.1f}",
                f"{self.memory:.1f}")


HEADINGS = ("server", "request", "requests/s", "of /livez", "p50 ms", "p99 ms", "CPU us/request", "memory MB")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def measure(peer: Peer, seconds: int, connections: int) -> list[Line]:
    """GET /livez only where it is answered. What is done after the load (a backlog sent) is not in it."""
    found: list[Line] = []
    base, users = None, 1000
    for title, what in LOADS:
        if what == "/livez" and not answers(peer.url + what):
            continue
        before = {pid: cpu_seconds(pid) for pid in tree(peer.pid)}
        told = load.run(peer.url, what, seconds, connections, str(users))
        load.must_all_be_answered(told, f"{peer.name}: {title}")
        used = sum(cpu_seconds(pid) - before.get(pid, 0.0) for pid in tree(peer.pid))
        base = told.rate if what == "/livez" else base
        if what == "create":  # a slow one has not made so many, and the last ones may not be there yet
            users = max(1, min(users, told.requests - connections))
        found.append(Line(peer.name, title, told.rate, told.rate / base * 100 if base else None, told.p50, told.p99,
                          used * 1e6 / told.requests, sum(resident_mb(pid) for pid in tree(peer.pid))))
    return found


@contextlib.contextmanager
def shipped(name: str, broker: Broker) -> Iterator[Peer]:
    """One of bench/peers, on a free port and a database of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="userbus-bench-") as folder, \
            open(pathlib.Path(folder) / "log", "wb") as log:
        own = {"PEER_DATABASE": f"{folder}/peer.db", "RABBIT_MQ_URL": broker.url}
        process = subprocess.Popen([BENCH / "peers" / name / "run", str(port)], env=os.environ | own, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(url + "/livez") or process.poll() is not None, f"{name} on port {port}")
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended:\n{pathlib.Path(folder, 'log').read_text()}")
            with purged_when_there(broker):
                yield Peer(name, url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextlib.contextmanager
def purged_when_there(broker: Broker) -> Iterator[None]:
    """A peer may make its queue with its first request; arguments as ours, so either finds the other's good."""
    with broker.connect() as connection:
        connection.channel().queue_declare("user", durable=True, arguments={"x-queue-type": "quorum"})
    with purged(broker):
        yield

# SPDX-License-Identifier: Apache-2.0
"""A service under load: what its requests cost and how long the rest of the work takes."""
import contextlib
import pathlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests
from harness.broker import Broker
from harness.service import Server
from harness.waiting import wait_for

from . import load
from .accounts import cpu_seconds, resident_mb, thread_seconds
from .load import Told

UNBOUNDED = {"OUTBOX_MAX_EVENTS": "1000000000", "OUTBOX_MAX_BYTES": "1000000000000"}
DRAIN_SECONDS = 180
PURGE_SECONDS = 1


@contextlib.contextmanager
def running(url: str, folder: str | None = None, **settings: str) -> Iterator[Server]:
    """A service with an empty database of its own, or the one that `settings` name. url: of the broker."""
    with tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=folder) as name:
        server = Server(pathlib.Path(name), RABBIT_MQ_URL=url, **(UNBOUNDED | settings))
        try:
            yield server
            if server.stop() != 0:
                raise RuntimeError(f"the service did not stop well:\n{server.log_text()[-2000:]}")
        finally:
            if server.is_running():
                server.kill()


def waiting(server: Server) -> int:
    """Events that are not confirmed yet."""
    return requests.get(server.admin_url + "/status", timeout=30).json()["outbox"]["events"]


@dataclass
class Measured:
    """One load and what it cost."""

    told: Told
    cpu_us: float  # of the service per request, drain included
    drain_seconds: float  # from the load's end until nothing waits
    stages: dict[str, tuple[float, float]]  # user and system us per request, by thread


def stage_of(thread: str) -> str:
    """http.1 and http.0 are one stage; ZeroMQ's own threads and the main one are the rest."""
    name = re.sub(r"\.\d+$", "", thread)
    return name if name in ("http", "store", "checkpoint", "bridge") else "rest"


def stages(before: dict, after: dict, requests_done: int) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for thread, (user, system) in after.items():
        old = before.get(thread, (0.0, 0.0))
        sums = found.get(stage_of(thread), (0.0, 0.0))
        found[stage_of(thread)] = (sums[0] + (user - old[0]) * 1e6 / requests_done,
                                   sums[1] + (system - old[1]) * 1e6 / requests_done)
    return found


def measure(server: Server, what: str, seconds: int, connections: int, *arguments: str, drain: bool) -> Measured:
    cpu, threads = cpu_seconds(server.pid), thread_seconds(server.pid)
    told = load.run(server.url, what, seconds, connections, *arguments)
    load.must_all_be_answered(told, what, server.log_text())
    drained = 0.0
    if drain:
        ended = time.monotonic()
        wait_for(lambda: waiting(server) == 0, "an empty outbox", DRAIN_SECONDS, 0.01)
        drained = time.monotonic() - ended
    return Measured(told, (cpu_seconds(server.pid) - cpu) * 1e6 / told.requests, drained,
                    stages(threads, thread_seconds(server.pid), told.requests))


class Every(threading.Thread):
    """Does something again and again beside a load, until the `with` ends."""

    def __init__(self, seconds: float, act) -> None:
        super().__init__(daemon=True)
        self.pause, self.act, self.over = seconds, act, threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.over.wait(self.pause):
                self.act()
        except BaseException as failure:  # for the `with` to raise
            self.failure = failure

    def __enter__(self) -> "Every":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def purged(broker: Broker) -> Iterator[None]:
    """Keeps the queue short: nobody consumes."""
    with broker.connect() as connection:
        channel = connection.channel()
        with Every(PURGE_SECONDS, lambda: channel.queue_purge("user")):
            yield


@contextlib.contextmanager
def memory(server: Server, seconds: float = 1.0) -> Iterator[list[float]]:
    """MB resident, sampled."""
    samples: list[float] = []
    with Every(seconds, lambda: samples.append(resident_mb(server.pid))):
        yield samples

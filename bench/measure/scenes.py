# SPDX-License-Identifier: Apache-2.0
"""What is set up and loaded for the rows of the table. Each scene is one sample of its rows; bench/run plays all of them in
turn, several times, so that what changes on the machine meanwhile changes all alike."""
import pathlib
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.broker import Broker
from harness.service import Server

from . import CLOSED_PORT_URL, filled, instructions, limits, load
from .accounts import resident_mb
from .service import UNBOUNDED, Measured, measure, memory, purged, running
from .worker import empty_queue

GROWTH = (16, 64, 256, 1024)
CONNECTIONS_MANY = 1000
START_USERS, START_EVENTS = 1000000, 1000
SMALL_USERS = 1000  # of the "empty" store: some are needed to be read
MEMORY_CONNECTIONS, MEMORY_PAUSE_MS = 64, "5"
SETTLED = 4  # a first part of so many is left out: caches fill


@dataclass
class Stage:
    """What the scenes share. connections, seconds: of a load; users, events: of the large store."""

    broker: Broker
    seconds: int
    connections: int
    users: int
    events: int
    memory_seconds: int
    folder: str | None = None  # of databases
    cache: pathlib.Path = field(default_factory=filled.cache_folder)


@dataclass
class Seen:
    """One playing of a scene: figures by row, and what the report draws of it."""

    figures: dict[str, float]
    plots: dict = field(default_factory=dict)


def with_broker(stage: Stage) -> Seen:
    """livez, POST and GET, then a worker that takes all their events."""
    stage.broker.reset()
    with running(stage.broker.url, stage.folder) as server:
        livez = load.run(server.url, "/livez", stage.seconds, stage.connections)
        post = measure(server, "create", stage.seconds, stage.connections, drain=True)
        get = measure(server, "read", stage.seconds, stage.connections, drain=True)
    figures = {
        "post_cpu": post.cpu_us, "post_of_livez": post.told.rate / livez.rate * 100,
        "get_of_post": get.told.rate / post.told.rate * 100, "post_p99_of_p50": post.told.p99 / post.told.p50,
        "post_p99": post.told.p99, "drain": post.drain_seconds, "bridge_cpu": sum(post.stages["bridge"]),
        "livez_rate": livez.rate, "post_rate": post.told.rate, "get_rate": get.told.rate, "get_cpu": get.cpu_us}
    rate, cpu = empty_queue(stage.broker.depth(), stage.folder, RABBIT_MQ_URL=stage.broker.url)
    return Seen(figures | {"consumer_rate": rate, "consumer_cpu": cpu}, {"post_stages": post.stages, "get_stages": get.stages})


def with_minimal_headers(stage: Stage) -> Seen:
    stage.broker.reset()
    with running(stage.broker.url, stage.folder, EVENT_HEADERS="minimal") as server:
        post = measure(server, "create", stage.seconds, stage.connections, drain=True)
    return Seen({"bridge_cpu_minimal": sum(post.stages["bridge"]), "post_rate_minimal": post.told.rate})


def without_broker(stage: Stage) -> Seen:
    with running(CLOSED_PORT_URL, stage.folder) as server:
        livez = load.run(server.url, "/livez", stage.seconds, stage.connections)
        post = measure(server, "create", stage.seconds, stage.connections, drain=False)
    return Seen({"post_of_livez_alone": post.told.rate / livez.rate * 100, "post_rate_alone": post.told.rate})


def plain_reads(stage: Stage) -> Seen:
    """GET as a pure read."""
    with running(CLOSED_PORT_URL, stage.folder, READ_EVENTS="off") as server:
        load.run(server.url, "create", 1, stage.connections)
        livez = load.run(server.url, "/livez", stage.seconds, stage.connections)
        get = measure(server, "read", stage.seconds, stage.connections, drain=False)
    return Seen({"read_of_livez": get.told.rate / livez.rate * 100})


def many_connections(stage: Stage) -> Seen:
    """CPU per POST by connections."""
    stage.broker.reset()
    with running(stage.broker.url, stage.folder) as server, purged(stage.broker):
        costs = {count: measure(server, "scatter", stage.seconds, count, drain=True).cpu_us for count in GROWTH}
    return Seen({"growth": (max(costs.values()) / min(costs.values()) - 1) * 100}, {"growth": costs})


def store_speed(stage: Stage, database: pathlib.Path, users: int) -> tuple[Measured, Measured]:
    """POST and GET with emails all over the alphabet; no broker, which would hide the store."""
    settings = {"DATABASE_URL": f"sqlite:{database}", "EVENT_RETENTION": "315360000"}
    with running(CLOSED_PORT_URL, stage.folder, **settings) as server:
        return (measure(server, "scatter", stage.seconds, stage.connections, drain=False),
                measure(server, "read_filled", stage.seconds, stage.connections, str(users), drain=False))


class LargeStore:
    """The large store is copied once and grows a little with each sample; the small one is new each time."""

    def __init__(self) -> None:
        self.folder: tempfile.TemporaryDirectory | None = None
        self.large: pathlib.Path | None = None

    def __call__(self, stage: Stage) -> Seen:
        if self.large is None:
            self.folder = tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=stage.folder)
            self.large = filled.copy(filled.make(stage.users, stage.events, stage.cache), pathlib.Path(self.folder.name))
        with tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=stage.folder) as name:
            small = filled.copy(filled.make(SMALL_USERS, SMALL_USERS, stage.cache), pathlib.Path(name))
            empty = store_speed(stage, small, SMALL_USERS)
        full = store_speed(stage, self.large, stage.users)
        rates = [[measured.told.rate for measured in pair] for pair in (empty, full)]
        return Seen({"large_post": rates[1][0] / rates[0][0] * 100, "large_get": rates[1][1] / rates[0][1] * 100},
                    {"stores": {"users": stage.users, "empty": rates[0], "large": rates[1],
                                "longest": [measured.told.longest for measured in full]}})


class Start:
    """From the process's start to the answer to a GET of a user; nothing is polled before the port is open."""

    def __init__(self) -> None:
        self.folder: tempfile.TemporaryDirectory | None = None
        self.database: pathlib.Path | None = None

    def __call__(self, stage: Stage) -> Seen:
        if self.database is None:
            self.folder = tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=stage.folder)
            made = filled.make(START_USERS, START_EVENTS, stage.cache)
            self.database = filled.copy(made, pathlib.Path(self.folder.name))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        began = time.monotonic()
        server = Server(self.database.parent, wait=False, LISTEN=f"127.0.0.1:{port}", RABBIT_MQ_URL=CLOSED_PORT_URL,
                        READ_EVENTS="off", **UNBOUNDED)
        try:
            first_answer(port, f"/users/{83886043:08x}-1@example.org")
            seconds = time.monotonic() - began
            server.stop()
        finally:
            if server.is_running():
                server.kill()
        return Seen({"start": seconds * 1000})


def first_answer(port: int, path: str) -> None:
    """A 200, within 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: userbus\r\n\r\n".encode())
                instructions.answer(connection)
                return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.0005)


def resident(stage: Stage) -> Seen:
    """Idle, then under many connections."""
    stage.broker.reset()
    with running(stage.broker.url, stage.folder) as server:
        server.await_log(event="publishing")
        idle = resident_mb(server.pid)
        with memory(server, 0.1) as samples:
            measure(server, "create", stage.seconds, CONNECTIONS_MANY, drain=True)
    return Seen({"rss_idle": idle, "rss_busy": max(samples)})


def flat_memory(stage: Stage) -> Seen:
    """For as long as the options say: reads, each an event, whose log is trimmed behind them."""
    stage.broker.reset()
    with running(stage.broker.url, stage.folder, EVENT_RETENTION="10") as server, purged(stage.broker):
        load.run(server.url, "create", 1, stage.connections)
        with memory(server) as samples:
            load.run(server.url, "read", stage.memory_seconds, MEMORY_CONNECTIONS, "1000", MEMORY_PAUSE_MS)
    return Seen({"rss_growth": growth_of(samples)}, {"memory": samples})


def growth_of(samples: list[float]) -> float:
    """% from the second quarter to the last, by their medians."""
    part = len(samples) // SETTLED
    early, late = statistics.median(samples[part:2 * part]), statistics.median(samples[-part:])
    return (late / early - 1) * 100


def count_instructions(_stage: Stage) -> Seen:
    found = instructions.measure()
    return Seen({"post_instructions": instructions.total(found["post"]),
                 "get_instructions": instructions.total(found["get"])}, {"objects": found})


def find_limits(stage: Stage) -> Seen:
    return Seen({}, {"limits": limits.measure(stage.broker, stage.seconds, stage.connections, stage.folder)})


@dataclass(frozen=True)
class Scene:
    """depends_on_time: its figures mean nothing while the machine does something else. once: it takes long and is played in
    the first run alone."""

    name: str
    play: Callable[[Stage], Seen]
    rows: tuple[str, ...]
    depends_on_time: bool = True
    once: bool = False


def scenes() -> tuple[Scene, ...]:
    """In the order in which they are played."""
    return (
        Scene("limits", find_limits, ()),
        Scene("broker", with_broker, ("post_cpu", "post_of_livez", "get_of_post", "post_p99_of_p50", "post_p99", "drain",
                                      "bridge_cpu", "consumer_rate", "consumer_cpu", "livez_rate", "post_rate", "get_rate",
                                      "get_cpu")),
        Scene("minimal", with_minimal_headers, ("bridge_cpu_minimal", "post_rate_minimal")),
        Scene("alone", without_broker, ("post_of_livez_alone", "post_rate_alone")),
        Scene("reads", plain_reads, ("read_of_livez",)),
        Scene("growth", many_connections, ("growth",)),
        Scene("large", LargeStore(), ("large_post", "large_get")),
        Scene("start", Start(), ("start",)),
        Scene("resident", resident, ("rss_idle", "rss_busy"), False),
        Scene("memory", flat_memory, ("rss_growth",), False, once=True),
        Scene("instructions", count_instructions, ("post_instructions", "get_instructions"), False),
    )

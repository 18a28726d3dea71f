# SPDX-License-Identifier: Apache-2.0
"""What the machine itself can do, found by the programs of bench/limits."""
import pathlib
import statistics
import subprocess
import tempfile

from harness.broker import Broker

from . import PROGRAMS, load
from .accounts import cpu_seconds

SYNCS, ROUND_TRIPS, COMMITS, PUBLISHES = "1000", "100000", "100000", "60000"
NAMES = {
    "hello_rate": "libh2o hello, one thread: requests/s",
    "hello_cpu_us": "libh2o hello: CPU us per request",
    "sync_us": "fdatasync after 16 KB: us",
    "round_trip_us": "ZeroMQ inproc, there and back: us",
    "burst_round_trip_us": "ZeroMQ inproc, 64 under way: us",
    "commit_us": "SQLite, user + event, 64 per commit, FULL: us",
    "commit_cpu_us": "SQLite, the same: CPU us",
    "publish_us": "raw publish, 64 per write, quorum queue, confirmed: us",
    "publish_cpu_us": "raw publish: CPU us of the publisher",
}


def parse(text: str) -> dict[str, float]:
    """Lines of a name and a number."""
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def program(name: str, *arguments: str) -> dict[str, float]:
    return parse(subprocess.run([PROGRAMS / name, *arguments], check=True, text=True, capture_output=True).stdout)


def hello(seconds: int, connections: int) -> dict[str, float]:
    with subprocess.Popen([PROGRAMS / "bench_hello"], stdout=subprocess.PIPE, text=True) as server:
        try:
            told = load.run(f"http://127.0.0.1:{int(server.stdout.readline())}", "/", seconds, connections)
            cpu = cpu_seconds(server.pid)
        finally:
            server.kill()
    return {"hello_rate": told.rate, "hello_cpu_us": cpu * 1e6 / told.requests}


def measure(broker: Broker, seconds: int, connections: int, folder: str | None) -> dict[str, float]:
    """folder: where databases are made; None: the system's place for temporary files."""
    found = hello(seconds, connections)
    with tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=folder) as name:
        path = pathlib.Path(name)
        found |= program("bench_disk_sync", str(path / "synced"), SYNCS)
        found |= program("bench_group_commit", str(path / "commits.db"), COMMITS)
    found |= program("bench_round_trip", ROUND_TRIPS)
    port = broker.url.rstrip("/").rsplit(":", 1)[1]
    found |= program("bench_raw_publish", port, PUBLISHES)
    return found


def medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(sample[name] for sample in samples) for name in NAMES
            if samples and name in samples[0]}

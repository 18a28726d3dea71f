# SPDX-License-Identifier: Apache-2.0
"""A worker that empties a queue: how fast, and what an event costs it."""
import pathlib
import tempfile
import time

from harness.service import Worker, query
from harness.waiting import wait_for

from .accounts import cpu_seconds

DEADLINE_SECONDS = 300
PROCESSED = "SELECT coalesce(sum(count), 0) FROM tally WHERE tally < 5"  # by kind, and duplicates


def empty_queue(events: int, folder: str | None, program: str | None = None, **settings: str) -> tuple[float, float]:
    """Events per second from its subscription until its tallies say that so many are processed, and CPU us per event."""
    with tempfile.TemporaryDirectory(prefix="userbus-bench-", dir=folder) as name:
        worker = Worker(pathlib.Path(name), program=program, **settings)
        try:
            began, cpu = time.monotonic(), cpu_seconds(worker.pid)
            wait_for(lambda: query(worker.database, PROCESSED)[0][0] >= events or not worker.is_running(),
                     f"{events} processed events", DEADLINE_SECONDS, 0.01)
            seconds, cpu = time.monotonic() - began, cpu_seconds(worker.pid) - cpu
            if not worker.is_running() or worker.stop() != 0:
                raise RuntimeError(f"the worker did not end well:\n{worker.log_text()[-2000:]}")
        finally:
            if worker.is_running():
                worker.kill()
    return events / seconds, cpu * 1e6 / events

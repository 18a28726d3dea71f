# SPDX-License-Identifier: Apache-2.0
"""A broker for the session; for each test an empty one of its queues, and services that must end well."""
import contextlib
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.amqp_proxy import AmqpProxy  # noqa: E402
from harness.broker import Broker  # noqa: E402
from harness.service import Process, Server, Worker  # noqa: E402

LOG_LINES_SHOWN = 60
# Minutes in all: they begin first, so that no worker is left with them when the others have ended.
LONG = ("test_parked.py", "test_lanes.py", "test_broker_connection.py", "test_broker_faults.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def session_broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def broker(session_broker: Broker) -> Broker:
    session_broker.reset()
    return session_broker


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """For tests that kill it."""
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path


def print_log(process: Process) -> None:
    """pytest shows it when the test fails."""
    print(f"--- {process.log_path.name}:", *process.log_text().splitlines()[-LOG_LINES_SHOWN:], sep="\n")


def end_well(process: Process) -> None:
    """What a test left running must stop in time, and none may have met a fault."""
    try:
        code = process.stop() if process.is_running() else None
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    finally:
        print_log(process)
    assert process.faults() == []
    assert code in (None, 0), f"it stopped with exit code {code}"


@pytest.fixture
def start(folder: pathlib.Path) -> Iterator[Callable[..., Process]]:
    """start(Server, …), start(Worker, …): in the test's folder, ended with it."""
    started: list[Process] = []

    def start_one(kind: type[Process], *arguments: str, **settings: str) -> Process:
        started.append(kind(folder, *arguments, **settings))
        return started[-1]

    yield start_one
    with contextlib.ExitStack() as stack:  # which ends all of them, also after one that did not end well
        for process in started:
            stack.callback(end_well, process)


@pytest.fixture
def server(start: Callable[..., Process], broker: Broker) -> Server:
    return start(Server, RABBIT_MQ_URL=broker.url)


@pytest.fixture
def worker(start: Callable[..., Process], broker: Broker) -> Worker:
    return start(Worker, RABBIT_MQ_URL=broker.url)


@pytest.fixture
def proxy(broker: Broker) -> Iterator[AmqpProxy]:
    port = int(broker.url.rstrip("/").rsplit(":", 1)[1])
    with AmqpProxy("127.0.0.1", port) as proxy:
        yield proxy

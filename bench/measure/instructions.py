# SPDX-License-Identifier: Apache-2.0
"""Instructions per request by callgrind: the one figure that another load on the machine does not change.

64 connections each send one request, 16 times over, to a service with one http thread, one bridge and no broker. While
the requests are written the service is stopped (SIGSTOP), so it finds all 64 at once, in one turn of its loop and one
transaction; that and the fixed number make the count repeatable. What the store writes behind its batches is written when
nobody waits and 1,024 entries are there, so that many requests are one count: from the first of them, with nothing left of
those before, until all threads have come to rest.
"""
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable

from harness.service import Server
from harness.waiting import wait_for

from . import ROOT

CONNECTIONS, ROUNDS = 64, 16
REST_NOISE_SECONDS = 0.02  # a timer that looks around and finds nothing
REST_SECONDS = 0.3  # the store takes a tenth of a second without a request for leisure
RISE_MAX = 0.05
RISE_MAX_ELSEWHERE = 0.25  # with another compiler or another library
RECORD = ROOT / "bench" / "instructions.tsv"
LIBRARIES = ("libc6", "libh2o-evloop0.13", "libzmq5", "libsqlite3-0", "libjansson4", "valgrind")
WHAT = ("post", "get")


# --- the load -----------------------------------------------------------------------------------------------------


def post(number: int) -> bytes:
    body = f'{{"email": "user{number:06d}@example.org", "first_name": "Ada", "last_name": "Lovelace"}}'
    return (f"POST /users HTTP/1.1\r\nHost: userbus\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def get(number: int) -> bytes:
    return f"GET /users/user{number:06d}@example.org HTTP/1.1\r\nHost: userbus\r\n\r\n".encode()


def answer(connection: socket.socket) -> None:
    """Reads one; anything but 200 fails."""
    text = b""
    while True:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError("closed instead of an answer")
        text += more
        head, found, body = text.partition(b"\r\n\r\n")
        if not found:
            continue
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"not answered 200: {text[:300]!r}")
        if len(body) >= int(re.search(rb"(?i)content-length: *(\d+)", head)[1]):
            return


def is_stopped(pid: int) -> bool:
    """All threads of it."""
    return all(task.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[0] in "Tt"
               for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"))


def round_of(server: Server, connections: list[socket.socket], requests: Iterable[bytes]) -> None:
    server.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: is_stopped(server.pid), "a stopped service", every=0.001)
        for connection, request in zip(connections, requests):
            connection.sendall(request)
    finally:
        server.process.send_signal(signal.SIGCONT)
    for connection in connections:
        answer(connection)


def run_seconds(pid: int) -> float | None:
    """CPU time of its threads; None while one of them runs or wants to."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[0] != "S":
                return None
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except (FileNotFoundError, ProcessLookupError):
            return None
    return total / 1e9


def await_rest(pid: int) -> None:
    """Until nothing ran for a while."""
    last, since = run_seconds(pid), time.monotonic()

    def rests() -> bool:
        nonlocal last, since
        now = run_seconds(pid)
        if now is None or last is None or now > last + REST_NOISE_SECONDS:
            last, since = now, time.monotonic()
        return time.monotonic() - since >= REST_SECONDS

    wait_for(rests, "a service at rest", 60, 0.01)


# --- callgrind ----------------------------------------------------------------------------------------------------


def parse_callgrind(text: str) -> dict[str, int]:
    """Instructions of their own by the object that they are in ("libsqlite3.so.0.8.6")."""
    names: dict[str, str] = {}
    found: dict[str, int] = {}
    current, skip = "?", False
    for line in text.splitlines():
        if line.startswith(("ob=", "cob=")):
            number, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[number] = pathlib.PurePath(name).name
            if line[0] == "o":
                current = names[number]
        elif line.startswith("calls="):
            skip = True  # the next line is what the called one took
        elif line[:1] in "0123456789+-*" and line[:1]:
            if not skip:
                found[current] = found.get(current, 0) + int(line.split()[1])
            skip = False
    return found


def control(server: Server, *arguments: str) -> None:
    subprocess.run(["callgrind_control", *arguments, str(server.pid)], check=True, capture_output=True)


class Counted:
    """A service under callgrind."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.out = folder / "callgrind.out"
        # A broker that takes a connection and never says a word is dialled once in five seconds; a closed port more often.
        self.deaf = socket.create_server(("127.0.0.1", 0))
        self.server = Server(folder, prefix=("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={self.out}"),
                             RABBIT_MQ_URL=f"amqp://guest:guest@127.0.0.1:{self.deaf.getsockname()[1]}/",
                             HTTP_THREADS="1")
        self.connections = [socket.create_connection((self.server.host, self.server.port), timeout=60)
                            for _ in range(CONNECTIONS)]
        self.dumps = 0

    def rounds(self, request, first: int, count: int) -> None:
        for i in range(count):
            numbers = range(first + i * CONNECTIONS, first + (i + 1) * CONNECTIONS)
            round_of(self.server, self.connections, map(request, numbers))

    def count(self, request, first: int) -> dict[str, float]:
        """Instructions per request, by object."""
        await_rest(self.server.pid)
        control(self.server, "--zero")
        self.rounds(request, first, ROUNDS)
        await_rest(self.server.pid)
        control(self.server, "--dump")
        self.dumps += 1
        dump = self.out.with_name(f"{self.out.name}.{self.dumps}")
        wait_for(dump.exists, "callgrind's dump")
        return {name: cost / (ROUNDS * CONNECTIONS) for name, cost in parse_callgrind(dump.read_text()).items()}

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.server.stop()
        self.deaf.close()


def measure() -> dict[str, dict[str, float]]:
    """post and get: instructions per request by object."""
    with tempfile.TemporaryDirectory(prefix="userbus-bench-") as folder:
        counted = Counted(pathlib.Path(folder))
        try:
            first = ROUNDS * CONNECTIONS
            counted.rounds(post, 0, ROUNDS)
            await_rest(counted.server.pid)
            counted.rounds(get, 0, ROUNDS)
            return {"post": counted.count(post, first), "get": counted.count(get, first)}
        finally:
            counted.close()


def total(by_object: dict[str, float]) -> float:
    return sum(by_object.values())


def shares(by_object: dict[str, float]) -> list[str]:
    """The largest, as text."""
    largest = sorted(by_object.items(), key=lambda pair: -pair[1])[:7]
    return [f"{name.split('.so')[0]} {cost / total(by_object):.0%}" for name, cost in largest]


# --- the record ---------------------------------------------------------------------------------------------------


def machine() -> str:
    """What the count depends on besides our source: the compiler and the libraries."""
    compiler = subprocess.run(["cc", "-dumpfullversion"], check=True, text=True, capture_output=True).stdout.strip()
    lines = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}, ", *LIBRARIES], check=True, text=True,
                           capture_output=True).stdout.rstrip(", ")
    return f"cc {compiler}, {lines}"


def read_record(text: str) -> tuple[str, dict[str, float]]:
    """The machine and the figures of instructions.tsv."""
    on, figures = "", {}
    for line in text.splitlines():
        if line.startswith("# with "):
            on = line.removeprefix("# with ")
        elif line and not line.startswith("#"):
            name, figure = line.split("\t")
            figures[name] = float(figure)
    return on, figures


def write_record(on: str, figures: dict[str, float]) -> str:
    head = ("# Instructions per request, recorded by `bench/run --quick --accept`. Where compiler or libraries differ\n"
            "# from these, a rise of 25% fails instead of 5%: then record anew on the machine whose verdict counts.\n"
            f"# with {on}\n")
    return head + "".join(f"{name}\t{figure:.0f}\n" for name, figure in figures.items())


def judge(recorded: float, figure: float, same_machine: bool) -> bool:
    """True: it has not risen too much."""
    return figure <= recorded * (1 + (RISE_MAX if same_machine else RISE_MAX_ELSEWHERE))


def median_of(samples: list[dict[str, dict[str, float]]], what: str) -> tuple[float, float]:
    """Median, and the spread as a share of it."""
    totals = [total(sample[what]) for sample in samples]
    middle = statistics.median(totals)
    return middle, (max(totals) - min(totals)) / middle

# SPDX-License-Identifier: Apache-2.0
"""wrk: the load of every benchmark, and what it says."""
import re
import subprocess
from dataclasses import dataclass

from . import BENCH

USERS = str(BENCH / "users.lua")
PAUSE = str(BENCH / "pause.lua")


@dataclass
class Told:
    """requests/s, milliseconds."""

    requests: int
    refused: int  # not answered 2xx or 3xx
    rate: float
    p50: float
    p99: float
    longest: float


def milliseconds(text: str) -> float:
    """"1.93ms", "130.00us", "1.02s", "1.50m"."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def parse(text: str) -> Told:
    """What wrk --latency prints."""
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Told(requests=int(re.search(r"(\d+) requests in", text)[1]),
                refused=int(refused[1]) if refused else 0,
                rate=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
                p50=milliseconds(re.search(r"\b50%\s+(\S+)", text)[1]),
                p99=milliseconds(re.search(r"\b99%\s+(\S+)", text)[1]),
                longest=milliseconds(re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text)[1]))


def run(url: str, what: str, seconds: int, connections: int, *arguments: str) -> Told:
    """One thread of wrk. what: a path that is asked for again and again, or a kind of request of users.lua, to which the
    arguments go."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    if what.startswith("/"):
        command.append(url + what)
    else:
        command += ["-s", USERS, url, "--", what, *arguments]
    return parse(subprocess.run(command, check=True, text=True, capture_output=True).stdout)


def run_paused(url: str, path: str, seconds: int, connections: int, pause_ms: int) -> Told:
    """Each connection waits before each request."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", PAUSE, url + path,
               "--", str(pause_ms)]
    return parse(subprocess.run(command, check=True, text=True, capture_output=True).stdout)


def must_all_be_answered(told: Told, what: str, log: str = "") -> None:
    if told.refused:
        raise RuntimeError(f"{what}: {told.refused} of {told.requests} requests were not answered 200\n{log[-2000:]}")

# SPDX-License-Identifier: Apache-2.0
"""wrk: the load of every benchmark, and what it says."""
import re
import subprocess
from dataclasses import dataclass

from . import BENCH

USERS = str(BENCH / "users.lua")


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
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise RuntimeError(f"not a time of wrk: {text!r}")
    number, unit = found.groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000, "h": 3600000}[unit]


def parse(text: str) -> Told:
    """What wrk --latency prints. RuntimeError: no request was answered."""
    if re.search(r"\b0 requests in", text):
        raise RuntimeError(f"no request was answered:\n{text}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Told(requests=int(re.search(r"(\d+) requests in", text)[1]),
                refused=int(refused[1]) if refused else 0,
                rate=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
                p50=milliseconds(re.search(r"(?m)^ +50% +(\S+)$", text)[1]),
                p99=milliseconds(re.search(r"(?m)^ +99% +(\S+)$", text)[1]),
                longest=milliseconds(re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text)[1]))


def run(url: str, what: str, seconds: int, connections: int, *arguments: str) -> Told:
    """One thread of wrk. what: a path that is asked for again and again, or a kind of request of users.lua, to which the
    arguments go: `create`, or `read`, 1000, 5 with a pause of 5 ms."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    if what.startswith("/"):
        command.append(url + what)
    else:
        command += ["-s", USERS, url, "--", what, *arguments]
    return parse(subprocess.run(command, check=True, text=True, capture_output=True).stdout)


def must_all_be_answered(told: Told, what: str, log: str = "") -> None:
    if told.refused:
        raise RuntimeError(f"{what}: {told.refused} of {told.requests} requests were not answered 200\n{log[-2000:]}")

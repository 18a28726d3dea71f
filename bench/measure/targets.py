# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: what is measured, its target, and which of the machine's own limits stands beside it."""
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """bound: "<=" or ">="; empty: the row has no target and stands there to be read. limit: a name for what the machine
    itself can do and how that follows from the measured limits."""

    key: str
    title: str
    unit: str
    bound: str = ""
    target: float = 0.0
    digits: int = 1
    limit: str = ""
    limit_of: Callable[[Figures], float] | None = field(default=None, compare=False)


def _sum(*names: str) -> Callable[[Figures], float]:
    return lambda limits: sum(limits[name] for name in names)


def _rate_of_hello(name: str) -> Callable[[Figures], float]:
    """What a step of so many microseconds alone allows, in % of hello's rate."""
    return lambda limits: 1e8 / limits[name] / limits["hello_rate"]


ROWS = (
    Row("post_cpu", "POST /users, service CPU, drain included", "us", "<=", 20, 1, "hello + group commit + raw publish",
        _sum("hello_cpu_us", "commit_cpu_us", "publish_cpu_us")),
    Row("post_of_livez", "POST of /livez, broker on the machine", "%", ">=", 30, 1, "raw publish of hello",
        _rate_of_hello("publish_us")),
    Row("post_of_livez_alone", "POST of /livez, broker away", "%", ">=", 45, 1, "group commit of hello",
        _rate_of_hello("commit_us")),
    Row("get_of_post", "GET (counted, announced) of POST", "%", ">=", 100, 1),
    Row("read_of_livez", "GET with read_events=off of /livez", "%", ">=", 60, 1),
    Row("post_p99_of_p50", "POST p99 of p50", "x", "<=", 3, 1),
    Row("post_p99", "POST p99", "ms", "<=", 8, 2, "one sync", lambda limits: limits["sync_us"] / 1000),
    Row("drain", "backlog empty after the load", "s", "<=", 1, 2),
    Row("bridge_cpu", "bridge CPU per event, all headers", "us", "<=", 1.5, 2, "raw publish",
        lambda limits: limits["publish_cpu_us"]),
    Row("bridge_cpu_minimal", "  the same, event_headers=minimal", "us", digits=2),
    Row("consumer_rate", "worker, built-in processors", "/s", ">=", 25000, 0),
    Row("consumer_cpu", "worker CPU per event", "us", "<=", 15, 1, "group commit", lambda limits: limits["commit_cpu_us"]),
    Row("large_post", "POST, large store, of the empty store's", "%", ">=", 75, 1),
    Row("large_get", "GET, large store, of the empty store's", "%", ">=", 75, 1),
    Row("rss_idle", "memory, idle", "MB", "<=", 16, 1),
    Row("rss_busy", "memory, 1,000 connections", "MB", "<=", 48, 1),
    Row("rss_growth", "memory growth over the load", "%", "<=", 5, 1),
    Row("start", "start to first answer, 1 million users", "ms", "<=", 50, 1),
    Row("growth", "POST CPU at 16 to 1,024 connections, above the least", "%", "<=", 25, 1),
    Row("livez_rate", "GET /livez", "/s", digits=0, limit="hello", limit_of=lambda limits: limits["hello_rate"]),
    Row("post_rate", "POST, broker on the machine", "/s", digits=0, limit="raw publish",
        limit_of=lambda limits: 1e6 / limits["publish_us"]),
    Row("post_rate_alone", "POST, broker away", "/s", digits=0, limit="group commit",
        limit_of=lambda limits: 1e6 / limits["commit_us"]),
    Row("get_rate", "GET, broker on the machine", "/s", digits=0),
    Row("get_cpu", "GET, service CPU, drain included", "us"),
    Row("post_rate_minimal", "POST, event_headers=minimal", "/s", digits=0),
    Row("post_instructions", "instructions per POST", "", digits=0),
    Row("get_instructions", "instructions per GET", "", digits=0),
)
BY_KEY = {row.key: row for row in ROWS}

_BOUNDS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Result:
    """What was found of a row. quiet: every sample was taken while the machine was."""

    samples: tuple[float, ...]
    quiet: bool

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def verdict(row: Row, result: Result) -> str:
    """`ok`, `short`; `busy` when the machine was, so that nothing can be told; empty without a target."""
    if not row.bound:
        return ""
    if not result.quiet:
        return "busy"
    return "ok" if _BOUNDS[row.bound](result.median, row.target) else "short"


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def beside(row: Row, limits: Figures) -> str:
    """The machine's limit as text, empty when it was not measured."""
    if row.limit_of is None:
        return ""
    try:
        return f"{number(row.limit_of(limits), row.digits)} {row.limit}"
    except KeyError:
        return ""


def line(row: Row, result: Result, limits: Figures) -> Sequence[str]:
    """title, median, spread, target, verdict, limit."""
    low, high = min(result.samples), max(result.samples)
    target = f"{row.bound} {number(row.target, 0 if row.target == int(row.target) else 1)} {row.unit}" if row.bound else ""
    return (row.title, f"{number(result.median, row.digits)} {row.unit}".rstrip(),
            f"{number(low, row.digits)}-{number(high, row.digits)}", target, verdict(row, result), beside(row, limits))


HEADINGS = ("what", "median", "spread", "target", "", "this machine's limit")


def table(lines: Sequence[Sequence[str]], headings: Sequence[str] = HEADINGS) -> str:
    """The first column and the last are flush left, the others right."""
    rows = [headings, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(headings))]
    last = len(headings) - 1
    return "\n".join("  ".join(text.ljust(widths[i]) if i in (0, last) else text.rjust(widths[i])
                               for i, text in enumerate(row)).rstrip() for row in rows)

# SPDX-License-Identifier: Apache-2.0
"""bench/history.tsv: every row that was ever measured, so that a slow decline shows."""
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from . import BENCH
from .targets import BY_KEY, Result

PATH = BENCH / "history.tsv"
COLUMNS = ("commit", "date", "row", "median", "low", "high", "runs", "verdict", "limits")


@dataclass(frozen=True)
class Entry:
    commit: str
    date: str
    row: str
    median: float
    low: float
    high: float
    runs: int
    verdict: str
    limits: dict[str, float]

    def line(self) -> str:
        limits = " ".join(f"{name}={value:.6g}" for name, value in self.limits.items())
        return "\t".join((self.commit, self.date, self.row, f"{self.median:.6g}", f"{self.low:.6g}", f"{self.high:.6g}",
                          str(self.runs), self.verdict, limits)) + "\n"


def entry(commit: str, date: str, row: str, result: Result, told: str, limits: Mapping[str, float]) -> Entry:
    return Entry(commit, date, row, result.median, min(result.samples), max(result.samples), len(result.samples),
                 told or ("" if result.quiet else "busy"), dict(limits))


def parse(text: str) -> list[Entry]:
    """Rows that are not known any more are left out."""
    found = []
    for line in text.splitlines()[1:]:
        commit, date, row, median, low, high, runs, verdict, limits = line.split("\t")
        if row in BY_KEY:
            found.append(Entry(commit, date, row, float(median), float(low), float(high), int(runs), verdict,
                               {name: float(value) for name, value in (pair.split("=") for pair in limits.split())}))
    return found


def read(path: pathlib.Path = PATH) -> list[Entry]:
    return parse(path.read_text(encoding="utf-8")) if path.exists() else []


def append(entries: list[Entry], path: pathlib.Path = PATH) -> None:
    text = "" if path.exists() else "\t".join(COLUMNS) + "\n"
    with open(path, "a", encoding="utf-8") as file:
        file.write(text + "".join(entry.line() for entry in entries))

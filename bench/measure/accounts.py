# SPDX-License-Identifier: Apache-2.0
"""The kernel's accounts: CPU time of processes, threads and the machine, resident memory; and the rule by which a run
does not count.

The rule: while something was measured, all processes but ours (this one, its children, the broker) may have used at
most OTHERS_MAX of the CPU time that ours used. What the kernel itself does on our behalf (interrupts, writing back)
is among the others, so the bound leaves room for that.
"""
import os
import pathlib
from collections.abc import Sequence

OTHERS_MAX = 0.10
TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
RULE = (f"a run counts when all other processes together used at most {OTHERS_MAX:.0%} of the CPU time of ours "
        "(bench, load, service, worker, broker)")


def stat_seconds(text: str) -> tuple[float, float]:
    """User and system time of a line of /proc/PID/stat, whose second field may hold anything."""
    fields = text.rsplit(")", 1)[1].split()
    return int(fields[11]) * TICK, int(fields[12]) * TICK


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, or 0 when it is gone."""
    try:
        return sum(stat_seconds(pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def thread_seconds(pid: int) -> dict[str, tuple[float, float]]:
    """User and system time by the name of a thread; threads of one name are added up."""
    found: dict[str, tuple[float, float]] = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        user, system = found.get(name, (0.0, 0.0))
        more = stat_seconds(text)
        found[name] = (user + more[0], system + more[1])
    return found


def busy_seconds(stat: str) -> float:
    """Of the first line of /proc/stat: all but idle and waiting for the disk."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK


def resident_mb(pid: int) -> float:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text(encoding="ascii").split():
                found += tree(int(child))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def others_share(machine: float, ours: float) -> float:
    """What others used, as a share of ours; all in seconds. The kernel samples the one and counts the other, so the
    difference may be a little below nothing."""
    if ours <= 0:
        return float("inf") if machine > 0 else 0.0
    return max(0.0, machine - ours) / ours


def is_quiet(share: float) -> bool:
    return share <= OTHERS_MAX


class Watch:
    """What the machine did between `begin` and `share`. Children must begin and end within, but those of `pids`, which
    live through it."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self.pids = pids
        self.machine, self.ours = self._machine(), self._ours()

    @staticmethod
    def _machine() -> float:
        return busy_seconds(pathlib.Path("/proc/stat").read_text(encoding="ascii"))

    def _ours(self) -> float:
        times = os.times()
        return (times.user + times.system + times.children_user + times.children_system
                + sum(cpu_seconds(pid) for pid in self.pids))

    def share(self) -> float:
        return others_share(self._machine() - self.machine, self._ours() - self.ours)

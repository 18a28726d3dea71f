# SPDX-License-Identifier: Apache-2.0
"""Plays scenes in turn and keeps what was seen, with what the machine did meanwhile."""
import contextlib
import fcntl
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import limits
from .accounts import Watch, is_quiet
from .scenes import Scene, Seen, Stage, scenes
from .targets import BY_KEY, Result


@dataclass
class Played:
    scene: Scene
    seen: Seen
    others: float  # share of the CPU time of all other processes in ours

    @property
    def counts(self) -> bool:
        return is_quiet(self.others) or not self.scene.depends_on_time


@dataclass
class Outcome:
    played: list[Played] = field(default_factory=list)

    def of(self, name: str) -> list[Played]:
        return [played for played in self.played if played.scene.name == name]

    def results(self) -> dict[str, Result]:
        """By row, in the table's order. Samples of a busy machine stand in only where there is no other."""
        found = {}
        for key in BY_KEY:
            of_row = [played for played in self.played if key in played.seen.figures]
            good = [played for played in of_row if played.counts]
            if of_row:
                found[key] = Result(tuple(played.seen.figures[key] for played in good or of_row), bool(good))
        return found

    def limits(self) -> dict[str, float]:
        samples = self.of("limits")
        return limits.medians([played.seen.plots["limits"] for played in [p for p in samples if p.counts] or samples])


@contextlib.contextmanager
def turn(lock: pathlib.Path | None) -> Iterator[None]:
    """Several who share a machine measure one after the other."""
    if lock is None:
        yield
        return
    with open(lock, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def play_once(scene: Scene, stage: Stage, lock: pathlib.Path | None) -> Played:
    with turn(lock):
        watch = Watch(stage.broker.pids())
        seen = scene.play(stage)
        return Played(scene, seen, watch.share())


def play(scene: Scene, stage: Stage, tries: int, lock: pathlib.Path | None) -> Played:
    """The quietest of at most so many tries."""
    found: list[Played] = []
    while not found or (not found[-1].counts and len(found) < tries):
        found.append(play_once(scene, stage, lock))
        print(f"  {scene.name:12} others used {found[-1].others:.0%} of ours{'' if found[-1].counts else ': busy'}",
              file=sys.stderr, flush=True)
    return min(found, key=lambda played: played.others)


def chosen(only: list[str]) -> tuple[Scene, ...]:
    """The scenes of these rows, and the limits beside them; all when there are none. A row that is not known: KeyError."""
    for key in only:
        BY_KEY[key]
    return tuple(scene for scene in scenes() if not only or scene.name == "limits" or set(only) & set(scene.rows))


def play_all(stage: Stage, only: list[str], runs: int, tries: int, lock: pathlib.Path | None) -> Outcome:
    """Ctrl-C ends it early, with what was played until then."""
    outcome, wanted = Outcome(), chosen(only)
    try:
        for i in range(runs):
            print(f"run {i + 1} of {runs}", file=sys.stderr, flush=True)
            for scene in wanted:
                if i == 0 or not scene.once:
                    outcome.played.append(play(scene, stage, tries, lock))
    except KeyboardInterrupt:
        print("ended early", file=sys.stderr)
    return outcome

# SPDX-License-Identifier: Apache-2.0
"""Where the time goes: the service's threads by the kernel's accounts, and libraries by instructions."""
import statistics

from . import instructions
from .play import Outcome

STAGES = ("http", "store", "checkpoint", "bridge", "rest")


def stage_medians(outcome: Outcome, plot: str) -> dict[str, tuple[float, float]]:
    """User and system us per request by stage; empty when it was not played."""
    seen = [played.seen.plots[plot] for played in outcome.played if plot in played.seen.plots]
    return {stage: (statistics.median(one.get(stage, (0.0, 0.0))[0] for one in seen),
                    statistics.median(one.get(stage, (0.0, 0.0))[1] for one in seen))
            for stage in STAGES if any(stage in one for one in seen)}


def object_shares(outcome: Outcome, what: str) -> dict[str, float]:
    """Instructions per request by library, the largest first."""
    played = outcome.of("instructions")
    if not played:
        return {}
    counted = played[-1].seen.plots["objects"][what]
    return dict(sorted(counted.items(), key=lambda pair: -pair[1]))


def lines(outcome: Outcome) -> list[str]:
    """For the terminal."""
    told = []
    for name, plot in (("POST", "post_stages"), ("GET", "get_stages")):
        found = stage_medians(outcome, plot)
        whole = sum(map(sum, found.values()))
        if whole > 0:
            told.append(f"\n{name}: {whole:.1f} us of CPU, of them (user + system) " + ", ".join(
                f"{stage} {user:.1f} + {system:.1f} ({(user + system) / whole:.0%})"
                for stage, (user, system) in found.items()))
    for what in instructions.WHAT:
        counted = object_shares(outcome, what)
        if counted:
            told.append(f"{what.upper()}: instructions " + ", ".join(instructions.shares(counted)))
    return told

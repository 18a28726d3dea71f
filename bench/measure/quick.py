# SPDX-License-Identifier: Apache-2.0
"""bench/run --quick: instructions per request against the recorded ones; what CI runs."""
import sys

from . import instructions

RUNS = 5
MOST = 8  # samples, when the first spread too far
SPREAD_MAX = 0.01


def measure() -> list[dict[str, dict[str, float]]]:
    """A sample that fell out is replaced: up to three, the farthest from the median."""
    samples = [instructions.measure() for _ in range(RUNS)]
    while len(samples) < MOST and spread(trimmed(samples)) > SPREAD_MAX:
        samples.append(instructions.measure())
    return trimmed(samples)


def spread(samples: list[dict[str, dict[str, float]]]) -> float:
    return max(instructions.median_of(samples, what)[1] for what in instructions.WHAT)


def trimmed(samples: list[dict[str, dict[str, float]]]) -> list[dict[str, dict[str, float]]]:
    """The RUNS that lie nearest to the medians."""
    middle = {what: instructions.median_of(samples, what)[0] for what in instructions.WHAT}

    def distance(sample: dict[str, dict[str, float]]) -> float:
        return max(abs(instructions.total(sample[what]) / middle[what] - 1) for what in instructions.WHAT)

    return sorted(samples, key=distance)[:RUNS]


def run(accept: bool) -> int:
    """The exit code."""
    on = instructions.machine()
    samples = measure()
    figures = {what: instructions.median_of(samples, what)[0] for what in instructions.WHAT}
    if accept:
        instructions.RECORD.write_text(instructions.write_record(on, figures), encoding="utf-8")
    recorded_on, recorded = instructions.read_record(instructions.RECORD.read_text(encoding="utf-8"))
    same = on == recorded_on
    good = True
    print(f"{'instructions per':18} {'median':>10} {'spread':>8} {'recorded':>10} {'change':>8}")
    for what, figure in figures.items():
        fine = instructions.judge(recorded[what], figure, same)
        good = good and fine
        print(f"{what.upper():18} {figure:10,.0f} {instructions.median_of(samples, what)[1]:8.2%} {recorded[what]:10,.0f}"
              f" {figure / recorded[what] - 1:+8.1%}  {'ok' if fine else 'short'}")
        print("  of them: " + ", ".join(instructions.shares(samples[0][what])))
    if not same:
        print(f"recorded with {recorded_on};\nhere          {on}: a rise of {instructions.RISE_MAX_ELSEWHERE:.0%} fails, not of"
              f" {instructions.RISE_MAX:.0%}. bench/run --quick --accept records what this machine counts.")
    if not good:
        print("A request takes more instructions than recorded. If that is the price of something wanted:"
              " bench/run --quick --accept, and say why in the commit.", file=sys.stderr)
    return 0 if good else 1

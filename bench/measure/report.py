# SPDX-License-Identifier: Apache-2.0
"""bench/report.html: the table and plots in one file that needs nothing else. Drawn anew by each run of bench/run; not
kept in the repository, as history.tsv is."""
import html
import statistics

from . import BENCH, limits, plots, shares, targets
from .history import Entry
from .instructions import WHAT
from .play import Outcome

PATH = BENCH / "report.html"
OVER_TIME = ("post_cpu", "get_cpu", "bridge_cpu", "consumer_cpu", "post_of_livez", "post_p99", "post_instructions",
             "get_instructions", "large_post", "large_get")

STYLE = """
:root { color-scheme: light dark; --back: #fcfcfb; --text: #1d1f21; --faint: #5c6166; --line: #d9dadb; --good: #14692f;
  --bad: #a3211a; --busy: #7a5200; --c0: #2a64ad; --c1: #c8631a; --c2: #2f8558; --c3: #8450a8; --c4: #a98600; --c5: #b03a5b;
  --c6: #37818c; --c7: #74777b }
@media (prefers-color-scheme: dark) { :root { --back: #17191b; --text: #e6e7e8; --faint: #a4a9ae; --line: #3a3e42;
  --good: #6fcf8b; --bad: #ff8f86; --busy: #e2b04a; --c0: #6ea8ea; --c1: #ef9450; --c2: #63bd8b; --c3: #bd90dd; --c4: #d8b84a;
  --c5: #e57f9c; --c6: #6dbcc7; --c7: #9da1a6 } }
body { font: 16px/1.5 system-ui, sans-serif; background: var(--back); color: var(--text); max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem } h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem } h3 { font-size: 1rem; margin: 1rem 0 .2rem } p { color: var(--faint) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums;
  white-space: nowrap }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; white-space: normal }
.ok { color: var(--good) } .short { color: var(--bad); font-weight: 700 } .busy { color: var(--busy) }
svg { width: 100%; height: auto; max-width: 720px; display: block } svg text { font-size: 13px; fill: var(--text) }
svg .value { fill: var(--faint) } svg .grid { stroke: var(--line) } svg polyline { fill: none; stroke-width: 2 }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: .2rem 0; font-size: .9rem }
.legend span { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
""" + "".join(f".c{i} {{ fill: var(--c{i}); background: var(--c{i}) }} .l{i} {{ stroke: var(--c{i}) }}\n" for i in range(8))


def table(rows: list, headings: tuple) -> str:
    """A verdict is also said by its word, not by colour alone."""
    def cell(text: str) -> str:
        kind = f' class="{text}"' if text in ("ok", "short", "busy") else ""
        return f"<td{kind}>{html.escape(text)}</td>"

    head = "".join(f'<th scope="col">{html.escape(heading) or "verdict"}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def section(title: str, text: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{body}</section>"


def stage_plot(outcome: Outcome) -> list[str]:
    found = {name: shares.stage_medians(outcome, plot) for name, plot in (("POST", "post_stages"), ("GET", "get_stages"))}
    rows = [(name, [sum(stages.get(stage, (0.0, 0.0))) for stage in shares.STAGES]) for name, stages in found.items() if stages]
    if not rows:
        return []
    return [section("Where a request's CPU time goes", "By thread of the service, user and system time, drain included.",
                    plots.bars("CPU per request by thread", rows, shares.STAGES, "us"))]


def library_plot(outcome: Outcome) -> list[str]:
    counted = {what: shares.object_shares(outcome, what) for what in WHAT}
    if not all(counted.values()):
        return []
    names = list(counted["post"])[:6]
    rows = [(what.upper(), [found.get(name, 0.0) for name in names]
             + [sum(cost for name, cost in found.items() if name not in names)]) for what, found in counted.items()]
    return [section("Instructions per request", "By the library that executes them; callgrind, 64 requests at a time, no broker.",
                    plots.bars("Instructions by library", rows, [name.split(".so")[0] for name in names] + ["rest"], ""))]


def growth_plot(outcome: Outcome) -> list[str]:
    samples = [played.seen.plots["growth"] for played in outcome.of("growth")]
    if not samples:
        return []
    points = [(count, statistics.median(sample[count] for sample in samples)) for count in samples[0]]
    return [section("How cost grows with connections", "CPU of the service per POST, drain included.",
                    plots.lines("CPU per POST", [("POST", points)], "connections", "us", logarithmic=True))]


def store_plot(outcome: Outcome) -> list[str]:
    samples = [played.seen.plots["stores"] for played in outcome.of("large")]
    if not samples:
        return []
    rows = [(f"{what}, {store}", [statistics.median(sample[store][i] for sample in samples)])
            for i, what in enumerate(("POST", "GET")) for store in ("empty", "large")]
    return [section("A large store", "Requests per second without a broker; large:"
                    f" {samples[0]['users']:,} users, emails all over the alphabet.", plots.bars("Requests per second by store", rows, ["requests"], "/s"))]


def memory_plot(outcome: Outcome) -> list[str]:
    samples = [played.seen.plots["memory"] for played in outcome.of("memory")]
    if not samples:
        return []
    points = [(float(second), value) for second, value in enumerate(samples[0], 1)]
    return [section("Memory under load", "Resident memory of the service; every request is an event, old ones are trimmed.",
                    plots.lines("Resident memory", [("resident", points)], "seconds", "MB"))]


def over_time(history: list[Entry]) -> list[str]:
    """Rows that were measured at more than one commit, quietly."""
    drawn = []
    for key in OVER_TIME:
        entries = [entry for entry in history if entry.row == key and entry.verdict != "busy"]
        if len({entry.commit for entry in entries}) < 2:
            continue
        row = targets.BY_KEY[key]
        names = [entry.commit for entry in entries]
        points = [(float(i), entry.median) for i, entry in enumerate(entries)]
        unit = row.unit or "instructions"
        drawn.append(f"<h3>{html.escape(f'{row.title}, {unit}')}</h3>"
                     + plots.lines(row.title, [(row.title, points)], "commit", unit, x_names=names))
    if not drawn:
        return []
    return [section("Over time", "Medians by commit (bench/history.tsv).", "".join(drawn))]


def page(outcome: Outcome, entries: list[Entry], history: list[Entry]) -> str:
    found, machine = outcome.results(), outcome.limits()
    rows = [targets.line(targets.BY_KEY[key], result, machine) for key, result in found.items()]
    bounds = [(limits.NAMES[name].strip(), targets.number(value, 2)) for name, value in machine.items()]
    about = f"Commit {entries[0].commit}, {entries[0].date}. Client, service and broker share one machine." if entries else ""
    parts = [section("Figures and targets", about, table(rows, targets.HEADINGS)),
             *stage_plot(outcome), *library_plot(outcome), *growth_plot(outcome), *store_plot(outcome), *memory_plot(outcome),
             section("What the machine itself can do", "Measured in the same run.", table(bounds, ("what", "median"))),
             *over_time(history)]
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>userbus: speed</title><style>{STYLE}</style></head><body><main><h1>userbus: speed</h1>{''.join(parts)}"
            "</main></body></html>\n")


def write(outcome: Outcome, entries: list[Entry], history: list[Entry]) -> None:
    PATH.write_text(page(outcome, entries, history), encoding="utf-8")

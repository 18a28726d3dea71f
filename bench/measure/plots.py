# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG text, without a library. Colours are classes that the page's style sheet gives meaning to, so that they
follow light and dark; every plot has a title and a description for those who do not see it."""
import html
import itertools
import math
from collections.abc import Sequence

WIDTH, LEFT, RIGHT, ROW, PAD = 720, 150, 70, 34, 8
HEIGHT, TOP, BOTTOM = 240, 14, 44
_ids = itertools.count()


def text_of(value: float) -> str:
    """Three digits that matter, with thousands set apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def svg(title: str, description: str, height: float, parts: Sequence[str]) -> str:
    number = next(_ids)
    return (f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-labelledby="t{number} d{number}">'
            f'<title id="t{number}">{html.escape(title)}</title><desc id="d{number}">{html.escape(description)}</desc>'
            + "".join(parts) + "</svg>")


def label(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>'
            f'{html.escape(text)}</text>')


def bars(title: str, rows: Sequence[tuple[str, Sequence[float]]], parts_named: Sequence[str], unit: str) -> str:
    """A row is a label and the lengths of its parts, laid end to end, in the order of their names."""
    longest = max((sum(values) for _, values in rows), default=0) or 1
    scale = (WIDTH - LEFT - RIGHT) / longest
    drawn, told = [], []
    for i, (name, values) in enumerate(rows):
        y, x = i * ROW + PAD, float(LEFT)
        drawn.append(label(LEFT - PAD, y + ROW / 2 + 1, name, "end"))
        for k, value in enumerate(values):
            drawn.append(f'<rect class="c{k % 8}" x="{x:.1f}" y="{y}" width="{max(value * scale - 1, 0):.1f}"'
                         f' height="{ROW - 12}"><title>{html.escape(f"{name}, {parts_named[k]}: {text_of(value)} {unit}")}</title></rect>')
            x += value * scale
        drawn.append(label(x + PAD / 2, y + ROW / 2 + 1, f"{text_of(sum(values))} {unit}", kind="value"))
        told.append(f"{name}: " + ", ".join(f"{part} {text_of(value)}" for part, value in zip(parts_named, values)))
    return svg(title, "; ".join(told), len(rows) * ROW + PAD, drawn) + legend(parts_named)


def legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    return '<ul class="legend">' + "".join(f'<li><span class="c{i % 8}"></span>{html.escape(name)}</li>'
                                           for i, name in enumerate(names)) + "</ul>"


def lines(title: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_unit: str, y_unit: str, *,
          logarithmic: bool = False, x_names: Sequence[str] = ()) -> str:
    """Points (x, y) per series; y begins at 0. x_names stand instead of the numbers 0, 1, ..."""
    points = [point for _, of_one in series for point in of_one]
    place = math.log2 if logarithmic else float
    low, high = min(place(x) for x, _ in points), max(place(x) for x, _ in points)
    top = max(y for _, y in points) * 1.1 or 1

    def at(x: float, y: float) -> tuple[float, float]:
        across = (place(x) - low) / (high - low) if high > low else 0.5
        return 60 + across * (WIDTH - 60 - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - BOTTOM - TOP)

    drawn = []
    for part in (0, 0.5, 1):
        y = at(points[0][0], top * part)[1]
        drawn += [f'<line class="grid" x1="60" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
                  label(54, y + 4, text_of(top * part), "end")]
    ticks = sorted({x for x, _ in points})
    for x in ticks if len(ticks) <= 8 else (ticks[0], ticks[len(ticks) // 2], ticks[-1]):
        drawn.append(label(at(x, 0)[0], HEIGHT - BOTTOM + 18, x_names[int(x)] if x_names else text_of(x), "middle"))
    drawn.append(label(WIDTH - RIGHT, HEIGHT - 6, x_unit, "end"))
    for k, (name, of_one) in enumerate(series):
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in of_one)
        drawn.append(f'<polyline class="l{k % 8}" points="{path}"/>')
        if len(of_one) <= 30:
            drawn += ['<circle class="c{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>'.format(
                k % 8, *at(x, y), html.escape(f"{name} {x_names[int(x)] if x_names else text_of(x)}: {text_of(y)} {y_unit}"))
                for x, y in of_one]
    told = "; ".join(f"{name}: from {text_of(of_one[0][1])} to {text_of(of_one[-1][1])} {y_unit}" for name, of_one in series)
    return svg(f"{title} ({y_unit})", told, HEIGHT, drawn) + legend([name for name, _ in series])

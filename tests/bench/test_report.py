# SPDX-License-Identifier: Apache-2.0
import html.parser
import xml.etree.ElementTree as tree

import pytest
from measure import history, limits, plots, report
from measure.play import Outcome, Played
from measure.scenes import Scene, Seen
from measure.service import stage_of, stages
from measure.targets import Result


def outcome() -> Outcome:
    stage = {"http": (3.0, 5.0), "store": (4.0, 1.0), "bridge": (1.0, 0.5)}
    plotted = {
        "broker": ({"post_cpu": 19.0, "drain": 2.0}, {"post_stages": stage, "get_stages": stage}),
        "growth": ({"growth": 10.0}, {"growth": {16: 20.0, 64: 18.0, 256: 17.0, 1024: 19.0}}),
        "large": ({"large_post": 70.0}, {"stores": {"users": 1000000, "empty": [5e4, 4e4], "large": [4e4, 3e4], "longest": [9]}}),
        "memory": ({"rss_growth": 0.0}, {"memory": [12.0, 13.0, 13.0, 13.0]}),
        "instructions": ({"post_instructions": 69000.0}, {"objects": {"post": {"libc.so.6": 9.0, "<userbus>": 1.0},
                                                                      "get": {"libc.so.6": 8.0}}}),
        "limits": ({}, {"limits": {"hello_rate": 1e5, "hello_cpu_us": 4.0, "commit_cpu_us": 9.0, "publish_cpu_us": 0.5}})}
    return Outcome([Played(Scene(name, lambda _: None, ()), Seen(*seen), 0.0) for name, seen in plotted.items()])


class Strict(html.parser.HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def entries(commits: list[str]) -> list[history.Entry]:
    return [history.entry(commit, "2026", "post_cpu", Result((float(i + 10),), True), "ok", {})
            for i, commit in enumerate(commits)]


def test_the_page_is_whole_and_needs_nothing_else():
    page = report.page(outcome(), entries(["aaa"]), entries(["aaa", "bbb"]))
    strict = Strict()
    strict.feed(page)
    assert strict.open == [] and strict.seen.count("svg") == 6
    for word in ("http://", "https://", "<script", "<link", "@import", "url("):
        assert word not in page
    assert "prefers-color-scheme: dark" in page and '<td class="short">short</td>' in page
    assert "&lt;userbus&gt;" in page and "<userbus>" not in page


def test_what_was_not_played_is_not_drawn():
    page = report.page(Outcome([]), [], [])
    assert "<svg" not in page and "userbus: speed" in page


@pytest.mark.parametrize("text", [
    plots.bars("A & B", [("POST", [1.0, 2.0]), ("<GET>", [0.0, 0.0])], ("user", "system"), "us").split("<ul")[0],
    plots.bars("none", [], ("user",), "us"),
    plots.lines("cost", [("POST", [(16, 20.0), (1024, 25.0)])], "connections", "us", logarithmic=True),
    plots.lines("one point", [("POST", [(0, 0.0)])], "commit", "us", x_names=["abc"])])
def test_plots_are_well_formed_and_say_what_they_show(text: str):
    picture = tree.fromstring(text)
    assert picture.get("role") == "img"
    ids = {element.get("id") for element in picture}
    assert set(picture.get("aria-labelledby").split()) <= ids
    assert picture.find("title").text and "nan" not in text


def test_bars_are_as_long_as_what_they_show():
    picture = tree.fromstring(plots.bars("A", [("x", [1.0]), ("y", [2.0])], ("all",), "us"))
    short, long = (float(bar.get("width")) for bar in picture.iter("rect"))
    assert long == pytest.approx(2 * short + 1, abs=0.2)


def test_threads_are_told_by_stage():
    assert [stage_of(name) for name in ("http.0", "http.3", "bridge.0", "store", "ZMQbg/Reaper", "userbus", "dial")] == [
        "http", "http", "bridge", "store", "rest", "rest", "rest"]
    found = stages({"http.0": (1.0, 1.0), "store": (0.0, 0.0)},
                   {"http.0": (1.1, 1.2), "http.1": (0.1, 0.0), "store": (0.3, 0.0)}, 1000)
    assert found == {"http": (pytest.approx(200), pytest.approx(200)), "store": (pytest.approx(300), 0)}


def test_limits_are_lines_of_name_and_number():
    assert limits.parse("sync_us 210.5\nsync_p99_us 900\n") == {"sync_us": 210.5, "sync_p99_us": 900}
    assert limits.medians([{"sync_us": 1.0}, {"sync_us": 9.0}, {"sync_us": 2.0}]) == {"sync_us": 2.0}
    assert limits.medians([]) == {}

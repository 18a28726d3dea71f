# SPDX-License-Identifier: Apache-2.0
import pathlib

from measure import history
from measure.targets import Result

LIMITS = {"hello_rate": 112345.6, "sync_us": 210.5}


def test_what_is_appended_is_read(tmp_path: pathlib.Path):
    path = tmp_path / "history.tsv"
    first = history.entry("abc1234", "2026-11-25T01:00:00Z", "post_cpu", Result((18.0, 19.0, 25.0), True), "ok", LIMITS)
    second = history.entry("abc1235", "2026-11-25T02:00:00Z", "get_cpu", Result((18.0,), False), "", {})
    history.append([first], path)
    history.append([second], path)
    assert history.read(path) == [
        history.Entry("abc1234", "2026-11-25T01:00:00Z", "post_cpu", 19, 18, 25, 3, "ok",
                      {"hello_rate": 112346, "sync_us": 210.5}),
        history.Entry("abc1235", "2026-11-25T02:00:00Z", "get_cpu", 18, 18, 18, 1, "busy", {})]
    assert path.read_text().splitlines()[0].split("\t") == list(history.COLUMNS)


def test_a_row_that_is_gone_is_left_out(tmp_path: pathlib.Path):
    path = tmp_path / "history.tsv"
    history.append([history.entry("abc1234", "2026", "a_row_of_old", Result((1.0,), True), "ok", {})], path)
    assert history.read(path) == []


def test_there_may_be_none(tmp_path: pathlib.Path):
    assert history.read(tmp_path / "none.tsv") == []

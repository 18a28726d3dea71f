# SPDX-License-Identifier: Apache-2.0
import pytest
from measure.targets import BY_KEY, ROWS, Result, Row, beside, line, table, verdict

MOST = Row("a", "A", "us", "<=", 20)
LEAST = Row("b", "B", "%", ">=", 30)


@pytest.mark.parametrize("row, samples, quiet, wanted", [
    (MOST, (19, 20, 21), True, "ok"), (MOST, (20, 20.1, 21), True, "short"), (LEAST, (29, 30, 90), True, "ok"),
    (LEAST, (29.9,), True, "short"), (MOST, (1,), False, "busy"), (MOST, (100,), False, "busy"),
    (Row("c", "C", "us"), (1,), True, ""), (Row("c", "C", "us"), (1,), False, "")])
def test_verdicts(row: Row, samples: tuple, quiet: bool, wanted: str):
    assert verdict(row, Result(samples, quiet)) == wanted


def test_a_limit_stands_beside_its_figure():
    limits = {"hello_cpu_us": 4.0, "commit_cpu_us": 9.0, "publish_cpu_us": 0.5, "hello_rate": 100000, "publish_us": 25.0}
    assert beside(BY_KEY["post_cpu"], limits) == "13.5 hello + group commit + raw publish"
    assert beside(BY_KEY["post_of_livez"], limits) == "40.0 raw publish of hello"
    assert beside(BY_KEY["post_cpu"], {}) == ""
    assert beside(BY_KEY["drain"], limits) == ""


def test_a_line_has_what_the_table_shows():
    told = line(BY_KEY["bridge_cpu"], Result((1.0, 3.0, 2.0), True), {"publish_cpu_us": 0.5})
    assert told == ("bridge CPU per event, all headers", "2.00 us", "1.00-3.00", "<= 1.5 us", "short", "0.50 raw publish")
    assert table([("a", "1"), ("bcd", "22")], ("x", "y")) == "x    y\na    1\nbcd  22"


def test_keys_are_unique_and_bounds_are_known():
    assert len(BY_KEY) == len(ROWS)
    assert {row.bound for row in ROWS} == {"<=", ">=", ""}

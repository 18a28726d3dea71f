# SPDX-License-Identifier: Apache-2.0
import socket

import pytest
from measure import instructions, quick

CALLGRIND = """# callgrind format
version: 1
positions: line
events: Ir
summary: 160

ob=(1) /usr/bin/userbus
fl=(1) ???
fn=(1) first
0 100
cob=(2) /usr/lib/libsqlite3.so.0.8.6
cfn=(2) step
calls=3 0
0 5000
+2 7

ob=(2)
fn=(2)
0 50
* 1
-3 2
cob=(1)
cfn=(1)
calls=1 0
* 900
totals: 160
"""


def test_own_costs_by_object_without_those_of_the_called():
    assert instructions.parse_callgrind(CALLGRIND) == {"userbus": 107, "libsqlite3.so.0.8.6": 53}


@pytest.mark.parametrize("figure, same, good", [
    (100, True, True), (105, True, True), (105.1, True, False), (50, True, True),
    (105.1, False, True), (125, False, True), (126, False, False)])
def test_a_rise_fails(figure: float, same: bool, good: bool):
    assert instructions.judge(100, figure, same) == good


def test_the_record_is_read_as_it_was_written():
    text = instructions.write_record("cc 12, libc6 2.36", {"post": 84321.4, "get": 76000})
    assert instructions.read_record(text) == ("cc 12, libc6 2.36", {"post": 84321, "get": 76000})


def test_the_record_in_the_repository_has_all_figures():
    on, figures = instructions.read_record(instructions.RECORD.read_text(encoding="utf-8"))
    assert set(figures) == set(instructions.WHAT) and on.startswith("cc ")


def sample(post: float, get: float) -> dict:
    return {"post": {"a": post / 2, "b": post / 2}, "get": {"a": get}}


def test_median_and_spread_of_samples():
    samples = [sample(100, 10), sample(102, 10), sample(101, 10)]
    assert instructions.median_of(samples, "post") == (101, pytest.approx(2 / 101))
    assert instructions.median_of(samples, "get") == (10, 0)


def test_one_that_fell_out_is_left_out():
    samples = [sample(100, 10), sample(100, 10), sample(180, 10), sample(101, 10), sample(100, 10), sample(100, 10)]
    assert quick.spread(samples) > 0.5
    assert quick.spread(quick.trimmed(samples)) == pytest.approx(0.01)


@pytest.mark.parametrize("pieces", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",), (b"HTTP/1.1 200 OK\r\ncontent-", b"length: 2\r\n\r\n", b"{", b"}")])
def test_an_answer_is_read_whole(pieces: tuple):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        for piece in pieces:
            theirs.sendall(piece)
        instructions.answer(ours)
        theirs.sendall(b"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(RuntimeError, match="503"):
            instructions.answer(ours)

# SPDX-License-Identifier: Apache-2.0
import pytest
from measure import play, targets
from measure.play import Outcome, Played
from measure.scenes import Scene, Seen, growth_of, scenes


def scene(others: list[float], depends_on_time: bool = True) -> tuple[Scene, list[int]]:
    """One whose n-th playing gives the figure n."""
    played: list[int] = []

    def act(_stage) -> Seen:
        played.append(len(played))
        return Seen({"post_cpu": float(played[-1])})

    return Scene("a", act, ("post_cpu",), depends_on_time), played


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch):
    """What others used in each playing."""
    def use(given: list[float], wanted: Scene) -> None:
        left = iter(given)
        monkeypatch.setattr(play, "play_once", lambda scene, stage, lock: Played(scene, scene.play(stage), next(left)))

    return use


@pytest.mark.parametrize("others, figure, times, counts", [
    ([0.05], 0, 1, True), ([0.5, 0.02], 1, 2, True), ([0.5, 0.2, 0.9], 1, 3, False)])
def test_a_busy_playing_is_tried_again(shares, others: list, figure: int, times: int, counts: bool):
    one, played = scene(others)
    shares(others, one)
    found = play.play(one, None, 3, None)
    assert (found.seen.figures["post_cpu"], len(played), found.counts) == (figure, times, counts)


def test_what_does_not_depend_on_time_counts_always(shares):
    one, played = scene([9.0], False)
    shares([9.0], one)
    assert play.play(one, None, 3, None).counts and len(played) == 1


def played(figure: float, others: float) -> Played:
    return Played(scene([])[0], Seen({"post_cpu": figure}), others)


def test_busy_samples_stand_in_only_where_there_is_no_other():
    mixed = Outcome([played(19, 0.0), played(50, 2.0), played(21, 0.1)]).results()["post_cpu"]
    assert (mixed.samples, mixed.quiet) == ((19, 21), True)
    busy = Outcome([played(19, 1.0), played(21, 2.0)]).results()["post_cpu"]
    assert (busy.samples, busy.quiet) == ((19, 21), False)
    assert targets.verdict(targets.BY_KEY["post_cpu"], busy) == "busy"


def test_every_row_has_one_scene():
    rows = [row for one in scenes() for row in one.rows]
    assert sorted(rows) == sorted(targets.BY_KEY)


def test_only_some():
    assert [one.name for one in play.chosen(["growth"])] == ["limits", "growth"]
    assert [one.name for one in play.chosen(["post_cpu", "drain", "start"])] == ["limits", "broker", "start"]
    with pytest.raises(KeyError):
        play.chosen(["no_such_row"])


def test_growth_of_memory_leaves_the_warming_up_out():
    assert growth_of([1.0] * 10 + [20.0] * 30) == 0
    assert growth_of([10.0] * 20 + [10.5] * 10 + [11.0] * 10) == pytest.approx(10)


def test_what_takes_long_is_played_once(monkeypatch: pytest.MonkeyPatch):
    wanted = (Scene("a", lambda _: Seen({}), ()), Scene("long", lambda _: Seen({}), (), once=True))
    monkeypatch.setattr(play, "chosen", lambda only: wanted)
    monkeypatch.setattr(play, "play_once", lambda scene, stage, lock: Played(scene, Seen({}), 0.0))
    outcome = play.play_all(None, [], 3, 1, None)
    assert [len(outcome.of(name)) for name in ("a", "long")] == [3, 1]


def test_what_was_played_until_an_interrupt_is_shown(monkeypatch: pytest.MonkeyPatch):
    def act(_stage) -> Seen:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return Seen({"post_cpu": 20.0})

    done: list[int] = []
    monkeypatch.setattr(play, "chosen", lambda only: (Scene("a", act, ("post_cpu",)),))
    monkeypatch.setattr(play, "play_once", lambda scene, stage, lock: Played(scene, scene.play(stage), 0.0))
    assert play.play_all(None, [], 5, 1, None).results()["post_cpu"].samples == (20.0, 20.0)

"""The sliced window: counts as a plain list would, forgets by slices, and stands clocks that jump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.reliability.window import Window

OUTCOMES = ["success", "failure", "slow"]


def counts(window: Window, now: float) -> tuple[int, int, int]:
    window.advance(now)
    return window.calls, window.failures, window.slow


def test_outcomes_are_counted_apart() -> None:
    window = Window(30.0, 10)
    for outcome in ("success", "failure", "failure", "slow"):
        window.add(1.0, outcome)
    assert counts(window, 1.0) == (4, 2, 1)


def test_a_slice_leaves_as_a_whole() -> None:
    window = Window(30.0, 10)
    window.add(0.0, "failure")
    window.add(2.9, "slow")
    window.add(3.0, "success")
    assert counts(window, 29.9) == (3, 1, 1)
    assert counts(window, 30.0) == (1, 0, 0)
    assert counts(window, 32.9) == (1, 0, 0)
    assert counts(window, 33.0) == (0, 0, 0)


def test_adding_lets_old_slices_go() -> None:
    window = Window(30.0, 10)
    window.add(0.0, "failure")
    window.add(31.0, "success")
    assert (window.calls, window.failures) == (1, 0)


def test_a_long_pause_empties_it() -> None:
    window = Window(30.0, 10)
    for second in range(30):
        window.add(float(second), "failure")
    assert counts(window, 1e9) == (0, 0, 0)
    window.add(1e9, "slow")
    assert counts(window, 1e9) == (1, 0, 1)


def test_one_slice_is_a_tumbling_window() -> None:
    window = Window(10.0, 1)
    window.add(9.0, "failure")
    assert counts(window, 9.9) == (1, 1, 0)
    assert counts(window, 10.0) == (0, 0, 0)


def test_an_instant_a_little_in_the_past_belongs_to_the_newest_slice() -> None:
    window = Window(30.0, 10)
    window.add(10.0, "success")
    window.add(8.0, "failure")
    assert counts(window, 38.9) == (2, 1, 0)
    assert counts(window, 39.0) == (0, 0, 0)


def test_a_clock_that_was_set_back_by_a_window_goes_on_from_there() -> None:
    window = Window(30.0, 10)
    window.add(10_000.0, "failure")
    window.add(9_960.0, "failure")
    assert counts(window, 9_960.0) == (2, 2, 0)
    assert counts(window, 9_987.0) == (2, 2, 0)
    assert counts(window, 9_990.0) == (0, 0, 0)


def test_exactly_a_window_back_is_set_back_and_less_is_not() -> None:
    back, late = Window(30.0, 10), Window(30.0, 10)
    for window, instant in ((back, 270.0), (late, 273.0)):
        window.add(300.0, "failure")
        window.add(instant, "failure")
    assert counts(back, 300.0) == (0, 0, 0)
    assert counts(late, 329.9) == (2, 2, 0)


def test_clearing_forgets_everything_and_the_time_too() -> None:
    window = Window(30.0, 10)
    window.add(10.0, "failure")
    window.clear()
    assert (window.calls, window.failures, window.slow) == (0, 0, 0)
    window.add(2.0, "slow")
    assert counts(window, 29.9) == (1, 0, 1)
    assert counts(window, 30.0) == (0, 0, 0)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 1.0, 2.75, 3.0, 7.5, 29.75, 30.0, 31.0]), st.sampled_from(OUTCOMES)),
        max_size=60,
    ),
    slices=st.sampled_from([1, 2, 3, 10]),
    start=st.sampled_from([-40.5, 0.0, 1.5, 1e6]),
)
def test_it_counts_as_a_plain_list(steps: list[tuple[float, str]], slices: int, start: float) -> None:
    window, plain, now = Window(30.0, slices), [], start
    width = 30.0 / slices
    for pause, outcome in steps:
        now += pause
        window.add(now, outcome)
        plain.append((now, outcome))
        kept = [what for when, what in plain if when // width > now // width - slices]
        assert (window.calls, window.failures, window.slow) == (len(kept), kept.count("failure"), kept.count("slow"))


@pytest.mark.parametrize("calls", [10, 10_000])
def test_memory_does_not_grow_with_calls(calls: int) -> None:
    window = Window(30.0, 10)
    for number in range(calls):
        window.add(number / 7, "failure")
    assert sum(len(getattr(window, name)) for name in ("_calls", "_failures", "_slow")) == 30

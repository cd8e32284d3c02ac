"""Waits: bounded, spread, never shorter than announced, and only where there is time for them."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import CircuitOpen, ConnectError, RateLimitError, ServerError
from aistrale.policies.retry import Backoff as Reexported
from aistrale.reliability.backoff import Backoff, spread

DOWN = ServerError("down", status=500)


def call(seed=1, *, deadline=None, share=None, now=100.0):
    runtime = SimpleNamespace(random=random.Random(seed), now=lambda: now)
    return SimpleNamespace(runtime=runtime, deadline=deadline, share_until=share, started=90.0)


def told(wait):
    return RateLimitError("slow", status=429, retry_after=wait)


def test_one_class_under_both_names():
    assert Reexported is Backoff


@given(made=st.integers(1, 10_000), seed=st.integers(), base=st.floats(0.001, 100), cap=st.floats(0.001, 600))
def test_backoff_lies_between_nothing_and_its_cap(made, seed, base, cap):
    """R3, for any number of attempts."""
    assert 0 <= Backoff(base=base, cap=cap).delay(made, call(seed), DOWN) <= min(cap, base * 2.0 ** min(made - 1, 32))


def test_waits_at_the_cap_are_no_point():
    one = call()
    waits = sorted(Backoff().delay(50, one, DOWN) for _ in range(2000))
    assert len(set(waits)) == 2000
    for part in (1, 2, 3):
        assert abs(waits[500 * part] - 2.0 * part) < 0.5


@given(announced=st.floats(0, 31 * 86400), seed=st.integers(), room=st.none() | st.floats(-10, 31 * 86400))
def test_an_announced_wait_is_never_shortened(announced, seed, room):
    """R4."""
    wait = spread(announced, random.Random(seed), room)
    assert announced <= wait <= announced + max(1.0, 0.3 * announced)
    if room is not None and room >= announced:
        assert wait <= room + 1e-6


def test_those_who_were_told_the_same_do_not_come_back_together():
    rng = random.Random(1)
    for announced, room in ((0.0, None), (0.01, None), (20.0, None), (20.0, 21.0)):
        waits = sorted(spread(announced, rng, room) for _ in range(1000))
        width = 6.0 if announced == 20.0 and room is None else 1.0
        assert len(set(waits)) == 1000
        assert waits[-1] - waits[0] > 0.95 * width
        assert abs(waits[500] - announced - width / 2) < 0.1 * width


@given(
    announced=st.none() | st.floats(0, 1000),
    made=st.integers(1, 20),
    left=st.none() | st.floats(-1, 1000),
    shared=st.none() | st.floats(-1, 1000),
    seed=st.integers(),
)
def test_what_fits_leaves_time_for_an_attempt(announced, made, left, shared, seed):
    """R2: the wait and the attempt after it end before the deadline."""
    one = call(seed, deadline=None if left is None else 100.0 + left, share=None if shared is None else 100.0 + shared)
    error = told(announced)
    backoff = Backoff()
    delay = backoff.delay(made, one, error)
    room = min((seconds for seconds in (left, shared) if seconds is not None), default=None)
    fits = backoff.fits(one, delay, error)
    if fits:
        assert announced is None or announced <= 600
        assert room is None or delay + 0.049 <= room
    elif announced is not None and announced <= 600:
        # Jitter never makes the difference between waiting and giving up.
        assert room is not None
        assert room < announced + 0.051


def test_what_was_announced_for_ages_is_not_waited_for():
    backoff = Backoff()
    assert backoff.fits(call(), 600.0, told(600.0))
    assert not backoff.fits(call(), 600.1, told(600.1))
    assert backoff.fits(call(), 5.0, CircuitOpen("open", retry_after=5.0))
    assert not backoff.fits(call(deadline=104.0), 5.0, CircuitOpen("open", retry_after=5.0))


@pytest.mark.parametrize("wait", [float("nan"), float("inf")])
def test_a_strategy_that_gives_no_time_gives_no_attempt(wait):
    backoff = Backoff(wait=lambda _state: wait)
    assert not backoff.fits(call(), backoff.delay(1, call(), DOWN), DOWN)


def test_a_negative_wait_is_none():
    assert Backoff(wait=lambda _state: -3).delay(1, call(), DOWN) == 0.0


def test_the_number_of_attempts_is_enough():
    assert [Backoff(attempts=3).stops(made, call(), DOWN) for made in (1, 2, 3, 4)] == [False, False, True, True]


def test_tenacity_knows_attempts_times_and_errors():
    backoff = Backoff(
        wait=tenacity.wait_incrementing(1, 2),
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(9),
    )
    assert [backoff.delay(made, call(), DOWN) for made in (1, 2, 3)] == [1.0, 3.0, 5.0]
    assert not backoff.stops(2, call(now=98.0), DOWN)
    assert backoff.stops(2, call(now=99.5), DOWN)
    assert backoff.stops(3, call(now=90.0), DOWN)
    by_error = Backoff(wait=lambda state: 7.0 if isinstance(state.outcome.exception(), ConnectError) else 1.0)
    assert by_error.delay(1, call(), ConnectError("refused")) == 7.0
    assert by_error.delay(1, call(), DOWN) == 1.0
    # What the provider announced goes before any strategy.
    assert by_error.delay(1, call(), told(30.0)) >= 30.0

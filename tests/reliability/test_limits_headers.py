from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects.headers import RateLimits, Window
from aistrale.reliability.allowance import Allowance
from aistrale.reliability.limits import LimitSettings, TokenBucket
from aistrale.reliability.rates import Rates

ALL = 1e12


def allowance(per_minute=None):
    return Allowance(None if per_minute is None else TokenBucket(per_minute / 60, per_minute))


def test_without_the_users_limit_the_providers_holds_both_ways():
    one = allowance()
    assert one.idle
    one.correct(Window(60, 0, 60.0), 0.0, None, ALL)
    assert not one.idle
    assert one.delay(1, 1, 0.0) == pytest.approx(1.0)
    assert one.delay(1, 1, 5.0) == 0.0
    mark = one.take(1, 1, 5.0)
    one.correct(Window(60, 50, 10.0), 5.5, mark, ALL)
    assert one.level(5.5) == pytest.approx(50.5)


def test_headers_make_the_users_limit_stricter_and_never_looser():
    one = allowance(60)
    one.correct(Window(1000, 900, 6.0), 0.0, one.take(1, 1, 0.0), ALL)
    assert one.level(0.0) == 59.0
    one.correct(Window(60, 3, 57.0), 0.0, None, ALL)
    assert one.level(0.0) == 3.0
    assert one.delay(1, 1, 0.0) == 0.0
    for _ in range(3):
        mark = one.take(1, 1, 0.0)
    assert one.delay(1, 1, 0.0) == pytest.approx(1.0)
    one.correct(Window(60, 40, 20.0), 0.5, mark, ALL)
    assert one.level(0.5) == pytest.approx(40.5)
    one.correct(Window(10_000, 9_999, 20.0), 0.5, None, ALL)
    assert one.level(0.5) <= 56.5


def test_news_of_a_long_answer_speaks_of_its_beginning():
    """What was sent and what has come back in the meantime is not counted twice."""
    one = allowance()
    one.correct(Window(100, 100, 0.0), 0.0, None, ALL)
    first = one.take(1, 1, 0.0)
    marks = [one.take(1, 1, 0.0) for _ in range(49)]
    one.correct(Window(100, 99, 1.0), 24.0, first, ALL)
    assert one.level(24.0) == pytest.approx(50 + 40)
    one.correct(Window(100, 50, 30.0), 24.0, marks[-1], ALL)
    assert one.level(24.0) == pytest.approx(90)
    # Somebody else took 20 of the same key.
    one.correct(Window(100, 30, 42.0), 24.0, marks[-1], ALL)
    assert one.level(24.0) == pytest.approx(70)
    # The next answer brings the same news again.
    one.correct(Window(100, 31, 42.0), 24.0, marks[-2], ALL)
    assert one.level(24.0) == pytest.approx(70)


def test_news_of_calls_that_were_not_counted_can_only_tighten():
    one = allowance()
    one.correct(Window(100, 60, 24.0), 0.0, None, ALL)
    one.correct(Window(100, 90, 6.0), 0.0, None, ALL)
    assert one.level(0.0) == 60
    one.correct(Window(100, 20, 48.0), 0.0, None, ALL)
    assert one.level(0.0) == 20


def test_what_was_said_a_minute_ago_is_forgotten():
    one = allowance()
    one.correct(Window(50, 0, 1e9), 0.0, None, ALL)
    assert one.delay(1, 1, 0.0) == pytest.approx(60.0)
    assert one.delay(1, 1, 59.0) == pytest.approx(1.0)
    assert one.delay(1, 1, 60.0) == 0.0
    assert one.idle
    strict = allowance(60)
    strict.correct(Window(60, 0, 1e9), 0.0, None, ALL)
    assert strict.delay(1, 1, 30.0) > 0.0
    assert strict.delay(1, 1, 60.0) == 0.0
    assert strict.level(60.0) == 60.0


def test_a_limit_per_day_refills_by_the_day():
    one = allowance()
    one.correct(Window(14_400, 0, 86_400.0), 0.0, None, ALL)
    assert one.delay(1, 1, 0.0) == pytest.approx(6.0)
    one = allowance()
    one.correct(Window(60, 0, 10.0), 0.0, None, ALL)
    assert one.delay(1, 1, 0.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "window",
    [Window(None, 5, 1.0), Window(50, None, 1.0), Window(0, 0, 1.0), Window(-5, 0, 1.0), Window(None, None, 9.0)],
    ids=repr,
)
def test_windows_that_say_too_little_are_passed_over(window):
    one = allowance()
    one.correct(window, 0.0, None, ALL)
    assert one.idle


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 10**9),
            st.integers(-5, 10**9),
            st.one_of(st.none(), st.floats(0.0, 1e12)),
            st.floats(0.0, 90.0),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_no_header_holds_up_a_call_for_more_than_a_minute(events):
    one = allowance()
    now = 0.0
    mark = None
    for limit, remaining, reset, step, take in events:
        now += step
        if take:
            mark = one.take(1, 1, now)
        one.correct(Window(limit, remaining, reset), now, mark, ALL)
        assert 0.0 <= one.delay(1, 1, now) <= 60.0 + 1e-9


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500), st.floats(0.0, 9.0)), max_size=30))
def test_headers_never_give_more_than_the_users_own_count(events):
    plain, told = allowance(100), allowance(100)
    now = 0.0
    for limit, remaining, step in events:
        now += step
        plain.take(1, 1, now)
        mark = told.take(1, 1, now)
        told.correct(Window(limit, remaining, 30.0), now, mark, ALL)
        assert told.level(now) <= plain.level(now) + 1e-9
        assert told.delay(1, 1, now) >= plain.delay(1, 1, now) - 1e-9


def test_what_is_left_in_plenty_is_not_counted():
    rates = Rates(LimitSettings())
    plenty = RateLimits(requests=Window(15_000, 14_999, 0.004), tokens=Window(40_000_000, 39_999_826, 0.0))
    rates.correct(plenty, None, 0.0)
    assert not rates.limiting
    little = RateLimits(requests=Window(500, 499, 0.1), tokens=Window(200_000, 199_000, 0.3))
    rates.correct(little, None, 0.0)
    assert rates.limiting
    assert rates.counts_tokens
    assert rates.left(0.0) == {"requests": 499, "tokens": 199_000}
    rates.correct(plenty, None, 0.0)
    assert not rates.limiting
    assert not rates.counts_tokens


def test_the_users_limits_reserve_the_most_and_the_providers_what_is_usual():
    rates = Rates(LimitSettings(tpm=60_000))
    limits = RateLimits(
        tokens=Window(30_000, 30_000, 0.0), input_tokens=Window(9_000, 9_000), output_tokens=Window(8_000, 8_000)
    )
    rates.correct(limits, None, 0.0)
    most, usual = rates.amounts(1000, 4096)
    assert most == (1, 5096, 1000, 4096)
    assert usual == (1, 1256, 1000, 256)
    marks = rates.take(most, usual, 0.0)
    assert rates.left(0.0) == {"tokens": 28_744, "input_tokens": 8_000, "output_tokens": 7_744}
    assert rates.delay((1, 60_000, 0, 0), (1, 0, 0, 0), 0.0) == pytest.approx(5.096)
    rates.settle(most, usual, marks, (1, 1300, 600, 300), 0.0)
    assert rates.left(0.0) == {"tokens": 28_700, "input_tokens": 8_400, "output_tokens": 7_700}
    assert rates.delay((1, 60_000, 0, 0), (1, 0, 0, 0), 0.0) == pytest.approx(1.3)


def test_a_call_without_a_limit_reserves_what_calls_have_used_lately():
    rates = Rates(LimitSettings(tpm=60_000))
    assert rates.amounts(10, None)[0][3] == 256
    for _ in range(50):
        rates.learn(1000)
    assert rates.amounts(10, None)[0][3] == pytest.approx(1000, rel=0.01)
    assert rates.amounts(10, 20) == ((1, 30, 10, 20), (1, 30, 10, 20))
    assert rates.amounts(10, 0) == ((1, 10, 10, 0), (1, 10, 10, 0))


def test_a_limit_that_came_while_a_call_was_under_way_is_not_settled_by_it():
    rates = Rates(LimitSettings(rpm=60))
    most, usual = rates.amounts(100, None)
    marks = rates.take(most, usual, 0.0)
    rates.correct(RateLimits(tokens=Window(1000, 900, 6.0)), marks, 0.0)
    rates.settle(most, usual, marks, (0, 0, 0, 0), 0.0)
    assert rates.left(0.0) == {"requests": 60, "tokens": 900}
    rates = Rates(LimitSettings(tpm=6000))
    marks = rates.take(most, usual, 0.0)
    rates.correct(RateLimits(tokens=Window(1000, 900, 6.0)), marks, 0.0)
    rates.settle(most, usual, marks, (1, 2000, 1000, 1000), 0.0)
    assert rates.left(0.0) == {"tokens": 900}

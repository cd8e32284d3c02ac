"""The breaker, one rule at a time."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError, fields, replace
from typing import TYPE_CHECKING

import pytest

from aistrale.errors import ConfigurationError
from aistrale.reliability.breaker import Breaker, BreakerEvent, BreakerSettings, Permit, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

# With one row for all calls, so that what opens a breaker also shuts the last target.
DEFAULTS = BreakerSettings(last_in_a_row=3)


class Dice(random.Random):
    """Every draw lies at the same share of its range; the ranges asked for are kept."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__(0)
        self.share = share
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return a + self.share * (b - a)


def make(share: float = 0.5, listener: Callable[[BreakerEvent], object] | None = None, **settings: float) -> Breaker:
    return Breaker("openai/gpt", replace(DEFAULTS, **settings), Dice(share), listener)


def permit(breaker: Breaker, now: float, **options: object) -> Permit:
    answer = breaker.admit(now, **options)
    assert isinstance(answer, Permit)
    return answer


def rejected(breaker: Breaker, now: float, **options: object) -> Rejected:
    answer = breaker.admit(now, **options)
    assert isinstance(answer, Rejected)
    return answer


def calls(breaker: Breaker, outcomes: str, now: float = 0.0) -> None:
    """Calls one after the other at one instant: s(uccess), f(ailure), l(ate, that is slow), i(gnored)."""
    for letter in outcomes:
        outcome = {"s": "success", "f": "failure", "l": "slow", "i": "ignored"}[letter]
        breaker.report(permit(breaker, now), outcome, now)


def opened(now: float = 0.0, **settings: float) -> Breaker:
    breaker = make(**settings)
    calls(breaker, "fff", now)
    assert breaker.state(now) == "open"
    return breaker


def probing(now: float = 5.0, **settings: float) -> tuple[Breaker, Permit]:
    breaker = opened(**settings)
    return breaker, permit(breaker, now)


# --- closed, and what trips it ---


def test_a_fresh_breaker_lets_every_call_pass() -> None:
    breaker = make()
    permits = [permit(breaker, 0.0) for _ in range(100)]
    assert not any(given.probe or given.returned for given in permits)
    assert len({id(given) for given in permits}) == 100
    assert (breaker.state(0.0), breaker.ready_in(0.0)) == ("closed", 0.0)
    assert (breaker.name, breaker.settings, breaker.snapshot(0.0).name) == ("openai/gpt", DEFAULTS, "openai/gpt")


def test_three_failures_in_a_row_open_it() -> None:
    breaker = make()
    calls(breaker, "ff")
    assert breaker.state(0.0) == "closed"
    calls(breaker, "f")
    assert breaker.state(0.0) == "open"


def test_a_row_needs_no_window() -> None:
    breaker = make()
    for hour in range(3):
        calls(breaker, "f", hour * 3600.0)
    assert breaker.state(7200.0) == "open"


def test_a_success_ends_the_row_and_an_ignored_call_does_not() -> None:
    broken = make(minimum=100)
    calls(broken, "ffsff")
    assert broken.snapshot(0.0).in_a_row == 2
    assert broken.state(0.0) == "closed"
    ignored = make(minimum=100)
    calls(ignored, "fifif")
    assert ignored.state(0.0) == "open"


@pytest.mark.parametrize(
    ("healthy", "needed"), [(0, 3), (2, 3), (3, 4), (4, 4), (6, 4), (7, 5), (15, 5), (16, 6), (989, 11)]
)
def test_a_longer_row_is_needed_the_more_calls_there_are(healthy: int, needed: int) -> None:
    breaker = make(rate=1.0)
    calls(breaker, "s" * healthy + "f" * (needed - 1))
    assert breaker.state(0.0) == "closed"
    calls(breaker, "f")
    assert breaker.state(0.0) == "open"


def test_half_of_five_calls_open_it_also_when_scattered() -> None:
    breaker = make()
    calls(breaker, "fsfsf")
    assert breaker.state(0.0) == "open"


def test_below_the_minimum_no_rate_opens_it() -> None:
    breaker = make()
    calls(breaker, "ffsf")
    assert breaker.state(0.0) == "closed"
    calls(breaker, "f")
    assert breaker.state(0.0) == "open"


def test_exactly_the_rate_is_enough_and_less_is_not() -> None:
    exactly, less = make(minimum=6), make(minimum=7)
    calls(exactly, "sfsfsf")
    calls(less, "ssfsfsf")
    assert (exactly.state(0.0), less.state(0.0)) == ("open", "closed")


def test_a_success_never_opens_it() -> None:
    breaker = make()
    calls(breaker, "ffsfs")
    assert breaker.snapshot(0.0).failure_rate == 0.6
    assert breaker.state(0.0) == "closed"
    calls(breaker, "f")
    assert breaker.state(0.0) == "open"


def test_failures_that_left_the_window_do_not_count() -> None:
    breaker = make()
    calls(breaker, "fsfs", 0.0)
    calls(breaker, "f", 30.0)
    assert breaker.state(30.0) == "closed"
    assert breaker.snapshot(30.0).calls == 1


def test_slow_calls_in_a_row_open_it() -> None:
    breaker = make()
    calls(breaker, "lfl")
    assert breaker.state(0.0) == "open"
    assert rejected(breaker, 0.0).reason == "slow"


def test_a_large_share_of_slow_calls_opens_it() -> None:
    breaker = make(in_a_row=100)
    calls(breaker, "lllsl")
    assert (breaker.state(0.0), rejected(breaker, 0.0).reason) == ("open", "slow")
    below = make(in_a_row=100)
    calls(below, "llsls" + "lll")
    assert below.snapshot(0.0).slow_rate == 0.75
    assert below.state(0.0) == "closed"


def test_slow_calls_are_no_failures() -> None:
    breaker = make(in_a_row=100)
    calls(breaker, "lslslslsff")
    assert breaker.snapshot(0.0).failure_rate == 0.2
    assert breaker.state(0.0) == "closed"


def test_ignored_calls_are_not_counted() -> None:
    breaker = make()
    calls(breaker, "i" * 50)
    assert (breaker.snapshot(0.0).calls, breaker.state(0.0)) == (0, "closed")


def test_twenty_calls_in_sequence_to_a_dead_provider_waste_three() -> None:
    breaker, wasted = make(), 0
    for number in range(20):
        answer = breaker.admit(number * 0.01)
        if isinstance(answer, Permit):
            wasted += 1
            breaker.report(answer, "failure", number * 0.01)
    assert wasted == 3


# --- permits ---


def test_a_permit_counts_once() -> None:
    breaker = make()
    once = permit(breaker, 0.0)
    for _ in range(10):
        breaker.report(once, "failure", 0.0)
    assert once.returned
    assert (breaker.snapshot(0.0).calls, breaker.snapshot(0.0).late) == (1, 0)


def test_a_probe_counts_once() -> None:
    breaker, probe = probing()
    for _ in range(5):
        breaker.report(probe, "success", 5.0)
    assert breaker.state(5.0) == "half_open"
    assert breaker.snapshot(5.0).successes == 1


@pytest.mark.parametrize("outcome", ["success", "failure", "slow", "ignored"])
def test_outcomes_of_an_older_generation_change_nothing_but_their_count(outcome: str) -> None:
    breaker = make()
    started = permit(breaker, 0.0)
    calls(breaker, "fff")
    before = breaker.snapshot(1.0)
    breaker.report(started, outcome, 1.0)
    assert breaker.snapshot(1.0) == replace(before, late=1)


def test_a_call_from_before_the_outage_is_no_probe() -> None:
    breaker = make()
    early = [permit(breaker, 0.0) for _ in range(4)]
    calls(breaker, "fff")
    probe = permit(breaker, 5.0)
    for late in early[:2]:
        breaker.report(late, "success", 5.5)
    breaker.report(early[2], "failure", 5.5)
    assert breaker.state(5.5) == "half_open"
    assert isinstance(breaker.admit(5.5), Rejected)
    breaker.report(probe, "success", 6.0)
    breaker.report(permit(breaker, 6.0), "success", 6.0)
    breaker.report(early[3], "failure", 6.0)
    after = breaker.snapshot(6.0)
    assert (after.state, after.calls, after.in_a_row, after.late) == ("closed", 0, 0, 4)


# --- open ---


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 2.5), (0.5, 5.0), (1.0, 7.5)])
def test_nothing_passes_before_its_time_and_one_call_does_then(share: float, seconds: float) -> None:
    breaker = make(share)
    calls(breaker, "fff", 100.0)
    until = 100.0 + seconds
    assert isinstance(breaker.admit(math.nextafter(until, 0.0)), Rejected)
    assert breaker.state(math.nextafter(until, 0.0)) == "open"
    assert breaker.state(until) == "half_open"
    assert permit(breaker, until).probe
    assert isinstance(breaker.admit(until), Rejected)


def test_a_rejection_says_why_since_when_and_until_when() -> None:
    breaker = opened(100.0)
    first, second = rejected(breaker, 101.0), rejected(breaker, 101.0)
    assert first is not second
    assert not isinstance(first, BaseException)
    assert (first.state, first.reason, first.since) == ("open", "failures", 100.0)
    assert first.retry_after == pytest.approx(4.0, abs=1e-5)
    assert breaker.snapshot(101.0).rejected == 2


def test_waiting_as_told_is_never_too_short() -> None:
    random_ = random.Random(7)
    for _ in range(2000):
        breaker = Breaker("x", DEFAULTS, random_)
        # Near zero the open time is no small part of the instants, which is where differences are rounded.
        start = random_.uniform(0.0, random_.choice([0.1, 5.0, 1e8]))
        calls(breaker, "fff", start)
        asked = start + random_.random()
        wait = rejected(breaker, asked).retry_after
        assert wait is not None
        assert breaker.ready_in(asked) == wait
        assert permit(breaker, asked + wait).probe


def test_the_open_time_doubles_up_to_its_cap() -> None:
    breaker, now, lasted = opened(), 0.0, []
    for _ in range(60):
        until = breaker.snapshot(now).until
        assert until is not None
        lasted.append(until - now)
        now = until
        breaker.report(permit(breaker, now), "failure", now)
    assert lasted[:7] == pytest.approx([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0])
    assert lasted[7:] == pytest.approx([300.0] * 53)


def test_no_number_of_openings_overflows() -> None:
    breaker, now = opened(), 0.0
    for _ in range(2000):
        now += 1000.0
        breaker.report(permit(breaker, now), "failure", now)
    until = breaker.snapshot(now).until
    assert until == now + 300.0


def test_jitter_comes_after_the_cap() -> None:
    breaker = make(1.0, base=300.0, cap=300.0)
    calls(breaker, "fff")
    assert breaker.snapshot(0.0).until == 450.0


def close(breaker: Breaker, now: float) -> None:
    for _ in range(2):
        breaker.report(permit(breaker, now), "success", now)
    assert breaker.state(now) == "closed"


@pytest.mark.parametrize(("pause", "seconds"), [(0.0, 10.0), (59.9, 10.0), (60.0, 5.0), (600.0, 5.0)])
def test_a_healthy_minute_starts_the_open_time_anew(pause: float, seconds: float) -> None:
    breaker = opened()
    close(breaker, 5.0)
    calls(breaker, "fff", 5.0 + pause)
    until = breaker.snapshot(5.0 + pause).until
    assert until == pytest.approx(5.0 + pause + seconds)


def test_growth_goes_on_while_the_minutes_are_not_healthy() -> None:
    breaker, now = opened(), 0.0
    for seconds in (10.0, 20.0, 40.0):
        now = breaker.snapshot(now).until or 0.0
        close(breaker, now)
        calls(breaker, "fff", now)
        assert breaker.snapshot(now).until == pytest.approx(now + seconds)


# --- half open ---


def test_one_probe_at_a_time() -> None:
    breaker, probe = probing()
    busy = rejected(breaker, 5.0)
    assert (busy.state, busy.reason, busy.since) == ("half_open", "failures", 5.0)
    assert busy.retry_after == 1.0
    breaker.report(probe, "success", 5.5)
    assert permit(breaker, 5.5).probe
    assert isinstance(breaker.admit(5.5), Rejected)


def test_two_successes_close_it_with_an_empty_window() -> None:
    breaker, probe = probing()
    breaker.report(probe, "success", 6.0)
    assert breaker.state(6.0) == "half_open"
    breaker.report(permit(breaker, 6.0), "success", 7.0)
    after = breaker.snapshot(7.0)
    assert (after.state, after.since, after.until, after.reason) == ("closed", 7.0, None, "")
    assert (after.calls, after.in_a_row, after.failure_rate, after.probes) == (0, 0, 0.0, 0)
    calls(breaker, "ff", 7.0)
    assert breaker.state(7.0) == "closed"


@pytest.mark.parametrize(("outcome", "reason"), [("failure", "failures"), ("slow", "slow")])
def test_one_bad_probe_opens_it_again_for_longer(outcome: str, reason: str) -> None:
    breaker, probe = probing()
    breaker.report(probe, "success", 5.0)
    breaker.report(permit(breaker, 5.0), outcome, 6.0)
    after = breaker.snapshot(6.0)
    assert (after.state, after.reason, after.since, after.successes) == ("open", reason, 6.0, 0)
    assert after.until == pytest.approx(16.0)
    assert (after.openings, after.streak) == (2, 2)


def test_successes_before_a_bad_probe_do_not_count_after_it() -> None:
    breaker, probe = probing()
    breaker.report(probe, "success", 5.0)
    breaker.report(permit(breaker, 5.0), "failure", 5.0)
    breaker.report(permit(breaker, 15.0), "success", 15.0)
    assert breaker.state(15.0) == "half_open"


def test_an_ignored_probe_gives_its_place_back_and_changes_nothing() -> None:
    breaker, probe = probing()
    before = breaker.snapshot(5.0)
    breaker.report(probe, "ignored", 5.0)
    assert breaker.snapshot(5.0) == replace(before, probes=0)
    assert permit(breaker, 5.0).probe


@pytest.mark.parametrize(("deadline", "seconds"), [(None, 60.0), (600.0, 60.0), (7.0, 7.0), (0.0, 0.0), (-3.0, 0.0)])
def test_a_lost_probe_holds_its_place_for_its_lease_only(deadline: float | None, seconds: float) -> None:
    breaker = opened()
    first = permit(breaker, 5.0, lease=deadline)
    if seconds:
        assert breaker.snapshot(5.0).probes == 1
        assert isinstance(breaker.admit(math.nextafter(5.0 + seconds, 0.0)), Rejected)
    assert breaker.snapshot(5.0 + seconds).probes == 0
    second = permit(breaker, 5.0 + seconds)
    assert second is not first
    assert breaker.snapshot(5.0 + seconds).lost == 1
    assert isinstance(breaker.admit(5.0 + seconds), Rejected)


def test_a_probe_reported_after_its_lease_is_evidence_but_holds_no_place() -> None:
    breaker = opened()
    first = permit(breaker, 5.0)
    second = permit(breaker, 65.0)
    breaker.report(first, "success", 70.0)
    assert breaker.snapshot(70.0).successes == 1
    assert isinstance(breaker.admit(70.0), Rejected)
    breaker.report(second, "success", 80.0)
    assert breaker.state(80.0) == "closed"


def test_a_provider_slower_than_a_lease_is_still_found_healthy() -> None:
    breaker, now = opened(), 5.0
    waiting: list[tuple[float, Permit]] = []
    while breaker.state(now) != "closed":
        assert now < 300.0
        answer = breaker.admit(now)
        if isinstance(answer, Permit):
            waiting.append((now + 90.0, answer))
        now += 1.0
        for due, given in waiting:
            if due <= now:
                breaker.report(given, "success", now)


def test_the_rest_of_a_short_lease_bounds_the_wait() -> None:
    breaker = opened()
    permit(breaker, 5.0, lease=0.25)
    assert rejected(breaker, 5.0).retry_after == pytest.approx(0.25, abs=1e-5)
    assert permit(breaker, 5.0 + (rejected(breaker, 5.0).retry_after or 0.0)).probe


@pytest.mark.parametrize("needed", [1, 2, 5])
def test_as_many_successes_as_asked_for_close_it(needed: int) -> None:
    breaker = opened(closes_after=needed)
    for _ in range(needed):
        assert breaker.state(5.0) == "half_open"
        breaker.report(permit(breaker, 5.0), "success", 5.0)
    assert breaker.state(5.0) == "closed"


# --- the last target ---


def test_the_last_target_gets_single_calls_while_open() -> None:
    breaker = opened(base=100.0)
    assert isinstance(breaker.admit(2.9, last=True), Rejected)
    assert isinstance(breaker.admit(3.0), Rejected)
    first = permit(breaker, 3.0, last=True)
    assert first.probe
    assert isinstance(breaker.admit(50.0, last=True), Rejected)
    breaker.report(first, "failure", 50.0)
    assert isinstance(breaker.admit(52.9, last=True), Rejected)
    assert permit(breaker, 53.0, last=True).probe


def test_a_failed_trickle_call_neither_lengthens_nor_renews_the_opening() -> None:
    breaker = opened(base=100.0)
    before = breaker.snapshot(3.0)
    breaker.report(permit(breaker, 3.0, last=True), "failure", 3.0)
    assert breaker.snapshot(3.0) == before


def test_trickle_calls_that_say_nothing_are_spaced_too() -> None:
    breaker = opened(base=100.0)
    breaker.report(permit(breaker, 3.0, last=True), "ignored", 3.0)
    assert isinstance(breaker.admit(5.9, last=True), Rejected)
    assert permit(breaker, 6.0, last=True).probe


def test_a_trickle_success_ends_the_open_time_and_counts_as_a_probe() -> None:
    breaker = opened(base=100.0)
    breaker.report(permit(breaker, 3.0, last=True), "success", 4.0)
    assert breaker.state(4.0) == "half_open"
    breaker.report(permit(breaker, 4.0), "success", 5.0)
    assert breaker.state(5.0) == "closed"


def test_a_failure_after_a_trickle_success_opens_it_for_longer() -> None:
    breaker = opened()
    breaker.report(permit(breaker, 3.0, last=True), "success", 4.0)
    breaker.report(permit(breaker, 4.0), "failure", 4.0)
    assert breaker.snapshot(4.0).until == pytest.approx(14.0)


def test_a_trickle_success_alone_closes_where_one_is_enough() -> None:
    events: list[BreakerEvent] = []
    breaker = make(listener=events.append, closes_after=1)
    calls(breaker, "fff")
    breaker.report(permit(breaker, 3.0, last=True), "success", 4.0)
    assert [(event.before, event.after) for event in events] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


def test_a_trickle_call_that_ends_after_the_open_time_is_judged_as_a_probe() -> None:
    breaker = opened()
    trickle = permit(breaker, 3.0, last=True)
    assert isinstance(breaker.admit(5.0), Rejected)
    breaker.report(trickle, "failure", 6.0)
    assert breaker.snapshot(6.0).until == pytest.approx(16.0)


def last_calls(breaker: Breaker, outcomes: str, now: float = 0.0) -> None:
    """As `calls`, but with nowhere else to go."""
    for letter in outcomes:
        outcome = {"s": "success", "f": "failure", "l": "slow"}[letter]
        breaker.report(permit(breaker, now, last=True), outcome, now)


def test_calls_with_nowhere_else_to_go_open_it_only_when_nothing_is_answered_any_more() -> None:
    breaker = make(last_in_a_row=8)
    last_calls(breaker, "fffffffs")
    assert breaker.state(0.0) == "closed"
    # A quarter answered, in a window of twelve: eight in a row and one for the doubling of five calls.
    last_calls(breaker, "fffffffff")
    assert breaker.state(0.0) == "closed"
    last_calls(breaker, "f")
    assert breaker.state(0.0) == "open"
    assert isinstance(breaker.admit(1.0, last=True), Rejected)


def test_slow_calls_shut_the_last_target_too() -> None:
    breaker = make(last_in_a_row=4)
    last_calls(breaker, "lflf")
    assert breaker.state(0.0) == "open"


def test_an_open_breaker_passes_the_last_target_as_long_as_some_are_answered() -> None:
    breaker = opened(last_in_a_row=6)
    assert isinstance(breaker.admit(0.5), Rejected)
    passing = [permit(breaker, 0.5, last=True) for _ in range(20)]
    assert not any(each.probe for each in passing)
    # They decide nothing about the opening: that is for whoever has a choice.
    for each in passing[:4]:
        breaker.report(each, "success", 0.5)
    assert breaker.state(0.5) == "open"
    for each in passing[4:11]:
        breaker.report(each, "failure", 0.5)
    assert permit(breaker, 0.6, last=True).probe is False
    for each in passing[11:]:
        breaker.report(each, "failure", 0.6)
    assert isinstance(breaker.admit(0.7, last=True), Rejected)


def test_one_answer_lets_the_last_target_pass_again() -> None:
    breaker = opened(base=100.0)
    breaker.report(permit(breaker, 3.0, last=True), "success", 3.5)
    probe = permit(breaker, 3.5, last=True)
    assert probe.probe
    assert [permit(breaker, 3.5, last=True).probe for _ in range(5)] == [False] * 5
    assert isinstance(breaker.admit(3.5), Rejected)
    # Six and more calls in the window: one failure more than three.
    last_calls(breaker, "ffff", 3.5)
    assert isinstance(breaker.admit(3.6, last=True), Rejected)


def test_news_and_a_hand_shut_the_last_target_however_well_it_answers() -> None:
    breaker = opened(last_in_a_row=8)
    breaker.open_until(600.0, 1.0, "quota")
    assert isinstance(breaker.admit(2.0, last=True), Rejected)
    breaker = make(last_in_a_row=8)
    breaker.force("open", 0.0)
    assert isinstance(breaker.admit(2.0, last=True), Rejected)


def test_without_a_trickle_the_last_target_is_shut_like_any() -> None:
    breaker = opened(trickle=0.0)
    assert breaker.ready_in(4.0, last=True) == pytest.approx(1.0, abs=1e-5)
    assert isinstance(breaker.admit(4.9, last=True), Rejected)


def test_the_wait_of_the_last_target_is_that_of_the_trickle() -> None:
    breaker = opened(base=100.0)
    assert rejected(breaker, 1.0, last=True).retry_after == pytest.approx(2.0, abs=1e-5)
    assert rejected(breaker, 1.0).retry_after == pytest.approx(99.0, abs=1e-5)
    assert breaker.ready_in(1.0, last=True) == pytest.approx(2.0, abs=1e-5)
    assert breaker.ready_in(3.0, last=True) == 0.0
    permit(breaker, 3.0, last=True)
    assert rejected(breaker, 3.0, last=True).retry_after == pytest.approx(3.0, abs=1e-5)
    assert rejected(breaker, 5.5, last=True).retry_after == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "first"), [(0.0, 1.5), (1.0, 4.5)])
def test_trickles_of_many_processes_are_spread(share: float, first: float) -> None:
    breaker = make(share, base=100.0)
    calls(breaker, "fff")
    assert isinstance(breaker.admit(first - 0.01, last=True), Rejected)
    assert permit(breaker, first, last=True).probe


# --- news of authority ---


def test_news_opens_it_at_once_and_exactly_until_then() -> None:
    breaker = make(0.0)
    breaker.open_until(600.0, 0.0, "quota")
    assert (breaker.state(0.0), breaker.snapshot(0.0).until) == ("open", 600.0)
    assert rejected(breaker, 599.9, last=True).reason == "quota"
    assert breaker.state(600.0) == "half_open"
    assert permit(breaker, 600.0).probe


def test_news_lets_no_trickle_through() -> None:
    breaker = make()
    breaker.open_until(600.0, 0.0, "quota")
    assert breaker.ready_in(0.0, last=True) == pytest.approx(600.0)
    assert not any(isinstance(breaker.admit(float(second), last=True), Permit) for second in range(600))


def test_news_lengthens_and_never_shortens() -> None:
    breaker = make()
    breaker.open_until(600.0, 0.0, "quota")
    breaker.open_until(60.0, 1.0, "retry_after")
    assert (breaker.snapshot(1.0).until, breaker.snapshot(1.0).reason) == (600.0, "quota")
    breaker.open_until(700.0, 2.0, "auth")
    assert (breaker.snapshot(2.0).until, breaker.snapshot(2.0).reason) == (700.0, "auth")
    assert (breaker.snapshot(2.0).openings, breaker.snapshot(2.0).since) == (1, 0.0)


def test_shorter_news_does_not_open_the_way_for_a_trickle() -> None:
    breaker = make()
    breaker.open_until(600.0, 0.0, "quota")
    breaker.open_until(60.0, 1.0, "retry_after")
    assert isinstance(breaker.admit(599.9, last=True), Rejected)
    assert permit(breaker, 600.0, last=True).probe


def test_shorter_news_on_a_longer_opening_stops_its_trickle_for_that_time() -> None:
    breaker = opened(base=100.0)
    breaker.open_until(20.0, 1.0, "retry_after")
    assert breaker.snapshot(1.0).until == 100.0
    assert isinstance(breaker.admit(19.9, last=True), Rejected)
    assert permit(breaker, 20.0, last=True).probe


def test_a_trickle_call_under_way_does_not_undo_news() -> None:
    breaker = opened(base=100.0)
    trickle = permit(breaker, 3.0, last=True)
    breaker.open_until(50.0, 4.0, "quota")
    breaker.report(trickle, "success", 5.0)
    assert (breaker.state(5.0), breaker.snapshot(5.0).until, breaker.snapshot(5.0).late) == ("open", 100.0, 1)
    assert breaker.snapshot(5.0).probes == 0


def test_news_in_half_open_opens_it_and_the_probe_is_void() -> None:
    breaker, probe = probing()
    breaker.open_until(65.0, 5.0, "quota")
    breaker.report(probe, "success", 6.0)
    assert (breaker.state(6.0), breaker.snapshot(6.0).until) == ("open", 65.0)


@pytest.mark.parametrize("until", [9.0, 10.0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_past_or_not_finite_is_no_news(until: float) -> None:
    breaker = make()
    breaker.open_until(until, 10.0, "retry_after")
    assert breaker.state(10.0) == "closed"
    assert isinstance(breaker.admit(10.0), Permit)


def test_openings_by_news_do_not_lengthen_those_by_failures() -> None:
    breaker = make()
    breaker.open_until(10.0, 0.0, "quota")
    close(breaker, 10.0)
    calls(breaker, "fff", 10.0)
    assert breaker.snapshot(10.0).until == pytest.approx(15.0)


def test_a_healthy_minute_before_news_counts() -> None:
    breaker = opened()
    close(breaker, 5.0)
    breaker.open_until(80.0, 70.0, "quota")
    close(breaker, 80.0)
    calls(breaker, "fff", 81.0)
    assert breaker.snapshot(81.0).until == pytest.approx(86.0)


def test_news_does_not_outlive_a_reset() -> None:
    breaker = make(base=100.0)
    breaker.open_until(600.0, 0.0, "quota")
    breaker.reset(1.0)
    calls(breaker, "fff", 2.0)
    assert permit(breaker, 5.0, last=True).probe


# --- by hand ---


def test_forced_open_lets_nothing_through_and_knows_no_wait() -> None:
    breaker = make()
    breaker.force("open", 0.0)
    for second in (0.0, 1e9):
        answer = rejected(breaker, second, last=True)
        assert (answer.retry_after, answer.reason, answer.state) == (None, "forced", "forced_open")
    assert breaker.ready_in(0.0) is None
    assert (breaker.state(1.0), breaker.snapshot(1.0).until) == ("forced_open", None)


def test_forced_closed_lets_everything_through_and_counts_nothing() -> None:
    breaker = make()
    breaker.force("closed", 0.0)
    calls(breaker, "f" * 50)
    breaker.open_until(100.0, 0.0, "quota")
    assert (breaker.state(0.0), breaker.snapshot(0.0).calls) == ("forced_closed", 0)


def test_metrics_only_counts_and_never_opens() -> None:
    breaker = make()
    breaker.force("metrics_only", 0.0)
    calls(breaker, "f" * 50)
    breaker.open_until(100.0, 0.0, "quota")
    shown = breaker.snapshot(0.0)
    assert (shown.state, shown.calls, shown.failure_rate, shown.in_a_row) == ("metrics_only", 50, 1.0, 50)


@pytest.mark.parametrize("state", ["open", "closed", "metrics_only"])
def test_release_starts_closed_with_nothing_counted(state: str) -> None:
    breaker = opened()
    started = permit(breaker, 5.0)
    breaker.force(state, 6.0)
    breaker.report(started, "success", 6.0)
    breaker.force(None, 7.0)
    shown = breaker.snapshot(7.0)
    assert (shown.state, shown.calls, shown.in_a_row, shown.streak, shown.since, shown.late) == (
        "closed",
        0,
        0,
        0,
        7.0,
        1,
    )
    calls(breaker, "ff", 7.0)
    assert breaker.state(7.0) == "closed"


def test_release_of_what_was_not_forced_does_nothing() -> None:
    breaker = opened()
    before = breaker.snapshot(1.0)
    breaker.force(None, 1.0)
    assert breaker.snapshot(1.0) == before


def test_forcing_the_same_again_does_nothing() -> None:
    breaker = make()
    breaker.force("open", 0.0)
    before = breaker.snapshot(1.0)
    breaker.force("open", 1.0)
    assert breaker.snapshot(1.0) == before


def test_reset_closes_from_any_state_and_forgets() -> None:
    for breaker in (opened(), probing()[0], make()):
        breaker.reset(6.0)
        shown = breaker.snapshot(6.0)
        assert (shown.state, shown.calls, shown.in_a_row, shown.streak, shown.probes) == ("closed", 0, 0, 0, 0)
    forced = make()
    forced.force("open", 0.0)
    forced.reset(1.0)
    assert isinstance(forced.admit(1.0), Permit)


# --- events ---


def test_every_change_is_told_with_what_one_needs_to_know() -> None:
    events: list[BreakerEvent] = []
    breaker = make(listener=events.append)
    calls(breaker, "fff", 1.0)
    breaker.report(permit(breaker, 6.0), "success", 6.0)
    breaker.report(permit(breaker, 6.5), "success", 7.0)
    breaker.open_until(100.0, 8.0, "quota")
    breaker.open_until(200.0, 9.0, "auth")
    breaker.open_until(200.0, 9.0, "auth")
    breaker.force("open", 10.0)
    breaker.force("metrics_only", 11.0)
    breaker.force(None, 12.0)
    breaker.open_until(50.0, 13.0, "retry_after")
    breaker.reset(14.0)
    breaker.reset(15.0)
    told = [(event.name, event.before, event.after, event.at, event.reason, event.until) for event in events]
    assert told == [
        ("opened", "closed", "open", 1.0, "failures", 6.0),
        ("half_opened", "open", "half_open", 6.0, "failures", None),
        ("closed", "half_open", "closed", 7.0, "failures", None),
        ("opened", "closed", "open", 8.0, "quota", 100.0),
        ("extended", "open", "open", 9.0, "auth", 200.0),
        ("forced", "open", "forced_open", 10.0, "forced", None),
        ("forced", "forced_open", "metrics_only", 11.0, "forced", None),
        ("released", "metrics_only", "closed", 12.0, "forced", None),
        ("opened", "closed", "open", 13.0, "retry_after", 50.0),
        ("reset", "open", "closed", 14.0, "retry_after", None),
    ]
    assert {event.breaker for event in events} == {"openai/gpt"}


def test_a_listener_that_fails_breaks_nothing() -> None:
    heard = []

    def listener(event: BreakerEvent) -> None:
        heard.append(event.name)
        raise RuntimeError("listener")

    breaker = make(listener=listener)
    calls(breaker, "fff")
    assert permit(breaker, 5.0).probe
    assert heard == ["opened", "half_opened"]


def test_a_listener_may_call_the_breaker_and_events_keep_their_order() -> None:
    heard = []

    def listener(event: BreakerEvent) -> None:
        if event.name == "opened":
            breaker.force("closed", event.at)
        heard.append(event.name)

    breaker = make(listener=listener)
    calls(breaker, "fff")
    assert breaker.state(0.0) == "forced_closed"
    assert heard == ["opened", "forced"]


# --- time ---


def test_an_instant_a_little_in_the_past_counts_as_the_latest() -> None:
    breaker = opened(100.0)
    assert isinstance(breaker.admit(104.99), Rejected)
    assert isinstance(breaker.admit(104.0), Rejected)
    assert permit(breaker, 105.0).probe
    breaker.report(permit(opened(100.0), 106.0), "ignored", 90.0)
    assert breaker.state(80.0) == "half_open"


def test_a_clock_that_was_set_back_means_that_no_time_passed() -> None:
    breaker = opened(1000.0)
    assert rejected(breaker, 1001.0).retry_after == pytest.approx(4.0, abs=1e-5)
    assert rejected(breaker, 7.0).retry_after == pytest.approx(4.0, abs=1e-5)
    assert breaker.snapshot(7.0).since == 6.0
    assert permit(breaker, 11.0, lease=20.0).probe
    assert isinstance(breaker.admit(-5000.0), Rejected)
    assert isinstance(breaker.admit(-4980.5), Rejected)
    assert permit(breaker, -4980.0).probe


def test_a_window_back_is_still_a_little_in_the_past() -> None:
    breaker = opened(1000.0)
    assert rejected(breaker, 970.0).since == 1000.0
    assert rejected(breaker, 969.0).since == 969.0


def test_a_clock_that_jumps_ahead_and_back_keeps_news_and_trickle() -> None:
    breaker = opened(base=1000.0, cap=1000.0)
    breaker.open_until(600.0, 0.0, "quota")
    assert isinstance(breaker.admit(599.0, last=True), Rejected)
    assert isinstance(breaker.admit(-401.0, last=True), Rejected)
    assert isinstance(breaker.admit(-400.5, last=True), Rejected)
    trickle = permit(breaker, -400.0, last=True)
    breaker.report(trickle, "failure", -400.0)
    assert isinstance(breaker.admit(-9000.0, last=True), Rejected)
    assert isinstance(breaker.admit(-8997.5, last=True), Rejected)
    assert permit(breaker, -8997.0, last=True).probe


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, -1e300, 1e300])
def test_no_instant_breaks_it(now: float) -> None:
    for breaker in (make(), opened(), probing()[0]):
        answer = breaker.admit(now, last=True, lease=now)
        if isinstance(answer, Permit):
            breaker.report(answer, "failure", now)
        breaker.open_until(now, now, "quota")
        breaker.snapshot(now)
        breaker.force("metrics_only", now)
        breaker.reset(now)
        later = 10.0
        calls(breaker, "fff", later)
        assert breaker.snapshot(later).until == 15.0
        assert isinstance(breaker.admit(14.9), Rejected)
        close(breaker, 15.0)


def test_old_instants_count_as_the_latest_wherever_they_come_in() -> None:
    events: list[BreakerEvent] = []
    breaker = make(listener=events.append)
    calls(breaker, "fff", 100.0)
    assert breaker.state(110.0) == "half_open"
    permit(breaker, 104.0, lease=20.0)
    assert (events[-1].name, events[-1].at) == ("half_opened", 110.0)
    assert isinstance(breaker.admit(129.0), Rejected)
    assert breaker.snapshot(130.0).probes == 0
    assert breaker.snapshot(129.0).probes == 0
    breaker.open_until(129.5, 129.0, "quota")
    assert breaker.state(130.0) == "half_open"
    breaker.force("open", 105.0)
    breaker.reset(106.0)
    assert [event.at for event in events] == [100.0, 110.0, 130.0, 130.0]


def test_what_is_old_when_the_clock_is_set_back_stays_as_old() -> None:
    breaker = make()
    calls(breaker, "f", 0.0)
    calls(breaker, "i", 25.0)
    assert breaker.snapshot(-1000.0).calls == 1
    assert breaker.snapshot(-996.1).calls == 1
    assert breaker.snapshot(-996.0).calls == 0


# --- settings ---


def test_the_defaults_are_the_documented_ones() -> None:
    assert {field.name: field.default for field in fields(BreakerSettings)} == {
        "window": 30.0,
        "slices": 10,
        "minimum": 5,
        "rate": 0.5,
        "in_a_row": 3,
        "last_in_a_row": 8,
        "slow_rate": 0.8,
        "base": 5.0,
        "cap": 300.0,
        "healthy": 60.0,
        "closes_after": 2,
        "lease": 60.0,
        "trickle": 3.0,
    }


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *(("window", value) for value in (0.0, -1.0, math.inf, math.nan)),
        *(("slices", value) for value in (0, 1001, 2.5, math.nan)),
        *(("minimum", value) for value in (0, 1.5, math.inf, math.nan)),
        *(("last_in_a_row", value) for value in (0, 1.5, math.inf, math.nan)),
        *(("rate", value) for value in (0.0, 1.01, math.nan)),
        *(("in_a_row", value) for value in (0, 2.5, math.inf, math.nan)),
        *(("slow_rate", value) for value in (0.0, 1.01, math.nan)),
        *(("base", value) for value in (0.0, -1.0, math.inf, math.nan)),
        *(("cap", value) for value in (4.9, math.inf, math.nan)),
        *(("healthy", value) for value in (-1.0, math.inf, math.nan)),
        *(("closes_after", value) for value in (0, 1.5, math.inf, math.nan)),
        *(("lease", value) for value in (0.0, math.inf, math.nan)),
        *(("trickle", value) for value in (-1.0, math.inf, math.nan)),
    ],
)
def test_a_setting_out_of_its_range_is_named(field: str, wrong: float) -> None:
    with pytest.raises(ConfigurationError, match=f"breaker.{field} is .* must be ") as caught:
        BreakerSettings(**{field: wrong})
    assert caught.value.field == f"breaker.{field}"


def test_settings_at_the_edge_of_their_range_are_taken() -> None:
    BreakerSettings(
        slices=1, minimum=1, rate=1.0, in_a_row=1, slow_rate=1.0, cap=5.0, healthy=0.0, closes_after=1, trickle=0.0
    )
    BreakerSettings(slices=1000, rate=0.001, slow_rate=0.001, base=0.001, lease=0.001, window=0.001)


def test_settings_and_what_is_told_cannot_be_changed() -> None:
    events: list[BreakerEvent] = []
    breaker = make(listener=events.append)
    breaker.force("open", 0.0)
    for told in (DEFAULTS, events[0], breaker.snapshot(0.0)):
        name = fields(told)[0].name
        with pytest.raises(FrozenInstanceError):
            setattr(told, name, "other")
        assert not hasattr(told, "__dict__")
    with pytest.raises(TypeError):
        BreakerSettings(30.0)


def test_jitter_is_half_to_one_and_a_half() -> None:
    dice = Dice()
    breaker = Breaker("x", DEFAULTS, dice)
    calls(breaker, "fff")
    permit(breaker, 3.0, last=True)
    assert set(dice.asked) == {(0.5, 1.5)}

"""What chance does to the default settings, and what they do for a provider that was down: simulated with fixed seeds."""

from __future__ import annotations

import random
from itertools import groupby

import pytest

from aistrale.reliability.breaker import Breaker, BreakerSettings, Permit

WINDOW = 30.0


def outcomes(share: float, count: int, rng: random.Random) -> list[str]:
    return ["failure" if rng.random() < share else "success" for _ in range(count)]


def warm(per_window: int, rng: random.Random) -> tuple[Breaker, float]:
    """A breaker whose window holds a quiet stretch of a provider that fails three calls of ten."""
    breaker, now = Breaker("x", BreakerSettings(), rng), 0.0
    for number in range(per_window):
        now += WINDOW / per_window
        answer = breaker.admit(now)
        assert isinstance(answer, Permit)
        breaker.report(answer, "failure" if number % 10 in {2, 5, 8} else "success", now)
    assert breaker.state(now) == "closed"
    return breaker, now


def openings(share: float, per_window: int, count: int, seed: int, *, start_warm: bool = False) -> int:
    """How often chance opens a closed breaker in `count` calls; it starts afresh after each."""
    rng = random.Random(seed)
    opened, breaker, now = 0, None, 0.0
    for outcome in outcomes(share, count, rng):
        if breaker is None:
            breaker, now = warm(per_window, rng) if start_warm else (Breaker("x", BreakerSettings(), rng), 0.0)
        now += rng.expovariate(per_window / WINDOW)
        answer = breaker.admit(now)
        assert isinstance(answer, Permit)
        breaker.report(answer, outcome, now)
        if breaker.state(now) == "open":
            opened, breaker = opened + 1, None
    return opened


def test_under_load_a_provider_that_fails_a_third_at_random_stays_closed() -> None:
    calls = 60_000
    assert openings(0.3, 1000, calls, seed=1, start_warm=True) <= 1
    # A fixed row of three would open it all the time.
    runs = [len(list(run)) for what, run in groupby(outcomes(0.3, calls, random.Random(1))) if what == "failure"]
    assert sum(run >= 3 for run in runs) > 1000


@pytest.mark.parametrize(("share", "least", "most"), [(0.01, 0, 0), (0.05, 0, 5), (0.1, 3, 25), (0.3, 200, 700)])
def test_at_a_call_every_other_second_only_a_sick_provider_is_left(share: float, least: int, most: int) -> None:
    assert least <= openings(share, 12, 20_000, seed=3) <= most


def test_an_empty_window_is_where_chance_weighs_most() -> None:
    def opens(share: float, seed: int) -> bool:
        rng = random.Random(seed)
        breaker = Breaker("x", BreakerSettings(), rng)
        for number, outcome in enumerate(outcomes(share, 1000, rng)):
            answer = breaker.admit(number * 0.03)
            if not isinstance(answer, Permit):
                return True
            breaker.report(answer, outcome, number * 0.03)
        return False

    assert sum(opens(0.3, seed) for seed in range(200)) < 100
    assert sum(opens(0.05, seed) for seed in range(200)) <= 2


# --- an outage of 90 seconds, seen by processes that have nowhere else to go ---

START, END, STOP = 60.0, 150.0, 180.0


def process(seed: int, *, last: bool, answer_time: float) -> list[tuple[float, bool, bool]]:
    """One process that calls 0.4 times a second: when, whether it was sent, whether it was answered."""
    rng = random.Random(seed)
    breaker, now, made, under_way = Breaker("x", BreakerSettings(), rng), 0.0, [], []
    while now < STOP:
        now += rng.expovariate(0.4)
        for due, permit, outcome in [item for item in under_way if item[0] <= now]:
            breaker.report(permit, outcome, due)
        under_way = [item for item in under_way if item[0] > now]
        answer = breaker.admit(now, last=last, lease=15.0)
        healthy = not START <= now < END
        if isinstance(answer, Permit):
            # A call that an outage swallows ends at its time-out of two seconds.
            due = now + (0.2 if healthy else answer_time)
            under_way.append((due, answer, "success" if healthy else "failure"))
        made.append((now, isinstance(answer, Permit), isinstance(answer, Permit) and healthy))
    return made


@pytest.mark.parametrize("answer_time", [0.01, 2.0], ids=["errors at once", "hangs"])
def test_the_last_target_is_spared_in_an_outage_and_back_soon_after(answer_time: float) -> None:
    calls = [call for seed in range(300) for call in process(seed, last=True, answer_time=answer_time)]
    outage = [sent for when, sent, _ in calls if START + 10 <= when < END]
    assert 0.2 < sum(outage) / len(outage) < 0.7
    after = [answered for when, _, answered in calls if when >= END + 10]
    assert sum(after) / len(after) > 0.95


def test_a_target_with_others_beside_it_is_left_for_longer() -> None:
    calls = [call for seed in range(300) for call in process(seed, last=False, answer_time=0.01)]
    outage = [sent for when, sent, _ in calls if START + 10 <= when < END]
    assert sum(outage) / len(outage) < 0.2


@pytest.mark.parametrize(("share", "per_second", "most"), [(0.1, 0.4, 0), (0.3, 0.4, 8), (0.3, 100.0, 2)])
def test_the_only_target_is_seldom_left_for_failures_of_chance(share: float, per_second: float, most: int) -> None:
    def opens(seed: int) -> bool:
        rng = random.Random(seed)
        breaker = Breaker("x", BreakerSettings(), rng)
        for number, outcome in enumerate(outcomes(share, 1000, rng)):
            answer = breaker.admit(number / per_second, last=True)
            assert isinstance(answer, Permit)
            breaker.report(answer, outcome, number / per_second)
            if breaker.state(number / per_second) == "open":
                return True
        return False

    assert sum(opens(seed) for seed in range(1000)) <= most


def test_with_a_choice_of_sick_targets_calls_pass_although_both_breakers_are_open() -> None:
    rng = random.Random(5)
    both = [Breaker(name, BreakerSettings(), rng) for name in "ab"]
    for breaker in both:
        for _ in range(3):
            permit = breaker.admit(0.0)
            assert isinstance(permit, Permit)
            breaker.report(permit, "failure", 0.0)
    assert [breaker.state(0.0) for breaker in both] == ["open", "open"]
    answered = 0
    for number in range(1000):
        now = number * 0.001
        for position, breaker in enumerate(both):
            permit = breaker.admit(now, last=position == 1)
            if not isinstance(permit, Permit):
                continue
            good = rng.random() >= 0.3
            breaker.report(permit, "success" if good else "failure", now)
            if good:
                answered += 1
                break
    # One attempt at one of them brings 70 %.
    assert answered > 650

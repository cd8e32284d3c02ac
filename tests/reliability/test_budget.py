"""The retry budget: bounds under threads, what a dead provider may be asked, and how it is earned back."""

from __future__ import annotations

import math
import random
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aistrale.errors import ConfigurationError
from aistrale.reliability.budget import RetryBudget, RetryBudgetSettings

SETTINGS = st.builds(
    RetryBudgetSettings,
    tokens=st.integers(0, 2000).map(lambda number: number / 10),
    ratio=st.integers(1, 2000).map(lambda number: number / 1000),
)


class BudgetMachine(RuleBasedStateMachine):
    """Against exact fractions of a token."""

    @initialize(settings=SETTINGS)
    def begin(self, settings):
        self.budget = RetryBudget(settings)
        self.most = round(settings.tokens * 1000)
        self.ratio = round(settings.ratio * 1000)
        self.left = self.most

    @rule()
    def failure(self):
        self.budget.failure()
        self.left = max(0, self.left - 1000)

    @rule(times=st.integers(1, 60))
    def success(self, times):
        for _ in range(times):
            self.budget.success()
            self.left = min(self.most, self.left + self.ratio)

    @rule()
    def spend(self):
        allowed = self.left * 2 > self.most
        assert self.budget.allows() is allowed
        assert self.budget.spend() is allowed
        if allowed:
            self.left = max(0, self.left - 1000)

    @rule()
    def fork(self):
        self.budget.after_fork()

    @invariant()
    def agrees(self):
        assert self.budget.tokens == self.left / 1000
        assert 0 <= self.budget.tokens <= self.most / 1000
        assert self.budget.allows() is (self.left * 2 > self.most)


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=60, stateful_step_count=40)


def test_grpcs_numbers():
    budget = RetryBudget()
    assert budget.tokens == 10.0
    assert [budget.spend() for _ in range(7)] == [True] * 5 + [False] * 2
    assert budget.tokens == 5.0
    budget.success()
    assert budget.tokens == 5.1
    assert budget.spend()


def test_a_budget_of_nothing_allows_nothing():
    budget = RetryBudget(RetryBudgetSettings(tokens=0))
    budget.success()
    assert not budget.allows()
    assert not budget.spend()
    assert budget.tokens == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("tokens", -1), ("tokens", math.nan), ("tokens", math.inf), ("tokens", 1_000_001), ("ratio", 0), ("ratio", -0.1), ("ratio", math.nan), ("ratio", math.inf), ("ratio", 0.0009)],
)  # fmt: skip
def test_settings_that_cannot_work_are_named(name, value):
    with pytest.raises(ConfigurationError, match=name) as caught:
        RetryBudgetSettings(**{name: value})
    assert caught.value.field == name


@pytest.fixture
def hectic():
    """Threads that change turns as often as they can, so that what is not locked shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_ten_threads_stay_within_the_bounds(hectic):
    """Q1, with the sum of everything that happened checked at the end."""
    budget = RetryBudget(RetryBudgetSettings(tokens=10, ratio=0.1))
    start = threading.Barrier(10)
    seen: list[float] = []
    spent: list[int] = []

    def work(seed):
        rng = random.Random(seed)
        mine = 0
        start.wait()
        for _ in range(4000):
            step = rng.random()
            if step < 0.3:
                mine += budget.spend()
            elif step < 0.4:
                budget.failure()
            else:
                budget.success()
            tokens = budget.tokens
            if not 0 <= tokens <= 10:
                seen.append(tokens)
        spent.append(mine)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == []
    assert sum(spent) > 0
    assert budget.tokens * 1000 == round(budget.tokens * 1000)


def test_what_threads_spend_together_is_what_there_was(hectic):
    budget = RetryBudget(RetryBudgetSettings(tokens=100_000, ratio=0.1))
    start = threading.Barrier(10)
    paid: list[int] = []

    def work():
        start.wait()
        paid.append(sum(budget.spend() for _ in range(10_000)))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(paid) == 50_000
    assert budget.tokens == 50_000


@given(settings=SETTINGS, calls=st.integers(1, 300), wanted=st.integers(0, 5))
def test_a_provider_that_always_fails_is_asked_little_more_than_once_a_call(settings, calls, wanted):
    """Q2: from any moment on, retries are bounded by what the budget holds."""
    budget = RetryBudget(settings)
    attempts = 0
    for _ in range(calls):
        attempts += 1
        budget.failure()
        for _ in range(wanted):
            if not budget.spend():
                break
            attempts += 1
    assert attempts <= calls * (1 + settings.ratio) + settings.tokens


@given(settings=SETTINGS, drained=st.integers(0, 300), seed=st.integers())
def test_retries_are_back_after_enough_successes(settings, drained, seed):
    """Q4: half a budget divided by the ratio, and one success to be beyond the half."""
    budget = RetryBudget(settings)
    rng = random.Random(seed)
    for _ in range(drained):
        rng.choice([budget.failure, budget.spend])()
    needed = round(settings.tokens * 1000) // (2 * round(settings.ratio * 1000)) + 1
    for _ in range(needed):
        budget.success()
    assert budget.allows() is (settings.tokens > 0)


def test_a_child_is_not_held_up_by_a_lock_that_another_thread_of_its_parent_had():
    budget = RetryBudget()
    budget.failure()
    held, release = threading.Event(), threading.Event()

    def hold():
        with budget._lock:
            held.set()
            release.wait(20)

    parent = threading.Thread(target=hold)
    parent.start()
    held.wait(20)
    budget.after_fork()
    child = threading.Thread(target=budget.spend, daemon=True)
    child.start()
    child.join(5)
    try:
        assert not child.is_alive()
        assert budget.tokens == 8.0
    finally:
        release.set()
        parent.join()

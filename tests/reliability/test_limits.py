from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aistrale.errors import ConfigurationError
from aistrale.reliability.limits import Aimd, LimitSettings, TokenBucket, default_concurrency

# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("concurrency", 0),
        ("concurrency", -1),
        ("concurrency", True),
        ("concurrency", 2.5),
        ("concurrency", "many"),
        ("max_concurrency", 0),
        ("max_concurrency", "9"),
        ("min_concurrency", 0),
        ("min_concurrency", None),
        ("decrease", 0.4),
        ("decrease", 1.0),
        ("decrease", math.nan),
        ("rpm", 0),
        ("rpm", -5),
        ("tpm", math.inf),
        ("itpm", math.nan),
        ("otpm", "1000"),
        ("burst", -1),
        ("burst", 61),
        ("queue", -1),
        ("queue", 1.5),
        ("queue", False),
        ("queue_timeout", -0.1),
        ("queue_timeout", math.nan),
        ("ageing", 0),
        ("ageing", None),
    ],
)
def test_a_setting_out_of_its_range_is_named(field, value):
    with pytest.raises(ConfigurationError, match=f"limits.{field} is .*must be") as caught:
        LimitSettings(**{field: value})
    assert caught.value.field == f"limits.{field}"


def test_the_lower_end_of_auto_is_not_above_the_upper():
    with pytest.raises(ConfigurationError, match="min_concurrency"):
        LimitSettings(min_concurrency=9, max_concurrency=8)
    LimitSettings(min_concurrency=8, max_concurrency=8)


@pytest.mark.parametrize(
    "values",
    [
        {"concurrency": None},
        {"concurrency": 1},
        {"concurrency": "auto", "max_concurrency": 1},
        {"rpm": 0.5, "tpm": 1, "itpm": 1e9, "otpm": 3},
        {"burst": 0},
        {"queue": 0, "queue_timeout": 0},
        {"queue_timeout": math.inf},
    ],
    ids=str,
)
def test_the_ends_of_the_ranges_are_fine(values):
    assert replace(LimitSettings(), **values) == LimitSettings(**values)


@pytest.mark.parametrize(
    ("soft", "most"), [(64, 16), (256, 64), (1024, 256), (2048, 512), (1_000_000, 512), (3, 1), (-1, 512)]
)
def test_the_default_concurrency_leaves_files_to_open(monkeypatch, soft, most):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, 1_000_000))
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    assert default_concurrency() == most


# --- the bucket ------------------------------------------------------------------------------------------------------

amounts = st.floats(0.0, 300.0)
steps = st.one_of(st.just(0.0), st.floats(0.0, 5.0), st.floats(-3.0, 0.0), st.sampled_from([1e-9, 100.0, -50.0]))


@given(
    st.floats(0.1, 50.0),
    st.floats(1.0, 100.0),
    st.lists(st.tuples(steps, amounts, st.booleans()), max_size=60),
)
def test_no_stretch_of_time_lets_through_more_than_rate_and_burst(rate, capacity, events):
    """T1, T4: a plain list of what was taken is the oracle; clocks that go back give nothing."""
    bucket = TokenBucket(rate, capacity)
    now, latest = 1000.0, -math.inf
    taken = []
    for step, amount, refund in events:
        now += step
        latest = max(latest, now)
        if refund and taken:
            bucket.take(-taken[-1][1], now)
            taken.append((latest, -taken[-1][1]))
        elif bucket.delay(amount, now) == 0.0:
            bucket.take(amount, now)
            taken.append((latest, amount))
    largest = max([capacity, *(amount for _, amount in taken)])
    for first in range(len(taken)):
        total = refunds = 0.0
        for instant, amount in taken[first:]:
            total += amount
            refunds -= min(amount, 0.0)
            assert total <= rate * (instant - taken[first][0]) + largest + refunds + 1e-6


@given(st.floats(0.1, 50.0), st.floats(1.0, 100.0), st.lists(st.tuples(st.floats(0.0, 5.0), amounts), max_size=40))
def test_whoever_waits_as_long_as_told_is_let_through(rate, capacity, events):
    """An amount larger than the bucket, too: the average holds, and nobody waits for ever."""
    bucket = TokenBucket(rate, capacity)
    now = 0.0
    total = 0.0
    for step, amount in events:
        now += step
        delay = bucket.delay(amount, now)
        assert 0.0 <= delay <= (capacity + 300.0) / rate + 1e-6
        if delay > 0.002:
            assert bucket.delay(amount, now + delay - 0.001) > 0.0
        now += delay + 1e-6
        assert bucket.delay(amount, now) <= 1e-6
        bucket.take(amount, now)
        total += amount
        assert total <= rate * now + capacity + max(capacity, 300.0)


def test_those_ahead_are_waited_for():
    bucket = TokenBucket(2.0, 10.0, level=4.0, now=0.0)
    assert bucket.delay(3.0, 0.0) == 0.0
    assert bucket.delay(3.0, 0.0, ahead=1.0) == 0.0
    assert bucket.delay(3.0, 0.0, ahead=5.0) == 2.0
    assert bucket.delay(50.0, 0.0, ahead=30.0) == (30.0 + 10.0 - 4.0) / 2.0
    assert bucket.delay(3.0, 0.0, ahead=-100.0) == 0.0


def test_a_clock_that_goes_back_neither_gives_nor_takes():
    bucket = TokenBucket(1.0, 10.0, level=4.0, now=100.0)
    assert bucket.level(50.0) == 4.0
    assert bucket.take(1.0, 50.0) == 3.0
    assert bucket.level(100.0) == 3.0
    assert bucket.level(102.0) == 5.0


def test_a_refund_does_not_overfill_and_a_debt_is_paid_off():
    bucket = TokenBucket(1.0, 10.0)
    assert bucket.take(25.0, 0.0) == -15.0
    assert bucket.take(-5.0, 0.0) == -10.0
    assert bucket.delay(1.0, 0.0) == 11.0
    assert bucket.level(12.0) == 2.0
    assert bucket.take(-99.0, 12.0) == 10.0
    assert bucket.level(99.0) == 10.0


# --- concurrency that adapts -----------------------------------------------------------------------------------------


class AimdMachine(RuleBasedStateMachine):
    """L1, L3, L4, and one cut a round trip; the oracle counts successes by hand."""

    def __init__(self):
        super().__init__()
        self.aimd = Aimd(60, 2, 0.8)
        self.now = 1000.0
        self.started = []
        self.cut_at = -math.inf
        self.credit = 0

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 70.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(count=st.integers(1, 30))
    def calls_begin(self, count):
        room = self.aimd.limit - len(self.started)
        self.started.extend([self.now] * max(min(count, room), 0))

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def success(self, data):
        in_flight, before = len(self.started), self.aimd.limit
        started = self.started.pop(data.draw(st.integers(0, in_flight - 1)))
        self.aimd.success(in_flight, started, self.now)
        counts = before < 60 and started >= self.cut_at and in_flight >= before / 2
        if counts:
            self.credit += 1
        grown = counts and (self.credit >= before or self.now >= self.cut_at + 60.0)
        if grown:
            self.credit = 0
        assert self.aimd.limit == before + grown

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def throttled(self, data):
        in_flight, before = len(self.started), self.aimd.limit
        started = self.started.pop(data.draw(st.integers(0, in_flight - 1)))
        self.aimd.drop(in_flight, started, self.now)
        if started < self.cut_at:
            assert self.aimd.limit == before
            return
        self.cut_at = self.now
        self.credit = 0
        assert self.aimd.limit == max(2, math.floor(min(before, max(in_flight, 10)) * 0.8))
        assert self.aimd.limit < before or before == 2

    @invariant()
    def within_its_ends(self):
        assert 2 <= self.aimd.limit <= 60


TestAimd = AimdMachine.TestCase


def test_many_failures_of_one_burst_are_one_cut():
    aimd = Aimd(512)
    for under_way in range(100, 0, -1):
        aimd.drop(under_way, 10.0, 12.0)
    assert aimd.limit == 90
    aimd.drop(90, 12.5, 13.0)
    assert aimd.limit == 81


def test_it_comes_down_to_what_a_small_server_takes_and_stays_above_the_minimum():
    aimd = Aimd(512)
    limits = []
    for instant in range(17):
        aimd.drop(min(aimd.limit, 20), float(instant), float(instant))
        limits.append(aimd.limit)
    assert limits == [18, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1]


def test_it_grows_by_one_a_round_trip_and_doubles_after_a_quiet_minute():
    aimd = Aimd(512)
    aimd.drop(1, 0.0, 0.0)
    assert aimd.limit == 9
    for _ in range(9):
        aimd.success(9, 1.0, 2.0)
    assert aimd.limit == 10
    for _ in range(10):
        aimd.success(10, 30.0, 61.0)
    assert aimd.limit == 20

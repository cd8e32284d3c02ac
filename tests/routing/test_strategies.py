from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.routing.health import WINDOW, TargetStats
from aistrale.routing.strategies import STRATEGIES, RouteRule, order

NOW = 1000.0


class Place(str):
    """A target whose equality must not be asked: real ones are costly to compare."""

    __slots__ = ()

    def __eq__(self, other):
        raise AssertionError("targets were compared")

    __hash__ = str.__hash__


class Fleet:
    """Targets with statistics, and an order of them."""

    def __init__(self, count, *, weights=None, seed=7):
        self.targets = [Place("abcdefghijklmnop"[place]) for place in range(count)]
        self.stats = [TargetStats() for _ in range(count)]
        self.rng = random.Random(seed)
        self.cursor = itertools.count()
        self.weights = weights
        self.now = NOW

    def of(self, target):
        return self.stats["abcdefghijklmnop".index(target)]

    def order(self, strategy, **options):
        options.setdefault("cursor", next(self.cursor))
        listed = list(map(str, self.targets))
        chosen = order(strategy, self.targets, self.of, weights=self.weights, rng=self.rng, now=self.now, **options)
        assert list(map(str, self.targets)) == listed
        assert chosen is not self.targets
        return "".join(chosen)

    def firsts(self, strategy, count, **options):
        return Counter(self.order(strategy, **options)[0] for _ in range(count))

    def call(self, place, outcome="success", latency=1.0, **timing):
        self.stats[place].began(self.now)
        self.stats[place].ended(self.now, outcome=outcome, latency=latency, **timing)


def known(*latencies, **options):
    fleet = Fleet(len(latencies))
    for place, latency in enumerate(latencies):
        for _ in range(20):
            fleet.call(place, latency=latency, **options)
    return fleet


# --- all of them -----------------------------------------------------------------------------------------------------

CALLS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["success", "failure", "slow", "ignored", "open"]),
        st.floats(0.0, 100.0),
        st.none() | st.floats(0.0, 10.0),
    ),
    max_size=30,
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    count=st.integers(1, 6),
    calls=CALLS,
    weights=st.none() | st.lists(st.floats(0.0, 1e6), min_size=6, max_size=6),
    cursor=st.integers(0, 10**9),
    streaming=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_target_stands_in_the_order_once(*, strategy, count, calls, weights, cursor, streaming, seed):
    fleet = Fleet(count, weights=None if weights is None else weights[:count], seed=seed)
    for place, outcome, latency, first_token in calls:
        if outcome == "open":
            fleet.stats[place % count].began(NOW)
        else:
            fleet.call(place % count, outcome, latency, first_token=first_token)
    assert sorted(fleet.order(strategy, cursor=cursor, streaming=streaming)) == sorted(map(str, fleet.targets))


def test_priority_is_the_order_of_the_route():
    fleet = known(9.0, 1.0, 5.0)
    fleet.stats[0].began(NOW)
    assert {fleet.order("priority") for _ in range(20)} == {"abc"}


# --- round robin and weighted ----------------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(0, 1000))
def test_round_robin_is_fair_to_the_first_and_to_the_second(count, start):
    fleet = Fleet(count)
    fleet.cursor = itertools.count(start * count * (count - 1))
    orders = [fleet.order("round_robin") for _ in range(count * (count - 1))]
    assert [one[0] for one in orders] == list("abcdef"[:count]) * (count - 1)
    assert set(Counter(one[:2] for one in orders).values()) == {1}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any), st.integers(1, 80))
def test_weights_are_kept_to_within_one_call_at_any_time(weights, calls):
    fleet = Fleet(len(weights), weights=weights)
    total = sum(weights)
    counts = Counter()
    for made in range(1, calls + 1):
        counts[fleet.order("weighted")[0]] += 1
        for name, weight in zip("abcdef", weights, strict=False):
            assert abs(counts[name] - made * weight / total) < 1.0


@pytest.mark.parametrize("weights", [(0.7, 0.2, 0.1), (70, 20, 10), (7e-9, 2e-9, 1e-9), (7e12, 2e12, 1e12)])
def test_only_the_proportion_of_weights_matters(weights):
    fleet = Fleet(3, weights=weights)
    assert fleet.firsts("weighted", 100) == {"a": 70, "b": 20, "c": 10}


def test_heavy_targets_are_interleaved():
    fleet = Fleet(3, weights=(4, 2, 1))
    firsts = "".join(fleet.order("weighted")[0] for _ in range(14))
    assert "aaa" not in firsts
    assert "bb" not in firsts
    assert firsts[:7] == firsts[7:]


@given(st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=5))
@settings(max_examples=25)
def test_odd_weights_are_rounded_and_nobody_with_one_is_left_out(weights):
    fleet = Fleet(len(weights), weights=weights)
    calls = 1100
    counts = fleet.firsts("weighted", calls)
    for name, weight in zip("abcde", weights, strict=False):
        assert counts[name] >= 1
        assert abs(counts[name] / calls - weight / sum(weights)) < 0.005


def test_weight_zero_takes_over_last():
    fleet = Fleet(4, weights=(0, 1, 0, 2))
    orders = [fleet.order("weighted") for _ in range(30)]
    assert {one[2:] for one in orders} == {"ac"}
    assert Counter(one[0] for one in orders) == {"b": 10, "d": 20}


def test_weights_that_are_all_zero_are_equal():
    assert Fleet(2, weights=(0, 0)).firsts("weighted", 10) == {"a": 5, "b": 5}


def test_a_single_weight():
    assert Fleet(1, weights=(5,)).order("weighted") == "a"
    assert Fleet(2, weights=(5, 0)).order("weighted") == "ab"


def test_who_takes_over_is_in_proportion_too():
    fleet = Fleet(4, weights=(5, 3, 1, 1))
    cycle = 10
    seconds = Counter(one[1] for _ in range(cycle * 9) if (one := fleet.order("weighted"))[0] == "a")
    assert seconds["b"] > 1.5 * seconds["c"]
    assert seconds["b"] > 1.5 * seconds["d"]
    assert min(seconds["c"], seconds["d"]) >= 0.1 * sum(seconds.values())


# --- least in flight -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 100))
def test_the_fewest_calls_under_way_come_first(flights, cursor):
    fleet = Fleet(len(flights))
    for stats, flight in zip(fleet.stats, flights, strict=True):
        for _ in range(flight):
            stats.began(NOW)
    chosen = fleet.order("least_in_flight", cursor=cursor)
    assert [fleet.of(name).in_flight for name in chosen] == sorted(flights)


def test_idle_targets_take_turns():
    assert Fleet(3).firsts("least_in_flight", 30) == {"a": 10, "b": 10, "c": 10}


# --- latency ---------------------------------------------------------------------------------------------------------


def test_of_two_the_faster_comes_first():
    assert known(2.0, 1.0).firsts("latency", 50) == {"b": 50}


def test_of_many_the_slowest_never_and_the_best_not_always():
    firsts = known(1.0, 2.0, 3.0, 4.0).firsts("latency", 600)
    # Two of four are drawn: the best is among them in half of the draws, the second wins a third of them.
    assert firsts["d"] == 0
    assert 240 <= firsts["a"] <= 360
    assert 150 <= firsts["b"] <= 250
    assert 60 <= firsts["c"] <= 140


def test_every_pair_is_drawn_alike():
    fleet = known(1.0, 1.0, 1.0)
    firsts = fleet.firsts("latency", 900)
    assert all(250 <= firsts[name] <= 350 for name in "abc")


def test_the_others_follow_from_fast_to_slow():
    fleet = known(4.0, 1.0, 3.0, 2.0)
    for chosen in (fleet.order("latency") for _ in range(50)):
        assert chosen[1:] == "".join(name for name in "bdca" if name != chosen[0])


def test_calls_under_way_count():
    fleet = known(1.0, 2.5)
    fleet.stats[0].began(NOW)
    assert fleet.firsts("latency", 20) == {"a": 20}
    fleet.stats[0].began(NOW)
    assert fleet.firsts("latency", 20) == {"b": 20}


def test_the_unknown_is_tried_but_not_by_a_crowd():
    fleet = known(1.0, 1.0)
    fleet.stats[1] = TargetStats()
    assert fleet.firsts("latency", 20) == {"b": 20}
    fleet.stats[1].began(NOW)
    assert fleet.firsts("latency", 20) == {"a": 20}
    for _ in range(50):
        fleet.stats[0].began(NOW)
    assert fleet.firsts("latency", 20) == {"a": 20}
    fleet.stats[1].ended(NOW, outcome="success", latency=1.0)
    assert fleet.firsts("latency", 20) == {"b": 20}


def test_a_burst_does_not_fall_upon_one_that_has_only_failed():
    fleet = known(1.0, 1.0)
    fleet.stats[1] = TargetStats()
    fleet.call(1, "failure")
    assert fleet.firsts("latency", 20) == {"a": 20}
    fleet.now += 100.0
    for _ in range(30):
        fleet.of(fleet.order("latency")[0]).began(fleet.now)
    assert fleet.stats[1].in_flight == 1


def test_a_burst_at_the_very_start_is_spread():
    fleet = Fleet(3)
    for _ in range(30):
        fleet.of(fleet.order("latency")[0]).began(NOW)
    assert all(6 <= stats.in_flight <= 14 for stats in fleet.stats)


def test_a_slow_target_gets_another_chance_after_five_minutes():
    fleet = known(1.0, 9.0)
    fleet.now = NOW + WINDOW
    fleet.call(0)
    assert fleet.order("latency") == "ab"
    fleet.now += 1.0
    assert fleet.order("latency") == "ba"


def test_who_fails_fast_is_avoided():
    fleet = known(1.0, 1.0)
    fleet.call(0, "failure", latency=0.01)
    fleet.stats[1].began(NOW)
    assert fleet.firsts("latency", 20) == {"b": 20}
    fleet.now += 60.0
    assert fleet.firsts("latency", 20) == {"a": 20}


def test_streams_go_where_the_first_token_comes_fast():
    fleet = Fleet(2)
    for _ in range(20):
        fleet.call(0, latency=2.0)
        fleet.call(0, latency=30.0, first_token=2.0)
        fleet.call(1, latency=9.0)
        fleet.call(1, latency=30.0, first_token=0.3)
    assert fleet.firsts("latency", 20) == {"a": 20}
    assert fleet.firsts("latency", 20, streaming=True) == {"b": 20}


def test_without_a_stream_so_far_whole_answers_tell_who_is_fast():
    fleet = known(2.0, 1.0)
    assert fleet.firsts("latency", 20, streaming=True) == {"b": 20}
    fleet.call(0, latency=9.0, first_token=0.1)
    assert fleet.firsts("latency", 20, streaming=True) == {"b": 20}


def test_where_the_other_kind_does_not_tell_either_the_unknown_is_tried():
    fleet = known(1.0, 1.0, first_token=0.5)
    fleet.stats[1] = TargetStats()
    assert fleet.firsts("latency", 20, streaming=True) == {"b": 20}


def simulate(strategy, latencies, *, calls, every, seed=3):
    """Open-loop calls at targets with log-normal latencies of these medians: calls per target, mean latency."""
    fleet = Fleet(len(latencies), seed=seed)
    rng = random.Random(seed)
    running: list[tuple[float, int, float]] = []
    counts = [0] * len(latencies)
    total = 0.0
    for _ in range(calls):
        fleet.now += rng.expovariate(1.0 / every)
        while running and running[0][0] <= fleet.now:
            end, place, took = heapq.heappop(running)
            fleet.stats[place].ended(end, outcome="success", latency=took)
        place = "abcdef".index(fleet.order(strategy)[0])
        took = latencies[place] * rng.lognormvariate(0.0, 0.5)
        fleet.stats[place].began(fleet.now)
        heapq.heappush(running, (fleet.now + took, place, took))
        counts[place] += 1
        total += took
    return counts, total / calls


@pytest.mark.parametrize("every", [0.2, 2.0, 60.0])
def test_the_faster_gets_most_calls_at_any_rate(every):
    counts, mean = simulate("latency", [1.0, 4.0], calls=1500, every=every)
    assert counts[0] > 0.75 * sum(counts)
    assert counts[1] > 0
    assert mean < 0.8 * simulate("round_robin", [1.0, 4.0], calls=1500, every=every)[1]


def test_equally_fast_targets_share_alike():
    counts, _ = simulate("latency", [1.0, 1.0, 1.0], calls=1500, every=0.2)
    assert max(counts) < 1.3 * min(counts)


# --- health ----------------------------------------------------------------------------------------------------------


def test_the_healthiest_comes_first():
    fleet = known(1.0, 1.0, 1.0)
    for _ in range(3):
        fleet.call(0, "failure")
    fleet.call(1, "failure")
    assert fleet.order("health") == "cba"


def test_a_small_difference_does_not_change_the_order_of_the_route():
    fleet = known(1.0, 1.0, 1.0)
    fleet.call(0, "failure")
    assert fleet.order("health") == "bca"
    fleet.now += 180.0
    points = [stats.points(fleet.now) for stats in fleet.stats]
    assert points[1] - 5.0 < points[0] < points[1]
    assert fleet.order("health") == "abc"
    fleet.call(2, "failure")
    assert fleet.order("health") == "abc"
    fleet.call(1, "failure")
    assert fleet.order("health")[0] == "a"


def test_the_ill_follow_by_their_score_even_where_it_is_close():
    fleet = known(1.0, 1.0, 1.0)
    for place, failures in ((0, 12), (1, 11)):
        for _ in range(failures):
            fleet.call(place, "failure")
    assert 0.0 < fleet.stats[1].points(NOW) - fleet.stats[0].points(NOW) < 5.0
    assert fleet.order("health") == "cba"


# --- the rule --------------------------------------------------------------------------------------------------------


def test_the_rule_takes_every_strategy():
    assert RouteRule().strategy == "priority"
    assert [RouteRule(strategy=name).strategy for name in STRATEGIES] == list(STRATEGIES)
    assert RouteRule(strategy="weighted", weights={"a/b": 0}).weights == {"a/b": 0}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"strategy": "fastest"}, "strategy"),
        ({"strategy": "latency", "weights": {"a/b": 1.0}}, "weights"),
        ({"strategy": "weighted", "weights": {"a/b": -1.0}}, "weights.a/b"),
        ({"strategy": "weighted", "weights": {"a/b": math.inf}}, "weights.a/b"),
        ({"strategy": "weighted", "weights": {"a/b": math.nan}}, "weights.a/b"),
    ],
)
def test_the_rule_refuses_what_it_does_not_know(settings, field):
    with pytest.raises(ConfigurationError) as caught:
        RouteRule(**settings)
    assert caught.value.field == field

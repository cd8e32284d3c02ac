from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.intervals import (
    mean_interval,
    percentile_interval,
    ratio_interval,
    t_quantile,
    welch,
    wilson,
)


@pytest.mark.parametrize(
    ("freedom", "expected"),
    # Student's t at 0.975, from tables.
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1e9, 1.959964)],
)
def test_students_t(freedom, expected):
    assert t_quantile(freedom) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(successes, n, low, high):
    interval = wilson(successes, n)
    assert interval[1:3] == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_without_observations_there_is_no_interval():
    assert wilson(0, 0) is mean_interval([]) is percentile_interval([], 0.5) is ratio_interval([]) is None
    assert ratio_interval([(1.0, 0.0)]) is None
    assert welch([1.0], [1.0, 2.0]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_an_estimate_lies_within_its_interval(values):
    for interval in (mean_interval(values), percentile_interval(values, 0.5), percentile_interval(values, 0.95)):
        assert interval.low <= interval.value <= interval.high
        assert interval.n == len(values)
    assert mean_interval(values).value == pytest.approx(statistics.fmean(values))
    assert percentile_interval(values, 0.5).value == pytest.approx(statistics.median(values))


def test_the_same_observations_give_the_same_interval():
    values = [random.Random(1).random() for _ in range(50)]
    assert mean_interval(values) == mean_interval(list(values))


@pytest.mark.parametrize(("n", "least"), [(30, 0.78), (100, 0.82), (300, 0.86)])
def test_how_often_the_interval_of_a_skewed_mean_covers_it(n, least):
    """Lognormal, sigma 1.5: what one call costs; the percentile bootstrap covers .79, .84 and .88."""
    source = random.Random(3)
    truth = math.exp(1.5**2 / 2)
    runs = 150
    found = [mean_interval([source.lognormvariate(0, 1.5) for _ in range(n)]) for _ in range(runs)]
    covered = sum(each.low <= truth <= each.high for each in found) / runs
    assert least <= covered <= 0.99


@pytest.mark.parametrize("n", [60, 3000])
def test_how_often_the_interval_of_a_ratio_covers_it(n):
    source = random.Random(5)
    runs = 100
    covered = 0
    for _ in range(runs):
        pairs = [((1 + source.random()) * size, size) for size in (source.uniform(1, 100) for _ in range(n))]
        interval = ratio_interval(pairs)
        covered += interval.low <= 1.5 <= interval.high
    assert covered / runs >= 0.88


@pytest.mark.parametrize("fraction", [0.5, 0.95])
def test_how_often_the_interval_of_a_percentile_covers_it(fraction):
    source = random.Random(9)
    runs = 200
    truth = -math.log(1 - fraction)
    found = [percentile_interval([source.expovariate(1) for _ in range(200)], fraction) for _ in range(runs)]
    assert sum(each.low <= truth <= each.high for each in found) / runs >= 0.92


def test_how_often_welch_covers_the_difference_of_skewed_means():
    source = random.Random(11)
    runs = 300
    covered = 0
    for _ in range(runs):
        first = [source.lognormvariate(0, 1.5) for _ in range(100)]
        second = [source.lognormvariate(0, 1.5) for _ in range(100)]
        interval = welch(first, second)
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / runs <= 0.99


def test_welch_of_constants_is_exact():
    assert welch([3.0, 3.0], [1.0, 1.0])[:3] == (2.0, 2.0, 2.0)

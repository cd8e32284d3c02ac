"""Intervals of 95 % for means, ratios, rates and percentiles of what calls cost and how long they take.

Costs are skewed, and a skewed mean is where textbook intervals fail: of those here the bootstrap is used for few
observations, Student's t for many. See `tests/cost/test_intervals.py` for how often each covers the truth.
"""

from __future__ import annotations

import math
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.store.summary import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy import float64
    from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_RESAMPLES: Final = 2000
# Beyond it the mean of anything that calls cost is normal enough, and resampling would take seconds.
_BOOTSTRAP_UP_TO: Final = 2000
_SEED: Final = 7
# Below it the acceleration of the bootstrap is noise.
_LEAST: Final = 5


class Interval(NamedTuple):
    """An estimate and where the truth is, with a confidence of 95 %.

    Args:
        value: The estimate.
        low: Lower end.
        high: Upper end; both are the estimate itself where there is nothing to tell its error from.
        n: Observations.
    """

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int) -> Interval | None:
    """A rate (E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927)."""
    if n == 0:
        return None
    rate, z2 = successes / n, _Z * _Z
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return Interval(rate, max(0.0, centre - half), min(1.0, centre + half), n)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """A mean: BCa bootstrap up to 2000 observations, Student's t beyond and for fewer than five."""
    n = len(values)
    if n == 0:
        return None
    if _LEAST <= n <= _BOOTSTRAP_UP_TO and min(values) != max(values):
        return _bca(lambda table: table[..., 0].mean(axis=-1), [(value,) for value in values])
    mean = fmean(values)
    if n == 1:
        return Interval(mean, mean, mean, 1)
    half = t_quantile(n - 1) * math.sqrt(variance(values, mean) / n)
    return Interval(mean, mean - half, mean + half, n)


def ratio_interval(pairs: Sequence[tuple[float, float]]) -> Interval | None:
    """A ratio of two sums over the same calls: BCa bootstrap up to 2000 calls, the delta method beyond.

    Args:
        pairs: Numerator and denominator of each call; denominators are not negative.
    """
    n = len(pairs)
    below = math.fsum(pair[1] for pair in pairs)
    if n == 0 or below <= 0:
        return None
    ratio = math.fsum(pair[0] for pair in pairs) / below
    if _LEAST <= n <= _BOOTSTRAP_UP_TO and min(pair[1] for pair in pairs) > 0:
        return _bca(lambda table: table[..., 0].sum(axis=-1) / table[..., 1].sum(axis=-1), pairs)
    if n == 1:
        return Interval(ratio, ratio, ratio, 1)
    rests = [above - ratio * part for above, part in pairs]
    half = t_quantile(n - 1) * math.sqrt(variance(rests, 0.0) / n) / (below / n)
    return Interval(ratio, ratio - half, ratio + half, n)


def percentile_interval(values: Sequence[float], fraction: float) -> Interval | None:
    """A percentile, interpolated, between two order statistics whatever the distribution (binomial, normal approx.).

    Args:
        values: In any order.
        fraction: 0.5 for the median.
    """
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        return None
    value = percentile(ordered, fraction)
    half = _Z * math.sqrt(n * fraction * (1 - fraction))
    low = ordered[min(n - 1, max(0, math.floor(n * fraction - half) - 1))]
    high = ordered[min(n - 1, max(0, math.ceil(n * fraction + half)))]
    return Interval(value, min(low, value), max(high, value), n)


def welch(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """How much larger the mean of the first is (B. L. Welch, 1947); None with fewer than two observations of either."""
    n, m = len(first), len(second)
    if n < 2 or m < 2:
        return None
    mean_first, mean_second = fmean(first), fmean(second)
    a, b = variance(first, mean_first) / n, variance(second, mean_second) / m
    difference = mean_first - mean_second
    if a + b == 0:
        return Interval(difference, difference, difference, n + m)
    freedom = (a + b) ** 2 / (a * a / (n - 1) + b * b / (m - 1))
    half = t_quantile(freedom) * math.sqrt(a + b)
    return Interval(difference, difference - half, difference + half, n + m)


def variance(values: Sequence[float], mean: float) -> float:
    """About a mean, with n - 1 below; of at least two. `statistics.variance` takes three times as long."""
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def t_quantile(freedom: float) -> float:
    """Where Student's t has 97.5 % below it (Abramowitz and Stegun, 26.7.5; exact for one and two degrees)."""
    if freedom < 2:
        return math.tan(math.pi * CONFIDENCE / 2)
    if freedom < 3:
        p = (1 + CONFIDENCE) / 2
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _bca(figure: Callable[[NDArray[float64]], NDArray[float64]], rows: Sequence[tuple[float, ...]]) -> Interval:
    """Bias-corrected and accelerated bootstrap (B. Efron, "Better bootstrap confidence intervals", 1987).

    The same rows give the same interval. Corrected is half of what the estimate is off within the resamples, and how
    its error grows with it, told by leaving every row out once.
    """
    import numpy as np

    table = np.asarray(rows, dtype=float)
    n = len(table)
    value = float(figure(table))
    random = np.random.default_rng(_SEED)
    found = np.empty(_RESAMPLES)
    step = max(1, 1_000_000 // n)
    for start in range(0, _RESAMPLES, step):
        count = min(step, _RESAMPLES - start)
        found[start : start + count] = figure(table[random.integers(0, n, size=(count, n))])
    share = (np.count_nonzero(found < value) + 0.5 * np.count_nonzero(found == value)) / _RESAMPLES
    left_out = np.array([float(figure(np.delete(table, place, axis=0))) for place in range(n)])
    spread = left_out.mean() - left_out
    below = 6 * float((spread**2).sum()) ** 1.5
    acceleration = float((spread**3).sum()) / below if below > 0 else 0.0
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(float(share), 1 / _RESAMPLES), 1 - 1 / _RESAMPLES))
    ends = []
    for z in (-_Z, _Z):
        shifted = bias + z
        ends.append(normal.cdf(bias + shifted / max(1e-9, 1 - acceleration * shifted)))
    low, high = np.quantile(found, ends)
    return Interval(value, min(float(low), value), max(float(high), value), n)

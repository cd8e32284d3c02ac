"""How far forecasts of spend may miss: intervals calibrated on rolling origins, for days and for sums of days.

A normalised conformal rule. The forecast is made again at up to forty earlier origins, and what it missed is counted
on the scale of logarithms, for single days and separately for sums over a week, two, four, eight and thirteen weeks:
errors of days follow each other, hence the bounds of a sum are never those of its days added up. A series has only a
few origins that far apart (a year has four quarters), too few for its own 95 % quantile. So a series gives the scale
of its errors, in which horizons support each other and a weak prior stands for what a short history cannot tell, and
the quantile of errors in units of that scale comes from all series: Student's t with three degrees of freedom, times
one factor. They are round figures near what maximises the likelihood on 45 public daily series and 113 others (cash
machines, shops, flights, power, calls, prices). There the 80 % interval held 77 to 85 of 100 sums of 28 days and 72 to
80 of 90 days, the 95 % one 92 to 97 of either; of 90 days of share prices, and of flights known for less than a year,
fewer than 60 and 86. `tools/forecast_report.py` measures any file of series.

Loaded at the first forecast: this module imports numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from aistrale.cost.forecasts.models import OFFSET, point, windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.cost.forecasts.models import Floats

ORIGINS: Final = 40
"""Earlier forecasts, at most: more of them see the same days again."""

SPANS: Final = (7, 14, 28, 56, 90)
"""Lengths of the sums whose errors are measured, in days; the days between two of them are measured together."""

LEAST: Final = 21
"""Days that an origin must have behind it."""

GROWTH: Final = 0.2
"""Errors grow with this power of the horizon where the series does not say otherwise."""

PRIOR_DAY: Final = -1.2
PRIOR_TOTAL: Final = -1.7
"""Logarithms of the mean absolute errors 28 days ahead, on the scale of logarithms, before the series says anything."""

WEIGHT: Final = 2.0
"""What a prior weighs against errors measured on the series, in independent observations."""

FREEDOM: Final = 3
FACTOR: Final = 0.87
"""What mean absolute errors are multiplied with for Student's t: those of sums and of days have equally heavy tails."""

_FLOOR: Final = 0.003
"""No forecast is believed to be better than this, however quiet its history."""


@dataclass(slots=True, frozen=True)
class Calibrated:
    """A path with the scales of its errors.

    Args:
        path: The forecast of each day.
        unit: The mean day that the logarithms are taken against.
        days: Scale of the error of each day, on the scale of logarithms.
        sums: Scale of the error of the sum up to and with each day.
        freedom: Degrees of freedom of all errors.
        origins: How many earlier forecasts stand behind the scales.
        weekly: Whether the path has a weekday profile.
    """

    path: Floats
    unit: float
    days: Floats
    sums: Floats
    freedom: int
    origins: int
    weekly: bool

    def day(self, probability: float) -> Floats:
        """The quantile of each day."""
        stretch = _stretch(probability, self.freedom, self.days)
        offset = OFFSET * self.unit
        return np.maximum((self.path + offset) * stretch - offset, 0.0)

    def total(self, probability: float) -> Floats:
        """The quantile of the sum up to and with each day; never falling, as sums of spend do not."""
        stretch = _stretch(probability, self.freedom, self.sums)
        offset = OFFSET * self.unit * np.arange(1, len(self.path) + 1)
        quantile = (np.cumsum(self.path) + offset) * stretch - offset
        return np.maximum.accumulate(np.maximum(quantile, 0.0))


def _stretch(probability: float, freedom: int, scale: Floats) -> Floats:
    """By how much to multiply; at most about a million, however extreme the probability."""
    stretch: Floats = np.exp(np.clip(FACTOR * student_t(probability, freedom) * scale, -14.0, 14.0))
    return stretch


def calibrate(values: Floats, horizon: int) -> Calibrated:
    """Forecasts the days after the last one, with the scales of what that forecast missed at earlier origins.

    Args:
        values: One value a day, oldest first, NaN where missing; at least `LEAST` of them, and one above 0.
        horizon: How many days.
    """
    count = len(values)
    behind = np.cumsum(np.isfinite(values))
    step = 7 * max(1, math.ceil((count - LEAST) / ORIGINS / 7))
    ages = [0, *(age for age in range(7, count - LEAST + 1, step) if behind[count - age - 1] >= LEAST)]
    paths, units, weekly = point(windows(values, ages), horizon)
    misses, sums = _misses(values, paths, units, ages)
    ahead = np.arange(1.0, horizon + 1.0)
    bands = [(low, high, misses[:, low:high]) for low, high in pairwise((0, *SPANS)) if low < misses.shape[1]]
    of_days = [(math.sqrt((low + 1) * high), _size(band), np.isfinite(band).sum() / 7) for low, high, band in bands]
    ends = [(span, sums[:, span - 1]) for span in SPANS if span <= sums.shape[1]]
    of_sums = [(span, _size(errors), _independent(errors, ages, span)) for span, errors in ends]
    days = np.maximum.accumulate(_scale(ahead, of_days, PRIOR_DAY))
    return Calibrated(
        path=paths[0],
        unit=float(units[0]),
        days=days,
        sums=_joined(days, _scale(ahead, of_sums, PRIOR_TOTAL)),
        freedom=FREEDOM,
        origins=len(ages) - 1,
        weekly=bool(weekly[0]),
    )


def guess(values: Floats, horizon: int) -> Calibrated:
    """The mean of a history that is too short for anything else, with the wide errors of such a mean.

    From two weeks on each weekday's own mean counts half. The error of a day is that about the mean, the error of a
    sum that of the mean, and both have what levels do within weeks, for which the prior stands; Student's t has one
    degree of freedom less than there are days, three at most.

    Args:
        values: One value a day, oldest first, NaN where missing; three that are not, and one above 0, at least.
        horizon: How many days.
    """
    spend = np.maximum(values, 0.0)
    present = np.isfinite(spend)
    count = int(present.sum())
    unit = float(spend[present].mean())
    base = np.full(7, unit)
    weekly = count >= 14
    if weekly:
        weekdays = (np.arange(len(spend)) - len(spend)) % 7
        own = [spend[present & (weekdays == day)] for day in range(7)]
        base = np.array([(unit + float(days.mean())) / 2 if days.size else unit for days in own])
    path = base[np.arange(horizon) % 7]
    fitted = base[(np.arange(len(spend)) - len(spend)) % 7]
    offset = OFFSET * unit
    errors = np.log((spend[present] + offset) / (fitted[present] + offset))
    size = float(np.abs(errors).sum()) / (count - 1) + _FLOOR
    ahead = np.arange(1.0, horizon + 1.0)
    drift = np.exp(PRIOR_TOTAL) * (ahead / 28) ** GROWTH
    days = np.sqrt(size * size * (1 + 1 / count) + drift * drift)
    return Calibrated(
        path=path,
        unit=unit,
        days=days,
        sums=np.minimum(np.sqrt(size * size * (1 / ahead + 1 / count) + drift * drift), days[0] * ahead**GROWTH),
        freedom=min(count - 1, FREEDOM),
        origins=0,
        weekly=weekly,
    )


def _misses(values: Floats, paths: Floats, units: Floats, ages: list[int]) -> tuple[Floats, Floats]:
    """Errors of the earlier forecasts, on the scale of logarithms: of each day, and of each sum from the first day on.

    A missing day counts as the forecast said it; NaN where the day has not come yet.
    """
    horizon = min(paths.shape[1], max(SPANS))
    paths = paths[:, :horizon]
    days = len(values) - np.array(ages)[:, None] + np.arange(horizon)
    known = days < len(values)
    actual = np.maximum(values[np.minimum(days, len(values) - 1)], 0.0)
    missing = np.isnan(actual)
    actual = np.where(missing, paths, actual)
    offset = OFFSET * units[:, None]
    miss = np.where(known & ~missing, np.log((actual + offset) / (paths + offset)), np.nan)
    offset = offset * np.arange(1, horizon + 1)
    total = np.log((np.cumsum(actual, axis=1) + offset) / (np.cumsum(paths, axis=1) + offset))
    return miss, np.where(known, total, np.nan)


def _size(errors: Floats) -> float:
    sizes = np.abs(errors[np.isfinite(errors)])
    return float(sizes.mean()) if sizes.size else 0.0


def _independent(errors: Floats, ages: list[int], span: int) -> float:
    """How many sums over so many days fit side by side into the days that the errors reach over."""
    reach = np.array(ages)[np.isfinite(errors)]
    return float(np.ptp(reach)) / span + 1 if reach.size else 0.0


def _scale(ahead: Floats, measured: Sequence[tuple[float, float, float]], prior: float) -> Floats:
    """The mean absolute error at each horizon: a weighted mean of logarithms.

    Args:
        ahead: The horizons, in days.
        measured: At which horizon, the mean absolute error there, how many independent errors stand behind it.
        prior: The logarithm of what is believed before, 28 days ahead.
    """
    total = WEIGHT * (prior + GROWTH * np.log(ahead / 28))
    weights = np.full(len(ahead), WEIGHT)
    for horizon, size, count in measured:
        apart = np.log(ahead / horizon)
        # Less than in proportion to the count: errors of one series have their weather in common. The weight falls as
        # the ratio of the horizons: what twice as many days miss counts half.
        weight = count**0.75 * np.exp(-np.abs(apart))
        total += weight * (math.log(size + _FLOOR) + GROWTH * apart)
        weights += weight
    scale: Floats = np.exp(total / weights)
    return scale


def _joined(days: Floats, sums: Floats) -> Floats:
    """The scales of sums, from that of the first day, which is a sum of one, to that of the first week."""
    if len(sums) < 7:
        return days.copy()
    share = np.log(np.arange(1, 8)) / math.log(7)
    joined = sums.copy()
    joined[:7] = np.exp((1 - share) * np.log(days[0]) + share * np.log(sums[6]))
    return joined


@lru_cache(maxsize=256)
def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t, by bisection of the exact series (Abramowitz and Stegun 26.7.3 and 26.7.4).

    Args:
        probability: Between 0 and 1, both excluded.
        freedom: Degrees of freedom, a whole number.
    """
    if probability == 0.5:
        return 0.0
    inside = abs(2 * probability - 1)
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < inside else (low, middle)
    return math.copysign(math.tan(low) * math.sqrt(freedom), probability - 0.5)


def _within(angle: float, freedom: int) -> float:
    """Probability that |t| is below sqrt(freedom) * tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, series = (cosine, 0.0) if odd else (1.0, 0.0)
    for index in range(freedom // 2):
        series += term
        term *= cosine * cosine * (2 * index + 1 + odd) / (2 * index + 2 + odd)
    return 2 / math.pi * (angle + sine * series) if odd else sine * series

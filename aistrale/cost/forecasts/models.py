"""Point forecasts of daily spend for many origins at once: the numbers beneath `aistrale.cost.forecasts.forecast`.

Every row of a window is the history up to one origin, aligned at the right, NaN where a day is missing. All rows go
through every step together, hence the forecast itself and the back-tests that calibrate its intervals are one pass.

The forecast is a combination, on a logarithmic scale so that single days far above the rest weigh little:

- the level: the mean of exponential smoothing with parameters that suit nearly every series and of the one whose
  parameter was fitted to this series (on public series the former miss less than the latter 28 days ahead, and both
  together less than either 90 days ahead);
- the weekday profile, where the autocorrelation at lag 7 passes the 90 % test of the M4 competition;
- a trend, damped, only where the slopes of half a year and of a year point the same way and are far above their error;
- what the same weeks did a year ago, shrunk by half, where a year of history is there.

Structure and constants were chosen by backtests on 45 public daily series and on invented spend that grows, as round
figures that hold on either half of the series: `tools/forecast_report.py`.

Loaded at the first forecast: this module imports numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]

WINDOW: Final = 730
"""Days of history that count: older ones say little about tomorrow's spend."""

OFFSET: Final = 0.1
"""Share of the mean day that is added before the logarithm, so that days without spend have one."""

PROFILE_WEEKS: Final = 52
"""Weeks over which the weekday profile is averaged."""

ALPHAS: Final = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
"""Smoothing parameters that are tried."""

USUAL: Final = (2, 3)
"""Which of them make the level that is not fitted: 0.2 and 0.3, a memory of three to five days."""

ACF_Z: Final = 1.645
"""The 90 % test for a season of the M4 competition's Comb benchmark."""

TREND_WEEKS: Final = (26, 52)
TREND_Z: Final = 3.0
"""How many standard errors a slope must stand above nothing before the first bit of it counts."""
TREND_DAMPING: Final = 0.99
"""Per day: a trend is worth at most another hundred days of itself."""
TREND_CAP: Final = (-0.01, 0.02)
"""Per day, of the logarithm: a week of it is at most -7 % or +15 %."""

YEAR: Final = 364
"""Days of a year that end on the same weekday."""
YEAR_SHARE: Final = 0.5
YEAR_CAP: Final = 0.5
YEAR_SMOOTH: Final = 43
"""Days over which last year is averaged: its months are of use, its days are not."""


def windows(values: Floats, ages: list[int]) -> Floats:
    """Rows of history, each of which ends some days before the last day.

    Args:
        values: One value a day, oldest first, NaN where missing.
        ages: How many days before the last one each row ends; 0 is today's knowledge.

    Returns:
        One row per age, aligned at the right, NaN before the first day.
    """
    width = min(len(values), WINDOW)
    padded = np.concatenate([np.full(width, np.nan), values])
    return np.stack([padded[len(padded) - age - width : len(padded) - age] for age in ages])


def point(rows: Floats, horizon: int) -> tuple[Floats, Floats, Flags]:
    """Forecasts the next days after every row.

    Args:
        rows: From `windows`; every row has at least seven days that are not missing.
        horizon: How many days.

    Returns:
        The forecast of each day, never negative; the mean day of each row's last quarter, the unit in which errors are
        counted; and whether the row has a weekday profile.
    """
    unit = _unit(rows)
    spend = np.maximum(rows, 0.0) / unit[:, None]
    profile, weekly = _profile(spend)
    width = rows.shape[1]
    days = profile[:, (np.arange(width) - width) % 7]
    # A weekday on which next to nothing is ever spent says nothing about the level.
    plain = np.where(days > 0.05, spend / np.maximum(days, 0.05), np.nan)
    logs = np.log(plain + OFFSET)
    level, lag = _level(_filled(logs))
    ahead = np.arange(1, horizon + 1)
    # Smoothing lags behind a trend by the mean age of what it knows.
    rise = _trend(logs)[:, None] * (lag[:, None] + np.cumsum(TREND_DAMPING**ahead))
    path = level[:, None] + rise + _last_year(logs, level, ahead)
    forecast = np.maximum(np.exp(path) - OFFSET, 0.0) * profile[:, (ahead - 1) % 7]
    return forecast * unit[:, None], unit, weekly


def _unit(rows: Floats) -> Floats:
    """The mean day of the last quarter, of the whole row where that is nothing; single days far above weigh less."""
    recent, whole = _ordinary_mean(rows[:, -91:]), _ordinary_mean(rows)
    unit = np.where(recent > 1e-9 * whole, recent, whole)
    # Nothing was spent in the whole row: what other rows know. The caller sees to it that one does.
    positive: Floats = np.where(unit > 0, unit, unit.max())
    return positive


def _ordinary_mean(rows: Floats) -> Floats:
    """The mean with days cut to five times the day that four of five days stay below."""
    spend = np.maximum(rows, 0.0)
    count = np.isfinite(rows).sum(axis=1)
    ordered = np.sort(spend, axis=1)
    high = np.take_along_axis(ordered, np.maximum(count * 4 // 5 - 1, 0)[:, None], axis=1)
    return _mean(np.where((high > 0) & (spend > 5 * high), 5 * high, spend))


def _mean(rows: Floats) -> Floats:
    present = ~np.isnan(rows)
    mean: Floats = np.where(present, rows, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return mean


def _centred(rows: Floats, days: int, least: int) -> Floats:
    """The moving mean about each day; NaN where fewer than `least` days are present."""
    present = ~np.isnan(rows)
    pad = ((0, 0), (days // 2 + 1, days - days // 2 - 1))
    total = np.cumsum(np.pad(np.where(present, rows, 0.0), pad), axis=1)
    count = np.cumsum(np.pad(present.astype(np.float64), pad), axis=1)
    total, count = total[:, days:] - total[:, :-days], count[:, days:] - count[:, :-days]
    return np.where(count >= least, total / np.maximum(count, 1.0), np.nan)


def _profile(spend: Floats) -> tuple[Floats, Flags]:
    """Share of each weekday of the mean day, counted from the day after the row: ones where the test fails."""
    local = _centred(spend, 7, 4)
    weekly = _weekly(spend - local)
    spend, local = spend[:, -7 * PROFILE_WEEKS :], local[:, -7 * PROFILE_WEEKS :]
    short = -spend.shape[1] % 7
    usable = ~(np.isnan(spend) | np.isnan(local))
    shape = (len(spend), -1, 7)
    # Ratio of sums rather than mean of ratios: defined with days of zero, and small days weigh little.
    above = np.pad(np.where(usable, spend, 0.0), ((0, 0), (short, 0))).reshape(shape).sum(axis=1)
    below = np.pad(np.where(usable, local, 0.0), ((0, 0), (short, 0))).reshape(shape).sum(axis=1)
    profile = np.where(below > 1e-9, above / np.maximum(below, 1e-9), 1.0)
    mean = profile.mean(axis=1, keepdims=True)
    profile = np.where(mean > 0, profile / np.maximum(mean, 1e-12), 1.0)
    return np.where(weekly[:, None], profile, 1.0), weekly


def _weekly(rows: Floats) -> Flags:
    """Whether the autocorrelation at lag 7 is above chance, given that at the shorter lags (Bartlett's formula)."""
    rows = rows[:, -365:]
    present = ~np.isnan(rows)
    count = present.sum(axis=1)
    centred = np.where(present, rows - _mean(rows)[:, None], 0.0)
    power = (centred * centred).sum(axis=1)
    lags = [(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) for lag in range(1, 8)]
    acf = np.stack(lags, axis=1) / np.maximum(power, 1e-12)[:, None]
    bound = ACF_Z * np.sqrt((1 + 2 * (acf[:, :6] ** 2).sum(axis=1)) / np.maximum(count, 1))
    weekly: Flags = (acf[:, 6] > bound) & (count >= 21) & (power > 1e-12)
    return weekly


def _filled(logs: Floats) -> Floats:
    """Missing days as the last one that is not; those before the first as the mean of the first two weeks."""
    present = ~np.isnan(logs)
    width = logs.shape[1]
    first = np.argmax(present, axis=1)[:, None]
    days = np.arange(width)[None]
    start = _mean(np.where((days >= first) & (days < first + 14), logs, np.nan))
    last = np.maximum.accumulate(np.where(present, days, -1), axis=1)
    return np.where(last >= 0, np.take_along_axis(logs, np.maximum(last, 0), axis=1), start[:, None])


def _level(logs: Floats) -> tuple[Floats, Floats]:
    """The level after the last day, the mean of the usual smoothing and of the fitted one; its mean age in days."""
    count, width = logs.shape
    alphas = np.array(ALPHAS)
    level = np.repeat(logs[:, :1], len(ALPHAS), axis=1)
    loss = np.zeros_like(level)
    error = np.empty_like(level)
    step = np.empty_like(level)
    for day in range(1, width):
        np.subtract(logs[:, day : day + 1], level, out=error)
        np.multiply(error, alphas, out=step)
        level += step
        np.multiply(error, error, out=error)
        loss += error
    best = loss.argmin(axis=1)
    ages = (1 - alphas) / alphas
    usual = list(USUAL)
    both: Floats = (level[:, usual].mean(axis=1) + level[np.arange(count), best]) / 2
    return both, (ages[usual].mean() + ages[best]) / 2


def _trend(logs: Floats) -> Floats:
    """Slope per day of the logarithm, nothing unless two spans agree; the smaller of both."""
    weeks = max(TREND_WEEKS)
    tail = logs[:, -7 * weeks :]
    tail = np.pad(tail, ((0, 0), (7 * weeks - tail.shape[1], 0)), constant_values=np.nan).reshape(-1, weeks, 7)
    present = (~np.isnan(tail)).sum(axis=2)
    means = np.where(present >= 4, np.where(np.isnan(tail), 0.0, tail).sum(axis=2) / np.maximum(present, 1), np.nan)
    short, long = (_slope(means[:, -span:]) for span in TREND_WEEKS)
    agreed = np.where(short * long > 0, np.sign(short) * np.minimum(np.abs(short), np.abs(long)), 0.0)
    return np.clip(agreed / 7, *TREND_CAP)


def _slope(weeks: Floats) -> Floats:
    """Least-squares slope per week, shrunk by how little it stands above its error (a positive-part James-Stein rule).

    The error is widened for residuals that follow each other, since neighbouring weeks are not independent.
    """
    present = ~np.isnan(weeks)
    count = present.sum(axis=1)
    time = np.arange(weeks.shape[1], dtype=np.float64)
    middle = (present * time).sum(axis=1) / np.maximum(count, 1)
    times = np.where(present, time - middle[:, None], 0.0)
    heights = np.where(present, weeks - _mean(weeks)[:, None], 0.0)
    spread = np.maximum((times * times).sum(axis=1), 1e-12)
    slope = (times * heights).sum(axis=1) / spread
    rest = heights - slope[:, None] * times
    power = (rest * rest).sum(axis=1)
    follow = np.clip((rest[:, 1:] * rest[:, :-1]).sum(axis=1) / np.maximum(power, 1e-12), 0.0, 0.9)
    variance = power / np.maximum(count - 2, 1) / spread * (1 + follow) / (1 - follow)
    shrink = 1 - TREND_Z**2 * variance / np.maximum(slope * slope, 1e-18)
    return np.where(count >= 8, slope * np.clip(shrink, 0.0, 1.0), 0.0)


def _last_year(logs: Floats, level: Floats, ahead: NDArray[np.int64]) -> Floats:
    """What the same days did a year ago against that day, without the year's own growth, shrunk and capped."""
    count, width = logs.shape
    missing = np.zeros((count, len(ahead)))
    if width < YEAR + 28:
        return missing
    smooth = _centred(logs, YEAR_SMOOTH, YEAR_SMOOTH * 2 // 3)
    now = width - YEAR
    base = smooth[:, max(now - 10, 0) : now].mean(axis=1)
    # Beyond a year ahead the last year is all there is: it comes round again.
    path = smooth[:, now + (ahead - 1) % YEAR] - base[:, None]
    growth = np.clip((level - base) / YEAR, -0.002, 0.002)
    path = np.clip(path - growth[:, None] * ahead, -YEAR_CAP, YEAR_CAP) * YEAR_SHARE
    return np.where(np.isnan(path).any(axis=1)[:, None], missing, path)

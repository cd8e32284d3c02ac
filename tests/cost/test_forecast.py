from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.cost.forecasts.forecast import InsufficientData, forecast, month_to_date, runs_out
from aistrale.errors import AistraleError, ConfigurationError

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_spend import synthetic_spend

SERIES = Path(__file__).resolve().parents[2] / ".." / "shared" / "series" / "daily.json.gz"
START = date(2026, 1, 1)
WEEK = [10.0, 11, 12, 11, 10, 3, 2]
histories = st.one_of(
    st.builds(lambda seed, days: synthetic_spend(seed, days).tolist(), st.integers(0, 999), st.integers(3, 200)),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 1e12), st.floats(1e-12, 1e-9)), min_size=3, max_size=120),
)


def answer_or_skip(values, horizon, **options):
    try:
        return forecast(values, horizon, **options)
    except InsufficientData:
        return None


@settings(max_examples=60, deadline=None)
@given(values=histories, horizon=st.integers(1, 100))
def test_quantiles_are_ordered_and_nothing_is_negative(values, horizon):
    made = answer_or_skip(values, horizon, start=START, levels=(0.5, 0.8, 0.95))
    if made is None:
        return
    assert len(made.days) == horizon
    for day in made.days:
        bounds = [*(each.low for each in reversed(day.intervals)), day.p50, *(each.high for each in day.intervals)]
        assert bounds == sorted(bounds)
        assert bounds[0] >= 0
        assert all(math.isfinite(bound) for bound in bounds)
    paths = list(made.paths.values())
    slack = 1e-9 * paths[-1][-1]
    for path in paths:
        assert list(path) == sorted(path)
    for lower, higher in pairwise(paths):
        assert all(low <= high + slack for low, high in zip(lower, higher, strict=True))
    assert made.total.p50 <= made.total.p80 + slack
    assert made.total.p80 <= made.total.p95
    assert json.loads(json.dumps(made.to_json()))["total"]["p50"] == made.total.p50


@settings(max_examples=40, deadline=None)
@given(values=histories, horizon=st.integers(1, 60))
def test_the_total_is_the_sum_of_the_days(values, horizon):
    made = answer_or_skip(values, horizon)
    if made is not None:
        assert made.total.p50 == made.paths[0.5][-1]
        # From 3.12 on Python adds more exactly than one after the other.
        assert made.total.p50 == pytest.approx(sum(day.p50 for day in made.days), rel=1e-12, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), days=st.integers(3, 400), factor=st.sampled_from([1e-12, 0.37, 4.0, 1e6, 1e12]))
def test_the_unit_of_money_does_not_matter(seed, days, factor):
    values = synthetic_spend(seed, days)
    one, other = forecast(values, 40), forecast(values * factor, 40)
    assert np.allclose([day.p50 * factor for day in one.days], [day.p50 for day in other.days], rtol=1e-6)
    assert other.total.p95 == pytest.approx(one.total.p95 * factor, rel=1e-6)


def test_the_date_does_not_matter_and_the_same_comes_again():
    values = synthetic_spend(1, 300)
    one, other = forecast(values, 10, start=START), forecast(values, 10, start=START + timedelta(days=100))
    assert [day.p50 for day in one.days] == [day.p50 for day in other.days]
    assert other.days[0].date == START + timedelta(days=400)
    assert one == forecast(list(values), 10, start=START)
    assert forecast(values, 1).days[0].date is None


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 100,
        [1.0] * 60 + [1e9] + [1.0] * 30,
        [9.0] * 200 + [0.0] * 150,
        [-5.0] * 20 + [3.0] * 40,
        [1.0, 1, 1, 1, 1, 0, 0] * 20,
        [1e-12] * 60 + [1e12] * 10,
        [0.0, 1.0] * 200,
        list(range(1500)),
        [Decimal("1.50")] * 30,
    ],
)
@pytest.mark.parametrize("horizon", [1, 6, 90, 730])
def test_odd_histories_give_no_warnings(values, horizon):
    with np.errstate(all="raise", under="ignore"):
        made = forecast(values, horizon)
    assert all(math.isfinite(day.p50) and day.p50 >= 0 for day in made.days)


def test_a_constant_stays_and_a_lone_spike_passes():
    assert [day.p50 for day in forecast([5.0] * 100, 7).days] == pytest.approx([5.0] * 7)
    assert forecast([1.0] * 60 + [100.0] + [1.0] * 30, 7).days[0].p50 == pytest.approx(1.0, rel=0.02)


def test_weekdays_are_found_and_zeros_on_them_kept():
    made = forecast([*WEEK[:5], 0.0, 0.0] * 20, 14)
    assert [day.p50 for day in made.days] == pytest.approx([*WEEK[:5], 0, 0] * 2, abs=0.5)
    assert "with a weekday profile" in made.reason
    noise = np.exp(np.random.default_rng(3).normal(0, 0.2, 200))
    assert "without a weekday profile" in forecast(noise, 7).reason


def test_steady_growth_goes_on_and_slows_down():
    values = [10 * math.exp(0.01 * day) for day in range(200)]
    days = [day.p50 for day in forecast(values, 60).days]
    assert days == sorted(days)
    assert values[-1] < days[0] < days[-1] < values[-1] * math.exp(0.01 * 60)
    assert days[-1] > values[-1] * 1.3


def test_a_level_shift_is_followed_within_two_weeks():
    values = np.concatenate([np.full(100, 10.0), np.full(14, 30.0)])
    assert forecast(values, 7).days[0].p50 == pytest.approx(30, rel=0.05)


def test_a_known_launch_restarts_the_window():
    values = np.tile(WEEK, 20)
    values[-4:] *= 3
    known = forecast(values, 28, start=START, launches=[START + timedelta(days=136)])
    assert known.total.p50 == pytest.approx(3 * sum(WEEK) * 4, rel=0.35)
    assert known.total.p50 == forecast(values, 28, launches=[136]).total.p50
    assert known.total.intervals[0].high - known.total.intervals[0].low < known.total.p50


def test_masked_days_do_not_count():
    clean = np.tile(WEEK, 20)
    dirty = clean.copy()
    dirty[[100, 133, 134, 139]] = 500.0
    mask = dirty > 400
    masked = forecast(dirty, 28, mask=mask)
    assert masked.total.p50 == pytest.approx(forecast(clean, 28).total.p50, rel=0.05)
    dirty[mask] = 0.0
    assert forecast(dirty, 28, mask=mask) == masked


@pytest.mark.parametrize(
    ("days", "method", "confidence"),
    [
        (3, "run rate", "low"),
        (6, "run rate", "low"),
        (7, "mean", "low"),
        (20, "mean", "low"),
        (21, "combination", "low"),
        (35, "combination", "normal"),
    ],
)
def test_how_much_history_there_is_decides_the_method(days, method, confidence):
    made = forecast(([4.0, 5.0, 6.0] * 15)[:days], 7)
    assert (made.method, made.confidence) == (method, confidence)
    assert made.reason.startswith(f"{days} days of history")


def test_less_history_gives_wider_intervals():
    values = synthetic_spend(5, 200, growth=0, launches=0)
    widths = [
        (made.total.intervals[0].high - made.total.intervals[0].low) / made.total.p50
        for made in (forecast(values[-days:], 28) for days in (3, 10, 200))
    ]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least 3 days"),
        ([1.0, 2.0], "at least 3 days"),
        ([0.0] * 100, "Nothing was spent on any of the 100 days"),
        ([0.0] * 100 + [1.0], "at least 3 days from the first spend on; there are 1"),
    ],
)
def test_too_little_is_refused(values, message):
    with pytest.raises(InsufficientData, match=message) as caught:
        forecast(values, 7)
    assert isinstance(caught.value, AistraleError)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "options", "field"),
    [
        (([1.0, math.nan, 2.0, 3.0], 7), {}, "values"),
        (([1.0, math.inf, 2.0, 3.0], 7), {}, "values"),
        ((["a", "b", "c"], 7), {}, "values"),
        (([1.0] * 9, 0), {}, "horizon"),
        (([1.0] * 9, 731), {}, "horizon"),
        (([1.0] * 9, 7), {"levels": (80,)}, "levels"),
        (([1.0] * 9, 7), {"mask": [True]}, "mask"),
        (([1.0] * 9, 7), {"spent_today": -1.0}, "spent_today"),
        (([1.0] * 9, 7), {"spent_today": 1.0, "elapsed": 2.0}, "elapsed"),
        (([1.0] * 9, 7), {"launches": [START]}, "start"),
        (([1.0] * 9, 7), {"launches": [9]}, "launches"),
    ],
)
def test_bad_arguments_are_named(arguments, options, field):
    with pytest.raises(ConfigurationError) as caught:
        forecast(*arguments, **options)
    assert caught.value.field == field


def test_today_moves_from_the_usual_to_what_was_spent():
    values = [10.0] * 60
    usual, early, late, over = (
        forecast(values, 5, spent_today=spent, elapsed=elapsed)
        for spent, elapsed in ((0.0, 0.0), (2.5, 0.25), (20.0, 0.75), (12.0, 1.0))
    )
    assert usual.total.p50 == pytest.approx(50)
    assert early.days[0].p50 == pytest.approx(10)
    assert 20 < late.days[0].p50 < 27
    assert over.days[0].p50 == over.days[0].intervals[1].low == over.days[0].intervals[1].high == 12
    assert late.total.p50 == pytest.approx(late.days[0].p50 + 40)
    assert min(path[0] for path in late.paths.values()) >= 20


def test_the_month_is_what_was_spent_and_the_rest():
    values = [10.0] * 60 + [20.0] * 9
    month = month_to_date(values, datetime(2026, 11, 10, 12, tzinfo=UTC), spent_today=4.0)
    assert month.month == date(2026, 11, 1)
    assert month.spent == 9 * 20 + 4
    assert [month.rest.days[0].date, month.rest.days[-1].date] == [date(2026, 11, 10), date(2026, 11, 30)]
    assert month.total.p50 == pytest.approx(180 + month.rest.total.p50)
    assert month.total.p95 > month.total.p80 > month.total.p50
    assert json.dumps(month.to_json())


def test_the_month_of_the_last_evening_is_known():
    month = month_to_date([10.0] * 60, datetime(2026, 11, 30, 23, 59, tzinfo=UTC), spent_today=10.0)
    low, high = month.total.intervals[1].low, month.total.intervals[1].high
    assert month.spent == 300
    assert 300 <= low <= high < 300.2
    first = month_to_date([10.0] * 60, date(2026, 11, 1))
    assert first.spent == 0
    assert first.total == first.rest.total


def test_months_are_those_of_utc():
    east = timezone(timedelta(hours=9))
    month = month_to_date([10.0] * 60, datetime(2026, 12, 1, 3, tzinfo=east), spent_today=5.0)
    assert month.month == date(2026, 11, 1)
    with pytest.raises(ConfigurationError, match="aware"):
        month_to_date([10.0] * 60, datetime(2026, 12, 1, 3))  # noqa: DTZ001


def test_a_budget_runs_out_on_the_day_of_the_crossing():
    made = forecast([10.0] * 60, 30, start=START)
    first = made.days[0].date
    found = runs_out(made, spent=50.0, limit=100.0)
    assert found.p50 == first + timedelta(days=4)
    assert found.earliest <= found.p50 <= found.latest
    assert runs_out(made, spent=100.0, limit=100.0).latest == first
    never = runs_out(made, spent=0.0, limit=1e6)
    assert (never.p50, never.earliest, never.latest) == (None, None, None)
    assert never.until == made.days[-1].date
    assert never.to_json()["p50"] is None
    with pytest.raises(ConfigurationError, match="no dates"):
        runs_out(forecast([10.0] * 60, 30), 0.0, 5.0)
    with pytest.raises(ConfigurationError, match="limit"):
        runs_out(made, 0.0, math.nan)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), limit=st.floats(0, 1e4), more=st.floats(0, 1e3))
def test_a_higher_limit_never_runs_out_earlier(seed, limit, more):
    made = forecast(synthetic_spend(seed, 120), 60, start=START)
    low, high = runs_out(made, 0.0, limit), runs_out(made, 0.0, limit + more)
    for name in ("earliest", "p50", "latest"):
        assert (getattr(low, name) or date.max) <= (getattr(high, name) or date.max)
    assert (low.earliest or date.max) <= (low.p50 or date.max) <= (low.latest or date.max)


def test_nothing_heavy_is_loaded_before_the_first_forecast():
    code = "import sys, aistrale, aistrale.cost.forecasts.forecast; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_invented_spend_is_forecast_better_than_by_the_last_week():
    ours, naive = [], []
    for seed in range(1000, 1060):
        values = synthetic_spend(seed, 300)
        known, actual = values[:210], values[210:]
        ours.append(np.abs(np.array([day.p50 for day in forecast(known, 90).days]) - actual).sum() / actual.sum())
        naive.append(np.abs(np.resize(known[-7:], 90) - actual).sum() / actual.sum())
    assert np.mean(ours) < 0.9 * np.mean(naive)


@pytest.mark.parametrize(("horizon", "mase", "total", "count"), [(28, 1.17, 0.085, 135), (90, 1.62, 0.115, 119)])
def test_rolling_origins_on_public_series(horizon, mase, total, count):
    if not SERIES.exists():
        pytest.skip("../shared/series/daily.json.gz is absent")
    errors, totals, inside = [], [], []
    for series in json.loads(gzip.decompress(SERIES.read_bytes())):
        values = np.array(series["values"])
        for end in (len(values) - horizon * origin for origin in (1, 2, 3)):
            if end < 98:
                continue
            known, actual = values[max(end - 730, 0) : end], values[end : end + horizon]
            made = forecast(known, horizon)
            path = np.array([day.p50 for day in made.days])
            errors.append(np.abs(path - actual).mean() / np.abs(known[7:] - known[:-7]).mean())
            totals.append(abs(path.sum() - actual.sum()) / actual.sum())
            inside.append([each.low <= actual.sum() <= each.high for each in made.total.intervals])
    assert len(errors) == count
    assert np.mean(errors) <= mase
    assert np.median(totals) <= total
    assert np.mean(inside, axis=0) == pytest.approx([0.8, 0.95], abs=0.03)

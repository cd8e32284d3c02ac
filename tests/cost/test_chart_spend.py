from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.charts.spend import Mark, SpendDays, cut, spend_chart
from aistrale.cost.forecasts.forecast import InsufficientData, forecast
from tests.cost.outlooks import NOW, spent
from tests.cost.svg import assert_sound, classed, corners, numbers, parsed, place

TODAY = NOW.date()
DAY = timedelta(days=1)
LONG = {"max_value": 1e9, "min_value": 0.0, "allow_nan": False}


def shown(values, *, today=Decimal("3.21"), horizon=30, kinds=(), at=()):
    first = TODAY - len(values) * DAY
    ahead = None
    with contextlib.suppress(InsufficientData):
        floats = [float(value) for value in values]
        ahead = forecast(floats, horizon, start=first, spent_today=today, elapsed=0.4) if horizon else None
    marks = [
        Mark(first + index * DAY, kind, number, "Dear.")
        for number, (index, kind) in enumerate(zip(at, kinds, strict=True), 1)
    ]
    return SpendDays(first, values, TODAY, today, ahead, marks)


def drawn(spend):
    return parsed(spend_chart(spend).write())


def whole_bars(chart):
    """The bars of complete days, without the swatch of the legend."""
    return [item for item in classed(chart, "bar") if "part" not in item.get("class") and len(item)]


@pytest.mark.parametrize("days", [0, 1, 5, 60, 365])
def test_one_bar_a_day_and_one_for_today(days):
    chart = drawn(shown(spent(days)))
    assert_sound(chart)
    assert len(whole_bars(chart)) == days
    (today,) = [item for item in classed(chart, "part") if len(item)]
    assert "$3.21 so far" in today.find("title").text
    ends = [(float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))) for bar in whole_bars(chart)]
    assert all(one[1] <= two[0] + 0.02 for one, two in pairwise(ends))


def test_heights_are_in_proportion_and_told():
    chart = drawn(shown([Decimal(2), Decimal(4), Decimal(0)], horizon=0))
    bars = whole_bars(chart)
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.02)
    assert heights[2] == 0
    assert [bar.find("title").text for bar in bars] == ["15 Nov 2026: $2.00", "16 Nov 2026: $4.00", "17 Nov 2026: $0"]


@pytest.mark.parametrize("horizon", [1, 2, 30, 90])
def test_bands_lie_within_each_other_and_within_the_axes(horizon):
    spend = shown(spent(60), horizon=horizon)
    chart = drawn(spend)
    assert_sound(chart)
    outer, inner = [corners(item) for item in classed(chart, "band") if item.tag == "polygon"]
    grid = [
        item
        for item in chart.iter("line")
        if item.get("class") in {"grid", "axis"} and item.get("x1") != item.get("x2")
    ]
    left, right = float(grid[0].get("x1")), float(grid[0].get("x2"))
    bottom, top = max(float(item.get("y1")) for item in grid), min(float(item.get("y1")) for item in grid)
    for x, y in outer + inner:
        assert left - 0.01 <= x <= right + 0.01
        assert top - 0.01 <= y <= bottom + 0.01
    assert len(outer) == len(inner) == 4 * horizon
    half = 2 * horizon
    assert all(out[1] <= within[1] for out, within in zip(outer[:half], inner[:half], strict=True))
    assert all(out[1] >= within[1] for out, within in zip(outer[half:], inner[half:], strict=True))
    assert max(x for x, _ in outer) == pytest.approx(right, abs=0.01)
    (median,) = [item for item in classed(chart, "median") if item.tag == "path"]
    flat = numbers(median.get("d"))
    assert all(within[1] - 0.01 <= y for within, y in zip(inner[:half], flat[1::2], strict=True))
    assert len(classed(chart, "touch")) == horizon


def test_a_band_that_is_cut_is_said_to_be():
    narrow, wide = shown(spent(200)), shown(spent(5))
    assert cut(narrow) is None
    assert "cut off" in cut(wide)
    assert cut(replace(wide, forecast=None)) is None


def test_marks_stand_over_their_days_and_differ_by_shape():
    spend = shown(spent(60), kinds=("spike", "drop", "shift"), at=(3, 20, 59))
    chart = drawn(spend)
    assert_sound(chart)
    marks = [item for item in classed(chart, "mark") if len(item)]
    assert [mark.find("title").text for mark in marks] == ["1. spike: Dear.", "2. drop: Dear.", "3. shift: Dear."]
    bars = whole_bars(chart)
    for mark, index in zip(marks, (3, 20, 59), strict=True):
        x, y = place(mark)
        assert x == pytest.approx(float(bars[index].get("x")) + float(bars[index].get("width")) / 2, abs=0.02)
        assert y < float(bars[index].get("y"))
    assert len({mark.get("points") for mark in marks}) == 3
    labels = [item.text for item in chart.iter("text")]
    assert {"1", "2", "3", "spike", "drop", "shift"} <= set(labels)


def test_numbers_of_neighbouring_marks_do_not_lie_on_each_other():
    chart = drawn(shown(spent(120), kinds=("spike",) * 12, at=tuple(range(40, 52))))
    assert_sound(chart)
    assert len([item for item in classed(chart, "mark") if len(item)]) == 12
    places = [
        float(item.get("x")) for item in chart.iter("text") if item.text.isdigit() and "s" in item.get("class").split()
    ]
    assert places
    assert all(two - one >= 14 for one, two in pairwise(places))


def test_the_latest_days_alone():
    spend = shown(spent(700), kinds=("spike", "drop"), at=(5, 690)).latest(120)
    assert (spend.first, len(spend.values)) == (TODAY - 120 * DAY, 120)
    assert [mark.kind for mark in spend.marks] == ["drop"]
    assert spend.latest(1000) == spend


@given(st.lists(st.floats(**LONG), max_size=40), st.floats(**LONG))
def test_any_amounts_make_a_sound_chart(values, today):
    spend = shown([Decimal(repr(value)) for value in values], today=Decimal(repr(today)), horizon=0)
    assert_sound(drawn(spend))


@given(st.lists(st.floats(**LONG), min_size=3, max_size=30), st.integers(1, 20))
def test_any_forecast_makes_a_sound_chart(values, horizon):
    spend = shown([Decimal(repr(value)) for value in values], horizon=horizon)
    first, second = spend_chart(spend).write(), spend_chart(spend).write()
    assert first == second
    assert_sound(parsed(first))

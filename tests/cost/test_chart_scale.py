from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.charts.chart import Plot, text_width
from aistrale.cost.charts.scale import Days, labels, money, month_name, period_name, periods, ticks

PLOT = Plot(60, 20, 946, 280)
DATES = st.dates(date(1999, 1, 1), date(2120, 1, 1))


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "$0"), ("12", "$12.00"), ("1234567.891", "$1,234,567.89"), ("0.5", "$0.50"), ("0.1", "$0.10"),
        ("0.0423", "$0.0423"), ("0.04", "$0.04"), ("0.00123456", "$0.00123"), ("0.000001", "$0.000001"),
        ("1E-15", "$1.00e-15"), ("-3.5", "-$3.50"), ("0.0999999", "$0.10"),
    ],
)  # fmt: skip
def test_amounts_have_cents_or_three_digits(amount, written):
    assert money(Decimal(amount)) == written
    assert money(float(amount)) == written


def test_other_units_have_no_dollar_sign():
    assert money(Decimal(5), "euros") == "5.00"


@given(st.floats(min_value=1e-11, max_value=1e14))
def test_written_amounts_are_near_what_they_stand_for(amount):
    read = float(money(amount).replace("$", "").replace(",", ""))
    assert abs(read - amount) <= (0.0051 * amount if amount < 0.1 else max(0.0051, 1e-12 * amount))


@given(st.floats(min_value=1e-12, max_value=1e15))
def test_ticks_are_round_and_cover_the_amount(most):
    found = ticks(most)
    assert found[0] == 0
    assert found[-1] >= most * (1 - 1e-9)
    assert 2 <= len(found) <= 7
    step = f"{found[1]:e}"
    assert step[0] in "125"
    assert set(step[1:].partition("e")[0]) <= set(".0")
    assert len(found) == 2 or found[-2] < most


@given(st.floats(min_value=1e-10, max_value=1e15))
def test_labels_of_an_axis_differ(most):
    found = labels(ticks(most))
    assert len(set(found)) == len(found)
    assert all(len(label) <= 16 for label in found)


@pytest.mark.parametrize(
    ("most", "written"),
    [
        (47, ["$0", "$10", "$20", "$30", "$40", "$50"]),
        (2.3, ["$0", "$0.50", "$1.00", "$1.50", "$2.00", "$2.50"]),
        (28_000, ["$0", "$10k", "$20k", "$30k"]),
        (7e6, ["$0", "$2M", "$4M", "$6M", "$8M"]),
        (3e-6, ["$0", "$0.000001", "$0.000002", "$0.000003"]),
        (0, ["$0", "$1"]),
    ],
)
def test_labels_are_short(most, written):
    assert labels(ticks(most)) == written


@given(DATES, st.integers(1, 1500))
def test_dates_below_the_plot_neither_touch_nor_leave_it(first, count):
    days = Days(PLOT, first, count)
    drawn = [item for item in days.draw() if item.name == "text"]
    upper = [item for item in drawn if item.attributes["y"] == "299"]
    assert upper
    ends = []
    for item in upper:
        x, half = float(item.attributes["x"]), text_width(item.children[0]) / 2
        assert x - half >= 0
        assert x + half <= 960
        ends.append((x - half, x + half))
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    years = {str(year) for year in {first.year, (first + timedelta(days=count - 1)).year}}
    assert {item.children[0] for item in drawn if item.children[0].isdigit()} & years or count > 400


@given(DATES, st.integers(0, 900), st.sampled_from(["day", "week", "month"]))
def test_periods_part_the_days(first, count, size):
    last = first + timedelta(days=count)
    found = periods(first, last, size)
    assert (found[0][0], found[-1][1]) == (first, last)
    assert all(end + timedelta(days=1) == begin for (_, end), (begin, _) in pairwise(found))
    assert all(begin <= end for begin, end in found)
    if size == "week":
        assert all(not begin.weekday() for begin, _ in found[1:])
    if size == "month":
        assert all(begin.day == 1 for begin, _ in found[1:])


def test_names_of_periods():
    assert month_name(date(2026, 11, 18)) == "November 2026"
    assert period_name(date(2026, 11, 1), date(2026, 11, 30), "month") == "Nov 2026"
    assert period_name(date(2026, 11, 2), date(2026, 11, 8), "week") == "2 Nov to 8 Nov 2026"
    assert period_name(date(2026, 12, 28), date(2027, 1, 3), "week") == "28 Dec 2026 to 3 Jan 2027"
    assert period_name(date(2026, 11, 2), date(2026, 11, 2), "day") == "2 Nov 2026"

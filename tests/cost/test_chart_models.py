from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.charts.models import size_of, stack_chart, stacked
from tests.cost.svg import assert_sound, classed, parsed

FIRST = date(2026, 9, 1)
DAY = timedelta(days=1)
AMOUNTS = st.decimals(0, 1000, places=6)
MODELS = st.dictionaries(
    st.text(min_size=1, max_size=30),
    st.dictionaries(st.integers(0, 200).map(lambda index: FIRST + index * DAY), AMOUNTS, max_size=8),
    max_size=20,
)


def spending(*totals, days=3):
    return {
        f"p/m{index}": {FIRST + day * DAY: Decimal(total) / days for day in range(days)}
        for index, total in enumerate(totals)
    }


@given(MODELS)
def test_no_cent_is_lost(by_model):
    whole = sum((amount for days in by_model.values() for amount in days.values()), Decimal(0))
    stack = stacked(by_model)
    if stack is None:
        assert not whole
        return
    assert sum(stack.totals) == whole
    assert len(stack.names) <= 7
    own = stack.totals[:-1] if stack.rest else stack.totals
    assert list(own) == sorted(own, reverse=True)
    spent = [model for model, days in by_model.items() if any(days.values())]
    assert len(own) + stack.rest == len(spent)


@given(MODELS)
def test_any_models_make_a_sound_chart(by_model):
    stack = stacked(by_model)
    if stack is not None:
        text = stack_chart(stack, title="By model").write()
        assert text == stack_chart(stack, title="By model").write()
        assert_sound(parsed(text))


@pytest.mark.parametrize(
    ("totals", "names", "rest"),
    [
        ((3,), ("p/m0",), 0),
        ((3, 2, 1), ("p/m0", "p/m1", "p/m2"), 0),
        ((10,) * 7, tuple(f"p/m{index}" for index in range(7)), 0),
        ((10,) * 8, (*(f"p/m{index}" for index in range(6)), "other (2 models)"), 2),
        ((1000, 1, 1, 1), ("p/m0", "other (3 models)"), 3),
        ((1000, 1), ("p/m0", "p/m1"), 0),
        ((0, 5), ("p/m1",), 0),
    ],
)
def test_the_small_rest_is_put_together(totals, names, rest):
    stack = stacked(spending(*totals))
    assert (stack.names, stack.rest) == (names, rest)


def test_nothing_spent_is_no_chart():
    assert stacked({}) is None
    assert stacked(spending(0, 0)) is None


def test_parts_stand_on_each_other_and_differ_by_texture():
    stack = stacked(spending(6, 3, 1))
    chart = parsed(stack_chart(stack, title="By model").write())
    parts = [item for item in classed(chart, "seg") if len(item)]
    assert len(parts) == 9
    assert [part.find("title").text for part in parts[:3]] == [
        "1 Sep 2026, p/m0: $2.00", "1 Sep 2026, p/m1: $1.00", "1 Sep 2026, p/m2: $0.33",
    ]  # fmt: skip
    for below, above in pairwise(parts[:3]):
        assert float(above.get("y")) + float(above.get("height")) == pytest.approx(float(below.get("y")), abs=0.02)
    assert float(parts[0].get("height")) == pytest.approx(2 * float(parts[1].get("height")), abs=0.02)
    fills = {part.get("fill") for part in parts}
    patterns = {f"url(#{item.get('id')})": item for item in chart.iter("pattern")}
    assert fills == set(patterns)
    weaves = [[path.get("d") for path in item.iter("path")] for item in patterns.values()]
    assert len({tuple(weave) for weave in weaves}) == 3
    assert [item.text for item in chart.iter("text")][:3] == ["p/m0", "p/m1", "p/m2"]


@pytest.mark.parametrize(
    ("days", "size", "bars"), [(92, "day", 92), (93, "week", 14), (730, "week", 105), (800, "month", 27)]
)
def test_bars_stand_for_days_weeks_or_months(days, size, bars):
    stack = stacked(spending(100, days=days))
    assert (stack.size, size_of(days), len(stack.spans)) == (size, size, bars)
    assert_sound(parsed(stack_chart(stack, title="By model").write()))

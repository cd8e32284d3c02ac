from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.charts.budgets import burn_chart, gauge_chart
from aistrale.cost.charts.burn import assumptions, burn, lasting, standing
from tests.cost.outlooks import NOW, budget, of_month, outlook, spent
from tests.cost.svg import assert_sound, classed, corners, numbers, parsed, place

LOOK = outlook(spent(60), models=("openai/a", "anthropic/b"))
MONTH = of_month(LOOK)
AMOUNTS = st.decimals(0, 10**9, places=6)


def laid(status, look=LOOK):
    return burn(status, look.series, look.by_model, look.forecast)


def drawn(burnt):
    return parsed(burn_chart(burnt, key="b").write())


def test_everything_follows_the_days_and_the_forecast():
    burnt = laid(budget(MONTH * 2, MONTH))
    assert (burnt.first, burnt.last, burnt.scale) == (date(2026, 11, 1), date(2026, 11, 30), 1.0)
    assert len(burnt.so_far) == 18
    assert burnt.so_far[-1] == pytest.approx(float(MONTH))
    assert {len(path) for path in burnt.ahead.values()} == {13}
    assert burnt.ahead[0.5][-1] == pytest.approx(LOOK.month.total.p50, rel=1e-6)
    assert assumptions(burnt) is None


def test_the_day_that_it_runs_out_is_where_the_median_meets_the_limit():
    burnt = laid(budget(MONTH * Decimal("1.2"), MONTH))
    assert burnt.crossing == burnt.out.p50
    day = (burnt.crossing - burnt.now).days
    assert burnt.ahead[0.5][day] >= float(burnt.status.limit) > burnt.ahead[0.5][day - 1]
    assert "it runs out on" in lasting(burnt)
    chart = drawn(burnt)
    assert_sound(chart)
    (mark,) = classed(chart, "mark")
    (limit,) = [item for item in classed(chart, "limit") if len(item)]
    assert place(mark)[1] == pytest.approx(float(limit.get("y1")), abs=0.01)
    (median,) = [item for item in classed(chart, "median") if item.tag == "path"]
    flat = numbers(median.get("d"))
    reached = [x for x, y in zip(flat[::2], flat[1::2], strict=True) if y <= float(limit.get("y1"))]
    assert place(mark)[0] == pytest.approx(reached[0], abs=0.02)
    outer, inner = [corners(item) for item in classed(chart, "band") if item.tag == "polygon"]
    assert outer[0] == inner[0]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (MONTH * 10, "It lasts until it begins anew on 1 Dec 2026, with a probability of more than 95%."),
        (MONTH / 2, "It is used up since"),
        (Decimal(0), "It is used up since"),
    ],
)
def test_other_ends(limit, words):
    burnt = laid(budget(limit, MONTH))
    assert words in lasting(burnt)
    assert_sound(drawn(burnt))
    if burnt.used_up and limit:
        index = (burnt.crossing - burnt.first).days
        assert burnt.so_far[index] >= float(limit) > burnt.so_far[index - 1]


def test_a_chance_of_one_in_twenty_is_told():
    burnt = laid(budget(Decimal(repr(round(LOOK.month.total.p50 * 1.01, 6))), MONTH))
    assert lasting(burnt).startswith("It probably lasts until it begins anew on 1 Dec 2026; with a probability of 5%")


def test_a_part_of_everything_is_scaled_and_said_to_be():
    burnt = laid(budget(500, MONTH / 4, scope="project:shop"))
    assert burnt.scale == pytest.approx(0.25)
    assert burnt.so_far is None
    assert "times 0.25" in assumptions(burnt)
    assert "straight" in assumptions(burnt)
    whole = laid(budget(500, MONTH))
    assert burnt.ahead[0.5][-1] == pytest.approx(whole.ahead[0.5][-1] / 4)
    assert_sound(drawn(burnt))


@pytest.mark.parametrize("scope", ["model:openai/a", "provider:openai"])
def test_models_and_providers_have_days_of_their_own(scope):
    own = sum(amount for day, amount in LOOK.by_model["openai/a"].items() if day.month == 11)
    burnt = laid(budget(500, own, scope=scope))
    assert burnt.so_far[-1] == pytest.approx(float(own))
    assert laid(budget(500, own * 2, scope=scope)).so_far is None


@pytest.mark.parametrize(
    "fields",
    [
        {"period": "rolling:24h", "starts": None, "resets": None},
        {"period": "day", "starts": datetime(2026, 11, 18, tzinfo=UTC), "resets": datetime(2026, 11, 19, tzinfo=UTC)},
        {"starts": datetime(2026, 10, 1, tzinfo=UTC), "resets": datetime(2026, 11, 1, tzinfo=UTC)},
    ],
)
def test_what_has_no_days_now_has_no_path(fields):
    assert laid(budget(5, 1, **fields)) is None


def test_without_a_forecast_there_is_no_day():
    look = outlook(spent(2))
    burnt = laid(budget(500, of_month(look)), look)
    assert burnt.out is None
    assert "cannot be said" in lasting(burnt)
    assert_sound(drawn(burnt))


def test_a_forecast_that_ends_before_the_period_says_so():
    look = outlook(spent(60), horizon=3)
    assert "until 20 Nov 2026, where the forecast ends" in lasting(laid(budget(50_000, of_month(look)), look))


def test_standing_in_words():
    assert standing(budget(50, "12.5", reserved=Decimal("0.5"))) == (
        "$12.50 of $50.00 spent (25.0%), $0.50 reserved for calls under way."
    )


@given(AMOUNTS, AMOUNTS, st.booleans())
def test_any_amounts_make_a_sound_chart(limit, spent_, scoped):
    burnt = laid(budget(limit, spent_, scope="user:x" if scoped else "global"))
    assert_sound(drawn(burnt))
    text = burn_chart(burnt, key="b").write()
    assert text == burn_chart(burnt, key="b").write()


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, st.text(max_size=200)), min_size=1, max_size=5))
def test_any_budgets_make_sound_gauges(budgets):
    moving = [
        budget(
            limit,
            spent_,
            reserved=held,
            name=name,
            scope=f"user:{name}",
            period="rolling:24h",
            starts=None,
            resets=None,
        )
        for limit, spent_, held, name in budgets
    ]
    chart = parsed(gauge_chart(moving, key="g").write())
    assert_sound(chart)
    assert len(classed(chart, "track")) == len(moving)


def test_gauges_are_in_proportion():
    status = budget(10, 5, reserved=Decimal("2.5"), starts=None, resets=None)
    chart = parsed(gauge_chart([status], key="g").write())
    (bar,) = [item for item in classed(chart, "bar") if len(item)]
    (held,) = [item for item in classed(chart, "reserved") if len(item)]
    (limit,) = [item for item in classed(chart, "limit") if item.get("x1") == item.get("x2")]
    wide = float(limit.get("x1")) - float(bar.get("x"))
    assert float(bar.get("width")) == pytest.approx(wide / 2, abs=0.02)
    assert float(held.get("width")) == pytest.approx(wide / 4, abs=0.02)


def test_periods_of_other_time_zones_are_days_of_utc():
    status = budget(
        500, MONTH, starts=datetime(2026, 11, 1, 5, tzinfo=UTC), resets=datetime(2026, 12, 1, 5, tzinfo=UTC)
    )
    burnt = laid(status)
    assert (burnt.first, burnt.last) == (date(2026, 11, 1), date(2026, 12, 1))
    assert burnt.now == NOW.date()
    assert_sound(drawn(replace(burnt)))

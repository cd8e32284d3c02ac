from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.anomalies.burn_rate import Rule, burn
from aistrale.errors import ConfigurationError

STEP = 300
DAY, WEEK = 288, 2016  # steps
START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday


def traffic(weeks, *, calls=30.0, seed=1, step=STEP):
    """Spend of an office: calls that come at random through the day, each of another price."""
    dice = random.Random(seed)
    values, rates = [], []
    for index in range(int(weeks * 7 * 86_400 / step)):
        hour, weekday = index * step / 3600 % 24, index * step // 86_400 % 7
        rate = calls * step / STEP * (0.15 + 0.85 * math.exp(-(((hour - 14) / 4.5) ** 2))) * (0.3 if weekday > 4 else 1)
        # Normal in place of Poisson above thirty calls; the prices of calls vary by as much as their mean.
        count = max(0, round(dice.gauss(rate, math.sqrt(rate))))
        values.append(sum(dice.lognormvariate(math.log(0.02) - 0.35, 0.83) for _ in range(count)))
        rates.append(0.02 * rate)
    return values, rates


def rules(values, step=STEP, **settings):
    return [(found.index, found.rule) for found in burn(values, step, **settings)]


@pytest.mark.parametrize("seed", range(6))
def test_a_runaway_loop_is_found_within_fifteen_minutes(seed):
    values, rates = traffic(2.2, calls=60.0, seed=seed)
    begin = WEEK + DAY * (seed % 3) + 12 * (9 + seed)  # between nine and two o'clock
    for index in range(begin, begin + 12):
        values[index] += 9.0 * rates[index]
    found = [burning for burning in burn(values, STEP, start=START) if burning.rule == "runaway"]
    assert len(found) == 1
    assert begin <= found[0].index <= begin + 2
    assert begin + 10 <= found[0].end <= begin + 14
    assert found[0].at == START + timedelta(seconds=STEP * (found[0].index + 1))
    assert found[0].basis == "usual"
    assert found[0].factor == pytest.approx(found[0].spent / found[0].allowed)
    assert found[0].lasts_seconds is None


def test_a_runaway_loop_is_found_in_the_hour_where_hours_are_given():
    values, rates = traffic(3.2, step=3600)
    values[510] += 9.0 * rates[510]
    assert rules(values, 3600) == [(510, "runaway")]


def test_quiet_weeks_give_less_than_one_alarm_in_a_hundred_series_and_weeks():
    # 30 series of two judged weeks each, 5-minute and hourly. One alarm would be 1 in 60; none is asked for.
    assert sum(len(rules(traffic(3, calls=4.0, seed=seed)[0])) for seed in range(10)) == 0
    assert sum(len(rules(traffic(3, calls=2.0, seed=seed, step=3600)[0], 3600)) for seed in range(20)) == 0


def test_one_dear_call_is_no_loop():
    values, _ = traffic(2, seed=5)
    values[WEEK + 150] += 20.0
    assert rules(values) == []


def test_a_runaway_in_the_first_week_must_be_beyond_all_that_was_seen():
    values = [0.02] * 400
    assert rules([*values, 0.06, 0.06, 0.06]) == []
    assert rules([*values, 0.5, 0.5, 0.5]) == [(401, "runaway")]
    assert rules([0.02] * 200 + [0.5] * 3) == []  # not a day yet


def test_what_is_usual_can_be_given():
    values = [0.1] * 20 + [1.5] * 4 + [0.1] * 20
    found = burn(values, STEP, usual=0.1 * DAY)
    assert [(burning.index, burning.end, burning.rule) for burning in found] == [(21, 23, "runaway")]
    day = [0.1] * DAY
    day[20:24] = [1.5] * 4  # it is usual at that time
    assert rules(values, usual=day) == []
    assert rules(values, usual=day * 7) == []


def test_a_rule_says_how_long_the_budget_lasts():
    values = [1.0] * 12 + [20.0] * 24  # dollars in five minutes, of 288 a day
    (fast, slow) = burn(values, STEP, budget=288.0, start=START)
    assert (fast.rule, fast.index, fast.end) == ("fast", 20, 35)
    # An hour with nine steps of 20 and three of 1: 183 of 12 dollars. 288 - 192 = 96 are left, 31.5 minutes of it.
    assert (fast.spent, fast.allowed, fast.factor) == (183.0, 12.0, 15.25)
    assert fast.lasts_seconds == pytest.approx((288 - 192) / 183 * 3600)
    assert fast.at == START + timedelta(minutes=105)
    assert fast.reason == (
        "183.00 USD were spent in the hour up to 2026-11-02T01:45+00:00, 15.2 times the even share of the day's budget "
        "(12.00 USD); what is left of the day's budget lasts 31 minutes at this rate."
    )
    assert slow.rule == "slow"
    assert slow.index > fast.index


def test_a_burn_that_has_stopped_does_not_alert():
    calm = [20.0] * 9 + [0.5] * 12
    assert rules([1.0] * 3 + [50.0] * 3 + [0.0] * 6, budget=288.0, rules=[Rule("fast", 3600, 300, 14.4)]) == []
    assert all(index < 9 for index, _ in rules(calm, budget=288.0, rules=[Rule("fast", 3600, 300, 14.4)]))


def test_a_budget_is_of_the_day_of_the_start():
    values = [0.0] * 11 + [60.0] * 6
    late = datetime(2026, 11, 2, 23, 0, tzinfo=UTC)
    (first, *_) = burn(values, STEP, budget=288.0, start=late)
    assert first.index == 13
    assert first.lasts_seconds == pytest.approx(
        (288.0 - 120.0) / (180.0 / 3600)
    )  # the first of the three was yesterday's


def test_an_episode_alerts_once_and_a_new_one_again():
    hot = [0.1] * 30 + [3.0] * 5 + [0.1] * 6 + [3.0] * 5 + [0.1] * 40 + [3.0] * 5
    found = [burning for burning in burn(hot, STEP, usual=0.1 * DAY) if burning.rule == "runaway"]
    assert [(burning.index, burning.end) for burning in found] == [(31, 45), (87, 90)]


def test_small_money_is_not_worth_an_alert():
    values = [0.001] * 20 + [0.015] * 4
    assert rules(values, usual=0.001 * DAY) == []
    assert rules(values, usual=0.001 * DAY, min_usd=0.0) == [(21, "runaway")]


@pytest.mark.parametrize("values", [[], [0.0] * 5000, [1.0], [0.5] * 5000])
def test_still_series_say_nothing(values):
    assert burn(values, STEP) == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"step_seconds": 7}, "step_seconds"),
        ({"step_seconds": 7200}, "step_seconds"),
        ({"step_seconds": 0}, "step_seconds"),
        ({"budget": 0.0}, "budget"),
        ({"budget": math.nan}, "budget"),
        ({"usual": 0.0}, "usual"),
        ({"usual": [1.0, 2.0]}, "usual"),
        ({"usual": [-1.0] * DAY}, "usual"),
        ({"min_usd": -1.0}, "min_usd"),
        ({"values": [math.nan]}, "values"),
        ({"values": [-1.0]}, "values"),
    ],
)
def test_wrong_arguments_are_refused(settings, field):
    with pytest.raises(ConfigurationError) as caught:
        burn(**{"values": [1.0], "step_seconds": STEP, **settings})
    assert caught.value.field == field


@given(st.lists(st.floats(min_value=0.0, max_value=50.0), max_size=60), st.integers(min_value=0, max_value=60))
def test_a_step_is_judged_by_what_came_before(values, cut):
    whole = burn(values, STEP, usual=288.0, budget=300.0)
    part = burn(values[:cut], STEP, usual=288.0, budget=300.0)
    assert [found.index for found in part] == [found.index for found in whole if found.index < cut]


@given(st.lists(st.sampled_from([0.0, 0.3, 5.0, 40.0]), max_size=60), st.sampled_from([0.25, 8.0, 1024.0]))
def test_the_currency_does_not_matter(values, rate):
    ours = rules(values, usual=64.0, budget=256.0, min_usd=0.0)
    assert rules([rate * value for value in values], usual=64.0 * rate, budget=256.0 * rate, min_usd=0.0) == ours

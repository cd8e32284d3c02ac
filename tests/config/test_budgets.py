from __future__ import annotations

from decimal import Decimal

import pytest

from aistrale.config.budgets import check_budgets
from aistrale.cost.budgets.settings import BudgetSettings
from aistrale.errors import ConfigurationError

DAY = {"limit": "5.00", "period": "day"}


def read(**fields):
    return check_budgets("budgets", [{**DAY, **fields}])[0]


def test_a_limit_limits_unless_somebody_says_otherwise():
    budget = read()
    assert (budget.limit, budget.period, budget.scope) == (Decimal("5.00"), "day", "global")
    assert budget.hard is True
    assert budget.unknown == "block"
    assert read(hard=False).unknown == "allow"
    assert read(hard=False, on_unknown="block").unknown == "block"
    assert (read().on_unlimited, read(on_unlimited="refuse").on_unlimited) == ("limit", "refuse")


def test_everything_that_can_be_said():
    budget = read(
        scope="tag:team=*",
        name="teams",
        alerts=[1, 0.5, 0.5],
        on_unknown="assume",
        assume={"input": "10", "output": 50},
        timezone="Europe/Berlin",
        wait=2,
        output=800,
    )
    assert budget == BudgetSettings(
        limit=Decimal("5.00"),
        period="day",
        scope="tag:team=*",
        name="teams",
        alerts=(Decimal("0.5"), Decimal(1)),
        on_unknown="assume",
        assume={"input": Decimal(10), "output": Decimal(50)},
        timezone="Europe/Berlin",
        wait=2.0,
        output=800,
    )
    assert check_budgets("budgets", [budget]) == (budget,)


@pytest.mark.parametrize("value", [None, False, "off", []])
def test_no_budgets(value):
    assert check_budgets("budgets", value) == ()


def test_a_float_means_its_shortest_decimal():
    assert read(limit=0.1).limit == Decimal("0.1")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"limit": "five"}, "limit", "US dollars"),
        ({"limit": -1}, "limit", "at least 0"),
        ({"limit": True}, "limit", "US dollars"),
        ({"limit": "NaN"}, "limit", "US dollars"),
        ({"limit": "Infinity"}, "limit", "US dollars"),
        ({"period": "year"}, "period", "'call', 'session', 'day', 'week', 'month'"),
        ({"period": 7}, "period", "text"),
        ({"scope": "team:x"}, "scope", "workspace, project, user"),
        ({"scope": "model:gpt-5"}, "scope", "PROVIDER/MODEL"),
        ({"hard": "maybe"}, "hard", "true or false"),
        ({"alerts": 0.5}, "alerts", "list"),
        ({"alerts": [0]}, "alerts[0]", "above 0"),
        ({"alerts": [0.5, "x"]}, "alerts[1]", "number"),
        ({"on_unlimited": "cut"}, "on_unlimited", "'limit', 'refuse'"),
        ({"on_unknown": "guess"}, "on_unknown", "'block', 'allow', 'assume'"),
        ({"on_unknown": "assume"}, "assume", "given"),
        ({"assume": {"input": 1}}, "assume", "input and output"),
        ({"assume": {"input": 1, "output": "x"}}, "assume.output", "US dollars"),
        ({"timezone": "Mars/Olympus"}, "timezone", "IANA"),
        ({"timezone": "../etc/passwd"}, "timezone", "IANA"),
        ({"wait": -1}, "wait", "at least 0"),
        ({"output": 0}, "output", "at least 1"),
        ({"limits": 1}, "limits", "unknown"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_accepted(fields, field, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(**fields)
    assert caught.value.field == f"budgets[0].{field}"


@pytest.mark.parametrize("missing", ["limit", "period"])
def test_what_is_missing_is_named(missing):
    with pytest.raises(ConfigurationError, match="given") as caught:
        check_budgets("budgets", [DAY, {key: value for key, value in DAY.items() if key != missing}])
    assert caught.value.field == f"budgets[1].{missing}"


def test_two_budgets_have_two_names():
    with pytest.raises(ConfigurationError, match="names that differ") as caught:
        check_budgets("budgets", [DAY, {**DAY, "limit": 9}])
    assert caught.value.field == "budgets[1].name"
    assert len(check_budgets("budgets", [DAY, {**DAY, "limit": 9, "name": "other"}])) == 2


def test_a_table_is_no_list():
    with pytest.raises(ConfigurationError, match="list"):
        check_budgets("budgets", DAY)


@pytest.mark.parametrize("change", [{"limit": -1}, {"scope": "x"}, {"period": "x"}, {"timezone": "x"}])
def test_objects_are_checked_too(change):
    with pytest.raises(ConfigurationError) as caught:
        check_budgets("budgets", [BudgetSettings(**{"limit": Decimal(1), "period": "day", **change})])
    assert caught.value.field == f"budgets[0].{next(iter(change))}"

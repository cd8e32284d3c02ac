from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.anomalies.attribution import Spend, attribute, explain
from aistrale.errors import ConfigurationError


def usd(text, calls=0, tokens=0):
    return Spend(Decimal(text), calls, tokens)


SPENDS = st.builds(
    Spend,
    st.decimals(min_value=0, max_value=10_000, places=6),
    st.integers(min_value=0, max_value=100_000),
    st.integers(min_value=0, max_value=10**9),
)
SIDES = st.dictionaries(st.sampled_from("abcdef"), SPENDS, max_size=6)


def near(value):
    return pytest.approx(value, abs=1e-9)


def test_who_spent_more_stands_first():
    before = {"gpt-5": usd("10", 100, 1000), "haiku": usd("5", 50, 500), "old": usd("2", 10, 100)}
    during = {"gpt-5": usd("12", 120, 1200), "haiku": usd("25", 250, 2500), "new": usd("1", 1, 1)}
    found = attribute(before, during)
    assert [(one.key, one.excess) for one in found] == [
        ("haiku", Decimal(20)),
        ("gpt-5", Decimal(2)),
        ("new", Decimal(1)),
        ("old", Decimal(-2)),
    ]
    assert [round(one.power, 3) for one in found] == [0.952, 0.095, 0.048, -0.095]
    assert found[0].reason == "haiku spent 20.00 USD more than before (95% of the excess): +20.00 by calls."
    assert found[2].reason == "new is new and spent 1.00 USD."
    assert found[3].reason == "old spent 2.00 USD less than before (-10% of the excess): -2.00 by calls."


def test_of_a_drop_who_spends_less_stands_first():
    found = attribute({"a": usd("10"), "b": usd("10")}, {"a": usd("1"), "b": usd("11")})
    assert [(one.key, round(one.power, 3)) for one in found] == [("a", 1.125), ("b", -0.125)]


@pytest.mark.parametrize(
    ("old", "new", "calls", "tokens", "price"),
    [
        # Three times the calls, all else equal: all by calls, and so on.
        (("10", 100, 1000), ("30", 300, 3000), 20, 0, 0),
        (("10", 100, 1000), ("30", 100, 3000), 0, 20, 0),
        (("10", 100, 1000), ("30", 100, 1000), 0, 0, 20),
        # Calls and tokens per call doubled: alike. 30 dollars over ln 4 is the logarithmic mean.
        (("10", 100, 1000), ("40", 200, 4000), 15, 15, 0),
        # Twice the calls at half the price: nothing in sum, and as much up as down.
        (("10", 100, 1000), ("10", 200, 2000), 10 * math.log(2), 0, -10 * math.log(2)),
        # It came, it went; without tokens; without calls.
        (("0", 0, 0), ("8", 4, 100), 8, 0, 0),
        (("8", 4, 100), ("0", 0, 0), -8, 0, 0),
        (("10", 100, 0), ("40", 200, 0), 15, 0, 15),
        (("10", 0, 1000), ("30", 300, 3000), 0, 0, 20),
    ],
)
def test_the_split_into_calls_tokens_and_price(old, new, calls, tokens, price):
    (one,) = attribute({"m": usd(*old)}, {"m": usd(*new)})
    assert (float(one.calls), float(one.tokens), float(one.price)) == (near(calls), near(tokens), near(price))
    assert one.calls + one.tokens + one.price == one.excess


def test_a_reason_tells_the_parts_that_matter():
    (one,) = attribute({"m": usd("10", 100, 1000)}, {"m": usd("40", 200, 4000)})
    assert (
        one.reason
        == "m spent 30.00 USD more than before (100% of the excess): +15.00 by calls, +15.00 by tokens per call."
    )


def test_windows_of_other_lengths_are_scaled():
    (one,) = attribute({"m": usd("280", 2800, 28_000)}, {"m": usd("30", 300, 3000)}, scale=1 / 28)
    assert float(one.excess) == near(20.0)
    assert float(one.calls) == near(20.0)
    assert float(one.before) == near(10.0)


@given(SIDES, SIDES, st.sampled_from([1.0, 0.25, 1 / 7]))
def test_parts_sum_to_the_excess_exactly(before, during, scale):
    found = attribute(before, during, scale=scale)
    assert {one.key for one in found} == {*before, *during}
    for one in found:
        assert one.calls + one.tokens + one.price == one.excess == one.during - one.before
        assert one.surprise >= 0.0
    excess = sum((one.excess for one in found), Decimal(0))
    assert excess == sum((s.usd for s in during.values()), Decimal(0)) - sum((one.before for one in found), Decimal(0))
    if excess:
        assert math.fsum(one.power for one in found) == pytest.approx(
            1.0, abs=1e-6 * (1 + sum(abs(one.power) for one in found))
        )


@given(SIDES, SIDES)
def test_what_rose_one_way_falls_the_other(before, during):
    there = {one.key: one for one in attribute(before, during)}
    for one in attribute(during, before):
        assert one.excess == -there[one.key].excess
        assert float(one.calls) == pytest.approx(-float(there[one.key].calls), abs=1e-6)
        assert one.surprise == pytest.approx(there[one.key].surprise, abs=1e-12)


NAMES = ("model", "route", "user")


def test_the_dimension_that_tells_the_story_stands_first():
    # One user's loop over both models and both routes.
    before = {
        (m, r, u): usd("10", 10, 10) for m in ("a", "b") for r in ("chat", "batch") for u in ("ada", "bob", "eve")
    }
    during = {key: usd("70", 70, 70) if key[2] == "eve" else spend for key, spend in before.items()}
    first, *others = explain(NAMES, before, during)
    assert first.dimension == "user"
    assert [one.key for one in first.leading] == ["eve"]
    assert first.power == pytest.approx(1.0)
    assert {one.dimension for one in others} == {"model", "route"}
    assert all(one.surprise == pytest.approx(0.0) for one in others)
    assert first.values[0].key == "eve"


def test_dimensions_with_one_value_explain_nothing():
    before = {("a", "chat"): usd("10"), ("b", "chat"): usd("10")}
    during = {("a", "chat"): usd("10"), ("b", "chat"): usd("30")}
    assert [one.dimension for one in explain(("model", "route"), before, during)] == ["model", "route"]


def test_a_large_value_that_grew_with_all_others_is_no_surprise():
    before = {("big", "x"): usd("80"), ("big", "y"): usd("10"), ("small", "x"): usd("9"), ("small", "y"): usd("1")}
    during = {("big", "x"): usd("80"), ("big", "y"): usd("100"), ("small", "x"): usd("9"), ("small", "y"): usd("10")}
    first, second = explain(("size", "route"), before, during)
    assert (first.dimension, [one.key for one in first.leading]) == ("route", ["y"])
    assert second.surprise < first.surprise


def test_values_without_a_name_are_values():
    found = attribute({None: usd("1", 1, 1)}, {None: usd("3", 3, 3)})
    assert found[0].reason.startswith("what has no name spent 2.00 USD more")


@pytest.mark.parametrize(
    ("before", "during", "settings"),
    [
        ({"a": usd("1")}, {}, {"scale": 0.0}),
        ({"a": usd("1")}, {}, {"scale": math.nan}),
        ({"a": usd("-1")}, {}, {}),
        ({}, {"a": usd("NaN")}, {}),
        ({}, {"a": usd("1", -1)}, {}),
        ({}, {"a": usd("1", 1, math.inf)}, {}),
    ],
)
def test_wrong_amounts_are_refused(before, during, settings):
    with pytest.raises(ConfigurationError):
        attribute(before, during, **settings)


def test_keys_of_another_length_are_refused():
    with pytest.raises(ConfigurationError, match="2 dimensions"):
        explain(("model", "route"), {("a",): usd("1")}, {})


def test_nothing_has_no_excess():
    assert attribute({}, {}) == []
    assert [one.power for one in attribute({"a": usd("1")}, {"a": usd("1")})] == [0.0]
    assert explain(("model",), {}, {})[0].values == ()

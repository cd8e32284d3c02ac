"""Prices of one's own: what the setting accepts, and what lies over the book."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.book.overrides import OwnPrice, own_prices
from aistrale.cost.book.price_book import price_book, shipped_book
from aistrale.cost.book.rows import EPOCH, MONEY, UNITS
from aistrale.errors import ConfigurationError

LUNA = "openai/gpt-6-luna"


def laid(*prices):
    return price_book().with_prices(own_prices(list(prices)))


def on(book, provider, model, day="2026-11-27", **conditions):
    found = book.rates(provider, model, conditions)
    assert not isinstance(found, str), found
    return next(each for each in found if each.start <= date.fromisoformat(day).toordinal() - EPOCH)


def test_named_rates_hold_and_the_others_stay():
    book = laid({"model": LUNA, "input": "1.10", "output": 4})
    listed, own = on(price_book(), "openai", "gpt-6-luna"), on(book, "openai", "gpt-6-luna")
    assert (own.rates["input"], own.rates["output"]) == (Decimal("1.10"), 4)
    assert own.rates["cache_read"] == listed.rates["cache_read"]
    # At every length of prompt.
    assert own.tiers[0].rates["input"] == Decimal("1.10")
    assert own.tiers[0].rates["cache_read"] == listed.tiers[0].rates["cache_read"]
    # For the usual price alone.
    assert on(book, "openai", "gpt-6-luna", service_tier="flex") == on(
        price_book(), "openai", "gpt-6-luna", service_tier="flex"
    )


def test_days_and_conditions():
    book = laid(
        {"model": LUNA, "input": "9", "from": "2026-11-01", "to": "2026-11-30"},
        {"model": LUNA, "input": "7", "when": {"service_tier": "FLEX"}},
        {"model": LUNA, "output": "8", "from": date(2026, 11, 15)},
    )
    listed = on(price_book(), "openai", "gpt-6-luna").rates["input"]
    assert on(book, "openai", "gpt-6-luna", "2026-10-31").rates["input"] == listed
    assert on(book, "openai", "gpt-6-luna", "2026-11-01").rates["input"] == 9
    assert on(book, "openai", "gpt-6-luna", "2026-11-14").rates["output"] != 8
    assert on(book, "openai", "gpt-6-luna", "2026-11-30").rates["input"] == 9
    assert on(book, "openai", "gpt-6-luna", "2026-12-01").rates["input"] == listed
    assert on(book, "openai", "gpt-6-luna", "2026-12-01").rates["output"] == 8
    assert on(book, "openai", "gpt-6-luna", service_tier="flex").rates["input"] == 7


def test_an_own_price_meets_a_change_of_the_list():
    book = laid({"model": "openai/gpt-5.6-sol", "output": "1", "from": "2026-08-01"})
    days = {day: on(book, "openai", "gpt-5.6-sol", day).rates for day in ("2026-07-31", "2026-08-01", "2026-08-21")}
    assert [(rates["input"], rates["output"]) for rates in days.values()] == [(5, 30), (5, 1), (4, 1)]


def test_a_discount_is_taken_off_everything_that_costs_money():
    book = laid({"model": "anthropic/*", "discount": "0.15"})
    for conditions in ({}, {"processing": "batch"}):
        listed = on(price_book(), "anthropic", "claude-sonnet-4-6", **conditions).rates
        own = on(book, "anthropic", "claude-sonnet-4-6", **conditions).rates
        assert {unit: own[unit] / listed[unit] for unit in listed if unit in MONEY} == {
            unit: Decimal("0.85") for unit in listed if unit in MONEY
        }
        assert own["geo_us"] == listed["geo_us"] == Decimal("1.1")
    assert book.rates("openai", "gpt-4o", {}) == price_book().rates("openai", "gpt-4o", {})
    seconds = laid({"model": "groq/*", "discount": "0.5"}).rates("groq", "whisper-large-v3", {})[0].rates
    assert seconds["audio_min_seconds"] == 10


def test_a_discount_leaves_named_rates_as_they_are_and_the_later_price_wins():
    book = laid(
        {"model": "openai/*", "discount": "0.5"},
        {"model": "openai/gpt-6*", "input": "3", "discount": "0.1"},
    )
    own, listed = on(book, "openai", "gpt-6-luna").rates, on(price_book(), "openai", "gpt-6-luna").rates
    assert own["input"] == 3
    assert own["output"] == listed["output"] * Decimal("0.45")
    assert on(book, "openai", "gpt-4o").rates["input"] == Decimal("1.25")


def test_a_model_that_nobody_lists_can_be_given_a_price():
    book = laid({"model": "local/llama-3:8b", "input": "0", "output": "0.2"}, {"model": "openai/gpt-99", "input": "1"})
    assert on(book, "local", "llama-3:8b", "1999-01-01").rates == {"input": 0, "output": Decimal("0.2")}
    assert on(book, "openai", "gpt-99").rates == {"input": 1}
    assert isinstance(book.rates("openai", "gpt-99", {"processing": "batch"}), str)
    assert isinstance(book.rates("openai", "gpt-98", {}), str)
    later = laid({"model": "openai/gpt-99", "input": "1", "from": "2026-11-01"})
    assert [each.start for each in later.rates("openai", "gpt-99", {})] == [date(2026, 11, 1).toordinal() - EPOCH]
    ended = laid({"model": "openai/gpt-99", "input": "1", "to": "2026-11-01"}).rates("openai", "gpt-99", {})
    assert [each.rates for each in ended] == [{}, {"input": 1}]


def test_a_discount_of_an_unknown_price_is_unknown():
    assert laid({"model": "openai/*", "discount": "0.5"}).rates("openai", "gpt-99", {}) == price_book().rates(
        "openai", "gpt-99", {}
    )


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("openai/gpt-5.6", "gpt-5.6-sol"),
        ("openai/gpt-5.6-sol", "gpt-5.6"),
        ("OpenAI/GPT-6-Luna", "gpt-6-luna"),
        ("openai/gpt-6-luna", "openai/gpt-6-luna"),
        ("openai/gpt-6-luna", "gpt-6-luna-2027-01-31"),
    ],
)
def test_every_name_of_a_model_is_meant(model, asked):
    assert on(laid({"model": model, "input": "77"}), "openai", asked).rates["input"] == 77


def test_backends_of_a_router():
    llama = "meta-llama/Llama-3.3-70B-Instruct"
    book = laid({"model": f"hf/{llama}:together", "input": "77"})
    assert on(book, "huggingface", f"{llama}:together").rates["input"] == 77
    assert on(book, "huggingface", llama, inference_provider="together").rates["input"] == 77
    assert on(book, "huggingface", f"{llama}:nebius").rates["input"] == Decimal("0.25")
    # Without a backend it is whichever serves it.
    anywhere = laid({"model": f"huggingface/{llama}", "input": "1", "output": "2"})
    assert on(anywhere, "huggingface", llama).rates == {"input": 1, "output": 2}
    assert on(anywhere, "huggingface", f"{llama}:nebius").rates["input"] == 1


def test_google_and_gemini_are_the_same():
    assert on(laid({"model": "google/gemini-2.5-pro", "input": "77"}), "gemini", "gemini-2.5-pro").rates["input"] == 77


def test_the_label_says_so_and_names_the_content():
    first, second = laid({"model": LUNA, "input": "1"}), laid({"model": LUNA, "input": "2"})
    assert first.label.endswith("+own")
    assert first.label == f"{first.as_of}+{first.digest}+own"
    assert len({first.digest, second.digest, price_book().digest}) == 3
    # The same price, written in another way.
    assert laid({"input": Decimal("1.0"), "model": "OPENAI/gpt-6-luna", "discount": 0}).digest == first.digest
    assert price_book().with_prices(()) is price_book()
    twice = price_book().with_prices(own_prices([{"model": LUNA, "input": "1"}]))
    twice = twice.with_prices(own_prices([{"model": LUNA, "output": "5"}]))
    assert (on(twice, "openai", "gpt-6-luna").rates["input"], on(twice, "openai", "gpt-6-luna").rates["output"]) == (
        1,
        5,
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("gpt", "prices"),
        ({"model": LUNA}, "prices"),
        (["x"], "prices[0]"),
        ([{}], "prices[0].model"),
        ([{"model": "gpt-6-luna", "input": "1"}], "prices[0].model"),
        ([{"model": "openai/", "input": "1"}], "prices[0].model"),
        ([{"model": LUNA}], "prices[0]"),
        ([{"model": LUNA, "input": "1"}, {"model": LUNA, "inptu": "1"}], "prices[1].inptu"),
        ([{"model": LUNA, "input": "free"}], "prices[0].input"),
        ([{"model": LUNA, "input": "-1"}], "prices[0].input"),
        ([{"model": LUNA, "input": "NaN"}], "prices[0].input"),
        ([{"model": LUNA, "input": "Infinity"}], "prices[0].input"),
        ([{"model": LUNA, "input": "1e99"}], "prices[0].input"),
        ([{"model": LUNA, "input": True}], "prices[0].input"),
        ([{"model": LUNA, "input": None}], "prices[0].input"),
        ([{"model": LUNA, "discount": "1.5"}], "prices[0].discount"),
        ([{"model": LUNA, "discount": "15 %"}], "prices[0].discount"),
        ([{"model": LUNA, "input": "1", "from": "soon"}], "prices[0].from"),
        ([{"model": LUNA, "input": "1", "from": 20261101}], "prices[0].from"),
        ([{"model": LUNA, "input": "1", "from": "2026-11-02", "to": "2026-11-01"}], "prices[0].to"),
        ([{"model": LUNA, "input": "1", "when": "batch"}], "prices[0].when"),
        ([{"model": LUNA, "input": "1", "when": {"service_tier": 1}}], "prices[0].when"),
    ],
)
def test_errors_name_the_field(value, field):
    with pytest.raises(ConfigurationError) as caught:
        own_prices(value)
    assert caught.value.field == field
    assert str(caught.value).startswith(field)
    assert caught.value.hint


def test_what_is_near_is_named():
    with pytest.raises(ConfigurationError, match="did you mean input"):
        own_prices([{"model": LUNA, "inptu": "1"}])


def test_none_is_none_and_checked_prices_pass():
    assert own_prices(None) == own_prices([]) == ()
    made = OwnPrice("openai", "x", {"input": Decimal(1)})
    assert own_prices([made]) == (made,)


DAYS = st.one_of(st.none(), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
AMOUNTS = st.decimals(0, 1000, places=4)


@given(
    st.dictionaries(st.sampled_from(sorted(UNITS)), AMOUNTS, min_size=1),
    DAYS,
    st.integers(0, 900),
    st.decimals(0, 1, places=2),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
)
def test_own_rates_hold_on_their_days_and_on_no_other(rates, start, length, discount, asked):
    end = None if start is None else start + timedelta(days=length)
    days = {} if start is None else {"from": start.isoformat(), "to": end.isoformat()}
    text = {unit: str(amount) for unit, amount in rates.items()}
    book = shipped_book().with_prices(own_prices([{"model": LUNA, "discount": str(discount), **text, **days}]))
    own = on(book, "openai", "gpt-6-luna", asked.isoformat())
    listed = on(shipped_book(), "openai", "gpt-6-luna", asked.isoformat())
    active = start is None or start <= asked <= end
    for table, base in ((own.rates, listed.rates), (own.tiers[0].rates, listed.tiers[0].rates)):
        for unit in UNITS:
            expected = base.get(unit)
            if active:
                lowered = expected * (1 - discount) if expected is not None and unit in MONEY else expected
                expected = rates.get(unit, lowered)
            assert table.get(unit) == expected


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.one_of(st.sampled_from(["model", "input", "from", "when", "discount"]), st.text(max_size=5)),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    )
)
def test_anything_else_is_an_error_that_names_a_field(value):
    fields = ["prices"]
    found = ()
    with contextlib.suppress(ConfigurationError):
        found = own_prices(value)
    if not found and value not in (None, [], ()):
        with pytest.raises(ConfigurationError) as caught:
            own_prices(value)
        fields.append(caught.value.field)
    assert all(field.startswith("prices") for field in fields)
    assert all(isinstance(each, OwnPrice) for each in found)

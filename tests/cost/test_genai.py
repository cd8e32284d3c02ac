"""Reading the data that genai-prices publishes."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.book.changes import changes
from aistrale.cost.book.check import check_book, written
from aistrale.cost.book.genai import convert, matches, number, spelled
from aistrale.cost.book.price_book import PriceBook, shipped_book
from aistrale.cost.book.update import lay_over_book, read_update
from aistrale.errors import ConfigurationError

TODAY = date(2026, 11, 27)


def provider(*models, name="openai"):
    return [{"id": name, "models": list(models)}]


def model(prices, *, name="m", match=None, variants=None):
    row = {"id": name, "match": match or {"equals": name}, "prices": prices}
    return {**row, "price_variants": variants} if variants else row


def test_a_price_with_tiers_dates_and_conditions():
    given_ = model(
        [
            {"prices": {"input_mtok": 3, "output_mtok": 15}},
            {
                "constraint": {"start_date": "2026-06-01"},
                "prices": {"input_mtok": {"base": 2, "tiers": [{"start": 1000, "price": 4}]}, "output_mtok": 10},
            },
        ],
        variants=[
            {"when": {"processing": "batch"}, "prices": {"input_mtok": 1}, "constraint": {"start_date": "2026-09-01"}},
            {"when": {"service_tier": "default"}, "prices": {}},
        ],
    )
    (made,) = convert(provider(given_), {}, TODAY)
    assert made == {
        "provider": "openai",
        "id": "m",
        "periods": [
            {"rates": {"input": "3", "output": "15"}},
            {
                "rates": {"input": "2", "output": "10"},
                "above": [{"tokens": 1000, "rates": {"input": "4"}}],
                "from": "2026-06-01",
                "when": [{"if": {"processing": "batch"}, "rates": {"input": "1"}}],
            },
        ],
    }


def test_a_condition_of_the_future_waits_for_it():
    batch = {"when": {"processing": "batch"}, "prices": {"input_mtok": 1}}
    later = {"when": {"processing": "batch"}, "prices": {"input_mtok": 2}, "constraint": {"start_date": "2027-01-01"}}
    dated = [{"prices": {"input_mtok": 2}}, {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 4}}]
    (made,) = convert(provider(model(dated, variants=[later, batch])), {}, TODAY)
    assert [period["when"][0]["rates"] for period in made["periods"]] == [{"input": "1"}, {"input": "2"}]


def test_every_unit_it_has_is_understood():
    prices = {
        "input_mtok": 1, "output_mtok": 2, "cache_read_mtok": 3, "cache_write_mtok": 4, "cache_write_1h_mtok": 5,
        "input_audio_mtok": 6, "output_audio_mtok": 7, "cache_audio_read_mtok": 8, "input_image_mtok": 9,
        "output_image_mtok": 10, "cache_image_read_mtok": 11, "input_video_mtok": 12, "output_video_mtok": 13,
        "web_searches_kcount": 14, "storage_searches_kcount": 15, "audio_hours": 0.04, "input_mchars": 17,
        "requests_kcount": 5, "something_new": 99,
    }  # fmt: skip
    (made,) = convert(provider(model(prices)), {}, TODAY)
    assert made["periods"][0]["rates"] == {
        "input": "1", "output": "2", "cache_read": "3", "cache_write": "4", "cache_write_1h": "5", "audio_input": "6",
        "audio_output": "7", "audio_cache_read": "8", "image_input": "9", "image_output": "10",
        "image_cache_read": "11", "video_input": "12", "video_output": "13", "web_search": "14", "file_search": "15",
        "audio_hours": "0.04", "characters": "17", "request": "0.005",
    }  # fmt: skip


def test_searches_of_gemini_are_counted_by_prompt_up_to_the_second_generation():
    prices = {"input_mtok": 1, "web_searches_kcount": 35}
    made = convert(
        provider(model(prices, name="gemini-2.5-x"), model(prices, name="gemini-3-x"), name="google"), {}, TODAY
    )
    assert [each["provider"] for each in made] == ["gemini", "gemini"]
    assert [each["periods"][0]["web_search_per"] for each in made] == ["prompt", "query"]


def test_backends_of_the_router_come_together():
    one, two = model({"input_mtok": 1}, name="A/b"), model({"input_mtok": 2}, name="a/B")
    data = [
        {"id": "huggingface_x", "models": [one]},
        {"id": "huggingface_y", "models": [two]},
        {"id": "other", "models": []},
    ]
    (made,) = convert(data, {}, TODAY)
    assert made["id"] == "A/b"
    assert {name: periods[0]["rates"]["input"] for name, periods in made["backends"].items()} == {"x": "1", "y": "2"}


def test_other_models_at_a_backend_s_price_are_models_at_that_backend_alone():
    rule = {"or": [{"equals": "a/b"}, {"equals": "a/b-0528"}, {"equals": "a/b-fast"}]}
    data = [
        {"id": "huggingface_x", "models": [model({"input_mtok": 1}, name="A/b", match=rule)]},
        {"id": "huggingface_y", "models": [model({"input_mtok": 2}, name="A/b-0528")]},
    ]
    made = {each["id"]: sorted(each["backends"]) for each in convert(data, {}, TODAY)}
    assert made == {"A/b": ["x"], "A/b-0528": ["x", "y"]}


def test_prices_by_the_time_of_day_are_not_taken():
    night = {"constraint": {"start_time": "00:30:00Z", "end_time": "08:30:00Z"}, "prices": {"input_mtok": 1}}
    (made,) = convert(provider(model([{"prices": {"input_mtok": 2}}, night])), {}, TODAY)
    assert made["periods"] == []


def test_names_become_aliases_of_what_matches_them_first():
    data = provider(
        model({"input_mtok": 1}, name="gpt-x", match={"or": [{"equals": "gpt-x"}, {"equals": "gpt-x-old"}]}),
        model({"input_mtok": 2}, name="gpt-x-mini", match={"starts_with": "gpt-x-mini"}),
        model({"input_mtok": 3}, name="gpt", match={"starts_with": "gpt"}),
    )
    made = convert(data, {"openai": ["GPT-X-mini-2026", "gpt-y", "claude", "gpt-x"]}, TODAY)
    assert [each.get("aliases", []) for each in made] == [["gpt-x-old"], ["GPT-X-mini-2026"], ["gpt-y"]]


@pytest.mark.parametrize(
    ("clause", "name", "fits"),
    [
        ({"equals": "a"}, "A", True),
        ({"equals": "a"}, "ab", False),
        ({"starts_with": "a"}, "ab", True),
        ({"ends_with": "b"}, "ab", True),
        ({"contains": "B"}, "abc", True),
        ({"or": [{"equals": "x"}, {"equals": "a"}]}, "a", True),
        ({"and": [{"starts_with": "a"}, {"ends_with": "c"}]}, "abc", True),
        ({"and": [{"starts_with": "a"}, {"ends_with": "b"}]}, "abc", False),
        ({"regex": r"^claude-x-\d{8}$"}, "claude-x-20260101", True),
        ({"regex": r"^(?!.*-[tT][tT][sS](?:$|-))"}, "gemini-x-tts", False),
        ({"regex": r"^(?!.*-[tT][tT][sS](?:$|-))"}, "gemini-x", True),
        # What could take long is not tried.
        ({"regex": r"(a+)+$"}, "a", False),
        ({"regex": r"(a|a)*$"}, "a", False),
        ({"regex": r"a*a*a*b"}, "aab", False),
        ({"regex": "("}, "(", False),
        ({"regex": "[["}, "[", False),
    ],
)
def test_rules(clause, name, fits):
    assert matches(clause, name) is fits


@given(st.text("ab()*+?{}[]|.^$\\1,", max_size=30))
def test_no_regular_expression_takes_long(pattern):
    start = thread_time()
    assert matches({"regex": pattern}, "a" * 200) in {True, False}
    assert thread_time() - start < 1


def test_names_that_a_rule_spells_out():
    whole = [{"equals": "a"}, {"starts_with": "b"}, {"or": [{"equals": "c-1"}]}]
    parts = [{"starts_with": "b-2025"}, {"starts_with": "b-"}, {"contains": "d"}, {"regex": "e"}]
    assert spelled({"or": [*whole, *parts]}) == ["a", "b", "c-1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0399999999999998, "1.04"),
        ("0.075", "0.075"),
        (30, "30"),
        (Decimal("1E+2"), "100"),
        (0, "0"),
        ("1E-8", "0.00000001"),
    ],
)
def test_numbers_are_plain_decimals(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    "data",
    [
        {"providers": []},
        [1],
        [{"id": "openai"}],
        provider({"id": "m"}),
        provider(model({"input_mtok": -1})),
        provider(model({"input_mtok": "free"})),
        provider(model({"input_mtok": True})),
        provider(model({"input_mtok": float("nan")})),
        provider(model({"input_mtok": float("inf")})),
        provider(model({"input_mtok": {"base": 1}})),
        provider(model(1)),
        provider(model({"input_mtok": 1}, match={"like": "m"})),
        provider(model([{"constraint": {"start_date": "soon"}, "prices": {"input_mtok": 1}}])),
        provider(model({"input_mtok": 1}, variants=[{"prices": {}}])),
        provider(model({"input_mtok": 1}, match={"regex": "(", "x": 1})),
    ],
)
def test_another_shape_is_an_error(data):
    with pytest.raises(ConfigurationError):
        lay_over_book(shipped_book(), data, TODAY)


SHAPES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "match", "prices", "models", "input_mtok", "base", "tiers", "equals"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=15,
)


@given(SHAPES)
def test_nothing_that_is_read_breaks_the_reader(data):
    content = json.dumps(data if isinstance(data, dict) else [{"id": "openai", "models": [data]}]).encode()
    try:
        book, _ = read_update(content, SMALL, TODAY)
    except ConfigurationError:
        return
    check_book(book.data)


def small(**rates):
    period = {"rates": {"input": "2", "output": "10", **rates}, "source": 0, "checked_on": "2026-11-01"}
    flex = {"if": {"service_tier": "flex"}, "rates": {"input": "1", "output": "5"}}
    data = {
        "format": 1,
        "as_of": "2026-11-01",
        "sources": ["somebody"],
        "models": [
            {"provider": "openai", "id": "m", "aliases": ["n"], "periods": [{**period, "when": [flex]}]},
            {"provider": "openai", "id": "c", "corrected": True, "periods": [period]},
        ],
    }
    return PriceBook.load(written(check_book(data)))


SMALL = small()


def updated(book, *models):
    new, kept = read_update(json.dumps(provider(*models)).encode(), book, TODAY)
    return new, kept


def test_the_same_prices_change_nothing_but_the_day():
    new, kept = updated(SMALL, model({"input_mtok": 2, "output_mtok": 10}))
    assert list(changes(SMALL, new, TODAY)) == []
    assert new.as_of == TODAY
    assert kept == []
    assert new.rates("openai", "n", {"service_tier": "flex"}) == SMALL.rates("openai", "n", {"service_tier": "flex"})


def test_a_new_price_begins_today_and_the_past_stays():
    book = small(image_input="2", cache_read="0.2", cache_write_12h="5", residency="1.1", web_search="10")
    new, _ = updated(book, model({"input_mtok": 3, "output_mtok": 12, "cache_read_mtok": 0.3}))
    after, before = new.rates("openai", "m", {})
    assert before.rates == book.rates("openai", "m", {})[0].rates
    assert after.start == TODAY.toordinal() - date(1970, 1, 1).toordinal()
    # Images cost what text costs; factors and fees stay; a longer cache moved with the input, nobody says how far.
    assert {unit: str(rate) for unit, rate in after.rates.items()} == {
        "input": "3", "output": "12", "cache_read": "0.3", "image_input": "3", "residency": "1.1", "web_search": "10",
    }  # fmt: skip
    # What the old flex price was is known, what the new one is nobody said.
    assert [each.rates != {} for each in new.rates("openai", "m", {"service_tier": "flex"})] == [False, True]


def test_a_price_that_is_announced_waits_for_its_day():
    dated = [
        {"prices": {"input_mtok": 2, "output_mtok": 10}},
        {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 4, "output_mtok": 20}},
    ]
    new, _ = updated(SMALL, model(dated))
    assert list(changes(SMALL, new, TODAY)) == []
    found = list(changes(SMALL, new, date(2027, 1, 1)))
    assert [(each.unit, each.before, each.after) for each in found if not each.when] == [
        ("input", 2, 4),
        ("output", 10, 20),
    ]
    again, _ = updated(new, model({"input_mtok": 2, "output_mtok": 10}))
    # Announced no more.
    assert list(changes(SMALL, again, date(2027, 1, 1))) == []


def test_a_correction_is_kept_and_said():
    new, kept = updated(SMALL, model({"input_mtok": 9, "output_mtok": 10}, name="c"))
    assert kept == ["openai/c"]
    assert new.rates("openai", "c", {}) == SMALL.rates("openai", "c", {})


def test_a_new_model_is_added_with_its_names():
    new, _ = updated(
        SMALL, model({"input_mtok": 1}, name="x", match={"or": [{"equals": "x"}, {"equals": "y"}, {"equals": "n"}]})
    )
    assert new.rates("openai", "y", {}) == new.rates("openai", "x", {})
    assert new.rates("openai", "n", {}) == SMALL.rates("openai", "m", {})
    (found,) = new.find("openai", "x")
    assert found.rows[0].source.startswith("genai-prices")
    assert found.rows[0].checked_on == TODAY

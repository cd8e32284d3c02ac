"""The tool that writes the price book: its lists, its readers, its comparison. The packages are not needed here."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
import tomllib
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from aistrale.cost.book.price_book import shipped_book
from aistrale.cost.book.rows import UNITS
from aistrale.cost.book.update import packed

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
OTHERS = {"litellm", "model-prices", "metergraph", "occ"}
MODULES = ("price_sources", "price_periods", "price_compare", "price_build")


@pytest.fixture(scope="module")
def tools():
    sys.path.insert(0, str(TOOLS))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(TOOLS))
        for name in MODULES:
            sys.modules.pop(name, None)


def listed(name):
    return tomllib.loads((TOOLS / name).read_text(encoding="utf-8"))


def test_every_waiver_says_who_is_right_and_why():
    names = {(model.provider, name) for model in shipped_book().models() for name in (model.id, *model.aliases)}
    waivers = listed("price_waivers.toml")["waiver"]
    assert len(waivers) > 10
    for waiver in waivers:
        assert set(waiver) == {"provider", "models", "sources", "cells", "right", "why"}
        assert waiver["right"] in {"ours", "unknown"}
        assert len(waiver["why"]) > 20
        assert set(waiver["sources"]) <= OTHERS
        for pattern in waiver["models"]:
            known = [name for provider, name in names if provider == waiver["provider"] and fnmatchcase(name, pattern)]
            assert known, pattern


def test_every_override_has_a_reason():
    overrides = listed("price_overrides.toml")
    book = shipped_book()
    for rule in [*overrides["model"], *overrides["set"], *overrides["history"]]:
        assert len(rule["why"]) > 5, rule
    for rule in overrides["model"]:
        (found,) = book.find(rule["provider"], rule["id"])
        assert found.rows[0].source == rule["source"]
    for rule in overrides["moving"]:
        days = [day for day, _ in rule["windows"]]
        assert days == sorted(days)
        assert all(book.find(rule["provider"], name) for _, name in rule["windows"])
    for rule in [*overrides["model"], *overrides["set"]]:
        tables = [rule.get("rates", {}), *(period["rates"] for period in rule.get("periods", ()))]
        assert all(table.keys() <= UNITS for table in tables)


def test_the_shipped_file_was_written_by_the_tool_as_it_is():
    file = ROOT / "aistrale" / "cost" / "book" / "prices.json.gz"
    assert file.read_bytes() == packed(shipped_book())
    assert file.read_bytes()[4:8] == b"\0\0\0\0", "the time of the run is in it"
    data = json.loads(gzip.decompress(file.read_bytes()))
    assert {source.split(" ")[0] for source in data["sources"]} >= OTHERS | {"genai-prices"}
    order = [(model["provider"], model["id"].lower()) for model in data["models"]]
    assert [id_ for _, id_ in order if _ == "openai"] == sorted(id_ for _, id_ in order if _ == "openai")


def test_current_prices_of_text_agree_with_two_other_sources_for_most_models():
    agreed = {"openai": 0, "anthropic": 0, "gemini": 0}
    for model in shipped_book().models():
        current = [row for row in model.rows if not row.when and (row.end is None or row.end >= shipped_book().as_of)]
        if model.provider in agreed and current and len(current[0].agree) >= 2:
            agreed[model.provider] += 1
    assert agreed["openai"] > 60
    assert agreed["anthropic"] >= 20
    assert agreed["gemini"] > 20


def test_an_entry_of_litellm(tools):
    sources = tools["price_sources"]
    entry = {
        "input_cost_per_token": Decimal("2e-06"),
        "output_cost_per_token": Decimal("1e-05"),
        "input_cost_per_token_above_272k_tokens": Decimal("4e-06"),
        "input_cost_per_token_batches": Decimal("1e-06"),
        "input_cost_per_token_above_272k_tokens_flex": Decimal("2e-06"),
        "cache_creation_input_token_cost_above_1hr": Decimal("4e-06"),
        "search_context_cost_per_query": {"search_context_size_medium": Decimal("0.01")},
        "regional_processing_uplift_multiplier_eu": Decimal("1.1"),
        "regional_processing_uplift_multiplier_us": Decimal("1.1"),
        "provider_specific_entry": {"us": Decimal("1.1")},
        "output_cost_per_image": Decimal("0.1"),
        "mode": "chat",
    }
    found = sources.litellm_prices("anthropic", entry)
    assert found.lanes[()] == {
        "input": 2, "output": 10, "cache_write_1h": 4, "web_search": 10, "geo_us": Decimal("1.1"),
        "residency": Decimal("1.1"),
    }  # fmt: skip
    assert found.lanes[sources.BATCH] == {"input": 1}
    assert found.tiers == {(): {272_000: {"input": 4}}, sources.FLEX: {272_000: {"input": 2}}}
    assert "geo_us" not in sources.litellm_prices("openai", entry).lanes[()]


def test_zeros_of_litellm_are_unknown(tools):
    prices = tools["price_sources"].litellm_prices
    assert prices("openai", {"input_cost_per_token": Decimal(0), "output_cost_per_token": Decimal(0)}).lanes == {}
    assert prices("openai", {"input_cost_per_token": Decimal("1e-6"), "output_cost_per_token": Decimal(0)}).lanes == {
        (): {"input": 1}
    }


def test_changes_of_model_prices(tools):
    def row(start, **rates):
        return {"start": start, "rates": {**rates, "source": "page"} if rates else None}

    rows = [
        row(None, input=2, output=4),
        row("2026-01-01T12:00:00Z", input=2, output=4, cache_read=1),
        row("2026-02-01", input=1, output=4),
    ]
    data = {"prices": {"openai": {"m": {"standard": rows}}, "anthropic": {}, "google": {}}}
    sources = tools["price_sources"]
    assert list(sources.model_prices_changes(data)) == [
        ("openai", "m", "2026-02-01", {"input": 2}, {"input": 1}, "page")
    ]
    now = sources.model_prices_models(data, date(2026, 1, 15))["openai", "m"]
    assert now.lanes == {(): {"input": 2, "output": 4, "cache_read": 1}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.125", "0.13", True),
        ("0.125", "0.12", True),
        ("0.13", "0.125", True),
        ("0.0375", "0.037", False),
        ("0.02", "0.015", False),
        ("2", "2.1", False),
        ("10", "12", False),
    ],
)
def test_rounded_figures(tools, one, other, same):
    assert tools["price_compare"].is_rounded(Decimal(one), Decimal(other)) is same


def test_the_comparison_finds_what_differs_and_waivers_judge_it(tools):
    compare, sources = tools["price_compare"], tools["price_sources"]
    prices = sources.Prices(
        lanes={(): {"input": Decimal(2), "output": Decimal(11)}, sources.BATCH: {"input": Decimal(1)}},
        tiers={(): {272_000: {"input": Decimal(4), "output": Decimal(15)}}},
    )
    models = {("openai", "gpt-6-sol"): prices, ("openai", "gpt-99"): prices}
    every = list(compare.cells(shipped_book(), "litellm", models, date(2026, 11, 27)))
    assert {(each.column, each.equal) for each in every} == {
        ("input", True), ("output", False), ("batch input", True), ("input above 272000", True), ("output above 272000", True),
    }  # fmt: skip
    waiver = {
        "provider": "openai",
        "models": ["gpt-6-*"],
        "sources": ["litellm"],
        "cells": ["output"],
        "right": "ours",
        "why": "x",
    }
    stale = {**waiver, "cells": ["input"]}
    left, _ = compare.judged(every, [])
    assert [each.column for each in left] == ["output"]
    assert compare.judged(every, [waiver, stale]) == ([], [stale])
    assert "| litellm | openai | 1 | 1/1 | 0/1 |" in compare.table(every)[2]


def test_a_source_without_tiers_differs_where_the_book_has_them(tools):
    compare, sources = tools["price_compare"], tools["price_sources"]
    models = {("openai", "gpt-6-sol"): sources.Prices(lanes={(): {"input": Decimal(2), "output": Decimal(10)}})}
    every = list(compare.cells(shipped_book(), "occ", models, date(2026, 11, 27)))
    assert {(each.column, each.equal) for each in every if "above" in each.column} == {
        ("input above 272000", False),
        ("output above 272000", False),
    }


def test_rates_of_media_are_written_down_where_they_are_those_of_text(tools):
    period = {
        "rates": {"input": "2", "output": "8", "image_output": "8", "audio_input": "7"},
        "above": [{"tokens": 9, "rates": {"input": "4"}}],
        "when": [{"if": {"processing": "batch"}, "rates": {"input": "1", "output": "4"}}],
    }
    same = tools["price_periods"].same_price
    same(period, "input", "image_input", wanted=True)
    same(period, "input", "video_input", wanted=False)
    same(period, "input", "audio_input", wanted=True)
    same(period, "output", "image_output", wanted=False)
    assert period["rates"] == {"input": "2", "output": "8", "image_output": "8", "audio_input": "7", "image_input": "2"}
    assert period["above"][0]["rates"] == {"input": "4", "image_input": "4"}
    assert period["when"][0]["rates"] == {"input": "1", "output": "4", "image_input": "1", "image_output": "4"}


def test_conditions_are_carried_on_in_proportion(tools):
    earlier = {
        "rates": {"input": "2", "output": "8"},
        "when": [{"if": {"service_tier": "flex"}, "rates": {"input": "1", "output": "4"}}],
    }
    later = {"rates": {"input": "4", "output": "20"}, "from": "2027-01-01"}
    tools["price_periods"].carry_on(earlier, later)
    assert later["when"] == [{"if": {"service_tier": "flex"}, "rates": {"input": "2", "output": "10"}}]


def test_what_halves_today_halved_before(tools):
    batch = {"if": {"processing": "batch"}, "rates": {"input": "1"}, "above": [{"tokens": 9, "rates": {"input": "2"}}]}
    other = {"if": {"service_tier": "priority"}, "rates": {"input": "3"}}
    later = {
        "rates": {"input": "2", "output": "8"},
        "above": [{"tokens": 9, "rates": {"input": "4"}}],
        "when": [batch, other],
    }
    earlier = {"rates": {"input": "5", "output": "8"}, "above": [{"tokens": 9, "rates": {"input": "10"}}]}
    tools["price_periods"].complete_past(earlier, later)
    halved = {"rates": {"input": "2.5"}, "above": [{"tokens": 9, "rates": {"input": "5"}}]}
    assert earlier["when"] == [{"if": {"processing": "batch"}, **halved}]
    same = {"rates": {"input": "2", "output": "8"}}
    tools["price_periods"].complete_past(same, later)
    assert same["when"] == [batch, other]


def test_periods_of_a_time(tools):
    periods = [{"rates": {"input": "1"}}, {"rates": {"input": "2"}, "from": "2026-06-01"}]
    clipped = tools["price_periods"].clipped
    assert clipped(periods, "2026-05-01", "2026-05-15") == [{"rates": {"input": "1"}, "from": "2026-05-01"}]
    assert [each["from"] for each in clipped(periods, "2026-05-01", None)] == ["2026-05-01", "2026-06-01"]
    assert [each["rates"]["input"] for each in clipped(periods, "2026-06-01", None)] == ["2"]
    assert clipped(periods, "", "2026-06-01") == [{"rates": {"input": "1"}}]


@pytest.mark.parametrize(
    ("provider", "cached"),
    # Groq's batches are no cheaper for what is cached.
    [("anthropic", "0.1"), ("groq", "1")],
)
def test_a_batch_costs_half_in_long_prompts_too(tools, provider, cached):
    long = {"tokens": 9, "rates": {"input": "4", "cache_write_1h": "8"}}
    usual = {"rates": {"input": "2", "cache_read": "0.2", "cache_write_1h": "4", "web_search": "10"}, "above": [long]}
    listed = {**usual, "when": [{"if": {"processing": "batch"}, "rates": {"input": "1"}}]}
    model = {"provider": provider, "periods": [usual, listed]}
    tools["price_periods"].halve_batches(model)
    for period in model["periods"]:
        (batch,) = period["when"]
        assert batch == {
            "if": {"processing": "batch"},
            "rates": {"input": "1", "cache_read": cached, "cache_write_1h": "2"},
            "above": [{"tokens": 9, "rates": {"input": "2", "cache_write_1h": "4"}}],
        }
    other = {"provider": "openai", "periods": [{"rates": {"input": "2"}}]}
    tools["price_periods"].halve_batches(other)
    assert other["periods"] == [{"rates": {"input": "2"}}]

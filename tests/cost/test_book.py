"""The price book: what it says of models, days and conditions, and what it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from aistrale.cost.book.check import check_book
from aistrale.cost.book.price_book import PriceBook, price_book, shipped_book, stored_path
from aistrale.cost.book.rows import EPOCH, MONEY, SEARCH_COUNTS, UNITS
from aistrale.cost.book.update import packed, store
from aistrale.errors import ConfigurationError
from aistrale.providers import PROVIDERS
from aistrale.providers.catalog import catalog

FILE = Path(__file__).resolve().parents[2] / "aistrale" / "cost" / "book" / "prices.json.gz"


def on(provider, model, day="2026-11-27", **conditions):
    """The rates of a day."""
    found = price_book().rates(provider, model, conditions)
    assert not isinstance(found, str), found
    number = date.fromisoformat(day).toordinal() - EPOCH
    return next(each for each in found if each.start <= number)


def texts(table, *units):
    return [None if table.get(unit) is None else str(table[unit]) for unit in units]


@pytest.mark.parametrize(
    ("provider", "model", "day", "expected"),
    [
        # Each with the day before and the day of a change.
        ("openai", "gpt-5.6-sol", "2026-08-20", ["5", "30", "0.5"]),
        ("openai", "gpt-5.6-sol", "2026-08-21", ["4", "20", "0.4"]),
        ("openai", "gpt-5.6-luna", "2026-07-29", ["1", "6", "0.1"]),
        ("openai", "gpt-5.6-luna", "2026-07-30", ["0.2", "1.2", "0.02"]),
        ("openai", "o3", "2025-06-09", ["10", "40", "2.5"]),
        ("openai", "o3", "2025-06-10", ["2", "8", "0.5"]),
        ("openai", "o1-mini", "2025-01-30", ["3", "12", "1.5"]),
        ("openai", "o1-mini", "2025-01-31", ["1.1", "4.4", "0.55"]),
        ("openai", "gpt-4", "2025-01-01", ["30", "60", None]),
        ("anthropic", "claude-sonnet-5-5", "2026-10-06", ["2", "10", "0.2"]),
        ("anthropic", "claude-sonnet-5-5", "2026-10-07", ["2", "10", "0.1"]),
        ("anthropic", "claude-haiku-4-5", "2025-10-01", ["1", "5", "0.1"]),
        ("gemini", "gemini-2.5-pro", "2026-04-19", ["1.25", "10", "0.31"]),
        ("gemini", "gemini-2.5-pro", "2026-04-20", ["1.25", "10", "0.125"]),
        ("gemini", "gemini-3.6-flash", "2026-08-12", ["1.5", "7.5", "0.15"]),
        ("gemini", "gemini-3.6-flash", "2026-08-13", ["0.75", "3.75", "0.075"]),
        ("gemini", "gemini-3.5-flash", "2026-10-07", ["1.5", "9", "0.15"]),
        ("gemini", "gemini-3.5-flash", "2026-10-08", ["0.75", "3.75", "0.075"]),
        ("gemini", "gemini-flash-latest", "2026-05-18", ["0.5", "3", "0.05"]),
        ("gemini", "gemini-flash-latest", "2026-05-19", ["1.5", "9", "0.15"]),
        ("gemini", "gemini-flash-latest", "2026-11-27", ["0.75", "3.75", "0.075"]),
        # To come.
        ("gemini", "gemini-4-argon", "2026-11-30", ["2", "10", "0.1"]),
        ("gemini", "gemini-4-argon", "2026-12-01", ["4", "20", "0.2"]),
        ("gemini", "gemini-3.8-flash", "2026-12-31", ["0.75", "3.75", "0.075"]),
        ("gemini", "gemini-3.8-flash", "2027-01-01", ["1.5", "7.5", "0.15"]),
        # genai-prices takes it for gemini-1.5-flash.
        ("gemini", "gemini-1.5-flash-8b", "2025-01-01", ["0.0375", "0.15", "0.01"]),
    ],
)
def test_prices_have_their_days(provider, model, day, expected):
    assert texts(on(provider, model, day).rates, "input", "output", "cache_read") == expected


def test_what_is_corrected_in_the_sources():
    # The tier ended with the beta of long prompts; its last day is the one before.
    assert [tier.above for tier in on("anthropic", "claude-sonnet-4-5", "2026-04-29").tiers] == [200_000]
    assert on("anthropic", "claude-sonnet-4-5", "2026-04-30").tiers == ()
    assert not on("anthropic", "claude-sonnet-4-5", processing="batch").tiers
    for name in ("omni-moderation-latest", "moderation"):
        assert on("openai", name).rates["input"] == 0
    assert on("groq", "whisper-large-v3-turbo").rates == {
        "audio_hours": Decimal("0.04"),
        "audio_min_seconds": Decimal(10),
    }


@pytest.mark.parametrize(
    ("provider", "model", "conditions", "expected"),
    [
        ("openai", "gpt-6-sol", {"service_tier": "flex"}, ["1", "5", "0.1"]),
        ("openai", "gpt-6-sol", {"service_tier": "priority"}, ["4", "20", "0.4"]),
        ("openai", "gpt-6-sol", {"service_tier": "fast"}, ["4", "20", "0.4"]),
        ("openai", "gpt-6-sol", {"processing": "batch"}, ["1", "5", "0.1"]),
        ("openai", "gpt-5.4", {"service_tier": "flex"}, ["1.25", "7.5", "0.13"]),
        # A batch leaves its cached rate as it is.
        ("openai", "gpt-4o-mini", {"processing": "batch"}, ["0.075", "0.3", "0.075"]),
        ("anthropic", "claude-haiku-4-5", {"processing": "batch"}, ["0.5", "2.5", "0.05"]),
        ("anthropic", "claude-opus-4-8", {"speed": "fast"}, ["10", "50", "1"]),
        ("gemini", "gemini-2.5-flash", {"service_tier": "flex"}, ["0.15", "1.25", "0.03"]),
        ("gemini", "gemini-3-flash-preview", {"service_tier": "flex"}, ["0.25", "1.5", "0.05"]),
        ("groq", "openai/gpt-oss-20b", {"processing": "batch"}, ["0.0375", "0.15", "0.0375"]),
        ("groq", "openai/gpt-oss-20b", {"service_tier": "flex"}, ["0.075", "0.3", "0.0375"]),
    ],
)
def test_conditions_choose_rates(provider, model, conditions, expected):
    assert texts(on(provider, model, **conditions).rates, "input", "output", "cache_read") == expected


def test_a_condition_that_is_to_come_moves_with_the_price():
    assert texts(on("gemini", "gemini-3.8-flash", "2026-12-31", service_tier="flex").rates, "input", "output") == [
        "0.375",
        "1.875",
    ]
    assert texts(on("gemini", "gemini-3.8-flash", "2027-01-01", service_tier="flex").rates, "input", "output") == [
        "0.75",
        "3.75",
    ]
    assert texts(on("gemini", "gemini-3.8-flash", "2027-01-01", processing="batch").rates, "input", "output") == [
        "0.75",
        "3.75",
    ]


def test_tiers_are_whole_tables_the_longest_first():
    rates = on("openai", "gpt-6-sol")
    (tier,) = rates.tiers
    assert tier.above == 272_000
    assert texts(tier.rates, "input", "output", "web_search", "residency") == ["4", "15", "10", "1.1"]
    assert rates.rates.keys() == tier.rates.keys()
    batch = on("openai", "gpt-5.5-pro", processing="batch")
    assert texts(batch.tiers[0].rates, "input", "output") == ["30", "135"]
    assert texts(on("anthropic", "claude-haiku-5-5").tiers[0].rates, "input", "cache_read") == ["0.5", "0.05"]


def test_fees_factors_and_how_searches_are_counted():
    assert texts(on("anthropic", "claude-sonnet-4-6").rates, "geo_us", "web_search", "cache_write_1h") == [
        "1.1",
        "10",
        "6",
    ]
    assert on("anthropic", "claude-sonnet-4-5").rates.get("geo_us") is None
    assert on("openai", "gpt-6-sol").web_search_per == "call"
    assert (on("gemini", "gemini-2.5-flash").rates["web_search"], on("gemini", "gemini-2.5-flash").web_search_per) == (
        35,
        "prompt",
    )
    assert (
        on("gemini", "gemini-3.5-flash-lite").rates["web_search"],
        on("gemini", "gemini-3.5-flash-lite").web_search_per,
    ) == (14, "query")
    assert on("gemini", "gemini-3.5-flash", "2026-11-27").web_search_per == "query"
    assert texts(on("openai", "gpt-6-sol").rates, "cache_write_12h", "file_search") == ["5", "2.5"]


@pytest.mark.parametrize(
    ("provider", "model", "other"),
    [
        ("openai", "gpt-5.6", "gpt-5.6-sol"),
        ("openai", "GPT-5-Mini", "gpt-5-mini"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "gpt-5.6-sol-2027-01-31", "gpt-5.6-sol"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme:x:1", "ft:gpt-4o-mini-2024-07-18"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview"),
        ("huggingface", "meta-llama/llama-3.3-70b-instruct:together", "meta-llama/Llama-3.3-70B-Instruct:together"),
        ("huggingface", "hf/openai/gpt-oss-120b:groq", "openai/gpt-oss-120b:groq"),
        ("OpenAI", " gpt-4o ", "gpt-4o"),
        ("openai", "gpt-3.5-turbo-instruct:20230824-v2", "gpt-3.5-turbo-instruct"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro@default", "gemini-2.5-pro"),
        ("google", "gemini/gemini-2.5-pro", "gemini-2.5-pro"),
        ("groq", "groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("anthropic", "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic", "claude-4.5-sonnet-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-3-7", "claude-3-7-sonnet-latest"),
        ("anthropic", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
    ],
)
def test_names_of_the_same_model(provider, model, other):
    own = {"google": "gemini", "vertex_ai": "gemini", "OpenAI": "openai"}.get(provider, provider)
    assert price_book().rates(provider, model, {}) == price_book().rates(own, other, {})
    assert not isinstance(price_book().rates(provider, model, {}), str)


@pytest.mark.parametrize(
    ("provider", "model", "conditions", "reason"),
    [
        ("openai", "gpt-99-nova", {}, "the price book has no openai/gpt-99-nova"),
        ("nobody", "gpt-4o", {}, "the price book has no nobody/gpt-4o"),
        ("openai", "gpt-4o", {"service_tier": "warp"}, "no price of openai/gpt-4o with service_tier=warp is known"),
        ("huggingface", "deepseek-ai/DeepSeek-R1", {}, "which backend served"),
        ("huggingface", "deepseek-ai/DeepSeek-R1:nobody", {}, "at the backend nobody"),
        ("huggingface", "deepseek-ai/DeepSeek-R1:fastest", {}, "name it as deepseek-ai/DeepSeek-R1:BACKEND"),
        # Another seller's names; its prices are its own.
        ("anthropic", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}, "the price book has no"),
        ("vertex", "claude-opus-9", {}, "the price book has no gemini/claude-opus-9"),
        ("huggingface", "prism-ml/Ternary-Bonsai-27B-gguf:together", {}, "no price of"),
    ],
)
def test_what_is_unknown_has_a_reason(provider, model, conditions, reason):
    assert reason in price_book().rates(provider, model, conditions)


@pytest.mark.parametrize("tier", ["default", "auto", "on_demand", "standard"])
def test_words_for_the_usual_price_choose_it(tier):
    assert price_book().rates("openai", "gpt-6-sol", {"service_tier": tier}) == price_book().rates(
        "openai", "gpt-6-sol", {}
    )


def test_the_backend_is_a_condition_too():
    book = price_book()
    named = book.rates("huggingface", "meta-llama/Llama-3.3-70B-Instruct:nebius", {})
    assert named == book.rates("huggingface", "meta-llama/Llama-3.3-70B-Instruct", {"inference_provider": "nebius"})
    assert texts(named[0].rates, "input", "output") == ["0.25", "0.75"]


def test_the_shipped_data_is_a_valid_book():
    data = check_book(json.loads(gzip.decompress(FILE.read_bytes())))
    assert FILE.stat().st_size < 30_000
    book = shipped_book()
    models = list(book.models())
    # All that genai-prices lists for the five providers, and what the others add.
    assert len(models) >= 476
    assert {model.provider for model in models} == set(PROVIDERS)
    assert data["as_of"] == book.as_of.isoformat()
    for model in models:
        for row in model.rows:
            assert row.checked_on <= book.as_of
            assert row.source
            assert row.rates.keys() <= UNITS
            assert all(amount.is_finite() and amount >= 0 for amount in row.rates.values())
            assert row.start is None or row.end is None or row.start <= row.end
            if not row.when:
                # A price of nothing is a documented one, of what is free of charge.
                free = any(amount == 0 for unit, amount in row.rates.items() if unit in MONEY)
                assert not free or model.id.startswith(("moderation", "gemma-")), model.id


def test_every_condition_of_every_model_can_be_asked():
    book = price_book()
    for model in book.models():
        for row in model.rows:
            conditions = {**row.when, **({"inference_provider": model.backend} if model.backend else {})}
            found = book.rates(model.provider, model.id, conditions)
            assert not isinstance(found, str)
            assert [each.start for each in found] == sorted((each.start for each in found), reverse=True)
            for each in found:
                assert each.web_search_per in SEARCH_COUNTS
                assert [tier.above for tier in each.tiers] == sorted((tier.above for tier in each.tiers), reverse=True)
                assert all(each.rates.keys() <= tier.rates.keys() for tier in each.tiers)


def test_media_that_the_catalog_knows_have_a_price():
    # Of those that are charged in tokens: a model that takes images must not leave a bill open.
    for facts in catalog():
        if facts.provider not in {"openai", "gemini"} or facts.kind != "chat":
            continue
        found = price_book().rates(facts.provider, facts.id, {})
        if not isinstance(found, str) and "input" in found[0].rates and "image" in (facts.input or ()):
            assert "image_input" in found[0].rates, facts.name


def test_the_history_of_a_model_is_readable():
    (model,) = price_book().find("openai", "gpt-5.6")
    usual = [row for row in model.rows if not row.when]
    assert [(row.start, row.end) for row in usual] == [(None, date(2026, 8, 20)), (date(2026, 8, 21), None)]
    assert usual[1].source.startswith("genai-prices")
    assert any(name.startswith("litellm") for name in usual[1].agree)
    assert {tuple(row.when.items()) for row in model.rows} >= {(), (("processing", "batch"),)}
    assert price_book().find("openai", "gpt-99") == []
    assert {each.backend for each in price_book().find("huggingface", "openai/gpt-oss-120b")} >= {"novita", "together"}
    assert [each.backend for each in price_book().find("huggingface", "openai/gpt-oss-120b:novita")] == ["novita"]
    assert {each.provider for each in price_book().models("google")} == {"gemini"}


def test_the_label_names_the_content():
    book = shipped_book()
    assert book.label == f"{book.as_of}+{book.digest}"
    assert len(book.digest) == 12
    assert shipped_book().digest == book.digest
    other = json.loads(gzip.decompress(FILE.read_bytes()))
    other["models"][0]["periods"][0]["rates"]["input"] = "123"
    assert PriceBook.load(json.dumps(other, separators=(",", ":")).encode()).digest != book.digest
    assert book.label in repr(book)


def test_files_are_the_same_for_the_same_content():
    book = shipped_book()
    assert packed(book) == FILE.read_bytes()
    assert PriceBook.load(packed(book)).digest == book.digest


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f\x8b",
        b"{}",
        b"[]",
        b"null",
        b'{"format": 2, "as_of": "2026-11-27", "sources": [], "models": []}',
        b'{"format": 1, "as_of": "yesterday", "sources": [], "models": []}',
        b'{"format": 1, "as_of": "2026-11-27", "sources": []}',
        b'{"format": 1, "as_of": "2026-11-27", "sources": [], "models": [1]}',
        b"[" * 100_000,
        FILE.read_bytes()[:-20],
        FILE.read_bytes()[:5000] + b"\0" + FILE.read_bytes()[5001:],
        gzip.compress(b"0" * 17_000_000),
    ],
)
def test_a_damaged_book_is_an_error_that_says_what_to_do(content):
    with pytest.raises(ConfigurationError) as caught:
        PriceBook.load(content)
    assert "price book" in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.gz"):
        PriceBook.load(tmp_path / "nothing.gz")


FRESH = """
import sys
from aistrale.cost.book.price_book import price_book
print(price_book().as_of)
"""


def fresh(**environ):
    """What a process of its own takes for the book."""
    import os

    env = {**os.environ, "PYTHONPATH": str(FILE.parents[3]), **environ}
    return subprocess.run([sys.executable, "-c", FRESH], env=env, check=True, capture_output=True, text=True)


def test_a_stored_book_is_taken_unless_the_shipped_one_is_newer(tmp_path, monkeypatch):
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path))
    shipped = shipped_book()
    for day, taken in (("2099-01-01", "2099-01-01"), ("2020-01-01", shipped.as_of.isoformat())):
        store(PriceBook({**shipped.data, "as_of": day}, shipped.digest))
        assert stored_path().is_file()
        assert fresh(AISTRALE_HOME=str(tmp_path)).stdout.strip() == taken


def test_a_damaged_stored_book_is_said_and_left_alone(tmp_path):
    file = tmp_path / "prices.json.gz"
    file.write_bytes(b"\x1f\x8bnothing")
    run = fresh(AISTRALE_HOME=str(tmp_path))
    assert run.stdout.strip() == shipped_book().as_of.isoformat()
    assert "--undo" in run.stderr
    assert file.read_bytes() == b"\x1f\x8bnothing"


def test_nothing_is_read_at_import():
    code = (
        "import aistrale, aistrale.cost, aistrale.cost.book.price_book as book\n"
        "assert not book._books\n"
        "import sys\n"
        "assert 'platformdirs' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FILE.parents[3])

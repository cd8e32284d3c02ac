"""The tool that writes the catalog: reading what the packages say. The packages themselves are not needed here."""

from __future__ import annotations

import ast
import importlib.util
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources():
    return load("catalog_sources")


@pytest.fixture(scope="module")
def tool(sources):
    sys.modules["catalog_sources"] = sources
    try:
        return load("refresh_catalog")
    finally:
        del sys.modules["catalog_sources"]


def start(day):
    return SimpleNamespace(start_date=day)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.0399999999999998", "1.04"),
        ("0.075", "0.075"),
        ("30", "30"),
        ("1E+2", "100"),
        ("0", "0"),
        ("1E-8", "0.00000001"),
    ],
)
def test_numbers_are_plain_decimals(sources, value, text):
    assert sources.number(Decimal(value)) == text


def test_literals_of_an_sdk(sources):
    tree = ast.parse('Model = Union[str, Literal["a", "b"]]\nother = ["c"]')
    assert list(sources.literals(tree)) == ["a", "b"]


def test_periods_and_variants_of_genai_prices(sources):
    tier = SimpleNamespace(start=1000, price=Decimal(4))
    new = SimpleNamespace(input_mtok=SimpleNamespace(base=Decimal(2), tiers=[tier]), output_mtok=Decimal(10))
    old = SimpleNamespace(input_mtok=Decimal(3), output_mtok=Decimal(15))
    info = SimpleNamespace(
        prices=[
            SimpleNamespace(constraint=None, prices=old),
            SimpleNamespace(constraint=start(date(2026, 6, 1)), prices=new),
        ],
        price_variants=[
            SimpleNamespace(
                when={"processing": "batch"},
                prices=SimpleNamespace(input_mtok=Decimal(1)),
                constraint=start(date(2026, 9, 1)),
            ),
        ],
    )
    past, now = sources.genai_rates(info, date(2026, 11, 1))
    assert past == {"rates": {"input": "3", "output": "15"}}
    assert now == {
        "rates": {"input": "2", "output": "10"},
        "above": [{"tokens": 1000, "rates": {"input": "4"}}],
        "from": "2026-06-01",
        "when": [{"if": {"processing": "batch"}, "rates": {"input": "1"}}],
    }


def test_rates_of_litellm(sources):
    entry = {
        "input_cost_per_token": Decimal("2e-06"),
        "output_cost_per_token": Decimal("1e-05"),
        "input_cost_per_token_above_272k_tokens": Decimal("4e-06"),
        "input_cost_per_token_batches": Decimal("1e-06"),
        "search_context_cost_per_query": {"search_context_size_medium": Decimal("0.01")},
        "mode": "chat",
    }
    assert sources.litellm_rates(entry) == [
        {
            "rates": {"input": "2", "output": "10", "web_search": "10"},
            "above": [{"tokens": 272_000, "rates": {"input": "4"}}],
            "when": [{"if": {"processing": "batch"}, "rates": {"input": "1"}}],
        }
    ]


def test_a_price_of_zero_counts_as_unknown(sources):
    assert sources.litellm_rates({"input_cost_per_token": Decimal(0), "output_cost_per_token": Decimal(0)}) == []
    assert sources.litellm_rates({}) == []


def test_only_gaps_are_filled_and_only_today(sources):
    entry = {
        "input_cost_per_token": Decimal("9e-06"),
        "input_cost_per_audio_token": Decimal("3e-05"),
        "input_cost_per_token_flex": Decimal("1e-06"),
    }
    now = [{"rates": {"input": "2"}}]
    sources.fill_gaps(now, entry, date(2026, 11, 1))
    assert now == [
        {
            "rates": {"input": "2", "audio_input": "30"},
            "when": [{"if": {"service_tier": "flex"}, "rates": {"input": "1"}}],
        }
    ]
    later = [{"rates": {"input": "2"}, "from": "2027-01-01"}]
    sources.fill_gaps(later, entry, date(2026, 11, 1))
    assert "when" not in later[0]


@pytest.mark.parametrize(
    ("provider", "name", "entry", "expected"),
    [
        (
            "openai",
            "gpt-5.1",
            {"supports_reasoning": True, "supports_none_reasoning_effort": True},
            {"reasoning": "effort", "efforts": ["none", "low", "medium", "high"], "sampling": True},
        ),
        ("openai", "gpt-5-chat-latest", {"supports_reasoning": True}, {"reasoning": "none"}),
        (
            "anthropic",
            "claude-x",
            {"supports_adaptive_thinking": True, "thinking_always_on": True, "supports_max_reasoning_effort": True},
            {"reasoning": "adaptive", "efforts": ["low", "medium", "high", "max"], "structured": "tool"},
        ),
        ("gemini", "gemini-2.5-pro", {"supports_reasoning": True}, {"reasoning": "budget", "stop": True}),
        (
            "gemini",
            "gemini-9-x",
            {"supports_reasoning": True, "supports_response_schema": True},
            {"reasoning": "level", "efforts": ["minimal", "low", "medium", "high"], "structured": "schema"},
        ),
    ],
)
def test_abilities(sources, provider, name, entry, expected):
    found = sources.abilities(provider, name, {"mode": "chat", **entry})
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "provider", "kind"),
    [
        ("gpt-6-sol", "openai", "chat"),
        ("text-embedding-3-small", "openai", "embedding"),
        ("gpt-3.5-turbo-instruct", "openai", "completion"),
        ("gpt-realtime-2", "openai", "realtime"),
        ("whisper-large-v3", "groq", "audio"),
        ("gpt-image-2", "openai", "image"),
        ("gemini-3-pro-image", "gemini", "chat"),
        ("meta-llama/llama-4-scout-17b-16e-instruct", "groq", "chat"),
    ],
)
def test_kinds(sources, name, provider, kind):
    assert sources.kind_of(name, provider) == kind


def test_a_snapshot_with_the_same_facts_becomes_an_alias(tool):
    def row(name, price):
        return {"id": name, "kind": "chat", "rates": price, "provider": "openai"}

    rows = [row("m", 1), row("m-2026-01-02", 1), row("m-2025-01-02", 2), row("n-2026-01-02", 1)]
    assert [each["id"] for each in tool.folded(rows)] == ["m", "m-2025-01-02", "n-2026-01-02"]
    assert rows[0]["aliases"] == ["m-2026-01-02"]


def test_sound_and_images_at_the_price_of_text_are_written_down(tool):
    made = {
        "provider": "gemini",
        "input": ["text", "image", "audio"],
        "rates": [{"rates": {"input": "2", "audio_input": "7"}, "above": [{"tokens": 9, "rates": {"input": "4"}}]}],
    }
    tool.single_price(made)
    assert made["rates"][0]["rates"] == {"input": "2", "audio_input": "7", "image_input": "2"}
    assert made["rates"][0]["above"][0]["rates"] == {"input": "4", "image_input": "4"}

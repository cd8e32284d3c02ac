"""The tool that writes the catalog: reading what the packages say. The packages themselves are not needed here."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

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


def test_literals_of_an_sdk(sources):
    tree = ast.parse('Model = Union[str, Literal["a", "b"]]\nother = ["c"]')
    assert list(sources.literals(tree)) == ["a", "b"]


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
        return {"id": name, "kind": "chat", "prices": price, "provider": "openai"}

    rows = [row("m", 1), row("m-2026-01-02", 1), row("m-2025-01-02", 2), row("n-2026-01-02", 1)]
    assert [each["id"] for each in tool.folded(rows)] == ["m", "m-2025-01-02", "n-2026-01-02"]
    assert rows[0]["aliases"] == ["m-2026-01-02"]

"""What models take: from the catalog where it knows, by the family's name where it does not."""

from __future__ import annotations

from datetime import date

import pytest

from aistrale.dialects.base import Profile
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.base import plain_profile, with_facts
from aistrale.providers.catalog import ModelFacts, catalog, lookup


def profile(name, model, version=None):
    return get_provider(name).choose_version({}, version).profile(model, lookup(name, model))


def guessed(name, model):
    return get_provider(name).profile(model, None)


@pytest.mark.parametrize(
    "model",
    [
        "o1",
        "o4-mini",
        "gpt-5",
        "gpt-5-mini-2025-08-07",
        "gpt-9-nova",
        "gpt-10.2-x",
        "codex-mini-latest",
        "ft:o4-mini:me",
    ],
)
def test_reasoning_models_of_openai_by_name(model):
    found = guessed("openai", model)
    assert found.thinking == "effort"
    assert found.sampling is False
    assert {"logit_bias", "presence_penalty", "frequency_penalty"} <= found.unsupported
    assert found.max_tokens_field == "max_completion_tokens"


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-nano", "gpt-3.5-turbo", "chatgpt-4o-latest", "gpt-5-chat-latest", "ft:gpt-4o:me"]
)
def test_other_models_of_openai_by_name(model):
    found = guessed("openai", model)
    assert found.thinking == "none"
    assert found.sampling is True
    assert found.stop == 4


@pytest.mark.parametrize(
    ("model", "stop"), [("o3-mini", 4), ("o3", 0), ("o4-mini", 0), ("gpt-5", 0), ("gpt-4o", 4), ("gpt-6-sol", 0)]
)
def test_stop_sequences_of_openai(model, stop):
    assert guessed("openai", model).stop == stop
    assert profile("openai", model).stop == stop


@pytest.mark.parametrize(
    ("model", "efforts", "sampling"),
    [
        ("gpt-5-mini", ("minimal", "low", "medium", "high"), False),
        ("gpt-5-pro", ("high",), False),
        ("gpt-5.1", ("none", "low", "medium", "high"), True),
        ("gpt-5.4-nano", ("none", "low", "medium", "high", "xhigh"), True),
        ("gpt-6-astra", ("low", "medium", "high", "xhigh", "max"), False),
        ("o3-mini", ("low", "medium", "high"), False),
    ],
)
def test_efforts_of_openai(model, efforts, sampling):
    found = profile("openai", model)
    assert found.efforts == efforts
    assert found.sampling is sampling


def test_sound_only_to_models_that_hear():
    assert "audio" in profile("openai", "gpt-audio").media
    assert "audio" in guessed("openai", "gpt-audio-3").media
    assert "audio" not in profile("openai", "gpt-6-sol").media
    assert profile("openai", "gpt-6-sol").media == {"image", "document"}
    assert profile("openai", "o3-mini").media == frozenset()


@pytest.mark.parametrize(
    ("model", "thinking", "structured", "max_output"),
    [
        ("claude-sonnet-5-5", "adaptive", "schema", 128_000),
        ("claude-opus-4-8", "adaptive", "schema", 128_000),
        ("claude-sonnet-4-6", "adaptive", "schema", 128_000),
        ("claude-opus-4-5", "budget", "schema", 64_000),
        ("claude-haiku-4-5-20251001", "budget", "schema", 64_000),
        ("claude-sonnet-4-20250514", "budget", "tool", 64_000),
        ("claude-3-7-sonnet-20250219", "budget", "tool", 64_000),
        ("claude-3-5-haiku-20241022", "none", "tool", 8192),
        ("claude-3-haiku-20240307", "none", "tool", 4096),
    ],
)
def test_generations_of_claude(model, thinking, structured, max_output):
    found = profile("anthropic", model)
    assert (found.thinking, found.structured, found.max_output) == (thinking, structured, max_output)
    assert found.max_tokens_field == "max_tokens"
    assert found.media == {"image", "document"}


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("claude-opus-6", "adaptive"),
        ("claude-saga-7-1", "adaptive"),
        ("claude-sonnet-4-7", "adaptive"),
        ("claude-sonnet-4-6", "adaptive"),
        ("claude-sonnet-4-6-20260101", "adaptive"),
        ("claude-opus-4-5-20251101", "budget"),
        ("claude-opus-4-20250514", "budget"),
        ("claude-sonnet-4", "budget"),
        ("claude-3-7-sonnet-latest", "budget"),
        ("claude-3-5-sonnet-20240620", "none"),
        ("claude-instant-1.2", "none"),
        ("claude-2.1", "none"),
    ],
)
def test_unknown_claudes_by_name(model, thinking):
    found = guessed("anthropic", model)
    assert found.thinking == thinking
    assert found.max_output is not None


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-9"])
def test_sampling_ended_with_the_version_of_october_2026(model):
    assert profile("anthropic", model).sampling is False
    assert "top_k" in profile("anthropic", model).unsupported
    assert profile("anthropic", "claude-haiku-4-5", "2023-06-01").sampling is True
    assert profile("anthropic", "claude-opus-4-8", "2023-06-01").sampling is False


@pytest.mark.parametrize(
    ("model", "can"), [("claude-opus-4-8", True), ("claude-opus-5-5", False), ("claude-fable-5-2", False)]
)
def test_claudes_that_always_think_do_not_take_none(model, can):
    assert ("none" in profile("anthropic", model).efforts) is can
    assert profile("anthropic", model).efforts[-1] == "max"


@pytest.mark.parametrize(
    ("model", "thinking", "efforts"),
    [
        ("gemini-3.8-flash", "level", ("low", "medium", "high")),
        ("gemini-3.5-flash-lite", "level", ("minimal", "low", "medium", "high")),
        ("gemini-3-pro-preview", "level", ("low", "high")),
        ("gemini-flash-latest", "level", ("minimal", "low", "medium", "high")),
        ("models/gemini-2.5-pro", "budget", ()),
        ("gemini-2.5-flash-preview-05-20", "budget", ()),
        ("gemini-2.0-flash-001", "none", ()),
    ],
)
def test_generations_of_gemini(model, thinking, efforts):
    found = profile("gemini", model)
    assert (found.thinking, found.efforts) == (thinking, efforts)
    assert found.stop == 5


@pytest.mark.parametrize(
    ("model", "thinking"),
    [("gemini-5-neon", "level"), ("gemini-10-x", "level"), ("gemini-2.5-x", "budget"), ("gemma-9", "none")],
)
def test_unknown_geminis_by_name(model, thinking):
    assert guessed("gemini", model).thinking == thinking


@pytest.mark.parametrize(
    ("model", "efforts", "structured", "media"),
    [
        ("openai/gpt-oss-120b", ("low", "medium", "high"), "schema", set()),
        ("qwen/qwen3-32b", ("none", "default"), "json", set()),
        ("meta-llama/llama-4-scout-17b-16e-instruct", (), "schema", {"image"}),
        ("llama-3.3-70b-versatile", (), "json", set()),
        ("somebody/new-model", (), "json", set()),
        ("openai/gpt-oss-999b", ("low", "medium", "high"), "schema", set()),
        ("meta-llama/llama-4-new", (), "schema", {"image"}),
    ],
)
def test_models_at_groq(model, efforts, structured, media):
    found = profile("groq", model)
    assert (found.efforts, found.structured, found.media) == (efforts, structured, media)
    assert found.thinking == ("effort" if efforts else "none")
    assert found.stream_usage is False
    assert "tools" in profile("groq", "groq/compound").unsupported


def test_models_behind_the_router():
    found = profile("huggingface", "meta-llama/Llama-3.3-70B-Instruct:novita")
    assert found.max_tokens_field == "max_tokens"
    assert found.done_optional
    assert found.media == frozenset()
    assert guessed("huggingface", "somebody/new").media == {"image"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_profile_names_its_provider_and_model(name):
    for facts in catalog().models(name, "chat"):
        found = get_provider(name).profile(facts.id, facts)
        assert (found.provider, found.model) == (name, facts.id)
        assert found.max_output is None or found.max_output > 0
    assert guessed(name, "nobody-knows").model == "nobody-knows"


def test_facts_win_over_assumptions_and_the_unknown_stays():
    assumed = Profile(model="m", stop=4, max_output=10, efforts=("low",), media=frozenset({"image"}))
    nothing = ModelFacts(provider="x", id="m", as_of=date(2026, 1, 1))
    assert with_facts(assumed, nothing) == assumed
    assert with_facts(assumed, None) is assumed
    facts = ModelFacts(
        provider="x",
        id="m",
        as_of=date(2026, 1, 1),
        max_output=99,
        sampling=False,
        stop=False,
        reasoning="none",
        structured="json",
        input=("text", "audio"),
        tools=False,
    )
    found = with_facts(assumed, facts)
    assert (found.max_output, found.sampling, found.stop) == (99, False, 0)
    assert (found.thinking, found.efforts, found.structured) == ("none", (), "json")
    assert found.media == {"audio"}
    assert {"tools", "tool_choice", "parallel_tool_calls"} <= found.unsupported
    one_at_a_time = ModelFacts(provider="x", id="m", as_of=date(2026, 1, 1), parallel_tools=False)
    assert with_facts(assumed, one_at_a_time).unsupported == {"parallel_tool_calls"}
    assert plain_profile("m", facts).max_output == 99

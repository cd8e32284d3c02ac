"""Tokens out of the raw answers of several vendors, as LlamaIndex's classes for them keep these."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("llama_index.core")

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from aistrale.integrations.llamaindex.answers import usage_counts
from aistrale.integrations.llamaindex.usage import read_usage, usage_of
from aistrale.integrations.reports import together
from aistrale.integrations.runs import RunUsage
from aistrale.types import Usage


def response(raw, **kwargs):
    return ChatResponse(message=ChatMessage(role="assistant", content="x"), raw=raw, **kwargs)


OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 2},
}
RESPONSES = {
    "input_tokens": 100,
    "output_tokens": 50,
    "input_tokens_details": {"cached_tokens": 30},
    "output_tokens_details": {"reasoning_tokens": 20},
}
ANTHROPIC = {
    "input_tokens": 60,
    "output_tokens": 50,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 10,
    "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
}
GEMINI = {
    "prompt_token_count": 90,
    "tool_use_prompt_token_count": 10,
    "candidates_token_count": 30,
    "thoughts_token_count": 20,
    "cached_content_token_count": 30,
    "total_token_count": 150,
}
BEDROCK = {"inputTokens": 60, "outputTokens": 50, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 10}


def as_object(value):
    """The same as an object of an SDK."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_object(item) for name, item in value.items()})
    return value


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            {"usage": OPENAI},
            RunUsage(input=100, output=50, cache_read=30, reasoning=20, audio_input=5, audio_output=2),
            id="openai",
        ),
        pytest.param(
            {"usage": RESPONSES}, RunUsage(input=100, output=50, cache_read=30, reasoning=20), id="openai-responses"
        ),
        pytest.param(
            {"type": "response.completed", "response": {"usage": RESPONSES}},
            RunUsage(input=100, output=50, cache_read=30, reasoning=20),
            id="openai-responses-stream",
        ),
        pytest.param(
            {"usage": ANTHROPIC},
            RunUsage(input=100, output=50, cache_read=30, cache_write=10, cache_write_5m=4, cache_write_1h=6),
            id="anthropic",
        ),
        pytest.param(
            {"usage_metadata": GEMINI}, RunUsage(input=100, output=50, cache_read=30, reasoning=20), id="gemini"
        ),
        pytest.param(
            {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}},
            RunUsage(input=9, output=3),
            id="gemini-rest",
        ),
        pytest.param(
            {"choices": [], "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}},
            RunUsage(input=7, output=3),
            id="groq-stream",
        ),
        pytest.param(
            {"usage": BEDROCK}, RunUsage(input=100, output=50, cache_read=30, cache_write=10), id="bedrock-converse"
        ),
        pytest.param(
            {"meta": {"tokens": {"input_tokens": 7, "output_tokens": 3}}}, RunUsage(input=7, output=3), id="cohere"
        ),
        pytest.param(
            {"model": "llama3", "prompt_eval_count": 7, "eval_count": 3}, RunUsage(input=7, output=3), id="ollama"
        ),
        pytest.param(
            {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 2}},
            RunUsage(input=7, output=3, cache_read=2),
            id="deepseek",
        ),
    ],
)
def test_every_shape_as_a_table_and_as_an_object(raw, expected):
    assert usage_of(response(raw)) == expected
    assert usage_of(response(as_object(raw))) == expected
    assert usage_of(CompletionResponse(text="x", raw=raw)) == expected


def test_tokens_beside_the_raw_answer_are_found():
    counts = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert usage_of(response(None, additional_kwargs=counts)) == RunUsage(input=7, output=3)
    message = ChatMessage(role="assistant", content="x", additional_kwargs=counts)
    assert usage_of(ChatResponse(message=message, raw={"candidates": []})) == RunUsage(input=7, output=3)


@pytest.mark.parametrize(
    "raw", [None, {}, {"usage": None}, {"usage": {}}, {"usage": "many"}, {"usage": {"prompt_tokens": -1}}, [], "text"]
)
def test_what_tells_nothing_is_unknown_and_not_zero(raw):
    assert usage_of(response(raw)) is None
    assert usage_of(None) is None


def test_sums():
    assert together([]) is None
    assert together([RunUsage(input=1, output=2), RunUsage(input=3, cache_read=1)]) == RunUsage(
        input=4, output=2, cache_read=1
    )


COUNT = st.none() | st.integers(0, 10**9)


@given(given=COUNT, made=COUNT, read=COUNT, written=COUNT, thought=COUNT)
def test_what_our_own_answers_tell_is_read_back(given, made, read, written, thought):
    usage = Usage(input=given, output=made, cache_read=read, cache_write=written, reasoning=thought)
    told = usage_counts(usage)
    if told is None:
        assert usage.total is None
        return
    found = read_usage(told)
    assert (found.input, found.output) == (usage.input_total or 0, usage.output_total or 0)
    assert (found.cache_read, found.cache_write, found.reasoning) == (read or 0, written or 0, thought or 0)


@given(st.recursive(st.none() | st.integers() | st.text() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["usage", "prompt_tokens", "input_tokens", "response", "meta", "x"]), inner), max_leaves=20))  # fmt: skip
def test_nothing_that_is_in_a_raw_answer_breaks_it(raw):
    found = usage_of(response(raw))
    assert found is None or (found.input or 0) + (found.output or 0) >= 0

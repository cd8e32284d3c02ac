"""What answers say about their price besides the usage, read from whole answers and from streams."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.call import Target
from aistrale.core.sse import SSE, SSEParser
from aistrale.cost.facts import gather, region_of
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import ANY, Profile
from aistrale.providers import get_provider
from aistrale.types import Completion, Embeddings

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
DIALECTS = {
    "openai": "openai_chat", "anthropic": "anthropic_messages", "gemini": "gemini_generate", "groq": "openai_chat"
}  # fmt: skip


def target(provider, *, model="m", dialect=None, base_url="https://api.example.com"):
    return Target(
        name=f"{provider}/{model}",
        provider=get_provider(provider),
        model=model,
        dialect=dialect or DIALECTS[provider],
        base_url=base_url,
        profile=Profile(provider=provider, model=model),
    )


def told(provider, body, *, dialect=None, model="m"):
    """The conditions of a whole answer."""
    where = target(provider, dialect=dialect, model=model)
    conditions = {}
    gather(where, chat_dialect(where.dialect).decode_response(body), conditions)
    return conditions


def streamed(provider, chunks, *, dialect=None):
    """The conditions of a streamed answer."""
    where = target(provider, dialect=dialect)
    decoder = chat_dialect(where.dialect).event_decoder(ANY)
    frames = [SSE(chunk.get("type", ""), json.dumps(chunk)) for chunk in chunks]
    events = [event for frame in frames for event in decoder.feed(frame)]
    conditions = {}
    gather(where, collect([*events, *decoder.finish()]), conditions)
    return conditions


def searched(action, status="completed"):
    return {"type": "web_search_call", "id": "ws_1", "status": status, "action": action}


SEARCH = {"type": "search", "query": "weather", "queries": ["weather", "rain"]}
RESPONSE = {
    "object": "response",
    "id": "resp_1",
    "model": "m",
    "status": "completed",
    "service_tier": "flex",
    "output": [
        searched(SEARCH),
        searched({"type": "open_page", "url": "https://example.com"}),
        searched({"type": "find_in_page", "pattern": "x", "url": "https://example.com"}),
        searched(SEARCH),
        {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["a"], "results": None},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Rain.", "annotations": []}],
        },
    ],
}


def test_searches_of_responses_are_counted_pages_that_were_opened_are_not():
    expected = {"service_tier": "flex", "web_search_calls": "2", "file_search_calls": "1"}
    assert told("openai", RESPONSE, dialect="openai_responses") == expected
    stream = [
        {"type": "response.created", "response": {**RESPONSE, "output": [], "status": "in_progress"}},
        *(
            {"type": "response.output_item.done", "output_index": index, "item": item}
            for index, item in enumerate(RESPONSE["output"])
        ),
        {"type": "response.completed", "response": RESPONSE},
    ]
    assert streamed("openai", stream, dialect="openai_responses") == expected


def test_what_openai_counts_itself_goes_before_our_count():
    images = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    body = {
        **RESPONSE,
        "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
        "tool_usage": {"web_search": {"num_requests": 3}, "image_gen": images},
    }
    conditions = told("openai", body, dialect="openai_responses")
    assert conditions["web_search_calls"] == "3"
    assert json.loads(conditions["image_generation"]) == {"model": "gpt-image-1", "usage": images}


def chat(**message):
    return {
        "object": "chat.completion",
        "id": "c",
        "model": "m",
        "created": 1,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a", **message}}],
    }


def test_models_that_always_search():
    body = {**chat(), "model": "gpt-5-search-api-2025-10-14"}
    assert told("openai", body) == {"web_search_calls": "1"}
    assert told("openai", {**chat(), "service_tier": "priority"}) == {"service_tier": "priority"}


def test_regions_of_openai_are_told_by_their_host():
    for url, region in [
        ("https://eu.api.openai.com/v1", "eu"),
        ("https://US.api.openai.com", "us"),
        ("https://api.openai.com/v1", None),
        ("https://eu.api.openai.com.example.com/v1", None),
        ("https://gateway.example.com/eu.api.openai.com/v1", None),
    ]:
        assert region_of(url) == region
    conditions = {}
    gather(target("openai", base_url="https://eu.api.openai.com/v1"), Embeddings(), conditions)
    assert conditions == {"data_residency": "eu"}


GROUNDED = {
    "webSearchQueries": ["a", "b"],
    "groundingChunks": [{"web": {"uri": "https://example.com", "title": "t"}}],
}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (GROUNDED, {"web_search_queries": "2", "grounded_prompts": "1"}),
        ({"groundingChunks": [{"maps": {"uri": "https://example.com"}}]}, {"maps_grounding": "1"}),
        ({"searchEntryPoint": {"renderedContent": "x"}}, {}),
        ({}, {}),
    ],
)
def test_grounding_of_gemini(metadata, expected):
    candidate = {
        "content": {"role": "model", "parts": [{"text": "a"}]},
        "finishReason": "STOP",
        "groundingMetadata": metadata,
    }
    assert told("gemini", {"candidates": [candidate], "modelVersion": "m"}) == expected
    first = {"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}}]}
    assert streamed("gemini", [first, {"candidates": [candidate]}]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], {"stop_reason": "refusal", "empty": "yes"}),
        ([{"type": "text", "text": "I"}], {"stop_reason": "refusal"}),
    ],
)
def test_refusals_of_claude(content, expected):
    usage = {"input_tokens": 9, "output_tokens": 1}
    body = {"type": "message", "role": "assistant", "id": "m", "model": "m", "content": content, "usage": usage}
    assert told("anthropic", {**body, "stop_reason": "refusal"}) == expected
    assert told("anthropic", {**body, "stop_reason": "end_turn"}) == {}
    blocks = [
        event
        for index, block in enumerate(content)
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        )
    ]
    stream = [
        {"type": "message_start", "message": {**body, "content": []}},
        *blocks,
        {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    assert streamed("anthropic", stream) == expected


def test_compound_systems_of_groq():
    breakdown = {"models": [{"model": "a", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}]}
    tools = [{"index": 0, "type": "search", "arguments": "{}"}, {"index": 1, "type": "visit", "arguments": "{}"}]
    body = {**chat(executed_tools=tools), "usage_breakdown": breakdown}
    conditions = told("groq", body)
    assert json.loads(conditions.pop("usage_breakdown")) == breakdown
    assert conditions == {"web_search_calls": "1"}
    delta = {"index": 0, "delta": {"content": "a", "executed_tools": tools}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    stream = [{**head, "choices": [delta]}, {**head, "choices": [last], "usage_breakdown": breakdown}]
    assert streamed("groq", stream) == {"usage_breakdown": json.dumps(breakdown), "web_search_calls": "1"}


def test_what_is_known_already_stays_and_plain_answers_say_nothing():
    conditions = {"service_tier": "default"}
    gather(target("openai"), chat_dialect("openai_chat").decode_response({**chat(), "service_tier": "x"}), conditions)
    assert conditions == {"service_tier": "default"}
    for provider in DIALECTS:
        empty = {}
        gather(target(provider), Completion(), empty)
        assert empty == {}


def test_recorded_answers_of_responses_are_counted_like_openai_counts_them():
    if not SHARED.exists():
        pytest.skip("../shared is not there")
    codec, where = chat_dialect("openai_responses"), target("openai", dialect="openai_responses")
    seen = searches = 0
    with gzip.open(SHARED / "traffic" / "openai.jsonl.gz", "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            body = record["response_body"]
            if record["endpoint"] != "responses" or record["status"] != 200 or not isinstance(body, str):
                continue
            try:
                if record["sse"]:
                    parser, decoder = SSEParser(), codec.event_decoder(ANY)
                    frames = [*parser.feed(body.encode()), *parser.finish()]
                    answer = collect([event for frame in frames for event in decoder.feed(frame)])
                else:
                    answer = codec.decode_response(json.loads(body))
            except ValueError:
                continue
            used = None if answer.wire is None else answer.wire.fields.pop("tool_usage", None)
            conditions = {}
            gather(where, answer, conditions)
            searches += int(conditions.get("web_search_calls", 0))
            if used is not None:
                seen += 1
                assert int(conditions.get("web_search_calls", 0)) == used["web_search"]["num_requests"]
    assert seen > 100
    assert searches > 20

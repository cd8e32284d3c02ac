from __future__ import annotations

import copy

import pytest

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    Choice,
    Completion,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    answer,
)

COUNTS = Usage(input=1, output=1)


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"stop_reason": "stop_sequence", "stop_sequence": "END"}, "stop"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "model_context_window_exceeded"}, "length"),
        (
            {"stop_reason": "tool_use", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            "tool_calls",
        ),
        ({"stop_reason": "pause_turn"}, "pause"),
        ({"stop_reason": "compaction"}, "pause"),
        ({"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None}}, "content_filter"),
        ({"stop_reason": "reasons_of_tomorrow"}, "unknown"),
        ({"stop_reason": None}, "unknown"),
        ({"content": []}, "stop"),
        ({"container": {"id": "c"}, "context_management": None, "diagnostics": {"x": 1}, "stop_details": None}, "stop"),
    ],
)
def test_answers_come_back(fields, finish):
    original = answer(**fields)
    loss = Loss(on_lossy="error")
    completion = dialect.decode_response(copy.deepcopy(original))
    assert completion.finish_reason == finish
    assert dialect.encode_response(completion, loss) == original


def test_answers_of_servers_that_leave_things_out_come_back():
    for key in ("id", "type", "role", "model", "stop_reason", "stop_sequence", "usage"):
        original = answer()
        del original[key]
        assert dialect.encode_response(dialect.decode_response(copy.deepcopy(original)), Loss()) == original


def test_a_body_that_is_no_answer():
    for rubbish in ({}, {"type": "error", "error": {"type": "api_error", "message": "m"}}, {"choices": []}):
        with pytest.raises(MalformedBody):
            dialect.decode_response(rubbish)


def test_a_change_in_an_answer_shows():
    completion = dialect.decode_response(answer())
    completion.choices[0].message.parts = [ToolCallPart("t", "f", '{"a":1}')]
    completion.choices[0].finish_reason = "tool_calls"
    completion.id, completion.model = "other", "changed"
    completion.usage.output = 9
    encoded = dialect.encode_response(completion, Loss())
    assert encoded["content"] == [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]
    assert (encoded["stop_reason"], encoded["id"], encoded["model"]) == ("tool_use", "other", "changed")
    assert encoded["usage"] == {"input_tokens": 3, "output_tokens": 9}


@pytest.mark.parametrize(
    ("finish", "parts", "sequence", "reason"),
    [
        ("stop", [TextPart("x")], None, "end_turn"),
        ("stop", [TextPart("x")], "END", "stop_sequence"),
        ("stop", [ToolCallPart("a", "f")], None, "tool_use"),
        ("tool_calls", [TextPart("x")], None, "end_turn"),
        ("tool_calls", [ToolCallPart("a", "f")], None, "tool_use"),
        ("length", [ToolCallPart("a", "f")], None, "max_tokens"),
        ("content_filter", [], None, "refusal"),
        ("pause", [], None, "pause_turn"),
        ("error", [], None, "end_turn"),
        ("unknown", [ToolCallPart("a", "f")], None, "tool_use"),
    ],
)
def test_why_an_answer_from_elsewhere_ended(finish, parts, sequence, reason):
    loss = Loss()
    completion = Completion("c", "m", [Choice(Message("assistant", parts), finish, stop_sequence=sequence)], COUNTS)
    assert dialect.encode_response(completion, loss)["stop_reason"] == reason
    # That the caller would wait for tools is news only where the other provider did not.
    waits = finish == "stop" and reason == "tool_use"
    assert bool(loss.items) == (waits or finish in ("error", "unknown"))


def test_an_answer_from_elsewhere():
    parts = [
        ReasoningPart("hm", wire=Wire("openai_responses", {"encrypted_content": "x"})),
        ReasoningPart("", wire=Wire("openai_responses", {"encrypted_content": "y"})),
        TextPart("Hi", wire=Wire("openai_responses", {"annotations": [{"url": "u"}]})),
        MediaPart("image", data="iVBO"),
        ProviderPart("openai_responses", {"type": "web_search_call"}),
        ToolCallPart("call_1", "f", "{not json"),
    ]
    usage = Usage(input=10, cache_read=5, output=4, reasoning=3, audio_input=2, cache_write_30m=1)
    completion = Completion(
        "c", "m", [Choice(Message("assistant", parts), "tool_calls"), Choice(Message("assistant"))], usage
    )
    loss = Loss()
    encoded = dialect.encode_response(completion, loss)
    assert encoded == {
        "id": "c",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "aistrale:unsigned"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"arguments": "{not json"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": 5,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
        },
    }
    assert [item.field for item in loss.items] == [
        "choices",
        "choices[0].message.parts[0]",
        "choices[0].message.parts[1]",
        "choices[0].message.parts[2]",
        "choices[0].message.parts[3]",
        "choices[0].message.parts[4]",
        "choices[0].message.parts[5].arguments",
        "usage.audio_input",
        "usage.cache_write_30m",
    ]


def usage_of(**counts):
    return dialect.decode_response(answer(usage=counts)).usage


def test_usage_in_buckets():
    usage = usage_of(
        input_tokens=10,
        cache_read_input_tokens=4,
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 15},
        output_tokens=20,
        output_tokens_details={"thinking_tokens": 12},
    )
    assert usage == Usage(
        input=10, cache_read=4, cache_write=5, cache_write_5m=10, cache_write_1h=15, output=8, reasoning=12
    )
    assert (usage.input_total, usage.output_total) == (44, 20)
    assert usage_of(input_tokens=1, output_tokens=2, cache_creation_input_tokens=3) == Usage(
        input=1, cache_write=3, output=2
    )
    assert usage_of(output_tokens=2, cache_read_input_tokens=None) == Usage(output=2)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 1, "output_tokens": 2},
        {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": None, "cache_creation_input_tokens": None},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 3}},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": {}},
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_creation_input_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0, "ephemeral_1d": 9},
        },
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 5, "other": 1}},
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {}},
        {"output_tokens": 2},
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "service_tier": "priority",
            "speed": None,
            "inference_geo": "eu",
            "server_tool_use": {"web_search_requests": 1},
            "iterations": [{"type": "message", "input_tokens": 1}],
            "fallback_credit": {"status": {"type": "redeemed"}},
        },
    ],
)
def test_usage_comes_back(counts):
    original = answer(usage=counts)
    assert dialect.encode_response(dialect.decode_response(copy.deepcopy(original)), Loss(on_lossy="error")) == original


def test_usage_that_nobody_reported_is_zero_because_the_format_demands_a_count():
    for usage, fields in ((None, ["usage"]), (Usage(), ["usage.input", "usage.output"])):
        loss = Loss()
        completion = Completion("c", "m", [Choice(Message.assistant("x"), "stop")], usage)
        assert dialect.encode_response(completion, loss)["usage"] == {"input_tokens": 0, "output_tokens": 0}
        assert [item.field for item in loss.items] == fields


def test_token_counts():
    assert dialect.decode_token_count({"input_tokens": 12, "context_management": {}}) == 12
    with pytest.raises(MalformedBody, match="input_tokens"):
        dialect.decode_token_count({"input_tokens": "12"})

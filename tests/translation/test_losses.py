"""What one format has and another has not is recorded, in whole answers and in streams; each case once went unsaid."""

from __future__ import annotations

import pytest

from aistrale.core.accumulate import collect
from aistrale.dialects import anthropic_messages, gemini_generate, openai_chat, openai_responses
from aistrale.dialects.base import ANY, Loss
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Request,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Wire,
)
from tests.translation.pairs import asking
from tests.translation.recordings import decode

CALL = ToolCallPart("call_1", "look", '{"at":"sky"}')
FORMATS = (openai_chat, openai_responses, anthropic_messages, gemini_generate)


def answer(*parts, reason="stop", usage=None, **fields):
    return Completion(
        "r1", "m", [Choice(Message("assistant", list(parts)), reason, **fields)], usage or Usage(input=1, output=1)
    )


def told(codec, completion):
    """The records of the whole answer, and those of the same answer as a stream."""
    whole, streamed = Loss(), Loss()
    body = codec.encode_response(completion, whole)
    choice = completion.choices[0]
    events = [ReplyStart("r1", "m"), UsageUpdate(completion.usage)]
    for number, part in enumerate(choice.message.parts):
        events += [BlockStart(number, part), BlockEnd(number)]
    events += [Finish(choice.finish_reason, wire=choice.wire), ReplyEnd()]
    encoder = codec.event_encoder(asking(codec), streamed)
    wire = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    fields = [item.field for item in whole.items]
    assert sorted({item.field for item in streamed.items}) == sorted(set(fields))
    assert len(fields) == len(set(fields))
    return fields, codec.decode_response(body), collect(decode(codec, wire))


@pytest.mark.parametrize("codec", FORMATS)
def test_an_ordinary_end_after_tool_calls(codec) -> None:
    fields, whole, streamed = told(codec, answer(CALL, reason="stop"))
    assert fields == ["choices[0].finish_reason"]
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"
    assert told(codec, answer(CALL, reason="tool_calls"))[0] == []


@pytest.mark.parametrize("reason", ["unknown", "pause"])
def test_ends_that_the_responses_format_has_no_word_for(reason) -> None:
    fields, whole, streamed = told(openai_responses, answer(TextPart("so"), reason=reason))
    assert fields == ["choices[0].finish_reason"]
    assert whole.finish_reason == streamed.finish_reason == "stop"


@pytest.mark.parametrize(
    "name", ["cache_write_5m", "cache_write_1h", "cache_write_30m", "cache_write_12h", "tool_input"]
)
def test_counts_that_chat_does_not_tell_apart(name) -> None:
    usage = Usage(input=1, output=2, **{name: 40})
    fields, whole, streamed = told(openai_chat, answer(TextPart("so"), usage=usage))
    assert fields == [f"usage.{name}"]
    assert whole.usage.input_total == streamed.usage.input_total == 41


def test_an_empty_turn_of_the_model_joins_nothing_in_gemini() -> None:
    asked = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Look up."},
            {"role": "assistant", "content": ""},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "blue"},
        ],
    }
    body = gemini_generate.encode_request(openai_chat.decode_request(asked), ANY, Loss())
    assert [(content["role"], len(content["parts"])) for content in body["contents"]] == [
        ("user", 1), ("model", 1), ("user", 1),
    ]  # fmt: skip


def test_the_key_of_a_cache_is_named_for_gemini() -> None:
    loss = Loss()
    gemini_generate.encode_request(Request(model="m", messages=[Message.user("Hi")], cache_key="k"), ANY, loss)
    assert [item.field for item in loss.items] == ["cache_key"]


def test_every_thought_whose_state_is_lost_is_named() -> None:
    thoughts = [ReasoningPart("", wire=Wire("openai_responses", {"encrypted_content": "x"})) for _ in range(2)]
    fields, _, _ = told(anthropic_messages, answer(*thoughts, TextPart("so")))
    assert fields == ["choices[0].message.parts[0]", "choices[0].message.parts[1]"]


def test_what_came_odd_stays_odd() -> None:
    """Each of these once came back as something else."""
    for body in (
        {"messages": [{"role": "a role", "content": "100% odd"}]},
        {"messages": [{"role": "50%20off", "content": "x"}]},
    ):
        assert openai_chat.encode_request(openai_chat.decode_request(body), ANY, Loss()) == body
    marked = {"type": "text", "text": "x", "cache_control": {"ttl": "5m"}}
    for body in (
        {"model": "m", "messages": [{"role": "user", "content": [marked]}]},
        {"model": "m", "messages": [], "tools": [{"name": "f", "input_schema": None}]},
        {"model": "m", "messages": [], "tools": [{"type": "web_search_1", "name": None}]},
    ):
        assert anthropic_messages.encode_request(anthropic_messages.decode_request(body), ANY, Loss()) == body
    for body in (
        {"id": None, "type": None, "role": "model", "model": None, "content": None, "stop_reason": "", "usage": None},
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "thinking", "signature": "s"}],
            "stop_reason": "null",
            "stop_sequence": None,
            "usage": {"cache_creation": {}, "cache_creation_input_tokens": 0},
        },
    ):
        assert (
            anthropic_messages.encode_response(anthropic_messages.decode_response(body), Loss(on_lossy="error")) == body
        )
    result = {"functionResponse": {"id": "a", "response": {"x": 1}}}
    call = {"functionCall": {"id": "a", "name": "f", "args": {}}}
    body = {
        "contents": [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}],
        "tools": [{"functionDeclarations": [], "googleSearch": {}}],
    }
    assert gemini_generate.encode_request(gemini_generate.decode_request(body, model="m"), ANY, Loss()) == body
    body = {"output": [], "created_at": 10**25, "reasoning": {"summary": " "}}
    assert openai_responses.encode_response(openai_responses.decode_response(body), Loss()) == body


def test_times_that_no_calendar_has() -> None:
    told = gemini_generate.encode_response(Completion("r", "m", [], created=10**25), Loss())
    assert "createTime" not in told

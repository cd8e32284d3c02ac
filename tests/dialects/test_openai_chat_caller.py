"""Answers of one server of the OpenAI chat format, written for callers whose SDK is another's."""

from __future__ import annotations

import copy
import json

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE
from aistrale.dialects import openai_chat
from aistrale.dialects.base import ANY, Loss
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    ToolCallPart,
    Whole,
)

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": True}}
FUNCTIONS = {**ASKED, "functions": [{"name": "get", "parameters": {"type": "object"}}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def answer(choice, **fields):
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **fields}


def said(message, reason="stop", **fields):
    return {"index": 0, "message": message, "finish_reason": reason, **fields}


def standard(body, *, asked=ASKED, field=None):
    completion = openai_chat.decode_response(copy.deepcopy(body))
    request = openai_chat.decode_request(asked)
    return openai_chat.encode_response(
        completion, Loss("error"), reasoning_field=field, request=request, standard=True
    )  # fmt: skip


def chunks(events, *, asked=ASKED, field=None, groq=False):
    request = openai_chat.decode_request(asked)
    encoder = openai_chat.event_encoder(request, Loss("error"), groq=groq, reasoning_field=field, standard=True)
    wire = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    assert wire.pop().data == "[DONE]"
    return [json.loads(frame.data) for frame in wire]


def read(*bodies):
    decoder = openai_chat.event_decoder(ANY)
    wire = [SSE("", json.dumps(body)) for body in bodies] + [SSE("", "[DONE]")]
    return [event for frame in wire for event in decoder.feed(frame)] + decoder.finish()


def chunk(delta, reason=None, **fields):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


def test_a_standard_answer_stays_as_it_is() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    message = {"role": "assistant", "content": "ok", "refusal": None, "annotations": [], "tool_calls": [call]}
    body = answer(
        said(message, "tool_calls", logprobs=None),
        usage={**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}},
        system_fingerprint="fp",
        service_tier="default",
        x_new={"kept": [1]},
    )
    assert standard(body) == body


def test_the_given_answer_is_left_alone() -> None:
    body = answer(said({"content": "ok"}, "eos_token"), usage={"prompt_tokens": 3, "completion_tokens": 1})
    completion = openai_chat.decode_response(body)
    before = copy.deepcopy(completion)
    openai_chat.encode_response(completion, Loss(), standard=True)
    assert completion == before


@pytest.mark.parametrize(
    ("choice", "message", "reason"),
    [
        ({"index": 0, "finish_reason": "content_filter"}, {"content": None}, "content_filter"),
        ({"index": 0, "text": "once", "finish_reason": "length"}, {"content": "once"}, "length"),
        (said({"content": "ok"}, "eos_token"), {"content": "ok"}, "stop"),
        (said({"role": "model", "content": [{"type": "text", "text": "ok"}]}), {"content": "ok"}, "stop"),
        ({"message": {"role": "assistant"}, "finish_reason": "stop"}, {"content": None}, "stop"),
        (said({"content": "", "tool_calls": []}), {"content": None}, "stop"),
    ],
)
def test_every_answer_has_a_message_and_a_usual_reason(choice, message, reason) -> None:
    written = standard(answer(choice, object="text_completion"))
    assert written["object"] == "chat.completion"
    assert written["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "refusal": None, **message},
            "logprobs": None,
            "finish_reason": reason,
        }
    ]


@pytest.mark.parametrize("absent", ["id", "created", "model"])
def test_every_answer_says_what_it_is(absent) -> None:
    body = answer(said({"role": "assistant", "content": "ok"}))
    del body[absent]
    assert standard(body)[absent] == {"id": "chatcmpl-1", "created": 0, "model": ""}[absent]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 18}, (3, 15, 18)),
        ({"prompt_tokens": 3, "completion_tokens": 5}, (3, 5, 8)),
        ({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 1}, (3, 5, 8)),
        ({"prompt_tokens": 3}, (3, 0, 3)),
    ],
)
def test_counts_add_up(given, written) -> None:
    usage = standard(answer(said({"role": "assistant", "content": "ok"}), usage=given))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == written
    (*_, last) = chunks(read(chunk({"content": "ok"}, "stop", usage=given)))
    assert {name: count for name, count in last["usage"].items() if count} == {
        name: count for name, count in usage.items() if count
    }


def test_tokens_read_from_a_cache_have_one_place() -> None:
    usage = standard(answer(said({"content": "ok"}), usage={**USAGE, "cached_tokens": 2}))["usage"]
    assert usage == {**USAGE, "prompt_tokens_details": {"cached_tokens": 2}}


@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "get", "arguments": {"a": 1}}},
        {"id": "", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}},
        {"id": None, "function": {"name": "get", "arguments": '{"a":1}'}},
    ],
)
def test_every_call_has_an_id_a_type_and_arguments_as_text(call) -> None:
    (written,) = standard(answer(said({"tool_calls": [call]})))["choices"][0]["message"]["tool_calls"]
    assert written["id"]
    assert written["type"] == "function"
    assert written["function"] == {"name": "get", "arguments": '{"a":1}'}


@pytest.mark.parametrize("function", [{"name": "get"}, {"name": "get", "arguments": ""}])
def test_no_arguments_are_an_empty_object(function) -> None:
    body = answer(said({"tool_calls": [{"id": "c", "type": "function", "function": function}]}))
    assert standard(body)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"
    written = chunks(read(chunk({"tool_calls": [{"index": 0, "id": "c", "function": function}]}, "tool_calls")))
    pieces = [call for each in written for choice in each["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == "{}"


LEGACY = {"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": '{"a":1}'}}
CALL = {"id": "c", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}}


@pytest.mark.parametrize("message", [LEGACY, {"role": "assistant", "content": None, "tool_calls": [CALL]}])
def test_a_call_is_told_as_the_caller_gave_the_tool(message) -> None:
    reason = "function_call" if message is LEGACY else "tool_calls"
    body = answer(said(message, reason))
    (choice,) = standard(body)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert "function_call" not in choice["message"]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "get", "arguments": '{"a":1}'}
    (choice,) = standard(body, asked=FUNCTIONS)["choices"]
    assert choice["finish_reason"] == "function_call"
    assert "tool_calls" not in choice["message"]
    assert choice["message"]["function_call"] == {"name": "get", "arguments": '{"a":1}'}


def foreign_events():
    call = ToolCallPart("toolu_1", "get")
    events = [ReplyStart("r", "m"), BlockStart(0, call), ArgumentsDelta('{"a":', 0), ArgumentsDelta("1}", 0)]
    return [*events, BlockEnd(0), Finish("tool_calls"), ReplyEnd()]


@pytest.mark.parametrize("whole", [False, True])
def test_callers_with_functions_get_function_calls_from_other_formats_too(whole) -> None:
    events = foreign_events()
    completion = collect(events)
    written = chunks([Whole(completion)] if whole else events, asked=FUNCTIONS)
    deltas = [choice["delta"] for each in written for choice in each["choices"]]
    told = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert [piece["name"] for piece in told if "name" in piece] == ["get"]
    assert "".join(piece["arguments"] for piece in told) == '{"a":1}'
    assert not any("tool_calls" in delta for delta in deltas)
    assert written[-1]["choices"][0]["finish_reason"] == "function_call"
    request = openai_chat.decode_request(FUNCTIONS)
    (choice,) = openai_chat.encode_response(completion, Loss(), request=request, standard=True)["choices"]
    assert choice["message"]["function_call"] == {"name": "get", "arguments": '{"a":1}'}


def test_custom_calls_stay_what_they_are() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    body = answer(said({"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}, "tool_calls"))
    for asked in (ASKED, FUNCTIONS):
        assert standard(body, asked=asked)["choices"][0]["message"]["tool_calls"] == [call]


@pytest.mark.parametrize("given", ["reasoning", "reasoning_content"])
def test_thoughts_stand_where_the_caller_looks(given) -> None:
    body = answer(said({"role": "assistant", "content": "ok", given: "hm"}))
    events = read(chunk({given: "hm"}), chunk({"content": "ok"}, "stop"))
    for field in ("reasoning", None):
        message = standard(body, field=field)["choices"][0]["message"]
        told = [choice["delta"] for each in chunks(events, field=field) for choice in each["choices"]]
        for where in (message, *(delta for delta in told if "hm" in delta.values())):
            assert where.get(field or given) == "hm"
            assert len({"reasoning", "reasoning_content"} & where.keys()) == 1
        assert any("hm" in delta.values() for delta in told)


def test_thoughts_of_other_formats_as_ever() -> None:
    completion = Completion(choices=[Choice(Message("assistant", [ReasoningPart("hm")]), "stop")])
    written = openai_chat.encode_response(completion, Loss(), reasoning_field="reasoning", standard=True)
    assert written["choices"][0]["message"]["reasoning"] == "hm"
    loss = Loss()
    written = openai_chat.encode_response(completion, loss, standard=True)
    assert "reasoning" not in written["choices"][0]["message"]
    assert [item.field for item in loss.items] == ["choices[0].message.parts[0]"]


def test_probabilities_and_sources_are_kept_in_streams_too() -> None:
    logprobs = {"content": [{"token": "ok", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
    first = chunk({"content": "ok"})
    first["choices"][0]["logprobs"] = logprobs
    written = chunks(read(first, chunk({"annotations": [{"type": "url_citation"}]}, "eos_token", x_new=1)))
    assert [choice["logprobs"] for each in written for choice in each["choices"] if choice["logprobs"]] == [logprobs]
    (last,) = [choice for each in written for choice in each["choices"] if choice["finish_reason"]]
    assert last["finish_reason"] == "stop"
    assert last["delta"] == {"annotations": [{"type": "url_citation"}]}


def test_groqs_callers_get_whole_calls_and_counts() -> None:
    pieces = [
        {"index": 0, "id": "c", "function": {"name": "get", "arguments": ""}},
        {"index": 0, "function": {"arguments": "{}"}},
    ]
    events = read(*(chunk({"tool_calls": [piece]}) for piece in pieces), chunk({}, "tool_calls", usage=USAGE))
    written = chunks(events, groq=True, field="reasoning")
    calls = [
        choice["delta"]["tool_calls"]
        for each in written
        for choice in each["choices"]
        if "tool_calls" in choice["delta"]
    ]
    assert [[call["function"]["arguments"] for call in made] for made in calls] == [["{}"]]
    assert written[-1]["x_groq"]["usage"] == written[-1]["usage"] == USAGE

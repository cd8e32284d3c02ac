"""OpenAI Responses: streams, read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE
from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
)
from tests.dialects.openai_responses_cases import (
    CALL,
    CUSTOM_CALL,
    MESSAGE,
    RESPONSE,
    SEARCH,
    SILENT_THOUGHT,
    THOUGHT,
    bodies,
    decode_stream,
    encode_stream,
    wire,
)

HEAD = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
CREATED = {"type": "response.created", "response": HEAD}
PROGRESS = {"type": "response.in_progress", "response": HEAD}


def added(at: int, item: dict) -> dict:
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(at: int, item: dict) -> dict:
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def about(kind: str, at: int, **fields: object) -> dict:
    return {"type": f"response.{kind}", "item_id": "x", "output_index": at, **fields}


def completed(*output: dict, **fields: object) -> dict:
    return {"type": "response.completed", "response": {**RESPONSE, "output": list(output), **fields}}


def text_frames(at: int, *pieces: str, item: dict | None = None) -> list[dict]:
    whole = "".join(pieces)
    part = {"type": "output_text", "text": whole, "annotations": [], "logprobs": []}
    item = item or {"type": "message", "id": f"msg_{at}", "role": "assistant", "status": "completed", "content": [part]}
    return [
        added(at, {**item, "status": "in_progress", "content": []}),
        about("content_part.added", at, content_index=0, part={**part, "text": ""}),
        *(about("output_text.delta", at, content_index=0, delta=piece, logprobs=[]) for piece in pieces),
        about("output_text.done", at, content_index=0, text=whole, logprobs=[]),
        about("content_part.done", at, content_index=0, part=part),
        done(at, item),
    ]


def call_frames(at: int, item: dict, *pieces: str, name: str = "function_call_arguments", key: str = "arguments"):
    return [
        added(at, {**item, key: ""}),
        *(about(f"{name}.delta", at, delta=piece) for piece in pieces),
        about(f"{name}.done", at, **{key: item[key]}),
        done(at, item),
    ]


def thought_frames(at: int, item: dict) -> list[dict]:
    frames = [added(at, {**item, "summary": [], **({"content": []} if "content" in item else {})})]
    for number, entry in enumerate(item["summary"]):
        frames += [
            about("reasoning_summary_part.added", at, summary_index=number, part={**entry, "text": ""}),
            about("reasoning_summary_text.delta", at, summary_index=number, delta=entry["text"]),
            about("reasoning_summary_text.done", at, summary_index=number, text=entry["text"]),
            about("reasoning_summary_part.done", at, summary_index=number, part=entry),
        ]
    for number, entry in enumerate(item.get("content", [])):
        frames += [
            about("content_part.added", at, content_index=number, part={**entry, "text": ""}),
            about("reasoning_text.delta", at, content_index=number, delta=entry["text"]),
            about("reasoning_text.done", at, content_index=number, text=entry["text"]),
            about("content_part.done", at, content_index=number, part=entry),
        ]
    return [*frames, done(at, item)]


def kinds(events) -> list[type]:
    return [type(event) for event in events]


def outline(events) -> list[object]:
    """The content of events, without their state."""
    told: list[object] = []
    for event in events:
        match event:
            case BlockStart():
                told.append((event.block, type(event.part).__name__))
            case TextDelta():
                told.append((event.block, event.text))
            case ReasoningDelta():
                told.append((event.block, event.reasoning))
            case ArgumentsDelta():
                told.append((event.block, event.arguments))
            case BlockEnd():
                told.append((event.block, "end"))
            case Other():
                told.append(event.name)
    return told


def outlined(completion) -> list[object]:
    """The content of an answer; that a part was not the last of its item shows in its state."""
    return [replace(part, wire=None) for part in completion.message.parts]


def test_text():
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "final_answer"}
    item["content"] = [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    events = decode_stream(wire(CREATED, PROGRESS, *text_frames(0, "Hel", "", "lo", item=item), completed(item)))
    assert kinds(events) == [
        ReplyStart, Other, BlockStart, TextDelta, TextDelta, BlockEnd, UsageUpdate, Finish, ReplyEnd,
    ]  # fmt: skip
    assert (events[0].id, events[0].model, events[0].created) == ("resp_1", RESPONSE["model"], 1700000000)
    assert outline(events[2:6]) == [(0, "TextPart"), (0, "Hel"), (0, "lo"), (0, "end")]
    assert events[6].usage.total == 140
    assert events[7].reason == "stop"
    whole = dialect.decode_response({**RESPONSE, "output": [item]})
    assert collect(events) == replace(whole, raw=None, source=None)


def test_a_stream_and_its_final_response_say_the_same():
    output = [THOUGHT, SEARCH, MESSAGE, CALL, CUSTOM_CALL, SILENT_THOUGHT]
    frames = [
        CREATED,
        PROGRESS,
        *thought_frames(0, THOUGHT),
        added(1, {**SEARCH, "status": "in_progress"}),
        about("web_search_call.searching", 1),
        done(1, SEARCH),
        added(2, {**MESSAGE, "content": []}),
        about("content_part.added", 2, content_index=0, part={"type": "output_text", "text": "", "annotations": []}),
        about("output_text.delta", 2, content_index=0, delta="High at six."),
        about("output_text.annotation.added", 2, content_index=0, annotation_index=0, annotation={}),
        about("output_text.done", 2, content_index=0, text="High at six."),
        about("content_part.done", 2, content_index=0, part=MESSAGE["content"][0]),
        about("content_part.added", 2, content_index=1, part={"type": "refusal", "refusal": ""}),
        about("refusal.delta", 2, content_index=1, delta="Not "),
        about("refusal.delta", 2, content_index=1, delta="that."),
        about("refusal.done", 2, content_index=1, refusal="Not that."),
        about("content_part.done", 2, content_index=1, part=MESSAGE["content"][1]),
        done(2, MESSAGE),
        *call_frames(3, CALL, '{"port"', ': "Brest"}'),
        *call_frames(4, CUSTOM_CALL, CUSTOM_CALL["input"], name="custom_tool_call_input", key="input"),
        *thought_frames(5, SILENT_THOUGHT),
        completed(*output),
    ]
    events = decode_stream(wire(*frames))
    told = collect(events)
    whole = dialect.decode_response({**RESPONSE, "output": output})
    assert outlined(told) == outlined(whole)
    assert (told.finish_reason, told.usage, told.wire) == (whole.finish_reason, whole.usage, whole.wire)
    assert dialect.encode_response(told, Loss())["output"] == output
    again = bodies(encode_stream(events))
    assert [event["type"] for event in again] == [frame["type"] for frame in frames]
    assert again[-1]["response"] == {**RESPONSE, "output": output}
    assert collect(decode_stream(encode_stream(events))) == told


def test_parts_of_an_item_end_in_turn():
    events = decode_stream(wire(CREATED, *thought_frames(0, THOUGHT), completed(THOUGHT)))
    assert outline(events) == [
        "response.output_item.added",
        (0, "ReasoningPart"), (0, "First."), (0, "end"),
        (1, "ReasoningPart"), (1, "Then."), (1, "end"),
        (2, "ReasoningPart"), (2, "In full."), (2, "end"),
    ]  # fmt: skip
    last = [event for event in events if isinstance(event, BlockEnd)][-1]
    assert last.wire.fields["$item"]["encrypted_content"] == "gAAA"


def test_a_thought_without_text_is_one_silent_block():
    events = decode_stream(wire(CREATED, *thought_frames(0, SILENT_THOUGHT), completed(SILENT_THOUGHT)))
    part = next(event.part for event in events if isinstance(event, BlockStart))
    assert isinstance(part, ReasoningPart)
    assert (part.text, part.redacted) == ("", True)


def test_items_that_are_told_only_when_done():
    output = [MESSAGE, CALL, CUSTOM_CALL, THOUGHT, SEARCH]
    frames = [done(at, item) for at, item in enumerate(output)]
    told = collect(decode_stream(wire(CREATED, *frames, completed(*output))))
    assert told.message == dialect.decode_response({**RESPONSE, "output": output}).message
    assert told.finish_reason == "tool_calls"


def test_items_that_are_told_only_at_the_end():
    output = [MESSAGE, CALL]
    events = decode_stream(wire(CREATED, completed(*output)))
    assert collect(events).message == dialect.decode_response({**RESPONSE, "output": output}).message
    only = decode_stream(wire(completed(*output)))
    assert only[0].id == "resp_1"
    assert collect(only).message.text == "High at six."


def test_the_end_repeats_nothing_that_was_told():
    message = {**MESSAGE, "content": MESSAGE["content"][:1]}
    # A server that skips an index: the finished list has the item in another place.
    frames = [CREATED, *text_frames(3, "High at six.", item=message), completed(message)]
    assert collect(decode_stream(wire(*frames))).text == "High at six."


@pytest.mark.parametrize("silent", ["deltas", "deltas and done", "parts"])
def test_content_that_no_piece_told(silent):
    message = {**MESSAGE, "content": MESSAGE["content"][:1]}
    frames = [*text_frames(0, item=message), *call_frames(1, CALL), *thought_frames(2, THOUGHT)]
    frames = [frame for frame in frames if not frame["type"].endswith(".delta")]
    if silent != "deltas":
        frames = [frame for frame in frames if frame["type"] not in SILENCED]
    if silent == "parts":
        frames = [frame for frame in frames if "part" not in frame["type"]]
    for frame in frames:
        if frame["type"] == "response.output_text.done":
            frame["text"] = "High at six."
        if frame["type"] == "response.content_part.done" and frame["output_index"] == 0:
            frame["part"] = message["content"][0]
    told = collect(decode_stream(wire(CREATED, *frames, completed(message, CALL, THOUGHT))))
    assert told.text == "High at six."
    assert told.reasoning == "First.Then.In full."
    assert [call.arguments for call in told.tool_calls] == [CALL["arguments"]]


SILENCED = {
    "response.output_text.done",
    "response.function_call_arguments.done",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.done",
}


def test_custom_input_that_only_its_done_event_told():
    frames = [added(0, {**CUSTOM_CALL, "input": ""}), about("custom_tool_call_input.done", 0, input='a"b')]
    told = collect(decode_stream(wire(CREATED, *frames, completed())))
    assert told.tool_calls[0].input == {"input": 'a"b'}
    # Pieces, and then nothing that ends them.
    frames = [added(0, {**CUSTOM_CALL, "input": ""}), about("custom_tool_call_input.delta", 0, delta='a"b')]
    told = collect(decode_stream(wire(CREATED, *frames, completed())))
    assert told.tool_calls[0].input == {"input": 'a"b'}


def test_a_stream_that_was_resumed_in_the_middle():
    frames = [
        about("output_text.delta", 0, content_index=0, delta="lo"),
        about("reasoning_summary_text.delta", 1, summary_index=0, delta="hm"),
        about("refusal.delta", 2, content_index=0, delta="no"),
        about("function_call_arguments.delta", 3, delta="{"),
    ]
    events = decode_stream(wire(*frames))
    assert kinds(events)[0] is ReplyStart
    assert [type(event.part) for event in events if isinstance(event, BlockStart)] == [
        TextPart,
        ReasoningPart,
        RefusalPart,
    ]
    assert collect(events).text == "lo"


def test_log_probabilities_ride_on_the_deltas():
    logprobs = [{"token": "Hi", "logprob": -0.1, "top_logprobs": []}]
    frame = about("output_text.delta", 0, content_index=0, delta="Hi", logprobs=logprobs)
    events = decode_stream(wire(CREATED, frame))
    delta = events[-1]
    assert delta.wire.fields == {"logprobs": logprobs}
    again = bodies(encode_stream(events))
    assert next(e for e in again if e["type"].endswith("text.delta"))["logprobs"] == logprobs


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("completed", {}, "stop"),
        ("incomplete", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ("failed", {"status": "failed"}, "error"),
        ("cancelled", {"status": "cancelled"}, "unknown"),
    ],
)
def test_terminal_events(kind, fields, reason):
    terminal = {"type": f"response.{kind}", "response": {**RESPONSE, "output": [], **fields}}
    events = decode_stream(wire(CREATED, terminal, completed(MESSAGE)))
    assert kinds(events) == [ReplyStart, UsageUpdate, Finish, ReplyEnd]
    assert events[2].reason == reason
    last = bodies(encode_stream(events))[-1]
    assert last["type"] == f"response.{kind}"
    if kind != "failed":
        assert last["response"] == terminal["response"]


def test_the_status_of_the_event_counts_where_the_response_has_none():
    response = {key: value for key, value in RESPONSE.items() if key not in {"status", "incomplete_details"}}
    events = decode_stream(wire(CREATED, {"type": "response.failed", "response": {**response, "output": []}}))
    assert events[-2].reason == "error"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow", "param": None}},
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None},
        {
            "type": "response.failed",
            "response": {**HEAD, "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}},
        },
    ],
)
def test_errors_end_the_stream(frame):
    for frames in ([frame], [CREATED, frame], [CREATED, frame, completed(MESSAGE)]):
        events = decode_stream(wire(*frames))
        assert isinstance(events[-1], StreamError)
        error = events[-1].error
        assert (error.kind, error.status, error.code, error.message) == (
            "rate_limit",
            429,
            "rate_limit_exceeded",
            "slow",
        )
        begun = len(frames) > 1 or "response" in frame
        assert kinds(events)[:-1] == [ReplyStart] * begun


def test_an_error_without_a_type_is_one_all_the_same():
    decoder = dialect.event_decoder(ANY)
    assert isinstance(decoder.feed(SSE("", '{"error": {"message": "x"}}'))[0], StreamError)


def test_what_comes_before_the_reply_waits_for_it():
    events = decode_stream(wire({"type": "keepalive", "sequence_number": 2}, CREATED, PROGRESS))
    assert outline(events) == ["keepalive", "response.in_progress"]
    assert isinstance(events[0], ReplyStart)
    assert decode_stream(wire({"type": "keepalive"})) == []


def test_a_queued_response():
    queued = {"type": "response.queued", "response": {**HEAD, "status": "queued"}}
    events = decode_stream(wire(queued, PROGRESS, completed()))
    assert isinstance(events[0], ReplyStart)
    again = bodies(encode_stream(events))
    assert [event["type"] for event in again] == ["response.created", "response.in_progress", "response.completed"]
    assert again[0]["response"]["status"] == "queued"
    events = decode_stream(wire(CREATED, queued, PROGRESS, completed()))
    again = bodies(encode_stream(events))
    assert [event["response"]["status"] for event in again] == ["in_progress", "queued", "in_progress", "completed"]


def test_the_marker_of_the_chat_format_and_empty_events_say_nothing():
    decoder = dialect.event_decoder(ANY)
    assert decoder.feed(SSE("", "[DONE]")) == []
    assert decoder.feed(SSE("ping", "")) == []
    assert decoder.finish() == []


def test_an_added_item_of_null_says_nothing():
    assert (
        decode_stream(wire(CREATED, {"type": "response.output_item.added", "output_index": 0, "item": None}))[1:] == []
    )


def test_unknown_content_is_told_with_its_item():
    item = {**MESSAGE, "content": [{"type": "hologram", "depth": 1}, MESSAGE["content"][1]]}
    frames = [
        added(0, {**item, "content": []}),
        about("content_part.added", 0, content_index=0, part={"type": "hologram"}),
        about("hologram.delta", 0, content_index=0, delta=1),
        about("content_part.done", 0, content_index=0, part={"type": "hologram", "depth": 1}),
        about("refusal.delta", 0, content_index=1, delta="Not that."),
        done(0, item),
    ]
    events = decode_stream(wire(CREATED, *frames, completed(item)))
    told = collect(events)
    assert outlined(told) == outlined(dialect.decode_response({**RESPONSE, "output": [item]}))
    assert isinstance(told.message.parts[0], ProviderPart)
    again = bodies(encode_stream(events))
    assert again[-1]["response"]["output"] == [item]
    assert collect(decode_stream(encode_stream(events))) == told


def test_all_event_types_of_the_official_sdk_survive():
    openai = pytest.importorskip("openai")
    folder = Path(openai.__file__).parent / "types" / "responses"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*_event.py")))
    types = set(re.findall(r'type: Literal\["((?:response\.|error)[a-z_.]*)"\]', text))
    assert len(types) > 60
    modelled = set(type(dialect.event_decoder(ANY))._handlers)
    # What is modelled has its own tests; all the others pass as they are.
    for kind in sorted((types | {"keepalive", "response.a_future_event"}) - modelled):
        event = {"type": kind, "output_index": 0, "item_id": "x", "sequence_number": 9, "detail": {"a": [None, "é"]}}
        events = decode_stream(wire(CREATED, PROGRESS, event, completed()))
        assert outline(events)[-1] == kind
        frame = encode_stream(events)[2]
        assert frame.event == kind
        assert json.loads(frame.data) == {**event, "sequence_number": 2}


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "response.created"}, "response"),
        ({"type": "response.completed", "response": {"output": 3}}, "response.output"),
        ({"type": "response.completed", "response": {"output": [3]}}, "response.output[]"),
        ({"type": "response.completed", "response": {"usage": {"input_tokens": "x"}}}, "response.usage.input_tokens"),
        (about("output_text.delta", 0, content_index=0, delta=3), "delta"),
        (about("output_text.delta", 0, content_index=0), "delta"),
        (about("output_text.delta", 0, delta="x"), "content_index"),
        ({"type": "response.output_text.delta", "content_index": 0, "delta": "x"}, "output_index"),
        (about("refusal.delta", [], content_index=0, delta="x"), "output_index"),
        (about("function_call_arguments.delta", 0, delta={}), "event.delta"),
        (about("reasoning_summary_text.delta", 0, summary_index="x", delta="x"), "summary_index"),
        (about("content_part.added", 0, content_index=0, part=3), "part"),
        (added(0, []), "item"),
        (added(0, {"type": "function_call", "name": "n"}), "item.call_id"),
        (
            done(0, {"type": "message", "role": "assistant", "content": [{"type": "output_text"}]}),
            "item.content[0].text",
        ),
    ],
)
def test_wrong_shapes_are_named(frame, field):
    with pytest.raises(MalformedBody) as caught:
        decode_stream(wire(CREATED, frame))
    assert caught.value.field == field


def test_a_reply_that_begins_in_a_wrong_shape():
    with pytest.raises(MalformedBody) as caught:
        decode_stream(wire({"type": "response.created", "response": {"id": 3}}))
    assert caught.value.field == "id"


@pytest.mark.parametrize("data", ["{", "[]", "3", "null", "\ud800"])
def test_events_that_are_no_objects(data):
    with pytest.raises(MalformedBody):
        dialect.event_decoder(ANY).feed(SSE("x", data))


def test_a_piece_for_a_part_that_is_over():
    frames = text_frames(0, "a", item={**MESSAGE, "content": MESSAGE["content"][:1]})[:-1]
    frames.append(about("content_part.added", 0, content_index=1, part={"type": "refusal", "refusal": ""}))
    frames.append(about("output_text.delta", 0, content_index=0, delta="b"))
    with pytest.raises(MalformedBody):
        decode_stream(wire(CREATED, *frames))


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_pieces_may_be_cut_anywhere(text, arguments):
    item = {**CUSTOM_CALL, "input": "".join(arguments)}
    message = {**MESSAGE, "content": [{**MESSAGE["content"][0], "text": "".join(text)}]}
    frames = [
        *text_frames(0, *text, item=message),
        *call_frames(1, item, *arguments, name="custom_tool_call_input", key="input"),
    ]
    events = decode_stream(wire(CREATED, *frames, completed(message, item)))
    told = collect(events)
    assert told.message == dialect.decode_response({**RESPONSE, "output": [message, item]}).message
    assert [event.block for event in events if isinstance(event, BlockStart)] == [0, 1]
    assert isinstance(told.message.parts[1], ToolCallPart)
    assert collect(decode_stream(encode_stream(events))) == told

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE, SSEParser
from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Other,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    FULL,
    NAME,
    STOP,
    block,
    decode,
    delta,
    encode,
    sse,
    start,
    text,
)


def test_a_plain_reply():
    events = decode(start(), sse("ping"), *text(0, "Le", "", "ft"), delta(), STOP)
    assert events[0] == ReplyStart("msg_1", "claude-x", wire=Wire(NAME))
    assert events[1] == UsageUpdate(Usage(input=5, output=1))
    assert events[2] == Other(NAME, "ping", {"type": "ping"})
    assert events[3:7] == [BlockStart(0, TextPart("")), TextDelta("Le", 0), TextDelta("ft", 0), BlockEnd(0)]
    assert events[7:] == [
        UsageUpdate(Usage(input=5, output=9)),
        Finish("stop", wire=Wire(NAME, {}, "end_turn")),
        ReplyEnd(),
    ]


def test_thoughts_and_their_signature():
    thinking = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "signature_delta", "signature": "s+/="},
    )
    redacted = block(1, {"type": "redacted_thinking", "data": "opaque"})
    completion = collect(decode(start(), *thinking, *redacted, delta(), STOP))
    assert completion.message.parts == [
        ReasoningPart("Hm", wire=Wire(NAME, {"signature": "s+/="})),
        ReasoningPart(redacted=True, wire=Wire(NAME, {"data": "opaque"})),
    ]


@pytest.mark.parametrize(
    ("given_input", "pieces", "arguments"),
    [
        ({}, [""], ""),
        ({}, [], ""),
        ({}, ['{"a"', ": 1}"], '{"a": 1}'),
        ({"a": 1}, [], '{"a":1}'),
        ({"a": 1}, ['{"b": 2}'], '{"b": 2}'),
    ],
)
def test_arguments_of_a_tool(given_input, pieces, arguments):
    content = {"type": "tool_use", "id": "t", "name": "f", "input": given_input, "caller": {"type": "direct"}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    events = decode(start(), *block(0, content, *deltas), delta("tool_use"), STOP)
    assert collect(events).tool_calls == [
        ToolCallPart("t", "f", arguments, wire=Wire(NAME, {"caller": {"type": "direct"}}))
    ]
    assert not any(isinstance(event, ArgumentsDelta) and not event.arguments for event in events)


def test_citations_add_up():
    first, second = {"type": "char_location", "cited_text": "a"}, {"type": "char_location", "cited_text": "b"}
    cited = block(
        0,
        {"type": "text", "text": "", "citations": []},
        {"type": "citations_delta", "citation": first},
        {"type": "text_delta", "text": "x"},
        {"type": "citations_delta", "citation": second},
    )
    frames = [start(), *cited, delta(), STOP]
    completion = collect(decode(*frames))
    assert completion.message.parts == [TextPart("x", wire=Wire(NAME, {"citations": [first, second]}))]
    again, _ = encode(decode(*frames))
    assert collect(decode(*again)) == completion
    assert sum("citations_delta" in frame.data for frame in again) == 2


def test_content_that_only_anthropic_understands_comes_whole():
    search = block(
        0,
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query":'},
        {"type": "input_json_delta", "partial_json": ' "q"}'},
    )
    compaction = block(1, {"type": "compaction", "content": None}, {"type": "compaction_delta", "content": "short"})
    unknown = block(2, {"type": "tomorrow", "text": "a"}, {"type": "tomorrow_delta", "text": "b", "more": [1]})
    cut = block(
        3,
        {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
        {"type": "input_json_delta", "partial_json": "{"},
    )
    completion = collect(decode(start(), *search, *compaction, *unknown, *cut, delta("max_tokens"), STOP))
    assert [part.data for part in completion.message.parts] == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "compaction", "content": "short"},
        {"type": "tomorrow", "text": "ab", "more": [1]},
        {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
    ]
    frames, lost = encode(decode(start(), *search, delta(), STOP))
    assert not lost
    assert json.loads(frames[1].data)["content_block"]["input"] == {}
    assert json.loads(json.loads(frames[2].data)["delta"]["partial_json"]) == {"query": "q"}


def test_usage_is_cumulative_and_overrides_the_start():
    first = {
        "input_tokens": 5,
        "output_tokens": 1,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
    frames = [
        start(usage=first),
        *text(0, "x"),
        delta(None, {"output_tokens": 4}),
        delta(
            "end_turn",
            {
                "input_tokens": 50,
                "output_tokens": 7,
                "cache_creation_input_tokens": 25,
                "cache_read_input_tokens": None,
            },
        ),
        STOP,
    ]
    usage = collect(decode(*frames)).usage
    assert usage == Usage(input=50, output=7, cache_write=15, cache_write_5m=10, cache_write_1h=0)
    assert usage.raw["service_tier"] == "standard"
    smaller = [start(usage=first), delta("end_turn", {"output_tokens": 7, "cache_creation_input_tokens": 3}), STOP]
    assert collect(decode(*smaller)).usage == Usage(input=5, output=7, cache_write=3)
    assert collect(decode(*encode(decode(*frames))[0])).usage == usage


def test_what_comes_with_the_stop_reason_survives():
    last = sse(
        "message_delta",
        delta={"stop_reason": "stop_sequence", "stop_sequence": "END", "stop_details": None, "container": {"id": "c"}},
        usage={"output_tokens": 3},
        context_management={"applied_edits": []},
    )
    completion = collect(decode(start(), *text(0, "x"), last, STOP))
    assert (completion.finish_reason, completion.choices[0].stop_sequence) == ("stop", "END")
    encoded = dialect.encode_response(completion, Loss(on_lossy="error"))
    assert encoded["stop_reason"] == "stop_sequence"
    assert encoded["stop_details"] is None
    assert encoded["container"] == {"id": "c"}
    frames, _ = encode(decode(start(), *text(0, "x"), last, STOP))
    assert json.loads(frames[-2].data)["delta"] == json.loads(last.data)["delta"]
    assert json.loads(frames[-2].data)["context_management"] == {"applied_edits": []}


def test_a_reply_whose_start_holds_everything():
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}
    events = decode(start(content=[call], stop_reason="tool_use"), STOP)
    completion = collect(events)
    assert completion.tool_calls == [ToolCallPart("t", "f", '{"x":1}')]
    assert completion.finish_reason == "tool_calls"
    assert isinstance(events[-1], ReplyEnd)


@pytest.mark.parametrize(
    "frames",
    [
        [start(), *text(0, "x")],
        [start(), *text(0, "x"), delta()],
        [start(), *text(0, "x"), delta(None), STOP],
        [start(), *text(0, "x"), STOP],
    ],
)
def test_a_stream_without_its_end_is_not_whole(frames):
    assert not any(isinstance(event, ReplyEnd) for event in decode(*frames))


def test_what_follows_the_end_is_ignored():
    whole = [start(), *text(0, "x"), delta(), STOP]
    assert decode(*whole, sse("ping"), SSE("x", "rubbish"), *whole) == decode(*whole)


def test_an_error_inside_the_stream():
    error = sse("error", error={"type": "overloaded_error", "message": "m"}, request_id="req_1")
    events = decode(start(), *text(0, "x"), error, *text(1, "y"), STOP)
    assert isinstance(events[-1], StreamError)
    info = events[-1].error
    assert (info.status, info.kind, info.request_id, info.message) == (529, "overloaded", "req_1", "m")
    assert decode(error) == [StreamError(info)]


def test_a_repeated_start_is_ignored_and_another_message_is_an_error():
    assert decode(start(), start(), *text(0, "x"), delta(), STOP) == decode(start(), *text(0, "x"), delta(), STOP)
    events = decode(start(), start(id="msg_2"), *text(0, "x"), delta(), STOP)
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind == "server"


def test_servers_that_leave_frames_out():
    opened = sse("content_block_start", index=0, content_block={"type": "text", "text": "Hi"})
    events = decode(sse("ping"), opened, *text(1, "there"), delta(), STOP)
    assert isinstance(events[0], ReplyStart)
    assert collect(events).text == "Hithere"
    assert events.count(BlockEnd(0)) == 1
    again = sse("content_block_start", index=0, content_block={"type": "text", "text": "2"})
    assert [part.text for part in collect(decode(start(), opened, again, delta(), STOP)).message.parts] == ["Hi", "2"]
    assert collect(decode(start(), SSE("", STOP.data))).choices == []


def test_unknown_events_and_deltas_survive():
    strange = sse("progress", percent=3)
    odd = {"type": "sparkle_delta", "sparkle": 1}
    events = decode(start(), strange, *block(0, {"type": "text", "text": ""}, odd), delta(), STOP)
    assert Other(NAME, "progress", {"type": "progress", "percent": 3}) in events
    frames, lost = encode(events)
    assert [json.loads(frame.data)["percent"] for frame in frames if frame.event == "progress"] == [3]
    assert not lost
    assert [json.loads(frame.data)["delta"] for frame in frames if "sparkle" in frame.data] == [odd]


@pytest.mark.parametrize(
    "frame",
    [
        SSE("content_block_delta", "{broken"),
        SSE("content_block_delta", "[]"),
        sse("content_block_delta", index=7, delta={"type": "text_delta", "text": "x"}),
        sse("content_block_delta", index=[], delta={"type": "text_delta", "text": "x"}),
        sse("content_block_delta", index=0, delta=None),
        sse("content_block_delta", index=0, delta={"type": "text_delta"}),
        sse("content_block_start", index="0", content_block={"type": "text", "text": ""}),
        sse("content_block_start", index=1, content_block={"type": "text", "text": 3}),
        sse("content_block_start", index=1, content_block=None),
        sse("content_block_stop", index=None),
        sse("message_delta", delta=[], usage={}),
        sse("message_delta", delta={"stop_reason": 1}, usage={}),
        sse("message_delta", delta={}, usage={"output_tokens": "9"}),
        sse("message_start", message=3),
        SSE("message_start", json.dumps({"type": "message_start"})),
    ],
)
def test_wrong_shapes_are_malformed(frame):
    opened = sse("content_block_start", index=0, content_block={"type": "text", "text": ""})
    before = [] if frame.event == "message_start" else [start(), opened]
    with pytest.raises(MalformedBody):
        decode(*before, frame)


values = st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3) | st.just({}) | st.just([])
keys = st.sampled_from(["type", "index", "delta", "content_block", "message", "usage", "text", "error", "stop_reason"])
kinds = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
)
rubbish = st.dictionaries(keys, values | st.dictionaries(keys, values | kinds, max_size=3), max_size=4)


@given(st.lists(st.tuples(kinds, rubbish), max_size=8))
def test_rubbish_is_malformed_or_decoded_but_never_crashes(frames):
    decoder = dialect.event_decoder(ANY)
    events = []
    for kind, fields in frames:
        try:
            events.extend(decoder.feed(SSE(kind, json.dumps({"type": kind} | fields))))
        except MalformedBody:
            return
    assert not events or isinstance(events[0], (ReplyStart, StreamError))
    collect(events)


@given(st.data())
def test_bytes_may_be_cut_anywhere(data):
    raw = "".join(
        f"event: {frame.event}\ndata: {json.dumps(json.loads(frame.data), ensure_ascii=False)}\n\n" for frame in FULL
    ).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    parser = SSEParser()
    frames = []
    for left, right in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        frames.extend(parser.feed(raw[left:right]))
    assert decode(*frames, *parser.finish()) == decode(*FULL)


def test_nulls_in_later_reports_do_not_take_back_what_is_known():
    folded = block(0, {"type": "tomorrow", "text": "a"}, {"type": "tomorrow_delta", "text": None, "fresh": None})
    last = sse("message_delta", delta={"stop_reason": "end_turn", "container": None}, usage={"output_tokens": None})
    first = sse("message_delta", delta={"container": {"id": "c"}}, usage={"output_tokens": 3})
    completion = collect(decode(start(), *folded, first, last, sse("content_block_stop", index=5), STOP))
    assert completion.message.parts[0].data == {"type": "tomorrow", "text": "a", "fresh": None}
    assert completion.choices[0].wire.fields["container"] == {"id": "c"}
    assert completion.usage.output == 3


def test_a_breakdown_of_an_odd_shape_is_malformed_not_fatal():
    odd = {"input_tokens": 1, "output_tokens": 1, "cache_creation": {}, "cache_creation_input_tokens": 2}
    assert (
        collect(decode(start(usage=odd), delta("end_turn", {"cache_creation_input_tokens": 4}), STOP)).usage.cache_write
        == 4
    )
    with pytest.raises(MalformedBody, match="usage"):
        decode(start(usage={**odd, "cache_creation": 3}), delta("end_turn", {"cache_creation_input_tokens": 4}), STOP)

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
    Choice,
    Completion,
    ErrorInfo,
    Finish,
    MediaPart,
    Message,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    Request,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)

NAME = dialect.NAME


def sse(type_, **fields):
    return SSE(type_, json.dumps({"type": type_, **fields}))


def start(**fields):
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
        **fields,
    }
    return sse("message_start", message=message)


def block(index, content, *deltas):
    return [
        sse("content_block_start", index=index, content_block=content),
        *(sse("content_block_delta", index=index, delta=delta) for delta in deltas),
        sse("content_block_stop", index=index),
    ]


def text(index, *pieces):
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def delta(reason="end_turn", usage=None, **fields):
    counts = {"output_tokens": 9} if usage is None else usage
    return sse("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=counts, **fields)


STOP = sse("message_stop")


def decode(*frames):
    decoder = dialect.event_decoder(ANY)
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.finish()


def encode(events, **policy):
    loss = Loss(**policy)
    encoder = dialect.event_encoder(Request(model="asked", messages=[]), loss)
    frames = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    assert all(frame.event == json.loads(frame.data)["type"] for frame in frames)
    return frames, [f"{item.action} {item.field}" for item in loss.items]


def shape(frames):
    """Types of the frames, with the index of the block where there is one."""
    data = [json.loads(frame.data) for frame in frames]
    return [f"{item['type']} {item['index']}" if "index" in item else item["type"] for item in data]


def reply(*parts, finish="stop", **fields):
    return Completion("msg_1", "claude-x", [Choice(Message("assistant", list(parts)), finish)], **fields)


# --- decoding


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


FULL = [
    start(),
    sse("ping"),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Ich überlege \u2028"},
        {"type": "signature_delta", "signature": "sig=="},
    ),
    *text(1, "Grüße ", "🎈"),
    *block(
        2,
        {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"stadt": "Kö'},
        {"type": "input_json_delta", "partial_json": 'ln"}'},
    ),
    delta("tool_use", {"input_tokens": 11, "output_tokens": 30}),
    STOP,
]


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


# --- encoding


def test_frames_of_a_plain_reply():
    frames, lost = encode(
        [
            ReplyStart("chatcmpl-1", "other"),
            BlockStart(0, TextPart("")),
            TextDelta("Hi \u2028", 0),
            TextDelta("", 0),
            BlockEnd(0),
            Finish("stop"),
            UsageUpdate(Usage(input=7, cache_read=3, output=2)),
            ReplyEnd(),
        ]
    )
    assert not lost
    assert [json.loads(frame.data) for frame in frames] == [
        {
            "type": "message_start",
            "message": {
                "id": "chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "model": "other",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi \u2028"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    assert all(frame.data.isascii() for frame in frames)


def test_an_answer_that_names_no_id_and_no_model():
    frames, _ = encode([ReplyStart(), ReplyEnd()])
    message = json.loads(frames[0].data)["message"]
    assert (message["id"], message["model"]) == ("msg_1", "asked")
    assert shape(frames) == ["message_start", "message_delta", "message_stop"]


def test_interleaved_blocks_are_written_one_after_the_other():
    frames, _ = encode(
        [
            ReplyStart("c", "m"),
            BlockStart(0, ToolCallPart("a", "f")),
            BlockStart(1, ToolCallPart("b", "g")),
            ArgumentsDelta("[1", 1),
            ArgumentsDelta('{"x"', 0),
            BlockStart(2, TextPart("")),
            TextDelta("late", 2),
            BlockEnd(1),
            ArgumentsDelta(":1}", 0),
            BlockEnd(0),
            TextDelta("r", 2),
            BlockEnd(2),
            Finish("tool_calls"),
            ReplyEnd(),
        ]
    )
    assert shape(frames) == [
        "message_start",
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "content_block_start 1",
        "content_block_delta 1",
        "content_block_stop 1",
        "content_block_start 2",
        "content_block_delta 2",
        "content_block_delta 2",
        "content_block_stop 2",
        "message_delta",
        "message_stop",
    ]
    assert collect(decode(*frames)).text == "later"


def test_blocks_that_nobody_closed_are_closed():
    frames, _ = encode(
        [ReplyStart(), BlockStart(0, TextPart("")), BlockStart(1, TextPart("b")), TextDelta("a", 0), ReplyEnd()]
    )
    assert [part.text for part in collect(decode(*frames)).message.parts] == ["a", "b"]


def test_a_reply_that_breaks_off_gets_no_terminator():
    frames, _ = encode([ReplyStart(), BlockStart(0, TextPart("")), TextDelta("a", 0), BlockStart(1, TextPart("b"))])
    assert shape(frames)[-1] == "content_block_stop 1"
    assert not any(isinstance(event, ReplyEnd) for event in decode(*frames))
    assert encode([ReplyStart()])[0] == []


def test_errors_in_the_stream():
    error = ErrorInfo(503, "busy", kind="overloaded")
    frames, _ = encode([ReplyStart(), StreamError(error), BlockStart(0, TextPart("x")), ReplyEnd()])
    assert frames == dialect.encode_stream_error(error)
    assert [json.loads(frame.data) for frame in frames] == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": None}
    ]


def test_what_a_reply_from_elsewhere_holds_and_this_format_does_not():
    frames, lost = encode(
        [
            ReplyStart("c", "m"),
            Other("openai_responses", "x", {}),
            BlockStart(0, ReasoningPart(wire=Wire("openai_responses", {"encrypted_content": "x"}))),
            BlockEnd(0, wire=Wire("openai_responses", {"id": "rs"})),
            BlockStart(1, ReasoningPart()),
            ReasoningDelta("hm", 1),
            BlockEnd(1),
            BlockStart(2, RefusalPart("No")),
            TextDelta("!", 2),
            BlockEnd(2),
            BlockStart(3, ProviderPart("openai_responses", {"type": "web_search_call"})),
            BlockEnd(3),
            BlockStart(4, MediaPart("audio", data="AAAA")),
            BlockEnd(4),
            BlockStart(5, TextPart("")),
            BlockEnd(5, wire=Wire("openai_responses", {"annotations": [{}]})),
            BlockStart(0, TextPart("other choice"), choice=1),
            TextDelta("x", 0, choice=1),
            Finish("stop", choice=1),
            Finish("error"),
            ReplyEnd(),
        ]
    )
    completion = collect(decode(*frames))
    assert [(type(part).__name__, part.text) for part in completion.message.parts] == [
        ("ReasoningPart", "hm"),
        ("TextPart", "No!"),
        ("TextPart", ""),
    ]
    assert '"aistrale:unsigned"' in frames[3].data
    assert lost == [
        "dropped choices[0].message.parts[0]",
        "emulated choices[0].message.parts[2]",
        "dropped choices[0].message.parts[3]",
        "dropped choices[0].message.parts[4]",
        "dropped choices[0].message.parts",
        "dropped choices",
        "emulated choices[0].finish_reason",
    ]


def test_a_whole_answer_becomes_a_stream():
    cited = {"type": "char_location", "cited_text": "a"}
    completion = reply(
        ReasoningPart("hm", wire=Wire(NAME, {"signature": "s"})),
        ReasoningPart(redacted=True, wire=Wire(NAME, {"data": "d"})),
        TextPart("Hi", wire=Wire(NAME, {"citations": [cited]})),
        ProviderPart(NAME, {"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": [1]}}),
        ToolCallPart("t", "f", '{"a":1}'),
        finish="tool_calls",
        usage=Usage(input=1, output=2),
    )
    again = collect(decode(*encode([Whole(completion)])[0]))
    assert again.choices[0].message == completion.choices[0].message
    assert again.usage == completion.usage
    assert again.finish_reason == "tool_calls"


@st.composite
def interleavings(draw):
    """Parts of an answer, and their events in any order that is well-formed."""
    parts = draw(
        st.lists(
            st.one_of(
                st.builds(TextPart, st.text(max_size=6)),
                st.builds(ReasoningPart, st.text(min_size=1, max_size=6)),
                st.builds(lambda n: ToolCallPart(f"c{n}", "f", json.dumps({"n": n})), st.integers(0, 99)),
            ),
            max_size=4,
        )
    )
    queues = []
    for number, part in enumerate(parts):
        whole = part.arguments if isinstance(part, ToolCallPart) else part.text
        cut = draw(st.integers(0, len(whole)))
        make = {TextPart: TextDelta, ReasoningPart: ReasoningDelta, ToolCallPart: ArgumentsDelta}[type(part)]
        empty = ToolCallPart(part.id, part.name) if isinstance(part, ToolCallPart) else type(part)("")
        queues.append(
            [BlockStart(number, empty), make(whole[:cut], number), make(whole[cut:], number), BlockEnd(number)]
        )
    events, opened = [ReplyStart("c", "m")], 0
    while any(queues):
        ready = [queue for number, queue in enumerate(queues) if queue and number <= opened]
        queue = draw(st.sampled_from(ready))
        if len(queue) == 4:
            opened += 1
        events.append(queue.pop(0))
    return parts, [*events, Finish("stop"), ReplyEnd()]


@given(interleavings())
def test_any_order_of_blocks_says_the_same(case):
    parts, events = case
    frames, _ = encode(events)
    unsigned = collect(decode(*frames))
    assert [type(part) for part in unsigned.message.parts] == [type(part) for part in parts]
    for got, wanted in zip(unsigned.message.parts, parts, strict=True):
        if isinstance(wanted, ToolCallPart):
            assert (got.id, got.arguments) == (wanted.id, wanted.arguments)
        else:
            assert got.text == wanted.text
    indices = [json.loads(frame.data)["index"] for frame in frames if frame.event.startswith("content_block")]
    assert indices == sorted(indices)


# --- what the official SDK makes of it


def sdk(handler):
    anthropic = pytest.importorskip("anthropic")
    httpx2 = pytest.importorskip("httpx2")
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return anthropic.Anthropic(api_key="key", base_url="http://127.0.0.1:1", http_client=http, max_retries=0)


def stream_of(frames):
    return "".join(f"event: {frame.event}\ndata: {frame.data}\n\n" for frame in frames).encode()


def accumulate(frames):
    """The message that the SDK's own helper builds from our frames."""
    httpx2 = pytest.importorskip("httpx2")
    answered = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream_of(frames))
    with (
        sdk(lambda request: answered) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream,
    ):
        return stream.get_final_message()


FOREIGN = [
    ReplyStart("chatcmpl-1", "other-model"),
    BlockStart(0, ReasoningPart()),
    ReasoningDelta("Hm", 0),
    BlockEnd(0),
    BlockStart(1, TextPart("")),
    TextDelta("o", 1),
    TextDelta("k", 1),
    BlockEnd(1),
    BlockStart(2, ToolCallPart("call_1", "get")),
    BlockStart(3, ToolCallPart("call_2", "get")),
    ArgumentsDelta('{"a":', 3),
    ArgumentsDelta('{"a":1}', 2),
    ArgumentsDelta("2}", 3),
    BlockEnd(2),
    BlockEnd(3),
    BlockStart(4, ToolCallPart("call_3", "now")),
    BlockEnd(4),
    Finish("tool_calls"),
    UsageUpdate(Usage(input=12, cache_read=4, output=8, reasoning=3)),
    ReplyEnd(),
]


@pytest.mark.parametrize("events", [FOREIGN, decode(*FULL)])
def test_the_sdk_accumulates_what_the_hub_says(events):
    completion = collect(events)
    message = accumulate(encode(events)[0])
    told = dialect.decode_response(json.loads(message.model_dump_json(exclude_unset=True)))
    assert (message.id, message.model) == (completion.id, completion.model)
    assert told.text == completion.text
    assert told.reasoning == completion.reasoning
    assert [(c.id, c.name, c.input) for c in told.tool_calls] == [
        (c.id, c.name, c.input) for c in completion.tool_calls
    ]
    assert told.finish_reason == completion.finish_reason
    assert (told.usage.input, told.usage.cache_read) == (completion.usage.input, completion.usage.cache_read)
    assert told.usage.output_total == completion.usage.output_total
    whole = accumulate(encode([Whole(completion)])[0])
    assert whole.content == message.content


def test_the_sdk_parses_whole_answers():
    httpx2 = pytest.importorskip("httpx2")
    body = dialect.encode_response(collect(FOREIGN), Loss())
    with sdk(lambda request: httpx2.Response(200, json=body)) as client:
        message = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    type(message).model_validate(body, strict=True)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use", "tool_use"]
    assert message.content[2].input == {"a": 1}
    assert message.usage.input_tokens == 12


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (429, ErrorInfo(429, "slow", kind="rate_limit"), "RateLimitError"),
        (529, ErrorInfo(None, "busy", kind="overloaded"), "OverloadedError"),
        (401, ErrorInfo(400, "bad key", kind="authentication"), "AuthenticationError"),
        (404, ErrorInfo(404, "no model", kind="model_not_found"), "NotFoundError"),
    ],
)
def test_the_sdk_raises_its_own_errors(status, error, name):
    anthropic = pytest.importorskip("anthropic")
    httpx2 = pytest.importorskip("httpx2")
    told, body = dialect.encode_error(error)
    assert told == status
    with (
        sdk(lambda request: httpx2.Response(told, json=body)) as client,
        pytest.raises(getattr(anthropic, name), match=error.message),
    ):
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])


def test_the_sdk_raises_an_error_inside_a_stream():
    anthropic = pytest.importorskip("anthropic")
    frames, _ = encode([*FOREIGN[:7], StreamError(ErrorInfo(500, "broke", kind="server"))])
    with pytest.raises(anthropic.APIStatusError, match="broke"):
        accumulate(frames)

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.dialects import anthropic_messages as dialect
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    ErrorInfo,
    Finish,
    MediaPart,
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
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    NAME,
    decode,
    encode,
    reply,
    shape,
)


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
        "dropped choices[0].message.parts[5].annotations",
        "dropped choices",
        "emulated choices[0].finish_reason",
        "emulated usage",
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


def test_deltas_that_their_block_does_not_take_say_nothing():
    frames, _ = encode(
        [
            ReplyStart(),
            Other(NAME, "ping", {"type": "ping"}),
            Other(NAME, "content_block_delta", {"type": "content_block_delta", "index": 4, "delta": {"type": "odd"}}),
            TextDelta("nowhere", 9),
            BlockStart(0, MediaPart("image", data="iVBO")),
            TextDelta("muted", 0),
            BlockEnd(0),
            BlockStart(1, object()),
            BlockEnd(1),
            ReplyEnd(),
            BlockStart(2, TextPart("after the end")),
        ]
    )
    assert shape(frames) == ["message_start", "ping", "message_delta", "message_stop"]


def test_a_search_that_was_not_streamed_keeps_its_citations():
    part = TextPart("x", wire=Wire(NAME, {"citations": None}))
    frames, _ = encode([ReplyStart(), BlockStart(0, part), BlockEnd(0), ReplyEnd()])
    assert json.loads(frames[1].data)["content_block"] == {"type": "text", "text": "", "citations": None}


def test_sources_in_the_start_of_a_foreign_block_are_reported():
    part = TextPart("x", wire=Wire("openai_chat", {"annotations": [{"type": "url_citation"}]}))
    _, lost = encode([ReplyStart(), BlockStart(0, part), BlockEnd(0), Finish("stop"), ReplyEnd()])
    assert lost == ["dropped choices[0].message.parts[0].annotations", "emulated usage"]

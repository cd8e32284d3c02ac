"""Events of any origin as Gemini's chunks."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.core.reply import collect
from aistrale.core.sse import SSE
from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import ANY, Loss
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Embedded,
    Embeddings,
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


def chunk(*parts, finish=None, index=None, **top):
    candidate = {"content": {"parts": list(parts), "role": "model"}}
    if finish is not None:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], **top}


def decode(*chunks):
    decoder = gemini.event_decoder(ANY)
    events = []
    for body in chunks:
        events += decoder.feed(SSE("", body if isinstance(body, str) else json.dumps(body)))
    return events + decoder.finish()


def encode(*events, loss=None):
    encoder = gemini.event_encoder(Request(model="m", messages=[]), loss or Loss())
    frames = [frame for event in events for frame in encoder.feed(event)]
    return frames + encoder.finish()


def bodies(frames):
    assert all(frame.event == "" for frame in frames)
    return [json.loads(frame.data) for frame in frames]


def parts(frames):
    candidates = [candidate for body in bodies(frames) for candidate in body.get("candidates", [])]
    return [part for candidate in candidates for part in candidate["content"]["parts"]]


STOP = chunk({"text": ""}, finish="STOP")


def test_the_frames_of_an_answer_from_elsewhere():
    frames = encode(
        ReplyStart("msg_1", "claude", 9, wire=Wire("anthropic_messages", {"x": 1})),
        BlockStart(0, ReasoningPart(wire=Wire("anthropic_messages"))),
        ReasoningDelta("hm", 0),
        BlockEnd(0, wire=Wire("anthropic_messages", {"signature": "s"})),
        BlockStart(1, TextPart("")),
        TextDelta("o", 1),
        TextDelta("", 1),
        TextDelta("k", 1),
        BlockEnd(1),
        BlockStart(2, ToolCallPart("toolu_1", "get")),
        ArgumentsDelta('{"a"', 2),
        BlockStart(3, ToolCallPart("toolu_2", "get")),
        ArgumentsDelta('{"a":2}', 3),
        ArgumentsDelta(":1}", 2),
        BlockEnd(3),
        BlockEnd(2),
        Finish("tool_calls"),
        UsageUpdate(Usage(input=3, output=4)),
        ReplyEnd(),
    )
    head = {"modelVersion": "claude", "responseId": "msg_1", "createTime": "1970-01-01T00:00:09Z"}

    def frame(part):
        return {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}], **head}

    assert bodies(frames) == [
        frame({"text": "hm", "thought": True}),
        frame({"text": "o"}),
        frame({"text": "k"}),
        frame({"functionCall": {"name": "get", "id": "toolu_2", "args": {"a": 2}}}),
        frame({"functionCall": {"name": "get", "id": "toolu_1", "args": {"a": 1}}}),
        {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
            **head,
        },
    ]


def test_what_is_known_at_the_start_of_a_block_is_written():
    loss = Loss()
    frames = encode(
        ReplyStart(),
        BlockStart(0, TextPart("a")),
        BlockEnd(0),
        BlockStart(1, ReasoningPart("b")),
        BlockEnd(1),
        BlockStart(2, ToolCallPart("c", "f", '{"x":1}')),
        BlockEnd(2),
        BlockStart(3, RefusalPart("d")),
        BlockEnd(3),
        BlockStart(4, MediaPart("image", data="aGk=", media_type="image/png")),
        BlockEnd(4),
        BlockStart(5, ReasoningPart(redacted=True)),
        BlockEnd(5),
        BlockStart(6, ProviderPart("openai_responses", {"type": "x"})),
        BlockEnd(6),
        Finish("tool_calls"),
        loss=loss,
    )
    assert parts(frames) == [
        {"text": "a"},
        {"text": "b", "thought": True},
        {"functionCall": {"name": "f", "id": "c", "args": {"x": 1}}},
        {"text": "d"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"text": ""},
    ]
    assert [item.action for item in loss.items] == ["emulated", "dropped", "dropped"]


def test_a_call_that_was_never_closed_is_written_at_the_end():
    frames = encode(ReplyStart(), BlockStart(0, ToolCallPart("c", "f")), ArgumentsDelta("{}", 0), Finish("tool_calls"))
    assert parts(frames)[0] == {"functionCall": {"name": "f", "id": "c", "args": {}}}


def test_own_state_goes_out_again():
    chunks = [
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "", "thought": True, "thoughtSignature": "YQ=="}),
        chunk({"text": "Hi"}),
        chunk({"text": "", "thoughtSignature": "Yg=="}),
        chunk({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "Yw=="}),
        chunk({"thought": True, "thoughtSignature": "ZA=="}),
        STOP,
    ]
    first = decode(*chunks)
    frames = encode(*first)
    assert [part for body in chunks for part in body["candidates"][0]["content"]["parts"]] == parts(frames)
    assert collect(decode(*bodies(frames))) == collect(first)


def test_an_unfinished_answer_gets_no_last_chunk():
    assert len(encode(ReplyStart(), BlockStart(0, TextPart("")), TextDelta("a", 0))) == 1
    assert encode(ReplyStart()) == []


def test_the_last_chunk_is_written_once():
    encoder = gemini.event_encoder(Request(model="m", messages=[]), Loss())
    assert encoder.feed(Finish("stop")) == []
    assert len(encoder.feed(ReplyEnd())) == 1
    assert encoder.finish() == []
    assert encoder.feed(TextDelta("late")) == []


def test_a_blocked_prompt_goes_out_again():
    feedback = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "modelVersion": "g",
        "usageMetadata": {"promptTokenCount": 1},
    }
    assert bodies(encode(*decode(feedback))) == [feedback]


def test_an_error_ends_the_encoding():
    error = ErrorInfo(529, "Too much.", kind="overloaded")
    frames = encode(ReplyStart(), StreamError(error), Finish("stop"), ReplyEnd())
    assert bodies(frames) == [{"error": {"code": 503, "message": "Too much.", "status": "UNAVAILABLE"}}]
    assert frames == gemini.encode_stream_error(error)


def test_a_whole_answer_is_one_chunk():
    completion = Completion(id="r", choices=[Choice(Message.assistant("Hi"), "stop")])
    assert bodies(encode(Whole(completion))) == [gemini.encode_response(completion, Loss())]


def test_events_without_a_place_are_passed_over():
    assert encode(Embedded(Embeddings()), Other("anthropic_messages", "ping"), Finish("stop"))[1:] == []
    assert bodies(encode(Other(gemini.NAME, data={"a": 1}))) == [{"a": 1}]


def test_cache_writes_are_reported():
    loss = Loss()
    encode(UsageUpdate(Usage(input=1, cache_write=2)), Finish("stop"), loss=loss)
    assert [item.field for item in loss.items] == ["usage.cache_write"]


def test_frames_are_ascii_without_event_names():
    (frame, _) = encode(TextDelta("é\u2028", 0), Finish("stop"))
    assert frame.event == ""
    assert frame.data.isascii()
    assert "\n" not in frame.data


BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3)),
        st.tuples(st.just("thought"), st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3)),
        st.tuples(
            st.just("call"), st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)
        ),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(BLOCKS, st.data())
def test_interleaved_blocks_from_elsewhere_say_the_same_after_encoding(blocks, data):
    queues = []
    for number, (kind, content) in enumerate(blocks):
        if kind == "text":
            queue = [BlockStart(number, TextPart("")), *(TextDelta(text, number) for text in content)]
        elif kind == "thought":
            queue = [BlockStart(number, ReasoningPart()), *(ReasoningDelta(text, number) for text in content)]
        else:
            text = json.dumps(content)
            cut = data.draw(st.integers(0, len(text)))
            queue = [
                BlockStart(number, ToolCallPart(f"c{number}", "f")),
                *(ArgumentsDelta(half, number) for half in (text[:cut], text[cut:])),
            ]
        queues.append([*queue, BlockEnd(number)])
    events = [ReplyStart("r", "m")]
    opened = 1
    while any(queues):
        ready = [queue for queue in queues[:opened] if queue] or [queues[opened]]
        queue = data.draw(st.sampled_from(ready))
        events.append(queue.pop(0))
        opened = max(
            opened,
            min(
                len(queues), 1 + max((event.block for event in events if isinstance(event, BlockStart)), default=0) + 1
            ),
        )
    events += [UsageUpdate(Usage(input=1, output=2)), Finish("stop"), ReplyEnd()]
    before, after = collect(events), collect(decode(*bodies(encode(*events))))
    written = [event.text for event in events if isinstance(event, TextDelta)]
    assert after.text == "".join(written)
    assert sorted(
        (call.id, call.input == before_call.input)
        for call in after.tool_calls
        for before_call in before.tool_calls
        if before_call.id == call.id
    ) == sorted((call.id, True) for call in before.tool_calls)
    assert after.usage == before.usage

"""Gemini's streams, decoded: what opens and closes blocks, what ends a reply, what is malformed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.core.reply import collect
from aistrale.core.sse import SSE
from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import ANY
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    MediaPart,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    Usage,
    UsageUpdate,
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


STOP = chunk({"text": ""}, finish="STOP")


def test_text_runs_on_until_the_end():
    events = decode(
        chunk({"text": "Hel"}, modelVersion="g", responseId="r", createTime="1970-01-01T00:00:09Z"),
        chunk({"text": "lo"}),
        chunk({"text": ""}, finish="MAX_TOKENS"),
    )
    assert events == [
        ReplyStart("r", "g", 9, Wire(gemini.NAME, {"createTime": "1970-01-01T00:00:09Z"})),
        BlockStart(0, TextPart("")),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        BlockEnd(0),
        Finish("length", 0, wire=Wire(gemini.NAME, {"finishReason": "MAX_TOKENS"})),
        ReplyEnd(Wire(gemini.NAME)),
    ]


def test_thoughts_and_text_are_blocks_of_their_own():
    events = decode(
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "", "thought": True}),
        chunk({"text": ".", "thought": True}, {"text": "Hi"}),
        chunk({"text": "again", "thought": True}),
        STOP,
    )
    completion = collect(events)
    assert [(type(part).__name__, part.text) for part in completion.message.parts] == [
        ("ReasoningPart", "hm."),
        ("TextPart", "Hi"),
        ("ReasoningPart", "again"),
    ]
    assert [event.block for event in events if isinstance(event, BlockStart)] == [0, 1, 2]


def test_a_signature_on_an_empty_text_belongs_to_the_text_before():
    completion = collect(decode(chunk({"text": "Hi"}), chunk({"text": "", "thoughtSignature": "YQ=="}, finish="STOP")))
    (part,) = completion.message.parts
    assert (part.text, part.wire.fields) == ("Hi", {"thoughtSignature": "YQ=="})


def test_a_signature_closes_its_block():
    events = decode(chunk({"text": "a", "thoughtSignature": "YQ=="}), chunk({"text": "b"}, finish="STOP"))
    first, second = collect(events).message.parts
    assert (first.text, second.text, second.wire) == ("a", "b", None)


def test_a_signature_without_any_text_is_kept():
    completion = collect(decode(chunk({"text": "", "thoughtSignature": "YQ=="}, finish="STOP")))
    (part,) = completion.message.parts
    assert isinstance(part, ReasoningPart)
    assert part.wire.fields == {"thoughtSignature": "YQ=="}
    assert completion.text == ""
    assert (
        collect(decode(chunk({"thought": True, "thoughtSignature": "YQ=="}, finish="STOP"))).message.parts[0].redacted
    )


def test_each_call_comes_whole():
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "YQ=="}
    events = decode(
        chunk({"text": "x"}), chunk(call, {"functionCall": {"id": "i", "name": "g"}}, responseId="late"), STOP
    )
    assert [type(event).__name__ for event in events] == [
        "ReplyStart",
        "BlockStart",
        "TextDelta",
        "BlockEnd",
        "BlockStart",
        "ArgumentsDelta",
        "BlockEnd",
        "BlockStart",
        "BlockEnd",
        "Finish",
        "ReplyEnd",
    ]
    completion = collect(events)
    first, second = completion.tool_calls
    assert (first.id, first.arguments, first.wire.fields) == ("call_1", '{"a":1}', {"thoughtSignature": "YQ=="})
    assert (second.id, second.arguments) == ("i", "")
    assert completion.finish_reason == "tool_calls"


def test_stream_and_whole_answer_mint_the_same_ids():
    body = chunk({"functionCall": {"name": "f"}}, {"functionCall": {"name": "g"}}, finish="STOP", responseId="r-1")
    streamed = collect(decode(body)).tool_calls
    assert streamed == gemini.decode_response(body).tool_calls
    assert [call.id for call in streamed] == ["call_r-1_1", "call_r-1_2"]


def pieces(*values, more=True, **call):
    partial = [{"jsonPath": path, **value} for path, value in values]
    return chunk(
        {
            "functionCall": {
                **call,
                **({"partialArgs": partial} if partial else {}),
                **({"willContinue": True} if more else {}),
            }
        }
    )


def test_arguments_in_pieces_are_put_together():
    completion = collect(
        decode(
            pieces(name="f"),
            pieces(("$.city", {"stringValue": "Par", "willContinue": True})),
            pieces(("$.city", {"stringValue": "is"}), ("$.n", {"numberValue": 2})),
            pieces(("$.list[0].ok", {"boolValue": False}), ("$.list[1]", {"nullValue": "NULL_VALUE"})),
            pieces(("$['a.b']", {"stringValue": "q"}), ('$["c\\"d"]', {"stringValue": "r"})),
            pieces(more=False),
            pieces(("$.x", {"stringValue": "y"}), name="g", more=False, args={"z": 1}),
            pieces(name="h", args={"whole": True}),
            STOP,
        )
    )
    assert [(call.name, call.arguments and json.loads(call.arguments)) for call in completion.tool_calls] == [
        ("f", {"city": "Paris", "n": 2, "list": [{"ok": False}, None], "a.b": "q", 'c"d': "r"}),
        ("g", {"z": 1, "x": "y"}),
        ("h", {"whole": True}),
    ]
    assert [call.id for call in completion.tool_calls] == ["call_1", "call_2", "call_3"]
    assert completion.finish_reason == "tool_calls"


def test_text_after_a_call_in_pieces_closes_the_call():
    events = decode(pieces(name="f"), chunk({"text": "so"}), chunk({"functionCall": {}}), STOP)
    assert [type(part).__name__ for part in collect(events).message.parts] == ["ToolCallPart", "TextPart"]
    assert sum(isinstance(event, BlockEnd) for event in events) == 2


@pytest.mark.parametrize(
    "path", ["city", "$", "$.", "$[0]", "$.a[", "$.a[1]", "$.a[999999999]", "$.s.x", "$.l.x", "$" + ".a" * 300, 3]
)
def test_paths_that_lead_nowhere_are_malformed(path):
    start = [("$.s", {"stringValue": "x"}), ("$.l[0]", {"boolValue": True})]
    with pytest.raises(MalformedBody, match=r"functionCall\.partialArgs"):
        decode(pieces(*start, (path, {"stringValue": "x"}), name="f"))


def test_other_parts_are_blocks():
    code = {"executableCode": {"code": "1", "language": "PYTHON"}, "thoughtSignature": "YQ=="}
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    completion = collect(decode(chunk({"text": "a"}, code, image), STOP))
    assert completion.message.parts[1:] == [
        ProviderPart(gemini.NAME, code),
        MediaPart("image", data="aGk=", media_type="image/png", wire=Wire(gemini.NAME, form="media")),
    ]


def test_counts_are_told_when_they_change():
    usage = {"promptTokenCount": 3}
    more = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
    events = decode(
        chunk({"text": "a"}, usageMetadata=usage),
        chunk({"text": "b"}, usageMetadata=usage),
        {**STOP, "usageMetadata": more},
    )
    assert [event.usage for event in events if isinstance(event, UsageUpdate)] == [
        Usage(input=3),
        Usage(input=3, output=5),
    ]


def test_counts_may_come_after_the_finish():
    events = decode(STOP, {"usageMetadata": {"promptTokenCount": 1}})
    assert [type(event).__name__ for event in events] == ["ReplyStart", "UsageUpdate", "Finish", "ReplyEnd"]


def test_older_models_repeat_stop_on_every_chunk():
    completion = collect(decode(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, finish="STOP")))
    assert (completion.text, completion.finish_reason, len(completion.message.parts)) == ("ab", "stop", 1)


def test_what_comes_after_the_end_is_no_part_of_the_answer():
    late = chunk({"text": "c"}, usageMetadata={"promptTokenCount": 1})
    answer = collect(decode(chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP"), late))
    assert (answer.text, answer.usage.input) == ("ab", 1)


def test_an_answer_is_certainly_whole_when_its_finish_reason_is_a_new_one():
    def whole(*chunks):
        decoder = gemini.event_decoder(ANY)
        for each in chunks:
            decoder.feed(SSE("", json.dumps(each)))
        return decoder.whole

    assert whole(chunk({"text": "a"}), STOP)
    assert not whole(chunk({"text": "a"}))
    assert not whole()
    # One that comes with the first chunk may be one of those that come with every chunk.
    assert not whole(chunk({"text": "a"}, finish="STOP"))


def test_several_candidates():
    events = decode(
        {
            "candidates": [
                chunk({"text": "a"}, index=1)["candidates"][0],
                chunk({"text": "b"}, index=0)["candidates"][0],
            ]
        },
        chunk({"text": "c"}, index=1, finish="SAFETY"),
        chunk({"functionCall": {"name": "f"}}, index=0, finish="STOP"),
    )
    completion = collect(events)
    assert [(choice.index, choice.message.text, choice.finish_reason) for choice in completion.choices] == [
        (0, "b", "tool_calls"),
        (1, "ac", "content_filter"),
    ]


def test_metadata_of_all_chunks_is_kept():
    grounding = {"webSearchQueries": ["x"]}
    one, two, three = (chunk({"text": "a"}) for _ in range(3))
    one["candidates"][0].update(groundingMetadata=grounding, logprobsResult={"chosenCandidates": [1], "x": 1})
    two["candidates"][0].update(groundingMetadata={}, logprobsResult={"chosenCandidates": [2]})
    three["candidates"][0].update(finishReason="STOP", avgLogprobs=-1.5)
    completion = collect(decode(one, two, {**three, "modelStatus": {"modelStage": "STABLE"}}))
    assert completion.choices[0].wire.fields == {
        "groundingMetadata": grounding,
        "logprobsResult": {"chosenCandidates": [1, 2], "x": 1},
        "finishReason": "STOP",
        "avgLogprobs": -1.5,
    }
    assert completion.wire.fields == {"modelStatus": {"modelStage": "STABLE"}}


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [{}],
        [chunk({"text": "a"})],
        [{"candidates": []}],
        [{"usageMetadata": {"promptTokenCount": 1}}],
        [chunk({"text": "a"}, finish="STOP", index=0), chunk({"text": "b"}, index=1)],
    ],
)
def test_without_a_finish_reason_there_is_no_end(chunks):
    assert not any(isinstance(event, (ReplyEnd, Finish)) for event in decode(*chunks))


def test_a_blocked_prompt_ends_the_reply():
    feedback = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "g"}
    completion = collect(decode(feedback))
    assert (completion.finish_reason, completion.wire.fields) == (
        "content_filter",
        {"promptFeedback": {"blockReason": "SAFETY"}},
    )
    completion = collect(decode(chunk({"text": "a"}), feedback))
    assert (completion.text, completion.finish_reason) == ("a", "content_filter")


def test_the_end_is_told_once():
    decoder = gemini.event_decoder(ANY)
    decoder.feed(SSE("", json.dumps(STOP)))
    assert isinstance(decoder.finish()[-1], ReplyEnd)
    assert decoder.finish() == []
    assert decoder.feed(SSE("", json.dumps(STOP))) == []


@pytest.mark.parametrize("shape", [lambda body: body, lambda body: [body]])
def test_an_error_ends_the_stream(shape):
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    events = decode(chunk({"text": "a"}), json.dumps(shape(error)), STOP)
    assert isinstance(events[-1], StreamError)
    assert (events[-1].error.status, events[-1].error.kind) == (503, "overloaded")


def test_framing_that_is_not_quite_sse():
    one, two = json.dumps(chunk({"text": "a"})), json.dumps(chunk({"text": "b"}, finish="STOP"))
    for events in (
        decode("", " ", f"{one}\n{two}", "\n"),
        decode(f"[{one},{two}]"),
        decode(json.dumps(json.loads(one), indent=1), two),
    ):
        assert collect(events).text == "ab"


@pytest.mark.parametrize(
    "data",
    [
        "nonsense",
        "{}\nnonsense",
        "3",
        '["x"]',
        '{"candidates": {}}',
        '{"candidates": ["x"]}',
        '{"candidates": [{"content": []}]}',
        '{"candidates": [{"content": {"parts": {}}}]}',
        '{"candidates": [{"content": {"parts": ["x"]}}]}',
        '{"candidates": [{"content": {"parts": [{"text": 1}]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": 1}]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": {"name": 1}}]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "partialArgs": 1}}]}}]}',
        '{"candidates": [{"index": "x"}]}',
        '{"usageMetadata": []}',
        '{"usageMetadata": {"promptTokenCount": "x"}}',
        '{"responseId": 1}',
        '{"candidates": [{"content": {"parts": [{"text": "x", "thought": true}, {"inlineData": 1}]}}]}',
        "[" * 100_000,
    ],
)
def test_wrong_shapes_are_malformed(data):
    with pytest.raises(MalformedBody):
        decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
NAMES = (
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "inlineData",
    "name",
    "args",
    "partialArgs",
    "jsonPath",
    "willContinue",
)
PARTS = st.recursive(JSON, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=3), max_leaves=6)


@settings(deadline=None)
@given(st.lists(st.lists(PARTS, max_size=3), max_size=4), JSON, JSON)
def test_any_parts_decode_or_are_malformed(chunks, usage, reason):
    try:
        events = decode(*(chunk(*items, finish=reason, usageMetadata=usage) for items in chunks))
    except MalformedBody:
        return
    open_blocks = set()
    for event in events:
        if isinstance(event, BlockStart):
            open_blocks.add(event.block)
        elif isinstance(event, BlockEnd):
            open_blocks.remove(event.block)
        elif isinstance(event, (TextDelta, ReasoningDelta, ArgumentsDelta)):
            assert event.block in open_blocks
            assert event.text or isinstance(event, (ReasoningDelta, ArgumentsDelta))
    assert not open_blocks or not isinstance(events[-1], ReplyEnd)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.text(min_size=1, max_size=4)), min_size=1, max_size=8), st.data())
def test_how_parts_are_spread_over_chunks_does_not_matter(texts, data):
    items = [{"text": text, **({"thought": True} if thought else {})} for thought, text in texts]
    one = collect(decode(chunk(*items), STOP))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), max_size=4)))
    spread = [chunk(*items[start:end]) for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)]
    assert collect(decode(*spread, STOP)) == one


def counted(*chunks):
    """Usage as the hub sees it at the end of a stream whose chunks have these counts."""
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")
    told = [{name: n for name, n in zip(names, counts, strict=True) if n is not None} for counts in chunks]
    bodies = [chunk({"text": "a"}, usageMetadata=counts) for counts in told]
    bodies[-1] = {**STOP, "usageMetadata": told[-1]}
    return collect(decode(*bodies)).usage


def test_the_last_chunk_of_a_stream_with_tool_turns_holds_the_totals():
    usage = counted((8, 20, 419, 447), (8, None, None, 8), (8, 102, 28, 138), (427, 122, 447, 996))
    assert (usage.input, usage.output, usage.reasoning, usage.source) == (427, 122, 447, "reported")


def test_a_last_chunk_without_an_answer_is_completed_from_the_turns_and_marked():
    usage = counted((9, 15, 78, 102), (9, None, None, 9), (9, 7, 35, 51), (9, 21, 35, 65), (87, None, 78, 165))
    assert (usage.input, usage.output, usage.reasoning, usage.source) == (87, 36, 113, "estimated")


def test_an_answer_that_is_counted_late_is_no_turn():
    usage = counted((169, None, None, 169), (79, 12, None, 91))
    assert (usage.input, usage.output, usage.reasoning, usage.source) == (79, 12, None, "reported")

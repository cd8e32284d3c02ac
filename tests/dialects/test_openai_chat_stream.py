from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE, SSEParser, encode_sse
from aistrale.dialects import openai_chat
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    ErrorInfo,
    Event,
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

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
DONE = SSE("", "[DONE]")
ASKED = openai_chat.decode_request(
    {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
)
PLAIN = Request(model="m", messages=[])


def chunk(delta=None, reason=None, index=0, **fields) -> SSE:
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
    return SSE("", json.dumps({**HEAD, "choices": [choice], **fields}))


def bare(**fields) -> SSE:
    return SSE("", json.dumps({**HEAD, "choices": [], **fields}))


def call(index=0, *, name=None, arguments=None, **fields):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields, "function": function}]}


def decode(*wire: SSE, profile: Profile = ANY) -> list[Event]:
    decoder = openai_chat.event_decoder(profile)
    events = [event for item in wire for event in decoder.feed(item)]
    return events + decoder.finish()


def encode(events, request: Request = ASKED, **options):
    loss = Loss()
    encoder = openai_chat.event_encoder(request, loss, **options)
    wire = [item for event in events for item in encoder.feed(event)]
    return wire + encoder.finish(), loss


def bodies(wire: list[SSE]):
    return [json.loads(item.data) for item in wire if item.data != "[DONE]"]


def check_well_formed(events: list[Event]) -> None:
    """The grammar of a stream, as aistrale.types states it."""
    started = False
    open_: set[tuple[int, int]] = set()
    opened: dict[int, int] = {}
    finished: set[int] = set()
    ended = False
    for event in events:
        assert not ended, f"{event} after the end"
        if isinstance(event, ReplyStart):
            assert not started
            started = True
        elif isinstance(event, BlockStart):
            assert started
            assert event.choice not in finished
            assert event.block == opened.get(event.choice, 0)
            opened[event.choice] = event.block + 1
            open_.add((event.choice, event.block))
        elif isinstance(event, (TextDelta, ReasoningDelta, ArgumentsDelta)):
            assert (event.choice, event.block) in open_
        elif isinstance(event, BlockEnd):
            open_.remove((event.choice, event.block))
        elif isinstance(event, Finish):
            assert event.choice not in finished
            assert not any(choice == event.choice for choice, _ in open_)
            finished.add(event.choice)
        elif isinstance(event, ReplyEnd):
            assert finished >= opened.keys()
            ended = True
        elif isinstance(event, StreamError):
            ended = True


def parts(events: list[Event], choice: int = 0):
    check_well_formed(events)
    return next(item for item in collect(events).choices if item.index == choice).message.parts


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_plain_stream() -> None:
    events = decode(
        chunk({"role": "assistant", "content": "", "refusal": None}, service_tier="default", obfuscation="xy"),
        chunk({"content": "Hel"}, service_tier="default", obfuscation="x"),
        chunk({"content": "lo"}, service_tier="default"),
        chunk({}, "stop"),
        bare(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        DONE,
    )
    assert events == [
        ReplyStart("chatcmpl-1", "m", 5, Wire("openai_chat", {"service_tier": "default"})),
        BlockStart(0, TextPart("")),
        TextDelta("Hel"),
        TextDelta("lo"),
        BlockEnd(0),
        Finish("stop"),
        UsageUpdate(Usage(input=3, output=2)),
        ReplyEnd(),
    ]


def test_parallel_calls_by_index() -> None:
    events = decode(
        chunk({"role": "assistant", "content": None}),
        chunk(call(0, id="c1", type="function", name="get", arguments="")),
        chunk(call(0, arguments='{"a"')),
        chunk(call(0, arguments=":1}")),
        chunk(call(1, id="c2", type="function", name="put", arguments="")),
        chunk(call(1, arguments="{}")),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert parts(events) == [ToolCallPart("c1", "get", '{"a":1}'), ToolCallPart("c2", "put", "{}")]
    assert [type(event) for event in events[1:4]] == [BlockStart, ArgumentsDelta, ArgumentsDelta]


def test_interleaved_calls_stay_apart() -> None:
    events = decode(
        chunk(call(0, id="c1", name="a", arguments="{")),
        chunk(call(1, id="c2", name="b", arguments="[")),
        chunk(call(0, arguments="}")),
        chunk(call(1, arguments="]")),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert [part.arguments for part in parts(events)] == ["{}", "[]"]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        # Late id and name.
        ([call(0, arguments="{"), call(0, id="c1", arguments="}"), call(0, name="get")], [("c1", "get", "{}")]),
        # Empty names after the first.
        ([call(0, id="c1", name="get", arguments=""), call(0, name="", arguments="{}", id="")], [("c1", "get", "{}")]),
        # The name in fragments, and again in every chunk.
        ([call(0, id="c1", name="get_"), call(0, name="it", arguments="{}")], [("c1", "get_it", "{}")]),
        (
            [call(0, id="c1", name="get", arguments=""), call(0, id="c1", name="get", arguments="{}")],
            [("c1", "get", "{}")],
        ),
        ([call(0, id="c1", name="get"), call(0, name="get_it", arguments="{}")], [("c1", "get_it", "{}")]),
        # Whole calls, as Groq sends them.
        (
            [call(0, id="c1", name="a", arguments='{"x":1}'), call(1, id="c2", name="b", arguments="{}")],
            [("c1", "a", '{"x":1}'), ("c2", "b", "{}")],
        ),
        # Every call numbered 0.
        (
            [call(0, id="c1", name="a", arguments="{}"), call(0, id="c2", name="b", arguments="[]")],
            [("c1", "a", "{}"), ("c2", "b", "[]")],
        ),
        # No numbers: told apart by id, or by a new name.
        (
            [
                call(None, id="c1", name="a", arguments="{"),
                call(None, id="c2", name="b", arguments="["),
                call(None, id="c1", arguments="}"),
                call(None, id="c2", arguments="]"),
            ],
            [("c1", "a", "{}"), ("c2", "b", "[]")],
        ),
        (
            [call(None, name="a", arguments="{"), call(None, arguments="}"), call(None, name="b", arguments="[]")],
            [("call_1", "a", "{}"), ("call_2", "b", "[]")],
        ),
        # No arguments at all, before a call with some.
        (
            [call(0, id="c1", name="a"), call(1, id="c2", name="b", arguments="{}")],
            [("c1", "a", ""), ("c2", "b", "{}")],
        ),
        # Parsed arguments, and a numeric id.
        ([call(0, id=7, name="a", arguments={"x": 1})], [("7", "a", '{"x":1}')]),
        # Never an id.
        ([call(0, name="a", arguments="{}")], [("call_1", "a", "{}")]),
        # Nothing but a place.
        ([call(0, id="c1", name="a", arguments="{}"), {"tool_calls": [{"index": 1}]}], [("c1", "a", "{}")]),
    ],
)
def test_calls_as_servers_send_them(deltas, expected) -> None:
    events = decode(*(chunk(delta) for delta in deltas), chunk({}, "tool_calls"), DONE)
    assert [(part.id, part.name, part.arguments) for part in parts(events)] == expected
    assert collect(events).finish_reason == "tool_calls"


def test_a_call_that_says_stop_is_a_call() -> None:
    events = decode(chunk(call(0, id="c1", name="a", arguments="{}")), chunk({}, "stop"), DONE)
    completion = collect(events)
    assert completion.finish_reason == "tool_calls"
    assert bodies(encode(events)[0])[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_call_without_a_name_is_malformed() -> None:
    with pytest.raises(MalformedBody):
        decode(chunk(call(0, id="c1", arguments="{}")), chunk({}, "tool_calls"))


def test_text_around_calls_and_thoughts_becomes_blocks_of_its_own() -> None:
    events = decode(
        chunk({"reasoning": "hm"}),
        chunk({"content": "a"}),
        chunk(call(0, id="c1", name="get", arguments="{}")),
        chunk({"content": "b"}),
        chunk({"refusal": "no"}),
        chunk({}, "stop"),
        DONE,
    )
    kinds = [type(part) for part in parts(events)]
    assert kinds == [ReasoningPart, TextPart, ToolCallPart, TextPart, RefusalPart]
    assert collect(events).text == "ab"


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        ({"reasoning": "hm"}, {"reasoning"}),
        ({"reasoning_content": "hm"}, {"reasoning_content"}),
        ({"reasoning": "hm", "reasoning_content": "hm"}, {"reasoning", "reasoning_content"}),
        ({"reasoning_content": "hm", "reasoning": "hm"}, {"reasoning", "reasoning_content"}),
    ],
)
def test_thoughts_remember_their_field(delta, words) -> None:
    events = decode(chunk(delta), chunk(delta), chunk({"content": "4"}), chunk({}, "stop"), DONE)
    thought = parts(events)[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.text == "hmhm"
    assert thought.wire is not None
    assert words == set(thought.wire.form.split(" ")) - {"answer"}
    said = [body["choices"][0]["delta"] for body in bodies(encode(events)[0]) if body["choices"]]
    assert delta in said


def test_several_choices() -> None:
    events = decode(
        chunk({"content": "a"}),
        chunk({"content": "x"}, index=1),
        chunk({"content": "b"}),
        chunk({"content": "y"}, index=1),
        chunk({}, "stop"),
        chunk({}, "length", index=1),
        DONE,
    )
    check_well_formed(events)
    completion = collect(events)
    assert [(choice.message.text, choice.finish_reason) for choice in completion.choices] == [
        ("ab", "stop"),
        ("xy", "length"),
    ]


def test_an_empty_reason_is_none() -> None:
    events = decode(chunk({"content": "a"}, ""), chunk({"content": "b"}, ""), chunk({}, "stop"), DONE)
    assert collect(events).text == "ab"


def test_a_clock_with_fractions() -> None:
    first = SSE("", json.dumps({**HEAD, "created": 5.75, "choices": [{"index": 0, "delta": {"content": "a"}}]}))
    assert collect(decode(first, chunk({}, "stop"), DONE)).created == 5


def test_azures_judgement_comes_before_the_reply() -> None:
    events = decode(
        SSE("", json.dumps({"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{"a": 1}]})),
        SSE("", json.dumps({**HEAD, "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]})),
        SSE(
            "",
            json.dumps(
                {
                    **HEAD,
                    "choices": [
                        {
                            "index": 0,
                            "delta": {"content": "hi"},
                            "content_filter_results": {"hate": {"filtered": False}},
                        }
                    ],
                }
            ),
        ),
        chunk({}, "stop"),
        DONE,
    )
    assert events[0] == ReplyStart("chatcmpl-1", "m", 5, Wire("openai_chat", {"prompt_filter_results": [{"a": 1}]}))
    finish = next(event for event in events if isinstance(event, Finish))
    assert finish.wire is not None
    assert finish.wire.fields == {"content_filter_results": {"hate": {"filtered": False}}}


def test_groqs_counts_and_id() -> None:
    events = decode(
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1", "seed": 4}),
        chunk({"content": "hi"}),
        chunk(
            {},
            "stop",
            usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            x_groq={"id": "req_1", "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
        ),
        DONE,
    )
    assert events[0].wire == Wire("openai_chat", {"x_groq": {"id": "req_1", "seed": 4}})
    assert [event for event in events if isinstance(event, UsageUpdate)] == [UsageUpdate(Usage(input=3, output=2))]


@pytest.mark.parametrize(
    "last",
    [
        chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
        chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        SSE(
            "",
            json.dumps(
                {
                    **HEAD,
                    "choices": [
                        {
                            "index": 0,
                            "delta": {},
                            "finish_reason": "stop",
                            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
                        }
                    ],
                }
            ),
        ),
    ],
)
def test_counts_wherever_a_server_puts_them(last: SSE) -> None:
    assert collect(decode(chunk({"content": "hi"}), last, DONE)).usage == Usage(input=3, output=2)


def test_what_a_later_chunk_says_about_the_reply_is_kept() -> None:
    events = decode(chunk({"content": "hi"}), chunk({}, "stop"), bare(moderation={"flagged": False}), DONE)
    assert events[-1] == ReplyEnd(Wire("openai_chat", {"moderation": {"flagged": False}}))
    assert bodies(encode(events)[0])[-1] == {**HEAD, "choices": [], "moderation": {"flagged": False}}


def test_token_probabilities_go_with_their_text() -> None:
    first, second = {"content": [{"token": "a"}], "refusal": None}, {"content": [{"token": "b"}], "refusal": None}
    choice = {"index": 0, "finish_reason": None}
    wire = [
        SSE("", json.dumps({**HEAD, "choices": [{**choice, "delta": {"content": "a"}, "logprobs": first}]})),
        SSE("", json.dumps({**HEAD, "choices": [{**choice, "delta": {"content": ""}, "logprobs": second}]})),
        SSE("", json.dumps({**HEAD, "choices": [{**choice, "delta": {"content": "c"}, "logprobs": first}]})),
        chunk({}, "stop"),
        DONE,
    ]
    events = decode(*wire)
    told = [event.wire.fields["logprobs"]["content"] for event in events if isinstance(event, TextDelta) and event.wire]
    assert told == [[{"token": "a"}], [{"token": "b"}, {"token": "a"}]]
    written = [body["choices"][0]["logprobs"] for body in bodies(encode(events)[0])]
    assert [item["content"] for item in written if item] == told


def test_spoken_answers() -> None:
    events = decode(
        chunk({"role": "assistant", "audio": {"id": "a1", "transcript": "hel"}}),
        chunk({"audio": {"transcript": "lo"}}),
        chunk({"audio": {"data": "AA"}}),
        chunk({"audio": {"data": "BB"}}),
        chunk({"audio": {"expires_at": 9}}),
        chunk({}, "stop"),
        DONE,
    )
    said, sound = parts(events)
    assert isinstance(said, TextPart)
    assert isinstance(sound, MediaPart)
    assert (said.text, sound.data, sound.file_id) == ("hello", "AABB", "a1")
    again = decode(*encode(events)[0])
    assert parts(again) == [said, sound]
    whole = openai_chat.encode_response(collect(events), Loss())["choices"][0]["message"]
    assert whole["audio"] == {"id": "a1", "data": "AABB", "expires_at": 9, "transcript": "hello"}


def test_custom_calls() -> None:
    def custom(**fields):
        return {"tool_calls": [{"index": 0, "custom": fields.pop("custom"), **fields}]}

    events = decode(
        chunk(custom(id="c1", type="custom", custom={"name": "sql", "input": ""})),
        chunk(custom(custom={"input": 'sel"'})),
        chunk(custom(custom={"input": "\n1"})),
        chunk({}, "tool_calls"),
        DONE,
    )
    (part,) = parts(events)
    assert isinstance(part, ToolCallPart)
    assert part.input == {"input": 'sel"\n1'}
    assert parts(decode(*encode(events)[0])) == [part]


def test_legacy_function_calls() -> None:
    events = decode(
        chunk({"function_call": {"name": "get", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk({}, "function_call"),
        DONE,
    )
    (part,) = parts(events)
    assert isinstance(part, ToolCallPart)
    assert (part.id, part.name, part.arguments) == ("call_get", "get", '{"a":1}')
    written, _ = encode(events)
    assert parts(decode(*written)) == [part]
    assert bodies(written)[-1]["choices"][0]["finish_reason"] == "function_call"


def test_content_in_parts_and_members_of_tomorrow() -> None:
    events = decode(
        chunk({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}], "mood": {"x": 1}}),
        chunk({"content": "b", "annotations": [{"n": 1}], "mood": {"y": 2}}),
        chunk({"annotations": [{"n": 2}]}, "stop"),
        DONE,
    )
    first, text = parts(events)
    assert isinstance(first, ProviderPart)
    assert isinstance(text, TextPart)
    assert text.text == "ab"
    message = openai_chat.encode_response(collect(events), Loss())["choices"][0]["message"]
    assert message["annotations"] == [{"n": 1}, {"n": 2}]
    assert message["mood"] == {"x": 1, "y": 2}


def test_whole_messages_and_text_completions_in_a_stream() -> None:
    whole = SSE(
        "", json.dumps({**HEAD, "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]})
    )
    assert collect(decode(whole, DONE)).text == "a"
    text = SSE("", json.dumps({**HEAD, "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}))
    assert collect(decode(text, DONE)).text == "a"


# --- the end --------------------------------------------------------------------------------------------------------


def ended(events: list[Event]) -> bool:
    check_well_formed(events)
    return bool(events) and isinstance(events[-1], ReplyEnd)


@pytest.mark.parametrize("profile", [ANY, Profile(done_optional=True)])
@pytest.mark.parametrize(
    ("wire", "whole"),
    [
        ([chunk({"content": "a"}), chunk({}, "stop"), DONE], True),
        ([chunk({"content": "a"}), chunk({}, "stop")], True),
        ([chunk({"content": "a"}), chunk({}, "stop"), bare(usage={"prompt_tokens": 1})], True),
        ([chunk({}, "stop"), DONE], True),
        ([chunk({"content": "a"})], False),
        ([chunk({"content": "a"}), DONE], False),
        ([chunk({"content": "a"}), bare(usage={"prompt_tokens": 1})], False),
        ([chunk({"content": "a"}), chunk({"content": "a"}, index=1), chunk({}, "stop"), DONE], False),
        ([chunk({"content": "a"}), chunk({"content": "a"}, index=1), chunk({}, "stop", 1)], False),
        ([DONE], False),
        ([], False),
        ([bare()], False),
        # OpenRouter loses the reason of some backends; the counts come once generation is over.
        ([chunk({"content": "a"}), bare(usage={"prompt_tokens": 1, "completion_tokens": 1}), DONE], True),
    ],
)
def test_a_reply_is_whole_when_every_choice_is_and_the_stream_ended(profile, wire, whole: bool) -> None:
    assert ended(decode(*wire, profile=profile)) is whole


def test_nothing_comes_after_the_end() -> None:
    decoder = openai_chat.event_decoder(ANY)
    for item in (chunk({"content": "a"}), chunk({}, "stop"), DONE):
        decoder.feed(item)
    assert decoder.feed(chunk({"content": "b"})) == []
    assert decoder.feed(SSE("", "no json")) == []
    assert decoder.finish() == []


def test_what_follows_the_reason_of_a_choice_is_ignored() -> None:
    events = decode(chunk({"content": "a"}), chunk({}, "stop"), chunk({"content": "b"}), chunk({}, "stop"), DONE)
    check_well_formed(events)
    assert collect(events).text == "a"


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        (SSE("", '{"error":{"message":"busy","type":"server_error","code":null}}'), "server", "busy"),
        (SSE("error", '{"error":{"message":"bad","code":"tool_use_failed","status_code":400}}'), "server", "bad"),
        (SSE("error", '{"message":"bad","type":"invalid_request_error"}'), "invalid_request", "bad"),
        (SSE("error", "it broke"), "unknown", "it broke"),
        (SSE("", '{"error":"overloaded","error_type":"overloaded"}'), "overloaded", "overloaded"),
        (SSE("", '{"object":"error","message":"vllm","code":400}'), "invalid_request", "vllm"),
        (
            SSE("", '{"id":"1","error":{"code":502,"message":"upstream"},"choices":[{"finish_reason":"error"}]}'),
            "server",
            "upstream",
        ),
        (chunk({}, x_groq={"id": "r", "error": "over capacity"}), "unknown", "over capacity"),
    ],
)
def test_an_error_inside_a_stream_ends_it(item: SSE, kind: str, message: str) -> None:
    decoder = openai_chat.event_decoder(ANY)
    decoder.feed(chunk({"content": "a"}))
    (event,) = [event for event in decoder.feed(item) if isinstance(event, StreamError)]
    assert (event.error.kind, event.error.message) == (kind, message)
    assert decoder.feed(chunk({}, "stop")) == []
    assert decoder.finish() == []


def test_an_error_that_is_null_is_none() -> None:
    assert ended(decode(chunk({"content": "a"}, error=None), chunk({}, "stop", error=None), DONE))


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "5",
        "[" * 100_000,
        '{"choices":{}}',
        '{"choices":[5]}',
        '{"choices":[{"index":"a"}]}',
        '{"choices":[{"delta":5}]}',
        '{"choices":[{"delta":{"content":5}}]}',
        '{"choices":[{"delta":{"refusal":5}}]}',
        '{"choices":[{"delta":{"tool_calls":5}}]}',
        '{"choices":[{"delta":{"tool_calls":[5]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":5}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":5}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"b","arguments":5}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":[]}]}}]}',
        '{"choices":[{"delta":{"function_call":5}}]}',
        '{"choices":[{"delta":{"audio":5}}]}',
        '{"choices":[{"delta":{"audio":{"data":5}}}]}',
        '{"choices":[{"delta":{},"finish_reason":5}]}',
        '{"choices":[{"delta":{},"logprobs":5}]}',
        '{"choices":[],"usage":5}',
        '{"choices":[],"usage":{"prompt_tokens":"a"}}',
        '{"id":5,"choices":[{"delta":{}}]}',
    ],
)
def test_a_wrong_shape_is_said_to_be_one(data: str) -> None:
    with pytest.raises(MalformedBody):
        openai_chat.event_decoder(ANY).feed(SSE("", data))


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "stop", "c1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "index",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "finish_reason",
                    "logprobs",
                    "usage",
                    "reasoning",
                    "audio",
                    "x_groq",
                    "error",
                    "custom",
                    "input",
                    "message",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSONS, max_size=3), JSONS)
def test_only_malformed_body_is_raised(choices, usage) -> None:
    decoder = openai_chat.event_decoder(ANY)
    events: list[Event] = []
    try:
        for choice in choices:
            events += decoder.feed(SSE("", json.dumps({**HEAD, "choices": [choice], "usage": usage})))
        events += decoder.feed(DONE)
        events += decoder.finish()
    except MalformedBody:
        return
    check_well_formed(events)


def test_pings_are_passed_on() -> None:
    events = decode(chunk({"content": "a"}), SSE("ping", '{"type":"ping"}'), chunk({}, "stop"), DONE)
    assert Other("openai_chat", "ping", {"type": "ping"}) in events
    assert {"type": "ping"} in bodies(encode(events)[0])


# --- writing --------------------------------------------------------------------------------------------------------


def blocks(*contents, choice: int = 0) -> list[Event]:
    events: list[Event] = []
    for number, (part, pieces) in enumerate(contents):
        events.append(BlockStart(number, part, choice))
        for piece in pieces:
            if isinstance(part, ToolCallPart):
                events.append(ArgumentsDelta(piece, number, choice))
            elif isinstance(part, ReasoningPart):
                events.append(ReasoningDelta(piece, number, choice))
            else:
                events.append(TextDelta(piece, number, choice))
        events.append(BlockEnd(number, choice))
    return events


def reply(*events: Event, reason="stop", usage: Usage | None = None) -> list[Event]:
    counted = [] if usage is None else [UsageUpdate(usage)]
    return [ReplyStart("msg_1", "claude", 7), *events, Finish(reason), *counted, ReplyEnd()]


FOREIGN = reply(
    *blocks(
        (TextPart(""), ["ok", "\u2028"]),
        (ToolCallPart("t1", "get"), ['{"a"', ":1}"]),
        (ToolCallPart("t2", "now"), []),
    ),
    reason="tool_calls",
    usage=Usage(input=3, output=4),
)


def test_a_stream_from_elsewhere_is_written_frame_by_frame() -> None:
    wire, loss = encode(FOREIGN)
    assert loss.items == []
    assert all(item.event == "" and item.data.isascii() for item in wire)
    assert wire[-1] == DONE
    head = {"id": "msg_1", "object": "chat.completion.chunk", "created": 7, "model": "claude"}
    written = bodies(wire)
    assert all(body.items() >= head.items() for body in written)
    assert [body["choices"][0]["delta"] for body in written if body["choices"]] == [
        {"role": "assistant", "content": ""},
        {"content": "ok"},
        {"content": "\u2028"},
        {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "get", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": {"name": "now", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert written[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert written[-1]["choices"] == []
    assert written[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_counts_are_written_only_for_who_asked() -> None:
    assert not any("usage" in body for body in bodies(encode(FOREIGN, PLAIN)[0]))


def test_groqs_sdk_finds_the_counts_in_the_last_chunk() -> None:
    written = bodies(encode(FOREIGN, PLAIN, groq=True)[0])
    assert written[0]["x_groq"] == {"id": "req_msg_1"}
    assert written[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert written[-1]["usage"] == written[-1]["x_groq"]["usage"]
    assert written[-1]["usage"]["total_tokens"] == 7
    assert sum("usage" in body for body in written) == 1
    groq = pytest.importorskip("groq.types.chat")
    for body in written:
        groq.ChatCompletionChunk.model_validate(body)


def test_the_official_sdk_accumulates_what_was_sent() -> None:
    state_module = pytest.importorskip("openai.lib.streaming.chat")
    chat = pytest.importorskip("openai.types.chat")
    state = state_module.ChatCompletionStreamState()
    for body in bodies(encode(FOREIGN)[0]):
        state.handle_chunk(chat.ChatCompletionChunk.model_validate(body, strict=True))
    final = state.get_final_completion()
    message = final.choices[0].message
    assert message.content == "ok\u2028"
    assert [(item.id, item.function.name, item.function.arguments) for item in message.tool_calls] == [
        ("t1", "get", '{"a":1}'),
        ("t2", "now", "{}"),
    ]
    assert final.usage.total_tokens == 7
    assert final.choices[0].finish_reason == "tool_calls"


def test_hugging_faces_client_reads_what_was_sent() -> None:
    hub = pytest.importorskip("huggingface_hub")
    pieces = [hub.ChatCompletionStreamOutput.parse_obj(body) for body in bodies(encode(FOREIGN)[0])]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "ok\u2028"


def test_interleaved_blocks_and_choices_are_written() -> None:
    events = [
        ReplyStart("r", "m"),
        BlockStart(0, ToolCallPart("t1", "a")),
        BlockStart(1, ToolCallPart("t2", "b")),
        ArgumentsDelta("{", 0),
        ArgumentsDelta("[", 1),
        BlockStart(0, TextPart("x"), 1),
        ArgumentsDelta("]", 1),
        ArgumentsDelta("}", 0),
        TextDelta("y", 0, 1),
        BlockEnd(1),
        BlockEnd(0),
        Finish("tool_calls"),
        BlockEnd(0, 1),
        Finish("stop", 1),
        ReplyEnd(),
    ]
    again = decode(*encode(events)[0])
    assert parts(again) == [ToolCallPart("t1", "a", "{}"), ToolCallPart("t2", "b", "[]")]
    assert parts(again, 1) == [TextPart("xy")]
    grouped = decode(*encode(events, groq=True)[0])
    assert parts(grouped, 1) == [TextPart("xy")]


def test_thoughts_of_others_go_where_the_caller_wants_them() -> None:
    events = reply(*blocks((ReasoningPart(), ["hm"]), (TextPart(""), ["4"])))
    wire, loss = encode(events)
    assert "hm" not in str([item.data for item in wire])
    assert [(item.field, item.action) for item in loss.items] == [("choices[0].message.parts[0]", "dropped")]
    wire, loss = encode(events, reasoning_field="reasoning_content")
    assert loss.items == []
    assert {"reasoning_content": "hm"} in [body["choices"][0]["delta"] for body in bodies(wire) if body["choices"]]


def test_refusals_and_what_cannot_be_shown() -> None:
    events = reply(
        *blocks((RefusalPart("n"), ["o"]), (ProviderPart("x", {"type": "y"}), []), (MediaPart("image", data="A"), []))
    )
    wire, loss = encode(events)
    message = collect(decode(*wire)).message
    assert [part.text for part in message.parts if isinstance(part, RefusalPart)] == ["no"]
    assert [item.field for item in loss.items] == ["choices[0].message.parts[1]", "choices[0].message.parts[2]"]


def test_a_whole_answer_is_written_as_a_stream() -> None:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "hi",
                    "annotations": [{"type": "url_citation"}],
                    "reasoning": "hm",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}],
                },
                "logprobs": {"content": [{"token": "hi"}], "refusal": None},
                "finish_reason": "tool_calls",
            },
            {"index": 1, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    completion = openai_chat.decode_response(body)
    wire, loss = encode([Whole(completion)])
    assert loss.items == []
    assert wire[-1] == DONE
    again = openai_chat.encode_response(collect(decode(*wire)), Loss())
    first = again["choices"][0]
    assert first["message"].pop("refusal", None) is None
    assert first["logprobs"] == body["choices"][0]["logprobs"]
    assert first["message"] == body["choices"][0]["message"]
    assert again["usage"] == body["usage"]
    assert again["choices"][1]["message"]["content"] == "ho"
    assert bodies(wire)[0]["system_fingerprint"] == "fp"


def test_a_whole_answer_from_elsewhere_is_written_as_a_stream() -> None:
    message = Message("assistant", [TextPart("ok"), ToolCallPart("t", "now")])
    completion = Completion("msg_1", "claude", [Choice(message, "tool_calls")], Usage(input=1, output=1))
    wire, _ = encode([Whole(completion)])
    assert parts(decode(*wire)) == [TextPart("ok"), ToolCallPart("t", "now", "{}")]


def test_an_error_ends_a_stream_without_done() -> None:
    events = [
        ReplyStart("r", "m"),
        BlockStart(0, TextPart("a")),
        StreamError(ErrorInfo(529, "busy", kind="overloaded")),
    ]
    wire, _ = encode(events)
    assert DONE not in wire
    (event,) = [event for event in decode(*wire) if isinstance(event, StreamError)]
    assert (event.error.message, event.error.kind) == ("busy", "overloaded")


@pytest.mark.parametrize(
    "events",
    [
        [],
        [ReplyStart("r", "m")],
        [ReplyStart("r", "m"), BlockStart(0, TextPart("a"))],
        [ReplyStart("r", "m"), *blocks((TextPart("a"), []))],
    ],
)
def test_a_reply_that_breaks_off_never_looks_whole(events) -> None:
    wire, _ = encode(events)
    assert DONE not in wire
    assert isinstance(decode(*wire)[-1], StreamError)


def test_a_finished_reply_gets_its_terminator_once() -> None:
    wire, _ = encode([ReplyStart("r", "m"), *blocks((TextPart("a"), [])), Finish("stop")])
    assert wire.count(DONE) == 1
    encoder = openai_chat.event_encoder(PLAIN, Loss())
    for event in FOREIGN:
        encoder.feed(event)
    assert encoder.feed(TextDelta("late")) == []
    assert encoder.finish() == []


# --- invariants -----------------------------------------------------------------------------------------------------

PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=4)
CONTENT = st.one_of(
    st.tuples(st.builds(lambda: TextPart("")), PIECES.filter(bool)),
    st.tuples(st.builds(lambda: RefusalPart("")), PIECES.filter(bool)),
    st.tuples(st.builds(lambda: ReasoningPart(wire=Wire("openai_chat", form="reasoning"))), PIECES.filter(bool)),
    st.tuples(st.builds(ToolCallPart, st.uuids().map(str), st.sampled_from(["get", "put"])), PIECES.filter(bool)),
)


def merged(contents):
    """The parts that the contents spell, neighbours of one kind as one."""
    result = []
    for part, pieces in contents:
        text = "".join(pieces)
        if isinstance(part, ToolCallPart):
            result.append(replace(part, arguments=text))
        elif result and type(result[-1]) is type(part):
            result[-1] = replace(result[-1], text=result[-1].text + text)
        else:
            result.append(replace(part, text=text))
    return result


@given(st.lists(CONTENT, max_size=5))
def test_what_is_written_is_read_again(contents) -> None:
    reason = "tool_calls" if any(isinstance(part, ToolCallPart) for part, _ in contents) else "stop"
    wire, loss = encode(reply(*blocks(*contents), reason=reason, usage=Usage(input=1, output=2)))
    assert loss.items == []
    completion = collect(decode(*wire))
    assert completion.usage == Usage(input=1, output=2)
    found = completion.message.parts
    expected = merged(contents)
    assert [type(part) for part in found] == [type(part) for part in expected]
    for part, wanted in zip(found, expected, strict=True):
        if isinstance(part, ToolCallPart):
            assert (part.id, part.name, part.arguments) == (wanted.id, wanted.name, wanted.arguments)
        else:
            assert part.text == wanted.text


@given(st.lists(CONTENT, max_size=4), st.lists(st.integers(0, 4000), max_size=8))
def test_chunk_borders_change_nothing(contents, cuts) -> None:
    wire, _ = encode(reply(*blocks(*contents)))
    raw = b"".join(encode_sse(item.data, item.event) for item in wire)
    borders = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    parser, decoder = SSEParser(), openai_chat.event_decoder(ANY)
    events: list[Event] = []
    for start, stop in itertools.pairwise(borders):
        for item in parser.feed(raw[start:stop]):
            events += decoder.feed(item)
    for item in parser.finish():
        events += decoder.feed(item)
    events += decoder.finish()
    check_well_formed(events)
    assert events == decode(*wire)


def test_groq_s_cache_statistics_are_no_count_of_tokens():
    # `x_groq.usage` may hold what its hardware caches kept, in the chunk after the counts.
    counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = decode(
        chunk({"role": "assistant", "content": "a"}),
        chunk({}, "stop"),
        bare(usage=counts),
        bare(x_groq={"id": "req_1", "usage": {"dram_cached_tokens": 1, "sram_cached_tokens": 0}}),
        SSE("", "[DONE]"),
    )
    assert [event.usage.total for event in events if isinstance(event, UsageUpdate)] == [5]


def test_usage_that_groq_tells_twice_is_counted_once():
    counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = decode(
        chunk({"role": "assistant", "content": "a"}),
        chunk({}, "stop", x_groq={"id": "req_1", "usage": counts}),
        bare(usage=counts),
        SSE("", "[DONE]"),
    )
    assert collect(events).usage.total == 5

"""OpenAI Responses: streams, written; and the official SDK as their reader."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.sse import encode_sse
from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import Loss
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
    StreamError,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)
from tests.dialects.openai_responses_cases import (
    RESPONSE,
    bodies,
    decode_stream,
    encode_stream,
    foreign,
    through,
)

CALLS: list[Event] = [
    ReplyStart("msg_01Xy", "claude-haiku-4-5", 1700000000),
    BlockStart(0, TextPart("")),
    TextDelta("o", 0),
    TextDelta("k", 0),
    BlockEnd(0),
    BlockStart(1, ToolCallPart("call_1", "get")),
    ArgumentsDelta('{"a"', 1),
    ArgumentsDelta(":1}", 1),
    BlockEnd(1),
    BlockStart(2, ToolCallPart("call_2", "get")),
    ArgumentsDelta('{"a":2}', 2),
    BlockEnd(2),
    UsageUpdate(Usage(input=3, cache_read=1, output=2)),
    Finish("tool_calls"),
    ReplyEnd(),
]


def types(events: list[dict]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_frames_of_text_and_two_calls():
    frames = encode_stream(CALLS)
    events = bodies(frames)
    assert types(events) == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [frame.event for frame in frames] == [event["type"] for event in events]
    text = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": "msg_ais01Xy_0", "output_index": 0, "content_index": 0}
    item = {"id": "msg_ais01Xy_0", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    assert events[2]["item"] == item
    assert events[3] == {"type": "response.content_part.added", **place, "part": text, "sequence_number": 3}
    assert events[4] == {
        "type": "response.output_text.delta", **place, "delta": "o", "logprobs": [], "sequence_number": 4,
    }  # fmt: skip
    assert events[6] == {
        "type": "response.output_text.done", **place, "text": "ok", "logprobs": [], "sequence_number": 6,
    }  # fmt: skip
    assert events[7]["part"] == {**text, "text": "ok"}
    call = {"id": "fc_ais01Xy_1", "type": "function_call", "call_id": "call_1", "name": "get"}
    assert events[9]["item"] == {**call, "arguments": "", "status": "in_progress"}
    assert events[12]["arguments"] == '{"a":1}'
    assert events[13]["item"] == {**call, "arguments": '{"a":1}', "status": "completed"}
    final = events[-1]["response"]
    assert final["output"] == [events[8]["item"], events[13]["item"], events[17]["item"]]
    assert (final["id"], final["model"], final["created_at"]) == ("resp_01Xy", "claude-haiku-4-5", 1700000000)
    assert (final["status"], final["usage"]["total_tokens"]) == ("completed", 6)
    assert final.keys() >= {"parallel_tool_calls", "tool_choice", "tools", "object"}


@pytest.mark.parametrize("pieces", [[], [""]])
def test_a_call_without_arguments_is_spelled_out_as_well(pieces):
    events = [ReplyStart("r", "m"), BlockStart(0, ToolCallPart("call_1", "now"))]
    events += [*(ArgumentsDelta(piece, 0) for piece in pieces), BlockEnd(0), Finish("tool_calls"), ReplyEnd()]
    told = [json.loads(frame.data) for frame in encode_stream(events)]
    deltas = [event["delta"] for event in told if event["type"] == "response.function_call_arguments.delta"]
    done = [event["arguments"] for event in told if event["type"] == "response.function_call_arguments.done"]
    assert "".join(deltas) == "{}"
    assert done == ["{}"]
    assert told[-1]["response"]["output"][0]["arguments"] == "{}"


def test_the_response_repeats_the_request():
    request = foreign(
        Message.system("Be brief."), tools=[Tool("get")], tool_choice=ToolChoice("required"), parallel_tool_calls=False
    )
    for event in bodies(encode_stream(CALLS, request)):
        if "response" in event:
            response = event["response"]
            assert response["tools"][0]["name"] == "get"
            assert (response["tool_choice"], response["parallel_tool_calls"]) == ("required", False)
            assert response["instructions"] == "Be brief."


def test_what_was_streamed_and_what_was_not_are_told_alike():
    completion = collect(CALLS)
    whole = dialect.encode_response(completion, Loss())
    assert bodies(encode_stream(CALLS))[-1]["response"] == {**whole, "status": "completed"}
    assert bodies(encode_stream([Whole(completion)]))[-1]["response"] == whole
    assert through([Whole(completion)]) == through(CALLS)


def test_an_answer_of_this_dialect_as_a_stream():
    completion = dialect.decode_response(RESPONSE)
    assert bodies(encode_stream([Whole(completion)]))[-1]["response"] == RESPONSE
    again = through([Whole(completion)])
    assert dialect.encode_response(again, Loss()) == RESPONSE


def test_interleaved_blocks():
    events = [
        ReplyStart("x", "m"),
        BlockStart(0, TextPart("")),
        BlockStart(1, ToolCallPart("c1", "get")),
        TextDelta("a", 0),
        ArgumentsDelta("{", 1),
        BlockStart(2, ToolCallPart("c2", "get")),
        ArgumentsDelta("[", 2),
        TextDelta("b", 0),
        BlockEnd(2),
        ArgumentsDelta("}", 1),
        BlockEnd(1),
        BlockStart(3, TextPart("c")),
        BlockEnd(0),
        BlockEnd(3),
        Finish("tool_calls"),
        ReplyEnd(),
    ]
    told = bodies(encode_stream(events))
    output = told[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call", "message"]
    assert [item["content"][0]["text"] for item in output if item["type"] == "message"] == ["ab", "c"]
    assert [item["arguments"] for item in output if item["type"] != "message"] == ["{}", "["]
    for event in told:
        if "output_index" in event:
            item = output[event["output_index"]]
            assert event.get("item_id", item["id"]) == item["id"]
    assert through(events).text == "abc"


def test_texts_that_follow_each_other_share_a_message():
    events = [
        ReplyStart("x", "m"),
        BlockStart(0, TextPart("a")),
        BlockEnd(0),
        BlockStart(1, RefusalPart("")),
        TextDelta("b", 1),
        BlockEnd(1),
        Finish("stop"),
        ReplyEnd(),
    ]
    told = bodies(encode_stream(events))
    (item,) = told[-1]["response"]["output"]
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]
    assert [event["content_index"] for event in told if "content_index" in event] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert types(told)[7:-1] == [
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]


def test_thoughts_from_elsewhere():
    loss = Loss()
    events = [
        ReplyStart("x", "m"),
        BlockStart(0, ReasoningPart()),
        ReasoningDelta("h", 0),
        ReasoningDelta("m", 0),
        BlockEnd(0, wire=Wire("anthropic_messages", {"signature": "s"})),
        BlockStart(1, ReasoningPart("", redacted=True, wire=Wire("anthropic_messages", {"data": "d"}))),
        BlockEnd(1),
        BlockStart(2, TextPart("ok")),
        BlockEnd(2),
        Finish("stop"),
        ReplyEnd(),
    ]
    told = bodies(encode_stream(events, loss=loss))
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["reasoning", "message"]
    assert told[-1]["response"]["output"][0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert [item.field for item in loss.items] == [
        "choices[0].message.parts[0].signature",
        "choices[0].message.parts[1]",
    ]
    assert types(told)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]


def test_other_content_from_elsewhere():
    loss = Loss()
    events = [
        ReplyStart("x", "m"),
        BlockStart(0, MediaPart("image", data="AAAA")),
        BlockEnd(0),
        BlockStart(1, ProviderPart("gemini_generate", {"executableCode": {}})),
        BlockEnd(1),
        Other("anthropic_messages", "ping", {"type": "ping"}),
        BlockStart(0, TextPart("alternative"), choice=1),
        TextDelta("x", 0, 1),
        BlockEnd(0, 1),
        Finish("stop"),
        Finish("length", 1),
        ReplyEnd(),
    ]
    told = bodies(encode_stream(events, loss=loss))
    assert types(told) == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
    assert told[-1]["response"]["output"][0]["result"] == "AAAA"
    assert [(item.field, item.action) for item in loss.items] == [
        ("choices[0].message.parts[0]", "emulated"),
        ("choices[0].message.parts[1]", "dropped"),
        ("choices[1]", "dropped"),
    ]


def test_alternatives_of_a_whole_answer_are_recorded():
    loss = Loss()
    choices = [Choice(Message.assistant("a"), "stop"), Choice(Message.assistant("b"), "stop", index=1)]
    encode_stream([Whole(Completion("x", "m", choices))], loss=loss)
    assert [item.field for item in loss.items] == ["choices[1]"]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("length", "incomplete"), ("content_filter", "incomplete"), ("error", "failed"), ("pause", "completed")],
)
def test_terminal_events_from_elsewhere(reason, kind):
    events = [ReplyStart("x", "m"), BlockStart(0, TextPart("a")), BlockEnd(0), Finish(reason), ReplyEnd()]
    told = bodies(encode_stream(events))
    assert told[-1]["type"] == f"response.{kind}"
    assert told[-1]["response"]["status"] == kind
    item = next(event for event in told if event["type"] == "response.output_item.done")["item"]
    assert item["status"] == ("incomplete" if reason == "length" else "completed")
    if kind == "failed":
        assert told[-1]["response"]["error"]["code"] == "server_error"


def test_an_error_in_the_middle():
    error = ErrorInfo(429, "slow", code="rate_limit_exceeded", kind="rate_limit")
    told = bodies(encode_stream([*CALLS[:4], StreamError(error), *CALLS[4:]]))
    assert types(told)[-3:] == ["output_text.delta", "error", "failed"]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    response = told[-1]["response"]
    assert (response["status"], response["error"]["message"]) == ("failed", "slow")
    assert response["output"][0]["content"][0]["text"] == "ok"
    assert response["output"][0]["status"] == "incomplete"


def test_an_error_at_the_start():
    told = bodies(encode_stream([StreamError(ErrorInfo(500, "x", kind="server"))]))
    assert types(told) == ["error"]


def test_a_stream_that_breaks_off_is_not_taken_for_whole():
    told = bodies(encode_stream(CALLS[:4]))
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "ok"
    assert encode_stream([]) == []
    # A reason to stop was told: what is missing is the formal end only.
    assert bodies(encode_stream(CALLS[:-1]))[-1]["type"] == "response.completed"


def test_blocks_that_were_not_ended():
    told = bodies(encode_stream([ReplyStart("x", "m"), BlockStart(0, TextPart("a")), Finish("stop"), ReplyEnd()]))
    assert types(told)[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]


def test_events_without_their_block_or_after_the_end_are_passed_over():
    events = [
        ReplyStart("x", "m"), ReplyStart("y", "m"), TextDelta("a", 7), ReasoningDelta("a", 7), ArgumentsDelta("a", 7),
        BlockEnd(7), Event(), Finish("stop"), ReplyEnd(), TextDelta("a", 0), ReplyEnd(),
    ]  # fmt: skip
    assert types(bodies(encode_stream(events))) == ["created", "in_progress", "completed"]


def test_content_without_a_beginning():
    told = bodies(encode_stream([BlockStart(0, TextPart("a")), BlockEnd(0), Finish("stop"), ReplyEnd()]))
    assert types(told)[:2] == ["created", "in_progress"]
    assert told[0]["response"]["id"] == "resp_0"


def test_data_is_ascii_and_one_line():
    frames = encode_stream([ReplyStart("x", "m"), BlockStart(0, TextPart("")), TextDelta("\u2028é\n", 0), BlockEnd(0)])
    assert all(frame.data.isascii() and "\n" not in frame.data for frame in frames)


def test_items_without_ids_get_some():
    item = {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}
    completion = dialect.decode_response({**RESPONSE, "output": [item]})
    told = bodies(encode_stream([Whole(completion)]))
    assert told[-1]["response"]["output"] == [{**item, "id": "fc_ais1_0"}]


parts = st.one_of(
    st.builds(TextPart, st.text(max_size=8)),
    st.builds(RefusalPart, st.text(min_size=1, max_size=8)),
    st.builds(ReasoningPart, st.text(min_size=1, max_size=8)),
    st.builds(ToolCallPart, st.just(""), st.just("get"), st.just('{"a":1}')),
)


@st.composite
def sequences(draw) -> list[Event]:
    """Well-formed streams: blocks overlap, pieces are cut anywhere."""
    open_: dict[int, list[Event]] = {}
    events: list[Event] = [ReplyStart("msg_1", "m", 5)]
    chosen = [_numbered(part, at) for at, part in enumerate(draw(st.lists(parts, max_size=5)))]
    queue = list(enumerate(chosen))
    while queue or open_:
        if queue and (not open_ or draw(st.booleans())):
            number, part = queue.pop(0)
            text = part.arguments if isinstance(part, ToolCallPart) else part.text
            cut = draw(st.integers(0, len(text)))
            kind = {ToolCallPart: ArgumentsDelta, ReasoningPart: ReasoningDelta}.get(type(part), TextDelta)
            known = draw(st.booleans())
            empty = ToolCallPart(part.id, part.name) if isinstance(part, ToolCallPart) else type(part)("")
            events.append(BlockStart(number, part if known else empty))
            pieces = () if known else (text[:cut], text[cut:])
            open_[number] = [kind(piece, number) for piece in pieces if piece]
        else:
            number = draw(st.sampled_from(sorted(open_)))
            if open_[number]:
                events.append(open_[number].pop(0))
            else:
                del open_[number]
                events.append(BlockEnd(number))
    called = any(isinstance(part, ToolCallPart) for part in chosen)
    return [*events, Finish("tool_calls" if called else "stop"), ReplyEnd()]


@given(sequences())
def test_any_well_formed_stream_is_told_and_read_again(events):
    frames = encode_stream(events)
    numbers = [event["sequence_number"] for event in bodies(frames)]
    assert numbers == list(range(len(numbers)))
    wanted, told = collect(events), collect(decode_stream(frames))
    assert [(type(part), _content(part)) for part in sorted_parts(told)] == [
        (type(part), _content(part)) for part in sorted_parts(wanted)
    ]
    assert told.finish_reason == wanted.finish_reason


def _numbered(part, at: int):
    """Calls have different ids."""
    return replace(part, id=f"call_{at}") if isinstance(part, ToolCallPart) else part


def sorted_parts(completion: Completion) -> list:
    """The parts in an order that does not depend on which of two open blocks was told first."""
    return sorted(completion.message.parts, key=lambda part: (type(part).__name__, _content(part)))


def _content(part) -> str:
    return part.arguments if isinstance(part, ToolCallPart) else part.text


# --- the official SDK --------------------------------------------------------------------------------------------------


def sdk(body: bytes, content_type: str = "text/event-stream"):
    openai = pytest.importorskip("openai")
    httpx2 = pytest.importorskip("httpx2")
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers={"content-type": content_type}, content=body)
    )
    return openai.OpenAI(
        api_key="sk-test", base_url="http://localhost/v1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def on_the_wire(events: list[Event]) -> bytes:
    return b"".join(encode_sse(frame.data, frame.event) for frame in encode_stream(events))


def test_the_sdk_accumulates_our_streams():
    with sdk(on_the_wire(CALLS)) as client, client.responses.stream(model="m", input="x") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "ok"
    assert [(call.name, call.arguments) for call in final.output[1:]] == [("get", '{"a":1}'), ("get", '{"a":2}')]
    assert final.usage.total_tokens == 6


@given(sequences())
def test_the_sdk_accepts_any_stream_of_ours(events):
    with sdk(on_the_wire(events)) as client, client.responses.stream(model="m", input="x") as stream:
        final = stream.get_final_response()
    assert sorted(final.output_text) == sorted(collect(events).text)


def test_the_sdk_raises_for_errors_of_ours():
    openai = pytest.importorskip("openai")
    error = StreamError(ErrorInfo(429, "slow", code="rate_limit_exceeded", kind="rate_limit"))
    with (
        sdk(on_the_wire([*CALLS[:4], error])) as client,
        client.responses.stream(model="m", input="x") as stream,
        pytest.raises(openai.APIError, match="slow"),
    ):
        stream.until_done()


def test_the_sdk_reads_our_answers():
    body = dialect.encode_response(collect(CALLS), Loss())
    with sdk(json.dumps(body).encode(), "application/json") as client:
        answer = client.responses.create(model="m", input="x")
    assert answer.output_text == "ok"
    types_ = pytest.importorskip("openai.types.responses")
    # Strictly: every required field is there, with the right type.
    types_.Response.model_validate(body)
    for event in bodies(encode_stream(CALLS)):
        if "response" in event:
            types_.Response.model_validate(event["response"])


def test_the_sdk_would_send_our_requests():
    pydantic = pytest.importorskip("pydantic")
    params = pytest.importorskip("openai.types.responses.response_create_params")
    adapter = pydantic.TypeAdapter(params.ResponseCreateParamsNonStreaming)
    request = foreign(
        Message.system("Be brief."),
        Message.user("Look", MediaPart("image", data="AAAA"), MediaPart("document", data="AAAA")),
        Message.assistant("ok", ToolCallPart("c1", "get", '{"a":1}')),
        Message.tool("c1", "1"),
        tools=[Tool("get")],
        tool_choice=ToolChoice("tool", ["get"]),
        max_tokens=5,
        logprobs=1,
    )
    from aistrale.dialects.base import ANY

    adapter.validate_python(dialect.encode_request(request, ANY, Loss()))

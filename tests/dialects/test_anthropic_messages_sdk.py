from __future__ import annotations

import json

import pydantic
import pytest

from aistrale.core.accumulate import collect
from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import Loss
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    CacheHint,
    ErrorInfo,
    Finish,
    MediaPart,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
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
)
from tests.dialects.anthropic_messages_cases import (
    ADAPTIVE,
    FULL,
    accumulate,
    ask,
    decode,
    encode,
    sdk,
    send,
)

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


def test_requests_from_elsewhere_fit_the_types_of_the_sdk():
    params = pytest.importorskip("anthropic.types.message_create_params")
    adapter = pydantic.TypeAdapter(params.MessageCreateParamsNonStreaming)
    request = ask(
        Message.system("Be brief."),
        Message.user("Look", MediaPart("image", data="/9j/"), MediaPart("document", url="https://example.test/a.pdf")),
        Message("assistant", [TextPart("Hm."), ToolCallPart("a", "f", '{"x":1}')]),
        Message.tool("a", "one"),
        tools=[Tool("f", "d", {"type": "object"}, strict=True, cache=CacheHint("1h"))],
        tool_choice=ToolChoice("tool", ["f"]),
        parallel_tool_calls=False,
        reasoning=Reasoning("high", include=True),
        output=OutputFormat("json_schema", {"type": "object"}),
        stop=["x"],
        user="u",
        service_tier="auto",
    )
    sent, lost = send(request, ADAPTIVE)
    assert not lost
    assert adapter.validate_python(sent).keys() == sent.keys()

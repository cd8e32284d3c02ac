"""OpenAI Responses: requests, both ways."""

from __future__ import annotations

import copy
import json

import pytest

from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    CacheHint,
    MediaPart,
    OutputFormat,
    Reasoning,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from tests.dialects.openai_responses_cases import BODY, INPUT, changed, marks, roundtrip

VARIANTS = [
    {"model": "m", "input": "Hello"},
    {"model": "m", "input": "Hello", "instructions": "Be brief"},
    {"model": "m", "input": "Hello", "instructions": ""},
    {"model": "m", "input": "Hello", "instructions": None},
    {"model": "m", "input": []},
    {"model": "m", "input": None, "prompt": {"id": "pmpt_1", "variables": {"a": "b"}}},
    {"prompt": {"id": "pmpt_1"}},
    {"model": "m", "input": "a", "tools": []},
    {"model": "", "input": [{"role": "user", "name": "Ann", "content": "hi"}, {"role": "user", "name": None}]},
    {
        "model": "m",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": 3}},
                    {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "implicit"}},
                    {"type": "input_text", "text": "c", "prompt_cache_breakpoint": None},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav", "rate": 1}},
                ],
            }
        ],
    },
    {"model": "m", "input": "a", "tools": None, "stream": None},
    {"model": "m", "input": "a", "stream": True, "stream_options": {"include_obfuscation": False}},
    {"model": "m", "input": "a", "include": ["message.output_text.logprobs"]},
    {"model": "m", "input": "a", "include": ["message.output_text.logprobs"], "top_logprobs": 0},
    {"model": "m", "input": "a", "top_logprobs": 5},
    {"model": "m", "input": "a", "include": []},
    {"model": "m", "input": "a", "user": "u"},
    {"model": "m", "input": "a", "metadata": {}},
    {"model": "m", "input": "a", "metadata": {"n": 1}},
    {"model": "m", "input": "a", "text": {}},
    {"model": "m", "input": "a", "text": {"verbosity": "high"}},
    {"model": "m", "input": "a", "text": {"format": {"type": "text"}}},
    {"model": "m", "input": "a", "text": {"format": {"type": "json_object"}}},
    {
        "model": "m",
        "input": "a",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": None}},
    },
    {"model": "m", "input": "a", "text": {"format": {"type": "grammar", "syntax": "lark"}}},
    {"model": "m", "input": "a", "reasoning": None},
    {"model": "m", "input": "a", "reasoning": {}},
    {"model": "m", "input": "a", "reasoning": {"effort": None, "generate_summary": "concise", "mode": "pro"}},
    {"model": "m", "input": "a", "tool_choice": "auto"},
    {"model": "m", "input": "a", "tool_choice": "none"},
    {"model": "m", "input": "a", "tool_choice": "required"},
    {"model": "m", "input": "a", "tool_choice": "whatever"},
    {"model": "m", "input": "a", "tool_choice": {"type": "custom", "name": "sql"}},
    {"model": "m", "input": "a", "tool_choice": {"type": "web_search_preview"}},
    {"model": "m", "input": "a", "tool_choice": {"type": "mcp", "server_label": "deep", "name": "ask"}},
    {"model": "m", "input": "a", "tool_choice": {"type": "shell"}},
    {
        "model": "m",
        "input": "a",
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "tide"}, {"type": "image_generation"}],
        },
    },
    {"model": "m", "input": "a", "previous_response_id": "resp_0", "conversation": {"id": "conv_1"}, "store": True},
    {"model": "m", "input": "a", "seed": 3, "stop": ["x"], "x_vendor": {"deep": [None]}},
    BODY,
]


@pytest.mark.parametrize("body", VARIANTS, ids=lambda body: ",".join(sorted(body))[:60])
def test_a_request_of_this_dialect_is_written_as_it_came(body):
    loss = Loss(on_lossy="error")
    assert roundtrip(copy.deepcopy(body), loss) == body
    assert loss.items == []


def test_every_text_in_the_hub_shows_in_the_body():
    request = dialect.decode_request(copy.deepcopy(BODY))
    for at, message in enumerate(request.messages):
        message.parts = changed(message.parts, f"mark-{at}")
    body = dialect.encode_request(request, ANY, Loss())
    text = json.dumps(body)
    wanted = [mark for message in request.messages for mark in marks(message.parts)]
    assert len(wanted) > 30
    assert [mark for mark in wanted if mark not in text] == []
    for original in (
        "High at six",
        "First.",
        "In full",
        "Brest\\",
        "select",
        "When is high",
        "harbour master",
        "3 rows",
    ):
        assert original not in text
    again = dialect.decode_request(body)
    assert [m.role for m in again.messages] == [m.role for m in request.messages]
    assert [m.text for m in again.messages] == [m.text for m in request.messages]


def test_every_option_in_the_hub_shows_in_the_body():
    request = dialect.decode_request(copy.deepcopy(BODY))
    request.model = "other"
    request.max_tokens, request.temperature, request.top_p = 1, 0.1, 0.2
    request.parallel_tool_calls, request.stream, request.logprobs = True, True, 7
    request.user, request.metadata, request.cache_key, request.service_tier = "v", {"a": "b"}, "l", "auto"
    request.tool_choice = ToolChoice("none")
    request.output = OutputFormat("json_object")
    request.reasoning = Reasoning("high")
    request.tools = [*request.tools[:1], Tool("added", "new", {"type": "object"})]
    request.tools[0].description = "changed"
    request.messages = request.messages[:1]
    body = dialect.encode_request(request, ANY, Loss())
    assert body["model"] == "other"
    assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (1, 0.1, 0.2)
    assert (body["parallel_tool_calls"], body["stream"], body["top_logprobs"]) == (True, True, 7)
    assert (body["safety_identifier"], body["user"]) == ("v", "u-2")
    assert (body["metadata"], body["prompt_cache_key"], body["service_tier"]) == ({"a": "b"}, "l", "auto")
    assert body["tool_choice"] == "none"
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert body["reasoning"] == {"effort": "high"}
    assert [tool["name"] for tool in body["tools"]] == ["tide", "added"]
    assert body["tools"][0]["description"] == "changed"
    assert body["tools"][0]["defer_loading"] is True
    assert body["input"] == []


def test_removed_options_leave_the_body():
    request = dialect.decode_request(copy.deepcopy(BODY))
    request.logprobs = request.user = request.metadata = request.output = request.reasoning = None
    request.tool_choice = request.max_tokens = request.temperature = request.cache_key = None
    request.tools = []
    body = dialect.encode_request(request, ANY, Loss())
    gone = {
        "top_logprobs", "safety_identifier", "metadata", "reasoning", "tool_choice",
        "max_output_tokens", "temperature", "prompt_cache_key", "tools",
    }  # fmt: skip
    assert gone & body.keys() == set()
    assert body["include"] == ["reasoning.encrypted_content", "file_search_call.results"]
    assert body["text"] == {"verbosity": "low"}


def test_items_of_one_turn_are_one_message():
    request = dialect.decode_request({"model": "m", "input": copy.deepcopy(INPUT)})
    roles = [message.role for message in request.messages]
    assert roles[:9] == ["developer", "system", "user", "assistant", "tool", "assistant", "tool", "tool", "user"]
    turn = request.messages[3]
    kinds = [type(part) for part in turn.parts]
    assert kinds == [ReasoningPart, ReasoningPart, ReasoningPart, TextPart, RefusalPart, ToolCallPart]
    assert [part.text for part in turn.parts[:3]] == ["First.", "Then.", "In full."]
    assert turn.tool_calls[0].id == "call_1"
    assert turn.tool_calls[0].input == {"port": "Brest"}
    custom = request.messages[5].tool_calls[0]
    assert custom.input == {"input": 'select "a"\nfrom b'}
    result = request.messages[4].parts[0]
    assert isinstance(result, ToolResultPart)
    assert (result.call_id, result.text) == ("call_1", '{"at": "06:10"}')


def test_instructions_and_media_reach_the_hub():
    request = dialect.decode_request({"model": "m", "input": copy.deepcopy(INPUT), "instructions": "Be kind."})
    assert (request.messages[0].role, request.messages[0].text) == ("system", "Be kind.")
    media = [part for message in request.messages for part in message.parts if isinstance(part, MediaPart)]
    assert [(part.media, part.media_type) for part in media] == [
        ("image", None),
        ("image", "image/png"),
        ("document", "application/pdf"),
        ("document", None),
        ("document", None),
        ("audio", "audio/mp3"),
    ]
    text = request.messages[9].parts[0]
    assert isinstance(text, TextPart)
    assert text.cache == CacheHint("30m")


def test_stored_state_stands_in_the_fields_under_documented_names():
    body = {"model": "m", "input": "a", "previous_response_id": "resp_0", "store": True, "background": False}
    fields = dialect.decode_request(body).wire.fields
    assert {name: fields[name] for name in dialect.STATE_FIELDS if fields.get(name)} == {
        "previous_response_id": "resp_0",
        "store": True,
    }


def test_fields_that_the_hub_models_do_not_stand_in_the_wire_too():
    request = dialect.decode_request(copy.deepcopy(BODY))
    told = {name for name, value in request.wire.fields.items() if value}
    assert told == {"include", "text", "truncation", "moderation", "prompt_cache_options", "user"}


def test_the_model_and_streaming_of_the_url_count_where_the_body_is_silent():
    request = dialect.decode_request({"input": "x"}, model="deployment", stream=True)
    assert (request.model, request.stream) == ("deployment", True)
    request = dialect.decode_request({"model": "m", "input": "x", "stream": False}, model="d", stream=True)
    assert (request.model, request.stream) == ("m", False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"type": 3}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "n", "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": ["x"]}]}, "input[0].summary[0]"),
        ({"input": [{"role": "assistant", "content": {}}]}, "input[0].content"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "tools": [{"type": "function", "name": "n", "strict": "yes"}]}, "tools[0].strict"),
        ({"input": "x", "tool_choice": 3}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "schema": []}}}, "text.format.schema"),
        ({"input": "x", "reasoning": "high"}, "reasoning"),
        ({"input": "x", "instructions": ["a"]}, "instructions"),
        ({"input": "x", "max_output_tokens": True}, "max_output_tokens"),
    ],
)
def test_wrong_shapes_are_named(body, field):
    with pytest.raises(MalformedBody) as caught:
        dialect.decode_request(body)
    assert caught.value.field == field


def test_a_request_without_a_model_of_its_own_gets_the_targets():
    request = dialect.decode_request({"input": "x"})
    request.model = "gpt-5"
    assert dialect.encode_request(request, ANY, Loss()) == {"input": "x", "model": "gpt-5"}
    assert isinstance(request, Request)

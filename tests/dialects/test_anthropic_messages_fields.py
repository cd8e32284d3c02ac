from __future__ import annotations

import base64
import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    MediaPart,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from tests.dialects.anthropic_messages_cases import (
    USER,
    body,
    json_values,
    send,
    there_and_back,
)


def test_every_change_in_the_hub_shows_in_the_body():
    original = body(
        system="s",
        messages=[
            {"role": "user", "content": "one"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "sig"},
                    {"type": "text", "text": "two", "citations": []},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"k": "v"}, "caller": {"type": "direct"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "three"},
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "four"}]},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "five"},
                        "title": "d",
                    },
                ],
            },
        ],
        tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "defer_loading": True}],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": {"total": 1}},
        metadata={"user_id": "u", "more": 1},
        stop_sequences=["stop"],
        service_tier="auto",
    )
    request = there_and_back(original)
    request.model = "changed"
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, (TextPart, ReasoningPart)):
                part.text = "changed"
            elif isinstance(part, ToolCallPart):
                part.id, part.name, part.arguments = "changed", "changed", '{"k":"changed"}'
            elif isinstance(part, ToolResultPart):
                part.call_id, part.is_error = "changed", True
                part.content = [TextPart("changed")]
            elif isinstance(part, MediaPart):
                part.data, part.filename = base64.b64encode(b"changed").decode(), "changed"
    tool = request.tools[0]
    tool.name = tool.description = "changed"
    tool.parameters = {"type": "object", "title": "changed"}
    request.tool_choice.names = ["changed"]
    request.parallel_tool_calls = True
    request.reasoning.budget, request.reasoning.include = 3000, True
    request.output.schema = {"type": "string"}
    request.user = "changed"
    request.stop = ["changed"]
    request.service_tier = "standard_only"
    request.max_tokens = 7
    sent, _ = send(request)
    assert sent == {
        "model": "changed",
        "max_tokens": 7,
        "system": "changed",
        "messages": [
            {"role": "user", "content": "changed"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "changed", "signature": "sig"},
                    {"type": "text", "text": "changed", "citations": []},
                    {
                        "type": "tool_use",
                        "id": "changed",
                        "name": "changed",
                        "input": {"k": "changed"},
                        "caller": {"type": "direct"},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "changed", "content": "changed", "is_error": True},
                    {
                        "type": "tool_result",
                        "tool_use_id": "changed",
                        "content": [{"type": "text", "text": "changed"}],
                        "is_error": True,
                    },
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "changed"},
                        "title": "changed",
                    },
                ],
            },
        ],
        "tools": [
            {
                "name": "changed",
                "description": "changed",
                "input_schema": {"type": "object", "title": "changed"},
                "defer_loading": True,
            }
        ],
        "tool_choice": {"type": "tool", "name": "changed", "disable_parallel_tool_use": False},
        "thinking": {"type": "enabled", "budget_tokens": 3000, "display": "summarized"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}, "task_budget": {"total": 1}},
        "metadata": {"user_id": "changed", "more": 1},
        "stop_sequences": ["changed"],
        "service_tier": "standard_only",
    }


def test_what_is_taken_out_of_the_hub_is_gone_from_the_body():
    request = there_and_back(
        body(
            system="s",
            messages=[*USER, {"role": "assistant", "content": "a"}, *USER],
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
            tool_choice={"type": "auto"},
            thinking={"type": "adaptive"},
            output_config={"effort": "low"},
            temperature=0.5,
        )
    )
    request.tools, request.tool_choice, request.reasoning, request.temperature = [], None, None, None
    request.messages = request.messages[1:2]
    assert send(request)[0] == body()


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stream": False},
        {"temperature": 0, "top_p": 0.5, "top_k": 3},
        {"stop_sequences": []},
        {"tools": [], "metadata": {}, "output_config": {}},
        {"metadata": {"user_id": None}},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
        {"tool_choice": {"type": "none"}},
        {"tool_choice": {"type": "some_day", "x": 1}},
        {"thinking": {"type": "adaptive", "display": "updates", "block_binding": {}}},
        {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
        {"thinking": {"type": "between_tools"}},
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "low"}},
        {"thinking": {"type": "dreaming", "depth": 3}, "output_config": {"effort": "high"}},
        {"thinking": None, "tools": None, "tool_choice": None, "metadata": None, "stop_sequences": None},
        {"output_config": {"effort": None, "format": None}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}, "container": "c", "speed": "fast", "inference_geo": None},
        {
            "mcp_servers": [{"type": "url", "url": "u", "name": "n"}],
            "context_management": {"edits": []},
            "betas": ["x"],
        },
        {
            "tools": [
                {
                    "name": "f",
                    "input_schema": {"type": "object"},
                    "type": "custom",
                    "strict": False,
                    "description": "d",
                },
                {"name": "g", "input_schema": {}, "cache_control": {"type": "ephemeral", "ttl": "5m"}, "type": None},
                {"type": "web_search_20260318", "name": "web_search", "max_uses": None},
                {"type": "mcp_toolset", "mcp_server_name": "n", "cache_control": {"type": "ephemeral"}},
                {"type": "computer_toolset_20260801", "name": "computer", "display_width_px": 1},
            ]
        },
    ],
)
def test_fields_come_back(fields):
    there_and_back(body(**fields))


def test_the_bodies_of_token_counts_and_of_cloud_platforms():
    there_and_back({"model": "claude-x", "messages": USER})
    vertex = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": USER}
    decoded = dialect.decode_request(copy.deepcopy(vertex), model="claude-x@1", stream=True)
    assert (decoded.model, decoded.stream) == ("claude-x@1", True)
    assert send(decoded)[0] == {**vertex, "stream": True}


def test_fields_reach_the_hub():
    request = dialect.decode_request(
        body(
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            output_config={"format": {"type": "json_schema", "schema": {"a": 1}}, "effort": "xhigh"},
            thinking={"type": "adaptive", "display": "summarized"},
            metadata={"user_id": "u"},
            stop_sequences=["x"],
            top_k=4,
        )
    )
    assert request.tools == [Tool("f", "d", {"type": "object"}, strict=True)]
    assert (request.tool_choice.mode, request.parallel_tool_calls) == ("required", False)
    assert (request.output.kind, request.output.schema) == ("json_schema", {"a": 1})
    assert (request.reasoning.effort, request.reasoning.budget, request.reasoning.include) == ("xhigh", None, True)
    assert (request.user, request.stop, request.top_k, request.max_tokens) == ("u", ["x"], 4, 100)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [1]}, r"messages\[0\]: expected an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\]\.role"),
        ({"messages": [{"role": "user", "content": None}]}, r"messages\[0\]\.content"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, r"messages\[0\]\.content\[0\]\.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"messages\[0\]\.content\[0\]\.text"),
        ({"system": 3}, "system"),
        ({"system": [{"type": "text", "text": 1}]}, r"system\[0\]\.text"),
        ({"tools": [{"input_schema": {}}]}, r"tools\[0\]\.name"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": {"type": "tool"}}, r"tool_choice\.name"),
        ({"thinking": True}, "thinking"),
        ({"output_config": {"format": {"type": "xml"}}}, r"output_config\.format\.type"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"model": 5}, "model"),
    ],
)
def test_wrong_shapes_name_the_field(fields, where):
    with pytest.raises(MalformedBody, match=f"^{where}"):
        dialect.decode_request(body(**fields))


@given(json_values, st.sampled_from(["model", "messages", "system", "tools", "thinking", "metadata", "output_config"]))
def test_rubbish_is_malformed_or_decoded_but_never_crashes(value, key):
    with contextlib.suppress(MalformedBody):
        dialect.decode_request(body(**{key: value}))
    for reader in (dialect.decode_response, dialect.decode_token_count):
        with contextlib.suppress(MalformedBody):
            reader({key: value, "content": value, "input_tokens": value, "usage": value})

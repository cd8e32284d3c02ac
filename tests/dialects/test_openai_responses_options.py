"""OpenAI Responses: options from elsewhere."""

from __future__ import annotations

import copy

import pytest

from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    Message,
    OutputFormat,
    Reasoning,
    Tool,
    ToolCallPart,
    ToolChoice,
    Wire,
)
from tests.dialects.openai_responses_cases import BODY, encode, foreign


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"n": 2}, "n"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"tools": [Tool("web", hosted={"type": "web_search"}, wire=Wire("anthropic_messages"))]}, "tools[0]"),
        ({"tools": [Tool("web", hosted={"type": "web_search"})]}, "tools[0]"),
        ({"wire": Wire("anthropic_messages", {"container": "c_1"})}, "container"),
        ({"wire": Wire("gemini_generate", {"cachedContent": "c/1"})}, "cachedContent"),
    ],
)
def test_what_must_not_be_guessed_is_refused(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        encode(foreign(Message.user("x"), **fields), on_unsupported="drop")
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param", "profile"),
    [
        ({"seed": 1}, "seed", ANY),
        ({"top_k": 1}, "top_k", ANY),
        ({"presence_penalty": 0.5}, "presence_penalty", ANY),
        ({"frequency_penalty": 0.5}, "frequency_penalty", ANY),
        ({"temperature": 0.5}, "temperature", Profile(sampling=False)),
        ({"top_p": 0.5}, "top_p", Profile(sampling=False)),
        ({"reasoning": Reasoning("high")}, "reasoning", Profile(thinking="none")),
        ({"reasoning": Reasoning("huge")}, "reasoning.effort", ANY),
        ({"logprobs": 1}, "logprobs", Profile(unsupported=frozenset({"logprobs"}))),
        ({"metadata": {"a": "b"}}, "metadata", Profile(unsupported=frozenset({"metadata"}))),
        ({"user": "u"}, "user", Profile(unsupported=frozenset({"user"}))),
        ({"cache_key": "u"}, "cache_key", Profile(unsupported=frozenset({"cache_key"}))),
        ({"tools": [Tool("t")]}, "tools", Profile(unsupported=frozenset({"tools"}))),
        ({"tool_choice": ToolChoice("auto")}, "tool_choice", Profile(unsupported=frozenset({"tool_choice"}))),
        ({"service_tier": "performance", "source": "groq"}, "service_tier", ANY),
    ],
)
def test_options_without_counterpart_are_refused_or_dropped(fields, param, profile):
    with pytest.raises(InvalidRequestError) as caught:
        encode(foreign(Message.user("x"), **fields), profile)
    assert caught.value.param == param
    body, lost = encode(foreign(Message.user("x"), **fields), profile, on_unsupported="drop")
    assert lost == [(param, "dropped")]
    assert not set(fields) & (set(body) - {"input", "model", "reasoning"})


def test_options_that_say_nothing_lose_nothing():
    body, lost = encode(
        foreign(
            Message.user("x"), n=1, stop=[], presence_penalty=0.0, frequency_penalty=0, logit_bias={}, temperature=1
        ),
        Profile(sampling=False),
    )
    assert lost == []
    assert body.keys() == {"model", "input", "temperature"}


def test_options_from_elsewhere():
    body, lost = encode(
        foreign(
            Message.user("x"),
            max_tokens=9,
            temperature=0.3,
            logprobs=2,
            user="u",
            metadata={"a": "b"},
            cache_key="k",
            service_tier="standard_only",
            source="anthropic_messages",
            stream=True,
            parallel_tool_calls=True,
            extra={"truncation": "auto"},
        )
    )
    assert lost == []
    assert {key: body[key] for key in body if key not in {"input", "model"}} == {
        "max_output_tokens": 9,
        "temperature": 0.3,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "user": "u",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "service_tier": "default",
        "stream": True,
        "parallel_tool_calls": True,
        "truncation": "auto",
    }


def test_fields_of_other_dialects_are_recorded():
    request = foreign(
        Message.user("x"),
        wire=Wire("gemini_generate", {"safetySettings": [1], "labels": None, "store": False}),
        source="gemini_generate",
    )
    _, lost = encode(request)
    assert lost == [("safetySettings", "dropped")]


def test_fields_of_the_chat_format_that_mean_the_same_are_kept():
    fields = {"verbosity": "low", "store": True, "stream_options": {"include_usage": True}, "prediction": {"a": 1}}
    request = foreign(
        Message.user("x"), wire=Wire("openai_chat", fields), source="openai_chat", output=OutputFormat("json_object")
    )
    body, lost = encode(request)
    assert lost == [("prediction", "dropped")]
    assert body["store"] is True
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert "stream_options" not in body


def test_custom_tools_of_the_chat_format():
    request = foreign(
        Message.assistant(ToolCallPart("c", "sql", '{"input":"select 1"}', wire=Wire("openai_chat", {}, "custom"))),
        Message.tool("c", "1"),
        tools=[
            Tool(
                "sql",
                "Runs SQL",
                hosted={
                    "type": "custom",
                    "custom": {
                        "name": "sql",
                        "description": "old",
                        "format": {"type": "grammar", "grammar": {"definition": "a", "syntax": "lark"}},
                    },
                },
                wire=Wire("openai_chat"),
            )
        ],
        tool_choice=ToolChoice("tool", ["sql"]),
    )
    body, lost = encode(request)
    assert lost == []
    assert body["tools"] == [
        {
            "type": "custom",
            "name": "sql",
            "description": "Runs SQL",
            "format": {"type": "grammar", "definition": "a", "syntax": "lark"},
        }
    ]
    assert [item["type"] for item in body["input"]] == ["custom_tool_call", "custom_tool_call_output"]
    assert body["input"][0]["input"] == "select 1"
    assert body["tool_choice"] == {"type": "custom", "name": "sql"}


def test_tools_from_elsewhere_have_the_required_keys():
    body, _ = encode(foreign(Message.user("x"), tools=[Tool("a", "A", {"type": "object"}, strict=True), Tool("b")]))
    assert body["tools"] == [
        {"type": "function", "name": "a", "description": "A", "parameters": {"type": "object"}, "strict": True},
        {"type": "function", "name": "b", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("none", ["a"]), "none"),
        (ToolChoice("tool", ["a"]), {"type": "function", "name": "a"}),
        (
            ToolChoice("tool", ["a", "b"]),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "b"}],
            },
        ),
        (
            ToolChoice("auto", ["a"]),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]},
        ),
        (ToolChoice("tool", ["deep"]), {"type": "mcp", "server_label": "deep"}),
        (ToolChoice("tool", ["web_search"]), {"type": "web_search"}),
    ],
)
def test_tool_choices_from_elsewhere(choice, wanted):
    tools = dialect.decode_request(copy.deepcopy(BODY)).tools
    body, _ = encode(foreign(Message.user("x"), tools=tools, tool_choice=choice))
    assert body["tool_choice"] == wanted


def test_allowed_tools_follow_the_hub():
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}
    request = dialect.decode_request({"model": "m", "input": "x", "tool_choice": choice})
    assert (request.tool_choice.mode, request.tool_choice.names) == ("tool", ["a"])
    request.tool_choice.names = ["b"]
    assert dialect.encode_request(request, ANY, Loss())["tool_choice"] == {"type": "function", "name": "b"}


def test_output_formats_from_elsewhere():
    output = OutputFormat("json_schema", {"type": "object"}, name="My answer!", strict=True, description="d")
    body, _ = encode(foreign(Message.user("x"), output=output))
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "My_answer_",
        "schema": {"type": "object"},
        "strict": True,
        "description": "d",
    }
    body, lost = encode(foreign(Message.user("x"), output=output), Profile(structured="json"))
    assert (body["text"]["format"], lost) == ({"type": "json_object"}, [("output", "emulated")])
    body, lost = encode(foreign(Message.user("x"), output=output), Profile(structured="prompt"))
    assert ("text" in body, lost) == (False, [("output", "dropped")])


@pytest.mark.parametrize(
    ("reasoning", "profile", "wanted", "lost"),
    [
        (Reasoning("high"), ANY, {"effort": "high"}, []),
        (Reasoning("none"), ANY, {"effort": "none"}, []),
        (Reasoning(include=True), ANY, {"summary": "auto"}, []),
        (Reasoning("max"), Profile(efforts=("low", "high")), {"effort": "high"}, [("reasoning.effort", "emulated")]),
        (
            Reasoning("minimal"),
            Profile(efforts=("none", "low")),
            {"effort": "none"},
            [("reasoning.effort", "emulated")],
        ),
        (Reasoning(budget=3000), ANY, {"effort": "low"}, [("reasoning.budget", "emulated")]),
        (Reasoning(budget=0), ANY, {"effort": "none"}, [("reasoning.budget", "emulated")]),
        (Reasoning("medium", budget=99999), ANY, {"effort": "medium"}, [("reasoning.budget", "emulated")]),
        (Reasoning("none"), Profile(thinking="none"), None, []),
        (Reasoning(), ANY, None, []),
    ],
)
def test_reasoning_from_elsewhere(reasoning, profile, wanted, lost):
    body, recorded = encode(foreign(Message.user("x"), reasoning=reasoning), profile)
    assert body.get("reasoning") == wanted
    assert recorded == lost
    asks = wanted is not None and wanted.get("effort") != "none"
    assert body.get("include") == (["reasoning.encrypted_content"] if asks else None)


def test_summaries_can_be_switched_off():
    request = dialect.decode_request(
        {"model": "m", "input": "x", "reasoning": {"summary": "detailed", "effort": "low"}}
    )
    assert request.reasoning == Reasoning("low", include=True, wire=Wire("openai_responses", {}, "summary=detailed"))
    request.reasoning.include = False
    assert dialect.encode_request(request, ANY, Loss())["reasoning"] == {"effort": "low"}

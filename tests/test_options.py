from __future__ import annotations

import base64
import math

import pytest

from aistrale.errors import ConfigurationError, InvalidRequestError
from aistrale.options import build_embed_request, build_messages, build_request
from aistrale.types import (
    MediaPart,
    Message,
    Reasoning,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
)

CANARY = "the secret prompt"
TOOL = Tool("get", "Get it.", {"type": "object", "properties": {}})


def test_text_is_a_user_message_and_system_stands_first():
    request = build_request("Hi", {"system": "Be brief.", "model": "openai/x"})
    assert [(message.role, message.text) for message in request.messages] == [("system", "Be brief."), ("user", "Hi")]
    assert request.model == "openai/x"


def test_a_conversation_of_messages_and_dicts():
    messages = build_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": " this?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            Message.user("And now?"),
        ]
    )
    assert [message.role for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[0].text == "What is this?"
    assert messages[1].tool_calls[0].name == "look"


def test_simple_options_go_into_the_request():
    request = build_request(
        "Hi",
        {
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 1,
            "top_k": 3,
            "seed": -4,
            "n": 2,
            "presence_penalty": -2,
            "frequency_penalty": 2,
            "logprobs": 0,
            "stop": "END",
            "user": "u",
            "service_tier": "flex",
            "cache_key": "k",
            "metadata": {"a": "b"},
            "logit_bias": {"50": -100},
            "parallel_tool_calls": False,
            "reasoning": "low",
            "extra": {"x": 1},
            "tools": [TOOL],
            "tool_choice": "get",
        },
        stream=True,
    )
    assert request.stop == ["END"]
    assert request.reasoning == Reasoning(effort="low")
    assert request.tool_choice == ToolChoice("tool", ["get"])
    assert (request.logprobs, request.seed, request.top_p, request.stream) == (0, -4, 1, True)
    assert request.extra == {"x": 1}


def test_reasoning_takes_a_budget_or_the_object():
    assert build_request("Hi", {"reasoning": 2048}).reasoning == Reasoning(budget=2048)
    whole = Reasoning(effort="high", include=True)
    assert build_request("Hi", {"reasoning": whole}).reasoning is whole


@pytest.mark.parametrize(
    ("prompt", "options", "param"),
    [
        ("", {}, "prompt"),
        ("  \n", {}, "prompt"),
        ([], {}, "prompt"),
        (5, {}, "prompt"),
        ([CANARY], {}, "messages[0]"),
        ([Message("userr", [TextPart(CANARY)])], {}, "messages[0].role"),
        ([{"role": "userr", "content": CANARY}], {}, "messages[0].role"),
        ([{"content": CANARY}], {}, "messages[0].role"),
        ([{"role": "user", "content": 5}], {}, "messages[0].content"),
        ([Message("user", [])], {}, "messages[0]"),
        ([Message.system(CANARY)], {}, "messages"),
        ([Message.user("a"), Message("user", [ToolCallPart("c", "f")])], {}, "messages[1].parts[0]"),
        ([Message.user("a"), Message.tool("c", CANARY)], {}, "messages[1]"),
        ([Message.user("a"), Message.assistant(ToolCallPart("c", "f"))], {}, "messages[1]"),
        ([Message.user("a"), Message.assistant(ToolCallPart("c", "f")), Message.user("b")], {}, "messages[1]"),
        ([Message.user(MediaPart("image", data=base64.b64encode(b"unknown").decode()))], {}, "messages[0].parts[0]"),
        (CANARY, {"temperature": 3}, "temperature"),
        (CANARY, {"temperature": math.nan}, "temperature"),
        (CANARY, {"temperature": "hot"}, "temperature"),
        (CANARY, {"max_tokens": 1.5}, "max_tokens"),
        (CANARY, {"max_tokens": True}, "max_tokens"),
        (CANARY, {"n": 0}, "n"),
        (CANARY, {"top_p": 1.1}, "top_p"),
        (CANARY, {"stop": [""]}, "stop"),
        (CANARY, {"reasoning": "huge"}, "reasoning"),
        (CANARY, {"tool_choice": "required"}, "tool_choice"),
        (CANARY, {"tools": [TOOL], "tool_choice": "other"}, "tool_choice"),
        (CANARY, {"metadata": {"a": 5}}, "metadata.a"),
        (CANARY, {"logit_bias": {"5": 500}}, "logit_bias.5"),
        (CANARY, {"extra": [1]}, "extra"),
        (CANARY, {"system": ""}, "system"),
    ],
)
def test_wrong_values_are_refused_before_sending_and_never_quoted(prompt, options, param):
    with pytest.raises(InvalidRequestError) as caught:
        build_request(prompt, options)
    assert caught.value.param == param
    assert caught.value.status is None
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_tool_calls_may_be_answered_in_any_order_and_in_several_messages():
    messages = [
        Message.user("a"),
        Message.assistant(ToolCallPart("one", "f"), ToolCallPart("two", "f")),
        Message.tool("two", "2"),
        Message.tool("one", "1"),
        Message.user("b"),
    ]
    assert len(build_request(messages, {}).messages) == 5


def test_unknown_options_are_errors_with_a_suggestion():
    with pytest.raises(ConfigurationError, match="Did you mean temperature") as caught:
        build_request("Hi", {"temperatur": 1})
    assert caught.value.field == "temperatur"


def test_embedding_requests():
    request = build_embed_request("one", {"model": "m", "dimensions": 8, "task": "RETRIEVAL_QUERY", "user": "u"})
    assert (request.inputs, request.dimensions, request.task) == (["one"], 8, "RETRIEVAL_QUERY")


@pytest.mark.parametrize(
    ("texts", "options", "param"),
    [([], {}, "texts"), (["a", ""], {}, "texts[1]"), ([5], {}, "texts[0]"), ("a", {"dimensions": 0}, "dimensions")],
)
def test_wrong_embedding_requests(texts, options, param):
    with pytest.raises(InvalidRequestError) as caught:
        build_embed_request(texts, options)
    assert caught.value.param == param


def test_unknown_embedding_options_are_errors():
    with pytest.raises(ConfigurationError, match="temperature"):
        build_embed_request("a", {"temperature": 1})

from __future__ import annotations

import base64
import contextlib
import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    CacheHint,
    Choice,
    Completion,
    ErrorInfo,
    MediaPart,
    Message,
    OutputFormat,
    ProviderPart,
    Reasoning,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
    Wire,
)

USER = [{"role": "user", "content": "Which way?"}]
ADAPTIVE = Profile(thinking="adaptive", max_output=64_000)
BUDGET = Profile(thinking="budget", max_output=64_000)


def body(**fields):
    return {"model": "claude-x", "max_tokens": 100, "messages": USER, **fields}


def there_and_back(original, profile=ANY):
    loss = Loss(on_lossy="error")
    decoded = dialect.decode_request(copy.deepcopy(original))
    again = dialect.encode_request(decoded, profile, loss)
    assert again == original
    assert not loss.items
    return decoded


def send(request, profile=ANY, **policy):
    loss = Loss(**policy)
    return dialect.encode_request(request, profile, loss), [f"{item.action} {item.field}" for item in loss.items]


def ask(*messages, source="openai_chat", **fields):
    return Request(model="claude-x", messages=list(messages) or [Message.user("Hi")], source=source, **fields)


# --- system and turns


def test_system_as_text_or_blocks():
    assert there_and_back(body(system="Be brief.")).messages[0] == Message(
        "system", [TextPart("Be brief.")], wire=Wire(dialect.NAME, {}, "system_string")
    )
    blocks = [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "B"}]
    decoded = there_and_back(body(system=blocks))
    assert [part.text for part in decoded.messages[0].parts] == ["A", "B"]
    assert decoded.messages[0].parts[0].cache == CacheHint()
    for odd in ("", [], None):
        there_and_back(body(system=odd))


def test_instructions_in_the_middle_stay_where_they_are():
    turns = [
        {"role": "system", "content": "First, as a turn."},
        *USER,
        {"role": "system", "content": [{"type": "text", "text": "Later."}]},
    ]
    decoded = there_and_back(body(system="Above all.", messages=turns))
    assert [message.role for message in decoded.messages] == ["system", "system", "user", "system"]


def test_leading_instructions_of_other_formats_become_the_system_field():
    request = ask(
        Message.system("One."), Message("developer", [TextPart("Two.")]), Message.user("Hi"), Message.system("Three.")
    )
    sent, lost = send(request)
    assert sent["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert sent["messages"] == [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Three."}]
    assert not lost
    assert send(ask(Message.system("One."), Message.user("Hi")))[0]["system"] == "One."


def test_instructions_alone_are_sent_as_the_users():
    sent, lost = send(ask(Message.system("Say hello.")))
    assert "system" not in sent
    assert sent["messages"] == [{"role": "user", "content": "Say hello."}]
    assert lost == ["emulated messages"]


def test_a_policy_may_add_instructions_to_a_native_request():
    decoded = dialect.decode_request(body(system="Own."))
    decoded.messages.insert(0, Message.system("Added."))
    sent, _ = send(decoded)
    assert sent["system"] == [{"type": "text", "text": "Added."}, {"type": "text", "text": "Own."}]


MIXED = [
    {"type": "text", "text": "before"},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"},
    {"type": "tool_result", "tool_use_id": "toolu_2"},
    {"type": "text", "text": "between"},
    {"type": "tool_result", "tool_use_id": "toolu_3", "content": [{"type": "text", "text": "3"}], "is_error": True},
    {"type": "text", "text": "after"},
]


def test_a_turn_of_results_and_texts_is_cut_and_joined():
    calls = [{"type": "tool_use", "id": f"toolu_{n}", "name": f"t{n}", "input": {"n": n}} for n in (1, 2, 3)]
    turns = [*USER, {"role": "assistant", "content": calls}, {"role": "user", "content": MIXED}]
    decoded = there_and_back(body(messages=turns))
    assert [message.role for message in decoded.messages] == [
        "user",
        "assistant",
        "user",
        "tool",
        "user",
        "tool",
        "user",
    ]
    results = [part for message in decoded.messages for part in message.parts if isinstance(part, ToolResultPart)]
    assert [(part.call_id, part.name, part.text, part.is_error) for part in results] == [
        ("toolu_1", "t1", "1", False),
        ("toolu_2", "t2", "", False),
        ("toolu_3", "t3", "3", True),
    ]


def test_consecutive_turns_of_one_role_stay_apart():
    there_and_back(body(messages=[*USER, *USER, {"role": "user", "content": []}]))


def test_results_of_other_formats_go_into_one_turn_right_after_the_call():
    calls = [ToolCallPart("a", "f", '{"x":1}'), ToolCallPart("b", "g", "")]
    request = ask(
        Message.user("Go"),
        Message("assistant", [TextPart(""), *calls]),
        Message.tool("a", "one"),
        Message.system("Note."),
        Message.user("And?"),
        Message.tool("b", "two", is_error=True),
        Message.user("Well?"),
    )
    sent, lost = send(request)
    assert sent["messages"] == [
        {"role": "user", "content": "Go"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": "two", "is_error": True},
            ],
        },
        {"role": "system", "content": "Note."},
        {"role": "user", "content": [{"type": "text", "text": "And?"}, {"type": "text", "text": "Well?"}]},
    ]
    assert not lost


def test_ids_that_the_api_refuses_are_rewritten_alike_in_calls_and_results():
    request = ask(
        Message("assistant", [ToolCallPart("functions.get:0", "get"), ToolCallPart("functions_get_0", "get")]),
        Message.tool("functions.get:0", "x"),
        Message.tool("functions_get:0", "y"),
    )
    sent, _ = send(request)
    used = [block["id"] for block in sent["messages"][0]["content"]]
    answered = [block["tool_use_id"] for block in sent["messages"][1]["content"]]
    assert used == ["functions_get_0_2", "functions_get_0"]
    assert answered == ["functions_get_0_2", "functions_get_0_3"]


# --- blocks


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "y"}]},
        {"type": "text", "text": "x", "citations": None},
        {"type": "text", "text": ""},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": None}},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "5m", "scope": "global"}},
        {"type": "text", "text": "x", "cache_control": {"type": "persistent", "days": 3}},
        {"type": "text", "text": "x", "cache_control": None},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}, "transformations": None},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "hologram", "beam": 1}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "Report",
            "context": "of last year",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße 🎈"}, "title": None},
        {"type": "document", "source": {"type": "url", "url": "https://example.test/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
        {"type": "document", "source": {"type": "content", "content": "plain"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]},
        {"type": "container_upload", "file_id": "file_3", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"type": "never_seen_before", "what": [1, None, {"x": 2.5}]},
        {"type": "tool_result", "tool_use_id": "t", "content": "", "is_error": False},
        {"type": "tool_result", "tool_use_id": "t", "content": []},
        {"type": "tool_result", "tool_use_id": "t", "content": None, "is_error": None},
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "toolset_name": None,
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "image", "source": {"type": "url", "url": "https://example.test/b.png"}},
                {"type": "tool_reference", "tool_name": "later"},
            ],
            "cache_control": {"type": "ephemeral", "ttl": "5m"},
        },
    ],
)
def test_blocks_of_the_user_come_back(block):
    there_and_back(body(messages=[{"role": "user", "content": [block]}]))


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln+/=="},
        {"type": "thinking", "thinking": "", "signature": "only-this"},
        {"type": "thinking", "thinking": "no signature, from a compatible server"},
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"deep": [{"a": None}]}, "toolset_name": "browser"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}, "cache_control": {"type": "ephemeral"}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "url": "u"}]},
        {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}},
        {"type": "compaction", "content": "summary", "signature": "sig"},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
    ],
)
def test_blocks_of_the_assistant_come_back(block):
    decoded = there_and_back(body(messages=[*USER, {"role": "assistant", "content": [block]}, *USER]))
    if "input" in block and block["type"] == "tool_use":
        assert decoded.messages[1].tool_calls[0].input == block["input"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_every_input_of_a_tool_comes_back(value):
    block = {"type": "tool_use", "id": "t", "name": "f", "input": value}
    decoded = dialect.decode_request(body(messages=[{"role": "assistant", "content": [block]}]))
    assert decoded.messages[0].tool_calls[0].input == value
    sent, _ = send(decoded)
    assert json.dumps(sent["messages"][0]["content"][0]["input"]) == json.dumps(value)


def test_numbers_beyond_floats_and_half_surrogates_survive_in_arguments():
    value = {"big": 12345678901234567890123456789, "small": 5e-324, "half": "\ud800", "é": "\u2028"}
    block = {"type": "tool_use", "id": "t", "name": "f", "input": value}
    there_and_back(body(messages=[{"role": "assistant", "content": [block]}]))
    part = dialect.decode_request(
        body(messages=[{"role": "assistant", "content": [{**block, "input": {"é": "ü"}}]}])
    ).messages[0]
    assert part.tool_calls[0].arguments == '{"é":"ü"}'


def test_infinite_numbers_are_no_json():
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": float("inf")}}
    with pytest.raises(MalformedBody, match=r"messages\[0\]\.content\[0\]\.input"):
        dialect.decode_request(body(messages=[{"role": "assistant", "content": [block]}]))


@pytest.mark.parametrize(("arguments", "sent"), [("{broken", {"arguments": "{broken"}), ("[1]", {"arguments": [1]})])
def test_arguments_that_are_no_object_are_wrapped_and_recorded(arguments, sent):
    request = ask(Message.user("x"), Message("assistant", [ToolCallPart("a", "f", arguments)]))
    encoded, lost = send(request)
    assert encoded["messages"][1]["content"][0]["input"] == sent
    assert lost == ["emulated messages[1].parts[0].arguments"]


# --- what the hub says shows


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


# --- the other fields


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


# --- from other formats


def test_a_limit_is_made_up_where_there_is_none():
    assert send(ask())[0]["max_tokens"] == 4096
    assert send(ask(), Profile(max_output=8192)) == (
        {"model": "claude-x", "max_tokens": 8192, "messages": [{"role": "user", "content": "Hi"}]},
        [],
    )
    sent, lost = send(ask(max_tokens=9000), Profile(max_output=8192))
    assert sent["max_tokens"] == 8192
    assert lost == ["emulated max_tokens"]


@pytest.mark.parametrize(
    ("reasoning", "profile", "thinking", "effort", "lost"),
    [
        (Reasoning("high"), ADAPTIVE, {"type": "adaptive"}, "high", []),
        (Reasoning("high"), ANY, {"type": "adaptive"}, "high", []),
        (Reasoning("minimal"), ADAPTIVE, {"type": "adaptive"}, "low", ["emulated reasoning.effort"]),
        (Reasoning("none"), ADAPTIVE, {"type": "disabled"}, None, []),
        (
            Reasoning("none"),
            Profile(thinking="adaptive", efforts=("low", "high")),
            {"type": "adaptive"},
            "low",
            ["emulated reasoning.effort"],
        ),
        (
            Reasoning("xhigh"),
            Profile(thinking="adaptive", efforts=("low", "medium", "high", "max")),
            {"type": "adaptive"},
            "max",
            ["emulated reasoning.effort"],
        ),
        (Reasoning(budget=8000), ADAPTIVE, {"type": "adaptive"}, "medium", ["emulated reasoning.budget"]),
        (Reasoning(budget=-1), ADAPTIVE, {"type": "adaptive"}, "high", ["emulated reasoning.budget"]),
        (Reasoning(budget=0), ADAPTIVE, {"type": "disabled"}, None, ["emulated reasoning.budget"]),
        (Reasoning(include=True), ADAPTIVE, {"type": "adaptive", "display": "summarized"}, None, []),
        (
            Reasoning("low", include=False),
            BUDGET,
            {"type": "enabled", "budget_tokens": 4000, "display": "omitted"},
            None,
            ["emulated reasoning"],
        ),
        (Reasoning("max"), BUDGET, {"type": "enabled", "budget_tokens": 63_999}, None, ["emulated reasoning"]),
        (Reasoning(budget=5000), BUDGET, {"type": "enabled", "budget_tokens": 5000}, None, []),
        (Reasoning(budget=10), BUDGET, {"type": "enabled", "budget_tokens": 1024}, None, ["emulated reasoning"]),
        (Reasoning("none"), BUDGET, {"type": "disabled"}, None, []),
        (Reasoning("none"), Profile(thinking="none"), None, None, []),
    ],
)
def test_how_much_to_think(reasoning, profile, thinking, effort, lost):
    sent, recorded = send(ask(reasoning=reasoning), profile)
    assert sent.get("thinking") == thinking
    assert sent.get("output_config", {}).get("effort") == effort
    assert recorded == lost


@given(
    effort=st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"]),
    limit=st.none() | st.integers(1, 200_000),
    ceiling=st.none() | st.integers(1000, 128_000),
)
def test_a_budget_always_fits_below_the_limit(effort, limit, ceiling):
    profile = Profile(thinking="budget", max_output=ceiling)
    sent, lost = send(ask(reasoning=Reasoning(effort), max_tokens=limit), profile)
    if sent["thinking"]["type"] == "disabled":
        assert "dropped reasoning" in lost
    else:
        assert 1024 <= sent["thinking"]["budget_tokens"] < sent["max_tokens"]


def test_a_model_that_cannot_think():
    with pytest.raises(InvalidRequestError, match="does not think"):
        send(ask(reasoning=Reasoning("high")), Profile(thinking="none"))
    assert send(ask(reasoning=Reasoning("high")), Profile(thinking="none"), on_unsupported="drop")[1] == [
        "dropped reasoning"
    ]


LOOP = [
    Message.user("Go"),
    Message("assistant", [ReasoningPart("hm", wire=Wire("openai_responses", {"id": "rs"})), ToolCallPart("a", "f")]),
    Message.tool("a", "one"),
]


def test_an_open_loop_without_own_thoughts_switches_a_budget_off():
    sent, lost = send(ask(*LOOP, reasoning=Reasoning(budget=2000)), BUDGET)
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["messages"][1]["content"][0]["type"] == "tool_use"
    assert lost == ["dropped messages[1].parts[0]", "dropped reasoning"]
    # Adaptive thinking does not demand that a turn begins with a thought.
    sent, lost = send(ask(*LOOP, reasoning=Reasoning("low")), ADAPTIVE)
    assert sent["thinking"] == {"type": "adaptive"}
    # A closed loop does not matter.
    sent, _ = send(
        ask(*LOOP, Message.assistant("Done."), Message.user("More?"), reasoning=Reasoning(budget=2000)), BUDGET
    )
    assert sent["thinking"]["type"] == "enabled"


def test_own_thoughts_keep_a_budget_on():
    own = Wire(dialect.NAME, {"signature": "s"})
    loop = [LOOP[0], Message("assistant", [ReasoningPart("hm", wire=own), ToolCallPart("a", "f")]), LOOP[2]]
    sent, lost = send(ask(*loop, source=None, reasoning=Reasoning(budget=2000)), BUDGET)
    assert sent["thinking"]["type"] == "enabled"
    assert sent["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert not lost


def test_a_forced_tool_excludes_a_budget_but_not_adaptive_thinking():
    forced = {"tools": [Tool("f")], "tool_choice": ToolChoice("required")}
    sent, lost = send(ask(reasoning=Reasoning(budget=2000), **forced), BUDGET)
    assert sent["thinking"] == {"type": "disabled"}
    assert lost == ["dropped reasoning"]
    assert send(ask(reasoning=Reasoning("low"), **forced), ADAPTIVE)[0]["thinking"] == {"type": "adaptive"}


def test_a_native_request_is_fitted_to_a_model_that_thinks_otherwise():
    adaptive = dialect.decode_request(body(max_tokens=50_000, thinking={"type": "adaptive"}))
    assert send(adaptive, BUDGET)[0]["thinking"] == {"type": "enabled", "budget_tokens": 20_000}
    enabled = dialect.decode_request(body(max_tokens=50_000, thinking={"type": "enabled", "budget_tokens": 9000}))
    sent, lost = send(enabled, ADAPTIVE)
    assert (sent["thinking"], sent["output_config"]) == ({"type": "adaptive"}, {"effort": "medium"})
    assert lost == ["emulated reasoning.budget"]


def test_thoughts_that_we_could_not_sign_are_recognized_and_left_out():
    answer = Completion(
        choices=[Choice(Message("assistant", [ReasoningPart("Let me see."), TextPart("Left.")]), "stop")], model="other"
    )
    encoded = dialect.encode_response(answer, Loss())
    assert encoded["content"][0]["thinking"] == "Let me see."
    echoed = dialect.decode_request(body(messages=[*USER, {"role": "assistant", "content": encoded["content"]}, *USER]))
    sent, lost = send(echoed)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "Left."}]
    assert lost == ["dropped messages[1].parts[0]"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", 0.3), ("top_p", 0.5), ("top_k", 3)],
)
def test_sampling_that_the_model_refuses(option, value):
    request = ask(**{option: value})
    assert send(request)[0][option] == value
    profile = Profile(sampling=False)
    with pytest.raises(InvalidRequestError, match=option):
        send(request, profile)
    sent, lost = send(request, profile, on_unsupported="drop")
    assert option not in sent
    assert lost == [f"dropped {option}"]
    request.reasoning = Reasoning("low")
    assert send(request, ADAPTIVE, on_unsupported="drop")[1] == [f"dropped {option}"]


def test_sampling_in_a_native_request_passes_where_nothing_is_known_of_the_target():
    request = dialect.decode_request(body(temperature=0.3))
    assert send(request)[0]["temperature"] == 0.3
    with pytest.raises(InvalidRequestError):
        send(request, Profile(sampling=False))


@pytest.mark.parametrize(
    "fields",
    [{"n": 2}, {"logprobs": 0}, {"logit_bias": {"1": 2}}, {"output": OutputFormat("json_object")}],
)
def test_what_cannot_be_said_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        send(ask(**fields), on_unsupported="drop")


@pytest.mark.parametrize("option", ["seed", "presence_penalty", "frequency_penalty"])
def test_options_without_a_counterpart(option):
    with pytest.raises(InvalidRequestError, match=option):
        send(ask(**{option: 1}))
    assert send(ask(**{option: 1}), on_unsupported="drop")[1] == [f"dropped {option}"]
    assert send(ask(**{option: 0 if option != "seed" else None}))[1] == []


def test_options_that_the_profile_names():
    with pytest.raises(InvalidRequestError, match="stop"):
        send(ask(stop=["x"]), Profile(unsupported=frozenset({"stop"})))
    sent, lost = send(ask(stop=["x", "y"]), Profile(stop=1), on_unsupported="drop")
    assert sent["stop_sequences"] == ["x"]
    assert lost == ["dropped stop"]


def test_the_rest_of_a_request_from_elsewhere():
    request = ask(
        user="u",
        metadata={"k": "v"},
        cache_key="c",
        service_tier="priority",
        n=1,
        stop=[],
        stream=True,
        extra={"container": "c1"},
        output=OutputFormat("json_schema", {"type": "object"}, name="n", strict=True),
        wire=Wire("openai_chat", {"store": True, "verbosity": "low", "modalities": None}),
    )
    sent, lost = send(request)
    assert sent["metadata"] == {"user_id": "u"}
    assert sent["service_tier"] == "auto"
    assert sent["stream"] is True
    assert sent["container"] == "c1"
    assert sent["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert "stop_sequences" not in sent
    assert lost == ["dropped metadata", "dropped cache_key", "emulated service_tier", "dropped verbosity"]
    with pytest.raises(InvalidRequestError, match="stores"):
        send(ask(wire=Wire("openai_responses", {"previous_response_id": "resp_1"})))
    with pytest.raises(InvalidRequestError, match="output"):
        send(ask(output=OutputFormat("json_schema", {})), Profile(structured="prompt"))


def test_tools_from_elsewhere():
    tools = [
        Tool("f", "d", {"properties": {"a": {}}}, strict=True, cache=CacheHint("30m")),
        Tool("g"),
    ]
    sent, lost = send(ask(tools=tools, parallel_tool_calls=False))
    assert sent["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"a": {}}},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert lost == ["emulated tools[0].cache"]
    with pytest.raises(InvalidRequestError, match="hosts"):
        send(ask(tools=[Tool("s", hosted={"type": "web_search"}, wire=Wire("openai_responses"))]))


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        (ToolChoice("auto"), {"type": "auto"}, "fg"),
        (ToolChoice("none"), {"type": "none"}, "fg"),
        (ToolChoice("required"), {"type": "any"}, "fg"),
        (ToolChoice("tool", ["f"]), {"type": "tool", "name": "f"}, "fg"),
        (ToolChoice("tool", ["f", "g"]), {"type": "any"}, "fg"),
        (ToolChoice("auto", ["g"]), {"type": "auto"}, "g"),
    ],
)
def test_tool_choice_from_elsewhere(choice, sent, names):
    encoded, lost = send(ask(tools=[Tool("f"), Tool("g")], tool_choice=choice, parallel_tool_calls=True))
    assert encoded["tool_choice"] == sent
    assert [tool["name"] for tool in encoded["tools"]] == list(names)
    assert lost == ([] if names == "fg" else ["emulated tool_choice.names"])
    assert "tool_choice" not in send(ask(parallel_tool_calls=False))[0]


def test_media_from_elsewhere():
    text = base64.b64encode("Grüße".encode()).decode()
    request = ask(
        Message.user(
            "Look",
            MediaPart("image", data="/9j/AAAA"),
            MediaPart("image", url="https://example.test/x", detail="high"),
            MediaPart("document", data="JVBERi0=", media_type="application/pdf", filename="a.pdf"),
            MediaPart("document", data=text, media_type="text/csv"),
        ),
        Message("assistant", [TextPart("Seen."), MediaPart("image", data="iVBORw0KGgo=")]),
    )
    sent, lost = send(request)
    assert sent["messages"][0]["content"][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.test/x"}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
    ]
    assert sent["messages"][1] == {"role": "assistant", "content": "Seen."}
    assert lost == [
        "dropped messages[0].parts[2].detail",
        "emulated messages[0].parts[4].media_type",
        "dropped messages[1].parts[1]",
    ]


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        (MediaPart("audio", data="AAAA", media_type="audio/wav"), ANY),
        (MediaPart("video", url="https://example.test/v"), ANY),
        (MediaPart("image", data="AAAA", media_type="image/tiff"), ANY),
        (MediaPart("image", data="AAAA"), ANY),
        (MediaPart("document", data="AAAA", media_type="application/zip"), ANY),
        (MediaPart("image", file_id="file-1"), ANY),
        (MediaPart("image"), ANY),
        (MediaPart("image", url="https://example.test/x"), Profile(media_urls=False)),
        (MediaPart("image", data="/9j/"), Profile(media=frozenset())),
        (ProviderPart("openai_responses", {"type": "item_reference"}), ANY),
        (ToolResultPart("a", [MediaPart("image", data="/9j/")]), Profile(tool_media=False)),
    ],
)
def test_media_that_is_refused(part, profile):
    with pytest.raises(InvalidRequestError) as caught:
        send(ask(Message.user(part)), profile)
    assert caught.value.param.startswith("messages[0].parts[0]")


def test_other_parts_from_elsewhere():
    request = ask(
        Message("user", [TextPart("Hi", cache=CacheHint("5m")), TextPart("")], name="ann"),
        Message("assistant", [RefusalPart("No."), ProviderPart("gemini_generate", {"executableCode": {}})]),
        Message("assistant", [ReasoningPart("gone")]),
        Message.user("Why?"),
    )
    sent, lost = send(request)
    cached = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    assert sent["messages"] == [
        {"role": "user", "content": [cached]},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Why?"},
    ]
    assert lost == [
        "dropped messages[0].name",
        "emulated messages[1].parts[0]",
        "dropped messages[1].parts[1]",
        "dropped messages[2].parts[0]",
    ]


# --- answers


def answer(**fields):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": "Left."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"stop_reason": "stop_sequence", "stop_sequence": "END"}, "stop"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "model_context_window_exceeded"}, "length"),
        (
            {"stop_reason": "tool_use", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            "tool_calls",
        ),
        ({"stop_reason": "pause_turn"}, "pause"),
        ({"stop_reason": "compaction"}, "pause"),
        ({"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None}}, "content_filter"),
        ({"stop_reason": "reasons_of_tomorrow"}, "unknown"),
        ({"stop_reason": None}, "unknown"),
        ({"content": []}, "stop"),
        ({"container": {"id": "c"}, "context_management": None, "diagnostics": {"x": 1}, "stop_details": None}, "stop"),
    ],
)
def test_answers_come_back(fields, finish):
    original = answer(**fields)
    loss = Loss(on_lossy="error")
    completion = dialect.decode_response(copy.deepcopy(original))
    assert completion.finish_reason == finish
    assert dialect.encode_response(completion, loss) == original


def test_answers_of_servers_that_leave_things_out_come_back():
    for key in ("id", "type", "role", "model", "stop_reason", "stop_sequence", "usage"):
        original = answer()
        del original[key]
        assert dialect.encode_response(dialect.decode_response(copy.deepcopy(original)), Loss()) == original


def test_a_body_that_is_no_answer():
    for rubbish in ({}, {"type": "error", "error": {"type": "api_error", "message": "m"}}, {"choices": []}):
        with pytest.raises(MalformedBody):
            dialect.decode_response(rubbish)


def test_a_change_in_an_answer_shows():
    completion = dialect.decode_response(answer())
    completion.choices[0].message.parts = [ToolCallPart("t", "f", '{"a":1}')]
    completion.choices[0].finish_reason = "tool_calls"
    completion.id, completion.model = "other", "changed"
    completion.usage.output = 9
    encoded = dialect.encode_response(completion, Loss())
    assert encoded["content"] == [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]
    assert (encoded["stop_reason"], encoded["id"], encoded["model"]) == ("tool_use", "other", "changed")
    assert encoded["usage"] == {"input_tokens": 3, "output_tokens": 9}


@pytest.mark.parametrize(
    ("finish", "parts", "sequence", "reason"),
    [
        ("stop", [TextPart("x")], None, "end_turn"),
        ("stop", [TextPart("x")], "END", "stop_sequence"),
        ("stop", [ToolCallPart("a", "f")], None, "tool_use"),
        ("tool_calls", [TextPart("x")], None, "end_turn"),
        ("tool_calls", [ToolCallPart("a", "f")], None, "tool_use"),
        ("length", [ToolCallPart("a", "f")], None, "max_tokens"),
        ("content_filter", [], None, "refusal"),
        ("pause", [], None, "pause_turn"),
        ("error", [], None, "end_turn"),
        ("unknown", [ToolCallPart("a", "f")], None, "tool_use"),
    ],
)
def test_why_an_answer_from_elsewhere_ended(finish, parts, sequence, reason):
    loss = Loss()
    completion = Completion("c", "m", [Choice(Message("assistant", parts), finish, stop_sequence=sequence)])
    assert dialect.encode_response(completion, loss)["stop_reason"] == reason
    assert bool(loss.items) == (finish in ("error", "unknown"))


def test_an_answer_from_elsewhere():
    parts = [
        ReasoningPart("hm", wire=Wire("openai_responses", {"encrypted_content": "x"})),
        ReasoningPart("", wire=Wire("openai_responses", {"encrypted_content": "y"})),
        TextPart("Hi", wire=Wire("openai_responses", {"annotations": [{"url": "u"}]})),
        MediaPart("image", data="iVBO"),
        ProviderPart("openai_responses", {"type": "web_search_call"}),
        ToolCallPart("call_1", "f", "{not json"),
    ]
    usage = Usage(input=10, cache_read=5, output=4, reasoning=3, audio_input=2, cache_write_30m=1)
    completion = Completion(
        "c", "m", [Choice(Message("assistant", parts), "tool_calls"), Choice(Message("assistant"))], usage
    )
    loss = Loss()
    encoded = dialect.encode_response(completion, loss)
    assert encoded == {
        "id": "c",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "aistrale:unsigned"},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"arguments": "{not json"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": 5,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3},
        },
    }
    assert [item.field for item in loss.items] == [
        "choices",
        "choices[0].message.parts[0]",
        "choices[0].message.parts[1]",
        "choices[0].message.parts[2]",
        "choices[0].message.parts[3]",
        "choices[0].message.parts[4]",
        "choices[0].message.parts[5].arguments",
        "usage.audio_input",
        "usage.cache_write_30m",
    ]


# --- usage


def usage_of(**counts):
    return dialect.decode_response(answer(usage=counts)).usage


def test_usage_in_buckets():
    usage = usage_of(
        input_tokens=10,
        cache_read_input_tokens=4,
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 15},
        output_tokens=20,
        output_tokens_details={"thinking_tokens": 12},
    )
    assert usage == Usage(
        input=10, cache_read=4, cache_write=5, cache_write_5m=10, cache_write_1h=15, output=8, reasoning=12
    )
    assert (usage.input_total, usage.output_total) == (44, 20)
    assert usage_of(input_tokens=1, output_tokens=2, cache_creation_input_tokens=3) == Usage(
        input=1, cache_write=3, output=2
    )
    assert usage_of(output_tokens=2, cache_read_input_tokens=None) == Usage(output=2)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 1, "output_tokens": 2},
        {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": None, "cache_creation_input_tokens": None},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 3}},
        {"input_tokens": 1, "output_tokens": 2, "cache_creation": {}},
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_creation_input_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0, "ephemeral_1d": 9},
        },
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 5, "other": 1}},
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {}},
        {"output_tokens": 2},
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "service_tier": "priority",
            "speed": None,
            "inference_geo": "eu",
            "server_tool_use": {"web_search_requests": 1},
            "iterations": [{"type": "message", "input_tokens": 1}],
            "fallback_credit": {"status": {"type": "redeemed"}},
        },
    ],
)
def test_usage_comes_back(counts):
    original = answer(usage=counts)
    assert dialect.encode_response(dialect.decode_response(copy.deepcopy(original)), Loss(on_lossy="error")) == original


def test_usage_that_nobody_reported_is_zero_because_the_format_demands_a_count():
    encoded = dialect.encode_response(Completion("c", "m", [Choice(Message.assistant("x"), "stop")]), Loss())
    assert encoded["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_token_counts():
    assert dialect.decode_token_count({"input_tokens": 12, "context_management": {}}) == 12
    with pytest.raises(MalformedBody, match="input_tokens"):
        dialect.decode_token_count({"input_tokens": "12"})


# --- errors


def failure(type_, message="m", **details):
    inner = {"type": type_, "message": message} | ({"details": details} if details else {})
    return json.dumps({"type": "error", "error": inner, "request_id": "req_body"}).encode()


@pytest.mark.parametrize(
    ("status", "type_", "code", "kind"),
    [
        (400, "invalid_request_error", None, "invalid_request"),
        (400, "invalid_request_error", "contract_spend_limit_reached", "quota"),
        (401, "authentication_error", None, "authentication"),
        (402, "billing_error", None, "quota"),
        (403, "permission_error", None, "permission"),
        (404, "not_found_error", None, "model_not_found"),
        (404, "not_found_error", "file_expired", "unknown"),
        (404, "something", None, "unknown"),
        (409, "conflict_error", None, "unknown"),
        (413, "request_too_large", None, "invalid_request"),
        (429, "rate_limit_error", None, "rate_limit"),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "quota"),
        (500, "api_error", None, "server"),
        (503, "api_error", None, "overloaded"),
        (504, "timeout_error", None, "server"),
        (529, "overloaded_error", None, "overloaded"),
        (529, "authentication_error", None, "overloaded"),
    ],
)
def test_errors_are_judged_by_status_then_code(status, type_, code, kind):
    raw = failure(type_, **({"error_code": code} if code else {}))
    error = dialect.decode_error(status, {"Request-Id": "req_header"}, raw)
    assert (error.status, error.type, error.code, error.kind) == (status, type_, code, kind)
    assert (error.message, error.request_id) == ("m", "req_body")
    assert dialect.encode_error(error) == (status, json.loads(raw))


def test_headers_of_an_error():
    headers = {"retry-after": "7", "x-should-retry": "false", "request-id": "req_1"}
    error = dialect.decode_error(429, headers, b'{"error":{"type":"rate_limit_error","message":"m"}}')
    assert (error.retry_after, error.should_retry, error.request_id) == (7.0, False, "req_1")


def test_an_error_inside_an_answer_gets_the_status_of_its_type():
    error = dialect.decode_error(200, {}, failure("overloaded_error"))
    assert (error.status, error.kind) == (529, "overloaded")
    assert dialect.decode_error(None, {}, failure("of_tomorrow")).kind == "unknown"


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"null", b'{"error":3}', b"\xff", b'{"error":{"type":[]}}', b"{" * 9000]
)
def test_unreadable_errors(raw):
    error = dialect.decode_error(502, {}, raw)
    assert (error.status, error.kind, error.message) == (502, "server", "")
    assert dialect.encode_error(error)[0] == 502


def test_errors_in_the_shapes_of_proxies():
    assert dialect.decode_error(502, {}, b'{"error":"no upstream"}').message == "no upstream"
    assert dialect.decode_error(403, {}, b'{"message":"signature expired"}').message == "signature expired"


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (ErrorInfo(400, "m", kind="authentication"), 401, "authentication_error"),
        (ErrorInfo(404, "m", kind="model_not_found", type="invalid_request_error"), 404, "not_found_error"),
        (ErrorInfo(429, "m", kind="quota"), 429, "rate_limit_error"),
        (ErrorInfo(498, "m", kind="overloaded"), 529, "overloaded_error"),
        (ErrorInfo(503, "m", kind="overloaded"), 503, "overloaded_error"),
        (ErrorInfo(422, "m", kind="invalid_request"), 422, "invalid_request_error"),
        (ErrorInfo(502, "m", kind="server"), 502, "api_error"),
        (ErrorInfo(None, "m", kind="rate_limit"), 429, "rate_limit_error"),
        (ErrorInfo(None, ""), 500, "api_error"),
    ],
)
def test_errors_from_elsewhere(error, status, type_):
    error.request_id = "req_1"
    told, encoded = dialect.encode_error(error)
    assert told == status
    assert encoded["type"] == "error"
    assert encoded["error"]["type"] == type_
    assert encoded["error"]["message"]
    assert encoded["request_id"] == "req_1"
    assert dialect.is_error_body(encoded)


def test_what_is_an_error_body():
    assert dialect.is_error_body({"error": {"type": "x"}})
    for other in (answer(), {"error": "x"}, {"type": "message", "error": {}}, [], None, "error"):
        assert not dialect.is_error_body(other)


# --- text slots


def test_slots_of_a_request():
    request = body(
        system=[{"type": "text", "text": "S"}],
        messages=[
            {"role": "user", "content": "U"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "T", "signature": "no"},
                    {"type": "redacted_thinking", "data": "no"},
                    {
                        "type": "text",
                        "text": "A",
                        "citations": [{"type": "no", "cited_text": "C", "document_title": "N"}],
                    },
                    {"type": "tool_use", "id": "no", "name": "no", "input": {"no": ["I", {"no": "J"}, 1]}},
                    {"type": "server_tool_use", "id": "no", "name": "no", "input": {"query": "Q"}},
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "no",
                        "content": [{"type": "no", "title": "W", "url": "no", "encrypted_content": "no"}],
                    },
                    {
                        "type": "bash_code_execution_tool_result",
                        "content": {"type": "no", "stdout": "O", "stderr": "E"},
                    },
                    {"type": "compaction", "content": "K", "signature": "no"},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "no", "content": "R"},
                    {"type": "tool_result", "tool_use_id": "no", "content": [{"type": "text", "text": "r"}]},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "no", "data": "D"},
                        "title": "F",
                        "context": "X",
                    },
                    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "d"}]}},
                    {"type": "document", "source": {"type": "base64", "media_type": "no", "data": "no"}},
                    {"type": "image", "source": {"type": "url", "url": "no"}},
                    {"type": "search_result", "source": "no", "title": "H", "content": [{"type": "text", "text": "h"}]},
                ],
            },
        ],
        tools=[
            {
                "name": "no",
                "description": "M",
                "input_schema": {
                    "type": "no",
                    "title": "L",
                    "properties": {"title": {"type": "no", "description": "P", "enum": ["no"], "examples": ["G"]}},
                    "required": ["no"],
                    "$defs": {"description": {"anyOf": [{"description": "B"}]}},
                },
                "input_examples": [{"no": "Y"}],
            }
        ],
        output_config={"format": {"type": "no", "schema": {"description": "V"}}, "effort": "no"},
        metadata={"user_id": "Z"},
        context_management={"edits": [{"type": "no", "instructions": "1"}]},
    )
    slots = list(dialect.text_slots(request))
    assert "".join(slot.text for slot in slots) == "SUTACNIJQWOEKRrDFXdHhMLPGBYZV1"
    assert {slot.text for slot in slots if slot.kind == "name"} == set("NWFH")
    assert slots[4].path == "messages[1].content[1].text" or slots[3].path == "messages[1].content[2].text"
    for slot in slots:
        slot.replace("§")
    text = json.dumps(request, ensure_ascii=False)
    assert text.count("§") == len(slots)


def test_slots_of_an_answer():
    completion = answer(stop_details={"type": "refusal", "explanation": "E"})
    slots = list(dialect.text_slots(completion))
    assert [(slot.path, slot.text) for slot in slots] == [
        ("stop_details.explanation", "E"),
        ("content[0].text", "Left."),
    ]


@given(json_values)
def test_slots_of_rubbish(value):
    for key in ("system", "messages", "tools", "metadata", "output_config", "content", "stop_details"):
        for slot in dialect.text_slots({key: value}):
            assert isinstance(slot.text, str)
    for slot in dialect.text_slots(
        {"messages": [value, {"content": value}], "tools": [value, {"input_schema": value}]}
    ):
        slot.replace("x")

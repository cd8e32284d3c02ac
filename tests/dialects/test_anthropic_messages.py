from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    CacheHint,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    USER,
    ask,
    body,
    json_values,
    send,
    there_and_back,
)


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

"""Every text of a request is found and can be changed, and nothing else of it is touched."""

from __future__ import annotations

import copy

import pytest

from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.policies.texts import rewrite, rewrite_body
from aistrale.types import (
    EmbedRequest,
    MediaPart,
    Message,
    OutputFormat,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Wire,
)

SCHEMA = {
    "type": "object",
    "title": "T1",
    "properties": {
        "description": {"type": "string", "description": "T2", "enum": ["V1", "V2"]},
        "title": {"type": "string", "examples": ["T3", {"deep": "T4"}], "default": "V3"},
    },
    "required": ["title"],
}
REQUEST = Request(
    model="openai/gpt-5-mini",
    messages=[
        Message("system", [TextPart("T5")], name="N1"),
        Message("user", [
            TextPart("T6", wire=Wire("openai_chat", {"note": "V4"})),
            MediaPart("image", url="https://example.org/L1.png"),
            MediaPart("image", url="data:image/png;base64,SECRET"),
            MediaPart("document", data="BASE64", filename="N2.pdf"),
        ]),
        Message("assistant", [
            ReasoningPart("T7", wire=Wire("anthropic_messages", {"signature": "SIGNED"})),
            RefusalPart("T8"),
            ToolCallPart("call_1", "find", '{"name": "J1"}'),
            ProviderPart("anthropic_messages", {"type": "x", "id": "ID", "text": "T9", "url": "https://example.org/L2"}),
        ]),
        Message("tool", [ToolResultPart("call_1", [TextPart("T10")])]),
    ],
    tools=[
        Tool("find", "T11", SCHEMA),
        Tool("search", hosted={"type": "web_search", "user_location": {"city": "T12"}}),
    ],
    output=OutputFormat("json_schema", SCHEMA, "out", description="T13"),
    stop=["T14"],
    user="N3",
    metadata={"ticket": "N4"},
    cache_key="N5",
    extra={"custom": {"text": "T15", "id": "ID2"}},
    wire=Wire("openai_chat", {"unknown": "V5"}),
)  # fmt: skip


def looked(function, *args):
    found = []

    def change(path, kind, text):
        found.append((path, kind, text))
        return text

    return function(*args, change), found


def test_all_texts_of_a_hub_request_are_seen_with_their_kind():
    same, found = looked(rewrite, REQUEST)
    assert same is REQUEST
    texts = {text for _, kind, text in found if kind == "text"}
    # The schema stands there twice: of a tool, and of the output.
    assert texts == {f"T{number}" for number in range(1, 16)}
    assert {text for _, kind, text in found if kind == "name"} == {"N1", "N2.pdf", "N3", "N4", "N5"}
    assert {text for _, kind, text in found if kind == "json"} == {'{"name": "J1"}'}
    assert {text for _, kind, text in found if kind == "link"} == {
        "https://example.org/L1.png",
        "https://example.org/L2",
    }
    values = {text for _, kind, text in found if kind == "value"}
    assert {"V1", "V2", "V3", "V4", "V5"} <= values
    seen = {text for _, _, text in found}
    assert not seen & {"SIGNED", "BASE64", "ID", "ID2", "call_1", "data:image/png;base64,SECRET"}


def test_paths_say_where():
    _, found = looked(rewrite, REQUEST)
    paths = {text: path for path, _, text in found}
    assert paths["T6"] == "messages[1].parts[0].text"
    assert paths["T10"] == "messages[3].parts[0].content[0].text"
    assert paths["T11"] == "tools[0].description"
    assert paths['{"name": "J1"}'] == "messages[2].parts[2].arguments"


def test_a_change_leaves_the_original_and_shares_the_rest():
    before = copy.deepcopy(REQUEST)
    after = rewrite(REQUEST, lambda _path, _kind, text: "new" if text == "T6" else text)
    assert before == REQUEST
    assert after.messages[1].parts[0].text == "new"
    assert after.messages[0] is REQUEST.messages[0]
    assert after.messages[1].parts[1] is REQUEST.messages[1].parts[1]
    assert after.tools is REQUEST.tools


def test_every_text_can_be_changed():
    after = rewrite(REQUEST, lambda _path, kind, text: text if kind == "link" else f"<{text}>")
    _, found = looked(rewrite, after)
    assert all(text.startswith("<") and text.endswith(">") for _, kind, text in found if kind != "link")
    assert after.tools[0].parameters["properties"]["description"]["enum"] == ["<V1>", "<V2>"]
    assert list(after.tools[0].parameters["properties"]) == ["description", "title"]
    assert after.messages[2].parts[0].wire.fields == {"signature": "SIGNED"}
    assert after.messages[2].parts[3].data["id"] == "ID"


def test_embeddings():
    request = EmbedRequest(model="m", inputs=["T1", [1, 2, 3], "T2"], user="N1")
    same, found = looked(rewrite, request)
    assert same is request
    assert [text for _, _, text in found] == ["T1", "T2", "N1"]
    after = rewrite(request, lambda _path, _kind, text: text.lower())
    assert after.inputs == ["t1", [1, 2, 3], "t2"]
    assert request.inputs == ["T1", [1, 2, 3], "T2"]


BODIES = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "S1"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a"}},
            ], "name": "S2"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "S3"}'}}
            ]},
        ],
        "metadata": {"k": "S4"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"enum": ["V1"]}}}],
        "unknown": {"deep": ["V2"]},
    },
    "openai_responses": {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "S1"}]}],
        "instructions": "S2",
        "tools": [{"type": "function", "name": "f", "parameters": {"enum": ["V1"]}}],
        "unknown": ["V2"],
    },
    "anthropic_messages": {
        "model": "m",
        "system": "S1",
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "S2"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "S3", "signature": "SIGNED"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"enum": ["V1"]}}],
        "unknown": "V2",
    },
    "gemini_generate": {
        "contents": [{"role": "user", "parts": [{"text": "S1"}, {"inlineData": {"data": "BASE64", "mimeType": "x"}}]}],
        "generationConfig": {"stopSequences": ["V1"]},
        "unknown": "V2",
    },
}  # fmt: skip


@pytest.mark.parametrize("dialect", BODIES)
def test_bodies_on_the_wire(dialect):
    slots = chat_dialect(dialect).text_slots
    body = copy.deepcopy(BODIES[dialect])
    changed, found = looked(rewrite_body, body, slots)
    assert not changed
    assert body == BODIES[dialect]
    kinds = {text: kind for _, kind, text in found}
    assert {text for text, kind in kinds.items() if "S" in text} == {
        text for text, kind in kinds.items() if kind in {"text", "name", "json"}
    }
    assert {kinds["V1"], kinds["V2"]} == {"value"}
    assert not kinds.keys() & {"SIGNED", "BASE64"}
    # A text is asked about once.
    assert len(found) == len({(path, text) for path, _, text in found})


@pytest.mark.parametrize("dialect", BODIES)
def test_only_what_changed_differs_on_the_wire(dialect):
    body = copy.deepcopy(BODIES[dialect])
    changed = rewrite_body(body, chat_dialect(dialect).text_slots, lambda _p, _k, text: text.replace("S1", "new"))
    assert changed
    assert repr(body) == repr(BODIES[dialect]).replace("S1", "new")


def test_what_a_slot_became_is_not_changed_again():
    body = {"messages": [{"role": "user", "content": "S1"}], "unknown": "V1"}
    rewrite_body(body, chat_dialect("openai_chat").text_slots, lambda _p, _k, text: f"<{text}>")
    assert body == {"messages": [{"role": "user", "content": "<S1>"}], "unknown": "<V1>"}


def test_embedding_bodies():
    body = {"model": "m", "input": ["S1", "S2"], "user": "S3"}
    assert rewrite_body(body, embed_dialect("openai_embeddings").text_slots, lambda _p, _k, text: text.lower())
    assert body == {"model": "m", "input": ["s1", "s2"], "user": "s3"}

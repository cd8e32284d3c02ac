from __future__ import annotations

import json

from hypothesis import given

from aistrale.dialects import anthropic_messages as dialect
from tests.dialects.anthropic_messages_cases import (
    answer,
    body,
    json_values,
)


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

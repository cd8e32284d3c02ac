"""Where human text stands in Gemini bodies."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.dialects import gemini_generate as gemini


def user(text):
    return {"role": "user", "parts": [{"text": text}]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_text_slots_of_a_request():
    schema = {
        "description": "S1",
        "title": "S2",
        "enum": ["no"],
        "default": "no",
        "properties": {
            "title": {"description": "S3", "type": "STRING"},
            "x": {"anyOf": [{"description": "S4"}], "example": "S5"},
        },
        "$defs": {"d": {"items": {"examples": ["S6"]}}},
    }
    body = {
        "model": "no",
        "system_instruction": {"parts": {"text": "A1"}},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "B1", "thoughtSignature": "no", "partMetadata": {"file": "B2"}},
                    {"function_call": {"id": "no", "name": "no", "args": {"key": ["B3", 1, {"k": "B4"}]}}},
                    {
                        "functionResponse": {
                            "name": "no",
                            "response": {"output": "B5"},
                            "parts": [{"inlineData": {"mimeType": "no", "data": "no", "displayName": "B6"}}],
                        }
                    },
                    {"fileData": {"fileUri": "no", "display_name": "B7"}},
                    {"executableCode": {"code": "B8", "language": "no"}},
                    {"codeExecutionResult": {"output": "B9", "outcome": "no"}},
                    {"toolCall": {"args": {"q": "C1"}}},
                    {"toolResponse": {"response": {"a": "C2"}}},
                    {"audioTranscription": {"text": "C3", "speakerLabel": "C4"}, "text": ""},
                ],
            }
        ],
        "tools": [
            {
                "functionDeclarations": [{"name": "no", "description": "D1", "parametersJsonSchema": schema}],
                "googleSearch": {},
            }
        ],
        "generationConfig": {"responseSchema": {"description": "E1"}, "stopSequences": ["no"]},
        "labels": {"k": "F1"},
        "cachedContent": "no",
    }
    slots = list(gemini.text_slots(body))
    texts = [slot.text for slot in slots]
    expected = [
        "A1",
        *(f"B{n}" for n in range(1, 10)),
        *(f"C{n}" for n in range(1, 5)),
        "D1",
        *(f"S{n}" for n in range(1, 7)),
        "E1",
        "F1",
    ]
    assert sorted(texts) == sorted(expected)
    assert {slot.text for slot in slots if slot.kind == "name"} == {"B6", "B7", "C4"}
    paths = {slot.text: slot.path for slot in slots}
    assert paths["A1"] == "system_instruction.parts.text"
    assert paths["B4"] == "contents[0].parts[1].function_call.args.key[2].k"
    for slot in slots:
        slot.replace(slot.text.lower())
    assert "no" not in {slot.text for slot in gemini.text_slots(body)}
    assert body["contents"][0]["parts"][1]["function_call"]["args"]["key"] == ["b3", 1, {"k": "b4"}]


def test_text_slots_of_an_answer():
    body = {
        "candidates": [
            {
                "content": {
                    "role": "no",
                    "parts": [{"text": "A"}, {"functionCall": {"name": "no", "partialArgs": [{"stringValue": "B"}]}}],
                },
                "finishReason": "no",
                "finishMessage": "C",
                "groundingMetadata": {
                    "webSearchQueries": ["D"],
                    "groundingChunks": [{"web": {"uri": "no", "title": "E"}}, {"retrievedContext": {"text": "F"}}],
                    "groundingSupports": [{"segment": {"text": "G"}}],
                    "searchEntryPoint": {"renderedContent": "H"},
                },
                "citationMetadata": {"citations": [{"title": "I", "uri": "no"}]},
            }
        ],
        "promptFeedback": {"blockReason": "no", "blockReasonMessage": "J"},
        "responseId": "no",
    }
    assert "".join(sorted(slot.text for slot in gemini.text_slots(body))) == "ABCDEFGHIJ"


def test_text_slots_reach_into_the_body_of_a_count():
    body = {"generateContentRequest": {"contents": [user("Hi")], "systemInstruction": "Be brief."}}
    assert {slot.path: slot.text for slot in gemini.text_slots(body)} == {
        "generateContentRequest.systemInstruction": "Be brief.",
        "generateContentRequest.contents[0].parts[0].text": "Hi",
    }


@settings(deadline=None)
@given(
    JSON.filter(lambda value: isinstance(value, dict))
    | st.fixed_dictionaries({"contents": JSON, "tools": JSON, "candidates": JSON})
)
def test_text_slots_survive_any_body(body):
    for slot in gemini.text_slots(body):
        assert isinstance(slot.text, str)

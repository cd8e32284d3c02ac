"""Gemini requests come out as they went in; what has a wrong shape is refused by name."""

from __future__ import annotations

import copy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    Message,
    Tool,
)


def user(text):
    return {"role": "user", "parts": [{"text": text}]}


def decode(body, **options):
    return gemini.decode_request(body, **options)


def again(body, profile=ANY):
    return gemini.encode_request(decode(body), profile, Loss(on_lossy="error"))


CALL = {"functionCall": {"name": "look", "args": {"where": "attic"}}}
RESULT = {"functionResponse": {"name": "look", "response": {"output": "dust"}}}
BODIES = {
    "nothing but contents": {"contents": [user("Hi")]},
    "no contents": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    "a single content": {"contents": user("Hi")},
    "contents without roles": {"contents": [{"parts": [{"text": "Hi"}]}, {"role": None, "parts": [{"text": "Ho"}]}]},
    "parts as one object": {"contents": [{"role": "user", "parts": {"text": "Hi"}}]},
    "contents without parts": {
        "contents": [{"role": "model"}, {"role": "user", "parts": None}, {"role": "user", "parts": []}]
    },
    "unknown role and fields": {
        "contents": [{"role": "narrator", "parts": [{"text": "Once"}], "mood": "calm"}],
        "novelty": [1],
    },
    "system as text": {"contents": [user("Hi")], "systemInstruction": "Be brief."},
    "system in parts": {
        "contents": [],
        "system_instruction": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
    },
    "system as one object": {"contents": [user("Hi")], "systemInstruction": {"parts": {"text": ""}}},
    "empty objects": {"contents": [], "generationConfig": {}, "toolConfig": {}, "tools": [], "labels": {}},
    "nulls": {
        "contents": [user("Hi")],
        "systemInstruction": None,
        "tools": None,
        "tool_config": None,
        "toolConfig": None,
        "generationConfig": None,
        "serviceTier": None,
    },
    "null options": {
        "contents": [user("Hi")],
        "generationConfig": {
            "temperature": None,
            "stopSequences": None,
            "responseSchema": None,
            "thinkingConfig": None,
        },
    },
    "model in the body": {"model": "models/gemini-3-pro", "contents": [user("Hi")]},
    "calls and results": {
        "contents": [user("Hi"), {"role": "model", "parts": [CALL]}, {"role": "user", "parts": [RESULT]}]
    },
    "results of role function": {
        "contents": [{"role": "model", "parts": [CALL]}, {"role": "function", "parts": [RESULT]}]
    },
    "results of role model": {"contents": [{"role": "model", "parts": [CALL, RESULT]}]},
    "calls of no role": {"contents": [{"parts": [CALL]}, {"parts": [RESULT]}]},
    "results amid text": {
        "contents": [{"role": "model", "parts": [CALL]}, {"role": "user", "parts": [RESULT, {"text": "go on"}, RESULT]}]
    },
    "calls with ids": {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"id": "x1", "name": "look", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "x1", "name": "look", "response": {}}}]},
        ]
    },
    "empty ids, no args, no response": {
        "contents": [
            {
                "role": "model",
                "parts": [{"functionCall": {"id": "", "name": "look"}}, {"functionCall": {"name": "look"}}],
            },
            {"role": "user", "parts": [{"functionResponse": {"id": "", "name": "look"}}]},
        ]
    },
    "snake_case": {
        "contents": [
            {
                "role": "model",
                "parts": [{"function_call": {"name": "f", "args": {"a": 1}}, "thought_signature": "c2ln"}],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "function_response": {
                            "name": "f",
                            "response": {"error": {"why": "x"}},
                            "parts": [{"inline_data": {"mime_type": "image/png", "data": "aGk="}}],
                        }
                    },
                    {"file_data": {"file_uri": "gs://bucket/a.pdf", "mime_type": "application/pdf"}},
                ],
            },
        ],
        "generation_config": {
            "max_output_tokens": 5,
            "top_p": 0.5,
            "stop_sequences": ["x"],
            "response_mime_type": "application/json",
            "response_schema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
            "thinking_config": {"include_thoughts": True, "thinking_budget": 0},
        },
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    },
    "results with media and extras": {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "f",
                            "response": {"output": {"deep": [1, None]}},
                            "scheduling": "SILENT",
                            "parts": {
                                "inlineData": {"mimeType": "image/png", "data": "aGk=", "displayName": "cat.png"}
                            },
                        },
                        "thoughtSignature": "c2ln",
                    },
                    {"functionResponse": {"name": "f", "response": {"output": "x", "more": 1}, "parts": []}},
                    {"functionResponse": {"name": "f", "response": {"error": "no"}, "parts": [{"novelty": {}}]}},
                ],
            }
        ]
    },
    "media": {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
                    {"inlineData": {"data": "aGk="}},
                    {
                        "inlineData": {"mimeType": "image/png", "data": "aGk="},
                        "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                    },
                    {
                        "inlineData": {"mimeType": "image/png", "data": ""},
                        "media_resolution": {"level": "MEDIA_RESOLUTION_MEDIUM"},
                    },
                    {"fileData": {"fileUri": "https://example.org/a.mp4"}, "videoMetadata": {"fps": 2}},
                    {
                        "fileData": {
                            "fileUri": "https://generativelanguage.googleapis.com/v1/files/a",
                            "mimeType": "video/mp4",
                            "displayName": "holiday",
                        }
                    },
                    {"fileData": {}},
                ],
            }
        ]
    },
    "tools without content": {"contents": [], "tools": [{"functionDeclarations": []}]},
    "both kinds of schema": {
        "contents": [],
        "tools": [
            {"functionDeclarations": [{"name": "a", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": {}}]}
        ],
        "generationConfig": {"responseSchema": {"type": "STRING"}, "responseJsonSchema": {"type": "string"}},
    },
    "tool modes": {
        "contents": [],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": []}},
    },
    "tool mode left out": {
        "contents": [],
        "toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}},
    },
    "tool mode of the future": {
        "contents": [],
        "toolConfig": {"functionCallingConfig": {"mode": "PERHAPS"}, "includeServerSideToolInvocations": True},
    },
    "odd numbers": {"contents": [], "generationConfig": {"topK": 4.5, "responseLogprobs": False, "logprobs": 2}},
    "logprobs of nothing": {"contents": [], "generationConfig": {"responseLogprobs": True, "logprobs": 0}},
    "a cache in snake_case": {"contents": [], "cached_content": "cachedContents/1"},
    "labels that are no text": {"contents": [], "labels": {"a": 1}},
    "plain text asked for": {"contents": [], "generationConfig": {"responseMimeType": "text/plain"}},
    "an enum asked for": {
        "contents": [],
        "generationConfig": {"responseMimeType": "text/x.enum", "response_schema": {"type": "STRING", "enum": ["a"]}},
    },
    "a schema without a type of answer": {
        "contents": [],
        "generationConfig": {"responseJsonSchema": {"type": "object"}},
    },
    "thinking": {
        "contents": [],
        "generationConfig": {
            "thinkingConfig": {"thinkingBudget": -1, "thinkingLevel": "low", "includeThoughts": False, "x": 1}
        },
    },
    "thinking of the future": {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingLevel": "EXTREME"}}},
    "no thinking": {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    "empty thinking": {"contents": [], "generationConfig": {"thinkingConfig": {}}},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_request_round_trip(body):
    before = copy.deepcopy(body)
    assert again(body) == before
    assert body == before


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_round_trip_does_not_depend_on_the_target(body):
    strict = Profile(
        sampling=False,
        stop=0,
        max_output=1,
        thinking="none",
        structured="prompt",
        media=frozenset(),
        media_urls=False,
        tool_media=False,
        unsupported=frozenset({"seed", "n", "logprobs", "reasoning"}),
    )
    assert again(body, strict) == body


def test_a_list_that_was_one_object_becomes_a_list_when_it_grows():
    request = decode({"contents": user("Hi"), "tools": {"functionDeclarations": {"name": "a"}}})
    request.messages.append(Message.assistant("Ho"))
    request.tools.append(Tool("b"))
    body = gemini.encode_request(request, ANY, Loss())
    assert [content["role"] for content in body["contents"]] == ["user", "model"]
    assert [entry["name"] for entry in body["tools"]["functionDeclarations"]] == ["a", "b"]


WRONG = {
    "contents": {"contents": "Hi"},
    "contents[0]": {"contents": ["Hi"]},
    "contents[0].role": {"contents": [{"role": 1, "parts": []}]},
    "contents[0].parts": {"contents": [{"parts": "Hi"}]},
    "contents[0].parts[0]": {"contents": [{"parts": ["Hi"]}]},
    "contents[0].parts[0].text": {"contents": [{"parts": [{"text": 1}]}]},
    "contents[0].parts[0].functionCall": {"contents": [{"parts": [{"functionCall": "f"}]}]},
    "contents[0].parts[0].functionCall.name": {"contents": [{"parts": [{"functionCall": {"name": 1}}]}]},
    "contents[0].parts[0].functionCall.args": {"contents": [{"parts": [{"functionCall": {"name": "f", "args": "x"}}]}]},
    "contents[0].parts[0].functionResponse.response": {
        "contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]
    },
    "contents[0].parts[0].functionResponse.parts[0]": {"contents": [{"parts": [{"functionResponse": {"parts": [1]}}]}]},
    "contents[0].parts[0].data": {"contents": [{"parts": [{"inlineData": {"data": 1}}]}]},
    "contents[0].parts[0].mimeType": {"contents": [{"parts": [{"inlineData": {"mimeType": 1}}]}]},
    "contents[0].parts[0].fileUri": {"contents": [{"parts": [{"fileData": {"fileUri": 1}}]}]},
    "systemInstruction": {"systemInstruction": 1},
    "tools": {"tools": "x"},
    "tools[0]": {"tools": ["x"]},
    "tools[0].functionDeclarations[0].name": {"tools": [{"functionDeclarations": [{}]}]},
    "tools[0].functionDeclarations[0].parameters": {
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": "x"}]}]
    },
    "toolConfig": {"toolConfig": []},
    "toolConfig.functionCallingConfig.mode": {"toolConfig": {"functionCallingConfig": {"mode": "a b"}}},
    "generationConfig": {"generationConfig": []},
    "generationConfig.temperature": {"generationConfig": {"temperature": "hot"}},
    "generationConfig.maxOutputTokens": {"generationConfig": {"maxOutputTokens": True}},
    "generationConfig.stopSequences": {"generationConfig": {"stopSequences": "x"}},
    "generationConfig.responseMimeType": {"generationConfig": {"responseMimeType": 1}},
    "generationConfig.responseSchema": {"generationConfig": {"responseSchema": []}},
    "generationConfig.thinkingConfig": {"generationConfig": {"thinkingConfig": 1}},
    "generationConfig.thinkingConfig.thinkingBudget": {"generationConfig": {"thinkingConfig": {"thinkingBudget": "x"}}},
    "generationConfig.responseLogprobs": {"generationConfig": {"responseLogprobs": 1}},
    "serviceTier": {"serviceTier": 1},
    "model": {"model": 1},
}


@pytest.mark.parametrize(("field", "body"), WRONG.items(), ids=WRONG.keys())
def test_wrong_shapes_name_their_field(field, body):
    with pytest.raises(MalformedBody) as caught:
        decode(body)
    assert caught.value.field == field


def test_a_field_in_both_spellings_is_malformed():
    with pytest.raises(MalformedBody, match="one spelling"):
        decode({"generationConfig": {"topP": 1, "top_p": 0.5}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": JSON,
        "thought": JSON,
        "thoughtSignature": st.text(max_size=4),
        "functionCall": JSON | st.fixed_dictionaries({"name": JSON}, optional={"args": JSON, "id": JSON}),
        "function_response": JSON | st.fixed_dictionaries({"name": JSON}, optional={"response": JSON, "parts": JSON}),
        "inlineData": JSON | st.fixed_dictionaries({"mimeType": JSON, "data": JSON}),
        "executableCode": JSON,
    },
)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "model", "function", "x"]) | JSON,
        "parts": st.lists(PARTS, max_size=4) | JSON,
    },
)


@pytest.mark.parametrize("name", ["", "\r", "a b", "a\u2003b"])
def test_a_null_tool_whose_name_has_blanks_is_malformed(name):
    with pytest.raises(MalformedBody):
        decode({"tools": [{"googleSearch": {}, name: None}]})


@settings(deadline=None)
@example({"tools": {"0": False, "\r": None}})
@given(
    st.fixed_dictionaries(
        {}, optional={"contents": st.lists(CONTENTS, max_size=4), "tools": JSON, "systemInstruction": JSON}
    )
)
def test_whatever_decodes_round_trips_and_the_rest_is_malformed(body):
    before = copy.deepcopy(body)
    try:
        request = decode(body)
    except MalformedBody:
        return
    assert gemini.encode_request(request, ANY, Loss(on_lossy="error")) == before

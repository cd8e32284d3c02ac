"""Requests from elsewhere, written for Gemini: nothing is lost silently."""

from __future__ import annotations

import base64
import copy

import pytest

from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    CacheHint,
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
    Wire,
)

GEMINI_3 = Profile(provider="gemini", model="gemini-3-pro", thinking="level")
GEMINI_2 = Profile(provider="gemini", model="gemini-2.5-flash", thinking="budget")


def user(text):
    return {"role": "user", "parts": [{"text": text}]}


def again(body, profile=ANY):
    return gemini.encode_request(gemini.decode_request(body), profile, Loss(on_lossy="error"))


def encode(profile=ANY, loss=None, **options):
    options.setdefault("messages", [Message.user("Hi")])
    return gemini.encode_request(Request(model="m", **options), profile, loss or Loss())


CALL = {"functionCall": {"name": "look", "args": {"where": "attic"}}}
RESULT = {"functionResponse": {"name": "look", "response": {"output": "dust"}}}


def test_a_conversation_from_elsewhere():
    loss = Loss()
    messages = [
        Message.system("Be brief."),
        Message("developer", [TextPart("Be kind.")]),
        Message.user("Look", MediaPart("image", data="aGk=", media_type="image/png")),
        Message(
            "assistant",
            [TextPart("I do."), ToolCallPart("toolu_1", "look", '{"a": 1}'), ToolCallPart("toolu_2", "look")],
        ),
        Message.tool("toolu_2", "second", is_error=True),
        Message.tool("toolu_1", "first"),
        Message.user("And?"),
    ]
    body = encode(messages=messages, loss=loss)
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
            {
                "role": "model",
                "parts": [
                    {"text": "I do."},
                    {"functionCall": {"name": "look", "id": "toolu_1", "args": {"a": 1}}},
                    {"functionCall": {"name": "look", "id": "toolu_2", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "look", "id": "toolu_1", "response": {"output": "first"}}},
                    {"functionResponse": {"name": "look", "id": "toolu_2", "response": {"error": "second"}}},
                ],
            },
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
    }
    assert loss.items == []


def test_a_result_from_elsewhere_has_an_id_only_where_its_call_has():
    decoded = gemini.decode_response(
        {"candidates": [{"content": {"role": "model", "parts": [CALL]}}], "responseId": "r"}
    )
    call = decoded.tool_calls[0]
    assert call.id == "call_r_1"
    messages = [Message.user("Hi"), decoded.message, Message.tool(call.id, "dust")]
    body = encode(messages=messages)
    assert body["contents"][1:] == [{"role": "model", "parts": [CALL]}, {"role": "user", "parts": [RESULT]}]


def test_a_turn_of_the_model_is_not_split():
    messages = [Message.user("Hi"), Message.assistant("Wait."), Message("assistant", [ToolCallPart("c", "f", "{}")])]
    contents = encode(messages=messages)["contents"]
    assert [content["role"] for content in contents] == ["user", "model"]
    assert len(contents[1]["parts"]) == 2


def test_an_instruction_amid_the_conversation_moves_and_is_reported():
    loss = Loss()
    body = encode(messages=[Message.user("Hi"), Message.system("Be brief.")], loss=loss)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [(item.field, item.action) for item in loss.items] == [("messages[1]", "emulated")]


@pytest.mark.parametrize("arguments", ["[1]", "{broken", '"text"'])
def test_arguments_that_are_no_object_are_wrapped_and_reported(arguments):
    loss = Loss()
    body = encode(messages=[Message("assistant", [ToolCallPart("c", "f", arguments)])], loss=loss)
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {"arguments": arguments}
    assert [item.action for item in loss.items] == ["emulated"]


def test_a_result_whose_tool_is_unknown_is_refused():
    with pytest.raises(InvalidRequestError, match="name"):
        encode(messages=[Message.tool("nobody", "x")])
    body = encode(messages=[Message.tool("nobody", "x", name="f")])
    assert body["contents"][0]["parts"][0]["functionResponse"]["name"] == "f"


def test_media_in_a_result():
    image = MediaPart("image", data="aGk=", media_type="image/png")
    messages = [
        Message("assistant", [ToolCallPart("c", "f")]),
        Message("tool", [ToolResultPart("c", [TextPart("x"), image])]),
    ]
    inline = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    response = {"name": "f", "id": "c", "response": {"output": "x"}}
    body = encode(messages=messages)
    assert body["contents"][1]["parts"] == [{"functionResponse": {**response, "parts": [inline]}}]
    loss = Loss()
    body = encode(Profile(tool_media=False), messages=messages, loss=loss)
    assert body["contents"][1]["parts"] == [{"functionResponse": response}, inline]
    assert [item.action for item in loss.items] == ["emulated"]


SIGNED = {"thoughtSignature": gemini.SUBSTITUTE_SIGNATURE}


def test_the_substitute_is_what_the_server_takes():
    assert base64.b64decode(gemini.SUBSTITUTE_SIGNATURE) == b"skip_thought_signature_validator"


def test_gemini_3_gets_a_substitute_signature_on_each_step_of_the_current_turn():
    def calls(*ids):
        return Message("assistant", [TextPart("ok"), *(ToolCallPart(name, "f", "{}") for name in ids)])

    messages = [
        Message.user("one"),
        calls("a"),
        Message.tool("a", "x"),
        Message.user("two"),
        calls("b", "c"),
        Message.tool("b", "x"),
        Message.tool("c", "x"),
        calls("d"),
        Message.tool("d", "x"),
    ]

    def signed(profile):
        parts = [part for content in encode(profile, messages=messages)["contents"] for part in content["parts"]]
        return [
            part["functionCall"]["id"] for part in parts if part.get("thoughtSignature") == gemini.SUBSTITUTE_SIGNATURE
        ]

    assert signed(GEMINI_3) == ["b", "d"]
    assert signed(GEMINI_2) == []
    assert signed(ANY) == []


def test_a_callers_own_signatures_stay_and_missing_ones_are_filled_for_gemini_3():
    step = {"functionCall": {"name": "f", "args": {}}}
    contents = [
        user("Hi"),
        {"role": "model", "parts": [{**step, "thoughtSignature": "b3du"}, step]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}] * 2},
        {"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]
    body = {"contents": contents}
    expected = copy.deepcopy(contents)
    expected[3]["parts"][0]["thought_signature"] = gemini.SUBSTITUTE_SIGNATURE
    assert again(body, GEMINI_3)["contents"] == expected
    assert again(body) == body


def test_state_of_another_provider_is_dropped_and_reported():
    loss = Loss()
    thought = ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "x"}))
    hosted = ProviderPart("openai_responses", {"type": "web_search_call"})
    cited = TextPart("so", wire=Wire("anthropic_messages", {"citations": [{"cited_text": "x"}]}))
    body = encode(messages=[Message.user("Hi"), Message("assistant", [thought, hosted, cited])], loss=loss)
    assert body["contents"][1]["parts"] == [{"text": "so"}]
    assert [item.field for item in loss.items] == [f"messages[1].parts[{n}]" for n in range(3)]
    with pytest.raises(InvalidRequestError):
        encode(messages=[Message("assistant", [thought])], loss=Loss(on_lossy="error"))


def test_a_message_of_which_nothing_remains_is_left_out():
    thought = ReasoningPart(redacted=True, wire=Wire("anthropic_messages", {"data": "x"}))
    contents = encode(messages=[Message.user("Hi"), Message("assistant", [thought]), Message.user("Ho")])["contents"]
    assert [content["role"] for content in contents] == ["user", "user"]


def test_refusals_become_text():
    loss = Loss()
    body = encode(messages=[Message("assistant", [RefusalPart("No.")])], loss=loss)
    assert body["contents"][0]["parts"] == [{"text": "No."}]
    assert [item.action for item in loss.items] == ["emulated"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            MediaPart("image", url="https://x.org/a.JPG?b=c"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.org/a.JPG?b=c"}},
        ),
        (
            MediaPart("image", url="https://x.org/a"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.org/a"}},
        ),
        (
            MediaPart("audio", data="xxxx", file_id="audio_1", media_type="audio/mp3"),
            {"inlineData": {"mimeType": "audio/mp3", "data": "xxxx"}},
        ),
        (
            MediaPart("image", url="data:image/gif;base64,aGk="),
            {"inlineData": {"mimeType": "image/gif", "data": "aGk="}},
        ),
        (MediaPart("document", data="JVBERi0x"), {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}}),
        (MediaPart("audio", data="xxxx"), {"inlineData": {"mimeType": "audio/wav", "data": "xxxx"}}),
        (
            MediaPart("video", file_id="gs://b/c", media_type="video/mp4"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/c"}},
        ),
    ],
)
def test_media_from_elsewhere(part, expected):
    assert encode(messages=[Message.user(part)])["contents"][0]["parts"] == [expected]


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        (MediaPart("document", file_id="file-abc"), ANY),
        (MediaPart("audio", data="x", media_type="audio/wav"), Profile(media=frozenset({"image"}))),
        (MediaPart("image", url="https://x.org/a.png"), Profile(media_urls=False)),
    ],
)
def test_media_that_cannot_move_are_refused(part, profile):
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]"):
        encode(profile, messages=[Message.user(part)])


def test_media_hints():
    part = MediaPart("image", data="aGk=", media_type="image/png", detail="low", filename="a.png")
    loss = Loss()
    body = encode(GEMINI_3, messages=[Message.user(part)], loss=loss)
    assert body["contents"][0]["parts"][0]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_LOW"}
    assert [item.field for item in loss.items] == ["messages[0].parts[0].filename"]
    loss = Loss()
    assert "mediaResolution" not in encode(messages=[Message.user(part)], loss=loss)["contents"][0]["parts"][0]
    assert [item.field for item in loss.items] == ["messages[0].parts[0].filename", "messages[0].parts[0].detail"]


def test_tools_from_elsewhere_share_one_entry():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    loss = Loss()
    body = encode(tools=[Tool("a", "does a", schema), Tool("b", strict=True)], loss=loss)
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "a", "description": "does a", "parametersJsonSchema": schema},
                {"name": "b"},
            ]
        }
    ]
    assert [item.field for item in loss.items] == ["tools[1].strict"]


def test_hosted_tools_of_another_provider_are_refused_whatever_the_mode():
    tool = Tool("web_search", hosted={"type": "web_search"}, wire=Wire("openai_responses"))
    with pytest.raises(InvalidRequestError, match="hosted by another provider"):
        encode(tools=[tool], loss=Loss(on_unsupported="drop"))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("tool", ["f"]), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("auto", ["f", "g"]), {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice("auto", wire=Wire("openai_chat", form="string")), {"mode": "AUTO"}),
    ],
)
def test_tool_choices_from_elsewhere(choice, expected):
    assert encode(tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


def test_options_from_elsewhere():
    config = encode(
        temperature=0.1,
        top_p=0.2,
        top_k=3,
        max_tokens=4,
        n=5,
        stop=["x"],
        seed=6,
        presence_penalty=0.7,
        frequency_penalty=0.8,
        logprobs=2,
    )["generationConfig"]
    assert config == {
        "temperature": 0.1,
        "topP": 0.2,
        "topK": 3,
        "maxOutputTokens": 4,
        "candidateCount": 5,
        "stopSequences": ["x"],
        "seed": 6,
        "presencePenalty": 0.7,
        "frequencyPenalty": 0.8,
        "responseLogprobs": True,
        "logprobs": 2,
    }
    assert encode(logprobs=0)["generationConfig"] == {"responseLogprobs": True}


@pytest.mark.parametrize(
    ("option", "value", "profile"),
    [
        ("parallel_tool_calls", False, ANY),
        ("temperature", 1.0, Profile(sampling=False)),
        ("stop", ["a", "b"], Profile(stop=1)),
        ("seed", 1, Profile(unsupported=frozenset({"seed"}))),
        ("service_tier", "scale", ANY),
        ("reasoning", Reasoning("high"), Profile(thinking="none")),
        ("output", OutputFormat("json_object"), Profile(structured="prompt")),
    ],
)
def test_options_that_the_target_lacks(option, value, profile):
    with pytest.raises(InvalidRequestError, match=option):
        encode(profile, **{option: value})
    loss = Loss(on_unsupported="drop")
    body = encode(profile, loss=loss, **{option: value})
    assert body == {"contents": [user("Hi")]}
    assert [item.field for item in loss.items] == [option]


def test_logit_bias_is_refused():
    with pytest.raises(InvalidRequestError, match="logit_bias"):
        encode(logit_bias={"1": 1.0}, loss=Loss(on_unsupported="drop"))


def test_the_output_limit_is_lowered_to_what_the_target_gives():
    loss = Loss()
    assert encode(Profile(max_output=100), max_tokens=200, loss=loss)["generationConfig"] == {"maxOutputTokens": 100}
    assert [item.field for item in loss.items] == ["max_tokens"]


@pytest.mark.parametrize(
    ("reasoning", "profile", "expected", "reported"),
    [
        (Reasoning("low", include=True), GEMINI_3, {"thinkingLevel": "LOW", "includeThoughts": True}, 0),
        (Reasoning("none"), GEMINI_3, {"thinkingLevel": "MINIMAL"}, 1),
        (Reasoning("max"), GEMINI_3, {"thinkingLevel": "XHIGH"}, 1),
        (Reasoning("medium"), Profile(thinking="level", efforts=("low", "high")), {"thinkingLevel": "LOW"}, 1),
        (Reasoning(budget=5000), GEMINI_3, {"thinkingLevel": "MEDIUM"}, 1),
        (Reasoning(budget=100_000), GEMINI_3, {"thinkingLevel": "HIGH"}, 1),
        (Reasoning("medium"), GEMINI_2, {"thinkingBudget": 8192}, 0),
        (Reasoning("none"), GEMINI_2, {"thinkingBudget": 0}, 0),
        (Reasoning("xhigh"), GEMINI_2, {"thinkingBudget": 24576}, 1),
        (Reasoning(budget=700), GEMINI_2, {"thinkingBudget": 700}, 0),
        (Reasoning(budget=700), ANY, {"thinkingBudget": 700}, 0),
        (Reasoning("high"), ANY, {"thinkingLevel": "HIGH"}, 0),
    ],
)
def test_reasoning_from_elsewhere(reasoning, profile, expected, reported):
    loss = Loss()
    assert encode(profile, reasoning=reasoning, loss=loss)["generationConfig"] == {"thinkingConfig": expected}
    assert len(loss.items) == reported


def test_a_model_that_cannot_think_is_told_nothing_when_none_is_wanted():
    assert "generationConfig" not in encode(Profile(thinking="none"), reasoning=Reasoning("none"))


def test_an_unknown_effort_is_refused():
    with pytest.raises(InvalidRequestError, match="effort"):
        encode(GEMINI_3, reasoning=Reasoning("enormous"))


def test_structured_output_from_elsewhere():
    schema = {"type": "object"}
    wanted = OutputFormat("json_schema", schema, name="thing", strict=True)
    assert encode(output=wanted)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert encode(output=OutputFormat("json_object"))["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in encode(output=OutputFormat("text"))
    loss = Loss()
    body = encode(Profile(structured="json"), output=wanted, loss=loss)
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert [item.field for item in loss.items] == ["output.schema"]


def test_service_tiers_metadata_user_and_caches_from_elsewhere():
    loss = Loss()
    body = encode(
        messages=[Message("user", [TextPart("Hi", cache=CacheHint())], name="Ann")],
        service_tier="default",
        metadata={"team": "blue", "Bad Key": "x", "long": "y" * 64},
        user="u1",
        loss=loss,
    )
    assert body["serviceTier"] == "standard"
    assert body["labels"] == {"team": "blue"}
    assert sorted(item.field for item in loss.items) == sorted(
        ["user", "cache", "messages[0].name", "metadata.Bad Key", "metadata.long"]
    )
    assert "serviceTier" not in encode(service_tier="auto")


def test_fields_of_another_dialect():
    loss = Loss()
    encode(
        wire=Wire("openai_chat", {"verbosity": "low", "store": True, "prediction": None, "stream_options": {}}),
        loss=loss,
    )
    assert [item.field for item in loss.items] == ["verbosity"]
    with pytest.raises(InvalidRequestError, match="previous_response_id"):
        encode(wire=Wire("openai_responses", {"previous_response_id": "resp_1"}))


def test_extra_fields_win_and_are_merged():
    body = encode(temperature=0.5, top_p=0.5, extra={"generationConfig": {"topP": 1, "imageConfig": {}}, "store": True})
    assert body["generationConfig"] == {"temperature": 0.5, "topP": 1, "imageConfig": {}}
    assert body["store"] is True

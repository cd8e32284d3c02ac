"""Gemini answers and their counts, both ways."""

from __future__ import annotations

import copy
import json

import pytest

from aistrale.dialects import gemini_generate as gemini
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    Choice,
    Completion,
    MediaPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
    Wire,
)


def round_trip(body):
    return gemini.encode_response(gemini.decode_response(copy.deepcopy(body)), Loss(on_lossy="error"))


CALL = {"functionCall": {"name": "look", "args": {"where": "attic"}}}
RESULT = {"functionResponse": {"name": "look", "response": {"output": "dust"}}}


ANSWERS = {
    "text": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "gemini-3-pro",
        "responseId": "r1",
    },
    "metadata": {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "Hi", "thoughtSignature": "YQ=="}]},
                "finishReason": "MAX_TOKENS",
                "finishMessage": "cut",
                "groundingMetadata": {"webSearchQueries": ["x"]},
                "citationMetadata": {"citations": [{}]},
                "avgLogprobs": -0.5,
                "tokenCount": 3,
            }
        ],
        "createTime": "2026-05-04T20:01:02.264968Z",
        "modelStatus": {"modelStage": "STABLE"},
    },
    "no content": {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]},
    "null content": {
        "candidates": [{"content": None, "finishReason": "SAFETY", "index": None}],
        "promptFeedback": None,
    },
    "empty content": {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]},
    "content without parts": {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
    "content with no parts": {"candidates": [{"content": {"role": "model", "parts": []}}]},
    "content without role": {"candidates": [{"content": {"parts": [{"text": "a"}, CALL]}, "finishReason": "STOP"}]},
    "content of role user": {
        "candidates": [{"content": {"role": "user", "parts": {"text": "a"}}, "finishReason": "STOP"}]
    },
    "no candidates": {"candidates": [], "usageMetadata": {}, "modelVersion": "", "responseId": ""},
    "nothing": {"usageMetadata": None},
    "blocked": {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []}, "modelVersion": "m"},
    "feedback without a block": {
        "promptFeedback": {"safetyRatings": []},
        "candidates": [{"content": {"parts": [{"text": "a"}]}}],
    },
    "numbers for words": {
        "candidates": [{"content": {"parts": [CALL]}, "finishReason": 1}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "promptTokensDetails": [{"modality": 2, "tokenCount": 5}],
            "trafficType": 1,
        },
    },
    "several": {
        "candidates": [
            {"content": {"parts": [CALL]}, "finishReason": "STOP", "index": 1},
            {"content": {"parts": [CALL]}, "finishReason": "BRAND_NEW", "index": 0},
        ]
    },
    "image": {
        "candidates": [
            {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}, "finishReason": "STOP"}
        ]
    },
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_answer_round_trip(body):
    assert round_trip(body) == body


@pytest.mark.parametrize(
    ("raw", "part", "reason"),
    [
        ("STOP", {"text": "a"}, "stop"),
        ("STOP", CALL, "tool_calls"),
        (1, CALL, "tool_calls"),
        (2, {"text": "a"}, "length"),
        ("MAX_TOKENS", CALL, "length"),
        ("SAFETY", {"text": "a"}, "content_filter"),
        ("RECITATION", {"text": "a"}, "content_filter"),
        ("LANGUAGE", {"text": "a"}, "content_filter"),
        ("IMAGE_SAFETY", {"text": "a"}, "content_filter"),
        ("MODEL_ARMOR", {"text": "a"}, "content_filter"),
        ("CONTINUATION", {"text": "a"}, "pause"),
        ("UNEXPECTED_TOOL_CALL", CALL, "error"),
        ("MALFORMED_RESPONSE", {"text": "a"}, "error"),
        ("OTHER", {"text": "a"}, "error"),
        ("FINISH_REASON_UNSPECIFIED", {"text": "a"}, "unknown"),
        ("BRAND_NEW", {"text": "a"}, "unknown"),
        (999, {"text": "a"}, "unknown"),
        ([], {"text": "a"}, "unknown"),
        (None, CALL, "unknown"),
    ],
)
def test_finish_reasons(raw, part, reason):
    body = {"candidates": [{"content": {"parts": [part]}, "finishReason": raw}]}
    assert gemini.decode_response(body).finish_reason == reason
    assert round_trip(body) == body


def test_a_changed_finish_reason_is_written():
    completion = gemini.decode_response(ANSWERS["text"])
    completion.choices[0].finish_reason = "length"
    assert gemini.encode_response(completion, Loss())["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_a_blocked_prompt_is_a_filtered_empty_answer():
    completion = gemini.decode_response(ANSWERS["blocked"])
    assert (completion.finish_reason, completion.text, len(completion.choices)) == ("content_filter", "", 1)
    assert gemini.decode_response(ANSWERS["no candidates"]).choices == []


def test_what_an_answer_says_of_itself():
    completion = gemini.decode_response({**ANSWERS["text"], "createTime": "1970-01-01T00:01:00.5Z"})
    assert (completion.id, completion.model, completion.created, completion.source) == (
        "r1",
        "gemini-3-pro",
        60,
        gemini.NAME,
    )
    assert gemini.decode_response({"createTime": "soon"}).created is None


def test_ids_of_calls_differ_between_the_answers_of_a_conversation():
    parts = {"content": {"parts": [CALL, CALL]}}
    first = gemini.decode_response({"candidates": [parts], "responseId": "one"})
    second = gemini.decode_response({"candidates": [parts], "responseId": "tw/o"})
    assert [call.id for call in first.tool_calls + second.tool_calls] == [
        "call_one_1",
        "call_one_2",
        "call_two_1",
        "call_two_2",
    ]
    assert [call.id for call in gemini.decode_response({"candidates": [parts]}).tool_calls] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("field", "body"),
    {
        "candidates": {"candidates": {}},
        "candidates[0]": {"candidates": ["x"]},
        "candidates[0].content": {"candidates": [{"content": "x"}]},
        "candidates[0].content.parts": {"candidates": [{"content": {"parts": 1}}]},
        "candidates[0].index": {"candidates": [{"index": "x"}]},
        "usageMetadata": {"usageMetadata": 1},
        "usageMetadata.promptTokenCount": {"usageMetadata": {"promptTokenCount": "x"}},
        "usageMetadata.totalTokenCount": {"usageMetadata": {"totalTokenCount": "x"}},
        "usageMetadata.promptTokensDetails": {"usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [1]}},
        "responseId": {"responseId": 1},
    }.items(),
)
def test_wrong_shapes_of_answers_name_their_field(field, body):
    with pytest.raises(MalformedBody) as caught:
        gemini.decode_response(body)
    assert caught.value.field == field


def test_an_answer_from_elsewhere():
    completion = Completion(
        id="chatcmpl-1",
        model="gpt-5",
        created=1_700_000_000,
        choices=[
            Choice(
                Message(
                    "assistant",
                    [
                        ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "x"})),
                        TextPart("ok"),
                        ToolCallPart("call_9", "get", '{"a":1}'),
                    ],
                ),
                "tool_calls",
            )
        ],
        usage=Usage(input=5, cache_read=3, cache_write=2, output=4, reasoning=1, audio_input=6),
    )
    loss = Loss()
    body = gemini.encode_response(completion, loss)
    assert body == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "ok"},
                        {"functionCall": {"name": "get", "id": "call_9", "args": {"a": 1}}},
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 16,
            "cachedContentTokenCount": 3,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 1,
            "totalTokenCount": 21,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}, {"modality": "AUDIO", "tokenCount": 6}],
        },
        "modelVersion": "gpt-5",
        "responseId": "chatcmpl-1",
        "createTime": "2023-11-14T22:13:20Z",
    }
    assert [item.field for item in loss.items] == ["usage.cache_write", "choices[0].message.parts[0].signature"]


def test_log_probabilities_from_elsewhere_are_reported():
    loss = Loss()
    choice = Choice(Message.assistant("ok"), "stop", wire=Wire("openai_chat", {"logprobs": {"content": []}}))
    body = gemini.encode_response(Completion(choices=[choice]), loss)
    assert "logprobs" not in json.dumps(body)
    assert [item.field for item in loss.items] == ["choices[0].logprobs"]


def test_a_file_of_another_provider_is_left_out_of_an_answer():
    loss = Loss()
    completion = Completion(choices=[Choice(Message.assistant(MediaPart("document", file_id="file_1"), "ok"), "stop")])
    body = gemini.encode_response(completion, loss)
    assert body["candidates"][0]["content"]["parts"] == [{"text": "ok"}]
    assert [(item.field, item.action) for item in loss.items] == [("choices[0].message.parts[0]", "dropped")]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"),
        ("length", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
        ("pause", "CONTINUATION"),
        ("error", "OTHER"),
        ("unknown", "FINISH_REASON_UNSPECIFIED"),
    ],
)
def test_finishes_from_elsewhere(reason, word):
    completion = Completion(choices=[Choice(Message("assistant"), reason)])
    candidate = gemini.encode_response(completion, Loss())["candidates"][0]
    assert candidate == {"content": {"role": "model"}, "finishReason": word, "index": 0}

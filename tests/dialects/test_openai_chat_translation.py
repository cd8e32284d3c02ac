from __future__ import annotations

import pytest

from aistrale.dialects import openai_chat
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    CacheHint,
    Choice,
    Completion,
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

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ELSEWHERE = "anthropic_messages"


def foreign(*messages: Message, source: str | None = ELSEWHERE, **fields) -> Request:
    return Request(model="m", messages=list(messages), source=source, **fields)


def encode(request: Request, profile: Profile = ANY):
    loss = Loss(on_unsupported="drop")
    return openai_chat.encode_request(request, profile, loss), loss


def lost(loss: Loss) -> list[tuple[str, str]]:
    return [(item.field, item.action) for item in loss.items]


def refused(request: Request, profile: Profile = ANY) -> str | None:
    with pytest.raises(InvalidRequestError) as caught:
        openai_chat.encode_request(request, profile, Loss(on_unsupported="drop"))
    return caught.value.param


def conversation() -> Request:
    return foreign(
        Message.system("be kind"),
        Message("user", [TextPart("look"), MediaPart("image", data="iVBORw0KGgoAAA", detail="low")]),
        Message("assistant", [TextPart("let me see"), ToolCallPart("t1", "get", '{"a":1}'), ToolCallPart("t2", "now")]),
        Message("tool", [ToolResultPart("t1", [TextPart("one")]), ToolResultPart("t2", [TextPart("two")])]),
        Message.assistant("done"),
        tools=[Tool("get", "gets", SCHEMA, strict=True), Tool("now")],
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
        max_tokens=9,
        temperature=0.5,
        stop=["x"],
        seed=4,
        n=2,
        logprobs=2,
        logit_bias={"5": 1},
        output=OutputFormat("json_schema", SCHEMA, strict=True),
        reasoning=Reasoning("low"),
        user="u",
        metadata={"a": "b"},
        stream=True,
    )


def test_a_request_from_elsewhere_is_written_whole() -> None:
    encoded, loss = encode(conversation())
    assert loss.items == []
    assert encoded == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAA", "detail": "low"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": "let me see",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}},
                    {"id": "t2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "one"},
            {"role": "tool", "tool_call_id": "t2", "content": "two"},
            {"role": "assistant", "content": "done"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get", "description": "gets", "parameters": SCHEMA, "strict": True},
            },
            {"type": "function", "function": {"name": "now"}},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "stop": ["x"],
        "seed": 4,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"5": 1},
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
        "reasoning_effort": "low",
        "user": "u",
        "metadata": {"a": "b"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_official_sdk_accepts_what_is_written() -> None:
    pydantic = pytest.importorskip("pydantic")
    params = pytest.importorskip("openai.types.chat.completion_create_params")
    encoded, _ = encode(conversation())
    pydantic.TypeAdapter(params.CompletionCreateParamsStreaming).validate_python(encoded)
    groq = pytest.importorskip("groq.types.chat.completion_create_params")
    pydantic.TypeAdapter(groq.CompletionCreateParams).validate_python(encoded)


def test_an_option_without_tools_to_speak_of_is_left_out() -> None:
    encoded, loss = encode(foreign(Message.user("hi"), tool_choice=ToolChoice("none"), parallel_tool_calls=True))
    assert encoded == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert loss.items == []


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", ["a"]), {"type": "function", "function": {"name": "a"}}),
        (ToolChoice("tool"), "required"),
        (
            ToolChoice("tool", ["a", "b"]),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "a"}},
                        {"type": "function", "function": {"name": "b"}},
                    ],
                },
            },
        ),
        (
            ToolChoice("auto", ["a"]),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]},
            },
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, written) -> None:
    encoded, _ = encode(foreign(Message.user("hi"), tools=[Tool("a"), Tool("b")], tool_choice=choice))
    assert encoded["tool_choice"] == written


def test_several_texts_stay_apart() -> None:
    encoded, _ = encode(foreign(Message("system", [TextPart("a"), TextPart("b")])))
    assert encoded["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def test_developers_become_system_where_the_target_does_not_know_them() -> None:
    request = foreign(Message("developer", [TextPart("be kind")]))
    assert encode(request)[0]["messages"][0]["role"] == "developer"
    target = Profile(unsupported=frozenset({"developer"}))
    assert encode(request, target)[0]["messages"][0]["role"] == "system"


def test_what_has_no_counterpart_is_recorded() -> None:
    encoded, loss = encode(
        foreign(
            Message("user", [TextPart("hi", CacheHint("1h"))]),
            Message(
                "assistant",
                [
                    ReasoningPart("hm", wire=Wire(ELSEWHERE, {"signature": "s"})),
                    ProviderPart(ELSEWHERE, {"type": "server_tool_use"}),
                    TextPart("ok"),
                    ToolCallPart("t1", "get", "{}", CacheHint()),
                ],
            ),
            Message("tool", [ToolResultPart("t1", [TextPart("no")], is_error=True, cache=CacheHint())]),
            tools=[Tool("get", cache=CacheHint())],
            top_k=5,
            cache_key="k",
            service_tier="galactic",
            reasoning=Reasoning(budget=4096, include=True),
            wire=Wire(ELSEWHERE, {"speed": "fast", "store": False, "nothing": None}),
        ),
        Profile(unsupported=frozenset({"cache_key"})),
    )
    assert lost(loss) == [
        ("messages[0].parts[0].cache", "dropped"),
        ("messages[1].parts[0]", "dropped"),
        ("messages[1].parts[1]", "dropped"),
        ("messages[1].parts[3].cache", "dropped"),
        ("messages[2].parts[0].is_error", "dropped"),
        ("messages[2].parts[0].cache", "dropped"),
        ("tools[0].cache", "dropped"),
        ("cache_key", "dropped"),
        ("service_tier", "dropped"),
        ("top_k", "dropped"),
        ("reasoning.include", "dropped"),
        ("reasoning.budget", "emulated"),
        ("speed", "dropped"),
    ]
    assert encoded["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "ok",
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "get", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "no"},
    ]
    assert encoded["reasoning_effort"] == "medium"


def test_what_another_dialect_says_beside_the_content_is_recorded() -> None:
    cited = Wire(ELSEWHERE, {"citations": [{"cited_text": "x"}], "signature": "opaque", "title": None})
    examples = Wire(ELSEWHERE, {"input_examples": [{}], "defer_loading": False})
    _, loss = encode(foreign(Message("assistant", [TextPart("so", wire=cited)]), tools=[Tool("a", wire=examples)]))
    assert lost(loss) == [("messages[0].parts[0].citations", "dropped"), ("tools[0].input_examples", "dropped")]
    loss = Loss()
    openai_chat.encode_response(foreign_answer(TextPart("so", wire=cited)), loss)
    assert lost(loss) == [
        ("choices[0].message.parts[0].citations", "dropped"),
        ("choices[0].message.parts[0].signature", "dropped"),
    ]


def test_with_on_lossy_error_nothing_is_dropped() -> None:
    request = foreign(Message("assistant", [ReasoningPart("hm", wire=Wire(ELSEWHERE))]))
    with pytest.raises(InvalidRequestError):
        openai_chat.encode_request(request, ANY, Loss(on_lossy="error"))


@pytest.mark.parametrize(
    ("part", "where"),
    [
        (MediaPart("image", file_id="f"), "messages[0].parts[0]"),
        (MediaPart("image", data="????"), "messages[0].parts[0].media_type"),
        (MediaPart("audio", url="https://x.test/a.mp3"), "messages[0].parts[0]"),
        (MediaPart("audio", data="AAAA", media_type="audio/flac"), "messages[0].parts[0].media_type"),
        (MediaPart("audio", data="AAAA"), "messages[0].parts[0].media_type"),
        (MediaPart("document", url="https://x.test/a.pdf"), "messages[0].parts[0].url"),
        (MediaPart("document", file_id="f", wire=Wire(ELSEWHERE)), "messages[0].parts[0].file_id"),
        (MediaPart("video", data="AAAA", media_type="video/mp4"), "messages[0].parts[0]"),
        (ProviderPart(ELSEWHERE, {"type": "search_result"}), "messages[0].parts[0]"),
        (ToolCallPart("t", "get"), "messages[0].parts[0]"),
    ],
)
def test_what_must_not_be_guessed_is_refused(part, where: str) -> None:
    assert refused(foreign(Message("user", [part]))) == where


def test_hosted_tools_and_stored_state_do_not_move() -> None:
    hosted = Tool("web_search", hosted={"type": "web_search_20260209"}, wire=Wire(ELSEWHERE))
    assert refused(foreign(Message.user("hi"), tools=[hosted])) == "tools[0]"
    idle = Wire("openai_responses", {"include": ["reasoning.encrypted_content"], "truncation": "disabled"})
    assert encode(foreign(Message.user("hi"), wire=idle))[1].items == []
    stored = foreign(Message.user("hi"), wire=Wire("openai_responses", {"previous_response_id": "resp_1"}))
    assert refused(stored) == "previous_response_id"


def test_documents_and_sound_are_written() -> None:
    encoded, loss = encode(
        foreign(
            Message(
                "user",
                [
                    MediaPart("document", data="AAAA", media_type="application/pdf"),
                    MediaPart("document", data="AAAA", media_type="text/plain", filename="a.txt"),
                    MediaPart("document", file_id="file-1", wire=Wire("openai_responses")),
                    MediaPart("audio", data="AAAA", media_type="audio/x-wav"),
                    MediaPart("image", url="https://x.test/a.png"),
                    MediaPart("image", data="/9j/AAAA"),
                ],
            )
        )
    )
    assert loss.items == []
    assert encoded["messages"][0]["content"] == [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "document.pdf"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA", "filename": "a.txt"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/AAAA"}},
    ]


def test_media_of_tool_results_follow_after_all_results() -> None:
    image = MediaPart("image", url="https://x.test/a.png")
    encoded, loss = encode(
        foreign(
            Message("assistant", [ToolCallPart("t1", "a"), ToolCallPart("t2", "b")]),
            Message("tool", [ToolResultPart("t1", [TextPart("see"), image, image])]),
            Message("tool", [ToolResultPart("t2", [image])]),
            Message.user("and?"),
        )
    )
    assert [message["role"] for message in encoded["messages"]] == ["assistant", "tool", "tool", "user", "user"]
    assert encoded["messages"][1]["content"] == "see"
    assert encoded["messages"][2]["content"] == ""
    parts = encoded["messages"][3]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "image_url", "text", "image_url"]
    assert "t1" in parts[0]["text"]
    assert "t2" in parts[3]["text"]
    assert lost(loss) == [
        ("messages[1].parts[0].content[1]", "emulated"),
        ("messages[1].parts[0].content[2]", "emulated"),
        ("messages[2].parts[0].content[0]", "emulated"),
    ]


def test_results_that_stand_in_a_user_message_come_first() -> None:
    encoded, _ = encode(foreign(Message("user", [ToolResultPart("t1", [TextPart("42")]), TextPart("so?")])))
    assert encoded["messages"] == [
        {"role": "tool", "tool_call_id": "t1", "content": "42"},
        {"role": "user", "content": "so?"},
    ]


@pytest.mark.parametrize(
    ("tier", "written"), [("standard_only", "default"), ("standard", "default"), ("flex", "flex"), ("auto", "auto")]
)
def test_service_tiers_in_openais_words(tier: str, written: str) -> None:
    assert encode(foreign(Message.user("hi"), service_tier=tier))[0]["service_tier"] == written


@pytest.mark.parametrize(
    ("budget", "effort"), [(0, "none"), (1024, "low"), (8000, "medium"), (16000, "high"), (64000, "xhigh")]
)
def test_budgets_become_efforts(budget: int, effort: str) -> None:
    encoded, loss = encode(foreign(Message.user("hi"), reasoning=Reasoning(budget=budget)))
    assert encoded["reasoning_effort"] == effort
    assert lost(loss) == [("reasoning.budget", "emulated")]


def test_no_thinking_is_nothing_to_say_to_a_model_that_does_not_think() -> None:
    encoded, loss = encode(foreign(Message.user("hi"), reasoning=Reasoning("none")), Profile(thinking="none"))
    assert "reasoning_effort" not in encoded
    assert loss.items == []


# --- answers for a caller of this dialect -----------------------------------------------------------------------------


def foreign_answer(*parts, reason="stop", **fields) -> Completion:
    choice = Choice(Message("assistant", list(parts)), reason)
    return Completion("msg_1", "claude", [choice], Usage(input=3, output=4), source=ELSEWHERE, **fields)


def test_an_answer_from_elsewhere_is_written_whole_and_parses_strictly() -> None:
    completion = foreign_answer(
        TextPart("let me"),
        ToolCallPart("t1", "get", '{"a":1}'),
        TextPart(" see"),
        ToolCallPart("t2", "now"),
        reason="tool_calls",
        created=7,
    )
    loss = Loss()
    body = openai_chat.encode_response(completion, loss)
    assert loss.items == []
    assert body == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 7,
        "model": "claude",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "let me see",
                    "refusal": None,
                    "tool_calls": [
                        {"id": "t1", "type": "function", "function": {"name": "get", "arguments": '{"a":1}'}},
                        {"id": "t2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    chat = pytest.importorskip("openai.types.chat")
    chat.ChatCompletion.model_validate(body, strict=True)
    pytest.importorskip("groq.types.chat").ChatCompletion.model_validate(body, strict=True)


def test_a_bare_answer_still_has_what_the_format_requires() -> None:
    body = openai_chat.encode_response(
        Completion(choices=[Choice(Message("assistant", [ToolCallPart("t", "a", "{}")]), "tool_calls")]), Loss()
    )
    assert (body["id"], body["created"], body["object"]) == ("chatcmpl-1", 0, "chat.completion")
    assert body["choices"][0]["message"]["content"] is None
    pytest.importorskip("openai.types.chat").ChatCompletion.model_validate(body, strict=True)


def test_refusals_are_said_in_their_field() -> None:
    body = openai_chat.encode_response(foreign_answer(RefusalPart("no"), reason="content_filter"), Loss())
    assert body["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}


def test_thoughts_go_only_where_the_caller_has_a_place_for_them() -> None:
    completion = foreign_answer(ReasoningPart("hm", wire=Wire(ELSEWHERE, {"signature": "s"})), TextPart("4"))
    loss = Loss()
    assert "hm" not in str(openai_chat.encode_response(completion, loss))
    assert lost(loss) == [("choices[0].message.parts[0]", "dropped")]
    loss = Loss()
    body = openai_chat.encode_response(completion, loss, reasoning_field="reasoning")
    assert body["choices"][0]["message"]["reasoning"] == "hm"
    assert lost(loss) == [("choices[0].message.parts[0].signature", "dropped")]


@pytest.mark.parametrize("reason", ["pause", "error", "unknown"])
def test_finish_reasons_without_a_word_are_recorded(reason) -> None:
    loss = Loss()
    body = openai_chat.encode_response(foreign_answer(TextPart("4"), reason=reason), loss)
    assert body["choices"][0]["finish_reason"] == "stop"
    assert lost(loss) == [("choices[0].finish_reason", "dropped")]


def test_content_without_a_place_in_an_answer_is_recorded() -> None:
    completion = foreign_answer(
        ProviderPart(ELSEWHERE, {"type": "server_tool_use"}),
        MediaPart("image", data="AAAA", media_type="image/png"),
        ToolResultPart("t1", [TextPart("x")]),
        TextPart("4"),
    )
    completion.choices[0].stop_sequence = "x"
    loss = Loss()
    body = openai_chat.encode_response(completion, loss)
    assert body["choices"][0]["message"]["content"] == "4"
    assert [field for field, _ in lost(loss)] == [
        "choices[0].message.parts[0]",
        "choices[0].message.parts[1]",
        "choices[0].message.parts[2]",
        "choices[0].stop_sequence",
    ]

"""OpenAI Responses: conversations from elsewhere."""

from __future__ import annotations

import copy

import pytest

from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    CacheHint,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Wire,
)
from tests.dialects import openai_responses_cases as cases
from tests.dialects.openai_responses_cases import encode, foreign


def test_a_conversation_from_elsewhere():
    body, lost = encode(
        foreign(
            Message.system("Be brief."),
            Message.user("Look", MediaPart("image", data=cases.PNG)),
            Message.assistant("ok", ToolCallPart("c1", "get", '{"a":1}'), ToolCallPart("c2", "get")),
            Message("tool", [ToolResultPart("c1", [TextPart("1")]), ToolResultPart("c2", [])]),
            Message.user("Thanks"),
        )
    )
    assert lost == []
    assert body == {
        "model": "gpt-5-mini",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{cases.PNG}", "detail": "auto"},
                ],
            },
            {"role": "assistant", "content": "ok"},
            {"type": "function_call", "call_id": "c1", "name": "get", "arguments": '{"a":1}'},
            {"type": "function_call", "call_id": "c2", "name": "get", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "function_call_output", "call_id": "c2", "output": ""},
            {"role": "user", "content": "Thanks"},
        ],
    }


def test_only_a_plain_leading_system_text_becomes_instructions():
    body, _ = encode(foreign(Message("system", [TextPart("a"), TextPart("b")]), Message.user("x")))
    assert "instructions" not in body
    assert body["input"][0] == {
        "role": "system",
        "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
    }
    body, _ = encode(foreign(Message("developer", [TextPart("a")]), Message.user("x"), Message.system("later")))
    assert [item["role"] for item in body["input"]] == ["developer", "user", "system"]


def test_a_system_text_beside_existing_instructions_is_an_item():
    request = dialect.decode_request({"model": "m", "input": "hi", "instructions": "first"})
    request.messages.insert(0, Message.system("added"))
    body = dialect.encode_request(request, ANY, Loss())
    assert body["instructions"] == "first"
    assert body["input"] == [{"role": "system", "content": "added"}, {"role": "user", "content": "hi"}]


def test_names_of_participants_follow_the_hub():
    request = dialect.decode_request({"model": "m", "input": [{"role": "user", "name": "Ann", "content": "hi"}]})
    assert request.messages[0].name == "Ann"
    request.messages[0].name = "Bea"
    assert dialect.encode_request(request, ANY, Loss())["input"][0]["name"] == "Bea"
    request.messages[0].name = None
    assert "name" not in dialect.encode_request(request, ANY, Loss())["input"][0]


def test_results_and_texts_of_one_message_are_items_in_their_order():
    body, lost = encode(
        foreign(
            Message(
                "user",
                [
                    TextPart("a"),
                    ToolResultPart("c1", [TextPart("1")]),
                    ProviderPart("anthropic_messages", {"type": "search_result"}),
                    TextPart("b"),
                ],
            ),
            Message("user", [ProviderPart("gemini_generate", {}, wire=Wire("gemini_generate"))]),
            Message("user"),
        )
    )
    assert [item.get("content", item.get("output")) for item in body["input"]] == ["a", "1", "b", ""]
    assert lost == [("messages[0].parts[2]", "dropped"), ("messages[1].parts[0]", "dropped")]


def test_content_that_only_another_provider_knows_leaves_no_empty_message():
    odd = ProviderPart("openai_chat", {"type": "x"}, wire=Wire("openai_responses", {}, "content"))
    body, lost = encode(foreign(Message("user", [odd])))
    assert (body["input"], lost) == ([], [("messages[0].parts[0]", "dropped")])


def test_what_a_history_from_elsewhere_loses_is_recorded():
    body, lost = encode(
        foreign(
            Message("user", [TextPart("a", CacheHint("1h"))], name="Ann"),
            Message(
                "assistant",
                [
                    ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "s"})),
                    TextPart("b", CacheHint()),
                    RefusalPart("no"),
                    MediaPart("image", data="AAAA"),
                    ProviderPart("anthropic_messages", {"type": "server_tool_use"}),
                ],
            ),
            Message("tool", [ToolResultPart("c1", [TextPart("boom")], is_error=True), TextPart("note")]),
            tools=[Tool("t", cache=CacheHint())],
        )
    )
    assert lost == [
        ("messages[0].name", "dropped"),
        ("messages[0].parts[0].cache.ttl", "emulated"),
        ("messages[1].parts[0]", "dropped"),
        ("messages[1].parts[1].cache", "dropped"),
        ("messages[1].parts[3]", "dropped"),
        ("messages[1].parts[4]", "dropped"),
        ("messages[2].parts[0].is_error", "emulated"),
        ("tools[0].cache", "dropped"),
    ]
    assert body["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
            ],
        },
        {"role": "assistant", "content": "b"},
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call_output", "call_id": "c1", "output": "boom"},
        {"role": "user", "content": "note"},
    ]


def test_on_lossy_error_refuses_instead():
    request = foreign(Message.assistant(ReasoningPart("hm")))
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.parts\[0\]"):
        encode(request, on_lossy="error")


def test_cache_hints_are_dropped_for_models_without_breakpoints():
    profile = Profile(unsupported=frozenset({"cache"}))
    body, lost = encode(foreign(Message("user", [TextPart("a", CacheHint())])), profile)
    assert lost == [("messages[0].parts[0].cache", "dropped")]
    assert body["input"][0]["content"] == [{"type": "input_text", "text": "a"}]


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        (MediaPart("audio", data="AAAA", media_type="audio/wav"), ANY),
        (MediaPart("video", url="https://x.test/v.mp4"), ANY),
        (MediaPart("document", data="AAAA"), Profile(media=frozenset({"image"}))),
        (MediaPart("image", url="https://x.test/a.png"), Profile(media_urls=False)),
        (MediaPart("image", file_id="f", wire=Wire("anthropic_messages")), ANY),
        (MediaPart("image"), ANY),
    ],
)
def test_media_that_cannot_be_said_is_refused(part, profile):
    with pytest.raises(InvalidRequestError) as caught:
        encode(foreign(Message.user(part)), profile)
    assert caught.value.param.startswith("messages[0].parts[0]")


def test_media_from_elsewhere():
    body, lost = encode(
        foreign(
            Message.user(
                MediaPart("document", data="JVBERi0=", cache=CacheHint("12h")),
                MediaPart("document", data="AAAA", media_type="text/csv", filename="t.csv", detail="high"),
                MediaPart("document", url="https://x.test/d.pdf", detail="original"),
                MediaPart("image", file_id="file-9", filename="cat.png", wire=Wire("openai_chat")),
                MediaPart("image", data="????"),
            )
        )
    )
    assert lost == [("messages[0].parts[3].filename", "dropped")]
    assert body["input"][0]["content"] == [
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,JVBERi0=",
            "filename": "document.pdf",
            "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
        },
        {"type": "input_file", "file_data": "data:text/csv;base64,AAAA", "filename": "t.csv", "detail": "high"},
        {"type": "input_file", "file_url": "https://x.test/d.pdf"},
        {"type": "input_image", "file_id": "file-9", "detail": "auto"},
        {"type": "input_image", "image_url": "data:application/octet-stream;base64,????", "detail": "auto"},
    ]


def test_media_in_tool_results():
    result = ToolResultPart("c", [TextPart("see"), MediaPart("image", url="https://x.test/a.png")])
    body, _ = encode(foreign(Message("tool", [result])))
    assert [part["type"] for part in body["input"][0]["output"]] == ["input_text", "input_image"]
    with pytest.raises(InvalidRequestError, match="media in tool results"):
        encode(foreign(Message("tool", [result])), Profile(tool_media=False))


def test_changed_media_of_this_dialect_is_written_from_the_hub():
    request = dialect.decode_request(
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a.test"}]}]}
    )
    request.messages[0].parts[0].url = None
    request.messages[0].parts[0].data = "/9j/4AAQ"
    body = dialect.encode_request(request, ANY, Loss())
    assert body["input"][0]["content"][0]["image_url"] == "data:image/jpeg;base64,/9j/4AAQ"


def test_a_part_added_to_a_plain_message_makes_it_a_list():
    request = dialect.decode_request({"model": "m", "input": "hi"})
    request.messages[0].parts.append(TextPart("there"))
    body = dialect.encode_request(request, ANY, Loss())
    assert body["input"] == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}, {"type": "input_text", "text": "there"}],
        }
    ]


def test_answers_of_this_dialect_go_back_as_the_items_that_they_were():
    completion = dialect.decode_response(copy.deepcopy(cases.RESPONSE))
    body, lost = encode(foreign(Message.user("hi"), completion.message, Message.tool("call_2", "3 rows")))
    assert lost == []
    assert body["input"][1:-1] == cases.RESPONSE["output"]
    assert body["input"][-1] == {"type": "custom_tool_call_output", "call_id": "call_2", "output": "3 rows"}


def test_answers_of_others_told_in_this_dialect_do_not_go_to_openai_as_its_own():
    answer = Message.assistant(
        ReasoningPart("hm"),
        "ok",
        MediaPart("image", data="AAAA", media_type="image/png"),
        ToolCallPart("c", "get", "{}"),
    )
    told = dialect.encode_response(_completion(answer), Loss())
    history = [{"role": "user", "content": "hi"}, *told["output"]]
    assert [item["id"] for item in told["output"]] == [
        "rs_ais01AbC_0",
        "msg_ais01AbC_1",
        "ig_ais01AbC_2",
        "fc_ais01AbC_3",
    ]
    loss = Loss()
    body = dialect.encode_request(dialect.decode_request({"model": "m", "input": history}), ANY, loss)
    assert [item.get("type", item.get("role")) for item in body["input"]] == ["user", "message", "function_call"]
    assert [item.get("id") for item in body["input"]] == [None, None, None]
    assert [(item.field, item.action) for item in loss.items] == [
        ("messages[1].parts[0]", "dropped"),
        ("messages[1].parts[2]", "dropped"),
    ]


def _completion(message: Message):
    from aistrale.types import Choice, Completion

    return Completion(id="msg_01AbC", model="claude", choices=[Choice(message, "stop")])

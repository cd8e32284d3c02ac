from __future__ import annotations

import base64

import pytest

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Profile
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
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    ADAPTIVE,
    BUDGET,
    ask,
    body,
    send,
)


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


def test_options_that_say_nothing():
    assert send(ask(reasoning=Reasoning(include=True)), BUDGET)[0].keys() == {"model", "max_tokens", "messages"}
    assert send(ask(reasoning=Reasoning(budget=0)), BUDGET)[0]["thinking"] == {"type": "disabled"}
    assert send(ask(reasoning=Reasoning("none")), Profile(unsupported=frozenset({"seed"})))[1] == []
    assert send(ask(output=OutputFormat("text"), service_tier="flex"))[1] == ["dropped service_tier"]
    assert send(ask(reasoning=Reasoning("low")), Profile(unsupported=frozenset({"reasoning"})), on_unsupported="drop")[
        1
    ] == ["dropped reasoning"]
    assert send(ask(tools=[Tool("f")], tool_choice=ToolChoice("tool")))[0]["tool_choice"] == {"type": "any"}
    assert "tool_choice" not in send(ask(tool_choice=ToolChoice("auto")))[0]
    assert send(ask(stop=["x"]), Profile(stop=0), on_unsupported="drop")[0].keys() == {
        "model",
        "max_tokens",
        "messages",
    }


def test_results_with_media_and_results_without_anything():
    seen = ToolResultPart("a", [TextPart("seen"), MediaPart("image", data="/9j/")])
    request = ask(
        Message("assistant", [ToolCallPart("a", "f")]), Message("tool", [seen]), Message("tool", [ToolResultPart("b")])
    )
    blocks = send(request)[0]["messages"][1]["content"]
    assert [part["type"] for part in blocks[0]["content"]] == ["text", "image"]
    assert blocks[1] == {"type": "tool_result", "tool_use_id": "b"}


def test_instructions_hold_only_text():
    with pytest.raises(InvalidRequestError, match="only text"):
        send(ask(Message("system", [MediaPart("image", data="/9j/")]), Message.user("Hi")))
    assert "system" not in send(ask(Message("system", [TextPart("")]), Message.user("Hi")))[0]


def test_documents_that_are_not_what_they_say():
    with pytest.raises(InvalidRequestError, match="text/plain"):
        send(ask(Message.user(MediaPart("document", data="not base64!", media_type="text/plain"))))
    sent, lost = send(ask(Message.user(MediaPart("image", data="/9j/", filename="a.jpg"))))
    assert sent["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}}
    ]
    assert lost == ["dropped messages[0].parts[0].filename"]


def test_on_lossy_error_refuses_before_anything_is_sent():
    with pytest.raises(InvalidRequestError):
        send(ask(Message("assistant", [ReasoningPart("x")]), Message.user("Hi")), on_lossy="error")


def test_what_the_other_format_asks_for_besides():
    quiet = {"generationConfig": {"responseModalities": ["TEXT"]}, "instructions": "", "text": {}, "store": False}
    assert send(ask(wire=Wire("gemini_generate", quiet)))[1] == []
    loud = {"text": {"verbosity": "low"}, "generationConfig": {"mediaResolution": "LOW"}}
    assert send(ask(wire=Wire("gemini_generate", loud)))[1] == ["dropped mediaResolution", "dropped verbosity"]
    with pytest.raises(InvalidRequestError, match="text only"):
        send(ask(wire=Wire("openai_chat", {"modalities": ["text", "audio"]})))

"""Messages of LlamaIndex in the hub's words and back."""

from __future__ import annotations

import base64
import io
import json

import pytest

pytest.importorskip("llama_index.core")

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from aistrale.errors import InvalidRequestError
from aistrale.integrations.llamaindex.answers import to_chat_message
from aistrale.integrations.llamaindex.blocks import to_messages
from aistrale.types import (
    CacheHint,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Wire,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
PDF = b"%PDF-1.7\n" + bytes(24)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(24)


def parts(*blocks, role="user"):
    (message,) = to_messages([ChatMessage(role=role, blocks=list(blocks))])
    return message.parts


def encoded(data):
    return base64.b64encode(data).decode()


def test_roles():
    told = [to_messages([ChatMessage(role=role, content="x")])[0].role for role in list(MessageRole)[:4]]
    assert told == ["system", "developer", "user", "assistant"]
    for role in (MessageRole.CHATBOT, MessageRole.MODEL):
        assert to_messages([ChatMessage(role=role, content="x")])[0].role == "assistant"
    for role in (MessageRole.TOOL, MessageRole.FUNCTION):
        message = ChatMessage(role=role, content="x", additional_kwargs={"tool_call_id": "c1", "name": "f"})
        (part,) = to_messages([message])[0].parts
        assert part == ToolResultPart("c1", [TextPart("x")], name="f")


def test_instructions_that_say_nothing_are_left_out():
    assert to_messages([ChatMessage(role="system"), ChatMessage("x")])[0].role == "user"


@pytest.mark.parametrize(
    ("block", "media", "data", "media_type"),
    [
        (ImageBlock(image=PNG), "image", PNG, "image/png"),
        (ImageBlock(image=encoded(PNG).encode()), "image", PNG, "image/png"),
        (ImageBlock(image=io.BytesIO(PNG)), "image", PNG, "image/png"),
        (AudioBlock(audio=WAV, format="wav"), "audio", WAV, "audio/wav"),
        (AudioBlock(audio=b"ID3" + bytes(24), format="mp3"), "audio", b"ID3" + bytes(24), "audio/mpeg"),
        (VideoBlock(video=MP4, video_mimetype="video/mp4"), "video", MP4, "video/mp4"),
        (DocumentBlock(data=PDF), "document", PDF, "application/pdf"),
    ],
)
def test_files_go_by_their_content(block, media, data, media_type):
    (part,) = parts(block)
    assert (part.media, part.data, part.media_type, part.url) == (media, encoded(data), media_type, None)


def test_files_go_by_path(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "a.pdf").write_bytes(PDF)
    (tmp_path / "a.mp4").write_bytes(MP4)
    found = parts(
        ImageBlock(path=tmp_path / "a.png", detail="low"),
        DocumentBlock(path=tmp_path / "a.pdf"),
        DocumentBlock(path=tmp_path / "a.pdf", title="Report"),
        VideoBlock(path=tmp_path / "a.mp4"),
    )
    assert [(part.media, part.media_type, part.filename, part.detail) for part in found] == [
        ("image", "image/png", "a.png", "low"),
        ("document", "application/pdf", "a.pdf", None),
        ("document", "application/pdf", "Report", None),
        ("video", "video/mp4", "a.mp4", None),
    ]


def test_addresses_are_the_providers_to_follow(network_guard):
    image, document, inline = parts(
        ImageBlock(url="https://example.org/a.png"),
        DocumentBlock(url="https://example.org/a.pdf", document_mimetype="application/pdf"),
        ImageBlock(url=f"data:image/png;base64,{encoded(PNG)}"),
    )
    assert (image.url, image.data) == ("https://example.org/a.png", None)
    assert (document.url, document.media_type) == ("https://example.org/a.pdf", "application/pdf")
    assert (inline.url, inline.data) == (None, encoded(PNG))
    assert network_guard.blocked == []


def test_what_cannot_be_sent_says_where_it_stands(tmp_path):
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.blocks\[1\]"):
        parts(TextBlock(text="x"), ImageBlock())
    with pytest.raises(InvalidRequestError, match="unknown image type"):
        parts(ImageBlock(image=b"no picture at all, really", image_mimetype="application/zip"))
    with pytest.raises(InvalidRequestError, match=r"messages\[0\] is a tool's answer without"):
        to_messages([ChatMessage(role="tool", content="x")])


def test_cache_points_mark_what_stands_before_them():
    point = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))
    first, second = to_messages(
        [
            ChatMessage(role="system", content="long"),
            ChatMessage([point, TextBlock(text="a"), point, TextBlock(text="b")]),
        ]
    )
    assert first.parts == [TextPart("long", cache=CacheHint("1h"))]
    assert second.parts == [TextPart("a", cache=CacheHint("1h")), TextPart("b")]
    assert parts(point, TextBlock(text="a")) == [TextPart("a")]


def test_citations_are_their_text():
    block = CitableBlock(title="Norway", source="atlas", content=[TextBlock(text="Oslo.")])
    assert "".join(part.text for part in parts(block)) == "Norway (atlas):\nOslo."
    cited = CitationBlock(title="t", source="s", cited_content=TextBlock(text="Oslo."), additional_location_info={})
    assert parts(cited, role="assistant") == [TextPart("Oslo.")]


def test_tool_calls_and_thoughts():
    found = parts(
        ThinkingBlock(content="hm", additional_information={"signature": "s1"}),
        ThinkingBlock(),
        TextBlock(text=""),
        ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs={"a": 1}),
        ToolCallBlock(tool_name="g", tool_kwargs='{"b": '),
        role="assistant",
    )
    assert found == [
        ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "s1"})),
        ToolCallPart("c1", "f", '{"a": 1}'),
        ToolCallPart("g", "g", '{"b": '),
    ]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c1", "name": "f", "args": {"a": 1}},
    ],
)
def test_tool_calls_of_older_messages(call):
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
    assert to_messages([message])[0].parts == [ToolCallPart("c1", "f", '{"a": 1}')]


def test_files_in_answers():
    message = to_chat_message(
        Message(
            "assistant",
            [
                MediaPart("image", data=encoded(PNG), media_type="image/png"),
                MediaPart("audio", data=encoded(WAV), media_type="audio/wav"),
                MediaPart("video", url="https://example.org/a.mp4", media_type="video/mp4"),
                MediaPart("document", data=encoded(PDF), media_type="application/pdf", filename="a.pdf"),
                MediaPart("image", file_id="f1"),
            ],
        )
    )
    assert [type(block) for block in message.blocks] == [ImageBlock, AudioBlock, VideoBlock, DocumentBlock]
    assert message.blocks[0].resolve_image().read() == PNG
    assert message.blocks[3].title == "a.pdf"


def test_what_only_the_provider_knows_goes_back_in_its_place():
    said = Message(
        "assistant",
        [TextPart("I search."), ProviderPart("anthropic_messages", {"type": "server_tool_use"}), TextPart("Found.")],
    )
    message = to_chat_message(said)
    assert message.content == "I search.Found."
    assert to_messages([ChatMessage.model_validate_json(message.model_dump_json())]) == [said]


def test_state_that_was_tampered_with_is_ignored():
    said = Message("assistant", [ReasoningPart("hm", wire=Wire("anthropic_messages", {"signature": "s"}))])
    message = to_chat_message(said)
    kept = message.blocks[0].additional_information["aistrale"]
    for broken in ({**kept, "parts": [{"kind": "nothing"}]}, {**kept, "parts": "x"}, {**kept, "blocks": "0"},
                   {**kept, "parts": [{"kind": "text", "no": 1}]}, {**kept, "parts": [{"kind": "text", "text": "", "wire": {"x": 1}}]}):  # fmt: skip
        message.blocks[0].additional_information["aistrale"] = broken
        assert to_messages([message])[0].parts == [ReasoningPart("hm")]


WIRES = st.none() | st.builds(Wire, st.just("gemini_generate"), st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=2), st.text(max_size=3))  # fmt: skip
TEXTS = st.text(min_size=1, max_size=8)
PARTS = st.one_of(
    st.builds(TextPart, TEXTS, wire=WIRES),
    st.builds(RefusalPart, TEXTS),
    st.builds(ReasoningPart, TEXTS, wire=WIRES),
    st.builds(ToolCallPart, TEXTS, TEXTS, st.sampled_from(['{"a": 1}', "", "[1]", "{"]), wire=WIRES),
    st.builds(ProviderPart, st.just("openai_responses"), st.just({"type": "web_search_call", "id": "w"})),
)


@given(st.lists(PARTS, max_size=5))
def test_answers_come_back_as_they_were_through_any_memory(said):
    message = to_chat_message(Message("assistant", said))
    kept = ChatMessage.model_validate(json.loads(message.model_dump_json()))
    (back,) = to_messages([kept])
    signed = any(isinstance(part, (ReasoningPart, ToolCallPart)) and part.wire for part in said)
    if signed or any(isinstance(part, ProviderPart) for part in said):
        assert back.parts == said
    # Whether or not anything is kept beside them, words and calls are the same.
    assert back.text + "".join(part.text for part in back.parts if isinstance(part, RefusalPart)) == "".join(
        part.text for part in said if isinstance(part, (TextPart, RefusalPart))
    ) or any(isinstance(part, RefusalPart) for part in said)
    assert [(call.id, call.name) for call in back.tool_calls] == [(part.id, part.name) for part in said if isinstance(part, ToolCallPart)]  # fmt: skip

"""LlamaIndex's messages in the hub's words: what goes into a call."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from io import IOBase
from typing import TYPE_CHECKING, Final, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
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

from aistrale import media
from aistrale.errors import InvalidRequestError
from aistrale.integrations.llamaindex.state import read_state
from aistrale.integrations.llamaindex.usage import field
from aistrale.types import (
    CacheHint,
    MediaPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, Media, Part, Role

_ROLES: Final[dict[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "developer",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}
# Formats by LlamaIndex's names, where these are no ends of media types.
_SOUNDS: Final = {"mp3": "mpeg", "m4a": "mp4", "x-wav": "wav", "wave": "wav"}


def to_messages(messages: Sequence[ChatMessage]) -> list[Message]:
    """A conversation in the hub's words.

    Args:
        messages: LlamaIndex's; system messages that say nothing are left out.

    Raises:
        InvalidRequestError: A file cannot be read, a tool's answer does not say which call it answers, or a block is of
            a kind that this version does not know.
    """
    made: list[Message] = []
    for index, message in enumerate(messages):
        role = _ROLES[message.role]
        where = f"messages[{index}]"
        if role == "tool":
            made.append(Message("tool", [_result(message, where)]))
            continue
        parts = read_state(message) if role == "assistant" else None
        if parts is None:
            parts = _parts(message, where, made)
            if role == "assistant":
                parts += _legacy_calls(message)
        if parts or role in {"user", "assistant"}:
            made.append(Message(role, parts, name=_name(message) if role == "user" else None))
    return made


def _parts(message: ChatMessage, where: str, before: list[Message]) -> list[Part]:
    parts: list[Part] = []
    for index, block in enumerate(message.blocks):
        if isinstance(block, CachePoint):
            _mark(parts, before, CacheHint(block.cache_control.ttl))
        else:
            parts += _part(block, f"{where}.blocks[{index}]")
    # Some providers refuse texts that say nothing, and beside other parts they add nothing.
    return [part for part in parts if not (isinstance(part, TextPart) and not part.text)] or parts


def _part(block: object, where: str) -> list[Part]:
    if isinstance(block, TextBlock):
        return [TextPart(block.text)]
    if isinstance(block, ThinkingBlock):
        return _thought(block)
    if isinstance(block, ToolCallBlock):
        return [_call(block)]
    if isinstance(block, CitableBlock):
        inner: list[Part] = [TextPart(f"{block.title} ({block.source}):\n")]
        return inner + [part for item in block.content for part in _part(item, where)]
    if isinstance(block, CitationBlock):
        return _part(block.cited_content, where)
    found = _media(block, where)
    if found is None:
        raise InvalidRequestError(f"{where} is a {type(block).__name__}, which cannot be sent", param=where)
    return [found]


def _media(block: object, where: str) -> MediaPart | None:
    if isinstance(block, ImageBlock):
        part = _file("image", block.image, block.path, block.url, block.image_mimetype, where)
        return replace(part, detail=block.detail or part.detail)
    if isinstance(block, AudioBlock):
        sound = block.format and f"audio/{_SOUNDS.get(block.format, block.format)}"
        return _file("audio", block.audio, block.path, block.url, sound, where)
    if isinstance(block, VideoBlock):
        return _file("video", block.video, block.path, block.url, block.video_mimetype, where)
    if isinstance(block, DocumentBlock):
        part = _file("document", block.data, block.path, block.url, block.document_mimetype, where)
        # The framework calls everything without a title so.
        title = block.title if block.title != "input_document" else None
        return replace(part, filename=title or part.filename)
    return None


def _file(  # noqa: PLR0917 - what every kind of file is made of
    kind: Media, data: object, path: object, url: object, media_type: str | None, where: str
) -> MediaPart:
    """A file by its content, its path or its address; an address is the provider's to follow, never ours."""
    if isinstance(data, IOBase):
        data.seek(0)
        return _inline(kind, base64.b64encode(data.read()), media_type, where)
    if isinstance(data, bytes) and data:
        return _inline(kind, data, media_type, where)
    make = {"image": media.image, "audio": media.audio, "document": media.document, "video": media.video}
    if path is not None and str(path):
        part = make[kind](str(path))
    elif url is not None and str(url):
        part = make[kind](str(url))
    else:
        raise InvalidRequestError(f"{where} has no content", param=where, code="invalid_media")
    return part if part.media_type is not None else replace(part, media_type=media_type)


def _inline(kind: Media, encoded: bytes, media_type: str | None, where: str) -> MediaPart:
    # Blocks encode their bytes themselves; `check_media` looks at what they are.
    part = MediaPart(kind, data=encoded.decode("ascii"), media_type=media_type)
    return media.check_media(part, where)


def _thought(block: ThinkingBlock) -> list[Part]:
    told = block.additional_information
    signature = told.get("signature")
    # As LlamaIndex's own class for Anthropic keeps it, so that a conversation can be carried on here.
    wire = Wire("anthropic_messages", {"signature": signature}) if isinstance(signature, str) and signature else None
    return [ReasoningPart(block.content or "", wire=wire)] if block.content or wire is not None else []


def _call(block: ToolCallBlock) -> ToolCallPart:
    given = block.tool_kwargs
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)
    # Providers that give no ids tell calls apart by their names.
    return ToolCallPart(block.tool_call_id or block.tool_name, block.tool_name, arguments)


def _legacy_calls(message: ChatMessage) -> list[Part]:
    """Tool calls of messages that were made before there was a block for them."""
    if any(isinstance(block, ToolCallBlock) for block in message.blocks):
        return []
    calls: list[Part] = []
    for item in message.additional_kwargs.get("tool_calls") or ():
        function = field(item, "function") or item
        name = field(function, "name")
        if not isinstance(name, str):
            continue
        given = field(function, "arguments") or field(function, "args") or ""
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)
        own = field(item, "id")
        calls.append(ToolCallPart(own if isinstance(own, str) and own else name, name, arguments))
    return calls


def _result(message: ChatMessage, where: str) -> ToolResultPart:
    told = message.additional_kwargs
    call_id, name = told.get("tool_call_id") or told.get("name"), _name(message)
    if not isinstance(call_id, str):
        raise InvalidRequestError(
            f"{where} is a tool's answer without additional_kwargs['tool_call_id']",
            param=f"{where}.additional_kwargs",
        )
    content = [part for part in _parts(message, where, []) if isinstance(part, (TextPart, MediaPart))]
    return ToolResultPart(call_id, list(content), is_error=told.get("is_error") is True, name=name)


def _name(message: ChatMessage) -> str | None:
    name = message.additional_kwargs.get("name")
    return name if isinstance(name, str) and name else None


def _mark(parts: list[Part], before: list[Message], hint: CacheHint) -> None:
    """Put a cache point onto what stands before it, also where that is the end of the message before."""
    for place in (parts, *(message.parts for message in reversed(before))):
        for index in range(len(place) - 1, -1, -1):
            part = place[index]
            if hasattr(part, "cache"):
                place[index] = replace(cast("TextPart", part), cache=hint)
                return


def tool_definitions(tools: Sequence[object]) -> list[JSON]:
    """LlamaIndex's tools as definitions that every reader of events understands; what is none stays as it is."""
    made: list[JSON] = []
    for tool in tools:
        metadata = getattr(tool, "metadata", None)
        to_definition = getattr(metadata, "to_openai_tool", None)
        made.append(cast("JSON", tool if to_definition is None else to_definition(skip_length_check=True)))
    return made

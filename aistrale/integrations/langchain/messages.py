"""LangChain's messages as ours: every notation of content that LangChain itself can read as its standard blocks."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final, cast

from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from aistrale.integrations.langchain.state import attach_state
from aistrale.prompts import invalid
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from aistrale.types import JSON, JSONObject, Media, Part, Role

_ANTHROPIC: Final = "anthropic_messages"
_MEDIA: Final[dict[str, Media]] = {"image": "image", "audio": "audio", "video": "video", "file": "document"}
# OpenAI API reference, `name` of a message; frameworks put the names of agents there, which providers would refuse.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALLS: Final = frozenset({"tool_call", "invalid_tool_call", "tool_call_chunk", "tool_use", "function_call"})
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


def messages_from(messages: Sequence[BaseMessage]) -> list[Message]:
    """A conversation in our words.

    Raises:
        InvalidRequestError: A message or a block of one is of a kind that cannot be sent; `param` names it.
    """
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    return [_message(message, f"messages[{index}]", answered) for index, message in enumerate(messages)]


def _message(message: BaseMessage, where: str, answered: set[str]) -> Message:
    if isinstance(message, ToolMessage):
        return Message("tool", [_result(message, where)])
    role = _role(message, where)
    parts = _answer(message, where, answered) if isinstance(message, AIMessage) else _parts(message, where)
    name = message.name if message.name and _NAME.fullmatch(message.name) else None
    made = Message(role, parts, name)
    if isinstance(message, AIMessage):
        attach_state(message.additional_kwargs, made)
    return made


def _role(message: BaseMessage, where: str) -> Role:
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        developer = message.additional_kwargs.get("__openai_role__") == "developer"
        return "developer" if developer else "system"
    if isinstance(message, ChatMessage) and (role := _ROLES.get(message.role.lower())) is not None:
        return role
    raise invalid(where, f"a {type(message).__name__} cannot be sent to a model")


def _result(message: ToolMessage, where: str) -> ToolResultPart:
    return ToolResultPart(
        message.tool_call_id,
        _parts(message, where) or [TextPart("")],
        is_error=message.status == "error",
        name=message.name,
        cache=_cache(message.additional_kwargs),
    )


def _answer(message: AIMessage, where: str, answered: set[str]) -> list[Part]:
    """The parts of an earlier answer, its tool calls in their places, or at the end where they have none."""
    calls: dict[str | None, ToolCallPart] = {}
    for made in message.tool_calls:
        arguments = json.dumps(made["args"], ensure_ascii=False, separators=(",", ":"))
        calls[made["id"]] = ToolCallPart(made["id"] or "", made["name"], arguments)
    for broken in message.invalid_tool_calls:
        # One that nobody could answer would make the conversation invalid.
        if broken["id"] in answered:
            calls[broken["id"]] = ToolCallPart(broken["id"] or "", broken["name"] or "", broken["args"] or "")
    parts: list[Part] = []
    for index, block in enumerate(_blocks(message)):
        call = _called(block)
        if call is not None:
            if (part := calls.pop(_text(call.get("call_id", call.get("id"))), None)) is not None:
                parts.append(part)
        elif (other := _part(block, f"{where}.content[{index}]")) is not None:
            parts.append(other)
    return [*parts, *calls.values()]


def _called(block: Mapping[str, object]) -> dict[str, object] | None:
    """A block that is a tool call, in whosever notation; None for one that is none."""
    inner = block.get("value") if block.get("type") == "non_standard" else block
    return inner if isinstance(inner, dict) and inner.get("type") in _CALLS else None


def _parts(message: BaseMessage, where: str) -> list[Part]:
    found = (_part(block, f"{where}.content[{index}]") for index, block in enumerate(_blocks(message)))
    return [part for part in found if part is not None]


def _blocks(message: BaseMessage) -> list[dict[str, object]]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    return cast("list[dict[str, object]]", message.content_blocks)


# --- blocks ----------------------------------------------------------------------------------------------------------


def _part(block: Mapping[str, object], where: str) -> Part | None:
    """A part of a standard block; None for one that says nothing."""
    kind = str(block.get("type"))
    if kind == "text":
        return TextPart(str(block.get("text", "")), cache=_cache(block)) if block.get("text") else None
    if kind == "text-plain":
        return _plain_text(block)
    if kind in _MEDIA:
        return _media(_MEDIA[kind], block, where)
    if kind == "reasoning":
        return _reasoning(block)
    if kind == "refusal":
        return RefusalPart(str(block.get("refusal", "")))
    if kind == "non_standard":
        return _foreign(block.get("value"), where)
    raise invalid(where, f"a block of type {kind!r} cannot be sent")


def _foreign(value: object, where: str) -> Part | None:
    """What LangChain has no standard for: our own parts, and thoughts as Anthropic writes them."""
    table: dict[str, object] = value if isinstance(value, dict) else {}
    dialect, data = table.get("dialect"), table.get("data")
    if isinstance(dialect, str) and isinstance(data, dict):
        return ProviderPart(dialect, cast("JSONObject", data), cache=_cache(table))
    kind = table.get("type")
    if kind == "thinking":
        return _signed(str(table.get("thinking", "")), table.get("signature"))
    if kind == "redacted_thinking":
        return ReasoningPart(redacted=True, wire=Wire(_ANTHROPIC, {"data": cast("JSON", table.get("data"))}))
    if kind == "refusal":
        # Releases before 1.7.5 have no standard for it.
        return RefusalPart(str(table.get("refusal", "")))
    if kind == "cachePoint" or "cachePoint" in table:
        return None
    raise invalid(where, f"a block of type {kind!r} cannot be sent")


def _reasoning(block: Mapping[str, object]) -> Part:
    extras = _extras(block)
    if extras.get("redacted") is True:
        return ReasoningPart(redacted=True)
    return _signed(str(block.get("reasoning") or ""), extras.get("signature"))


def _signed(text: str, signature: object) -> ReasoningPart:
    wire = Wire(_ANTHROPIC, {"signature": signature}) if isinstance(signature, str) and signature else None
    return ReasoningPart(text, wire=wire)


def _plain_text(block: Mapping[str, object]) -> Part:
    if block.get("url") or block.get("file_id") or block.get("base64"):
        return _media("document", block, "")
    data = base64.b64encode(str(block.get("text", "")).encode("utf-8", "surrogatepass")).decode("ascii")
    name = block.get("title", _filename(block))
    return MediaPart("document", data=data, media_type="text/plain", filename=_text(name), cache=_cache(block))


def _media(media: Media, block: Mapping[str, object], where: str) -> MediaPart:
    extras = _extras(block)
    kind, data, url = _text(block.get("mime_type")), _text(block.get("base64")), _text(block.get("url"))
    if url is not None and url.startswith("data:"):
        head, _, data = url.partition(",")
        if not head.endswith(";base64"):
            raise invalid(where, "a data URL must be base64")
        url, kind = None, kind or head[5:].removesuffix(";base64") or None
    return MediaPart(
        media,
        data=data,
        url=url,
        file_id=_text(block.get("file_id")),
        media_type=kind,
        filename=_filename(block),
        detail=_text(extras.get("detail")),
        cache=_cache(block),
    )


def _filename(block: Mapping[str, object]) -> str | None:
    extras = _extras(block)
    given = (place.get(key) for place in (block, extras) for key in ("filename", "name", "title"))
    return next((name for name in map(_text, given) if name), None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _extras(block: Mapping[str, object]) -> dict[str, object]:
    extras = block.get("extras")
    return extras if isinstance(extras, dict) else {}


def _cache(block: Mapping[str, object]) -> CacheHint | None:
    """Anthropic's mark that what stands up to here shall be cached."""
    mark = block.get("cache_control", _extras(block).get("cache_control"))
    return CacheHint(_text(mark.get("ttl"))) if isinstance(mark, dict) else None

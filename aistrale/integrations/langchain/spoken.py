"""LangChain's messages in the form of the GenAI semantic conventions; whatever stands in them, it is a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aistrale.integrations.content import copied, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import BaseMessage

    from aistrale.types import JSON

_ROLES: Final = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user"}
_MODALITIES: Final = {
    "image": "image",
    "audio": "audio",
    "video": "video",
    "file": "document",
    "text-plain": "document",
}


def spoken(message: BaseMessage) -> JSON:
    """A message of parts."""
    kind = message.type
    if kind == "tool":
        call_id = getattr(message, "tool_call_id", None)
        part = {"type": "tool_call_response", "id": copied(call_id), "response": _response(message.content)}
        return {"role": "tool", "parts": [part]}
    parts = [_part(block) for block in _blocks(message)]
    known = [part.get("id") for part in parts if part["type"] == "tool_call"]
    calls = getattr(message, "tool_calls", None) or ()
    parts += [_part({**call, "type": "tool_call"}) for call in calls if call.get("id") not in known]
    role = _ROLES.get(kind, getattr(message, "role", kind))
    told: dict[str, JSON] = {"role": str(role), "parts": list(parts)}
    if message.name:
        told["name"] = message.name
    return told


def _response(content: object) -> JSON:
    return cut(content) if isinstance(content, str) else copied(content)


def _blocks(message: BaseMessage) -> list[Mapping[str, Any]]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    try:
        return list(message.content_blocks)
    except Exception:  # noqa: BLE001 - a translator of another integration; what is said is told as it stands
        return [item if isinstance(item, dict) else {"type": "text", "text": str(item)} for item in message.content]


def _part(block: Mapping[str, Any]) -> dict[str, JSON]:
    kind = str(block.get("type"))
    if kind in {"text", "reasoning"}:
        return {"type": kind, "content": cut(block.get(kind))}
    if kind == "refusal":
        return {"type": "text", "content": cut(block.get("refusal"))}
    if kind == "tool_call":
        return {
            "type": "tool_call",
            "id": copied(block.get("id")),
            "name": copied(block.get("name")),
            "arguments": copied(block.get("args")),
        }
    if kind in _MODALITIES:
        return _media(_MODALITIES[kind], block)
    return {"type": kind}


def _media(modality: str, block: Mapping[str, Any]) -> dict[str, JSON]:
    """Where a medium is, and of what kind; its bytes are no telemetry."""
    told: dict[str, JSON] = {"modality": modality}
    if block.get("mime_type"):
        told["mime_type"] = str(block["mime_type"])
    if block.get("url") and not str(block["url"]).startswith("data:"):
        return {"type": "uri", "uri": str(block["url"]), **told}
    if block.get("file_id"):
        return {"type": "file", "file_id": str(block["file_id"]), **told}
    return {"type": "blob", "content": "", **told}

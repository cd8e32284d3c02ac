"""What an answer holds beyond what LlamaIndex's blocks can say: kept beside them, so that the next turn sends it back.

Providers sign their thoughts and their tool calls, and refuse a conversation that comes back without those signatures.
They stand in a thinking block, which neither prompts made of text nor memories look into.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Final, cast

from llama_index.core.base.llms.types import ThinkingBlock

from aistrale.types import (
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import ChatMessage, ContentBlock

    from aistrale.types import JSON, JSONObject, Part

KEY: Final = "aistrale"
_KINDS: Final[dict[str, type[Part]]] = {
    "text": TextPart,
    "refusal": RefusalPart,
    "media": MediaPart,
    "reasoning": ReasoningPart,
    "tool_call": ToolCallPart,
    "provider": ProviderPart,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def keep_state(parts: Sequence[Part], blocks: list[ContentBlock]) -> None:
    """Add to the blocks of an answer what they cannot say of its parts; nothing where they say all that matters.

    Args:
        parts: The answer's, in order.
        blocks: Made of them; a thinking block among them gets it, or a new one without text.
    """
    if not _matters(parts):
        return
    written: list[JSON] = [
        {"kind": _NAMES[type(part)], **_lean(asdict(part))} for part in parts if type(part) in _NAMES
    ]
    holder = next((block for block in blocks if isinstance(block, ThinkingBlock)), None)
    if holder is None:
        holder = ThinkingBlock()
        blocks.insert(0, holder)
    holder.additional_information[KEY] = {"parts": written, "blocks": _fingerprint(blocks)}


def read_state(message: ChatMessage) -> list[Part] | None:
    """The parts that a message was made of; None where it is no answer of ours, or was changed since."""
    for block in message.blocks:
        if isinstance(block, ThinkingBlock) and isinstance(kept := block.additional_information.get(KEY), dict):
            if kept.get("blocks") != _fingerprint(message.blocks) or not isinstance(kept.get("parts"), list):
                return None
            try:
                return [_part(item) for item in kept["parts"]]
            except (KeyError, TypeError):
                return None
    return None


def _matters(parts: Sequence[Part]) -> bool:
    if any(isinstance(part, ProviderPart) for part in parts):
        return True
    return any(
        isinstance(part, (ReasoningPart, ToolCallPart)) and part.wire is not None and part.wire.fields for part in parts
    )


def _lean(values: dict[str, object]) -> JSONObject:
    return cast("JSONObject", {name: value for name, value in values.items() if value is not None})


def _part(item: JSONObject) -> Part:
    values = dict(item)
    kind = _KINDS[cast("str", values.pop("kind"))]
    known = {each.name for each in fields(kind)}
    wire = values.pop("wire", None)
    # Nobody asks for an answer to be cached, so there is no hint to bring back.
    values.pop("cache", None)
    if not values.keys() <= known:
        raise KeyError("unknown field")
    part = kind(**values)  # type: ignore[arg-type]  # written above, and its names were checked
    if isinstance(wire, dict):
        part.wire = Wire(**wire)  # type: ignore[arg-type]  # likewise; other names are a TypeError
    return part


def _fingerprint(blocks: Sequence[ContentBlock]) -> str:
    told: list[JSON] = []
    for block in blocks:
        values = block.model_dump(mode="json")
        if isinstance(block, ThinkingBlock):
            values["additional_information"] = None
        told.append(values)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:32]

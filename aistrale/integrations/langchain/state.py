"""What an answer holds that LangChain's messages have no place for, kept in `additional_kwargs` for the next turn.

Providers sign thoughts and tool calls, and refuse a conversation that comes back without the signatures. It is one text
of JSON, because LangChain adds up numbers and strings together texts when it merges the pieces of a stream.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from aistrale.types import (
    MediaPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject, Message, Part

KEY: Final = "aistrale"
_KINDS: Final[dict[type[Part], str]] = {
    TextPart: "text",
    RefusalPart: "refusal",
    MediaPart: "media",
    ReasoningPart: "reasoning",
    ToolCallPart: "call",
}


def keep_state(message: Message) -> dict[str, object]:
    """Additional arguments of the LangChain message that is made of ours; none where there is nothing to keep."""
    kept: list[JSON] = [[place, _table(part.wire)] for place, part in _places(message) if part.wire is not None]
    if message.wire is not None and any(message.wire.fields.values()):
        kept.append(["message", _table(message.wire)])
    return {KEY: {"state": json.dumps(kept, separators=(",", ":"))}} if kept else {}


def attach_state(kwargs: dict[str, object], message: Message) -> None:
    """Give a message that came back what was kept; what has gone, or was never ours, is passed over."""
    own = kwargs.get(KEY)
    text = own.get("state") if isinstance(own, dict) else None
    if not isinstance(text, str):
        return
    try:
        kept = {place: table for place, table in json.loads(text)}  # noqa: C416 - pairs, which dict() would not check
    except (ValueError, TypeError):
        return
    for place, part in _places(message):
        if (wire := _wire(kept.get(place))) is not None:
            part.wire = wire
    message.wire = _wire(kept.get("message"))


def _places(message: Message) -> Iterator[tuple[str, Part]]:
    """Every part with a name for its place: a call's id, else its number among those of its kind."""
    counts: Counter[str] = Counter()
    for part in message.parts:
        kind = _KINDS.get(type(part))
        if kind is None:
            continue
        if isinstance(part, ToolCallPart):
            yield f"{kind}:{part.id}", part
        else:
            yield f"{kind}:{counts[kind]}", part
            counts[kind] += 1


def _table(wire: Wire) -> JSONObject:
    return {"dialect": wire.dialect, "fields": wire.fields, "form": wire.form}


def _wire(table: object) -> Wire | None:
    if not isinstance(table, dict) or not isinstance(table.get("fields"), dict):
        return None
    return Wire(str(table.get("dialect")), cast("JSONObject", table["fields"]), str(table.get("form", "")))

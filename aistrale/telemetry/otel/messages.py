"""Content on spans and events: one JSON text an attribute on spans, structured on events."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from aistrale.telemetry.otel import conventions as words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import Content
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.types import JSON

_LIMITS: Final = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_ELLIPSIS: Final = "…"
# Where a text is cut to make a whole fit: nothing shorter is worth showing.
_SHORTEST: Final = 16


def span_content(content: Content, *, tools: bool) -> Attributes:
    """The attributes of a span that hold content; what is empty is left out.

    Args:
        content: Redacted.
        tools: Whether the conventions in use have definitions of tools.
    """
    limit = length_limit()
    return {name: written(items, limit) for name, items in _named(content, tools=tools)}


def event_content(content: Content, *, tools: bool) -> dict[str, JSON]:
    """The same for an event."""
    return {name: list(items) for name, items in _named(content, tools=tools)}


def _named(content: Content, *, tools: bool) -> list[tuple[str, Sequence[JSON]]]:
    named: list[tuple[str, Sequence[JSON]]] = [
        (words.SYSTEM_INSTRUCTIONS, [part for part in content.system if _is_text(part)]),
        (words.INPUT_MESSAGES, content.input),
        (words.OUTPUT_MESSAGES, content.output),
        (words.TOOL_DEFINITIONS, content.tools if tools else ()),
    ]
    return [(name, items) for name, items in named if items]


def _is_text(part: JSON) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


@cache
def length_limit() -> int | None:
    """How long the SDK lets attributes of spans be; it cuts longer ones, and JSON that is cut is none."""
    for name in _LIMITS:
        said = os.environ.get(name, "").strip()
        if said.isdigit():
            return int(said)
    return None


def written(items: Sequence[JSON], limit: int | None = None) -> str:
    """Items as JSON of at most `limit` characters: texts are cut until it fits, and the last resort is no item."""
    text = _dump(items)
    longest = 32_768
    while limit is not None and len(text) > limit:
        if longest <= _SHORTEST:
            return "[]"
        longest //= 4
        text = _dump([_cut(item, longest) for item in items])
    return text


def _dump(items: Sequence[JSON]) -> str:
    return json.dumps(list(items), ensure_ascii=False, separators=(",", ":"))


def _cut(value: JSON, longest: int) -> JSON:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + _ELLIPSIS
    if isinstance(value, list):
        return [_cut(item, longest) for item in value]
    if isinstance(value, dict):
        return cast("JSON", {key: _cut(item, longest) for key, item in value.items()})
    return value

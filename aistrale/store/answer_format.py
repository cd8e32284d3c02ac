"""Answers as bytes: JSON behind a version and a checksum, the same answer again when they are read.

Only the fields that differ from their default are written, under their own names; what a provider said verbatim (`raw`,
`Wire.fields`, ...) stands there as it is. Nothing is evaluated when it is read: bytes of another version, with a wrong
checksum or of another shape are no answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aistrale.types import (
    AttemptInfo,
    CacheHint,
    Choice,
    Completion,
    Cost,
    Embeddings,
    Lossy,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.types import JSON, JSONObject

Answer: TypeAlias = "Completion | Embeddings"

FORMAT: Final = 1
"""Raised whenever the same bytes would come to mean something else; part of every answer and of every key."""

_CHECKSUM: Final = 8
_HEAD: Final = b"%d:" % FORMAT
_TAG: Final = "#"
_PARTS: Final[Mapping[str, type]] = {
    "text": TextPart,
    "refusal": RefusalPart,
    "media": MediaPart,
    "reasoning": ReasoningPart,
    "call": ToolCallPart,
    "result": ToolResultPart,
    "provider": ProviderPart,
}
_ANSWERS: Final[Mapping[str, type]] = {"completion": Completion, "embeddings": Embeddings}
_TAGS: Final[Mapping[type, str]] = {kind: tag for table in (_PARTS, _ANSWERS) for tag, kind in table.items()}

# The fields that hold nodes, and which; every other field holds plain JSON. None stands for any part.
_WIRE: Final[dict[str, type | None]] = {"wire": Wire}
_CACHED: Final[dict[str, type | None]] = {"cache": CacheHint, **_WIRE}
_NODES: Final[Mapping[type, Mapping[str, type | None]]] = {
    Completion: {"choices": Choice, "usage": Usage, "cost": Cost, "attempts": AttemptInfo, "lossy": Lossy, **_WIRE},
    Embeddings: {"usage": Usage, "cost": Cost, "attempts": AttemptInfo, "lossy": Lossy, **_WIRE},
    Choice: {"message": Message, **_WIRE},
    Message: {"parts": None, **_WIRE},
    TextPart: _CACHED,
    RefusalPart: _WIRE,
    MediaPart: _CACHED,
    ReasoningPart: _WIRE,
    ToolCallPart: _CACHED,
    ToolResultPart: {"content": None, **_CACHED},
    ProviderPart: _CACHED,
    Usage: _WIRE,
    Cost: {},
    AttemptInfo: {},
    Lossy: {},
    CacheHint: {},
    Wire: {},
}
_FIELDS: Final[Mapping[type, tuple[tuple[str, object], ...]]] = {
    kind: tuple(
        (item.name, item.default if item.default_factory is MISSING else item.default_factory())
        for item in fields(kind)
    )
    for kind in _NODES
}
# Valid Unicode only: a lone surrogate would not come back as it went in.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def pack(answer: Answer) -> bytes | None:
    """An answer as bytes.

    Returns:
        None when it holds what JSON or UTF-8 cannot say exactly: a validated `output` object, a lone surrogate.
    """
    try:
        body = _to_json(_dump(answer)).encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return _HEAD + _checksum(body) + body


def unpack(data: bytes) -> Answer | None:
    """The answer of bytes that `pack` made, a fresh one each time; None for damaged bytes and other versions."""
    head = len(_HEAD)
    start = head + _CHECKSUM
    if data[:head] != _HEAD or data[head:start] != _checksum(data[start:]):
        return None
    try:
        node = json.loads(data[start:])
        return cast("Answer", _load(_ANSWERS[node.pop(_TAG)], node))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return None


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM).digest()


def _dump(node: object) -> JSONObject:
    kind = type(node)
    nodes = _NODES[kind]
    out: JSONObject = {}
    if kind in _TAGS:
        out[_TAG] = _TAGS[kind]
    for name, default in _FIELDS[kind]:
        value = getattr(node, name)
        if value is default or (type(value) is type(default) and value == default):
            continue
        if value is None or name not in nodes:
            out[name] = str(value) if isinstance(value, Decimal) else value
        elif isinstance(value, list):
            out[name] = [_dump(item) for item in value]
        else:
            out[name] = _dump(value)
    return out


def _load(kind: type, node: JSONObject) -> object:
    nodes = _NODES[kind]
    values: dict[str, object] = {}
    for name, value in node.items():
        if name not in nodes or value is None:
            values[name] = value
        elif isinstance(value, list):
            values[name] = [_load_node(nodes[name], item) for item in value]
        else:
            values[name] = _load_node(nodes[name], value)
    if isinstance(usd := values.get("usd"), str):
        values["usd"] = Decimal(usd)
    return kind(**values)


def _load_node(kind: type | None, node: JSON) -> object:
    known = cast("JSONObject", node)
    if kind is None:
        return _load(_PARTS[cast("str", known.pop(_TAG))], known)
    return _load(kind, known)

"""Events as JSON and back: one form for files, webhooks, journals and logs.

`{"kind": "attempt.finished", "id": ..., "at": ..., "call_id": ..., <its own fields>}`. Money is text, since JSON has no
decimal numbers; rows of the ledger are tables of their own; what is None or empty is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, cast

from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.events import EVENTS, Content, TelemetryEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.types import JSON, JSONObject

_MONEY: Final = frozenset({"limit", "spent", "reserved", "threshold"})
# `cost` is money in an event of a framework, and text in a row, as the journal has it.
_ROWS: Final[dict[str, Callable[..., object]]] = {"call.finished": CallRow, "attempt.finished": AttemptRow}


def encode_event(event: TelemetryEvent) -> JSONObject:
    """An event as a table that JSON can say.

    Args:
        event: Of any of the kinds in `aistrale.telemetry.events.EVENTS`.
    """
    return {"kind": event.kind, **_table(event)}


def decode_event(table: JSONObject) -> TelemetryEvent:
    """The event of a table that `encode_event` made.

    Raises:
        ValueError: It is of no known kind, or a field is wrong or missing; says which.
    """
    kind = table.get("kind")
    cls = EVENTS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"there is no event of kind {kind!r}")
    values: dict[str, object] = {}
    for item in fields(cls):
        if item.name in table:
            values[item.name] = _field(cls.kind, item.name, str(item.type), table[item.name])
        elif item.default is MISSING and item.default_factory is MISSING:
            # What is None was left out.
            values[item.name] = None
    try:
        return cls(**values)  # type: ignore[arg-type]  # the names were read off the class
    except TypeError as error:
        raise ValueError(f"the event of kind {kind!r} has fields that do not fit: {error}") from error


def _table(value: object) -> JSONObject:
    table: JSONObject = {}
    for item in fields(value):  # type: ignore[arg-type]  # only dataclasses come here
        said = getattr(value, item.name)
        if said is None or said == "" or (isinstance(said, (dict, list, tuple)) and not said):
            continue
        table[item.name] = _plain(said)
    return table


def _plain(value: object) -> JSON:
    if isinstance(value, Decimal):
        return str(value)
    if is_dataclass(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return cast("JSON", value)


def _field(kind: str, name: str, annotation: str, value: JSON) -> object:
    if name == "row":
        return _dataclass(_ROWS[kind], name, value)
    if name == "content":
        return _dataclass(lambda **parts: Content(**{key: tuple(part) for key, part in parts.items()}), name, value)
    if name in _MONEY or (name == "cost" and "Decimal" in annotation):
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise ValueError(f"{name} of the event is no amount") from error
    if isinstance(value, list) and annotation.startswith("tuple"):
        return tuple(value)
    return value


def _dataclass(make: Callable[..., object], name: str, value: JSON) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{name} of the event is no table")  # noqa: TRY004 - wrong data, not a wrong caller
    try:
        return make(**value)
    except TypeError as error:
        raise ValueError(f"{name} of the event has fields that do not fit: {error}") from error

"""Events as they stand in a spool: written in the calling thread, hence made to be fast.

`[format, kind, field, field, ...]`, the fields in the order of the dataclass, rows and content as arrays of their own.
What cannot be said that way is written as the table of `aistrale.telemetry.encoding`. Fields are only ever added at the
end, so that a newer version reads what an older one left; an older version leaves what it cannot know for a newer one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.compact import compact_encoder
from aistrale.store.reader import MAX_PAYLOAD
from aistrale.store.records import COLUMNS, SCHEMA_VERSION, AttemptRow, CallRow, NewerRowError, values
from aistrale.telemetry.encoding import decode_line, encode_line
from aistrale.telemetry.events import EVENTS, AttemptFinished, Content, FunctionFinished, RunFinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.store.records import Row
    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.types import JSON

FORMAT: Final = 1

NAMES: Final[dict[str, tuple[str, ...]]] = {
    kind: tuple(item.name for item in fields(cls)) for kind, cls in EVENTS.items()
}
_GETTERS: Final = {
    kind: cast("Callable[[object], tuple[object, ...]]", attrgetter(*names)) for kind, names in NAMES.items()
}
_ROW_AT: Final = {kind: names.index("row") for kind, names in NAMES.items() if "row" in names}
_PARTS: Final = tuple(item.name for item in fields(Content))
_parts = attrgetter(*_PARTS)


def _said(value: object) -> object:
    """What the encoder does not know by itself."""
    if isinstance(value, Content):
        return _parts(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


_to_json = compact_encoder(_said)


def encode(event: TelemetryEvent) -> bytes:
    """An event as the payload of a frame, in ASCII.

    What was said is left out of an event that would be too large with it.

    Raises:
        ValueError: It is too large all the same.
    """
    kind = event.kind
    try:
        said = _GETTERS[kind](event)
        at = _ROW_AT.get(kind)
        if at is not None:
            # Taken apart here, since the encoder's way of asking for it costs a microsecond.
            said = (*said[:at], (SCHEMA_VERSION, *values(cast("Row", said[at]))), *said[at + 1 :])
        payload = _to_json((FORMAT, kind, *said)).encode("ascii")
    except (TypeError, ValueError, KeyError, RecursionError):
        payload = encode_line(event)
    if len(payload) <= MAX_PAYLOAD:
        return payload
    less = without_content(event)
    if less is event:
        raise ValueError(f"the event has {len(payload)} bytes; a frame has at most {MAX_PAYLOAD}")
    return encode(less)


def without_content(event: TelemetryEvent) -> TelemetryEvent:
    """The event without what was said in it; itself where nothing was."""
    if isinstance(event, (AttemptFinished, RunFinished)) and event.content is not None:
        return replace(event, content=None)
    if isinstance(event, FunctionFinished) and (event.inputs is not None or event.output is not None):
        return replace(event, inputs=None, output=None)
    return event


def decode(payload: bytes) -> TelemetryEvent:
    """The event of a payload that `encode` made.

    Raises:
        NewerRowError: A newer version of aistrale wrote it.
        ValueError: It is no event.
    """
    if payload[:1] == b"{":
        return decode_line(payload)
    try:
        array = json.loads(payload)
    except RecursionError as error:
        raise ValueError("the event is nested too deeply") from error
    if not isinstance(array, list) or len(array) < 2 or type(array[0]) is not int or not isinstance(array[1], str):
        raise ValueError("the payload is no event: expected [format, kind, ...]")
    kind = array[1]
    names = NAMES.get(kind)
    if array[0] > FORMAT or names is None or len(array) - 2 > len(names):
        raise NewerRowError(f"the event of kind {kind[:60]!r} was written by a newer version")
    return _made(kind, names, array[2:])


def _made(kind: str, names: tuple[str, ...], said: list[JSON]) -> TelemetryEvent:
    # Not strict: an older version had fewer fields.
    given: dict[str, object] = dict(zip(names, said, strict=False))
    try:
        for name, make in _MAKERS[kind]:
            value = given.get(name)
            if value is not None:
                given[name] = make(cast("JSON", value))
        return EVENTS[kind](**given)  # type: ignore[arg-type]  # what the frame's checksum vouches for
    except (TypeError, ArithmeticError) as error:
        raise ValueError(f"the fields of the event of kind {kind} do not fit") from error


def _content(said: JSON) -> Content:
    return Content(**{name: tuple(part) for name, part in zip(_PARTS, _array(said), strict=False)})  # type: ignore[arg-type]


def _row(cls: type[CallRow | AttemptRow]) -> Callable[[JSON], object]:
    columns = COLUMNS[cls]

    def made(said: JSON) -> object:
        version, *cells = _array(said)
        if type(version) is not int:
            raise ValueError("the event's row is no row: expected [version, ...]")
        if version > SCHEMA_VERSION or len(cells) > len(columns):
            raise NewerRowError(f"the row has schema version {version}; this version reads {SCHEMA_VERSION}")
        return cls(**dict(zip(columns, cells, strict=False)))  # type: ignore[arg-type]  # as above

    return made


def _array(said: JSON) -> list[JSON]:
    if not isinstance(said, list) or not said:
        raise ValueError("a part of the event is no array")
    return said


def _makers(kind: str, cls: type[TelemetryEvent]) -> tuple[tuple[str, Callable[[JSON], object]], ...]:
    """What turns the fields of a kind that JSON has no type for into what they were."""
    found: list[tuple[str, Callable[[JSON], object]]] = []
    for item in fields(cls):
        # The annotations are text.
        annotation = str(item.type)
        if annotation in {"CallRow", "AttemptRow"}:
            found.append((item.name, _row(CallRow if kind == "call.finished" else AttemptRow)))
        elif annotation.startswith("Content"):
            found.append((item.name, _content))
        elif annotation.startswith("Decimal"):
            found.append((item.name, lambda said: Decimal(str(said))))
        elif annotation.startswith("tuple"):
            found.append((item.name, lambda said: tuple(cast("list[JSON]", said))))
    return tuple(found)


_MAKERS: Final = {kind: _makers(kind, cls) for kind, cls in EVENTS.items()}

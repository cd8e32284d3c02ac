"""Events as JSON and back: one form for files, webhooks, journals and logs.

`{"kind": "attempt.finished", "id": ..., "at": ..., "call_id": ..., <its own fields>}`. What a field says by default is
left out. Money is text, since JSON has no decimal numbers; so are the numbers that JSON does not know ("NaN",
"Infinity", "-Infinity"); rows of the ledger are tables of their own. What JSON cannot say at all becomes the name of
its type, `<bytes>`: an event is never lost for it.

Readers ignore fields that they do not know, so that newer writers may add some; a kind that they do not know is an
error, since nothing can be made of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar, cast

from aistrale.core.compact import compact_encoder
from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.events import EVENTS, Content, TelemetryEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.types import JSON, JSONObject

T = TypeVar("T")

_ROWS: Final = {"CallRow": CallRow, "AttemptRow": AttemptRow, "Content": Content}
_TABLES: Final = (CallRow, AttemptRow, Content)
_PLAIN: Final = frozenset({str, int, bool})
_EMPTY: Final = object()
# Deeper than anything that people or models say, and far from where the encoder would give up.
_DEEPEST: Final = 100
# Python refuses to write longer numbers than 4,300 digits.
_LONGEST_NUMBER: Final = 14_000
_to_json = compact_encoder()


def encode_event(event: TelemetryEvent) -> JSONObject:
    """An event as a table that JSON can say.

    Args:
        event: Of any of the kinds in `aistrale.telemetry.events.EVENTS`.
    """
    table: JSONObject = {"kind": event.kind}
    _fill(table, event)
    return table


def decode_event(table: JSONObject) -> TelemetryEvent:
    """The event of a table that `encode_event` made, by this version or a newer one.

    Raises:
        ValueError: It is of no known kind, or a field is wrong or missing; says which.
    """
    kind = table.get("kind")
    cls = EVENTS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        shown = repr(kind) if isinstance(kind, str) and len(kind) < 60 else "that is no text"
        raise ValueError(f"there is no event of kind {shown}")
    return _made(cls, table)


def encode_line(event: TelemetryEvent) -> bytes:
    """An event as one line of JSON in ASCII, without the line's end."""
    return _to_json(encode_event(event)).encode("ascii")


def decode_line(line: bytes | str) -> TelemetryEvent:
    """The event of a line that `encode_line` made.

    Raises:
        ValueError: It is no JSON, or no event; see `decode_event`.
    """
    try:
        table = json.loads(line)
    except RecursionError as error:
        raise ValueError("the line is nested too deeply") from error
    if not isinstance(table, dict):
        raise ValueError("the line is no event: it is no table")  # noqa: TRY004 - wrong data, not a wrong caller
    return decode_event(table)


# --- out ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class _Shape:
    """How a class is written: names and defaults, and what gets all values at once."""

    names: tuple[tuple[str, object], ...]
    get: Callable[[object], tuple[object, ...]]


_shapes: dict[type, _Shape] = {}


def _shape(cls: type) -> _Shape:
    names: list[tuple[str, object]] = []
    for item in fields(cls):
        default: object = item.default
        factory: object = item.default_factory
        if factory in {dict, list} or default == ():
            default = _EMPTY
        names.append((item.name, default))
    get = cast("Callable[[object], tuple[object, ...]]", attrgetter(*(name for name, _ in names)))
    return _shapes.setdefault(cls, _Shape(tuple(names), get))


def _fill(table: JSONObject, said: object) -> None:
    shape = _shapes.get(type(said)) or _shape(type(said))
    for (name, default), value in zip(shape.names, shape.get(said), strict=True):
        if value is default or (default is _EMPTY and not value):
            continue
        kind = type(value)
        if kind in _PLAIN:
            table[name] = cast("JSON", value)
        elif kind is float:
            table[name] = _number(cast("float", value))
        elif isinstance(value, _TABLES):
            inner: JSONObject = {}
            _fill(inner, value)
            table[name] = inner
        else:
            table[name] = _plain(value, 0)


def _number(value: float) -> JSON:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain(value: object, depth: int) -> JSON:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() < _LONGEST_NUMBER else "<int>"
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, Decimal):
        return str(value)
    if depth >= _DEEPEST:
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        return {_key(name): _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return f"<{type(value).__name__}>"


def _key(name: object) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    return str(name) if isinstance(name, (int, float)) else f"<{type(name).__name__}>"


# --- in ----------------------------------------------------------------------------------------------------------


def _made(cls: type[T], table: Mapping[str, JSON]) -> T:
    given: dict[str, object] = {}
    what = getattr(cls, "kind", "") if issubclass(cls, TelemetryEvent) else cls.__name__
    for name, required, optional, read in _known.get(cls) or _readers(cls):
        if name not in table:
            if required:
                raise ValueError(f"{what}: {name} is missing")
            continue
        value = table[name]
        if value is None and optional:
            given[name] = None
            continue
        try:
            given[name] = read(value)
        except (TypeError, ValueError) as error:
            reason = f" ({error})" if isinstance(error, ValueError) and str(error) else ""
            raise ValueError(f"{what}: {name} is wrong{reason}") from None
    return cast("Callable[..., T]", cls)(**given)


_Reader = tuple[str, bool, bool, "Callable[[JSON], object]"]
_known: dict[type, tuple[_Reader, ...]] = {}


def _readers(cls: type) -> tuple[_Reader, ...]:
    found: list[_Reader] = []
    for item in fields(cls):
        # The annotations are text: the modules of events and rows put off their evaluation.
        annotation = str(item.type)
        base = annotation.removesuffix(" | None")
        required = item.default is MISSING and item.default_factory is MISSING
        found.append((item.name, required, base != annotation or base == "JSON", _reader(base)))
    return _known.setdefault(cls, tuple(found))


def _reader(base: str) -> Callable[[JSON], object]:
    head = base.partition("[")[0]
    if head in _ROWS:
        cls = _ROWS[head]
        return lambda value: _made(cls, _table(value))
    return _READERS[head]


def _exactly(*types: type) -> Callable[[JSON], object]:
    def read(value: JSON) -> object:
        # True is an int for Python, and no number for JSON.
        if type(value) not in types:
            raise TypeError
        return value

    return read


def _table(value: JSON) -> JSONObject:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _float(value: JSON) -> float:
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or value in {"NaN", "Infinity", "-Infinity"}):
        raise TypeError
    return float(cast("float", value))


def _money(value: JSON) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise TypeError from None


def _tuple(value: JSON) -> tuple[JSON, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(value)


_TEXT: Final = _exactly(str)
# By how the annotation begins. Words are not held against the list of those that are known: newer writers have others.
_READERS: Final[dict[str, Callable[[JSON], object]]] = {
    "str": _TEXT,
    "Literal": _TEXT,
    "Outcome": _TEXT,
    "RunOutcome": _TEXT,
    "RunType": _TEXT,
    "UsageSource": _TEXT,
    "int": _exactly(int),
    "bool": _exactly(bool),
    "float": _float,
    "Decimal": _money,
    "Mapping": _table,
    "dict": _table,
    "list": _exactly(list),
    "tuple": _tuple,
    "JSON": lambda value: value,
}

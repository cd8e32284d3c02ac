"""Reading untrusted JSON: each reader checks the shape and names the field when it is wrong.

Everything that a provider or a calling SDK sends is untrusted; a decoder reads fields only through these.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from aistrale.types import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import JSON, JSONObject

MAX_NESTING = 200
# json.dumps with these arguments would build a new encoder for each text.
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class MalformedBody(ValueError):
    """A body does not have the shape of its dialect.

    Args:
        field: Path of the field, for example `choices[0].message`.
        expected: What should stand there.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: expected {expected}")
        self.field = field
        self.expected = expected


def parse_json(data: bytes | str, *, field: str = "body") -> JSON:
    """Parse JSON text from outside.

    Raises:
        MalformedBody: It is no JSON, is nested beyond reason, or is not UTF-8.
    """
    try:
        return cast("JSON", json.loads(data))
    except (ValueError, RecursionError) as error:
        raise MalformedBody(field, "valid JSON") from error


def parse_object(data: bytes | str, *, field: str = "body") -> JSONObject:
    """Parse JSON text that must be an object. Raises MalformedBody otherwise."""
    value = parse_json(data, field=field)
    if type(value) is not dict:
        raise MalformedBody(field, "a JSON object")
    return value


def dump_json(value: JSON) -> str:
    """Compact JSON text; ASCII only, because some clients split lines at U+2028 and its like."""
    return _to_json(value)


def as_object(value: JSON, field: str) -> JSONObject:
    """The value, if it is an object."""
    if type(value) is not dict:
        raise MalformedBody(field, "an object")
    return value


def as_list(value: JSON, field: str) -> list[JSON]:
    """The value, if it is an array."""
    if type(value) is not list:
        raise MalformedBody(field, "an array")
    return value


def as_str(value: JSON, field: str) -> str:
    """The value, if it is a string."""
    if type(value) is not str:
        raise MalformedBody(field, "a string")
    return value


def as_int(value: JSON, field: str) -> int:
    """The value, if it is a whole number (3.0 counts, True does not)."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise MalformedBody(field, "a whole number")


def as_number(value: JSON, field: str) -> float:
    """The value, if it is a number; ints stay ints."""
    if type(value) is int or type(value) is float:
        return value
    raise MalformedBody(field, "a number")


def as_bool(value: JSON, field: str) -> bool:
    """The value, if it is true or false."""
    if type(value) is not bool:
        raise MalformedBody(field, "true or false")
    return value


def get_object(body: JSONObject, key: str) -> JSONObject | None:
    """An optional object; null counts as absent."""
    value = body.get(key)
    return None if value is None else as_object(value, key)


def get_list(body: JSONObject, key: str) -> list[JSON]:
    """An optional array; null and absent give []."""
    value = body.get(key)
    return [] if value is None else as_list(value, key)


def get_str(body: JSONObject, key: str) -> str | None:
    """An optional string; null counts as absent."""
    value = body.get(key)
    return None if value is None else as_str(value, key)


def get_int(body: JSONObject, key: str) -> int | None:
    """An optional whole number; null counts as absent."""
    value = body.get(key)
    return None if value is None else as_int(value, key)


def get_number(body: JSONObject, key: str) -> float | None:
    """An optional number; null counts as absent."""
    value = body.get(key)
    return None if value is None else as_number(value, key)


def get_bool(body: JSONObject, key: str) -> bool | None:
    """An optional boolean; null counts as absent."""
    value = body.get(key)
    return None if value is None else as_bool(value, key)


def rest(body: JSONObject, modelled: Iterable[str]) -> JSONObject:
    """The fields that the hub does not model, and modelled ones that are an explicit null, verbatim."""
    known = modelled if isinstance(modelled, (set, frozenset, dict)) else frozenset(modelled)
    return {key: value for key, value in body.items() if value is None or key not in known}


def leftover(dialect: str, fields: JSONObject, form: str = "") -> Wire | None:
    """A Wire for a node, or None when there is nothing to keep."""
    return Wire(dialect, fields, form) if fields or form else None


def kept(wire: Wire | None, dialect: str) -> JSONObject:
    """The fields to merge back when encoding in `dialect`: a copy, empty when the node came from another one."""
    return dict(wire.fields) if wire is not None and wire.dialect == dialect else {}


def form_of(wire: Wire | None, dialect: str) -> str:
    """The notation that the source used, "" when the node came from another dialect."""
    return wire.form if wire is not None and wire.dialect == dialect else ""

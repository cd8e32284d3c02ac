"""Arguments and results as bounded, redacted JSON: what events keep of them when capture was asked for.

Data is taken as it is: texts, numbers, lists, tables, dataclasses, pydantic models. Of everything else only the name of
its type is kept: nobody knows what its `repr` says, or does.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from aistrale.types import Completion, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

    from aistrale.types import JSON

MOST_TEXT: Final = 8192
"""Characters that are kept of one text."""

_SEEN: Final = 4096
"""Characters beyond that which are looked at: a value on the edge must be known for what it is, to go as a whole."""

_MOST_TEXTS: Final = 65_536
_MOST_ITEMS: Final = 100
_MOST_VALUES: Final = 1000
_DEEPEST: Final = 8
_CUT: Final = "..."
_LONG_NUMBER: Final = 10**6
"""A phone number has more digits than this; so has the number of a card or an account."""

_BIGGEST_NUMBER: Final = 64
_SPOKEN: Final = frozenset({Decimal, Fraction, UUID, datetime, date, time, timedelta})


def snapshot(value: object, longest: int = MOST_TEXT + _SEEN) -> JSON:
    """A value as JSON, cut where it is long or deep; not redacted yet.

    Args:
        value: Anything.
        longest: Characters that are kept of one text: more than are shown, since what is cut in two is not recognised.
    """
    return _Snapshot(longest).take(value, 0)


class _Snapshot:
    """Counts what one value has used of the bounds."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._values = _MOST_VALUES
        self._texts = _MOST_TEXTS

    def take(self, value: object, depth: int) -> JSON:
        self._values -= 1
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            return self.take(value._value_, depth)  # the property `value` may be anything
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (int, float)):
            return _number(value)
        if type(value) in _SPOKEN or isinstance(value, PurePath):
            return self._text(str(value))
        if depth >= _DEEPEST or self._values <= 0:
            return _CUT
        return self._inside(value, depth + 1)

    def _inside(self, value: object, depth: int) -> JSON:
        if isinstance(value, dict):
            return self._table(dict.items(value), depth)
        if isinstance(value, (list, tuple, set, frozenset, deque)):
            return self._list(value, depth)
        if isinstance(value, Completion):
            return self._text(value.text)
        if isinstance(value, Message):
            return {"role": value.role, "text": self._text(value.text)}
        named = _fields_of(value)
        return f"<{type(value).__name__}>" if named is None else self._table(named, depth)

    def _table(self, items: Iterable[tuple[object, object]], depth: int) -> JSON:
        table: dict[str, JSON] = {}
        for name, item in items:
            if len(table) >= _MOST_ITEMS or self._values <= 0:
                table[_CUT] = _CUT
                break
            table[self._name(name)] = self.take(item, depth)
        return table

    def _list(self, items: Iterable[object], depth: int) -> JSON:
        found: list[JSON] = []
        for item in items:
            if len(found) >= _MOST_ITEMS or self._values <= 0:
                found.append(_CUT)
                break
            found.append(self.take(item, depth))
        return found

    def _name(self, name: object) -> str:
        if isinstance(name, Enum):
            name = name._value_
        if isinstance(name, (str, int, float, bool)) or name is None or type(name) in _SPOKEN:
            return self._text(str(name))
        return f"<{type(name).__name__}>"

    def _text(self, value: str) -> str:
        if self._texts <= 0:
            return _CUT
        kept = str.__str__(value)[: self._longest]
        self._texts -= len(kept)
        return kept


def _number(value: float) -> JSON:
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _BIGGEST_NUMBER else "<int>"
    return float(value) if isfinite(value) else str(float(value))


def _fields_of(value: object) -> Iterable[tuple[object, object]] | None:
    """The fields of data, without those that its own `repr` keeps to itself; None where it is not known for data."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(item.name, getattr(value, item.name, None)) for item in fields(value) if item.repr]
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        shown = cast("type[BaseModel]", type(value)).model_fields
        return [(name, item) for name, item in vars(value).items() if name in shown and shown[name].repr]
    return None


def redacted(value: JSON, redact: Callable[[str], str], name: str | None = None) -> JSON:
    """A snapshot without what is sensitive.

    Args:
        value: The snapshot.
        redact: Makes a text harmless.
        name: What the value is called: "password: xyz" shows more of what it is than "xyz".
    """
    if isinstance(value, str):
        return _cut(_harmless(value, redact, name))
    if isinstance(value, dict):
        return {_cut(redact(key)): redacted(item, redact, key) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, redact, name) for item in value]
    if isinstance(value, (int, float)) and abs(value) >= _LONG_NUMBER:
        text = str(value)
        harmless = _harmless(text, redact, name)
        return value if harmless == text else harmless
    return value


def _harmless(text: str, redact: Callable[[str], str], name: str | None) -> str:
    if not name:
        return redact(text)
    said = redact(f"{name}: {text}")
    if said.startswith(f"{name}: "):
        return said.removeprefix(f"{name}: ")
    return said.removeprefix(f"{redact(name)}: ")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + _CUT

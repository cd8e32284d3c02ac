"""Spelling in Gemini bodies: the servers take camelCase and snake_case names, and callers mix them within one body.

A node remembers in the words of `wire.form` which of its names were in snake_case, so that they are written the same
way again. Enumerations may come as the numbers of their protobuf definitions.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from aistrale.dialects.shape import MalformedBody, as_list
from aistrale.types import Wire

if TYPE_CHECKING:
    from collections.abc import Collection

    from aistrale.types import JSON, JSONObject

NAME = "gemini_generate"

Words: TypeAlias = "Collection[str]"

# google.cloud.aiplatform.v1 numbers these; bodies that went through gRPC carry the numbers.
_MODALITIES = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")


@lru_cache(maxsize=256)
def snake(name: str) -> str:
    """`functionCall` as `function_call`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def both(*names: str) -> frozenset[str]:
    """The names in both spellings."""
    return frozenset(names) | frozenset(map(snake, names))


def take(body: JSONObject, name: str, words: list[str]) -> JSON:
    """The value under either spelling of `name`; None when absent or null. Notes a snake_case spelling in `words`.

    Raises:
        MalformedBody: The field is there in both spellings.
    """
    value = body.get(name)
    other = snake(name)
    if other == name:
        return value
    alternative = body.get(other)
    if alternative is None:
        return value
    if value is not None:
        raise MalformedBody(name, f"one spelling of the field, not both {name} and {other}")
    words.append(other)
    return alternative


def has(body: JSONObject, name: str) -> bool:
    """Whether the field is there and not null, in either spelling."""
    return body.get(name) is not None or body.get(snake(name)) is not None


def put(target: JSONObject, name: str, value: JSON, words: Words = ()) -> None:
    """Write a field in the spelling that the source used: noted in `words`, or seen on an explicit null."""
    other = snake(name)
    target[other if other in words or (other in target and name not in target) else name] = value


def many(value: JSON, field: str) -> tuple[list[JSON], bool]:
    """A repeated field: its items, and whether it stood there as a single object, as the servers permit."""
    if type(value) is dict:
        return [value], True
    return as_list(value, field), False


def once(items: list[JSON], *, single: bool) -> JSON:
    """The inverse of `many`; what is no longer a single item has to be an array."""
    return items[0] if single and len(items) == 1 else items


def words_of(wire: Wire | None) -> list[str]:
    """The words of a node's form; none when it came from another dialect."""
    return wire.form.split() if wire is not None and wire.dialect == NAME else []


def value_of(words: Words, key: str) -> str | None:
    """The value of a word `key=value`."""
    start = f"{key}="
    return next((word[len(start) :] for word in words if word.startswith(start)), None)


def own(wire: Wire | None) -> bool:
    """Whether the node was decoded from this dialect."""
    return wire is not None and wire.dialect == NAME


def wired(fields: JSONObject, words: list[str]) -> Wire | None:
    """The wire of a node, None when there is nothing to remember."""
    return Wire(NAME, fields, " ".join(words)) if fields or words else None


def json_text(value: JSON) -> str:
    """Compact JSON text for people and models to read, hence not escaped to ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def read_object(text: str) -> JSONObject | None:
    """The object that JSON text spells; None when it spells none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict else None


def modality(value: JSON) -> str:
    """The name of a modality that may come as a number."""
    if type(value) is int and 0 <= value < len(_MODALITIES):
        return _MODALITIES[value]
    return value if type(value) is str else ""

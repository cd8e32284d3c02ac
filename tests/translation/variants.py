"""Recorded bodies as they might have been: fields gone, null, unknown or of another type, odd texts and numbers."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_JUNK = (
    None, "", 0, 5, -1, 1.5, True, False, [], {}, "x", [[]], [{}], {"a": 1}, ["x"], {"type": "text"}, {"index": 0},
    {"text": "t"}, [{"type": "text", "text": "t"}], [None],
)  # fmt: skip
_TEXTS = (
    "", " ", "\n", "\u2028\u2029", "\x00\x1b", "\U0001f9d1\u200d\U0001f680", "e\u0301 \u202e \ufeff", "日本語", "{", '{"a":', "null", "[]",
    '"text"', "<|end|>", "\\u0000", "x" * 3000, "[" * 500, '{"a":' * 300 + "1" + "}" * 300, "data: [DONE]", "-0",
)  # fmt: skip
_NUMBERS = (0, -1, 2**31, 2**53 + 1, 10**25, -(10**25), 1e308, 5e-324, 0.1, -0.0)
_UNKNOWN = (
    "x_new_field",
    "type",
    "id",
    "index",
    "name",
    "content",
    "text",
    "role",
    "cache_control",
    "parts",
    "thought",
)


def variant(body: dict, random: Random, changes: int) -> dict:
    """A copy of the body with some random changes at any depth."""
    body = copy.deepcopy(body)
    for _ in range(changes):
        places = [*_places(body)]
        if places:
            _change(*random.choice(places), random)
    return body


def _change(container: dict | list, key: str | int, random: Random) -> None:
    kind = random.randrange(6)
    present = container[key] if isinstance(container, list) or key in container else None
    if kind == 0:
        container.pop(key)  # type: ignore[arg-type]
    elif kind == 1 and isinstance(container, dict):
        container[random.choice(_UNKNOWN)] = copy.deepcopy(random.choice(_JUNK))
    elif kind == 2:
        container[key] = None
    elif kind == 3 and isinstance(present, str):
        container[key] = random.choice(_TEXTS)
    elif kind == 4 and isinstance(present, (int, float)):
        container[key] = random.choice(_NUMBERS)
    elif isinstance(container, list) and random.random() < 0.5:
        container.insert(random.randrange(len(container) + 1), copy.deepcopy(random.choice([*container, *_JUNK])))
    else:
        container[key] = copy.deepcopy(random.choice(_JUNK))


def _places(value: object) -> Iterator[tuple[dict | list, str | int]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def unknown_everywhere(value: object) -> object:
    """A copy with a field that nobody knows in every object, of whatever depth."""
    if isinstance(value, dict):
        return {**{key: unknown_everywhere(item) for key, item in value.items()}, "x_unknown": {"deep": [1, None]}}
    return [unknown_everywhere(item) for item in value] if isinstance(value, list) else value


def plain(value: object) -> object:
    """The value as JSON text gives it."""
    return json.loads(json.dumps(value))

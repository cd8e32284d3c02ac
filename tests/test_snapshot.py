from __future__ import annotations

import enum
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import NamedTuple

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aistrale
from aistrale.snapshot import MOST_TEXT, redacted, snapshot
from aistrale.types import Choice


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


class Model(pydantic.BaseModel):
    """A pydantic model, with a secret or two."""

    name: str
    hidden: str = pydantic.Field("x", repr=False)
    key: pydantic.SecretStr = pydantic.SecretStr("s")


@dataclass
class Data:
    """A dataclass, with a secret."""

    name: str
    inner: object = None
    hidden: str = field(default="x", repr=False)


class Pair(NamedTuple):
    """A tuple with names."""

    a: int
    b: str


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = uuid.UUID(int=5)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (2**100, "<int>"),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("text", "text"),
        (b"bytes", "<bytes>"),
        (Decimal("1.50"), "1.50"),
        (WHEN, "2026-01-02 03:04:05+00:00"),
        (ID, str(ID)),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "red"),
        ([1, (2, {3})], [1, [2, [3]]]),
        ({"a": {1: None}, Colour.RED: 2, None: 3, (1, 2): 4}, {"a": {"1": None}, "red": 2, "None": 3, "<tuple>": 4}),
        (Pair(1, "b"), [1, "b"]),
        (Data("a", Data("b")), {"name": "a", "inner": {"name": "b", "inner": None}}),
        (Model(name="a"), {"name": "a", "key": "<SecretStr>"}),
        (aistrale.Message.user("Hi"), {"role": "user", "text": "Hi"}),
        (aistrale.Completion(choices=[Choice(aistrale.Message.assistant("Yes"))]), "Yes"),
        (object(), "<object>"),
        (Data, "<type>"),
        (len, "<builtin_function_or_method>"),
        (range(3), "<range>"),
        ((each for each in ()), "<generator>"),
    ],
)  # fmt: skip
def test_data_is_taken_as_it_is_and_of_everything_else_the_type(value, said):
    assert snapshot(value) == said


def test_long_deep_and_circular_values_are_cut():
    ring: list[object] = []
    ring.append(ring)
    assert json.dumps(snapshot(ring)).count("[") == 8
    assert len(snapshot(list(range(10_000)))) == 101
    assert len(snapshot({number: number for number in range(10_000)})) == 101
    assert len(json.dumps(snapshot([[["word " * 5] * 100] * 100] * 100))) < 100_000
    assert len(json.dumps(snapshot(["word " * 10_000] * 100))) < 150_000
    assert len(redacted(snapshot("word " * 10_000), str)) == MOST_TEXT + 3


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
    ),
    max_leaves=20,
)


@given(VALUES)
def test_anything_becomes_json(value):
    assert json.loads(json.dumps(snapshot(value), allow_nan=False)) == snapshot(value)
    json.dumps(redacted(snapshot(value), lambda text: text[:3]), allow_nan=False)


@given(VALUES)
def test_redacting_nothing_changes_nothing(value):
    assert redacted(snapshot(value), lambda text: text) == snapshot(value)


def test_a_value_is_looked_at_with_its_name():
    seen = []

    def redact(text):
        seen.append(text)
        return text.replace("secret", "[[X]]")

    said = redacted(
        {"key": "a secret", "list": ["secret", {"secret": "secret"}], "number": 12345678, "small": 5}, redact
    )
    assert said == {"key": "a [[X]]", "list": ["[[X]]", {"[[X]]": "[[X]]"}], "number": 12345678, "small": 5}
    assert {"key: a secret", "list: secret", "secret: secret", "number: 12345678"} <= {*seen}
    assert "small: 5" not in seen


def test_a_number_that_is_sensitive_becomes_text():
    assert redacted([4111111111111111], lambda text: text.replace("4111111111111111", "[[CARD_1]]")) == ["[[CARD_1]]"]


def test_a_value_on_the_edge_goes_as_a_whole():
    value = "x" * (MOST_TEXT - 3) + " joe@example.com" + "y" * 10_000
    said = redacted(snapshot(value), lambda text: text.replace("joe@example.com", "[[EMAIL_1]]"))
    assert "joe" not in said
    assert said.endswith(" [[...")

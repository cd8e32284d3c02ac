from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from aistrale.testing.instance import described, instance


class Colour(Enum):
    red = "r"
    green = "g"


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=3, max_length=8)
    colour: Colour
    kind: Literal["leaf"]


class Tree(BaseModel):
    label: str
    children: list[Tree]
    parent: Tree | None


class Cat(BaseModel):
    type: Literal["cat"]
    lives: int = Field(gt=6, le=9)


class Dog(BaseModel):
    type: Literal["dog"]
    tricks: list[str] = Field(min_length=2)


class Everything(BaseModel):
    leaf: Leaf
    pet: Annotated[Cat | Dog, Field(discriminator="type")]
    either: int | str
    perhaps: float | None
    pair: tuple[int, str, bool]
    scores: dict[str, float]
    day: date
    moment: datetime
    key: UUID
    four: IPv4Address
    six: IPv6Address
    money: Decimal
    code: str = Field(pattern=r"^[A-Z]{2}-\d{3,5}(?:-[a-z]+)?$")
    share: float = Field(gt=0, lt=1)
    even: int = Field(ge=7, multiple_of=2)
    below: int = Field(le=-5)
    few: set[int] = Field(min_length=3)
    choices: list[Literal["a", "b"]] = Field(min_length=3, max_length=3)
    empty: list[int] = Field(max_length=0)
    anything: object


@pytest.mark.parametrize(
    "type_", [Everything, Leaf, Tree, Cat | Dog, list[Leaf], dict[str, Leaf], int, bool, None, Literal[5, "x"]]
)
def test_the_document_fits_the_type(type_):
    adapter = TypeAdapter(type_)
    schema = adapter.json_schema()
    document = instance(schema)
    adapter.validate_python(document) if type_ is None else adapter.validate_json(__import__("json").dumps(document))
    assert instance(schema) == document


def test_alternatives_that_share_fields_are_merged():
    schema = {
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "anyOf": [{"$ref": "#/$defs/b"}],
        "allOf": [{"properties": {"c": {"const": 3}}, "required": ["c"]}],
        "$defs": {"b": {"properties": {"b": {"enum": ["x", "y"]}}, "required": ["b"]}},
    }
    assert instance(schema) == {"a": 1, "c": 3, "b": "x"}


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({}, "text"),
        (True, "text"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "STRING"}, "text"),
        ({"type": "object"}, {}),
        ({"required": ["a"]}, {"a": "text"}),
        ({"type": "object", "minProperties": 2}, {"key1": "text", "key2": "text"}),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": [], "minProperties": 1}, {"a": "text"}),
        ({"items": {"type": "null"}}, [None]),
        ({"prefixItems": [{"type": "integer"}, {"const": "x"}]}, [1, "x"]),
        ({"type": "array", "uniqueItems": True, "minItems": 2, "items": {"enum": [5, 6]}}, [5, 6]),
        ({"type": "array", "uniqueItems": True, "minItems": 2, "items": {"type": "string"}}, ["text", "text2"]),
        ({"minimum": 10}, 10),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 1),
        ({"type": "number", "maximum": 0, "exclusiveMaximum": True}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"type": "number", "multipleOf": 0.5, "minimum": 2.2}, 2.5),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "pattern": "["}, "text"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, 1),
        ({"$ref": "#/nowhere"}, "text"),
        ({"$ref": "#"}, None),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, True),
    ],
)
def test_small_schemas(schema, document):
    assert instance(schema) == document


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}$", r"^[^a-z]+$", r"^(red|green)$", r"^a.c$", r"^[\w.]+@[\w.]+$", r"x{3}", r"^\S\s\D\W$", r"^(?:ab)*c$",
        r"^[^\d\s]$", r"^(?!no)yes$", r"^[A-F0-9]{8}$", r"^a[^a]$", r"^(?=.{5,})[a-z]+$", "^$",
    ],
)  # fmt: skip
def test_texts_follow_patterns(pattern):
    text = instance({"type": "string", "pattern": pattern})
    assert re.search(pattern, text), text


bounds = st.none() | st.integers(-50, 50) | st.floats(-50, 50).map(lambda value: round(value, 2))


@given(bounds, bounds, st.booleans())
def test_numbers_keep_within_their_bounds(low, high, whole):
    if whole:
        low, high = (None if value is None else int(value) for value in (low, high))
    assume(low is None or high is None or low <= high)
    schema = {"type": "integer" if whole else "number", "minimum": low, "maximum": high}
    value = instance({name: bound for name, bound in schema.items() if bound is not None})
    assert low is None or value >= low
    assert high is None or value <= high
    assert isinstance(value, int) or not whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
WORDS = ["type", "properties", "items", "anyOf", "allOf", "oneOf", "$ref", "required", "enum", "pattern", "minItems",
         "uniqueItems", "prefixItems", "minimum", "multipleOf", "minProperties", "format", "maxLength"]  # fmt: skip
nonsense = st.dictionaries(
    st.sampled_from(WORDS), json_values | st.dictionaries(st.sampled_from(WORDS), json_values), max_size=5
)


@given(nonsense)
def test_no_schema_is_too_odd(schema):
    __import__("json").dumps(instance(schema))


def test_a_schema_in_words():
    assert described('Use this JSON Schema: {"type": "null"}. Thanks') == {"type": "null"}
    assert described("JSON Schema: soon") is None
    assert described("Hello") is None

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, TypeAdapter

from aistrale.core.schema import SUBSETS, Inexpressible, lower_schema, restore
from aistrale.testing.brain import instance


class Bounded(BaseModel):
    a: int = Field(ge=3, description="A number.")


class Inner(BaseModel):
    a: int
    note: str | None = None
    tags: list[str] = []


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


class Outer(BaseModel):
    name: str = Field(min_length=2, pattern="^[A-Z]")
    kind: Literal["big", "small"] = "big"
    inner: Inner | None = None
    pair: tuple[int, str] | None = None
    count: int = 5


TYPES = [Inner, Tree, list[int], list[Inner], int | str, Literal["a", "b"], RootModel[list[Inner]], int, bool | None]


def walk(schema):
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from walk(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from walk(value)


@pytest.mark.parametrize("provider", [*SUBSETS, "huggingface", "local"])
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_an_answer_to_the_lowered_schema_fits_the_type(provider, kind):
    adapter = TypeAdapter(kind)
    if kind is Tree and provider == "anthropic":
        pytest.skip("Anthropic refuses recursion; tested on its own")
    lowered = lower_schema(adapter.json_schema(), provider)
    document = instance(lowered.schema)
    adapter.validate_python(restore(json.loads(json.dumps(document)), lowered))


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_openais_strict_rules_hold_everywhere(kind):
    lowered = lower_schema(TypeAdapter(kind).json_schema(), "openai")
    assert lowered.schema["type"] == "object"
    for node in walk(lowered.schema):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        assert not node.keys() & {"default", "allOf", "oneOf", "minLength"} - set(node.get("properties", {}))


def test_what_cannot_be_enforced_moves_into_the_description():
    lowered = lower_schema(Bounded.model_json_schema(), "anthropic")
    assert lowered.schema["properties"]["a"]["description"] == "A number. (minimum: 3)"
    assert lowered.notes == ["schema.a.minimum"]
    strict = lower_schema({"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}, "openai")
    assert "minLength: 2" in strict.schema["properties"]["a"]["description"]


def test_it_agrees_with_the_official_sdk_where_all_is_required():
    pydantic_helper = pytest.importorskip("openai.lib._pydantic")

    class Plain(BaseModel):
        a: int
        b: list[Literal["x", "y"]]

    assert lower_schema(Plain.model_json_schema(), "openai").schema == pydantic_helper.to_strict_json_schema(Plain)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {"type": "string"}}},
        {"type": "array", "items": True},
    ],
)
@pytest.mark.parametrize("provider", ["openai", "groq", "anthropic"])
def test_free_form_objects_are_refused_where_objects_must_be_closed(provider, schema):
    with pytest.raises(Inexpressible) as caught:
        lower_schema(schema, provider)
    assert caught.value.path.startswith("schema")
    assert lower_schema(schema, "huggingface").schema == schema


def test_an_object_without_any_property_can_be_said():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    assert lower_schema(schema, "openai").schema["properties"] == {}


def test_intersections_are_written_as_one():
    schema = {
        "allOf": [
            {"$ref": "#/$defs/A"},
            {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        ],
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    }
    assert lower_schema(schema, "openai").schema["properties"].keys() == {"a", "b"}


def test_nulls_that_mean_absent_are_dropped_and_real_ones_kept():
    lowered = lower_schema(
        Outer.model_json_schema()
        | {
            "properties": {
                "kind": {"type": "string"},
                "maybe": {"type": ["string", "null"]},
                "deep": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "null"}}},
                },
            },
            "required": [],
        },
        "openai",
    )
    value = {"kind": None, "maybe": None, "deep": [{"x": None, "y": None}]}
    assert restore(value, lowered) == {"maybe": None, "deep": [{"y": None}]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
schemas = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 2}, {"enum": ["a", None]}, {"const": 5}, {}]),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(
            lambda items, needed: {"type": "object", "properties": items, "required": list(items)[:needed]},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.integers(0, 3),
        ),
        st.builds(lambda items: {"anyOf": items}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=6,
)


@given(schemas, st.sampled_from(sorted(SUBSETS)), json_values)
def test_any_schema_is_lowered_or_refused_and_the_source_is_not_changed(schema, provider, value):
    before = json.dumps(schema)
    try:
        lowered = lower_schema(schema, provider)
    except Inexpressible:
        return
    finally:
        assert json.dumps(schema) == before
    restore(value, lowered)
    restore(instance(lowered.schema), lowered)

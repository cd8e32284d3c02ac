from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.schema_check import MISSING, Checker, lookup, resolve, same

OBJECT = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/$defs/b"}},
    "required": ["a"],
    "$defs": {"b": {"type": "string", "minLength": 2}},
}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, -3, 2.0], [1.5, True, "1", None]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"type": "boolean"}, [True], [1, 0, None]),
        ({"type": ["string", "null"]}, ["", None], [0, []]),
        ({"type": "unheard-of"}, [1, None], []),
        ({"const": 1}, [1, 1.0], [True, "1"]),
        ({"const": {"a": [1, None]}}, [{"a": [1, None]}], [{"a": [True, None]}, {}, {"a": [1, None], "b": 1}]),
        ({"enum": ["a", None, False]}, ["a", None, False], ["b", 0, ""]),
        ({"minimum": 2, "maximum": 4}, [2, 4, "9"], [1, 5]),
        ({"exclusiveMinimum": 2, "exclusiveMaximum": 4}, [3], [2, 4]),
        ({"multipleOf": 0.1}, [0.3, 1, "x"], [0.35]),
        ({"multipleOf": 3}, [9, 0], [10]),
        ({"minLength": 2, "maxLength": 3}, ["ab", "abc", 5], ["a", "abcd"]),
        ({"pattern": "b+"}, ["abc", 5], ["ac"]),
        ({"pattern": "(?<"}, ["anything"], []),
        ({"minItems": 1, "maxItems": 2}, [[1], [1, 2], {}], [[], [1, 2, 3]]),
        ({"uniqueItems": True}, [[1, True, "1", [1]], []], [[1, 1.0], [{"a": 1}, {"a": 1}]]),
        ({"items": {"type": "null"}}, [[], [None], "x"], [[None, 1]]),
        ({"prefixItems": [{"type": "null"}], "items": {"type": "integer"}}, [[], [None, 1]], [[1], [None, "x"]]),
        ({"prefixItems": [{}], "items": False}, [[1]], [[1, 2]]),
        ({"items": [{"type": "null"}], "additionalItems": False}, [[None]], [[None, 1], [1]]),
        ({"contains": {"const": 1}}, [[0, 1], {}], [[], [2]]),
        (OBJECT, [{"a": 1}, {"a": 1, "b": "xx", "c": 1}], [{}, {"a": "1"}, {"a": 1, "b": "x"}, []]),
        ({"additionalProperties": False, "properties": {"a": {}}}, [{"a": 1}, {}], [{"b": 1}]),
        ({"additionalProperties": {"type": "integer"}}, [{"x": 1}], [{"x": "1"}]),
        ({"patternProperties": {"^n": {"type": "integer"}}, "additionalProperties": False}, [{"n1": 1}], [{"n1": ""}, {"x": 1}]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["", 5], [4]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, [1, 5.5], [6, 4.5]),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, [6], [4, 5.5]),
        ({"not": {"type": "string"}}, [1], ["x"]),
        ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, ["ab", 2], ["a", 1]),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, ["ab", 1], ["a"]),
        ({"$ref": "#/$defs/x", "maximum": 3, "$defs": {"x": {"type": "integer"}}}, [3], [4, "x"]),
        ({"$ref": "https://example.org/x"}, [1], []),
        ({"$ref": "#"}, [1], []),
        ({"anyOf": [{"$ref": "#"}]}, [1], []),
        ({}, [1, None, {}], []),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_keywords(schema, good, bad):
    checker = Checker(schema)
    for value in good:
        assert list(checker.problems(value, schema, "v")) == [], value
        assert checker.fits(value, schema)
    for value in bad:
        assert list(checker.problems(value, schema, "v")), value
        assert not checker.fits(value, schema)


def test_boolean_schemas():
    assert Checker({}).fits(1, True)
    assert not Checker({}).fits(1, False)


def test_places_are_named_by_the_schemas_own_names():
    schema = {
        "properties": {"list": {"items": {"properties": {"x": {"type": "null"}}, "required": ["y"]}}},
        "additionalProperties": {"type": "null"},
    }
    found = list(Checker(schema).problems({"list": [{"x": 1}], "secret": 1}, schema, "output"))
    assert found == [
        ("output.list[0].y", "missing"),
        ("output.list[0].x", "not of type null"),
        ("output.*", "not of type null"),
    ]


def test_null_may_stand_for_absent():
    lenient = Checker(OBJECT, absent_nulls=True)
    assert lenient.fits({"a": 1, "b": None}, OBJECT)
    assert not lenient.fits({"a": None}, OBJECT)
    assert not Checker(OBJECT).fits({"a": 1, "b": None}, OBJECT)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", "root"),
        ("#/$defs/a~1b", 1),
        ("#/$defs/c~0d", 2),
        ("#/$defs/e%20f", 3),
        ("#/list/1", "second"),
        ("#/list/9", MISSING),
        ("#/list/x", MISSING),
        ("#/nowhere", MISSING),
        ("#anchor", MISSING),
        ("other.json#/x", MISSING),
    ],
)
def test_references(reference, found):
    root = {"$defs": {"a/b": 1, "c~d": 2, "e f": 3}, "list": ["first", "second"]}
    assert lookup(root, reference) == (root if found == "root" else found)


def test_chains_of_references_end():
    root = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "null"}, "x": {"$ref": "#/$defs/x"}}}
    assert resolve(root, {"$ref": "#/$defs/a"}) == {"type": "null"}
    assert resolve(root, {"$ref": "#/$defs/x"}) is None
    assert resolve(root, {"$ref": "#/nowhere"}) is None


def test_nested_unions_cost_no_more_than_their_parts():
    branch = {"type": "object", "properties": {"next": {"$ref": "#"}, "end": {"type": "integer"}}}
    schema = {"anyOf": [{**branch, "required": ["next"]}, {**branch, "required": ["next", "next"]}, {"type": "null"}]}
    value = {"next": {"end": "wrong"}}
    for _ in range(50):
        value = {"next": value}
    begun = time.perf_counter()
    assert not Checker(schema).fits(value, schema)
    assert time.perf_counter() - begun < 2


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@given(values, values)
def test_equality_is_that_of_json(one, other):
    def tagged(value):
        """Python's equality, once true and 1 are told apart."""
        if isinstance(value, bool):
            return ("boolean", value)
        if isinstance(value, list):
            return [tagged(item) for item in value]
        return {name: tagged(item) for name, item in value.items()} if isinstance(value, dict) else value

    assert same(one, other) == (tagged(one) == tagged(other))
    schema = {"uniqueItems": True}
    assert Checker(schema).fits([one, other], schema) == (not same(one, other))

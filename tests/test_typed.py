from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from aistrale.errors import ConfigurationError, OutputValidationError
from aistrale.typed import output_format, parse_output, repair_message
from aistrale.types import OutputFormat

CANARY = "the secret value"


class City(BaseModel):
    """A city."""

    name: str
    people: int


class Strict(BaseModel, extra="forbid"):
    a: int


class Even(BaseModel):
    a: int

    @model_validator(mode="after")
    def check(self) -> Even:
        if self.a % 2:
            raise ValueError(f"{self.a} is odd")
        return self


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    a: int


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (City, '{"name": "Oslo", "people": 700000}', City(name="Oslo", people=700000)),
        (Point, '{"x": 1}', Point(1)),
        (Row, '{"a": 1}', {"a": 1}),
        (list[int], "[1, 2]", [1, 2]),
        (int | None, "null", None),
        (Literal["a", "b"], '"a"', "a"),
        (Annotated[int, Field(ge=1)], "3", 3),
    ],
)
def test_any_type_can_be_the_output(kind, text, value):
    made = output_format(kind)
    assert made.kind == "json_schema"
    assert made.schema
    assert parse_output(kind, text) == value


def test_names_and_descriptions_come_from_the_type():
    made = output_format(City)
    assert (made.name, made.description) == ("City", "A city.")
    assert output_format({"title": "My thing!", "type": "object"}).name == "My_thing_"
    whole = OutputFormat("json_object")
    assert output_format(whole) is whole


@pytest.mark.parametrize("wrong", [5, "text", object(), lambda: None])
def test_what_is_no_type_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        output_format(wrong)
    assert caught.value.field == "output"


@pytest.mark.parametrize(
    ("kind", "text", "path"),
    [
        (City, f'{{"name": "{CANARY}", "people": "{CANARY}"}}', "output.people"),
        (City, f'{{"name": "{CANARY}"}}', "output.people: missing"),
        (list[City], f'[{{"name": "{CANARY}", "people": []}}]', "output[0].people"),
        (City, CANARY, "output: no JSON"),
        (City, "", "output: empty"),
        (City, "[" * 100_000, "output"),
    ],
)
def test_what_does_not_fit_is_named_and_never_shown(kind, text, path):
    with pytest.raises(OutputValidationError) as caught:
        parse_output(kind, text)
    assert path in str(caught.value)
    assert CANARY not in str(caught.value) + repr(caught.value) + repair_message(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "b": {"type": ["string", "null"]},
        "c": {"enum": [1, 2]},
        "d": {"const": True},
        "e": {"type": "array", "items": {"$ref": "#/$defs/x"}},
        "f": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["g"]}]},
    },
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"x": {"type": "number"}},
}


def test_a_schema_is_checked_without_a_type():
    value = {"a": 1, "b": None, "c": 2, "d": True, "e": [1.5, 2], "f": {"g": 1}}
    assert parse_output(SCHEMA, json.dumps(value)) == value
    assert parse_output(OutputFormat("json_schema", SCHEMA), json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{}", "output.a: missing"),
        ('{"a": true}', "output.a: not of type integer"),
        ('{"a": 1.5}', "output.a: not of type integer"),
        ('{"a": 1, "b": 5}', "output.b: not of type string or null"),
        ('{"a": 1, "c": 3}', "output.c: not one of"),
        ('{"a": 1, "d": false}', "output.d: not the constant"),
        ('{"a": 1, "e": [1, "x"]}', "output.e[1]: not of type number"),
        ('{"a": 1, "f": {}}', "output.f: fits none"),
        ('{"a": 1, "z": 1}', "does not allow"),
        ("[]", "output: not of type object"),
    ],
)
def test_what_does_not_fit_a_schema_is_named(text, path):
    with pytest.raises(OutputValidationError) as caught:
        parse_output(SCHEMA, text)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "path"),
    [
        (dict[str, int], f'{{"{CANARY}": "x"}}', "output.*: int_parsing"),
        (dict[str, City], f'{{"{CANARY}": {{"name": "a", "people": "x"}}}}', "output.*.people: int_parsing"),
        (Strict, f'{{"a": 1, "{CANARY}": 2}}', "output.*: extra_forbidden"),
        (list[Strict | City], '[{"a": "x"}]', "output[0].Strict.a: int_parsing"),
        (Even, '{"a": 1}', "output: value_error"),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            f'{{"{CANARY}": "x"}}',
            "output.*: not of type",
        ),
        (
            {"type": "object", "patternProperties": {"^t": {"type": "null"}}},
            f'{{"{CANARY}": 1}}',
            "output.*: not of type",
        ),
        ({"type": "object", "additionalProperties": False}, f'{{"{CANARY}": 1}}', "output: has a property"),
        ({"enum": ["a"]}, f'"{CANARY}"', "output: not one of"),
    ],
)
def test_names_that_the_answer_made_up_are_not_shown_either(kind, text, path):
    with pytest.raises(OutputValidationError) as caught:
        parse_output(kind, text)
    assert path in str(caught.value)
    assert CANARY not in str(caught.value) + repair_message(caught.value)


def test_many_problems_are_counted():
    with pytest.raises(OutputValidationError, match=r"output\[4\].*and 15 more"):
        parse_output(list[int], json.dumps(["x"] * 20))
    with pytest.raises(OutputValidationError, match="and 95 more"):
        parse_output({"type": "array", "items": {"type": "null"}}, json.dumps([1] * 5000))


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity"])
def test_what_only_python_calls_json_is_none(text):
    with pytest.raises(OutputValidationError, match="no JSON"):
        parse_output({}, text)


def test_output_formats_without_a_schema():
    assert parse_output(OutputFormat("text"), "any words") == "any words"
    assert parse_output(OutputFormat("json_object"), '{"a": [1]}') == {"a": [1]}
    with pytest.raises(OutputValidationError, match="not of type object"):
        parse_output(OutputFormat("json_object"), "[1]")


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "json_object"}, "output.type"),
        ({"type": str}, "output.type"),
        ({"type": "object", "properties": {"a": int}}, "output"),
        ({1: 2}, "output"),
        (OutputFormat("json_schema"), "output"),
    ],
)
def test_what_is_no_schema_is_refused(schema, field):
    with pytest.raises(ConfigurationError) as caught:
        output_format(schema)
    assert caught.value.field == field


def test_the_error_shows_no_value_that_was_given_by_mistake():
    with pytest.raises(ConfigurationError) as caught:
        output_format(CANARY)
    assert CANARY not in str(caught.value)
    assert "type str" in str(caught.value)


def test_a_default_that_json_cannot_say_makes_no_noise():
    class Holder(BaseModel):
        kind: type = int
        other: object = object()

    class Fine(BaseModel):
        a: int = 1
        b: set[int] = {1}

    assert output_format(Fine).schema["properties"]["a"]["default"] == 1
    with pytest.raises(ConfigurationError):
        output_format(Holder)


def test_aliases_are_what_the_model_sees_and_what_errors_name():
    class Aliased(BaseModel):
        inner: int = Field(alias="outerName")

    assert list(output_format(Aliased).schema["properties"]) == ["outerName"]
    assert parse_output(Aliased, '{"outerName": 3}').inner == 3
    with pytest.raises(OutputValidationError, match=r"output\.outerName: missing"):
        parse_output(Aliased, "{}")

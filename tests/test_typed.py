from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from aistrale.errors import ConfigurationError, OutputValidationError
from aistrale.typed import (
    call_arguments,
    output_format,
    parse_output,
    repair_message,
    result_text,
    tool_from_function,
    tools_from,
)
from aistrale.types import OutputFormat, Tool

CANARY = "the secret value"


class City(BaseModel):
    """A city."""

    name: str
    people: int


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    a: int


def search(query: str, limit: int = 5, kind: Literal["a", "b"] = "a") -> list[str]:
    """Search the archive.

    More words that are not the summary.

    Args:
        query: What to look for,
            in plain words.
        limit (int): How many.

    Returns:
        The titles.
    """
    return [query] * limit


async def later(when: Annotated[int, Field(description="Seconds.", ge=0)]) -> int:
    """Wait."""
    return when


def numpy_style(first: int, second: str = "x"):
    """Do it.

    Parameters
    ----------
    first : int
        The first one.
    second : str
        The second,
        on two lines.

    Returns
    -------
    int
    """


def sphinx_style(first: int, second: str = "x"):
    """Do it.

    :param first: The first one.
    :param str second: The second,
        on two lines.
    :returns: nothing
    """


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
    import json

    assert parse_output(SCHEMA, json.dumps(value)) == value
    assert parse_output(OutputFormat("json_schema", SCHEMA), json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{}", "output.a: missing"),
        ('{"a": true}', "output.a: no integer"),
        ('{"a": 1.5}', "output.a: no integer"),
        ('{"a": 1, "b": 5}', "output.b: no string or null"),
        ('{"a": 1, "c": 3}', "output.c: not one of"),
        ('{"a": 1, "d": false}', "output.d: not the constant"),
        ('{"a": 1, "e": [1, "x"]}', "output.e[1]: no number"),
        ('{"a": 1, "f": {}}', "output.f: fits none"),
        ('{"a": 1, "z": 1}', "does not allow"),
        ("[]", "output: no object"),
    ],
)
def test_what_does_not_fit_a_schema_is_named(text, path):
    with pytest.raises(OutputValidationError) as caught:
        parse_output(SCHEMA, text)
    assert path in str(caught.value)


def test_a_function_is_a_tool():
    tool = tool_from_function(search)
    assert (tool.name, tool.description) == ("search", "Search the archive.")
    properties = tool.parameters["properties"]
    assert properties["query"] == {"type": "string", "description": "What to look for, in plain words."}
    assert properties["limit"]["description"] == "How many."
    assert properties["kind"]["enum"] == ["a", "b"]
    assert tool.parameters["required"] == ["query"]
    assert tool.parameters["additionalProperties"] is False


def test_annotations_describe_too_and_async_functions_are_tools():
    assert tool_from_function(later).parameters["properties"]["when"]["description"] == "Seconds."


@pytest.mark.parametrize("function", [numpy_style, sphinx_style])
def test_other_docstring_styles(function):
    tool = tool_from_function(function)
    assert tool.description == "Do it."
    descriptions = {name: item["description"] for name, item in tool.parameters["properties"].items()}
    assert descriptions == {"first": "The first one.", "second": "The second, on two lines."}


def test_methods_and_callables_are_tools():
    class Shop:
        def price(self, item: str) -> int:
            """The price."""
            return len(item)

        def __call__(self, item: str) -> int:
            return 1

    assert tool_from_function(Shop().price).parameters["required"] == ["item"]
    assert call_arguments(tool_from_function(Shop().price), '{"item": "x"}') == {"item": "x"}


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda *x: x, lambda **x: x, eval("lambda x, /: x")],
    ids=["bare", "args", "kwargs", "pos"],
)
def test_functions_that_cannot_be_described_are_refused(function):
    with pytest.raises(ConfigurationError, match="parameter x") as caught:
        tool_from_function(function)
    assert caught.value.field == "tools"


def test_definitions_in_every_providers_shape():
    schema = {"type": "object", "properties": {}}
    made = tools_from(
        [
            {
                "type": "function",
                "function": {"name": "chat", "description": "d", "parameters": schema, "strict": True},
            },
            {"type": "function", "name": "responses", "parameters": schema},
            {"name": "anthropic", "input_schema": schema},
            {"name": "bare"},
            Tool("ours"),
            search,
        ]
    )
    assert [tool.name for tool in made] == ["chat", "responses", "anthropic", "bare", "ours", "search"]
    assert (made[0].strict, made[2].parameters) == (True, schema)


def test_hosted_tools_keep_their_definition_and_dialect():
    made = tools_from([{"type": "web_search_20250305", "name": "web_search"}, {"type": "web_search"}])
    assert [tool.wire.dialect for tool in made] == ["anthropic_messages", "openai_responses"]
    assert made[0].hosted["type"] == "web_search_20250305"


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([5], "tools[0]"),
        ("search", "tools"),
        (search, "tools"),
        ([{"name": "two words"}], "tools[0]"),
        ([{"name": "a"}, {"name": "a"}], "tools[1]"),
        ([{"parameters": {}}], "tools[0].name"),
        ([{"name": "a", "parameters": []}], "tools[0].parameters"),
        ([{"name": "x" * 65}], "tools[0]"),
    ],
)
def test_wrong_tools_are_named(tools, field):
    with pytest.raises(ConfigurationError) as caught:
        tools_from(tools)
    assert caught.value.field == field


def test_arguments_are_coerced_and_defaults_left_to_the_function():
    tool = tool_from_function(search)
    assert call_arguments(tool, '{"query": "x", "limit": "3"}') == {"query": "x", "limit": 3}
    assert call_arguments(tool, '{"query": "x"}') == {"query": "x"}
    assert call_arguments(Tool("raw"), '{"any": [1]}') == {"any": [1]}
    assert call_arguments(Tool("raw"), "") == {}


@pytest.mark.parametrize("arguments", ["[]", "{", '{"query": 5, "x": 1}', "{}"])
def test_wrong_arguments_are_told_to_the_model(arguments):
    with pytest.raises(ValueError, match="arguments"):
        call_arguments(tool_from_function(search), arguments)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        (City(name="Zürich", people=1), '{"name":"Zürich","people":1}'),
        (None, "null"),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_results_become_text(value, text):
    assert result_text(value) == text

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from aistrale.dialects import CHAT, chat_dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.errors import ConfigurationError
from aistrale.functions import call_arguments, result_text, tool_from_function, tools_from
from aistrale.types import Message, Request, Tool


class City(BaseModel):
    name: str
    people: int


@dataclass
class Point:
    x: int
    y: int = 0


class Opaque:
    def __str__(self):
        return "opaque"


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


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


def positional_only(x, /):
    return x


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
    [lambda x: x, lambda *x: x, lambda **x: x, positional_only],
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
        ({1}, "[1]"),
        ([City(name="a", people=1), Point(1)], '[{"name":"a","people":1},{"x":1,"y":0}]'),
        ({"at": date(2026, 1, 2)}, '{"at":"2026-01-02"}'),
        (Opaque(), "opaque"),
        (CIRCLE, "[[...]]"),
    ],
)
def test_results_become_text(value, text):
    assert result_text(value) == text


def test_names_that_pydantic_reserves_are_names_like_others():
    def odd(schema: str, model_config: int, copy: bool, _private: int = 1, model_name: str = "m", self: int = 2):
        return [schema, model_config, copy, _private, model_name, self]

    tool = tool_from_function(odd)
    names = ["schema", "model_config", "copy", "_private", "model_name", "self"]
    assert list(tool.parameters["properties"]) == names
    assert tool.parameters["required"] == names[:3]
    given = call_arguments(tool, '{"schema": "s", "model_config": 1, "copy": true, "_private": 4}')
    assert given == {"schema": "s", "model_config": 1, "copy": True, "_private": 4}
    assert odd(**given) == ["s", 1, True, 4, "m", 2]


def test_a_partial_function_is_the_function_behind_it():
    tool = tool_from_function(functools.partial(search, kind="b"))
    assert (tool.name, tool.description) == ("search", "Search the archive.")
    assert tool.parameters["required"] == ["query"]
    assert call_arguments(tool, '{"query": "x"}') == {"query": "x"}


def test_a_callable_object_that_has_no_hash_is_a_tool():
    @dataclass
    class Shop:
        rate: int

        def __call__(self, item: str) -> int:
            """The price."""
            return self.rate * len(item)

    tool = tool_from_function(Shop(2))
    assert tool.name == "Shop"
    assert call_arguments(tool, '{"item": "x"}') == {"item": "x"}


def test_values_become_what_the_annotations_say():
    def book(day: date, where: City, seats: set[int], level: Annotated[int, Field(ge=1, le=3)] = 1) -> None:
        """Book."""

    tool = tool_from_function(book)
    arguments = '{"day": "2026-01-02", "where": {"name": "Oslo", "people": 1}, "seats": [1, 1, 2]}'
    given = call_arguments(tool, arguments)
    assert given == {"day": date(2026, 1, 2), "where": City(name="Oslo", people=1), "seats": {1, 2}}
    assert tool.parameters["properties"]["level"]["maximum"] == 3
    with pytest.raises(ValueError, match="level: Input should be less than or equal to 3"):
        call_arguments(tool, arguments[:-1] + ', "level": 9}')


def test_a_type_that_pydantic_cannot_describe_is_refused():
    def draw(canvas: Opaque) -> None:
        """Draw."""

    def lost(x: Nowhere) -> None:  # noqa: F821
        """Lost."""

    def default(x: int = Field(5, description="five")) -> None:
        """Five."""

    for function, text in ((draw, "tool draw"), (lost, "tool lost"), (default, "parameter x has a Field")):
        with pytest.raises(ConfigurationError, match=text) as caught:
            tool_from_function(function)
        assert caught.value.field == "tools"
        assert caught.value.hint


@pytest.mark.parametrize(
    ("doc", "summary", "arguments"),
    [
        ("", "", {}),
        ("One line.\nArgs:\n    a: first\n    b (dict[str, tuple[int, str]], optional): second\n", "One line.", {"a": "first", "b": "second"}),
        ("Args:\n    a:\n        on its own line\n    *rest: all others: really\n\nReturns:\n    x: y\n", "", {"a": "on its own line", "rest": "all others: really"}),
        ("Do.\n\nReturns:\n    a: nothing\n", "Do.", {}),
        ("Do.\n:param a: first\n:type a: int\n", "Do.", {"a": "first"}),
        ("Do.\n\nParameters\n----------\na, b : int\n    Both.\n*rest\n    More.\n\nOther Parameters\n----------------\nc : int\n    Not read.\n", "Do.", {"a": "Both.", "b": "Both.", "rest": "More."}),
        ("Two\nlines.\n\nMore.", "Two lines.", {}),
    ],
)  # fmt: skip
def test_docstrings(doc, summary, arguments):
    from aistrale.docstrings import summary_and_arguments

    assert summary_and_arguments(doc) == (summary, arguments)


SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


@pytest.mark.parametrize(
    ("shape", "dialect"),
    [
        ({"type": "function", "function": {"name": "find", "description": "d", "parameters": SCHEMA}}, "openai_chat"),
        ({"type": "function", "name": "find", "description": "d", "parameters": SCHEMA}, "openai_responses"),
        ({"name": "find", "description": "d", "input_schema": SCHEMA}, "anthropic_messages"),
        ({"functionDeclarations": [{"name": "find", "description": "d", "parametersJsonSchema": SCHEMA}]}, "gemini_generate"),
        ({"name": "find", "description": "d", "parameters": SCHEMA}, None),
    ],
)  # fmt: skip
def test_a_function_in_any_shape_goes_to_every_provider_without_loss(shape, dialect):
    (tool,) = tools_from([shape])
    assert (tool.name, tool.description, tool.parameters, tool.wire) == ("find", "d", SCHEMA, None)
    for name in CHAT:
        loss = Loss(on_lossy="error")
        body = chat_dialect(name).encode_request(
            Request(model="m", messages=[Message.user("x")], tools=[tool]), ANY, loss
        )
        (back,) = chat_dialect(name).decode_request(body, model="m").tools
        assert (back.name, back.description, back.parameters) == ("find", "d", SCHEMA)


def test_options_that_only_one_provider_has_stay_with_it():
    (tool,) = tools_from(
        [{"name": "find", "input_schema": SCHEMA, "defer_loading": True, "cache_control": {"type": "ephemeral"}}]
    )
    assert tool.cache is not None
    request = Request(model="m", messages=[Message.user("x")], tools=[tool])
    body = chat_dialect("anthropic_messages").encode_request(request, ANY, Loss())
    assert body["tools"][0]["defer_loading"] is True
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    loss = Loss()
    chat_dialect("openai_chat").encode_request(request, ANY, loss)
    assert {"tools[0].defer_loading", "tools[0].cache"} <= {item.field for item in loss.items}


@pytest.mark.parametrize(
    ("item", "dialect", "name"),
    [
        ({"type": "custom", "custom": {"name": "sql"}}, "openai_chat", "sql"),
        ({"type": "custom", "name": "sql", "format": {"type": "text"}}, "openai_responses", "sql"),
        ({"googleSearch": {}}, "gemini_generate", "google_search"),
        ({"type": "computer_20250124", "name": "computer", "display_width_px": 1}, "anthropic_messages", "computer"),
    ],
)
def test_tools_that_only_one_provider_knows(item, dialect, name):
    (tool,) = tools_from([item])
    assert (tool.hosted, tool.wire.dialect, tool.name) == (item, dialect, name)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"name": "a", "parametres": {}}, "tools[0]"),
        ({"name": "a\n"}, "tools[0]"),
        ({"name": "a", "description": 5}, "tools[0].description"),
        ({"name": "a", "strict": "yes"}, "tools[0].strict"),
        ({"name": "a", "parameters": {"type": "dict"}}, "tools[0].parameters.type"),
        ({"type": "function", "function": {"parameters": {}}}, "tools[0].function.name"),
        ({"type": "function", "function": {"name": "a", "parameters": [1]}}, "tools[0].function.parameters"),
        ({"type": "function", "function": {"name": "a", "parameters": {"a": {1, 2}}}}, "tools[0].parameters"),
        ({"name": "a", "input_schema": []}, "tools[0].input_schema"),
    ],
)
def test_wrong_definitions_are_named(item, field):
    with pytest.raises(ConfigurationError) as caught:
        tools_from([item])
    assert caught.value.field == field


def test_definitions_do_not_load_pydantic():
    code = (
        "import sys\n"
        "from aistrale.functions import tools_from\n"
        "from aistrale.types import Tool\n"
        "tools_from([Tool('a'), {'name': 'b'}, {'type': 'function', 'name': 'c'}])\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

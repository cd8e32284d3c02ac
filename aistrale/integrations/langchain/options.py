"""What LangChain says of a call, as options of ours: the model's fields, what is bound, what is given with a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from langchain_core.utils.function_calling import convert_to_openai_tool

from aistrale.prompts import invalid
from aistrale.types import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.tools import BaseTool

    from aistrale.options import Options
    from aistrale.types import JSONObject

    BindableTool = dict[str, object] | type | Callable[..., object] | BaseTool

FIELDS: Final = (
    "model", "route", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "n", "reasoning",
    "parallel_tool_calls",
)  # fmt: skip
"""Fields of ChatAistrale that are options of ours under the same name."""
# What others call them.
_ALIASES: Final = {
    "timeout": "deadline",
    "request_timeout": "deadline",
    "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop",
    "model_name": "model",
}
# Said to LangChain, or answered for by the model's own fields.
_NOT_OURS: Final = frozenset({"stream", "ls_structured_output_format", "structured_output_format", "max_retries"})


def call_options(own: Mapping[str, object], given: Mapping[str, object], stop: Sequence[str] | None) -> Options:
    """The options of one call; what is given with it stands over the model's own.

    Args:
        own: The model's.
        given: What was bound, or given with the call, in LangChain's words or ours.
        stop: LangChain gives them apart.
    """
    values = {_ALIASES.get(name, name): value for name, value in own.items() if value is not None}
    told = {_ALIASES.get(name, name): value for name, value in given.items() if name not in _NOT_OURS}
    if told.get("model") is not None or told.get("route") is not None or told.get("provider") is not None:
        # Another model than the model's own is meant, and each of the three may say which.
        for name in ("model", "route", "provider"):
            values.pop(name, None)
    values.update({name: value for name, value in told.items() if value is not None})
    if stop:
        values["stop"] = list(stop)
    elif not values.get("stop"):
        values.pop("stop", None)
    if (choice := values.pop("tool_choice", None)) is not None and values.get("tools"):
        values["tool_choice"] = choice_of(choice)
    if (form := values.pop("response_format", None)) is not None:
        values["output"] = output_of(form)
    return cast("Options", values)


def choice_of(choice: object) -> object:
    """A choice of tools in our words.

    Args:
        choice: "any", "required", True, "auto", "none", False, a tool's name, or a table of a provider's that names
            one.
    """
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
        return name or choice_of(choice.get("type", "auto"))
    if choice is True or choice == "any":
        return "required"
    return "none" if choice is False else choice


def tool_table(tool: BindableTool, *, strict: bool | None = None) -> dict[str, object]:
    """A tool's definition; a table in a provider's own words stays as it is.

    Args:
        tool: A BaseTool, a typed function, a pydantic class, a TypedDict, or a table.
        strict: Whether the provider is asked to enforce the schema.
    """
    if isinstance(tool, dict) and ("input_schema" in tool or _hosted(tool)):
        return tool
    return convert_to_openai_tool(tool, strict=strict)


def _hosted(tool: Mapping[str, object]) -> bool:
    """Whether it is a tool that a provider runs itself: "web_search_20250305", "googleSearch", ..."""
    kind = tool.get("type")
    if isinstance(kind, str):
        return kind not in {"function", "object"} and "properties" not in tool
    return "name" not in tool and "title" not in tool and "function" not in tool


def output_of(form: object) -> object:
    """The output that OpenAI's `response_format` asks for; a type or a JSON Schema stays what it is.

    Raises:
        InvalidRequestError: It is of a type that nobody knows.
    """
    if not isinstance(form, dict) or "type" not in form or "properties" in form:
        return form
    kind = form["type"]
    if kind == "json_object":
        return OutputFormat("json_object")
    if kind == "text":
        return OutputFormat("text")
    inner = form.get("json_schema")
    if kind == "json_schema" and isinstance(inner, dict):
        schema = inner.get("schema")
        return OutputFormat(
            "json_schema",
            cast("JSONObject", schema if isinstance(schema, dict) else {"type": "object"}),
            name=cast("str | None", inner.get("name")),
            strict=cast("bool | None", inner.get("strict")),
            description=cast("str | None", inner.get("description")),
        )
    raise invalid("response_format", "must be a schema, or a table of type json_schema, json_object or text")

"""Tools: from typed functions by pydantic, from definitions in any provider's shape, and the values that go in and out.

Imported at first use, and pydantic only for functions.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from aistrale.core.schema_check import properties_of
from aistrale.dialects import chat_dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.docstrings import summary_and_arguments
from aistrale.errors import ConfigurationError
from aistrale.typed import checked_schema, schema_generator
from aistrale.types import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic.fields import FieldInfo

    from aistrale.types import JSONObject

# OpenAI API reference, function names; the narrowest of the providers' rules.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BARE: Final = frozenset({"name", "description", "parameters", "strict"})
_GEMINI_TOOLS: Final = frozenset(
    {"functiondeclarations", "googlesearch", "googlesearchretrieval", "codeexecution", "urlcontext", "filesearch",
     "googlemaps", "computeruse", "mcpservers"}
)  # fmt: skip
# The smallest bodies in which a dialect reads tools.
_BODIES: Final[dict[str, JSONObject]] = {
    "openai_chat": {"model": "", "messages": []},
    "openai_responses": {"model": "", "input": []},
    "anthropic_messages": {"model": "", "max_tokens": 1, "messages": []},
    "gemini_generate": {"contents": []},
}


def tools_from(tools: Sequence[Callable[..., object] | Tool | JSONObject]) -> list[Tool]:
    """Tools from typed functions, Tools, and definitions in any provider's shape.

    Raises:
        ConfigurationError: One of them is no tool, has a bad name, or a name occurs twice; the field names its
            position.
    """
    if isinstance(tools, (str, dict, Tool)) or callable(tools):
        raise ConfigurationError("tools must be a list", field="tools")
    made: list[Tool] = []
    for index, item in enumerate(tools):
        where = f"tools[{index}]"
        for tool in _tools(item, where):
            if tool.hosted is None and not _NAME.fullmatch(tool.name):
                raise ConfigurationError(f"{where}: the name must be 1 to 64 letters, digits, _ or -", field=where)
            if tool.hosted is None and any(tool.name == other.name for other in made):
                raise ConfigurationError(f"{where}: there is another tool named {tool.name}", field=where)
            made.append(tool)
    return made


def _tools(item: object, where: str) -> list[Tool]:
    if isinstance(item, Tool):
        return [item]
    if isinstance(item, dict):
        return _tools_from_dict(cast("JSONObject", item), where)
    if callable(item):
        return [tool_from_function(item)]
    raise ConfigurationError(f"{where} must be a function, a Tool or a tool definition", field=where)


def _tools_from_dict(item: JSONObject, where: str) -> list[Tool]:
    dialect = _dialect_of(item)
    if dialect is None:
        return [_bare_tool(item, where)]
    try:
        request = chat_dialect(dialect).decode_request({**_BODIES[dialect], "tools": [item]}, model="")
    except MalformedBody as error:
        field = where + error.field.removeprefix("tools[0]") if error.field.startswith("tools[0]") else where
        raise ConfigurationError(f"{field} must be {error.expected}", field=field) from error
    for tool in request.tools:
        if tool.parameters is not None:
            checked_schema(tool.parameters, f"{where}.parameters")
    # A function that says nothing beyond what the hub has a word for is the same whoever it is sent to.
    return [
        replace(tool, wire=None) if tool.hosted is None and (tool.wire is None or not tool.wire.fields) else tool
        for tool in request.tools
    ]


def _dialect_of(item: JSONObject) -> str | None:
    """In whose shape a definition is written; None for a bare name, description and parameters."""
    kind = item.get("type")
    if isinstance(item.get("function"), dict) or isinstance(item.get("custom"), dict):
        return "openai_chat"
    if "input_schema" in item or (isinstance(kind, str) and re.search(r"_\d{8}$|^mcp_toolset$", kind)):
        return "anthropic_messages"
    if kind is not None:
        return "openai_responses"
    if any(key.replace("_", "").lower() in _GEMINI_TOOLS for key in item):
        return "gemini_generate"
    return None


def _bare_tool(item: JSONObject, where: str) -> Tool:
    for key in item:
        if key not in _BARE:
            raise ConfigurationError(f"{where} has no field {key!r}; known: {', '.join(sorted(_BARE))}", field=where)
    name, description, strict = item.get("name"), item.get("description"), item.get("strict")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{where}.name must be text", field=f"{where}.name")
    if description is not None and not isinstance(description, str):
        raise ConfigurationError(f"{where}.description must be text", field=f"{where}.description")
    if strict is not None and not isinstance(strict, bool):
        raise ConfigurationError(f"{where}.strict must be true or false", field=f"{where}.strict")
    parameters = item.get("parameters")
    schema = None if parameters is None else checked_schema(parameters, f"{where}.parameters")
    return Tool(name, description, schema, strict=strict)


# --- functions --------------------------------------------------------------------------------------------------------


def tool_from_function(function: Callable[..., object]) -> Tool:
    """A tool from a typed function: its name, its docstring, and a JSON Schema of its parameters.

    Raises:
        ConfigurationError: A parameter has no annotation, is positional-only, or is `*args` or `**kwargs`, or pydantic
            cannot describe its type.
    """
    from pydantic import PydanticUserError

    name = _name_of(function)
    try:
        schema = cast("JSONObject", _model(function).model_json_schema(schema_generator=schema_generator()))
    except PydanticUserError as error:
        raise _indescribable(name, error) from error
    summary, arguments = summary_and_arguments(inspect.getdoc(_behind(function)) or "")
    schema.pop("title", None)
    for key, item in properties_of(schema).items():
        if isinstance(item, dict):
            item.pop("title", None)
            if key in arguments:
                item.setdefault("description", arguments[key])
    return Tool(name, summary or None, schema, function=function)


def _behind(function: Callable[..., object]) -> Callable[..., object]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _name_of(function: Callable[..., object]) -> str:
    plain = _behind(function)
    return cast("str", getattr(plain, "__name__", type(plain).__name__))


def _model(function: Callable[..., object]) -> Any:  # noqa: ANN401 - a class made at run time
    try:
        hash(function)
    except TypeError:
        return _new_model(function)
    return _cached_model(function)


def _new_model(function: Callable[..., object]) -> Any:  # noqa: ANN401 - a class made at run time
    from pydantic import ConfigDict, Field, PydanticUserError, create_model

    name = _name_of(function)
    fields: dict[str, tuple[object, FieldInfo]] = {}
    for index, parameter in enumerate(_parameters(function, name)):
        default = ... if parameter.default is parameter.empty else parameter.default
        # Under a name of its own: pydantic reserves some names, and a parameter may have any.
        fields[f"p{index}"] = (parameter.annotation, cast("FieldInfo", Field(default, alias=parameter.name)))
    try:
        return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **cast("Any", fields))
    except (PydanticUserError, TypeError, NameError) as error:
        raise _indescribable(name, error) from error


_cached_model = lru_cache(maxsize=512)(_new_model)


def _indescribable(name: str, error: Exception) -> ConfigurationError:
    hint = next(iter(str(error).splitlines()), None)
    return ConfigurationError(f"tool {name}: pydantic cannot describe its parameters", field="tools", hint=hint)


def _parameters(function: Callable[..., object], name: str) -> Iterator[inspect.Parameter]:
    from pydantic.fields import FieldInfo

    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # annotations are evaluated, and may raise anything
        raise ConfigurationError(
            f"tool {name}: its signature cannot be read", field="tools", hint=f"{type(error).__name__}: {error}"
        ) from error
    for parameter in signature.parameters.values():
        where = f"tool {name}: parameter {parameter.name}"
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ConfigurationError(f"{where} must have a name that can be given (no *, ** or /)", field="tools")
        if parameter.annotation is parameter.empty:
            raise ConfigurationError(f"{where} has no type annotation", field="tools", hint="Annotate it.")
        if isinstance(parameter.default, FieldInfo):
            raise ConfigurationError(
                f"{where} has a Field as its default", field="tools", hint="Write it as Annotated[type, Field(...)]."
            )
        yield parameter


def call_arguments(tool: Tool, arguments: str) -> dict[str, object]:
    """The arguments of a call, validated and coerced to the function's annotations.

    Only what the model gave is returned: defaults are the function's own.

    Raises:
        ValueError: The model wrote arguments that do not fit; the message is fit to be shown to the model.
    """
    text = arguments if arguments.strip() else "{}"
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise ValueError("the arguments are no JSON object")  # noqa: TRY004 - the model's mistake, not the caller's
    if tool.function is None:
        return raw
    from pydantic import ValidationError

    model = _model(tool.function)
    try:
        values = model.model_validate_json(text)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
        problem = "; ".join(found)
    else:
        given = values.model_fields_set
        return {field.alias: getattr(values, key) for key, field in model.model_fields.items() if key in given}
    raise ValueError(f"the arguments do not fit: {problem}")


def result_text(value: object) -> str:
    """A tool's result as text for the model: text as it is, data as compact JSON, anything else as `str` shows it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        from pydantic_core import to_jsonable_python
    try:
        return json.dumps(to_jsonable_python(value), separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)

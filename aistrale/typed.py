"""Python types at the edge: output types, tools from typed functions, and their values; all by pydantic.

Imported at first use: loading pydantic costs more than a whole call.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from aistrale.core.schema_check import resolve
from aistrale.docstrings import summary_and_arguments
from aistrale.errors import ConfigurationError, OutputValidationError
from aistrale.types import OutputFormat, Tool, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter

    from aistrale.types import JSON, JSONObject

_NAME: Final = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_MAX_ERRORS: Final = 5
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


# --- structured output ------------------------------------------------------------------------------------------------


def output_format(output: object) -> OutputFormat:
    """The output format that a type, a JSON Schema or an OutputFormat stands for.

    Raises:
        ConfigurationError: It is none of these, or pydantic has no schema for the type.
    """
    if isinstance(output, OutputFormat):
        return output
    if isinstance(output, dict):
        title = output.get("title")
        return OutputFormat("json_schema", cast("JSONObject", output), name=_schema_name(title))
    from pydantic import PydanticSchemaGenerationError, PydanticUserError

    try:
        if inspect.isroutine(output):
            raise TypeError("a function is no type")  # noqa: TRY301 - pydantic would describe its arguments
        schema = cast("JSONObject", _adapter(output).json_schema())
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise ConfigurationError(
            f"output: {output!r} is no type that pydantic can describe, no JSON Schema and no OutputFormat",
            field="output",
            hint=str(error).splitlines()[0],
        ) from error
    doc = inspect.getdoc(output) if isinstance(output, type) and output.__module__ != "builtins" else None
    return OutputFormat(
        "json_schema",
        schema,
        name=_schema_name(getattr(output, "__name__", None)),
        description=doc if doc and "description" in schema else None,
    )


def _schema_name(name: object) -> str | None:
    text = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] if isinstance(name, str) else ""
    return text or None


def parse_output(output: object, text: str) -> object:
    """Validate a document against what was asked for.

    Args:
        output: A type, a JSON Schema, or an OutputFormat; a schema is checked for types, required and enumerated
            values, not for every keyword of JSON Schema.
        text: The document.

    Returns:
        An instance of the type; for a schema the parsed JSON.

    Raises:
        OutputValidationError: The document does not fit; the message names fields and never shows values.
    """
    if isinstance(output, (dict, OutputFormat)):
        schema = output if isinstance(output, dict) else output.schema or {}
        value = _parsed(text)
        problems = list(_mismatches(value, cast("JSONObject", schema), cast("JSONObject", schema), "output"))
        if problems:
            raise _does_not_fit(problems)
        return value
    from pydantic import ValidationError

    _parsed(text)
    try:
        return _adapter(output).validate_json(text)
    except ValidationError as error:
        found = [(_path(item["loc"]), item["type"]) for item in error.errors(include_input=False, include_url=False)]
    raise _does_not_fit(found)


def _parsed(text: str) -> JSON:
    try:
        return cast("JSON", json.loads(text))
    except (ValueError, RecursionError):
        problem = ("output", "no JSON" if text.strip() else "empty")
    raise _does_not_fit([problem])


def _path(location: tuple[int | str, ...]) -> str:
    return "output" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


def _does_not_fit(problems: list[tuple[str, str]]) -> OutputValidationError:
    shown = "; ".join(f"{path}: {kind}" for path, kind in problems[:_MAX_ERRORS])
    more = f" and {len(problems) - _MAX_ERRORS} more" if len(problems) > _MAX_ERRORS else ""
    return OutputValidationError(
        f"the answer does not fit the output type: {shown}{more}",
        code="output_invalid",
        hint="Simplify the type, or describe its fields; a stronger model may fit it.",
    )


def repair_message(error: OutputValidationError) -> str:
    """What the model is told when its document did not fit."""
    return (
        f"Your last answer cannot be used: {error.message}. "
        "Give the whole document again, corrected, as JSON and nothing else."
    )


def _mismatches(value: JSON, schema: JSON, root: JSONObject, path: str, depth: int = 0) -> list[tuple[str, str]]:
    """Where a value does not fit a schema, as (path, what is wrong)."""
    schema = resolve(root, schema)
    if not isinstance(schema, dict) or depth > 60:
        return []
    if "const" in schema and value != schema["const"]:
        return [(path, "not the constant")]
    options = schema.get("enum")
    if isinstance(options, list) and value not in options:
        return [(path, "not one of the enumerated values")]
    for key in ("anyOf", "oneOf"):
        branches = schema.get(key)
        if isinstance(branches, list) and all(_mismatches(value, item, root, path, depth + 1) for item in branches):
            return [(path, "fits none of the alternatives")]
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    if names and not any(_is_kind(value, name) for name in names):
        return [(path, f"no {' or '.join(str(name) for name in names)}")]
    return _inner_mismatches(value, schema, root, path, depth)


def _inner_mismatches(
    value: JSON, schema: JSONObject, root: JSONObject, path: str, depth: int
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += _mismatches(item, schema.get("items"), root, f"{path}[{index}]", depth + 1)
    if isinstance(value, dict):
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        for name in required if isinstance(required, list) else []:
            if name not in value:
                found.append((f"{path}.{name}", "missing"))
        for name, item in value.items():
            if name in known:
                found += _mismatches(item, known[name], root, f"{path}.{name}", depth + 1)
            elif schema.get("additionalProperties") is False:
                found.append((f"{path}", "has a property that the schema does not allow"))
    return found


def _is_kind(value: JSON, name: JSON) -> bool:
    kinds = _KINDS.get(name) if isinstance(name, str) else None
    if kinds is None:
        return True
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (name == "integer" and isinstance(value, float) and value.is_integer())


@lru_cache(maxsize=256)
def _cached_adapter(output: object) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cast("Any", output))


def _adapter(output: object) -> TypeAdapter[Any]:
    try:
        return _cached_adapter(output)
    except TypeError:
        from pydantic import TypeAdapter

        return TypeAdapter(cast("Any", output))  # an unhashable type expression


# --- tools ------------------------------------------------------------------------------------------------------------


def tools_from(tools: Sequence[Callable[..., object] | Tool | JSONObject]) -> list[Tool]:
    """Tools from typed functions, Tools, and definitions in any provider's shape.

    Raises:
        ConfigurationError: One of them is no tool, has a bad name, or a name occurs twice; the field names its
            position.
    """
    if isinstance(tools, (str, dict)) or callable(tools):
        raise ConfigurationError("tools must be a list", field="tools")
    made: list[Tool] = []
    for index, item in enumerate(tools):
        where = f"tools[{index}]"
        tool = _tool(item, where)
        if tool.hosted is None and not _NAME.match(tool.name):
            raise ConfigurationError(f"{where}: the name must be 1 to 64 letters, digits, _ or -", field=where)
        if tool.hosted is None and any(tool.name == other.name for other in made):
            raise ConfigurationError(f"{where}: there is another tool named {tool.name}", field=where)
        made.append(tool)
    return made


def _tool(item: object, where: str) -> Tool:
    if isinstance(item, Tool):
        return item
    if isinstance(item, dict):
        return _tool_from_dict(cast("JSONObject", item), where)
    if callable(item):
        return tool_from_function(item)
    raise ConfigurationError(f"{where} must be a function, a Tool or a tool definition", field=where)


def _tool_from_dict(item: JSONObject, where: str) -> Tool:
    inner = item.get("function")
    body = inner if isinstance(inner, dict) else item
    name, description = body.get("name"), body.get("description")
    schema = body.get("parameters", body.get("input_schema", body.get("parametersJsonSchema")))
    strict = body.get("strict")
    kind = item.get("type", "function")
    if kind not in {"function", "custom"} and "input_schema" not in item:
        return Tool(str(name or kind), hosted=item, wire=Wire(_dialect_of(item)))
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{where}.name must be text", field=f"{where}.name")
    if schema is not None and not isinstance(schema, dict):
        raise ConfigurationError(f"{where}.parameters must be a JSON Schema object", field=f"{where}.parameters")
    return Tool(
        name,
        description if isinstance(description, str) else None,
        schema,
        strict=strict if isinstance(strict, bool) else None,
    )


def _dialect_of(item: JSONObject) -> str:
    """Which dialect a hosted tool's definition is written in: Anthropic's types end with a date."""
    return "anthropic_messages" if re.search(r"_\d{8}$", str(item.get("type", ""))) else "openai_responses"


def tool_from_function(function: Callable[..., object]) -> Tool:
    """A tool from a typed function: its name, its docstring, and a JSON Schema of its parameters.

    Raises:
        ConfigurationError: A parameter has no annotation, is positional-only, or is `*args` or `**kwargs`.
    """
    from pydantic import PydanticSchemaGenerationError, PydanticUserError

    name = getattr(function, "__name__", type(function).__name__)
    try:
        model = _parameters_model(function, name)
        schema = cast("JSONObject", model.model_json_schema())
    except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
        raise ConfigurationError(f"tool {name}: its parameters cannot be described", field="tools") from error
    summary, arguments = summary_and_arguments(inspect.getdoc(function) or "")
    schema.pop("title", None)
    properties = schema.get("properties")
    for key, item in properties.items() if isinstance(properties, dict) else ():
        if isinstance(item, dict):
            item.pop("title", None)
            if key in arguments:
                item.setdefault("description", arguments[key])
    return Tool(name, summary or None, schema, function=function)


@lru_cache(maxsize=512)
def _parameters_model(function: Callable[..., object], name: str) -> Any:  # noqa: ANN401 - a class made at run time
    from pydantic import ConfigDict, create_model

    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ConfigurationError(
                f"tool {name}: parameter {parameter.name} must have a name that can be given (no *, ** or /)",
                field="tools",
            )
        if parameter.annotation is parameter.empty:
            raise ConfigurationError(
                f"tool {name}: parameter {parameter.name} has no type annotation", field="tools", hint="Annotate it."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    return create_model(f"{name}_arguments", __config__=config, **fields)


def call_arguments(tool: Tool, arguments: str) -> dict[str, object]:
    """The arguments of a call, validated and coerced to the function's annotations.

    Raises:
        ValueError: The model wrote arguments that do not fit; the message is fit to be shown to the model.
    """
    try:
        raw = json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise ValueError("the arguments are no JSON object")  # noqa: TRY004 - the model's mistake, not the caller's
    if tool.function is None:
        return raw
    from pydantic import ValidationError

    model = _parameters_model(tool.function, getattr(tool.function, "__name__", type(tool.function).__name__))
    try:
        values = model.model_validate(raw)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
        problem = "; ".join(found)
    else:
        return {name: getattr(values, name) for name in type(values).model_fields if name in values.model_fields_set}
    raise ValueError(f"the arguments do not fit: {problem}")


def result_text(value: object) -> str:
    """A tool's result as text for the model: text as it is, data as compact JSON, anything else as `str` shows it."""
    if isinstance(value, str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        value = dump(mode="json")
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)

"""Python types as output: their JSON Schemas, and documents validated into them by pydantic.

Imported at first use: loading pydantic costs more than a whole call.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast, get_origin

from aistrale.core.schema_check import TYPES, Checker, kinds_of, properties_of
from aistrale.errors import ConfigurationError, OutputValidationError
from aistrale.types import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    from aistrale.types import JSON, JSONObject

_MAX_ERRORS: Final = 5
_MAX_FOUND: Final = 100
# How pydantic names the members of a union in the place of an error, beside the names of the schema.
_TAGS: Final = frozenset({"int", "str", "float", "bool", "none", "list", "dict", "set", "tuple", "bytes", "datetime"})


def output_format(output: object) -> OutputFormat:
    """The output format that a type, a JSON Schema or an OutputFormat stands for.

    Raises:
        ConfigurationError: It is none of these, or pydantic has no schema for the type.
    """
    if isinstance(output, OutputFormat):
        if output.kind == "json_schema" and output.schema is None:
            raise ConfigurationError("output has kind json_schema but no schema", field="output")
        return output
    if isinstance(output, dict):
        schema = checked_schema(output, "output")
        return OutputFormat("json_schema", schema, name=_schema_name(schema.get("title")))
    schema, description = _schema_of(output)
    name = _schema_name(getattr(output, "__name__", None))
    return OutputFormat("json_schema", schema, name=name, description=description)


def _schema_of(output: object) -> tuple[JSONObject, str | None]:
    try:
        hash(output)
    except TypeError:
        return _described(output)
    return _cached_schema(output)


def _described(output: object) -> tuple[JSONObject, str | None]:
    """The schema of a type, and what the type says of itself."""
    from pydantic import PydanticUserError

    # Only what is a type is shown: anything else came here by mistake and may be a prompt.
    is_type = isinstance(output, type) or get_origin(output) is not None
    name = repr(output) if is_type else f"an object of type {type(output).__qualname__}"
    wrong = ConfigurationError(
        f"output: {name} is no type that pydantic can describe, no JSON Schema and no OutputFormat", field="output"
    )
    # pydantic would evaluate a text as an annotation, and describe the arguments of a function.
    if isinstance(output, str) or inspect.isroutine(output):
        raise wrong
    try:
        schema = cast("JSONObject", _adapter(output).json_schema(schema_generator=schema_generator()))
    except (PydanticUserError, TypeError, NameError) as error:
        wrong.hint = next(iter(str(error).splitlines()), None) if is_type else None
        raise wrong from (error if is_type else None)
    doc = inspect.getdoc(output) if isinstance(output, type) and output.__module__ != "builtins" else None
    return schema, doc if doc and "description" in schema else None


# Describing a type costs pydantic more than a call costs us; nothing changes a schema once it is made.
_cached_schema = lru_cache(maxsize=256)(_described)


def checked_schema(schema: object, field: str) -> JSONObject:
    """What a caller wrote as a JSON Schema. Raises ConfigurationError, naming the field, for what can be none."""
    if not isinstance(schema, dict) or any(not isinstance(key, str) for key in schema):
        raise ConfigurationError(f"{field} must be a JSON Schema object", field=field)
    if "type" in schema and (not kinds_of(schema) or not TYPES.issuperset(kinds_of(schema))):
        raise ConfigurationError(f"{field}.type must be among {', '.join(sorted(TYPES))}", field=f"{field}.type")
    try:
        json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{field} holds something that is no JSON", field=field) from error
    return cast("JSONObject", schema)


def _schema_name(name: object) -> str | None:
    text = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] if isinstance(name, str) else ""
    return text or None


def parse_output(output: object, text: str) -> object:
    """Validate a document against what was asked for.

    Args:
        output: A type, a JSON Schema, or an OutputFormat. A schema is checked by `aistrale.core.schema_check`, which
            says what it leaves out.
        text: The document.

    Returns:
        An instance of the type; for a schema the parsed JSON; for an OutputFormat of kind "text" the text.

    Raises:
        OutputValidationError: The document does not fit; the message names fields and never shows values.
    """
    if isinstance(output, OutputFormat) and output.kind == "text":
        return text
    value, problems = _read(output, text)
    if problems:
        # Raised here, with no other error in flight whose frames or message hold the answer.
        raise _does_not_fit(problems)
    return value


def _read(output: object, text: str) -> tuple[object, list[tuple[str, str]]]:
    try:
        value = cast("JSON", json.loads(text, parse_constant=_no_json))
        if isinstance(output, (dict, OutputFormat)):
            return value, list(islice(_schema_problems(output, value), _MAX_FOUND))
    except ValueError:
        return None, [("output", "no JSON" if text.strip() else "empty")]
    except RecursionError:
        return None, [("output", "nested too deep")]
    return _validated(output, text)


def _does_not_fit(problems: list[tuple[str, str]]) -> OutputValidationError:
    shown = "; ".join(f"{path}: {kind}" for path, kind in problems[:_MAX_ERRORS])
    more = f" and {len(problems) - _MAX_ERRORS} more" if len(problems) > _MAX_ERRORS else ""
    return OutputValidationError(
        f"the answer does not fit the output type: {shown}{more}",
        code="output_invalid",
        hint="Simplify the type, or describe its fields; a stronger model may fit it.",
    )


def _schema_problems(output: dict[str, JSON] | OutputFormat, value: JSON) -> Iterable[tuple[str, str]]:
    schema: JSONObject = output if isinstance(output, dict) else output.schema or {"type": "object"}
    return Checker(schema).problems(value, schema, "output")


def _validated(output: object, text: str) -> tuple[object, list[tuple[str, str]]]:
    from pydantic import ValidationError

    adapter = _adapter(output)
    try:
        return adapter.validate_json(text), []
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
    known = _known_names(adapter.json_schema(schema_generator=schema_generator()))
    return None, [(_path(item["loc"], known), item["type"]) for item in found]


def _known_names(schema: JSON) -> frozenset[str]:
    """Names that the type itself has; every other name in the place of an error may come from the answer."""
    if isinstance(schema, list):
        return frozenset().union(*map(_known_names, schema))
    if not isinstance(schema, dict):
        return frozenset()
    definitions = schema.get("$defs")
    own = {*properties_of(schema), *(definitions if isinstance(definitions, dict) else ())}
    return _TAGS.union(own, *map(_known_names, schema.values()))


def _path(location: tuple[int | str, ...], known: frozenset[str]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" if step in known else ".*" for step in location)
    return "output" + "".join(steps)


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def repair_message(error: OutputValidationError) -> str:
    """What the model is told when its document did not fit."""
    return (
        f"Your last answer cannot be used: {error.message}. "
        "Give the whole document again, corrected, as JSON and nothing else."
    )


@lru_cache(maxsize=256)
def _cached_adapter(output: object) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cast("Any", output))


def _adapter(output: object) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    try:
        hash(output)
    except TypeError:
        return TypeAdapter(cast("Any", output))
    return _cached_adapter(output)


@lru_cache(maxsize=1)
def schema_generator() -> type[GenerateJsonSchema]:
    """How pydantic describes types here: without warnings."""
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        # A default that JSON cannot say is left out of the schema; it still holds where the value is made.
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as pydantic has it

    return Quiet

"""Where human text stands in bodies of the OpenAI chat dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects.slots import Slot, deep_slots, field_slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject

# Members of blocks that this module does not know whose strings are no human text.
_MACHINE: Final = frozenset(
    {
        "type", "id", "url", "data", "file_id", "file_data", "format", "detail", "role", "model", "status", "object",
        "mime_type", "media_type", "signature", "encrypted_content", "tool_call_id", "index", "name", "mode",
    }
)  # fmt: skip
# Keywords of JSON Schema whose value maps names to schemas; those whose value is a schema or a list of them.
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_NESTED: Final = (
    "items", "prefixItems", "additionalItems", "additionalProperties", "unevaluatedProperties", "unevaluatedItems",
    "propertyNames", "contains", "anyOf", "allOf", "oneOf", "not", "if", "then", "else",
)  # fmt: skip


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every place in a request, answer or chunk where human text stands, in order."""
    yield from _messages(body.get("messages"), "messages")
    yield from _tools(body)
    yield from _format(body.get("response_format"), "response_format")
    for name in ("prediction", "documents", "tool_prompt"):
        yield from _prose(body, name, name)
    yield from _location(body.get("web_search_options"), "web_search_options")
    metadata = body.get("metadata")
    # In an answer it is a server's note about itself.
    if type(metadata) is dict and "choices" not in body:
        yield from deep_slots(metadata, "metadata", body, "metadata")
    for name in ("user", "safety_identifier"):
        yield from field_slot(body, name, "", "name")
    for index, choice in enumerate(_objects(body.get("choices"))):
        path = f"choices[{index}]"
        for name in ("message", "delta"):
            message = choice.get(name)
            if type(message) is dict:
                yield from message_slots(message, f"{path}.{name}")
        yield from field_slot(choice, "text", path)


def _objects(value: JSON) -> list[JSONObject]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _messages(value: JSON, path: str) -> Iterator[Slot]:
    if type(value) is list:
        for index, message in enumerate(value):
            if type(message) is dict:
                yield from message_slots(message, f"{path}[{index}]")


def message_slots(message: JSONObject, path: str) -> Iterator[Slot]:
    """The slots of one message or delta."""
    yield from field_slot(message, "name", path, "name")
    for name in ("reasoning", "reasoning_content", "refusal"):
        yield from field_slot(message, name, path)
    yield from _content(message, path)
    for name in ("reasoning_details", "executed_tools"):
        yield from _prose(message, name, f"{path}.{name}")
    for index, annotation in enumerate(_objects(message.get("annotations"))):
        citation = annotation.get("url_citation")
        if type(citation) is dict:
            for name in ("title", "content"):
                yield from field_slot(citation, name, f"{path}.annotations[{index}].url_citation")
    audio = message.get("audio")
    if type(audio) is dict:
        yield from field_slot(audio, "transcript", f"{path}.audio")
    for index, call in enumerate(_objects(message.get("tool_calls"))):
        where = f"{path}.tool_calls[{index}]"
        yield from _arguments(call.get("function"), f"{where}.function")
        custom = call.get("custom")
        if type(custom) is dict:
            yield from field_slot(custom, "input", f"{where}.custom")
    yield from _arguments(message.get("function_call"), f"{path}.function_call")


def _arguments(function: JSON, path: str) -> Iterator[Slot]:
    if type(function) is dict:
        arguments = function.get("arguments")
        if type(arguments) is str:
            yield from field_slot(function, "arguments", path, "json")
        else:
            yield from deep_slots(arguments, f"{path}.arguments", function, "arguments")


def _content(message: JSONObject, path: str) -> Iterator[Slot]:
    content = message.get("content")
    if type(content) is not list:
        yield from field_slot(message, "content", path)
        return
    for index, part in enumerate(content):
        where = f"{path}.content[{index}]"
        if type(part) is str:
            if part:
                yield Slot(where, content, index)
        elif type(part) is dict:
            yield from _part(part, where)


def _part(part: JSONObject, path: str) -> Iterator[Slot]:
    told = part.get("type")
    kind = told if type(told) is str else ""
    if kind in {"text", "refusal"}:
        yield from field_slot(part, kind, path)
        return
    file = part.get("file")
    if kind == "file" and type(file) is dict:
        yield from field_slot(file, "filename", f"{path}.file", "name")
    elif kind not in {"image_url", "input_audio", "video_url", "audio_url", "file"}:
        for name in part:
            yield from _prose(part, name, f"{path}.{name}")


def _prose(container: JSONObject | list[JSON], key: str | int, path: str) -> Iterator[Slot]:
    """Every string below a value of unknown shape, except what is plainly made for machines."""
    value: JSON = container[key] if type(container) is list else container.get(key)  # type: ignore[index,union-attr,arg-type]
    if type(value) is str:
        if value and key not in _MACHINE:
            kind = "json" if key == "arguments" else "text"
            yield Slot(path, container, key, kind)  # type: ignore[arg-type]
    elif type(value) is dict:
        for name in value:
            yield from _prose(value, name, f"{path}.{name}")
    elif type(value) is list:
        for index in range(len(value)):
            yield from _prose(value, index, f"{path}[{index}]")


def _tools(body: JSONObject) -> Iterator[Slot]:
    for index, tool in enumerate(_objects(body.get("tools"))):
        path = f"tools[{index}]"
        function, custom = tool.get("function"), tool.get("custom")
        if type(function) is dict:
            yield from _function(function, f"{path}.function")
        elif type(custom) is dict:
            yield from field_slot(custom, "description", f"{path}.custom")
        else:
            yield from field_slot(tool, "description", path)
    for index, function in enumerate(_objects(body.get("functions"))):
        yield from _function(function, f"functions[{index}]")


def _function(function: JSONObject, path: str) -> Iterator[Slot]:
    yield from field_slot(function, "description", path)
    yield from schema_slots(function.get("parameters"), f"{path}.parameters")


def schema_slots(schema: JSON, path: str) -> Iterator[Slot]:
    """Titles, descriptions and examples of a JSON Schema; names of properties and words of enums are no text."""
    if type(schema) is list:
        for index, item in enumerate(schema):
            yield from schema_slots(item, f"{path}[{index}]")
        return
    if type(schema) is not dict:
        return
    for name in ("title", "description"):
        yield from field_slot(schema, name, path)
    for name in ("examples", "example"):
        yield from deep_slots(schema.get(name), f"{path}.{name}", schema, name)
    for name in _NAMED:
        schemas = schema.get(name)
        if type(schemas) is dict:
            for key, item in schemas.items():
                yield from schema_slots(item, f"{path}.{name}.{key}")
    for name in _NESTED:
        yield from schema_slots(schema.get(name), f"{path}.{name}")


def _format(value: JSON, path: str) -> Iterator[Slot]:
    if type(value) is not dict:
        return
    inner = value.get("json_schema")
    if type(inner) is dict:
        yield from field_slot(inner, "description", f"{path}.json_schema")
        yield from schema_slots(inner.get("schema"), f"{path}.json_schema.schema")
    for name in ("value", "schema"):
        yield from schema_slots(value.get(name), f"{path}.{name}")


def _location(options: JSON, path: str) -> Iterator[Slot]:
    """Where the user is, as far as it is free text."""
    location = options.get("user_location") if type(options) is dict else None
    place = location.get("approximate") if type(location) is dict else None
    if type(place) is dict:
        for name in ("city", "region"):
            yield from field_slot(place, name, f"{path}.user_location.approximate")

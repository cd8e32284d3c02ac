"""Where human text stands in bodies of the OpenAI Responses dialect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

from aistrale.dialects._chat_slots import schema_slots
from aistrale.dialects.slots import Slot, deep_slots, field_slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject

# Members of items whose strings are human text, in whatever item they stand (OpenAI API reference, all item types).
_TEXTS: Final = frozenset(
    {
        "text", "content", "refusal", "summary", "output", "input", "query", "queries", "pattern", "code", "logs",
        "stdout", "stderr", "command", "commands", "diff", "reason", "title", "quote", "revised_prompt", "message",
        "description", "error", "detailed_explanation",
    }
)  # fmt: skip
_NAMES: Final = frozenset({"filename", "path"})
# Members that hold JSON of the caller's own making: all of its strings are text.
_DEEP: Final = frozenset({"variables", "attributes", "env"})
_SCHEMAS: Final = ("parameters", "input_schema", "output_schema")


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every place in a request or response body where human text stands, in order."""
    for name in ("instructions", "input", "output"):
        yield from field_slot(body, name, "")
        yield from _values(body.get(name), name)
    yield from _tools(body.get("tools"), "tools")
    text = body.get("text")
    shape = text.get("format") if type(text) is dict else None
    if type(shape) is dict:
        yield from field_slot(shape, "description", "text.format")
        yield from schema_slots(shape.get("schema"), "text.format.schema")
    prompt = body.get("prompt")
    if type(prompt) is dict:
        yield from _variables(prompt.get("variables"), "prompt.variables")
    yield from deep_slots(body.get("metadata"), "metadata", body, "metadata")
    for name in ("user", "safety_identifier"):
        yield from field_slot(body, name, "", "name")


def _variables(variables: JSON, path: str) -> Iterator[Slot]:
    """A prompt's variables: texts, or parts of content."""
    if type(variables) is dict:
        for name, value in variables.items():
            yield from field_slot(variables, name, path)
            if type(value) is dict:
                yield from _node(value, f"{path}.{name}")


def _values(value: JSON, path: str) -> Iterator[Slot]:
    """The slots of the objects in a list, or of one object."""
    if type(value) is dict:
        yield from _node(value, path)
    elif type(value) is list:
        for index, item in enumerate(value):
            yield from _values(item, f"{path}[{index}]")


def _node(node: JSONObject, path: str) -> Iterator[Slot]:
    """The slots of an item, a part, or whatever stands inside one."""
    for key, value in node.items():
        where = f"{path}.{key}"
        if key == "arguments":
            yield from _arguments(node, value, where)
        elif key == "tools":
            yield from _tools(value, where)
        elif key in _NAMES or (key == "name" and "role" in node):
            yield from field_slot(node, key, path, "name")
        elif key in _DEEP:
            yield from deep_slots(value, where, node, key)
        elif key in _TEXTS or (key == "result" and node.get("type") == "program_output"):
            yield from _text(node, key, value, where)
        elif type(value) is dict or type(value) is list:
            yield from _values(value, where)


def _arguments(node: JSONObject, value: JSON, path: str) -> Iterator[Slot]:
    if type(value) is str:
        if value:
            yield Slot(path, node, "arguments", "json")
    else:
        yield from deep_slots(value, path, node, "arguments")


def _text(node: JSONObject, key: str, value: JSON, path: str) -> Iterator[Slot]:
    if type(value) is str:
        if value:
            yield Slot(path, node, key, _kind(value) if key in {"output", "result"} else "text")
    elif type(value) is list:
        for index, item in enumerate(value):
            if type(item) is str:
                if item:
                    yield Slot(f"{path}[{index}]", value, index)
            else:
                yield from _values(item, f"{path}[{index}]")
    elif type(value) is dict:
        yield from _node(value, path)


def _kind(text: str) -> Literal["text", "json"]:
    """Tools often give back JSON, in which a name may stand in escapes that only a JSON reader sees."""
    if text.lstrip()[:1] not in {"{", "["}:
        return "text"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "text"
    return "json" if type(value) in {dict, list} else "text"


def _tools(tools: JSON, path: str) -> Iterator[Slot]:
    if type(tools) is not list:
        return
    for index, tool in enumerate(tools):
        if type(tool) is not dict:
            continue
        where = f"{path}[{index}]"
        for name in ("description", "server_description"):
            yield from field_slot(tool, name, where)
        for name in _SCHEMAS:
            yield from schema_slots(tool.get(name), f"{where}.{name}")
        location = tool.get("user_location")
        if type(location) is dict:
            for name in ("city", "region"):
                yield from field_slot(location, name, f"{where}.user_location")
        yield from _tools(tool.get("tools"), f"{where}.tools")

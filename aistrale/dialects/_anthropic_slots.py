"""Where human text stands in request and response bodies of the Anthropic Messages format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects.slots import Slot, deep_slots, field_slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject

# Fields of blocks and of what is nested in them (search results, documents, output of programs, citations) whose
# strings people or programs wrote. Everything else there is an id, a type, a URL, a signature or encrypted.
_TEXT = frozenset(
    {
        "text",
        "thinking",
        "content",
        "context",
        "cited_text",
        "snippet",
        "stdout",
        "stderr",
        "lines",
        "error_message",
        "explanation",
        "instructions",
    }
)
_NAMES = frozenset({"title", "document_title"})
# What is walked in search of the above.
_NESTED = frozenset({"content", "source", "citations", "tool_changes", "tool", "edits"})
# Keywords of JSON Schema that hold text for the model; `properties` and the like hold schemas.
_SCHEMA_TEXT = frozenset({"description", "title"})
_SCHEMA_VALUES = frozenset({"examples", "example"})
_SCHEMA_MAPS = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every place in a request or response body where human text stands, in order."""
    yield from _text("system", body, "")
    for key, walk in (("messages", _turn), ("tools", _tool)):
        items = body.get(key)
        if type(items) is list:
            for index, item in enumerate(items):
                if type(item) is dict:
                    yield from walk(item, f"{key}[{index}]")
    metadata = body.get("metadata")
    if type(metadata) is dict:
        for key in metadata:
            yield from field_slot(metadata, key, "metadata")
    config = body.get("output_config")
    if type(config) is dict:
        yield from _format(config.get("format"), "output_config.format")
    yield from _format(body.get("output_format"), "output_format")
    for key in ("context_management", "compaction", "stop_details"):
        value = body.get(key)
        if type(value) is dict:
            yield from _block(value, key)
    if "messages" not in body:
        yield from _turn(body, "")


def _format(format_: JSON, path: str) -> Iterator[Slot]:
    if type(format_) is dict:
        yield from _schema(format_.get("schema"), f"{path}.schema")


def _turn(turn: JSONObject, path: str) -> Iterator[Slot]:
    yield from _text("content", turn, path)


def _text(key: str, holder: JSONObject, path: str) -> Iterator[Slot]:
    """Text that is a string or an array of blocks."""
    value = holder.get(key)
    if type(value) is str:
        yield from field_slot(holder, key, path)
    elif type(value) is list:
        yield from _items(value, f"{path}.{key}" if path else key)


def _block(block: JSONObject, path: str) -> Iterator[Slot]:
    """Slots of a block of any kind, also of kinds that are not known."""
    for key, value in block.items():
        inner = f"{path}.{key}"
        if key == "input":
            yield from deep_slots(value, inner, block, key)
        elif type(value) is str:
            if value and (key in _TEXT or (key == "data" and block.get("type") == "text")):
                yield Slot(inner, block, key)
            elif value and key in _NAMES:
                yield Slot(inner, block, key, "name")
        elif type(value) is dict:
            if key in _NESTED:
                yield from _block(value, inner)
        elif type(value) is list and (key in _NESTED or key in _TEXT):
            yield from _items(value, inner)


def _items(items: list[JSON], path: str) -> Iterator[Slot]:
    for index, item in enumerate(items):
        if type(item) is dict:
            yield from _block(item, f"{path}[{index}]")
        elif type(item) is str and item:
            yield Slot(f"{path}[{index}]", items, index)


def _tool(tool: JSONObject, path: str) -> Iterator[Slot]:
    yield from field_slot(tool, "description", path)
    yield from _schema(tool.get("input_schema"), f"{path}.input_schema")
    examples = tool.get("input_examples")
    if type(examples) is list:
        yield from deep_slots(examples, f"{path}.input_examples", tool, "input_examples")


def _schema(schema: JSON, path: str) -> Iterator[Slot]:
    """Descriptions, titles and examples; never names of properties, enum words or constants."""
    if type(schema) is list:
        for index, item in enumerate(schema):
            yield from _schema(item, f"{path}[{index}]")
    elif type(schema) is dict:
        for key, value in schema.items():
            inner = f"{path}.{key}"
            if type(value) is str:
                if key in _SCHEMA_TEXT:
                    yield from field_slot(schema, key, path)
                elif key in _SCHEMA_VALUES:
                    yield from deep_slots(value, inner, schema, key)
            elif key in _SCHEMA_VALUES:
                yield from deep_slots(value, inner, schema, key)
            elif key in _SCHEMA_MAPS and type(value) is dict:
                for name, item in value.items():
                    yield from _schema(item, f"{inner}.{name}")
            elif key not in ("enum", "const", "default", "required"):
                yield from _schema(value, inner)

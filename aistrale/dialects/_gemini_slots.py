"""Where human text stands in Gemini bodies: requests, answers, stream chunks, bodies for counting and caching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects.slots import Slot, deep_slots, field_slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject

# Each name is looked up in both spellings; written once where both are the same.
_CONTENTS = ("systemInstruction", "system_instruction", "contents")
_CONFIGS = ("generationConfig", "generation_config")
_OUTPUT_SCHEMAS = ("responseSchema", "response_schema", "responseJsonSchema", "response_json_schema")
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_TOOL_SCHEMAS = (
    "parameters",
    "parametersJsonSchema",
    "parameters_json_schema",
    "response",
    "responseJsonSchema",
    "response_json_schema",
)
_BLOBS = ("inlineData", "inline_data", "fileData", "file_data")
_NESTED = ("items", "additionalProperties", "additional_properties", "not")
_NESTED_LISTS = ("anyOf", "any_of", "oneOf", "one_of", "allOf", "all_of", "prefixItems", "prefix_items")
_NESTED_MAPS = ("properties", "$defs", "defs", "definitions")
_EXAMPLES = ("example", "examples")


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every place in a body where human text stands, in order."""
    for key in ("generateContentRequest", "generate_content_request"):
        wrapped = body.get(key)
        if type(wrapped) is dict:
            yield from _prefixed(wrapped, key)
    for key in _CONTENTS:
        yield from _contents(body, key)
    for index, entry in _items(body, "tools"):
        yield from _tool(entry, index)
    for key in _CONFIGS:
        config = body.get(key)
        if type(config) is dict:
            for name in _OUTPUT_SCHEMAS:
                yield from schema_slots(config.get(name), f"{key}.{name}")
    labels = body.get("labels")
    if type(labels) is dict:
        yield from deep_slots(labels, "labels", body, "labels")
    for key in ("displayName", "display_name"):
        yield from field_slot(body, key, "", "name")
    yield from _answer(body)


def _prefixed(body: JSONObject, prefix: str) -> Iterator[Slot]:
    for slot in text_slots(body):
        slot.path = f"{prefix}.{slot.path}"
        yield slot


def _items(body: JSONObject, key: str) -> Iterator[tuple[str, JSONObject]]:
    """The objects of a repeated field with their paths; the servers take a single object for a list of one."""
    value = body.get(key)
    if type(value) is dict:
        yield key, value
    elif type(value) is list:
        for index, item in enumerate(value):
            if type(item) is dict:
                yield f"{key}[{index}]", item


def _contents(body: JSONObject, key: str) -> Iterator[Slot]:
    if type(body.get(key)) is str:
        yield from field_slot(body, key, "")
        return
    for path, content in _items(body, key):
        yield from content_slots(content, path)


def content_slots(content: JSONObject, path: str) -> Iterator[Slot]:
    """Slots of one content."""
    for name, part in _items(content, "parts"):
        yield from _part(part, f"{path}.{name}")


def _part(part: JSONObject, path: str) -> Iterator[Slot]:
    for key, value in part.items():
        where = f"{path}.{key}"
        if key == "text":
            yield from field_slot(part, key, path)
        elif key in ("functionCall", "function_call", "toolCall", "tool_call") and type(value) is dict:
            yield from _inside(value, "args", where)
            for piece in ("partialArgs", "partial_args"):
                for name, item in _items(value, piece):
                    yield from field_slot(item, "stringValue", f"{where}.{name}")
        elif key in ("functionResponse", "function_response", "toolResponse", "tool_response"):
            if type(value) is dict:
                yield from _inside(value, "response", where)
                for name, item in _items(value, "parts"):
                    yield from _part(item, f"{where}.{name}")
        elif key in ("executableCode", "executable_code") and type(value) is dict:
            yield from field_slot(value, "code", where)
        elif key in ("codeExecutionResult", "code_execution_result") and type(value) is dict:
            yield from field_slot(value, "output", where)
        else:
            yield from _about(part, key, value, where)


def _about(part: JSONObject, key: str, value: JSON, where: str) -> Iterator[Slot]:
    """Slots in what accompanies a part: names, captions, notes of the application."""
    if type(value) is not dict:
        return
    if key in _BLOBS:
        for name in ("displayName", "display_name"):
            yield from field_slot(value, name, where, "name")
    elif key in ("partMetadata", "part_metadata"):
        yield from deep_slots(value, where, part, key)
    elif key in ("audioTranscription", "audio_transcription"):
        yield from field_slot(value, "text", where)
        for name in ("speakerLabel", "speaker_label"):
            yield from field_slot(value, name, where, "name")
    elif key in ("speechMetadata", "speech_metadata"):
        yield from field_slot(value, "speaker", where, "name")
        yield from field_slot(value, "style", where)


def _inside(body: JSONObject, key: str, path: str) -> Iterator[Slot]:
    yield from deep_slots(body.get(key), f"{path}.{key}", body, key)


def _tool(entry: JSONObject, path: str) -> Iterator[Slot]:
    for key in _DECLARATIONS:
        for name, declaration in _items(entry, key):
            where = f"{path}.{name}"
            yield from field_slot(declaration, "description", where)
            for schema in _TOOL_SCHEMAS:
                yield from schema_slots(declaration.get(schema), f"{where}.{schema}")


def schema_slots(schema: JSON, path: str) -> Iterator[Slot]:
    """Slots of a schema: descriptions, titles and examples; what the model has to repeat verbatim is no human text."""
    if type(schema) is not dict:
        return
    yield from field_slot(schema, "title", path)
    yield from field_slot(schema, "description", path)
    for key in _EXAMPLES:
        yield from deep_slots(schema.get(key), f"{path}.{key}", schema, key)
    for key in _NESTED:
        yield from schema_slots(schema.get(key), f"{path}.{key}")
    for key in _NESTED_LISTS:
        for name, item in _items(schema, key):
            yield from schema_slots(item, f"{path}.{name}")
    for key in _NESTED_MAPS:
        group = schema.get(key)
        if type(group) is dict:
            for name, member in group.items():
                yield from schema_slots(member, f"{path}.{key}.{name}")


def _answer(body: JSONObject) -> Iterator[Slot]:
    for path, candidate in _items(body, "candidates"):
        content = candidate.get("content")
        if type(content) is dict:
            yield from content_slots(content, f"{path}.content")
        yield from field_slot(candidate, "finishMessage", path)
        yield from _grounding(candidate, path)
        metadata = candidate.get("citationMetadata")
        if type(metadata) is dict:
            for name, citation in _items(metadata, "citations"):
                yield from field_slot(citation, "title", f"{path}.citationMetadata.{name}")
    feedback = body.get("promptFeedback")
    if type(feedback) is dict:
        yield from field_slot(feedback, "blockReasonMessage", "promptFeedback")


def _grounding(candidate: JSONObject, path: str) -> Iterator[Slot]:
    metadata = candidate.get("groundingMetadata")
    if type(metadata) is not dict:
        return
    where = f"{path}.groundingMetadata"
    for key in ("webSearchQueries", "imageSearchQueries", "retrievalQueries"):
        yield from _inside(metadata, key, where)
    for name, chunk in _items(metadata, "groundingChunks"):
        for source, found in chunk.items():
            if type(found) is dict:
                yield from field_slot(found, "title", f"{where}.{name}.{source}")
                yield from field_slot(found, "text", f"{where}.{name}.{source}")
    for name, support in _items(metadata, "groundingSupports"):
        segment = support.get("segment")
        if type(segment) is dict:
            yield from field_slot(segment, "text", f"{where}.{name}.segment")
    entry = metadata.get("searchEntryPoint")
    if type(entry) is dict:
        yield from field_slot(entry, "renderedContent", f"{where}.searchEntryPoint")

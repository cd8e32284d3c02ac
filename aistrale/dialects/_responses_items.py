"""OpenAI Responses: the items of `input` and `output`, both ways.

Several items make one turn of the assistant (thoughts, messages, calls), and one item may hold several parts. Each part
remembers the item it came from (see `_responses_content`), so that the same list of items is written back.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._responses_content import (
    AT,
    CONTENT,
    ITEM,
    NAME,
    decode_content,
    form,
    node_fields,
    optional_text,
    ours,
    text_at,
    word,
)
from aistrale.dialects.shape import as_list, as_object, dump_json, rest
from aistrale.types import (
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.dialects._responses_content import ContentEncoder
    from aistrale.types import JSON, JSONObject, Part

RESULTS: Final = {"function_call_output": "", "custom_tool_call_output": "custom:"}
"""Items by which the caller answers a call, with the prefix of their form."""
CUSTOM: Final = "custom"
_SUMMARY: Final = "summary"
_MESSAGE_FIELDS: Final = frozenset({"content"})
_CALL_FIELDS: Final = frozenset({"type", "call_id", "name", "arguments"})
_CUSTOM_FIELDS: Final = frozenset({"type", "call_id", "name", "input"})
_RESULT_FIELDS: Final = frozenset({"type", "call_id", "output"})
_THOUGHT_FIELDS: Final = frozenset({"text", "type"})
_THOUGHT_TYPES: Final = {"summary": "summary_text", CONTENT: "reasoning_text"}
# Mark for an entry of a thought whose type is another than its place says: that type, or none.
_TYPE: Final = "$type"
# Ids that we mint carry this mark: OpenAI never issued them, so it must not be asked to look them up.
_MINTED: Final = re.compile(r"(?:rs|msg|fc|ctc|ig)_ais[A-Za-z0-9]*_\d+")


def mint(prefix: str, base: str, number: int) -> str:
    """An id for an item of ours, recognised by `is_minted`.

    Args:
        prefix: The item's kind: rs, msg, fc, ctc or ig.
        base: The reply's id; it makes the id different from those of other replies.
        number: The item's place in the reply.
    """
    return f"{prefix}_ais{id_base(base)}_{number}"


def id_base(id: str) -> str:
    """The telling end of an id; an item's id made of it stays within the 64 characters that OpenAI takes."""
    return re.sub(r"[^A-Za-z0-9]", "", id.rpartition("_")[2].rpartition("-")[2])[-40:]


def is_minted(id: JSON) -> bool:
    """Whether an item's id was made by `mint`."""
    return type(id) is str and _MINTED.fullmatch(id) is not None


def custom_arguments(text: str) -> str:
    """The input of a custom tool, which is plain text, as JSON arguments."""
    return dump_json({"input": text})


def custom_input(arguments: str) -> str:
    """The reverse of `custom_arguments`; other arguments are given as they are."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = value.get("input") if type(value) is dict and len(value) == 1 else None
    return text if type(text) is str else arguments


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_item(item: JSONObject, at: int, field: str) -> list[Part]:
    """Read an item of the assistant's side.

    Args:
        item: The item as it came.
        at: Its position in the list.
        field: Its path, for errors.

    Returns:
        One part, or several for a message or reasoning item; a ProviderPart for what the hub has no word for.

    Raises:
        MalformedBody: A field that is used has the wrong type.
    """
    kind = word(item, "type") if item.get("type") is not None else "message"
    if kind == "message" and item.get("role") == "assistant":
        return _decode_message(item, at, field)
    if kind == "function_call":
        wire = Wire(NAME, {AT: at, **rest(item, _CALL_FIELDS)}, "function")
        name, arguments = text_at(item, "name", field), text_at(item, "arguments", field)
        return [ToolCallPart(text_at(item, "call_id", field), name, arguments, wire=wire)]
    if kind == "reasoning":
        return _decode_reasoning(item, at, field)
    if kind == "custom_tool_call":
        wire = Wire(NAME, {AT: at, **rest(item, _CUSTOM_FIELDS)}, CUSTOM)
        name, arguments = text_at(item, "name", field), custom_arguments(text_at(item, "input", field))
        return [ToolCallPart(text_at(item, "call_id", field), name, arguments, wire=wire)]
    return [ProviderPart(NAME, item, wire=Wire(NAME, {AT: at}, "item"))]


def _decode_message(item: JSONObject, at: int, field: str) -> list[Part]:
    envelope = {key: value for key, value in item.items() if key not in _MESSAGE_FIELDS}
    content = item.get("content")
    if type(content) is str:
        return [TextPart(content, wire=Wire(NAME, {AT: at, ITEM: envelope}, "string"))]
    if content is None or content == []:
        notation = "empty" if content == [] else "null" if "content" in item else "absent"
        return [TextPart("", wire=Wire(NAME, {AT: at, ITEM: envelope}, notation))]
    parts = [
        decode_content(value, f"{field}.content[{number}]")
        for number, value in enumerate(as_list(content, f"{field}.content"))
    ]
    for part in parts:
        mark_item(part, at, envelope)
    return parts


def mark_item(part: Part, at: int, envelope: JSONObject) -> None:
    """Note in a freshly decoded part from which item it came."""
    if part.wire is not None:
        part.wire.fields[AT] = at
        part.wire.fields[ITEM] = envelope


def thought_envelope(item: JSONObject) -> JSONObject:
    """The fields of a reasoning item; of its lists only the places are kept, their entries become parts."""
    return {key: [] if key in {_SUMMARY, CONTENT} and value is not None else value for key, value in item.items()}


def _decode_reasoning(item: JSONObject, at: int, field: str) -> list[Part]:
    envelope = thought_envelope(item)
    parts: list[Part] = []
    for key in (_SUMMARY, CONTENT):
        value = item.get(key)
        entries = [] if value is None else as_list(value, f"{field}.{key}")
        for number, entry in enumerate(entries):
            where = f"{field}.{key}[{number}]"
            thought = as_object(entry, where)
            fields = {AT: at, ITEM: envelope, **rest(thought, _THOUGHT_FIELDS)}
            if thought.get("type") != _THOUGHT_TYPES[key]:
                fields[_TYPE] = [thought["type"]] if "type" in thought else []
            parts.append(ReasoningPart(text_at(thought, "text", where), wire=Wire(NAME, fields, key)))
    return parts or [ReasoningPart("", redacted=True, wire=Wire(NAME, {AT: at, ITEM: envelope}, "empty"))]


def decode_result(item: JSONObject, at: int, field: str) -> ToolResultPart:
    """Read the answer to a call: function_call_output or custom_tool_call_output."""
    output = item.get("output")
    notation = "parts"
    content: list[Part] = []
    if type(output) is str:
        content.append(TextPart(output))
        notation = "string"
    elif output is None and "output" in item:
        notation = "null"
    else:
        values = as_list(output, f"{field}.output")
        content = [decode_content(value, f"{field}.output[{number}]") for number, value in enumerate(values)]
    call = optional_text(item, "call_id", field)
    fields = {AT: at, **rest(item, _RESULT_FIELDS)}
    if call == "":
        fields["call_id"] = ""
    return ToolResultPart(
        call or "",
        content,
        name=optional_text(item, "name", field),
        wire=Wire(NAME, fields, RESULTS[word(item, "type")] + notation),
    )


# --- encoding ------------------------------------------------------------------------------------------------------


def in_message(part: Part) -> bool:
    """Whether the part stands inside a message, not as an item of its own."""
    if isinstance(part, ProviderPart):
        return form(part.wire) == CONTENT
    return isinstance(part, (TextPart, RefusalPart, MediaPart))


def item_key(part: Part) -> tuple[str, JSON, JSON] | None:
    """What the parts of one item have in common; None for a part that was not decoded here or is an item alone."""
    wire = part.wire
    if wire is None or wire.dialect != NAME or ITEM not in wire.fields:
        return None
    kind = "reasoning" if isinstance(part, ReasoningPart) else "message"
    envelope = wire.fields[ITEM]
    return kind, wire.fields.get(AT), envelope.get("id") if type(envelope) is dict else None


def grouped(parts: Sequence[Part], *, join: bool) -> Iterator[list[tuple[int, Part]]]:
    """Cut a turn of the assistant into items.

    Args:
        parts: The parts of the turn.
        join: Whether texts that were not decoded here share one message where they follow each other.

    Yields:
        The parts of one item, with their positions in the turn.
    """
    group: list[tuple[int, Part]] = []
    last: object = None
    for position, part in enumerate(parts):
        key: object = item_key(part)
        if key is None:
            loose = join and isinstance(part, (TextPart, RefusalPart))
            key = "text" if loose else ("alone", position)
        if group and key != last:
            yield group
            group = []
        group.append((position, part))
        last = key
    if group:
        yield group


def envelope_of(parts: Sequence[Part]) -> JSONObject:
    """The fields of the item around the parts; a later part knows better (its status is newer)."""
    fields: JSONObject = {}
    for part in parts:
        if part.wire is not None and part.wire.dialect == NAME:
            item = part.wire.fields.get(ITEM)
            if type(item) is dict:
                fields.update(item)
    return fields


def is_custom(part: ToolCallPart) -> bool:
    """Whether the call is one of a custom tool, here or in OpenAI's other format."""
    wire = part.wire
    if wire is None or wire.dialect not in {NAME, "openai_chat"}:
        return False
    return CUSTOM in wire.form.split()


def call_item(part: ToolCallPart) -> JSONObject:
    """Write a call; what was not decoded here gets no id."""
    fields = node_fields(part.wire)
    if is_custom(part):
        text = custom_input(part.arguments)
        return {**fields, "type": "custom_tool_call", "call_id": part.id, "name": part.name, "input": text}
    arguments = part.arguments or ("" if ours(part.wire) else "{}")
    return {**fields, "type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}


def reasoning_item(parts: Sequence[Part]) -> JSONObject:
    """Write a thought: summaries and contents, each list in the order of the parts."""
    item: JSONObject = {"type": "reasoning", **envelope_of(parts)}
    if not ours(parts[0].wire):
        item[_SUMMARY] = []
    lists: dict[str, list[JSON]] = {}
    for part in parts:
        text = cast("ReasoningPart", part).text
        key = CONTENT if form(part.wire) == CONTENT else _SUMMARY
        if form(part.wire) == "empty" and not text:
            continue
        entry: JSONObject = {"type": _THOUGHT_TYPES[key], "text": text, **node_fields(part.wire)}
        told = part.wire.fields.get(_TYPE) if part.wire is not None and ours(part.wire) else None
        if type(told) is list:
            del entry["type"]
            if told:
                entry["type"] = told[0]
        lists.setdefault(key, []).append(entry)
    item.update(cast("JSONObject", lists))
    return item


def message_content(parts: Sequence[tuple[int, Part]], encoder: ContentEncoder, path: str) -> JSON:
    """Write the content of an assistant's message in the notation that it came in."""
    first = parts[0][1]
    if len(parts) == 1 and isinstance(first, TextPart) and first.cache is None:
        notation = form(first.wire)
        if notation == "string":
            return first.text
        if not first.text and notation in {"null", "empty", "absent"}:
            return [] if notation == "empty" else None
    written = (encoder.part(part, "output_text", f"{path}.parts[{at}]") for at, part in parts)
    return [part for part in written if part is not None]


def message_item(parts: Sequence[tuple[int, Part]], encoder: ContentEncoder, path: str) -> JSONObject:
    """Write an assistant's message that was decoded here."""
    item = envelope_of([part for _, part in parts])
    item["content"] = message_content(parts, encoder, path)
    if item["content"] is None and form(parts[0][1].wire) == "absent":
        del item["content"]
    return item


def result_item(part: ToolResultPart, encoder: ContentEncoder, path: str, *, custom: bool) -> JSONObject:
    """Write the answer to a call.

    Args:
        part: The result.
        encoder: Writes its content.
        path: Where it stands in the hub.
        custom: Whether it answers a call of a custom tool, for a result that was not decoded here.
    """
    notation = form(part.wire)
    if notation:
        custom = notation.startswith(RESULTS["custom_tool_call_output"])
        notation = notation.rpartition(":")[2]
    elif part.is_error:
        encoder.loss.emulate(
            f"{path}.is_error", "There is no field for it; only the content says that the tool failed."
        )
    if part.cache is not None:
        encoder.loss.drop(f"{path}.cache", "The result of a call cannot carry a cache breakpoint.")
    item = node_fields(part.wire)
    if "name" in item:
        item["name"] = part.name
    item["type"] = "custom_tool_call_output" if custom else "function_call_output"
    if part.call_id or not notation:
        item["call_id"] = part.call_id
    if notation == "null" and not part.content:
        item["output"] = None
    else:
        item["output"] = _result_output(part, notation, encoder, path)
    return item


def _result_output(part: ToolResultPart, notation: str, encoder: ContentEncoder, path: str) -> JSON:
    content = part.content
    plain = all(isinstance(piece, TextPart) and piece.cache is None for piece in content)
    if plain and len(content) < 2 and notation != "parts":
        return part.text
    if not encoder.profile.tool_media and not all(isinstance(piece, TextPart) for piece in content):
        encoder.loss.refuse(f"{path}.content", "The target takes no media in tool results.")
    written = [encoder.part(piece, "input_text", f"{path}.content[{at}]") for at, piece in enumerate(content)]
    return [piece for piece in written if piece is not None]

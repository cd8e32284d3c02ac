"""Every text of a request, in the hub's words or in a wire format's: to be read, or written anew.

Nothing is changed in place: what the application holds stays as it is, and what did not change is shared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar, cast

from aistrale.dialects.slots import OPAQUE
from aistrale.types import (
    EmbedRequest,
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.core.call import Call
    from aistrale.dialects.base import TextSlot
    from aistrale.types import JSON, JSONObject, Message, OutputFormat, Part, Request, Tool, Wire

Kind = Literal["text", "json", "name", "value", "link"]
"""What a text is.

"text": prose; "json": JSON whose strings are prose; "name": a short label; "value": something of a form that the
provider prescribes, or that is not known; "link": where the provider fetches a file.
"""

Item = TypeVar("Item")
# Characters; a scan takes about a millisecond for eight thousand.
_LARGE: Final = 32 * 1024


class Change(Protocol):
    """Looks at a text, and says what is to stand in its place."""

    def __call__(self, path: str, kind: Kind, text: str, /) -> str:
        """The new text; the same one to leave it.

        Args:
            path: Where it stands, in the words of the hub or of the wire format.
            kind: What it is.
            text: Never empty.
        """
        ...


_LINKS: Final = frozenset({"url", "image_url", "file_url", "fileUri", "file_uri", "server_url"})
# What of a JSON Schema is for the model to read; everything else is for the provider's checks.
_SCHEMA_TEXTS: Final = frozenset({"description", "title"})
_SCHEMA_EXAMPLES: Final = frozenset({"example", "examples"})
_SCHEMA_MAPS: Final = frozenset(
    {"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"}
)  # fmt: skip


def rewrite(request: Request | EmbedRequest, change: Change) -> Request | EmbedRequest:
    """A request of the hub with every text changed.

    Args:
        request: Stays as it is.
        change: Is asked about each text, in the order in which the model reads them.

    Returns:
        The same object if nothing changed.
    """
    if isinstance(request, EmbedRequest):
        return _embed(request, change)
    new: dict[str, object] = {}
    _put(new, "messages", request.messages, _list(request.messages, "messages", change, _message))
    _put(new, "tools", request.tools, _list(request.tools, "tools", change, _tool))
    if request.output is not None:
        _put(new, "output", request.output, _output(request.output, change))
    if request.stop:
        _put(new, "stop", request.stop, _list(request.stop, "stop", change, _text))
    for name in ("user", "cache_key"):
        if value := getattr(request, name):
            _put(new, name, value, change(name, "name", value))
    if request.metadata:
        _put(new, "metadata", request.metadata, _json(request.metadata, "metadata", change, "name"))
    _put(new, "extra", request.extra, _json(request.extra, "extra", change))
    _put(new, "wire", request.wire, _wire(request.wire, "", change))
    return replace(request, **new) if new else request  # type: ignore[arg-type]  # each is of its field's type


def _embed(request: EmbedRequest, change: Change) -> EmbedRequest:
    new: dict[str, object] = {}
    inputs = [
        change(f"inputs[{index}]", "text", item) if isinstance(item, str) and item else item
        for index, item in enumerate(request.inputs)
    ]
    if inputs != list(request.inputs):
        new["inputs"] = inputs
    if request.user:
        _put(new, "user", request.user, change("user", "name", request.user))
    _put(new, "extra", request.extra, _json(request.extra, "extra", change))
    _put(new, "wire", request.wire, _wire(request.wire, "", change))
    return replace(request, **new) if new else request  # type: ignore[arg-type]  # likewise


def _put(new: dict[str, object], name: str, before: object, after: object) -> None:
    if after is not before and after != before:
        new[name] = after


def _list(items: list[Item], path: str, change: Change, one: Callable[[Item, str, Change], Item]) -> list[Item]:
    """The same list if nothing changed."""
    after = [one(item, f"{path}[{index}]", change) for index, item in enumerate(items)]
    return items if all(map(_is, items, after)) else after


def _is(one: object, other: object) -> bool:
    return one is other


def _text(text: str, path: str, change: Change) -> str:
    return change(path, "text", text) if text else text


def _message(message: Message, path: str, change: Change) -> Message:
    new: dict[str, object] = {}
    _put(new, "parts", message.parts, _list(message.parts, f"{path}.parts", change, _part))
    if message.name:
        _put(new, "name", message.name, change(f"{path}.name", "name", message.name))
    _put(new, "wire", message.wire, _wire(message.wire, path, change))
    return replace(message, **new) if new else message  # type: ignore[arg-type]  # likewise


def _part(part: Part, path: str, change: Change) -> Part:
    new: dict[str, object] = {}
    match part:
        case TextPart() | RefusalPart() | ReasoningPart():
            if part.text:
                _put(new, "text", part.text, change(f"{path}.text", "text", part.text))
        case ToolCallPart():
            if part.arguments:
                _put(new, "arguments", part.arguments, change(f"{path}.arguments", "json", part.arguments))
        case ToolResultPart():
            _put(new, "content", part.content, _list(part.content, f"{path}.content", change, _part))
        case MediaPart():
            if part.filename:
                _put(new, "filename", part.filename, change(f"{path}.filename", "name", part.filename))
            if part.url and not part.url.startswith("data:"):
                _put(new, "url", part.url, change(f"{path}.url", "link", part.url))
        case ProviderPart():
            _put(new, "data", part.data, _json(part.data, f"{path}.data", change))
    if not isinstance(part, ReasoningPart):
        # What a thought has beside its text is signed by the provider.
        _put(new, "wire", part.wire, _wire(part.wire, path, change))
    return replace(part, **new) if new else part  # type: ignore[arg-type]  # likewise


def _tool(tool: Tool, path: str, change: Change) -> Tool:
    new: dict[str, object] = {}
    if tool.description:
        _put(new, "description", tool.description, change(f"{path}.description", "text", tool.description))
    if tool.parameters is not None:
        _put(new, "parameters", tool.parameters, _schema(tool.parameters, f"{path}.parameters", change))
    if tool.hosted is not None:
        _put(new, "hosted", tool.hosted, _json(tool.hosted, f"{path}.hosted", change))
    _put(new, "wire", tool.wire, _wire(tool.wire, path, change))
    return replace(tool, **new) if new else tool  # type: ignore[arg-type]  # likewise


def _output(output: OutputFormat, change: Change) -> OutputFormat:
    new: dict[str, object] = {}
    if output.description:
        _put(new, "description", output.description, change("output.description", "text", output.description))
    if output.schema is not None:
        _put(new, "schema", output.schema, _schema(output.schema, "output.schema", change))
    return replace(output, **new) if new else output  # type: ignore[arg-type]  # likewise


def _wire(wire: Wire | None, path: str, change: Change) -> Wire | None:
    if wire is None or not wire.fields:
        return wire
    fields = _json(wire.fields, path, change, "value")
    return wire if fields is wire.fields else replace(wire, fields=fields)


def _schema(schema: JSON, path: str, change: Change, *, named: bool = False) -> JSON:
    """A JSON Schema: descriptions, titles and examples are prose, the words of enums and the like are values."""
    if type(schema) is list:
        items = [_schema(item, f"{path}[{index}]", change) for index, item in enumerate(schema)]
        return schema if all(map(_is, items, schema)) else items
    if type(schema) is str:
        return change(path, "value", schema) if schema else schema
    if type(schema) is not dict:
        return schema
    new: JSONObject = {}
    for name, value in schema.items():
        where = f"{path}.{name}"
        if not named and name in _SCHEMA_TEXTS and type(value) is str:
            new[name] = change(where, "text", value) if value else value
        elif not named and name in _SCHEMA_EXAMPLES:
            new[name] = _json(value, where, change)
        else:
            new[name] = _schema(value, where, change, named=not named and name in _SCHEMA_MAPS)
    return schema if all(new[name] is value for name, value in schema.items()) else new


def _json(value: Item, path: str, change: Change, kind: Kind = "text") -> Item:
    """A JSON value: its strings, but for those of machines; the same object if nothing changed."""
    return cast("Item", _walk(cast("JSON", value), path, change, kind))


def _walk(value: JSON, path: str, change: Change, kind: Kind) -> JSON:
    if type(value) is str:
        if kind == "value" and (" " in value or "\n" in value):
            # Several words are prose, wherever they stand.
            kind = "text"
        return change(path, kind, value) if value else value
    if type(value) is list:
        items = [_walk(item, f"{path}[{index}]", change, kind) for index, item in enumerate(value)]
        return value if all(map(_is, items, value)) else items
    if type(value) is not dict:
        return value
    new: JSONObject = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if type(item) is str and (name in OPAQUE or name.endswith("_id")):
            new[name] = item
        elif type(item) is str and name in _LINKS:
            new[name] = item if item.startswith("data:") or not item else change(where, "link", item)
        elif type(item) is str and name == "arguments" and item:
            new[name] = change(where, "json", item)
        else:
            new[name] = _walk(item, where, change, kind)
    return value if all(new[name] is item for name, item in value.items()) else new


def rewrite_body(body: JSONObject, slots: Callable[[JSONObject], Iterator[TextSlot]], change: Change) -> bool:
    """Change every text of a body in a wire format, in place.

    Args:
        body: The caller's own copy.
        slots: The dialect's `text_slots`. What stands elsewhere in the body is a value, or a link.
        change: As above.

    Returns:
        Whether anything changed.
    """
    changed = False
    seen: set[str] = set()
    # The slots are gathered first, since what is being walked must not change.
    for slot in list(slots(body)):
        before = slot.text
        after = change(slot.path, slot.kind, before)
        seen.add(after)
        if after != before:
            slot.replace(after)
            changed = True

    def rest(path: str, kind: Kind, text: str, /) -> str:
        return text if text in seen else change(path, kind, text)

    for name, value in body.items():
        after_walk = _walk({name: value}, "", rest, "value")
        new = cast("JSONObject", after_walk)[name]
        if new is not value:
            body[name] = new
            changed = True
    return changed


def is_large(request: Request | EmbedRequest) -> bool:
    """Whether looking at all texts of a request keeps an event loop waiting: longer than some milliseconds."""
    total = 0

    def measure(_path: str, _kind: Kind, text: str, /) -> str:
        nonlocal total
        total += len(text)
        return text

    rewrite(request, measure)
    return total > _LARGE


def texts(call: Call) -> list[tuple[str, Kind, str]]:
    """Every text of a call's request as it came in: path, kind, text."""
    found: list[tuple[str, Kind, str]] = []

    def read(path: str, kind: Kind, text: str, /) -> str:
        found.append((path, kind, text))
        return text

    if call.inbound is not None:
        call.inbound.rewrite(read)
    else:
        rewrite(call.request, read)
    return found

"""OpenAI Responses: the conversation in `input` and `instructions`, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._responses_content import (
    AT,
    NAME,
    TEXT_TYPES,
    ContentEncoder,
    decode_content,
    form,
    node_fields,
    ours,
)
from aistrale.dialects._responses_items import (
    RESULTS,
    call_item,
    decode_item,
    decode_result,
    envelope_of,
    grouped,
    in_message,
    is_custom,
    is_minted,
    item_key,
    message_item,
    reasoning_item,
    result_item,
)
from aistrale.dialects.shape import MalformedBody, as_list, as_object
from aistrale.types import Message, ProviderPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, JSONObject, Part, Role

INSTRUCTIONS: Final = "instructions"
"""Form of the system message that stands in `instructions`."""
BARE: Final = "input"
"""Form of the user message that is the whole of `input`, as a string."""
_ITEMS: Final = "items"
_ROLES: Final[dict[JSON, Role]] = {"user": "user", "system": "system", "developer": "developer"}
# What the caller's side sends besides messages: answers of its own tools, and words to the API.
_CALLER_ITEMS: Final[dict[JSON, Role]] = {
    "computer_call_output": "tool",
    "local_shell_call_output": "tool",
    "shell_call_output": "tool",
    "apply_patch_call_output": "tool",
    "mcp_approval_response": "user",
    "compaction_trigger": "user",
    "configuration_update": "user",
}


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_input(items: Sequence[JSON]) -> list[Message]:
    """Read a list of items.

    Consecutive items of the assistant's side become one message; each answer to a call is a message of role "tool".

    Raises:
        MalformedBody: A field that is used has the wrong type.
    """
    messages: list[Message] = []
    turn: Message | None = None
    for at, value in enumerate(items):
        field = f"input[{at}]"
        item = as_object(value, field)
        message = _decode_caller_item(item, at, field)
        if message is not None:
            messages.append(message)
            turn = None
            continue
        if turn is None:
            turn = Message("assistant")
            messages.append(turn)
        turn.parts.extend(decode_item(item, at, field))
    return messages


def _decode_caller_item(item: JSONObject, at: int, field: str) -> Message | None:
    """The message of an item of the caller's side; None for one of the assistant's."""
    kind, role = item.get("type"), item.get("role")
    if type(kind) not in {str, type(None)}:
        raise MalformedBody(f"{field}.type", "a string")
    if type(role) is str and kind in {None, "message"}:
        if role in _ROLES:
            return _decode_message(item, _ROLES[role], field)
        return None if role == "assistant" else _provider_message("user", item, at)
    if kind in RESULTS:
        return Message("tool", [decode_result(item, at, field)], wire=Wire(NAME, {}, _ITEMS))
    if kind in _CALLER_ITEMS:
        return _provider_message(_CALLER_ITEMS[kind], item, at)
    if kind == "tool_search_output" and item.get("execution") == "client":
        return _provider_message("tool", item, at)
    return _provider_message(_ROLES[role], item, at) if type(role) is str and role in _ROLES else None


def _provider_message(role: Role, item: JSONObject, at: int) -> Message:
    part = ProviderPart(NAME, item, wire=Wire(NAME, {AT: at}, "item"))
    return Message(role, [part], wire=Wire(NAME, {}, _ITEMS))


def _decode_message(item: JSONObject, role: Role, field: str) -> Message:
    fields = {key: value for key, value in item.items() if key not in {"role", "content"}}
    content = item.get("content")
    name = item.get("name")
    notation = "parts"
    parts: list[Part] = []
    if type(content) is str:
        parts.append(TextPart(content))
        notation = "string"
    elif content is None:
        notation = "null" if "content" in item else "absent"
    else:
        values = as_list(content, f"{field}.content")
        parts = [decode_content(value, f"{field}.content[{at}]") for at, value in enumerate(values)]
    return Message(role, parts, name if type(name) is str else None, Wire(NAME, fields, notation))


# --- encoding ------------------------------------------------------------------------------------------------------


def encode_input(messages: Sequence[Message], encoder: ContentEncoder) -> tuple[str | None, str | list[JSON]]:
    """Write a conversation.

    Args:
        messages: The hub's messages.
        encoder: Writes their content and records losses.

    Returns:
        `instructions`, None where there are none, and `input`.

    Raises:
        InvalidRequestError: Something cannot be said at all.
    """
    chosen = instructions_at(messages)
    rest = [(at, message) for at, message in enumerate(messages) if at != chosen]
    instructions = None if chosen is None else messages[chosen].text
    if len(rest) == 1 and form(rest[0][1].wire) == BARE and _is_bare(rest[0][1].parts):
        return instructions, rest[0][1].text
    calls = (call for message in messages for call in message.tool_calls)
    writer = _Writer(encoder, frozenset(call.id for call in calls if is_custom(call)))
    for at, message in rest:
        writer.message(message, f"messages[{at}]")
    return instructions, writer.items


def instructions_at(messages: Sequence[Message]) -> int | None:
    """Which message goes into `instructions`: the one that came from there, or a leading system text from elsewhere."""
    for at, message in enumerate(messages):
        if form(message.wire) == INSTRUCTIONS and _is_bare(message.parts):
            return at
    first = messages[0] if messages else None
    if first is None or first.role != "system" or ours(first.wire) or first.name is not None:
        return None
    return 0 if _is_bare(first.parts) else None


def _is_bare(parts: Sequence[Part]) -> bool:
    """Whether the parts can be written as a bare string."""
    if len(parts) != 1 or not isinstance(parts[0], TextPart):
        return False
    return parts[0].cache is None and form(parts[0].wire) not in TEXT_TYPES


class _Writer:
    __slots__ = ("_customs", "_encoder", "items")

    def __init__(self, encoder: ContentEncoder, customs: frozenset[str]) -> None:
        self.items: list[JSON] = []
        self._encoder = encoder
        self._customs = customs

    def message(self, message: Message, path: str) -> None:
        if message.name is not None and not ours(message.wire):
            self._encoder.loss.drop(f"{path}.name", "A message has no participant's name here.")
        if message.role == "assistant":
            self._turn(message, path)
        else:
            self._spoken(message, path)

    def _spoken(self, message: Message, path: str) -> None:
        pending: list[tuple[int, Part]] = []
        said = False
        for at, part in enumerate(message.parts):
            if in_message(part):
                pending.append((at, part))
                continue
            if pending:
                self._say(message, pending, path)
                said, pending = True, []
            self._alone(part, f"{path}.parts[{at}]")
        # A message without content is kept where it came as one; results and items are no message's content.
        empty = not message.parts and message.role != "tool" and form(message.wire) != _ITEMS
        if pending or (empty and not said):
            self._say(message, pending, path)

    def _say(self, message: Message, parts: list[tuple[int, Part]], path: str) -> None:
        notation = form(message.wire)
        item = node_fields(message.wire)
        if type(item.get("name")) is str:
            del item["name"]
        if message.name is not None and ours(message.wire):
            item["name"] = message.name
        item["role"] = "user" if message.role == "tool" else message.role
        if notation != "parts" and _is_bare([part for _, part in parts]):
            item["content"] = parts[0][1].text if isinstance(parts[0][1], TextPart) else ""
        elif parts or notation not in {"null", "absent"}:
            written = (self._encoder.part(part, "input_text", f"{path}.parts[{at}]") for at, part in parts)
            content: list[JSON] = [part for part in written if part is not None]
            if parts and not content:
                return
            item["content"] = content if content or notation == "parts" else ""
        elif notation == "null":
            item["content"] = None
        self.items.append(item)

    def _turn(self, message: Message, path: str) -> None:
        for group in grouped(message.parts, join=False):
            at, part = group[0]
            key = item_key(part)
            if key is None:
                self._alone(part, f"{path}.parts[{at}]")
            elif key[0] == "reasoning":
                self._thought([part for _, part in group], f"{path}.parts[{at}]")
            else:
                item = message_item(group, self._encoder, path)
                self._append(item)

    def _thought(self, parts: list[Part], path: str) -> None:
        if is_minted(envelope_of(parts).get("id")):
            self._encoder.loss.drop(path, "The thought comes from another provider, and was left out.")
            return
        self.items.append(reasoning_item(parts))

    def _alone(self, part: Part, path: str) -> None:
        loss = self._encoder.loss
        if isinstance(part, ToolCallPart):
            if part.cache is not None:
                loss.drop(f"{path}.cache", "A call cannot carry a cache breakpoint.")
            self._append(call_item(part))
        elif isinstance(part, ToolResultPart):
            custom = part.call_id in self._customs
            self.items.append(result_item(part, self._encoder, path, custom=custom))
        elif isinstance(part, TextPart):
            if part.cache is not None:
                loss.drop(f"{path}.cache", "A cache breakpoint cannot stand in an assistant's message.")
            self.items.append({"role": "assistant", "content": part.text})
        elif isinstance(part, ReasoningPart):
            loss.drop(path, "The thought comes from another provider, and was left out.")
        elif isinstance(part, ProviderPart) and not in_message(part):
            if part.dialect != NAME or is_minted(part.data.get("id")):
                loss.drop(path, "This content is known to the provider it came from only, and was left out.")
            else:
                self.items.append(part.data)
        elif (content := self._encoder.part(part, "output_text", path)) is not None:
            item: JSONObject = {"type": "message", "role": "assistant", "status": "completed"}
            self.items.append({**item, "content": [content]})

    def _append(self, item: JSONObject) -> None:
        # OpenAI never issued the ids that we mint, so it must not be asked to look them up.
        if is_minted(item.get("id")):
            del item["id"]
        self.items.append(cast("JSON", item))

"""Turns of the Anthropic Messages format: hub messages to `system` and `messages`, and back.

Here a turn of the user may hold results of tools among other things, where the hub has messages of role "tool"; a turn
is cut into messages on the way in, and `Wire.form` tells how to join them again:

- "string" or "blocks": the message begins a turn of `messages`, with that notation of its content;
- "joined": it goes on with the turn before;
- "system_string" or "system_blocks": it is the body's `system` field;
- none: it was not decoded from this dialect, and is joined to the turn before if that has the same role.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import (
    NAME,
    Out,
    decode_blocks,
    encode_part,
    encode_parts,
    is_native,
    merge_kept,
    within,
)
from aistrale.dialects.shape import MalformedBody, as_list, as_object, form_of, kept, rest
from aistrale.types import MediaPart, Message, ProviderPart, TextPart, ToolCallPart, ToolResultPart, Wire

if TYPE_CHECKING:
    from typing import Literal

    from aistrale.types import JSON, JSONObject

THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


# --- decoding ----------------------------------------------------------------------------


def decode_system(system: JSON) -> list[Message]:
    """The message, if any, that the body's `system` field stands for."""
    if system is None:
        return []
    if type(system) is str:
        return [Message("system", [TextPart(system)], wire=Wire(NAME, form="system_string"))]
    parts = decode_blocks(as_list(system, "system"), "system")
    return [Message("system", parts, wire=Wire(NAME, form="system_blocks"))]


def decode_turns(turns: list[JSON]) -> list[Message]:
    """The messages that the body's `messages` stand for."""
    messages: list[Message] = []
    for index, turn in enumerate(turns):
        try:
            messages.extend(_decode_turn(as_object(turn, "")))
        except MalformedBody as error:
            raise within(f"messages[{index}]", error) from None
    _name_results(messages)
    return messages


def _decode_turn(turn: JSONObject) -> list[Message]:
    role = _role(turn.get("role"))
    content = turn.get("content")
    fields = rest(turn, ("role", "content"))
    if type(content) is str:
        return [Message(role, [TextPart(content)], wire=Wire(NAME, fields, "string"))]
    parts = decode_blocks(as_list(content, "content"), "content")
    if role != "user":
        return [Message(role, parts, wire=Wire(NAME, fields, "blocks"))]
    messages: list[Message] = []
    for part in parts:
        piece: Literal["user", "tool"] = "tool" if isinstance(part, ToolResultPart) else "user"
        if not messages or messages[-1].role != piece:
            messages.append(Message(piece, [], wire=Wire(NAME, {}, "joined")))
        messages[-1].parts.append(part)
    first = messages[0] if messages else Message("user")
    first.wire = Wire(NAME, fields, "blocks")
    return messages or [first]


def _role(value: JSON) -> Literal["user", "assistant", "system"]:
    match value:
        case "user":
            return "user"
        case "assistant":
            return "assistant"
        case "system":
            return "system"
        case _:
            raise MalformedBody("role", '"user", "assistant" or "system"')


def _name_results(messages: list[Message]) -> None:
    """Fill in the names of the tools that results answer, which other formats ask for."""
    names: dict[str, str] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                names[part.id] = part.name
            elif isinstance(part, ToolResultPart):
                part.name = names.get(part.call_id)


# --- encoding ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[JSONObject]
    string: bool
    fields: JSONObject = field(default_factory=dict)

    def body(self) -> JSONObject:
        turn: JSONObject = {"role": self.role, "content": _content(self.blocks, string=self.string)}
        merge_kept(turn, self.fields)
        return turn


def _content(blocks: list[JSONObject], *, string: bool) -> JSON:
    """Content in the short notation where it was asked for and says everything."""
    if string and len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return [*blocks]


def encode_turns(messages: list[Message], out: Out) -> tuple[JSON, list[JSONObject]]:
    """Encode a conversation.

    Returns:
        The body's `system` (None for none) and its `messages`.
    """
    if not out.native:
        parts = [part for message in messages for part in message.parts]
        calls = [part.id for part in parts if isinstance(part, ToolCallPart)]
        out.fit_tool_ids(calls + [part.call_id for part in parts if isinstance(part, ToolResultPart)])
    leading = 0
    while leading < len(messages) and _is_leading(messages[leading]):
        leading += 1
    system = _encode_system(messages[:leading], out)
    turns: list[_Turn] = []
    for index, message in enumerate(messages[leading:], leading):
        _add(message, f"messages[{index}]", turns, out)
    if not turns and system and not out.native:
        # Other formats answer a conversation of instructions alone; this one needs a turn of the user.
        out.loss.emulate("messages", "instructions without any message are sent as the user's")
        return None, [{"role": "user", "content": system}]
    return system, [turn.body() for turn in turns]


def _is_leading(message: Message) -> bool:
    """Whether a message at the top goes into `system`; one that was a turn of its own stays one."""
    return message.role in ("system", "developer") and form_of(message.wire, NAME) not in ("string", "blocks")


def _encode_system(messages: list[Message], out: Out) -> JSON:
    if not messages:
        return None
    blocks: list[JSONObject] = []
    for index, message in enumerate(messages):
        blocks.extend(_encode_message(message, f"messages[{index}]", out))
    forms = {form_of(message.wire, NAME) for message in messages}
    if not blocks and forms == {""}:
        return None
    return _content(blocks, string="system_blocks" not in forms)


def _encode_message(message: Message, path: str, out: Out) -> list[JSONObject]:
    if message.name is not None:
        out.loss.drop(f"{path}.name", "this format has no names of participants")
    if out.native:
        return encode_parts(message.parts, f"{path}.parts", out)
    blocks: list[JSONObject] = []
    for index, part in enumerate(message.parts):
        where = f"{path}.parts[{index}]"
        if message.role != "assistant" and isinstance(part, ProviderPart) and part.dialect != NAME:
            out.loss.refuse(where, f"content that only {part.dialect} understands cannot be sent here")
        if message.role == "assistant" and isinstance(part, MediaPart):
            out.loss.drop(where, "a turn of the assistant cannot hold media in this format")
            continue
        block = encode_part(part, where, out)
        if block is None:
            continue
        if message.role in ("system", "developer") and block["type"] != "text" and not is_native(part.wire):
            out.loss.refuse(where, "instructions may hold only text")
        blocks.append(block)
    return blocks


def _add(message: Message, path: str, turns: list[_Turn], out: Out) -> None:
    """Put a message where it belongs: into a turn of its own, or into one that there is."""
    form = form_of(message.wire, NAME)
    role = {"assistant": "assistant", "system": "system", "developer": "system"}.get(message.role, "user")
    blocks = _encode_message(message, path, out)
    if not form:
        results = [block for block in blocks if block["type"] == "tool_result"]
        blocks = [block for block in blocks if block["type"] != "tool_result"]
        if results:
            _add_results(results, turns)
    if not blocks and (message.parts or not form):
        return
    previous = turns[-1] if turns else None
    if form not in ("string", "blocks") and previous is not None and previous.role == role:
        previous.blocks.extend(blocks)
        return
    turns.append(_Turn(role, blocks, form in ("string", ""), kept(message.wire, NAME)))


def _add_results(results: list[JSONObject], turns: list[_Turn]) -> None:
    """All results of one assistant turn go, before anything else, into the one user turn right after it."""
    last = max((index for index, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns) - 1)
    if last + 1 == len(turns) or turns[last + 1].role != "user":
        turns.insert(last + 1, _Turn("user", [], string=False))
    blocks = turns[last + 1].blocks
    place = 0
    while place < len(blocks) and blocks[place]["type"] == "tool_result":
        place += 1
    blocks[place:place] = results


def lacks_thinking(turns: list[JSONObject]) -> bool:
    """Whether a tool loop is open whose assistant turn does not begin with a thought."""
    tail = [turn for turn in turns if turn["role"] != "system"]
    if len(tail) < 2 or tail[-1]["role"] != "user" or tail[-2]["role"] != "assistant":
        return False
    if "tool_result" not in _kinds(tail[-1]):
        return False
    return next(iter(_kinds(tail[-2])), None) not in THINKING_BLOCKS


def _kinds(turn: JSONObject) -> list[JSON]:
    content = turn["content"]
    return [block.get("type") for block in content if type(block) is dict] if type(content) is list else ["text"]

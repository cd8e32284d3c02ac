"""From what a caller calls a prompt to a checked conversation; nothing is sent that no provider could take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from aistrale.dialects import chat_dialect
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.media import check_media
from aistrale.types import (
    CacheHint,
    JSONObject,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import Part

Prompt: TypeAlias = "str | Message | Sequence[Message | JSONObject]"
"""Text, one message, or a conversation of Messages and OpenAI-style dicts."""

_ROLES: Final = get_args(Role)
_INSTRUCTIONS: Final = frozenset({"system", "developer"})
_PARTS: Final = (TextPart, RefusalPart, MediaPart, ReasoningPart, ToolCallPart, ToolResultPart, ProviderPart)
# Who may say what; any role may hold text, media and what only its own dialect understands.
_ONLY: Final = {
    ToolCallPart: ("assistant", "a tool call"),
    ReasoningPart: ("assistant", "a thought"),
    RefusalPart: ("assistant", "a refusal"),
    ToolResultPart: ("tool", "a tool result"),
}


def build_messages(prompt: Prompt, system: str | None = None) -> list[Message]:
    """The conversation that a prompt stands for. Raises InvalidRequestError naming the message."""
    messages = [] if system is None else [Message.system(checked_text("system", system))]
    if isinstance(prompt, str):
        if not prompt.strip():
            raise invalid("prompt", "is empty")
        return [*messages, Message.user(prompt)]
    if isinstance(prompt, Message):
        return [*messages, _checked(prompt, "prompt")]
    if not isinstance(prompt, (list, tuple)):
        raise invalid("prompt", "must be text, a Message, or a list of Messages and dicts")
    if not prompt:
        raise invalid("prompt", "is empty")
    for index, item in enumerate(prompt):
        where = f"messages[{index}]"
        if isinstance(item, dict):
            messages.append(_checked(_from_dict(item, where), where))
        elif isinstance(item, Message):
            messages.append(_checked(item, where))
        else:
            raise invalid(where, "must be a Message or a dict")
    return messages


def check_conversation(messages: Sequence[Message]) -> None:
    """Check that there is something to answer and that every tool call has its result.

    Raises:
        InvalidRequestError: `param` names the message.
    """
    if not any(message.parts for message in messages if message.role not in _INSTRUCTIONS):
        raise invalid("messages", "has nothing to answer; add a user message")
    pending: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResultPart) and pending.pop(part.call_id, None) is None:
                    raise invalid(f"messages[{index}]", "answers a tool call that the message before does not make")
        elif pending and message.role not in _INSTRUCTIONS:
            break
        for call in message.tool_calls:
            pending[call.id] = index
    if pending:
        first = min(pending.values())
        raise invalid(
            f"messages[{first}]", f"{len(pending)} of its tool calls have no result in the tool messages that follow"
        )


def checked_text(name: str, value: object) -> str:
    """A value that must be text and say something. Raises InvalidRequestError naming the field."""
    if not isinstance(value, str) or not value:
        raise invalid(name, "must be non-empty text")
    return value


def invalid(field: str, detail: str) -> InvalidRequestError:
    """The error for a part of a request that is refused before sending; it never shows the value."""
    return InvalidRequestError(f"{field} {detail}", param=field, code="invalid_request")


def _from_dict(item: JSONObject, where: str) -> Message:
    if item.get("role") not in _ROLES:
        raise invalid(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    try:
        decoded = chat_dialect("openai_chat").decode_request({"model": "", "messages": [item]})
    except MalformedBody as error:
        inner = error.field.removeprefix("messages[0]")
        raise invalid(f"{where}{inner}", f"expected {error.expected}") from error
    if len(decoded.messages) != 1:
        raise invalid(where, "is no single message")
    return decoded.messages[0]


def _checked(message: Message, where: str) -> Message:
    if message.role not in _ROLES:
        raise invalid(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    if not isinstance(message.parts, (list, tuple)):
        raise invalid(f"{where}.parts", f"must be a list of parts; write Message.{message.role}(...) for plain text")
    parts = [_checked_part(part, message.role, f"{where}.parts[{index}]") for index, part in enumerate(message.parts)]
    if message.role == "user" and not any(_says_something(part) for part in parts):
        raise invalid(where, "is empty")
    if not parts and message.role != "assistant":
        raise invalid(where, "is empty")
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    return Message(message.role, parts, message.name, message.wire)


def _checked_part(part: Part, role: Role, path: str) -> Part:
    only = _ONLY.get(type(part))
    if only is not None and role != only[0]:
        raise invalid(path, f"{only[1]} can only stand in {'an' if only[0] == 'assistant' else 'a'} {only[0]} message")
    if getattr(part, "cache", None) is not None and not isinstance(part.cache, CacheHint):  # type: ignore[union-attr]  # getattr asked
        raise invalid(f"{path}.cache", "must be a CacheHint")
    if isinstance(part, MediaPart):
        return check_media(part, path)
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        if not isinstance(part.text, str):
            raise invalid(f"{path}.text", "must be text")
    elif isinstance(part, ToolCallPart):
        for name in ("id", "name", "arguments"):
            if not isinstance(getattr(part, name), str):
                raise invalid(f"{path}.{name}", "must be JSON text" if name == "arguments" else "must be text")
    elif isinstance(part, ToolResultPart):
        return _checked_result(part, path)
    elif not isinstance(part, _PARTS):
        raise invalid(path, "must be a part, for example a TextPart")
    return part


def _checked_result(result: ToolResultPart, path: str) -> ToolResultPart:
    if not isinstance(result.content, (list, tuple)):
        raise invalid(f"{path}.content", "must be a list of parts; write Message.tool(...) for plain text")
    for index, part in enumerate(result.content):
        if not isinstance(part, (TextPart, MediaPart, ProviderPart)):
            raise invalid(f"{path}.content[{index}]", "must be text or media")
        _checked_part(part, "tool", f"{path}.content[{index}]")
    return result


def _says_something(part: Part) -> bool:
    return not isinstance(part, TextPart) or bool(part.text.strip()) or part.wire is not None

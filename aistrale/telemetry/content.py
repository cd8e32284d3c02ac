"""What was said, for sinks: in the form of the GenAI semantic conventions, redacted, and of bounded size.

It is taken where an attempt is sent: the request as the provider gets it, the answer before placeholders in it are
replaced. Only texts are cut, never the table that they stand in, so that what is written of it is whole JSON.
"""

from __future__ import annotations

import base64
import json
import logging
from math import isfinite
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.reply import Accumulator
from aistrale.telemetry.events import Content
from aistrale.types import (
    ArgumentsDelta,
    EmbedRequest,
    MediaPart,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aistrale.core.call import Attempt, Call, Context
    from aistrale.types import JSON, Choice, Event, JSONObject, Message, Part, Request, Tool

    Clean = Callable[[str], str]

MOST_TEXT: Final = 32_768
"""Characters of one text; what is longer ends with an ellipsis."""

MOST_TOTAL: Final = 262_144
"""Characters of all texts of one exchange; those that come when it is used up are left empty but for the ellipsis."""

MARGIN: Final = 256
"""Characters beyond a cut that redaction sees: more than anything that a recognizer looks for, which would not be
recognised any more where it is cut in its middle."""

_MOST_ANSWER: Final = MOST_TOTAL
_DEPTH: Final = 32
_ELLIPSIS: Final = "…"
# A number of fewer digits is nobody's card or telephone.
_TELLING: Final = 1_000_000
# Dialects that take instructions in a place of their own. OpenAI's chat messages have a role for them instead.
_APART: Final = frozenset({"anthropic_messages", "gemini_generate", "openai_responses"})
_FINISH: Final = {"tool_calls": "tool_call", "unknown": "error"}
# What only the provider can read, and what is only ever sent back to it.
_OPAQUE: Final = frozenset(
    {"encrypted_content", "encrypted_index", "signature", "thoughtSignature", "thought_signature"}
)

_log = logging.getLogger("aistrale.telemetry")
_reported: set[str] = set()


class Capture:
    """Decides whether content is kept, and makes it.

    Args:
        always: Whether it is kept where a call's context does not say.
        redact: Makes a text harmless; None where nothing needs to be.
        screened: Whether requests are redacted before they get here, so that only answers need to be.
    """

    def __init__(self, *, always: bool, redact: Callable[[str], str] | None, screened: bool = False) -> None:
        self._always = always
        self._redact = redact
        self._screened = screened

    def wanted(self, context: Context, *, asked: bool = False) -> bool:
        """Whether content is kept.

        Args:
            context: Of the call; what it says counts most.
            asked: Whether somebody wants it although the settings do not ask for it.
        """
        return (self._always or asked) if context.capture is None else context.capture

    def listen(self, call: Call, attempt: Attempt) -> Said | None:
        """What remembers an exchange that is about to begin; None for embeddings, which have no messages."""
        request = call.request
        return None if isinstance(request, EmbedRequest) else Said(self, request, attempt.target.dialect)

    def content(self, request: Request, dialect: str, choices: Sequence[Choice]) -> Content:
        """What was said, in messages of parts; never raises.

        Args:
            request: As it was sent.
            dialect: The wire format that it was sent in, which says where its instructions stand.
            choices: Of the answer; none where there was none.
        """
        try:
            return self._content(request, dialect, choices)
        except Exception as error:  # noqa: BLE001 - telemetry must not break calls
            name = type(error).__name__
            if name not in _reported:
                _reported.add(name)
                _log.warning("what a call said could not be kept, and the call goes on: %s", name)
            return Content()

    def _content(self, request: Request, dialect: str, choices: Sequence[Choice]) -> Content:
        room = Room(MOST_TOTAL)
        asked = Writer(None if self._screened else self._redact, room)
        said = Writer(self._redact, room)
        # The answer first: when room runs short, it is what nobody can look up elsewhere.
        output = tuple(said.answer(choice) for choice in choices)
        system, messages = _apart(request.messages, dialect)
        return Content(
            system=tuple(part for message in system for part in asked.parts(message.parts)),
            input=tuple(asked.message(message) for message in messages),
            output=output,
            tools=tuple(asked.tool(tool) for tool in request.tools),
        )


class Said:
    """A tap that remembers an answer as it comes from the provider, up to a bound, and changes nothing.

    Args:
        capture: Makes content of it.
        request: What was asked.
        dialect: The wire format that it was sent in.
    """

    __slots__ = ("_answer", "_capture", "_content", "_dialect", "_request", "_room")

    def __init__(self, capture: Capture, request: Request, dialect: str) -> None:
        self._capture = capture
        self._request = request
        self._dialect = dialect
        self._answer = Accumulator()
        self._room = _MOST_ANSWER
        self._content: Content | None = None

    def feed(self, event: Event) -> Iterable[Event]:
        """Remember."""
        if self._room > 0:
            self._answer.feed(event)
            self._room -= _length(event)
        elif not isinstance(event, (TextDelta, ReasoningDelta, ArgumentsDelta)):
            self._answer.feed(event)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """Nothing is held back."""
        return ()

    def content(self) -> Content:
        """What was said until now; made at the first question, and the same ever after."""
        if self._content is None:
            self._content = self._capture.content(self._request, self._dialect, self._answer.result().choices)
        return self._content


def _length(event: Event) -> int:
    if isinstance(event, TextDelta):
        return len(event.text)
    if isinstance(event, ReasoningDelta):
        return len(event.reasoning)
    return len(event.arguments) if isinstance(event, ArgumentsDelta) else 0


def _apart(messages: list[Message], dialect: str) -> tuple[list[Message], list[Message]]:
    """The instructions that stand in a place of their own, and the conversation."""
    leading = 0
    if dialect in _APART:
        while leading < len(messages) and messages[leading].role in {"system", "developer"}:
            leading += 1
    return messages[:leading], messages[leading:]


class Room:
    """How many characters may still be kept."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class Writer:
    """Writes messages, parts and tools as the conventions have them.

    Args:
        redact: Makes a text harmless; None where it is already.
        room: What may still be kept; shared.
    """

    def __init__(self, redact: Clean | None, room: Room) -> None:
        self._redact = redact
        self._room = room

    def message(self, message: Message) -> JSONObject:
        """A message that was sent."""
        table: JSONObject = {"role": message.role, "parts": cast("JSON", self.parts(message.parts))}
        if message.name:
            table["name"] = self.text(message.name)
        return table

    def answer(self, choice: Choice) -> JSONObject:
        """An alternative of the answer."""
        table = self.message(choice.message)
        table["finish_reason"] = _FINISH.get(choice.finish_reason, choice.finish_reason)
        return table

    def parts(self, parts: Sequence[Part]) -> list[JSONObject]:
        """What a message is made of; parts that have nothing to show are left out."""
        return [table for part in parts if (table := self._part(part)) is not None]

    def tool(self, tool: Tool) -> JSONObject:
        """A tool that was offered."""
        if tool.hosted is not None:
            kind = tool.hosted.get("type")
            return {"type": kind if isinstance(kind, str) else "hosted", "name": tool.name}
        table: JSONObject = {"type": "function", "name": tool.name}
        if tool.description:
            table["description"] = self.text(tool.description)
        if tool.parameters is not None:
            table["parameters"] = self.value(tool.parameters)
        return table

    def text(self, text: str) -> str:
        """A text, harmless and of bounded length."""
        limit = min(MOST_TEXT, self._room.left)
        long = len(text) > limit
        if long:
            text = text[: limit + MARGIN] if limit else ""
        if self._redact is not None and text:
            text = self._redact(text)
        if long:
            # Redaction changes lengths: what it saw the cut end of must be gone whatever else has become shorter.
            text = text[:-MARGIN][:limit] + _ELLIPSIS
        if not text.isascii():
            # Half of a surrogate pair can stand in JSON, but not in what exporters send.
            text = text.encode("utf-8", "replace").decode()
        self._room.left = max(self._room.left - len(text), 0)
        return text

    def value(self, value: JSON, depth: int = _DEPTH) -> JSON:
        """Any JSON with every text in it harmless."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            return self._number(value)
        if depth == 0:
            return _ELLIPSIS
        if isinstance(value, list):
            return [self.value(item, depth - 1) for item in value]
        return {self.text(key): self.value(item, depth - 1) for key, item in value.items() if key not in _OPAQUE}

    def _number(self, number: float) -> JSON:
        if isinstance(number, float) and not isfinite(number):
            return str(number)
        if self._redact is not None and abs(number) >= _TELLING:
            written = str(number)
            harmless = self._redact(written)
            return number if harmless == written else harmless
        return number

    def _part(self, part: Part) -> JSONObject | None:
        if isinstance(part, (TextPart, RefusalPart)):
            return {"type": "text", "content": self.text(part.text)} if part.text else None
        if isinstance(part, ReasoningPart):
            return {"type": "reasoning", "content": self.text(part.text)} if part.text else None
        if isinstance(part, ToolCallPart):
            return self._tool_call(part)
        if isinstance(part, ToolResultPart):
            return self._tool_result(part)
        if isinstance(part, MediaPart):
            return self._media(part)
        return self._hosted(part)

    def _tool_call(self, part: ToolCallPart) -> JSONObject:
        table: JSONObject = {"type": "tool_call", "name": part.name}
        if part.id:
            table["id"] = part.id
        if part.arguments.strip():
            table["arguments"] = self._json(part.arguments)
        return table

    def _json(self, text: str) -> JSON:
        """JSON text as what it says; text that is none, or too long to be looked at whole, as a text."""
        if len(text) <= MOST_TEXT:
            try:
                return self.value(cast("JSON", json.loads(text)))
            except (ValueError, RecursionError):
                pass
        return self.text(text)

    def _tool_result(self, part: ToolResultPart) -> JSONObject:
        plain = all(isinstance(item, TextPart) for item in part.content)
        response: JSON = self.text(part.text) if plain else cast("JSON", self.parts(part.content))
        table: JSONObject = {"type": "tool_call_response", "response": response}
        if part.call_id:
            table["id"] = part.call_id
        return table

    def _media(self, part: MediaPart) -> JSONObject | None:
        table: JSONObject = {"modality": part.media}
        if part.media_type:
            table["mime_type"] = part.media_type
        if part.data is not None:
            return {"type": "blob", **table, "content": self._blob(part)}
        if part.url is not None:
            return {"type": "uri", **table, "uri": self.text(part.url)}
        return None if part.file_id is None else {"type": "file", **table, "file_id": part.file_id}

    def _blob(self, part: MediaPart) -> str:
        """Base64; nothing of what is too long, since a piece of it is no picture, and harmless where it is text."""
        data = part.data or ""
        if len(data) > min(MOST_TEXT, self._room.left):
            return ""
        if (part.media_type or "").startswith("text/") and self._redact is not None:
            text = base64.b64decode(data).decode("utf-8", "replace")
            data = base64.b64encode(self._redact(text).encode()).decode()
        self._room.left -= len(data)
        return data

    def _hosted(self, part: ProviderPart) -> JSONObject | None:
        """What a tool of the provider's own did; None for what the conventions have no word for."""
        data = part.data
        kind = data.get("type")
        if not isinstance(kind, str):
            kind = next((name for name in ("executableCode", "codeExecutionResult") if name in data), "")
        if kind == "compaction":
            table: JSONObject = {"type": "compaction"}
            if isinstance(content := data.get("content"), str):
                table["content"] = self.text(content)
            return _with_id(table, data.get("id"))
        rest = cast("JSONObject", self.value({key: item for key, item in data.items() if key != "type"}))
        if kind.endswith(("_result", "_output", "Result")):
            result: JSONObject = {
                "type": "server_tool_call_response",
                "server_tool_call_response": {"type": kind, **rest},
            }
            return _with_id(result, data.get("tool_use_id") or data.get("call_id") or data.get("id"))
        if kind.endswith(("_call", "_use", "executableCode")) or "tool" in kind:
            name = data.get("name")
            call: JSONObject = {
                "type": "server_tool_call",
                "name": name if isinstance(name, str) else kind.removesuffix("_call"),
                "server_tool_call": {"type": kind, **rest},
            }
            return _with_id(call, data.get("id"))
        return None


def _with_id(table: JSONObject, id: JSON) -> JSONObject:
    if isinstance(id, str) and id:
        table["id"] = id
    return table

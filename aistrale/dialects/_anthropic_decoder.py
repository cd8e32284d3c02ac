"""Streams of the Anthropic Messages format: wire events to hub events."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from aistrale.dialects._anthropic_blocks import NAME, decode_block, dump_arguments, within
from aistrale.dialects._anthropic_errors import error_info
from aistrale.dialects._anthropic_response import decode_stop, finish_word
from aistrale.dialects._anthropic_usage import decode_usage
from aistrale.dialects.shape import MalformedBody, as_list, as_object, as_str, get_object, get_str, parse_object, rest
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    ErrorInfo,
    Finish,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.sse import SSE
    from aistrale.types import Event, JSONObject

_MESSAGE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
# The delta that each kind of part takes, and the field that holds its piece.
_TEXT, _THOUGHT, _ARGUMENTS, _WHOLE = "text_delta", "thinking_delta", "input_json_delta", ""


@dataclass(slots=True)
class _Block:
    """A block that is open.

    Args:
        number: The hub's number; -1 while the block is held back.
        takes: The delta that its text comes in.
        part: What opened it.
        data: The opening block, with what later deltas added.
        pieces: JSON text of a hosted tool's input, so far.
        filled: Whether any piece of text came.
        late: Opaque state that comes with the end of the block.
    """

    number: int
    takes: str
    part: ProviderPart | None = None
    data: JSONObject = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    filled: bool = False
    late: JSONObject = field(default_factory=dict)


class Decoder:
    """Decodes one streamed reply.

    Content that only Anthropic understands is held back until it is complete. The reply is complete with `message_stop`
    after a stop reason; whatever follows is ignored, and so is a repeated `message_start`. A `message_start` of another
    message means that an intermediary spliced two replies together: neither is whole, so it is a server error.
    """

    __slots__ = ("_blocks", "_ended", "_finish", "_id", "_next", "_reason", "_sequence", "_started", "_usage")

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._next = 0
        self._started = False
        self._ended = False
        self._id = ""
        self._usage: JSONObject = {}
        self._reason: str | None = None
        self._sequence: str | None = None
        self._finish: JSONObject = {}

    def feed(self, event: SSE) -> list[Event]:
        """Decode one wire event. Raises MalformedBody on a shape that the dialect does not have."""
        if self._ended or not event.data:
            return []
        data = parse_object(event.data, field="data")
        kind = data.get("type")
        if kind == "content_block_delta":
            index = data.get("index")
            block = self._blocks.get(index) if type(index) is int else None
            if block is None:
                raise MalformedBody("index", "the number of an open content block")
            delta = data.get("delta")
            if type(delta) is not dict:
                raise MalformedBody("delta", "an object")
            if block.takes == _TEXT and delta.get("type") == _TEXT:
                text = delta.get("text")
                if type(text) is not str:
                    raise MalformedBody("delta.text", "a string")
                return [TextDelta(text, block.number)] if text else []
            return self._delta(block, delta, data)
        if type(kind) is not str:
            kind = event.event
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(self, data)
        return [Other(NAME, event.event or kind, data)] if self._started else []

    @property
    def whole(self) -> bool:
        """Never before `message_stop`, and then it has ended."""
        return False

    def finish(self) -> list[Event]:
        """Nothing: `message_stop`, and only that, ends a reply."""
        return []

    # --- the events of a message

    def _message_start(self, data: JSONObject) -> list[Event]:
        message = as_object(data.get("message"), "message")
        own = get_str(message, "id") or ""
        if self._started:
            return [] if own == self._id else self._spliced()
        self._started = True
        self._id = own
        fields = rest(message, _MESSAGE)
        for key in ("stop_reason", "stop_sequence"):
            fields.pop(key, None)
        events: list[Event] = [ReplyStart(own, get_str(message, "model") or "", wire=Wire(NAME, fields))]
        events.extend(self._count(get_object(message, "usage")))
        content = message.get("content")
        if content is not None:
            # Normally empty; code execution that calls tools begins its replies with whole blocks.
            for index, block in enumerate(as_list(content, "message.content")):
                events.extend(self._open(index, as_object(block, f"message.content[{index}]")))
                events.extend(self._close(index))
        self._stopped(message)
        return events

    def _spliced(self) -> list[Event]:
        self._ended = True
        message = "a second message began before the first one was complete"
        return [StreamError(ErrorInfo(500, message, type="api_error", kind="server"))]

    def _message_delta(self, data: JSONObject) -> list[Event]:
        events = self._begin()
        delta = get_object(data, "delta") or {}
        self._stopped(delta)
        for source, modelled in ((delta, ("stop_reason", "stop_sequence")), (data, ("type", "delta", "usage"))):
            for key, value in source.items():
                if key not in modelled and (value is not None or key not in self._finish):
                    self._finish[key] = value
        events.extend(self._count(get_object(data, "usage")))
        return events

    def _stopped(self, holder: JSONObject) -> None:
        reason = get_str(holder, "stop_reason")
        if reason is not None:
            self._reason = reason
            self._sequence = get_str(holder, "stop_sequence")

    def _message_stop(self, data: JSONObject) -> list[Event]:
        events = self._begin()
        for index in list(self._blocks):
            events.extend(self._close(index))
        self._ended = True
        if self._reason is None:
            return events
        wire = Wire(NAME, self._finish, finish_word(self._reason))
        events.append(Finish(decode_stop(self._reason), stop_sequence=self._sequence, wire=wire))
        events.append(ReplyEnd())
        return events

    def _error(self, data: JSONObject) -> list[Event]:
        self._ended = True
        return [StreamError(error_info(None, data))]

    def _ping(self, data: JSONObject) -> list[Event]:
        return [Other(NAME, "ping", data)] if self._started else []

    def _begin(self) -> list[Event]:
        """A reply that does not begin with `message_start` still begins."""
        if self._started:
            return []
        self._started = True
        return [ReplyStart(wire=Wire(NAME))]

    def _count(self, usage: JSONObject | None) -> list[Event]:
        """Counts are cumulative: what a later report mentions replaces what an earlier one said."""
        if usage is None:
            return []
        merged = {
            **self._usage,
            **{key: value for key, value in usage.items() if value is not None or key not in self._usage},
        }
        if "cache_creation_input_tokens" in usage and "cache_creation" not in usage and self._outgrown(merged):
            del merged["cache_creation"]
        self._usage = merged
        try:
            return [UsageUpdate(decode_usage(merged))]
        except MalformedBody as error:
            raise within("usage", error) from None

    def _outgrown(self, usage: JSONObject) -> bool:
        """Whether the breakdown of an earlier report says more than the total of this one."""
        lifetimes = usage.get("cache_creation")
        total = usage.get("cache_creation_input_tokens")
        if type(lifetimes) is not dict or type(total) is not int:
            return False
        return sum(count for count in lifetimes.values() if type(count) is int) > total

    # --- the events of a content block

    def _block_start(self, data: JSONObject) -> list[Event]:
        index = data.get("index")
        if type(index) is not int:
            raise MalformedBody("index", "a whole number")
        events = self._begin()
        if index in self._blocks:
            events.extend(self._close(index))
        events.extend(self._open(index, as_object(data.get("content_block"), "content_block")))
        return events

    def _open(self, index: int, data: JSONObject) -> list[Event]:
        try:
            part = decode_block(data)
        except MalformedBody as error:
            raise within("content_block", error) from None
        if isinstance(part, ProviderPart):
            self._blocks[index] = _Block(-1, _WHOLE, part, part.data)
            return []
        number = self._next
        self._next += 1
        events: list[Event] = []
        takes, text = _WHOLE, ""
        if isinstance(part, TextPart):
            takes, text, part.text = _TEXT, part.text, ""
        elif isinstance(part, ReasoningPart):
            takes, text, part.text = _THOUGHT, part.text, ""
        elif isinstance(part, ToolCallPart):
            takes, part.arguments = _ARGUMENTS, ""
        events.append(BlockStart(number, part))
        if text:
            events.append(TextDelta(text, number) if takes == _TEXT else ReasoningDelta(text, number))
        self._blocks[index] = _Block(number, takes, data=data)
        return events

    def _delta(self, block: _Block, delta: JSONObject, data: JSONObject) -> list[Event]:
        kind = delta.get("type")
        if block.part is not None:
            _fold(block, delta)
            return []
        if kind == _ARGUMENTS == block.takes:
            piece = as_str(delta.get("partial_json"), "delta.partial_json")
            block.filled = block.filled or bool(piece)
            return [ArgumentsDelta(piece, block.number)] if piece else []
        if kind == _THOUGHT == block.takes:
            piece = as_str(delta.get("thinking"), "delta.thinking")
            return [ReasoningDelta(piece, block.number)] if piece else []
        if kind == "signature_delta" and block.takes == _THOUGHT:
            block.late["signature"] = as_str(delta.get("signature"), "delta.signature")
            return []
        if kind == "citations_delta" and block.takes == _TEXT:
            cited = block.late.get("citations") or block.data.get("citations")
            block.late["citations"] = [*(cited if type(cited) is list else ()), delta.get("citation")]
            return []
        return [Other(NAME, "content_block_delta", data)]

    def _block_stop(self, data: JSONObject) -> list[Event]:
        index = data.get("index")
        if type(index) is not int:
            raise MalformedBody("index", "a whole number")
        return self._close(index)

    def _close(self, index: int) -> list[Event]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        if block.part is not None:
            number = self._next
            self._next += 1
            _fill_input(block)
            return [BlockStart(number, block.part), BlockEnd(number)]
        events: list[Event] = []
        if block.takes == _ARGUMENTS and not block.filled:
            # Some replies give the whole input at once, with the block's start.
            arguments = dump_arguments(get_object(block.data, "input") or {})
            if arguments:
                events.append(ArgumentsDelta(arguments, block.number))
        events.append(BlockEnd(block.number, wire=Wire(NAME, block.late) if block.late else None))
        return events

    _handlers: ClassVar[dict[str, Callable[[Decoder, JSONObject], list[Event]]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "ping": _ping,
        "error": _error,
    }


def _fold(block: _Block, delta: JSONObject) -> None:
    """Add a delta to content that is held back; of kinds that are not known, text is appended and the rest replaced."""
    kind = delta.get("type")
    if kind == _ARGUMENTS:
        block.pieces.append(as_str(delta.get("partial_json"), "delta.partial_json"))
        return
    for key, value in delta.items():
        if key == "type":
            continue
        current = block.data.get(key)
        if type(current) is str and type(value) is str and kind != "signature_delta":
            block.data[key] = current + value
        elif value is not None or key not in block.data:
            block.data[key] = value


def _fill_input(block: _Block) -> None:
    text = "".join(block.pieces)
    if not text:
        return
    # An input that the output limit cut off was never run: it stays what the block began with.
    with contextlib.suppress(MalformedBody):
        block.data["input"] = parse_object(text, field="input")

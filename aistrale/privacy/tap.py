"""The tap that puts the originals back into an answer, whole or streamed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.dialects.slots import OPAQUE
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.privacy.restore import Restorer, RestoreStream
    from aistrale.types import JSON, Choice, Completion, Event, JSONObject, Part, Wire

Field = Literal["text", "reasoning", "arguments"]
_Key = tuple[int, int, Field]

_JSON_TEXTS: Final = frozenset({"arguments", "partial_json"})


class RestoreTap:
    """Restores the events of one reply; make a fresh one for each.

    Every event that changes is a new one: an answer may come from a cache, which holds the very object.

    Args:
        restorer: Knows the originals.
        structured: The answer's text is JSON, as was asked for. If not, a text that begins as JSON does is taken for
            it, so that what is put into it is escaped.
    """

    __slots__ = ("_hosted", "_restorer", "_streams", "_structured", "_undecided")

    def __init__(self, restorer: Restorer, *, structured: bool = False) -> None:
        self._restorer = restorer
        self._structured = structured
        self._streams: dict[_Key, RestoreStream] = {}
        # Text of which it is not known yet whether it is JSON.
        self._undecided: dict[_Key, str] = {}
        # Pieces of what a provider's own tools write: the stream, and the last event of each.
        self._hosted: dict[tuple[object, ...], tuple[RestoreStream, Other]] = {}

    def feed(self, event: Event) -> Iterable[Event]:
        """What the caller is to see for an event."""
        handler = _HANDLERS.get(type(event))
        return (event,) if handler is None else handler(self, event)

    def finish(self) -> Iterable[Event]:
        """What is still held back."""
        return self._flush_all()

    # --- deltas --------------------------------------------------------------------------------------------------

    def _text(self, event: TextDelta) -> Iterable[Event]:
        text = self._put((event.choice, event.block, "text"), event.text)
        if text is event.text:
            return (event,)
        return (replace(event, text=text),) if text or event.wire is not None else ()

    def _reasoning(self, event: ReasoningDelta) -> Iterable[Event]:
        text = self._put((event.choice, event.block, "reasoning"), event.reasoning)
        if text is event.reasoning:
            return (event,)
        return (replace(event, reasoning=text),) if text else ()

    def _arguments(self, event: ArgumentsDelta) -> Iterable[Event]:
        text = self._put((event.choice, event.block, "arguments"), event.arguments)
        if text is event.arguments:
            return (event,)
        return (replace(event, arguments=text),) if text else ()

    def _put(self, key: _Key, text: str) -> str:
        stream = self._streams.get(key)
        if stream is None:
            if key[2] != "text" or self._structured:
                json = key[2] != "reasoning"
            else:
                text = self._undecided.pop(key, "") + text
                decided = begins_as_json(text)
                if decided is None:
                    self._undecided[key] = text
                    return ""
                json = decided
            stream = self._streams[key] = self._restorer.stream(json=json)
        return stream.feed(text)

    # --- blocks --------------------------------------------------------------------------------------------------

    def _open(self, event: BlockStart) -> Iterable[Event]:
        part = event.part
        new: dict[str, object] = {}
        # What a block begins with is the first piece of what it will say.
        if isinstance(part, (TextPart, RefusalPart)) and part.text:
            new["text"] = self._put((event.choice, event.block, "text"), part.text)
        elif isinstance(part, ReasoningPart) and part.text:
            new["text"] = self._put((event.choice, event.block, "reasoning"), part.text)
        elif isinstance(part, ToolCallPart) and part.arguments:
            new["arguments"] = self._put((event.choice, event.block, "arguments"), part.arguments)
        elif isinstance(part, (ProviderPart, ToolResultPart)):
            return (replace(event, part=self.part(part)),)
        if part.wire is not None:
            new["wire"] = self._wire(part.wire)
        if all(getattr(part, name) is value for name, value in new.items()):
            return (event,)
        return (replace(event, part=replace(part, **new)),)  # type: ignore[arg-type]  # each is of its field's type

    def _close(self, event: BlockEnd) -> Iterable[Event]:
        out = self._flush(lambda key: key[:2] == (event.choice, event.block))
        if event.wire is not None:
            event = replace(event, wire=self._wire(event.wire))
        out.append(event)
        return out

    def _finish(self, event: Finish) -> Iterable[Event]:
        out = self._flush(lambda key: key[0] == event.choice)
        if event.wire is not None or event.stop_sequence:
            sequence = event.stop_sequence and self._restorer.restore(event.stop_sequence)
            event = replace(event, stop_sequence=sequence, wire=self._wire(event.wire))
        out.append(event)
        return out

    def _start(self, event: ReplyStart) -> Iterable[Event]:
        # Some formats repeat the request here.
        return (event if event.wire is None else replace(event, wire=self._wire(event.wire)),)

    def _end(self, event: ReplyEnd) -> Iterable[Event]:
        return [*self._flush_all(), replace(event, wire=self._wire(event.wire)) if event.wire is not None else event]

    def _fail(self, event: StreamError) -> Iterable[Event]:
        return [*self._flush_all(), event]

    def _flush(self, which: Callable[[_Key], bool]) -> list[Event]:
        pieces: list[tuple[_Key, str]] = []
        for key in [key for key in self._undecided if which(key)]:
            stream = self._streams[key] = self._restorer.stream()
            pieces.append((key, stream.feed(self._undecided.pop(key))))
        pieces += [(key, self._streams.pop(key).finish()) for key in [key for key in self._streams if which(key)]]
        return [_delta(key, text) for key, text in pieces if text]

    def _flush_all(self) -> list[Event]:
        out = self._flush(lambda _: True)
        for key in list(self._hosted):
            out += self._flush_hosted(key)
        return out

    # --- what the hub has no word for ------------------------------------------------------------------------------

    def _other(self, event: Other) -> Iterable[Event]:
        delta = event.data.get("delta")
        where = tuple(event.data.get(name) for name in ("item_id", "output_index", "content_index", "index"))
        if type(delta) is str:
            key: tuple[object, ...] = (event.name.rpartition(".")[0], *where)
            json = "arguments" in event.name
            stream = self._hosted[key][0] if key in self._hosted else self._restorer.stream(json=json)
            self._hosted[key] = stream, event
            text = stream.feed(delta)
            return (replace(event, data={**event.data, "delta": text}),) if text else ()
        out: list[Event] = []
        for open_ in [open_ for open_ in self._hosted if open_[1:] == where]:
            out += self._flush_hosted(open_)
        out.append(replace(event, data=cast("JSONObject", self._body(event.data))))
        return out

    def _flush_hosted(self, key: tuple[object, ...]) -> list[Event]:
        stream, last = self._hosted.pop(key)
        text = stream.finish()
        return [replace(last, data={**last.data, "delta": text})] if text else []

    # --- whole answers -------------------------------------------------------------------------------------------

    def _whole(self, event: Whole) -> Iterable[Event]:
        return (replace(event, completion=self.completion(event.completion)),)

    def completion(self, completion: Completion) -> Completion:
        """A copy of an answer with the originals in it; `raw`, the provider's own, stays as it is."""
        return replace(
            completion,
            choices=[self._choice(choice) for choice in completion.choices],
            output=self._output(completion.output),
            wire=self._wire(completion.wire),
        )

    def _output(self, output: object) -> object:
        if isinstance(output, (str, dict, list)):
            return self._restorer.restore_value(cast("JSON", output))
        return output

    def _choice(self, choice: Choice) -> Choice:
        message = choice.message
        parts = [self.part(part) for part in message.parts]
        sequence = choice.stop_sequence and self._restorer.restore(choice.stop_sequence)
        return replace(
            choice,
            message=replace(message, parts=parts, wire=self._wire(message.wire)),
            stop_sequence=sequence,
            wire=self._wire(choice.wire),
        )

    def part(self, part: Part) -> Part:
        """A copy of a part with the originals in it."""
        restore = self._restorer.restore
        wire = self._wire(part.wire)
        match part:
            case TextPart() | RefusalPart():
                json = self._structured or begins_as_json(part.text) is True
                return replace(part, text=restore(part.text, json=json), wire=wire)
            case ReasoningPart():
                return replace(part, text=restore(part.text), wire=wire)
            case ToolCallPart():
                return replace(part, arguments=restore(part.arguments, json=True), wire=wire)
            case ToolResultPart():
                return replace(part, content=[self.part(inner) for inner in part.content], wire=wire)
            case ProviderPart():
                return replace(part, data=cast("JSONObject", self._body(part.data)), wire=wire)
            case _:
                name = part.filename and restore(part.filename)
                return replace(part, filename=name, wire=wire)

    def _wire(self, wire: Wire | None) -> Wire | None:
        """Citations and the like; never signatures."""
        if wire is None or not wire.fields:
            return wire
        fields = self._body(wire.fields)
        return wire if fields is wire.fields else replace(wire, fields=cast("JSONObject", fields))

    def _body(self, value: JSON) -> JSON:
        try:
            return self._walk(value)
        except RecursionError:
            return value

    def _walk(self, value: JSON) -> JSON:
        if type(value) is dict:
            new = {name: self._member(name, item) for name, item in value.items()}
            return value if all(new[name] is item for name, item in value.items()) else new
        if type(value) is list:
            items = [self._walk(item) for item in value]
            return value if all(after is before for after, before in zip(items, value, strict=True)) else items
        return self._restorer.restore_value(value)

    def _member(self, name: str, value: JSON) -> JSON:
        if name in OPAQUE and type(value) is not dict:
            return value
        if name in _JSON_TEXTS and type(value) is str:
            return self._restorer.restore(value, json=True)
        return self._walk(value)


def begins_as_json(text: str) -> bool | None:
    """Whether a text begins as a JSON object or array does; None if that cannot be told yet."""
    start = text[:64].lstrip()
    if not start:
        return None if len(text) <= 64 else False
    if start[0] not in "{[":
        return False
    inner = start[1:].lstrip()
    if not inner:
        return None if len(text) < 64 else False
    return inner[0] == '"' or (start[0] == "[" and inner[0] == "{")


def _delta(key: _Key, text: str) -> Event:
    choice, block, field = key
    if field == "arguments":
        return ArgumentsDelta(text, block, choice)
    return ReasoningDelta(text, block, choice) if field == "reasoning" else TextDelta(text, block, choice)


# One table for all taps.
# ruff: noqa: SLF001
_HANDLERS: Final[dict[type[Event], Callable[..., Iterable[Event]]]] = {
    TextDelta: RestoreTap._text,
    ArgumentsDelta: RestoreTap._arguments,
    ReasoningDelta: RestoreTap._reasoning,
    BlockStart: RestoreTap._open,
    BlockEnd: RestoreTap._close,
    Finish: RestoreTap._finish,
    ReplyStart: RestoreTap._start,
    ReplyEnd: RestoreTap._end,
    StreamError: RestoreTap._fail,
    Other: RestoreTap._other,
    Whole: RestoreTap._whole,
}

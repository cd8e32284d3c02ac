"""Building the finished answer from the events of a stream; one accumulator for every dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Embedded,
    Event,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Whole,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.types import JSON, Embeddings, ErrorInfo, JSONObject, Part


class Accumulator:
    """Feeds on events, gives the completion so far.

    `started`: content has arrived; `finished`: a choice is complete; `ended`: the terminal event was seen; `error`:
    what the provider reported inside the stream.
    """

    __slots__ = ("_parts", "_pieces", "completion", "embeddings", "ended", "error", "finished", "started")

    def __init__(self) -> None:
        self.completion = Completion()
        self.embeddings: Embeddings | None = None
        self.started = False
        self.ended = False
        self.finished = False
        self.error: ErrorInfo | None = None
        self._parts: dict[tuple[int, int], Part] = {}
        self._pieces: dict[tuple[int, int], list[str]] = {}

    def feed(self, event: Event) -> None:
        """Take one event; events of unknown kinds are passed over."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def result(self) -> Completion:
        """The answer so far; open blocks hold what has arrived."""
        for key, pieces in self._pieces.items():
            if pieces:
                _append(self._parts[key], "".join(pieces))
                pieces.clear()
        self.completion.choices.sort(key=_index)
        return self.completion

    def _choice(self, index: int) -> Choice:
        for choice in self.completion.choices:
            if choice.index == index:
                return choice
        choice = Choice(Message("assistant"), index=index)
        self.completion.choices.append(choice)
        return choice

    def _start(self, event: ReplyStart) -> None:
        self.completion.id = event.id
        self.completion.model = event.model
        self.completion.created = event.created
        self.completion.wire = event.wire

    def _open(self, event: BlockStart) -> None:
        self.started = True
        part = replace(event.part)
        self._parts[event.choice, event.block] = part
        self._pieces[event.choice, event.block] = []
        self._choice(event.choice).message.parts.append(part)

    def _text(self, event: TextDelta) -> None:
        pieces = self._pieces.get((event.choice, event.block))
        if pieces is None:
            self._open(BlockStart(event.block, TextPart(""), event.choice))
            pieces = self._pieces[event.choice, event.block]
        pieces.append(event.text)
        if event.wire is not None:
            choice = self._choice(event.choice)
            choice.wire = _joined_wire(choice.wire, event.wire)

    def _reasoning(self, event: ReasoningDelta) -> None:
        pieces = self._pieces.get((event.choice, event.block))
        if pieces is None:
            self._open(BlockStart(event.block, ReasoningPart(), event.choice))
            pieces = self._pieces[event.choice, event.block]
        pieces.append(event.reasoning)

    def _arguments(self, event: ArgumentsDelta) -> None:
        pieces = self._pieces.get((event.choice, event.block))
        if pieces is not None:
            pieces.append(event.arguments)

    def _close(self, event: BlockEnd) -> None:
        part = self._parts.get((event.choice, event.block))
        if part is not None and event.wire is not None:
            part.wire = merge_wire(part.wire, event.wire)

    def _usage(self, event: UsageUpdate) -> None:
        self.completion.usage = event.usage

    def _finish(self, event: Finish) -> None:
        self.finished = True
        choice = self._choice(event.choice)
        choice.finish_reason = event.reason
        choice.stop_sequence = event.stop_sequence
        if event.wire is not None:
            choice.wire = _joined_wire(choice.wire, event.wire)

    def _end(self, event: ReplyEnd) -> None:
        self.ended = True
        if event.wire is not None:
            self.completion.wire = merge_wire(self.completion.wire, event.wire)

    def _fail(self, event: StreamError) -> None:
        self.error = event.error

    def _whole(self, event: Whole) -> None:
        self.completion = event.completion
        self.started = self.ended = self.finished = True

    def _embedded(self, event: Embedded) -> None:
        self.embeddings = event.embeddings
        self.started = self.ended = self.finished = True


# One table for all accumulators: binding a dozen methods for every reply would cost more than most replies' events.
# ruff: noqa: SLF001
_HANDLERS: dict[type[Event], Callable[..., None]] = {
    TextDelta: Accumulator._text,
    ArgumentsDelta: Accumulator._arguments,
    ReasoningDelta: Accumulator._reasoning,
    BlockStart: Accumulator._open,
    BlockEnd: Accumulator._close,
    UsageUpdate: Accumulator._usage,
    ReplyStart: Accumulator._start,
    Finish: Accumulator._finish,
    ReplyEnd: Accumulator._end,
    StreamError: Accumulator._fail,
    Whole: Accumulator._whole,
    Embedded: Accumulator._embedded,
}


def collect(events: Iterable[Event]) -> Completion:
    """The answer that the events spell."""
    accumulator = Accumulator()
    for event in events:
        accumulator.feed(event)
    return accumulator.result()


def merge_wire(old: Wire | None, new: Wire) -> Wire:
    """Later fields replace earlier ones; a change of dialect replaces everything."""
    if old is None or old.dialect != new.dialect:
        return new
    return Wire(new.dialect, {**old.fields, **new.fields}, new.form or old.form)


def _joined_wire(old: Wire | None, new: Wire) -> Wire:
    """What comes piece by piece (log probabilities of each token) is strung together."""
    if old is None or old.dialect != new.dialect:
        return new
    return Wire(new.dialect, cast("JSONObject", _joined(old.fields, new.fields)), new.form or old.form)


def _joined(old: JSON, new: JSON) -> JSON:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _joined(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    return old if new is None else new


def _append(part: Part, text: str) -> None:
    if isinstance(part, ToolCallPart):
        part.arguments += text
    elif isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        part.text += text


def _index(choice: Choice) -> int:
    return choice.index

"""How policies keep the spans of instruments: what an instrument raises is logged once and never reaches a call."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.core.call import Attempt, Call
    from aistrale.core.reply import Reply
    from aistrale.telemetry.instrument import Instrument, Span

    Spans = tuple[Span | None, ...]

_log = logging.getLogger("aistrale.telemetry")
_reported: set[str] = set()


class Followers:
    """The instruments of a client.

    Args:
        instruments: In the order of their sinks.
    """

    def __init__(self, instruments: tuple[Instrument, ...]) -> None:
        self.instruments = instruments

    @property
    def content(self) -> bool:
        """Whether one of them wants to know what is said although the settings do not ask for it."""
        return any(getattr(own, "content", False) for own in self.instruments)

    def call(self, call: Call) -> Spans:
        """A span of a call from each instrument."""
        return tuple(guarded(lambda own=own: own.call(call)) for own in self.instruments)  # type: ignore[misc]

    def attempt(self, call: Call, attempt: Attempt) -> Spans:
        """A span of an attempt from each instrument, beneath that of its call."""
        parents = call.spans or (None,) * len(self.instruments)
        pairs = zip(self.instruments, parents, strict=True)
        return tuple(guarded(lambda own=own, up=up: own.attempt(call, attempt, up)) for own, up in pairs)  # type: ignore[misc]

    def listening(self, spans: Spans) -> tuple[Span, ...]:
        """Those that want to be told of every event of a stream."""
        pairs = zip(self.instruments, spans, strict=True)
        return tuple(span for own, span in pairs if span is not None and own.chunks)

    def end(self, spans: Spans, reply: Reply | None, error: BaseException | None) -> None:
        """End them all."""
        for span in spans:
            if span is not None:
                guarded(lambda span=span: span.end(reply, error))  # type: ignore[misc]


@contextmanager
def following(spans: Spans) -> Iterator[None]:
    """Keep spans current inside the block, the first one outermost."""
    tokens = [(span, guarded(span.activate)) for span in spans if span is not None]
    try:
        yield
    finally:
        for span, token in reversed(tokens):
            guarded(lambda span=span, token=token: span.deactivate(token))  # type: ignore[misc]


def guarded(step: Callable[[], object]) -> object:
    """What a step gives; None where it raises, which is logged once for each class of error."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - telemetry must not break calls
        name = type(error).__name__
        if name not in _reported:
            _reported.add(name)
            _log.warning("telemetry failed and calls go on: %s", name)
        return None

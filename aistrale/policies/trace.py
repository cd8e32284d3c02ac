"""Trace: tells sinks of an attempt's end, and keeps its span current while it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.policies.following import Followers, following

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.core.call import Attempt, Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.telemetry.instrument import Instrument, Span
    from aistrale.types import Event


class Trace:
    """Stands right outside the journal, so that an attempt's usage and cost are known when its span ends.

    Args:
        instruments: Make spans.
    """

    def __init__(self, instruments: tuple[Instrument, ...] = ()) -> None:
        self._followers = Followers(instruments)

    def describe(self) -> str:
        """One line."""
        return "sinks are told of attempts"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Follow the attempt to its end."""
        attempt, followers = cast("Attempt", call.attempt), self._followers
        observer = call.observer
        said = None if observer is None else observer.listen(call, attempt, asked=followers.content)
        spans = followers.attempt(call, attempt)
        try:
            with following(spans):
                reply = await call_next(call)
        except BaseException as error:
            _told(call, attempt, None)
            followers.end(spans, None, error)
            raise

        def closed(reply: Reply, error: BaseException | None) -> None:
            _told(call, attempt, reply)
            followers.end(spans, reply, error)

        if said is not None:
            reply.tap(said)
        if call.stream and (listening := followers.listening(spans)):
            reply.tap(_Listening(listening))
        reply.on_close(closed)
        return reply


def _told(call: Call, attempt: Attempt, reply: Reply | None) -> None:
    if call.observer is not None:
        call.observer.attempt_finished(call, attempt, reply)


class _Listening:
    """A tap that tells spans of every event, and changes none."""

    def __init__(self, spans: tuple[Span, ...]) -> None:
        self._spans = spans

    def feed(self, event: Event) -> Iterable[Event]:
        """Tell."""
        for span in self._spans:
            span.chunk(event)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """Nothing is held back."""
        return ()

"""Telemetry: tells sinks of a call's beginning and end, and keeps its span current while it is worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.policies.following import Followers, following

if TYPE_CHECKING:
    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.telemetry.instrument import Instrument
    from aistrale.telemetry.observer import Observer


class Telemetry:
    """The outermost policy: whatever happens to a call, sinks are told once.

    Args:
        observer: Makes events.
        instruments: Make spans.
    """

    def __init__(self, observer: Observer, instruments: tuple[Instrument, ...] = ()) -> None:
        self._observer = observer
        self._followers = Followers(instruments)

    def describe(self) -> str:
        """One line."""
        spans = f", {len(self._followers.instruments)} with spans" if self._followers.instruments else ""
        return f"sinks are told of calls{spans}"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Follow the call to its end."""
        observer = call.observer = self._observer
        observer.call_started(call)
        call.spans = self._followers.call(call)
        try:
            with following(call.spans):
                reply = await call_next(call)
        except BaseException as error:
            observer.call_finished(call)
            self._followers.end(call.spans, None, error)
            raise

        def closed(reply: Reply, error: BaseException | None) -> None:
            observer.call_finished(call)
            self._followers.end(call.spans, reply, error)

        reply.on_close(closed)
        return reply

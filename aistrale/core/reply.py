"""Every reply is a stream of events; an answer that was not streamed is a stream of one.

What touches content is a tap: a pure transform on events, written once for whole answers and streams.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeAlias

from aistrale.core.accumulate import Accumulator, collect
from aistrale.errors import AistraleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.core.call import Outcome
    from aistrale.types import Completion, Event

__all__ = ["Accumulator", "OnClose", "Reply", "Source", "Tap", "collect"]

OnClose: TypeAlias = "Callable[[Reply, BaseException | None], None]"
"""Gets the reply, whose `outcome` and `accumulated` are final, and the error if there was one."""


class Tap(Protocol):
    """A pure transform on the events of one reply; a fresh one for each reply."""

    def feed(self, event: Event) -> Iterable[Event]:
        """Give what the caller should see for this event: itself, others, or nothing (held back).

        What it raises ends a reply that is being read as failed; whoever hangs it on one whose events are there already
        gets the error and calls `Reply.fail`.
        """
        ...

    def finish(self) -> Iterable[Event]:
        """The events are over: give what is still held back."""
        ...


class Source(Protocol):
    """Where the events of a streamed reply come from."""

    async def pull(self) -> list[Event] | None:
        """The next events, at least one; None when the reply is complete. Raises when it breaks."""
        ...

    async def close(self) -> None:
        """Give up the rest and free the connection."""
        ...

    def abandon(self) -> None:
        """The same without waiting, for finalizers."""
        ...

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """The error that the caller gets for one that came after content had been delivered."""
        ...


class Reply:
    """The events of one answer, pulled one by one.

    Its close callbacks run once, in the order in which they were hung (inner policies first), with the outcome and the
    error if there was one: after the last event, on an error, on an early close, on cancellation, on garbage
    collection. One that Ctrl-C or a signal's handler breaks off runs once more.

    Args:
        events: Events that are there already.
        source: Where more come from; None when `events` is all.
    """

    __slots__ = ("_broken", "_callbacks", "_events", "_source", "_taps", "accumulated", "outcome")

    def __init__(self, events: Iterable[Event], source: Source | None = None) -> None:
        self._events = deque(events)
        self._source = source
        self._taps: list[Tap] = []
        self._callbacks: list[OnClose] = []
        self.accumulated = Accumulator()
        """The answer as the caller has seen it: after the taps."""
        self.outcome: Outcome | None = None
        self._broken: AistraleError | None = None
        for event in self._events:
            self.accumulated.feed(event)

    def tap(self, tap: Tap) -> None:
        """Hang a transform on the reply; it also sees the events that are there already."""
        self._taps.append(tap)
        if self._events or self._source is None:
            seen: list[Event] = []
            for event in self._events:
                seen.extend(tap.feed(event))
            if self._source is None:
                seen.extend(tap.finish())
            self._events = deque(seen)
            self.accumulated = Accumulator()
            for event in seen:
                self.accumulated.feed(event)

    def on_close(self, callback: OnClose) -> None:
        """Call back when `outcome` stands; must not raise, block, or hold a reference to the reply.

        Args:
            callback: May be broken off by a signal and called again: what it has done it must not do twice.
        """
        self._callbacks.append(callback)

    def take(self) -> Event | None:
        """An event that is there already, without waiting; None says nothing about the end."""
        return self._events.popleft() if self._events else None

    async def next(self) -> Event | None:
        """The next event; None after the last one.

        Raises:
            StreamInterrupted, DeadlineExceeded, APIError: The reply broke; the callbacks have run.
        """
        while not self._events:
            if self._source is None:
                if self._broken is not None:
                    raise self._broken
                self._end("success", None)
                return None
            await self._pull(self._source)
        return self._events.popleft()

    async def prefetch(self, enough: Callable[[Accumulator], bool]) -> None:
        """Pull events, without delivering any, until `enough` says so or the answer is whole.

        Nothing has been delivered, so what breaks here is an error of the attempt and not yet an interrupted stream.

        Args:
            enough: Gets what has arrived so far.

        Raises:
            AistraleError: The attempt failed; the reply has ended and its callbacks have run.
        """
        while self._source is not None and not enough(self.accumulated):
            await self._pull(self._source, delivered=False)

    async def _pull(self, source: Source, *, delivered: bool = True) -> None:
        try:
            batch = await source.pull()
        except GeneratorExit:
            self.abandon()
            raise
        except AistraleError as error:
            self._source = None
            if not delivered:
                self._end("error", error)
                raise
            final = self._interrupted(source, error)
            if final is None:
                return
            try:
                raise final
            finally:
                # Else this frame would hold the error whose traceback holds this frame, and with it the client.
                del final
        except Exception as error:
            self._source = None
            source.abandon()
            self._end("interrupted", error)
            raise
        except BaseException as error:
            self._source = None
            source.abandon()
            self._end("cancelled", error)
            raise
        if batch is None:
            self._source = None
        try:
            self._deliver(batch)
        except Exception as error:
            # A tap refuses what has come.
            await self.fail(error)
            raise

    def _interrupted(self, source: Source, error: AistraleError) -> AistraleError | None:
        """End a reply that broke; the error for its reader, None where that waits behind what is still to be read."""
        self._release()
        final = source.broken(error, self.accumulated.result())
        if final is not error:
            # Before the callbacks run: what it means to breaker and limiter lies in its cause.
            final.__cause__ = error
        self._end("interrupted", final)
        if self._events:
            self._broken = final
            return None
        return final

    def _release(self) -> None:
        """Let go what taps hold back of a reply that breaks: it has been said as well."""
        try:
            self._deliver(None)
        except Exception:  # noqa: BLE001 - a tap refuses it; that the reply broke is told all the same
            self._events.clear()

    def _deliver(self, batch: list[Event] | None) -> None:
        taps = self._taps
        if batch is None:
            batch = []
            for position, tap in enumerate(taps):
                batch.extend(_through(tap.finish(), taps[position + 1 :]))
        elif taps:
            batch = list(_through(batch, taps))
        feed = self.accumulated.feed
        for event in batch:
            feed(event)
        self._events.extend(batch)

    async def close(self) -> None:
        """Stop reading; counts as abandoned unless every event was pulled."""
        source, self._source = self._source, None
        done = source is None and not self._events
        try:
            # First, because a reply behind this one has callbacks of its own, which are inner ones.
            if source is not None:
                await source.close()
        finally:
            self._end("success" if done or self.accumulated.ended else "abandoned", None)

    async def fail(self, error: Exception) -> None:
        """End the reply as failed, although nothing broke: what has come is not what was wanted.

        Args:
            error: What the callbacks get; the caller raises it.
        """
        source, self._source = self._source, None
        self._events.clear()
        try:
            if source is not None:
                await source.close()
        finally:
            self._end("error", error)

    @property
    def whole(self) -> bool:
        """Whether every event has come; they need not have been delivered."""
        return self._source is None

    def abandon(self) -> None:
        """Stop reading without waiting; safe in finalizers and other threads."""
        source, self._source = self._source, None
        if source is not None:
            source.abandon()
        if self.outcome is None:
            self._end("success" if self.accumulated.ended else "abandoned", None)

    async def completion(self) -> Completion:
        """Pull everything; the finished answer."""
        while True:
            self._events.clear()
            if await self.next() is None:
                return self.accumulated.result()

    def _end(self, outcome: Outcome, error: BaseException | None) -> None:
        if self.outcome is not None:
            return
        callbacks = self._callbacks
        try:
            self.outcome = outcome
            while callbacks:
                callbacks[0](self, error)
                del callbacks[:1]
        finally:
            # Ctrl-C may come in the middle of any of them, which all have rows to write and permits to give back.
            while callbacks:
                callbacks.pop(0)(self, error)

    def __del__(self) -> None:
        # Ctrl-C may also come before it is complete.
        if getattr(self, "outcome", "none") is None:
            self.abandon()


def _through(events: Iterable[Event], taps: list[Tap]) -> Iterable[Event]:
    for tap in taps:
        events = [out for event in events for out in tap.feed(event)]
    return events

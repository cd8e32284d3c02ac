"""A streamed reply on the wire: bytes to SSE events to hub events, under the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.core.faults import interrupted, malformed, network_error, too_slow
from aistrale.core.http import HttpError, HttpTimeout
from aistrale.core.pace import Pace
from aistrale.core.sse import SSEParser, SSETooLarge
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import AistraleError, ResponseError
from aistrale.providers.verdict import api_error
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Other,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    UsageUpdate,
)

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call
    from aistrale.core.http import HttpResponse
    from aistrale.dialects.base import EventDecoder
    from aistrale.types import Completion, Event

TRUNCATED: Final = "truncated"
"""Code of the error for a stream that ends before its terminal event."""

# Events that are no sign of an answer being written.
_SILENT: Final = (ReplyStart, Other, UsageUpdate)
# Events that say nothing yet: while only these have come, another attempt is still invisible to the caller.
_PREAMBLE: Final = frozenset({ReplyStart, Other, UsageUpdate, BlockEnd, Finish, ReplyEnd})
# How many bytes of them are held back. Some providers repeat the request in each event before the first content, which
# must not be taken for chatter. What is beyond is delivered: it may be the progress of a provider's own tools, which an
# error would throw away, and the clocks end what never comes to an answer.
_HELD: Final = 64 * 1024
_ECHOES: Final = 4
# Seconds that we wait, after the terminal event, for the end of the body that makes the connection reusable.
_DRAIN: Final = 0.25
# Seconds that we wait for token counts and terminator once the answer itself is complete.
_REST: Final = 1.0


def says(event: Event) -> bool:
    """Whether an event has content: text, a thought, a call, or what only its own dialect understands."""
    kind = type(event)
    if kind is TextDelta:
        return bool(cast("TextDelta", event).text)
    if kind is ReasoningDelta:
        return bool(cast("ReasoningDelta", event).reasoning)
    if kind is BlockStart:
        part = cast("BlockStart", event).part
        if isinstance(part, (TextPart, RefusalPart)):
            return bool(part.text)
        return not isinstance(part, ReasoningPart) or part.redacted or bool(part.text)
    return kind not in _PREAMBLE


def first_instant(call: Call, attempt: Attempt, *, shared: bool = True) -> float | None:
    """By when the attempt must have content: its own clock, its share of the time, or the call's deadline.

    Args:
        call: Its clocks and its deadline hold.
        attempt: Its clock began when it did.
        shared: Whether another target could still take over, so that its share of the time counts.
    """
    limit = call.clocks.first_token
    share = call.share_until if shared else None
    instants = [call.deadline, share, None if limit is None else attempt.started + limit]
    return min((instant for instant in instants if instant is not None), default=None)


class StreamSource:
    """Pulls events from one response.

    Args:
        response: Its headers have arrived with status 200.
        decoder: A fresh decoder of the target's dialect.
    """

    __slots__ = (
        "_attempt",
        "_begun",
        "_call",
        "_decoder",
        "_failure",
        "_idle",
        "_pace",
        "_parser",
        "_response",
        "_size",
        "ended",
    )

    def __init__(self, call: Call, attempt: Attempt, response: HttpResponse, decoder: EventDecoder) -> None:
        self._call = call
        self._attempt = attempt
        self._response = response
        self._decoder = decoder
        self._parser = SSEParser()
        self._begun = False
        self._failure: AistraleError | None = None
        self._idle = 0.0
        self._size = 0
        self._pace: Pace | None = None
        rules = call.streaming
        if rules is not None and rules.min_rate is not None:
            self._pace = Pace(rules.min_rate, rules.rate_window)
        self.ended = False
        """Whether the terminal event has come."""

    async def first(self) -> list[Event]:
        """Everything up to the first content: an error sent before it is still an error of the attempt.

        Raises:
            AistraleError: The stream broke, ended or reported an error before any content.
        """
        events: list[Event] = []
        attempt = self._attempt
        room = _HELD + _ECHOES * len(self._call.prepared[attempt.target.name].http.body)
        while not self._begun and not self.ended and self._size <= room:
            # Where content and an error come in one piece, nothing of it has been delivered yet.
            events.extend(await self._before_content(strict=True))
        return events

    async def pull(self) -> list[Event] | None:
        """The next events; None at the end."""
        if self.ended:
            await self._drain()
            return None
        if not self._begun:
            return await self._before_content()
        call = self._call
        limit, pace = call.clocks.between_tokens, self._pace
        if limit is None and pace is None:
            return await self._read(call.deadline, clock="between_tokens")
        asked = call.runtime.now()
        until, clock = call.deadline, "between_tokens"
        if limit is not None and (until is None or asked + limit - self._idle < until):
            until = asked + max(limit - self._idle, 0.0)
        if pace is not None:
            left = pace.left
            if until is None or asked + left < until:
                until, clock = asked + left, "min_rate"
        batch = await self._read(until, clock=clock)
        waited = call.runtime.now() - asked
        # Keep-alives do not count as content, and the reader's own pauses do not count as silence.
        content = type(batch[-1]) is TextDelta or any(not isinstance(event, _SILENT) for event in batch)
        self._idle = 0.0 if content else self._idle + waited
        if pace is not None:
            pace.add(waited, _characters(batch))
        return batch

    async def _before_content(self, *, strict: bool = False) -> list[Event]:
        call, attempt = self._call, self._attempt
        until = first_instant(call, attempt, shared=strict)
        batch = await self._read(until, clock="first_token", strict=strict)
        if self.ended or any(map(says, batch)):
            self._begun = True
            attempt.first_token = call.runtime.now() - attempt.started
            if self._pace is not None:
                self._pace.add(0.0, _characters(batch))
        return batch

    async def _read(self, until: float | None, *, clock: str, strict: bool = False) -> list[Event]:
        """The next events.

        Args:
            until: The instant by which they must have come.
            clock: Which clock that is.
            strict: Whether an error hides the events that came in one piece with it; else it is raised after them.
        """
        events: list[Event] = []
        if self._decoder.whole:
            # Only what may come after an answer is missing; whoever sends it does so at once.
            rest = self._call.runtime.now() + _REST
            until = rest if until is None else min(until, rest)
        try:
            while not events and self._failure is None:
                events = self._decode(await self._response.next_chunk(until))
        except HttpError as error:
            await self._response.close()
            if self._decoder.whole:
                return self._finished()
            if clock == "min_rate" and isinstance(error, HttpTimeout):
                raise too_slow(self._call, self._attempt) from error
            raise network_error(error, self._call, self._attempt, clock=clock) from error
        except BaseException:
            self._response.abandon()
            raise
        # The error is raised here and not where it was found: a traceback's local variables would show the content.
        if self._failure is not None and (strict or not events):
            events = []
            await self._response.close()
            raise self._failure
        return events

    def _finished(self) -> list[Event]:
        """The end of the answer, if the bytes may end here."""
        events = self._decoder.finish()
        self.ended = bool(events) and type(events[-1]) is ReplyEnd
        return events

    def _decode(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            self._failure = self._collect(chunk, events)
        except MalformedBody as error:
            self._failure = malformed(error, self._attempt)
        except SSETooLarge:
            self._failure = malformed(MalformedBody("event", "an event of bounded size"), self._attempt)
        if events:
            self._size += len(chunk)
        return events

    def _collect(self, chunk: bytes, events: list[Event]) -> AistraleError | None:
        """Add the events in a chunk; the error that it ends with, if it does."""
        decoder = self._decoder
        for item in self._parser.feed(chunk) if chunk else self._parser.finish():
            for event in decoder.feed(item):
                kind = type(event)
                if kind is StreamError:
                    return self._refused(cast("StreamError", event))
                events.append(event)
                if kind is ReplyEnd:
                    # Whatever a server says after that is no part of the answer.
                    self.ended = True
                    return None
        if chunk:
            return None
        events.extend(self._finished())
        return None if self.ended else self._truncated()

    def _refused(self, event: StreamError) -> AistraleError:
        attempt, info = self._attempt, event.error
        target = attempt.target
        if info.request_id is None:
            info.request_id = attempt.request_id
        return api_error(
            info, target.provider, target=target.name, attempt=attempt.number, secrets=target.secrets, now=attempt.at
        )

    def _truncated(self) -> AistraleError:
        attempt = self._attempt
        return ResponseError(
            "the stream ended without its terminal event",
            status=attempt.status,
            provider=attempt.target.provider.name,
            target=attempt.target.name,
            attempt=attempt.number,
            request_id=attempt.request_id,
            code=TRUNCATED,
        )

    async def _drain(self) -> None:
        """Read the end of the body, so that the connection can serve the next call."""
        runtime = self._call.runtime
        # Never past the deadline: the answer is whole, and its reader has no time left for the connection.
        until = cast("float", self._call.until(_DRAIN))
        try:
            while await self._response.next_chunk(until):
                if runtime.now() > until:
                    break
        except HttpError:
            pass  # the answer is whole; only the connection is lost
        await self._response.close()

    async def close(self) -> None:
        """Free the connection; a stream that is not at its end costs the connection."""
        if self.ended:
            await self._drain()
        else:
            await self._response.close()

    def abandon(self) -> None:
        """Close the socket without waiting."""
        self._response.abandon()

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """StreamInterrupted with what had arrived; a deadline stays a deadline."""
        return interrupted(error, self._attempt, partial)


def _characters(events: list[Event]) -> int:
    """How much content events bring: text, thoughts and arguments of calls, in characters."""
    count = 0
    for event in events:
        if isinstance(event, TextDelta):
            count += len(event.text)
        elif isinstance(event, ReasoningDelta):
            count += len(event.reasoning)
        elif isinstance(event, ArgumentsDelta):
            count += len(event.arguments)
    return count

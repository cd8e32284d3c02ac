"""A streamed reply on the wire: bytes to SSE events to hub events, under the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.core.faults import interrupted, malformed, network_error
from aistrale.core.http import HttpError
from aistrale.core.sse import SSEParser, SSETooLarge
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import AistraleError, ResponseError
from aistrale.providers.verdict import api_error
from aistrale.types import Other, ReplyEnd, ReplyStart, StreamError, UsageUpdate

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call
    from aistrale.core.http import HttpResponse
    from aistrale.dialects.base import EventDecoder
    from aistrale.types import Completion, Event

# Events that say nothing yet: while only these have come, another attempt is still invisible to the caller.
_PREAMBLE = (ReplyStart, Other, UsageUpdate)
# How much may be held back while waiting for content.
_MAX_PREAMBLE = 1000
# Seconds that we wait, after the terminal event, for the end of the body that makes the connection reusable.
_DRAIN = 0.25


def first_instant(call: Call, attempt: Attempt) -> float | None:
    """By when the attempt must have content: its own clock, its share of the time, or the call's deadline."""
    limit = call.clocks.first_token
    instants = [call.deadline, call.share_until, None if limit is None else attempt.started + limit]
    return min((instant for instant in instants if instant is not None), default=None)


class StreamSource:
    """Pulls events from one response.

    Args:
        response: Its headers have arrived with status 200.
        decoder: A fresh decoder of the target's dialect.
    """

    __slots__ = ("_attempt", "_call", "_decoder", "_ended", "_idle", "_parser", "_response")

    def __init__(self, call: Call, attempt: Attempt, response: HttpResponse, decoder: EventDecoder) -> None:
        self._call = call
        self._attempt = attempt
        self._response = response
        self._decoder = decoder
        self._parser = SSEParser()
        self._ended = False
        self._idle = 0.0

    async def first(self) -> list[Event]:
        """Everything up to the first content: an error sent before it is still an error of the attempt.

        Raises:
            AistraleError: The stream broke, ended or reported an error before any content.
        """
        events: list[Event] = []
        until = first_instant(self._call, self._attempt)
        while len(events) < _MAX_PREAMBLE:
            batch = await self._read(until, clock="first_token")
            events.extend(batch)
            if self._ended or any(not isinstance(event, _PREAMBLE) for event in batch):
                break
        self._attempt.first_token = self._call.runtime.now() - self._attempt.started
        return events

    async def pull(self) -> list[Event] | None:
        """The next events; None at the end."""
        if self._ended:
            await self._drain()
            return None
        call = self._call
        limit = call.clocks.between_tokens
        asked = call.runtime.now()
        until = call.until(None if limit is None else max(limit - self._idle, 0.0))
        batch = await self._read(until, clock="between_tokens")
        # Keep-alives do not count as content, and the reader's own pauses do not count as silence.
        content = any(not isinstance(event, _PREAMBLE) for event in batch)
        self._idle = 0.0 if content else self._idle + call.runtime.now() - asked
        return batch

    async def _read(self, until: float | None, *, clock: str) -> list[Event]:
        try:
            while True:
                outcome = self._decode(await self._response.next_chunk(until))
                if outcome:
                    break
        except HttpError as error:
            await self._response.close()
            raise network_error(error, self._call, self._attempt, clock=clock) from error
        except BaseException:
            self._response.abandon()
            raise
        # The error is raised here and not where it was found: a traceback's local variables would show the content.
        if isinstance(outcome, AistraleError):
            await self._response.close()
            raise outcome
        return outcome

    def _decode(self, chunk: bytes) -> list[Event] | AistraleError:
        try:
            return self._events(chunk)
        except MalformedBody as error:
            return malformed(error, self._attempt)
        except SSETooLarge:
            return malformed(MalformedBody("event", "an event of bounded size"), self._attempt)

    def _events(self, chunk: bytes) -> list[Event] | AistraleError:
        wire = self._parser.feed(chunk) if chunk else self._parser.finish()
        events: list[Event] = []
        for item in wire:
            events.extend(self._decoder.feed(item))
        if not chunk:
            events.extend(self._decoder.finish())
        for event in events:
            if type(event) is StreamError:
                return self._refused(event)
            if type(event) is ReplyEnd:
                self._ended = True
        if not chunk and not self._ended:
            return self._truncated()
        return events

    def _refused(self, event: StreamError) -> AistraleError:
        target = self._attempt.target
        info = event.error
        if info.request_id is None:
            info.request_id = self._attempt.request_id
        return api_error(
            info, target.provider, target=target.name, attempt=self._attempt.number, secrets=target.secrets
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
            code="truncated",
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
        if self._ended:
            await self._drain()
        else:
            await self._response.close()

    def abandon(self) -> None:
        """Close the socket without waiting."""
        self._response.abandon()

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """StreamInterrupted with what had arrived; a deadline stays a deadline."""
        return interrupted(error, self._attempt, partial)

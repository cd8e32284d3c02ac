"""Cache: an exact-match memory of answers, and one exchange for calls that ask for the same at the same time.

It stands inside redaction: what is remembered holds placeholders, and each call restores its own originals in it. What
makes two calls the same is said in `aistrale.core.identity`.

Remembered are whole answers that ended by themselves ("stop"). Not remembered are
- truncated answers: asking again, or with more tokens, gives the rest;
- refusals and filtered answers: the provider may judge otherwise next time, and nobody asked us to make it final;
- tool calls: they are decisions about that moment, which a replay would have the application carry out again;
- structured output that does not fit its schema, lesser answers of the degradation ladder, and streams that another
  target had to finish.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from aistrale.core.accumulate import Accumulator
from aistrale.core.identity import answer_key
from aistrale.core.output import unwrap
from aistrale.core.replay import replay
from aistrale.core.schema_check import Checker
from aistrale.core.send import is_empty
from aistrale.core.worker import on_fork
from aistrale.cost.facts import gather
from aistrale.cost.prices import price_usage
from aistrale.reliability.flights import Flights
from aistrale.store.answer_format import FORMAT, pack, unpack
from aistrale.store.answers import AUTO, MEMORY, SHARED, Entry, open_answers
from aistrale.types import Completion, Embedded, EmbedRequest, RefusalPart, Switched, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.reliability.flights import Outcome
    from aistrale.store.answer_format import Answer
    from aistrale.store.answers import Answers
    from aistrale.types import JSON, Cost, Event, JSONObject, Request

    Price = Callable[..., Cost]

# Longest wait for another call's answer, in seconds, where the call itself has no deadline.
_PATIENCE: Final = 600.0
# An answer from the future, in seconds: more than clocks of one machine differ, and its age is not known.
_AHEAD: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What is remembered, where, and for how long.

    Args:
        ttl: Seconds that an answer is served as fresh, 0 or more. 0 serves none as fresh: the memory is then for
            failures only, see `stale`. 300.
        stale: Further seconds that it may serve when everything else fails (RFC 5861, stale-if-error), 0 or more; the
            step "stale_cache" of the degradation ladder serves it. 0.
        store: "memory", one for each client and process; "sqlite:///path" (a fourth slash makes it absolute) outlives
            the process and is shared between processes; "redis" is the Redis of the setting `state`, shared by all
            processes of the fleet. "auto" (the default): "redis" where `state` names one, else "memory". A file or
            Redis holds answers, redacted where redaction is on, in clear text.
        max_entries: Most answers, at least 1; in memory the least recently used make room, in a file the oldest, in
            Redis those that would expire first. 10,000.
        max_bytes: Most bytes that they take, at least 1; a larger answer is not remembered. 64 MiB.
        single_flight: Whether calls that ask for the same at the same time share one exchange. A streamed call takes
            part, but nobody waits for one: its pace is its reader's. True.
    """

    ttl: float = 300.0
    stale: float = 0.0
    store: str = AUTO
    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    single_flight: bool = True


class Found(NamedTuple):
    """A remembered answer, made anew for the one who asked.

    Args:
        answer: With the provider, target, usage and cost of the exchange that brought it.
        data: Its bytes.
        degraded: "cache" or "stale_cache".
    """

    answer: Answer
    data: bytes
    degraded: Literal["cache", "stale_cache"]


class AnswerCache:
    """The memory that the policies Cache and Degrade share. No method raises for what is wrong with the store.

    Args:
        settings: Where, and for how long.
        price: Prices what remembered answers had cost, as `aistrale.cost.price_usage` does.
        shared: Makes the store that processes share, from the most entries and bytes; None where they share none.

    Raises:
        ConfigurationError: `settings.store` is not understood.
    """

    def __init__(
        self, settings: CacheSettings, price: Price = price_usage, shared: Callable[[int, int], Answers] | None = None
    ) -> None:
        self.settings = settings
        self.price = price
        self.kind = settings.store.partition(":")[0]
        """"memory", "sqlite" or "redis"."""
        if self.kind == AUTO:
            self.kind = MEMORY if shared is None else SHARED
        bounds = settings.max_entries, settings.max_bytes
        self.store: Answers = (
            shared(*bounds)
            if shared is not None and self.kind == SHARED
            else open_answers(settings.store, max_entries=bounds[0], max_bytes=bounds[1])
        )

    def key(self, call: Call) -> str | None:
        """What the call's answer is remembered under; None for an answer that must not be shared."""
        return answer_key(call, version=FORMAT)

    async def find(self, call: Call, key: str, *, stale: bool = False) -> Found | None:
        """The remembered answer.

        Args:
            call: Its runtime tells the time, and reads a file without blocking an event loop.
            key: From `key`.
            stale: Whether one past its time will do.
        """
        now = call.runtime.wall()
        try:
            if self.store.slow:
                entry = cast("Entry | None", await call.runtime.invoke(self.store.get, key, now))
            else:
                entry = self.store.get(key, now)
            answer = None if entry is None else unpack(entry.data)
        except Exception:  # noqa: BLE001 - whatever is wrong with the memory, the call can be made
            return None
        if entry is None or answer is None:
            return None
        age = now - entry.at
        if age < -_AHEAD or age >= self.settings.ttl + (self.settings.stale if stale else 0.0):
            return None
        return Found(answer, entry.data, "cache" if age < self.settings.ttl else "stale_cache")

    def keep(self, call: Call, key: str, answer: Answer) -> bytes | None:
        """Remember the answer of the call's last attempt; never waits, and may be called from finalizers.

        Returns:
            Its bytes; None when it is not one to remember.
        """
        try:
            answer = _own(call, answer)
            answer.cost = self._cost(call, answer)
            data = pack(answer) if is_sound(call.request, answer) else None
        except Exception:  # noqa: BLE001 - as above
            return None
        if data is not None:
            now = call.runtime.wall()
            lifetime = self.settings.ttl + self.settings.stale
            self.store.put(key, Entry(data, now, now + lifetime))
        return data

    def _cost(self, call: Call, answer: Answer) -> Cost | None:
        """What the answer cost: it stays with it, for whoever is served it to know what was saved."""
        attempt = call.attempt
        if attempt is None or answer.usage is None:
            return None
        provider, model = attempt.target.provider.name, attempt.target.model
        conditions = dict(attempt.conditions)
        gather(attempt.target, answer, conditions)
        cost = self.price(provider, answer.model or model, answer.usage, at=attempt.at, **conditions)
        if cost.usd is None and answer.model not in {"", model}:
            return self.price(provider, model, answer.usage, at=attempt.at, **conditions)
        return cost

    def clear(self) -> None:
        """Forget all answers; in a file those of other processes too."""
        self.store.clear()

    def close(self) -> None:
        """Bring what waits into the file, and close it; it may be used again afterwards."""
        self.store.close()


class Cache:
    """Serves what is remembered, remembers what is sound, and lets calls that ask for the same share one exchange.

    Args:
        answers: The memory.
    """

    def __init__(self, answers: AnswerCache) -> None:
        self._answers = answers
        self._flights = Flights()
        on_fork(self._flights.after_fork)

    def describe(self) -> str:
        """One line."""
        own = self._answers.settings
        stale = f", stale for {own.stale:g} s on errors" if own.stale else ""
        return f"{self._answers.kind}, fresh for {own.ttl:g} s{stale}{', single flight' if own.single_flight else ''}"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Answer from the memory, or ask and remember."""
        key = self._answers.key(call)
        if key is None:
            return await call_next(call)
        if self._answers.settings.single_flight:
            return await self._together(call, call_next, key)
        found = await self._answers.find(call, key)
        return serve(call, found) if found is not None else (await self._ask(call, call_next, key))[0]

    async def _together(self, call: Call, call_next: Next, key: str) -> Reply:
        if call.stream and (found := await self._answers.find(call, key)) is not None:
            return serve(call, found)
        flights, runtime = self._flights, call.runtime
        waiter = runtime.waiter()
        seat = flights.join(key, waiter.wake, lead=not call.stream, blocking=runtime.blocking)
        outcome: Outcome = "cancelled"
        value: bytes | None = None
        try:
            if seat.state == "waiting":
                remaining = call.remaining()
                # Out of time it goes on to where a call without time is refused, and may be served a stale answer.
                await waiter.wait(_PATIENCE if remaining is None else remaining)
            state = flights.board(seat)
            if state == "landed" and seat.value is not None and (answer := unpack(seat.value)) is not None:
                return serve(call, Found(answer, seat.value, "cache"))
            # Only a leader looks: whoever asks at the same time is given what it finds.
            if state == "leading" and (found := await self._answers.find(call, key)) is not None:
                outcome, value = "answered", found.data
                return serve(call, found)
            reply, value = await self._ask(call, call_next, key)
            outcome = "answered" if value is not None else "failed" if call.degraded is not None else "unshared"
        except Exception:
            outcome = "failed"
            raise
        else:
            return reply
        finally:
            flights.land(seat, outcome, value)

    async def _ask(self, call: Call, call_next: Next, key: str) -> tuple[Reply, bytes | None]:
        """The reply of an exchange, and its bytes if it is whole and was remembered."""
        if call.observer is not None:
            call.observer.cache_looked(call, "miss")
        reply = await call_next(call)
        if call.degraded is not None:
            return reply, None
        if reply.accumulated.ended and not call.stream:
            seen = reply.accumulated
            return reply, self._answers.keep(call, key, seen.embeddings or seen.completion)
        recorder = _Recorder(lambda answer: self._answers.keep(call, key, answer))
        # Hung before the taps of the policies outside, so that it hears the placeholders and not the originals.
        reply.tap(recorder)
        reply.on_close(lambda closed, _: recorder.closed(whole=closed.outcome == "success"))
        return reply, None


class _Recorder:
    """A tap that hears a stream and hands over the answer when the stream came to its end.

    Args:
        keep: Gets the answer.
    """

    __slots__ = ("_heard", "_keep", "_spoilt")

    def __init__(self, keep: Callable[[Answer], object]) -> None:
        self._keep = keep
        self._heard = Accumulator()
        self._spoilt = False

    def feed(self, event: Event) -> Iterable[Event]:
        """Hear an event."""
        kind = type(event)
        if kind is Whole or kind is Embedded:
            # The taps outside may change this very object, so it is handed over at once.
            self._keep(cast("Whole", event).completion if kind is Whole else cast("Embedded", event).embeddings)
            self._spoilt = True
        elif kind is Switched:
            self._spoilt = True
        elif not self._spoilt:
            self._heard.feed(event)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """Nothing is held back."""
        return ()

    def closed(self, *, whole: bool) -> None:
        """The reply has ended."""
        if whole and not self._spoilt and self._heard.ended and self._heard.error is None:
            self._keep(self._heard.result())


def serve(call: Call, found: Found) -> Reply:
    """The reply to a call that is answered from the memory; the call says so."""
    if call.observer is not None:
        call.observer.cache_looked(call, "hit" if found.degraded == "cache" else "stale")
    call.degraded = found.degraded
    call.attempt = None
    return replay(found.answer, stream=call.stream)


def is_sound(request: Request | EmbedRequest, answer: Answer) -> bool:
    """Whether an answer is one to give again; see the head of this module."""
    if not isinstance(answer, Completion):
        return bool(answer.vectors)
    return not is_empty(answer) and all(
        choice.finish_reason == "stop"
        and not choice.message.tool_calls
        and not any(isinstance(part, RefusalPart) for part in choice.message.parts)
        and (isinstance(request, EmbedRequest) or fits_output(request, choice.message.text))
        for choice in answer.choices
    )


def fits_output(request: Request, text: str) -> bool:
    """Whether a text is the structured output that a request asks for; any text where it asks for none."""
    output = request.output
    if output is None or output.kind == "text":
        return True
    schema: JSONObject = {"type": "object"} if output.kind == "json_object" else output.schema or {}
    try:
        value: JSON = json.loads(text)
        return Checker(schema).fits(value, schema)
    except (ValueError, RecursionError):
        return False


def _own(call: Call, answer: Answer) -> Answer:
    """A copy of the answer that says itself where it comes from, without what belongs to this call alone."""
    attempt = call.attempt
    prepared = None if attempt is None else call.prepared.get(attempt.target.name)
    lossy = answer.lossy if prepared is None else prepared.lossy
    if attempt is not None:
        target = attempt.target
        named = replace(answer, provider=target.provider.name, target=target.name, request_id=attempt.request_id)
    else:
        named = replace(answer)
    named.lossy, named.cost, named.attempts, named.call_id, named.degraded = lossy, None, [], "", None
    if isinstance(named, Completion):
        named.output = None
        if prepared is not None and prepared.answer is not None and named.output_mode is None:
            # Only a stream's is not unwrapped yet, and that one was put together here.
            unwrap(named, prepared.answer)
    return named

"""A stream that pays as it goes: it sets more money aside as it grows, and is cut before it costs more than it may.

The reply that the caller reads stands in front of the attempt's own, so that it can end in the middle of what came in
one piece: what a limit lets pass is delivered, then the stream is interrupted. The connection is closed at the cut,
before the reader asks for more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from aistrale.core.faults import interrupted
from aistrale.core.reply import Reply
from aistrale.cost.budgets.quote import STEP
from aistrale.cost.budgets.store import EXACT
from aistrale.cost.tokens.by_length import StreamCounter
from aistrale.errors import AistraleError, StreamInterrupted
from aistrale.policies.budget import refusal
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    Finish,
    Other,
    ReasoningDelta,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    UsageUpdate,
)

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call
    from aistrale.core.runtime import Runtime
    from aistrale.cost.budgets.hold import Hold
    from aistrale.cost.budgets.quote import Quote
    from aistrale.cost.budgets.store import Counters, Short
    from aistrale.types import Completion, Event

# What ends an answer, or says nothing: it costs nothing, and after an end nothing comes that would.
_FREE: Final = (BlockEnd, Finish, ReplyEnd, ReplyStart, UsageUpdate, Other)
_PIECES: Final = (TextDelta, ReasoningDelta, ArgumentsDelta)


class Means:
    """The money that an attempt has, and how a stream gets more.

    Args:
        store: Where the money is.
        hold: What is set aside.
        quote: What tokens cost.
        short: Why the answer was shortened; None where it was not.
    """

    __slots__ = ("_store", "hold", "quote", "seen", "short", "tokens")

    def __init__(self, store: Counters, hold: Hold, quote: Quote, short: Short | None) -> None:
        self._store = store
        self.hold = hold
        self.quote = quote
        self.short = short
        self.tokens = quote.tokens
        """Tokens of output that are set aside."""
        self.seen = 0
        """Tokens of output that have come."""

    async def reach(self, wanted: int, runtime: Runtime) -> Short | None:
        """Set aside enough for so many tokens, a step more if there is money for it; why not, where not."""
        least = wanted - self.tokens
        if least <= 0:
            return None
        step = max(least, STEP)
        short = await self._grow(step, runtime)
        if short is None:
            return None
        unit = self.quote.output[short.index]
        fits = min(int(short.room / unit), step) if unit else step
        if fits >= least:
            short = await self._grow(fits, runtime)
            if short is None:
                return None
        others = EXACT.subtract(short.reserved, self.hold.amounts[short.index])
        return replace(short, reserved=others, needed=EXACT.multiply(unit, least))

    async def _grow(self, tokens: int, runtime: Runtime) -> Short | None:
        store, more, now = self._store, self.quote.more(tokens), runtime.wall()
        if store.slow:
            short = cast("Short | None", await runtime.invoke(store.grow, self.hold, more, now))
        else:
            short = store.grow(self.hold, more, now)
        if short is None:
            self.tokens += tokens
        return short

    def refuse(self, short: Short, now: float) -> None:
        """Tell that a stream ends for want of money."""
        if not short.passing:
            self._store.refuse(short, now)


async def metered(call: Call, attempt: Attempt, reply: Reply, means: Means) -> Reply:
    """The reply, with an eye on the money.

    Args:
        call: Its runtime tells the time.
        attempt: Whose reply it is.
        reply: A stream.
        means: What it may cost.
    """
    source = Paid(call, attempt, reply, means)
    return Reply(await source.ready(), source)


class Paid:
    """The events of a reply, as far as they are paid."""

    __slots__ = ("_attempt", "_broke", "_call", "_counter", "_cut", "_ended", "_largest", "_means", "_pieces", "_reply")

    def __init__(self, call: Call, attempt: Attempt, reply: Reply, means: Means) -> None:
        self._call = call
        self._attempt = attempt
        self._reply = reply
        self._means = means
        # Half as many where the provider keeps to a limit itself: a text of long words is not to be cut for them.
        self._counter = StreamCounter(0.5 if means.quote.certain else 1.0)
        self._largest = self._pieces = 0
        self._cut: StreamInterrupted | None = None
        self._ended: StreamInterrupted | None = None
        self._broke: StreamInterrupted | None = None

    async def ready(self) -> list[Event]:
        """What has come with the beginning, as far as it is paid."""
        event = self._reply.take()
        return [] if event is None else await self._paid(event)

    async def pull(self) -> list[Event] | None:
        """The next events that are paid; None at the end.

        Raises:
            StreamInterrupted: There is no money for more.
        """
        while self._cut is None:
            event = await self._next()
            if event is None:
                if self._ended is None:
                    return None
                self._ended.usage = self._attempt.usage
                raise self._ended
            if events := await self._paid(event):
                return events
        raise self._cut

    async def _paid(self, event: Event | None) -> list[Event]:
        """An event and those that are there with it, as far as they are paid; closes the connection at a cut."""
        events: list[Event] = []
        while event is not None and self._cut is None:
            # Nearly all events need no more than there is, and a coroutine for each would cost more than to find out.
            paid = await self._reaches() if self._exceeds(event) else not self._over(event)
            if paid:
                events.append(event)
            if self._cut is None:
                event = self._reply.take()
        if self._cut is not None:
            # The error gets the usage from whoever writes the attempt down.
            await self._reply.fail(self._cut)
            self._cut.usage = self._cut.usage or self._attempt.usage
        return events

    async def _next(self) -> Event | None:
        try:
            return await self._reply.next()
        except StreamInterrupted as error:
            if not isinstance(error.__cause__, AistraleError):
                raise
            # Whether the reader has seen anything is for the reply in front to know, and whether this may be mended.
            self._broke = error
            raise error.__cause__ from None

    def _count(self, event: Event) -> int:
        """How many tokens there are with this event; a piece of text has at least one, however short it is."""
        counter, means = self._counter, self._means
        before = means.seen
        counter.feed(event)
        if isinstance(event, _PIECES):
            self._pieces += 1
        used = means.seen = max(counter.output, self._pieces)
        if used - before > self._largest and not isinstance(event, UsageUpdate):
            self._largest = used - before
        return used

    def _exceeds(self, event: Event) -> bool:
        """Count an event; whether it needs more money than was set aside, or the next one might."""
        used, means = self._count(event), self._means
        return used + self._ahead > means.tokens and not isinstance(event, _FREE)

    @property
    def _ahead(self) -> int:
        """Tokens that may be under way; none beyond a limit that the provider itself keeps to."""
        return 0 if self._means.quote.certain else self._largest

    async def _reaches(self) -> bool:
        """Whether the event counted last is paid; notes where the stream ends: before the next that might not be."""
        means, runtime = self._means, self._call.runtime
        used = means.seen
        if (short := await means.reach(used, runtime)) is not None:
            self._cut = self._interrupted(short, runtime.wall())
            return False
        if (short := await means.reach(used + self._ahead, runtime)) is not None:
            self._cut = self._interrupted(short, runtime.wall())
        return True

    def _over(self, event: Event) -> bool:
        """Whether the stream has ended, or ends here."""
        return self._ended is not None or self._shortened(event)

    def _shortened(self, event: Event) -> bool:
        """Whether this is the end that was set because of the money; what it used is still to come."""
        short = self._means.short
        if short is not None and isinstance(event, Finish) and event.reason == "length":
            self._ended = self._interrupted(short, self._call.runtime.wall())
        return self._ended is not None

    def _interrupted(self, short: Short, now: float) -> StreamInterrupted:
        attempt = self._attempt
        self._means.refuse(short, now)
        exceeded = refusal(short, target=attempt.target, cut=True)
        error = StreamInterrupted(
            f"the stream was cut: {exceeded.message}",
            provider=attempt.target.provider.name,
            target=attempt.target.name,
            attempt=attempt.number,
            request_id=attempt.request_id,
            hint=f"partial_text holds what the budget allowed. {exceeded.hint or ''}".rstrip(),
        )
        error.__cause__ = exceeded
        return error

    async def close(self) -> None:
        """Give up the rest."""
        await self._reply.close()

    def abandon(self) -> None:
        """Give up the rest without waiting."""
        self._reply.abandon()

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """The error with what was delivered."""
        if isinstance(error, StreamInterrupted):
            error.partial_text = partial.text
            return error
        if self._broke is not None and self._broke.__cause__ is error:
            self._broke.partial_text = partial.text
            return self._broke
        return interrupted(error, self._attempt, partial)

"""Reserve: the most that an attempt can cost is set aside before it is sent, and settled when it is over.

Once per attempt, when the target is known. Where what is left cannot pay for the longest answer, the provider is asked
for a shorter one: what it does not write it cannot bill. Streams are counted as they come; see
`aistrale.policies.spend`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from aistrale.cost.budgets.bound import Bounds, load
from aistrale.cost.budgets.quote import Quote
from aistrale.cost.budgets.store import Short
from aistrale.errors import BudgetExceeded
from aistrale.policies.budget import describe, learn, refusal
from aistrale.policies.spend import Means, metered

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aistrale.core.call import Attempt, Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.cost.budgets.book import BudgetBook, Counter
    from aistrale.cost.budgets.bound import Price
    from aistrale.cost.budgets.hold import Hold


class Reserve:
    """Sets money aside for every attempt, in all budgets that it counts for or in none.

    What does not fit only because of what others have reserved waits until they settle: first come, first served,
    within the call's deadline. With another target untried there is none of that, so that failover goes on to one that
    may be cheaper.

    Args:
        book: The client's budgets.
        price: The client's prices.
    """

    def __init__(self, book: BudgetBook, price: Price) -> None:
        self.book = book
        self._bounds = Bounds(price)

    def describe(self) -> str:
        """One line."""
        return f"upper bound set aside, settled after; {describe(self.book)}"

    # No coroutine of its own for the calls that it does not concern: they pay for the comparison only.
    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Make the attempt when there is money for it."""
        if not self.book.rules and call.context.budget is None:
            return call_next(call)
        return self._reserved(call, call_next)

    async def _reserved(self, call: Call, call_next: Next) -> Reply:
        """Set money aside, make the attempt, settle.

        Raises:
            BudgetExceeded: There is no room; nothing was sent.
        """
        # What another target was limited to is no concern of this one's.
        call.limit = None
        slots = self._counters(call)
        if not slots:
            return await call_next(call)
        await learn(self.book, call, slots)
        quote = self._quote(call, slots)
        hold, short = await self._take(call, quote)
        call.limit = None if quote.limit is None else quote.limit // quote.alternatives
        means = Means(self.book.store, hold, quote, short)
        before = call.attempt
        try:
            hold.sent = True
            reply = await call_next(call)
        except BaseException:
            self._settle(call, means, call.attempt if call.attempt is not before else None, complete=False)
            raise
        attempt, whole = cast("Attempt", call.attempt), reply.whole

        def closed(reply: Reply, _error: BaseException | None) -> None:
            self._settle(call, means, attempt, complete=whole or reply.accumulated.ended)

        reply.on_close(closed)
        if whole or not any(slot.hard for slot in slots):
            return reply
        return await metered(call, attempt, reply, means)

    def _counters(self, call: Call) -> list[Counter]:
        return self.book.counters(call.id, call.context, call.route, call.target, call.runtime.wall())

    def _quote(self, call: Call, slots: list[Counter]) -> Quote:
        request, target = call.request, call.target
        most = load(request, target)
        quote = Quote(slots, request, most, self._bounds.rates(request, target, most.input))
        if quote.blocked is None:
            return quote
        slot, reason = quote.blocked
        own = slot.rule.settings
        raise BudgetExceeded(
            f"the budget {own.title} lets nothing pass of unknown price: {reason}",
            provider=target.provider.name,
            target=target.name,
            budget=own.title,
            scope=slot.scope,
            limit=slot.limit,
            hint='Set max_tokens, or tell the price with prices=[...], or set on_unknown to "allow" or "assume".',
        )

    def _settle(self, call: Call, means: Means, attempt: Attempt | None, *, complete: bool) -> None:
        actual = means.quote.actual(attempt, means.hold.amounts, complete=complete, seen=means.seen)
        self.book.store.settle(means.hold, actual, call.runtime.wall())

    # --- room ---------------------------------------------------------------------------------------------------------

    async def _take(self, call: Call, quote: Quote) -> tuple[Hold, Short | None]:
        """What was set aside, and why the answer was shortened to that; None where it was not."""
        runtime = call.runtime
        began, waited = runtime.now(), False
        shortened: Short | None = None
        result = await self._reserve(call, quote)
        while isinstance(result, Short):
            if self._shortens(call, quote, result):
                shortened = result
                result = await self._reserve(call, quote)
                continue
            until = _until(call, result, began) if result.passing else -math.inf
            if until <= runtime.now():
                raise self._refusal(call, quote, result, runtime.now() - began if waited else 0.0)
            waited = True
            if runtime.wall() >= min(slot.end for slot in quote.slots):
                # Another period has begun meanwhile, with money of its own.
                quote.slots, quote.limit, shortened = self._counters(call), None, None
            found = await self._turn(call, quote, until)
            # Once more at the end, so that a refusal tells how things stand now.
            late = found is None and runtime.now() >= until
            result = await self._reserve(call, quote) if late else found or result
        return result, shortened

    async def _reserve(self, call: Call, quote: Quote) -> Hold | Short:
        store, runtime = self.book.store, call.runtime
        if not store.slow:
            return store.reserve(quote.slots, quote.amounts(), runtime.wall())
        return cast("Hold | Short", await runtime.invoke(store.reserve, quote.slots, quote.amounts(), runtime.wall()))

    def _shortens(self, call: Call, quote: Quote, short: Short) -> bool:
        """Ask for a shorter answer, where that may be and no cheaper target is left to ask for a whole one."""
        own = cast("Counter", short.slot).rule.settings
        if own.on_unlimited == "refuse" or call.on_lossy == "error" or not quote.elastic:
            return False
        for other in call.others:
            rates = self._bounds.rates(call.request, other, load(call.request, other).input)
            if rates.reason is None and rates.output < quote.output[short.index]:
                return False
        return quote.shorten(short)

    async def _turn(self, call: Call, quote: Quote, until: float) -> Hold | Short | None:
        """Wait in line; None when the time is over, or a period ends and another counter counts."""
        store, runtime = self.book.store, call.runtime
        waiter = runtime.waiter()
        ticket = store.enter(quote.slots, quote.amounts(), waiter.wake, runtime.wall())
        try:
            while ticket.hold is None and ticket.short is None:
                turn = min(slot.end for slot in quote.slots) - runtime.wall()
                pause = min(until - runtime.now(), turn)
                if pause <= 0:
                    break
                await waiter.wait(None if pause == math.inf else pause)
        except BaseException:
            # The money may have been given in the very moment in which the wait was given up.
            store.leave(ticket, runtime.wall())
            raise
        if ticket.hold is None and ticket.short is None:
            store.leave(ticket, runtime.wall())
            return None
        return ticket.hold or ticket.short

    def _refusal(self, call: Call, quote: Quote, short: Short, waited: float) -> BudgetExceeded:
        hint = None
        if not short.passing:
            self.book.store.refuse(short, call.runtime.wall())
        if quote.output[short.index] and short.needed:
            most = quote.fitting(short, short.room if short.passing else short.left) // quote.alternatives
            if most > 0:
                hint = f"Set max_tokens to at most {most}, or raise the limit."
        return refusal(short, target=call.target, hint=hint, waited=waited)


def _until(call: Call, short: Short, began: float) -> float:
    """Until when a call may wait for money; monotonic seconds, infinity for as long as it takes."""
    if call.others:
        return -math.inf
    wait = cast("Counter", short.slot).rule.settings.wait
    latest = math.inf if wait is None else began + wait
    return latest if call.deadline is None else min(latest, call.deadline)

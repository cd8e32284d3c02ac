"""Hedge: a second attempt beside the first when that one is slow; the first success wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from decimal import Decimal

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.policies.state import TargetState


@dataclass(slots=True, frozen=True, kw_only=True)
class HedgeSettings:
    """When a second attempt is started beside a slow one. Every attempt may be billed, the loser's too.

    Args:
        delay: Seconds after which the next leg starts; None takes the target's own recent percentile.
        percentile: Which share of the target's answers came sooner, 0 to 1, where `delay` is None. Nothing is hedged
            before 20 answers have been seen.
        min_delay: Seconds that are waited at least.
        extra: Most legs beside the first.
        max_cost: US dollars that one further leg may cost by its upper bound; a leg whose price is unknown, or
            whose length has no bound, is not started then. None for no limit.
    """

    delay: float | None = None
    percentile: float = 0.95
    min_delay: float = 0.05
    extra: int = 1
    max_cost: Decimal | None = None


class Hedge:
    """Starts further legs while none has content, on async and simulated runtimes; a blocking call runs one leg.

    A leg goes to the next target of the route whose breaker is closed, else to the same target again. It is paid from
    the retry budget of its provider: ten successes earn one hedge.

    Args:
        settings: When and how often.
        states: The memory of every target.
        bound: The upper bound of what the call's request costs at a target, in US dollars; None where it is unknown.
    """

    def __init__(
        self,
        settings: HedgeSettings,
        states: Callable[[Target], TargetState],
        bound: Callable[[Call, Target], Decimal | None],
    ) -> None:
        self._settings = settings
        self._states = states
        self._bound = bound

    def describe(self) -> str:
        """One line."""
        own = self._settings
        when = f"p{own.percentile * 100:g} of the target" if own.delay is None else f"{own.delay} s"
        return f"up to {own.extra} more after {when}, from the retry budget; async only"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Give the first reply that begins; the other legs are cancelled and settled."""
        delay = None if call.runtime.blocking else self._delay(call)
        if delay is None:
            return await call_next(call)

        def start(number: int) -> Coroutine[object, object, tuple[Call, Reply]] | None:
            leg = call.leg() if number == 0 else self._further(call, number)
            if leg is not None and number and call.observer is not None:
                call.observer.hedged(leg, delay)
            return None if leg is None else _run(leg, call_next)

        leg, reply = await call.runtime.race(start, delay, _give_up)
        call.adopt(leg)
        return reply

    def _delay(self, call: Call) -> float | None:
        own = self._settings
        delay = own.delay
        if delay is None:
            latency = self._states(call.target).latency
            delay = None if latency is None else latency.percentile(own.percentile)
        return None if delay is None else max(delay, own.min_delay)

    def _further(self, call: Call, number: int) -> Call | None:
        own = self._settings
        if number > own.extra:
            return None
        now = call.runtime.now()
        idle = (other for other in call.others if self._states(other).breaker.state(now) == "closed")
        target = next(idle, call.target)
        if own.max_cost is not None:
            bound = self._bound(call, target)
            if bound is None or bound > own.max_cost:
                return None
        if not self._states(target).budget.spend():
            return None
        leg = call.leg(target)
        # It runs because waiting was too long; it gives up rather than wait itself.
        leg.others = call.others or [call.target]
        return leg


async def _run(leg: Call, call_next: Next) -> tuple[Call, Reply]:
    return leg, await call_next(leg)


def _give_up(late: tuple[Call, Reply]) -> None:
    late[1].abandon()

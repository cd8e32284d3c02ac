"""Budget: a call whose money is spent already is refused before anything costs time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from aistrale.cost.budgets.store import EXACT
from aistrale.errors import BudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from decimal import Decimal

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.cost.budgets.book import BudgetBook, Counter
    from aistrale.cost.budgets.store import Short


class Budget:
    """Looks once per call at the budgets that do not depend on the target; the others are the reservation's to see.

    Args:
        book: The client's budgets.
    """

    def __init__(self, book: BudgetBook) -> None:
        self.book = book

    def describe(self) -> str:
        """One line."""
        return describe(self.book)

    # No coroutine of its own for the calls that it does not concern: they pay for the comparison only.
    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Refuse the call, or let it go on."""
        if not self.book.rules and call.context.budget is None:
            return call_next(call)
        return self._guarded(call, call_next)

    async def _guarded(self, call: Call, call_next: Next) -> Reply:
        """Go on unless a hard budget is spent.

        Raises:
            BudgetExceeded: It is; nothing was sent.
            ConfigurationError: The context's budget looks like an amount and is none.
        """
        book, runtime = self.book, call.runtime
        slots = book.counters(call.id, call.context, call.route, None, runtime.wall())
        await learn(book, call, slots)
        short = book.store.spent(slots, runtime.wall())
        if short is not None:
            book.store.refuse(short, runtime.wall())
            raise refusal(short)
        if not any(slot.rule.per == "call" for slot in slots) and not any(rule.per == "call" for rule in book.rules):
            return await call_next(call)
        try:
            reply = await call_next(call)
        except BaseException:
            self._forget(call)
            raise
        reply.on_close(lambda _reply, _error: self._forget(call))
        return reply

    def _forget(self, call: Call) -> None:
        """Drop the counters of this call alone."""
        book, now = self.book, call.runtime.wall()
        for target in {
            target.name: target for target in (*call.targets, *(each.target for each in call.attempts))
        }.values():
            for slot in book.counters(call.id, call.context, call.route, target, now):
                if slot.rule.per == "call":
                    book.store.forget(slot.key)


def usd(amount: Decimal) -> str:
    """An amount as messages show it, exact."""
    return f"${EXACT.normalize(amount):f}"


def describe(book: BudgetBook) -> str:
    """The budgets in one line."""
    rules = [rule.settings for rule in book.rules]
    said = [f"{each.title}: {usd(each.limit)}{'' if each.hard else ' (soft)'}" for each in rules]
    return ", ".join(said) or "only what a context sets"


async def learn(book: BudgetBook, call: Call, slots: list[Counter]) -> None:
    """Have the ledger asked about counters that are new in this process, not on an event loop."""
    if book.unknown(slots):
        if book.has_past or book.store.slow:
            await call.runtime.invoke(book.learn, slots)
        else:
            book.learn(slots)


def refusal(
    short: Short, *, target: Target | None = None, hint: str | None = None, waited: float = 0.0, cut: bool = False
) -> BudgetExceeded:
    """The error for a budget that has no room.

    Args:
        short: Which one, and what it stands at.
        target: Where the attempt would have gone.
        hint: What to do next, where something better is known than to wait or to raise the limit.
        waited: For how many seconds the call has waited for room.
        cut: Whether a stream is under way, and ends here.
    """
    slot = cast("Counter", short.slot)
    resets = None if short.resets is None else datetime.fromtimestamp(short.resets, UTC)
    said = [f"limit {usd(slot.limit)}", f"spent {usd(short.spent)}"]
    if short.reserved:
        said.append(f"reserved by other calls {usd(short.reserved)}")
    if short.needed:
        said.append(f"needed {'for more of it' if cut else 'at most'} {usd(short.needed)}")
    what = "has no room for the rest" if cut else "has no room for the call" if short.needed else "is spent"
    after = f" after {waited:.3g} s of waiting" if waited else ""
    title = slot.rule.settings.title
    name = title if title.startswith(slot.scope) else f"{title} ({slot.scope})"
    if hint is None:
        hint = "Raise the limit." if resets is None else f"Wait until {resets:%Y-%m-%d %H:%M} UTC, or raise the limit."
    return BudgetExceeded(
        f"the budget {name} {what}{after}: {', '.join(said)}",
        provider=None if target is None else target.provider.name,
        target=None if target is None else target.name,
        budget=title,
        scope=slot.scope,
        limit=slot.limit,
        spent=short.spent,
        reserved=short.reserved,
        needed=short.needed or None,
        resets_at=resets,
        passing=short.passing,
        hint=hint,
    )

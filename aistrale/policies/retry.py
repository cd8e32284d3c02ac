"""Retry: further attempts on the same target, inside the deadline, before anything was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.errors import AistraleError
from aistrale.reliability.backoff import Backoff, spread
from aistrale.reliability.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import OnClose, Reply
    from aistrale.reliability.budget import RetryBudget
    from aistrale.reliability.verdict import Verdict

__all__ = ["Backoff", "Retry", "spread"]

# A refused or reset connection is tried again at once: a few milliseconds, so that calls that failed together do not
# come back together.
_QUICK: Final = 0.005


class Retry:
    """Tries a target again when its failure looks passing, as `reliability.verdict` says.

    In a route of several targets nothing waits here: the error goes up to failover at once. Only a connection that
    failed before anything was sent is tried a second time, at once. A call counts once against its
    provider's budget, and every further attempt is paid from it; waits that a provider announced for its rate limits
    are free.

    Args:
        backoff: When to stop and how long to wait.
        budgets: The retry budget of a target's provider; None for attempts without a budget.
    """

    def __init__(self, backoff: Backoff | None = None, budgets: Callable[[Target], RetryBudget] | None = None) -> None:
        self.backoff = backoff or Backoff()
        self._budgets = budgets

    def describe(self) -> str:
        """One line."""
        own = self.backoff
        stop = f"up to {own.attempts} attempts" if own.stop is None else type(own.stop).__name__
        wait = f"full jitter {own.base} s to {own.cap} s" if own.wait is None else type(own.wait).__name__
        paid = "" if self._budgets is None else ", within the provider's retry budget"
        return f"{stop}, {wait}, Retry-After honoured, inside the deadline{paid}"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Attempt until one succeeds, the failure is lasting, or time, attempts or budget are used up.

        Raises:
            AistraleError: The last attempt's error, unchanged; the errors of all of them are in `call.errors`.
        """
        budget = None if self._budgets is None else self._budgets(call.target)
        tried = 0
        while True:
            try:
                reply = await call_next(call)
            except AistraleError as error:
                tried += 1
                delay = self._delay(call, error, tried, budget)
                if delay is None:
                    raise
            else:
                if budget is not None:
                    reply.on_close(_settles(call, call.target.provider.name, budget))
                return reply
            if call.observer is not None:
                call.observer.retried(call, call.errors[-1], delay)
            await call.runtime.sleep(delay)

    def _delay(self, call: Call, error: AistraleError, tried: int, budget: RetryBudget | None) -> float | None:
        """Note the failure; seconds to wait before another attempt, None for none."""
        verdict = judge(error)
        if budget is not None and verdict.drains and not _counted(call, call.target.provider.name):
            budget.failure()
        _note(call, error)
        if verdict.retry == "never":
            return None
        quick = verdict.retry == "quick" and tried == 1
        # In a route all waiting is failover's: it goes to whichever target is ready first. Where no other target may
        # have the call, there is nothing to be quicker than.
        if (call.others or len(call.targets) > 1) and verdict.failover != "never" and not quick:
            return None
        made = max(tried, sum(attempt.target.name == call.target.name for attempt in call.attempts))
        if call.most_attempts is not None and made >= call.most_attempts:
            return None
        if self.backoff.stops(made, call, error) or (verdict.retry == "once" and made > 1):
            return None
        delay = call.runtime.random.uniform(0.0, _QUICK) if quick else self.backoff.delay(made, call, error)
        return delay if self.backoff.fits(call, delay, error) and _paid(verdict, budget) else None


def _note(call: Call, error: AistraleError) -> None:
    """Say where the error happened, if it does not, and keep it."""
    if error.target is None:
        error.target = call.target.name
    if error.provider is None:
        error.provider = call.target.provider.name
    call.errors.append(error)


def _counted(call: Call, provider: str) -> bool:
    """Whether this call has cost the provider's budget already."""
    return any(error.provider == provider and judge(error).drains for error in call.errors)


def _paid(verdict: Verdict, budget: RetryBudget | None) -> bool:
    return budget is None or not verdict.drains or budget.spend()


def _settles(call: Call, provider: str, budget: RetryBudget) -> OnClose:
    def closed(reply: Reply, error: BaseException | None) -> None:
        if reply.outcome == "success":
            budget.success()
        elif error is not None and judge(error).drains and not _counted(call, provider):
            budget.failure()

    return closed

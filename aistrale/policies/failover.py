"""Failover: the next target of the route, at once, when one fails in a way that another may not."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from aistrale.errors import (
    AistraleError,
    AllTargetsFailed,
    BudgetExceeded,
    CircuitOpen,
    PolicyError,
    QueueFull,
    QueueTimeout,
    RateLimitError,
    StreamInterrupted,
)
from aistrale.reliability.backoff import spread
from aistrale.reliability.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.reliability.backoff import Backoff
    from aistrale.reliability.budget import RetryBudget
    from aistrale.reliability.verdict import Verdict

# While other targets are untried, an attempt that shows no content gets this share of what is left of the deadline:
# enough for nearly every answer, and the others still have time for theirs.
_SHARE: Final = 0.6
# How often one call may wait for a target to be let through by its breaker; attempts are limited by the backoff.
_MAX_REFUSALS: Final = 20
# The reason of a breaker that was opened because the provider asked for a long wait.
_ANNOUNCED: Final = "retry_after"

WhenAllDown = Literal["wait", "fail", "last_resort"]


@dataclass(slots=True, frozen=True, kw_only=True)
class FailoverRules:
    """What a route does when its targets fail.

    Args:
        when_all_down: After every target has failed once: "wait" for the first of them that can be tried again, within
            the deadline and the number of attempts; "fail"; or "last_resort", one more attempt past an open breaker.
        breaker_patience: Seconds that "wait" waits for an open breaker. 1: it stands for a provider that is down, and
            calls that have gathered meanwhile would come back as a herd; with calls that wait out their deadline a
            thousand simulated clients need twice as long to recover (docs/simulation.md).
        fail_over_on: Kinds of errors that are raised at once unless they stand here: "authentication", "permission",
            "model_not_found", "invalid_request", "content_filter".
    """

    when_all_down: WhenAllDown = "wait"
    breaker_patience: float = 1.0
    fail_over_on: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Tried:
    """What became of one target in this call."""

    target: Target
    error: AistraleError
    verdict: Verdict
    ready: float
    """Monotonic seconds from which on it can be tried again."""

    alone: bool
    """Whether nobody else was left to go to when it failed: asked again, its breaker would say the same."""

    yielded: bool
    """Whether it gave way to a target that only lacked room."""

    refusals: int = 0


@dataclass(slots=True)
class _Plan:
    """Which targets are left, and what became of the others."""

    untried: list[Target]
    tried: dict[str, _Tried] = field(default_factory=dict)


class Failover:
    """Tries the call's targets in order, then those that may have recovered.

    An idle target is tried at once, never after waiting out another's Retry-After.

    Args:
        backoff: How often one target is attempted, and how long it is left alone in between.
        budgets: The retry budget of a target's provider.
        rules: What the route of this name does; None is a call without a route.
    """

    def __init__(
        self,
        backoff: Backoff,
        budgets: Callable[[Target], RetryBudget],
        rules: Callable[[str | None], FailoverRules],
    ) -> None:
        self._backoff = backoff
        self._budgets = budgets
        self._rules = rules

    def describe(self) -> str:
        """One line."""
        return "next target on outage, throttling, quota or an unusable answer; raises bad keys and bad requests"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Give the first reply that begins.

        Raises:
            AllTargetsFailed: Every target failed; holds one error per failed attempt.
            AistraleError: What no other target can mend, and whatever the only target failed with.
        BudgetExceeded: There was money for none of the targets, and no other reason.
        """
        targets = call.targets
        plan = _Plan(targets[1:])
        call.target = targets[0]
        while True:
            call.others = plan.untried
            call.busy = self._is_busy(call, plan, call.target)
            call.share_until = self._share(call) if plan.untried else None
            try:
                return await call_next(call)
            except AistraleError as error:
                failure = error
            try:
                if failure not in call.errors:
                    call.errors.append(failure)
                if not self._go_on(call, plan, failure):
                    raise failure
                began = call.runtime.now()
                target = await self._next(call, plan)
                if target is None:
                    if len(targets) == 1:
                        raise failure
                    if (poor := _too_dear(plan)) is not None:
                        raise poor
                    raise AllTargetsFailed(_summary(len(plan.tried), call), call.errors)
                if call.observer is not None and target is not call.target:
                    call.observer.failed_over(call, failure, call.target, target, call.runtime.now() - began)
                call.target = target
            finally:
                # An error that its own traceback holds would be left to the garbage collector.
                del failure

    @staticmethod
    def _share(call: Call) -> float | None:
        if call.deadline is None or call.clocks.first_token is not None:
            return None
        now = call.runtime.now()
        return now + _SHARE * (call.deadline - now)

    def _go_on(self, call: Call, plan: _Plan, error: AistraleError) -> bool:
        """Note what became of the target; False when the error is the caller's to see at once."""
        if isinstance(error, StreamInterrupted):
            # The provider had begun to answer, and who asked wants no second attempt then (mode "raise").
            return False
        failed, verdict = call.target, judge(error)
        fails_over = verdict.failover
        if fails_over == "never" and verdict.kind not in self._rules(call.route).fail_over_on:
            return False
        before = plan.tried.get(failed.name)
        alone = not call.others and not call.busy
        tried = _Tried(
            failed,
            error,
            verdict,
            self._ready(call, error, verdict),
            alone,
            isinstance(error, CircuitOpen) and call.busy,
        )
        tried.refusals = (before.refusals if before is not None else 0) + isinstance(error, PolicyError)
        if isinstance(error, (QueueFull, QueueTimeout)) and not call.others:
            # It has waited its turn already.
            tried.refusals = _MAX_REFUSALS
        if isinstance(error, BudgetExceeded) and not (error.passing and call.others):
            # Likewise, or no wait would help.
            tried.refusals = _MAX_REFUSALS
        plan.tried[failed.name] = tried
        if fails_over == "larger":
            plan.untried = [target for target in plan.untried if _window(target) > _window(failed)]
            return bool(plan.untried)
        return True

    def _ready(self, call: Call, error: AistraleError, verdict: Verdict) -> float:
        now = call.runtime.now()
        if isinstance(error, CircuitOpen) and (call.others or call.busy):
            # Asked again when nobody else is left, its breaker may let a call pass.
            return now
        if isinstance(error, CircuitOpen) and error.reason == _ANNOUNCED and error.retry_after is not None:
            return now + spread(error.retry_after, call.runtime.random, call.remaining())
        if isinstance(error, PolicyError):
            return now + (verdict.wait or 0.0)
        return now + self._backoff.delay(max(1, _attempts(call, call.target)), call, error)

    async def _next(self, call: Call, plan: _Plan) -> Target | None:
        """The target to try now, after whatever wait it takes; None when there is none."""
        # A first attempt at a target is no retry and needs no budget: its breaker knows whether it may be called. A
        # fallback whose budget an earlier outage has drained would otherwise have no way to earn it back.
        if plan.untried:
            target, plan.untried = plan.untried[0], plan.untried[1:]
            return target
        rules = self._rules(call.route)
        if rules.when_all_down == "fail":
            return None
        candidates = [
            tried
            for tried in plan.tried.values()
            if self._may_again(call, tried) and not (tried.yielded and self._is_busy(call, plan, tried.target))
        ]
        if rules.when_all_down == "last_resort":
            call.forced = not call.forced
            return candidates[0].target if candidates and call.forced else None
        for tried in sorted(candidates, key=_ready_at):
            delay = tried.ready - call.runtime.now()
            if not self._backoff.fits(call, delay, tried.error) or not self._paid(tried):
                continue
            if delay > 0:
                await call.runtime.sleep(delay)
            return tried.target
        return None

    def _is_busy(self, call: Call, plan: _Plan, target: Target) -> bool:
        """Whether a target beside this one lacks nothing but room, and will have some in time."""
        return any(self._has_room_soon(call, tried) for tried in plan.tried.values() if tried.target is not target)

    def _has_room_soon(self, call: Call, tried: _Tried) -> bool:
        # An overloaded provider does not know when it will have room.
        full = isinstance(tried.error, (QueueFull, QueueTimeout, RateLimitError))
        if not full or not self._may_again(call, tried):
            return False
        return self._backoff.fits(call, tried.ready - call.runtime.now(), tried.error)

    def _may_again(self, call: Call, tried: _Tried) -> bool:
        if isinstance(tried.error, CircuitOpen):
            rules, wait = self._rules(call.route), tried.error.retry_after
            if rules.when_all_down == "last_resort":
                return True
            if not tried.alone:
                return wait is not None
            patience = inf if tried.error.reason == _ANNOUNCED else rules.breaker_patience
            return tried.refusals < _MAX_REFUSALS and wait is not None and wait <= patience
        if isinstance(tried.error, PolicyError):
            return tried.refusals < _MAX_REFUSALS
        made = _attempts(call, tried.target)
        if tried.verdict.retry == "never" or (tried.verdict.retry == "once" and made > 1):
            return False
        if call.most_attempts is not None and made >= call.most_attempts:
            return False
        return not self._backoff.stops(made, call, tried.error)

    def _paid(self, tried: _Tried) -> bool:
        # Nothing was sent, or the provider itself said when to come back: neither is a sign of its sickness.
        free = isinstance(tried.error, PolicyError) or not tried.verdict.drains
        return free or self._budgets(tried.target).spend()


def _too_dear(plan: _Plan) -> BudgetExceeded | None:
    """The refusal of the cheapest target, where no target has failed for another reason than money."""
    errors = [tried.error for tried in plan.tried.values()]
    poor = [error for error in errors if isinstance(error, BudgetExceeded)]
    if len(poor) < len(errors):
        return None
    return min(poor, key=lambda error: inf if error.needed is None else error.needed, default=None)


def _attempts(call: Call, target: Target) -> int:
    return sum(attempt.target.name == target.name for attempt in call.attempts)


def _ready_at(tried: _Tried) -> float:
    return tried.ready


def _window(target: Target) -> int:
    return (target.facts.context or 0) if target.facts is not None else 0


def _summary(targets: int, call: Call) -> str:
    sent: Sequence[object] = call.attempts
    return f"all {targets} targets tried have failed, after {len(sent)} attempts"

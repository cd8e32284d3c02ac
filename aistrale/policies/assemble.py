"""The policies that settings ask for; the engine and the simulation build their pipelines of the same ones."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from aistrale.cost.prices import price_usage
from aistrale.policies.breaker import CircuitBreaker
from aistrale.policies.failover import Failover, FailoverRules
from aistrale.policies.hold import Hold
from aistrale.policies.queue import Queue
from aistrale.policies.resume import Resume
from aistrale.policies.retry import Retry
from aistrale.policies.route import Route
from aistrale.policies.state import States
from aistrale.reliability.backoff import Backoff
from aistrale.reliability.breaker_types import BreakerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.config import Settings
    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Policy
    from aistrale.cost.budgets.book import BudgetBook, Past
    from aistrale.cost.budgets.bound import Price
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.budgets.settings import BudgetSettings
    from aistrale.cost.optimization.optimizer import Optimizer
    from aistrale.policies.hold import Predicate
    from aistrale.policies.state import Fleet
    from aistrale.privacy.event import PrivacyEvent
    from aistrale.privacy.protection import Protection
    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.store.answers import Answers
    from aistrale.types import Completion, Cost

_ONCE = Backoff(attempts=1)
_log = logging.getLogger("aistrale.breaker")


def memory(
    settings: Settings, listener: Callable[[BreakerEvent], None] | None = None, fleet: Fleet | None = None
) -> States:
    """What is remembered of targets; changes of breakers are logged and told to whoever wants to know.

    Args:
        settings: What the application asked for.
        listener: Is told of changes.
        fleet: Processes that share it; None for this one alone.
    """

    def changed(event: BreakerEvent) -> None:
        level = logging.WARNING if event.after in {"open", "forced_open"} else logging.INFO
        _log.log(level, "circuit breaker of %s: %s to %s (%s)", event.breaker, event.before, event.after, event.reason)
        if fleet is not None:
            fleet.changed(event)
        if listener is not None:
            listener(event)

    return States(
        breaker=settings.breaker or BreakerSettings(),
        budget=settings.retry_budget,
        limits=settings.limits,
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
        latencies=settings.hedge is not None,
        on_event=changed,
        fleet=fleet,
    )


def reliability(
    settings: Settings,
    states: States,
    *,
    target_of: Callable[[str], Target],
    bound: Callable[[Call, Target], Decimal | None],
    price: Callable[..., Cost] = price_usage,
    answers: Callable[[int, int], Answers] | None = None,
) -> dict[str, Policy]:
    """What keeps calls alive when providers fail, by place.

    Args:
        settings: What the application asked for.
        states: The memory of the targets.
        target_of: The target of a `provider/model` name, for the degradation to a smaller model.
        bound: The most that a call can cost at a target, in US dollars; None where that is unknown.
        price: Prices one exchange.
        answers: Makes the store of remembered answers that processes share; None where they share none.
    """
    backoff = settings.retry or _ONCE
    rules = {name: route.failover for name, route in settings.routes.items()}
    # Who wants no second attempt does not want to wait for one either.
    unrouted = FailoverRules(when_all_down="fail" if settings.retry is None else "wait")
    policies: dict[str, Policy] = {
        "route": Route(
            {name: route.rule for name, route in settings.routes.items()},
            lambda target: states.of(target).stats,
            states.availability,
        ),
        "failover": Failover(
            backoff, states.budget, lambda route: unrouted if route is None else rules.get(route, unrouted)
        ),
        "retry": Retry(backoff, states.budget),
        "breaker": CircuitBreaker(states.of, enabled=settings.breaker is not None),
        "resume": Resume(states.budget),
        "hold": Hold(_predicates(settings)),
    }
    if settings.limits:
        policies["queue"] = Queue(lambda target: states.of(target).gate)
    if settings.hedge is not None:
        from aistrale.policies.hedge import Hedge

        policies["hedge"] = Hedge(settings.hedge, states.of, bound)
    policies.update(_remembering(settings, target_of, price, answers))
    return policies


def protecting(protection: Protection, listener: Callable[[PrivacyEvent], None] | None = None) -> dict[str, Policy]:
    """What looks after data, by place.

    Args:
        protection: Finds and remembers.
        listener: Is told what was decided about data.
    """
    from aistrale.policies.redact import Redact
    from aistrale.policies.report import Report

    settings = protection.settings
    report = Report(listener, dry_run=settings.dry_run)
    policies: dict[str, Policy] = {"redact": Redact(protection, report)}
    if settings.rules or settings.media != "allow":
        from aistrale.policies.guard import Guard

        policies["guard"] = Guard(settings, protection.scanner, report)
    return policies


def spending(
    budgets: Sequence[BudgetSettings],
    *,
    price: Price,
    ledger: Past | None = None,
    on_event: Callable[[BudgetEvent], None] | None = None,
    book: BudgetBook | None = None,
) -> dict[str, Policy]:
    """What keeps to budgets, by place. Without any it looks at what a context sets for one call, and nothing else.

    Args:
        budgets: What the application asked for.
        price: The client's prices.
        ledger: Knows what was spent before this process began.
        on_event: Is told of thresholds and refusals.
        book: The budgets themselves, where they are made already; the three before are not read then.
    """
    from aistrale.cost.budgets.book import BudgetBook
    from aistrale.policies.budget import Budget
    from aistrale.policies.reserve import Reserve

    if book is None:
        book = BudgetBook(budgets, ledger=ledger, on_event=on_event)
    return {"budget": Budget(book), "reserve": Reserve(book, price)}


def optimizing(
    settings: Settings,
    optimizer: Optimizer | None,
    *,
    target_of: Callable[[str], Target],
    price: Callable[..., Cost] = price_usage,
) -> dict[str, Policy]:
    """What makes calls cheaper on its own, by place; nothing unless that was asked for.

    Args:
        settings: What the application asked for.
        optimizer: Decides which calls are changed.
        target_of: The target of a `provider/model` name.
        price: Prices one exchange.
    """
    if optimizer is None:
        return {}
    from aistrale.policies.optimize import Optimize

    rules = {name: route.rule for name, route in settings.routes.items()}
    return {"optimize": Optimize(optimizer, target_of, rules, price=price)}


def _remembering(
    settings: Settings,
    target_of: Callable[[str], Target],
    price: Callable[..., Cost],
    shared: Callable[[int, int], Answers] | None,
) -> dict[str, Policy]:
    """The cache and the degradation ladder, which share one memory."""
    policies: dict[str, Policy] = {}
    answers = None
    if settings.cache is not None:
        from aistrale.policies.cache import AnswerCache, Cache

        answers = AnswerCache(settings.cache, price, shared)
        policies["cache"] = Cache(answers)
    degrade = settings.degrade
    if degrade is not None or (settings.cache is not None and settings.cache.stale > 0):
        from aistrale.policies.degrade import Degrade, DegradeSettings

        # Who keeps answers beyond their time wants them served when everything else fails.
        policies["degrade"] = Degrade(
            degrade or DegradeSettings(steps=("stale_cache",)), answers, target_of, price=price
        )
    return policies


def _predicates(settings: Settings) -> Callable[[Call], Sequence[Predicate]] | None:
    """What the routes object to; None where none of them does."""
    found: dict[str, tuple[Predicate, ...]] = {}
    for name, route in settings.routes.items():
        refusal = (refused,) if "refusal" in route.fail_over_on else ()
        if route.fail_if or refusal:
            found[name] = (*refusal, *route.fail_if)
    if not found:
        return None
    return lambda call: found.get(call.route, ()) if call.route is not None else ()


def refused(answer: Completion) -> bool:
    """Whether the provider's safety system cut the answer off."""
    return answer.finish_reason == "content_filter"

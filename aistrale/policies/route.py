"""Route: puts the targets of a call into the order in which they are tried."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from aistrale.routing.strategies import STRATEGIES, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.routing.health import TargetStats
    from aistrale.routing.strategies import RouteRule

_REFUSING: Final = frozenset({"open", "forced_open"})


class Route:
    """Orders a call's targets by its route's strategy; those whose breaker is open come last but stay.

    Args:
        routes: The rule of each route, by the route's name. A call of any other route keeps its order.
        stats: The statistics of a target.
        state: What the breaker of a target would say to a call now. "open" and "forced_open" are what matters; it must
            no longer be "open" once a probe may go, or a target at the end of the list would never be tried again.
    """

    def __init__(
        self,
        routes: Mapping[str, RouteRule],
        stats: Callable[[Target], TargetStats],
        state: Callable[[Target, float], str],
    ) -> None:
        # `next` on a count is one step for the interpreter: threads share it without a lock.
        self._routes = {
            name: (rule, STRATEGIES[rule.strategy], count())
            for name, rule in routes.items()
            if rule.strategy != "priority"
        }
        self._rules = dict(routes)
        self._stats = stats
        self._state = state

    def describe(self) -> str:
        """One line."""
        rules = "; ".join(f"{name}: {_describe(rule)}" for name, rule in self._rules.items())
        return f"{rules or 'no routes'}; targets with an open breaker last"

    # No coroutine of its own: nothing is awaited here, and a call with one target pays for the comparison only.
    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Order the targets and go on."""
        if len(call.targets) > 1:
            self._arrange(call)
        return call_next(call)

    def _arrange(self, call: Call) -> None:
        targets, now = call.targets, call.runtime.now()
        planned = self._routes.get(call.route) if call.route is not None else None
        if planned is not None:
            rule, strategy, cursor = planned
            weights = [rule.weights.get(target.name, 1.0) for target in targets] if rule.weights else None
            moment = Moment(self._stats, weights, call.runtime.random, now, next(cursor), call.stream)
            targets = strategy(targets, moment)
        state = self._state
        refusing = [target for target in targets if state(target, now) in _REFUSING]
        if refusing:
            # By identity: comparing targets would compare all that they consist of.
            targets = [target for target in targets if all(target is not other for other in refusing)] + refusing
        call.targets = targets
        call.target = targets[0]


def _describe(rule: RouteRule) -> str:
    if not rule.weights:
        return rule.strategy
    return f"{rule.strategy} ({', '.join(f'{name} {weight:g}' for name, weight in rule.weights.items())})"

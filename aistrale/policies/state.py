"""What a client remembers of its targets between calls: breaker, gate, statistics, retry budget, key."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from aistrale.core.worker import on_fork
from aistrale.reliability.breaker import Breaker
from aistrale.reliability.budget import RetryBudget
from aistrale.reliability.gate import Gate
from aistrale.reliability.key_hold import KeyHold
from aistrale.reliability.latency import LatencyTrack
from aistrale.routing.health import TargetStats

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Target
    from aistrale.reliability.breaker_types import BreakerEvent, BreakerSettings, Outcome
    from aistrale.reliability.budget import RetryBudgetSettings
    from aistrale.reliability.leased import Lessor
    from aistrale.reliability.limits import LimitSettings


class Link(Protocol):
    """What the processes that share state have to say about one target. No method raises."""

    @property
    def slow(self) -> bool:
        """Whether `probe` asks somebody."""
        ...

    def probe(self, seconds: float) -> bool:
        """Whether this process is the one that finds out whether the target is back; blocks for a round trip.

        Args:
            seconds: For how long nobody else tries meanwhile.
        """
        ...

    def probed(self, outcome: Outcome) -> None:
        """A probe has ended; does not block."""
        ...

    def refused(self) -> None:
        """The target's key was refused, `TargetState.key` knows why; does not block."""
        ...


class Fleet(Protocol):
    """The processes that share state."""

    def lessor(self, place: str) -> Lessor | None:
        """What shares the limits of a target."""
        ...

    def join(self, state: TargetState) -> Link:
        """Have the others' news of a target told to its state, and tell them."""
        ...

    def changed(self, event: BreakerEvent) -> None:
        """A breaker has changed its state; does not block."""
        ...


@dataclass(slots=True, frozen=True, eq=False)
class TargetState:
    """Everything that is remembered of one target.

    Args:
        target: Which one.
        breaker: Whether it may be called.
        gate: How many calls at once and per minute.
        stats: How it has been doing.
        latency: How long it takes; None where nobody hedges by it.
        budget: What may be spent on further attempts; shared by the targets of a provider.
        key: Whether its provider accepts the key; shared likewise.
        link: Other processes; None where there are none.
    """

    target: Target
    breaker: Breaker
    gate: Gate
    stats: TargetStats
    latency: LatencyTrack | None
    budget: RetryBudget
    key: KeyHold
    link: Link | None = None


class States:
    """The state of every target that was used; made at first use.

    Args:
        breaker: Settings of all breakers.
        budget: Settings of all retry budgets.
        limits: Limits by target, by provider, and under "default" for the others.
        rng: Jitter.
        latencies: Whether latencies are kept, for hedges.
        on_event: Gets every change of a breaker's state.
        fleet: Processes that share state; None for this one alone.
    """

    def __init__(
        self,
        *,
        breaker: BreakerSettings,
        budget: RetryBudgetSettings,
        limits: Mapping[str, LimitSettings],
        rng: random.Random,
        latencies: bool = False,
        on_event: Callable[[BreakerEvent], None] | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet = fleet
        self._breaker = breaker
        self._budget = budget
        self._limits = limits
        self._rng = rng
        self._latencies = latencies
        self._on_event = on_event
        self._lock = threading.Lock()
        self._states: dict[str, TargetState] = {}
        self._shared: dict[str, tuple[RetryBudget, KeyHold]] = {}
        on_fork(self._after_fork)

    def of(self, target: Target) -> TargetState:
        """The target's state."""
        state = self._states.get(target.place)
        return self._make(target) if state is None else state

    def budget(self, target: Target) -> RetryBudget:
        """The retry budget of the target's provider."""
        return self.of(target).budget

    def availability(self, target: Target, now: float) -> str:
        """The state of the target's breaker; "open" also while its provider refuses for money."""
        state = self.of(target)
        hold = state.key.check(now)
        # A rejected key is not routed around: its target keeps its place and raises.
        if hold is not None and hold.reason == "quota":
            return "open"
        return state.breaker.state(now)

    def known(self) -> dict[str, TargetState]:
        """The targets that were used so far, by name."""
        return dict(self._states)

    def _make(self, target: Target) -> TargetState:
        provider = target.provider.name
        limits = self._limits.get(target.name) or self._limits.get(provider) or self._limits.get("default")
        with self._lock:
            account = f"{provider} {target.account}"
            shared = self._shared.get(account)
            if shared is None:
                shared = self._shared[account] = (RetryBudget(self._budget), KeyHold(self._rng))
            fleet = self._fleet
            state = TargetState(
                target=target,
                breaker=Breaker(target.place, self._breaker, self._rng, self._on_event),
                gate=Gate(target.place, limits, None if fleet is None else fleet.lessor(target.place)),
                stats=TargetStats(),
                latency=LatencyTrack() if self._latencies else None,
                budget=shared[0],
                key=shared[1],
            )
            if target.place not in self._states and fleet is not None:
                state = replace(state, link=fleet.join(state))
            return self._states.setdefault(target.place, state)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        # Or the children of one parent would all draw the same jitter.
        self._rng.seed()
        for state in self._states.values():
            for part in (state.breaker, state.gate, state.stats, state.latency, state.budget, state.key):
                if part is not None:
                    part.after_fork()

"""Policies for a simulation: those of aistrale as its settings make them, and naive ones to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.config import Settings, check
from aistrale.config.values import unknown_key
from aistrale.core.call import StreamRules
from aistrale.errors import AistraleError, APIError, DeadlineExceeded, NetworkError, StreamInterrupted, TLSError
from aistrale.policies.assemble import reliability
from aistrale.policies.state import States
from aistrale.reliability.breaker_types import BreakerSettings

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next, Policy
    from aistrale.core.reply import Reply
    from aistrale.simulation.world import World

Maker: TypeAlias = "Callable[[World], Mapping[str, Policy]]"
"""Makes the policies of one client, by their places in the pipeline; asked once per client: processes share nothing."""

ROUTE: Final = "simulated"
"""Name of the route that all calls take."""
_PASSING: Final = frozenset({408, 409, 425, 429})
_BASE: Final = 0.5
_CAP: Final = 8.0
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class Contender:
    """One kind of policies that a scenario is run with.

    Args:
        name: What reports call it.
        make: Makes the policies of one client.
        streams: How its streams survive a break.
    """

    name: str
    make: Maker
    streams: StreamRules = field(default_factory=StreamRules)


def policies_for(settings: Settings, world: World) -> dict[str, Policy]:
    """One client's policies with a memory of their own, as aistrale's engine makes them from its settings."""
    states = States(
        breaker=settings.breaker or BreakerSettings(),
        budget=settings.retry_budget,
        limits=settings.limits,
        rng=world.runtime.random,
        latencies=settings.hedge is not None,
    )
    return reliability(settings, states, target_of=world.target, bound=world.price)


def settings_for(table: Mapping[str, object], targets: Sequence[str]) -> Settings:
    """Settings of aistrale with a route over the targets.

    Args:
        table: The settings; `route` holds the route's.
        targets: Names of the scenario's targets.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    route = table.get("route", {})
    own = {name: value for name, value in table.items() if name != "route"}
    # Anything but a table goes on as it is, to the check that refuses it.
    routes = {ROUTE: {"targets": list(targets), **route} if isinstance(route, dict) else route}
    return check({**own, "routes": routes})


class Naive:
    """What people write by hand: so many attempts, some wait between them, and no idea of anybody else.

    Args:
        attempts: Most attempts; None goes on until the deadline.
        wait: Seconds after so many attempts.
        obeys: Whether an announced wait is slept exactly instead.
    """

    def __init__(
        self, attempts: int | None, wait: Callable[[int, random.Random], float], *, obeys: bool = False
    ) -> None:
        self._attempts = attempts
        self._wait = wait
        self._obeys = obeys

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Attempt until one succeeds, or attempts or time are used up."""
        runtime = call.runtime
        made = 0
        while True:
            made += 1
            try:
                return await call_next(call)
            except (APIError, NetworkError) as error:
                if made == self._attempts or not _passing(error):
                    raise
                delay = self._wait(made, runtime.random)
                announced = getattr(error, "retry_after", None)
                if self._obeys and announced is not None:
                    delay = announced
                remaining = call.remaining()
                if remaining is not None and delay >= remaining:
                    raise
            if delay:
                await runtime.sleep(delay)


class NaiveFailover:
    """The next target when one has failed for good, whatever the reason."""

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Give the first answer; raise the last target's error."""
        *others, last = call.targets
        for target in others:
            call.target = target
            try:
                return await call_next(call)
            except DeadlineExceeded:
                raise
            except AistraleError:
                continue
        call.target = last
        return await call_next(call)


def _passing(error: APIError | NetworkError) -> bool:
    if isinstance(error, APIError):
        return error.status is not None and (error.status in _PASSING or error.status >= 500)
    return not isinstance(error, (TLSError, StreamInterrupted))


def at_once(_made: int, _rng: random.Random) -> float:
    """No wait."""
    return 0.0


def exponential(made: int, _rng: random.Random) -> float:
    """Half a second, doubled each time up to eight."""
    return min(_BASE * 2.0 ** (made - 1), _CAP) if made < 32 else _CAP


def full_jitter(made: int, rng: random.Random) -> float:
    """Anything up to that."""
    return rng.uniform(0.0, exponential(made, rng))


_NAIVE: Mapping[str, Callable[[], Naive]] = {
    "none": partial(Naive, 1, at_once),
    "at_once": partial(Naive, _ATTEMPTS, at_once),
    "exponential": partial(Naive, _ATTEMPTS, exponential),
    "full_jitter": partial(Naive, _ATTEMPTS, full_jitter),
    "to_deadline": partial(Naive, None, full_jitter),
    "retry_after": partial(Naive, _ATTEMPTS, full_jitter, obeys=True),
}
DEFAULT: Final = "default"
NAMES: Final = (*_NAIVE, DEFAULT)
"""The policies that every scenario knows: six naive ones, and aistrale with its default settings."""


def contender(name: str, own: Mapping[str, Settings], targets: Sequence[str]) -> Contender:
    """The policies of that name.

    Args:
        name: One of the scenario's own, or of NAMES.
        own: The scenario's.
        targets: Names of its targets.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name in own:
        return _configured(name, own[name])
    if name == DEFAULT:
        return _configured(name, settings_for({}, targets))
    if name not in _NAIVE:
        raise unknown_key(name, [*own, *NAMES], "policy")
    make = _NAIVE[name]
    return Contender(name, lambda _world: {"failover": NaiveFailover(), "retry": make()})


def _configured(name: str, settings: Settings) -> Contender:
    return Contender(name, lambda world: policies_for(settings, world), settings.streams)

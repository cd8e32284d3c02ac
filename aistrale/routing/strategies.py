"""Strategies: in which order the targets of a route are tried.

A strategy gives all targets, the first choice first and the others in the order in which failover should take them. A
new one is a function and an entry of `STRATEGIES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from aistrale.routing.health import TargetStats

T = TypeVar("T")

# Scores this close are the same: what tells them apart is chance, and the order of the route is somebody's decision.
_TOLERANCE: Final = 5.0
# The load of a target that is being tried for the first time: behind every known one, whatever its latency. Finagle's
# rule; otherwise a burst of calls would all go to the unknown.
_ON_TRIAL: Final = 1e9
# A target nobody knows and nobody is trying.
_UNTRIED: Final = -1.0
# Longest cycle of a weighted order, in calls; weights whose proportions need a longer one are rounded.
_LONGEST_CYCLE: Final = 1000


@dataclass(slots=True)
class Moment(Generic[T]):
    """What a strategy may look at.

    Args:
        stats: The statistics of a target.
        weights: Shares of traffic, in the order of the targets; None for equal ones.
        rng: Source of chance.
        now: Monotonic seconds.
        cursor: How many choices were made for the route before.
        streaming: Whether the call wants a stream, whose first content is what counts.
    """

    stats: Callable[[T], TargetStats]
    weights: Sequence[float] | None
    rng: random.Random
    now: float
    cursor: int
    streaming: bool


class Strategy(Protocol):
    """Orders targets; has no state of its own."""

    def __call__(self, targets: Sequence[T], moment: Moment[T], /) -> list[T]:
        """All the targets, each once, in a new list."""
        ...


def priority(targets: Sequence[T], _moment: Moment[T]) -> list[T]:
    """The order in which the route names them."""
    return list(targets)


def round_robin(targets: Sequence[T], moment: Moment[T]) -> list[T]:
    """Each in turn; who takes over from one that fails takes turns too."""
    return _in_turn(targets, (1.0,) * len(targets), moment.cursor)


def weighted(targets: Sequence[T], moment: Moment[T]) -> list[T]:
    """In proportion to the weights, evenly interleaved; weight 0 takes over only when all others fail."""
    return _in_turn(targets, tuple(moment.weights or (1.0,) * len(targets)), moment.cursor)


def least_in_flight(targets: Sequence[T], moment: Moment[T]) -> list[T]:
    """The fewest calls under way first; in turn where there are as many."""
    start = moment.cursor % len(targets)
    turned = [*targets[start:], *targets[:start]]
    stats = moment.stats
    return sorted(turned, key=lambda target: stats(target).in_flight)


def latency(targets: Sequence[T], moment: Moment[T]) -> list[T]:
    """The faster of two drawn at random, by peak-EWMA latency times calls under way.

    Two choices instead of the best of all, so that many processes do not fall upon the same target at once
    (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the load is finagle's). A target that was
    never tried, or not for five minutes, counts as the fastest as long as no other call is trying it.
    """
    count = len(targets)
    if count == 1:
        return list(targets)
    loads = _loads(targets, moment)
    one, further = divmod(int(moment.rng.random() * count * (count - 1)), count - 1)
    other = (one + 1 + further) % count
    winner = other if loads[other] < loads[one] else one
    others = sorted([(load, place) for place, load in enumerate(loads) if place != winner])
    return [targets[winner], *[targets[place] for _, place in others]]


def health(targets: Sequence[T], moment: Moment[T]) -> list[T]:
    """The highest health score first; those within five points of it in the order of the route."""
    stats, now = moment.stats, moment.now
    points = [stats(target).points(now) for target in targets]
    enough = max(points) - _TOLERANCE
    if min(points) >= enough:
        return list(targets)
    ranks = [(-own if own < enough else -math.inf, place) for place, own in enumerate(points)]
    ranks.sort()
    return [targets[place] for _, place in ranks]


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "priority": priority,
    "round_robin": round_robin,
    "weighted": weighted,
    "least_in_flight": least_in_flight,
    "latency": latency,
    "health": health,
}


def order(
    strategy: str,
    targets: Sequence[T],
    stats: Callable[[T], TargetStats],
    *,
    rng: random.Random,
    now: float,
    cursor: int,
    weights: Sequence[float] | None = None,
    streaming: bool = False,
) -> list[T]:
    """All targets in the order in which they should be tried.

    Args:
        strategy: A key of `STRATEGIES`.
        targets: At least one, in the order of the route; left as they are.
        stats: The statistics of a target.
        rng: Source of chance.
        now: Monotonic seconds.
        cursor: How many choices were made for the route before.
        weights: Shares of traffic, in the order of the targets; None for equal ones.
        streaming: Whether the call wants a stream.
    """
    return STRATEGIES[strategy](targets, Moment(stats, weights, rng, now, cursor, streaming))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """How a route spreads its calls.

    Args:
        strategy: "priority" (default): the first that works. "round_robin": each in turn. "weighted": by `weights`.
            "least_in_flight": the fewest calls under way. "latency": the faster of two. "health": the best score.
        weights: Share of each target by its name (`provider/model`), finite and not negative; 1 for one that is not
            named, 0 for one that only takes over. Only with "weighted".

    Raises:
        ConfigurationError: A word or number that is none of these.
    """

    strategy: str = "priority"
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise ConfigurationError(f"strategy: {self.strategy!r} is none of {known}", field="strategy")
        if self.weights and self.strategy != "weighted":
            raise ConfigurationError(
                f"weights: the strategy {self.strategy!r} has none", field="weights", hint="Set strategy = 'weighted'."
            )
        for name, weight in self.weights.items():
            if not 0.0 <= weight < math.inf:
                raise ConfigurationError(f"weights.{name}: not a number from 0 on", field=f"weights.{name}")


def _loads(targets: Sequence[T], moment: Moment[T]) -> list[float]:
    stats, now, streaming = moment.stats, moment.now, moment.streaming
    loads = []
    for target in targets:
        own = stats(target)
        seconds = own.ewma(now, streaming)
        if seconds is None:
            return _partial_loads([stats(each) for each in targets], now, streaming=streaming)
        loads.append(seconds * (own.in_flight + 1))
    return loads


def _partial_loads(stats: Sequence[TargetStats], now: float, *, streaming: bool) -> list[float]:
    seconds = [own.ewma(now, not streaming) for own in stats]
    if None in seconds:
        seconds = [own.ewma(now, streaming) for own in stats]
    # Else what all of them know of the other kind of answer compares them better than not knowing does.
    return [
        one * (own.in_flight + 1) if one is not None else _ON_TRIAL + own.in_flight if own.in_flight else _UNTRIED
        for one, own in zip(seconds, stats, strict=True)
    ]


def _in_turn(targets: Sequence[T], weights: tuple[float, ...], cursor: int) -> list[T]:
    cycle = _cycle(weights)
    length = len(cycle)
    position = cursor % length
    first = cycle[position][0]
    if length == 1:
        return [targets[place] for place in cycle[0]]
    # The others as they come up in the cycle, counted from another place in each round: who follows the one that
    # fails would otherwise get all of its calls.
    following = cycle[(position + 1 + cursor // length % (length - 1)) % length]
    return [targets[first], *[targets[place] for place in following if place != first]]


@lru_cache(maxsize=256)
def _cycle(weights: tuple[float, ...]) -> tuple[tuple[int, ...], ...]:
    """For every position of the cycle, all places in the order in which they come up from there on."""
    shares = _whole_numbers(weights)
    turns = _turns(shares)
    idle = [place for place, share in enumerate(shares) if not share]
    known: dict[tuple[int, ...], tuple[int, ...]] = {}
    cycle: list[tuple[int, ...]] = []
    coming: list[int] = []
    # Twice from the end, so that what comes up only in the next round is known.
    for place in reversed(turns * 2):
        coming = [place, *[other for other in coming if other != place]]
        order = (*coming, *idle)
        cycle.append(known.setdefault(order, order))
    return tuple(reversed(cycle[len(turns) :]))


def _turns(shares: Sequence[int]) -> list[int]:
    """Whose turn it is at each position: at none is anybody a whole turn ahead of its share, or behind it.

    The k-th turn of a target with share s of n must lie between floor((k-1) n / s) and ceil(k n / s); taking the one
    whose time runs out first meets all these bounds (Baruah, Cohen, Plaxton and Varvel, "Proportionate Progress").
    """
    length = sum(shares)
    taken = [0] * len(shares)
    turns = []
    for position in range(length):
        waiting = (
            (-(-(taken[place] + 1) * length // share), place)
            for place, share in enumerate(shares)
            if share and taken[place] * length // share <= position
        )
        turn = min(waiting)[1]
        taken[turn] += 1
        turns.append(turn)
    return turns


def _whole_numbers(weights: Sequence[float]) -> list[int]:
    """The weights as small whole numbers in the same proportion; equal ones where all are zero."""
    most = max(weights)
    if not most:
        return [1] * len(weights)
    fractions = [_share(weight, most) for weight in weights]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    shares = [int(fraction * scale) for fraction in fractions]
    total = sum(shares)
    if total > _LONGEST_CYCLE:
        shares = [max(1, round(share * _LONGEST_CYCLE / total)) if share else 0 for share in shares]
    return shares


def _share(weight: float, most: float) -> Fraction:
    if not weight:
        return Fraction(0)
    # Whoever has a weight gets a turn, however small it is.
    return max(Fraction(1, _LONGEST_CYCLE), Fraction(weight / most).limit_denominator(_LONGEST_CYCLE))

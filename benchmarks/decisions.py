"""What the decisions of reliability cost: each against `json.dumps` of a small body, and a counter behind a lock.

Every row is one decision as a policy makes it, with its state warmed up: a window full of calls, three targets, a
breaker that was never opened or is open for good. Microseconds of CPU, the median of the rounds; a ratio is the median
of the ratios within each round, whose rows are measured in turns, because neighbours on the machine disturb all of
them alike. What the loop and the call of a function cost is in all rows.

    python benchmarks/decisions.py [--rounds 15] [--calls 5000] [--strict]

With `--strict` a decision above its target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import random
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aistrale.core.call import Call, Clocks, Target
from aistrale.core.http import SyncHttp
from aistrale.core.runtime import SyncRuntime
from aistrale.dialects.base import Profile
from aistrale.policies.route import Route
from aistrale.policies.state import States
from aistrale.providers import get_provider
from aistrale.reliability.breaker import Breaker, BreakerSettings, Permit, Rejected
from aistrale.reliability.budget import RetryBudget, RetryBudgetSettings
from aistrale.reliability.gate import Gate
from aistrale.reliability.limits import LimitSettings
from aistrale.routing.health import TargetStats
from aistrale.routing.strategies import RouteRule, order
from aistrale.types import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aistrale.core.reply import Reply

DUMPS, LOCKED = "json.dumps of a small body", "a counter behind a lock"
BODY = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Reply with the word: ok"}], "stream": False}
NAMES = ("openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "groq/llama-3.3-70b-versatile")
NEVER = 1e9


@dataclass(frozen=True, slots=True)
class Row:
    """A decision.

    Args:
        action: Makes it once.
        target: Microseconds that it may take; None where none is set.
    """

    name: str
    action: Callable[[], object]
    target: float | None = None


class Counter:
    """The least that anything shared between threads costs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        """One more."""
        with self.lock:
            self.count += 1


def baselines() -> Iterator[Row]:
    """What the others are measured against."""
    yield Row(DUMPS, lambda: json.dumps(BODY))
    yield Row(LOCKED, Counter().add)


def breakers() -> Iterator[Row]:
    """The circuit breaker of a target that is well, and of one that is down."""
    now = time.monotonic()
    well, down = (Breaker(name, BreakerSettings(), random.Random(1)) for name in NAMES[:2])
    for _ in range(50):
        well.report(cast("Permit", well.admit(now)), "success", now)
    down.open_until(NEVER, now, "quota")
    assert isinstance(down.admit(now), Rejected)
    yield Row("breaker: check, closed", lambda: well.admit(now), 1.0)
    yield Row("breaker: check, open", lambda: down.admit(now), 1.0)
    yield Row("breaker: check and report", lambda: well.report(cast("Permit", well.admit(now)), "success", now))
    yield Row("breaker: state", lambda: well.state(now))


def fleet(now: float, *, ill: bool) -> dict[str, TargetStats]:
    """The statistics of three targets after five minutes of traffic, two of them with failures where `ill`."""
    stats = {name: TargetStats() for name in NAMES}
    for own in stats.values():
        warm(own, now)
    for name in NAMES[: 2 if ill else 0]:
        for _ in range(3):
            stats[name].ended(now, outcome="failure", latency=1.0)
    return stats


def warm(own: TargetStats, now: float) -> None:
    """Five minutes of answers."""
    rng = random.Random(2)
    for step in range(600):
        own.began(now - 300.0 + step / 2)
        own.ended(now - 300.0 + step / 2, outcome="success", latency=rng.lognormvariate(0.0, 0.7))


def routes() -> Iterator[Row]:
    """The order of three targets: each strategy, and the whole policy with the breakers of the targets."""
    now = time.monotonic()
    rng = random.Random(3)
    stats, ill = fleet(now, ill=False), fleet(now, ill=True)

    def row(strategy: str, name: str = "", own: dict[str, TargetStats] = stats) -> Row:
        weights = (5.0, 3.0, 2.0) if strategy == "weighted" else None
        cursor = itertools.count()
        find = own.__getitem__

        def action() -> list[str]:
            return order(strategy, NAMES, find, rng=rng, now=now, cursor=next(cursor), weights=weights)

        return Row(f"route: {name or strategy}", action, 5.0)

    for strategy in ("priority", "round_robin", "weighted", "least_in_flight", "latency", "health"):
        yield row(strategy)
    yield row("health", "health, two ill", ill)
    yield from policies()


def policies() -> Iterator[Row]:
    """The policy around the strategies; what it calls next is part of the pipeline and does nothing here."""
    states = States(
        breaker=BreakerSettings(),
        budget=RetryBudgetSettings(),
        limits={"default": LimitSettings()},
        rng=random.Random(4),
    )
    rules = {name: RouteRule(strategy=name) for name in ("priority", "latency", "health")}
    route = Route(rules, lambda target: states.of(target).stats, states.availability)
    runtime = SyncRuntime(SyncHttp())
    request = Request(model="gpt-5-mini", messages=[Message.user("hi")])
    targets = [target(name) for name in NAMES]
    for place in targets:
        warm(states.of(place).stats, time.monotonic())

    def nothing(_call: Call) -> Coroutine[object, object, Reply]:
        return cast("Coroutine[object, object, Reply]", None)

    def row(name: str, count: int, limit: float | None) -> Row:
        call = Call(request, targets[:count], runtime, clocks=Clocks(), route=name)
        return Row(
            f"route: policy, {name}, {count} target{'s' if count > 1 else ''}", lambda: route(call, nothing), limit
        )

    for name in rules:
        yield row(name, 3, 5.0)
    yield row("priority", 1, None)


def target(name: str) -> Target:
    """A target of that name."""
    provider, _, model = name.partition("/")
    return Target(
        name=name,
        provider=get_provider(provider),
        model=model,
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider=provider, model=model),
    )


def limiters() -> Iterator[Row]:
    """The gate of a target with a free place, without and with limits of requests and tokens."""
    now = itertools.count(int(time.monotonic()))
    for name, settings in (
        ("limiter", LimitSettings()),
        ("limiter with rpm and tpm", LimitSettings(rpm=1e6, tpm=1e9)),
    ):
        gate = Gate(NAMES[0], settings)

        def both(gate: Gate = gate) -> None:
            at = float(next(now))
            ticket = gate.admit(tokens_in=500, tokens_out=300, now=at)
            assert ticket is not None
            gate.leave(ticket, at, outcome="success", tokens_in=480, tokens_out=120)

        yield Row(f"{name}: in and out", both, 2.0)


def budgets() -> Iterator[Row]:
    """The retry budget of a provider: asked by every failover, fed by every success."""
    full, spent = RetryBudget(), RetryBudget()
    while spent.spend():
        pass

    def swing() -> None:
        spent.success()
        spent.failure()

    yield Row("retry budget: allows", full.allows)
    yield Row("retry budget: success, full", full.success)
    yield Row("retry budget: success and failure", swing)


def statistics_of_targets() -> Iterator[Row]:
    """What the strategies feed on, written by every attempt."""
    now = time.monotonic()
    own = fleet(now, ill=True)[NAMES[0]]

    def attempt() -> None:
        own.began(now)
        own.ended(now, outcome="success", latency=1.0)

    yield Row("statistics: attempt began and ended", attempt)
    yield Row("statistics: load", lambda: own.ewma(now))
    yield Row("statistics: score", lambda: own.points(now))


def microseconds(action: Callable[[], object], calls: int) -> float:
    """CPU time of one action, on average over a round."""
    start = time.process_time()
    for _ in range(calls):
        action()
    return (time.process_time() - start) / calls * 1e6


def measure(rows: list[Row], rounds: int, calls: int) -> dict[str, list[float]]:
    """The figures of each row, round by round; the first round only warms up."""
    figures: dict[str, list[float]] = {row.name: [] for row in rows}
    for turn in range(rounds + 1):
        start = turn % len(rows)
        for row in rows[start:] + rows[:start]:
            taken = microseconds(row.action, calls)
            if turn:
                figures[row.name].append(taken)
    return figures


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    groups = (baselines, breakers, routes, limiters, budgets, statistics_of_targets)
    rows = [row for group in groups for row in group()]
    gc.collect()
    gc.disable()
    figures = measure(rows, options.rounds, options.calls)
    print(f"Python {sys.version.split()[0]}; CPU of one decision in microseconds")
    print(f"{'':36}{'median':>8}{'best':>8}{'x dumps':>9}{'x lock':>8}   target")
    above = 0
    for row in rows:
        found = figures[row.name]
        dumps, lock = (
            statistics.median(own / base for own, base in zip(found, figures[name], strict=True))
            for name in (DUMPS, LOCKED)
        )
        median = statistics.median(found)
        missed = row.target is not None and median > row.target
        above += missed
        wanted = "" if row.target is None else f"under {row.target:g}{'   ABOVE' if missed else ''}"
        print(f"{row.name:36}{median:8.2f}{min(found):8.2f}{dumps:9.2f}{lock:8.1f}   {wanted}".rstrip())
    return 1 if above and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())

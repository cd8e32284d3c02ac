"""What budgets cost: setting money aside and settling it, and a call with a budget beside one without in the same run.

`store` is the counter alone (reserve and settle, one lock each), `attempt` everything that a budget adds to an attempt
(which counters, the bound of its price, reserve, settle), with one budget and with four. `call` is a blocking call over
loopback: rounds of both clients are interleaved, and the ratio is the median of the ratios within each round.
Microseconds of CPU of this process, the median of the rounds.

    python benchmarks/budgets.py [--rounds 9] [--calls 200] [--strict]

With `--strict` a figure above its target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from server import pin, serving

import aistrale
from aistrale.config.budgets import check_budgets
from aistrale.core.call import Context
from aistrale.cost.budgets.book import BudgetBook
from aistrale.cost.budgets.bound import Bounds, load
from aistrale.cost.budgets.quote import Quote
from aistrale.cost.prices import price_usage
from aistrale.engine import Engine
from aistrale.types import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Target

KEY = "sk-000000000000000000000000000000000000"
MODEL = "openai/gpt-5-mini"
PROMPT = "Summarise for a reader in a hurry what the following paragraph says. " * 14
ONE = [{"limit": "1000000", "period": "day"}]
FOUR = [
    *ONE,
    {"scope": "user:*", "limit": "1000000", "period": "month"},
    {"scope": "model:*", "limit": "1000000", "period": "week", "timezone": "Europe/Berlin"},
    {"scope": "project:p", "limit": "1000000", "period": "rolling:24h", "hard": False},
]
STORE_TARGET = 10.0
"""Microseconds for reserve and settle with one budget."""


def measured(work: Callable[[], object], count: int) -> float:
    """CPU of one piece of work, microseconds."""
    gc.collect()
    began = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - began) / count * 1e6


def attempt(budgets: list[dict[str, object]], target: Target) -> tuple[Callable[[], object], Callable[[], object]]:
    """Reserve and settle alone, and all that a budget adds to an attempt."""
    book = BudgetBook(check_budgets("budgets", budgets))
    store, bounds = book.store, Bounds(price_usage)
    context = Context(user="alice", project="p")
    request = Request(model=target.model, messages=[Message.user(PROMPT)], max_tokens=400)
    now = time.time()
    slots = book.counters("call", context, None, target, now)
    book.learn(slots)
    amounts, actual = [Decimal("0.001")] * len(slots), [Decimal("0.0004")] * len(slots)

    def alone() -> None:
        store.settle(store.reserve(slots, amounts, now), actual, now)

    def whole() -> None:
        found = book.counters("call", context, None, target, now)
        book.unknown(found)
        most = load(request, target)
        quote = Quote(found, request, most, bounds.rates(request, target, most.input))
        store.settle(store.reserve(found, quote.amounts(), now), actual, now)

    return alone, whole


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args(arguments)
    pin(1)
    with serving() as base:
        settings = {
            "providers": {"openai": {"api_key": KEY, "base_url": f"{base}/v1"}},
            "ledger": "off",
            "model": MODEL,
        }
        plain, limited = aistrale.Client(**settings), aistrale.Client(**settings, budgets=ONE)
        target = Engine(settings).target(MODEL)
        pieces = {
            name: work
            for budgets, count in ((ONE, "1"), (FOUR, "4"))
            for name, work in zip((f"store {count}", f"attempt {count}"), attempt(budgets, target), strict=True)
        }
        calls = {
            "call without": lambda: plain.run(PROMPT, max_tokens=400),
            "call with": lambda: limited.run(PROMPT, max_tokens=400),
        }
        figures: dict[str, list[float]] = {name: [] for name in (*pieces, *calls)}
        for work in (*pieces.values(), *calls.values()):
            measured(work, 50)
        for _ in range(options.rounds):
            for name, work in pieces.items():
                figures[name].append(measured(work, options.calls * 10))
            for name, work in calls.items():
                figures[name].append(measured(work, options.calls))
        plain.close()
        limited.close()
    for name, values in figures.items():
        print(f"{name:14} {statistics.median(values):8.2f} us")
    ratios = [with_ / without for with_, without in zip(figures["call with"], figures["call without"], strict=True)]
    print(f"{'ratio':14} {statistics.median(ratios):8.3f}")
    good = statistics.median(figures["store 1"]) < STORE_TARGET
    print(f"reserve and settle with one budget under {STORE_TARGET:g} us: {'yes' if good else 'no'}")
    return 0 if good or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())

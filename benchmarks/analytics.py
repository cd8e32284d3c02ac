"""How long questions about money take, over a ledger of a hundred thousand attempts, against a bare sum in SQLite.

    python benchmarks/analytics.py [--attempts 100000] [--rounds 3]

The ledger is made up in a temporary directory: thirty days, six models of three providers, forty users, a tag; a tenth
of the calls fail once, a quarter of the prompts are read from a cache, a few answers are scored. The baseline is
`SELECT sum(cost) FROM attempts` by the standard library's sqlite3 over the same file, which adds floats and knows
nothing else; every question is given as milliseconds (the median round), microseconds an attempt, and a ratio to it.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.cost.advice import advise as advice
from aistrale.cost.benchmark import benchmark
from aistrale.cost.book.price_book import price_book
from aistrale.cost.prices import price_usage
from aistrale.cost.report import costs
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import Cursor
from aistrale.store.records import AttemptRow, CallRow, IntentRow, ScoreRow
from aistrale.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.store.records import Row

DAYS = 30
DAY = 86_400.0
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MODELS = (
    "openai/gpt-5-mini", "openai/gpt-6-sol", "openai/gpt-6-luna", "anthropic/claude-haiku-4-5",
    "anthropic/claude-sonnet-5", "gemini/gemini-2.5-flash",
)  # fmt: skip
SEGMENT = "0badb007-4711-1790000000000000000-00c0ffee"
BASELINE = "SELECT sum(cost) FROM attempts"


def rows(attempts: int) -> Iterator[list[Row]]:
    """The rows of one call after the other, until there are so many attempts."""
    rng = random.Random(7)
    left, number, at = attempts, 0, NOW.timestamp() - DAYS * DAY
    while left > 0:
        number += 1
        # As they come in: the oldest first.
        at += rng.expovariate(attempts / (DAYS * DAY))
        tries = min(left, 2 if rng.random() < 0.1 else 1)
        left -= tries
        yield list(_call(rng, number, at, tries))


def _call(rng: random.Random, number: int, at: float, tries: int) -> Iterator[Row]:
    call_id = str(uuid.UUID(int=int(at * 1000) << 80 | 7 << 76 | 2 << 62 | rng.getrandbits(60)))
    provider, _, model = rng.choice(MODELS).partition("/")
    system = rng.choice((300, 1500, 4000))
    tokens, output = system + rng.randrange(20, 3000), int(rng.lognormvariate(5.2, 0.8)) + 1
    cached = system if rng.random() < 0.25 else 0
    usage = Usage(input=tokens - cached, cache_read=cached, output=output)
    cost = price_usage(provider, model, usage, at=at)
    for attempt in range(1, tries + 1):
        failed = attempt < tries
        yield IntentRow(
            call_id=call_id, attempt=attempt, at=at + attempt, provider=provider, model=model,
            target=f"{provider}/{model}", streamed=False, estimated_input_tokens=tokens, max_output_tokens=2000,
            messages=rng.randrange(2, 20), prefix=f"{system:016x}", prefix_tokens=system, last_tokens=100,
        )  # fmt: skip
        row = AttemptRow(
            call_id=call_id, attempt=attempt, at=at + attempt, latency=rng.lognormvariate(0.8, 0.5), provider=provider,
            model=model, target=f"{provider}/{model}", streamed=False, outcome="error" if failed else "success",
            error="ServerError" if failed else None, status=500 if failed else 200,
            cost="0" if failed else str(cost.usd),
        )  # fmt: skip
        if not failed:
            row.input, row.cache_read, row.output = usage.input, usage.cache_read, usage.output
            row.usage_source, row.book = "reported", cost.book
        yield row
    yield CallRow(
        call_id=call_id, at=at, latency=3.0, kind="chat", model_asked="chat", outcome="success", attempts=tries,
        route=rng.choice(("chat", "search", "mail")), provider=provider, model=model, user=f"user-{number % 40}",
        project=rng.choice(("shop", "help", None)), session=f"session-{number // 5}",
        tags={"team": rng.choice(("search", "mail", "sales"))}, input=tokens - cached, output=output,
        cost=str(cost.usd),
    )  # fmt: skip
    if rng.random() < 0.1:
        yield ScoreRow(call_id=call_id, name="quality", at=at + 60, score=rng.random())


def fill(ledger: SQLiteLedger, attempts: int) -> None:
    """Write them, as a shipper would."""
    batch: list[Row] = []
    for written in rows(attempts):
        batch += written
        if len(batch) >= 5000:
            ledger.write_batch(batch, Cursor(SEGMENT, 0))
            batch = []
    ledger.write_batch(batch, Cursor(SEGMENT, 0))


def questions(ledger: SQLiteLedger) -> dict[str, Callable[[], object]]:
    """What is asked."""
    since = NOW - timedelta(days=DAYS + 1)
    one = {"day": f"{NOW - timedelta(days=3):%Y-%m-%d}"}
    book = price_book()
    return {
        "spend, total": ledger.spend,
        "spend by model": lambda: ledger.spend(["model"]),
        "spend by day and model": lambda: ledger.spend(["day", "model"]),
        "spend by day, user and tag": lambda: ledger.spend(["day", "user", "tag:team"]),
        "spend of one day by model": lambda: ledger.spend(["model"], where=one),
        "exchanges, all": lambda: sum(1 for _ in ledger.exchanges()),
        "exchanges, the last 500 of a model": lambda: sum(
            1 for _ in ledger.exchanges(since=since, where={"model": MODELS[0]}, limit=500)
        ),
        "costs, without savings": lambda: costs(ledger, savings=False),
        "costs, with savings": lambda: costs(ledger),
        "models' benchmark": lambda: benchmark(ledger),
        "advise": lambda: advice.advise(ledger.exchanges(since=since), book, now=NOW, days=DAYS),
    }


def milliseconds(action: Callable[[], object], rounds: int) -> float:
    """Of the median round."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite3"
        ledger = SQLiteLedger(path)
        fill(ledger, options.attempts)
        plain = sqlite3.connect(path)
        base = milliseconds(lambda: plain.execute(BASELINE).fetchall(), options.rounds)
        print(f"{f'{options.attempts:,} attempts':36}{'ms':>9}{'us each':>9}{'ratio':>9}")
        for name, action in {BASELINE: None, **questions(ledger)}.items():
            taken = base if action is None else milliseconds(action, options.rounds)
            print(f"{name:36}{taken:9.1f}{taken * 1000 / options.attempts:9.2f}{taken / base:9.1f}")
        plain.close()
        ledger.close()


if __name__ == "__main__":
    main()

"""What it costs to watch spend: a day judged, a year judged, burn rates, and the attribution of an excess.

Milliseconds of CPU, the median and the best of the rounds, beside the named baseline: a z-score of the last day against
the 28 days before it, with numpy.

    python benchmarks/anomaly.py [--rounds 9] [--strict]

With `--strict` a figure above its target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from aistrale.cost.anomalies.anomaly import Detector, detect
from aistrale.cost.anomalies.attribution import Spend, attribute, explain
from aistrale.cost.anomalies.burn_rate import burn
from aistrale.cost.anomalies.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Row:
    """Something measured.

    Args:
        action: Does it once.
        repeat: How often in a round.
        target: Milliseconds that it may take; None where none is set.
    """

    name: str
    action: Callable[[], object]
    repeat: int
    target: float | None = None


def days(count: int) -> list[float]:
    """Daily spend of an office."""
    dice = random.Random(1)
    return [(30.0 if day % 7 > 4 else 100.0) * math.exp(dice.gauss(0.0, 0.1)) for day in range(count)]


def spends(dice: random.Random, users: int) -> dict[tuple[str | None, ...], Spend]:
    """The spend of each combination of model, route and user."""
    keys = itertools.product((f"model-{place}" for place in range(5)), ("chat", "batch"), range(users))
    return {
        (model, route, f"user-{user}"): Spend(
            Decimal(dice.randrange(10**6)) / 10**4, dice.randrange(1, 500), dice.randrange(1, 10**6)
        )
        for model, route, user in keys
    }


def rows() -> list[Row]:
    """What is measured."""
    year, past = days(365), np.array(days(28))
    detector, tail = Detector(), Tail()
    for value in year:
        detector.update(value)
        tail.update(value)
    weeks = [value / 288 for value in days(21) for _ in range(288)]
    dice = random.Random(2)
    before, during = spends(dice, 50), spends(dice, 50)
    one_before = {str(key): spend for key, spend in itertools.islice(before.items(), 50)}
    one_during = {str(key): spend for key, spend in itertools.islice(during.items(), 50)}
    return [
        Row("z-score 28 days (baseline)", lambda: abs(80.0 - past.mean()) / past.std(ddof=1), 500),
        Row("Detector.update: one new day", lambda: detector.update(80.0), 500, 1.0),
        Row("Tail.update: one sample", lambda: tail.update(80.0), 500, 1.0),
        Row("detect: a year", lambda: detect(year), 5, 100.0),
        Row("burn: three weeks of 5 minutes", lambda: burn(weeks, 300, budget=120.0), 1, 1000.0),
        Row("attribute: 50 values", lambda: attribute(one_before, one_during), 10, 10.0),
        Row(
            "explain: 500 combinations of three", lambda: explain(("model", "route", "user"), before, during), 2, 100.0
        ),
    ]


def milliseconds(row: Row) -> float:
    """CPU time of one action, on average over a round."""
    start = time.process_time()
    for _ in range(row.repeat):
        row.action()
    return (time.process_time() - start) / row.repeat * 1e3


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    measured = rows()
    for row in measured:
        milliseconds(row)  # warms up
    figures = {row.name: [milliseconds(row) for _ in range(options.rounds)] for row in measured}
    print(f"Python {sys.version.split()[0]}; CPU in milliseconds")
    print(f"{'':36}{'median':>10}{'best':>10}   target")
    above = 0
    for row in measured:
        median = statistics.median(figures[row.name])
        missed = row.target is not None and median > row.target
        above += missed
        wanted = "" if row.target is None else f"under {row.target:g}{'   ABOVE' if missed else ''}"
        print(f"{row.name:36}{median:10.4f}{min(figures[row.name]):10.4f}   {wanted}".rstrip())
    return 1 if above and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())

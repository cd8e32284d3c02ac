"""What a forecast of 90 days with intervals costs, against the seasonal naive one and against one origin at a time.

The history is two years of invented spend: weekdays, growth, noise. "One origin at a time" makes the forecasts behind
the intervals in a loop; `forecasts/conformal.py` makes them all in one pass. Milliseconds of the wall, the median.

    python benchmarks/forecast.py [--rounds 30] [--strict]

With `--strict` a forecast above 50 ms makes the exit status 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from aistrale.cost.forecasts.conformal import calibrate
from aistrale.cost.forecasts.forecast import forecast
from aistrale.cost.forecasts.models import point, windows

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 50.0
DAYS, HORIZON, SHORT = 730, 90, 28


def spend() -> list[float]:
    """Two years of invented spend."""
    random = np.random.default_rng(7)
    day = np.arange(DAYS)
    weekdays = np.array([1, 1.05, 1.05, 1, 0.95, 0.4, 0.35])[day % 7]
    made: list[float] = (20 * weekdays * np.exp(0.001 * day + random.normal(0, 0.15, DAYS))).tolist()
    return made


def milliseconds(action: Callable[[], object], rounds: int) -> list[float]:
    """Time an action that was run once before."""
    action()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    values = spend()
    array = np.array(values)
    origins = calibrate(array, HORIZON).origins
    ages = [0, *range(7, DAYS, 7)][: origins + 1]

    def loop() -> None:
        for age in ages:
            point(windows(array, [age]), HORIZON)

    rows: dict[str, Callable[[], object]] = {
        f"forecast, {HORIZON} days with intervals": lambda: forecast(values, HORIZON),
        f"forecast, {SHORT} days with intervals": lambda: forecast(values, SHORT),
        f"{origins + 1} origins in one pass": lambda: point(windows(array, ages), HORIZON),
        f"{origins + 1} origins, one at a time": loop,
        "seasonal naive, no intervals": lambda: np.resize(array[-7:], HORIZON),
    }
    found = {name: milliseconds(action, arguments.rounds) for name, action in rows.items()}
    print(f"{'':40}  median     max   ms")
    for name, taken in found.items():
        print(f"{name:<40}{statistics.median(taken):8.3f}{max(taken):8.3f}")
    slowest = statistics.median(next(iter(found.values())))
    return int(arguments.strict and slowest > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

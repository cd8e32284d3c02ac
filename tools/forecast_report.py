"""Backtest of the forecast on public daily series beside the seasonal naive forecast, and AutoTheta where installed.

Rolling origins: the last days of each series, three origins one horizon apart, at most 730 days of history before each
(98 at least). MASE is scaled by the weekly naive error in that history; "total" is the relative error of the sum, the
number that a budget cares about; coverage is of single days and of the total; MSIS is the mean scaled interval score
of the days' 95 % interval (M4). The two halves of the series (every second id, sorted) are shown as well: what holds on
one only was fitted to it. Neither is held out, since the rules were chosen with both in sight; `--origins` and `--skip`
take other days of the same series, and any file of the same form has others.

    python tools/forecast_report.py ../shared/series/daily.json.gz [--horizons 28 90] [--strict]
    python tools/forecast_report.py ../shared/series/daily.json.gz --skip 3 --origins 12
    python tools/forecast_report.py ../shared/series/weekly.json.gz --season 1 --horizons 13 --least 80 --cap 10000

With `--strict` a figure of all series outside the bars of the forecast makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aistrale.cost.forecasts.forecast import forecast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BARS = {28: (1.17, 0.085), 90: (1.62, 0.115)}
"""By horizon: MASE, and the median error of the total."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is known at an origin and what came.

    Args:
        id: Of the series.
        known: The history.
        actual: The days after it.
        scale: The weekly naive error within the history.
    """

    id: str
    known: Floats
    actual: Floats
    scale: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A forecast of a window.

    Args:
        path: Each day.
        days: Bounds of each day, by level, where the method has them.
        total: Bounds of the sum, by level.
    """

    path: Floats
    days: dict[float, tuple[Floats, Floats]]
    total: dict[float, tuple[float, float]]


def windows(path: Path, horizon: int, season: int, *, least: int, cap: int, origins: range) -> Iterator[Window]:
    """Yield the windows of all series, by how many horizons each origin lies before the last one possible."""
    for series in json.loads(gzip.decompress(path.read_bytes())):
        values = np.array(series["values"], dtype=float)
        for origin in origins:
            end = len(values) - horizon * (origin + 1)
            if end < least:
                break
            known = values[max(end - cap, 0) : end]
            scale = float(np.abs(known[season:] - known[:-season]).mean())
            if scale > 0:
                yield Window(series["id"], known, values[end : end + horizon], scale)


def ours(window: Window) -> Answer:
    """Forecast with `aistrale.cost.forecasts.forecast`."""
    made = forecast(window.known.tolist(), len(window.actual))
    days = {
        level: (
            np.array([day.intervals[index].low for day in made.days]),
            np.array([day.intervals[index].high for day in made.days]),
        )
        for index, level in enumerate((0.8, 0.95))
    }
    total = {each.level: (each.low, each.high) for each in made.total.intervals}
    return Answer(np.array([day.p50 for day in made.days]), days, total)


def naive(season: int) -> Callable[[Window], Answer]:
    """The last season again and again, with the textbook interval of a seasonal random walk."""

    def answer(window: Window) -> Answer:
        steps = len(window.actual)
        path = np.resize(window.known[-season:], steps)
        spread = (window.known[season:] - window.known[:-season]).std() * np.sqrt(1 + np.arange(steps) // season)
        days = {level: (path - z * spread, path + z * spread) for level, z in ((0.8, 1.2816), (0.95, 1.96))}
        return Answer(path, days, {})

    return answer


def auto_theta(season: int) -> Callable[[Window], Answer] | None:
    """AutoTheta of statsforecast, or None where that is not installed."""
    try:
        from statsforecast.models import AutoTheta  # type: ignore[import-not-found]
    except ImportError:
        return None

    def answer(window: Window) -> Answer:
        made = AutoTheta(season_length=season).forecast(window.known, len(window.actual), level=[80, 95])
        days = {level / 100: (made[f"lo-{level}"], made[f"hi-{level}"]) for level in (80, 95)}
        return Answer(made["mean"], days, {})

    return answer


def scores(window: Window, answer: Answer) -> dict[str, float]:
    """Every measure of one window; those that the method does not give are missing."""
    path, actual = np.maximum(answer.path, 0), window.actual
    error = np.abs(path - actual)
    found = {
        "MASE": error.mean() / window.scale,
        "sMAPE": float((200 * error / np.maximum(np.abs(path) + np.abs(actual), 1e-9)).mean()),
        "total": abs(path.sum() - actual.sum()) / abs(actual.sum()),
    }
    for level, (low, high) in answer.days.items():
        found[f"day{level:.0%}"] = float(((low <= actual) & (actual <= high)).mean())
    for level, (least, most) in answer.total.items():
        found[f"sum{level:.0%}"] = float(least <= actual.sum() <= most)
    if 0.95 in answer.days:
        low, high = answer.days[0.95]
        width = high - low + 40 * np.maximum(low - actual, 0) + 40 * np.maximum(actual - high, 0)
        found["MSIS"] = width.mean() / window.scale
    return found


def line(name: str, rows: list[dict[str, float]], took: list[float]) -> dict[str, float]:
    """Print one row of the table and return its figures."""

    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows])) if key in rows[0] else float("nan")

    figures = {key: mean(key) for key in ("MASE", "sMAPE", "day80%", "day95%", "sum80%", "sum95%", "MSIS")}
    figures["median"] = float(np.median([row["MASE"] for row in rows]))
    figures["total"] = float(np.median([row["total"] for row in rows]))
    print(
        f"  {name:<28}{len(rows):5}{figures['MASE']:8.3f}{figures['median']:8.3f}{figures['sMAPE']:7.1f}"
        f"{figures['total']:8.1%}{mean('total'):7.1%}   {figures['day80%']:.3f}/{figures['day95%']:.3f}"
        f"   {figures['sum80%']:.3f}/{figures['sum95%']:.3f}{figures['MSIS']:8.1f}"
        f"{np.median(took) * 1e3:8.1f}{max(took) * 1e3:7.1f}"
    )
    return figures


def report(cases: list[Window], horizon: int, season: int) -> bool:
    """Print the table of one horizon; whether the bars are met."""
    print(f"\n{horizon} steps ahead, {len(cases)} windows of {len({case.id for case in cases})} series")
    print(f"  {'':28}    n    MASE  median  sMAPE   total   mean   cover 80/95     of the sum     MSIS      ms    max")
    first = set(sorted({case.id for case in cases})[::2])
    methods = {f"SeasonalNaive({season})": naive(season), "AutoTheta": auto_theta(season), "aistrale": ours}
    figures: dict[str, float] = {}
    for name, method in methods.items():
        if method is None:
            continue
        rows, took = [], []
        for case in cases:
            began = time.perf_counter()
            answer = method(case)
            took.append(time.perf_counter() - began)
            rows.append(scores(case, answer))
        figures = line(name, rows, took)
        if method is ours:
            for half, chosen in (("one half of the series", True), ("the other half", False)):
                kept = [index for index, case in enumerate(cases) if (case.id in first) is chosen]
                line(f"  {half}", [rows[index] for index in kept], [took[index] for index in kept])
    mase, total = BARS.get(horizon, (float("inf"), float("inf")))
    near = abs(figures["sum80%"] - 0.8) <= 0.03 and abs(figures["sum95%"] - 0.95) <= 0.03
    return figures["MASE"] <= mase and figures["total"] <= total and near


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path)
    parser.add_argument("--horizons", type=int, nargs="+", default=[28, 90])
    parser.add_argument("--season", type=int, default=7)
    parser.add_argument("--least", type=int, default=98, help="steps of history that an origin must have")
    parser.add_argument("--cap", type=int, default=730, help="steps of history that are used at most")
    parser.add_argument("--origins", type=int, default=3, help="how many of each series")
    parser.add_argument("--skip", type=int, default=0, help="how many of the last ones to leave out")
    parser.add_argument("--strict", action="store_true")
    given = parser.parse_args()
    origins = range(given.skip, given.skip + given.origins)
    met = []
    for horizon in given.horizons:
        found = windows(given.series, horizon, given.season, least=given.least, cap=given.cap, origins=origins)
        cases = list(found)
        met.append(report(cases, horizon, given.season))
    return int(given.strict and not all(met))


if __name__ == "__main__":
    sys.exit(main())

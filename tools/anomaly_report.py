"""Print how well anomalies are found: on labelled daily series, on the Numenta subset, and in simulated traffic.

    python tools/anomaly_report.py [daily] [anew] [nab] [burn]

Daily series are scored as their labels ask for: an event counts as found when one of its days scores above the
threshold; each quiet day above it is a false alarm, real holidays and bursts of the series included, so that 1.0 is out
of reach. The baseline is a z-score against the last 28 days. `anew` puts other events of the same kinds at other
places into the same series, which the constants have not seen.

The labelled series stand beside the repository, in ../shared/anomaly; where they are not, only `burn` has something to
say.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nab_score import PROFILES, labels, score

from aistrale.cost.anomalies.anomaly import Detector, detect
from aistrale.cost.anomalies.burn_rate import burn
from aistrale.cost.anomalies.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Values = Sequence[float]
    Scorer = Callable[[Values], NDArray[np.float64]]
    Series = dict[str, Any]

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "anomaly"
PROBATION = 70  # days; the labels begin there
KINDS = {"x1.5": (1.5, 1), "x2": (2.0, 1), "x3": (3.0, 1), "drop0.3": (0.3, 1), "shift1.6": (1.6, 14)}
BAR = (0.70, 0.67)  # F1, recall at one false alarm in a hundred days


def read(name: str) -> list[Series]:
    """A file of labelled series; empty where it is not there."""
    path = SHARED / name
    if not path.exists():
        print(f"no labelled series at {path.resolve()}")
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return list(json.load(lines))


def z_score(values: Values) -> NDArray[np.float64]:
    """The baseline: distance from the mean of the last 28 days, in their standard deviations."""
    days, found = np.asarray(values, dtype=float), np.zeros(len(values))
    for day in range(14, len(days)):
        past = days[max(0, day - 28) : day]
        found[day] = abs(days[day] - past.mean()) / (past.std(ddof=1) + 1e-9 * abs(past.mean()) + 1e-12)
    return found


def running(values: Values) -> NDArray[np.float64]:
    """An exponentially weighted z-score, decay 0.9 over 60 days."""
    days, found = np.asarray(values, dtype=float), np.zeros(len(values))
    for day in range(14, len(days)):
        past = days[max(0, day - 60) : day]
        weights = 0.9 ** np.arange(len(past) - 1, -1, -1)
        mean = float(np.average(past, weights=weights))
        found[day] = abs(days[day] - mean) / (np.average((past - mean) ** 2, weights=weights) ** 0.5 + 1e-12)
    return found


def ours(values: Values) -> NDArray[np.float64]:
    """The score of the detector."""
    return np.array([reading.score for reading in map(Detector(min_usd=0.0).update, values)])


def split(series: Series, found: NDArray[np.float64]) -> tuple[list[tuple[str, float]], NDArray[np.float64]]:
    """The highest score of each event, and the scores of the quiet days."""
    quiet = np.arange(len(found)) >= PROBATION
    quiet[series["ignore"]] = False
    events = []
    for first, last, kind in series["labels"]:
        events.append((kind, float(found[first : last + 1].max())))
        quiet[first : last + 1] = False
    return events, found[quiet]


class Pool:
    """The events and quiet days of several series."""

    def __init__(self, all_series: Iterable[Series], scorer: Scorer) -> None:
        parts = [split(series, scorer(series["values"])) for series in all_series]
        self.kinds = np.array([kind for events, _ in parts for kind, _ in events])
        self.events = np.array([one for events, _ in parts for _, one in events])
        self.quiet = np.concatenate([quiet for _, quiet in parts])

    def f1(self, threshold: float) -> float:
        """Of both kinds of error at a threshold."""
        hits, alarms = (self.events >= threshold).sum(), (self.quiet >= threshold).sum()
        return float(2.0 * hits / (hits + alarms + len(self.events)))

    def best(self) -> float:
        """The threshold of the best F1."""
        tried = np.unique(self.events[self.events > 0.0])
        return float(max(tried, key=self.f1))

    def recall(self, rate: float = 0.01, kind: str | None = None) -> float:
        """Part of the events found at a rate of false alarms."""
        threshold = np.quantile(self.quiet, 1.0 - rate)
        events = self.events if kind is None else self.events[self.kinds == kind]
        return float((events > threshold).mean())


def table(name: str, pool: Pool) -> None:
    """One line."""
    kinds = " ".join(f"{pool.recall(kind=kind):9.2f}" for kind in KINDS)
    print(f"{name:34}{pool.f1(pool.best()):6.3f}{pool.best():8.2f}{pool.recall():9.3f} {kinds}")


def header(title: str) -> None:
    """The head of a table of daily detectors."""
    print(f"\n{title}\n{'':34}{'F1':>6}{'at':>8}{'rec@1%':>9} {' '.join(f'{kind:>9}' for kind in KINDS)}")


def alerts(all_series: Sequence[Series]) -> str:
    """What `detect` gives as it comes: one alert for each episode, guards and default threshold."""
    hits = alarms = events = days = 0
    for series in all_series:
        found = np.zeros(len(series["values"]))
        found[[anomaly.index for anomaly in detect(series["values"])]] = 1.0
        own, quiet = split(series, found)
        hits, events = hits + sum(one > 0.0 for _, one in own), events + len(own)
        alarms, days = alarms + int(quiet.sum()), days + len(quiet)
    f1 = 2 * hits / (hits + alarms + events)
    return f"F1 {f1:.3f}, recall {hits / events:.3f}, false alarms on {alarms / days:.2%} of {days} days"


def daily() -> bool:
    """The labelled daily series; True where the bars are met."""
    all_series = read("injected_daily.json.gz")
    if not all_series:
        return True
    header(f"Daily: {len(all_series)} series, {sum(len(series['labels']) for series in all_series)} events")
    table("z-score 28 days (baseline)", Pool(all_series, z_score))
    table("exponential z-score, 60 days", Pool(all_series, running))
    pool = Pool(all_series, ours)
    table("aistrale", pool)
    halves = [Pool(all_series[place::2], ours) for place in (0, 1)]
    for name, own, other in (("even", halves[0], halves[1]), ("odd", halves[1], halves[0])):
        table(f"aistrale, {name} series", own)
        print(f"{'':6}at the other half's threshold F1 {own.f1(other.best()):.3f}")
    print(f"alerts of detect(): {alerts(all_series)}")
    return pool.f1(pool.best()) >= BAR[0] and pool.recall() >= BAR[1]


def inject(series: Series, dice: np.random.Generator) -> Series:
    """Other events of the same kinds at other places, 14 to 28 days apart."""
    values = np.array(series["clean"], dtype=float)
    marks: list[tuple[int, int, str]] = []
    ignore: list[int] = []
    day = PROBATION + int(dice.integers(0, 14))
    while day < len(values) - 14:
        kind = str(dice.choice(list(KINDS)))
        factor, length = KINDS[kind]
        values[day : day + length] *= factor
        last = day + min(length, 3) - 1
        marks.append((day, last, kind))
        if length > 1:
            ignore.extend(range(last + 1, min(day + length + 8, len(values))))
        day += length + int(dice.integers(13, 28))
    return {"values": values.tolist(), "labels": marks, "ignore": ignore}


def anew() -> bool:
    """The same series with other events."""
    all_series = read("injected_daily.json.gz")
    if not all_series:
        return True
    header("Daily: the same series, other events")
    for seed in range(3):
        dice = np.random.default_rng(seed)
        fresh = [inject(series, dice) for series in all_series]
        table(f"z-score 28 days, seed {seed}", Pool(fresh, z_score))
        table(f"aistrale, seed {seed}", Pool(fresh, ours))
    return True


def nab() -> bool:
    """The subset of the Numenta Anomaly Benchmark."""
    files = read("nab_subset.json.gz")
    if not files:
        return True
    known = [labels(file) for file in files]
    print(f"\nNumenta subset: {len(files)} files\n{'':34}{''.join(f'{name:>22}' for name in PROFILES)}")

    def rolling(values: Values, window: int = 1000) -> NDArray[np.float64]:
        data = np.asarray(values, dtype=float)
        sums, squares = (np.concatenate([[0.0], np.cumsum((data - data[0]) ** power)]) for power in (1, 2))
        place = np.arange(len(data))
        first = np.maximum(0, place - window)
        count = np.maximum(place - first, 1)
        mean = (sums[place] - sums[first]) / count
        spread = np.sqrt(np.maximum((squares[place] - squares[first]) / count - mean**2, 0.0))
        far = np.abs(data - data[0] - mean) / np.maximum(spread, 1e-9 + 1e-6 * np.abs(mean))
        far[:50] = 0.0
        return np.asarray(far)

    def tail(values: Values, fade: float = 0.995) -> NDArray[np.float64]:
        return np.fromiter(map(Tail(fade=fade).update, values), float)

    rows: dict[str, Scorer] = {
        "rolling z-score 1000 (baseline)": rolling,
        "aistrale Tail, every sample": lambda values: tail(values, 0.0),
        "aistrale Tail": tail,
    }
    found = {name: score([scorer(file["values"]) for file in files], known) for name, scorer in rows.items()}
    for name, row in found.items():
        print(f"{name:34}{''.join(f'{row[profile]:22.1f}' for profile in PROFILES)}")
    return found["aistrale Tail"]["standard"] >= 38.0


def traffic(dice: np.random.Generator, weeks: int, calls: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dollars of each five minutes of an office, and what is usual then: lognormal calls at random times."""
    steps = np.arange(weeks * 2016)
    hour, weekday = steps / 12 % 24, (steps // 288 + int(dice.integers(0, 7))) % 7
    rate = calls * (0.15 + 0.85 * np.exp(-(((hour - 14) / 4.5) ** 2))) * np.where(weekday > 4, 0.3, 1.0)
    demand = np.zeros(len(steps))  # wanders by a quarter over hours
    for step in range(1, len(steps)):
        demand[step] = 0.98 * demand[step - 1] + dice.normal(0.0, 0.05)
    counts = dice.poisson(rate * np.exp(demand))
    spent = np.array([dice.lognormal(np.log(0.02) - 0.5, 1.0, count).sum() for count in counts])
    return spent, 0.02 * rate * np.exp(demand)


def bursts() -> bool:
    """Runaway loops and quiet weeks in simulated traffic."""
    print("\nBurn: 5-minute spend, one week learned, two judged; a loop of ten times what is usual, by day")
    columns = ("quiet weeks", "alarms", "loops", "in 10 min", "in 15 min")
    print(f"{'calls in 5 minutes at the peak':34}{''.join(f'{column:>13}' for column in columns)}")
    for calls in (200.0, 50.0, 20.0, 5.0):
        alarms, delays = 0, []
        for seed in range(30):
            dice = np.random.default_rng(seed)
            spent, usual = traffic(dice, 3, calls)
            alarms += len(burn(spent.tolist(), 300))
            begin = 2016 + 288 * int(dice.integers(0, 13)) + 12 * int(dice.integers(8, 19))
            spent[begin : begin + 6] += 9.0 * usual[begin : begin + 6]
            found = [one.index - begin for one in burn(spent[: begin + 6].tolist(), 300) if one.index >= begin]
            delays.append(5 * (found[0] + 1) if found else 999)
        row = (60, alarms, len(delays), sum(one <= 10 for one in delays), sum(one <= 15 for one in delays))
        print(f"{calls:34.0f}{''.join(f'{figure:13}' for figure in row)}")
    return True


def main() -> int:
    """Print the tables; 1 where a bar is missed."""
    parts = {"daily": daily, "anew": anew, "nab": nab, "burn": bursts}
    asked = sys.argv[1:] or list(parts)
    if unknown := set(asked) - set(parts):
        print(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(parts)}")
        return 2
    met = [parts[name]() for name in asked]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Days whose spend is out of the ordinary: spikes, drops and shifts of level, one alert for each episode.

Every day is judged by the days before it alone (`anomalies/level.py` says how), so that a stream of days and a whole
history give the same answers. An alert needs three things: a score beyond the threshold, a change of so many
dollars, and a change of so many percent. An episode that goes on does not alert again; one that turns round or grows by
half does.

    for anomaly in detect(daily_spend, start=date(2026, 9, 1)):
        print(anomaly.reason)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from aistrale.cost.anomalies.level import Week
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aistrale.cost.anomalies.level import Outlook
    from aistrale.types import JSONObject

__all__ = ["Anomaly", "Detector", "Kind", "Reading", "detect", "mask", "why_silent"]

Kind: TypeAlias = Literal["spike", "drop", "shift"]

THRESHOLD = 2.9
"""Standard deviations; about one false alarm in a hundred days on real series full of holidays and bursts."""

MIN_USD = 0.10
"""Dollars a day; below, nobody acts."""

MIN_CHANGE = 0.25
"""Part of the expected spend."""

HISTORY = 14
"""Days of history before the first judgement: each weekday was seen twice."""

CALM = 2  # days below half the threshold end an episode
GROWN = 1.5  # so many times its highest score so far, and an episode alerts again
HELD = 3  # days at a new level make a shift of what began as a spike or a drop
MOST = 1e6  # largest change that is remembered: from nothing, everything is infinitely more
VERSION = 1  # of the stored state
LARGEST = 1e12  # dollars a day; more is a mistake of units, and squares of it lose their precision


@dataclass(slots=True, frozen=True)
class Reading:
    """What the detector says about one day.

    Args:
        index: Which day, from 0.
        actual: US dollars spent.
        expected: US dollars expected, from the days before; None where there is too little history.
        low: The lowest spend that is not an anomaly, in US dollars; None as above.
        high: The highest one.
        score: Distance from what was expected in standard deviations, at least 0; 0 where there is too little history.
        alert: An episode begins on this day, or turns round, or grows by half.
        kind: Of the episode that the day belongs to; None on an ordinary day.
        began: Index of the first day of that episode.
        silent: Why nothing can be said about the day, one sentence; None where something can.
    """

    index: int
    actual: float
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    score: float = 0.0
    alert: bool = False
    kind: Kind | None = None
    began: int | None = None
    silent: str | None = None


@dataclass(slots=True, frozen=True)
class Anomaly:
    """An episode of unusual spend.

    Args:
        index: The day of the alert, as a position in the values.
        day: Its date; None where the values had no `start`.
        actual: US dollars spent on that day.
        expected: US dollars expected on it.
        low: The lowest spend of that day that would not have alerted, in US dollars.
        high: The highest one.
        score: Standard deviations between expected and actual, at least 0.
        kind: `"spike"`, `"drop"`, or `"shift"`: the new level held for three days.
        begin: Index of the first day of the episode.
        end: Index of its last day; of a shift, the day on which it was known to be one.
        reason: What happened, one plain sentence.
    """

    index: int
    day: date | None
    actual: float
    expected: float
    low: float
    high: float
    score: float
    kind: Kind
    begin: int
    end: int
    reason: str

    @property
    def excess(self) -> float:
        """US dollars above what was expected on the day of the alert; negative for a drop."""
        return self.actual - self.expected


@dataclass(slots=True)
class _Episode:
    began: int
    upward: bool
    peak: float
    kind: Kind
    level: float  # of the square roots, before it began
    change: float  # actual over expected, less 1, on its first day
    last: int  # latest day that was still unusual
    calm: int = 0
    held: int = 1


class Detector:
    """Judges one day after the other.

    Args:
        threshold: Score beyond which a day is unusual, in standard deviations.
        min_usd: Least difference from what was expected that is worth an alert, in US dollars.
        min_change: Least difference as a part of what was expected: 0.25 is 25 %.

    Raises:
        ConfigurationError: The threshold is not above 0, or a guard is below 0.
    """

    __slots__ = ("_count", "_episode", "_week", "min_change", "min_usd", "threshold")

    def __init__(
        self, *, threshold: float = THRESHOLD, min_usd: float = MIN_USD, min_change: float = MIN_CHANGE
    ) -> None:
        if not 0.0 < threshold < math.inf:
            raise ConfigurationError("threshold must be a number above 0: standard deviations.", field="threshold")
        for name, value in (("min_usd", min_usd), ("min_change", min_change)):
            if not 0.0 <= value < math.inf:
                raise ConfigurationError(f"{name} must be a number of at least 0.", field=name)
        self.threshold, self.min_usd, self.min_change = float(threshold), float(min_usd), float(min_change)
        self._week = Week()
        self._episode: _Episode | None = None
        self._count = 0  # days before the first spend included, which teach nothing

    def update(self, value: float) -> Reading:
        """Judge the next day by the days before it, then learn from it.

        Args:
            value: US dollars spent on it.

        Returns:
            The reading of the day.

        Raises:
            ConfigurationError: The value is not a number from 0 to a million millions. The state is as before.
        """
        value = float(value)
        if not 0.0 <= value <= LARGEST:
            raise ConfigurationError(
                f"The spend of day {self._count} is {value}: it must be a number from 0 to {LARGEST:.0e} US dollars.",
                field="values",
                hint="Give 0 for days without spend; leave days that are not known out, at the beginning only.",
            )
        index = self._count
        self._count += 1
        week = self._week
        if not week.days and not value:
            return Reading(index, value, silent="Nothing has been spent yet.")
        outlook = week.outlook()
        if week.days < HISTORY:
            days = HISTORY - week.days
            reading = Reading(
                index,
                value,
                silent=f"A day is judged by at least {HISTORY} days before it; {days} more "
                f"{'day is' if days == 1 else 'days are'} needed.",
            )
        else:
            reading = self._judge(index, value, outlook)
        week.learn(value, outlook)
        return reading

    def _judge(self, index: int, value: float, outlook: Outlook) -> Reading:
        expected = outlook.value(0.0)
        guard = max(self.min_usd, self.min_change * expected)
        low = max(0.0, min(outlook.value(-self.threshold), expected - guard))
        high = max(outlook.value(self.threshold), expected + guard)
        score = outlook.score(value)
        out, upward, size = not low <= value <= high, score > 0.0, abs(score)
        episode, alert = self._episode, False
        if episode is None or (out and (upward is not episode.upward or size >= GROWN * episode.peak)):
            alert = out
            if out:
                change = min(value / expected - 1.0, MOST) if expected > 0.0 else MOST
                level = self._week.root.mean
                kind: Kind = "spike" if upward else "drop"
                self._episode = episode = _Episode(index, upward, size, kind, level, change, index)
        elif episode is not None:
            episode = self._go_on(episode, index, value, size, upward=upward)
        return Reading(
            index,
            value,
            expected,
            low,
            high,
            size,
            alert,
            episode.kind if episode else None,
            episode.began if episode else None,
        )

    def _go_on(self, episode: _Episode, index: int, value: float, size: float, *, upward: bool) -> _Episode | None:
        usual = (episode.level * self._week.profile[self._week.days % 7]) ** 2
        change = (value - usual) * episode.change
        if change > 0.0 and change >= 0.5 * usual * episode.change**2:
            episode.held += 1
        if index == episode.began + HELD - 1 and episode.held == HELD:
            # What stays is the new ordinary: the episode ends here, and the day says so.
            self._episode = None
            episode.kind, episode.last = "shift", index
            return episode
        episode.peak = max(episode.peak, size)
        if upward is episode.upward and size >= 0.5 * self.threshold:
            episode.last, episode.calm = index, 0
            return episode
        episode.calm += 1
        # Calm days decide only after a shift could have been told: a level that is learned fast is soon no surprise.
        if episode.calm >= CALM and index >= episode.began + HELD - 1:
            self._episode = None
        return None

    def state(self) -> JSONObject:
        """All that it knows, as JSON; `from_state` makes an equal detector of it."""
        episode = self._episode
        return {
            "version": VERSION,
            "threshold": self.threshold,
            "min_usd": self.min_usd,
            "min_change": self.min_change,
            "count": self._count,
            "week": asdict(self._week),
            "episode": asdict(episode) if episode else None,
        }

    @classmethod
    def from_state(cls, state: JSONObject) -> Detector:
        """The detector that `state` was taken from.

        Args:
            state: What `state()` gave.

        Raises:
            ConfigurationError: It is not such a state.
        """
        data = cast("Mapping[str, Any]", state)
        try:
            if data["version"] != VERSION:
                raise ConfigurationError("The state is of another version of Detector.", field="state")
            settings = {name: float(data[name]) for name in ("threshold", "min_usd", "min_change")}
            detector = cls(**settings)
            detector._week = Week.from_state(data["week"])
            detector._count = int(data["count"])
            if data["episode"] is not None:
                detector._episode = _Episode(**data["episode"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                "This is not the state of a Detector.", field="state", hint="Start a new one and feed it the history."
            ) from error
        return detector


def detect(
    values: Sequence[float],
    *,
    start: date | None = None,
    threshold: float = THRESHOLD,
    min_usd: float = MIN_USD,
    min_change: float = MIN_CHANGE,
) -> list[Anomaly]:
    """The anomalies of a history of daily spend, oldest first.

    Args:
        values: US dollars of each day, oldest first, 0 for days without spend.
        start: Date of the first value; dates then stand in the results.
        threshold: As for `Detector`, in standard deviations.
        min_usd: As for `Detector`, in US dollars.
        min_change: As for `Detector`, a part of what was expected.

    Returns:
        One for each episode; none where there are less than 15 days (`why_silent` says so).

    Raises:
        ConfigurationError: A value is not a number from 0 to a million millions, or a setting is out of range.
    """
    found: list[Anomaly] = []
    for reading in _readings(values, Detector(threshold=threshold, min_usd=min_usd, min_change=min_change)):
        if reading.alert:
            found.append(_anomaly(reading, start))
        elif reading.kind is not None and found:
            found[-1] = replace(found[-1], kind=reading.kind, end=reading.index)
            if reading.kind == "shift":
                found[-1] = replace(found[-1], reason=_reason(found[-1]))
    return found


def mask(values: Sequence[float]) -> list[bool]:
    """Which days a forecast should not learn from: spikes and drops. The days of a new level are not among them.

    Args:
        values: US dollars of each day, oldest first.

    Returns:
        True for each day that belongs to a spike or a drop.

    Raises:
        ConfigurationError: A value is not a number from 0 to a million millions.
    """
    marked = [False] * len(values)
    for anomaly in detect(values):
        if anomaly.kind != "shift":
            marked[anomaly.begin : anomaly.end + 1] = [True] * (anomaly.end + 1 - anomaly.begin)
    return marked


def why_silent(values: Sequence[float]) -> str | None:
    """Why nothing can be said about the last day of a history; None where something can.

    Args:
        values: US dollars of each day, oldest first.

    Raises:
        ConfigurationError: A value is not a number from 0 to a million millions.
    """
    readings = list(_readings(values, Detector()))
    return readings[-1].silent if readings else "There are no days."


def _readings(values: Sequence[float], detector: Detector) -> Iterator[Reading]:
    return map(detector.update, values)


def _anomaly(reading: Reading, start: date | None) -> Anomaly:
    expected, low, high = reading.expected or 0.0, reading.low or 0.0, reading.high or 0.0
    anomaly = Anomaly(
        index=reading.index,
        day=None if start is None else start + timedelta(days=reading.index),
        actual=reading.actual,
        expected=expected,
        low=low,
        high=high,
        score=reading.score,
        kind=reading.kind or "spike",
        begin=reading.index,
        end=reading.index,
        reason="",
    )
    return replace(anomaly, reason=_reason(anomaly))


def _reason(anomaly: Anomaly) -> str:
    when = f"on day {anomaly.index}" if anomaly.day is None else f"on {anomaly.day.isoformat()}"
    usual = f"{anomaly.expected:,.2f} USD expected (usual is {anomaly.low:,.2f} to {anomaly.high:,.2f})"
    if anomaly.actual > anomaly.expected:
        change = f"{anomaly.actual / anomaly.expected:.1f} times the " if anomaly.expected > 0.005 else "against the "
    else:
        change = f"{1.0 - anomaly.actual / anomaly.expected:.0%} below the "
    stayed = f", and the new level held for {HELD} days" if anomaly.kind == "shift" else ""
    return f"Spend {when} was {anomaly.actual:,.2f} USD, {change}{usual}{stayed}."

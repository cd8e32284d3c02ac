"""What a day of spend should be: two running estimates of level and spread, from earlier days only.

One estimate works on dollars, the other on the square root of dollars with a profile of the week. The square root evens
out the spread of amounts that grow with their level, and unlike the logarithm it takes a day without spend as it comes
(Anscombe, "The transformation of Poisson, binomial and negative-binomial data", Biometrika 1948). The score of a day is
the mean of its two distances, in standard deviations: on real daily series with injected events the mean of a plain
and a weekday-aware running z-score finds more than either alone (`tools/anomaly_report.py` measures it). The estimate
that has been the closer one weighs more, so that a busy Saturday of an office stands out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL = 0.75  # what the level keeps of the past at each day: about four days count
SHORT, LONG = 0.8, 0.97  # the same for the spread of late (five days) and the spread of weeks (33 days)
SHARE = 0.15  # the part of the variance that comes from the long memory: one calm week does not make a hair trigger
WEEKDAY = 0.1  # what the newest week counts for in the profile; more in the first ten weeks
CLIP = 4.0  # the level learns at most so many standard deviations of one day; the spread learns all of it
FLOOR = 0.02  # the spread is at least this part of the level
LARGEST = 99.0  # scores end here: beyond, they only tell how still the past was
FULL = 3.0  # in square roots, one day teaches the profile at most so many times the mean of its week
NOTHING = 1e-9  # dollars; keeps divisions defined where a series is all zeros


@dataclass(slots=True)
class Level:
    """A level with its spread, by exponential forgetting; days before the first one weigh nothing.

    Args:
        mean: The level.
        weight: How many days stand behind it, at most 1 / (1 - LEVEL).
        short: Sum of squared one-step errors under the short memory.
        long: The same under the long memory.
        short_weight: Days behind `short`.
        long_weight: Days behind `long`.
    """

    mean: float = 0.0
    weight: float = 0.0
    short: float = 0.0
    long: float = 0.0
    short_weight: float = 0.0
    long_weight: float = 0.0

    def spread(self, floor: float) -> float:
        """The standard deviation of a one-step error.

        Args:
            floor: Least spread, as a part of the level.
        """
        if not self.short_weight:
            return NOTHING + floor * self.mean
        variance = (1.0 - SHARE) * self.short / self.short_weight + SHARE * self.long / self.long_weight
        return math.sqrt(variance + (floor * self.mean) ** 2) + NOTHING

    def learn(self, error: float, spread: float, factor: float = 1.0) -> None:
        """Take a day in.

        Args:
            error: How far it lay from what was expected of it.
            spread: The spread before it.
            factor: The day's weekday factor; the level follows most on the days that cost most.
        """
        first = not self.weight
        self.weight = LEVEL * self.weight + 1.0
        gain = 1.0 / self.weight
        if first:
            self.mean += error
            return
        # The error is from the level before the day: (1 - gain) makes it the error from the level with the day in it.
        squared = error * error * (1.0 - gain)
        self.short = SHORT * self.short + squared
        self.long = LONG * self.long + squared
        self.short_weight = SHORT * self.short_weight + 1.0
        self.long_weight = LONG * self.long_weight + 1.0
        if self.short_weight > 2.0:
            error = min(max(error, -CLIP * spread), CLIP * spread)
        self.mean = max(self.mean + gain * error * factor, 0.0)


@dataclass(slots=True, frozen=True)
class Outlook:
    """What is expected of a day, before it is seen.

    Args:
        plain: Level of the dollars.
        plain_spread: Its standard deviation.
        root: Expected square root, weekday included.
        root_spread: Its standard deviation.
        weight: What the first of the two counts for, from 0 to 1.
    """

    plain: float
    plain_spread: float
    root: float
    root_spread: float
    weight: float = 0.5

    def score(self, value: float) -> float:
        """The mean distance in standard deviations, negative below what is expected; grows with `value`.

        Args:
            value: US dollars.
        """
        plain = (value - self.plain) / self.plain_spread
        root = (math.sqrt(value) - self.root) / self.root_spread
        return max(-LARGEST, min(LARGEST, self.weight * plain + (1.0 - self.weight) * root))

    def value(self, score: float) -> float:
        """The dollars that have this score: a quadratic equation in the square root, whose larger root is meant.

        Args:
            score: Standard deviations from what is expected; 0 gives the expected value.

        Returns:
            US dollars; 0 where only negative dollars would have it.
        """
        slope, linear = self.weight / self.plain_spread, (1.0 - self.weight) / self.root_spread
        constant = self.plain * slope + self.root * linear + score
        if constant <= 0.0:
            return 0.0
        root = 2.0 * constant / (linear + math.sqrt(linear * linear + 4.0 * slope * constant))
        return root * root


@dataclass(slots=True)
class Week:
    """The two estimates and the profile of the week.

    Args:
        plain: On dollars.
        root: On square roots.
        profile: Seven factors on square roots, whose squares have the mean 1; day 0 of the series is the first.
        seen: How many days of each kind the profile has learned from.
        latest: Square roots of the last seven days, oldest first.
        days: Days taken in.
    """

    plain: Level = field(default_factory=Level)
    root: Level = field(default_factory=Level)
    profile: list[float] = field(default_factory=lambda: [1.0] * 7)
    seen: list[int] = field(default_factory=lambda: [0] * 7)
    latest: list[float] = field(default_factory=list)
    days: int = 0

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Week:
        """The week whose fields `state` has.

        Args:
            state: As `dataclasses.asdict` gives it.

        Raises:
            KeyError: A field is missing.
            TypeError: A field has the wrong type.
            ValueError: A field is no number, or a week does not have seven days.
        """
        profile, seen = [float(factor) for factor in state["profile"]], [int(days) for days in state["seen"]]
        latest = [float(root) for root in state["latest"]]
        if len(profile) != 7 or len(seen) != 7 or len(latest) > 7:
            raise ValueError("profile")
        plain, root = (
            Level(**{item.name: float(state[name][item.name]) for item in fields(Level)}) for name in ("plain", "root")
        )
        return cls(plain, root, profile, seen, latest, int(state["days"]))

    def outlook(self) -> Outlook:
        """What is expected of the next day."""
        plain_spread, root_spread = self.plain.spread(FLOOR), self.root.spread(FLOOR / 2.0)
        # Both as parts of the level: a square root moves by half as many percent as its square.
        ours = math.sqrt(plain_spread / (self.plain.mean + NOTHING))
        theirs = math.sqrt(2.0 * root_spread / (self.root.mean + NOTHING))
        root = self.root.mean * self.profile[self.days % 7]
        return Outlook(self.plain.mean, plain_spread, root, root_spread, theirs / (ours + theirs))

    def learn(self, value: float, outlook: Outlook) -> None:
        """Take the next day in.

        Args:
            value: US dollars.
            outlook: What was expected of it.
        """
        weekday, root = self.days % 7, math.sqrt(value)
        self.plain.learn(value - outlook.plain, outlook.plain_spread)
        self.root.learn(root - outlook.root, outlook.root_spread, self.profile[weekday])
        # Against the mean of the seven days up to it, in which each weekday stands once: growth and the fast level,
        # which follows part of the week itself, do not blur the profile.
        self.latest = [*self.latest[-6:], root]
        mean = math.fsum(self.latest) / 7.0
        if len(self.latest) == 7 and mean > 0.0:
            self._follow(weekday, min(root / mean, FULL))
        self.days += 1

    def _follow(self, weekday: int, ratio: float) -> None:
        seen = self.seen[weekday] = self.seen[weekday] + 1
        self.profile[weekday] += max(WEEKDAY, 1.0 / (seen + 1.0)) * (ratio - self.profile[weekday])
        size = math.sqrt(math.fsum(factor * factor for factor in self.profile) / 7.0)
        if size > 0.0:
            self.profile = [factor / size for factor in self.profile]

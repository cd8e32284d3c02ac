"""What a step of the day usually costs, and how far from it quiet days stray."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aistrale.cost.anomalies.tail import Tail
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

HOURS = 168  # of a week
KEEP = 0.6  # what a slot keeps of the past at each new week: about two and a half weeks count
LEAST = 0.05  # the usual of any step, as a part of the mean step: at night, nothing is not the measure
PEAK = 2.0  # where only the day is known: a busy hour costs so many times the mean one
GREW = 3.0  # the last day lifts what is usual by at most this
SPREAD = 0.999  # what the dispersion keeps at each step
PRIOR = 12  # steps that the first guess of the dispersion counts for
CLIP = 6.0  # the dispersion learns at most so many standard deviations of one window
RELATIVE = 0.25  # the standard deviation of a window is at least this part of its usual spend
FADE = 0.9  # what the record distance keeps at each day
UNSEEN = 8.0  # in the first week: standard deviations, and times the largest mean, beyond all that was seen


class Usual:
    """The usual week by hours, learned or given.

    Args:
        step_seconds: Length of a step.
        given: US dollars of a usual day, whose shape is learned; or of each step of one, or of each step of a usual
            week; None learns both.

    Raises:
        ConfigurationError: What is given has another length, or is no spend.
    """

    __slots__ = (
        "_day",
        "_flat",
        "_given",
        "_hour",
        "_last",
        "_learned",
        "_per_hour",
        "_seen",
        "_slots",
        "_tail",
        "dispersion",
        "record",
    )

    def __init__(self, step_seconds: int, given: float | Sequence[float] | None) -> None:
        self._per_hour = 3600 // step_seconds
        self._flat = 0.0  # dollars of a day whose shape is learned
        self._given: tuple[float, ...] = ()  # dollars of each step
        if isinstance(given, (int, float)):
            self._flat = _steps([given], 1)[0]
        elif given is not None:
            self._given = _steps(given, 24 * self._per_hour)
        self._slots: list[float | None] = [None] * HOURS  # dollars of each hour of the week
        self._hour = 0.0  # dollars of the hour that is running
        self._last: list[tuple[float, float]] = []  # of the last 24 hours: spent, usual
        self._learned = bool(self._given)
        self._day = math.fsum(self._given) / (len(self._given) / (24 * self._per_hour)) if self._given else self._flat
        # Variance over mean of a window: dollars. Before anything is known, a step of the day's mean is uncertain by
        # all of itself.
        self.dispersion = self._day / (24 * self._per_hour)
        self._seen = 0
        self._tail = Tail(fade=0.0)
        self.record = 0.0

    @property
    def day(self) -> float:
        """US dollars of a usual day; 0 where that is not known yet."""
        return self._day

    def expected(self, index: int) -> float | None:
        """US dollars usual for a step; None while the first week is learned.

        Args:
            index: Which step, from 0.
        """
        if self._given:
            return max(self._given[index % len(self._given)], LEAST * self._day / (24 * self._per_hour))
        if not self._learned:
            return PEAK * self._flat / (24 * self._per_hour) if self._flat else None
        hour, step = divmod(index, self._per_hour)
        # Between the middles of two hours, so that a morning does not begin with a jump.
        place = (step + 0.5) / self._per_hour - 0.5
        here, there = self._slot(hour), self._slot(hour + (1 if place > 0.0 else -1))
        usual = (here + abs(place) * (there - here)) * self._growth() / self._per_hour
        return max(usual, LEAST * self._day / (24 * self._per_hour))

    def distance(self, window: tuple[float, float]) -> float:
        """How far a window lies above what is usual.

        Args:
            window: US dollars spent and usual.

        Returns:
            Standard deviations, at least 0.
        """
        spent, usual = window
        return max(0.0, spent - usual) / math.sqrt(self._variance(usual)) if usual > 0.0 else 0.0

    def quiet(self, window: tuple[float, float]) -> None:
        """Learn from a window that is no alarm how far quiet days stray.

        Args:
            window: US dollars spent and usual.
        """
        spent, usual = window
        if usual <= 0.0:
            return
        self.record = max(self.record, self.distance(window))
        # It may be the farthest yet, but it does not blow the measure up at once.
        squared = min((spent - usual) ** 2, CLIP**2 * self._variance(usual))
        self._seen += 1
        self.dispersion += max(1.0 - SPREAD, 1.0 / (self._seen + PRIOR)) * (squared / usual - self.dispersion)

    def _variance(self, usual: float) -> float:
        return self.dispersion * usual + (RELATIVE * usual) ** 2

    def beyond(self, value: float) -> float | None:
        """In the first week: the level seen so far, where a step lies beyond all of it.

        Args:
            value: US dollars of the step.
        """
        level = self._tail.level
        if value < UNSEEN * level or self._tail.distance(value) < UNSEEN or len(self._last) < 24:
            return None
        return level

    def learn(self, index: int, value: float, *, alarmed: bool) -> None:
        """Take a step in.

        Args:
            index: Which step, from 0.
            value: US dollars.
            alarmed: It belongs to a runaway: it teaches no more than what is usual.
        """
        if self._given:
            if not (index + 1) % (24 * self._per_hour):
                self.record *= FADE
            return
        if alarmed:
            value = min(value, self.expected(index) or self._tail.level)
        if not self._learned:
            self._tail.update(value)
        self._hour += value
        if not (index + 1) % self._per_hour:
            self._close((index + 1) // self._per_hour - 1)

    def _slot(self, hour: int) -> float:
        # A slot was seen once a week: its neighbours steady it.
        before, here, after = (self._slots[(hour + away) % HOURS] or 0.0 for away in (-1, 0, 1))
        return 0.25 * before + 0.5 * here + 0.25 * after

    def _growth(self) -> float:
        spent, usual = math.fsum(one for one, _ in self._last), math.fsum(other for _, other in self._last)
        return min(max(spent / usual, 1.0), GREW) if usual > 0.0 else 1.0

    def _close(self, hour: int) -> None:
        place, known = hour % HOURS, self._slots[hour % HOURS]
        self._last = [*self._last[-23:], (0.0, 0.0) if known is None else (self._hour, known)]
        self._slots[place] = self._hour if known is None else KEEP * known + (1.0 - KEEP) * self._hour
        self._hour = 0.0
        if hour >= HOURS - 1:
            week = math.fsum(slot or 0.0 for slot in self._slots)
            self._learned = week > 0.0
            self._day = self._flat or week / 7.0
        if hour == HOURS - 1 and not self._flat:
            self.dispersion = self._day / (24 * self._per_hour)
        if hour % 24 == 23:
            self.record *= FADE


def _steps(given: Sequence[float], steps: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in given)
    if len(values) not in {steps, 7 * steps}:
        raise ConfigurationError(
            f"usual has {len(values)} values: a number, or one for each step of a day ({steps}) or of a week "
            f"({7 * steps}) is needed.",
            field="usual",
        )
    if not all(0.0 <= value < math.inf for value in values) or not any(values):
        raise ConfigurationError("usual must be US dollars: numbers of at least 0, not all 0.", field="usual")
    return values

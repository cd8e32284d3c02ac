"""Money that burns too fast, found within the day: a runaway loop, a budget that will not last.

Two kinds of rule, on spend per hour or per few minutes:

- **runaway**: a quarter of an hour that lies far out in the Gaussian tail of the same time of the same weekday, at
  least three times what is usual then, and still going on.
- **fast** and **slow**: multi-window burn rates as site reliability engineering uses them for error budgets ("The Site
  Reliability Workbook", Google, 2018, chapter 5, "Alerting on SLOs", table 5-8): the rate of a long window says that it
  matters (14.4 times over an hour is 2 % of a month, 6 times over six hours 5 %), the same rate over a short window,
  a twelfth of it, that it has not stopped.

Each step is judged by the steps before it and its own alone.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.cost.anomalies.burn_usual import Usual
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["RULES", "Burn", "Rule", "RuleName", "burn"]

RuleName: TypeAlias = Literal["runaway", "fast", "slow"]

DAY = 86_400.0
RUNAWAY_SECONDS = 900  # a loop must be found within a quarter of an hour
TIMES = 3.0  # least factor of a runaway over what is usual
STEP_TIMES = 5.0  # the same for each of its steps
DISTANCE = 6.0  # standard deviations: one in a thousand million if spend were Gaussian, which it is not
RECORD = 1.25  # and so many times the farthest that quiet days have been
SHARE = 0.0025  # least excess of a runaway, as a part of a usual day: at night, three times nothing is nothing
CALLS = 12.0  # and in units of the dispersion, about the cost of a dear call: a few dear calls are no loop
STEP_CALLS = 3.0  # the same for each of the steps
CALM_SECONDS = 3600  # an alert has ended when its rule was quiet for an hour
LARGEST = 1e12  # dollars a step


@dataclass(slots=True, frozen=True)
class Rule:
    """A burn rate over two windows.

    Args:
        name: `"fast"` or `"slow"`.
        long_seconds: The window that says that it matters.
        short_seconds: The window that says that it goes on; at least one step is taken.
        factor: Least rate, as a multiple of the budget's (or the usual day's) even rate.
    """

    name: RuleName
    long_seconds: int
    short_seconds: int
    factor: float


RULES = (Rule("fast", 3600, 300, 14.4), Rule("slow", 21_600, 1800, 6.0))
"""The Site Reliability Workbook, table 5-8, first two rows."""


@dataclass(slots=True, frozen=True)
class Burn:
    """A time in which money burned too fast.

    Args:
        index: The step at whose end the alert was due, as a position in the values.
        end: The last step at which the rule held.
        at: When step `index` ended; None where the values had no `start`.
        rule: `"runaway"`, `"fast"` or `"slow"`.
        window_seconds: The window that was looked at.
        spent: US dollars in it.
        allowed: US dollars that were usual in it, or the budget's even share.
        factor: `spent` over `allowed`; infinite where nothing was.
        basis: What `allowed` comes from: `"usual"` or `"budget"`.
        lasts_seconds: How long what is left of the day's budget lasts at this rate; None without a budget.
        reason: One plain sentence.
    """

    index: int
    end: int
    at: datetime | None
    rule: RuleName
    window_seconds: int
    spent: float
    allowed: float
    factor: float
    basis: Literal["usual", "budget"]
    lasts_seconds: float | None
    reason: str


def burn(
    values: Sequence[float],
    step_seconds: int,
    *,
    usual: float | Sequence[float] | None = None,
    budget: float | None = None,
    start: datetime | None = None,
    rules: Sequence[Rule] = RULES,
    min_usd: float = 0.10,
) -> list[Burn]:
    """Where spend burned too fast.

    Args:
        values: US dollars of each step, oldest first, 0 where nothing was spent.
        step_seconds: Length of a step; it divides an hour.
        usual: US dollars of a usual day, whose shape is learned from the values; or of each step of a usual day, or of
            each step of a usual week, beginning at the time of day (and weekday) of the first value. None learns all of
            it: the rules that need it say nothing in the first week, except for a runaway beyond all that was seen
            before.
        budget: US dollars allowed for a day. None measures the burn rates against the usual day.
        start: When the first step begins; times then stand in the results, and a budget's day is that of its time zone.
            None begins a day at the first value.
        rules: The burn rates looked at.
        min_usd: Least excess over what is allowed in the window that is worth an alert, in US dollars.

    Returns:
        One for each episode and rule, oldest first.

    Raises:
        ConfigurationError: A value is not a number from 0 to a million millions, or an argument is out of range.
    """
    watch = _Watch(step_seconds, usual=usual, budget=budget, start=start, rules=rules, min_usd=min_usd)
    return sorted(watch.run(values), key=lambda found: found.index)


class _Window:
    """The sum of the last steps."""

    __slots__ = ("_steps", "size", "total")

    def __init__(self, seconds: int, step_seconds: int) -> None:
        self.size = max(1, seconds // step_seconds)
        self._steps: deque[float] = deque([0.0] * self.size, self.size)
        self.total = 0.0

    def add(self, value: float) -> None:
        # Sums of dollars that come and go: rounding is taken away by never letting nothing be more than nothing.
        self.total = max(0.0, self.total + value - self._steps[0])
        self._steps.append(value)
        if not value and not any(self._steps):
            self.total = 0.0

    def without_dearest(self) -> float:
        """The sum but for the dearest step, where there are several."""
        return self.total - max(self._steps) if self.size > 1 else self.total


class _Watch:
    def __init__(
        self,
        step_seconds: int,
        *,
        usual: float | Sequence[float] | None,
        budget: float | None,
        start: datetime | None,
        rules: Sequence[Rule],
        min_usd: float,
    ) -> None:
        if step_seconds <= 0 or 3600 % step_seconds:
            raise ConfigurationError("step_seconds must divide an hour, for example 300 or 3600.", field="step_seconds")
        if budget is not None and not 0.0 < budget < math.inf:
            raise ConfigurationError("budget must be a number above 0: US dollars a day.", field="budget")
        if not 0.0 <= min_usd < math.inf:
            raise ConfigurationError("min_usd must be a number of at least 0.", field="min_usd")
        self.step, self.budget, self.start, self.min_usd = step_seconds, budget, start, min_usd
        self.usual = Usual(step_seconds, usual)
        self.windows = [
            (rule, _Window(rule.long_seconds, step_seconds), _Window(rule.short_seconds, step_seconds))
            for rule in rules
        ]
        self.quarter = max(1, RUNAWAY_SECONDS // step_seconds)
        self.recent: deque[tuple[float, float]] = deque(maxlen=self.quarter)  # spent, usual
        self.quiet: deque[tuple[float, float]] = deque(maxlen=self.quarter)  # windows that no alarm followed so far
        self.cooling = 0  # steps until the last alarm has left the window
        self.unseen = 0  # steps in a row beyond all that was seen
        self.today = 0.0
        midnight = start and start.replace(hour=0, minute=0, second=0, microsecond=0)
        self.offset = (start - midnight).total_seconds() if start and midnight else 0.0
        self.found: list[Burn] = []
        self.open: dict[RuleName, int] = {}  # where in `found` the running episode of a rule stands

    def run(self, values: Sequence[float]) -> list[Burn]:
        for index, given in enumerate(values):
            value = float(given)
            if not 0.0 <= value <= LARGEST:
                raise ConfigurationError(
                    f"The spend of step {index} is {value}: it must be a number from 0 to {LARGEST:.0e} US dollars.",
                    field="values",
                )
            if (self.offset + index * self.step) % DAY < self.step:
                self.today = 0.0
            self.today += value
            holds = [*self._rates(index, value), *self._runaway(index, value)]
            for burning in holds:
                self._note(burning)
            # What a loop burns is not usual: an alert teaches no more than what the same time may cost.
            self.usual.learn(index, value, alarmed=any(burning.rule == "runaway" for burning in holds))
        return self.found

    def _rates(self, index: int, value: float) -> Iterator[Burn]:
        for _, long, short in self.windows:
            long.add(value)
            short.add(value)
        day = self.budget if self.budget is not None else self.usual.day
        if not day:
            return
        rate = day / DAY
        # A budget is a promise: it is not excused by how dear single calls are.
        promised = self.budget is not None
        dear = 0.0 if promised else CALLS * self.usual.dispersion
        for rule, long, short in self.windows:
            allowed = rate * long.size * self.step
            if (
                long.total >= rule.factor * allowed
                and (promised or long.without_dearest() >= rule.factor * allowed)
                and short.total >= rule.factor * rate * short.size * self.step
                and long.total - allowed >= max(self.min_usd, dear)
            ):
                yield self._burn(index, rule.name, long.size * self.step, spent=long.total, allowed=allowed)

    def _runaway(self, index: int, value: float) -> Iterator[Burn]:
        expected = self.usual.expected(index)
        if expected is None:
            level = self.usual.beyond(value)
            self.unseen = self.unseen + 1 if level is not None else 0
            if level is None or self.unseen < min(2, self.quarter) or value - level < self.min_usd:
                return
            yield self._burn(index, "runaway", self.step, spent=value, allowed=level, usual=True)
            return
        self.recent.append((value, expected))
        spent, allowed = window = self._sums()
        # One dear call is no loop: of three steps, two must be out of line, where there are three.
        dear = self.usual.dispersion
        if (
            value >= TIMES * expected
            and spent >= TIMES * allowed
            and spent - allowed >= max(self.min_usd, SHARE * self.usual.day, CALLS * dear)
            and self.usual.distance(window) >= max(DISTANCE, RECORD * self.usual.record)
            and sum(one >= STEP_TIMES * other and one - other >= STEP_CALLS * dear for one, other in self.recent)
            >= min(2, self.quarter)
        ):
            # The windows in which it began are no quiet ones either, nor are those that still hold its end.
            self.quiet.clear()
            self.cooling = self.quarter
            yield self._burn(index, "runaway", self.quarter * self.step, spent=spent, allowed=allowed, usual=True)
        elif self.cooling:
            self.cooling -= 1
        else:
            if len(self.quiet) == self.quarter:
                self.usual.quiet(self.quiet[0])
            self.quiet.append(window)

    def _sums(self) -> tuple[float, float]:
        return math.fsum(one for one, _ in self.recent), math.fsum(other for _, other in self.recent)

    def _burn(
        self, index: int, rule: RuleName, seconds: int, *, spent: float, allowed: float, usual: bool = False
    ) -> Burn:
        ours: Literal["usual", "budget"] = "usual" if usual or self.budget is None else "budget"
        lasts = None
        if self.budget is not None:
            lasts = max(0.0, self.budget - self.today) / (spent / seconds) if spent else math.inf
        factor = spent / allowed if allowed else math.inf
        at = None if self.start is None else self.start + timedelta(seconds=(index + 1) * self.step)
        return Burn(index, index, at, rule, seconds, spent, allowed, factor, ours, lasts, "")

    def _note(self, burning: Burn) -> None:
        place = self.open.get(burning.rule)
        if place is not None and (burning.index - self.found[place].end) * self.step <= CALM_SECONDS:
            self.found[place] = replace(self.found[place], end=burning.index)
            return
        self.open[burning.rule] = len(self.found)
        self.found.append(replace(burning, reason=_reason(burning)))


def _reason(burning: Burn) -> str:
    minutes = burning.window_seconds // 60
    window = f"{minutes} minutes" if minutes % 60 else ("hour" if minutes == 60 else f"{minutes // 60} hours")
    when = "" if burning.at is None else f" up to {burning.at.isoformat(timespec='minutes')}"
    than = "what is usual then" if burning.basis == "usual" else "the even share of the day's budget"
    left = ""
    if burning.lasts_seconds is not None:
        left = (
            "; the day's budget is spent"
            if burning.lasts_seconds <= 0.0
            else f"; what is left of the day's budget lasts {_span(burning.lasts_seconds)} at this rate"
        )
    times = "" if math.isinf(burning.factor) else f"{burning.factor:.1f} times "
    return (
        f"{burning.spent:,.2f} USD were spent in the {window}{when}, {times}{'against ' if not times else ''}{than} "
        f"({burning.allowed:,.2f} USD){left}."
    )


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

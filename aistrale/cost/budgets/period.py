"""The stretches of time that budgets are counted in: calendar periods of a time zone, and rolling windows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

CALENDAR: Final = ("day", "week", "month")
PERIODS: Final = ("call", "session", *CALENDAR)
ACCEPTED: Final = "'call', 'session', 'day', 'week', 'month', or a rolling window as 'rolling:24h' (m, h, d or w)"

_ROLLING: Final = re.compile(r"rolling:([1-9][0-9]{0,4})([mhdw])")
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# The longest rolling window: more is a matter for calendar months.
_LONGEST: Final = 366 * 86_400
# A rolling window forgets in steps of this share of its length, so that its memory is bounded.
_STEPS: Final = 60


@dataclass(slots=True, frozen=True)
class Span:
    """A stretch of time.

    Args:
        start: Its first instant, Unix seconds; minus infinity where there is none.
        end: The first instant after it; infinity where there is none.
    """

    start: float
    end: float


ALWAYS: Final = Span(-math.inf, math.inf)


class Period:
    """When a budget begins anew.

    Args:
        text: "call", "session", "day", "week" (from Monday, ISO 8601), "month", or "rolling:24h" and the like.
        zone: The time zone of calendar periods.

    Raises:
        ValueError: There is no such period; the message says which there are.
    """

    __slots__ = ("_last", "_zone", "kind", "seconds", "text")

    def __init__(self, text: str, zone: tzinfo = UTC) -> None:
        self.text = text
        self.kind = text
        self.seconds = 0
        """Length of a rolling window; 0 for all others."""
        self._zone = zone
        self._last = Span(math.inf, math.inf)
        if text in PERIODS:
            return
        found = _ROLLING.fullmatch(text)
        seconds = int(found[1]) * _UNITS[found[2]] if found is not None else 0
        if not 0 < seconds <= _LONGEST:
            raise ValueError(ACCEPTED)
        self.kind = "rolling"
        self.seconds = seconds

    @property
    def step(self) -> float:
        """In which steps a rolling window forgets, in seconds; what it holds may count for one step too long."""
        return self.seconds / _STEPS

    def span(self, now: float) -> Span:
        """The period that an instant lies in. Rolling windows, calls and sessions have no bounds of their own.

        Args:
            now: Unix seconds.
        """
        last = self._last
        if last.start <= now < last.end:
            return last
        if self.kind not in CALENDAR:
            return ALWAYS
        span = self._last = _calendar(self.kind, now, self._zone)
        return span


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        LookupError, ValueError, OSError: There is none, or the system has no time zones.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _calendar(kind: str, now: float, zone: tzinfo) -> Span:
    # Rounded down: a fraction next to midnight would be rounded into the next day.
    day = datetime.fromtimestamp(math.floor(now), zone).date()
    if kind == "day":
        first, following = day, day + timedelta(days=1)
    elif kind == "week":
        first = day - timedelta(days=day.weekday())
        following = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
    return Span(_midnight(first, zone), _midnight(following, zone))


def _midnight(day: date, zone: tzinfo) -> float:
    """The first instant of a day. A midnight that a change of clocks leaves out is the instant of that change."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()

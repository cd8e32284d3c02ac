"""Health: what a target's own traffic says about it, as a load for balancing and as a score from 0 to 100.

Nothing is sent to find out: calls report how they went, and the statistics forget with time. All memory is fixed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aistrale.routing.digest import GOOD, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Outcome: TypeAlias = Literal["success", "failure", "slow", "ignored"]
"""How an attempt went: "slow" is an answer that came too late or empty, "ignored" says nothing about the target."""

SUCCESS_POINTS: Final = 40.0
LATENCY_POINTS: Final = 30.0
ERROR_POINTS: Final = 30.0

WINDOW: Final = 300.0
"""Seconds after which an outcome no longer counts, and a latency says nothing any more."""

_SLICES: Final = 10
_SLICE: Final = WINDOW / _SLICES

# Peak-EWMA. Ten seconds of decay are the default of finagle and of those who took it over. Theirs decays to zero, which
# at a call a minute forgets everything between two calls; this one decays to what is normal for the target.
_PEAK_DECAY: Final = 10.0
# A failure counts as an answer that took at least so long: one that fails fast must not look fast. The seconds are
# linkerd's default.
_FAILURE_SECONDS: Final = 5.0
_FAILURE_FACTOR: Final = 4.0
# One that has never answered has nothing to fade to: so long after its last failure it is unknown again, which lets one
# call at a time try it. Fading to zero would send it every call of a burst.
_TRIAL_PAUSE: Final = 30.0

# What is normal for a target: a mean over half an hour, or over fifty samples where there are fewer. Of logarithms,
# because the length of the answer dominates latency and a few long ones must not say what is normal.
_BASE_DECAY: Final = 1800.0
_BASE_WEIGHT: Final = 0.02
# How it is now: a mean over a minute, of no fewer than four samples and no more than fifty.
_NOW_DECAY: Final = 60.0
_NOW_LEAST: Final = 0.02
_NOW_MOST: Final = 0.25
# Samples until what is normal is trusted fully.
_TRUSTED: Final = 10
# Times its normal latency: up to here a target has all points for latency, from there on none.
_NORMAL: Final = log(1.5)
_CRAWL: Final = log(6.0)
# And more than this counts as this, so that one endless answer does not look like a lasting change.
_ENDLESS: Final = log(12.0)
# Latencies that cannot be told apart, in seconds; keeps the logarithm finite.
_INSTANT: Final = 1e-3

# Recent errors: halved by a success and fading over a minute; half of the points are left after one, a quarter after
# two in a row. The bound lets a target recover within a few successes, however long it was down.
_ERROR_DECAY: Final = 60.0
_MOST_ERRORS: Final = 6.0
_SEVERITY: Final[Mapping[str, float]] = {"failure": 1.0, "slow": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a target does, judged by its own calls.

    Args:
        score: 0 (dead) to 100 (well); the sum of the three parts. 100 when nothing is known.
        success: 0 to 40: the share of successes in the last five minutes, slow answers counting half.
        latency: 0 to 30: all points up to 1.5 times the target's own usual latency, none from 6 times on.
        errors: 0 to 30: halved by each error in a row, weighted by its severity; successes and time restore it.
        samples: Outcomes of the last five minutes; 0 means that the score says nothing.
        in_flight: Calls under way.
        state: What the circuit breaker says; "open" also while nothing is sent because the provider refused the key.
        idle: Seconds since the last call began or ended; None when there was none.
    """

    score: float
    success: float
    latency: float
    errors: float
    samples: int
    in_flight: int
    state: str
    idle: float | None


class _Pace:
    """The latency of one kind of answer: a peak that fades to what is normal. Its owner's lock guards the writing."""

    __slots__ = ("_log", "_samples", "_since", "level")

    def __init__(self) -> None:
        self._log = 0.0
        self._samples = 0
        self._since = 0.0
        self.level: tuple[float, float, float] | None = None
        """Normal seconds (0 before the first answer), peak seconds, and when that was; replaced as one, hence read
        without the lock."""

    def value(self, now: float) -> float | None:
        """Seconds; None when nothing recent is known."""
        return None if self.level is None else _faded(self.level, now)

    def answered(self, seconds: float, now: float) -> float:
        """An answer took so long; how much longer than normal, as a logarithm, as far as normal is known."""
        peak = self.value(now)
        length = log(max(_INSTANT, seconds))
        known = self._samples
        if not known:
            self._log, self._since = length, now
        deviation = length - self._log
        self._samples = known + 1
        # The plain mean of all samples, until those of half an hour ago must not count any more.
        self._log += deviation * max(1.0 / (known + 1), min(_BASE_WEIGHT, _part(now - self._since, _BASE_DECAY)))
        self._since = now
        self.level = (exp(self._log), seconds if peak is None or seconds > peak else peak, now)
        return max(-_ENDLESS, min(_ENDLESS, deviation)) * min(1.0, known / _TRUSTED)

    def failed(self, seconds: float, now: float) -> None:
        """A failure came after so long. It says nothing about what is normal."""
        normal = self.level[0] if self.level is not None else 0.0
        peak = max(seconds, _FAILURE_SECONDS, _FAILURE_FACTOR * normal, self.value(now) or 0.0)
        self.level = (normal, peak, now)


class TargetStats:
    """Passive statistics of one target; shared by threads, with time passed in.

    Every `began` is followed by one `ended`. Both may be called from finalisers.
    """

    __slots__ = (
        "_deviation",
        "_errors",
        "_errors_at",
        "_first",
        "_good",
        "_goods",
        "_heard",
        "_lock",
        "_samples",
        "_slice",
        "_slice_ends",
        "_totals",
        "_whole",
        "calls",
        "digest",
        "in_flight",
        "last_seen",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        """Calls under way."""
        self.calls = 0
        """Calls that ever began."""
        self.last_seen: float | None = None
        """When a call last began or ended; None before the first."""
        self._whole, self._first = _Pace(), _Pace()
        self._deviation = 0.0
        self._heard = 0.0
        self._errors = 0.0
        self._errors_at = 0.0
        self._goods = [0.0] * _SLICES
        self._totals = [0] * _SLICES
        self._good = 0.0
        self._samples = 0
        self._slice = 0
        self._slice_ends = _SLICE
        self.digest: Digest | None = None
        """What is to be told to other processes; None where nobody asks."""
        self.after_fork()

    def after_fork(self) -> None:
        """Forget what only the parent has in flight, and its lock, which another of its threads may have held."""
        # Re-entrant, because a finaliser may end a call inside any allocation that this thread makes under the lock.
        self._lock = threading.RLock()
        self.in_flight = 0

    def began(self, now: float) -> None:
        """A call is under way.

        Args:
            now: Monotonic seconds.
        """
        with self._lock:
            self.in_flight += 1
            self.calls += 1
            self.last_seen = now

    def ended(
        self,
        now: float,
        *,
        outcome: Outcome,
        latency: float | None = None,
        first_token: float | None = None,
        severity: float | None = None,
    ) -> None:
        """A call that began is over.

        Args:
            now: Monotonic seconds.
            outcome: "ignored" (cancelled, throttled, the caller's own mistake) leaves everything but the count of calls
                under way as it was.
            latency: Seconds that it took; None when that is unknown.
            first_token: Seconds to the first content of a stream; None for an answer in one piece, and for a stream
                that broke before. Streams are compared by it alone: how long the rest takes, the answer decides.
            severity: How much the error weighs, 1.0 for an ordinary failure and 0.5 for a slow answer when None;
                more for one that says that all further calls will fail (a quota, a bad key).
        """
        with self._lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.last_seen = now
            if outcome == "ignored":
                return
            self._count(now, GOOD[outcome])
            errors = self._recent_errors(now)
            if outcome == "success":
                self._errors = errors * 0.5
            else:
                weight = _SEVERITY[outcome] if severity is None else max(0.0, severity)
                self._errors = min(_MOST_ERRORS, errors + weight)
            self._errors_at = now
            self._time(now, outcome, latency, first_token)
            if self.digest is not None:
                self.digest.add(outcome, latency, first_token, self._errors)

    def take_digest(self) -> Digest | None:
        """What this process has seen since it was last asked, to be told to others; None for nothing."""
        with self._lock:
            digest = self.digest
            if digest is None or not digest.samples:
                self.digest = digest or Digest()
                return None
            self.digest = Digest()
            return digest

    def hear(self, digest: Digest, now: float) -> None:
        """Another process tells what it has seen.

        Its outcomes count as one's own. Of its latencies the mean counts as one answer, and recent errors are the mean
        of both: what happens to oneself goes on to weigh more.

        Args:
            digest: From its `take_digest`.
            now: Monotonic seconds.
        """
        with self._lock:
            self._count(now, digest.good, digest.samples)
            self._errors = min(_MOST_ERRORS, (self._recent_errors(now) + digest.errors) / 2.0)
            self._errors_at = now
            for pace, seconds in ((self._whole, digest.whole), (self._first, digest.first)):
                if seconds is not None:
                    self._hear(pace.answered(seconds, now), now)
                elif not digest.good:
                    pace.failed(0.0, now)

    def ewma(self, now: float, streaming: bool = False) -> float | None:  # noqa: FBT001, FBT002 - a hot path
        """The peak-sensitive latency that a call sent now can expect; takes no lock.

        It rises to a longer latency at once and falls back to what is normal for the target within seconds. A failure
        counts as a long answer.

        Args:
            now: Monotonic seconds.
            streaming: To the first content of a stream instead of to the end of an answer in one piece.

        Returns:
            Seconds; None when nothing was heard for five minutes, or nothing but a failure for half a minute.
        """
        level = (self._first if streaming else self._whole).level
        return None if level is None else _faded(level, now)

    def points(self, now: float) -> float:
        """The score alone, 0 to 100; for deciding between targets."""
        with self._lock:
            success, latency, errors = self._parts(now)
        return success + latency + errors

    def score(self, now: float, state: str = "closed") -> Health:
        """The score and what it is made of.

        Args:
            now: Monotonic seconds.
            state: What the target's breaker says; passed on.
        """
        with self._lock:
            parts = [round(part, 1) for part in self._parts(now)]
            samples, in_flight, seen = self._samples, self.in_flight, self.last_seen
        return Health(
            score=round(sum(parts), 1),
            success=parts[0],
            latency=parts[1],
            errors=parts[2],
            samples=samples,
            in_flight=in_flight,
            state=state,
            idle=None if seen is None else max(0.0, now - seen),
        )

    def _parts(self, now: float) -> tuple[float, float, float]:
        if now >= self._slice_ends:
            self._turn(now)
        if not self._samples:
            return SUCCESS_POINTS, LATENCY_POINTS, ERROR_POINTS
        # As if one success had come before: one failure alone is no proof that a target is dead.
        success = SUCCESS_POINTS * (self._good + 1.0) / (self._samples + 1)
        latency = LATENCY_POINTS
        if self._deviation > _NORMAL:
            deviation = self._deviation * exp(-max(0.0, now - self._heard) / WINDOW)
            latency *= 1.0 - max(0.0, min(1.0, (deviation - _NORMAL) / (_CRAWL - _NORMAL)))
        return success, latency, ERROR_POINTS * 2.0 ** -self._recent_errors(now)

    def _recent_errors(self, now: float) -> float:
        errors = self._errors
        return errors * exp(-max(0.0, now - self._errors_at) / _ERROR_DECAY) if errors else 0.0

    def _time(self, now: float, outcome: Outcome, latency: float | None, first_token: float | None) -> None:
        whole = max(0.0, latency or 0.0)
        first = whole if first_token is None else max(0.0, first_token)
        pace, seconds = (self._whole, whole) if first_token is None else (self._first, first)
        if outcome == "failure":
            # Whoever fails a call of one kind is no better a choice for the other.
            self._whole.failed(whole, now)
            self._first.failed(first, now)
        elif outcome == "slow":
            pace.failed(seconds, now)
        elif latency is not None or first_token is not None:
            self._hear(pace.answered(seconds, now), now)

    def _hear(self, deviation: float, now: float) -> None:
        weight = min(_NOW_MOST, max(_NOW_LEAST, _part(now - self._heard, _NOW_DECAY)))
        self._deviation += (deviation - self._deviation) * weight
        self._heard = now

    def _count(self, now: float, good: float, samples: int = 1) -> None:
        if now >= self._slice_ends:
            self._turn(now)
        place = self._slice % _SLICES
        self._goods[place] += good
        self._totals[place] += samples
        self._good += good
        self._samples += samples

    def _turn(self, now: float) -> None:
        """Drop the slices that have left the window."""
        current = int(now // _SLICE)
        for step in range(1, min(current - self._slice, _SLICES) + 1):
            place = (self._slice + step) % _SLICES
            self._good -= self._goods[place]
            self._samples -= self._totals[place]
            self._goods[place], self._totals[place] = 0.0, 0
        self._slice = current
        self._slice_ends = (current + 1) * _SLICE


def _faded(level: tuple[float, float, float], now: float) -> float | None:
    normal, peak, since = level
    age = now - since
    if age <= 0.0:
        return peak
    if not normal:
        return peak if age <= _TRIAL_PAUSE else None
    return normal + (peak - normal) * exp(-age / _PEAK_DECAY) if age <= WINDOW else None


def _part(elapsed: float, decay: float) -> float:
    """How much of a mean over time one sample is: half of it after `decay` seconds of silence."""
    return elapsed / (elapsed + decay) if elapsed > 0.0 else 0.0


def report(
    stats: Mapping[str, TargetStats], now: float, state: Callable[[str, float], str] | None = None
) -> dict[str, Health]:
    """The health of every target that was ever called, by its name.

    Args:
        stats: By the target's name.
        now: Monotonic seconds.
        state: Gives the state of a target's breaker, from its name and `now`; "closed" for all when None.
    """
    return {name: own.score(now, "closed" if state is None else state(name, now)) for name, own in stats.items()}

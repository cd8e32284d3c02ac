"""The state machine of a circuit breaker: which call passes, and what its outcome changes. One thread at a time."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from aistrale.reliability.breaker_types import (
    BreakerEvent,
    BreakerSettings,
    BreakerSnapshot,
    Change,
    Outcome,
    Permit,
    Rejected,
    State,
)
from aistrale.reliability.window import Counted, Window

if TYPE_CHECKING:
    import random

_FORCED: Final[dict[str, State]] = {"open": "forced_open", "closed": "forced_closed", "metrics_only": "metrics_only"}
_BY_HAND: Final = frozenset(_FORCED.values())
_SHUT: Final = frozenset({"open", "half_open", "forced_open"})
# Calls in the window up to which `in_a_row` holds as it stands; every doubling of them asks for one more.
_ROW_CALLS: Final = 5
# Exponents beyond it change nothing, as the cap is long reached, and floats do not overflow.
_MAX_EXPONENT: Final = 32
# Seconds after which to look again while a probe is under way: when it will end is not known.
_GLANCE: Final = 1.0
# Added to every wait, in seconds: `now + (until - now)` may round to an instant just before `until`.
_ROUNDING: Final = 1e-6
# Events that wait for a slow listener; the oldest are dropped beyond, so that a stuck one costs no memory.
_BACKLOG: Final = 256


class Circuit:
    """A breaker without its lock: `Breaker` documents what the methods of the same names do.

    Args:
        name: For events and snapshots: the target's name.
        settings: When it opens, for how long, and what closes it.
        rng: Randomness of the opening times.
    """

    __slots__ = (
        "_barred",
        "_generation",
        "_late",
        "_latest",
        "_lease_end",
        "_lost",
        "_name",
        "_openings",
        "_own",
        "_probe",
        "_reason",
        "_rejected",
        "_rng",
        "_row",
        "_since",
        "_state",
        "_streak",
        "_successes",
        "_trickle_at",
        "_until",
        "_window",
        "door",
        "events",
    )

    def __init__(self, name: str, settings: BreakerSettings, rng: random.Random) -> None:
        self._name = name
        self._own = settings
        self._rng = rng
        self._window = Window(settings.window, settings.slices)
        self._latest = 0.0
        self._generation = 0
        self._rejected = self._late = self._lost = self._openings = 0
        self._start_over()
        # The generation while calls pass freely, else None: the one thing that may be read without the lock.
        self.door: int | None = 0
        # What happened and is not told yet.
        self.events: deque[BreakerEvent] = deque(maxlen=_BACKLOG)

    def _start_over(self) -> None:
        self._state: State = "closed"
        self._since: float | None = None
        self._window.clear()
        self._row = 0
        self._streak = 0
        self._successes = 0
        self._reason = ""
        self._until = -math.inf
        # Instants before which nothing passes at all, and before which no trickle does.
        self._barred = -math.inf
        self._trickle_at = -math.inf
        self._probe: Permit | None = None
        self._lease_end = -math.inf

    # --- calls ---

    def admit(self, now: float, *, last: bool, busy: bool, lease: float | None) -> Permit | Rejected:
        """Give a permit, or say when to ask again."""
        if self.door is not None:
            return Permit(self.door, probe=False, last=last and not busy)
        now = self._clock(now)
        self._ripen(now)
        wait = self.ready_in(now, last=last, busy=busy)
        if wait != 0.0:
            self._rejected += 1
            return Rejected(wait, self._reason, now if self._since is None else self._since, self._state)
        if self._spares(now, last=last and not busy) and (self._state == "open" or self._is_probed(now)):
            return Permit(self._generation, probe=False, last=True)
        if self._probe is not None:
            self._lost += 1
        longest = self._own.lease
        self._lease_end = now + (longest if lease is None else max(0.0, min(longest, lease)))
        self._trickle_at = self._next_trickle(now)
        self._probe = permit = Permit(self._generation, probe=True)
        return permit

    def ready_in(self, now: float, *, last: bool, busy: bool) -> float | None:
        """Seconds until a permit may be had; None when never, by hand."""
        if self._state == "forced_open":
            return None
        now = self._clock(now)
        if self._spares(now, last=last and not busy):
            return 0.0
        ready = self._until
        if last and self._own.trickle and self._state == "open":
            ready = min(ready, max(self._trickle_at, self._barred) if busy or self._dead else self._barred)
        wait = ready - now + _ROUNDING if ready > now else 0.0
        if self._is_probed(now):
            wait = max(wait, min(self._lease_end - now + _ROUNDING, _GLANCE))
        return wait

    def _spares(self, now: float, *, last: bool) -> bool:
        """Whether a call that has nowhere else to go passes in spite of an open breaker."""
        if not last or not self._own.trickle or self._state == "forced_open" or now < self._barred:
            return False
        self._window.advance(now)
        return not self._dead

    @property
    def _dead(self) -> bool:
        """Whether nothing has been answered for so long that even the last target is left alone."""
        return self._row >= self._own.last_in_a_row + self._chance

    @property
    def _chance(self) -> float:
        """How much longer a row may be than it is with few calls: the more there are, the longer are rows of chance."""
        return math.log2(max(self._window.calls, _ROW_CALLS) / _ROW_CALLS)

    def _is_probed(self, now: float) -> bool:
        return self._probe is not None and now < self._lease_end

    def settle(self, permit: Permit, outcome: Outcome, now: float) -> None:
        """Take a permit back."""
        if permit.returned:
            return
        permit.returned = True
        if permit.generation != self._generation:
            self._late += 1
            return
        now = self._clock(now)
        if permit.probe:
            # A probe whose lease ran out has lost its place, not its worth as evidence: a provider that needs longer
            # than a lease for every answer would else never be found healthy.
            if self._probe is permit:
                self._probe = None
            if outcome != "ignored":
                self._judge_probe(outcome, now)
        elif outcome != "ignored" and self._state != "forced_closed":
            self._count(outcome, now, last=permit.last)

    def _count(self, outcome: Counted, now: float, *, last: bool) -> None:
        self._window.add(now, outcome)
        if outcome == "success":
            self._row = 0
            return
        self._row += 1
        if self._state == "closed" and self._trips(last=last):
            self._open(outcome, now)

    def _trips(self, *, last: bool) -> bool:
        own, window = self._own, self._window
        if last and own.trickle:
            # Whoever has nowhere else to go is better off with a target that answers now and then than with none.
            return self._dead
        calls = window.calls
        if self._row >= own.in_a_row + self._chance:
            return True
        if calls < own.minimum:
            return False
        return window.failures / calls >= own.rate or window.slow / calls >= own.slow_rate

    def _judge_probe(self, outcome: Counted, now: float) -> None:
        self._ripen(now)
        if outcome == "success":
            self._row = 0
            self._successes += 1
            if self._state == "open":
                # A trickle call found it alive: the rest of the open time is waived.
                self._until = now
                self._ripen(now)
            if self._successes >= self._own.closes_after:
                self._begin("closed", "closed", now)
        elif self._state == "half_open":
            self._open(outcome, now)
        else:
            self._trickle_at = self._next_trickle(now)

    def _next_trickle(self, now: float) -> float:
        return now + self._rng.uniform(0.5, 1.5) * self._own.trickle

    # --- changes of state ---

    def open_until(self, until: float, now: float, reason: str) -> None:
        """Open by authority."""
        now = self._clock(now)
        if not now < until < math.inf or self._state in _BY_HAND:
            return
        self._barred = max(self._barred, until)
        self._ripen(now)
        if self._state != "open":
            self._forgive(now)
            self._until = until
            self._begin("open", "opened", now, reason)
            return
        # A trickle call under way must not shorten what is known by authority.
        self._generation += 1
        self._probe = None
        if until > self._until:
            self._until = until
            self._reason = reason
            self._tell("extended", "open", now, reason)

    def hear_opened(self, until: float, now: float, reason: str, *, told: bool, in_a_row: int = 0) -> None:
        """Another process opened."""
        now = self._clock(now)
        self._ripen(now)
        if not now < until < math.inf or self._state in _BY_HAND:
            return
        # Whoever has nowhere else to go goes by it whether the target answers at all.
        self._row = max(self._row, in_a_row)
        if told:
            self._barred = max(self._barred, until)
        if self._state == "open":
            # One's own judgement stands; what a provider said holds for everybody.
            if told and until > self._until:
                self._generation += 1
                self._probe = None
                self._until, self._reason = until, reason
                self._tell("extended", "open", now, reason, news=True)
            return
        self._forgive(now)
        # As the one who found out counts it, so that all agree on how long the next opening lasts.
        self._streak += not told
        self._until = until
        self._trickle_at = self._next_trickle(now)
        self._begin("open", "opened", now, reason, news=True)

    def hear_closed(self, now: float) -> None:
        """Another process closed."""
        now = self._clock(now)
        if self._state in {"open", "half_open"} and now >= self._barred:
            self._begin("closed", "closed", now, news=True)

    def force(self, state: Literal["open", "closed", "metrics_only"] | None, now: float) -> None:
        """Set the state by hand, or release it."""
        now = self._clock(now)
        if state is None:
            if self._state in _BY_HAND:
                self._begin("closed", "released", now)
        elif _FORCED[state] != self._state:
            self._begin(_FORCED[state], "forced", now, "forced", start_over=True)

    def reset(self, now: float) -> None:
        """Forget everything."""
        self._begin("closed", "reset", self._clock(now), start_over=True)

    def after_fork(self, *, torn: bool) -> None:
        """Forget the parent's calls and untold events, and everything when it was `torn` from the midst of a change."""
        self.events.clear()
        self._generation += 1
        self._probe = None
        if torn:
            self._start_over()
        self.door = None if self._state in _SHUT else self._generation

    def _open(self, outcome: Literal["failure", "slow"], now: float) -> None:
        own = self._own
        self._forgive(now)
        seconds = min(own.cap, own.base * 2.0 ** min(self._streak, _MAX_EXPONENT))
        self._streak += 1
        self._until = now + self._rng.uniform(0.5, 1.5) * seconds
        self._trickle_at = self._next_trickle(now)
        self._begin("open", "opened", now, "slow" if outcome == "slow" else "failures")

    def _forgive(self, now: float) -> None:
        if self._state == "closed" and self._since is not None and now - self._since >= self._own.healthy:
            self._streak = 0

    def _ripen(self, now: float) -> None:
        if self._state == "open" and now >= self._until:
            self._state, self._since = "half_open", now
            self._tell("half_opened", "open", now, self._reason)

    def _begin(
        self, state: State, name: Change, now: float, reason: str = "", *, start_over: bool = False, news: bool = False
    ) -> None:
        before, told = self._state, reason or self._reason
        # First, so that nothing passes on the strength of a generation that is over.
        self.door = None
        self._generation += 1
        self._probe = None
        self._successes = 0
        if start_over:
            self._start_over()
        elif state == "closed":
            self._window.clear()
            self._row = 0
        self._openings += state == "open"
        self._reason = reason
        self._state, self._since = state, now
        if state not in _SHUT:
            self.door = self._generation
        if before != state:
            self._tell(name, before, now, told, news=news)

    def _tell(self, name: Change, before: State, now: float, reason: str, *, news: bool = False) -> None:
        until = self._until if self._state == "open" else None
        self.events.append(
            BreakerEvent(
                name=name,
                before=before,
                after=self._state,
                at=now,
                reason=reason,
                until=until,
                breaker=self._name,
                news=news,
            )
        )

    # --- time ---

    def _clock(self, now: float) -> float:
        latest = self._latest
        if latest <= now < math.inf:
            self._latest = now
            return now
        if latest - now > self._own.window and math.isfinite(now):
            self._set_back(latest - now)
            return now
        return latest

    def _set_back(self, seconds: float) -> None:
        # The window may not have seen the latest instant yet, and takes none of the time before a jump for younger.
        self._window.advance(self._latest)
        self._latest -= seconds
        self._until -= seconds
        self._barred -= seconds
        self._trickle_at -= seconds
        self._lease_end -= seconds
        if self._since is not None:
            self._since -= seconds

    # --- reading ---

    @property
    def mode(self) -> State:
        """The state as last entered, whatever the time."""
        return self._state

    def state(self, now: float) -> State:
        """The state that a call would meet."""
        now = self._clock(now)
        return "half_open" if self._state == "open" and now >= self._until else self._state

    def snapshot(self, now: float) -> BreakerSnapshot:
        """All that it knows."""
        state = self.state(now)
        now = self._clock(now)
        window = self._window
        window.advance(now)
        return BreakerSnapshot(
            name=self._name,
            state=state,
            since=self._since,
            until=self._until if state == "open" else None,
            reason=self._reason,
            calls=window.calls,
            failure_rate=window.failures / (window.calls or 1),
            slow_rate=window.slow / (window.calls or 1),
            in_a_row=self._row,
            generation=self._generation,
            openings=self._openings,
            streak=self._streak,
            probes=int(self._is_probed(now)),
            successes=self._successes,
            rejected=self._rejected,
            late=self._late,
            lost=self._lost,
        )

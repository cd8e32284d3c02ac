"""The circuit breaker of one target: stops calls to a provider that is down, and finds out when it is back.

    closed --trips--> open --time is up, one call--> half_open --2 successes--> closed
                        ^                              |
                        +-------- 1 failure -----------+
    by hand, from any state: forced_open, forced_closed, metrics_only

What passes gets a permit that carries the breaker's generation, and gives it back with its outcome. Each opening and
each closing begins a new generation; outcomes of an older one are counted, but change nothing: a call that was under
way when the breaker opened says nothing about the end of the outage.

`circuit` decides; this file makes it safe between threads, in finalisers and after a fork.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal

from aistrale.reliability.breaker_types import (
    BreakerEvent,
    BreakerSettings,
    BreakerSnapshot,
    Outcome,
    Permit,
    Rejected,
    State,
)
from aistrale.reliability.circuit import Circuit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["Breaker", "BreakerEvent", "BreakerSettings", "BreakerSnapshot", "Outcome", "Permit", "Rejected", "State"]


class Breaker:
    """Decides whether a target may be called. Safe between threads, and inside finalisers and signal handlers.

    While closed, admission takes no lock and looks at no clock. Every `now` is an instant in monotonic seconds; one
    that lies a little in the past counts as the latest one seen, and a clock that was set back by more than the
    window means that no time has passed.

    Args:
        name: For events and snapshots: the target's name.
        settings: When it opens, for how long, and what closes it.
        rng: Randomness of the opening times. Processes must not share its state: seed it anew in a forked child.
        on_event: Called after each change of state, in the order of the changes, one at a time, never under the lock;
            what it raises is dropped. It may call the breaker.
    """

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        rng: random.Random,
        on_event: Callable[[BreakerEvent], object] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self._on_event = on_event
        self._circuit = Circuit(name, settings, rng)
        self._fresh_locks()

    def _fresh_locks(self) -> None:
        # Reentrant, because the garbage collector may run a finaliser anywhere, also under the lock, and finalisers of
        # abandoned streams report. What comes in such a way waits in `_mail` until the change under way is complete.
        self._lock = threading.RLock()
        self._busy = False
        self._mail: deque[Callable[[], None]] = deque()
        self._delivering = threading.Lock()

    # --- calls ---

    def admit(
        self, now: float, *, last: bool = False, busy: bool = False, lease: float | None = None
    ) -> Permit | Rejected:
        """Ask for leave to make one call.

        Args:
            now: Monotonic seconds.
            last: There is no other target to go to: an open breaker lets calls pass as long as some are answered, and
                single ones now and then when none is.
            busy: With `last`: but one will have room soon. Only the single ones pass then.
            lease: Seconds until the call's deadline; a probe holds its place for no longer. None: no deadline.

        Returns:
            A permit, or a fresh `Rejected` that says when to ask again.
        """
        # One read: the state may change at any moment, but this is the generation of a state in which calls passed.
        door = self._circuit.door
        if door is not None:
            return Permit(door, probe=False, last=last and not busy)
        with self._lock:
            if self._busy:
                # A finaliser or signal handler that interrupted a change cannot wait for its end.
                return Rejected(1.0, "busy", now, "half_open")
            self._busy = True
            try:
                answer = self._circuit.admit(now, last=last, busy=busy, lease=lease)
            finally:
                self._busy = False
            self._read_mail()
        self._deliver()
        return answer

    def report(self, permit: Permit, outcome: Outcome, now: float) -> None:
        """Give a permit back with what became of the call. The second report of a permit does nothing.

        Args:
            permit: From `admit` of this breaker.
            outcome: "success"; "failure" of the provider; "slow", which counts in the row and by its own rate, and for
                a probe as a failure; "ignored" for a call that says nothing about the provider: cancelled, out of
                time, refused by the queue, or wrong.
            now: Monotonic seconds.
        """
        with self._lock:
            if self._busy:
                self._mail.append(lambda: self._circuit.settle(permit, outcome, now))
                return
            self._busy = True
            try:
                self._circuit.settle(permit, outcome, now)
            finally:
                self._busy = False
            if self._mail:
                self._read_mail()
        if self._circuit.events:
            self._deliver()

    def ready_in(self, now: float, *, last: bool = False, busy: bool = False) -> float | None:
        """Seconds until `admit` may give a permit: 0 when it would now, None when the breaker was opened by hand."""
        if self._circuit.door is not None:
            return 0.0
        with self._lock:
            return self._circuit.ready_in(now, last=last, busy=busy)

    # --- steering ---

    def open_until(self, until: float, now: float, reason: str) -> None:
        """Open at once, on authoritative news: the provider said until when it will not serve.

        Lasts exactly until then: no jitter, no trickle, and later news never shortens it. What is in flight changes
        nothing any more. Has no effect in a state that was set by hand.

        Args:
            until: Monotonic seconds. An instant that is past or not finite is no news.
            now: Monotonic seconds.
            reason: In a word: "quota", "auth", "retry_after".
        """
        self._change(lambda: self._circuit.open_until(until, now, reason))

    def hear_opened(self, until: float, now: float, reason: str, *, told: bool, in_a_row: int = 0) -> None:
        """Another process that shares state found out; the event says `news`. No effect in a state set by hand.

        Args:
            until: Monotonic seconds of this process. An instant that is past or not finite is no news.
            now: Monotonic seconds.
            reason: The other one's.
            told: Whether the provider said so: then it holds as in `open_until`. Else it is another one's judgement,
                which an open breaker does not heed.
            in_a_row: How many calls of the other one had failed in a row.
        """
        self._change(lambda: self._circuit.hear_opened(until, now, reason, told=told, in_a_row=in_a_row))

    def hear_closed(self, now: float) -> None:
        """Another process found it healthy; no effect before an instant that the provider named, or on what was forced.

        Args:
            now: Monotonic seconds.
        """
        self._change(lambda: self._circuit.hear_closed(now))

    def force(self, state: Literal["open", "closed", "metrics_only"] | None, now: float) -> None:
        """Set the state by hand, or release it.

        Args:
            state: "open": nothing passes. "closed": all passes, nothing is counted. "metrics_only": all passes and is
                counted. None: back to automatic, closed, with nothing counted; no effect when nothing was forced.
            now: Monotonic seconds.
        """
        self._change(lambda: self._circuit.force(state, now))

    def reset(self, now: float) -> None:
        """Back to closed from any state, with nothing counted and nothing remembered.

        Args:
            now: Monotonic seconds.
        """
        self._change(lambda: self._circuit.reset(now))

    def after_fork(self) -> None:
        """Make it fit for the child: new locks, none of the parent's calls in flight.

        What was learned about the target stays, the window and an open state too: the provider is as ill for the child
        as for the parent. Only where a thread of the parent stood in the midst of a change, nothing of it can be
        trusted, and the child starts closed.
        """
        torn = self._busy
        self._fresh_locks()
        self._circuit.after_fork(torn=torn)

    # --- reading ---

    def state(self, now: float) -> State:
        """The state that a call at `now` would meet: "half_open" from the instant on at which a probe may go.

        Takes no lock while calls pass freely.
        """
        if self._circuit.door is not None:
            return self._circuit.mode
        with self._lock:
            return self._circuit.state(now)

    def snapshot(self, now: float) -> BreakerSnapshot:
        """All that it knows at `now` (monotonic seconds), of one instant."""
        with self._lock:
            return self._circuit.snapshot(now)

    # --- one change at a time, and its events after it ---

    def _change(self, change: Callable[[], None]) -> None:
        with self._lock:
            self._mail.append(change)
            if self._busy:
                return
            self._read_mail()
        self._deliver()

    def _read_mail(self) -> None:
        while self._mail:
            self._busy = True
            try:
                # A finaliser may have come in before the line above, and read all of it.
                if self._mail:
                    self._mail.popleft()()
            finally:
                self._busy = False

    def _deliver(self) -> None:
        # Whoever comes while another thread delivers leaves its events to that one, which looks again at its end. So
        # nobody waits for a listener, and a listener that calls the breaker is not called inside itself.
        # The lock is looked up once, since a listener that forks finds another in the child when it comes back.
        events, delivering = self._circuit.events, self._delivering
        while events and delivering.acquire(blocking=False):
            try:
                while events:
                    self._notify(events.popleft())
            finally:
                delivering.release()

    def _notify(self, event: BreakerEvent) -> None:
        if self._on_event is not None:
            with contextlib.suppress(Exception):
                self._on_event(event)

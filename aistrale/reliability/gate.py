"""The gate of one target: at most so many calls under way, so many requests and tokens a minute, the others in line.

It never sleeps and starts nothing. A call that may not go gets a place in the line; `poll` says how long to wait before
asking again, and the callback that came with the call ends the wait early. Whoever comes or goes moves the line on.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from aistrale.reliability.admission import Admission
from aistrale.reliability.limits import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.core.call import Priority
    from aistrale.dialects.headers import RateLimits
    from aistrale.errors import QueueFull, QueueTimeout
    from aistrale.reliability.admission import Outcome
    from aistrale.reliability.leased import Lessor
    from aistrale.reliability.line import Ticket, Wake
    from aistrale.reliability.rates import Amounts

T = TypeVar("T")

# Seconds between two readings of a provider's rate-limit headers.
_LISTEN: Final = 0.1

_Departure: TypeAlias = "tuple[Ticket, float, Outcome, tuple[int | None, int | None, int]]"


@dataclass(slots=True, frozen=True)
class GateSnapshot:
    """The state of a gate at one instant.

    Args:
        in_flight: Calls under way.
        limit: Most calls under way now; None for no limit.
        waiting: Calls in line.
        blocked: Seconds until the provider's announced pause is over; 0.0 when there is none.
        expected_wait: Seconds that a call of normal priority is expected to wait; None when nobody can know.
        left: What may be used at once of requests, tokens, input_tokens, output_tokens, as far as they are limited.
    """

    in_flight: int
    limit: int | None
    waiting: int
    blocked: float
    expected_wait: float | None
    left: dict[str, float]


class Gate:
    """Admission to one target, shared by all threads and event loops.

    Args:
        name: The target, for messages.
        settings: The limits.
        lessor: Shares the rates with other processes; None where they are this one's alone.
    """

    __slots__ = ("_departures", "_heard", "_lock", "_state", "lessor", "name", "settings")

    def __init__(self, name: str, settings: LimitSettings | None = None, lessor: Lessor | None = None) -> None:
        self.name = name
        self.settings = settings or LimitSettings()
        self.lessor = lessor
        self._lock = threading.Lock()
        self._state = Admission(name, self.settings, None if lessor is None else lessor.bucket)
        self._departures: deque[_Departure] = deque()
        self._heard = -math.inf

    def after_fork(self) -> None:
        """In a forked child: forget who waits and what is under way; it is the parent's. What was learned stays."""
        self._lock = threading.Lock()
        self._departures = deque()
        self._state.forget()

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._state.in_flight

    @property
    def limit(self) -> int | None:
        """Most calls under way now; None for no limit."""
        limit = self._state.limit
        return None if limit == math.inf else int(limit)

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return self._state.line.count

    @property
    def counts_tokens(self) -> bool:
        """Whether it makes a difference how many tokens a call needs."""
        return self._state.rates.counts_tokens

    def expected_wait(
        self, now: float, priority: Priority = "normal", tokens_in: int = 0, tokens_out: int | None = None
    ) -> float | None:
        """Seconds that a call which comes now is expected to wait; None when it has to and nobody can know."""
        with self._lock:
            state = self._state
            most, _ = state.rates.amounts(tokens_in, tokens_out)
            expected = state.expect(state.line.ahead(state.line.key(priority, now)), most, now)
        self._after(())
        return expected

    def snapshot(self, now: float) -> GateSnapshot:
        """The state at one instant."""
        expected = self.expected_wait(now)
        with self._lock:
            state = self._state
            blocked = max(state.blocked_until - now, 0.0)
            left = state.rates.left(now)
            snapshot = GateSnapshot(state.in_flight, self.limit, state.line.count, blocked, expected, left)
        self._after(())
        return snapshot

    # --- in --------------------------------------------------------------------------------------------------------

    def admit(
        self, *, priority: Priority = "normal", tokens_in: int = 0, tokens_out: int | None = None, now: float
    ) -> Ticket | None:
        """Let a call through if it may go at once; the usual way in, and a cheap one.

        Args:
            priority: Whom it may pass.
            tokens_in: Estimated input tokens.
            tokens_out: Most output tokens; None when the call sets no limit, 0 when it has no output.
            now: Monotonic seconds.
        """
        tokens = (tokens_in, tokens_out)
        woken: list[Wake] = []
        state = self._state
        with self._lock:
            ticket = state.pass_through(self, tokens, now)
            if ticket is None and state.line.count and state.in_flight < state.limit and now >= state.blocked_until:
                # It may go before those that wait, if its priority is higher.
                ticket = state.join(self, priority=priority, tokens=tokens, until=math.inf, now=now, woken=woken)
                if not ticket.admitted:
                    state.drop(ticket, now, woken)
                    ticket = None
        if woken or self._departures:
            self._after(woken)
        return ticket

    def enter(
        self,
        wake: Wake,
        *,
        priority: Priority = "normal",
        tokens_in: int = 0,
        tokens_out: int | None = None,
        now: float,
        wait: float | None = None,
    ) -> Ticket:
        """Let a call through, or give it a place in the line.

        Args:
            wake: Ends the call's wait; called from any thread, when its ticket was admitted, has expired, or has become
                the next, for which `poll` gives a new time to wait. Must not raise.
            priority: Whom it may pass.
            tokens_in: Estimated input tokens.
            tokens_out: Most output tokens; None when the call sets no limit, 0 when it has no output.
            now: Monotonic seconds.
            wait: How many seconds it may wait; 0 for not at all, None for as long as it takes.

        Raises:
            QueueFull: The line is full.
            QueueTimeout: It would have to wait, and may not or not for that long.
        """
        woken: list[Wake] = []
        refusal: QueueFull | QueueTimeout | None = None
        until = math.inf if wait is None else now + max(wait, 0.0)
        with self._lock:
            ticket = self._state.join(
                self, priority=priority, tokens=(tokens_in, tokens_out), until=until, now=now, woken=woken
            )
            if not ticket.admitted:
                refusal = self._state.refusal(ticket, wait, now)
                if refusal is not None:
                    self._state.drop(ticket, now, woken)
            ticket.wake = wake
        self._after(woken)
        if refusal is not None:
            raise refusal
        return ticket

    def poll(self, ticket: Ticket, now: float) -> float:
        """Look after a call that waits.

        Returns:
            Seconds to wait, unless woken, before polling again; 0.0 when it has been admitted.

        Raises:
            QueueTimeout: It has waited as long as it may; it has left the line.
        """
        woken: list[Wake] = []
        with self._lock:
            pause = self._state.look(ticket, now, woken)
            error = None if pause or ticket.admitted else self._state.expired(ticket, now)
        self._after(woken)
        if error is not None:
            raise error
        return pause

    # --- out -------------------------------------------------------------------------------------------------------

    def leave(
        self,
        ticket: Ticket,
        now: float,
        *,
        outcome: Outcome,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cached: int = 0,
    ) -> None:
        """Give a place back, in flight or in the line; safe in finalizers, only the first time counts.

        What was reserved is replaced by what was used. Where that is not known: an unsent call used nothing, a
        successful one what was reserved, any other one its request and its input.

        Args:
            ticket: The call's.
            now: Monotonic seconds.
            outcome: How the call ended.
            tokens_in: Input tokens used, those read from the provider's cache included.
            tokens_out: Output tokens used.
            cached: Input tokens read from the provider's cache, which limits of input do not count (Anthropic, "Rate
                limits").
        """
        tokens = (tokens_in, tokens_out, cached)
        # A garbage collection may run this in the middle of another method of this thread, which holds the lock. Who
        # holds it sees to the departures before it is done. (A plain lock has no owner that could be asked.)
        if self._lock.locked():
            self._departures.append((ticket, now, outcome, tokens))
            self._after(())
            return
        woken: list[Wake] = []
        with self._lock:
            self._state.depart(ticket, now, outcome, tokens, woken)
        if woken or self._departures:
            self._after(woken)

    def throttled(self, seconds: float, now: float) -> None:
        """The provider asks everybody to wait; nothing is let through before.

        Those in line that cannot wait for so long are let go at once.

        Args:
            seconds: From now; what makes no sense is ignored, ten minutes are the most that is believed.
            now: Monotonic seconds.
        """
        if not seconds > 0.0:
            return
        woken: list[Wake] = []
        with self._lock:
            self._state.block(seconds, now, woken)
        self._after(woken)

    def listens(self, now: float) -> bool:
        """Whether it is time to read what an answer's headers say; in between it counts by itself.

        Reading them costs more than all else that a gate does. Claims the reading for the one who asks.
        """
        if now - self._heard < _LISTEN:
            return False
        self._heard = now
        return True

    def headers(self, limits: RateLimits, now: float, ticket: Ticket | None = None) -> None:
        """The provider says what is left of its limits.

        Args:
            limits: Its words.
            now: Monotonic seconds.
            ticket: The call that brought them.
        """
        woken: list[Wake] = []
        with self._lock:
            self._state.rates.correct(limits, None if ticket is None else ticket.marks, now)
            if self._state.line.count:
                self._state.move(now, woken)
        self._after(woken)

    # --- limits that are shared ------------------------------------------------------------------------------------

    def most(self, tokens_in: int, tokens_out: int | None) -> Amounts:
        """The most that a call may use, as its limits count it."""
        with self._lock:
            most, _ = self._state.rates.amounts(tokens_in, tokens_out)
        self._after(())
        return most

    def lacks(self, ticket: Ticket, now: float) -> bool:
        """Whether a call that waits is held up by nothing but what has yet to be leased."""
        lessor = self.lessor
        with self._lock:
            lacking = self._state.next_up(ticket, now) and lessor is not None and lessor.lacks(ticket.most, now)
        self._after(())
        return lacking

    def with_rates(self, work: Callable[[], T], now: float) -> T:
        """Do something short with the leased buckets under the lock, and move the line on; what it gives."""
        woken: list[Wake] = []
        with self._lock:
            result = work()
            if self._state.line.count:
                self._state.move(now, woken)
        self._after(woken)
        return result

    def _after(self, woken: Iterable[Wake]) -> None:
        """What every method does when it has let go of the lock: wake, and see to those who left meanwhile."""
        _wake(woken)
        # While somebody holds the lock, it is for him to see to them when he comes here.
        while self._departures and not self._lock.locked():
            more: list[Wake] = []
            with self._lock:
                while self._departures:
                    # Removed only when done with: a second time does nothing.
                    self._state.depart(*self._departures[0], more)
                    self._departures.popleft()
            _wake(more)


def _wake(callbacks: Iterable[Wake]) -> None:
    for callback in callbacks:
        # One that breaks its promise must not keep the others asleep.
        with contextlib.suppress(Exception):
            callback()

"""Single flight: of the calls that ask for the same at the same time one asks, and the others get its answer.

    join --nobody asks--> leading --answered--> all others: landed
      |                      |-----unshared--> all others: alone
      |                      |-----failed----> 1, then 2, then 4, ... of the others: leading
      |                      '----cancelled--> 1 of the others: leading
      '--somebody asks--> waiting

A leader that fails says little about the next one (its deadline, its connection), so another takes over; that one more
try at a time would keep the last of many waiting for long, hence their number doubles with each round of failures. An
answer that must not be shared sends the others off at once: they would have asked side by side without this, too.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.core.exclusive import Exclusive

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = Literal["waiting", "leading", "landed", "alone"]
Outcome: TypeAlias = Literal["answered", "unshared", "failed", "cancelled"]


class Seat:
    """One call's place in a flight.

    `state` says what the call has to do: wait, ask for all ("leading"), take `value` ("landed"), or ask for itself
    ("alone").
    """

    __slots__ = ("flight", "state", "thread", "value", "wake")

    def __init__(self, flight: Flight | None, state: State, wake: Callable[[], None]) -> None:
        self.flight = flight
        self.state: State = state
        self.wake = wake
        self.value: bytes | None = None
        self.thread = threading.get_ident()


class Flight:
    """Who asks, and who waits, for one key."""

    __slots__ = ("key", "leaders", "next_leaders", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.leaders: list[Seat] = []
        self.waiting: deque[Seat] = deque()
        self.next_leaders = 1


class Flights:
    """The flights of one client; shared by its threads, tasks and event loops."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Forget everything: who asks in the parent answers nobody here."""
        self._exclusive = Exclusive()
        self._flights: dict[str, Flight] = {}
        self._due: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: str, wake: Callable[[], None], *, lead: bool = True, blocking: bool = False) -> Seat:
        """Take a seat.

        Args:
            key: What is asked for.
            wake: Called, from any thread, once a seat that waits no longer has to.
            lead: Whether the call may ask for others; one that may not is "alone" where nobody asks.
            blocking: Whether the call blocks its thread while it waits: it does not wait for a leader in that very
                thread, a task of an event loop that would never run.
        """
        seat = self._exclusive.run(lambda: self._join(key, wake, lead=lead, blocking=blocking))
        self._ring()
        return seat

    def board(self, seat: Seat) -> State:
        """Stop waiting: what the call has to do now; "alone" where its wait came to nothing."""
        state: State = self._exclusive.run(lambda: self._board(seat))
        self._ring()
        return state

    def land(self, seat: Seat, outcome: Outcome, value: bytes | None = None) -> None:
        """Tell what became of the call; from finalizers too. It gives up a seat that waits.

        Args:
            seat: Whose; of one that was not leading nobody expects anything.
            outcome: "answered": `value` is for all. "unshared": there is an answer, for the leader alone. "failed".
                "cancelled": the leader's own end, which says nothing about the provider.
            value: The answer.
        """
        self._exclusive.post(lambda: self._land(seat, outcome, value))
        self._ring()

    def _join(self, key: str, wake: Callable[[], None], *, lead: bool, blocking: bool) -> Seat:
        flight = self._flights.get(key)
        if flight is None:
            if not lead:
                return Seat(None, "alone", wake)
            flight = self._flights[key] = Flight(key)
            seat = Seat(flight, "leading", wake)
            flight.leaders.append(seat)
            return seat
        seat = Seat(flight, "waiting", wake)
        if blocking and any(leader.thread == seat.thread for leader in flight.leaders):
            seat.state = "alone"
        else:
            flight.waiting.append(seat)
        return seat

    def _board(self, seat: Seat) -> State:
        if seat.state == "waiting" and seat.flight is not None:
            seat.flight.waiting.remove(seat)
            seat.state = "alone"
        return seat.state

    def _land(self, seat: Seat, outcome: Outcome, value: bytes | None) -> None:
        flight = seat.flight
        if flight is None or seat.state != "leading":
            self._board(seat)
            return
        seat.state = "alone"
        flight.leaders.remove(seat)
        if outcome in {"answered", "unshared"}:
            self._end(flight, "landed" if outcome == "answered" else "alone", value)
        elif outcome == "cancelled":
            self._promote(flight, 1)
        elif not flight.leaders:
            self._promote(flight, flight.next_leaders)
            flight.next_leaders *= 2
        if not flight.leaders and self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _end(self, flight: Flight, state: State, value: bytes | None) -> None:
        """Send off everybody who waits. Leaders beside the first go on, for themselves."""
        while flight.waiting:
            self._call(flight.waiting.popleft(), state, value)
        for leader in flight.leaders:
            leader.state = "alone"
        flight.leaders.clear()

    def _promote(self, flight: Flight, number: int) -> None:
        while flight.waiting and number > 0:
            seat = flight.waiting.popleft()
            flight.leaders.append(seat)
            self._call(seat, "leading", None)
            number -= 1

    def _call(self, seat: Seat, state: State, value: bytes | None) -> None:
        seat.state, seat.value = state, value
        self._due.append(seat.wake)

    def _ring(self) -> None:
        """Wake who was called, with no lock held."""
        while True:
            try:
                wake = self._due.popleft()
            except IndexError:
                return
            wake()

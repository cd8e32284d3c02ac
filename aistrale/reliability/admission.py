"""Who may go to one target and who waits: the decisions, without locks and callbacks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from aistrale.errors import QueueFull, QueueTimeout
from aistrale.reliability.limits import Aimd, default_concurrency
from aistrale.reliability.line import Line, Ticket
from aistrale.reliability.rates import NOTHING, ONE_REQUEST, Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.core.call import Priority
    from aistrale.reliability.gate import Gate
    from aistrale.reliability.limits import LimitSettings, TokenBucket
    from aistrale.reliability.line import Wake
    from aistrale.reliability.rates import Amounts

Outcome: TypeAlias = Literal["success", "dropped", "failed", "cancelled", "unsent"]
"""How a call ended: "dropped": throttled, or not answered in time; "unsent": nothing of it reached the provider."""

_Refused = TypeVar("_Refused", QueueFull, QueueTimeout)

# Longest announced pause that is kept, in seconds. Beyond it the next call asks again; a provider that means hours
# speaks of a quota, which is not the gate's.
_LONGEST_PAUSE: Final = 600.0
# A wait is looked after at least this often, in seconds: whatever goes wrong with a wake-up (its event loop is stuck,
# an interrupt came between) delays a call and does not lose it.
_PATROL: Final = 5.0
# Shortest wait, in seconds: a sum of floats may fall just short of the instant that it was computed for.
_SHORTEST: Final = 0.001
# Weight of the newest call in the average service time.
_WEIGHT: Final = 0.2
_HINT: Final = "Send fewer calls at once, raise the limits, or add a target to the route."


class Admission:
    """The state of a gate. Not safe between threads: the gate holds the lock.

    Methods that may wake somebody append the callbacks to `woken`, to be run when the lock is free.

    Args:
        name: The target, for messages.
        settings: The limits.
        bucket: As for Rates.
    """

    __slots__ = (
        "_aimd",
        "_looks_at",
        "_name",
        "_next",
        "_service",
        "_settings",
        "blocked_until",
        "epoch",
        "in_flight",
        "limit",
        "line",
        "rates",
    )

    def __init__(
        self, name: str, settings: LimitSettings, bucket: Callable[[str, float, float], TokenBucket] | None = None
    ) -> None:
        self._name = name
        self._settings = settings
        self._aimd: Aimd | None = None
        self.limit: float = math.inf
        """Most calls under way."""
        if settings.concurrency == "auto":
            most = max(settings.min_concurrency, settings.max_concurrency or default_concurrency())
            self._aimd = Aimd(most, settings.min_concurrency, settings.decrease)
            self.limit = most
        elif settings.concurrency is not None:
            self.limit = settings.concurrency
        self.rates = Rates(settings, bucket)
        self.blocked_until = -math.inf
        """Nobody goes before; monotonic seconds."""
        self._service: float | None = None
        self.epoch = 0
        """Counts the processes that this state was inherited by."""
        self.forget()

    def forget(self) -> None:
        """Nobody waits or is under way; what was learned stays."""
        self.epoch += 1
        self.in_flight = 0
        self.line = Line(self._settings.ageing)
        # The first in line, and when it will look at the clock for all.
        self._next: Ticket | None = None
        self._looks_at = math.inf
        self.rates.forget()

    # --- in --------------------------------------------------------------------------------------------------------

    def pass_through(self, gate: Gate, tokens: tuple[int, int | None], now: float) -> Ticket | None:
        """Let a call through if nobody waits and nothing holds it up; None otherwise.

        Args:
            gate: The ticket's.
            tokens: Input, and most output or None.
            now: Monotonic seconds.
        """
        if self.in_flight >= self.limit or now < self.blocked_until or self.line.count:
            return None
        rates = self.rates
        if not rates.limiting:
            ticket = Ticket(gate, self.epoch, now, ONE_REQUEST, ONE_REQUEST)
        else:
            most, usual = rates.amounts(*tokens)
            if rates.delay(most, usual, now) > 0.0:
                return None
            ticket = Ticket(gate, self.epoch, now, most, usual)
            ticket.marks = rates.take(most, usual, now)
        # One statement wherever a place changes hands, so that no interrupt parts the two.
        self.in_flight, ticket.state = self.in_flight + 1, "admitted"
        return ticket

    def join(
        self,
        gate: Gate,
        *,
        priority: Priority,
        tokens: tuple[int, int | None],
        until: float,
        now: float,
        woken: list[Wake],
    ) -> Ticket:
        """Put a call in line, and move it on.

        Args:
            gate: The ticket's.
            priority: Whom it may pass.
            tokens: Input, and most output or None.
            until: How long it may wait, in monotonic seconds.
            now: Monotonic seconds.
            woken: Gets callbacks.
        """
        ticket = Ticket(gate, self.epoch, now, *self.rates.amounts(*tokens))
        ticket.until = until
        self.line.add(ticket, priority, now)
        self.move(now, woken, ticket)
        return ticket

    def move(self, now: float, woken: list[Wake], asking: Ticket | None = None) -> None:
        """Let through whoever may go, and see to it that the next in line looks at the clock.

        Args:
            now: Monotonic seconds.
            woken: Gets callbacks.
            asking: The call that asks; it needs no waking.
        """
        line = self.line
        pause = math.inf
        while (head := line.head()) is not None:
            if head.until < now:
                self._expire(head, woken)
                continue
            pause = self._pause(head, now)
            if pause > 0.0:
                break
            self._let_in(head, now)
            line.remove(head)
            if head.wake is not None and head is not asking:
                woken.append(head.wake)
        if head is not self._next:
            self._next, self._looks_at = head, math.inf
        if head is not None and head is not asking and now + pause < self._looks_at - _SHORTEST:
            self._looks_at = now
            if head.wake is not None:
                woken.append(head.wake)

    def look(self, ticket: Ticket, now: float, woken: list[Wake]) -> float:
        """How long a call should wait before it looks again; 0.0 when it waits no more."""
        if ticket.state != "waiting":
            return 0.0
        if ticket.epoch != self.epoch:
            ticket.state = "expired"
            return 0.0
        self.move(now, woken, ticket)
        if ticket.state == "waiting" and now >= ticket.until:
            self.drop(ticket, now, woken)
            ticket.state = "expired"
        if ticket.state != "waiting":
            return 0.0
        pause = self._pause(ticket, now) if ticket is self._next else math.inf
        pause = max(min(pause, ticket.until - now, _PATROL), _SHORTEST)
        if ticket is self._next:
            self._looks_at = now + pause
        return pause

    def _pause(self, ticket: Ticket, now: float) -> float:
        """Seconds until time alone lets a call through; 0.0 for now, infinite while every place is taken."""
        if self.in_flight >= self.limit:
            return math.inf
        blocked = self.blocked_until - now
        delay = self.rates.delay(ticket.most, ticket.usual, now)
        return max(delay, blocked)

    def _let_in(self, ticket: Ticket, now: float) -> None:
        if self.rates.limiting:
            ticket.marks = self.rates.take(ticket.most, ticket.usual, now)
        ticket.since = now
        self.in_flight, ticket.state = self.in_flight + 1, "admitted"

    def next_up(self, ticket: Ticket, now: float) -> bool:
        """Whether nothing but rates can hold a call up: it is the first in line, and there is a place for it."""
        return ticket is self._next and self.in_flight < self.limit and now >= self.blocked_until

    # --- out -------------------------------------------------------------------------------------------------------

    def _expire(self, ticket: Ticket, woken: list[Wake]) -> None:
        ticket.state = "expired"
        self.line.remove(ticket)
        if ticket.wake is not None:
            woken.append(ticket.wake)

    def drop(self, ticket: Ticket, now: float, woken: list[Wake]) -> None:
        """Take a call out of the line, and move it on."""
        ticket.state = "left"
        self.line.remove(ticket)
        self.move(now, woken)

    def depart(
        self,
        ticket: Ticket,
        now: float,
        outcome: Outcome,
        tokens: tuple[int | None, int | None, int],
        woken: list[Wake],
    ) -> None:
        """Take a ticket back; only the first time counts.

        Args:
            ticket: The call's.
            now: Monotonic seconds.
            outcome: How the call ended.
            tokens: Input, output, and how much of the input came from the provider's cache; None for what is not known.
            woken: Gets callbacks.
        """
        state = ticket.state
        if ticket.epoch != self.epoch:
            ticket.state = "left"
        elif state == "waiting":
            self.drop(ticket, now, woken)
        elif state == "admitted":
            self.in_flight, ticket.state = self.in_flight - 1, "left"
            self._learn(ticket.since, now, outcome)
            if ticket.marks is not None:
                if outcome == "success" and tokens[1]:
                    self.rates.learn(tokens[1])
                self.rates.settle(ticket.most, ticket.usual, ticket.marks, _used(ticket.most, outcome, *tokens), now)
                if self.in_flight == 0:
                    self.rates.forget()  # no drift of rounding
            if self.line.count:
                self.move(now, woken)

    def _learn(self, since: float, now: float, outcome: Outcome) -> None:
        """Heed the end of a call that is no longer counted as under way."""
        aimd = self._aimd
        if outcome == "success":
            took, service = now - since, self._service
            self._service = took if service is None else service + _WEIGHT * (took - service)
            if aimd is not None and aimd.limit < aimd.maximum:
                aimd.success(self.in_flight + 1, since, now)
                self.limit = aimd.limit
        elif outcome == "dropped" and aimd is not None:
            aimd.drop(self.in_flight + 1, since, now)
            self.limit = aimd.limit

    def block(self, seconds: float, now: float, woken: list[Wake]) -> None:
        """Let nobody through for a while, and those go at once who cannot wait for so long."""
        self.blocked_until = max(self.blocked_until, now + min(seconds, _LONGEST_PAUSE))
        for ticket in [ticket for ticket in self.line if ticket.until < self.blocked_until]:
            self._expire(ticket, woken)
        self.move(now, woken)

    # --- refusals --------------------------------------------------------------------------------------------------

    def expect(self, ahead: Sequence[float], most: Amounts, now: float) -> float | None:
        """When a call's turn comes, if those ahead use what they usually do and answers take as long as the last.

        Args:
            ahead: What those before it use together; the first number is how many they are.
            most: The most that the call may use.
            now: Monotonic seconds.

        Returns:
            Seconds; None when a place must come free and no call has ended yet to tell how long that takes.
        """
        pause = max(self.blocked_until - now, self.rates.delay(most, most, now, ahead), 0.0)
        missing = ahead[0] + 1.0 - (self.limit - self.in_flight)
        if missing <= 0.0:
            return pause
        return None if self._service is None else max(pause, missing * self._service / self.limit)

    def refusal(self, ticket: Ticket, wait: float | None, now: float) -> QueueFull | QueueTimeout | None:
        """Why a call that just joined the line must not stay there."""
        waiting = self.line.count - 1
        ahead = [one - own for one, own in zip(self.line.ahead(ticket.key), ticket.usual, strict=True)]
        if waiting >= self._settings.queue:
            return self._error(QueueFull, f"the queue is full: {waiting} calls wait", ahead, ticket, now)
        if wait is None:
            return None
        if wait <= 0.0:
            return self._error(QueueTimeout, f"it cannot go at once; {waiting} calls wait", ahead, ticket, now)
        # What calls under way have reserved and do not use comes back, so that only a wait without it is certain.
        certain = self.rates.delay(ticket.most, ticket.usual, now, ahead, refunds=True)
        certain = max(certain, self.blocked_until - now)
        if certain <= wait:
            return None
        text = (
            f"its turn would come in {certain:.3g} s at the earliest, position {ahead[0] + 1:.0f} of {waiting + 1}, "
            f"and it may wait for {wait:.3g} s"
        )
        return self._error(QueueTimeout, text, ahead, ticket, now)

    def expired(self, ticket: Ticket, now: float) -> QueueTimeout:
        """The error of a call that is no longer in line."""
        ahead = self.line.ahead(ticket.key)
        text = f"waited {now - ticket.since:.3g} s, position {ahead[0] + 1:.0f} of {self.line.count + 1}"
        return self._error(QueueTimeout, text, ahead, ticket, now)

    def _error(self, kind: type[_Refused], text: str, ahead: Sequence[float], ticket: Ticket, now: float) -> _Refused:
        if now < self.blocked_until:
            reason = f"the provider asked to wait for another {self.blocked_until - now:.3g} s"
        elif self.in_flight >= self.limit:
            reason = f"{self.in_flight} calls are under way, the limit is {self.limit}"
        else:
            reason = self.rates.spent(ticket.most, ticket.usual, now) or "others are before it"
        expected = self.expect(ahead, ticket.most, now)
        return kind(
            f"{text}; {reason}; expected wait: {'not known' if expected is None else f'{expected:.3g} s'}",
            provider=self._name.partition("/")[0],
            target=self._name,
            expected_wait=expected,
            hint=_HINT,
        )


def _used(
    most: Amounts, outcome: Outcome, tokens_in: int | None, tokens_out: int | None, cached: int
) -> Amounts | None:
    """What a call used, as far as is known; None for what was reserved."""
    if tokens_in is None and tokens_out is None and outcome == "success":
        return None
    if outcome == "unsent":
        return NOTHING
    used_in = most[2] if tokens_in is None else tokens_in
    used_out = (most[3] if outcome == "success" else 0.0) if tokens_out is None else tokens_out
    return (1.0, used_in + used_out, used_in - cached, used_out)

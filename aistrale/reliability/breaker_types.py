"""What a circuit breaker is set up with, what it gives, and what it tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aistrale.errors import ConfigurationError

State: TypeAlias = Literal["closed", "open", "half_open", "forced_open", "forced_closed", "metrics_only"]
Outcome: TypeAlias = Literal["success", "failure", "slow", "ignored"]
Change: TypeAlias = Literal["opened", "extended", "half_opened", "closed", "forced", "released", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens, for how long, and what closes it.

    How often chance opens the default one for a provider that fails at random, in openings per 1,000 calls, as
    simulated (`tests/reliability/test_breaker_chance.py` holds the rules to it):

        calls in 30 s    failing 1 %      5 %     10 %     30 %
                    5          0.004      0.4      2.5       42
                   12              0     0.04      0.5       20
                  100              0        0        0      0.1
                1,000              0        0        0    0.001

    The first calls into an empty window weigh most: of 1,000 calls at 30 % a third of all breakers open once, at 5 %
    one in a thousand.

    Args:
        window: Seconds of the past that the rates are taken over, more than 0. 30: Polly's sampling duration.
        slices: Slices of the window, 1 to 1,000; one leaves as a whole. 10: Polly and failsafe-go.
        minimum: Calls in the window below which no rate trips, at least 1. 5: Finagle and litellm; the usual 100
            (resilience4j, Polly) is never reached by a process that makes a call every other second.
        rate: Share of failed calls in the window that trips, more than 0 to 1. 0.5: resilience4j and litellm.
        in_a_row: Failed or slow calls in a row that trip, at least 1, whatever the window holds. Each doubling of the
            calls in the window beyond 5 asks for one more, since chance makes longer runs the more calls there are: 4
            from 6 calls on, 5 from 11, 11 from 641. 3: an outage is left after three wasted calls.
        last_in_a_row: The same for calls that have no other target to go to; for them it is the only rule, since a
            target that answers now and then is better than none. 8: in 1,000 calls chance opens it for 0.3 % of the
            processes whose provider fails 30 % at random (at 0.4 calls a second; for none at 100), and the simulated
            herds are served again as soon as with 3.
        slow_rate: Share of slow calls in the window that trips, more than 0 to 1. 0.8: slow calls mostly answer, so
            fewer of them are no reason to go elsewhere; at resilience4j's 1.0 one quick answer would hide the rest.
        base: Seconds that the first opening lasts, more than 0, times a random factor between 0.5 and 1.5 so that
            processes do not probe together; doubles with every opening. 5: Polly and Finagle.
        cap: Longest opening in seconds, before that factor; at least `base`. 300: Finagle and Envoy.
        healthy: Seconds closed after which the next opening starts at `base` again, at least 0. 60.
        closes_after: Successes in half-open that close, at least 1. 2: one may be luck while a provider recovers.
        lease: Longest time in seconds that a probe holds its place, more than 0; the call's own deadline shortens it.
            A probe that is never reported thus blocks no other for longer. 60.
        trickle: Least seconds, times a random factor between 0.5 and 1.5, between single calls that pass an open
            breaker when there is no other target to go to; 0 lets none through. 3: in a simulation of 1,000 processes
            with 0.4 calls a second each and an outage of 90 s, the herd was served again 2 to 12 s after its end,
            having sent 0.5 attempts a call meanwhile, or 0.9 where calls wait for their turn; at 1 the waiting ones
            send as many as without a breaker, at 5 recovery takes up to 20 s.
    """

    window: float = 30.0
    slices: int = 10
    minimum: int = 5
    rate: float = 0.5
    in_a_row: int = 3
    last_in_a_row: int = 8
    slow_rate: float = 0.8
    base: float = 5.0
    cap: float = 300.0
    healthy: float = 60.0
    closes_after: int = 2
    lease: float = 60.0
    trickle: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: A value lies outside its range; names the field and the range.
        """
        positive = "a finite number more than 0"
        share = "a number more than 0, at most 1"
        count = "a whole number, at least 1"
        for field, valid, wanted in (
            ("window", 0 < self.window < math.inf, positive),
            ("slices", 1 <= self.slices <= 1000 and self.slices == int(self.slices), "a whole number from 1 to 1000"),
            ("minimum", 1 <= self.minimum < math.inf and self.minimum == int(self.minimum), count),
            ("rate", 0 < self.rate <= 1, share),
            ("in_a_row", 1 <= self.in_a_row < math.inf and self.in_a_row == int(self.in_a_row), count),
            (
                "last_in_a_row",
                1 <= self.last_in_a_row < math.inf and self.last_in_a_row == int(self.last_in_a_row),
                count,
            ),
            ("slow_rate", 0 < self.slow_rate <= 1, share),
            ("base", 0 < self.base < math.inf, positive),
            ("cap", self.base <= self.cap < math.inf, "a finite number, at least `base`"),
            ("healthy", 0 <= self.healthy < math.inf, "a finite number, at least 0"),
            ("closes_after", 1 <= self.closes_after < math.inf and self.closes_after == int(self.closes_after), count),
            ("lease", 0 < self.lease < math.inf, positive),
            ("trickle", 0 <= self.trickle < math.inf, "a finite number, at least 0; 0 switches it off"),
        ):
            if not valid:
                raise ConfigurationError(
                    f"breaker.{field} is {getattr(self, field)!r}; it must be {wanted}", field=f"breaker.{field}"
                )


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to make one call; to be given back exactly once, with `Breaker.report`.

    Args:
        generation: The breaker's generation when it was given.
        probe: Whether the call decides about an open breaker; at most one such is out at any time.
        last: Whether the call had no other target to go to.
        returned: Whether it was given back. The breaker sets it.
    """

    generation: int
    probe: bool
    last: bool = False
    returned: bool = False


@dataclass(slots=True, eq=False)
class Rejected:
    """No leave to call.

    Args:
        retry_after: Seconds until a permit may be had, more than 0; while a probe is under way, until it is worth to
            look again. None when the breaker was opened by hand.
        reason: Why it is open, in a word: "failures", "slow", "forced", or the word given to `open_until`.
        since: Instant at which it entered its state (monotonic seconds).
        state: "open", "half_open" (a probe is under way) or "forced_open".
    """

    retry_after: float | None
    reason: str
    since: float
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerEvent:
    """A change of state.

    Args:
        name: "opened", "half_opened", "closed"; "extended": news made it stay open for longer; "forced", "released"
            and "reset": by hand.
        before: State that it left.
        after: State that it is in; the same for "extended".
        at: When, in monotonic seconds.
        reason: Why, in a word; see `Rejected`. For "closed" and "half_opened", why it had been open.
        until: Instant until which it stays open; None in other states and when opened by hand.
        breaker: Name of the breaker.
        news: Whether another process that shares state found out.
    """

    name: Change
    before: State
    after: State
    at: float
    reason: str
    until: float | None
    breaker: str
    news: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """What a breaker knows at one instant.

    Args:
        name: Name of the breaker.
        state: As `Breaker.state`.
        since: Instant at which the state was entered (monotonic seconds); None for a breaker that never left its first.
        until: Instant until which it stays open; None when it is not open, or was opened by hand.
        reason: Why it is open or half open, in a word; empty otherwise.
        calls: Calls in the window.
        failure_rate: Share of them that failed, 0 to 1; 0 without calls.
        slow_rate: Share of them that were slow, 0 to 1; 0 without calls.
        in_a_row: Failed or slow calls since the last success.
        generation: Grows with every opening, every closing, every change by hand and every fork.
        openings: How often it opened, in all.
        streak: Openings by its own judgement without a healthy minute between; the next lasts `base * 2**streak`.
        probes: Probes in flight, 0 or 1.
        successes: Successful probes since it opened.
        rejected: Calls that it rejected, in all.
        late: Outcomes that came after their generation had ended, in all.
        lost: Probes that were not reported within their lease, in all.
        key: Why nothing is sent with the provider's key, whatever the state: "rejected", "quota"; None: it may be used.
            A breaker alone does not know; `Client.breakers` does.
        key_until: Instant from which on the key is tried again; None when it may be used.
    """

    name: str
    state: State
    since: float | None
    until: float | None
    reason: str
    calls: int
    failure_rate: float
    slow_rate: float
    in_a_row: int
    generation: int
    openings: int
    streak: int
    probes: int
    successes: int
    rejected: int
    late: int
    lost: int
    key: Literal["rejected", "quota"] | None = None
    key_until: float | None = None

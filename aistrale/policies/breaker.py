"""Breaker: every attempt asks whether its target may be called, and reports how it went."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aistrale.errors import APIError, CircuitOpen
from aistrale.reliability.backoff import spread
from aistrale.reliability.breaker_types import Rejected
from aistrale.reliability.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.policies.state import Link, TargetState
    from aistrale.reliability.breaker_types import Outcome, Permit

# A target that asks for a longer wait than this is left alone at once, without waiting for further refusals.
_LONG_WAIT: Final = 30.0
# What a target that is out of money or forbidden gets where the provider says nothing.
_DEFAULT_OPEN: Final = 600.0
# How much an error weighs in the statistics that every call will meet until somebody does something about it.
_LASTING: Final = 3.0
_OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {"success": "success", "failure": "failure", "slow": "slow", "ignore": "ignored", "open": "ignored"}
)


# Seconds after which to ask again while another process probes: when it will have found out is not known.
_GLANCE: Final = 0.25


class CircuitBreaker:
    """Keeps calls from targets that fail, lets single probes find out when they are back, and keeps the statistics.

    Args:
        states: The memory of every target.
        enabled: Whether targets are kept from calls; the statistics are kept either way.
    """

    def __init__(self, states: Callable[[Target], TargetState], *, enabled: bool = True) -> None:
        self._states = states
        self._enabled = enabled

    def describe(self) -> str:
        """One line."""
        return "opens on failures, slowness and a provider's own word; probes close it" if self._enabled else "off"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Pass the attempt or refuse it.

        Raises:
            CircuitOpen: The target is being left alone; `retry_after` says for how long.
            AuthenticationError, QuotaExceededError: The provider has just refused this key; nothing was sent.
        """
        state = self._states(call.target)
        now = call.runtime.now()
        permit = self._admit(call, state, now)
        link = state.link
        if link is not None and permit is not None and permit.probe and link.slow:
            permit = await self._probing(call, state, link, permit)
        state.stats.began(now)
        started = len(call.attempts)
        try:
            reply = await call_next(call)
        except BaseException as error:
            self._report(call, state, permit, error, sent=len(call.attempts) > started)
            raise
        if permit is not None and permit.probe:
            # Content has come, which is what was to be found out; a long stream would hold the only place for minutes.
            state.breaker.report(permit, "success", call.runtime.now())
            if link is not None:
                link.probed("success")
        reply.on_close(lambda closed, error: self._closed(call, state, permit, closed, error))
        return reply

    def _admit(self, call: Call, state: TargetState, now: float) -> Permit | None:
        if not self._enabled:
            return None
        target = call.target
        if state.key.hold is not None and not call.forced and (hold := state.key.check(now)) is not None:
            raise hold.refusal(target.provider.name, target.name, now)
        lease = None if call.deadline is None else call.deadline - now
        admitted = state.breaker.admit(now, last=not call.others, busy=call.busy, lease=lease)
        if not isinstance(admitted, Rejected):
            return admitted
        if call.forced:
            return None
        raise _open(target, admitted.reason, admitted.retry_after)

    async def _probing(self, call: Call, state: TargetState, link: Link, permit: Permit) -> Permit | None:
        """The permit of a probe, if this process is the one to find out; None for a call that goes anyhow."""
        lease = state.breaker.settings.lease
        remaining = call.remaining()
        try:
            ours = await call.runtime.invoke(link.probe, lease if remaining is None else min(lease, remaining))
        except BaseException:
            state.breaker.report(permit, "ignored", call.runtime.now())
            link.probed("ignored")
            raise
        if ours:
            return permit
        state.breaker.report(permit, "ignored", call.runtime.now())
        if call.forced:
            return None
        raise _open(call.target, "probed elsewhere", _GLANCE)

    def _closed(
        self, call: Call, state: TargetState, permit: Permit | None, reply: Reply, error: BaseException | None
    ) -> None:
        # A stream that its reader left early had been answering well.
        if error is None and reply.outcome in {"success", "abandoned"}:
            self._report(call, state, permit, None, sent=True)
        else:
            self._report(call, state, permit, error or GeneratorExit(), sent=True)

    def _report(
        self, call: Call, state: TargetState, permit: Permit | None, error: BaseException | None, *, sent: bool
    ) -> None:
        now = call.runtime.now()
        attempt = call.attempt if sent else None
        latency = None if attempt is None else now - attempt.started
        first_token = attempt.first_token if attempt is not None and call.stream else None
        severity = None
        if error is None:
            outcome: Outcome = "success"
            seen: Outcome = outcome
            state.key.worked()
            if latency is not None and state.latency is not None:
                state.latency.add(latency if first_token is None else first_token)
        else:
            verdict = judge(error)
            outcome = seen = _OUTCOMES[verdict.breaker]
            if verdict.breaker == "open":
                seen, severity = "failure", _LASTING
            if self._enabled and verdict.breaker == "open":
                self._open(state, error, verdict.scope, verdict.wait, now)
            elif self._enabled and verdict.throttle and verdict.wait is not None and verdict.wait >= _LONG_WAIT:
                state.breaker.open_until(now + spread(verdict.wait, call.runtime.random), now, "retry_after")
        if permit is not None:
            first = permit.probe and not permit.returned
            state.breaker.report(permit, outcome, now)
            if first and state.link is not None:
                state.link.probed(outcome)
        state.stats.ended(now, outcome=seen, latency=latency, first_token=first_token, severity=severity)

    @staticmethod
    def _open(state: TargetState, error: BaseException, scope: str, wait: float | None, now: float) -> None:
        if scope == "key" and isinstance(error, APIError):
            state.key.refused(error, wait, now)
            if state.link is not None:
                state.link.refused()
        else:
            state.breaker.open_until(now + (_DEFAULT_OPEN if wait is None else wait), now, "refused")


def _open(target: Target, reason: str, retry_after: float | None) -> CircuitOpen:
    return CircuitOpen(
        f"the circuit breaker is open ({reason})",
        provider=target.provider.name,
        target=target.name,
        retry_after=retry_after,
        reason=reason,
        hint="Add a target to the route, or wait; client.breakers() shows and changes the state.",
    )

"""Queue: an attempt goes when its target has room for it; while there is another target to try, it does not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.cost.tokens.by_length import estimate_request
from aistrale.dialects.headers import rate_limits
from aistrale.errors import ConfigurationError, InvalidRequestError, NetworkError, PolicyError
from aistrale.reliability.backoff import room, spread
from aistrale.reliability.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Attempt, Call, Target
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.reliability.admission import Outcome
    from aistrale.reliability.gate import Gate
    from aistrale.reliability.leased import Lessor
    from aistrale.reliability.line import Ticket


class Queue:
    """Passes every attempt through its target's gate, and tells the gate how it ended.

    The place is held until the reply is closed. Waiting is limited by the gate's `queue_timeout` and the call's
    deadline; with another target untried there is none, so that failover goes on to it at once.

    Args:
        gates: The gate of a target.
    """

    def __init__(self, gates: Callable[[Target], Gate]) -> None:
        self._gates = gates

    def describe(self) -> str:
        """One line."""
        return "concurrency, requests and tokens per minute of each target; waits by priority, within the deadline"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Make the attempt when there is room.

        Raises:
            QueueFull, QueueTimeout: There is none, or not in time; nothing was sent.
        """
        gate = self._gates(call.target)
        tokens = estimate_request(call.request) if gate.counts_tokens else (0, None)
        ticket = gate.admit(priority=call.priority, tokens_in=tokens[0], tokens_out=tokens[1], now=call.runtime.now())
        if ticket is None and gate.lessor is not None and gate.lessor.slow and not gate.waiting:
            ticket = await _leased(call, gate, gate.lessor, tokens)
        if ticket is None:
            ticket = await _turn(call, gate, tokens)
        before = call.attempt
        try:
            reply = await call_next(call)
        except BaseException as error:
            attempt = call.attempt if call.attempt is not before else None
            _heed(call, gate, ticket, attempt)
            _ended(call, gate, ticket, attempt, error)
            raise
        attempt = call.attempt
        _heed(call, gate, ticket, attempt)

        def closed(reply: Reply, error: BaseException | None) -> None:
            if error is not None:
                _ended(call, gate, ticket, attempt, error)
            else:
                _leave(call, gate, ticket, attempt, "success" if reply.outcome == "success" else "cancelled")

        reply.on_close(closed)
        return reply


async def _leased(call: Call, gate: Gate, lessor: Lessor, tokens: tuple[int, int | None]) -> Ticket | None:
    """Have what is missing of a limit that processes share brought here, if it is to be had at once."""
    await call.runtime.invoke(lessor.lease, gate, gate.most(*tokens), 0.0)
    return gate.admit(priority=call.priority, tokens_in=tokens[0], tokens_out=tokens[1], now=call.runtime.now())


async def _turn(call: Call, gate: Gate, tokens: tuple[int, int | None]) -> Ticket:
    """Wait for a place."""
    runtime = call.runtime
    waiter = runtime.waiter()
    ticket = gate.enter(
        waiter.wake,
        priority=call.priority,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        now=runtime.now(),
        wait=_patience(call, gate),
    )
    began, lessor = runtime.now(), gate.lessor
    try:
        while pause := gate.poll(ticket, runtime.now()):
            if lessor is not None and lessor.slow and gate.lacks(ticket, runtime.now()):
                await runtime.invoke(lessor.lease, gate, ticket.most, ticket.until - runtime.now())
            else:
                await waiter.wait(pause)
    except BaseException:
        # The place may have been given in the very moment in which the wait was given up.
        gate.leave(ticket, runtime.now(), outcome="unsent")
        _tell(call, began, admitted=False)
        raise
    _tell(call, began, admitted=True)
    return ticket


def _tell(call: Call, began: float, *, admitted: bool) -> None:
    if call.observer is not None:
        call.observer.waited(call, call.runtime.now() - began, admitted=admitted)


def _patience(call: Call, gate: Gate) -> float | None:
    """How many seconds a call may wait for its turn; None for as long as it takes."""
    if call.others:
        return 0.0
    limits = [limit for limit in (call.remaining(), gate.settings.queue_timeout) if limit is not None]
    return max(min(limits), 0.0) if limits else None


def _heed(call: Call, gate: Gate, ticket: Ticket, attempt: Attempt | None) -> None:
    """Pass on what the headers of a response say of the provider's limits, now and then, and always after a refusal."""
    if attempt is None:
        return
    now = call.runtime.now()
    if attempt.limits is None and attempt.headers is not None and (attempt.status == 429 or gate.listens(now)):
        attempt.limits = rate_limits(attempt.headers, call.runtime.wall())
    if attempt.limits:
        gate.headers(attempt.limits, now, ticket)
        if gate.lessor is not None:
            gate.lessor.told(attempt.limits)


def _ended(call: Call, gate: Gate, ticket: Ticket, attempt: Attempt | None, error: BaseException) -> None:
    """An attempt failed, was cancelled, or was not even begun."""
    now = call.runtime.now()
    outcome: Outcome = "failed"
    verdict = judge(error)
    if attempt is None:
        outcome = "unsent"
    else:
        if verdict.throttle:
            outcome = "dropped"
        elif not isinstance(error, Exception):
            outcome = "cancelled"
        elif _unsent(error):
            outcome = "unsent"
        if verdict.throttle and verdict.wait is not None:
            # Within the same bound as the wait of the retry, which would else find the gate still closed.
            seconds = spread(verdict.wait, call.runtime.random, room(call))
            gate.throttled(seconds, now)
            if gate.lessor is not None:
                gate.lessor.throttled(seconds)
    _leave(call, gate, ticket, attempt, outcome)


def _unsent(error: BaseException) -> bool:
    """Whether it is certain that nothing of the attempt reached the provider."""
    if isinstance(error, NetworkError):
        return not error.sent
    if isinstance(error, InvalidRequestError):
        return error.status is None
    return isinstance(error, (ConfigurationError, PolicyError))


def _leave(call: Call, gate: Gate, ticket: Ticket, attempt: Attempt | None, outcome: Outcome) -> None:
    """Give the place back, with what the attempt used as far as that is known."""
    now = call.runtime.now()
    if attempt is None or not gate.counts_tokens:
        gate.leave(ticket, now, outcome=outcome)
    elif attempt.status is not None and attempt.status >= 400:
        # What a provider refuses it does not process.
        gate.leave(ticket, now, outcome=outcome, tokens_in=0, tokens_out=0)
    elif attempt.usage is None:
        gate.leave(ticket, now, outcome=outcome)
    else:
        usage = attempt.usage
        gate.leave(
            ticket,
            now,
            outcome=outcome,
            tokens_in=usage.input_total,
            tokens_out=usage.output_total,
            cached=usage.cache_read or 0,
        )

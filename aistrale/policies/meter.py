"""Meter: one ledger row per call, with what all its attempts used and cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from aistrale.core.ids import new_id
from aistrale.errors import AistraleError
from aistrale.policies.journal import fill_usage, flush
from aistrale.store.records import TOKEN_BUCKETS, CallRow
from aistrale.types import AttemptInfo, Cost, EmbedRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Attempt, Call, Context, Outcome
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.policies.journal import Log


UNSENT: Final = frozenset({"cache", "stale_cache", "canned"})
"""Ways of degrading whose answer comes from no provider."""

REMEMBERED: Final = frozenset({"cache", "stale_cache"})
"""Those whose answer came from one earlier."""

_BUCKETS = (*TOKEN_BUCKETS, "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")


class Meter:
    """Sums up a call when it ends, on every path: success, error, cancel, early close, garbage collection.

    Args:
        log: The ledger's journal.
        settle: Settles an attempt, unless that has been done.
    """

    def __init__(self, log: Log, settle: Callable[[Call, Attempt, BaseException], None]) -> None:
        self._log = log
        self._settle = settle

    def describe(self) -> str:
        """One line."""
        return "one row per call: tokens, cost, latency, outcome"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Run the call and record it once."""
        try:
            reply = await call_next(call)
            reply.on_close(lambda closed, error: self._closed(call, closed, error))
        except BaseException as error:
            try:
                self._fail(call, error)
            finally:
                # Once more, for Ctrl-C may have come in the midst of it.
                self._fail(call, error)
            raise
        return reply

    def _closed(self, call: Call, reply: Reply, error: BaseException | None) -> None:
        self._write(call, reply.outcome or "abandoned", error, avoided=_avoided(call, reply))

    def _fail(self, call: Call, error: BaseException) -> None:
        if call.over:
            return
        # Ctrl-C may have come before an attempt's beginning was written, or between its end and the policy that waits
        # for it, while its reply lives on in the frames of the traceback.
        call.attempts[:] = [attempt for attempt in call.attempts if attempt.noted]
        for attempt in call.attempts:
            self._settle(call, attempt, error)
        self._write(call, "error" if isinstance(error, Exception) else "cancelled", error)

    def _write(self, call: Call, outcome: Outcome, error: BaseException | None, avoided: Decimal | None = None) -> None:
        if call.over:
            return
        if isinstance(error, AistraleError):
            error.attempts = tuple(attempt_infos(call))
        _let_go(call, error)
        row = _row(call, outcome, error)
        row.avoided = None if avoided is None else str(avoided)
        call.row = row
        flush(self._log, call, row)
        call.over = True
        if call.rows:
            # Settled by another thread in the meantime, which did not know.
            flush(self._log, call)


def _avoided(call: Call, reply: Reply) -> Decimal | None:
    """What a remembered answer had cost when it was asked for; the policy Cache keeps it with the answer."""
    if call.degraded not in REMEMBERED or call.attempts:
        return None
    seen = reply.accumulated
    cost = (seen.embeddings or seen.completion).cost
    return None if cost is None else cost.usd


def _let_go(call: Call, error: BaseException | None) -> None:
    """Break the ring of errors whose tracebacks hold the call that holds them: collecting it is dear."""
    if error is not None:
        call.errors.clear()
    for failed in call.errors:
        failed.__traceback__ = None


def attempt_infos(call: Call) -> list[AttemptInfo]:
    """Every exchange of the call, in order, as answers and errors show it."""
    return [
        AttemptInfo(
            number=attempt.number,
            provider=attempt.target.provider.name,
            model=attempt.target.model,
            outcome=attempt.outcome or "error",
            latency=attempt.latency or 0.0,
            status=attempt.status,
            error=attempt.error,
            request_id=attempt.request_id,
        )
        for attempt in call.attempts
    ]


def total_cost(call: Call) -> Cost:
    """What the call's attempts cost together; unknown as soon as one that may have been billed is unknown."""
    if not call.attempts and call.degraded in UNSENT:
        return Cost(Decimal(0), "cached" if call.degraded != "canned" else "canned")
    costs = [(attempt, attempt.cost) for attempt in call.attempts if attempt.cost is not None]
    book = _book([cost for _, cost in costs])
    known = [cost.usd for _, cost in costs if cost.usd is not None]
    unknown = [cost.reason for attempt, cost in costs if cost.usd is None and attempt.outcome == "success"]
    if unknown:
        return Cost(None, unknown[0], book=book)
    if not known:
        return Cost(None, "no attempt reported usage")
    guessed = [cost for _, cost in costs if cost.estimated]
    reason = guessed[0].reason if guessed else None
    if any(attempt.usage is None and attempt.status == 200 for attempt in call.attempts):
        reason = "attempts that broke off are not included"
    elif any(attempt.usage is not None and attempt.usage.source == "estimated" for attempt in call.attempts):
        reason = "the tokens of attempts that broke off are estimated"
    return Cost(sum(known[1:], known[0]), reason, estimated=reason is not None, book=book)


def _book(costs: list[Cost]) -> str | None:
    """The price book of several costs: a client has one, and where there was another the last one's."""
    return next((cost.book for cost in reversed(costs) if cost.book is not None), None)


def total_usage(call: Call) -> Usage | None:
    """The tokens of all attempts; None when none was reported."""
    total: Usage | None = None
    for attempt in call.attempts:
        total = add_usage(total, attempt.usage)
    return total


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Both together, bucket by bucket; a bucket that neither reports stays unknown."""
    if one is None or other is None:
        return one or other
    total = Usage(source="estimated" if "estimated" in {one.source, other.source} else "reported")
    for bucket in _BUCKETS:
        counts = [count for usage in (one, other) if (count := getattr(usage, bucket)) is not None]
        setattr(total, bucket, sum(counts) if counts else None)
    return total


def add_cost(one: Cost | None, other: Cost | None) -> Cost | None:
    """Both together; unknown as soon as one of them is."""
    if one is None or other is None:
        return one or other
    if one.usd is None or other.usd is None:
        return one if one.usd is None else other
    estimated = one.estimated or other.estimated
    return Cost(one.usd + other.usd, one.reason or other.reason, estimated, _book([one, other]))


def refusal(
    error: BaseException, *, at: float, kind: Literal["chat", "embed"], asked: str, context: Context
) -> CallRow:
    """The row of a call that was refused before there was one: its options, prompt or target are wrong."""
    return CallRow(
        call_id=new_id(),
        at=at,
        latency=0.0,
        kind=kind,
        model_asked=asked,
        outcome="error",
        attempts=0,
        error=type(error).__name__,
        user=context.user,
        workspace=context.workspace,
        project=context.project,
        session=context.session,
        name=context.name,
        tags=context.tags,
    )


def _privacy(call: Call) -> dict[str, int]:
    """What was found and done about it, see CallRow.privacy."""
    modes = call.redact_types
    counts = {
        f"out.{'encrypt' if modes.get(kind) == 'encrypt' else 'redact'}.{kind}": count
        for kind, count in (call.redacted or {}).items()
    }
    return {**counts, **(call.judged or {})}


def _row(call: Call, outcome: Outcome, error: BaseException | None) -> CallRow:
    attempts, context = call.attempts, call.context
    last = call.attempt
    cost = total_cost(call)
    prepared = None if call.degraded in UNSENT else call.prepared.get(call.target.name)
    row = CallRow(
        call_id=call.id,
        at=call.at,
        latency=call.runtime.now() - call.started,
        kind="embed" if isinstance(call.request, EmbedRequest) else "chat",
        model_asked=call.asked,
        outcome=outcome,
        attempts=len(attempts),
        first_token=None
        if last is None or last.first_token is None
        else last.started - call.started + last.first_token,
        route=call.route,
        degraded=call.degraded,
        provider=last.target.provider.name if last is not None and outcome == "success" else None,
        model=(last.response_model or last.target.model) if last is not None and outcome == "success" else None,
        error=None if error is None else type(error).__name__,
        user=context.user,
        workspace=context.workspace,
        project=context.project,
        session=context.session,
        name=context.name,
        tags=context.tags,
        lossy=[item.field for item in prepared.lossy] if prepared is not None else [],
        privacy=_privacy(call) if call.redacted or call.judged else {},
        optimized=list(call.optimized),
        cost=None if cost.usd is None else str(cost.usd),
        cost_reason=cost.reason,
    )
    usage = total_usage(call)
    if usage is not None:
        fill_usage(row, usage)
    return row

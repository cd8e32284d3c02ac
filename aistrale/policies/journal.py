"""Journal: an intent before an attempt is sent, a settled row after it, whatever happens in between.

The row says what was used and what it cost by which price book, so that the bill can be computed again. What broke off
is estimated, and marked so.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, cast

from aistrale.core.send import settle
from aistrale.cost.estimate import estimate_usage, prompt_tokens
from aistrale.cost.facts import gather
from aistrale.cost.meter import ledger_form
from aistrale.errors import DeadlineExceeded, StreamInterrupted
from aistrale.store.records import AttemptRow, IntentRow, UsageColumns
from aistrale.types import Cost, EmbedRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Attempt, Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.cost.shape import Shape
    from aistrale.store.records import Row
    from aistrale.types import Request

    Price = Callable[..., Cost]

# Tiers with prices of their own, and who sells them.
_TIERS = frozenset({"flex", "priority"})
_TIERED = frozenset({"openai", "gemini"})


class Log(Protocol):
    """Where rows go; never raises."""

    def append(self, *rows: Row) -> bool:
        """Write rows in one go; False when they could not be acknowledged."""
        ...


class Journal:
    """Writes the intent and the outcome of every attempt.

    Args:
        log: The ledger's journal.
        price: Prices one exchange, as `aistrale.cost.price_usage` does: gets provider, model, usage, and by keyword
            `at` (Unix seconds) and the conditions of the answer.
        learn: Is told of every attempt that succeeded; must not raise.
        shape: Says what is kept of a request; None where nothing is kept.
    """

    def __init__(
        self,
        log: Log,
        price: Price,
        learn: Callable[[Call, Attempt], None] | None = None,
        *,
        shape: Callable[[Request | EmbedRequest], Shape] | None = None,
    ) -> None:
        self._log = log
        self._price = price
        self._learn = learn
        self._shape = shape

    def describe(self) -> str:
        """One line."""
        return "intent before, settled row after every attempt"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Record the attempt under way."""
        attempt = cast("Attempt", call.attempt)
        intent, sending = self._intent(call, attempt), False
        attempt.noted = True
        try:
            flush(self._log, call, intent)
            sending = True
            reply = await call_next(call)
        except BaseException as error:
            if attempt.outcome is None and not sending:
                # Ctrl-C before anything was sent. Whether it came before or after the row was written, nobody knows;
                # what is written twice is in the ledger once.
                attempt.sent = False
                call.rows.append(intent)
            self.settle(call, attempt, error)
            flush(self._log, call)
            raise

        def closed(reply: Reply, error: BaseException | None) -> None:
            if attempt.cost is None:
                if call.stream and attempt.status == 200:
                    _estimate(call, attempt, reply, error)
                seen = reply.accumulated
                gather(attempt.target, seen.embeddings or seen.completion, attempt.conditions)
            self.settle(call, attempt, error)

        reply.on_close(closed)
        return reply

    def settle(self, call: Call, attempt: Attempt, error: BaseException | None) -> None:
        """Price an attempt that has ended and let its row wait for the next writing, unless that has been done.

        Args:
            call: Its call; once that has its own row, nothing waits any more.
            attempt: Without an outcome it was broken off where nobody settles it: by Ctrl-C on the way out.
            error: What ended it.
        """
        if attempt.cost is not None:
            return
        if attempt.outcome is None:
            settle(call, attempt, "cancelled", error)
        if attempt.outcome == "cancelled" and attempt.usage is None and attempt.sent:
            # Whoever lost a race or was cancelled may be billed all the same, for its prompt at least.
            attempt.usage = _prompt_only(call)
        _ask(call, attempt)
        cost = self._cost(attempt)
        attempt.row = _row(call, attempt, cost)
        call.rows.append(attempt.row)
        # As the sign that it is done.
        attempt.cost = cost
        if self._learn is not None and attempt.outcome == "success":
            self._learn(call, attempt)
        if call.over:
            flush(self._log, call)

    def _cost(self, attempt: Attempt) -> Cost:
        if attempt.usage is None:
            return _without_usage(attempt)
        provider, model = attempt.target.provider.name, attempt.response_model or attempt.target.model
        cost = self._price(provider, model, attempt.usage, at=attempt.at, **attempt.conditions)
        if cost.usd is None and model != attempt.target.model:
            return self._price(provider, attempt.target.model, attempt.usage, at=attempt.at, **attempt.conditions)
        return cost

    def _intent(self, call: Call, attempt: Attempt) -> IntentRow:
        request, target = call.request, attempt.target
        row = IntentRow(
            call_id=call.id,
            attempt=attempt.number,
            at=attempt.at,
            provider=target.provider.name,
            model=target.model,
            target=target.name,
            streamed=call.stream,
            max_output_tokens=None if isinstance(request, EmbedRequest) else request.max_tokens,
        )
        if self._shape is not None:
            # Taken once for all attempts, unless a policy has put another request in its place.
            if call.shape is None or call.shape[0] is not request:
                call.shape = request, self._shape(request)
            seen = call.shape[1]
            row.estimated_input_tokens, row.messages = seen.input_tokens, seen.messages
            row.prefix, row.prefix_tokens, row.last_tokens = seen.prefix, seen.prefix_tokens, seen.last_tokens
        return row


def flush(log: Log, call: Call, *rows: Row) -> None:
    """Write the rows that wait, and these. None is forgotten before it is written: Ctrl-C may come in between."""
    waiting = call.rows
    written = waiting[:]
    log.append(*written, *rows)
    for row in written:
        # Another leg of the call may have written it too; what is written twice is in the ledger once.
        with suppress(ValueError):
            waiting.remove(row)


def _ask(call: Call, attempt: Attempt) -> None:
    """Take the tier that was asked for where the answer, or what came of it, names none."""
    tier = getattr(call.request, "service_tier", None)
    if tier in _TIERS and attempt.target.provider.name in _TIERED:
        attempt.conditions.setdefault("service_tier", tier)


def _prompt_only(call: Call) -> Usage | None:
    if isinstance(call.request, EmbedRequest):
        return None
    return Usage(input=prompt_tokens(call.request), source="estimated")


def _estimate(call: Call, attempt: Attempt, reply: Reply, error: BaseException | None) -> None:
    """Count what a stream used that ended without saying so, on the answer and on the error that ended it."""
    seen = reply.accumulated
    if seen.ended and attempt.usage is not None:
        return
    attempt.usage = estimate_usage(cast("Request", call.request), seen.result(), attempt.usage)
    seen.completion.usage = attempt.usage
    if isinstance(error, (StreamInterrupted, DeadlineExceeded)):
        error.usage = attempt.usage


def _without_usage(attempt: Attempt) -> Cost:
    """What an exchange without usage costs: nothing when it was refused or never sent, else nobody knows."""
    if attempt.status is not None and attempt.status >= 400:
        return Cost(Decimal(0), f"refused with status {attempt.status}")
    if not attempt.sent:
        return Cost(Decimal(0), "never sent")
    return Cost(None, f"no usage reported ({attempt.outcome})")


def _row(call: Call, attempt: Attempt, cost: Cost) -> AttemptRow:
    target, usage = attempt.target, attempt.usage
    row = AttemptRow(
        call_id=call.id,
        attempt=attempt.number,
        at=attempt.at,
        latency=attempt.latency or 0.0,
        first_token=attempt.first_token,
        provider=target.provider.name,
        model=target.model,
        response_model=attempt.response_model,
        target=target.name,
        region=target.region,
        streamed=call.stream,
        outcome=attempt.outcome or "error",
        error=attempt.error,
        status=attempt.status,
        request_id=attempt.request_id,
        retry_after=attempt.retry_after,
        cost=None if cost.usd is None else str(cost.usd),
        cost_reason=cost.reason,
    )
    if usage is not None:
        fill_usage(row, usage)
        if cost.book is not None:
            row.book = cost.book
            row.metered = ledger_form(target.provider.name, target.model, usage, attempt.conditions)
    return row


def fill_usage(row: UsageColumns, usage: Usage) -> None:
    """Copy the buckets of a usage into a row's columns of the same names."""
    row.input = usage.input
    row.cache_read = usage.cache_read
    row.cache_write = usage.cache_write_total
    row.output = usage.output
    row.reasoning = usage.reasoning
    row.audio_input = usage.audio_input
    row.audio_output = usage.audio_output
    row.image_input = usage.image_input
    row.image_output = usage.image_output
    row.tool_input = usage.tool_input
    row.usage_source = usage.source

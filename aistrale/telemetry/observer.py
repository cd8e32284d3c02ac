"""What policies tell of a call: made into events here, so that no policy knows what telemetry is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.telemetry.events import (
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CacheLooked,
    CallFinished,
    CallStarted,
    DLPVerdict,
    FailedOver,
    Hedged,
    Optimized,
    QueueWaited,
    Redacted,
    Retried,
    TranslationLossy,
)
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from aistrale.core.call import Attempt, Call, Target
    from aistrale.core.reply import Reply
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.optimization.optimizer import OptimizeEvent
    from aistrale.errors import AistraleError
    from aistrale.privacy.event import PrivacyEvent
    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.store.records import AttemptRow, CallRow
    from aistrale.telemetry.content import Capture, Said
    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.types import Lossy


class Observer:
    """Tells sinks what happens to calls.

    Args:
        emit: Where events go; never raises, never waits.
        capture: Makes redacted content of a request and its answer; None where none is ever kept.
    """

    def __init__(self, emit: Callable[[TelemetryEvent], None], capture: Capture | None = None) -> None:
        self.emit = emit
        self._capture = capture

    # --- calls and attempts ------------------------------------------------------------------------------------

    def call_started(self, call: Call) -> None:
        """The outermost policy has it."""
        context = call.context
        self.emit(
            CallStarted(
                call_id=call.id,
                at=call.at,
                operation="embed" if isinstance(call.request, EmbedRequest) else "chat",
                model_asked=call.asked,
                route=call.route,
                streamed=call.stream,
                user=context.user,
                workspace=context.workspace,
                project=context.project,
                session=context.session,
                name=context.name,
                tags=context.tags,
            )
        )

    def call_finished(self, call: Call) -> None:
        """Its row is written; attempts that nobody told of are told of now. Only the first time counts."""
        for attempt in call.attempts:
            self.attempt_finished(call, attempt, None)
        row = call.row
        if row is None or call.told:
            return
        event = CallFinished(call_id=call.id, at=row.at + row.latency, row=row, streamed=call.stream)
        # Before it is told: who is interrupted by Ctrl-C in the midst of that comes here a second time.
        call.told = True
        self.emit(event)

    def refused(self, row: CallRow) -> None:
        """A call could not even begin."""
        self.emit(CallFinished(call_id=row.call_id, at=row.at, row=row))

    def listen(self, call: Call, attempt: Attempt, *, asked: bool = False) -> Said | None:
        """Begin to remember what an attempt says, where somebody wants content; the tap that does it.

        Args:
            call: Its call.
            attempt: Gets what is remembered.
            asked: Whether an instrument wants it although the settings do not ask for it.
        """
        if self._capture is None or not self._capture.wanted(call.context, asked=asked):
            return None
        attempt.said = said = self._capture.listen(call, attempt)
        return said

    def attempt_finished(self, call: Call, attempt: Attempt, reply: Reply | None) -> None:
        """An attempt is settled; only the first time counts.

        Args:
            call: Its call.
            attempt: Which one; nothing is told of one that has no row yet.
            reply: What was answered; None where nothing was.
        """
        row = attempt.row
        if row is None or attempt.told:
            return
        attempt.told = True
        try:
            event = self._attempt(call, attempt, row, reply)
        except BaseException:
            attempt.told = False
            raise
        self.emit(event)

    def _attempt(self, call: Call, attempt: Attempt, row: AttemptRow, reply: Reply | None) -> AttemptFinished:
        reasons: tuple[str, ...] = ()
        response_id = None
        if reply is not None and not isinstance(call.request, EmbedRequest):
            answer = reply.accumulated.result()
            reasons = tuple(choice.finish_reason for choice in answer.choices)
            response_id = answer.id or None
        content = None
        if attempt.said is not None and self._capture is not None and self._capture.wanted(call.context):
            content = attempt.said.content()
        return AttemptFinished(
            call_id=call.id,
            at=row.at + row.latency,
            row=row,
            finish_reasons=reasons,
            response_id=response_id,
            content=content,
        )

    # --- what policies did -------------------------------------------------------------------------------------

    def retried(self, call: Call, error: AistraleError, delay: float) -> None:
        """The same target is asked again in `delay` seconds."""
        number = 0 if call.attempt is None else call.attempt.number
        status = getattr(error, "status", None)
        self.emit(
            Retried(
                call_id=call.id,
                target=call.target.name,
                attempt=number,
                error=type(error).__name__,
                status=status,
                delay=delay,
            )
        )

    def failed_over(self, call: Call, error: AistraleError, target: Target, following: Target, delay: float) -> None:
        """Another target than `target` is asked."""
        self.emit(
            FailedOver(
                call_id=call.id,
                target=target.name,
                next_target=following.name,
                error=type(error).__name__,
                status=getattr(error, "status", None),
                delay=delay,
            )
        )

    def hedged(self, call: Call, delay: float) -> None:
        """A second attempt is begun, `delay` seconds after the first."""
        self.emit(Hedged(call_id=call.id, target=call.target.name, delay=delay))

    def waited(self, call: Call, seconds: float, *, admitted: bool) -> None:
        """An attempt has stood in line."""
        self.emit(QueueWaited(call_id=call.id, target=call.target.name, seconds=seconds, admitted=admitted))

    def lossy(self, call: Call, target: Target, items: list[Lossy]) -> None:
        """A translation could not carry everything."""
        self.emit(TranslationLossy(call_id=call.id, target=target.name, fields=tuple(item.field for item in items)))

    def cache_looked(self, call: Call, result: Literal["hit", "stale", "miss"]) -> None:
        """Our memory was asked."""
        self.emit(CacheLooked(call_id=call.id, result=result))

    def redacted(self, call: Call, types: Mapping[str, int]) -> None:
        """Values were replaced."""
        self.emit(Redacted(call_id=call.id, types=dict(types)))

    # --- what listeners of `on_event` get too --------------------------------------------------------------------

    def breaker(self, event: BreakerEvent) -> None:
        """A breaker changed its state."""
        self.emit(
            BreakerChanged(
                target=event.breaker,
                change=event.name,
                before=event.before,
                after=event.after,
                reason=event.reason,
                open_for=None if event.until is None else max(event.until - event.at, 0.0),
                news=event.news,
            )
        )

    def privacy(self, event: PrivacyEvent) -> None:
        """A rule about data spoke."""
        self.emit(
            DLPVerdict(
                call_id=event.call_id or None,
                rule=event.rule,
                action=event.action,
                direction=event.direction,
                types=dict(event.types),
                target=event.target,
                dry_run=event.dry_run,
            )
        )

    def budget(self, event: BudgetEvent) -> None:
        """A budget reached a threshold, or refused."""
        self.emit(
            BudgetCrossed(
                at=event.at.timestamp(),
                what=event.what,
                budget=event.budget,
                scope=event.scope,
                period=event.period,
                limit=event.limit,
                spent=event.spent,
                reserved=event.reserved,
                hard=event.hard,
                threshold=event.threshold,
                resets=None if event.resets is None else event.resets.timestamp(),
            )
        )

    def optimized(self, event: OptimizeEvent) -> None:
        """Something was optimised."""
        self.emit(
            Optimized(
                at=event.at.timestamp(),
                call_id=event.call_id,
                what=event.what,
                change=event.change,
                share=event.share,
                reason=event.reason,
                saved_tokens=event.saved_tokens,
            )
        )

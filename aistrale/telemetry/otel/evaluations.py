"""Judgements of answers, as events that belong to the exchange that gave the answer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, get_current_span, set_span_in_context

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.events import emit_evaluation

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.trace import SpanContext

    from aistrale.telemetry.events import AnswerScored
    from aistrale.telemetry.otel.attributes import Attributes

_LIMIT: Final = 10_000


class Evaluations:
    """Remembers the latest answers; a judgement of an older one belongs to no span, but names the call."""

    def __init__(self) -> None:
        # Only what identifies spans: the spans themselves hold what was said.
        self._answers: dict[str, tuple[SpanContext, str | None]] = {}

    def remember(self, call_id: str, context: Context, response_id: str | None) -> None:
        """An answer has come.

        Args:
            call_id: Of its call.
            context: With the span of the exchange.
            response_id: The provider's id of the answer.
        """
        answers = self._answers
        if len(answers) >= _LIMIT:
            # Other threads may be at it as well; one too many does no harm.
            with contextlib.suppress(RuntimeError):
                answers.pop(next(iter(answers)), None)
        answers[call_id] = get_current_span(context).get_span_context(), response_id

    def tell(self, logger: Logger, event: AnswerScored) -> None:
        """Emit the event of a judgement."""
        span, response = self._answers.get(event.call_id or "", (None, None))
        context = Context() if span is None else set_span_in_context(NonRecordingSpan(span), Context())
        found: Attributes = {words.EVALUATION_NAME: event.name, words.EVALUATION_SCORE: event.score}
        if response:
            found[words.RESPONSE_ID] = response
        if event.call_id:
            found[words.CALL_ID] = event.call_id
        emit_evaluation(logger, context, found)

"""Log records: the details of an exchange as an event, for backends that read content there."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import _logs

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.messages import event_content

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.context import Context

    from aistrale.telemetry.events import Content
    from aistrale.telemetry.otel.attributes import Attributes

_log = logging.getLogger("aistrale.telemetry")
_reported: set[str] = set()


def emit_details(
    logger: Logger, context: Context, attributes: Attributes, content: Content | None, *, tools: bool
) -> None:
    """Emit the event of an exchange.

    Args:
        logger: Where to.
        context: With the exchange's span, which the event belongs to.
        attributes: Those of the span.
        content: What was said, structured; None for none.
        tools: Whether the conventions in use have definitions of tools.
    """
    found: dict[str, object] = dict(attributes)
    if content is not None:
        found.update(event_content(content, tools=tools))
    _emit(logger, context, words.DETAILS_EVENT, _logs.SeverityNumber.INFO, found)


def emit_exception(logger: Logger, context: Context, failed: str) -> None:
    """Emit the event of an exchange that failed.

    Args:
        logger: Where to.
        context: With the exchange's span, which the event belongs to.
        failed: The class of the error; what it says may quote the prompt.
    """
    _emit(logger, context, words.EXCEPTION_EVENT, _logs.SeverityNumber.WARN, {words.EXCEPTION_TYPE: failed})


def emit_evaluation(logger: Logger, context: Context, attributes: Attributes) -> None:
    """Emit the event of a judgement of an answer.

    Args:
        logger: Where to.
        context: With the span of the exchange that gave the answer, where that is known.
        attributes: Its name and score, and which answer it is about.
    """
    _emit(logger, context, words.EVALUATION_EVENT, _logs.SeverityNumber.INFO, dict(attributes))


def _emit(
    logger: Logger, context: Context, name: str, severity: _logs.SeverityNumber, attributes: dict[str, object]
) -> None:
    # The module is still private in the API, and the class has changed with its releases.
    record = cast("Any", _logs.LogRecord)
    common = {
        "timestamp": time.time_ns(),
        "context": context,
        "severity_number": severity,
        "attributes": attributes,
    }
    try:
        made = record(event_name=name, **common)
    except TypeError:
        if "events" not in _reported:
            _reported.add("events")
            _log.warning("events of OpenTelemetry need opentelemetry-api 1.35 or later; none are emitted")
        return
    logger.emit(made)

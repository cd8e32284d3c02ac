"""Events in one line of words each, for people: what the sinks `console` and `logging` show.

Nothing of what was said is ever in them. Names come from settings, applications and providers: what would move a
terminal's cursor or begin a line of its own is taken out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from aistrale.telemetry.events import (
    AnswerScored,
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CallFinished,
    CallStarted,
    DLPVerdict,
    ExperimentDecided,
    FailedOver,
    FunctionFinished,
    Hedged,
    Optimized,
    QueueWaited,
    Redacted,
    Retried,
    RunFinished,
    TranslationLossy,
    WebhookSent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aistrale.store.records import UsageColumns
    from aistrale.telemetry.events import TelemetryEvent

Mark: TypeAlias = Literal["good", "bad", "warning", "note"]

ON_THE_WAY: Final = frozenset({"attempt.retried", "call.failed_over", "attempt.hedged"})
"""Kinds of events that the line of a call counts."""

NOTABLE: Final = frozenset(
    {"call.finished", "breaker.changed", "budget.crossed", "dlp.verdict", "webhook.sent", "experiment.decided",
     "cost.optimized", "run.finished"}
)  # fmt: skip
"""Kinds of events of which some deserve a line even where only the important is shown."""

_INPUT: Final = ("input", "cache_read", "cache_write", "audio_input", "image_input", "tool_input")
_OUTPUT: Final = ("output", "reasoning", "audio_output", "image_output")
_OPEN: Final = frozenset({"open", "forced_open"})
_REDACTED: Final = ("out.redact.", "out.encrypt.")
_LONGEST: Final = 80


@dataclass(slots=True, frozen=True)
class Line:
    """An event in words.

    Args:
        level: How important it is, as the levels of `logging`; below INFO what only explains another line.
        mark: How it ended.
        parts: What it says; the first part names what it is about.
    """

    level: int
    mark: Mark
    parts: tuple[str, ...]

    def text(self, between: str = " | ") -> str:
        """All of it."""
        return between.join(self.parts)


def line_of(event: TelemetryEvent, before: Iterable[TelemetryEvent] = ()) -> Line:
    """An event in words.

    Args:
        event: Of any kind.
        before: Of the end of a call: the events `ON_THE_WAY` to it.
    """
    if isinstance(event, CallFinished):
        return _call(event, before)
    found = _LINES.get(event.kind)
    level, mark, parts = found(event) if found is not None else (logging.DEBUG, "note", [event.kind])
    return _line(level, cast("Mark", mark), parts)


def input_tokens(usage: UsageColumns) -> int | None:
    """All input of a row, cached included; None where nobody told."""
    return _sum(usage, _INPUT)


def output_tokens(usage: UsageColumns) -> int | None:
    """All output of a row, thinking included; None where nobody told."""
    return _sum(usage, _OUTPUT)


def dollars(amount: Decimal | str) -> str:
    """An amount of US dollars: to the cent from a dollar on, else to three digits that say something."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return "$?"
    if not value.is_finite():
        return "$?"
    digits = 2 if not value or abs(value) >= 1 else min(max(2, 2 - value.adjusted()), 12)
    whole, _, fraction = f"{value:.{digits}f}".partition(".")
    return f"${whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"


def _sum(usage: UsageColumns, names: Sequence[str]) -> int | None:
    known = [count for name in names if (count := getattr(usage, name)) is not None]
    return sum(known) if known else None


def _line(level: int, mark: Mark, parts: Iterable[str | None]) -> Line:
    return Line(level, mark, tuple(_clean(part) for part in parts if part))


def _clean(text: str) -> str:
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text


def _name(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def _counted(count: int, what: str, several: str = "") -> str | None:
    return f"{count} {what if count == 1 else several or what + 's'}" if count else None


def _tokens(taken: int | None, cached: int | None, given: int | None) -> str | None:
    said = []
    if taken is not None:
        said.append(f"{taken} in" + (f" ({cached} cached)" if cached else ""))
    if given is not None:
        said.append(f"{given} out")
    return ", ".join(said) or None


def _time(latency: float, first: float | None) -> str:
    return _seconds(latency) + (f", first token {_seconds(first)}" if first is not None else "")


# --- calls -----------------------------------------------------------------------------------------------------------


def _call(event: CallFinished, before: Iterable[TelemetryEvent]) -> Line:
    row = event.row
    seen = [earlier.kind for earlier in before]
    asked = _name(row.model_asked)
    served = f"{row.provider}/{row.model}" if row.provider and row.model else None
    good = row.outcome == "success"
    bad = row.outcome in {"error", "interrupted"}
    redacted = sum(count for verdict, count in row.privacy.items() if verdict.startswith(_REDACTED))
    subject = _name(served) if served else asked
    parts = [
        subject if subject == asked or not row.route else f"{row.route}: {subject}",
        "embeddings" if row.kind == "embed" else None,
        row.name and _name(row.name),
        None if good else row.error or row.outcome,
        _tokens(input_tokens(row), row.cache_read, output_tokens(row)),
        dollars(row.cost) if row.cost is not None else "cost unknown" if good and row.attempts else None,
        _time(row.latency, row.first_token if event.streamed else None),
        _counted(row.attempts, "attempt") if row.attempts > 1 or bad else None,
        _counted(seen.count("attempt.retried"), "retry", "retries"),
        _counted(seen.count("call.failed_over"), "failover"),
        _counted(seen.count("attempt.hedged"), "hedge"),
        f"{redacted} redacted" if redacted else None,
        "from the cache" if row.degraded == "cache" else row.degraded and f"degraded: {row.degraded}",
        row.avoided and f"{dollars(row.avoided)} saved",
        row.lossy and f"left out: {', '.join(row.lossy[:5])}",
        row.optimized and f"optimized: {', '.join(row.optimized)}",
    ]
    level = logging.INFO if good else logging.ERROR if bad else logging.WARNING
    return _line(level, "good" if good else "bad" if bad else "warning", cast("list[str | None]", parts))


_Words: TypeAlias = tuple[int, str, "Sequence[str | None]"]


def _started(event: CallStarted) -> _Words:
    return logging.DEBUG, "note", [_name(event.model_asked), f"{event.operation} begins"]


def _attempt(event: AttemptFinished) -> _Words:
    row = event.row
    good = row.outcome == "success"
    parts = [
        f"{_name(row.target)} attempt {row.attempt}",
        None if good else row.error or row.outcome,
        None if row.status is None else f"status {row.status}",
        _tokens(input_tokens(row), row.cache_read, output_tokens(row)),
        None if row.cost is None else dollars(row.cost),
        _time(row.latency, row.first_token if row.streamed else None),
    ]
    return logging.DEBUG, "good" if good else "warning", parts


def _status(event: Retried | FailedOver) -> str | None:
    return None if event.status is None else f"status {event.status}"


def _retried(event: Retried) -> _Words:
    subject = f"{_name(event.target)} attempt {event.attempt}"
    return logging.DEBUG, "warning", [subject, event.error, _status(event), f"again in {_seconds(event.delay)}"]


def _failed_over(event: FailedOver) -> _Words:
    following = f"next: {_name(event.next_target)}"
    return logging.DEBUG, "warning", [_name(event.target), event.error, _status(event), following]


def _hedged(event: Hedged) -> _Words:
    return logging.DEBUG, "note", [_name(event.target), f"a second attempt after {_seconds(event.delay)}"]


def _queued(event: QueueWaited) -> _Words:
    said = "waited" if event.admitted else "waited in vain"
    parts = [_name(event.target), f"{said} {_seconds(event.seconds)}"]
    return logging.DEBUG, "note" if event.admitted else "warning", parts


def _lossy(event: TranslationLossy) -> _Words:
    return logging.DEBUG, "warning", [_name(event.target), f"left out: {', '.join(event.fields[:5])}"]


def _redacted(event: Redacted) -> _Words:
    return logging.DEBUG, "note", ["redacted", _types(event.types)]


# --- what stands around calls ----------------------------------------------------------------------------------------


def _types(types: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in list(types.items())[:10])


def _breaker(event: BreakerChanged) -> _Words:
    opened = event.after in _OPEN and event.before not in _OPEN
    closed = event.after == "closed" and event.before != "closed"
    parts = [
        f"breaker of {_name(event.target)}",
        event.change.replace("_", " "),
        event.reason,
        None if event.open_for is None else f"for {_seconds(event.open_for)}",
        "news of another process" if event.news else None,
    ]
    return logging.WARNING if opened else logging.INFO, "bad" if opened else "good" if closed else "note", parts


def _budget(event: BudgetCrossed) -> _Words:
    parts = [
        f"budget {_name(event.budget)}",
        "refused a call" if event.what == "refused" else f"{event.threshold or 0:.0%} used",
        f"{dollars(event.spent)} of {dollars(event.limit)} spent",
        f"{dollars(event.reserved)} reserved" if event.reserved else None,
    ]
    return logging.WARNING, "bad" if event.what == "refused" else "warning", parts


def _verdict(event: DLPVerdict) -> _Words:
    blocked = event.action == "block" and not event.dry_run
    parts = [
        f"rule {_name(event.rule)}",
        event.action + (" (dry run)" if event.dry_run else ""),
        "in what is sent" if event.direction == "out" else "in the answer",
        _types(event.types),
        event.target and _name(event.target),
    ]
    # The line of the call says that something was redacted.
    level = logging.WARNING if blocked else logging.DEBUG if event.action == "redact" else logging.INFO
    return level, "bad" if blocked else "warning", parts


def _webhook(event: WebhookSent) -> _Words:
    dead = event.outcome == "dead"
    parts = [
        f"webhook {_name(event.webhook)}",
        event.type,
        "given up" if dead else "delivered",
        None if event.status is None else f"status {event.status}",
        event.reason and _name(event.reason),
        _counted(event.attempts, "attempt"),
    ]
    return logging.ERROR if dead else logging.DEBUG, "bad" if dead else "good", parts


def _decided(event: ExperimentDecided) -> _Words:
    winner = "no winner" if event.winner is None else f"winner: {_name(event.winner)}"
    return logging.INFO, "note", [f"experiment {_name(event.experiment)}", winner, _name(event.reason)]


def _scored(event: AnswerScored) -> _Words:
    return logging.DEBUG, "note", [f"{_name(event.name)} of an answer", f"{event.score:g}"]


def _optimized(event: Optimized) -> _Words:
    undone = event.what == "undone"
    level = logging.DEBUG if event.what == "applied" else logging.WARNING if undone else logging.INFO
    share = None if event.what == "applied" else f"{event.share:.0%} of calls"
    parts = [f"optimization {_name(event.change)}", event.what, share, event.reason and _name(event.reason)]
    return level, "warning" if undone else "note", parts


def _function(event: FunctionFinished) -> _Words:
    good = event.outcome == "success"
    parts = [
        f"function {_name(event.name)}",
        None if good else event.error or event.outcome,
        _seconds(event.latency),
        _counted(len(event.calls), "call"),
    ]
    return logging.DEBUG, "good" if good else "warning", parts


def _run(event: RunFinished) -> _Words:
    good = event.outcome == "success"
    # A model that the framework asked without us has no other line.
    alone = event.type in {"llm", "embedding"} and event.call_id is None
    model = f"{event.provider}/{event.model}" if event.provider and event.model else event.model
    parts = [
        f"{event.framework}: {_name(model if alone and model else event.name)}",
        None if alone else event.type,
        None if good else event.error or event.outcome,
        _tokens(event.input_tokens, event.cache_read_tokens, event.output_tokens),
        None if event.cost is None else dollars(event.cost),
        _time(event.latency, event.first_token if event.streamed else None),
        None if event.documents is None else _counted(event.documents, "document") or "no documents",
    ]
    bad = event.outcome in {"error", "incomplete"}
    level = logging.DEBUG if not alone else logging.INFO if good else logging.ERROR if bad else logging.WARNING
    return level, "good" if good else "bad" if bad else "warning", parts


_LINES: Final = cast(
    "dict[str, Callable[[TelemetryEvent], _Words]]",
    {
        "call.started": _started,
        "attempt.finished": _attempt,
        "attempt.retried": _retried,
        "call.failed_over": _failed_over,
        "attempt.hedged": _hedged,
        "queue.waited": _queued,
        "translation.lossy": _lossy,
        "cache.looked": lambda event: (logging.DEBUG, "note", ["cache", event.result]),
        "breaker.changed": _breaker,
        "data.redacted": _redacted,
        "dlp.verdict": _verdict,
        "budget.crossed": _budget,
        "cost.optimized": _optimized,
        "experiment.assigned": lambda event: (
            logging.DEBUG,
            "note",
            [f"experiment {_name(event.experiment)}", _name(event.variant)],
        ),
        "experiment.decided": _decided,
        "answer.scored": _scored,
        "function.finished": _function,
        "run.finished": _run,
        "webhook.sent": _webhook,
    },
)

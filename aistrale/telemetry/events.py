"""The facts that sinks are told of: one frozen type for each, with ids, and with nothing of what was said.

Only `Content` holds prompts and answers: it is there when capture was asked for, and it is made of redacted text. What
the ledger records of a call or an attempt is not written a second time: the events that end them carry its row.

Longer than a file should be: it is one table, and most of it says what its fields mean.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from aistrale.core.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from aistrale.store.records import AttemptRow, CallRow
    from aistrale.types import JSON

RunType: TypeAlias = Literal["llm", "embedding", "chain", "tool", "retriever", "agent", "query", "other"]
RunOutcome: TypeAlias = Literal["success", "error", "cancelled", "incomplete"]


@dataclass(slots=True, frozen=True, kw_only=True)
class TelemetryEvent:
    """A fact.

    Args:
        id: Unique over processes and time; the same fact has the same id however often it is delivered.
        at: When it happened, Unix seconds.
        call_id: The call that it belongs to, as the ledger's rows have it; None for facts of no call.
    """

    kind: ClassVar[str] = ""

    id: str = field(default_factory=new_id)
    at: float = field(default_factory=time.time)
    call_id: str | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Content:
    """What was said, redacted, in the form of the GenAI semantic conventions (messages of parts).

    Args:
        system: Parts of the system's instructions.
        input: Messages that were sent, in order.
        output: Messages that came back, one per choice.
        tools: Definitions of the tools that were offered.
    """

    system: tuple[JSON, ...] = ()
    input: tuple[JSON, ...] = ()
    output: tuple[JSON, ...] = ()
    tools: tuple[JSON, ...] = ()


# --- calls and attempts ---------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class CallStarted(TelemetryEvent):
    """The application asks for something.

    Args:
        operation: "chat" or "embed".
        model_asked: What it asks for: a model's or a route's name.
        route: The route that is taken.
        streamed: Whether it wants a stream.
        user: Who it is for. Like the next four, from the context of the call.
        workspace: A name.
        project: A name.
        session: A name.
        name: What the application calls this kind of call.
        tags: Labels of the application.
    """

    kind: ClassVar[str] = "call.started"

    operation: Literal["chat", "embed"]
    model_asked: str
    route: str | None = None
    streamed: bool = False
    user: str | None = None
    workspace: str | None = None
    project: str | None = None
    session: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class CallFinished(TelemetryEvent):
    """A call is over, in whichever way.

    Args:
        row: The ledger's row of the call; not to be changed.
        streamed: Whether a stream was asked for.
    """

    kind: ClassVar[str] = "call.finished"

    row: CallRow
    streamed: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class AttemptFinished(TelemetryEvent):
    """One exchange with a provider is over.

    Args:
        row: The ledger's row of the attempt; not to be changed.
        finish_reasons: One for each choice.
        response_id: The provider's id of the answer.
        content: What was said, if capture was asked for.
    """

    kind: ClassVar[str] = "attempt.finished"

    row: AttemptRow
    finish_reasons: tuple[str, ...] = ()
    response_id: str | None = None
    content: Content | None = None


# --- what policies did ----------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class Retried(TelemetryEvent):
    """The same target is asked again.

    Args:
        target: As `provider/model`.
        attempt: Number of the attempt that failed; 0 where nothing was sent.
        error: Class of its error.
        status: Its HTTP status.
        delay: Seconds until the next one.
    """

    kind: ClassVar[str] = "attempt.retried"

    target: str
    attempt: int
    error: str
    status: int | None = None
    delay: float


@dataclass(slots=True, frozen=True, kw_only=True)
class FailedOver(TelemetryEvent):
    """Another target is asked.

    Args:
        target: The one that failed.
        next_target: The one that is asked now.
        error: Class of the error.
        status: Its HTTP status.
        delay: Seconds of waiting in between.
    """

    kind: ClassVar[str] = "call.failed_over"

    target: str
    next_target: str
    error: str
    status: int | None = None
    delay: float = 0.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Hedged(TelemetryEvent):
    """A second attempt was begun beside a slow one.

    Args:
        target: Whose.
        delay: Seconds that the first one had taken until then.
    """

    kind: ClassVar[str] = "attempt.hedged"

    target: str
    delay: float


@dataclass(slots=True, frozen=True, kw_only=True)
class QueueWaited(TelemetryEvent):
    """An attempt had to wait for room at its target.

    Args:
        target: Which one.
        seconds: For how long.
        admitted: Whether it was let through in the end.
    """

    kind: ClassVar[str] = "queue.waited"

    target: str
    seconds: float
    admitted: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class TranslationLossy(TelemetryEvent):
    """The target's wire format could not say all that was asked.

    Args:
        target: Whose.
        fields: What was left out or put differently.
    """

    kind: ClassVar[str] = "translation.lossy"

    target: str
    fields: tuple[str, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class CacheLooked(TelemetryEvent):
    """Our memory of answers was asked.

    Args:
        result: "hit"; "stale": served beyond its time, since everything else failed; "miss".
    """

    kind: ClassVar[str] = "cache.looked"

    result: Literal["hit", "stale", "miss"]


@dataclass(slots=True, frozen=True, kw_only=True)
class BreakerChanged(TelemetryEvent):
    """A circuit breaker changed its state.

    Args:
        target: Whose: `provider/model`, with the account in brackets where there are several.
        change: "opened", "half_opened", "closed", "extended", "forced", "released", "reset".
        before: "closed", "open", "half_open", ...
        after: Likewise.
        reason: Why, in a word.
        open_for: Seconds that it stays open; None in other states and when it was opened by hand.
        news: Whether another process of the fleet found out.
    """

    kind: ClassVar[str] = "breaker.changed"

    target: str
    change: str
    before: str
    after: str
    reason: str
    open_for: float | None = None
    news: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class Redacted(TelemetryEvent):
    """Values were replaced before anything was sent.

    Args:
        types: How many values of each type.
    """

    kind: ClassVar[str] = "data.redacted"

    types: Mapping[str, int]


@dataclass(slots=True, frozen=True, kw_only=True)
class DLPVerdict(TelemetryEvent):
    """A rule about data spoke.

    Args:
        rule: Its name.
        action: "block", "encrypt", "redact", "warn".
        direction: "out": about what is sent. "in": about what was answered.
        types: Distinct values by type.
        target: As `provider/model`.
        dry_run: Whether it was only reported.
    """

    kind: ClassVar[str] = "dlp.verdict"

    rule: str
    action: str
    direction: Literal["out", "in"]
    types: Mapping[str, int]
    target: str | None = None
    dry_run: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class BudgetCrossed(TelemetryEvent):
    """A budget was used up to a threshold, or had to refuse.

    Args:
        what: "threshold" or "refused".
        budget: Its name.
        scope: Whose money it is: "global", "user:alice", ...
        period: As it stands in the settings.
        limit: US dollars.
        spent: US dollars that are settled.
        reserved: US dollars that calls under way may still cost.
        hard: Whether the limit limits.
        threshold: The share of the limit that was passed; None for a refusal.
        resets: When the period ends, Unix seconds; None where it has no end.
    """

    kind: ClassVar[str] = "budget.crossed"

    what: Literal["threshold", "refused"]
    budget: str
    scope: str
    period: str
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    hard: bool
    threshold: Decimal | None = None
    resets: float | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Optimized(TelemetryEvent):
    """Something was changed automatically to pay less, or the share of such changes was.

    Args:
        what: "applied", "ramped", "undone", "reset".
        change: "compact", "model:A>B" or "cheaper:ROUTE".
        share: Share of the calls that have the change from now on.
        reason: Why it was taken back.
        saved_tokens: About how many tokens of the prompt were saved.
    """

    kind: ClassVar[str] = "cost.optimized"

    what: str
    change: str
    share: float
    reason: str | None = None
    saved_tokens: int | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class ExperimentAssigned(TelemetryEvent):
    """A call takes part in an experiment.

    Args:
        experiment: Its name.
        variant: Which arm.
    """

    kind: ClassVar[str] = "experiment.assigned"

    experiment: str
    variant: str


@dataclass(slots=True, frozen=True, kw_only=True)
class ExperimentDecided(TelemetryEvent):
    """An experiment has its answer.

    Args:
        experiment: Its name.
        winner: The arm that won; None where none is better.
        reason: Why it ended.
    """

    kind: ClassVar[str] = "experiment.decided"

    experiment: str
    winner: str | None
    reason: str


@dataclass(slots=True, frozen=True, kw_only=True)
class AnswerScored(TelemetryEvent):
    """The application, or who judges for it, has said how good the answer to a call was (`client.score`).

    Args:
        name: What was judged.
        score: 0 (useless) to 1 (perfect).
    """

    kind: ClassVar[str] = "answer.scored"

    name: str
    score: float


# --- what stands around calls ----------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class FunctionFinished(TelemetryEvent):
    """A decorated function has returned, raised, or been given up.

    Args:
        name: The function's name, or the one that the decorator gives it.
        latency: Seconds; of a generator until it was over.
        outcome: How it ended.
        error: Class of what it raised.
        user: From the context. Like the next four.
        workspace: A name.
        project: A name.
        session: A name.
        tags: Labels.
        calls: Ids of the calls that were made inside.
        inputs: Its arguments, redacted, if capture was asked for.
        output: What it returned, likewise.
    """

    kind: ClassVar[str] = "function.finished"

    name: str
    latency: float
    outcome: RunOutcome
    error: str | None = None
    user: str | None = None
    workspace: str | None = None
    project: str | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    inputs: Mapping[str, JSON] | None = None
    output: JSON = None


@dataclass(slots=True, frozen=True, kw_only=True)
class RunFinished(TelemetryEvent):
    """A step of a framework (LangChain, LlamaIndex) is over. `call_id` is there where the step was a call of ours.

    Args:
        framework: "langchain" or "llamaindex".
        run_id: The framework's id of the step.
        parent_run_id: Of the step around it.
        type: What kind of step.
        name: What the framework calls it.
        latency: Seconds.
        outcome: "incomplete": it never ended, and was given up.
        error: Class of its error.
        provider: Who was asked, of a model's step; None where that is not known.
        model: Which model.
        streamed: Whether the answer came piece by piece.
        first_token: Seconds until the first piece.
        input_tokens: As the framework tells; cached ones included. None, as are the other counts, where the step was a
            call of ours, whose attempts tell them, or came out of the framework's cache.
        output_tokens: As the framework tells; reasoning included.
        cache_read_tokens: Of the input.
        cache_write_tokens: Of the input.
        reasoning_tokens: Of the output.
        cost: US dollars by our price book; None where the price is unknown or the step was a call of ours, which the
            ledger has.
        tags: Labels of the framework.
        documents: How many documents a retriever found.
        content: What was said, if capture was asked for.
    """

    kind: ClassVar[str] = "run.finished"

    framework: str
    run_id: str
    parent_run_id: str | None = None
    type: RunType
    name: str
    latency: float
    outcome: RunOutcome
    error: str | None = None
    provider: str | None = None
    model: str | None = None
    streamed: bool = False
    first_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None
    tags: tuple[str, ...] = ()
    documents: int | None = None
    content: Content | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class WebhookSent(TelemetryEvent):
    """A webhook was delivered, or given up.

    Args:
        webhook: Its name in the settings; never its whole address, which may hold a secret.
        type: What it told: "inference.completed", ...
        message_id: The id that the receiver got.
        attempts: How often it was tried.
        outcome: "delivered" or "dead".
        status: The last HTTP status; None where there was no answer.
        reason: Why it was given up.
    """

    kind: ClassVar[str] = "webhook.sent"

    webhook: str
    type: str
    message_id: str
    attempts: int
    outcome: Literal["delivered", "dead"]
    status: int | None = None
    reason: str | None = None


EVENTS: dict[str, type[TelemetryEvent]] = {
    cls.kind: cls
    for cls in (
        CallStarted, CallFinished, AttemptFinished, Retried, FailedOver, Hedged, QueueWaited, TranslationLossy,
        CacheLooked, BreakerChanged, Redacted, DLPVerdict, BudgetCrossed, Optimized, ExperimentAssigned,
        ExperimentDecided, AnswerScored, FunctionFinished, RunFinished, WebhookSent,
    )
}  # fmt: skip
"""Every kind of event, by the name that sinks and files know it by."""

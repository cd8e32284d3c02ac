"""The metrics of the sink `prometheus`, and what events add to them.

Model calls have the names that OpenTelemetry's metrics for generative AI get in Prometheus (semantic-conventions
1.41.1, `docs/gen-ai/gen-ai-metrics.md`; one observation an attempt); the rest is `aistrale_*`. A label never holds who
called or an id, and no label has more than a fixed number of values: those that come after are "other".
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.telemetry.events import (
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CacheLooked,
    CallFinished,
    CallStarted,
    DLPVerdict,
    ExperimentAssigned,
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
from aistrale.telemetry.gathered import Gathered
from aistrale.telemetry.lines import input_tokens, output_tokens
from aistrale.telemetry.otel.conventions import PROVIDERS, SECONDS_BUCKETS, TOKEN_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    from aistrale.telemetry.events import TelemetryEvent

_MODEL: Final = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
)
_COST: Final = ("gen_ai_provider_name", "gen_ai_request_model", "project")
_QUEUE_BUCKETS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Nothing that stands for a person or a single piece of work may become a label.
_PERSONAL: Final = frozenset({"user", "session", "tag"})

_COUNTERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "aistrale_calls": ("Calls of the application.", ("gen_ai_operation_name", "outcome", "route", "degraded")),
    "aistrale_cost_usd": ("US dollars of attempts whose price is known.", _COST),
    "aistrale_cost_unknown": ("Successful attempts whose price is not known.", _COST),
    "aistrale_cost_avoided_usd": ("US dollars that remembered answers had cost.", ("project",)),
    "aistrale_retries": ("Attempts that were followed by another one at the same target.", ("target", "error_type")),
    "aistrale_failovers": ("Targets that were left for another one.", ("target", "next_target", "error_type")),
    "aistrale_hedges": ("Second attempts that were begun beside a slow one.", ("target",)),
    "aistrale_breaker_changes": ("Changes of breakers.", ("target", "change", "reason")),
    "aistrale_cache_lookups": ("Questions to the memory of answers.", ("result",)),
    "aistrale_redacted_values": ("Values that were replaced before anything was sent.", ("type",)),
    "aistrale_dlp_verdicts": ("What rules about data have said.", ("rule", "action", "direction", "dry_run")),
    "aistrale_budget_crossings": ("Thresholds passed and calls refused.", ("budget", "scope", "what")),
    "aistrale_lossy_translations": ("Fields that a target's format could not say.", ("target", "field")),
    "aistrale_webhooks": ("Webhooks that were delivered or given up.", ("webhook", "type", "outcome")),
    "aistrale_experiment_assignments": ("Calls that take part in experiments.", ("experiment", "variant")),
    "aistrale_optimizations": ("Automatic changes to pay less.", ("what", "change")),
}
_GAUGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "aistrale_breaker_state": ("0 closed, 1 half open, 2 open.", ("target",)),
    "aistrale_budget_limit_usd": ("The limit, when a threshold was passed last.", ("budget", "scope")),
    "aistrale_budget_spent_usd": ("Settled, when a threshold was passed last.", ("budget", "scope")),
    "aistrale_budget_reserved_usd": ("Reserved, when a threshold was passed last.", ("budget", "scope")),
}
_HISTOGRAMS: Final[dict[str, tuple[str, tuple[str, ...], Sequence[float]]]] = {
    "gen_ai_client_operation_duration_seconds": (
        "GenAI operation duration, one observation an attempt.",
        (*_MODEL, "error_type"),
        SECONDS_BUCKETS,
    ),
    "gen_ai_client_operation_time_to_first_chunk_seconds": (
        "Time to the first chunk of a streamed answer.",
        _MODEL,
        SECONDS_BUCKETS,
    ),
    "gen_ai_client_token_usage": (
        "Number of input and output tokens used.",
        (*_MODEL, "gen_ai_token_type"),
        TOKEN_BUCKETS,
    ),
    "aistrale_call_duration_seconds": (
        "Calls of the application, waiting and retries included.",
        ("gen_ai_operation_name", "outcome", "route"),
        SECONDS_BUCKETS,
    ),
    "aistrale_queue_wait_seconds": ("Waiting for room at a target.", ("target", "admitted"), _QUEUE_BUCKETS),
    "aistrale_function_duration_seconds": ("Decorated functions.", ("function", "outcome"), SECONDS_BUCKETS),
    "aistrale_run_duration_seconds": (
        "Steps of frameworks that were no calls of ours.",
        ("framework", "type", "outcome"),
        SECONDS_BUCKETS,
    ),
}  # fmt: skip
_STATES: Final = {"closed": 0, "forced_closed": 0, "metrics_only": 0, "half_open": 1, "open": 2, "forced_open": 2}
_OTHER: Final = "other"


class Metrics:
    """The metrics of one registry. Not thread-safe in what it remembers of calls: the sink has a lock.

    Args:
        registry: Where they are registered.
        values: Most values of each label.

    Raises:
        ValueError: It has metrics of these names.
    """

    def __init__(self, registry: CollectorRegistry, values: int) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._values = values
        self._known: dict[str, set[str]] = {}
        self._gathered = Gathered({CallStarted.kind})
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        try:
            for name, (told, labels) in _COUNTERS.items():
                self._counters[name] = Counter(name, told, labels, registry=registry)
            for name, (told, labels) in _GAUGES.items():
                # Of several processes that share a directory, the one that knew last is right.
                mode: Literal["mostrecent"] = "mostrecent"
                self._gauges[name] = Gauge(name, told, labels, registry=registry, multiprocess_mode=mode)
            for name, (told, labels, buckets) in _HISTOGRAMS.items():
                self._histograms[name] = Histogram(name, told, labels, registry=registry, buckets=buckets)
        except ValueError:
            # The registry is as it was: all of them or none.
            for made in (*self._counters.values(), *self._gauges.values(), *self._histograms.values()):
                registry.unregister(made)
            raise

    def add(self, events: Sequence[TelemetryEvent]) -> None:
        """Count them."""
        self._gathered.add(events)
        for event in events:
            count = _COUNTS.get(event.kind)
            if count is not None:
                count(self, event)
        self._gathered.forget(event.call_id for event in events if event.kind == CallFinished.kind)

    # --- by name and labels -------------------------------------------------------------------------------------

    def _inc(self, name: str, amount: float = 1, /, **labels: str | None) -> None:
        self._counters[name].labels(**self._bounded(labels)).inc(amount)

    def _set(self, name: str, value: float, /, **labels: str | None) -> None:
        self._gauges[name].labels(**self._bounded(labels)).set(value)

    def _observe(self, name: str, value: float, /, **labels: str | None) -> None:
        self._histograms[name].labels(**self._bounded(labels)).observe(value)

    def _bounded(self, labels: dict[str, str | None]) -> dict[str, str]:
        return {name: self._capped(name, value) if value else "" for name, value in labels.items()}

    def _capped(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= self._values:
            return _OTHER
        known.add(value)
        return value

    # --- calls and attempts -------------------------------------------------------------------------------------

    def _started(self, call_id: str | None) -> CallStarted | None:
        return cast("CallStarted | None", next(iter(self._gathered.of(call_id)), None))

    def call(self, event: CallFinished) -> None:
        """A call is over."""
        row = event.row
        # Its attempts have their own operation names; a call may have been tried in several places.
        operation = "embeddings" if row.kind == "embed" else "chat"
        labels = {"gen_ai_operation_name": operation, "outcome": row.outcome, "route": row.route}
        self._inc("aistrale_calls", **labels, degraded=row.degraded)
        self._observe("aistrale_call_duration_seconds", row.latency, **labels)
        avoided = _amount(row.avoided)
        if avoided is not None:
            self._inc("aistrale_cost_avoided_usd", avoided, project=row.project)

    def attempt(self, event: AttemptFinished) -> None:
        """An exchange is over."""
        row = event.row
        started = self._started(event.call_id)
        embeds = started is not None and started.operation == "embed"
        good = row.outcome == "success"
        self._exchange(
            (embeds, row.provider, row.model, row.response_model),
            row.latency,
            _error(row.outcome, row.error),
            row.first_token if row.streamed else None,
            (input_tokens(row), None if embeds else output_tokens(row)),
        )
        self._cost(row.provider, row.model, started.project if started else None, _amount(row.cost), expected=good)

    def run(self, event: RunFinished) -> None:
        """A step of a framework is over; one that was a call of ours is counted as that."""
        labels = {"framework": event.framework, "type": event.type, "outcome": event.outcome}
        if event.call_id is not None:
            return
        self._observe("aistrale_run_duration_seconds", event.latency, **labels)
        if event.type not in {"llm", "embedding"} or not event.provider:
            return
        good = event.outcome == "success"
        self._exchange(
            (event.type == "embedding", event.provider, event.model, None),
            event.latency,
            _error(event.outcome, event.error),
            event.first_token if event.streamed else None,
            (event.input_tokens, event.output_tokens),
        )
        self._cost(event.provider, event.model, None, _amount(event.cost), expected=good)

    def _exchange(
        self,
        model: tuple[bool, str, str | None, str | None],
        latency: float,
        error: str | None,
        first: float | None,
        tokens: tuple[int | None, int | None],
    ) -> None:
        embeds, provider, asked, answered = model
        operation = "embeddings" if embeds else "generate_content" if provider == "gemini" else "chat"
        labels = dict(zip(_MODEL, (operation, PROVIDERS.get(provider, provider), asked, answered), strict=True))
        self._observe("gen_ai_client_operation_duration_seconds", latency, **labels, error_type=error)
        if first is not None:
            self._observe("gen_ai_client_operation_time_to_first_chunk_seconds", first, **labels)
        for kind, count in zip(("input", "output"), tokens, strict=True):
            # Where nobody told, nothing is said: unknown is not zero.
            if count is not None:
                self._observe("gen_ai_client_token_usage", count, **labels, gen_ai_token_type=kind)

    def _cost(
        self, provider: str, model: str | None, project: str | None, cost: float | None, *, expected: bool
    ) -> None:
        labels = {
            "gen_ai_provider_name": PROVIDERS.get(provider, provider),
            "gen_ai_request_model": model,
            "project": project,
        }
        if cost is not None:
            self._inc("aistrale_cost_usd", cost, **labels)
        elif expected:
            self._inc("aistrale_cost_unknown", **labels)

    # --- what policies did --------------------------------------------------------------------------------------

    def retried(self, event: Retried) -> None:
        """Once more."""
        self._inc("aistrale_retries", target=event.target, error_type=event.error)

    def failed_over(self, event: FailedOver) -> None:
        """Elsewhere."""
        self._inc("aistrale_failovers", target=event.target, next_target=event.next_target, error_type=event.error)

    def hedged(self, event: Hedged) -> None:
        """Beside."""
        self._inc("aistrale_hedges", target=event.target)

    def waited(self, event: QueueWaited) -> None:
        """In line."""
        self._observe("aistrale_queue_wait_seconds", event.seconds, target=event.target, admitted=_flag(event.admitted))

    def lossy(self, event: TranslationLossy) -> None:
        """Left out."""
        for field in event.fields:
            self._inc("aistrale_lossy_translations", target=event.target, field=field)

    def cache(self, event: CacheLooked) -> None:
        """Remembered or not."""
        self._inc("aistrale_cache_lookups", result=event.result)

    def redacted(self, event: Redacted) -> None:
        """Replaced."""
        for kind, count in event.types.items():
            self._inc("aistrale_redacted_values", max(count, 0), type=kind)

    def verdict(self, event: DLPVerdict) -> None:
        """Judged."""
        labels = {"rule": event.rule, "action": event.action, "direction": event.direction}
        self._inc("aistrale_dlp_verdicts", **labels, dry_run=_flag(event.dry_run))

    def breaker(self, event: BreakerChanged) -> None:
        """Opened or closed."""
        self._inc("aistrale_breaker_changes", target=event.target, change=event.change, reason=event.reason)
        self._set("aistrale_breaker_state", _STATES.get(event.after, 0), target=event.target)

    def budget(self, event: BudgetCrossed) -> None:
        """Used up."""
        kind, _, value = event.scope.partition(":")
        personal = kind in _PERSONAL
        labels = {
            # A budget without a name is called after its scope.
            "budget": f"{kind} per {event.period}" if personal and value and value in event.budget else event.budget,
            "scope": kind if personal else event.scope,
        }
        self._inc("aistrale_budget_crossings", **labels, what=event.what)
        if personal:
            # Those of many people are no one figure.
            return
        self._set("aistrale_budget_limit_usd", float(event.limit), **labels)
        self._set("aistrale_budget_spent_usd", float(event.spent), **labels)
        self._set("aistrale_budget_reserved_usd", float(event.reserved), **labels)

    # --- what stands around calls -------------------------------------------------------------------------------

    def webhook(self, event: WebhookSent) -> None:
        """Sent."""
        self._inc("aistrale_webhooks", webhook=event.webhook, type=event.type, outcome=event.outcome)

    def assigned(self, event: ExperimentAssigned) -> None:
        """Takes part."""
        self._inc("aistrale_experiment_assignments", experiment=event.experiment, variant=event.variant)

    def optimized(self, event: Optimized) -> None:
        """Cheaper."""
        self._inc("aistrale_optimizations", what=event.what, change=event.change)

    def function(self, event: FunctionFinished) -> None:
        """Returned."""
        labels = {"function": event.name, "outcome": event.outcome}
        self._observe("aistrale_function_duration_seconds", event.latency, **labels)


def _flag(value: bool) -> str:  # noqa: FBT001 - a value to be written
    return "true" if value else "false"


def _error(outcome: str, error: str | None) -> str | None:
    """As the sink `otel` has it: one word for a thing."""
    if outcome == "cancelled":
        return "CancelledError"
    # An answer that its reader gave up is no failure.
    return error or "_OTHER" if outcome in {"error", "interrupted", "incomplete"} else None


def _amount(said: str | Decimal | None) -> float | None:
    try:
        value = None if said is None else Decimal(said)
    except InvalidOperation:
        return None
    # Counters only grow, and a bill is not negative.
    return float(value) if value is not None and value.is_finite() and value >= 0 else None


_COUNTS: Final = cast(
    "dict[str, Callable[[Metrics, TelemetryEvent], None]]",
    {
        CallFinished.kind: Metrics.call,
        AttemptFinished.kind: Metrics.attempt,
        Retried.kind: Metrics.retried,
        FailedOver.kind: Metrics.failed_over,
        Hedged.kind: Metrics.hedged,
        QueueWaited.kind: Metrics.waited,
        TranslationLossy.kind: Metrics.lossy,
        CacheLooked.kind: Metrics.cache,
        Redacted.kind: Metrics.redacted,
        DLPVerdict.kind: Metrics.verdict,
        BreakerChanged.kind: Metrics.breaker,
        BudgetCrossed.kind: Metrics.budget,
        WebhookSent.kind: Metrics.webhook,
        ExperimentAssigned.kind: Metrics.assigned,
        Optimized.kind: Metrics.optimized,
        FunctionFinished.kind: Metrics.function,
        RunFinished.kind: Metrics.run,
    },
)

KINDS: Final = frozenset({*_COUNTS, CallStarted.kind})
"""Kinds of events that are counted, and those that say what the others are about."""

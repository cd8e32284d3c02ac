"""Metrics: those of the conventions for every attempt, and ours for what policies do. No user and no session on any."""

from __future__ import annotations

import threading
from collections import deque
from inspect import signature
from typing import TYPE_CHECKING, Final, cast

from opentelemetry.metrics import Histogram

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.attributes import error_type, provider_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Meter

    from aistrale.core.call import Attempt
    from aistrale.telemetry.events import (
        AttemptFinished,
        BreakerChanged,
        BudgetCrossed,
        CacheLooked,
        CallFinished,
        DLPVerdict,
        ExperimentAssigned,
        FailedOver,
        Hedged,
        Optimized,
        QueueWaited,
        Redacted,
        Retried,
        TelemetryEvent,
        TranslationLossy,
        WebhookSent,
    )
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.telemetry.otel.conventions import Profile

# Gaps between the pieces of a stream that are recorded where it ends; the rest is left to the thread that delivers.
_AT_ONCE: Final = 32
_MOST_GAPS: Final = 100_000
_NEAR: Final = "context" in signature(Histogram.record).parameters


class CallMetrics:
    """The metrics of the conventions.

    Args:
        meter: Makes the instruments.
        profile: Which of them there are.
    """

    def __init__(self, meter: Meter, profile: Profile) -> None:
        self._duration = _histogram(
            meter, words.DURATION, "s", "Time that an exchange with a provider took.", words.SECONDS_BUCKETS
        )
        self._tokens = _histogram(
            meter, words.TOKEN_USAGE, "{token}", "Tokens of an exchange with a provider.", words.TOKEN_BUCKETS
        )
        self.chunks = profile.details
        self._first: Histogram | None = None
        self._gaps: Histogram | None = None
        if profile.details:
            self._first = _histogram(
                meter, words.TIME_TO_FIRST_CHUNK, "s", "Time until a stream's first piece.", words.SECONDS_BUCKETS
            )
            self._gaps = _histogram(
                meter, words.TIME_PER_OUTPUT_CHUNK, "s", "Time between a stream's pieces.", words.SECONDS_BUCKETS
            )
        self._waiting: deque[tuple[float, Attributes]] = deque(maxlen=_MOST_GAPS)
        self._meter = meter
        # Made with the first step: most applications use no framework.
        self._steps: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    def step(self, name: str, buckets: Sequence[float], seconds: float, found: Attributes, context: Context) -> None:
        """A step of a framework is over.

        Args:
            name: Of the metric.
            buckets: Its boundaries, in seconds.
            seconds: How long it took.
            found: What it is filed under.
            context: With its span.
        """
        histogram = self._steps.get(name)
        if histogram is None:
            with self._lock:
                histogram = self._steps.get(name) or _histogram(self._meter, name, "s", "Time of a step.", buckets)
                self._steps[name] = histogram
        histogram.record(seconds, found, **({"context": context} if _NEAR else {}))

    def attempt(
        self,
        attempt: Attempt,
        identity: Attributes,
        context: Context,
        gaps: Sequence[float],
        *,
        stream: bool,
        vectors: bool,
    ) -> None:
        """An attempt is over.

        Args:
            attempt: Settled.
            identity: Operation, provider, model and server.
            context: With its span, which examples of measurements lead to.
            gaps: Seconds between the pieces of its answer.
            stream: Whether a stream was asked for.
            vectors: Whether vectors were.
        """
        common = dict(identity)
        if attempt.response_model:
            common[words.RESPONSE_MODEL] = attempt.response_model
        failed = error_type(attempt)
        timed = common if failed is None else {**common, words.ERROR_TYPE: failed}
        # The context leads from a measurement to its span; older APIs have no place for it.
        near = {"context": context} if _NEAR else {}
        self._duration.record(attempt.latency or 0.0, timed, **near)
        usage = attempt.usage
        # What is estimated is told by spans, which say so; a metric could not.
        if usage is not None and usage.source == "reported":
            for kind, count in (("input", usage.input_total), ("output", None if vectors else usage.output_total)):
                if count is not None:
                    self._tokens.record(count, {**common, words.TOKEN_TYPE: kind}, **near)
        if not stream or self._first is None:
            return
        if attempt.first_token is not None:
            self._first.record(attempt.first_token, common, **near)
        self._pieces(gaps, common)

    def _pieces(self, gaps: Sequence[float], common: Attributes) -> None:
        if self._gaps is None:
            return
        for gap in gaps[:_AT_ONCE]:
            self._gaps.record(gap, common)
        self._waiting.extend((gap, common) for gap in gaps[_AT_ONCE:])

    def drain(self) -> None:
        """Record what was left for later."""
        while self._gaps is not None:
            try:
                gap, common = self._waiting.popleft()
            except IndexError:
                return
            self._gaps.record(gap, common)


def _histogram(meter: Meter, name: str, unit: str, description: str, buckets: Sequence[float]) -> Histogram:
    try:
        return meter.create_histogram(
            name, unit=unit, description=description, explicit_bucket_boundaries_advisory=list(buckets)
        )
    except TypeError:
        # The parameter came with opentelemetry-api 1.30; before that the boundaries are the SDK's.
        return meter.create_histogram(name, unit=unit, description=description)


class EventMetrics:
    """Our own metrics, made of the events that sinks get.

    Args:
        meter: Makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._counters: dict[str, Counter] = {}
        self._lock = threading.Lock()
        self._calls = _histogram(
            meter, "aistrale.call.duration", "s", "Time that a call took, attempts and waiting.", words.SECONDS_BUCKETS
        )
        self._waits = _histogram(
            meter, "aistrale.queue.wait", "s", "Time that attempts stood in line.", words.SECONDS_BUCKETS
        )

    def event(self, event: TelemetryEvent) -> None:
        """Count an event; those of other kinds are passed over."""
        count = _COUNTS.get(event.kind)
        if count is not None:
            count(self, event)

    def _add(self, name: str, amount: float, attributes: Attributes, unit: str = "1") -> None:
        counter = self._counters.get(name)
        if counter is None:
            # Two clients may have one sink, and an SDK complains of an instrument that is made twice.
            with self._lock:
                counter = self._counters.get(name) or self._meter.create_counter(name, unit=unit)
                self._counters[name] = counter
        counter.add(amount, attributes)

    def _call(self, event: CallFinished) -> None:
        row = event.row
        found: Attributes = {words.OUTCOME: row.outcome, "aistrale.call.kind": row.kind}
        for name, value in ((words.ROUTE, row.route), (words.ERROR_TYPE, row.error), (words.DEGRADED, row.degraded)):
            if value:
                found[name] = value
        self._calls.record(row.latency, found)

    def _attempt(self, event: AttemptFinished) -> None:
        row = event.row
        if row.cost is not None:
            found: Attributes = {
                words.PROVIDER: provider_of(row.provider, ""),
                words.REQUEST_MODEL: row.model,
                words.OUTCOME: row.outcome,
            }
            self._add("aistrale.cost", float(row.cost), found, "USD")

    def _retried(self, event: Retried) -> None:
        self._add("aistrale.retries", 1, {words.TARGET: event.target, words.ERROR_TYPE: event.error})

    def _failed_over(self, event: FailedOver) -> None:
        found: Attributes = {
            words.TARGET: event.target,
            "aistrale.next_target": event.next_target,
            words.ERROR_TYPE: event.error,
        }
        self._add("aistrale.failovers", 1, found)

    def _hedged(self, event: Hedged) -> None:
        self._add("aistrale.hedges", 1, {words.TARGET: event.target})

    def _waited(self, event: QueueWaited) -> None:
        self._waits.record(event.seconds, {words.TARGET: event.target, "aistrale.admitted": event.admitted})

    def _lossy(self, event: TranslationLossy) -> None:
        self._add("aistrale.translations.lossy", 1, {words.TARGET: event.target})

    def _cache(self, event: CacheLooked) -> None:
        self._add("aistrale.cache.lookups", 1, {"aistrale.cache.result": event.result})

    def _breaker(self, event: BreakerChanged) -> None:
        found: Attributes = {
            words.TARGET: event.target,
            "aistrale.breaker.change": event.change,
            "aistrale.breaker.state": event.after,
        }
        self._add("aistrale.breaker.changes", 1, found)

    def _redacted(self, event: Redacted) -> None:
        for kind, count in event.types.items():
            self._add("aistrale.redactions", count, {"aistrale.data.type": kind})

    def _verdict(self, event: DLPVerdict) -> None:
        found: Attributes = {
            "aistrale.dlp.rule": event.rule,
            "aistrale.dlp.action": event.action,
            "aistrale.dlp.direction": event.direction,
            "aistrale.dlp.dry_run": event.dry_run,
        }
        self._add("aistrale.dlp.verdicts", 1, found)

    def _budget(self, event: BudgetCrossed) -> None:
        self._add(
            "aistrale.budget.crossings", 1, {"aistrale.budget": event.budget, "aistrale.budget.event": event.what}
        )

    def _optimized(self, event: Optimized) -> None:
        self._add("aistrale.optimizations", 1, {"aistrale.optimized.event": event.what, words.OPTIMIZED: event.change})

    def _experiment(self, event: ExperimentAssigned) -> None:
        found: Attributes = {"aistrale.experiment": event.experiment, "aistrale.experiment.variant": event.variant}
        self._add("aistrale.experiment.assignments", 1, found)

    def _webhook(self, event: WebhookSent) -> None:
        self._add("aistrale.webhooks", 1, {"aistrale.webhook": event.webhook, words.OUTCOME: event.outcome})


# One table for all of them.
# ruff: noqa: SLF001
_COUNTS: Final = cast(
    "dict[str, Callable[[EventMetrics, TelemetryEvent], None]]",
    {
        "call.finished": EventMetrics._call,
        "attempt.finished": EventMetrics._attempt,
        "attempt.retried": EventMetrics._retried,
        "call.failed_over": EventMetrics._failed_over,
        "attempt.hedged": EventMetrics._hedged,
        "queue.waited": EventMetrics._waited,
        "translation.lossy": EventMetrics._lossy,
        "cache.looked": EventMetrics._cache,
        "breaker.changed": EventMetrics._breaker,
        "data.redacted": EventMetrics._redacted,
        "dlp.verdict": EventMetrics._verdict,
        "budget.crossed": EventMetrics._budget,
        "cost.optimized": EventMetrics._optimized,
        "experiment.assigned": EventMetrics._experiment,
        "webhook.sent": EventMetrics._webhook,
    },
)

EVENT_KINDS: Final = frozenset({*_COUNTS, "answer.scored"})
"""The kinds of events that are counted, or are events of the conventions themselves."""

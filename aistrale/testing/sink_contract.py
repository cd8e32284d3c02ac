"""Checks that a sink of your own is one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.core.ids import new_id
from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.events import (
    EVENTS,
    AnswerScored,
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CacheLooked,
    CallFinished,
    CallStarted,
    Content,
    DLPVerdict,
    ExperimentAssigned,
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
    from collections.abc import Callable, Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.sink import Sink

_THREADS: Final = 4
_MANY: Final = 50
_SECONDS: Final = 10.0
_FLAGS: Final = ("inline", "durable")
_METHODS: Final = ("flush", "close", "after_fork", "attach", "watch")


def sample_events() -> list[TelemetryEvent]:
    """An event of every kind, as a call with a failure, a failover and an answer gives them; ids are new each time.

    What is said in the contents is "Hello" and "World".
    """
    call_id = new_id()
    return [*_call(call_id), *_around(call_id)]


def check_sink(sink: Sink) -> None:
    """Check that a sink of your own is one: that it takes every kind of event, alone and in batches, and goes on.

    It gets a few hundred events, from this thread and from others, one thread at a time as in real life and several at
    once, as when two clients have the same sink; it is closed in between, told of a fork, and closed at the end. Where
    it sends them should be a place for tests.

    Args:
        sink: The sink.

    Raises:
        AssertionError: It breaks the contract; it says how. What the sink itself raised is the cause.
    """
    _check_declared(sink)
    events = sample_events()
    before = [repr(event) for event in events]
    for event in _wanted(sink, events):
        _write(sink, (event,), f"an event of kind {event.kind!r}")
    _write(sink, (), "a batch without events")
    _write(sink, _wanted(sink, events), "events that it has had already: they may come again")
    _write(sink, tuple(_wanted(sink, [event for _ in range(_MANY) for event in sample_events()])), "a large batch")
    _expect([repr(event) for event in events] == before, "changes events; they belong to all sinks")
    _check_flush(sink)
    _with_threads(sink)
    _again(sink, "close", "a batch after close(): it is opened anew by the next event")
    _again(sink, "after_fork", "a batch after after_fork(): a child process goes on with its own")
    _again(sink, "close", "a batch after it was closed a second time")
    _call_optional(sink, "close")
    _call_optional(sink, "close")


def _expect(kept: bool, what: str, cause: BaseException | None = None) -> None:  # noqa: FBT001 - of an assertion
    if not kept:
        raise AssertionError(f"the sink {what}") from cause


def _check_declared(sink: Sink) -> None:
    _expect(not isinstance(sink, type), "is a class; give an instance")
    _expect(callable(getattr(sink, "write", None)), "has no write() (see aistrale.telemetry.sink.Sink)")
    name = getattr(sink, "name", None)
    _expect(name is None or (isinstance(name, str) and bool(name.strip())), "has a name that is no text")
    kinds = getattr(sink, "kinds", None)
    if kinds is not None:
        _expect(isinstance(kinds, (frozenset, set)) and bool(kinds), "has kinds that are no set, or none")
        unknown = sorted(kind for kind in kinds if kind not in EVENTS)
        _expect(not unknown, f"wants kinds of events that do not exist: {', '.join(map(str, unknown))}")
    for flag in _FLAGS:
        _expect(isinstance(getattr(sink, flag, False), bool), f"has {flag!r}, which is neither True nor False")
    for method in _METHODS:
        found = getattr(sink, method, None)
        _expect(found is None or callable(found), f"has {method!r}, which cannot be called")
    instrument = getattr(sink, "instrument", None)
    if instrument is not None:
        _expect(isinstance(getattr(instrument, "chunks", None), bool), "has an instrument without the flag 'chunks'")
        for method in ("call", "attempt"):
            _expect(callable(getattr(instrument, method, None)), f"has an instrument without {method}()")


def _wanted(sink: Sink, events: Sequence[TelemetryEvent]) -> list[TelemetryEvent]:
    kinds = getattr(sink, "kinds", None)
    return [event for event in events if kinds is None or event.kind in kinds]


def _write(sink: Sink, events: Sequence[TelemetryEvent], what: str) -> None:
    try:
        sink.write(events)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is told
        _expect(kept=False, what=f"raises {type(error).__name__} at {what}", cause=error)


def _check_flush(sink: Sink) -> None:
    flush: Callable[[float], object] | None = getattr(sink, "flush", None)
    if flush is None:
        return
    begun = time.monotonic()
    try:
        done = flush(_SECONDS)
    except Exception as error:  # noqa: BLE001 - as above
        _expect(kept=False, what=f"raises {type(error).__name__} at flush()", cause=error)
    else:
        _expect(isinstance(done, bool), "gives at flush() what is neither True nor False")
        _expect(time.monotonic() - begun < 2 * _SECONDS, f"takes much longer at flush({_SECONDS:g}) than it was given")


def _with_threads(sink: Sink) -> None:
    def other(number: int) -> None:
        for _ in range(5):
            _write(sink, _wanted(sink, sample_events()), f"a batch from thread {number} of {_THREADS}")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(other, 1).result()
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(other, number) for number in range(1, _THREADS + 1)]:
            done.result()


def _call_optional(sink: Sink, name: str) -> None:
    method: Callable[[], object] | None = getattr(sink, name, None)
    if method is None:
        return
    try:
        method()
    except Exception as error:  # noqa: BLE001 - as above
        _expect(kept=False, what=f"raises {type(error).__name__} at {name}()", cause=error)


def _again(sink: Sink, name: str, what: str) -> None:
    _call_optional(sink, name)
    _write(sink, _wanted(sink, sample_events()), what)


# --- one of each -----------------------------------------------------------------------------------------------------


def _attempt(call_id: str, number: int, target: str, **more: object) -> AttemptRow:
    provider, _, model = target.partition("/")
    row = AttemptRow(
        call_id=call_id,
        attempt=number,
        at=time.time(),
        latency=0.25,
        provider=provider,
        model=model,
        target=target,
        streamed=False,
        outcome="success",
    )
    for field, value in more.items():
        setattr(row, field, value)
    return row


def _call(call_id: str) -> list[TelemetryEvent]:
    first, second = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"
    failed = _attempt(call_id, 1, first, outcome="error", error="ServerError", status=500)
    good = _attempt(call_id, 2, second, status=200, input=12, cache_read=3, output=7, cost="0.000042")
    content = Content(
        input=({"role": "user", "parts": [{"type": "text", "content": "Hello"}]},),
        output=({"role": "assistant", "parts": [{"type": "text", "content": "World"}]},),
    )
    row = CallRow(
        call_id=call_id, at=time.time(), latency=0.75, kind="chat", model_asked="chat", outcome="success", attempts=2,
        route="chat", provider="anthropic", model="claude-haiku-4-5", project="demo", tags={"stage": "test"},
        input=12, cache_read=3, output=7, cost="0.000042",
    )  # fmt: skip
    return [
        CallStarted(call_id=call_id, operation="chat", model_asked="chat", route="chat", project="demo"),
        Redacted(call_id=call_id, types={"EMAIL_ADDRESS": 1}),
        CacheLooked(call_id=call_id, result="miss"),
        ExperimentAssigned(call_id=call_id, experiment="models", variant="B"),
        QueueWaited(call_id=call_id, target=first, seconds=0.1, admitted=True),
        AttemptFinished(call_id=call_id, row=failed),
        Retried(call_id=call_id, target=first, attempt=1, error="ServerError", status=500, delay=0.5),
        Hedged(call_id=call_id, target=first, delay=1.0),
        FailedOver(call_id=call_id, target=first, next_target=second, error="ServerError", status=500),
        TranslationLossy(call_id=call_id, target=second, fields=("seed",)),
        AttemptFinished(call_id=call_id, row=good, finish_reasons=("stop",), response_id="msg_1", content=content),
        DLPVerdict(call_id=call_id, rule="cards", action="warn", direction="out", types={"CREDIT_CARD": 1}),
        CallFinished(call_id=call_id, row=row),
    ]


def _around(call_id: str) -> list[TelemetryEvent]:
    return [
        BreakerChanged(
            target="openai/gpt-5-mini", change="opened", before="closed", after="open", reason="failures", open_for=5.0
        ),
        BudgetCrossed(
            what="threshold", budget="demo", scope="project:demo", period="day", limit=Decimal(5),
            spent=Decimal("4.2"), reserved=Decimal("0.1"), hard=True, threshold=Decimal("0.8"),
        ),
        Optimized(what="ramped", change="compact", share=0.1, saved_tokens=120),
        ExperimentDecided(experiment="models", winner=None, reason="no difference"),
        AnswerScored(call_id=call_id, name="quality", score=0.9),
        FunctionFinished(
            name="answer", latency=0.8, outcome="success", calls=(call_id,), inputs={"question": "Hello"},
            output="World",
        ),
        RunFinished(
            framework="langchain", run_id=new_id(), type="llm", name="ChatModel", latency=0.5, outcome="success",
            provider="openai", model="gpt-5-mini", input_tokens=12, output_tokens=7, cost=Decimal("0.00004"),
        ),
        WebhookSent(
            webhook="example.org", type="inference.completed", message_id="msg_1", attempts=1, outcome="delivered",
            status=200,
        ),
    ]  # fmt: skip

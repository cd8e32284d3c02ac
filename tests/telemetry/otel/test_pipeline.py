"""A pipeline of our own: what it holds is bounded, what it loses is counted, and nobody waits for it."""

from __future__ import annotations

import os
import threading
import time

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")

from opentelemetry import trace

from aistrale.telemetry.otel import waiting as module
from aistrale.telemetry.otel.pipeline import Pipeline
from aistrale.telemetry.otel.waiting import MOST_WAITING

MODEL = "openai/gpt-5-mini"


class Scripted:
    """Sends what it is told to, and remembers."""

    takes_metrics = takes_records = False

    def __init__(self, *results, hang=None):
        self.results = list(results)
        self.batches = []
        self.hang = hang
        self.renewed = 0

    def spans(self, spans):
        if self.hang is not None:
            self.hang.wait(30)
        done = self.results.pop(0) if self.results else True
        if done:
            self.batches.append(len(spans))
        return done

    def records(self, records):
        return True

    def renew(self):
        self.renewed += 1

    def hurry(self, timeout):
        pass


@pytest.fixture
def made():
    opened = []

    def make(exporters):
        opened.append(Pipeline("test", exporters))
        return opened[-1]

    yield make
    for one in opened:
        for line in (one._spans, one._records):
            line.renew()
        one.close(1.0)


def spans(pipeline, count, **attributes):
    tracer = pipeline.tracer_provider().get_tracer("test")
    for _ in range(count):
        tracer.start_span("x", attributes=attributes).end()


def test_nothing_runs_before_something_is_to_be_sent(made):
    pipeline = made(Scripted())
    pipeline.tracer_provider()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("aistrale-test")]


def test_batches(made):
    exporters = Scripted()
    pipeline = made(exporters)
    spans(pipeline, 1200)
    assert pipeline.flush(10)
    assert sum(exporters.batches) == 1200
    assert max(exporters.batches) <= 512
    assert pipeline.dropped == {}


def test_what_does_not_fit_is_counted(made):
    hang = threading.Event()
    pipeline = made(Scripted(hang=hang))
    spans(pipeline, MOST_WAITING + 700)
    assert pipeline.waiting == MOST_WAITING
    assert pipeline.dropped["spans.full"] == 700
    hang.set()


def test_size_is_bounded_too(made, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    hang = threading.Event()
    pipeline = made(Scripted(hang=hang))
    spans(pipeline, 50, content="x" * 10_000)
    assert pipeline._spans._size <= 100_000
    assert pipeline.dropped["spans.full"] > 30
    hang.set()


def test_what_could_not_be_sent_is_sent_later_and_in_order(made):
    exporters = Scripted(False, False)
    pipeline = made(exporters)
    spans(pipeline, 3)
    assert not pipeline.flush(10)
    assert not pipeline.flush(10)
    assert pipeline.waiting == 3
    assert pipeline.flush(10)
    assert exporters.batches == [3]
    assert pipeline.dropped == {}


def test_what_is_refused_for_ever_is_given_up(made):
    pipeline = made(Scripted(*[False] * 50))
    spans(pipeline, 3)
    for _ in range(5):
        pipeline.flush(10)
    assert pipeline.waiting == 0
    assert pipeline.dropped == {"spans.failed": 3}


def test_exporter_that_raises_loses_nothing_at_first(made, caplog):
    exporters = Scripted()
    pipeline = made(exporters)
    real, calls = exporters.spans, []

    def once(batch):
        calls.append(len(batch))
        if len(calls) == 1:
            raise RuntimeError("no")
        return real(batch)

    pipeline._spans._export = once
    spans(pipeline, 2)
    assert not pipeline.flush(10)
    assert pipeline.flush(10)
    assert exporters.batches == [2]


def test_flush_waits_no_longer_than_it_is_told(made):
    hang = threading.Event()
    pipeline = made(Scripted(hang=hang))
    spans(pipeline, 1)
    began = time.monotonic()
    assert not pipeline.flush(0.2)
    assert time.monotonic() - began < 5
    hang.set()


def test_collector_that_is_down_harms_no_call_and_holds_no_more_than_it_may(client, collector):
    address = collector.url
    made = client([f"otlp:{address}"])
    made.run("hi", model=MODEL)
    collector.status = 503
    sink = made._engine.reporting.hub.sinks[0]
    began = time.monotonic()
    for _ in range(30):
        made.run("hi", model=MODEL)
    assert time.monotonic() - began < 20
    began = time.monotonic()
    assert not made.flush(0.5)
    assert time.monotonic() - began < 5
    assert sink._pipeline.waiting <= MOST_WAITING
    collector.status = 200
    deadline = time.monotonic() + 30
    while not made.flush(10) and time.monotonic() < deadline:
        pass
    # Once the collector is back, everything arrives: each call has two spans.
    assert len(collector.spans()) == 31 * 2
    assert sink.dropped == {}


def test_what_we_send_is_not_traced_by_others(client, collector):
    from opentelemetry import context as otel_context

    seen = []
    made = client([f"otlp:{collector.url}"])
    exporters = made._engine.reporting.hub.sinks[0]._pipeline._exporters
    send = exporters.spans
    made._engine.reporting.hub.sinks[0]._pipeline._spans._export = lambda batch: (
        seen.append(otel_context.get_value("suppress_instrumentation")) or send(batch)
    )
    made.run("hi", model=MODEL)
    assert made.flush(10)
    assert seen == [True]


def test_application_is_left_alone(client, collector):
    before = trace.get_tracer_provider()
    client([f"otlp:{collector.url}"]).run("hi", model=MODEL)
    assert trace.get_tracer_provider() is before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_child_sends_its_own_and_not_its_parents(client, collector):
    made = client([f"otlp:{collector.url}"])
    made.run("hi", model=MODEL)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            made.run("hi", model=MODEL)
            code = 0 if made.flush(10) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(collector.spans()) == 2
    assert made.flush(10)
    assert len(collector.spans()) == 4
    # Processes are told apart.
    traces = {span.trace_id for span, *_ in collector.spans()}
    assert len(traces) == 2

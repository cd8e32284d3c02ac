"""The sink "otel": it touches nothing, and without an SDK it costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(source):
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CALL = """
import json, sys
import aistrale
from aistrale.testing import simulator
with simulator() as sim:
    client = aistrale.Client(**sim.settings(), ledger="off", sinks={sinks})
    client.run("hi", model="openai/gpt-5-mini")
    client.flush()
    client.close()
{then}
"""


def test_without_sinks_nothing_of_it_is_loaded():
    loaded = "print(json.dumps([name for name in sys.modules if 'opentelemetry' in name or '.otel' in name]))"
    assert run(CALL.format(sinks="[]", then=loaded)) == []


def test_the_sdk_is_not_loaded_for_it_and_no_provider_is_set():
    then = """
from opentelemetry import metrics, trace
print(json.dumps([
    "opentelemetry.sdk" in sys.modules,
    type(trace.get_tracer_provider()).__name__,
    type(metrics.get_meter_provider()).__name__,
]))
"""
    assert run(CALL.format(sinks="['otel']", then=then)) == [False, "ProxyTracerProvider", "_ProxyMeterProvider"]


PROVIDERS = """
import json
import aistrale
from aistrale.testing import simulator
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
with simulator() as sim:
    client = aistrale.Client(**sim.settings(), ledger="off", sinks=["otel"])
    client.run("before", model="openai/gpt-5-mini")
    kept, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    client.run("after", model="openai/gpt-5-mini")
    client.close()
data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0]
print(json.dumps([[span.name for span in kept.get_finished_spans()], data.scope.name]))
"""


def test_providers_may_be_set_at_any_time():
    import pytest

    pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed")
    assert run(PROVIDERS) == [["chat gpt-5-mini", "aistrale chat openai/gpt-5-mini"], "aistrale"]

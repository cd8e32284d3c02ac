"""The sink "otlp": addresses, environment, resource."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.otlp import OTLPSink
from aistrale.testing import simulator
from tests.telemetry.otel.rig import Collector, need_events

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def call(sim, collector):
    """Makes one call with a sink."""
    made = []

    def ask(sink):
        client = aistrale.Client(**sim.settings(), ledger="off", sinks=[sink])
        made.append(client)
        client.run("hi", model="openai/gpt-5-mini")
        assert client.flush(20)

    yield ask
    for client in made:
        client._engine.reporting.close()
        client.close()


def resource(collector):
    _, _, found, _ = collector.spans()[0]
    return {pair.key: pair.value.string_value for pair in found.attributes}


def test_headers_and_paths(call, collector):
    call(f"otlp:{collector.url}/prefix?headers=x-key%3Dabc%3D%3D,x-team%3Da")
    assert {path for path, _, _ in collector.requests} == {"/prefix/v1/traces", "/prefix/v1/metrics"}
    for _, headers, _ in collector.requests:
        assert (headers["x-key"], headers["x-team"]) == ("abc==", "a")
        assert headers["content-type"] == "application/x-protobuf"


def test_signals(call, collector):
    call(f"otlp:{collector.url}?signals=traces")
    assert {path for path, _, _ in collector.requests} == {"/v1/traces"}


def test_content_as_events(call, collector):
    need_events()
    call(f"otlp:{collector.url}?content=event")
    ((record, attributes),) = collector.records()
    assert record.event_name == "gen_ai.client.inference.operation.details"
    assert attributes["gen_ai.input.messages"][0]["parts"][0]["content"] == "hi"
    spans = {span.kind: span for span, *_ in collector.spans()}
    assert record.span_id == spans[3].span_id
    assert "gen_ai.input.messages" not in dict(collector.spans()[0][1])


def test_environment_is_honoured(call, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-from=environment")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
    call("otlp")
    assert all(headers["x-from"] == "environment" for _, headers, _ in collector.requests)
    assert all(headers["content-encoding"] == "gzip" for _, headers, _ in collector.requests)
    found = resource(collector)
    assert (found["service.name"], found["deployment.environment.name"]) == ("shop", "test")


def test_headers_of_another_place_stay_there(call, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://elsewhere.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-their-key=secret")
    call(f"otlp:{collector.url}")
    assert collector.requests
    assert not any("x-their-key" in headers for _, headers, _ in collector.requests)


def test_headers_without_a_place_are_ours(call, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=mine")
    call(f"otlp:{collector.url}")
    assert all(headers["x-key"] == "mine" for _, headers, _ in collector.requests)


def test_service_has_a_name_of_its_own(call, collector):
    call(OTLPSink(collector.url, resource={"team": "a"}))
    found = resource(collector)
    assert found["team"] == "a"
    assert found["service.name"]
    assert not found["service.name"].startswith("unknown_service")
    assert found["telemetry.sdk.name"] == "opentelemetry"


def test_scope_is_ours(call, collector):
    call(f"otlp:{collector.url}")
    _, _, _, scope = collector.spans()[0]
    assert (scope.name, scope.version) == ("aistrale", aistrale.__version__)


@pytest.mark.parametrize(
    "address", ["otlp:ftp://host", "otlp:https://", "otlp:http://host:99999", "otlp:nonsense", "otlp:http://h?headers=abc",
                "otlp:http://h?signals=none", "otlp:http://h?sk-secret=1"]
)  # fmt: skip
def test_wrong_addresses_are_not_quoted(address):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(address)
    said = str(caught.value)
    assert "sk-secret" not in said
    assert address.partition(":")[2].partition("?")[0] not in said.replace("https://collector.example:4318", "")


def test_missing_library_names_the_extra():
    source = """
import sys
sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
from aistrale.telemetry.sinks import open_sink
for address in ("otlp:http://127.0.0.1:1", "datadog", "langfuse"):
    try:
        open_sink(address)
    except ImportError as error:
        print("aistrale[otel]" in str(error))
"""
    environment = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk", "DD_API_KEY": "key", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_process_that_just_ends_has_sent_everything(sim, collector):
    source = f"""
import aistrale
client = aistrale.Client(providers={sim.settings()["providers"]!r}, ledger="off", sinks=["otlp:{collector.url}"])
client.run("hi", model="openai/gpt-5-mini")
"""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(collector.spans()) == 2
    assert "gen_ai.client.token.usage" in collector.metrics()


@pytest.mark.parametrize("last", ["", "client.flush(0.3)"], ids=["just ends", "flushed first"])
def test_process_ends_in_time_although_several_collectors_answer_nothing(sim, last):
    """All of them together have the patience that one has."""
    source = f"""
import aistrale
client = aistrale.Client(providers={sim.settings()["providers"]!r}, ledger="off", sinks=ADDRESSES)
client.run("hi", model="openai/gpt-5-mini")
{last}
print("done", flush=True)
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        addresses = [f"otlp:http://{where}", f"langfuse:http://pk:sk@{where}", f"datadog:http://{where}"]
        process = subprocess.Popen(
            [sys.executable, "-c", source.replace("ADDRESSES", repr(addresses))],
            cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "DD_API_KEY": "key"},
        )  # fmt: skip
        with process:
            assert process.stdout.readline().strip() == b"done"
            began = time.monotonic()
            assert process.wait(60) == 0
            took = time.monotonic() - began
    # Two seconds for what the sinks were told, two for what they have; the rest is a busy machine's.
    assert took < 6.5

"""The sink "datadog": its address, its headers, what its variables say."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry.sinks import open_sink
from aistrale.testing import simulator
from tests.telemetry.otel.rig import Collector


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


def test_spans_are_marked_for_llm_observability(collector, monkeypatch):
    monkeypatch.setenv("DD_API_KEY", "key-1")
    monkeypatch.setenv("DD_LLMOBS_ML_APP", "shop")
    monkeypatch.setenv("DD_SERVICE", "other")
    monkeypatch.setenv("DD_ENV", "test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-other=secret")
    with simulator() as sim:
        made = aistrale.Client(**sim.settings(), ledger="off", sinks=[f"datadog:{collector.url}"])
        answer = made.run("hi", model="openai/gpt-5-mini")
        assert made.flush(20)
        made._engine.reporting.close()
        made.close()
    ((path, headers, _),) = collector.requests
    assert path == "/v1/traces"
    assert (headers["dd-api-key"], headers["dd-otlp-source"]) == ("key-1", "llmobs")
    assert "x-other" not in headers
    by_kind = {span.kind: (attributes, resource) for span, attributes, resource, _ in collector.spans()}
    attributes, resource = by_kind[3]
    assert attributes["gen_ai.usage.input_tokens"] == answer.usage.input_total
    found = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert (found["service.name"], found["deployment.environment.name"]) == ("shop", "test")


@pytest.mark.parametrize(
    ("address", "site", "url"),
    [
        ("datadog", "", "https://otlp.datadoghq.com"),
        ("datadog", "datadoghq.eu", "https://otlp.datadoghq.eu"),
        ("datadog:us5.datadoghq.com", "datadoghq.eu", "https://otlp.us5.datadoghq.com"),
        ("datadog:http://127.0.0.1:4318", "", "http://127.0.0.1:4318"),
    ],
)
def test_sites(monkeypatch, address, site, url):
    monkeypatch.setenv("DD_API_KEY", "key-1")
    monkeypatch.setenv("DD_SITE", site)
    sink = open_sink(address)
    assert sink._pipeline._exporters._endpoint.url == url
    assert "key-1" not in repr(sink._pipeline._exporters._endpoint)


def test_without_a_key_it_says_so(monkeypatch):
    monkeypatch.delenv("DD_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="key"):
        open_sink("datadog")

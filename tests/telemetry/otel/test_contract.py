"""The four sinks keep what a sink promises."""

from __future__ import annotations

import pytest

from aistrale.telemetry.sinks import open_sink
from aistrale.testing import check_sink


def test_otel_without_an_sdk():
    check_sink(open_sink("otel"))


def test_otel(rig):
    check_sink(open_sink("otel"))
    assert "aistrale.retries" in rig.metrics()


@pytest.mark.parametrize("scheme", ["otlp", "langfuse", "datadog"])
def test_pipelines(collector, monkeypatch, scheme):
    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "DD_API_KEY"):
        monkeypatch.setenv(name, "key")
    check_sink(open_sink(f"{scheme}:{collector.url}"))

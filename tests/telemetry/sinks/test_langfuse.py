"""The sink "langfuse": its address, its headers, and tokens in parts that Langfuse may add up."""

from __future__ import annotations

import base64
import json

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")

import aistrale
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.langfuse import usage_details
from aistrale.testing import simulator
from aistrale.testing.faults import Fault, Say
from aistrale.types import Choice, Completion, Message, Usage
from tests.telemetry.otel.rig import Collector

MODEL = "anthropic/claude-haiku-4-5"


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def collector(monkeypatch):
    made = Collector()
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-1")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-1")
    monkeypatch.setenv("LANGFUSE_HOST", made.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-other=secret,authorization=Bearer%20secret")
    yield made
    made.close()


@pytest.fixture
def client(sim, collector):
    sim.reset()
    made = aistrale.Client(**sim.settings(), ledger="off", retry=None, sinks=["langfuse"])
    yield made
    made._engine.reporting.close()
    made.close()


def found(client, collector):
    """The call's attributes, and the attempt's."""
    assert client.flush(20)
    by_kind = {span.kind: attributes for span, attributes, _, _ in collector.spans()}
    return by_kind[1], by_kind[3]


def test_where_it_goes_and_as_whom(client, collector):
    client.run("hi", model=MODEL)
    assert client.flush(20)
    ((path, headers, _),) = collector.requests
    assert path == "/api/public/otel/v1/traces"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"pk-1:sk-1").decode()
    assert headers["x-langfuse-ingestion-version"] == "4"
    assert "x-other" not in headers


def test_tokens_and_money_are_explicit_and_do_not_overlap(client, collector, sim):
    usage = Usage(input=10, output=5, cache_read=30, cache_write=4, reasoning=2)
    with sim.script(Say(completion=Completion(choices=[Choice(Message.assistant("fine"), "stop")], usage=usage))):
        answer = client.run("hi", model=MODEL)
    call, attempt = found(client, collector)
    details = json.loads(attempt["langfuse.observation.usage_details"])
    assert details.pop("total") == sum(details.values()) == answer.usage.total
    assert details == {
        "input": 10,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 4,
        "output": 5,
        "output_reasoning_tokens": 2,
    }
    # Langfuse tells input from output by their names.
    assert sum(count for name, count in details.items() if "input" in name) == answer.usage.input_total
    assert sum(count for name, count in details.items() if "output" in name) == answer.usage.output_total
    cost = json.loads(attempt["langfuse.observation.cost_details"])
    assert cost == {"total": pytest.approx(float(answer.cost.usd))}
    # Each of these would be counted besides.
    assert not [name for each in (call, attempt) for name in each if name.startswith(("gen_ai.usage.", "llm."))]
    assert not [name for name in call if "usage" in name or "cost" in name]


def test_observations(client, collector):
    with aistrale.context(session="s-1", user="alice", name="greet", tags={"team": "a"}):
        client.run("hi", model=MODEL)
    call, attempt = found(client, collector)
    assert (call["langfuse.observation.type"], attempt["langfuse.observation.type"]) == ("span", "generation")
    for each in (call, attempt):
        assert (each["langfuse.session.id"], each["langfuse.user.id"]) == ("s-1", "alice")
        assert each["langfuse.trace.tags"] == ("team:a",)
    assert call["langfuse.trace.name"] == "greet"
    assert attempt["gen_ai.request.model"] == "claude-haiku-4-5"
    assert "langfuse.internal.as_root" not in call


def test_stream_says_when_it_began(client, collector):
    with client.stream("Say hello, please.", model=MODEL) as events:
        for _ in events:
            pass
    _, attempt = found(client, collector)
    assert json.loads(attempt["langfuse.observation.completion_start_time"])[10] == "T"


def test_vectors(client, collector):
    client.embed("one", model="openai/text-embedding-3-small")
    _, attempt = found(client, collector)
    assert attempt["langfuse.observation.type"] == "embedding"
    assert json.loads(attempt["langfuse.observation.usage_details"]).keys() == {"input", "total"}


def test_failure(client, collector, sim):
    with sim.script(Fault(status=429, message="the prompt")), pytest.raises(AistraleError):
        client.run("hi", model=MODEL)
    _, attempt = found(client, collector)
    assert attempt["langfuse.observation.level"] == "ERROR"
    assert attempt["langfuse.observation.status_message"] == "RateLimitError"
    assert "langfuse.observation.usage_details" not in attempt


def test_span_beneath_one_that_goes_elsewhere_is_the_first_for_langfuse(client, collector):
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider(shutdown_on_exit=False).get_tracer("x").start_as_current_span("above"):
        client.run("hi", model=MODEL)
    assert found(client, collector)[0]["langfuse.internal.as_root"] is True


def test_keys_in_the_address(sim, collector, monkeypatch):
    for name in ("PUBLIC_KEY", "SECRET_KEY", "HOST"):
        monkeypatch.delenv(f"LANGFUSE_{name}")
    made = aistrale.Client(
        **sim.settings(), ledger="off", sinks=[f"langfuse:{collector.url.replace('://', '://pk:s%2Fk@')}?content=span"]
    )
    made.run("hi", model=MODEL)
    assert made.flush(20)
    made._engine.reporting.close()
    made.close()
    ((_, headers, _),) = collector.requests
    assert headers["authorization"] == "Basic " + base64.b64encode(b"pk:s/k").decode()
    assert [True for _, attributes, _, _ in collector.spans() if "gen_ai.input.messages" in attributes] == [True]


def test_without_keys_it_says_so(monkeypatch):
    for name in ("PUBLIC_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"LANGFUSE_{name}", raising=False)
    with pytest.raises(ConfigurationError, match="keys"):
        open_sink("langfuse")


def test_unknown_counts_are_left_out():
    assert usage_details(Usage()) == {}
    assert usage_details(Usage(input=0, output=3)) == {"input": 0, "output": 3, "total": 3}

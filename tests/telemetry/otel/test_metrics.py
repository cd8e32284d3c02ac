"""Metrics: names, units, buckets and attributes of the conventions, and our own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import aistrale
from aistrale.errors import AistraleError
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import EVENTS
from aistrale.telemetry.otel.metrics import EVENT_KINDS, EventMetrics
from aistrale.testing.faults import Fault, Slow
from tests.telemetry.events_of import events
from tests.telemetry.otel import tables

MODEL = "openai/gpt-5-mini"


def read(client, prompt="Say hello, please.", model=MODEL):
    with client.stream(prompt, model=model) as events:
        for _ in events:
            pass


def test_units_buckets_and_attributes(client, rig):
    made = client()
    with aistrale.context(user="alice", session="s-1", tags={"team": "a"}):
        read(made)
    made.flush()
    found = rig.metrics()
    for name, (unit, buckets) in tables.METRICS.items():
        metric = found[name]
        assert metric.unit == unit
        for point in metric.data.data_points:
            assert point.explicit_bounds == buckets
            extra = {"gen_ai.token.type"} if name.endswith("token.usage") else set()
            assert set(point.attributes) == tables.METRIC_ATTRIBUTES | extra
    # Nobody's name is on any metric, ours included: every user would be a time series.
    for metric in found.values():
        for point in metric.data.data_points:
            assert not {"alice", "s-1"} & {value for value in point.attributes.values() if isinstance(value, str)}


def test_tokens_are_what_was_used(client, rig):
    answer = client().run("Say hello, please.", model=MODEL)
    _, points = rig.points("gen_ai.client.token.usage")
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in points} == {
        "input": answer.usage.input_total,
        "output": answer.usage.output_total,
    }


def test_every_attempt_has_its_duration_and_failures_their_class(client, sim, rig):
    with sim.script(Fault(status=503)):
        client().run("hi", model=MODEL)
    _, points = rig.points("gen_ai.client.operation.duration")
    assert sorted(point.attributes.get("error.type", "") for point in points) == ["", "OverloadedError"]
    assert [point.count for point in points] == [1, 1]


def test_unknown_counts_are_no_tokens(client, sim, rig):
    made = client(retry=None)
    with sim.script(Fault(status=400)), pytest.raises(AistraleError):
        made.run("hi", model=MODEL)
    with sim.script(Slow(between=0.3)), made.stream("Say hello, please.", model=MODEL) as events:
        # What is given up is estimated, which the span says and a metric could not.
        next(iter(events))
    assert rig.points("gen_ai.client.token.usage") == (None, [])


def test_pieces_of_a_long_stream_are_all_timed(client, rig):
    made = client()
    read(made, "word " * 300)
    made.flush()
    found = rig.metrics()
    (first,) = found["gen_ai.client.operation.time_to_first_chunk"].data.data_points
    (gaps,) = found["gen_ai.client.operation.time_per_output_chunk"].data.data_points
    assert first.count == 1
    assert gaps.count > 100


def test_plain_answers_have_no_pieces(client, rig):
    made = client()
    made.run("hi", model=MODEL)
    made.flush()
    assert not [name for name in rig.metrics() if "chunk" in name]


def test_vectors_have_no_output(client, rig):
    client().embed("one", model="openai/text-embedding-3-small")
    _, points = rig.points("gen_ai.client.token.usage")
    assert [point.attributes["gen_ai.token.type"] for point in points] == ["input"]


def test_older_conventions_have_two_metrics(client, rig):
    made = client(["otel:?semconv=1.37"])
    read(made)
    made.flush()
    assert {name for name in rig.metrics() if name.startswith("gen_ai.")} == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
    }


def test_what_policies_do_is_counted(client, sim, rig):
    memory = MemorySink()
    routes = {"chat": [MODEL, "anthropic/claude-haiku-4-5"]}
    made = client(["otel", memory], routes=routes, privacy="redact", cache={})
    with sim.script(Fault(status=503), provider="openai"):
        first = made.run("Write to bob@example.com", route="chat")
    with sim.script(Fault(status=503), provider="openai"):
        second = made.run("Write to me", model=MODEL)
    made.flush()
    found = {
        name: {
            tuple(sorted(point.attributes.items())): getattr(point, "value", None) for point in metric.data.data_points
        }
        for name, metric in rig.metrics().items()
        if name.startswith("aistrale.")
    }
    assert sum(found["aistrale.retries"].values()) == len(memory.of("attempt.retried")) > 0
    assert found["aistrale.failovers"] == {
        (
            ("aistrale.next_target", "anthropic/claude-haiku-4-5"),
            ("aistrale.target", MODEL),
            ("error.type", "OverloadedError"),
        ): 1
    }
    assert found["aistrale.redactions"] == {(("aistrale.data.type", "EMAIL_ADDRESS"),): 1}
    assert found["aistrale.cache.lookups"] == {(("aistrale.cache.result", "miss"),): 2}
    assert sum(found["aistrale.cost"].values()) == pytest.approx(float(first.cost.usd + second.cost.usd))
    assert rig.metrics()["aistrale.cost"].unit == "USD"
    assert {dict(attributes)["aistrale.outcome"] for attributes in found["aistrale.call.duration"]} == {"success"}


def test_events_that_are_counted_exist():
    assert set(EVENTS) >= EVENT_KINDS


METERS = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


@given(event=events(*sorted(EVENT_KINDS)))
@settings(max_examples=60)
def test_every_event_can_be_counted(event):
    EventMetrics(METERS.get_meter("aistrale")).event(event)

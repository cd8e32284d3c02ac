"""Tokens are counted once, whoever else is there: real instrumentations of others above, below and beside us."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import context as otel_context

import aistrale

ROOT = Path(__file__).resolve().parents[3]
NEEDED = (
    "openai",
    "langfuse",
    "logfire",
    "openinference.instrumentation.openai",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.genai.openai",
    "opentelemetry.util.genai",
)
OTHERS = {
    "opentelemetry": "opentelemetry.instrumentation.genai.openai",
    "openinference": "openinference.instrumentation.openai",
    "langfuse": "langfuse-sdk",
}


def absent(module):
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:
        return True


@pytest.fixture(scope="module")
def results():
    missing = [module for module in NEEDED if absent(module)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LANGFUSE_"))}
    environment |= {"PYTHONPATH": str(ROOT), "LOGFIRE_IGNORE_NO_CONFIG": "1"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("vendors.py"))],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "detach" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def total(counts):
    return [sum(pair) for pair in zip(*counts.values(), strict=True)]


def test_nobody_else_is_there(results):
    own = results["alone"]
    assert own["shared"] == own["metrics"] == {"aistrale": own["truth"]}


def test_an_instrumented_sdk_beneath_us_does_not_count(results):
    own = results["beneath"]
    assert own["shared"] == own["metrics"] == {"aistrale": own["truth"]}


@pytest.mark.parametrize("other", OTHERS)
def test_whoever_stands_above_us_counts_and_we_do_not(results, other):
    own = results[other]
    assert own["shared"] == {"aistrale": [0, 0], OTHERS[other]: own["truth"]}
    assert total(own["shared"]) == own["truth"]
    assert "aistrale" not in own["metrics"]
    assert all(counts == own["truth"] for counts in own["metrics"].values())


def test_logfire_above_us_has_its_own_place(results):
    own = results["logfire"]
    assert own["apart"] == [{"logfire.openai": own["truth"]}]
    assert own["shared"] == {"aistrale": [0, 0]}
    assert own["metrics"] == {}


def test_all_three_at_once_count_once_each_and_we_add_nothing(results):
    own, without = results["all"], results["all without us"]
    assert own["shared"].pop("aistrale") == [0, 0]
    assert set(own["shared"]) == {OTHERS["opentelemetry"], OTHERS["langfuse"]}
    for place in (own["shared"], *own["apart"], own["metrics"]):
        assert place
        assert all(counts == own["truth"] for counts in place.values())
    assert (own["shared"], own["apart"], own["metrics"]) == (without["shared"], without["apart"], without["metrics"])


def test_a_place_of_our_own_has_them_whoever_counts_elsewhere_but_langfuse_is_langfuses(results):
    own = results["places"]
    assert own["collected"] == {"/v1/traces": own["truth"], "/api/public/otel/v1/traces": [0, 0]}


# --- without anybody's library ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
        {"gen_ai.operation.name": "generate_content"},
        {"openinference.span.kind": "LLM"},
        {"gen_ai.system": "openai"},
        {"llm.request.type": "chat"},
    ],
)
def test_a_models_span_above_us(client, rig, attributes):
    tracer = rig.tracers.get_tracer("someone.else")
    with tracer.start_as_current_span("chat m", attributes=attributes):
        client().run("hi", model="openai/gpt-5-mini")
    (attempt,), (call,) = rig.attempts, rig.calls
    assert call.attributes["aistrale.counted_by"] == "someone.else"
    assert attempt.kind.name == "INTERNAL"
    assert [name for name in attempt.attributes if not name.startswith("aistrale.")] == []
    assert attempt.attributes["aistrale.attempt.number"] == 1
    assert rig.points("gen_ai.client.token.usage") == (None, [])


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"},
        {"gen_ai.operation.name": "embeddings"},
        {"openinference.span.kind": "AGENT", "llm.model_name": "m"},
        {"http.request.method": "POST"},
    ],
)
def test_another_span_above_us_counts_nothing(client, rig, attributes):
    with rig.tracers.get_tracer("someone.else").start_as_current_span("other", attributes=attributes):
        answer = client().run("hi", model="openai/gpt-5-mini")
    assert rig.attempts[0].attributes["gen_ai.usage.input_tokens"] == answer.usage.input_total


@pytest.mark.parametrize(("count", "there"), [("always", True), ("never", False)])
def test_who_counts_can_be_said(client, rig, count, there):
    made = client([f"otel:?count={count}"])
    attributes = {"gen_ai.operation.name": "chat"} if count == "always" else {}
    with rig.tracers.get_tracer("x").start_as_current_span("above", attributes=attributes):
        made.run("hi", model="openai/gpt-5-mini")
    assert ("gen_ai.usage.input_tokens" in rig.attempts[0].attributes) is there


def test_silence_is_kept_where_it_is_wanted(client, rig):
    token = otel_context.attach(otel_context.set_value("suppress_instrumentation", True))
    client().run("hi", model="openai/gpt-5-mini")
    otel_context.detach(token)
    assert rig.spans == []
    assert rig.points("gen_ai.client.operation.duration") == (None, [])


@pytest.mark.parametrize("mute", [False, True])
def test_instrumentations_beneath_us_are_silent_when_that_is_asked_for(client, rig, monkeypatch, mute):
    made, seen = client([f"otel:?suppress={mute}"]), []
    send = made._engine.sync_runtime().open

    async def opened(*arguments, **options):
        seen.append(otel_context.get_value("suppress_instrumentation"))
        return await send(*arguments, **options)

    monkeypatch.setattr(made._engine.sync_runtime(), "open", opened)
    made.run("hi", model="openai/gpt-5-mini")
    assert seen == [True if mute else None]
    assert len(rig.attempts) == 1


def test_calls_side_by_side_do_not_take_each_other_for_somebody_else(client, rig):
    """A call that is made while an attempt of another is current, by a policy for example, is counted."""
    made = client()
    other = client()
    send = made._engine.sync_runtime().open

    async def opened(*arguments, **options):
        other.run("And you?", model="openai/gpt-5-mini")
        return await send(*arguments, **options)

    made._engine.sync_runtime().open = opened
    with aistrale.context(session="s"):
        made.run("hi", model="openai/gpt-5-mini")
    assert len([span for span in rig.attempts if "gen_ai.usage.input_tokens" in span.attributes]) == 2

"""Tokens are counted once, whoever else is there: real instrumentations of others above, below and beside us."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from opentelemetry import context as otel_context

import aistrale

ROOT = Path(__file__).resolve().parents[3]
NEEDED = (
    "anthropic",
    "langchain_core",
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
    # The others make spans only, so the metrics are ours.
    assert own["metrics"] == {OTHERS[other] if other == "opentelemetry" else "aistrale": own["truth"]}


def test_logfire_above_us_has_its_own_place(results):
    own = results["logfire"]
    assert own["apart"] == [{"logfire.openai": own["truth"]}]
    assert own["shared"] == {"aistrale": [0, 0]}
    assert own["metrics"] == {"aistrale": own["truth"]}


def test_spans_that_the_anthropic_package_makes_itself_count_and_metrics_are_ours(results):
    own = results["anthropic"]
    assert total(own["shared"]) == own["truth"]
    assert own["metrics"] == {"aistrale": own["truth"]}


def test_langfuses_handler_of_langchain_counts_in_tasks_too(results):
    own = results["langchain"]
    assert own["shared"] == {"aistrale": [0, 0], "langfuse-sdk": own["truth"]}
    assert own["metrics"] == {"aistrale": own["truth"]}


def test_calls_of_our_own_are_counted_once_with_all_three_at_once(results):
    own = results["ours"]
    assert own["shared"] == own["metrics"] == {"aistrale": own["truth"]}
    assert own["apart"] == [{}]


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


@pytest.mark.parametrize("scope", ["openinference.instrumentation.x", "logfire.openai", "com.anthropic.sdk.python"])
def test_metrics_are_ours_where_those_above_us_make_spans_only(client, rig, scope):
    with rig.tracers.get_tracer(scope).start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        answer = client().run("hi", model="openai/gpt-5-mini")
    assert "gen_ai.usage.input_tokens" not in rig.attempts[0].attributes
    _, points = rig.points("gen_ai.client.token.usage")
    assert sum(point.sum for point in points) == answer.usage.total


class CallbackManagerForLLMRun:
    """As LangChain has it around a model's run."""

    def __init__(self, handler, run_id=1):
        self.handlers, self.run_id = [handler], run_id


@pytest.fixture(params=["openinference.instrumentation.langchain._tracer", "langfuse.langchain.CallbackHandler"])
def handler(request, monkeypatch):
    """Like a handler that keeps a run's span where no context leads to it."""
    module = types.ModuleType(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    monkeypatch.setitem(sys.modules, request.param.rpartition(".")[0], types.ModuleType("above"))

    def get_span(self, run_id):
        return self.spans.get(run_id)

    made = type("Handler", (), {"__module__": request.param, "get_span": get_span})()
    made.spans = {}
    made._runs = {}
    return made


def generate(client, run_manager):
    client.embed(["one"], model="openai/text-embedding-3-small")
    return client.run("hi", model="openai/gpt-5-mini")


@pytest.mark.parametrize("ended", [False, True])
def test_a_handler_of_langchains_counts_although_its_span_is_in_no_context(client, rig, handler, ended):
    span = rig.tracers.get_tracer("someone").start_span("ChatModel")
    if type(handler).__module__.startswith("langfuse"):
        handler._runs[1] = types.SimpleNamespace(_otel_span=span)
    else:
        handler.spans[1] = span
    if ended:
        span.end()
    answer = generate(client(), CallbackManagerForLLMRun(handler))
    (vectors, attempt), (_, call) = rig.attempts, rig.calls
    # Handlers are told of no vectors.
    assert vectors.attributes["gen_ai.usage.input_tokens"] > 0
    assert ("gen_ai.usage.input_tokens" in attempt.attributes) is ended
    if not ended:
        assert call.attributes["aistrale.counted_by"] == "someone"
        assert call.parent.span_id == span.get_span_context().span_id
    # They make no metrics.
    told = [
        point
        for point in rig.points("gen_ai.client.token.usage")[1]
        if "gpt" in point.attributes["gen_ai.request.model"]
    ]
    assert sum(point.sum for point in told) == answer.usage.total


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

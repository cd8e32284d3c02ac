"""Versions of the conventions, where content stands, and what else can be said in an address or the environment."""

from __future__ import annotations

import json

import pytest
from opentelemetry.context import Context

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry.otel import evaluations
from aistrale.telemetry.otel.messages import length_limit, written
from aistrale.telemetry.otel.settings import OTelSettings
from aistrale.telemetry.sinks import open_sink
from aistrale.testing.faults import Fault, Say
from aistrale.types import Choice, Completion, Message, Usage
from tests.telemetry.otel.rig import need_events

MODEL = "openai/gpt-5-mini"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EMIT = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages"}


def shown(rig):
    """Where content stands: on the span, on the event."""
    (span,) = rig.attempts
    records = [
        record for record in rig.records.kept if record.event_name == "gen_ai.client.inference.operation.details"
    ]
    return set(span.attributes) >= CONTENT, any(set(record.attributes) >= CONTENT for record in records), len(records)


# --- versions --------------------------------------------------------------------------------------------------------


VERSIONS = [
    (
        "latest",
        {"gen_ai.usage.cache_write.input_tokens", "gen_ai.request.reasoning.level", "gen_ai.request.stream"},
        {"gen_ai.usage.cache_creation.input_tokens"},
    ),
    (
        "1.41",
        {"gen_ai.usage.cache_creation.input_tokens", "gen_ai.request.stream", "gen_ai.usage.reasoning.output_tokens"},
        {"gen_ai.usage.cache_write.input_tokens", "gen_ai.request.reasoning.level"},
    ),
    (
        "1.37",
        {"gen_ai.usage.input_tokens", "gen_ai.provider.name"},
        {
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.request.stream",
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.usage.reasoning.output_tokens",
        },
    ),
]


@pytest.mark.parametrize("case", VERSIONS, ids=lambda case: case[0])
def test_versions(client, sim, rig, case):
    semconv, there, missing = case
    usage = Usage(input=10, output=5, cache_write=3, cache_read=2, reasoning=1)
    with sim.script(Say(completion=Completion(choices=[Choice(Message.assistant("fine"), "stop")], usage=usage))):
        made = client([f"otel:?semconv={semconv}"])
        with made.stream("hi", model=MODEL, reasoning="low") as events:
            for _ in events:
                pass
    (span,) = rig.attempts
    assert there <= set(span.attributes)
    assert not missing & set(span.attributes)
    assert span.attributes["gen_ai.usage.input_tokens"] == 15
    schema = {
        "latest": "",
        "1.41": "https://opentelemetry.io/schemas/1.41.1",
        "1.37": "https://opentelemetry.io/schemas/1.37.0",
    }
    assert (span.instrumentation_scope.schema_url or "") == schema[semconv]


def test_numbers_that_became_counts(client, rig):
    for semconv, kind in (("1.41", float), ("latest", int)):
        client([f"otel:?semconv={semconv}"]).run("hi", model="gemini/gemini-2.5-flash", top_k=5)
        assert type(rig.attempts[-1].attributes["gen_ai.request.top_k"]) is kind


@pytest.mark.parametrize(
    ("said", "names"),
    [("write", {"write"}), ("creation", {"creation"}), ("both", {"write", "creation"}), ("auto", {"write"})],
)
def test_names_of_tokens_written_to_a_cache(client, sim, rig, said, names):
    usage = Usage(input=10, output=5, cache_write=3)
    with sim.script(Say(completion=Completion(choices=[Choice(Message.assistant("fine"), "stop")], usage=usage))):
        client([f"otel:?cache_tokens={said}"]).run("hi", model="anthropic/claude-haiku-4-5")
    found = rig.attempts[0].attributes
    assert {
        name for name in ("write", "creation") if found.get(f"gen_ai.usage.cache_{name}.input_tokens") == 3
    } == names


# --- content ---------------------------------------------------------------------------------------------------------


PLACES = [
    ("", "", (False, False, 0)),
    ("NO_CONTENT", "", (False, False, 0)),
    ("SPAN_ONLY", "", (True, False, 0)),
    ("span_only", "true", (True, False, 1)),
    ("EVENT_ONLY", "", (False, False, 0)),
    ("EVENT_ONLY", "true", (False, True, 1)),
    ("EVENT_ONLY", "false", (False, False, 0)),
    ("SPAN_AND_EVENT", "", (True, False, 0)),
    ("SPAN_AND_EVENT", "True", (True, True, 1)),
    ("", "true", (False, False, 1)),
    ("true", "", (False, False, 0)),
]


@pytest.mark.parametrize("case", PLACES)
def test_environment_says_where_content_stands(client, rig, monkeypatch, case):
    variable, emit, wanted = case
    if wanted[2]:
        need_events()
    monkeypatch.setenv(CAPTURE, variable)
    monkeypatch.setenv(EMIT, emit)
    client().run("hi", model=MODEL)
    assert shown(rig) == wanted


def test_failures_are_events_too_without_their_words(client, sim, rig):
    need_events()
    sim.script(Fault(status=500, message="secret"))
    client(["otel:?events=true"], retry={"attempts": 2, "base": 0.001}).run("hi", model=MODEL)
    first, second, third = rig.records.kept
    assert [record.event_name.rpartition(".")[2] for record in (first, second, third)] == [
        "details",
        "exception",
        "details",
    ]
    assert second.event_name == "gen_ai.client.operation.exception"
    assert second.severity_number.value == 13
    assert dict(second.attributes) == {"exception.type": "ServerError"}
    assert (second.trace_id, second.span_id) == (first.trace_id, first.span_id)
    assert "secret" not in str(rig.records.kept)


def test_a_judgement_is_an_event_of_its_exchange(client, rig):
    need_events()
    made = client(["otel"])
    answer = made.run("hi", model=MODEL)
    made.score(answer.call_id, 0.75, "helpful")
    made.score("another call", 1)
    assert made.flush()
    first, second = rig.records.kept
    (span,) = rig.attempts
    assert first.event_name == second.event_name == "gen_ai.evaluation.result"
    assert dict(first.attributes) == {
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.value": 0.75,
        "gen_ai.response.id": answer.id,
        "aistrale.call.id": answer.call_id,
    }
    assert (first.trace_id, first.span_id) == (span.context.trace_id, span.context.span_id)
    assert dict(second.attributes) == {
        "gen_ai.evaluation.name": "quality",
        "gen_ai.evaluation.score.value": 1.0,
        "aistrale.call.id": "another call",
    }
    assert not second.span_id


def test_answers_that_can_be_judged_are_bounded(monkeypatch):
    monkeypatch.setattr(evaluations, "_LIMIT", 3)
    made = evaluations.Evaluations()
    for number in range(10):
        made.remember(str(number), Context(), None)
    assert list(made._answers) == ["7", "8", "9"]


WISHES = [
    ("otel", {}, None, False),
    ("otel", {"capture": True}, None, True),
    ("otel", {}, True, True),
    ("otel", {"capture": True}, False, False),
    ("otel:?content=span", {}, None, True),
    ("otel:?content=span", {}, False, False),
    ("otel:?content=off", {"capture": True}, None, False),
]


@pytest.mark.parametrize("case", WISHES)
def test_capture_and_the_sink_work_together(client, rig, case):
    address, settings, context, on_span = case
    made = client([address], **settings)
    with aistrale.context(capture=context):
        made.run("hi", model=MODEL)
    assert shown(rig)[0] is on_span


def test_sink_knows_better_than_the_environment(client, rig, monkeypatch):
    need_events()
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    client(["otel:?content=event"]).run("hi", model=MODEL)
    assert shown(rig) == (False, True, 1)


def test_one_sink_sees_content_and_another_does_not(client, rig, collector):
    from aistrale.telemetry import MemorySink

    memory = MemorySink()
    client(["otel:?content=span", memory]).run("hi", model=MODEL)
    assert shown(rig)[0]
    assert memory.of("attempt.finished")[0].content is None


def test_content_is_json_on_spans_and_structured_on_events(client, rig):
    need_events()
    client(["otel:?content=span_and_event"]).run("Write to bob@example.com", model=MODEL, system="Be brief.")
    (span,), (record,) = rig.attempts, rig.records.kept
    on_span = json.loads(span.attributes["gen_ai.input.messages"])
    assert on_span[0] == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    assert "bob@example.com" not in json.dumps(on_span)
    assert json.loads(json.dumps(record.attributes["gen_ai.input.messages"])) == on_span
    assert record.trace_id == span.context.trace_id
    assert record.span_id == span.context.span_id
    assert record.attributes["gen_ai.usage.input_tokens"] == span.attributes["gen_ai.usage.input_tokens"]
    assert record.attributes["gen_ai.operation.name"] == "chat"


def test_instructions_stand_apart_where_the_api_takes_them_apart(client, rig):
    tool = {"name": "weather", "description": "Looks it up.", "parameters": {"type": "object", "properties": {}}}
    client(["otel:?content=span"]).run("hi", model="anthropic/claude-haiku-4-5", system="Be brief.", tools=[tool])
    found = rig.attempts[0].attributes
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert [message["role"] for message in json.loads(found["gen_ai.input.messages"])] == ["user"]
    (definition,) = json.loads(found["gen_ai.tool.definitions"])
    assert (definition["type"], definition["name"], definition["description"]) == (
        "function",
        "weather",
        "Looks it up.",
    )


@pytest.mark.parametrize("limit", [16, 60, 200, 1000, 100_000])
def test_limit_on_attributes_leaves_whole_json(client, rig, monkeypatch, limit):
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(limit))
    length_limit.cache_clear()
    try:
        client(["otel:?content=span"]).run("word " * 500, model=MODEL)
    finally:
        length_limit.cache_clear()
    text = rig.attempts[0].attributes["gen_ai.input.messages"]
    assert len(text) <= limit
    assert isinstance(json.loads(text), list)


def test_json_is_cut_in_its_texts():
    items = [{"role": "user", "parts": [{"type": "text", "content": "x" * 50_000}]}]
    text = written(items, 9000)
    assert len(text) <= 9000
    assert json.loads(text)[0]["parts"][0]["content"].endswith("…")


# --- propagation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [False, True])
def test_providers_are_told_of_the_trace_only_when_that_is_asked_for(client, sim, rig, wanted):
    client([f"otel:?propagate={wanted}"]).run("hi", model=MODEL)
    header = sim.requests[-1].headers.get("traceparent")
    context = rig.attempts[0].context
    own = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    assert header == (own if wanted else None)


def test_each_attempt_tells_its_own(client, sim, rig):
    from aistrale.testing.faults import Fault

    with sim.script(Fault(status=503)):
        client(["otel:?propagate=true"]).run("hi", model=MODEL)
    sent = [request.headers["traceparent"].split("-")[2] for request in sim.requests]
    assert sent == [f"{span.context.span_id:016x}" for span in rig.attempts]


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "otel:?semconv=1.0",
        "otel:?content=all",
        "otel:?events=maybe",
        "otel:?nonsense=1",
        "otel:?count=twice",
        "otel:?cache_tokens=x",
    ],
)
def test_options_that_are_wrong_are_named(address):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(address)
    assert caught.value.field == "sinks"


def test_settings_are_checked_too():
    with pytest.raises(ConfigurationError, match="semconv"):
        OTelSettings(semconv="2.0")

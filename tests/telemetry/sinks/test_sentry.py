from __future__ import annotations

import asyncio
import json
import threading

import pytest

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry._retry import describe
from aistrale.telemetry.events import AttemptFinished, CallFinished, Content, FailedOver, Retried
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.sentry import SentrySink, SentryUnavailableError
from aistrale.testing import Broken, Fault, check_sink, simulator
from aistrale.testing.sink_contract import sample_events
from tests.telemetry.rows import attempt_row, call_row

sentry_sdk = pytest.importorskip("sentry_sdk")

CANARY = "canaryprompt"
KEY = "sk-canary-4f1d9c0b7a6e5d3c2b1a"


class Transport(sentry_sdk.transport.Transport):
    """Keeps envelopes in place of sending them."""

    def __init__(self):
        super().__init__()
        self.envelopes = []

    def capture_envelope(self, envelope):
        self.envelopes.append(envelope)

    def items(self, kind):
        return [item.payload.json for envelope in self.envelopes for item in envelope.items if item.type == kind]


@pytest.fixture
def start(monkeypatch):
    """Initialises the SDK as an application would, and takes it down again."""
    before = sentry_sdk.get_global_scope().client

    def begin(**options):
        transport = Transport()
        sentry_sdk.init(
            dsn="https://key@o0.ingest.example.org/1", transport=transport, default_integrations=False,
            auto_enabling_integrations=False, **options,
        )  # fmt: skip
        return transport

    with sentry_sdk.isolation_scope():
        yield begin
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(before)


def failed_call(call_id="c" * 32, **more):
    row = {"outcome": "error", "error": "RateLimitError", "attempts": 2, "route": "chat", "model_asked": "chat",
           "call_id": call_id, "project": "demo", "user": "alice", "session": "s-9", "tags": {"stage": "test"}}  # fmt: skip
    said = Content(input=({"role": "user", "parts": [{"type": "text", "content": CANARY}]},))
    return [
        AttemptFinished(call_id=call_id, row=attempt_row(outcome="error", error="ServerError", status=500), content=said),
        Retried(call_id=call_id, target="openai/m", attempt=1, error="ServerError", status=500, delay=0.5),
        FailedOver(call_id=call_id, target="openai/m", next_target="groq/n", error="ServerError", status=500),
        AttemptFinished(call_id=call_id, row=attempt_row(attempt=2, outcome="error", error="RateLimitError", status=429,
                                                         provider="groq", model="n", target="groq/n")),
        CallFinished(call_id=call_id, row=call_row(**{**row, **more})),
    ]  # fmt: skip


def test_a_failed_call_is_one_error_with_its_attempts_as_breadcrumbs(start):
    transport = start()
    events = failed_call()
    SentrySink().write(events)
    (event,) = transport.items("event")
    assert event["level"] == "error"
    assert event["fingerprint"] == ["aistrale", "RateLimitError", "groq/n"]
    assert event["event_id"] == events[-1].id
    (shown,) = event["exception"]["values"]
    assert (shown["type"], shown["value"]) == ("RateLimitError", "groq/n, 2 attempts")
    assert event["tags"] == {
        "aistrale.operation": "chat", "aistrale.outcome": "error", "aistrale.error": "RateLimitError",
        "aistrale.target": "groq/n", "aistrale.route": "chat", "aistrale.project": "demo",
    }  # fmt: skip
    assert [crumb["category"] for crumb in event["breadcrumbs"]["values"]] == [
        "aistrale.attempt.finished", "aistrale.attempt.retried", "aistrale.call.failed_over", "aistrale.attempt.finished",
    ]  # fmt: skip
    facts = event["contexts"]["aistrale"]
    assert facts["statuses"] == [500, 429]
    assert facts["tags"] == {"stage": "test"}
    text = json.dumps(event, default=str)
    for secret in (CANARY, "alice", "s-9"):
        assert secret not in text


@pytest.mark.parametrize("outcome", ["success", "cancelled", "abandoned"])
def test_calls_that_did_not_fail_are_not_told(start, outcome):
    transport = start()
    SentrySink().write(failed_call(outcome=outcome))
    assert transport.envelopes == []


def test_a_call_that_was_refused_before_anything_was_sent_is_told(start):
    transport = start()
    SentrySink().write([CallFinished(row=call_row(outcome="error", error="BudgetExceeded", attempts=0))])
    (event,) = transport.items("event")
    assert event["fingerprint"] == ["aistrale", "BudgetExceeded", "openai/m"]
    assert event["exception"]["values"][0]["value"] == "openai/m, 0 attempts"


def test_a_batch_that_comes_again_has_the_same_ids(start):
    transport = start()
    sink = SentrySink()
    events = failed_call()
    sink.write(events)
    sink.write(events)
    first, second = transport.items("event")
    assert first["event_id"] == second["event_id"]


def test_without_an_initialised_sdk_nothing_is_sent_and_the_error_says_what_to_do():
    assert not sentry_sdk.get_client().is_active()
    with pytest.raises(SentryUnavailableError, match=r"sentry_sdk.init\(\)") as caught:
        SentrySink().write(failed_call())
    assert caught.value.retry_after > 0
    assert "sentry_sdk.init()" in describe(caught.value)  # what the status and the log say


# --- with calls ------------------------------------------------------------------------------------------------------


def test_a_failed_call_belongs_to_the_trace_that_it_was_made_in(start):
    transport = start(traces_sample_rate=1.0)
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["sentry"], retry=False) as client:
        sim.outage(step=Fault(status=500))
        with sentry_sdk.start_transaction(name="request") as transaction, pytest.raises(aistrale.AistraleError):
            client.run(f"Hello {CANARY}", model="openai/gpt-5-mini")
        assert client.flush()
    (event,) = transport.items("event")
    assert event["contexts"]["trace"]["trace_id"] == transaction.trace_id
    assert event["contexts"]["trace"]["span_id"] == transaction.span_id


def test_without_tracing_errors_have_the_trace_of_the_scope(start):
    transport = start()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["sentry"], retry=False) as client:
        sim.outage(step=Fault(status=500))
        expected = sentry_sdk.get_traceparent().split("-")[0]
        with pytest.raises(aistrale.AistraleError):
            client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
    (event,) = transport.items("event")
    assert event["contexts"]["trace"]["trace_id"] == expected


def all_spans(transport):
    """Of both forms in which the SDK sends them."""
    old = [span for transaction in transport.items("transaction") for span in transaction["spans"]]
    new = [span for batch in transport.items("span") for span in batch["items"]]
    found = []
    for span in [*old, *new]:
        data = span.get("data") or {name: each["value"] for name, each in span.get("attributes", {}).items()}
        found.append({**span, "data": data, "op": span.get("op") or data.get("sentry.op")})
    return [span for span in found if str(span["op"]).startswith("gen_ai")]


def test_attempts_are_spans_of_the_transaction_that_is_under_way(start):
    transport = start(traces_sample_rate=1.0)
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["sentry"]) as client:
        sim.script(Fault(status=500))
        with sentry_sdk.start_transaction(name="request") as transaction:
            client.run(f"Hello {CANARY}", model="openai/gpt-5-mini")
            with client.stream(f"Hello {CANARY}", model="gemini/gemini-2.5-flash") as stream:
                assert list(stream)
            client.embed([CANARY], model="openai/text-embedding-3-small")
            assert sentry_sdk.get_current_scope().span is transaction
        assert client.flush()
        rows = client.ledger.calls()
    first, second, streamed, embedded = all_spans(transport)
    assert {span["trace_id"] for span in all_spans(transport)} == {transaction.trace_id}
    assert [span["op"] for span in (first, second, streamed, embedded)] == [*["gen_ai.chat"] * 3, "gen_ai.embeddings"]
    assert first["data"]["error.type"] == "ServerError"
    data = second["data"]
    assert data["gen_ai.provider.name"] == data["gen_ai.system"] == "openai"
    assert data["gen_ai.request.model"] == "gpt-5-mini"
    chat = next(row for row in rows if row.model == "gpt-5-mini")
    assert data["gen_ai.usage.input_tokens"] == chat.input
    assert data["gen_ai.usage.total_tokens"] == chat.input + chat.output
    assert streamed["data"]["gen_ai.provider.name"] == "gcp.gemini"
    assert streamed["data"]["gen_ai.response.streaming"] is True
    text = json.dumps([[item.payload.json for item in envelope.items] for envelope in transport.envelopes], default=str)
    assert CANARY not in text


def test_spans_of_the_newer_way_of_tracing(start):
    traces = pytest.importorskip("sentry_sdk.traces")
    transport = start(traces_sample_rate=1.0, trace_lifecycle="stream")
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["sentry"]) as client:
        with traces.start_span(name="request") as span:
            client.run("Hello", model="openai/gpt-5-mini")
            assert sentry_sdk.get_current_scope().streamed_span is span
        assert client.flush()
        sentry_sdk.flush()
    (found,) = all_spans(transport)
    assert found["data"]["gen_ai.request.model"] == "gpt-5-mini"
    assert found["data"]["gen_ai.usage.output_tokens"] > 0
    assert found["parent_span_id"] == span.span_id


def test_spans_of_tasks_do_not_mix(start):
    transport = start(traces_sample_rate=1.0)

    async def one(client, number):
        with sentry_sdk.isolation_scope(), sentry_sdk.start_transaction(name=f"request {number}"):
            await client.run("Hello", model=f"openai/gpt-{number}")

    async def whole(sim):
        async with aistrale.AsyncClient(**sim.settings(), sinks=["sentry"]) as client:
            await asyncio.gather(*(one(client, number) for number in range(5)))
            assert client._engine.reporting.flush(5.0)

    with simulator() as sim:
        asyncio.run(whole(sim))
    names = {each["contexts"]["trace"]["trace_id"]: each["transaction"] for each in transport.items("transaction")}
    found = {names[span["trace_id"]]: span["data"]["gen_ai.request.model"] for span in all_spans(transport)}
    assert found == {f"request {number}": f"gpt-{number}" for number in range(5)}


@pytest.mark.parametrize("options", [{"sinks": ["sentry?spans=0"]}, {"sinks": ["sentry"], "outside": True}])
def test_no_spans_where_none_are_wanted_or_no_transaction_is_under_way(start, options):
    transport = start(traces_sample_rate=1.0)
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=options["sinks"]) as client:
        if options.get("outside"):
            client.run("Hello", model="openai/gpt-5-mini")
        else:
            with sentry_sdk.start_transaction(name="request"):
                client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
    assert all_spans(transport) == []


def test_nothing_that_was_said_goes_to_sentry_even_where_capture_is_on(start):
    transport = start(traces_sample_rate=1.0, include_local_variables=True)
    with simulator() as sim:
        providers = {name: {**own, "api_key": KEY} for name, own in sim.settings()["providers"].items()}
        with aistrale.Client(providers=providers, retry=False, sinks=["sentry"], capture=True) as client:
            for step in (None, Fault(status=400, message=f"Bad {KEY} {CANARY}"), Broken(wreck="error_midway")):
                if step is not None:
                    sim.outage(step=step)
                with sentry_sdk.start_transaction(name="request"):
                    try:
                        with client.stream(f"Hello {CANARY}", model="openai/gpt-5-mini") as stream:
                            list(stream)
                    except aistrale.AistraleError:
                        assert step is not None
            assert client.flush()
    assert len(transport.items("event")) == 2
    text = json.dumps([[item.payload.json for item in envelope.items] for envelope in transport.envelopes], default=str)
    for canary in (KEY, CANARY):
        assert canary not in text


def test_memory_of_traces_stays_flat(start):
    start()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["sentry"], retry=False) as client:
        (sink,) = client._engine.reporting.hub.sinks
        threads = [threading.Thread(target=client.run, args=("Hello",), kwargs={"model": "openai/m"}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sink.instrument._traces == {}, "calls that did not fail are forgotten at once"
        sim.outage(step=Fault(status=500))
        with pytest.raises(aistrale.AistraleError):
            client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
        assert sink.instrument._traces == {}


@pytest.mark.parametrize("url", ["sentry:https://key@host/1", "sentry?dsn=x"])
def test_wrong_addresses(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"
    assert "key@" not in str(caught.value)


def test_it_keeps_the_contract(start):
    transport = start()
    check_sink(SentrySink())
    SentrySink().write(sample_events())
    assert transport.items("event") == []

from __future__ import annotations

import gc
import math
import os
import socket
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry.events import (
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CacheLooked,
    CallFinished,
    CallStarted,
    DLPVerdict,
    FailedOver,
    QueueWaited,
    Redacted,
    Retried,
    RunFinished,
    TranslationLossy,
    WebhookSent,
)
from aistrale.telemetry.otel.conventions import SECONDS_BUCKETS, TOKEN_BUCKETS
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.prometheus import PrometheusSink
from aistrale.testing import Fault, check_sink, simulator
from aistrale.testing.sink_contract import sample_events
from tests.telemetry.rows import attempt_row, call_row

prometheus_client = pytest.importorskip("prometheus_client")
parser = pytest.importorskip("prometheus_client.parser")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sink():
    made = PrometheusSink(registry=prometheus_client.CollectorRegistry())
    yield made
    made.close()


def samples(text: str) -> dict[tuple[str, frozenset], float]:
    """What Prometheus itself would read."""
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def read(sink) -> dict[tuple[str, frozenset], float]:
    return samples(prometheus_client.generate_latest(sink.registry).decode())


def scrape(sink) -> dict[tuple[str, frozenset], float]:
    host, port = sink.address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        return samples(answer.read().decode())


def value(found, name, **labels):
    return found.get((name, frozenset(labels.items())))


OPENAI = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "openai",
    "gen_ai_request_model": "m",
    "gen_ai_response_model": "m-1",
}


def test_attempts_have_the_names_labels_and_buckets_of_the_conventions(sink):
    sink.write(
        [
            AttemptFinished(row=attempt_row(response_model="m-1", latency=0.5, input=100, cache_read=900, output=7,
                                            reasoning=3, cost="0.25", streamed=True, first_token=0.05)),
            AttemptFinished(row=attempt_row(response_model="m-1", latency=3.0, outcome="error", error="ServerError")),
        ]
    )  # fmt: skip
    found = read(sink)
    duration = "gen_ai_client_operation_duration_seconds"
    assert value(found, f"{duration}_count", **OPENAI) == 1
    assert value(found, f"{duration}_sum", **OPENAI) == 0.5
    assert value(found, f"{duration}_count", **OPENAI, error_type="ServerError") == 1
    buckets = {float(dict(labels)["le"]) for name, labels in found if name == f"{duration}_bucket"}
    assert buckets == {*SECONDS_BUCKETS, math.inf}
    usage = "gen_ai_client_token_usage"
    assert value(found, f"{usage}_sum", **OPENAI, gen_ai_token_type="input") == 1000
    assert value(found, f"{usage}_sum", **OPENAI, gen_ai_token_type="output") == 10
    assert value(found, f"{usage}_count", **OPENAI, gen_ai_token_type="input") == 1, "unknown is not zero"
    buckets = {float(dict(labels)["le"]) for name, labels in found if name == f"{usage}_bucket"}
    assert buckets == {*map(float, TOKEN_BUCKETS), math.inf}
    assert value(found, "gen_ai_client_operation_time_to_first_chunk_seconds_sum", **OPENAI) == 0.05


@pytest.mark.parametrize(
    ("outcome", "error", "label"),
    [("success", None, None), ("error", "RateLimitError", "RateLimitError"), ("interrupted", None, "_OTHER"),
     ("cancelled", None, "CancelledError"), ("abandoned", None, None)],
)  # fmt: skip
def test_the_type_of_an_error_is_a_class(sink, outcome, error, label):
    sink.write([AttemptFinished(row=attempt_row(outcome=outcome, error=error))])
    (labels,) = [dict(labels) for name, labels in read(sink) if name == "gen_ai_client_operation_duration_seconds_sum"]
    assert labels.get("error_type") == label


def test_operations_and_providers_have_the_words_of_the_conventions(sink):
    sink.write(
        [
            CallStarted(call_id="e", operation="embed", model_asked="x"),
            AttemptFinished(call_id="e", row=attempt_row(input=3, output=0)),
            AttemptFinished(call_id="g", row=attempt_row(provider="gemini", model="gemini-2.5-flash")),
        ]
    )
    found = {
        (dict(labels).get("gen_ai_provider_name"), dict(labels).get("gen_ai_operation_name"))
        for name, labels in read(sink)
        if name == "gen_ai_client_operation_duration_seconds_count"
    }
    assert found == {("openai", "embeddings"), ("gcp.gemini", "generate_content")}
    types = {
        dict(labels)["gen_ai_token_type"] for name, labels in read(sink) if name == "gen_ai_client_token_usage_sum"
    }
    assert types == {"input"}, "embeddings have no output"


def test_money_is_counted_by_provider_model_and_project(sink):
    place = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "m"}
    sink.write([CallStarted(call_id="a", operation="chat", model_asked="m", project="demo")])
    sink.write(
        [
            AttemptFinished(call_id="a", row=attempt_row(cost="0.1")),
            AttemptFinished(call_id="a", row=attempt_row(cost="0.02", outcome="error", error="E")),
            AttemptFinished(call_id="a", row=attempt_row(cost=None)),
            AttemptFinished(call_id="a", row=attempt_row(cost=None, outcome="error", error="E")),
            AttemptFinished(call_id="b", row=attempt_row(cost="1")),
            CallFinished(call_id="a", row=call_row(project="demo", avoided="0.3", degraded="cache")),
            AttemptFinished(row=attempt_row(cost="NaN")),
            AttemptFinished(row=attempt_row(cost="-5")),
        ]
    )
    found = read(sink)
    assert value(found, "aistrale_cost_usd_total", **place, project="demo") == pytest.approx(0.12)
    assert value(found, "aistrale_cost_usd_total", **place) == 1
    assert value(found, "aistrale_cost_unknown_total", **place, project="demo") == 1
    assert value(found, "aistrale_cost_avoided_usd_total", project="demo") == pytest.approx(0.3)
    assert value(
        found, "aistrale_calls_total", gen_ai_operation_name="chat", outcome="success", degraded="cache"
    ) == 1  # fmt: skip


def test_what_policies_did_is_counted(sink):
    breaker = {"target": "a/b", "reason": "failures"}
    sink.write(
        [
            Retried(target="a/b", attempt=1, error="E", delay=0.1),
            FailedOver(target="a/b", next_target="c/d", error="E"),
            QueueWaited(target="a/b", seconds=0.3, admitted=True),
            CacheLooked(result="hit"),
            CacheLooked(result="hit"),
            Redacted(types={"EMAIL_ADDRESS": 3, "URL": 1}),
            DLPVerdict(rule="cards", action="block", direction="out", types={"CREDIT_CARD": 1}),
            TranslationLossy(target="a/b", fields=("seed", "top_k")),
            WebhookSent(webhook="w", type="t", message_id="m", attempts=1, outcome="dead"),
            BreakerChanged(change="opened", before="closed", after="open", **breaker),
        ]
    )
    found = read(sink)
    assert value(found, "aistrale_retries_total", target="a/b", error_type="E") == 1
    assert value(found, "aistrale_failovers_total", target="a/b", next_target="c/d", error_type="E") == 1
    assert value(found, "aistrale_queue_wait_seconds_sum", target="a/b", admitted="true") == pytest.approx(0.3)
    assert value(found, "aistrale_cache_lookups_total", result="hit") == 2
    assert value(found, "aistrale_redacted_values_total", type="EMAIL_ADDRESS") == 3
    assert (
        value(found, "aistrale_dlp_verdicts_total", rule="cards", action="block", direction="out", dry_run="false") == 1
    )
    assert value(found, "aistrale_lossy_translations_total", target="a/b", field="seed") == 1
    assert value(found, "aistrale_webhooks_total", webhook="w", type="t", outcome="dead") == 1
    assert value(found, "aistrale_breaker_state", target="a/b") == 2
    assert value(found, "aistrale_breaker_changes_total", change="opened", **breaker) == 1
    for after, state in (("half_open", 1), ("closed", 0), ("forced_open", 2), ("forced_closed", 0)):
        sink.write([BreakerChanged(change="x", before="y", after=after, **breaker)])
        assert value(read(sink), "aistrale_breaker_state", target="a/b") == state


def budget(scope, name=None, **more) -> BudgetCrossed:
    values = {"what": "threshold", "period": "day", "limit": Decimal(5), "spent": Decimal("4.5"),
              "reserved": Decimal("0.1"), "hard": True, "threshold": Decimal("0.9")}  # fmt: skip
    return BudgetCrossed(scope=scope, budget=name or f"{scope} per day", **{**values, **more})


def test_budgets_are_gauges_and_those_of_people_have_no_names(sink):
    sink.write([budget("project:demo"), budget("user:alice"), budget("user:bob", what="refused"), budget("session:s1"),
                budget("tag:customer=carol"), budget("user:dave", name="people")])  # fmt: skip
    found = read(sink)
    place = {"budget": "project:demo per day", "scope": "project:demo"}
    assert value(found, "aistrale_budget_limit_usd", **place) == 5
    assert value(found, "aistrale_budget_spent_usd", **place) == 4.5
    assert value(found, "aistrale_budget_reserved_usd", **place) == pytest.approx(0.1)
    assert value(found, "aistrale_budget_crossings_total", budget="user per day", scope="user", what="threshold") == 1
    assert value(found, "aistrale_budget_crossings_total", budget="user per day", scope="user", what="refused") == 1
    assert value(found, "aistrale_budget_crossings_total", budget="people", scope="user", what="threshold") == 1
    text = str(found)
    assert not [name for name in ("alice", "bob", "s1", "carol", "dave") if name in text]


def test_labels_have_a_bounded_number_of_values_and_nobodys_name(sink):
    bounded = PrometheusSink(registry=prometheus_client.CollectorRegistry(), values=5)
    for number in range(50):
        row = attempt_row(model=f"m{number}", target=f"openai/m{number}", call_id=f"call-{number}", request_id="rid-1")
        call = call_row(user="alice", session="s-77", name="job-9", tags={"k": "tag-value"}, workspace="w")
        started = CallStarted(call_id=f"call-{number}", operation="chat", model_asked="m", user="alice", session="s-77")
        bounded.write([
            started,
            AttemptFinished(call_id=f"call-{number}", row=row),
            Retried(target=f"openai/m{number}", attempt=1, error="E", delay=0.1),
            CallFinished(call_id=f"call-{number}", row=call),
        ])  # fmt: skip
    found = read(bounded)
    models = {dict(labels)["gen_ai_request_model"] for name, labels in found if name.endswith("duration_seconds_count")
              and "gen_ai_request_model" in dict(labels)}  # fmt: skip
    assert models == {"m0", "m1", "m2", "m3", "m4", "other"}
    assert value(found, "aistrale_retries_total", target="other", error_type="E") == 45
    text = str(found)
    for secret in ("alice", "s-77", "job-9", "tag-value", "call-1", "rid-1"):
        assert secret not in text


def test_models_that_frameworks_ask_without_us_are_counted_and_ours_are_not_counted_twice(sink):
    run = {"framework": "langchain", "run_id": "r", "type": "llm", "name": "Chat", "latency": 2.0, "outcome": "success",
           "provider": "openai", "model": "m", "input_tokens": 5, "output_tokens": 6, "cost": Decimal("0.5")}  # fmt: skip
    sink.write([RunFinished(**run), RunFinished(**run, call_id="c"), RunFinished(**{**run, "type": "chain"})])
    found = read(sink)
    labels = {name: text for name, text in OPENAI.items() if name != "gen_ai_response_model"}
    assert value(found, "gen_ai_client_operation_duration_seconds_count", **labels) == 1
    assert value(found, "gen_ai_client_token_usage_sum", **labels, gen_ai_token_type="output") == 6
    assert value(found, "aistrale_cost_usd_total", gen_ai_provider_name="openai", gen_ai_request_model="m") == 0.5
    assert (
        value(found, "aistrale_run_duration_seconds_count", framework="langchain", type="chain", outcome="success") == 1
    )


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_client_can_be_collected_from_with_what_became_of_its_events():
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["prometheus:0", "memory"]) as client:
        client.run("Hello", model="openai/gpt-5-mini")
        sim.outage(step=Fault(status=400))
        with pytest.raises(aistrale.AistraleError):
            client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
        (sink,) = [each for each in client._engine.reporting.hub.sinks if each.name == "prometheus"]
        found = scrape(sink)
        assert sink.address[0] == "127.0.0.1"
        client._engine.reporting.close()
        assert sink.address is None
    assert value(found, "aistrale_calls_total", gen_ai_operation_name="chat", outcome="success") == 1
    assert value(found, "aistrale_calls_total", gen_ai_operation_name="chat", outcome="error") == 1
    assert value(found, "aistrale_events_delivered_total", sink="memory") == 6
    assert value(found, "aistrale_events_waiting", sink="prometheus") == 0


class Hub:
    """Stands for the hub of a client: what the sink is given is a method of it."""

    def status(self):
        from aistrale.telemetry.status import DeliveryStatus

        dropped = {"full": 3, "timeout": 1}
        return [DeliveryStatus(name="otlp", guarantee="best_effort", delivered=7, waiting=2, dropped=dropped)]


def test_dropped_events_are_shown_by_sink_and_reason_while_their_client_exists(sink):
    hub, other = Hub(), Hub()
    sink.watch(hub.status)
    sink.watch(other.status)
    found = read(sink)
    assert value(found, "aistrale_events_dropped_total", sink="otlp", reason="full") == 6
    assert value(found, "aistrale_events_dropped_total", sink="otlp", reason="timeout") == 2
    assert value(found, "aistrale_events_delivered_total", sink="otlp") == 14
    del other
    assert value(read(sink), "aistrale_events_waiting", sink="otlp") == 2
    del hub
    assert not [name for name, _ in read(sink) if name.startswith("aistrale_events")]


def test_nothing_listens_before_the_first_event_or_start():
    sink = PrometheusSink(0)
    assert sink.address is None
    assert sink.start() is True
    address = sink.address
    assert sink.start() is True
    assert sink.address == address
    sink.close()
    assert sink.address is None
    sink.write(sample_events())
    assert value(scrape(sink), "aistrale_cache_lookups_total", result="miss") == 1
    sink.close()


def test_a_port_that_is_taken_is_one_warning_and_is_tried_again(caplog, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sink = PrometheusSink(port)
        for _ in range(3):
            sink.write([CacheLooked(result="hit")])
            assert sink.start() is False
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert str(port) in warnings[0]
    assert "prometheus:0" in warnings[0]
    monkeypatch.setattr("aistrale.telemetry.sinks.prometheus.time.monotonic", lambda: 1e12)
    sink.write([])
    assert value(scrape(sink), "aistrale_cache_lookups_total", result="hit") == 3, "it has counted all the while"
    sink.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_sink_that_is_forgotten_gives_its_port_and_its_thread_back():
    sink = PrometheusSink(0)
    assert sink.start()
    _, port = sink.address
    thread = sink._thread
    del sink
    gc.collect()
    thread.join(10.0)
    assert not thread.is_alive()
    again = PrometheusSink(port)
    assert again.start()
    again.close()


def test_a_child_process_begins_at_zero_with_a_port_of_its_own():
    sink = PrometheusSink(0)
    sink.write([CacheLooked(result="hit")])
    server = sink._server
    inherited = os.dup(server.socket.fileno())
    before = sink.registry
    sink.after_fork()
    assert sink.address is None
    assert sink.registry is not before
    sink.write([CacheLooked(result="miss")])
    found = scrape(sink)
    assert value(found, "aistrale_cache_lookups_total", result="miss") == 1
    assert value(found, "aistrale_cache_lookups_total", result="hit") is None
    sink.close()
    os.close(inherited)
    # In this test the parent is the same process, and its server still runs.
    server.shutdown()
    server.server_close()


def test_a_child_keeps_the_metrics_that_a_directory_keeps_apart(tmp_path, monkeypatch):
    sink = PrometheusSink(0)
    before = sink.registry
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    sink.after_fork()
    assert sink.registry is before


SEVERAL = """
import sys
from aistrale.telemetry.events import CacheLooked, BreakerChanged
from aistrale.telemetry.sinks.prometheus import PrometheusSink
sink = PrometheusSink(int(sys.argv[1]))
sink.write([CacheLooked(result="hit"), BreakerChanged(target="a/b", change="x", before="y", after="open", reason="z")])
print(sink.address, flush=True)
sys.stdin.readline()
sink.close()
"""


def test_several_processes_show_their_sum_at_one_port(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", SEVERAL, str(port)], cwd=ROOT, env=environment,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    try:
        addresses = [process.stdout.readline().strip() for process in processes]
        assert sorted(addresses) == [f"('127.0.0.1', {port})", "None"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = samples(answer.read().decode())
    finally:
        errors = [process.communicate("end\n", timeout=30)[1] for process in processes]
    assert errors == ["", ""]
    assert value(found, "aistrale_cache_lookups_total", result="hit") == 2
    assert value(found, "aistrale_breaker_state", target="a/b") == 2


# --- registries and addresses ----------------------------------------------------------------------------------------


def test_without_a_port_the_metrics_are_the_applications():
    first, second = open_sink("prometheus"), open_sink("prometheus")
    assert first.registry is second.registry is prometheus_client.REGISTRY
    before = value(read(first), "aistrale_cache_lookups_total", result="stale") or 0
    first.write([CacheLooked(result="stale")])
    second.write([CacheLooked(result="stale")])
    assert value(read(first), "aistrale_cache_lookups_total", result="stale") == before + 2
    assert first.start() is True
    assert first.address is None


def test_a_registry_that_has_the_names_already_is_left_as_it_was():
    registry = prometheus_client.CollectorRegistry()
    taken = prometheus_client.Gauge("gen_ai_client_token_usage", "OpenTelemetry's", registry=registry)
    with pytest.raises(ConfigurationError, match="metrics of these names") as caught:
        PrometheusSink(registry=registry)
    assert caught.value.field == "sinks"
    registry.unregister(taken)
    assert prometheus_client.generate_latest(registry) == b""
    PrometheusSink(registry=registry)


def test_addresses():
    sink = open_sink("prometheus:9464")
    assert (sink._host, sink._port) == ("127.0.0.1", 9464)
    sink = open_sink("prometheus:0.0.0.0:9464?values=7")
    assert (sink._host, sink._port, sink._values) == ("0.0.0.0", 9464, 7)  # noqa: S104 - asked for
    assert open_sink("prometheus://[::1]:9464")._host == "::1"


@pytest.mark.parametrize("url", ["prometheus:host", "prometheus:70000", "prometheus:-1", "prometheus:1?values=0",
                                 "prometheus:1?path=/x"])  # fmt: skip
def test_wrong_addresses(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"


def test_a_port_and_a_registry_exclude_each_other():
    with pytest.raises(ConfigurationError, match="registry"):
        PrometheusSink(0, registry=prometheus_client.CollectorRegistry())


def test_it_keeps_the_contract():
    check_sink(PrometheusSink(0))
    check_sink(PrometheusSink(registry=prometheus_client.CollectorRegistry()))

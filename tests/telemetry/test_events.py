"""Events: what they are, that calls tell of everything that happens to them, and that nothing that was said gets out."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import os
import threading
import urllib.request
from pathlib import Path

import pytest

import aistrale
from aistrale.telemetry.encoding import encode_line
from aistrale.telemetry.events import EVENTS, CallFinished, Content, FunctionFinished, TelemetryEvent
from aistrale.telemetry.lines import line_of
from aistrale.telemetry.sinks.memory import MemorySink
from aistrale.testing import Broken, Fault, simulator
from aistrale.testing.sink_contract import sample_events
from tests.telemetry.rows import call_row

KEY = "sk-canary-4f1d9c0b7a6e5d3c2b1a"
PROMPT = "The patient canaryprompt has a secret, ask jo.canary@example.com"
CANARIES = (KEY, KEY[:14], "canaryprompt", "jo.canary", "simulated answer")
MODEL = "openai/gpt-5-mini"
HOLDERS = {("attempt.finished", "content"), ("run.finished", "content"), ("function.finished", "inputs"),
           ("function.finished", "output")}  # fmt: skip


# --- what they are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENTS)
def test_events_are_frozen_and_have_no_place_for_content_but_the_known_ones(kind):
    cls = EVENTS[kind]
    assert cls.kind == kind
    assert cls.__doc__
    event = next(event for event in sample_events() if event.kind == kind)
    assert not hasattr(event, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.id = "another"
    for item in dataclasses.fields(cls):
        if "JSON" in str(item.type) or "Content" in str(item.type):
            assert (kind, item.name) in HOLDERS
    documented = [name for base in cls.__mro__ for name in (base.__doc__ or "").splitlines()]
    for item in dataclasses.fields(cls):
        assert any(line.strip().startswith(f"{item.name}:") for line in documented), f"{item.name} is not documented"


def test_ids_are_unique_over_threads():
    made: list[str] = []

    def make():
        made.extend([TelemetryEvent().id for _ in range(500)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 2000


def test_the_samples_are_one_of_every_kind():
    assert {event.kind for event in sample_events()} == set(EVENTS)


# --- what calls tell -------------------------------------------------------------------------------------------------


def told(call, **settings) -> list[TelemetryEvent]:
    sink = MemorySink()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink], **settings) as client:
        call(client, sim)
    return sink.events


def kinds(events) -> list[str]:
    return [event.kind for event in events]


def test_a_call_tells_of_its_begin_its_attempts_and_its_end():
    events = told(lambda client, sim: client.run("Hello", model=MODEL))
    assert kinds(events) == ["call.started", "attempt.finished", "call.finished"]
    started, attempt, finished = events
    assert started.call_id == attempt.call_id == finished.call_id == finished.row.call_id
    assert attempt.row.target == MODEL
    assert attempt.finish_reasons == ("stop",)
    assert attempt.content is None


def test_events_in_memory_are_asked_for_by_name_or_by_class():
    sink = MemorySink()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink]) as client:
        client.run("Hello", model=MODEL)
    assert sink.of(CallFinished) == sink.of("call.finished") == sink.wait_for(CallFinished) == [sink.events[-1]]
    with pytest.raises(TimeoutError, match=r"not 1 function\.finished"):
        sink.wait_for(FunctionFinished, timeout=0.0)


def test_a_client_says_what_became_of_the_events_of_its_sinks():
    with simulator() as sim:
        with aistrale.Client(**sim.settings()) as client:
            assert client.deliveries() == []
        sinks = [MemorySink(), {"to": MemorySink(), "name": "few", "kinds": ["call.finished"]}]
        with aistrale.Client(**sim.settings(), sinks=sinks) as client:
            client.run("Hello", model=MODEL)
            assert [(each.name, each.delivered, each.dropped) for each in client.deliveries()] == [
                ("memory", 3, {}),
                ("few", 1, {}),
            ]


@pytest.mark.parametrize(
    ("own", "told"), [({"spans.full": 3, "spans.failed": 0}, {"spans.full": 3}), ([1], {}), ({1: "x"}, {})]
)
def test_what_a_sink_with_a_queue_of_its_own_has_lost_is_counted(own, told):
    sink = MemorySink()
    sink.dropped = own
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink]) as client:
        client.run("Hello", model=MODEL)
        assert client.deliveries()[0].dropped == told


def test_a_stream_tells_when_it_is_over():
    sink = MemorySink()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink]) as client:
        with client.stream("Hello", model=MODEL) as stream:
            next(iter(stream))
            assert kinds(sink.events) == ["call.started"]
        assert kinds(sink.events) == ["call.started", "attempt.finished", "call.finished"]
    assert sink.events[-1].streamed
    assert sink.events[-1].row.outcome in {"abandoned", "cancelled"}


def test_a_retry_and_a_failover_are_told_in_order():
    routes = {"chat": {"targets": [MODEL, "anthropic/claude-haiku-4-5"]}}

    def call(client, sim):
        sim.outage("openai", Fault(status=500))
        client.run("Hello", model="chat")

    events = told(call, routes=routes)
    told_kinds = kinds(events)
    assert told_kinds[0] == "call.started"
    assert told_kinds[-1] == "call.finished"
    assert "call.failed_over" in told_kinds
    attempts = [event for event in events if event.kind == "attempt.finished"]
    assert [event.row.attempt for event in attempts] == list(range(1, len(attempts) + 1))
    assert attempts[-1].row.outcome == "success"
    assert len({event.call_id for event in events if event.call_id}) == 1
    assert events[-1].row.attempts == len(attempts)


def test_one_end_for_each_begin_whatever_happens():
    sink = MemorySink()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink], retry=False) as client:
        for step in (Fault(status=400), Fault(status=429), Broken(wreck="bad_json"), Broken(wreck="truncate")):
            sim.script(step)
            with pytest.raises(aistrale.AistraleError):
                client.run("Hello", model=MODEL)
        client.embed(["Hello"], model="openai/text-embedding-3-small")
    assert len(sink.of("call.started")) == len(sink.of("call.finished")) == len(sink.of("attempt.finished")) == 5
    assert [event.row.outcome for event in sink.of("call.finished")] == ["error"] * 4 + ["success"]
    assert sink.of("call.started")[-1].operation == "embed"


class Interrupting:
    """A sink in whose midst Ctrl-C comes, once for each of some kinds of events."""

    name = "interrupting"
    inline = True

    def __init__(self, *kinds):
        self.left = set(kinds)

    def write(self, batch, /):
        for event in batch:
            if event.kind in self.left:
                self.left.discard(event.kind)
                raise KeyboardInterrupt


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kinds", [("attempt.finished",), ("call.finished",), ("attempt.finished", "call.finished")])
def test_one_end_where_ctrl_c_comes_in_the_midst_of_telling_it(kinds, streamed):
    sink = MemorySink()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[sink, Interrupting(*kinds)]) as client:
        ask = (
            (lambda: list(client.stream("Hello", model=MODEL)))
            if streamed
            else (lambda: client.run("Hello", model=MODEL))
        )
        with pytest.raises(KeyboardInterrupt):
            ask()
        gc.collect()
        client.flush()
        assert [event.kind for event in sink.events] == ["call.started", "attempt.finished", "call.finished"]
        assert [row.call_id for row in client.ledger.calls()] == [sink.events[0].call_id]


def test_memory_can_be_waited_for():
    sink = MemorySink(limit=3)
    thread = threading.Thread(target=lambda: sink.write([CallFinished(row=call_row())] * 2))
    thread.start()
    assert len(sink.wait_for("call.finished", 2, timeout=10.0)) == 2
    thread.join()
    with pytest.raises(TimeoutError, match=r"not 3 call.finished within 0 s; there are: 2 call.finished"):
        sink.wait_for("call.finished", 3, timeout=0)
    sink.write([CallFinished(row=call_row())] * 5)
    assert len(sink.events) == 3
    sink.after_fork()
    assert sink.events == []
    with pytest.raises(aistrale.errors.ConfigurationError):
        MemorySink(limit=0)


# --- nothing that was said -------------------------------------------------------------------------------------------


def every_way(client, sim):
    """Calls of all forms, good and bad ones."""
    client.run(PROMPT, model=MODEL)
    client.embed([PROMPT], model="openai/text-embedding-3-small")
    with client.stream(PROMPT, model="anthropic/claude-haiku-4-5") as stream:
        assert "simulated answer" in stream.result().text
    with client.stream(PROMPT, model="gemini/gemini-2.5-flash") as stream:
        next(iter(stream))
    for step in (
        Fault(status=400, message=f"Bad header Authorization: Bearer {KEY}, and {PROMPT}"),
        Fault(status=401, message=f"Incorrect API key provided: {KEY}."),
        Fault(status=500, message=PROMPT),
        Broken(wreck="error_midway"),
        Broken(wreck="close_early"),
        Broken(wreck="bad_json"),
    ):
        sim.script(step, step)
        with pytest.raises(aistrale.AistraleError):
            client.run(PROMPT, model=MODEL)
        with pytest.raises(aistrale.AistraleError), client.stream(PROMPT, model=MODEL) as stream:
            list(stream)


async def every_way_async(client):
    await client.run(PROMPT, model=MODEL)
    async with client.stream(PROMPT, model=MODEL) as stream:
        async for _ in stream:
            break
    task = asyncio.create_task(client.run(PROMPT, model=MODEL))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def sinks(tmp_path):
    addresses = ["memory", "console", {"to": "console:json", "name": "json"}, f"jsonl:{tmp_path}/calls.jsonl", "logging",
                 f"sqlite:///{tmp_path}/second.sqlite3"]  # fmt: skip
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        return addresses
    return [*addresses, "prometheus:0"]


@pytest.mark.parametrize("privacy", ["off", "redact"])
def test_prompts_answers_and_keys_get_into_no_sink_where_capture_is_off(sinks, privacy, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with simulator() as sim:
        providers = {name: {**own, "api_key": KEY} for name, own in sim.settings()["providers"].items()}
        settings = {"providers": providers, "retry": False, "sinks": sinks, "privacy": privacy, "breaker": False}
        with aistrale.Client(**settings) as client:
            every_way(client, sim)
            assert client.flush()
            made = client._engine.reporting.hub.sinks
            memory = made[0]
            seen = [line_of(event).text() for event in memory.events]
            seen += [repr(event) for event in memory.events]
            seen += [encode_line(event).decode() for event in memory.events]
            for sink in made:
                if sink.name == "prometheus":
                    host, port = sink.address
                    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
                        seen.append(answer.read().decode())
            seen.append(repr(client._engine.reporting.hub.status()))
            client._engine.reporting.close()
    assert len(memory.of("call.finished")) == 16
    assert bool(memory.of("data.redacted")) == (privacy == "redact")
    out, err = capfd.readouterr()
    assert out + err
    text = "\n".join([*seen, caplog.text, *(repr(vars(record)) for record in caplog.records), out, err])
    for canary in CANARIES:
        assert canary not in text
    files = [
        path for folder in (tmp_path, Path(os.environ["AISTRALE_HOME"])) for path in folder.rglob("*") if path.is_file()
    ]
    assert {path.name for path in files} >= {"calls.jsonl", "second.sqlite3"}
    for path in files:
        content = path.read_bytes()
        for canary in CANARIES:
            assert canary.encode() not in content, path


def test_nor_from_async_calls():
    sink = MemorySink()

    async def whole(sim):
        async with aistrale.AsyncClient(**sim.settings(), sinks=[sink]) as client:
            await every_way_async(client)

    with simulator() as sim:
        asyncio.run(whole(sim))
    assert len(sink.of("call.finished")) == len(sink.of("call.started")) == 3
    text = "\n".join([*map(repr, sink.events), *(encode_line(event).decode() for event in sink.events)])
    for canary in CANARIES:
        assert canary not in text


def test_the_canaries_are_found_where_content_is_allowed_to_be():
    """The test above can fail: what holds content shows it."""
    content = Content(input=({"role": "user", "parts": [{"type": "text", "content": PROMPT}]},))
    row = next(event.row for event in sample_events() if event.kind == "attempt.finished")
    event = EVENTS["attempt.finished"](row=row, content=content)
    assert "canaryprompt" in encode_line(event).decode()
    assert "canaryprompt" not in line_of(event).text()
    function = FunctionFinished(name="f", latency=1.0, outcome="success", inputs={"question": PROMPT})
    assert "canaryprompt" in encode_line(function).decode()
    assert "canaryprompt" not in line_of(function).text()

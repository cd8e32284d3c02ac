"""The setting `sinks`: addresses, tables, objects, variables, files, and what is said about each mistake."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest

import aistrale
from aistrale.config import load
from aistrale.config.sinks import _read  # noqa: F401 - its table of checks is compared with the fields on import
from aistrale.errors import ConfigurationError
from aistrale.sinks import ConsoleSink, JSONLinesSink, MemorySink, SinkSettings
from aistrale.testing import simulator


def sinks(value, environ=None):
    return load({} if value is None else {"sinks": value}, environ or {}, None).sinks


class Own:
    """A sink of an application: one method is all that it must have."""

    def __init__(self):
        self.events = []

    def write(self, events, /):
        self.events.extend(events)


@pytest.mark.parametrize("value", [None, "off", "OFF", "none", False, [], ()])
def test_none_unless_they_are_asked_for(value):
    assert sinks(value) == ()


def test_addresses_sinks_tables_and_settings(tmp_path):
    memory, own = MemorySink(), Own()
    found = sinks(
        [
            "console",
            memory,
            own,
            {"to": f"jsonl:{tmp_path}/a.jsonl", "name": "file", "guarantee": "durable", "queue": 5, "batch": "7",
             "queue_bytes": 5000, "overflow": "drop_oldest", "interval": 0.5, "timeout": 3, "kinds": ["call.finished"]},
            SinkSettings(to=MemorySink(), name="second"),
        ]
    )  # fmt: skip
    console, kept, mine, file, second = found
    assert isinstance(console.to, ConsoleSink)
    assert kept.to is memory
    assert mine.to is own
    assert [each.name for each in found] == ["console", "memory", "Own", "file", "second"]
    assert isinstance(file.to, JSONLinesSink)
    assert (file.guarantee, file.queue, file.batch, file.queue_bytes) == ("durable", 5, 7, 5000)
    assert (file.overflow, file.interval, file.timeout, file.kinds) == ("drop_oldest", 0.5, 3.0, {"call.finished"})
    defaults = SinkSettings(to="")
    for item in fields(SinkSettings):
        if item.name not in {"to", "name"}:
            assert getattr(console, item.name) == getattr(second, item.name) == getattr(defaults, item.name)


def test_one_may_stand_alone():
    memory = MemorySink()
    assert [each.to for each in sinks(memory)] == [memory]
    assert [each.name for each in sinks("console")] == ["console"]
    assert [each.name for each in sinks({"to": "console", "name": "mine"})] == ["mine"]


def test_the_variable_and_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    found = sinks(None, {"AISTRALE_SINKS": f"console, jsonl:{path}?kinds=call.finished+call.started ,"})
    assert [each.name for each in found] == ["console", "jsonl"]
    assert found[1].to.path == path
    assert found[1].to.kinds == {"call.finished", "call.started"}
    (tmp_path / "aistrale.toml").write_text('sinks = ["memory", {to = "console", name = "people", queue = 9}]\n')
    settings = load({}, {}, tmp_path)
    assert [(each.name, each.queue) for each in settings.sinks] == [("memory", 10_000), ("people", 9)]
    assert load({"sinks": "off"}, {}, tmp_path).sinks == ()


@pytest.mark.parametrize(
    ("value", "field", "told"),
    [
        (["unknown:x"], "sinks[0]", "unknown is no sink"),
        (["consol"], "sinks[0]", "Did you mean console"),
        (["console", "console:blue"], "sinks[1]", "stdout or stderr"),
        ([5], "sinks[0]", "an address, or a sink"),
        ([object()], "sinks[0]", "an address, or a sink"),
        ([MemorySink], "sinks[0]", "an address, or a sink"),
        ([{}], "sinks[0].to", "given"),
        ([{"to": "console", "queue": 0}], "sinks[0].queue", "1"),
        ([{"to": "console", "batch": 1.5}], "sinks[0].batch", "whole"),
        ([{"to": "console", "interval": -1}], "sinks[0].interval", "number"),
        ([{"to": "console", "timeout": 0}], "sinks[0].timeout", "number"),
        ([{"to": "console", "guarantee": "maybe"}], "sinks[0].guarantee", "best_effort"),
        ([{"to": "console", "overflow": "wait"}], "sinks[0].overflow", "drop_oldest"),
        ([{"to": "console", "kinds": []}], "sinks[0].kinds", "kinds of events"),
        ([{"to": "console", "kinds": "call.finished"}], "sinks[0].kinds", "kinds of events"),
        (["console", "console:stdout"], "sinks[1].name", "already"),
    ],
)
def test_mistakes_are_named(value, field, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        sinks(value)
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize("kinds", [["call.invented"], [["call.finished"]], [5]])
def test_kinds_that_do_not_exist(kinds):
    with pytest.raises(ConfigurationError, match="kind of event"):
        sinks([{"to": "console", "kinds": kinds}])


def test_an_unknown_key_of_a_table_is_an_error():
    with pytest.raises(ConfigurationError, match="queues"):
        sinks([{"to": "console", "queues": 5}])


def test_a_secret_in_an_address_is_not_shown():
    for value in (["webhok:https://user:canary@host/x"], ["postgresql://user:canary@"], ["jsonl:/x?canary=canary"]):
        try:
            shown = repr(sinks(value))
        except (ConfigurationError, ImportError) as error:
            shown = str(error)
        assert "canary" not in shown


def test_a_library_that_is_missing_is_told_when_the_client_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ImportError, match=r"aistrale\[sentry\]"):
        aistrale.Client(sinks=["sentry"])


def test_a_sink_gets_the_kinds_that_it_wants_and_the_settings_want():
    everything, some, fewer = MemorySink(), MemorySink(), MemorySink()
    fewer.kinds = frozenset({"call.finished"})
    wanted = [everything, {"to": some, "name": "some", "kinds": ["call.started"]}, {"to": fewer, "name": "fewer"}]
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=wanted) as client:
        client.run("Hello", model="openai/gpt-5-mini")
    assert [event.kind for event in everything.events] == ["call.started", "attempt.finished", "call.finished"]
    assert [event.kind for event in some.events] == ["call.started"]
    assert [event.kind for event in fewer.events] == ["call.finished"]


def test_an_object_with_one_method_is_a_sink():
    own = Own()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[own]) as client:
        client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
    assert [event.kind for event in own.events] == ["call.started", "attempt.finished", "call.finished"]

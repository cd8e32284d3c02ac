from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry.sinks import _HOMES, open_sink, schemes
from aistrale.telemetry.sinks.memory import MemorySink
from aistrale.testing import check_sink, simulator

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A package with sinks that is installed as pip would leave it: a module and its metadata."""
    (tmp_path / "acme_sinks.py").write_text(
        textwrap.dedent(
            """
            from aistrale.telemetry.sinks.memory import MemorySink


            class AcmeSink(MemorySink):
                name = "acme"
                made = []

                @classmethod
                def from_url(cls, url):
                    sink = cls()
                    sink.url = url
                    cls.made.append(sink)
                    return sink


            class NotASink:
                pass
            """
        )
    )
    info = tmp_path / "acme_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sinks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aistrale.sinks]\nacme = acme_sinks:AcmeSink\nmemory = acme_sinks:AcmeSink\nplain = acme_sinks:NotASink\n"
        "lost = acme_sinks:Lost\nabsent = no_such_module_of_acme:Sink\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("acme_sinks", None)


def test_a_sink_of_another_package_is_found_by_its_entry_point(distribution):
    assert "acme" in schemes()
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=["acme:somewhere?x=1"]) as client:
        client.run("Hello", model="openai/gpt-5-mini")
        made = sys.modules["acme_sinks"].AcmeSink.made[-1]
    assert made.url == "acme:somewhere?x=1"
    assert [event.kind for event in made.events] == ["call.started", "attempt.finished", "call.finished"]
    check_sink(made)


def test_it_cannot_take_the_place_of_one_of_ours(distribution):
    assert type(open_sink("memory")) is MemorySink


@pytest.mark.parametrize(("url", "told"), [("plain", "has no from_url"), ("lost:x", "leads nowhere")])
def test_an_entry_point_that_is_no_sink_is_told(distribution, url, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"


def test_a_module_that_is_missing_is_an_import_error(distribution):
    with pytest.raises(ImportError, match="no_such_module_of_acme"):
        open_sink("absent")


@pytest.mark.parametrize("url", ["", "unknown", "https://user:canary@host/x", "canarycanarycanarycanary:x", "a b:c"])
def test_an_unknown_address_names_those_that_are_known_and_shows_no_secret(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"
    assert "console" in caught.value.hint
    assert "jsonl" in caught.value.hint
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["MEMORY", " memory ", "memory?limit=5", "Memory:"])
def test_schemes_are_read_whatever_their_case(url):
    assert isinstance(open_sink(url), MemorySink)


@pytest.mark.parametrize("name", sorted({home.partition(":")[2] for home in _HOMES.values()}))
def test_every_class_is_in_the_namespace(name):
    module = next(home.partition(":")[0] for home in _HOMES.values() if home.endswith(f":{name}"))
    assert getattr(aistrale.sinks, name) is getattr(importlib.import_module(f"aistrale.telemetry.sinks.{module}"), name)
    assert name in aistrale.sinks.__all__


def test_the_namespace_is_whole_and_says_what_it_has_not():
    assert set(aistrale.sinks.__all__) == set(dir(aistrale.sinks))
    assert aistrale.sinks.open_sink is open_sink
    for module in (aistrale.sinks, importlib.import_module("aistrale.telemetry.sinks")):
        with pytest.raises(AttributeError, match="NoSink"):
            _ = module.NoSink


def test_no_library_is_loaded_before_its_sink_is_made():
    source = textwrap.dedent(
        """
        import sys
        import aistrale
        sinks = aistrale.sinks
        assert not [name for name in sys.modules if name.startswith("aistrale.telemetry")]
        sinks.PrometheusSink, sinks.SentrySink, sinks.ConsoleSink, sinks.LedgerSink, sinks.JSONLinesSink
        loaded = {"prometheus_client", "sentry_sdk", "rich", "sqlite3", "opentelemetry"} & set(sys.modules)
        assert not loaded, loaded
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [("prometheus:9464", "prometheus_client", "prometheus"), ("sentry", "sentry_sdk", "sentry")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, url, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf'pip install "aistrale\[{extra}\]"'):
        open_sink(url)

"""Providers of an application, a collector, and clients that lead to the simulator."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed")

import aistrale
from aistrale.testing import simulator
from tests.telemetry.otel.rig import Collector, Rig


@pytest.fixture(scope="session")
def world():
    with simulator() as running:
        yield running


@pytest.fixture
def sim(world):
    world.reset()
    return world


@pytest.fixture
def rig(monkeypatch):
    return Rig(monkeypatch)


@pytest.fixture
def collector():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def opened(request):
    """Clients, of which the sinks are closed while the providers and the collector of the test are still there."""
    for name in ("rig", "collector"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    made = []
    yield made
    for one in made:
        one._engine.reporting.close()


@pytest.fixture
def client(sim, opened):
    """Makes blocking clients of the simulator, and closes them."""
    made = []

    def make(sinks=("otel",), **settings):
        settings = {**sim.settings(), "ledger": "off", "retry": {"attempts": 3, "base": 0.001}, **settings}
        made.append(aistrale.Client(sinks=list(sinks), **settings))
        opened.append(made[-1])
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def async_client(sim, opened):
    """Makes async clients of the simulator; whoever uses them closes them."""

    def make(sinks=("otel",), **settings):
        opened.append(aistrale.AsyncClient(**sim.settings(), sinks=list(sinks), ledger="off", **settings))
        return opened[-1]

    return make

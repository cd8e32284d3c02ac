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
def client(sim):
    """Makes blocking clients of the simulator, and closes them."""
    made = []

    def make(sinks=("otel",), **settings):
        settings = {"ledger": "off", "retry": {"attempts": 3, "base": 0.001}, **settings}
        one = aistrale.Client(**sim.settings(), sinks=list(sinks), **settings)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()

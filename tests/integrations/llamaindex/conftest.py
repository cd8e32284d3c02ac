"""A simulator, a client with a sink, and LlamaIndex as it is after an import: no handlers, no models, nothing fetched."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

import aistrale
from aistrale.telemetry import MemorySink
from aistrale.testing import simulator

INSTALLED = importlib.util.find_spec("llama_index") is not None


@pytest.fixture
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def client(sim, sink):
    with aistrale.Client(**sim.settings(), ledger="off", sinks=[sink], retry={"attempts": 1}) as made:
        yield made


@pytest.fixture(autouse=True)
def _loop_of_the_thread():
    """LlamaIndex asks for the loop of the thread also in synchronous code, and would make one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(autouse=True)
def _llamaindex_as_imported():
    """Puts back what is global: handlers on the dispatcher, the model and the tokenizer of the settings."""
    if not INSTALLED:
        yield
        return
    import llama_index.core
    from llama_index.core import Settings
    from llama_index_instrumentation import get_dispatcher

    root = get_dispatcher()
    before = root.event_handlers, root.span_handlers
    tokenizer = llama_index.core.global_tokenizer
    # The framework counts with an encoding that it would have to load; words do as well here.
    Settings.tokenizer = str.split
    yield
    from aistrale.integrations.llamaindex import uninstrument

    uninstrument()
    root.event_handlers, root.span_handlers = before
    Settings._tokenizer = None
    llama_index.core.global_tokenizer = tokenizer

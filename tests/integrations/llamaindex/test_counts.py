"""Every token is told once, whichever handlers are there, and whoever makes calls of his own in between."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import ChatMessage, CompletionResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.callbacks import llm_completion_callback

import aistrale
from aistrale.integrations.llamaindex import AistraleLegacyCallbackHandler, AistraleLLM, instrument
from aistrale.telemetry.events import AttemptFinished
from tests.integrations.llamaindex.models import QUESTION, Own, Vendor, runs

USAGE = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}


@pytest.fixture
def client(sim, sink):
    """The process-wide client, with the drop-in for OpenAI's SDK."""
    yield aistrale.init(**{**sim.settings(), "retry": False}, ledger="off", sinks=[sink], instrument=["openai"])
    aistrale.shutdown()


@pytest.fixture(params=["instrumented", "legacy", "both"])
def manager(request, client):
    if request.param != "legacy":
        instrument()
    return CallbackManager([AistraleLegacyCallbackHandler()] if request.param != "instrumented" else [])


@pytest.fixture
def sdk(sim):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key="sim", base_url=sim.base_url("openai"), max_retries=0) as made:
        yield made.chat.completions


@pytest.fixture
def vendor(sdk, manager):
    """A model whose SDK goes through the drop-in, and whose streams ask when they are read."""

    class WithSDK(Own):
        @llm_completion_callback()
        def complete(self, prompt, formatted=False, **kwargs):
            answer = sdk.create(model=self.model, messages=[{"role": "user", "content": prompt}])
            return CompletionResponse(text=answer.choices[0].message.content, raw=answer)

        @llm_completion_callback()
        def stream_complete(self, prompt, formatted=False, **kwargs):
            def pieces():
                text = ""
                asked = {"model": self.model, "messages": [{"role": "user", "content": prompt}]}
                for chunk in sdk.create(**asked, stream=True, stream_options={"include_usage": True}):
                    delta = chunk.choices[0].delta.content or "" if chunk.choices else ""
                    text += delta
                    yield CompletionResponse(text=text, delta=delta, raw=chunk)

            return pieces()

    return WithSDK(callback_manager=manager)


def attempts(sink):
    return {event.call_id: event.row for event in sink.events if isinstance(event, AttemptFinished)}


def check(client, sink, sim, *, own=0):
    """Each call belongs to one step, but for those that are nobody's; and all tokens that were served are told once."""
    steps, rows = runs(client, sink, "llm"), attempts(sink)
    assert len(rows) == len(sim.requests)
    assert len({step.call_id for step in steps} & rows.keys()) == len(steps) == len(rows) - own
    assert {step.input_tokens for step in steps} == {None}
    assert sum(row.input for row in rows.values()) == sum(each.answer.usage.input_total for each in sim.requests)


def test_streams_that_are_opened_before_they_are_read(client, sink, sim, vendor):
    """The last one that was opened was taken for whoever asked first, and the others counted twice."""
    one, two = vendor.stream_chat(QUESTION), vendor.stream_chat([ChatMessage("And of Peru, and of Chile?")])
    list(one), list(two)
    check(client, sink, sim)


def test_what_a_streams_owner_asks_in_between_is_not_the_streams(client, sink, sim, vendor):
    stream = vendor.stream_complete("What is the capital?")
    mine = [aistrale.run("before", model="openai/gpt-5-mini").call_id]
    mine += [aistrale.run("amid", model="openai/gpt-5-mini").call_id for _ in stream]
    check(client, sink, sim, own=len(mine))
    (step,) = runs(client, sink, "llm")
    assert step.call_id not in mine


def test_a_stream_that_is_read_in_another_thread(client, sink, sim, vendor):
    stream = vendor.stream_complete("What is the capital?")
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    reader.join()
    check(client, sink, sim)


def test_what_a_streams_owner_asks_in_between_does_not_hide_its_tokens(client, sink, manager):
    for _ in Vendor(raw=USAGE, callback_manager=manager).stream_complete("What is the capital?"):
        aistrale.run("mine", model="openai/gpt-5-mini")
    (step,) = runs(client, sink, "llm")
    assert (step.call_id, step.input_tokens, step.output_tokens) == (None, 1000, 500)


def test_both_kinds_of_handlers_tell_of_a_step_once(client, sink, manager):
    AistraleLLM("openai/gpt-5-mini", callback_manager=manager).chat(QUESTION)
    Vendor(raw=USAGE, callback_manager=manager).complete("What is the capital?")
    ours, theirs = runs(client, sink, "llm")
    assert ours.call_id in attempts(sink)
    assert theirs.input_tokens == 1000

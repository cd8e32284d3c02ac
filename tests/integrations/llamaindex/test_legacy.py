"""The handler for the older callback manager."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from pydantic import BaseModel

import aistrale
from aistrale.integrations.llamaindex import AistraleEmbedding, AistraleLegacyCallbackHandler, AistraleLLM
from aistrale.telemetry.events import AttemptFinished
from tests.integrations.llamaindex.models import QUESTION, Router, Vendor, runs

USAGE = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}


@pytest.fixture
def handler(client):
    return AistraleLegacyCallbackHandler(client)


@pytest.fixture
def manager(handler):
    return CallbackManager([handler])


@pytest.fixture
def told(client, sink):
    return lambda *types: runs(client, sink, *types)


class Broken(AistraleLegacyCallbackHandler):
    """One that fails at everything."""

    def _begin(self, *_: object) -> None:
        raise ValueError("Norway")

    def _end(self, *_: object) -> None:
        raise ValueError("Norway")


def test_an_exception_in_a_handler_never_reaches_the_application(client, told, caplog):
    llm = Vendor(callback_manager=CallbackManager([Broken(client)]))
    with caplog.at_level(logging.WARNING):
        assert llm.chat(QUESTION).message.content == "Oslo it is."
        assert [piece.delta for piece in llm.stream_chat(QUESTION)] == ["Oslo", " it", " is."]
        assert asyncio.run(llm.achat(QUESTION)).message.content == "Oslo it is."
    assert "cannot be told" in caplog.text
    assert "Norway" not in caplog.text


@pytest.mark.parametrize("method", ["chat", "achat", "complete", "stream_chat", "astream_chat"])
def test_one_call_is_counted_once(told, manager, method):
    llm = Vendor(raw=USAGE, callback_manager=manager)
    argument = QUESTION if "chat" in method else "What?"

    async def ask():
        answer = await getattr(llm, method)(argument)
        if "stream" in method:
            return [piece async for piece in answer]
        return answer

    if method.startswith("a"):
        asyncio.run(ask())
    else:
        answer = getattr(llm, method)(argument)
        if "stream" in method:
            list(answer)
    (run,) = told()
    assert (run.type, run.model, run.input_tokens, run.output_tokens) == ("llm", "gpt-5-mini", 1000, 500)


def test_calls_beside_a_stream_that_is_open_are_calls_of_their_own(told, manager):
    llm = Vendor(raw=USAGE, callback_manager=manager)
    for _ in llm.stream_chat(QUESTION):
        llm.chat(QUESTION)
    assert len(told("llm")) == 4


def test_a_model_made_of_others_has_their_tokens_once(told, manager):
    inner = Vendor(raw=USAGE, callback_manager=manager)
    Router(inner=inner, times=2, callback_manager=manager).chat(QUESTION)
    (run,) = told()
    assert (run.model, run.input_tokens, run.output_tokens) == ("router", 2000, 1000)


def test_errors_and_abandoned_streams(told, manager):
    llm = Vendor(fails_at=1, callback_manager=manager)
    stream = llm.stream_chat(QUESTION)
    next(stream)
    with pytest.raises(RuntimeError):
        next(stream)
    stream = Vendor(callback_manager=manager).stream_chat(QUESTION)
    next(stream)
    stream.close()
    assert [(run.outcome, run.error) for run in told("llm")] == [("error", "RuntimeError"), ("cancelled", None)]


def test_a_query_engine_is_a_tree(told, client, sink, manager):
    Settings.callback_manager = manager
    try:
        embedding = AistraleEmbedding("openai/text-embedding-3-small", client=client, callback_manager=manager)
        index = VectorStoreIndex.from_documents(
            [Document(text="Oslo.")], embed_model=embedding, callback_manager=manager
        )
        llm = AistraleLLM("openai/gpt-5-mini", client=client, callback_manager=manager)
        index.as_query_engine(llm=llm).query("What is the capital of Norway?")
    finally:
        Settings._callback_manager = None
    events = told()
    names = {event.run_id: event.type for event in events}
    assert [(event.type, names.get(event.parent_run_id)) for event in events] == [
        ("embedding", None),
        ("embedding", "retriever"),
        ("retriever", "query"),
        ("llm", "chain"),
        ("chain", "query"),
        ("query", None),
    ]
    (retriever,) = told("retriever")
    assert retriever.documents == 1
    # A call of ours names itself, and its tokens stand in its own events.
    (chat,) = [event for event in sink.events if isinstance(event, AttemptFinished) and event.row.model == "gpt-5-mini"]
    (model,) = told("llm")
    assert (model.call_id, model.input_tokens, model.cost) == (chat.call_id, None, None)


def test_structured_output_is_one_call(told, client, manager):
    class City(BaseModel):
        """A city."""

        name: str

    llm = AistraleLLM("openai/gpt-5-mini", client=client, callback_manager=manager)
    structured = llm.as_structured_llm(City, callback_manager=manager)
    structured.chat(QUESTION)
    assert [run.name for run in told("llm")] == ["AistraleLLM"]


def test_content_only_when_asked_for_and_redacted(told, manager):
    llm = Vendor(callback_manager=manager)
    llm.chat([ChatMessage("Write to ada@example.org.")])
    with aistrale.context(capture=True):
        llm.chat([ChatMessage("Write to ada@example.org.")])
        llm.complete("Write to ada@example.org.")
    first, *others = told()
    assert first.content is None
    for run in others:
        assert run.content.input[0]["parts"][0]["content"].startswith("Write to [[EMAIL_")
        assert run.content.output[0]["parts"][0]["content"].endswith("it is.")


def test_tools_and_agents(told, handler, manager):
    with (
        manager.event(CBEventType.AGENT_STEP, {EventPayload.MESSAGES: ["hi"]}),
        manager.event(CBEventType.FUNCTION_CALL, {EventPayload.FUNCTION_CALL: {"a": 1}, EventPayload.TOOL: {"name": "f"}}) as event,
    ):  # fmt: skip
        event.on_end({EventPayload.FUNCTION_OUTPUT: "done"})
    tool, agent = told()
    assert (tool.type, tool.name, tool.parent_run_id) == ("tool", "f", agent.run_id)
    assert agent.type == "agent"


def test_it_survives_copies_of_the_model_that_it_follows(client, manager, handler):
    llm = AistraleLLM("openai/gpt-5-mini", client=client, callback_manager=manager)
    assert copy.deepcopy(llm).callback_manager.handlers == [handler]
    assert isinstance(pickle.loads(pickle.dumps(handler)), AistraleLegacyCallbackHandler)  # noqa: S301 - our own bytes


def test_ends_of_steps_that_nobody_knows_are_ignored(told, handler):
    handler.on_event_end(CBEventType.LLM, {}, "never-seen")
    handler.on_event_end(CBEventType.LLM, None, "")
    handler.start_trace("x")
    handler.end_trace("x", {})
    assert told() == []

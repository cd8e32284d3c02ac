"""The handler, and what goes wrong in others: each repeated failure of theirs that can happen here has a test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from decimal import Decimal

import pytest

pytest.importorskip("langchain_core")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import Generation, LLMResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool

import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler, ChatAistrale
from aistrale.telemetry import MemorySink
from aistrale.telemetry.encoding import decode_event, encode_event
from tests.integrations.langchain.fakes import FakeChat

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self):
        self.now = 5.0

    def __call__(self):
        return self.now


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def client(sim, sink):
    with aistrale.Client(**sim.settings(), sinks=[sink], ledger="off") as made:
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def handler(client, clock):
    return AistraleCallbackHandler(client=client, clock=clock)


@pytest.fixture
def config(handler):
    return {"callbacks": [handler]}


@pytest.fixture
def told(sink):
    return lambda: sink.of("run.finished")


def give_up(handler, clock):
    clock.now += 1000
    handler.reports.runs.reap()


# --- what is told ------------------------------------------------------------------------------------------------------


def test_a_model_of_others_has_its_tokens_and_its_price(config, told):
    FakeChat().invoke("hi", {**config, "tags": ["mine"]})
    (event,) = told()
    assert (event.type, event.name, event.outcome, event.tags) == ("llm", "FakeChat", "success", ("mine",))
    assert (event.provider, event.model, event.streamed) == ("openai", "gpt-4.1-mini", False)
    assert (event.input_tokens, event.output_tokens) == (100, 20)
    # Price list of OpenAI: 0.40 and 1.60 dollars a million.
    assert event.cost == Decimal("0.000072")
    assert event.content is None
    assert event.call_id is None
    assert decode_event(encode_event(event)) == event


def test_a_model_without_a_price_has_no_cost(config, told):
    FakeChat(model_name="nobody-knows", provider="somebody").invoke("hi", config)
    assert told()[0].cost is None
    assert told()[0].input_tokens == 100


def test_steps_stand_below_one_another(config, told):
    chain = RunnableLambda(lambda text: text.upper()) | FakeChat() | RunnableLambda(lambda message: message.text)
    assert chain.invoke("hi", config) == "one two three"
    events = {event.run_id: event for event in told()}
    (root,) = [event for event in events.values() if event.parent_run_id is None]
    assert root.name == "RunnableSequence"
    assert [event.parent_run_id for event in events.values() if event is not root] == [root.run_id] * 3


async def test_parents_are_right_where_context_is_lost(config, told):
    """Async context loss: executors, tasks and threads do not carry the current step; ids do."""

    async def ask(text):
        return (await FakeChat().ainvoke(text)).text

    fan = RunnableParallel(one=RunnableLambda(ask), two=RunnableLambda(lambda text: FakeChat().invoke(text).text))
    await asyncio.gather(*(fan.ainvoke("hi", config) for _ in range(5)))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(lambda: (FakeChat() | RunnableLambda(str)).invoke("hi", config)) for _ in range(5)]
        assert len({future.result() is not None for future in futures}) == 1
    events = {event.run_id: event for event in told()}
    for event in events.values():
        assert event.parent_run_id is None or event.parent_run_id in events
    models = [event for event in events.values() if event.type == "llm"]
    assert len(models) == 15
    assert all(event.parent_run_id is not None for event in models)


def test_tools_and_retrievers_are_told_of(config, told):
    @tool
    def double(number: int) -> int:
        """Twice the number."""
        if number < 0:
            raise ValueError("secret: -1")
        return 2 * number

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            if query == "none":
                raise LookupError
            return [Document("a"), Document("b")]

    assert double.invoke({"number": 4}, config) == 8
    with pytest.raises(ValueError, match="secret"):
        double.invoke({"number": -1}, config)
    assert len(Shelf().invoke("books", config)) == 2
    with pytest.raises(LookupError):
        Shelf().invoke("none", config)
    assert [(event.type, event.name, event.outcome, event.error, event.documents) for event in told()] == [
        ("tool", "double", "success", None, None),
        ("tool", "double", "error", "ValueError", None),
        ("retriever", "Shelf", "success", None, 2),
        ("retriever", "Shelf", "error", "LookupError", None),
    ]


def test_first_token_is_the_first_with_content(handler, clock, told):
    """The first and the last piece of a stream are often empty; neither is what a user waits for."""
    for piece in FakeChat().stream("hi", {"callbacks": [handler]}):
        clock.now += 1
        assert piece is not None
    (event,) = told()
    assert (event.streamed, event.first_token, event.latency) == (True, 1.0, 5.0)
    assert (event.input_tokens, event.output_tokens, event.outcome) == (100, 20, "success")


def test_newer_streams_are_told_of(config, told):
    if not hasattr(FakeChat, "stream_events"):
        pytest.skip("this langchain-core has no stream_events")
    stream = FakeChat().stream_events("hi", config, version="v3")
    assert stream.output.text == "one two three"
    (event,) = told()
    assert (event.streamed, event.outcome, event.input_tokens, event.model) == (True, "success", 100, "gpt-4.1-mini")
    assert event.first_token is not None


def test_the_way_in_which_a_model_answers_is_left_alone(handler):
    """Some handlers make `invoke` a stream, which changes what is sent and what it costs."""
    model = FakeChat()
    names = {"tap_output_iter", "tap_output_aiter"}
    assert not names & set(dir(handler))
    assert not model._should_stream(async_api=False, run_manager=type("Manager", (), {"handlers": [handler]})())
    assert (handler.run_inline, handler.raise_error) == (True, False)


def test_several_alternatives_are_one_usage(config, told):
    model = FakeChat(alternatives=3)
    assert len(model.generate([[HumanMessage("hi")]], callbacks=config["callbacks"]).generations[0]) == 3
    assert told()[0].input_tokens == 100


@pytest.mark.parametrize(
    ("details", "written", "cost"),
    [
        # Claude Sonnet 4.5: input 3, cache read 0.30, written for 5 minutes 3.75, for an hour 6, output 15 dollars.
        ({"cache_read": 50, "cache_creation": 10}, 10, "0.0004725"),
        ({"cache_creation": 0, "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, 30, "0.0006675"),
        ({"cache_creation": 30, "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, 30, "0.0006675"),
        ({}, None, "0.0006"),
    ],
)
def test_lifetimes_of_caches_are_summed_and_priced_apart(config, told, details, written, cost):
    """`cache_creation` is 0 where lifetimes are told: whoever reads that key alone sees nothing written."""
    usage = {**deepcopy(FakeChat().usage), "input_token_details": details}
    FakeChat(usage=usage, provider="anthropic", model_name="claude-sonnet-4-5").invoke("hi", config)
    (event,) = told()
    assert event.cache_write_tokens == written
    assert event.cost == Decimal(cost)


def test_older_models_tell_their_usage_elsewhere(handler, told):
    run = uuid.uuid4()
    handler.on_llm_start({"name": "old"}, ["hi"], run_id=run)
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    output = {"token_usage": usage, "model_name": "gpt-4.1-mini"}
    handler.on_llm_end(LLMResult(generations=[[Generation(text="hello")]], llm_output=output), run_id=run)
    (event,) = told()
    assert (event.name, event.model, event.input_tokens, event.output_tokens) == ("old", "gpt-4.1-mini", 7, 3)


# --- repeated failures of others ---------------------------------------------------------------------------------------


async def test_cancelled_run_of_which_no_end_is_told_is_given_up(handler, clock, config, told):
    """Runs that never end: a cancelled `ainvoke` has a start and no end, and leaks in whoever waits for one."""
    asked = asyncio.Event()

    class Waiting(FakeChat):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            asked.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(Waiting().ainvoke("hi", config))
    await asked.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    give_up(handler, clock)
    (event,) = told()
    # LangChain 1.8 tells no end; should a later one do so, it is a cancellation and no failure.
    assert event.outcome in {"incomplete", "cancelled"}
    assert event.error is None
    assert len(handler.reports.runs) == 0


def test_siblings_of_a_failed_one_are_given_up(handler, clock, config, told):
    """Runs that never end: of three prompts at once one fails, and of the others nothing more is heard."""
    with pytest.raises(Exception, match="no: mail"):
        FakeChat().generate([[HumanMessage("a")], [HumanMessage("bad")], [HumanMessage("c")]], **config)
    give_up(handler, clock)
    assert sorted(event.outcome for event in told()) == ["error", "incomplete", "incomplete"]
    assert len(handler.reports.runs) == 0


async def test_cancelled_run_of_ours_is_told_at_once(sim, client, sink, handler, config):
    sim.outage("openai", aistrale.testing.Slow(headers=5.0))
    model = ChatAistrale(model="openai/gpt-4.1-mini", client=client)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(model.ainvoke("hi", config), 0.2)
    (event,) = sink.of("run.finished")
    assert (event.outcome, event.error) == ("cancelled", None)
    assert [event.call_id] == [each.call_id for each in sink.of("call.finished")]
    assert len(handler.reports.runs) == 0


def test_abandoned_stream_is_cancelled_once_with_what_it_used(config, told):
    """Streams that the caller breaks off: others never end them, or count them as errors, or as successes."""
    stream = FakeChat().stream("hi", config)
    next(stream)
    next(stream)
    stream.close()
    (event,) = told()
    assert (event.outcome, event.error, event.input_tokens) == ("cancelled", None, 100)


async def test_abandoned_async_stream_is_cancelled_once(config, told):
    stream = FakeChat().astream("hi", config)
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    (event,) = told()
    assert (event.outcome, event.error) == ("cancelled", None)


def test_stream_that_is_dropped_is_ended_by_the_collector(config, told):
    stream = FakeChat().stream("hi", config)
    next(stream)
    del stream
    gc.collect()
    assert [event.outcome for event in told()] == ["cancelled"]


def test_newer_stream_that_is_never_read_is_given_up(handler, clock, config, told):
    if not hasattr(FakeChat, "stream_events"):
        pytest.skip("this langchain-core has no stream_events")
    stream = FakeChat().stream_events("hi", config, version="v3")
    iterator = iter(stream)
    next(iterator)
    del iterator, stream
    gc.collect()
    give_up(handler, clock)
    assert [event.outcome for event in told()] == ["incomplete"]


def test_ends_are_told_once(handler, told):
    run = uuid.uuid4()
    handler.on_chat_model_start({}, [[HumanMessage("hi")]], run_id=run)
    result = LLMResult(generations=[])
    handler.on_llm_end(result, run_id=run)
    handler.on_llm_end(result, run_id=run)
    handler.on_llm_error(ValueError(), run_id=run)
    handler.on_chain_end({}, run_id=uuid.uuid4())
    assert [event.outcome for event in told()] == ["success"]


def test_calls_of_ours_are_counted_once(sim, client, sink, config, told):
    """Double counting: the framework's step and the provider's call both told the tokens, and bills doubled."""
    model = ChatAistrale(model="openai/gpt-4.1-mini", client=client)
    answer = model.invoke("hi", config)
    for _ in model.stream("hi", config):
        pass
    attempts = sink.of("attempt.finished")
    assert [event.row.input for event in attempts] == [1, 1]
    assert [event.call_id for event in told()] == [event.call_id for event in attempts]
    for event in told():
        assert (event.input_tokens, event.output_tokens, event.cost) == (None, None, None)
        assert (event.provider, event.model) == ("openai", "gpt-4.1-mini")
    assert answer.response_metadata["aistrale"]["call_id"] == told()[0].call_id


def test_failed_and_abandoned_calls_of_ours_have_their_id(sim, client, sink, config, told):
    sim.outage("openai", aistrale.testing.Fault(status=400))
    model = ChatAistrale(model="openai/gpt-4.1-mini", client=client)
    with pytest.raises(aistrale.errors.InvalidRequestError):
        model.invoke("hi", config)
    sim.reset()
    stream = model.stream("hi", config)
    next(stream)
    stream.close()
    assert [event.outcome for event in told()] == ["error", "cancelled"]
    assert [event.call_id for event in told()] == [event.call_id for event in sink.of("call.finished")]
    assert told()[0].error == "InvalidRequestError"


async def test_sdk_calls_through_the_drop_in_are_counted_once(sim, sink):
    """Double counting: a vendor's model of LangChain, whose SDK goes through aistrale."""
    openai = pytest.importorskip("langchain_openai")
    aistrale.init(**sim.settings(), sinks=[sink], ledger="off", instrument=["openai"])
    try:
        model = openai.ChatOpenAI(model="gpt-4.1-mini", api_key="sk-simulated", base_url=sim.base_url("openai"))
        handler = AistraleCallbackHandler()
        model.invoke("hi", config={"callbacks": [handler]})
        model.invoke("hi again", config={"callbacks": [handler]})
        assert list(model.stream("and again", config={"callbacks": [handler]}))
        await model.ainvoke("hi", config={"callbacks": [handler]})
        # Somebody else's model in between is none of ours.
        FakeChat().invoke("hi", config={"callbacks": [handler]})
        assert [piece async for piece in model.astream("hi", config={"callbacks": [handler]})]
        await model.root_async_client.close()
    finally:
        aistrale.shutdown()
    runs, attempts = sink.of("run.finished"), sink.of("attempt.finished")
    assert runs.pop(4).input_tokens == 100
    assert [event.call_id for event in runs] == [event.call_id for event in attempts]
    assert [event.input_tokens for event in runs] == [None] * 5
    assert all(event.row.input for event in attempts)


def test_what_comes_out_of_langchains_cache_is_not_billed(sim, client, config, told):
    """A hit has the old counts; the key `total_cost: 0` is all that tells."""
    for model in (FakeChat(cache=InMemoryCache()), ChatAistrale(model="openai/gpt-4.1-mini", client=client)):
        model.cache = InMemoryCache()
        first, second = model.invoke("hi", config), model.invoke("hi", config)
        assert first.text == second.text
    others, hit, ours, own_hit = told()
    assert (others.input_tokens, others.cost) == (100, Decimal("0.000072"))
    assert (hit.input_tokens, hit.cost, hit.call_id) == (None, 0, None)
    assert ours.call_id is not None
    assert (own_hit.input_tokens, own_hit.call_id) == (None, None)
    assert len(sim.requests) == 1


def test_agents_do_not_repeat_their_models_tokens(config, told):
    """An agent's own step that repeats the tokens of those below it counts them twice."""
    (RunnableLambda(lambda text: text) | FakeChat()).invoke("hi", config)
    assert [event.input_tokens for event in told() if event.type != "llm"] == [None, None]


@pytest.mark.parametrize("capture", [False, True])
def test_nothing_of_an_errors_response_is_told(client, sink, capture):
    """Personal data and keys in error texts, headers and bodies, which LangChain hands to every handler."""
    handler = AistraleCallbackHandler(client=client, capture=capture)
    for ask in (FakeChat().invoke, lambda *args, **kwargs: list(FakeChat().stream(*args, **kwargs))):
        with pytest.raises(Exception, match="no: mail"):
            ask("bad", config={"callbacks": [handler]})
    written = repr([encode_event(event) for event in sink.events])
    assert "VendorError" in written
    for secret in ("sk-live", "ada@example.org", "x-secret", "no: mail"):
        assert secret not in written


@pytest.mark.parametrize(
    "response",
    [
        LLMResult(generations=[]),
        LLMResult(generations=[[]], llm_output={"token_usage": None}),
        LLMResult(generations=[[Generation(text="")]], llm_output=None),
        LLMResult(generations=[[Generation(text="x", generation_info={"usage_metadata": "?"})]]),
        "a raw response without choices or usage",
        None,
    ],
)
def test_raw_and_odd_responses_are_told_of_all_the_same(handler, told, response, caplog):
    """Raw responses have neither choices nor usage, and crashed whoever looked for them."""
    run = uuid.uuid4()
    handler.on_chat_model_start({"id": ["a", "Model"]}, [[HumanMessage("hi")]], run_id=run, metadata=None)
    with caplog.at_level(logging.WARNING):
        handler.on_llm_end(response, run_id=run)
    (event,) = told()
    assert (event.name, event.outcome, event.input_tokens) == ("Model", "success", None)
    assert caplog.records == []


def test_runs_that_never_end_leave_memory_flat(client, clock, sink):
    """A trace's memory that grew with every stream nobody closed."""
    handler = AistraleCallbackHandler(client=client, clock=clock, limit=50)
    for _ in range(2000):
        handler.on_chat_model_start({}, [[HumanMessage("hi")]], run_id=uuid.uuid4())
    assert len(handler.reports.runs) <= 50
    assert {event.outcome for event in sink.of("run.finished")} == {"incomplete"}
    assert len(sink.of("run.finished")) >= 1950


def test_runs_under_way_at_exit_are_told_of(tmp_path):
    """What was under way when the process ended was never heard of."""
    path = tmp_path / "events.jsonl"
    code = f"""
import uuid
import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler
from langchain_core.messages import HumanMessage
client = aistrale.Client(sinks=["jsonl:{path}"], ledger="off", providers={{"openai": {{"api_key": "x"}}}})
handler = AistraleCallbackHandler(client=client)
handler.on_chat_model_start({{}}, [[HumanMessage("hi")]], run_id=uuid.uuid4())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    (event,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (event["kind"], event["outcome"]) == ("run.finished", "incomplete")


def test_a_handler_that_fails_fails_alone(client, caplog):
    """A handler's error that reached the user's call."""

    def broken(event):
        raise RuntimeError(f"full of sk-live-{event.outcome}-canary")

    handler = AistraleCallbackHandler(client=client, emit=broken)
    chain = FakeChat() | RunnableLambda(lambda message: message.text)
    with caplog.at_level(logging.DEBUG, "aistrale"):
        for _ in range(3):
            assert chain.invoke("hi", {"callbacks": [handler]}) == "one two three"
    # Once for each place, not once for each event.
    told = [record for record in caplog.records if record.name == "aistrale.integrations"]
    assert [record.levelname for record in told] == ["WARNING", "DEBUG"] * 2
    assert "RuntimeError" in caplog.text
    assert "success-canary" not in caplog.text


def test_a_graph_that_stops_to_ask_has_not_failed(handler, told):
    class GraphInterrupt(Exception):
        pass

    run = uuid.uuid4()
    handler.on_chain_start({}, {}, run_id=run)
    handler.on_chain_error(GraphInterrupt(), run_id=run)
    assert [(event.outcome, event.error) for event in told()] == [("success", None)]


# --- content -------------------------------------------------------------------------------------------------------------


def test_content_is_told_when_asked_for_redacted_and_copied(client, sink):
    handler = AistraleCallbackHandler(client=client, capture=True)
    question = HumanMessage([{"type": "text", "text": "I am ada@example.org"}])
    FakeChat().invoke([SystemMessage("Be kind to ada@example.org"), question], {"callbacks": [handler]})
    question.content[0]["text"] = "changed"
    (event,) = sink.of("run.finished")
    content = event.content
    assert "ada@example.org" not in repr(encode_event(event))
    assert [part["type"] for part in content.system] == ["text"]
    assert content.input[0]["role"] == "user"
    assert content.input[0]["parts"][0]["content"].startswith("I am [[EMAIL")
    assert content.output[0] == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "one two three"}],
        "finish_reason": "stop",
    }
    assert decode_event(encode_event(event)) == event


def test_context_says_whether_content_is_told(client, sink, config):
    FakeChat().invoke("hi", config)
    with aistrale.context(capture=True):
        FakeChat().invoke("hi", config)
    assert [event.content is not None for event in sink.of("run.finished")] == [False, True]


def test_content_of_tools_chains_and_retrievers(client, sink):
    handler = AistraleCallbackHandler(client=client, capture=True)

    @tool
    def mail(to: str, name: str) -> str:
        """Send."""
        return f"sent to {to}"

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document(f"about {query}")]

    mail.invoke({"to": "ada@example.org", "name": "bob@example.org"}, {"callbacks": [handler]})
    Shelf().invoke("ada@example.org", {"callbacks": [handler]})
    RunnableLambda(lambda table: {**table, "b": object()}).invoke({"a": "ada@example.org"}, {"callbacks": [handler]})
    tool_event, found, chain = sink.of("run.finished")
    assert "@example" not in repr([encode_event(event) for event in sink.events])
    assert tool_event.content.input[0]["parts"][0]["arguments"] == {"to": "[[EMAIL_1]]", "name": "[[EMAIL_2]]"}
    assert tool_event.content.output[0]["parts"][0]["response"] == "sent to [[EMAIL_1]]"
    assert found.content.output[0]["parts"][0]["content"] == "about [[EMAIL_1]]"
    assert chain.content.output[0]["parts"][0]["content"] == {"a": "[[EMAIL_1]]", "b": "<object>"}


def test_content_of_calls_of_ours_is_told_by_their_attempts(client, sink):
    handler = AistraleCallbackHandler(client=client, capture=True)
    ChatAistrale(model="openai/gpt-4.1-mini", client=client).invoke("hi", {"callbacks": [handler]})
    assert sink.of("run.finished")[0].content is None


# --- whose sinks -----------------------------------------------------------------------------------------------------


def test_without_sinks_nothing_is_followed(sim):
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        handler = AistraleCallbackHandler(client=client)
        handler.on_chain_start({}, {}, run_id=uuid.uuid4())
        assert len(handler.reports.runs) == 0


def test_process_wide_client_is_looked_up_when_needed(sim, sink):
    handler = AistraleCallbackHandler()
    aistrale.init(**sim.settings(), sinks=[sink], ledger="off", instrument=False)
    try:
        FakeChat().invoke("hi", {"callbacks": [handler]})
    finally:
        aistrale.shutdown()
    assert len(sink.of("run.finished")) == 1


def test_events_can_go_elsewhere(sim):
    events: list = []
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        handler = AistraleCallbackHandler(client=client, emit=events.append)
        FakeChat().invoke("hi", {"callbacks": [handler, BaseCallbackHandler()]})
    assert [event.type for event in events] == ["llm"]
    assert deepcopy({"callbacks": [handler]})["callbacks"][0] is handler


def test_messages_are_left_as_they_were(config):
    messages = [SystemMessage("be"), HumanMessage("hi"), AIMessage("yes"), HumanMessage("more")]
    before = deepcopy(messages)
    FakeChat().invoke(messages, config)
    assert messages == before

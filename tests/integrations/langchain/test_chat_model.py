from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
import threading
from copy import deepcopy

import pytest

pytest.importorskip("langchain_core")

import langchain_core.language_models.chat_models as base_model
from langchain_core import exceptions as standard
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, load
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolMessage,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError

import aistrale
from aistrale import errors
from aistrale.integrations.langchain import AistraleEmbeddings, ChatAistrale
from aistrale.integrations.langchain.errors import standardise
from aistrale.telemetry import MemorySink
from aistrale.testing import Broken, Fault, Say, Slow
from aistrale.types import Choice, Completion, Message, RefusalPart, ToolCallPart, Wire

pytestmark = pytest.mark.anyio

MODELS = {
    "chat": "openai/gpt-4.1-mini",
    "responses": "thinker/o4-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
}
QUICK = {"attempts": 4, "base": 0.001, "cap": 0.002}


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def client(sim, sink):
    settings = sim.settings()
    settings["providers"]["thinker"] = {
        "base_url": sim.base_url("openai"),
        "api_key": "sk-simulated-key-0000",
        "compatible": "openai_responses",
    }
    routes = {"two": {"targets": ["openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5"]}}
    with aistrale.Client(**settings, routes=routes, sinks=[sink], ledger="off", retry=QUICK) as made:
        yield made


@pytest.fixture
def model(client):
    return ChatAistrale(model="openai/gpt-4.1-mini", client=client)


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sunny"


def standard_error(name):
    """LangChain's error of that name; releases before 1.4 have none."""
    return getattr(standard, name, errors.AistraleError)


def added(chunks):
    full = None
    for chunk in chunks:
        full = chunk if full is None else full + chunk
    return full


# --- making it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api_key", "base_url"])
def test_keys_are_the_clients(name):
    with pytest.raises(ValidationError, match=f"{name} is a setting of the client"):
        ChatAistrale(model="openai/gpt-4.1-mini", **{name: "x"})


@pytest.mark.parametrize("wrong", [{"temprature": 1}, {"max_retries": -1}, {"client": "me"}])
def test_unknown_and_wrong_fields_are_refused(wrong):
    with pytest.raises(ValidationError):
        ChatAistrale(model="openai/gpt-4.1-mini", **wrong)


def test_options_that_nobody_knows_are_refused_with_those_that_come_close(model):
    with pytest.raises(errors.ConfigurationError, match="Did you mean temperature"):
        model.invoke("hi", temprature=1)


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_it_is_written_down_and_read_back(client):
    model = ChatAistrale(model="openai/gpt-4.1-mini", temperature=0.5, options={"user": "u"}, client=client)
    written = dumpd(model)
    kwargs = {name: value for name, value in written["kwargs"].items() if value is not None}
    assert kwargs == {"model": "openai/gpt-4.1-mini", "temperature": 0.5, "options": {"user": "u"}}
    if "allowed_objects" not in inspect.signature(load).parameters:
        pytest.skip("this langchain-core loads whatever its namespaces allow")
    read = load(written, allowed_objects=[ChatAistrale], valid_namespaces=["aistrale"])
    assert isinstance(read, ChatAistrale)
    assert (read.model, read.temperature, read.options, read.client) == (model.model, 0.5, {"user": "u"}, None)


def test_it_is_pickled_without_a_client_only(model):
    copy = pickle.loads(pickle.dumps(ChatAistrale(model="openai/gpt-4.1-mini", top_p=0.5)))  # noqa: S301 - our own
    assert (copy.model, copy.top_p) == ("openai/gpt-4.1-mini", 0.5)
    with pytest.raises(TypeError, match="cannot be pickled: the client holds keys"):
        pickle.dumps(model)
    assert deepcopy(model).client is model.client


@pytest.mark.skipif("profile" not in BaseChatModel.model_fields, reason="profiles came with langchain-core 1.1")
def test_profile_comes_from_the_catalog(client):
    assert ChatAistrale(model="gpt-4.1-mini").profile["tool_calling"] is True
    assert ChatAistrale(model="gpt-4.1-mini").profile["max_input_tokens"] > 100_000
    assert ChatAistrale(model="two", client=client).profile is None
    assert ChatAistrale().profile is None


def test_missing_library_names_the_extra():
    code = "import sys; sys.modules['langchain_core'] = None; import aistrale.integrations.langchain"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "aistrale[langchain]"' in done.stderr
    assert "ImportError" in done.stderr


# --- what is sent ------------------------------------------------------------------------------------------------------


def test_fields_bound_and_given_options_are_sent(sim, client):
    model = ChatAistrale(model="openai/gpt-4.1-mini", temperature=0.1, stop=["a"], seed=7, client=client)
    model.invoke("hi")
    body = sim.last.body
    assert (body["model"], body["temperature"], body["stop"], body["seed"]) == ("gpt-4.1-mini", 0.1, ["a"], 7)
    model.bind(temperature=0.2).invoke("hi", stop=["b"], top_p=0.5, model="openai/gpt-4.1")
    body = sim.last.body
    assert (body["model"], body["temperature"], body["stop"], body["top_p"]) == ("gpt-4.1", 0.2, ["b"], 0.5)


def test_a_route_and_a_model_given_later_replace_each_other(sim, client):
    routed = ChatAistrale(route="two", client=client)
    assert routed.invoke("hi").response_metadata["aistrale"]["target"] == "openai/gpt-4.1-mini"
    assert routed.invoke("hi", model="gemini/gemini-2.5-flash").response_metadata["model_name"] == "gemini-2.5-flash"
    named = ChatAistrale(model="gemini/gemini-2.5-flash", client=client)
    assert named.invoke("hi", route="two").response_metadata["model_name"] == "gpt-4.1-mini"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        (False, "none"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "function": {"name": "weather"}}),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ({"type": "any"}, "required"),
    ],
)
def test_choices_of_tools(sim, model, choice, sent):
    model.bind_tools([weather], tool_choice=choice).invoke("hi")
    assert sim.last.body["tool_choice"] == sent


def test_tools_in_any_shape_and_strictness(sim, model):
    class Search(BaseModel):
        """Look for something."""

        words: str

    anthropic = {"name": "old", "description": "Old.", "input_schema": {"type": "object", "properties": {}}}
    model.bind_tools([weather, Search, anthropic], strict=True, parallel_tool_calls=False).invoke("hi")
    body = sim.last.body
    assert [item["function"]["name"] for item in body["tools"]] == ["weather", "Search", "old"]
    assert [item["function"].get("strict") for item in body["tools"]] == [True, True, None]
    assert body["parallel_tool_calls"] is False


def test_hosted_tools_pass_as_they_are(sim, client):
    model = ChatAistrale(model="anthropic/claude-sonnet-4-5", client=client)
    model.bind_tools([{"type": "web_search_20250305", "name": "web_search"}]).invoke("hi")
    assert sim.last.body["tools"][0]["type"] == "web_search_20250305"


@pytest.mark.parametrize(("most", "sent"), [(0, 1), (1, 2), (None, 4), (9, 4)])
@pytest.mark.parametrize("fault", [None, Broken(wreck="reset")])
def test_max_retries_limits_the_clients(sim, client, most, sent, fault):
    sim.outage("openai", fault)
    with pytest.raises(standard_error("ModelError")):
        ChatAistrale(model="openai/gpt-4.1-mini", max_retries=most, client=client).invoke("hi")
    assert len(sim.requests) == sent


def test_timeout_is_the_whole_calls(sim, client):
    sim.outage("openai", Slow(headers=5))
    with pytest.raises(standard_error("ModelTimeoutError")) as caught:
        ChatAistrale(model="openai/gpt-4.1-mini", timeout=0.05, client=client).invoke("hi")
    assert isinstance(caught.value, TimeoutError)


def test_sessions_come_from_runs(sink, client, model):
    model.invoke("hi", {"metadata": {"thread_id": "t1"}})
    model.invoke("hi", {"metadata": {"conversation_id": 5}})
    model.invoke("hi", {"metadata": {"thread_id": "t1", "session_id": "s1"}})
    with aistrale.context(session="mine", user="me"):
        model.invoke("hi", {"metadata": {"thread_id": "t1"}})
    model.invoke("hi")
    assert [event.row.session for event in sink.of("call.finished")] == ["t1", "5", "s1", "mine", None]
    assert sink.of("call.finished")[3].row.user == "me"


def test_streams_have_the_session_of_the_graph_around_them(sink, model):
    from langchain_core.runnables import RunnableLambda

    RunnableLambda(lambda text: added(model.stream(text))).invoke("hi", {"configurable": {"thread_id": "t2"}})
    assert [event.row.session for event in sink.of("call.finished")] == ["t2"]


# --- what comes back ---------------------------------------------------------------------------------------------------


def comparable(message):
    content = message.content
    if isinstance(content, list):
        content = [{name: value for name, value in block.items() if name != "index"} for block in content]
    metadata = {
        name: value
        for name, value in message.response_metadata.items()
        if name in {"model_name", "model_provider", "finish_reason"}
    }
    return content, message.tool_calls, message.usage_metadata, metadata, message.additional_kwargs


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("prompt", ["Tell me 'Rome' and 'Paris'", "hi"])
@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_streams_add_up_to_the_whole_answer(client, name, tools, prompt, version):
    thinks = {"reasoning": "low"} if name in {"responses", "anthropic", "gemini"} else {}
    model = ChatAistrale(model=MODELS[name], client=client, max_tokens=8000, output_version=version, **thinks)
    asked = model.bind_tools([weather]) if tools else model
    whole, streamed = asked.invoke(prompt), added(asked.stream(prompt))
    first, second = comparable(whole), comparable(streamed)
    assert first[1:4] == second[1:4]
    assert first[4].get("aistrale") == second[4].get("aistrale")
    assert [block["type"] for block in whole.content_blocks] == [block["type"] for block in streamed.content_blocks]
    assert (whole.text, first[0]) == (streamed.text, second[0]) or version == "v1"


@pytest.mark.parametrize("name", ["responses", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_signed_thoughts_come_back_to_their_provider(sim, client, name, streamed):
    """Without its signature a thought is refused in the next turn; LangChain's messages have no place for it."""
    model = ChatAistrale(model=MODELS[name], client=client, max_tokens=8000, reasoning="low").bind_tools([weather])
    first = added(model.stream("weather of 'Rome'")) if streamed else model.invoke("weather of 'Rome'")
    call = first.tool_calls[0]
    (restored,) = messages_from_dict(json.loads(json.dumps(messages_to_dict([message_chunk_to_message(first)]))))
    model.invoke([HumanMessage("weather of 'Rome'"), restored, ToolMessage("sunny", tool_call_id=call["id"])])
    request = sim.last.request
    thoughts = [part for part in request.messages[1].parts if type(part).__name__ == "ReasoningPart"]
    assert len(thoughts) == 1
    assert thoughts[0].wire.fields


@pytest.mark.parametrize("streamed", [False, True])
def test_signed_tool_calls_come_back_to_their_provider(sim, client, streamed):
    """Gemini signs calls of tools, not thoughts (Gemini API reference, thought signatures)."""
    signed = ToolCallPart("c1", "weather", '{"city":"Rome"}', wire=Wire("gemini_generate", {"thoughtSignature": "abc"}))
    sim.script(Say(completion=Completion(choices=[Choice(Message("assistant", [signed]), "tool_calls")])))
    model = ChatAistrale(model="gemini/gemini-2.5-flash", client=client).bind_tools([weather])
    first = added(model.stream("hi")) if streamed else model.invoke("hi")
    (restored,) = messages_from_dict(json.loads(json.dumps(messages_to_dict([message_chunk_to_message(first)]))))
    model.invoke([HumanMessage("hi"), restored, ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])])
    assert sim.last.body["contents"][1]["parts"][0]["thoughtSignature"] == "abc"


async def test_async_calls_are_native(client, model, monkeypatch):
    """No thread of an executor stands behind a coroutine."""

    async def forbidden(*args, **kwargs):
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(base_model, "run_in_executor", forbidden)
    before = threading.active_count()
    assert (await model.ainvoke("hi")).text.endswith("hi")
    assert added([chunk async for chunk in model.astream("hi")]).text.endswith("hi")
    assert len(await AistraleEmbeddings(model="openai/text-embedding-3-small", client=client).aembed_query("a")) == 64
    assert threading.active_count() <= before + 1


async def test_async_clients_serve_both_ways(sim):
    async with aistrale.AsyncClient(**sim.settings(), ledger="off") as client:
        model = ChatAistrale(model="openai/gpt-4.1-mini", client=client)
        assert (await model.ainvoke("hi")).text == model.invoke("hi").text
        vectors = AistraleEmbeddings(model="openai/text-embedding-3-small", client=client, batch_size=2)
        assert await vectors.aembed_documents(["a", "b", "c"]) == vectors.embed_documents(["a", "b", "c"])
        assert len([one for one in sim.requests if one.operation == "embed"]) == 4


def test_remembered_answers_are_answers_too(sim):
    """They come in one go, also where a stream was asked for."""
    with aistrale.Client(**sim.settings(), ledger="off", cache={}) as client:
        model = ChatAistrale(model="openai/gpt-4.1-mini", temperature=0, client=client)
        whole = [comparable(model.invoke("'Rome'"))[:2] for _ in range(2)]
        assert whole == [comparable(added(model.stream("'Rome'")))[:2] for _ in range(2)]
        assert model.invoke("'Rome'").response_metadata["aistrale"]["degraded"] == "cache"
        assert len(sim.requests) == 1


def test_alternatives(client):
    model = ChatAistrale(model="openai/gpt-4.1-mini", n=2, client=client)
    one, two = model.generate([[HumanMessage("hi")]]).generations[0]
    assert one.text != two.text
    assert one.message.usage_metadata["output_tokens"] > 0
    assert two.message.usage_metadata is None
    with pytest.raises(errors.InvalidRequestError, match="does not go with a stream"):
        list(model.stream("hi"))


def test_arguments_that_are_no_json_are_told_as_such(sim, model):
    broken = ToolCallPart("c1", "weather", '{"city": ')
    sim.outage(step=Say(completion=Completion(choices=[Choice(Message("assistant", [broken]), "tool_calls")])))
    answer = model.bind_tools([weather]).invoke("hi")
    assert answer.tool_calls == []
    assert [(call["id"], call["args"]) for call in answer.invalid_tool_calls] == [("c1", '{"city": ')]
    # It can be answered, and is left out as long as nobody does.
    model.invoke([HumanMessage("hi"), answer, HumanMessage("go on")])
    model.invoke([HumanMessage("hi"), answer, ToolMessage("no JSON", tool_call_id="c1", status="error")])
    assert sim.last.body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"city": '


def test_refusals(sim, model):
    class Joke(BaseModel):
        setup: str

    refusal = Completion(choices=[Choice(Message("assistant", [RefusalPart("I will not")]), "content_filter")])
    sim.outage(step=Say(completion=refusal))
    answer = model.invoke("hi")
    assert answer.additional_kwargs["refusal"] == "I will not"
    assert answer.content == [{"type": "refusal", "refusal": "I will not"}]
    assert added(model.stream("hi")).additional_kwargs["refusal"] == "I will not"
    refused = getattr(standard, "ModelRefusalError", standard.OutputParserException)
    with pytest.raises(refused):
        model.with_structured_output(Joke).invoke("hi")
    told = model.with_structured_output(Joke, include_raw=True).invoke("hi")
    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], refused)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("name", MODELS)
def test_structured_output_at_every_provider(client, name, method):
    class Point(BaseModel):
        """A place."""

        x: int
        names: list[str]

    model = ChatAistrale(model=MODELS[name], client=client, max_tokens=500)
    found = model.with_structured_output(Point, method=method, include_raw=True).invoke("where?")
    assert isinstance(found["parsed"], Point)
    assert isinstance(found["raw"], AIMessage)
    assert found["parsing_error"] is None
    table = model.with_structured_output(Point.model_json_schema(), method=method).invoke("where?")
    assert set(table) == {"x", "names"}


def test_structured_output_refuses_what_it_does_not_know(model):
    with pytest.raises(ValueError, match="method must be one of"):
        model.with_structured_output({"title": "a", "type": "object"}, method="magic")
    with pytest.raises(ValueError, match="unknown arguments: frob"):
        model.with_structured_output({"title": "a", "type": "object"}, frob=1)


def test_tokens_are_counted_as_the_family_does(model):
    assert model.get_num_tokens("") == 0
    assert 1 <= model.get_num_tokens("hello world") <= 20
    few = model.get_num_tokens_from_messages([HumanMessage("hello")])
    assert model.get_num_tokens_from_messages([HumanMessage("hello")], tools=[weather]) > few > 0


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "ours", "theirs", "again"),
    [
        (Fault(kind="authentication"), errors.AuthenticationError, "ModelAuthenticationError", False),
        (Fault(kind="permission"), errors.PermissionDeniedError, "ModelPermissionDeniedError", False),
        (Fault(kind="invalid_request"), errors.InvalidRequestError, "ModelInvalidRequestError", False),
        (Fault(kind="context_length"), errors.ContextLengthError, "ContextOverflowError", False),
        (Fault(kind="model_not_found"), errors.ModelNotFoundError, "ModelNotFoundError", False),
        (Fault(kind="quota"), errors.QuotaExceededError, "ModelRateLimitError", False),
        (Fault(kind="rate_limit", retry_after=0.001), errors.RateLimitError, "ModelRateLimitError", True),
        (Fault(kind="server"), errors.ServerError, "ModelAPIError", True),
        (Broken(wreck="reset"), errors.NetworkError, "ModelConnectionError", True),
    ],
)
async def test_errors_are_of_both_kinds(sim, client, fault, ours, theirs, again):  # noqa: PLR0917 - a table
    sim.outage("openai", fault)
    model = ChatAistrale(model="openai/gpt-4.1-mini", client=client, max_retries=0)
    kind = standard_error(theirs)

    async def astream():
        return [chunk async for chunk in model.astream("hi")]

    for ask in (lambda: model.invoke("hi"), lambda: list(model.stream("hi"))):
        with pytest.raises(kind) as caught:
            ask()
        assert isinstance(caught.value, ours)
        assert type(caught.value).__name__ == ours.__name__ or issubclass(type(caught.value), ours)
        assert getattr(caught.value, "is_retryable", again) is again
        assert caught.value.call_id
        client.force_breaker("openai/gpt-4.1-mini", "closed")
    for coroutine in (model.ainvoke("hi"), astream()):
        with pytest.raises(kind):
            await coroutine


def test_all_targets_failing_is_both_kinds(sim, client):
    sim.outage()
    with pytest.raises(standard_error("ModelAPIError")) as caught:
        ChatAistrale(route="two", client=client).invoke("hi")
    assert isinstance(caught.value, errors.AllTargetsFailed)
    assert isinstance(caught.value, ExceptionGroup)


def test_errors_survive_pickling():
    error = errors.RateLimitError("slow down", status=429, provider="openai", retry_after=2.0)
    made = standardise(error, "call-1")
    assert made is error
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert (str(copy), copy.retry_after, copy.call_id) == (str(error), 2.0, "call-1")
    assert isinstance(copy, standard_error("ModelRateLimitError"))


def test_a_stream_that_breaks_tells_what_had_come(sim, model):
    sim.outage("openai", Broken(wreck="reset_early"))
    got = []
    with pytest.raises(standard_error("ModelConnectionError")) as caught:
        got.extend(model.stream("one two three four five six"))
    assert isinstance(caught.value, errors.StreamInterrupted)
    assert "".join(chunk.text for chunk in got) == caught.value.partial_text


def test_embeddings_fail_as_models_do(sim, client):
    sim.outage(step=Fault(kind="authentication"), operation="embed")
    with pytest.raises(standard_error("ModelAuthenticationError")):
        AistraleEmbeddings(model="openai/text-embedding-3-small", client=client).embed_query("a")


def test_embeddings_send_batches_and_tasks(sim, client):
    vectors = AistraleEmbeddings(
        model="gemini/gemini-embedding-001",
        task="RETRIEVAL_DOCUMENT",
        query_task="RETRIEVAL_QUERY",
        dimensions=8,
        batch_size=2,
        client=client,
    )
    assert [len(vector) for vector in vectors.embed_documents(["a", "b", "c"])] == [8, 8, 8]
    assert [len(one.request.inputs) for one in sim.requests] == [2, 1]
    assert sim.last.request.task == "RETRIEVAL_DOCUMENT"
    vectors.embed_query("a")
    assert sim.last.request.task == "RETRIEVAL_QUERY"
    assert vectors.embed_documents([]) == []

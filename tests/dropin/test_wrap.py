"""One client of an SDK behind the pipeline: that one, its copies, and no other."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

import aistrale
from aistrale.dropin.transport import Transport
from aistrale.errors import ConfigurationError
from tests.dropin.asking import ANSWER, ASK, MODELS, PROVIDERS, Asker, ask_no_registry
from tests.sdks.judging import Judge

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture
def sim(running, tmp_path, monkeypatch):
    """The simulator, with a process-wide client that covers no SDK by itself."""
    ask_no_registry(tmp_path, monkeypatch)
    running.reset()
    aistrale.init(**running.settings(), instrument=False)
    yield running
    aistrale.shutdown()


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


def through_us():
    """How many calls the process-wide client has made."""
    aistrale.flush()
    return len(aistrale.get_client().ledger.calls())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_wrapped_client_alone_goes_through_the_pipeline(provider, judge, sim):
    async def body():
        wrapped, other = Asker(provider, judge, sim), Asker(provider, judge, sim)
        kind = type(wrapped.client)
        assert aistrale.wrap(wrapped.client) is wrapped.client
        assert type(wrapped.client) is kind
        assert await wrapped.ask() == ANSWER
        assert through_us() == 1
        assert await other.ask() == ANSWER
        assert through_us() == 1
        assert await wrapped.ask() == ANSWER
        assert through_us() == 2
        await wrapped.close()
        if provider != "huggingface":
            await other.close()
        else:
            await judge.get(other.client.close())

    judge.run(body)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_wrapping_twice_is_wrapping_once(provider, judge, sim):
    async def body():
        asker = Asker(provider, judge, sim)
        aistrale.wrap(aistrale.wrap(asker.client))
        assert await asker.ask() == ANSWER
        aistrale.wrap(asker.client)
        assert await asker.ask() == ANSWER
        assert through_us() == 2
        assert len(sim.requests) == 2
        await asker.close()

    judge.run(body)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq"])
def test_copies_are_wrapped_and_timeouts_stay(provider, judge, sim):
    async def body():
        asker = Asker(provider, judge, sim)
        before = asker.client.timeout, asker.client._client.timeout, asker.client._client.follow_redirects
        aistrale.wrap(asker.client)
        assert (asker.client.timeout, asker.client._client.timeout, asker.client._client.follow_redirects) == before
        asker.client = asker.client.with_options(timeout=5).copy()
        assert await asker.ask() == ANSWER
        assert through_us() == 1
        await asker.close()

    judge.run(body)


def test_under_init_too_a_call_is_made_once(judge, sim):
    async def body():
        aistrale.init(**sim.settings())
        asker = Asker("openai", judge, sim)
        aistrale.wrap(asker.client)
        assert await asker.ask() == ANSWER
        assert through_us() == 1
        assert len(sim.requests) == 1
        await asker.close()

    judge.run(body)


def test_azure_and_subclasses_can_be_wrapped(sim):
    class Mine(openai.OpenAI):
        pass

    azure = openai.AzureOpenAI(azure_endpoint="http://azure.invalid", api_key="k", api_version="2026-01-01")
    for client in (azure, Mine(base_url=sim.base_url("openai"), api_key="k")):
        assert isinstance(aistrale.wrap(client)._client._transport, Transport)
        client.close()


def test_what_sends_stays_the_clients_own_also_to_proxies(monkeypatch, sim):
    def answer(request):
        return httpx2.Response(200, json={"id": "1", "object": "chat.completion", "choices": []}, request=request)

    own, proxy = httpx2.MockTransport(answer), httpx2.MockTransport(answer)
    given = httpx2.Client(transport=own, mounts={"http://proxied.invalid": proxy, "http://direct.invalid": None})
    client = aistrale.wrap(openai.OpenAI(api_key="k", http_client=given))
    assert client._client is given
    mounts = {pattern.pattern: transport for pattern, transport in given._mounts.items()}
    assert mounts["http://direct.invalid"] is None
    assert isinstance(mounts["http://proxied.invalid"], Transport)
    # What is no model call goes straight to the transport that was there.
    assert given.get("http://proxied.invalid/").status_code == 200
    assert given.get("http://elsewhere.invalid/").json()["id"] == "1"
    client.close()


def test_streams_of_a_wrapped_client(judge, sim):
    async def body():
        asker = Asker("openai", judge, sim)
        aistrale.wrap(asker.client)
        asked = {"model": MODELS["openai"], "messages": ASK, "stream": True}
        chunks = await judge.all(asker.client.chat.completions.create(**asked))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        assert through_us() == 1
        await asker.close()

    judge.run(body)


# --- google-genai ---------------------------------------------------------------------------------------------------


def test_both_sides_of_a_google_client_and_each_event_loop(sim):
    asker = Asker("gemini", Judge("sync"), sim)
    Judge("async").run(asker.ask)
    aistrale.wrap(asker.client)
    assert through_us() == 0
    Judge("sync").run(asker.ask)
    assert through_us() == 1
    asker.judge = Judge("async")

    async def twice():
        assert await asker.ask() == await asker.ask() == ANSWER
        await asker.close()

    Judge("async").run(twice)
    assert through_us() == 3


def test_each_event_loop_keeps_connections_of_its_own(sim):
    asker = Asker("gemini", Judge("async"), sim)
    loops = getattr(asker.client._api_client._async_httpx_client, "_loop_clients", None)
    if loops is None:
        pytest.skip("this google-genai has one set of connections")
    aistrale.wrap(asker.client)

    async def once():
        assert await asker.ask() == ANSWER
        for client in list(loops.values()):
            await client.aclose()

    Judge("async").run(once)
    Judge("async").run(once)
    assert through_us() == 2
    Judge("sync").run(asker.close)


def test_a_loop_that_is_open_already_is_wrapped_too(sim):
    async def body():
        asker = Asker("gemini", Judge("async"), sim)
        assert await asker.ask() == ANSWER
        aistrale.wrap(asker.client)
        assert await asker.ask() == ANSWER
        assert through_us() == 1
        await asker.close()

    Judge("async").run(body)


def test_a_google_client_of_vertex_is_refused(sim):
    genai = pytest.importorskip("google.genai")
    credentials = pytest.importorskip("google.auth.credentials").AnonymousCredentials()
    client = genai.Client(vertexai=True, project="p", location="l", credentials=credentials)
    with pytest.raises(ConfigurationError, match="Vertex"):
        aistrale.wrap(client)


# --- Hugging Face: one session for the whole process --------------------------------------------------------------------


def test_a_session_that_was_replaced_is_wrapped_again(sim):
    asker = Asker("huggingface", Judge("sync"), sim)
    aistrale.wrap(asker.client)
    for _ in range(2):
        Judge("sync").run(asker.ask)
        hub.close_session()
    assert through_us() == 2
    Judge("sync").run(asker.close)


def test_downloads_and_other_clients_share_the_session_and_pass(sim):
    asker = Asker("huggingface", Judge("sync"), sim)
    aistrale.wrap(asker.client)
    with hub.utils.get_session() as session:
        Judge("sync").run(asker.ask)
        body = {"model": MODELS["huggingface"], "messages": ASK}
        assert session.post(sim.base_url("huggingface") + "/v1/chat/completions", json=body).status_code == 401
    assert through_us() == 1
    assert session.is_closed
    hub.close_session()
    assert Judge("sync").run(asker.ask) == ANSWER
    Judge("sync").run(asker.close)


def test_a_stream_outlives_the_call_that_opened_it(judge, sim):
    async def body():
        asker = Asker("huggingface", judge, sim)
        aistrale.wrap(asker.client)
        chunks = await judge.all(asker.client.chat_completion(model=MODELS["huggingface"], messages=ASK, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        assert through_us() == 1
        await asker.close()

    judge.run(body)


def test_wrapped_clients_are_collected(sim):
    client = aistrale.wrap(hub.InferenceClient(base_url=sim.base_url("huggingface"), api_key="k"))
    seen = weakref.ref(client)
    del client
    gc.collect()
    assert seen() is None


# --- what cannot be wrapped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [None, "openai", object(), openai.OpenAI, httpx.Client])
def test_anything_else_is_refused_by_name(thing):
    with pytest.raises(ConfigurationError) as caught:
        aistrale.wrap(thing)
    assert type(thing).__qualname__ in str(caught.value)
    assert "openai.OpenAI" in str(caught.value)
    assert caught.value.field == "client"


def test_a_part_of_a_client_and_an_http_client_are_refused():
    client = openai.OpenAI(api_key="k")
    for thing in (client.chat, client.chat.completions, client._client, client.with_raw_response):
        with pytest.raises(ConfigurationError):
            aistrale.wrap(thing)
    client.close()


def test_signed_clients_are_refused():
    bedrock = pytest.importorskip("anthropic").AnthropicBedrock(aws_region="x", aws_access_key="a", aws_secret_key="s")
    with pytest.raises(ConfigurationError, match="AnthropicBedrock"):
        aistrale.wrap(bedrock)
    bedrock.close()


def test_an_sdk_whose_client_has_no_transports_is_named():
    class Old(openai.OpenAI):
        def __init__(self):
            self._client = object()

        def __del__(self):
            pass

    with pytest.raises(ConfigurationError, match=r"builtins\.object"):
        aistrale.wrap(Old())


def test_a_huggingface_hub_below_one_is_refused(monkeypatch):
    monkeypatch.setattr(hub, "__version__", "0.36.0")
    for client in (hub.InferenceClient(api_key="k"), hub.AsyncInferenceClient(api_key="k")):
        with pytest.raises(ConfigurationError, match=r"0\.36\.0"):
            aistrale.wrap(client)


def test_sdks_of_the_same_names_elsewhere_are_none_of_ours():
    class OpenAI:
        pass

    assert OpenAI.__module__ in sys.modules
    with pytest.raises(ConfigurationError):
        aistrale.wrap(OpenAI())


def test_where_all_is_switched_off_wrapped_clients_ask_their_providers_themselves(judge, sim):
    async def body():
        aistrale.init(**sim.settings(), disabled=True)
        asker = Asker("openai", judge, sim)
        aistrale.wrap(asker.client)
        assert await asker.ask() == ANSWER
        assert through_us() == 0
        await asker.close()

    judge.run(body)

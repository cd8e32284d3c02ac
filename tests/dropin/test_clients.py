"""HTTP clients for the SDKs: the right library, the SDK's own defaults, and our transport in front."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import aistrale
from aistrale.dropin.transport import Transport
from aistrale.errors import ConfigurationError
from tests.dropin.asking import ANSWER, PROVIDERS, Asker, ask_no_registry
from tests.sdks.judging import Judge

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")
hub = pytest.importorskip("huggingface_hub")
for sdk in ("openai", "anthropic", "google.genai", "groq"):
    pytest.importorskip(sdk)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sim(running, tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)
    running.reset()
    aistrale.init(**running.settings(), instrument=False)
    yield running
    aistrale.shutdown()


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


def through_us():
    aistrale.flush()
    return len(aistrale.get_client().ledger.calls())


def bare(provider, judge):
    """The HTTP client that the SDK makes for itself."""
    import anthropic
    import groq
    import openai
    from google import genai

    if provider == "gemini":
        client = genai.Client(api_key="k")
        return judge.pick(client._api_client._httpx_client, client._api_client._async_httpx_client), client
    if provider == "huggingface":
        return judge.pick(hub.utils.get_session, hub.utils.get_async_session)(), None
    classes = {
        "openai": (openai.OpenAI, openai.AsyncOpenAI),
        "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic),
        "groq": (groq.Groq, groq.AsyncGroq),
    }
    client = judge.pick(*classes[provider])(api_key="k")
    return client._client, client


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_client_is_the_sdks_own_but_for_the_transport(provider, judge, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost")

    async def body():
        ours = aistrale.http_client(provider, asynchronous=judge.colour == "async")
        theirs, keeper = bare(provider, judge)
        family = family_of(theirs)
        assert isinstance(ours, judge.pick(family.Client, family.AsyncClient))
        assert ours.timeout == theirs.timeout
        assert ours.follow_redirects == theirs.follow_redirects
        assert ours.trust_env == theirs.trust_env
        assert ours.event_hooks == theirs.event_hooks
        assert ours.headers == theirs.headers
        assert [pattern.pattern for pattern in ours._mounts] == [pattern.pattern for pattern in theirs._mounts]
        assert any(ours._mounts.values())
        pairs = [
            (ours._transport, theirs._transport),
            *zip(ours._mounts.values(), theirs._mounts.values(), strict=True),
        ]
        for covered, plain in pairs:
            assert (covered is None) == (plain is None)
            if covered is not None:
                assert isinstance(covered, Transport)
                assert limits(covered._inner) == limits(plain)
        await (ours.aclose() if judge.colour == "async" else judge.get(ours.close()))
        del keeper
        await (theirs.aclose() if judge.colour == "async" else judge.get(theirs.close()))
        hub.close_session()

    judge.run(body)


def family_of(client):
    """The library that an SDK uses; it has changed over time."""
    return httpx2 if isinstance(client, (httpx2.Client, httpx2.AsyncClient)) else httpx


def limits(transport):
    pool = transport._pool
    names = ("_max_connections", "_max_keepalive_connections", "_keepalive_expiry", "_socket_options", "_http2")
    return type(transport), type(pool), [getattr(pool, name) for name in names]


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "huggingface"])
def test_the_sdk_takes_it_and_its_calls_go_through_the_pipeline(provider, judge, sim):
    async def body():
        made = aistrale.http_client(provider, asynchronous=judge.colour == "async")
        asker = Asker(provider, judge, sim, http_client=made)
        assert await asker.ask() == ANSWER
        assert through_us() == 1
        await asker.close()
        await (made.aclose() if judge.colour == "async" else judge.get(made.close()))

    judge.run(body)


def test_hugging_face_takes_it_from_a_factory(judge, sim):
    async def body():
        set_factory = judge.pick(hub.set_client_factory, hub.set_async_client_factory)
        factories = hub.utils._http.default_client_factory, hub.utils._http.default_async_client_factory
        set_factory(lambda: aistrale.http_client("huggingface", asynchronous=judge.colour == "async"))
        try:
            asker = Asker("huggingface", judge, sim)
            assert await asker.ask() == ANSWER
            assert through_us() == 1
            aistrale.wrap(asker.client)
            assert await asker.ask() == ANSWER
            assert (through_us(), len(sim.requests)) == (2, 2)
            await asker.close()
        finally:
            set_factory(judge.pick(*factories))

    judge.run(body)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_keywords_replace_the_defaults(provider):
    with aistrale.http_client(provider) as client:
        family = family_of(client)
    own = family.MockTransport(lambda request: family.Response(204, request=request))
    with aistrale.http_client(provider, timeout=7, follow_redirects=False, transport=own) as client:
        assert client.timeout == family.Timeout(7)
        assert not client.follow_redirects
        assert client.get("http://elsewhere.invalid/").status_code == 204


def test_a_keyword_that_httpx_does_not_know_is_its_own_error():
    with pytest.raises(TypeError, match="tiemout"):
        aistrale.http_client("openai", tiemout=5)


def test_google_chooses_httpx_when_it_is_told_to(monkeypatch):
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", "httpx")
    with aistrale.http_client("gemini") as client:
        assert isinstance(client, httpx.Client)


@pytest.mark.parametrize(("name", "meant"), [("opanai", "openai"), ("google", "Known: openai"), ("", "Known: openai")])
def test_unknown_names_are_refused_with_a_suggestion(name, meant):
    with pytest.raises(ConfigurationError) as caught:
        aistrale.http_client(name)
    assert meant in str(caught.value)


def test_an_sdk_that_is_not_installed_is_named():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['groq'] = None\n"
        "import aistrale\n"
        "try:\n    aistrale.http_client('groq')\n"
        "except aistrale.errors.ConfigurationError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install groq" in done.stdout


def test_an_sdk_that_is_too_old_is_named(monkeypatch):
    import openai

    monkeypatch.delattr(openai, "DefaultHttpxClient")
    with pytest.raises(ConfigurationError, match="--upgrade openai"):
        aistrale.http_client("openai")


@pytest.mark.parametrize("family", [httpx, httpx2])
def test_transports_for_clients_of_ones_own(family, judge, sim):
    if family is httpx2 and not hasattr(__import__("openai"), "DefaultHttpx2Client"):
        pytest.skip("this openai takes no client of httpx2")

    async def body():
        blocking, awaiting = aistrale.transport(), aistrale.async_transport()
        made = judge.pick(lambda: family.Client(transport=blocking), lambda: family.AsyncClient(transport=awaiting))()
        asker = Asker("openai", judge, sim, http_client=made)
        assert await asker.ask() == ANSWER
        assert through_us() == 1
        await asker.close()

    judge.run(body)

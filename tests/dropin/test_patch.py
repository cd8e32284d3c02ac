"""The patch under all official SDKs: what it catches, and that it leaves nothing behind."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from aistrale.dropin import patch
from aistrale.testing import simulator
from tests.dropin.asking import ANSWER, ASK, MODELS, PROVIDERS, Asker, ask_no_registry
from tests.sdks.judging import Judge

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")

# google-genai derives from a class of aiohttp that says not to.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
METHODS = [
    (library.HTTPTransport, "handle_request") if blocking else (library.AsyncHTTPTransport, "handle_async_request")
    for library in (httpx, httpx2)
    for blocking in (True, False)
]
ENGINE = object()


class Recorder:
    """Stands where the pipeline would: notes what comes by and lets it go on."""

    def __init__(self):
        self.seen = []
        self.only = []

    def through(self, engine, send, request, only):
        self._note(engine, request, only)
        return send(request)

    async def through_async(self, engine, send, request, only):
        self._note(engine, request, only)
        return await send(request)

    def _note(self, engine, request, only):
        assert engine is ENGINE
        self.seen.append(request.url.path)
        self.only.append(only)

    def install(self, instrument=True):
        patch.install(lambda: ENGINE, instrument, through=self.through, through_async=self.through_async)


@pytest.fixture
def recorder():
    before = [vars(owner)[method] for owner, method in METHODS]
    finders = list(sys.meta_path)
    yield Recorder()
    patch.uninstall()
    assert [vars(owner)[method] for owner, method in METHODS] == before
    assert sys.meta_path == finders


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)


@contextmanager
def replaced(owner, method, function):
    """What recorders of tests do: put a function on a class, and put back what they found."""
    found = vars(owner)[method]
    setattr(owner, method, function)
    try:
        yield
    finally:
        setattr(owner, method, found)


def get(sim, library=httpx):
    with library.Client(trust_env=False) as client:
        return client.get(sim.url + "/nothing").status_code


def python(code, *arguments, path=()):
    """Run code in an interpreter of its own; what it printed last, as JSON."""
    prelude = f"import sys; sys.path[:0] = {[*map(str, path), str(ROOT)]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- what is caught ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_clients_built_before_and_after_are_covered_until_it_is_removed(provider, judge, sim, recorder):
    async def body():
        before = Asker(provider, judge, sim)
        recorder.install()
        after = Asker(provider, judge, sim)
        assert await before.ask() == await after.ask() == ANSWER
        assert len(recorder.seen) == 2
        patch.uninstall()
        assert await before.ask() == await after.ask() == ANSWER
        assert len(recorder.seen) == 2
        await before.close()
        await after.close()

    judge.run(body)


def test_copies_raw_and_streamed_answers_are_covered(judge, sim, recorder):
    async def body():
        recorder.install()
        asker = Asker("openai", judge, sim)
        asked = {"model": MODELS["openai"], "messages": ASK}
        raw = await judge.get(asker.client.with_options(timeout=5).chat.completions.with_raw_response.create(**asked))
        assert raw.parse().choices[0].message.content == ANSWER
        chunks = await judge.all(asker.client.chat.completions.create(**asked, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        async with judge.inside(asker.client.chat.completions.with_streaming_response.create(**asked)) as streamed:
            assert (await judge.get(streamed.parse())).choices[0].message.content == ANSWER
        assert len(recorder.seen) == 3
        await asker.close()

    judge.run(body)


def test_a_subclass_that_calls_its_parent_is_caught_once(sim, recorder):
    class Counting(httpx.HTTPTransport):
        calls = 0

        def handle_request(self, request):
            Counting.calls += 1
            return super().handle_request(request)

    recorder.install()
    with httpx.Client(transport=Counting()) as client:
        client.get(sim.url + "/nothing")
    assert (Counting.calls, len(recorder.seen)) == (1, 1)


def test_what_aistrale_sends_itself_is_not_caught(sim, recorder):
    recorder.install()
    with httpx.Client(trust_env=False) as client:
        assert client.get(sim.url + "/nothing", extensions={"aistrale": True}).status_code == 404
    assert recorder.seen == []


def test_the_selection_is_handed_on(sim, recorder):
    recorder.install()
    get(sim)
    recorder.install(["openai", "groq"])
    get(sim)
    assert recorder.only == [None, {"openai", "azure", "groq"}]


def test_installing_again_replaces_the_engine_and_adds_no_layer(sim, recorder):
    first, second = Recorder(), recorder
    first.install()
    there = [vars(owner)[method] for owner, method in METHODS]
    second.install()
    assert [vars(owner)[method] for owner, method in METHODS] == there
    get(sim)
    assert (len(first.seen), len(second.seen)) == (0, 1)


# --- in company -------------------------------------------------------------------------------------------------------


def wrapped_in_closure(inner):
    def outer(self, request):
        return inner(self, request)

    return outer


def wrapped_with_name(inner):
    @wraps(inner)
    def outer(self, request, _send=None):
        return inner(self, request)

    return outer


def wrapped_in_default(inner):
    def outer(self, request, send=inner):
        return send(self, request)

    return outer


def wrapped_in_partial(inner):
    call = partial(lambda send, self, request: send(self, request), inner)

    def outer(self, request):
        return call(self, request)

    return outer


class Hidden:
    """Holds a function where a search through closures does not find it."""

    def __init__(self, inner):
        self.slot = [inner]

    def __get__(self, instance, owner=None):
        return lambda request: self.slot[0](instance, request)


WRAPPERS = [wrapped_in_closure, wrapped_with_name, wrapped_in_default, wrapped_in_partial, Hidden]


@pytest.mark.parametrize("around", WRAPPERS)
def test_under_a_recorder_ours_stays_and_lets_through_once_it_is_removed(around, sim, recorder):
    recorder.install()
    with replaced(*METHODS[0], around(vars(httpx.HTTPTransport)["handle_request"])):
        get(sim)
        patch.uninstall()
        get(sim)
        assert len(recorder.seen) == 1
        recorder.install()
        get(sim)
        assert len(recorder.seen) == 2
    recorder.install()
    get(sim)
    assert len(recorder.seen) == 3


@pytest.mark.parametrize("around", WRAPPERS)
def test_over_a_recorder_that_takes_ours_away_the_next_install_brings_it_back(around, sim, recorder):
    with replaced(*METHODS[0], around(vars(httpx.HTTPTransport)["handle_request"])):
        recorder.install()
        get(sim)
    get(sim)
    assert len(recorder.seen) == 1
    recorder.install()
    get(sim)
    assert len(recorder.seen) == 2


def test_a_layer_that_was_taken_away_and_comes_back_does_not_act_twice(sim, recorder):
    recorder.install()
    first = vars(httpx.HTTPTransport)["handle_request"]
    httpx.HTTPTransport.handle_request = first.__wrapped__
    recorder.install()
    second = vars(httpx.HTTPTransport)["handle_request"]
    assert second is not first
    httpx.HTTPTransport.handle_request = wrapped_in_closure(first)
    recorder.install()
    get(sim)
    assert len(recorder.seen) == 1
    httpx.HTTPTransport.handle_request = first.__wrapped__


def test_a_mock_below_is_called_as_it_would_be_without_us(sim, recorder):
    answer = httpx.Response(200, text="mocked")
    mock = Mock(return_value=answer)
    with replaced(*METHODS[0], mock):
        recorder.install()
        with httpx.Client(trust_env=False) as client:
            assert client.get(sim.url).text == "mocked"
        patch.uninstall()
    # A Mock is no descriptor: it is called without the transport.
    ((request,), _) = mock.call_args
    assert request.method == "GET"
    assert len(recorder.seen) == 1


def test_respx_answers_below_us(recorder):
    respx = pytest.importorskip("respx")
    recorder.install()
    with respx.mock() as mocked:
        mocked.get("https://example.invalid/").respond(204)
        with httpx.Client(trust_env=False) as client:
            assert client.get("https://example.invalid/").status_code == 204
    assert recorder.seen == ["/"]


def test_methods_keep_their_names_and_pickle_and_clients_copy(recorder):
    recorder.install()
    for owner, method in METHODS:
        function = getattr(owner, method)
        assert function.__qualname__ == f"{owner.__name__}.{method}"
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - what was pickled a moment ago
    with httpx.HTTPTransport() as transport:
        assert vars(copy.copy(transport)) == vars(transport)


def test_threads_that_install_and_remove_while_others_call(sim, recorder):
    stop, results = threading.Event(), []

    def call():
        with httpx.Client(trust_env=False) as client:
            while not stop.is_set():
                results.append(client.get(sim.url + "/nothing").status_code)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()

    def toggle():
        for _ in range(200):
            recorder.install()
            patch.uninstall()

    togglers = [threading.Thread(target=toggle) for _ in range(2)]
    for toggler in togglers:
        toggler.start()
    for toggler in togglers:
        toggler.join()
    stop.set()
    for caller in callers:
        caller.join()
    assert results
    assert set(results) == {404}


# --- what is imported later, in other processes -----------------------------------------------------------------------

RECORD = """
import json
from aistrale.dropin import patch
seen = []
def through(engine, send, request, only):
    seen.append(type(request).__module__.partition(".")[0])
    return send(request)
async def through_async(engine, send, request, only):
    seen.append(type(request).__module__.partition(".")[0])
    return await send(request)
def install(which=True):
    patch.install(lambda: None, which, through=through, through_async=through_async)
"""


def test_libraries_that_are_imported_later_are_covered_and_none_is_imported_for_it(sim):
    code = """
install()
assert not {"httpx", "httpx2", "google.genai", "openai", "huggingface_hub"} & set(sys.modules)
import groq, openai, httpx, httpx2, importlib, inspect
ask = [{"role": "user", "content": "Hi"}]
openai.OpenAI(base_url=sys.argv[1], api_key="k").chat.completions.create(model="gpt-5-mini", messages=ask)
groq.Groq(base_url=sys.argv[2], api_key="k").chat.completions.create(model="openai/gpt-oss-20b", messages=ask)
for library in (httpx, httpx2):
    assert library.__loader__ is library.__spec__.loader
    assert type(library.__loader__).__module__ == "_frozen_importlib_external", library.__loader__
    assert inspect.getsource(library)
patch.uninstall()
assert not hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")
assert not any("aistrale" in type(finder).__module__ for finder in sys.meta_path)
print(json.dumps(seen))
"""
    assert python(RECORD + code, sim.base_url("openai"), sim.base_url("groq")) == ["httpx2", "httpx"]


def test_a_library_that_is_imported_again_or_reloaded_is_covered_again(sim):
    code = """
import httpx, importlib
install()
for name in [name for name in sys.modules if name.partition(".")[0] == "httpx"]:
    del sys.modules[name]
import httpx as again
assert again is not httpx
for library in (httpx, again):
    library.Client(trust_env=False).get(sys.argv[1])
assert len(seen) == 2
importlib.reload(sys.modules["httpx._transports.default"])
importlib.reload(sys.modules["httpx._transports"])
reloaded = importlib.reload(sys.modules["httpx"])
reloaded.HTTPTransport().handle_request(reloaded.Request("GET", sys.argv[1]))
print(json.dumps(seen))
"""
    assert python(RECORD + code, sim.url) == ["httpx"] * 3


def test_httpx_under_its_other_name_is_covered_once(sim):
    code = """
install()
import httpx2
httpx2.alias_httpx()
import httpx
assert httpx is httpx2
install()
httpx.Client(trust_env=False).get(sys.argv[1])
patch.uninstall()
assert not hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")
print(json.dumps(seen))
"""
    assert python(RECORD + code, sim.url) == ["httpx2"]


def test_a_library_that_another_thread_is_importing_is_waited_for(tmp_path):
    (tmp_path / "httpx.py").write_text(
        "import gate\n"
        "gate.begun.set()\n"
        "assert gate.goes_on.wait(30)\n"
        "class HTTPTransport:\n"
        "    def handle_request(self, request):\n"
        "        return 'sent'\n"
    )
    (tmp_path / "gate.py").write_text("import threading\nbegun, goes_on = threading.Event(), threading.Event()\n")
    code = """
import gate, threading
importer = threading.Thread(target=__import__, args=("httpx",))
importer.start()
assert gate.begun.wait(30)
installer = threading.Thread(target=install)
installer.start()
while not any("aistrale" in type(finder).__module__ for finder in sys.meta_path):
    pass
gate.goes_on.set()
importer.join()
installer.join()
import httpx
print(json.dumps(hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")))
"""
    assert python(RECORD + code, path=[tmp_path]) is True


def test_an_import_that_fails_fails_as_it_would(tmp_path):
    (tmp_path / "httpx.py").write_text("raise RuntimeError('broken')\n")
    code = """
install()
try:
    import httpx
except RuntimeError as error:
    assert "httpx" not in sys.modules
    print(json.dumps(str(error)))
"""
    assert python(RECORD + code, path=[tmp_path]) == "broken"


def test_a_library_that_is_missing_is_missing():
    code = """
install()
import importlib.util
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
print(json.dumps([importlib.util.find_spec("httpx2") is None, importlib.util.find_spec("json") is not None]))
"""
    assert python(RECORD + code) == [True, True]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_works_also_when_a_thread_held_the_lock(sim):
    code = """
import os, threading, httpx, warnings
warnings.simplefilter("ignore", DeprecationWarning)
install()
held, release = threading.Event(), threading.Event()
def hold():
    with patch._lock:
        held.set()
        release.wait(30)
holder = threading.Thread(target=hold)
holder.start()
held.wait(30)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    httpx.Client(trust_env=False).get(sys.argv[1])
    install()
    patch.uninstall()
    httpx.Client(trust_env=False).get(sys.argv[1])
    os.write(writer, json.dumps(seen).encode())
    os._exit(0)
release.set()
holder.join()
os.waitpid(child, 0)
httpx.Client(trust_env=False).get(sys.argv[1])
print(json.dumps([json.loads(os.read(reader, 1000)), seen]))
"""
    assert python(RECORD + code, sim.url) == [["httpx"], ["httpx"]]


# --- aiohttp, and what cannot be covered ------------------------------------------------------------------------------


class GoogleLike:
    """What matters here of google-genai's API client."""

    def __init__(self, **attributes):
        self._async_client_session_request_args = {}
        self._http_options = SimpleNamespace(aiohttp_client=attributes.pop("aiohttp_client", None))
        self._async_httpx_client = object()
        self.vertexai = False
        for name, value in attributes.items():
            setattr(self, name, value)


def test_a_google_client_uses_httpx_where_it_can(caplog):
    assert not patch.needs_aiohttp(GoogleLike())
    building = GoogleLike()
    del building._async_client_session_request_args
    assert patch.needs_aiohttp(building)
    assert patch.needs_aiohttp(GoogleLike(vertexai=True))
    assert caplog.records == []


def test_an_aiohttp_session_of_the_applications_own_is_named_once(caplog, monkeypatch):
    monkeypatch.setattr(patch, "_warned", set())
    with caplog.at_level(logging.WARNING, "aistrale.dropin"):
        assert patch.needs_aiohttp(GoogleLike(aiohttp_client=object()))
        assert patch.needs_aiohttp(GoogleLike(aiohttp_client=object()))
    (record,) = caplog.records
    assert "aiohttp_client" in record.getMessage()


def test_google_with_aiohttp_installed_is_covered_and_goes_back_to_aiohttp(sim, recorder):
    pytest.importorskip("aiohttp")
    api = pytest.importorskip("google.genai._api_client")

    async def body():
        recorder.install()
        asker = Asker("gemini", Judge("async"), sim)
        assert await asker.ask() == ANSWER
        assert len(recorder.seen) == 1
        patch.uninstall()
        assert await asker.ask() == ANSWER
        assert len(recorder.seen) == 1
        assert asker.client._api_client._use_aiohttp()
        await asker.close()

    before = vars(api.BaseApiClient)["_use_aiohttp"]
    Judge("async").run(body)
    assert vars(api.BaseApiClient)["_use_aiohttp"] is before


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq"])
def test_aiohttp_clients_of_the_sdks_are_covered(provider, sim, recorder):
    pytest.importorskip("aiohttp")
    if provider == "groq":
        pytest.importorskip("httpx_aiohttp")
    sdk = pytest.importorskip(provider)

    async def body():
        recorder.install()
        asker = Asker(provider, Judge("async"), sim, http_client=sdk.DefaultAioHttpClient())
        assert "aiohttp" in type(asker.client._client._transport).__module__
        assert await asker.ask() == ANSWER
        assert len(recorder.seen) == 1
        await asker.close()

    Judge("async").run(body)


def test_a_huggingface_hub_that_uses_requests_is_named(tmp_path):
    for folder, text in {"": "", "utils": "", "inference": "import huggingface_hub.utils._http"}.items():
        package = tmp_path / "huggingface_hub" / folder
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(text)
    (tmp_path / "huggingface_hub" / "utils" / "_http.py").write_text("requests = object()\n")
    (tmp_path / "huggingface_hub" / "inference" / "_client.py").write_text("")
    code = """
import logging
messages = []
class Keep(logging.Handler):
    def emit(self, record):
        messages.append(record.getMessage())
logging.getLogger("aistrale.dropin").addHandler(Keep())
install(["openai"])
import huggingface_hub.inference._client, importlib
install()
install()
importlib.reload(huggingface_hub.inference._client)
print(json.dumps(messages))
"""
    (message,) = python(RECORD + code, path=[tmp_path])
    assert "huggingface_hub below 1.0" in message

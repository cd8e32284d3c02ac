"""One layer of retries: what reaches the wire under `init()`, and which exception the caller of each SDK sees.

Every case runs twice in the same way: with the SDK alone and with aistrale on. `-s` prints the table.
"""

from __future__ import annotations

import contextlib
import socket
from collections import defaultdict
from importlib import import_module

import pytest

import aistrale
from aistrale.testing import Broken, Fault, simulator
from tests.dropin.asking import ASK, MODELS, PROVIDERS, Asker, ask_no_registry
from tests.sdks.judging import Judge

# google-genai derives from a class of aiohttp that says not to.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

ATTEMPTS = 3
"""Of the default `retry` setting."""
# Limits that are far from used up, so that the announced wait is all there is.
LEFT = {
    f"x-ratelimit-{name}-{what}": value
    for name, value in (("limit", "1000"), ("remaining", "900"), ("reset", "1s"))
    for what in ("requests", "tokens")
} | {f"anthropic-ratelimit-{what}-remaining": "900" for what in ("requests", "tokens")}
WHOLE = {
    "429": Fault(status=429, kind="rate_limit", headers={"retry-after-ms": "5", **LEFT}),
    "503": Fault(status=503),
    "529": Fault(status=529),
    "500": Fault(status=500),
    "400 told to retry": Fault(status=400, headers={"x-should-retry": "true"}),
    "refused": None,
}
STREAMED = {
    "reset midway": Broken(wreck="reset_early"),
    "ends early": Broken(wreck="truncate"),
    "error event": Broken(wreck="error_midway"),
}
# Groq's code for a flex tier without capacity says that no retry helps.
ONCE = {("503", "groq"), ("529", "groq")}
# The error event of each format, raised by the SDK that reads it. Alone the SDKs raise errors of httpx for the one, and
# take the other for a whole answer.
IN_THE_STREAM = {
    "openai": ("openai", "APIError"),
    "anthropic": ("anthropic", "APIStatusError"),
    "gemini": ("google.genai.errors", "ServerError"),
    "groq": ("groq", "APIError"),
    "huggingface": ("huggingface_hub.errors", "TextGenerationError"),
}


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture(scope="module")
def table():
    """By case: for each SDK what was sent and raised without aistrale and with it."""
    rows: defaultdict[str, dict[str, str]] = defaultdict(dict)
    yield rows
    for case, cells in rows.items():
        print(f"\n{case}", *(f"  {who}: {cell}" for who, cell in cells.items()), sep="\n")  # noqa: T201 - see above


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


@pytest.fixture
def wire(monkeypatch):
    """What the transports of httpx and httpx2 send, counted below everybody else."""
    sent = []
    for name in ("httpx", "httpx2"):
        with contextlib.suppress(ImportError):
            library = import_module(name)
            monkeypatch.setattr(library.HTTPTransport, "handle_request", counted(library.HTTPTransport, sent))
            monkeypatch.setattr(
                library.AsyncHTTPTransport, "handle_async_request", counted_async(library.AsyncHTTPTransport, sent)
            )
    return sent


def counted(owner, sent):
    inner = owner.handle_request

    def handle_request(self, request):
        sent.append(request.url)
        return inner(self, request)

    return handle_request


def counted_async(owner, sent):
    inner = owner.handle_async_request

    async def handle_async_request(self, request):
        sent.append(request.url)
        return await inner(self, request)

    return handle_async_request


@pytest.fixture(autouse=True)
def impatient(tmp_path, monkeypatch):
    """The SDKs' own pauses, shortened; and no questions to the Hub."""
    ask_no_registry(tmp_path, monkeypatch)
    for name in ("openai", "anthropic", "groq"):
        with contextlib.suppress(ImportError):
            import_module(name)
            monkeypatch.setattr(f"{name}._base_client.INITIAL_RETRY_DELAY", 0.001)


class Nowhere:
    """A place where nobody listens."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def base_url(self, provider):
        return f"{self.url}/{provider}"


@pytest.fixture
def nowhere():
    # Bound and not listening: nobody else gets the port meanwhile.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Nowhere(taken.getsockname()[1])


async def stream(asker):
    """Read the streamed answer to its end."""
    provider, judge, model = asker.provider, asker.judge, MODELS[asker.provider]
    if provider == "gemini":
        side = judge.pick(asker.client, asker.client.aio)
        asked = side.models.generate_content_stream(model=model, contents=ASK[0]["content"])
    elif provider == "anthropic":
        asked = asker.client.messages.create(model=model, max_tokens=100, messages=ASK, stream=True)
    elif provider == "huggingface":
        asked = asker.client.chat_completion(model=model, messages=ASK, stream=True)
    else:
        asked = asker.client.chat.completions.create(model=model, messages=ASK, stream=True)
    return await judge.all(asked)


async def raised(asker, *, streamed):
    """The exception that the caller sees; None where none comes."""
    try:
        await (stream(asker) if streamed else asker.ask())
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    else:
        return None
    finally:
        await asker.close()


def named(error):
    if error is None:
        return "no error"
    return f"{type(error).__module__.partition('.')[0]}.{type(error).__name__}"


def measure(asker, wire, *, streamed):
    """The exception, how many requests were sent, and what `last_call` says."""
    wire.clear()
    found = []

    async def body():
        found.append(await raised(asker(), streamed=streamed))
        # Of this task.
        found.append(aistrale.last_call())

    asker.judge.run(body)
    return found[0], len(wire), found[1]


class Asking:
    """Makes askers: an async client belongs to the loop it is made in."""

    def __init__(self, provider, judge, place, **options):
        self.provider, self.judge = provider, judge
        self._made = place, options

    def __call__(self):
        place, options = self._made
        return Asker(self.provider, self.judge, place, **options)


@contextlib.contextmanager
def covered():
    # Waits of the default settings, a thousandth as long.
    aistrale.init(ledger="off", retry={"base": 0.0005, "cap": 0.008}, timeout=30.0)
    try:
        yield
    finally:
        aistrale.shutdown()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", [*WHOLE, *STREAMED])
def test_retries(case, provider, judge, request):
    sim, wire, table = map(request.getfixturevalue, ("sim", "wire", "table"))
    sim.reset()
    step = {**WHOLE, **STREAMED}[case]
    if step is None:
        place = request.getfixturevalue("nowhere")
    else:
        place = sim
        sim.outage(provider, step)
    asking, streamed = Asking(provider, judge, place), case in STREAMED
    bare, bare_sent, _ = measure(asking, wire, streamed=streamed)
    with covered():
        error, sent, last = measure(asking, wire, streamed=streamed)
    table[case][f"{provider}, {judge.colour}"] = f"{bare_sent} sent, {named(bare)} -> {sent} sent, {named(error)}"
    assert sent == len(last.attempts) == (1 if streamed or (case, provider) in ONCE else ATTEMPTS)
    if case in {"reset midway", "ends early"}:
        module, name = IN_THE_STREAM[provider]
        assert isinstance(error, getattr(import_module(module), name))
    else:
        assert type(error) is type(bare)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq"])
def test_an_sdk_that_is_set_to_retry_a_lot_sends_no_more(provider, judge, sim, nowhere, wire):
    sim.reset()
    sim.outage(provider, WHOLE["500"])
    with covered():
        for place in (sim, nowhere):
            assert measure(Asking(provider, judge, place, max_retries=6), wire, streamed=False)[1] == ATTEMPTS

"""The transports under the official SDKs: what is sent where, and what the SDK is given for it."""

from __future__ import annotations

import asyncio
import json

import pytest

import aistrale
from aistrale.dropin import transport as transports
from aistrale.dropin.last import last_call
from aistrale.dropin.transport import Transport
from aistrale.testing import Broken, Fault, Slow

httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

MODEL, CLAUDE, GEMINI = "gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash"
ASK = [{"role": "user", "content": "Say hello, please."}]
SAID = "This is a simulated answer to: Say hello, please."
ROUTES = {
    MODEL: [f"openai/{MODEL}", f"anthropic/{CLAUDE}", f"gemini/{GEMINI}"],
    "claude-*": [f"anthropic/{CLAUDE}", f"openai/{MODEL}"],
    "elsewhere": [f"gemini/{GEMINI}"],
    "siblings": ["openai/gpt-4.1-mini", f"openai/{MODEL}"],
}


@pytest.fixture(params=["sync", "async"])
def colour(request):
    return request.param


@pytest.fixture
def made(sim):
    """Make an aistrale client of these settings; its engine is what the transports ask."""
    clients = []

    def make(**settings):
        given = {**sim.settings(), "retry": {"base": 0.001}, **settings}
        clients.append(aistrale.Client(**given))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
        client.ledger.close()


class Asked:
    """OpenAI's and Anthropic's clients over a transport of ours, blocking or async behind plain calls."""

    def __init__(self, own, sim, colour, inner=None):
        self.colour = colour
        self.transport = Transport(lambda: own._engine, inner)
        self.sim = sim
        self.open = []

    def http(self):
        made = (httpx2.Client if self.colour == "sync" else httpx2.AsyncClient)(transport=self.transport)
        self.open.append(made)
        return made

    def openai(self, **options):
        kind = openai.OpenAI if self.colour == "sync" else openai.AsyncOpenAI
        return kind(base_url=self.sim.base_url("openai"), api_key="k", http_client=self.http(), **options)

    def anthropic(self, **options):
        kind = anthropic.Anthropic if self.colour == "sync" else anthropic.AsyncAnthropic
        return kind(base_url=self.sim.base_url("anthropic"), api_key="k", http_client=self.http(), **options)

    def run(self, call):
        """The result of a call, its stream as a list, and what `last_call` says of it; clients are closed then."""
        if self.colour == "sync":
            try:
                result = call()
                return list(result) if isinstance(result, openai.Stream) else result, last_call()
            finally:
                while self.open:
                    self.open.pop().close()

        async def awaited():
            try:
                result = await call()
                if isinstance(result, openai.AsyncStream):
                    result = [item async for item in result]
                return result, last_call()
            finally:
                while self.open:
                    await self.open.pop().aclose()

        return asyncio.run(awaited())

    def chat(self, model=MODEL, *, stream=False, **options):
        client = self.openai()
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        return self.run(lambda: client.chat.completions.create(model=model, messages=ASK, **more, **options))


@pytest.fixture
def asked(made, sim, colour):
    return lambda inner=None, **settings: Asked(made(**{"routes": ROUTES, **settings}), sim, colour, inner)


def text_of(answer):
    if isinstance(answer, list):
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return answer.choices[0].message.content


def sent(sim, provider):
    return sum(request.provider == provider for request in sim.requests)


# --- where a call goes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_relayed_to_its_own_provider(asked, sim, stream):
    answer, last = asked().chat(stream=stream)
    assert text_of(answer) == SAID
    assert (last.target, len(last.attempts), last.error, last.usage.output) == (f"openai/{MODEL}", 1, None, 13)
    assert last.cost.usd > 0
    assert sim.requests[-1].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize("stream", [False, True])
def test_another_vendor_answers_in_the_format_of_the_caller(asked, sim, stream):
    sim.outage("openai", Fault(status=500))
    answer, last = asked().chat(stream=stream, temperature=0.5)
    assert text_of(answer) == SAID
    assert (last.target, last.route, [attempt.status for attempt in last.attempts]) == (
        f"anthropic/{CLAUDE}", MODEL, [500, 200],
    )  # fmt: skip
    # What only tunes the answer is left out, and said to be.
    assert last.lossy == ["temperature"]
    usage = answer[-1].usage if stream else answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 13)


def test_a_pattern_names_a_route_and_the_caller_may_be_anthropics(asked, sim):
    sim.outage("anthropic", Fault(status=529))
    setup = asked()
    client = setup.anthropic()
    answer, last = setup.run(lambda: client.messages.create(model=CLAUDE, max_tokens=50, messages=ASK))
    assert answer.content[0].text == SAID
    assert (last.target, last.route) == (f"openai/{MODEL}", "claude-*")


@pytest.mark.parametrize("how", ["context", "header"])
def test_a_call_may_choose_its_route(asked, sim, how):
    setup = asked()
    if how == "context":
        with aistrale.context(route="elsewhere"):
            answer, last = setup.chat()
    else:
        answer, last = setup.chat(extra_headers={"x-aistrale-route": "elsewhere"})
    assert (text_of(answer), last.target) == (SAID, f"gemini/{GEMINI}")
    assert sent(sim, "openai") == 0


def test_the_header_of_the_route_goes_no_further(asked, sim):
    asked().chat(extra_headers={"x-aistrale-route": MODEL})
    assert sim.requests[-1].provider == "openai"
    assert "x-aistrale-route" not in sim.requests[-1].headers


def test_another_model_of_the_same_provider_is_asked_over_the_same_connections(asked, sim):
    setup = asked()
    answer, last = setup.chat(extra_headers={"x-aistrale-route": "siblings"}, extra_body={"unheard_of": [1, {"a": 2}]})
    assert (text_of(answer), last.target) == (SAID, "openai/gpt-4.1-mini")
    body = sim.requests[-1].body
    assert (body["model"], body["unheard_of"]) == ("gpt-4.1-mini", [1, {"a": 2}])


def test_a_route_that_does_not_exist_is_a_bad_request(asked):
    with pytest.raises(openai.BadRequestError) as caught:
        asked().chat(extra_headers={"x-aistrale-route": "nowhere"})
    assert caught.value.code == "aistrale_configuration"
    assert "nowhere" in caught.value.message


def test_a_stand_in_without_a_key_is_skipped(made, sim, colour):
    settings = sim.settings()
    del settings["providers"]["anthropic"]
    setup = Asked(made(providers=settings["providers"], routes=ROUTES), sim, colour)
    sim.outage("openai", Fault(status=500))
    answer, last = setup.chat()
    assert (text_of(answer), last.target) == (SAID, f"gemini/{GEMINI}")
    assert len(last.skipped) == 1
    assert last.skipped[0].startswith(f"anthropic/{CLAUDE}: ")


@pytest.mark.parametrize("options", [{"n": 2}, {"logprobs": True}, {"logit_bias": {"1": 5}}])
def test_what_a_stand_in_cannot_say_makes_it_ineligible_and_the_first_error_is_the_callers(asked, sim, options):
    sim.outage("openai", Fault(status=500))
    routes = {MODEL: [f"openai/{MODEL}", f"anthropic/{CLAUDE}"]}
    with pytest.raises(openai.InternalServerError) as caught:
        asked(routes=routes).chat(**options)
    assert caught.value.status_code == 500
    assert sent(sim, "anthropic") == 0


def test_vectors_of_another_model_are_no_stand_in(asked, sim):
    sim.outage("openai", Fault(status=500))
    setup = asked(routes={"text-embedding-3-small": ["openai/text-embedding-3-small", "gemini/gemini-embedding-001"]})
    client = setup.openai()
    with pytest.raises(openai.InternalServerError):
        setup.run(lambda: client.embeddings.create(model="text-embedding-3-small", input="x"))
    assert sent(sim, "gemini") == 0


def test_two_keys_of_one_provider_do_not_share_a_fate(asked, sim):
    setup = asked(routes={})
    sim.script(Fault(status=401))
    with pytest.raises(openai.AuthenticationError):
        setup.chat()
    other = setup.openai().with_options(api_key="another")
    answer, _ = setup.run(lambda: other.chat.completions.create(model=MODEL, messages=ASK))
    assert text_of(answer) == SAID
    # The rejected key is not sent again for some seconds.
    before = len(sim.requests)
    with pytest.raises(openai.AuthenticationError):
        setup.chat()
    assert len(sim.requests) == before


def test_a_breaker_is_forced_by_the_targets_name_whatever_the_callers_key(made, sim, colour):
    own = made(routes=ROUTES)
    setup = Asked(own, sim, colour)
    setup.chat()
    (place,) = [name for name in own.breakers() if name.startswith(f"openai/{MODEL} (")]
    own.force_breaker(f"openai/{MODEL}", "open")
    assert own.breakers()[place].state == "forced_open"
    answer, last = setup.chat()
    assert (text_of(answer), last.target) == (SAID, f"anthropic/{CLAUDE}")
    own.force_breaker(place, None)
    assert setup.chat()[1].target == f"openai/{MODEL}"


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
def test_the_sdks_own_exceptions_carry_the_providers_own_words(asked, sim, status, kind):
    sim.outage("openai", Fault(status=status, retry_after=0.001))
    # The headers of the limit ask for eight seconds each time; that they are waited for is seen in test_retries.
    retry = {"retry": False} if status == 429 else {}
    with pytest.raises(getattr(openai, kind)) as caught:
        asked(routes={}, **retry).chat()
    error = caught.value
    assert error.status_code == status
    assert error.body["message"] == "a simulated error"
    assert error.response.headers["x-should-retry"] == "false"
    assert error.request_id.startswith("req_0")
    assert sent(sim, "openai") <= 3


def test_a_refusal_of_ours_says_so_in_the_callers_format(asked, sim):
    setup = asked(routes={}, breaker={"last_in_a_row": 1, "in_a_row": 1, "trickle": 0.0}, retry=False)
    sim.outage("openai", Fault(status=500))
    with pytest.raises(openai.InternalServerError):
        setup.chat()
    with pytest.raises(openai.InternalServerError) as caught:
        setup.chat()
    assert (caught.value.status_code, caught.value.code) == (503, "aistrale_circuit_open")
    assert "retry-after" in caught.value.response.headers
    assert sent(sim, "openai") == 1


def test_a_stream_that_breaks_off_ends_in_an_error_event(asked, sim):
    sim.script(Broken(wreck="truncate", after=3))
    with pytest.raises(openai.APIError) as caught:
        asked(routes={}).chat(stream=True)
    assert caught.value.code == "aistrale_stream_interrupted"


def test_a_stream_of_another_vendor_that_breaks_off_does_too(asked, sim):
    sim.outage("openai", Fault(status=500))
    sim.script(Fault(status=500), Broken(wreck="truncate", after=3))
    with pytest.raises(openai.APIError) as caught:
        asked(routes={MODEL: [f"openai/{MODEL}", f"anthropic/{CLAUDE}"]}).chat(stream=True)
    assert caught.value.code == "aistrale_stream_interrupted"


def test_a_connection_that_cannot_be_made_is_the_sdks_own_error_and_is_not_tried_by_it(made, colour):
    class Refusing:
        def __init__(self):
            self.asked = 0

        def handle_request(self, request):
            self.asked += 1
            raise httpx2.ConnectError("refused", request=request)

        async def handle_async_request(self, request):
            return self.handle_request(request)

    class Nowhere:
        @staticmethod
        def base_url(_):
            return "http://127.0.0.1:9/v1"

    inner = Refusing()
    setup = Asked(made(), Nowhere(), colour, inner)
    client = setup.openai(max_retries=2)
    client._calculate_retry_timeout = lambda *_, **__: 0.0
    with pytest.raises(openai.APIConnectionError) as caught:
        setup.run(lambda: client.chat.completions.create(model=MODEL, messages=ASK))
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)
    # Our own attempts: one at once after the first, then as the retry settings say.
    assert inner.asked == 3


def test_a_timeout_of_the_caller_is_the_callers_timeout(asked, sim):

    sim.outage("openai", Slow(headers=5.0))
    setup = asked(routes={})
    client = setup.openai(timeout=0.2, max_retries=0)
    with pytest.raises(openai.APITimeoutError):
        setup.run(lambda: client.chat.completions.create(model=MODEL, messages=ASK))


def test_the_callers_own_timeouts_are_sent_on(made, sim, colour):
    class Watching:
        def __init__(self):
            self.seen = []

        def handle_request(self, request):
            self.seen.append(dict(request.extensions["timeout"]))
            return httpx2.Response(500)

        async def handle_async_request(self, request):
            return self.handle_request(request)

    inner = Watching()
    setup = Asked(made(retry=False), sim, colour, inner)
    client = setup.openai(timeout=httpx2.Timeout(30.0, connect=3.0))
    with pytest.raises(openai.InternalServerError):
        setup.run(lambda: client.chat.completions.create(model=MODEL, messages=ASK))
    assert inner.seen == [{"connect": 3.0, "read": 30.0, "write": 30.0, "pool": 30.0}]


# --- what goes by -----------------------------------------------------------------------------------------------------


def test_what_is_no_model_call_goes_by_untouched_and_is_counted(asked, sim):
    setup, before = asked(), transports.passed["openai"]
    client = setup.openai()
    models, _ = setup.run(client.models.list)
    assert models.data
    assert transports.passed["openai"] == before + 1


def test_a_body_that_is_no_request_of_the_format_is_the_providers_to_refuse(asked, sim):
    setup = asked()
    url, agent = f"{sim.base_url('openai')}/chat/completions", {"user-agent": "OpenAI/Python 3"}
    for content in (b"no json", b"[1]", b'{"messages": 3, "model": "m"}', b"{}"):
        client = setup.http()
        answer, _ = setup.run(lambda client=client, content=content: client.post(url, content=content, headers=agent))
        assert answer.status_code >= 400
        assert "x-aistrale-call-id" not in answer.headers


def test_the_response_tells_of_the_call(asked, sim):
    setup = asked()
    client = setup.openai()
    raw, last = setup.run(lambda: client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK))
    assert raw.headers["x-aistrale-call-id"] == last.call_id
    assert raw.headers["x-aistrale-target"] == f"openai/{MODEL}"
    assert raw.headers["x-aistrale-attempts"] == "1"
    assert float(raw.headers["x-aistrale-cost"]) == float(last.cost.usd)
    assert json.loads(raw.text)["choices"][0]["message"]["content"] == SAID


def test_the_ledger_has_the_call(made, sim, colour, tmp_path):
    own = made(routes=ROUTES, ledger=f"sqlite:///{tmp_path}/l.sqlite3")
    _, last = Asked(own, sim, colour).chat()
    assert own.flush(20)
    (row,) = own.ledger.calls()
    assert (row.call_id, row.route, row.outcome, row.model_asked) == (last.call_id, MODEL, "success", MODEL)


def test_a_stream_that_is_left_is_abandoned_and_billed_for_what_came(asked, sim):
    setup = asked()
    client = setup.openai()
    options = {"model": MODEL, "messages": ASK, "stream": True}

    def leave():
        with client.chat.completions.create(**options) as stream:
            next(iter(stream))

    async def leave_async():
        async with await client.chat.completions.create(**options) as stream:
            await anext(aiter(stream))

    _, last = setup.run(leave if setup.colour == "sync" else leave_async)
    assert last.attempts[0].outcome == "abandoned"
    assert last.usage.source == "estimated"


@pytest.mark.parametrize("stream", [False, True])
def test_of_two_attempts_at_once_the_winners_answer_is_handed_on(made, sim, stream):
    # Both are relayed, and the slower one answers too.
    setup = Asked(made(hedge={"delay": 0.05}, routes={}), sim, "async")
    sim.script(Slow(headers=0.3))
    answer, last = setup.chat(stream=stream)
    assert text_of(answer) == SAID
    assert [attempt.outcome for attempt in last.attempts] == ["cancelled", "success"]

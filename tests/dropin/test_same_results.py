"""With `init()` in force the official SDKs give what they give without it: beyond the calls of tests/sdks, which are run
both ways too, the other ways to call, and what goes wrong."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import pytest

from aistrale.testing import Broken, Fault, Slow
from tests.dropin.asking import MODELS, PROVIDERS, Asker, ask_no_registry, need_covered
from tests.sdks.judging import QUESTION, WEATHER
from tests.sdks.observed import Comparing

ASK = [{"role": "user", "content": QUESTION}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": WEATHER}}]
STAINLESS = ["openai", "anthropic", "groq"]
TRIED_TWICE = {"retry": {"attempts": 2, "base": 0.001}, "limits": False}


@pytest.fixture(params=["sync", "async"])
def judge(request, sim, tmp_path):
    return Comparing(request.param, sim, tmp_path)


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)


@asynccontextmanager
async def client(provider, judge, sim, **options):
    need_covered(provider)
    asker = Asker(provider, judge, sim, **options)
    try:
        yield judge.pick(asker.client, asker.client.aio) if provider == "gemini" else asker.client
    finally:
        await asker.close()


def asked(provider):
    """The method of a client's resource that makes a model call, and what it takes."""
    if provider == "anthropic":
        return "messages", {"model": MODELS[provider], "max_tokens": 500, "messages": ASK}
    return "chat.completions", {"model": MODELS[provider], "messages": ASK}


def resource(ai, path):
    for name in path.split("."):
        ai = getattr(ai, name)
    return ai


def call_of(provider, ai, *, streamed):
    """A function that makes the call, for the clients of all SDKs."""
    if provider == "gemini":
        name = "generate_content_stream" if streamed else "generate_content"
        return lambda: getattr(ai.models, name)(model=MODELS[provider], contents=QUESTION)
    if provider == "huggingface":
        return lambda: ai.chat_completion(model=MODELS[provider], messages=ASK, stream=streamed)
    path, arguments = asked(provider)
    options = {"stream": True} if streamed else {}
    return lambda: resource(ai, path).create(**arguments, **options)


# --- other ways to call -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", STAINLESS)
@pytest.mark.parametrize("streamed", [False, True])
def test_raw_responses(provider, streamed, judge, sim):
    async def body():
        path, arguments = asked(provider)
        async with client(provider, judge, sim) as ai:
            raw = resource(ai, path).with_raw_response
            options = {"stream": True} if streamed else {}
            response = await judge.get(raw.create(**arguments, **options))
            assert response.http_request.url.host == "127.0.0.1"
            judge.note(response.http_version)
            if streamed:
                assert len(await judge.all(response.parse())) > 3
            else:
                assert response.elapsed.total_seconds() > 0
                await judge.get(response.parse())
                await judge.get(response.text() if callable(response.text) else response.text)

    judge.run(body)


WAYS = ["parse", "text", "read", "iter_bytes", "iter_text", "iter_lines"]


@pytest.mark.parametrize("provider", STAINLESS)
@pytest.mark.parametrize(
    ("way", "streamed"), [("json", False), *((way, flag) for way in WAYS for flag in (False, True))]
)
def test_streaming_responses(provider, way, streamed, judge, sim):
    async def body():
        path, arguments = asked(provider)
        async with client(provider, judge, sim) as ai:
            opened = resource(ai, path).with_streaming_response
            options = {"stream": True} if streamed else {}
            async with judge.inside(opened.create(**arguments, **options)) as response:
                got = await judge.unseen(getattr(response, way)())
                if way == "parse":
                    await judge.all(got) if streamed else judge.note(got)
                    return
                if hasattr(got, "__aiter__"):
                    got = [piece async for piece in got]
                elif way.startswith("iter"):
                    got = list(got)
                # Where the pieces are cut is the network's choice.
                judge.note(got if way == "iter_lines" or not isinstance(got, list) else joined(got))

    judge.run(body)


def joined(pieces):
    return pieces[0][:0].join(pieces)


@pytest.mark.parametrize("path", ["chat.completions", "responses"])
def test_helpers_of_openai_for_streams(path, judge, sim):
    async def body():
        async with client("openai", judge, sim) as ai:
            chat = path == "chat.completions"
            arguments = {"messages": ASK, "tools": [strict(TOOLS[0])]} if chat else {"input": QUESTION}
            stream = resource(ai.with_options(timeout=30), path).stream(model=MODELS["openai"], **arguments)
            async with judge.inside(stream) as events:
                assert len(await judge.all(events)) > 3
                await judge.get(events.get_final_completion() if chat else events.get_final_response())

    judge.run(body)


def strict(tool):
    return {"type": "function", "function": {**tool["function"], "strict": True}}


def test_helpers_of_anthropic_for_streams(judge, sim):
    async def body():
        path, arguments = asked("anthropic")
        tools = [{"name": "weather", "description": "Forecast.", "input_schema": WEATHER}]
        async with client("anthropic", judge, sim) as ai:
            for extra in ({}, {"tools": tools}, {"thinking": {"type": "adaptive"}}):
                async with judge.inside(resource(ai.copy(), path).stream(**arguments, **extra)) as stream:
                    assert await judge.all(stream)
                    await judge.get(stream.get_final_message())
                async with judge.inside(ai.messages.stream(**arguments, **extra)) as stream:
                    await judge.all(stream.text_stream)
                    judge.note(stream.request_id)
            await judge.get(ai.beta.messages.create(**arguments, betas=["context-management-2025-06-27"]))
            assert "context-management-2025-06-27" in sim.last.headers["anthropic-beta"]
            await judge.get(ai.messages.count_tokens(model=arguments["model"], messages=ASK))

    judge.run(body)


def weather(city: str, days: int) -> str:
    """Forecast."""
    return f"rain in {city} for {days} days"


# Earlier ones of Google's SDKs do not take postponed annotations.
weather.__annotations__ = {"city": str, "days": int, "return": str}


def test_functions_that_googles_sdk_calls_by_itself(judge, sim):
    async def body():
        async with client("gemini", judge, sim) as ai:
            config = {"tools": [weather]}
            stream = ai.models.generate_content_stream(model=MODELS["gemini"], contents=QUESTION, config=config)
            assert await judge.all(stream)
            begun = len(sim.requests)
            await judge.get(ai.models.generate_content(model=MODELS["gemini"], contents=QUESTION, config=config))
            assert len(sim.requests) == begun + 2

    judge.run(body)


def test_chats_of_google(judge, sim):
    async def body():
        async with client("gemini", judge, sim) as ai:
            chat = ai.chats.create(model=MODELS["gemini"])
            await judge.get(chat.send_message("My name is Ada."))
            assert await judge.all(chat.send_message_stream("Who am I?"))
            judge.note(chat.get_history())

    judge.run(body)


def test_embeddings_of_all_who_have_them(judge, sim):
    async def body():
        async with client("openai", judge, sim) as ai:
            raw = ai.embeddings.with_raw_response
            judge.note((await judge.get(raw.create(model="text-embedding-3-small", input=["one", "two"]))).parse())
        async with client("groq", judge, sim) as ai:
            await judge.get(ai.embeddings.create(model="nomic-embed-text-v1_5", input="one"))
        async with client("gemini", judge, sim) as ai:
            for contents in ("one", ["one", "two"]):
                await judge.get(ai.models.embed_content(model="gemini-embedding-001", contents=contents))
        async with client("huggingface", judge, At(sim, "huggingface", FEATURES)) as ai:
            await judge.get(ai.feature_extraction("one", normalize=True))

    judge.run(body)


FEATURES = "/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction"


class At:
    """A simulator with more in the path of a provider's base URL, or another address."""

    def __init__(self, sim, provider, path, url=None):
        self.base = (url or sim.base_url(provider)) + path

    def base_url(self, _):
        return self.base


def test_what_is_no_model_call_passes(judge, sim):
    async def body():
        for provider in ("openai", "anthropic", "groq"):
            async with client(provider, judge, sim) as ai:
                page = await judge.get(ai.models.list())
                judge.note([model.model_dump(mode="json") for model in page.data])
        async with client("gemini", judge, sim) as ai:
            await judge.get(ai.models.count_tokens(model=MODELS["gemini"], contents=QUESTION))

    judge.run(body)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_also_after_they_were_tried_again(provider, status, streamed, judge, sim):
    judge.set_up(**TRIED_TWICE)

    async def body():
        sim.outage(step=Fault(status=status))
        options = {"max_retries": 0} if provider in STAINLESS else {}
        async with client(provider, judge, sim, **options) as ai:
            await judge.failure(call_of(provider, ai, streamed=streamed))

    judge.run(body)
    # Groq's word for these is that this service tier is full, which does not pass with another attempt.
    full = provider == "groq" and status in {503, 529}
    assert len(sim.requests) == (2 if status in {429, 500, 502, 503, 529} and not full else 1)


@pytest.mark.parametrize("provider", STAINLESS)
def test_the_sdks_do_not_try_again_what_was_tried_again(provider, judge, sim):
    async def body():
        sim.outage(step=Fault(status=500, headers={"retry-after-ms": "1"}))
        async with client(provider, judge, sim) as ai:
            await judge.failure(call_of(provider, ai, streamed=False))

    judge.set_up(**TRIED_TWICE)
    judge.run(body)
    assert [one.headers["x-stainless-retry-count"] for one in sim.requests] == ["0", "0"]


@pytest.mark.parametrize("provider", STAINLESS)
def test_what_an_application_says_to_be_its_attempts_is_no_attempt_of_the_sdk(provider, judge, sim):
    async def body():
        path, arguments = asked(provider)
        options = {"extra_headers": {"x-stainless-retry-count": "42"}}
        sim.script(Broken(wreck="reset"))
        async with client(provider, judge, sim, max_retries=0) as ai:
            create = resource(ai, path).create
            await judge.failure(lambda: create(**arguments, **options), only=("class", "bases"))
            await judge.get(create(**arguments, **options))

    judge.run(body)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["rate_limit", "overloaded", "server", "invalid_request"])
def test_errors_within_streams(provider, kind, judge, sim):
    async def body():
        sim.script(Broken(wreck="error_midway", error=Fault(kind=kind, message="Not now.")))
        async with client(provider, judge, sim) as ai:
            error = await judge.failure(call_of(provider, ai, streamed=True))
            assert "Not now." in str(error)

    judge.run(body)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_is_not_there(provider, streamed, judge, sim):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = At(sim, provider, "/v1", f"http://127.0.0.1:{taken.getsockname()[1]}")
        options = {"max_retries": 0} if provider in STAINLESS else {}

        async def body():
            async with client(provider, judge, nowhere, **options) as ai:
                # Not what is said and what is beneath it: that is up to whose connection it was.
                await judge.failure(call_of(provider, ai, streamed=streamed), only=("class", "bases"))

        judge.elsewhere = 1
        judge.run(body)


@pytest.mark.parametrize("provider", STAINLESS)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_takes_longer_than_the_caller_waits(provider, streamed, judge, sim):
    async def body():
        sim.script(Slow(headers=5))
        async with client(provider, judge, sim, max_retries=0, timeout=0.3) as ai:
            await judge.failure(call_of(provider, ai, streamed=streamed))

    judge.run(body)

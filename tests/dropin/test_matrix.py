"""The main uses of whatever versions of the official SDKs are installed: with `init()` in force they give the same.

The session `sdks` of the noxfile runs this with each SDK's newest release and the last of each earlier major line.
"""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager

import pytest

import aistrale
from aistrale.dropin import patch
from aistrale.testing import Broken, Fault
from tests.dropin.asking import MODELS, PROVIDERS, Asker, ask_no_registry, need_covered, release_of
from tests.sdks.judging import QUESTION, TWO, WEATHER, Judge
from tests.sdks.observed import Comparing, check_same, described, described_error

ASK = "Say hello, please."
ANSWER = "This is a simulated answer to: Say hello, please."
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["name", "population"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": WEATHER}}]

# google-genai derives from a class of aiohttp that says not to.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture(params=["sync", "async"])
def judge(request, sim, tmp_path):
    return Comparing(request.param, sim, tmp_path)


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)


@pytest.fixture(params=PROVIDERS)
def provider(request):
    need_covered(request.param)
    return request.param


@asynccontextmanager
async def client(provider, judge, sim, **options):
    asker = Asker(provider, judge, sim, **options)
    try:
        yield judge.pick(asker.client, asker.client.aio) if provider == "gemini" else asker.client
    finally:
        await asker.close()


def asked(provider, ai, text, *, streamed=False, tools=False, schema=False):
    """The result of one call, in the words of each SDK."""
    model = MODELS[provider]
    if provider == "gemini":
        config = {"automatic_function_calling": {"disable": True}}
        if tools:
            function = {"name": "weather", "description": "Forecast.", "parameters": googles(WEATHER)}
            config["tools"] = [{"function_declarations": [function]}]
        if schema:
            config |= {"response_mime_type": "application/json", "response_schema": googles(CITY)}
        method = ai.models.generate_content_stream if streamed else ai.models.generate_content
        return method(model=model, contents=text, config=config)
    options = {"model": model, "messages": [{"role": "user", "content": text}]}
    if streamed:
        options["stream"] = True
    if provider == "anthropic":
        options["max_tokens"] = 500
        if tools:
            options["tools"] = [{"name": "weather", "description": "Forecast.", "input_schema": WEATHER}]
        if schema:
            options["extra_body"] = {"output_config": {"format": {"type": "json_schema", "schema": CITY}}}
        return ai.messages.create(**options)
    if tools:
        options["tools"] = TOOLS
    if schema:
        named = {"name": "city", "schema": CITY, "strict": True}
        options["response_format"] = {"type": "json_schema", "json_schema": named}
    return ai.chat_completion(**options) if provider == "huggingface" else ai.chat.completions.create(**options)


def googles(schema):
    return {name: value for name, value in schema.items() if name != "additionalProperties"}


async def told(provider, judge, result, *, streamed):
    """Text and tool calls of a whole answer, or of the chunks of a stream."""
    found = await judge.all(result) if streamed else [await judge.get(result)]
    read = {"gemini": of_gemini, "anthropic": of_anthropic}.get(provider, of_chat)
    texts, calls = [], {}
    for number, item in enumerate(found):
        read(item, number, texts, calls)
    return "".join(texts), [json.loads(arguments) for arguments in calls.values()]


def of_gemini(item, number, texts, calls):
    for candidate in item.candidates or []:
        for index, part in enumerate((candidate.content.parts if candidate.content else None) or []):
            texts.append(part.text or "")
            if part.function_call:
                calls[number, index] = json.dumps(part.function_call.args)


def of_anthropic(item, _, texts, calls):
    if item.type == "message":
        texts += [block.text for block in item.content if block.type == "text"]
        calls |= {block.id: json.dumps(block.input) for block in item.content if block.type == "tool_use"}
    elif item.type == "content_block_delta":
        texts.append(getattr(item.delta, "text", ""))
        if item.delta.type == "input_json_delta":
            calls[item.index] = calls.get(item.index, "") + item.delta.partial_json


def of_chat(item, _, texts, calls):
    for choice in item.choices:
        said = getattr(choice, "message", None) or choice.delta
        texts.append(said.content or "")
        for position, call in enumerate(said.tool_calls or []):
            index = getattr(call, "index", None)
            place = position if index is None else index
            calls[place] = calls.get(place, "") + (call.function.arguments or "")


# --- what is covered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_text(provider, streamed, judge, sim):
    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, ASK, streamed=streamed)
            assert await told(provider, judge, result, streamed=streamed) == (ANSWER, [])

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(provider, streamed, judge, sim):
    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, TWO, streamed=streamed, tools=True)
            _, calls = await told(provider, judge, result, streamed=streamed)
            assert [call["city"] for call in calls] == ["Paris", "Rome"]

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output(provider, streamed, judge, sim):
    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, QUESTION, streamed=streamed, schema=True)
            text, _ = await told(provider, judge, result, streamed=streamed)
            assert json.loads(text).keys() == {"name", "population"}

    judge.run(body)


@pytest.mark.parametrize("streamed", [False, True])
def test_responses_of_openai(streamed, judge, sim):
    release_of("openai")

    async def body():
        async with client("openai", judge, sim) as ai:
            options = {"stream": True} if streamed else {}
            result = ai.responses.create(model=MODELS["openai"], input=ASK, **options)
            answer = (await judge.all(result))[-1].response if streamed else await judge.get(result)
            assert answer.output_text == ANSWER

    judge.run(body)


def test_embeddings(provider, judge, sim):
    if provider == "anthropic":
        pytest.skip("Anthropic has no embeddings")

    async def body():
        if provider == "huggingface":
            url = sim.base_url(provider) + "/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction"
            async with client(provider, judge, At(url)) as ai:
                assert (await judge.get(ai.feature_extraction("one"))).shape == (1, 64)
            return
        async with client(provider, judge, sim) as ai:
            if provider == "gemini":
                embed = ai.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])
                assert len((await judge.get(embed)).embeddings) == 2
            else:
                embed = ai.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
                assert len((await judge.get(embed)).data) == 2

    judge.run(body)


class At:
    """An address instead of a simulator."""

    def __init__(self, url):
        self.url = url

    def base_url(self, _):
        return self.url


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(provider, status, streamed, judge, sim):
    async def body():
        sim.script(Fault(status=status))
        options = {"max_retries": 0} if provider in {"openai", "anthropic", "groq"} else {}
        async with client(provider, judge, sim, **options) as ai:
            await judge.failure(lambda: asked(provider, ai, ASK, streamed=streamed))

    judge.run(body)


def test_an_error_within_a_stream(provider, judge, sim):
    async def body():
        sim.script(Broken(wreck="error_midway", error=Fault(kind="overloaded", message="Not now.")))
        async with client(provider, judge, sim) as ai:
            error = await judge.failure(lambda: asked(provider, ai, ASK, streamed=True))
            assert "Not now." in str(error)

    judge.run(body)


# --- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_sdk_that_cannot_be_covered_is_named_and_works_on(colour, sim, caplog, monkeypatch):
    if release_of("huggingface") >= (1, 0):
        pytest.skip("from 1.0 on it is covered")
    if colour == "async":
        pytest.importorskip("aiohttp")
    judge = Judge(colour)
    monkeypatch.setattr(patch, "_warned", set())

    async def results():
        seen = []
        async with client("huggingface", judge, sim) as ai:
            seen += map(described, await judge.all(asked("huggingface", ai, ASK, streamed=True)))
            seen.append(described(await judge.get(asked("huggingface", ai, ASK))))
            sim.script(Fault(status=400))
            with pytest.raises(Exception, match=r"Bad [Rr]equest") as caught:
                await judge.get(asked("huggingface", ai, ASK))
            told = described_error(caught.value)
            seen.append([told["class"], told["text"]])
        return seen

    without = judge.run(results)
    sim.reset()
    with caplog.at_level(logging.WARNING, "aistrale.dropin"):
        aistrale.init(ledger="off")
    try:
        check_same(judge.run(results), without)
        assert aistrale.last_call() is None
    finally:
        aistrale.shutdown()
    assert ["huggingface_hub below 1.0" in record.getMessage() for record in caplog.records] == [True]

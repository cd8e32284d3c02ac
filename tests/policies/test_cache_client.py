"""The cache and the ladder in a whole client: what the answer, its cost and the ledger say."""

from __future__ import annotations

import asyncio
import gc

import anyio
import pytest
import trio

import aistrale
from aistrale.core.pipeline import Pipeline
from aistrale.core.send import send
from aistrale.policies.cache import AnswerCache, Cache, CacheSettings
from aistrale.policies.degrade import Degrade, DegradeSettings
from aistrale.testing import Fault, Slow, simulator
from aistrale.types import Request


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


MODEL = "openai/gpt-5-mini"


@pytest.fixture
def client(running):
    running.reset()
    made = aistrale.Client(**{**running.settings(), "retry": False})
    answers = AnswerCache(CacheSettings(ttl=0.0, stale=3600.0))
    fresh = AnswerCache(CacheSettings(ttl=3600.0))
    made.use = lambda **policies: install(made, policies)
    made.stale = {"cache": Cache(answers), "degrade": Degrade(DegradeSettings(), answers, made._engine.target)}
    made.fresh = {"cache": Cache(fresh)}
    yield made
    made.close()


def install(client, policies):
    """The client's own pipeline with these policies at their places."""
    places = [(name, policies.get(name, policy)) for name, policy in client._engine.pipeline.places]
    client._engine.pipeline = Pipeline(places, send)


def rows(client):
    assert client.flush()
    calls = list(reversed(client.ledger.calls(20)))
    return calls, [client.ledger.attempts(call.call_id) for call in calls]


def test_a_hit_costs_nothing_and_has_a_row_of_its_own(client, running):
    client.use(**client.fresh)
    first = client.run("Hi", model=MODEL)
    second = client.run("Hi", model=MODEL)
    with client.stream("Hi", model=MODEL) as stream:
        text = "".join(stream.texts())
    third = stream.completion
    assert len(running.requests) == 1
    assert first.text == second.text == text == third.text
    for hit in (second, third):
        assert (hit.degraded, hit.attempts, str(hit.cost.usd), hit.cost.reason) == ("cache", [], "0", "cached")
        assert (hit.target, hit.provider, hit.usage) == (MODEL, "openai", first.usage)
        assert hit.call_id != first.call_id
    calls, attempts = rows(client)
    assert [(call.outcome, call.attempts, call.degraded) for call in calls] == [
        ("success", 1, None),
        ("success", 0, "cache"),
        ("success", 0, "cache"),
    ]
    assert [(call.cost, call.input, call.provider) for call in calls[1:]] == [("0", None, None)] * 2
    # What the one exchange had cost is what each remembered answer saved.
    assert [call.avoided for call in calls] == [None, calls[0].cost, calls[0].cost]
    assert attempts[0][0].book == first.cost.book
    assert [len(each) for each in attempts] == [1, 0, 0]
    assert client.ledger.open_intents() == []


@pytest.mark.parametrize("run", [lambda body: asyncio.run(body()), trio.run], ids=["asyncio", "trio"])
def test_the_async_client_shares_the_memory(client, running, run):
    client.use(**client.fresh)

    async def body():
        face = client.as_async()
        answers = []

        async def ask():
            answers.append(await face.run("Hi", model=MODEL))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        async with face.stream("Hi", model=MODEL) as stream:
            answers.append(await stream.result())
        await face.close()
        return answers

    answers = run(body)
    answers.append(client.run("Hi", model=MODEL))
    assert len(running.requests) == 1
    assert len({answer.text for answer in answers}) == 1
    assert sorted(str(answer.degraded) for answer in answers) == ["None", *["cache"] * 6]
    assert [answer.cost.usd > 0 for answer in answers].count(True) == 1
    assert [len(each) for each in rows(client)[1]].count(1) == 1


def test_a_streamed_answer_is_remembered_when_it_was_read(client, running):
    client.use(**client.fresh)
    stream = client.stream("one two three", model=MODEL)
    next(stream)
    del stream
    gc.collect()
    client.stream("one two three", model=MODEL).result()
    assert client.run("one two three", model=MODEL).degraded == "cache"
    assert len(running.requests) == 2


def test_a_document_of_a_hit_is_validated_like_any_other(client, running):
    client.use(**client.fresh)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    first = client.run("Hi", model=MODEL, output=schema)
    second = client.run("Hi", model=MODEL, output=schema)
    with client.stream("Hi", model=MODEL, output=schema) as stream:
        third = stream.result()
    assert second.output == third.output == first.output
    assert (second.output_mode, third.output_mode) == (first.output_mode, first.output_mode)
    assert len(running.requests) == 1


def test_embeddings_hit(client, running):
    client.use(**client.fresh)
    model = "openai/text-embedding-3-small"
    first, second = (client.embed(["a", "b"], model=model) for _ in range(2))
    assert second.vectors == first.vectors
    assert (second.degraded, str(second.cost.usd), second.target) == ("cache", "0", model)
    assert len(running.requests) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_an_outage_is_bridged_by_the_remembered_answer_and_all_attempts_are_recorded(client, running, streamed):
    client.use(**client.stale)
    fresh = client.run("Hi", model=MODEL)
    running.outage("openai", Fault(status=503))
    answer = client.stream("Hi", model=MODEL).result() if streamed else client.run("Hi", model=MODEL)
    assert (answer.text, answer.degraded, answer.target) == (fresh.text, "stale_cache", MODEL)
    assert [(each.outcome, each.status) for each in answer.attempts] == [("error", 503)]
    call = rows(client)[0][-1]
    assert (call.outcome, call.degraded, call.attempts) == ("success", "stale_cache", 1)


def test_an_outage_of_one_model_is_bridged_by_a_cheaper_one(client, running):
    client.use(degrade=Degrade(DegradeSettings(model="openai/gpt-5-nano"), None, client._engine.target))
    running.script(Fault(status=503), provider="openai")
    answer = client.run("Hi", model=MODEL)
    assert (answer.degraded, answer.target) == ("smaller_model", "openai/gpt-5-nano")
    assert [each.outcome for each in answer.attempts] == ["error", "success"]
    assert answer.cost.usd > 0
    calls, attempts = rows(client)
    assert (calls[0].provider, calls[0].model) == ("openai", attempts[0][1].response_model or "gpt-5-nano")
    assert [each.target for each in attempts[0]] == [MODEL, "openai/gpt-5-nano"]


def test_a_canned_answer_bridges_a_deadline(client, running):
    client.use(degrade=Degrade(DegradeSettings(canned="Later, please."), None, client._engine.target))
    running.outage("openai", Slow(headers=5.0))
    answer = client.run("Hi", model=MODEL, deadline=0.2)
    assert (answer.text, answer.degraded, answer.provider) == ("Later, please.", "canned", "")
    assert [each.error for each in answer.attempts] == ["DeadlineExceeded"]


def test_what_is_sent_to_the_function_is_the_request(client, running):
    seen = []

    def canned(request):
        seen.append(request)
        return "Later, please."

    client.use(degrade=Degrade(DegradeSettings(canned=canned), None, client._engine.target))
    running.outage("openai")
    client.run("Hi", model=MODEL, max_tokens=500)
    assert type(seen[0]) is Request
    assert (seen[0].max_tokens, seen[0].messages[-1].text) == (500, "Hi")

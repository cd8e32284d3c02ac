"""Redaction under the official SDKs: originals never leave, placeholders never reach the application."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import aistrale
from aistrale.dropin.last import last_call
from aistrale.testing import Broken, Fault, Say
from tests.dropin.asking import MODELS, PROVIDERS, Asker, ask_no_registry, need_covered, release_of
from tests.dropin.test_matrix import asked, told
from tests.sdks.judging import Judge

EMAIL = "canary.person@example.com"
CARD = "4111 1111 1111 1111"
PROMPT = f"Write to {EMAIL} about card {CARD}, please."
SAID = "Dear [[EMAIL_1]], your card [[CARD_1]] is fine."
RESTORED = f"Dear {EMAIL}, your card {CARD} is fine."
CANARIES = (EMAIL, "canary.person", CARD)

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)


@pytest.fixture(params=PROVIDERS)
def provider(request):
    need_covered(request.param)
    return request.param


@pytest.fixture
def begin(sim, tmp_path):
    """Switch the drop-in on."""

    def init(**settings):
        ledger = f"sqlite:///{tmp_path}/ledger.sqlite3"
        return aistrale.init(**{**sim.settings(), "ledger": ledger, "retry": False, "privacy": "redact", **settings})

    yield init
    aistrale.shutdown()


@asynccontextmanager
async def client(provider, judge, sim):
    asker = Asker(provider, judge, sim)
    try:
        yield judge.pick(asker.client, asker.client.aio) if provider == "gemini" else asker.client
    finally:
        await asker.close()


def sent(sim):
    """Everything that arrived of each request."""
    return [
        json.dumps([received.body, received.path, received.headers], ensure_ascii=False) for received in sim.requests
    ]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_there_and_back(begin, provider, judge, sim, streamed):
    begin()
    sim.script(Say(text=SAID))

    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, PROMPT, streamed=streamed)
            return await told(provider, judge, result, streamed=streamed)

    assert judge.run(body) == (RESTORED, [])
    (request,) = sent(sim)
    assert "[[EMAIL_1]]" in request
    assert not any(canary in request for canary in CANARIES)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_arguments_of_tools(begin, provider, judge, sim, streamed):
    begin()
    sim.script(Say(tool_calls=[("weather", {"city": 'near "[[EMAIL_1]]"', "days": 2}),
                                ("weather", {"city": "[[CARD_1]]", "days": 3})]))  # fmt: skip

    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, PROMPT, streamed=streamed, tools=True)
            return await told(provider, judge, result, streamed=streamed)

    _, calls = judge.run(body)
    assert calls == [{"city": f'near "{EMAIL}"', "days": 2}, {"city": CARD, "days": 3}]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_the_responses_of_openai(begin, judge, sim, streamed):
    release_of("openai")
    begin()
    sim.script(Say(text=SAID))

    async def body():
        async with client("openai", judge, sim) as ai:
            options = {"stream": True} if streamed else {}
            result = ai.responses.create(
                model=MODELS["openai"], input=PROMPT, instructions=f"Help {EMAIL}.", metadata={"who": EMAIL}, **options
            )
            if not streamed:
                return [await judge.get(result)]
            return await judge.all(result)

    items = judge.run(body)
    answer = items[-1].response if streamed else items[0]
    assert answer.output_text == RESTORED
    assert answer.instructions == f"Help {EMAIL}."
    assert "[[" not in "".join(item.model_dump_json() for item in items)
    (request,) = sent(sim)
    assert not any(canary in request for canary in CANARIES)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_another_vendors_answer(begin, judge, sim, streamed):
    release_of("openai")
    begin(routes={MODELS["openai"]: [f"openai/{MODELS['openai']}", f"anthropic/{MODELS['anthropic']}"]})
    sim.outage("openai")
    sim.script(Say(text=SAID), provider="anthropic")

    async def body():
        async with client("openai", judge, sim) as ai:
            result = asked("openai", ai, PROMPT, streamed=streamed)
            return await told("openai", judge, result, streamed=streamed)

    assert judge.run(body) == (RESTORED, [])
    requests = sent(sim)
    assert len(requests) == 2
    assert not any(canary in request for canary in CANARIES for request in requests)


def test_embeddings(begin, judge, sim):
    release_of("openai")
    begin()

    async def body():
        async with client("openai", judge, sim) as ai:
            return await judge.get(ai.embeddings.create(model="text-embedding-3-small", input=[PROMPT, "plain"]))

    assert len(judge.run(body).data) == 2
    assert not any(canary in sent(sim)[0] for canary in CANARIES)


def test_only_the_texts_of_a_request_differ(begin, judge, sim):
    release_of("openai")
    message = {"role": "user", "content": [{"type": "text", "text": PROMPT, "unknown": 1.50}], "odd": [None, True]}

    async def body():
        async with client("openai", judge, sim) as ai:
            await judge.get(ai.chat.completions.create(model=MODELS["openai"], messages=[message],
                                                       extra_body={"new_field": {"b": 1, "a": 2}}))  # fmt: skip

    judge.run(body)
    begin()
    judge.run(body)
    plain, redacted = (json.dumps(received.body, ensure_ascii=False) for received in sim.requests)
    assert redacted == plain.replace(EMAIL, "[[EMAIL_1]]").replace(CARD, "[[CARD_1]]")


def test_an_answer_keeps_what_it_had(begin, judge, sim):
    release_of("openai")

    async def body():
        async with client("openai", judge, sim) as ai:
            made = ai.chat.completions.with_raw_response.create(
                model=MODELS["openai"], messages=[{"role": "user", "content": "Hello"}]
            )
            return await judge.get(made)

    plain = judge.run(body)
    begin()
    touched = judge.run(body)
    assert touched.text == plain.text if isinstance(plain.text, str) else touched.text() == plain.text()
    kept = {name for name in plain.headers if name not in {"date", "content-length", "x-request-id"}}
    assert kept <= set(touched.headers)


STEPS = [
    None,
    Fault(status=400, message=f"Bad prompt: {PROMPT}"),
    Fault(status=500),
    Broken(wreck="bad_json"),
    Broken(wreck="error_midway"),
    Broken(wreck="truncate"),
    Broken(wreck="reset"),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: repr(step)[:32])
def test_canaries(begin, provider, sim, tmp_path, caplog, capfd, step, streamed):  # noqa: PLR0917 - fixtures and table
    caplog.set_level(logging.DEBUG, logger="aistrale")
    judge = Judge("sync")
    own = begin(cache={"ttl": 60, "store": f"sqlite:///{tmp_path}/cache.sqlite3"})
    sim.script(Say(text=SAID) if step is None else step)
    errors, lasts = [], []

    async def body():
        async with client(provider, judge, sim) as ai:
            try:
                result = asked(provider, ai, PROMPT, streamed=streamed)
                await told(provider, judge, result, streamed=streamed)
            finally:
                lasts.append(last_call())

    try:
        judge.run(body)
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises
        errors.append(error)
    own.flush()
    (last,) = lasts
    things = [own, own.pipeline, own._engine.settings, own._engine.protection, last, *own.ledger.calls(5)]
    for call in own.ledger.calls(5):
        things += own.ledger.attempts(call.call_id)
    vault = last._call.vault
    things += [vault, last._call.inbound]
    out, err = capfd.readouterr()
    text = "\n".join([*map(repr, things), caplog.text, out, err])
    if step is None or step.__class__ is Broken:
        # A provider's own words are the SDK's to tell.
        text += "".join(str(error) + "".join(traceback.format_exception(error)) for error in errors)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for canary in CANARIES:
        assert canary not in text
        assert not any(canary.encode() in content for content in files)
        assert not any(canary in request for request in sent(sim))
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            refuse(vault)
    with pytest.raises(TypeError):
        pickle.Pickler(io.BytesIO()).dump({"vault": vault})
    assert Path(tmp_path, "ledger.sqlite3").exists()

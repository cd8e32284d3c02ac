"""Optimisation under the official SDKs: what leaves is shorter, and redacted all the same."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

import aistrale
from aistrale.core.pipeline import Pipeline
from aistrale.core.send import send
from aistrale.cost.optimization.optimizer import Optimizer, OptimizeSettings
from aistrale.default import get_engine
from aistrale.policies.optimize import Optimize
from aistrale.testing import Fault, Say
from tests.dropin.asking import MODELS, PROVIDERS, Asker, ask_no_registry, need_covered
from tests.dropin.test_matrix import asked, told
from tests.sdks.judging import Judge

EMAIL = "canary.person@example.com"
ROWS = [{"id": number, "name": f"item {number}"} for number in range(20)]
PRETTY = json.dumps(ROWS, indent=4)
SHORT = json.dumps(ROWS, separators=(",", ":"))

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
    """Switch the drop-in on, with every call that can be changed changed."""

    def init(*, optimize=None, **settings):
        ledger = f"sqlite:///{tmp_path}/ledger.sqlite3"
        aistrale.init(**{**sim.settings(), "ledger": ledger, "retry": False, "privacy": "redact", **settings})
        engine = get_engine()
        # More than a setting may be, so that no draw decides.
        optimizer = Optimizer(OptimizeSettings(**(optimize or {"compact": True}), share=1.0, max_share=1.0))
        rules = {name: route.rule for name, route in engine.settings.routes.items()}
        policy = Optimize(optimizer, engine.target, rules)
        places = [(name, policy if name == "optimize" else own) for name, own in engine.pipeline.places]
        engine.pipeline = Pipeline(places, send)
        return optimizer

    yield init
    aistrale.shutdown()


@asynccontextmanager
async def client(provider, judge, sim, **options):
    asker = Asker(provider, judge, sim, **options)
    try:
        yield judge.pick(asker.client, asker.client.aio) if provider == "gemini" else asker.client
    finally:
        await asker.close()


def sent(sim):
    return [json.dumps(received.body, ensure_ascii=False) for received in sim.requests]


def prompt(text):
    """How a text stands in a body."""
    return json.dumps(text)[1:-1]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_what_leaves_is_shorter_and_redacted(begin, provider, judge, sim, streamed):
    optimizer = begin()
    sim.script(Say(text="Dear [[EMAIL_1]], done."))

    async def body():
        async with client(provider, judge, sim) as ai:
            result = asked(provider, ai, f"Write to {EMAIL} about\n\n{PRETTY}", streamed=streamed)
            return await told(provider, judge, result, streamed=streamed)

    assert judge.run(body) == (f"Dear {EMAIL}, done.", [])
    (request,) = sent(sim)
    assert prompt(f"Write to [[EMAIL_1]] about\n\n{SHORT}") in request
    assert EMAIL not in request
    (status,) = optimizer.status()
    assert (status.calls, status.success) == ((1, 0), (1.0, None))


def test_another_vendor_gets_it_shorter_and_redacted_too(begin, judge, sim):
    need_covered("openai")
    begin(routes={MODELS["openai"]: [f"openai/{MODELS['openai']}", f"anthropic/{MODELS['anthropic']}"]})
    sim.script(Fault(status=503), Say(text="Dear [[EMAIL_1]], done."))

    async def body():
        async with client("openai", judge, sim) as ai:
            result = asked("openai", ai, f"Write to {EMAIL} about\n\n{PRETTY}")
            return await told("openai", judge, result, streamed=False)

    assert judge.run(body) == (f"Dear {EMAIL}, done.", [])
    for request in sent(sim):
        assert prompt(f"Write to [[EMAIL_1]] about\n\n{SHORT}") in request
        assert EMAIL not in request
    assert len(sim.requests) == 2


def test_what_cannot_be_shortened_stays_redacted_for_another_vendor(begin, judge, sim):
    need_covered("openai")
    begin(routes={MODELS["openai"]: [f"openai/{MODELS['openai']}", f"anthropic/{MODELS['anthropic']}"]})
    sim.script(Fault(status=503), Say(text="Done."))

    async def body():
        async with client("openai", judge, sim) as ai:
            return await told("openai", judge, asked("openai", ai, f"Write to {EMAIL}."), streamed=False)

    assert judge.run(body) == ("Done.", [])
    assert len(sim.requests) == 2
    for request in sent(sim):
        assert "Write to [[EMAIL_1]]." in request


def test_a_signed_request_is_left_alone(begin, judge, sim):
    need_covered("openai")
    begin(privacy="off")
    sim.script(Say(text="Done."))

    async def body():
        async with client("openai", judge, sim, default_headers={"content-md5": "x"}) as ai:
            return await told("openai", judge, asked("openai", ai, PRETTY), streamed=False)

    assert judge.run(body) == ("Done.", [])
    (request,) = sent(sim)
    assert prompt(PRETTY) in request


def test_a_model_is_not_exchanged_for_a_key_that_is_not_ours(begin, judge, sim):
    need_covered("openai")
    model = f"openai/{MODELS['openai']}"
    optimizer = begin(optimize={"models": {model: "openai/gpt-6-luna"}}, providers={})
    sim.script(Say(text="Done."))

    async def body():
        async with client("openai", judge, sim) as ai:
            return await told("openai", judge, asked("openai", ai, "hi"), streamed=False)

    assert judge.run(body) == ("Done.", [])
    assert sim.requests[0].body["model"] == MODELS["openai"]
    assert optimizer.status() == []


def test_what_is_marked_for_the_providers_cache_is_left_alone(begin, judge, sim):
    need_covered("anthropic")
    begin(privacy="off")
    sim.script(Say(text="Done."))
    system = [{"type": "text", "text": PRETTY, "cache_control": {"type": "ephemeral"}}]

    async def body():
        async with client("anthropic", judge, sim) as ai:
            answer = ai.messages.create(
                model=MODELS["anthropic"],
                max_tokens=50,
                system=system,
                messages=[{"role": "user", "content": f"New: {PRETTY}"}],
            )
            return await told("anthropic", judge, answer, streamed=False)

    assert judge.run(body) == ("Done.", [])
    sent_body = sim.requests[0].body
    assert sent_body["system"] == system
    assert json.dumps(sent_body["messages"]).count(prompt(f"New: {SHORT}")) == 1

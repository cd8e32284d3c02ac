"""What aistrale itself refuses, as the SDKs tell it; and what `last_call` says about targets that were left out."""

from __future__ import annotations

import pytest

import aistrale
from aistrale.testing import simulator
from tests.dropin.asking import ASK, MODELS, PROVIDERS, Asker, ask_no_registry
from tests.sdks.judging import Judge

# google-genai derives from a class of aiohttp that says not to.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture
def sim(monkeypatch, tmp_path):
    ask_no_registry(tmp_path, monkeypatch)
    with simulator(environ=True) as running:
        yield running
        aistrale.shutdown()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_sdk_gets_our_code_in_a_header_and_the_status_that_goes_with_it(provider, colour, sim):
    judge = Judge(colour)
    client = aistrale.init(ledger="off")
    errors = []

    async def body():
        asker = Asker(provider, judge, sim, **({"max_retries": 4} if sends_again(provider) else {}))
        await asker.ask()
        # The target of the SDK's own key, which is none of the settings'.
        (place,) = client.breakers()
        client.force_breaker(place, "open")
        sent = len(sim.requests)
        try:
            await asker.ask()
        except Exception as error:  # noqa: BLE001 - each SDK has its own
            errors.append(error)
        assert len(sim.requests) == sent
        await asker.close()

    judge.run(body)
    (error,) = errors
    assert error.response.headers["x-aistrale-error"] == "aistrale_circuit_open"
    assert "circuit breaker is open" in str(error)
    assert type(error).__module__.partition(".")[0] == {"gemini": "google", "huggingface": "huggingface_hub"}.get(
        provider, provider
    )


def sends_again(provider):
    """Whether the SDK would send again by itself."""
    return provider in {"openai", "anthropic", "groq"}


def test_targets_that_cannot_be_told_or_asked_are_left_out_and_named(sim):
    openai = pytest.importorskip("openai")
    targets = ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "nobody/model", "gemini/gemini-2.5-flash"]
    aistrale.init(ledger="off", routes={"gpt-*": targets}, retry={"base": 0.001, "cap": 0.002})
    with openai.OpenAI() as client, sim.outage("openai"):
        for _ in range(2):
            client.chat.completions.create(model=MODELS["openai"], messages=ASK, n=2)
            last = aistrale.last_call()
            assert last.target == "gemini/gemini-2.5-flash"
            unknown, cannot = last.skipped
            assert unknown.startswith("nobody/model: ")
            assert cannot.startswith("anthropic/claude-haiku-4-5: n: ")
        client.chat.completions.create(model=MODELS["openai"], messages=ASK, seed=1)
        last = aistrale.last_call()
        assert last.target == "anthropic/claude-haiku-4-5"
        assert last.lossy == ["seed"]

"""What spans say of a request is what was sent, by the body that arrived."""

from __future__ import annotations

import pytest

from aistrale.telemetry.otel.attributes import sendable
from aistrale.testing.faults import Broken

EVERYTHING = {
    "seed": 3,
    "temperature": 0.7,
    "top_p": 0.5,
    "top_k": 3,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.25,
    "stop": ["a", "b", "c", "d", "e"],
    "reasoning": "low",
    "max_tokens": 2_000_000,
    "service_tier": "flex",
}
# By attribute: where the formats have it.
PLACES = {
    "gen_ai.request.max_tokens": ("max_completion_tokens", "max_tokens", "maxOutputTokens"),
    "gen_ai.request.seed": ("seed",),
    "gen_ai.request.temperature": ("temperature",),
    "gen_ai.request.top_p": ("top_p", "topP"),
    "gen_ai.request.top_k": ("top_k", "topK"),
    "gen_ai.request.frequency_penalty": ("frequency_penalty", "frequencyPenalty"),
    "gen_ai.request.presence_penalty": ("presence_penalty", "presencePenalty"),
}
MODELS = [
    "openai/gpt-5-mini",
    "openai/gpt-4.1",
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-opus-4-1",
    "gemini/gemini-2.5-flash",
    "groq/llama-3.3-70b-versatile",
    "huggingface/meta-llama/Llama-3.3-70B-Instruct",
]


def sent(body):
    settings = {**body, **body.get("generationConfig", {})}
    return {
        name: next(settings[place] for place in places if place in settings)
        for name, places in PLACES.items()
        if any(place in settings for place in places)
    }


@pytest.mark.parametrize("model", MODELS)
def test_what_a_target_was_not_sent_is_not_on_its_span(client, sim, rig, model):
    client(on_unsupported="drop").run("hi", model=model, **EVERYTHING)
    found, body = rig.attempts[0].attributes, sim.last.body
    assert {name: found[name] for name in PLACES if name in found} == sent(body)
    if "gen_ai.request.reasoning.level" in found and not model.startswith("gemini"):
        assert body["reasoning_effort"] == "low"
    if "gen_ai.request.stop_sequences" in found:
        stops = body.get("stop") or body.get("stop_sequences") or body["generationConfig"]["stopSequences"]
        assert list(found["gen_ai.request.stop_sequences"]) == stops


def test_after_a_failover_each_exchange_says_what_it_was(client, sim, rig):
    routes = {"chat": ["gemini/gemini-2.5-flash", "anthropic/claude-haiku-4-5"]}
    with sim.outage("gemini"):
        client(routes=routes, retry=None, on_unsupported="drop").run("hi", route="chat", seed=3)
    first, second = rig.attempts
    assert first.attributes["gen_ai.request.seed"] == 3
    assert "gen_ai.request.seed" not in second.attributes


def test_a_limit_that_was_filled_in_is_there(client, sim, rig):
    client().run("hi", model="anthropic/claude-haiku-4-5")
    assert rig.attempts[0].attributes["gen_ai.request.max_tokens"] == sim.last.body["max_tokens"]


@pytest.mark.parametrize("wreck", ["stall", "stall_early"])
def test_stream_that_is_broken_off_before_its_first_piece_has_a_reason(client, sim, rig, wreck):
    """Whoever counts choices finds one, if the answer had begun."""
    step = Broken(wreck=wreck, after=-1)
    with (
        sim.script(step),
        pytest.raises(TimeoutError),
        client(retry=None).stream("hi", model="openai/gpt-5-mini", deadline=0.3) as events,
    ):
        list(events)
    reasons = rig.attempts[0].attributes.get("gen_ai.response.finish_reasons")
    assert reasons == (None if wreck == "stall" else ("error",))


def test_what_can_be_sent_is_not_copied():
    plain = {"a": "b", "n": 1, "s": ("x", "y"), "f": 0.5, "t": True}
    assert sendable(plain) is plain
    assert sendable({"a\ud800": "b\udfff", "s": ("\ud800", "y")}) == {"a?": "b?", "s": ("?", "y")}

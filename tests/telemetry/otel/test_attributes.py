"""Spans of exchanges, attribute by attribute, against the convention tables: in memory and as a collector gets them."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from opentelemetry.trace import SpanKind, StatusCode

import aistrale
from aistrale.errors import AistraleError
from aistrale.telemetry.otel.modalities import modality_counts
from aistrale.testing.faults import Broken, Fault, Say, Slow
from aistrale.types import Choice, Completion, Message, ProviderPart, TextPart, ToolCallPart, Usage
from tests.telemetry.otel import tables

MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "huggingface": "meta-llama/Llama-3.3-70B-Instruct",
}
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "groq": "groq",
    "huggingface": "huggingface",
}
# What each takes: options of ours, and the attributes that they become.
ASKED = {
    "openai": (
        {"max_tokens": 64, "reasoning": "low", "service_tier": "flex"},
        {"max_tokens": 64, "reasoning.level": "low"},
    ),
    "anthropic": (
        {"max_tokens": 64, "stop": ["END", "STOP"]},
        {"max_tokens": 64, "stop_sequences": ("END", "STOP")},
    ),
    "gemini": (
        {"max_tokens": 64, "temperature": 1, "top_p": 0.9, "top_k": 7, "seed": 3, "frequency_penalty": 1},
        {"max_tokens": 64, "temperature": 1.0, "top_p": 0.9, "top_k": 7, "seed": 3, "frequency_penalty": 1.0},
    ),
    "groq": (
        {"max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": "END"},
        {"max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop_sequences": ("END",)},
    ),
    "huggingface": (
        {"max_tokens": 64, "temperature": 0.5, "seed": 3, "presence_penalty": 1},
        {"max_tokens": 64, "temperature": 0.5, "seed": 3, "presence_penalty": 1.0},
    ),
}


def said(text="fine", **usage):
    return Say(completion=Completion(choices=[Choice(Message.assistant(text), "stop")], usage=Usage(**usage)))


def ask(client, provider, *, stream=False, **options):
    model = f"{provider}/{MODELS[provider]}"
    if not stream:
        return client.run("Say hello, please.", model=model, **options)
    with client.stream("Say hello, please.", model=model, **options) as events:
        for _ in events:
            pass
    return events.completion


def expected(sim, provider, completion, *, stream):
    asked, attributes = ASKED[provider]
    where = urlsplit(sim.url)
    found = {
        "gen_ai.operation.name": "generate_content" if provider == "gemini" else "chat",
        "gen_ai.provider.name": PROVIDERS[provider],
        "gen_ai.request.model": MODELS[provider],
        "server.address": where.hostname,
        "server.port": where.port,
        "gen_ai.response.id": completion.id,
        "gen_ai.response.model": completion.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": completion.usage.input_total,
        "gen_ai.usage.output_tokens": completion.usage.output_total,
        **{f"gen_ai.request.{name}": value for name, value in attributes.items()},
    }
    if stream:
        found["gen_ai.request.stream"] = True
    if provider == "openai":
        found |= {"openai.api.type": "chat_completions", "openai.request.service_tier": asked["service_tier"]}
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("provider", MODELS)
def test_exchange_has_what_the_tables_say_and_nothing_else(client, sim, rig, provider, stream):
    completion = ask(client(), provider, stream=stream, **ASKED[provider][0])
    (span,) = rig.attempts
    found = dict(span.attributes)
    tables.check(found, {**tables.INFERENCE, **(tables.OPENAI if provider == "openai" else {})})
    wanted = expected(sim, provider, completion, stream=stream)
    assert span.name == f"{wanted['gen_ai.operation.name']} {MODELS[provider]}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert not span.events
    first = found.pop("gen_ai.response.time_to_first_chunk", None)
    assert (first is not None and 0 < first < (span.end_time - span.start_time) / 1e9 + 1) if stream else first is None
    # What the simulator makes up goes by its own answer.
    optional = {"openai.response.service_tier", "openai.response.system_fingerprint"}
    detail = {name for name in found if name.startswith("gen_ai.usage.")} - set(wanted)
    assert {
        name: value for name, value in tables.conventional(found).items() if name not in optional | detail
    } == wanted


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("provider", MODELS)
def test_collector_gets_the_same(client, sim, collector, provider, stream):
    made = client([f"otlp:{collector.url}"])
    completion = ask(made, provider, stream=stream, **ASKED[provider][0])
    assert made.flush(20)
    spans = {span.kind: (span, attributes) for span, attributes, _, _ in collector.spans()}
    # SPAN_KIND_INTERNAL is 1, SPAN_KIND_CLIENT is 3.
    assert sorted(spans) == [1, 3]
    span, attributes = spans[3]
    tables.check(attributes, {**tables.INFERENCE, **(tables.OPENAI if provider == "openai" else {})})
    wanted = expected(sim, provider, completion, stream=stream)
    assert wanted.items() <= attributes.items()
    assert span.parent_span_id == spans[1][0].span_id
    assert span.trace_id == spans[1][0].trace_id
    assert span.name == f"{wanted['gen_ai.operation.name']} {MODELS[provider]}"
    found = collector.metrics()
    for name, (unit, buckets) in tables.METRICS.items():
        if "chunk" not in name or stream:
            (point, *_) = found[name].histogram.data_points
            assert (found[name].unit, tuple(point.explicit_bounds)) == (unit, buckets)


def test_everything_that_samplers_read_is_there_when_a_span_begins(client, sim, rig):
    begun = []

    class Starts:
        def on_start(self, span, parent_context=None):
            begun.append((span.name, dict(span.attributes)))

        def on_end(self, span):
            pass

        def _on_ending(self, span):
            pass

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=0):
            return True

    rig.tracers.add_span_processor(Starts())
    ask(client(), "anthropic")
    created = dict(begun)["chat claude-haiku-4-5"]
    assert set(created) >= tables.AT_CREATION


@pytest.mark.parametrize("provider", MODELS)
def test_usage_counts_cached_tokens_in_the_input_and_reasoning_in_the_output(client, sim, rig, provider):
    usage = {"input": 10, "output": 20, "cache_read": 30, "reasoning": 7}
    if provider == "huggingface":
        usage = {"input": 10, "output": 20}
    if provider in {"openai", "anthropic"}:
        usage["cache_write"] = 5
    with sim.script(said(**usage)):
        completion = ask(client(), provider)
    (span,) = rig.attempts
    told = {name.removeprefix("gen_ai.usage."): n for name, n in span.attributes.items() if "gen_ai.usage" in name}
    names = {
        "cache_read": "cache_read.input_tokens",
        "cache_write": "cache_write.input_tokens",
        "reasoning": "reasoning.output_tokens",
    }
    assert told["input_tokens"] == usage["input"] + usage.get("cache_read", 0) + usage.get("cache_write", 0)
    assert told["output_tokens"] == usage["output"] + usage.get("reasoning", 0)
    assert {key: told[name] for key, name in names.items() if told.get(name)} == {
        key: usage[key] for key in names if key in usage
    }
    assert told["input_tokens"] + told["output_tokens"] == completion.usage.total


def test_modalities_are_parts_of_the_whole(client, sim, rig):
    with sim.script(said(input=10, output=20, audio_input=4, audio_output=6)):
        ask(client(), "openai")
    found = rig.attempts[0].attributes
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (14, 26)
    assert (found["gen_ai.usage.audio.input_tokens"], found["gen_ai.usage.audio.output_tokens"]) == (4, 6)


MODALITIES = [
    (
        "openai",
        {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "prompt_tokens_details": {"text_tokens": 60, "audio_tokens": 40, "cached_tokens": 50},
            "completion_tokens_details": {"text_tokens": 30, "audio_tokens": 0},
        },
        {"text.input_tokens": 60, "audio.input_tokens": 40, "text.output_tokens": 30},
    ),
    (
        "gemini",
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 30,
            "candidatesTokenCount": 10,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}, {"modality": "AUDIO", "tokenCount": 40}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 10}, {"modality": "TEXT"}],
        },
        {
            "text.input_tokens": 60,
            "audio.input_tokens": 40,
            "audio.cache_read.input_tokens": 30,
            "image.output_tokens": 10,
        },
    ),
    ("anthropic", {"input_tokens": 5, "output_tokens": 4}, {}),
]


@pytest.mark.parametrize("case", MODALITIES, ids=lambda case: case[0])
def test_modalities_are_those_that_the_provider_tells(case):
    _, usage, wanted = case
    assert modality_counts(Usage(input=100, output=10, raw=usage)) == wanted


@pytest.mark.parametrize("raw", [{"prompt_tokens_details": 3}, {"promptTokensDetails": [1, {"modality": 2}]}, {}, None])
def test_modalities_of_a_strange_usage_are_those_of_the_buckets(raw):
    assert modality_counts(Usage(input=1, audio_input=2, image_output=0, raw=raw)) == {"audio.input_tokens": 2}


def test_a_template_and_a_summary(client, sim, rig):
    summary = ProviderPart("openai_responses", {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"})
    message = Message("assistant", [summary, TextPart("fine")])
    made = client(providers={"openai": {**sim.settings()["providers"]["openai"], "api": "openai_responses"}})
    with sim.script(Say(completion=Completion(choices=[Choice(message, "stop")], usage=Usage(input=1, output=1)))):
        made.run("hi", model="openai/gpt-5-mini", extra={"prompt": {"id": "pmpt_1", "version": "2"}})
    found = rig.attempts[0].attributes
    tables.check(found, {**tables.INFERENCE, **tables.OPENAI})
    assert (found["gen_ai.prompt.name"], found["gen_ai.prompt.version"]) == ("pmpt_1", "2")
    assert found["gen_ai.conversation.compacted"] is True


REASONS = [
    ("openai", "length", "length"),
    ("openai", "content_filter", "content_filter"),
    ("anthropic", "length", "length"),
    ("anthropic", "content_filter", "refusal"),
    ("gemini", "length", "max_tokens"),
    ("gemini", "content_filter", "safety"),
    ("groq", "length", "length"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", REASONS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_finish_reasons_are_those_of_other_instrumentations(client, sim, rig, case, stream):
    provider, reason, shown = case
    with sim.script(Say(completion=Completion(choices=[Choice(Message.assistant("partly"), reason)]))):
        ask(client(), provider, stream=stream)
    assert rig.attempts[0].attributes["gen_ai.response.finish_reasons"] == (shown,)


@pytest.mark.parametrize(
    ("provider", "shown"),
    [("openai", "tool_calls"), ("anthropic", "tool_call"), ("gemini", "stop"), ("groq", "tool_calls")],
)
def test_calls_of_tools_end_as_other_instrumentations_say(client, sim, rig, provider, shown):
    tool = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    with sim.script(Say(tool_calls=[("weather", {"city": "Rome"})])):
        ask(client(), provider, tools=[tool])
    assert rig.attempts[0].attributes["gen_ai.response.finish_reasons"] == (shown,)


def test_responses_api_and_what_only_openai_has(sim, rig, client):
    settings = {"providers": {"openai": {"api": "openai_responses"}}}
    merged = {name: dict(own) for name, own in sim.settings()["providers"].items()}
    merged["openai"] |= settings["providers"]["openai"]
    client(providers=merged).run(
        "hi",
        model="openai/gpt-5-mini",
        service_tier="auto",
        extra={"previous_response_id": "resp_1"},
        output={"type": "object"},
    )
    found = rig.attempts[0].attributes
    assert found["openai.api.type"] == "responses"
    assert "openai.request.service_tier" not in found
    assert found["gen_ai.request.previous_response.id"] == "resp_1"
    assert found["gen_ai.output.type"] == "json"


def test_session_is_the_conversation_and_nothing_else_is(client, rig):
    made = client()
    ask(made, "openai")
    with aistrale.context(session="s-1", user="alice", project="shop", tags={"team": "a"}):
        ask(made, "openai")
    first, second = rig.attempts
    assert "gen_ai.conversation.id" not in first.attributes
    assert second.attributes["gen_ai.conversation.id"] == "s-1"
    call = rig.calls[1].attributes
    assert (call["aistrale.session"], call["aistrale.user"], call["aistrale.project"]) == ("s-1", "alice", "shop")
    assert call["aistrale.tag.team"] == "a"


@pytest.mark.parametrize("provider", ["openai", "gemini", "huggingface"])
def test_embeddings(client, sim, rig, provider):
    model = {"openai": "text-embedding-3-small", "gemini": "gemini-embedding-001", "huggingface": "BAAI/bge-m3"}[
        provider
    ]
    options = {} if provider == "huggingface" else {"dimensions": 16}
    vectors = client().embed(["one", "two"], model=f"{provider}/{model}", **options)
    (span,) = rig.attempts
    tables.check(dict(span.attributes), tables.EMBEDDINGS)
    assert span.name == f"embeddings {model}"
    assert span.kind is SpanKind.CLIENT
    assert span.attributes["gen_ai.operation.name"] == "embeddings"
    assert span.attributes["gen_ai.embeddings.dimension.count"] == len(vectors.vectors[0])
    if vectors.usage is not None:
        assert span.attributes["gen_ai.usage.input_tokens"] == vectors.usage.input_total
    assert rig.calls[0].name == f"aistrale embeddings {provider}/{model}"


# --- what goes wrong -------------------------------------------------------------------------------------------------

SECRET = "the prompt that nobody may see"


@pytest.mark.parametrize("provider", MODELS)
def test_refusal_has_the_class_of_the_error_and_no_word_of_it(client, sim, rig, provider):
    with sim.script(Fault(status=400, kind="invalid_request", message=SECRET)), pytest.raises(AistraleError):
        ask(client(), provider)
    (span,) = rig.attempts
    tables.check(dict(span.attributes), {**tables.INFERENCE, **tables.OPENAI})
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "InvalidRequestError"
    assert span.status.description == "InvalidRequestError"
    assert "gen_ai.response.finish_reasons" not in span.attributes
    (call,) = rig.calls
    assert call.attributes["error.type"] == "InvalidRequestError"
    for each in (span, call):
        assert SECRET not in json.dumps([each.status.description, dict(each.attributes)], default=str)
        assert not each.events


def test_retry_is_a_span_of_its_own_with_the_reason(client, sim, rig):
    with sim.script(Fault(status=503)):
        ask(client(), "openai")
    first, second = rig.attempts
    assert (first.attributes["aistrale.attempt.number"], second.attributes["aistrale.attempt.number"]) == (1, 2)
    assert "aistrale.retry.reason" not in first.attributes
    assert first.attributes["error.type"] == second.attributes["aistrale.retry.reason"]
    assert "error.type" not in second.attributes
    (call,) = rig.calls
    assert call.attributes["aistrale.attempts"] == 2
    assert call.status.status_code is StatusCode.UNSET
    assert first.parent.span_id == second.parent.span_id == call.context.span_id
    # What was used stands on the attempt that used it, and nowhere else.
    assert not [name for name in call.attributes if name.startswith("gen_ai.") or "cost" in name]
    assert "gen_ai.usage.input_tokens" not in first.attributes


def test_failover_names_both_providers(client, sim, rig):
    routes = {"chat": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"]}
    with sim.outage("openai"):
        client(routes=routes, retry=None).run("hi", route="chat")
    first, second = rig.attempts
    assert [span.attributes["gen_ai.provider.name"] for span in (first, second)] == ["openai", "anthropic"]
    assert second.attributes["aistrale.retry.reason"] == first.attributes["error.type"]
    assert rig.calls[0].attributes["aistrale.route"] == "chat"
    assert rig.calls[0].name == "aistrale chat chat"


def test_hedge_loser_is_cancelled_and_both_end_once(async_client, sim, rig):
    async def run():
        async with async_client(hedge={"delay": 0.05}) as made:
            with sim.script(Slow(headers=5.0)):
                await made.run("hi", model="openai/gpt-5-mini")

    asyncio.run(run())
    first, second = rig.attempts
    assert second.attributes["aistrale.retry.reason"] == "hedge"
    assert second.attributes["aistrale.outcome"] == "success"
    assert (first.attributes["aistrale.outcome"], first.attributes["error.type"]) == ("cancelled", "CancelledError")
    assert len(rig.spans) == 3


def test_stream_that_is_given_up_is_no_error_and_says_that_it_has_no_end(client, sim, rig):
    with sim.script(Slow(between=0.3)), client().stream("Say hello, please.", model="openai/gpt-5-mini") as events:
        next(iter(events))
    (span,) = rig.attempts
    assert span.attributes["aistrale.outcome"] == "abandoned"
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert span.attributes["aistrale.usage.estimated"] is True
    assert span.attributes["gen_ai.usage.input_tokens"] > 0


def test_stream_that_breaks_is_one(client, sim, rig):
    with sim.script(Broken(wreck="reset_early")), pytest.raises(AistraleError):
        ask(client(retry=None), "openai", stream=True)
    (span,) = rig.attempts
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "StreamInterrupted"
    assert span.attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_stream_that_goes_on_elsewhere_is_two_attempts(client, sim, rig):
    routes = {"chat": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"]}
    with sim.script(Broken(wreck="reset_early"), provider="openai"):
        ask_route = client(routes=routes, retry=None)
        with ask_route.stream("Say hello, please.", route="chat", streams="resume") as events:
            for _ in events:
                pass
    first, second = rig.attempts
    assert first.attributes["error.type"] == "StreamInterrupted"
    assert second.attributes["gen_ai.provider.name"] == "anthropic"
    assert len(rig.spans) == 3


def test_remembered_answer_has_no_exchange(client, rig):
    made = client(cache={})
    ask(made, "openai")
    ask(made, "openai")
    assert len(rig.attempts) == 1
    assert rig.calls[1].attributes["aistrale.degraded"] == "cache"
    assert rig.calls[1].attributes["aistrale.attempts"] == 0


def test_money_stands_on_the_attempt_under_our_name_and_those_that_are_asked_for(client, rig):
    answer = ask(client(["otel:?cost=operation.cost"]), "openai")
    (span,) = rig.attempts
    assert span.attributes["aistrale.cost.usd"] == pytest.approx(float(answer.cost.usd))
    assert span.attributes["operation.cost"] == span.attributes["aistrale.cost.usd"]
    assert "gen_ai.usage.cost" not in span.attributes


def test_text_that_is_no_unicode_does_not_cost_a_batch(client, collector):
    made = client([f"otlp:{collector.url}"], capture=True)
    with aistrale.context(tags={"half": "\ud800"}):
        made.run([Message("user", [TextPart("\udfff")])], model="openai/gpt-5-mini")
    assert made.flush(20)
    assert len(collector.spans()) == 2


def test_parts_of_a_tools_answer(client, sim, rig):
    call = ToolCallPart("c1", "weather", '{"city": "Rome"}')
    conversation = [Message.user("How is it?"), Message("assistant", [call]), Message.tool("c1", "sunny")]
    client(capture=True).run(conversation, model="anthropic/claude-haiku-4-5")
    shown = json.loads(rig.attempts[0].attributes["gen_ai.input.messages"])
    assert shown[1]["parts"] == [{"type": "tool_call", "name": "weather", "id": "c1", "arguments": {"city": "Rome"}}]
    assert shown[2] == {"role": "tool", "parts": [{"type": "tool_call_response", "response": "sunny", "id": "c1"}]}

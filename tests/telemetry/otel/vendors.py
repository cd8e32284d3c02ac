"""Run as a program: official SDK over us, with instrumentations of others above, below and beside; prints what is counted.

In a process of its own, because Langfuse's instrumentation cannot be undone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections import defaultdict

import anthropic
import openai
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aistrale
from aistrale.testing import simulator
from tests.telemetry.otel.rig import Collector, plain

MESSAGES = [{"role": "user", "content": "Say hello, please."}]
MODEL = "gpt-5-mini"


def provider():
    exporter = InMemorySpanExporter()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made, exporter


def tokens_of(attributes):
    """What a backend would count for a span: Langfuse's own form, the conventions', or OpenInference's."""
    own = attributes.get("langfuse.observation.usage_details")
    if own is not None:
        usage = json.loads(own)
        return [
            usage.get("input", usage.get("prompt_tokens", 0)),
            usage.get("output", usage.get("completion_tokens", 0)),
        ]
    pairs = (
        ("gen_ai.usage.input_tokens", "llm.token_count.prompt"),
        ("gen_ai.usage.output_tokens", "llm.token_count.completion"),
    )
    return [sum(attributes.get(name, 0) for name in names) for names in pairs]


def counted(exporter):
    """Tokens by instrumentation; what counts none is there with zeros."""
    found = defaultdict(lambda: [0, 0])
    for span in exporter.get_finished_spans():
        scope = span.instrumentation_scope.name
        found[scope] = [one + two for one, two in zip(found[scope], tokens_of(dict(span.attributes)), strict=True)]
    exporter.clear()
    return dict(found)


class Metrics:
    def __init__(self):
        self.reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([self.reader], shutdown_on_exit=False))
        self.before = {}

    def counted(self):
        """Tokens by instrumentation since the last question."""
        data, now = self.reader.get_metrics_data(), defaultdict(lambda: [0, 0])
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points if metric.name == "gen_ai.client.token.usage" else ():
                        kind = 0 if point.attributes["gen_ai.token.type"] == "input" else 1
                        now[scope.scope.name][kind] += point.sum
        since = {
            name: [a - b for a, b in zip(own, self.before.get(name, (0, 0)), strict=True)] for name, own in now.items()
        }
        self.before = dict(now)
        return {name: own for name, own in since.items() if any(own)}


def ask(url):
    """Through the official SDK: plain, streamed, raw, async, vectors; the tokens that it was told of."""
    truth = [0, 0]

    def add(usage, kind=("prompt_tokens", "completion_tokens")):
        for index, name in enumerate(kind):
            truth[index] += getattr(usage, name, 0) or 0

    blocking = openai.OpenAI(base_url=url, api_key="sk-x", max_retries=0)
    add(blocking.chat.completions.create(model=MODEL, messages=MESSAGES).usage)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in blocking.chat.completions.create(model=MODEL, messages=MESSAGES, **options):
        if chunk.usage is not None:
            add(chunk.usage)
    add(blocking.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES).parse().usage)
    add(blocking.embeddings.create(model="text-embedding-3-small", input=["one"]).usage)
    blocking.close()

    async def later():
        async with openai.AsyncOpenAI(base_url=url, api_key="sk-x", max_retries=0) as one:
            add((await one.chat.completions.create(model=MODEL, messages=MESSAGES)).usage)
            async for chunk in await one.chat.completions.create(model=MODEL, messages=MESSAGES, **options):
                if chunk.usage is not None:
                    add(chunk.usage)

    asyncio.run(later())
    return truth


def ask_anthropic(url):
    """The same of the anthropic package, whose newer releases make spans themselves."""
    one = anthropic.Anthropic(base_url=url, api_key="sk-x", max_retries=0)
    options = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": MESSAGES}
    answer = one.messages.create(**options)
    with one.messages.stream(**options) as events:
        streamed = events.get_final_message()
    one.close()
    return [
        answer.usage.input_tokens + streamed.usage.input_tokens,
        answer.usage.output_tokens + streamed.usage.output_tokens,
    ]


def ask_ourselves(_):
    """By ways of ours, where no package of a vendor's is used."""
    truth = [0, 0]

    def add(usage):
        truth[0] += usage.input_total
        truth[1] += usage.output_total or 0

    @aistrale.llm(name="told")
    def told(text):
        return aistrale.run(text, model="anthropic/claude-haiku-4-5")

    async def later():
        add((await aistrale.run_async("Two.", model=f"openai/{MODEL}")).usage)
        async with aistrale.stream_async("Three.", model=f"openai/{MODEL}") as events:
            async for _ in events:
                pass
        add(events.completion.usage)

    add(aistrale.run("One.", model=f"openai/{MODEL}").usage)
    add(told("Four.").usage)
    add(aistrale.embed(["one"], model="openai/text-embedding-3-small").usage)
    asyncio.run(later())
    return truth


def ask_langchain(_):
    """By LangChain's model of ours, with Langfuse's handler, whose span is in no context of a task's."""
    from langfuse.langchain import CallbackHandler

    from aistrale.integrations.langchain import ChatAistrale

    model, told = ChatAistrale(model=f"openai/{MODEL}", callbacks=[CallbackHandler()]), []
    told.append(model.invoke("One."))

    async def later():
        told.append(await model.ainvoke("Two."))
        pieces = [piece async for piece in model.astream("Three.")]
        told.extend(piece for piece in pieces if piece.usage_metadata)

    asyncio.run(later())
    return [sum(each.usage_metadata[name] for each in told) for name in ("input_tokens", "output_tokens")]


class Nowhere(SpanExporter):
    """Langfuse's own way out, which is none of ours."""

    def export(self, spans):
        return SpanExportResult.SUCCESS


def collected(collector):
    """Tokens of our spans by the path that they came by."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = defaultdict(lambda: [0, 0])
    for path, _, body in collector.requests:
        if not path.endswith("/v1/traces"):
            continue
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {pair.key: plain(pair.value) for pair in span.attributes}
                    found[path] = [one + two for one, two in zip(found[path], tokens_of(attributes), strict=True)]
    return dict(found)


class Stage:
    """One combination, asked with our sink and without.

    Args:
        shared: The exporter of the application's provider, which our sink tells.
    """

    def __init__(self, shared, measured):
        self.shared, self.measured = shared, measured

    def run(self, simulated, sinks, others=(), *, ask=ask, provider="openai"):
        client = aistrale.init(**simulated.settings(), sinks=sinks, ledger="off")
        truth = ask(simulated.base_url(provider))
        client.flush(5)
        aistrale.shutdown()
        return {
            "truth": truth,
            "shared": counted(self.shared),
            "metrics": self.measured.counted(),
            "apart": [counted(exporter) for exporter in others],
        }


def beneath(simulated, shared, measured):
    """A call of ours in the midst of which an instrumented SDK is used: one exchange, counted by us."""
    client = aistrale.Client(**simulated.settings(), sinks=["otel"], ledger="off")
    runtime = client._engine.sync_runtime()
    send = runtime.open
    inner = openai.OpenAI(base_url=simulated.base_url("openai"), api_key="sk-x")

    async def opened(*arguments, **options):
        inner.chat.completions.create(model=MODEL, messages=MESSAGES)
        return await send(*arguments, **options)

    runtime.open = opened
    usage = client.run("Say hello, please.", model=f"openai/{MODEL}").usage
    client.close()
    return {"truth": [usage.input_total, usage.output_total], "shared": counted(shared), "metrics": measured.counted()}


def main():
    warnings.simplefilter("ignore")
    application, shared = provider()
    trace.set_tracer_provider(application)
    measured = Metrics()
    stage, results = Stage(shared, measured), {}
    with simulator() as simulated:
        results["alone"] = stage.run(simulated, ["otel"])
        results["anthropic"] = stage.run(simulated, ["otel"], ask=ask_anthropic, provider="anthropic")

        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=application)
        results["beneath"] = beneath(simulated, shared, measured)
        results["opentelemetry"] = stage.run(simulated, ["otel"])
        OpenAIInstrumentor().uninstrument()

        from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference

        OpenInference().instrument(tracer_provider=application)
        results["openinference"] = stage.run(simulated, ["otel"])
        OpenInference().uninstrument()

        import logfire

        kept = InMemorySpanExporter()
        own = logfire.configure(
            local=True,
            send_to_logfire=False,
            console=False,
            additional_span_processors=[SimpleSpanProcessor(kept)],
            metrics=False,
        )
        with own.instrument_openai([openai.OpenAI, openai.AsyncOpenAI]):
            results["logfire"] = stage.run(simulated, ["otel"], [kept])

        import langfuse
        import langfuse.openai  # instruments

        collector = Collector()
        langfuse.Langfuse(
            public_key="pk",
            secret_key="sk",
            base_url=collector.url,
            tracer_provider=application,
            span_exporter=Nowhere(),
        )
        results["langfuse"] = stage.run(simulated, ["otel"])
        results["langchain"] = stage.run(simulated, ["otel"], ask=ask_langchain)

        # All three at once.
        OpenAIInstrumentor().instrument(tracer_provider=application)
        with own.instrument_openai([openai.OpenAI, openai.AsyncOpenAI]):
            results["all"] = stage.run(simulated, ["otel"], [kept])
            results["ours"] = stage.run(simulated, ["otel"], [kept], ask=ask_ourselves)
            results["all without us"] = stage.run(simulated, [], [kept])
            address = collector.url.replace("://", "://pk:sk@")
            results["places"] = stage.run(simulated, [f"otlp:{collector.url}", f"langfuse:{address}"], [kept])
        results["places"]["collected"] = collected(collector)
        collector.close()
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()

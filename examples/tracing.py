# needs: opentelemetry, opentelemetry.sdk
"""Spans of calls beneath your own, and what they cost, in the terminal.

Needs `pip install opentelemetry-sdk` and OPENAI_API_KEY. To send them to a collector instead, without setting up
anything: `sinks=["otlp:https://collector.example:4318"]`.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

import aistrale


class Lines(SpanExporter):
    """One line a span."""

    def export(self, spans: list[ReadableSpan]) -> SpanExportResult:
        """Print them."""
        for span in spans:
            found = span.attributes or {}
            tokens = found.get("gen_ai.usage.input_tokens"), found.get("gen_ai.usage.output_tokens")
            print(span.name, tokens if None not in tokens else "", found.get("aistrale.cost.usd", ""))
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Lines()))
# The application's providers are the application's: no sink ever sets one.
tracer = provider.get_tracer("example")
trace.set_tracer_provider(provider)

client = aistrale.Client(model="openai/gpt-5-mini", sinks=["otel"])
with tracer.start_as_current_span("answer a letter"), aistrale.context(session="letter-7", tags={"team": "post"}):
    client.run("Thank Ada for her letter, in one sentence.")
client.close()

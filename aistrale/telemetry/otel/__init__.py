"""OpenTelemetry: spans, metrics and events of calls, by the semantic conventions for generative AI.

`spans.SpanMaker` follows calls, `metrics` counts, `suppression` sees to it that tokens are counted once, `pipeline`
brings everything to a place of its own. Only `conventions` knows the names. Nothing is loaded before a sink asks for
it.
"""

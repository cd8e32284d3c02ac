"""The convention tables for spans of exchanges with models: every attribute with its type and when it must be there.

Of semantic-conventions 1.41.1, `docs/gen-ai/gen-ai-spans.md` and `openai.md`, with what OpenTelemetry's own Python
instrumentations (1.3b0) have renamed and added since. "R" is required, "C" depends on a condition that a test states,
"r" is recommended, "O" is only there when asked for.
"""

from __future__ import annotations

INFERENCE = {
    "gen_ai.operation.name": ("str", "R"),
    "gen_ai.provider.name": ("str", "R"),
    "error.type": ("str", "C"),
    "gen_ai.conversation.id": ("str", "C"),
    "gen_ai.output.type": ("str", "C"),
    "gen_ai.request.choice.count": ("int", "C"),
    "gen_ai.request.model": ("str", "C"),
    "gen_ai.request.seed": ("int", "C"),
    "gen_ai.request.stream": ("bool", "C"),
    "gen_ai.request.top_k": ("int", "C"),
    "server.port": ("int", "C"),
    "gen_ai.request.frequency_penalty": ("double", "r"),
    "gen_ai.request.max_tokens": ("int", "r"),
    "gen_ai.request.presence_penalty": ("double", "r"),
    "gen_ai.request.stop_sequences": ("str[]", "r"),
    "gen_ai.request.temperature": ("double", "r"),
    "gen_ai.request.top_p": ("double", "r"),
    "gen_ai.request.reasoning.level": ("str", "r"),
    "gen_ai.request.previous_response.id": ("str", "r"),
    "gen_ai.conversation.compacted": ("bool", "r"),
    "gen_ai.prompt.name": ("str", "C"),
    "gen_ai.prompt.version": ("str", "C"),
    "gen_ai.response.finish_reasons": ("str[]", "r"),
    "gen_ai.response.id": ("str", "r"),
    "gen_ai.response.model": ("str", "r"),
    "gen_ai.response.time_to_first_chunk": ("double", "r"),
    "gen_ai.usage.input_tokens": ("int", "r"),
    "gen_ai.usage.output_tokens": ("int", "r"),
    "gen_ai.usage.cache_read.input_tokens": ("int", "r"),
    "gen_ai.usage.cache_write.input_tokens": ("int", "r"),
    "gen_ai.usage.reasoning.output_tokens": ("int", "r"),
    **{
        f"gen_ai.usage.{kind}.{side}": ("int", "r")
        for kind in ("text", "image", "audio")
        for side in ("input_tokens", "output_tokens", "cache_read.input_tokens")
    },
    "server.address": ("str", "r"),
    "gen_ai.system_instructions": ("str", "O"),
    "gen_ai.input.messages": ("str", "O"),
    "gen_ai.output.messages": ("str", "O"),
    "gen_ai.tool.definitions": ("str", "O"),
}
OPENAI = {
    "openai.request.service_tier": ("str", "C"),
    "openai.response.service_tier": ("str", "C"),
    "openai.response.system_fingerprint": ("str", "r"),
    "openai.api.type": ("str", "r"),
}
EMBEDDINGS = {
    "gen_ai.operation.name": ("str", "R"),
    "gen_ai.provider.name": ("str", "R"),
    "error.type": ("str", "C"),
    "gen_ai.request.model": ("str", "C"),
    "server.port": ("int", "C"),
    "gen_ai.embeddings.dimension.count": ("int", "r"),
    "gen_ai.request.encoding_formats": ("str[]", "r"),
    "gen_ai.response.model": ("str", "r"),
    "gen_ai.usage.input_tokens": ("int", "r"),
    "server.address": ("str", "r"),
}
AT_CREATION = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "server.address",
    "server.port",
}
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
METRICS = {
    "gen_ai.client.operation.duration": ("s", SECONDS),
    "gen_ai.client.token.usage": ("{token}", TOKENS),
    "gen_ai.client.operation.time_to_first_chunk": ("s", SECONDS),
    "gen_ai.client.operation.time_per_output_chunk": ("s", SECONDS),
}
METRIC_ATTRIBUTES = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
}


def type_of(value):
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (tuple, list)):
        assert all(isinstance(item, str) for item in value), value
        return "str[]"
    return {str: "str", int: "int", float: "double"}[type(value)]


def conventional(attributes):
    """Those attributes that are not in a namespace of ours."""
    return {name: value for name, value in attributes.items() if not name.startswith("aistrale.")}


def check(attributes, table):
    """Every attribute is in the table and of its type; the required ones are there."""
    for name, value in conventional(attributes).items():
        assert name in table, f"{name} is in no table"
        assert type_of(value) == table[name][0], f"{name} is {value!r}"
    missing = [name for name, (_, level) in table.items() if level == "R" and name not in attributes]
    assert not missing
    # On condition that it is known, and it always is here.
    assert {"gen_ai.request.model", "server.address", "server.port"} <= set(attributes)

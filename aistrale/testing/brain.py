"""What the simulated models answer: a pure function of the request, without randomness or clock."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING

from aistrale.types import (
    Choice,
    Completion,
    Embeddings,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)

if TYPE_CHECKING:
    from aistrale.types import (
        JSON,
        EmbedRequest,
        FinishReason,
        JSONObject,
        Part,
        Request,
        Tool,
    )

CREATED = 1_790_000_000
DIMENSIONS = 64
_MAX_DEPTH = 12
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "ipv4": "192.0.2.1",
}
_WORDS = re.compile(r"\S+\s*")


def answer(request: Request) -> Completion:
    """The answer to a chat request: tool calls, a structured document, or a sentence that quotes the prompt."""
    count = max(request.n or 1, 1)
    choices = [_choice(request, index) for index in range(count)]
    completion = Completion(
        id=f"sim-{digest(_conversation(request))[:16]}",
        model=request.model,
        choices=choices,
        created=CREATED,
    )
    completion.usage = usage(request, choices)
    return completion


def usage(request: Request, choices: list[Choice]) -> Usage:
    """Token counts by the rule of thumb of four characters each; reasoning and visible output apart."""
    reasoning = visible = 0
    for choice in choices:
        for part in choice.message.parts:
            if isinstance(part, ReasoningPart):
                reasoning += tokens(part.text)
            elif isinstance(part, TextPart):
                visible += tokens(part.text)
            elif isinstance(part, ToolCallPart):
                visible += tokens(part.name + part.arguments)
    return Usage(input=tokens(_conversation(request)), output=visible, reasoning=reasoning or None)


def tokens(text: str) -> int:
    """About how many tokens a text has; at least one."""
    return max(1, math.ceil(len(text) / 4))


def digest(text: str) -> str:
    """A stable fingerprint."""
    return hashlib.sha256(text.encode()).hexdigest()


def embed(request: EmbedRequest) -> Embeddings:
    """Unit vectors that depend on the text only; the same text always has the same one."""
    size = request.dimensions or DIMENSIONS
    vectors = [_vector(text if isinstance(text, str) else json.dumps(text), size) for text in request.inputs]
    total = sum(tokens(text) if isinstance(text, str) else len(text) for text in request.inputs)
    return Embeddings(vectors, request.model, Usage(input=total))


def _vector(text: str, size: int) -> list[float]:
    raw = b""
    block = 0
    while len(raw) < size:
        raw += hashlib.sha256(f"{block}:{text}".encode()).digest()
        block += 1
    values = [(byte - 127.5) / 127.5 for byte in raw[:size]]
    norm = math.sqrt(sum(value * value for value in values))
    return [round(value / norm, 6) for value in values]


def _choice(request: Request, index: int) -> Choice:
    parts: list[Part] = []
    if request.reasoning is not None and request.reasoning.effort != "none":
        parts.append(ReasoningPart(f"The question has {len(_last_text(request))} characters."))
    calls = _tool_calls(request)
    if calls:
        return Choice(Message("assistant", [*parts, *calls]), "tool_calls", index)
    text, reason, stopped = _cut(request, _text(request, index))
    return Choice(Message("assistant", [*parts, TextPart(text)]), reason, index, stopped)


def _text(request: Request, index: int) -> str:
    if request.output is not None and request.output.kind == "json_schema":
        return json.dumps(instance(request.output.schema or {}), separators=(",", ":"))
    described = _described_schema(request)
    if described is not None:
        return json.dumps(instance(described), separators=(",", ":"))
    if request.output is not None and request.output.kind == "json_object":
        return '{"answer":"simulated"}'
    results = _results(request)
    if results:
        return "The tools said: " + "; ".join(result.text for result in results)
    suffix = "" if index == 0 else f" (alternative {index + 1})"
    return f"This is a simulated answer to: {_last_text(request)}{suffix}"


def _described_schema(request: Request) -> JSONObject | None:
    """A schema that the instructions ask for in words, as our own client does where a model cannot enforce one."""
    for message in request.messages:
        _, found, rest = message.text.partition("JSON Schema:")
        if found and message.role in {"system", "developer"}:
            try:
                schema, _ = json.JSONDecoder().raw_decode(rest.strip())
            except ValueError:
                continue
            return _as_schema(schema)
    return None


def _cut(request: Request, text: str) -> tuple[str, FinishReason, str | None]:
    for stop in request.stop or []:
        head, found, _ = text.partition(stop)
        if found:
            return head, "stop", stop
    if request.max_tokens is not None and tokens(text) > request.max_tokens:
        return text[: request.max_tokens * 4], "length", None
    return text, "stop", None


def _conversation(request: Request) -> str:
    pieces = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                pieces.append(part.name + part.arguments)
            else:
                pieces.append(getattr(part, "text", ""))
    return "\n".join(pieces)


def _last_text(request: Request) -> str:
    for message in reversed(request.messages):
        if message.role == "user" and message.text:
            return message.text
    return ""


def _results(request: Request) -> list[ToolResultPart]:
    found: list[ToolResultPart] = []
    for message in reversed(request.messages):
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        if not results:
            break
        found = [*results, *found]
    return found


def _tool_calls(request: Request) -> list[ToolCallPart]:
    """Calls of the first tool that may be called: one, or one per quoted word when the prompt quotes several."""
    choice = request.tool_choice
    able = [tool for tool in request.tools if tool.hosted is None]
    if not able or _results(request) or (choice is not None and choice.mode == "none"):
        return []
    if choice is not None and choice.names:
        able = [tool for tool in able if tool.name in choice.names] or able
    quoted = re.findall(r"'([^']+)'", _last_text(request))
    wanted: list[str | None] = (
        [*quoted] if quoted and request.parallel_tool_calls is not False else quoted[:1] or [None]
    )
    return [
        ToolCallPart(f"call_{digest(_conversation(request))[:8]}_{number}", able[0].name, _arguments(able[0], word))
        for number, word in enumerate(wanted, 1)
    ]


def _arguments(tool: Tool, word: str | None) -> str:
    arguments = instance(tool.parameters or {"type": "object", "properties": {}})
    if word is not None and isinstance(arguments, dict):
        for name, value in arguments.items():
            if isinstance(value, str):
                arguments[name] = word
                break
    return json.dumps(arguments, separators=(",", ":"))


def instance(schema: JSONObject, root: JSONObject | None = None, depth: int = 0) -> JSON:
    """A small document that fits a JSON Schema: required properties only, first alternatives, least values."""
    root = schema if root is None else root
    if depth > _MAX_DEPTH:
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return instance(_resolve(root, reference), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[0]
    for key in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(key)
        if isinstance(branches, list) and branches:
            shallow = [item for item in branches if isinstance(item, dict) and item.get("type") != "null"]
            if key == "allOf":
                merged = {name: value for item in shallow for name, value in item.items()}
                return instance({**merged, **{k: v for k, v in schema.items() if k != key}}, root, depth + 1)
            return instance(shallow[0] if shallow and depth < _MAX_DEPTH - 4 else {"type": "null"}, root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: JSONObject, root: JSONObject, depth: int) -> JSON:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    kind = kind.lower() if isinstance(kind, str) else "object" if "properties" in schema else "string"
    if kind == "object":
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict):
            return {}
        names = [name for name in properties if not isinstance(required, list) or name in required]
        return {name: instance(_as_schema(properties[name]), root, depth + 1) for name in names}
    if kind == "array":
        least = schema.get("minItems")
        count = least if isinstance(least, int) else 1 if depth < _MAX_DEPTH - 4 else 0
        return [instance(_as_schema(schema.get("items")), root, depth + 1) for _ in range(count)]
    return _scalar(kind, schema)


def _scalar(kind: str, schema: JSONObject) -> JSON:
    if kind in {"integer", "number"}:
        low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
        if isinstance(above, (int, float)) and not isinstance(above, bool):
            return math.floor(above) + 1
        return low if isinstance(low, (int, float)) and not isinstance(low, bool) else 1
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    form = schema.get("format")
    text = _FORMATS.get(form, "text") if isinstance(form, str) else "text"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int):
        text = text.ljust(least, "x")
    return text[:most] if isinstance(most, int) else text


def _as_schema(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _resolve(root: JSONObject, reference: str) -> JSONObject:
    value: JSON = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        value = value.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return _as_schema(value)


def pieces(text: str) -> list[str]:
    """A text in the pieces in which a model would stream it: word by word."""
    return _WORDS.findall(text) or ([text] if text else [])

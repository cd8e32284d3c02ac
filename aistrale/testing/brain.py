"""What the simulated models answer: a pure function of the request, without randomness or clock."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Final

from aistrale.testing.instance import described, instance
from aistrale.types import (
    Choice,
    Completion,
    Embeddings,
    MediaPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.types import EmbedRequest, FinishReason, JSONObject, Part, Request, Tool

__all__ = ["CREATED", "DIMENSIONS", "answer", "digest", "embed", "instance", "pieces", "tokens", "usage"]

CREATED: Final = 1_790_000_000
"""When every answer was made, in Unix seconds."""
DIMENSIONS: Final = 64
"""How long vectors are where the request does not say."""
MEDIA_TOKENS: Final = 256
"""What every image, sound or document counts."""
_WORDS = re.compile(r"\S+\s*")
_QUOTED = re.compile(r"'([^']+)'")
# How the vendors begin their ids, by the dialect of the request.
_ANSWER_IDS: Final = {"openai_chat": "chatcmpl-", "openai_responses": "resp_", "anthropic_messages": "msg_"}
_CALL_IDS: Final = {"anthropic_messages": "toolu_"}


def answer(request: Request) -> Completion:
    """The answer to a chat request: tool calls, a structured document, or a sentence that quotes the prompt."""
    fingerprint = digest(conversation(request))
    choices = [_choice(request, index, fingerprint) for index in range(max(request.n or 1, 1))]
    completion = Completion(
        id=f"{_ANSWER_IDS.get(request.source or '', 'sim-')}{fingerprint[:24]}",
        model=request.model,
        choices=choices,
        created=CREATED,
    )
    completion.usage = usage(request, choices)
    return completion


# --- counting ---------------------------------------------------------------------------------------------------------


def usage(request: Request, choices: list[Choice]) -> Usage:
    """Token counts by the rule of thumb of four characters each; reasoning and visible output apart."""
    reasoning = visible = 0
    for choice in choices:
        for part in choice.message.parts:
            if isinstance(part, ReasoningPart):
                reasoning += tokens(part.text)
            elif isinstance(part, ToolCallPart):
                visible += tokens(part.name + part.arguments)
            elif text := getattr(part, "text", ""):
                visible += tokens(text)
    return Usage(input=input_tokens(request), output=visible, reasoning=reasoning or None)


def input_tokens(request: Request) -> int:
    """Tokens of everything that is sent: texts, calls, results, tools and media."""
    return tokens(conversation(request)) + MEDIA_TOKENS * _media(request)


def tokens(text: str) -> int:
    """About how many tokens a text has; at least one."""
    return max(1, math.ceil(len(text) / 4))


def digest(text: str) -> str:
    """A stable fingerprint."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def conversation(request: Request) -> str:
    """Everything that the model reads, as one text."""
    return "\n".join(
        [tools_text(request.tools), *map(message_text, request.messages)]
        if request.tools
        else map(message_text, request.messages)
    )


def tools_text(tools: list[Tool]) -> str:
    """The tools as the model reads them."""
    told = [[tool.name, tool.description, tool.parameters or tool.hosted] for tool in tools]
    return json.dumps(told, separators=(",", ":")) if told else ""


def message_text(message: Message) -> str:
    """One turn as the model reads it."""
    if len(message.parts) == 1:
        return _part_text(message.parts[0])
    return "\n".join(map(_part_text, message.parts))


def _part_text(part: Part) -> str:
    if isinstance(part, ToolCallPart):
        return part.name + part.arguments
    text: str = getattr(part, "text", "")
    return text


def _media(request: Request) -> int:
    count = 0
    for message in request.messages:
        for part in message.parts:
            content = part.content if isinstance(part, ToolResultPart) else [part]
            count += sum(isinstance(item, MediaPart) for item in content)
    return count


# --- embeddings -------------------------------------------------------------------------------------------------------


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
        raw += hashlib.sha256(f"{block}:{text}".encode("utf-8", "surrogatepass")).digest()
        block += 1
    values = [(byte - 127.5) / 127.5 for byte in raw[:size]]
    norm = math.sqrt(sum(value * value for value in values))
    return [round(value / norm, 6) for value in values]


# --- answering --------------------------------------------------------------------------------------------------------


def _choice(request: Request, index: int, fingerprint: str) -> Choice:
    parts: list[Part] = []
    if _thinks(request):
        thought = f"The question has {len(_last_text(request))} characters."
        parts.append(ReasoningPart(thought, wire=_state(request.source, fingerprint)))
    calls = _tool_calls(request, fingerprint)
    if calls:
        return Choice(Message("assistant", [*parts, *calls]), "tool_calls", index)
    text, reason, stopped = _cut(request, _text(request, index))
    return Choice(Message("assistant", [*parts, TextPart(text)]), reason, index, stopped)


def _thinks(request: Request) -> bool:
    asked = request.reasoning
    return asked is not None and asked.effort != "none" and asked.budget != 0


def _state(dialect: str | None, fingerprint: str) -> Wire | None:
    """The opaque state of a thought, which callers must send back."""
    if dialect == "anthropic_messages":
        return Wire(dialect, {"signature": f"sim{fingerprint[:32]}"})
    if dialect == "openai_responses":
        item: JSONObject = {"type": "reasoning", "id": f"rs_{fingerprint[:24]}", "summary": []}
        return Wire(dialect, {"$at": 0, "$item": {**item, "encrypted_content": f"sim{fingerprint[:32]}"}}, "summary")
    return None


def _text(request: Request, index: int) -> str:
    schema = _asked_schema(request)
    if schema is not None:
        return json.dumps(instance(schema), separators=(",", ":"))
    if request.output is not None and request.output.kind == "json_object":
        return '{"answer":"simulated"}'
    results = _results(request)
    if results:
        return "The tools said: " + "; ".join(result.text for result in results)
    suffix = "" if index == 0 else f" (alternative {index + 1})"
    return f"This is a simulated answer to: {_last_text(request)}{suffix}"


def _asked_schema(request: Request) -> JSONObject | None:
    if request.output is not None and request.output.kind == "json_schema":
        return request.output.schema or {}
    for message in request.messages:
        if message.role in {"system", "developer"} and (found := described(message.text)) is not None:
            return found
    return None


def _cut(request: Request, text: str) -> tuple[str, FinishReason, str | None]:
    """The text up to the first stop sequence and within the limit, whichever comes first."""
    ends = [(place, stop) for stop in request.stop or [] if stop and (place := text.find(stop)) >= 0]
    place, stopped = min(ends, default=(len(text), None))
    limit = request.max_tokens
    if limit is not None and place > limit * 4:
        return text[: limit * 4], "length", None
    return text[:place], "stop", stopped


def _last_text(request: Request) -> str:
    for message in reversed(request.messages):
        if message.role == "user" and message.text:
            return message.text
    return ""


def _results(request: Request) -> list[ToolResultPart]:
    """The results that came since the model last spoke, whatever the user said beside them."""
    found: list[ToolResultPart] = []
    for message in reversed(request.messages):
        if message.role == "assistant":
            break
        found = [*(part for part in message.parts if isinstance(part, ToolResultPart)), *found]
    return found


def _tool_calls(request: Request, fingerprint: str) -> list[ToolCallPart]:
    """Calls of the tool that fits best: one, or one per quoted word when the prompt quotes several."""
    tool = _called_tool(request)
    if tool is None:
        return []
    quoted: list[str | None] = [*_QUOTED.findall(_last_text(request))]
    wanted = quoted if quoted and request.parallel_tool_calls is not False else quoted[:1] or [None]
    prefix = f"{_CALL_IDS.get(request.source or '', 'call_')}{fingerprint[:8]}"
    return [
        ToolCallPart(f"{prefix}_{number}", tool.name, _arguments(tool, word)) for number, word in enumerate(wanted, 1)
    ]


def _called_tool(request: Request) -> Tool | None:
    """The tool that the prompt names, else the first; None where none may be called or all have answered."""
    choice = request.tool_choice
    able = [tool for tool in request.tools if tool.hosted is None]
    if not able or (choice is not None and choice.mode == "none"):
        return None
    if choice is not None and choice.names:
        able = [tool for tool in able if tool.name in choice.names] or able
    forced = choice is not None and choice.mode in {"required", "tool"}
    if _results(request) and not forced:
        return None
    said = _last_text(request).lower()
    named = [tool for tool in able if tool.name.lower() in said or tool.name.lower().replace("_", " ") in said]
    return (named or able)[0]


def _arguments(tool: Tool, word: str | None) -> str:
    arguments = instance(tool.parameters or {"type": "object", "properties": {}})
    if word is not None and isinstance(arguments, dict):
        for name, value in arguments.items():
            if isinstance(value, str):
                arguments[name] = word
                break
    return json.dumps(arguments, separators=(",", ":"))


def pieces(text: str) -> list[str]:
    """A text in the pieces in which a model would stream it: word by word."""
    return _WORDS.findall(text) or ([text] if text else [])

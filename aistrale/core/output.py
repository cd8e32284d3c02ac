"""Structured output: the strongest way in which a target can enforce a schema, and its answer as plain JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.core.schema import Inexpressible, Lowered, lower_schema, restore
from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    Finish,
    Message,
    OutputFormat,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, Completion, Event, JSONObject, Part, Request

Mode = Literal["schema", "tool", "json", "prompt"]
_TOOL: Final = "answer"


@dataclass(slots=True)
class Answer:
    """How the schema of a request was put to the target.

    Args:
        mode: "schema" (the provider enforces it), "tool" (a forced tool call whose arguments are the answer), "json"
            (any JSON, the schema in words) or "prompt" (words only).
        lowered: How the schema was changed; None when it was not.
        tool: The forced tool's name in mode "tool".
    """

    mode: Mode
    lowered: Lowered | None = None
    tool: str | None = None


def lower(request: Request, profile: Profile, loss: Loss) -> tuple[Request, Answer | None]:
    """The request with its output format in the target's terms; the given one is not changed.

    Returns:
        The request to encode, and how to read the answer; None when there is nothing to undo.
    """
    output = request.output
    if output is None or output.kind == "text" or request.source is not None:
        return request, None
    mode: Mode = profile.structured
    if output.kind == "json_object":
        return (request, Answer("json")) if mode != "prompt" else _in_words(request, None, "prompt", loss)
    schema = output.schema or {}
    if mode == "schema":
        return _enforced(request, output, schema, profile, loss)
    if mode == "tool" and not request.tools:
        return _as_tool(request, output, schema)
    if mode == "tool":
        loss.emulate("output", "the model has tools of its own, so the schema is only asked for in words")
        mode = "prompt"
    return _in_words(request, schema, "json" if mode == "json" else "prompt", loss)


def _enforced(
    request: Request, output: OutputFormat, schema: JSONObject, profile: Profile, loss: Loss
) -> tuple[Request, Answer]:
    name = output.name or _TOOL
    try:
        lowered = lower_schema(schema, profile.provider)
    except Inexpressible as error:
        if profile.provider == "anthropic" and not request.tools:
            loss.emulate("output.schema", f"{error.detail} ({error.path}); a forced tool carries the schema instead")
            return _as_tool(request, output, schema)
        loss.emulate("output.strict", f"{error.detail} ({error.path}); the schema is sent without strict enforcement")
        loose = replace(output, name=name, strict=False)
        return replace(request, output=loose), Answer("schema")
    strict = True if output.strict is None else output.strict
    return replace(request, output=replace(output, name=name, schema=lowered.schema, strict=strict)), Answer(
        "schema", lowered
    )


def _as_tool(request: Request, output: OutputFormat, schema: JSONObject) -> tuple[Request, Answer]:
    name = output.name or _TOOL
    wrapped = schema.get("type") != "object" and "properties" not in schema
    parameters: JSONObject = (
        {"type": "object", "properties": {"value": schema}, "required": ["value"]} if wrapped else schema
    )
    if wrapped and "$defs" in schema:
        parameters["$defs"] = schema["$defs"]
    tool = Tool(name, output.description or "Give the answer through this tool.", parameters)
    changed = replace(request, output=None, tools=[tool], tool_choice=ToolChoice("tool", [name]))
    return changed, Answer("tool", Lowered(parameters, schema, wrapped=wrapped), name)


def _in_words(request: Request, schema: JSONObject | None, mode: Mode, loss: Loss) -> tuple[Request, Answer]:
    loss.emulate("output", "the model cannot enforce a schema; it is asked for in words and the answer is validated")
    words = "Answer with one JSON document and nothing else."
    if schema is not None:
        words += f" It must fit this JSON Schema:\n{json.dumps(schema)}"
    output = OutputFormat("json_object") if mode == "json" else None
    return replace(request, output=output, messages=_with_instruction(request.messages, words)), Answer(mode)


def _with_instruction(messages: list[Message], words: str) -> list[Message]:
    first = messages[0]
    if first.role not in {"system", "developer"}:
        return [Message.system(words), *messages]
    return [replace(first, parts=[*first.parts, TextPart(f"\n\n{words}")]), *messages[1:]]


def unwrap(completion: Completion, answer: Answer) -> Completion:
    """The completion with the document as its text, whatever way it took."""
    for choice in completion.choices:
        message = choice.message
        if answer.mode == "tool":
            parts: list[Part] = [_as_text(part, answer) for part in message.parts]
            if parts != message.parts and choice.finish_reason == "tool_calls":
                choice.finish_reason = "stop"
            message.parts = parts
        elif message.text and not message.tool_calls:
            text = _restored(find_json(message.text), answer)
            if text != message.text:
                others: list[Part] = [part for part in message.parts if not isinstance(part, TextPart)]
                message.parts = [*others, TextPart(text)]
    return completion


def _as_text(part: Part, answer: Answer) -> Part:
    if isinstance(part, ToolCallPart) and part.name == answer.tool:
        return TextPart(_restored(part.arguments or "{}", answer))
    return part


def _restored(text: str, answer: Answer) -> str:
    lowered = answer.lowered
    if lowered is None or not (lowered.wrapped or lowered.nulls):
        return text
    try:
        value = cast("JSON", json.loads(text))
    except (ValueError, RecursionError):
        return text
    return json.dumps(restore(value, lowered), ensure_ascii=False)


def find_json(text: str) -> str:
    """The one JSON value in a text, as it stands, in a code fence, or after some words; else the text itself."""
    stripped = text.strip()
    if _is_json(stripped):
        return stripped
    fence = stripped.find("```")
    if fence >= 0:
        inner = stripped[fence + 3 :].partition("\n")[2].partition("```")[0].strip()
        if _is_json(inner):
            return inner
    starts = [position for position in (stripped.find("{"), stripped.find("[")) if position >= 0]
    if starts:
        try:
            _, length = json.JSONDecoder().raw_decode(stripped[min(starts) :])
        except (ValueError, RecursionError):
            return text
        return stripped[min(starts) : min(starts) + length]
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class UnwrapTap:
    """Gives the document as text events: whole answers at once, a forced tool's arguments as they stream in.

    A streamed document keeps its nulls and its wrapping; the finished completion is restored.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._blocks: set[tuple[int, int]] = set()

    def feed(self, event: Event) -> Iterable[Event]:
        """Pass an event on, turned into text where it carries the document."""
        kind = type(event)
        if kind is Whole:
            cast("Whole", event).completion = unwrap(cast("Whole", event).completion, self._answer)
        elif self._answer.tool is None:
            return (event,)
        elif isinstance(event, BlockStart):
            part = event.part
            if isinstance(part, ToolCallPart) and part.name == self._answer.tool:
                self._blocks.add((event.choice, event.block))
                return (BlockStart(event.block, TextPart(part.arguments), event.choice),)
        elif isinstance(event, ArgumentsDelta):
            if (event.choice, event.block) in self._blocks:
                return (TextDelta(event.arguments, event.block, event.choice),)
        elif isinstance(event, Finish) and event.reason == "tool_calls" and self._blocks:
            return (Finish("stop", event.choice, event.stop_sequence, event.wire),)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """Nothing is held back."""
        return ()

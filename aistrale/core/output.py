"""Structured output: the strongest way in which a target can enforce a schema, and its answer as plain JSON text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeGuard, cast

from aistrale.core.schema import Inexpressible, Lowered, as_object_schema, lower_schema, restore
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
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
# Where a JSON object or array may begin in the middle of other text.
_BEGIN: Final = re.compile(r'\{(?=\s*["}])|\[(?=\s*(?:["\]\[{\d-]|true|false|null))')
_FENCE: Final = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_THOUGHTS: Final = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_MAX_VALUES: Final = 50


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


# --- the request ------------------------------------------------------------------------------------------------------


def lower(request: Request, profile: Profile, loss: Loss) -> tuple[Request, Answer | None]:
    """The request with its output format in the target's terms; the given one is not changed.

    Returns:
        The request to encode, and how to read the answer; None when there is nothing to undo.

    Raises:
        InvalidRequestError: The target cannot be asked in this way and `loss` does not allow another.
    """
    output = request.output
    if output is None or output.kind == "text" or request.source is not None:
        return request, None
    if output.kind == "json_object":
        return _any_object(request, profile, loss)
    mode, reason = _strongest(request, profile)
    if reason:
        loss.emulate("output", reason)
    schema = output.schema or {}
    if mode == "schema":
        return _enforced(request, output, schema, profile, loss)
    if mode == "tool":
        return _as_tool(request, output, schema)
    return _in_words(request, output, mode)


def _strongest(request: Request, profile: Profile) -> tuple[Mode, str]:
    """The strongest mode that this request leaves, and why it is weaker than a schema."""
    mode: Mode = profile.structured
    rules = profile.json
    if mode == "tool":
        return _carried(request, profile)
    if request.tools and not rules.beside_tools and mode in {"schema", "json"}:
        return "prompt", "the target enforces no JSON beside tools; the schema is only asked for in words"
    if mode == "schema" and request.stream and not rules.streamed:
        return "tool", "the target enforces no schema in a stream; a forced tool carries it"
    if mode in {"json", "prompt"}:
        return mode, "the model does not enforce a schema; it is asked for in words and the answer is validated"
    return mode, ""


def _carried(request: Request, profile: Profile) -> tuple[Mode, str]:
    """A forced tool call, unless something in the request excludes it."""
    if request.tools:
        return "prompt", "the model has tools of its own, so the schema is only asked for in words"
    reasoning = request.reasoning
    thinks = reasoning is not None and reasoning.effort != "none" and reasoning.budget != 0
    if thinks and not profile.json.tool_while_thinking:
        return "prompt", "thinking excludes a forced tool, so the schema is only asked for in words"
    return "tool", ""


def _any_object(request: Request, profile: Profile, loss: Loss) -> tuple[Request, Answer]:
    output = cast("OutputFormat", request.output)
    rules = profile.json
    excluded = bool(request.tools) and not rules.beside_tools
    if profile.structured in {"tool", "prompt"} or not rules.json_mode or excluded:
        loss.emulate("output", "the target has no JSON mode for this request; JSON is asked for in words")
        return _in_words(request, output, "prompt")
    if rules.wants_the_word and not any("json" in message.text.lower() for message in request.messages):
        loss.emulate("output", "the target's JSON mode wants the word JSON in the conversation; it was added")
        return _in_words(request, output, "json")
    return request, Answer("json")


def _enforced(
    request: Request, output: OutputFormat, schema: JSONObject, profile: Profile, loss: Loss
) -> tuple[Request, Answer]:
    wanted = output.strict
    if wanted is None and not profile.json.strict:
        loss.emulate("output.strict", "the model follows the schema by best effort; the answer is validated")
        wanted = False
    try:
        lowered = lower_schema(schema, profile.json.subset, strict=wanted)
    except Inexpressible as error:
        where = f"{error.detail} ({error.path})"
        if profile.json.inexpressible == "tool":
            mode, why = _carried(request, profile)
            loss.emulate("output.schema", f"{where}; {why or 'a forced tool carries the schema instead'}")
            return _as_tool(request, output, schema) if mode == "tool" else _in_words(request, output, mode)
        loss.emulate("output.strict", f"{where}; the schema is sent without strict enforcement")
        rooted = profile.json.object_root
        lowered = as_object_schema(schema) if rooted else Lowered(schema, schema, strict=False)
    if output.strict and lowered.notes:
        loss.emulate("output.schema", f"said in descriptions, not enforced: {', '.join(lowered.notes)}")
    sent = replace(output, name=_name(output), schema=lowered.schema, strict=lowered.strict and wanted is not False)
    return replace(request, output=sent), Answer("schema", lowered)


def _as_tool(request: Request, output: OutputFormat, schema: JSONObject) -> tuple[Request, Answer]:
    name = _name(output)
    lowered = as_object_schema(schema)
    tool = Tool(name, output.description or "Give the answer through this tool.", lowered.schema)
    changed = replace(
        request, output=None, tools=[tool], tool_choice=ToolChoice("tool", [name]), parallel_tool_calls=None
    )
    return changed, Answer("tool", lowered, name)


def _in_words(request: Request, output: OutputFormat, mode: Mode) -> tuple[Request, Answer]:
    words = "Answer with one JSON document and nothing else."
    if output.kind == "json_object":
        words = "Answer with one JSON object and nothing else."
    if output.description:
        words += f" It is: {output.description}"
    if output.schema is not None:
        words += f" It must fit this JSON Schema:\n{json.dumps(output.schema, ensure_ascii=False)}"
    sent = OutputFormat("json_object") if mode == "json" else None
    return replace(request, output=sent, messages=_with_instruction(request.messages, words)), Answer(mode)


def _with_instruction(messages: list[Message], words: str) -> list[Message]:
    if not messages or messages[0].role not in {"system", "developer"}:
        return [Message.system(words), *messages]
    first = messages[0]
    return [replace(first, parts=[*first.parts, TextPart(f"\n\n{words}")]), *messages[1:]]


def _name(output: OutputFormat) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", output.name or "")[:64] or _TOOL


# --- the answer -------------------------------------------------------------------------------------------------------


def unwrap(completion: Completion, answer: Answer | None) -> Completion:
    """The completion with the document as its text, whatever way it took; `output_mode` says which, and marks it done.

    What else the message holds (thoughts, calls of other tools) stays; so does a text that holds no single document.
    """
    if answer is None or completion.output_mode is not None:
        return completion
    completion.output_mode = answer.mode
    for choice in completion.choices:
        message = choice.message
        if any(isinstance(part, ToolCallPart) and part.name == answer.tool for part in message.parts):
            message.parts = _from_tool(message.parts, answer)
            if choice.finish_reason == "tool_calls" and not message.tool_calls:
                choice.finish_reason = "stop"
        elif message.text and (answer.mode == "tool" or not message.tool_calls):
            message.parts = _with_text(message.parts, _restored(find_json(message.text), answer))
    return completion


def _from_tool(parts: list[Part], answer: Answer) -> list[Part]:
    """The first call of the forced tool as the text; what the model said around it is no part of the document."""
    kept: list[Part] = []
    found = False
    for part in parts:
        if isinstance(part, ToolCallPart) and part.name == answer.tool:
            if not found:
                kept.append(TextPart(_restored(part.arguments or "{}", answer)))
            found = True
        elif not isinstance(part, TextPart):
            kept.append(part)
    return kept


def _with_text(parts: list[Part], text: str) -> list[Part]:
    texts = [part for part in parts if isinstance(part, TextPart)]
    if text == "".join(part.text for part in texts):
        return parts
    first, others = texts[0], {id(part) for part in texts[1:]}
    # The first part's own state (a signature) stays with it.
    return [replace(first, text=text) if part is first else part for part in parts if id(part) not in others]


def _restored(text: str, answer: Answer) -> str:
    lowered = answer.lowered
    if lowered is None or not (lowered.wrapped or lowered.nulls):
        return text
    try:
        value = cast("JSON", json.loads(text))
        restored = restore(value, lowered)
        return text if restored == value else json.dumps(restored, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def find_json(text: str) -> str:
    """The one JSON value in a text: the whole, in a code fence, or among words; else the text itself.

    Among several values the only object is taken. A text that breaks off within a value holds none, so that no part
    of a document is taken for the whole.
    """
    stripped = _THOUGHTS.sub("", text, count=1).strip() if "</think>" in text else text.strip()
    if not stripped or _is_json(stripped):
        return stripped or text
    fenced = [inner.strip() for inner in _FENCE.findall(stripped) if _is_json(inner.strip())]
    if len(fenced) == 1:
        return cast("str", fenced[0])
    found = _values(stripped)
    if len(found) > 1:
        found = [value for value in found if value.startswith("{")]
    return found[0] if len(found) == 1 else text


def _values(text: str) -> list[str]:
    decoder = json.JSONDecoder()
    found: list[str] = []
    position = 0
    while (begin := _BEGIN.search(text, position)) is not None and len(found) < _MAX_VALUES:
        try:
            _, position = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            return []
        found.append(text[begin.start() : position])
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class UnwrapTap:
    """Gives the document as text events: whole answers at once, a forced tool's arguments as they stream in.

    A streamed document keeps its nulls and its wrapping; `unwrap` restores the finished completion. Where a tool is
    forced, text is held back until it is known to be the answer and not words around the call.
    """

    __slots__ = ("_answer", "_blocks", "_done", "_dropped", "_held", "_others")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._blocks: set[tuple[int, int]] = set()
        self._dropped: set[tuple[int, int]] = set()
        self._done: set[int] = set()
        self._others: set[int] = set()
        self._held: dict[int, list[Event]] = {}

    def feed(self, event: Event) -> Iterable[Event]:
        """Pass an event on, turned into text where it carries the document."""
        if isinstance(event, Whole):
            event.completion = unwrap(event.completion, self._answer)
        elif self._answer.tool is None:
            return (event,)
        elif isinstance(event, BlockStart):
            return self._opened(event)
        elif isinstance(event, (ArgumentsDelta, TextDelta, BlockEnd)):
            return self._within(event)
        elif isinstance(event, Finish):
            held = self._held.pop(event.choice, [])
            if event.reason == "tool_calls" and event.choice in self._done - self._others:
                event = Finish("stop", event.choice, event.stop_sequence, event.wire)
            return (*held, event)
        return (event,)

    def _opened(self, event: BlockStart) -> Iterable[Event]:
        part, key = event.part, (event.choice, event.block)
        if isinstance(part, TextPart):
            if event.choice in self._done:
                self._dropped.add(key)
            else:
                self._held.setdefault(event.choice, []).append(event)
            return ()
        if not isinstance(part, ToolCallPart):
            return (event,)
        if part.name != self._answer.tool:
            self._others.add(event.choice)
            return (event,)
        if event.choice in self._done:
            self._dropped.add(key)
            return ()
        self._done.add(event.choice)
        self._dropped.update((held.choice, held.block) for held in self._held.pop(event.choice, []) if _opens(held))
        self._blocks.add(key)
        return (BlockStart(event.block, TextPart(part.arguments), event.choice),)

    def _within(self, event: ArgumentsDelta | TextDelta | BlockEnd) -> Iterable[Event]:
        key = (event.choice, event.block)
        if key in self._dropped:
            return ()
        held = self._held.get(event.choice, [])
        if any(_opens(opened) and opened.block == event.block for opened in held):
            held.append(event)
            return ()
        if isinstance(event, ArgumentsDelta) and key in self._blocks:
            return (TextDelta(event.arguments, event.block, event.choice),)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """What is held back of a reply that ended without saying so."""
        held = [event for events in self._held.values() for event in events]
        self._held.clear()
        return held


def _opens(event: Event) -> TypeGuard[BlockStart]:
    return isinstance(event, BlockStart)

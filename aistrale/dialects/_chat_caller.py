"""An answer of the OpenAI chat dialect, made ready for a caller who asked another server.

Servers of this format write alike but not the same: without a message where a filter stopped the answer, with reasoning
tokens beside the completion's, with calls that have no id, as text completions. A caller who asked that server knows;
one whose SDK is another's reads the form of OpenAI's API reference ("The chat completion object"). So the notation of
the source is forgotten here, and every field that it gave is kept.

Only the caller's own notation counts: who sent `functions` gets a call as `function_call`, whoever answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aistrale.dialects._chat_usage import TOTALS
from aistrale.dialects._chat_wire import ANSWER, NAME, REASONING_FIELDS, note, words_of
from aistrale.dialects.shape import kept
from aistrale.types import (
    BlockStart,
    Finish,
    MediaPart,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Whole,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import Choice, Completion, Event, Part, Request, Usage

# What says which thing a part is, not how it was written.
_MEANINGS: Final = frozenset({"custom", "audio", "transcript", "tool_call", "empty_transcript", ANSWER})
_LEGACY: Final = "function_call"


@dataclass(slots=True, frozen=True)
class Standard:
    """How a caller reads an answer that another server gave.

    Args:
        reasoning_field: Where the caller looks for thoughts; None leaves those that have a name under that name.
        functions: The caller sent `functions`, the format's first way to give tools: a call is its `function_call`.
    """

    reasoning_field: str | None = None
    functions: bool = False

    def completion(self, answer: Completion) -> Completion:
        """A whole answer; the given one is left as it is."""
        usage = None if answer.usage is None else _usage(answer.usage)
        choices = [self._choice(choice) for choice in answer.choices]
        return replace(answer, choices=choices, usage=usage, wire=_plain(answer.wire))

    def event(self, event: Event) -> Event:
        """One event of a streamed answer."""
        if isinstance(event, BlockStart):
            return replace(event, part=self._part(event.part))
        if isinstance(event, Finish):
            return replace(event, wire=self._finish(event.wire, called=event.reason == "tool_calls"))
        if isinstance(event, UsageUpdate):
            return replace(event, usage=_usage(event.usage))
        return Whole(self.completion(event.completion)) if isinstance(event, Whole) else event

    def _choice(self, choice: Choice) -> Choice:
        message = replace(
            choice.message,
            parts=[self._part(part) for part in choice.message.parts],
            wire=_plain(choice.message.wire),
        )
        return replace(choice, message=message, wire=self._finish(choice.wire, called=bool(message.tool_calls)))

    def _finish(self, wire: Wire | None, *, called: bool) -> Wire | None:
        if not (self.functions and called):
            return _plain(wire)
        return note(kept(wire, NAME), [f"said={_LEGACY}"])

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCallPart) and self.functions and "custom" not in words_of(part.wire):
            return replace(part, wire=note(kept(part.wire, NAME), [_LEGACY]))
        if isinstance(part, ReasoningPart):
            names = [] if self.reasoning_field else REASONING_FIELDS
            return replace(part, wire=_plain(part.wire, names))
        if isinstance(part, (TextPart, ToolCallPart, MediaPart, ProviderPart)):
            return replace(part, wire=_plain(part.wire, _MEANINGS))
        return replace(part, wire=_plain(part.wire))


def standard_for(request: Request | None, reasoning_field: str | None) -> Standard:
    """What the caller's request says about how the answer is read."""
    tools = [] if request is None else request.tools
    return Standard(reasoning_field, any("functions" in words_of(tool.wire) for tool in tools))


def _plain(wire: Wire | None, meanings: Iterable[str] = ()) -> Wire | None:
    """The fields without the notation; what came from another dialect has none of ours."""
    if wire is None or wire.dialect != NAME or not wire.form:
        return wire
    return note(wire.fields, [word for word in words_of(wire) if word in meanings])


def _usage(usage: Usage) -> Usage:
    """The counts without the sums that the server made in its own way."""
    wire = usage.wire
    if wire is None or wire.dialect != NAME:
        return usage
    fields = {name: value for name, value in wire.fields.items() if name not in TOTALS}
    return replace(usage, wire=note(fields))

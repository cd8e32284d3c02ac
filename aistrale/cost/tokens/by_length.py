"""How many tokens a request will need and an answer has needed so far, estimated from their length.

Characters only: cheap enough for every call and every piece of a stream, and nothing has to be loaded for it. Counts
by a real tokenizer are in `aistrale.cost.tokens.counters`.
"""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING, Final, cast

from aistrale.types import (
    ArgumentsDelta,
    BlockStart,
    EmbedRequest,
    MediaPart,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.types import JSON, Completion, Event, Part, Request, Usage

# Rule of thumb of OpenAI's and Anthropic's documentation for English, and what OpenAI's rate limits count by.
_CHARACTERS: Final = 4
# An image in full resolution (OpenAI's "high" detail, 1024 x 1024); sounds and documents have no usual size.
_MEDIA: Final = 765
# What the format adds for each message: its role and its borders.
_MESSAGE: Final = 4


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: one for four characters, rounded up.

    Beyond ASCII four bytes of UTF-8 are counted instead, since other scripts have fewer characters to a token.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // _CHARACTERS)


def estimate_request(request: Request | EmbedRequest) -> tuple[int, int | None]:
    """About how many input tokens a request has, and how many output tokens its answer has at most.

    Returns:
        The second number is None where the request sets no limit, and 0 for embeddings, which have no output.
    """
    if isinstance(request, EmbedRequest):
        return sum(estimate_tokens(item) if isinstance(item, str) else len(item) for item in request.inputs), 0
    size = sum(_MESSAGE + _parts(message.parts) for message in request.messages)
    for tool in request.tools:
        size += estimate_tokens(tool.name) + estimate_tokens(tool.description or "")
        size += _document(tool.parameters) + _document(tool.hosted)
    if request.output is not None:
        size += _document(request.output.schema)
    most = request.max_tokens
    return size, None if most is None else most * max(request.n or 1, 1)


class StreamCounter:
    """How many tokens of output a stream has brought so far; a third of a microsecond for each event.

    Text, visible thoughts and arguments of tool calls are counted by their length until the provider says how many
    tokens it were; from there on what comes is added to that. A report of less than half of what was delivered is that
    of a beginning (Anthropic counts a few tokens before the first) and changes nothing. Thinking that is not shown is
    not seen before its report.

    Args:
        factor: What the tokens by length are multiplied with: actual over estimated, 1.0 where nothing is known.
    """

    __slots__ = ("_known", "_per_byte", "_size")

    def __init__(self, factor: float = 1.0) -> None:
        self._per_byte = factor / _CHARACTERS
        self._size = 0
        self._known = 0

    def feed(self, event: Event) -> None:
        """Count one event of the reply; of any kind, in any order."""
        kind = type(event)
        if kind is TextDelta:
            text = event.text
        elif kind is ReasoningDelta:
            text = cast("ReasoningDelta", event).reasoning
        elif kind is ArgumentsDelta:
            text = cast("ArgumentsDelta", event).arguments
        else:
            self._other(event)
            return
        self._size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

    @property
    def output(self) -> int:
        """Tokens of output so far, rounded up."""
        return self._known + ceil(self._size * self._per_byte)

    def _other(self, event: Event) -> None:
        if isinstance(event, UsageUpdate):
            self._correct(event.usage)
        elif isinstance(event, BlockStart):
            self._size += _said(event.part)
        elif isinstance(event, Whole):
            self._whole(event.completion)

    def _whole(self, answer: Completion) -> None:
        self._size += sum(_said(part) for choice in answer.choices for part in choice.message.parts)
        if answer.usage is not None:
            self._correct(answer.usage)

    def _correct(self, usage: Usage) -> None:
        reported = usage.output_total
        if reported is not None and 2 * reported >= self.output:
            self._known, self._size = reported, 0


def _said(part: Part) -> int:
    """Bytes of what a part of an answer says."""
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        return len(part.text.encode("utf-8", "surrogatepass"))
    if isinstance(part, ToolCallPart):
        return len((part.name + part.arguments).encode("utf-8", "surrogatepass"))
    return 0


def _parts(parts: Iterable[Part]) -> int:
    return sum(_part(part) for part in parts)


def _part(part: Part) -> int:
    if isinstance(part, TextPart):
        return estimate_tokens(part.text)
    if isinstance(part, ToolResultPart):
        return _parts(part.content)
    if isinstance(part, ToolCallPart):
        return estimate_tokens(part.name) + estimate_tokens(part.arguments)
    if isinstance(part, MediaPart):
        return _MEDIA
    if isinstance(part, ProviderPart):
        return _document(part.data)
    return estimate_tokens(part.text)


def _document(value: JSON) -> int:
    if not value:
        return 0
    try:
        return estimate_tokens(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError):
        return 0  # what is no JSON is refused with a better message when it is encoded

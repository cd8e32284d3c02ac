"""How many tokens a request brings, counted as its provider would, and how far off that may be.

OpenAI's own encodings are exact for plain text. What other providers do with a text is counted by rules that were
measured (`tokens/foreign.py`), what stands around it by the frames of `tokens/families.py`; what nobody documents (how
tools are shown to a model, what an image of unknown size takes) is an interval. Needs tiktoken and loads
encodings: about half a second at the first use in a process, so not on an event loop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from aistrale.cost.tokens import encodings, foreign
from aistrale.cost.tokens.by_length import estimate_tokens
from aistrale.cost.tokens.families import Guess, family_of, from_elsewhere
from aistrale.cost.tokens.media import media_tokens, written
from aistrale.cost.tokens.tool_forms import typescript
from aistrale.types import EmbedRequest, MediaPart, ProviderPart, ReasoningPart, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.cost.tokens.encodings import Name
    from aistrale.cost.tokens.families import Family
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import JSON, Message, OutputFormat, Part, Request, Tool, Wire

CHARACTERS: Final = "characters"
# How far four characters to a token can be off, as a share: code and scripts without blanks have more, prose less.
_CHARACTERS_ERROR: Final = 0.4
# Found pages and earlier turns fill windows; this is what most of today's models hold.
_ELSEWHERE: Final = Guess(0, 0, 200_000)
_HOSTED: Final = 100_000
# What the rules for other vocabularies may be off by more where a text is not in ASCII, a share.
_SCRIPTS_ERROR: Final = 0.15
# GPT-5 in the Chat Completions API introduces tools with a text of its own, in the Responses API it does not.
_CHAT_TOOLS: Final = Guess(81, 0, 92)


@dataclass(slots=True, frozen=True, kw_only=True)
class Count:
    """How many tokens something has.

    Args:
        tokens: The best guess.
        low: Not less than this, as far as is known; at most `tokens`.
        high: Not more than this, as far as is known; at least `tokens`.
        method: How text was counted: "o200k_base" and "cl100k_base" are OpenAI's own encodings, "claude-3",
            "claude-4.7" and "gemini" are made of the first, "characters" is a quarter of the length (the encodings
            could not be loaded).
        exact: Whether the provider's own tokenizer counted a form that is known; the bounds are `tokens` then.
    """

    tokens: int
    low: int
    high: int
    method: str
    exact: bool = False

    def scaled(self, factor: float, spread: float = 0.0) -> Count:
        """The same, corrected by what was learned from earlier calls.

        Args:
            factor: Actual over counted.
            spread: How far single calls were off that, a share. Bounds become narrower only if they were wider.
        """
        tokens = max(0, round(self.tokens * factor))
        low, high = self.low * factor, self.high * factor
        if spread and not self.exact:
            low, high = max(low, tokens * (1 - spread)), min(high, tokens * (1 + spread))
        return Count(
            tokens=tokens,
            low=min(tokens, max(0, int(low))),
            high=max(tokens, round(high)),
            method=self.method,
            exact=self.exact and factor == 1.0,
        )


class _Counter:
    """Adds up one request."""

    def __init__(self, family: Family, model: str) -> None:
        self.family = family
        self.model = model
        self.method = family.method
        self.text = 0.0
        self.scripts = 0.0
        self.known = 0
        self.unsure = [0.0, 0.0, 0.0]
        self.exact = family.exact

    def of(self, text: str) -> float:
        """Tokens of a text; no such thing as a failure, only a worse method."""
        if not text:
            return 0
        if self.method == CHARACTERS:
            return estimate_tokens(text)
        try:
            if self.method in encodings.SOURCES:
                return encodings.count(text, cast("Name", self.method))
            tokens = foreign.count(text, cast("foreign.Vocabulary", self.method))
        except ImportError:
            self.method, self.exact = CHARACTERS, False
            return estimate_tokens(text)
        if not text.isascii():
            self.scripts += tokens * min(1.0, len(text.encode("utf-8", "surrogatepass")) / len(text) - 1.0)
        return tokens

    def add(self, guess: Guess) -> None:
        """Something whose size is not known exactly."""
        self.exact = False
        for place, tokens in enumerate(guess):
            self.unsure[place] += tokens

    def done(self) -> Count:
        """The sum."""
        family = self.family
        tokens = max(0, round(self.text + self.known + self.unsure[0]))
        off = 0.0
        if not self.exact:
            share = _CHARACTERS_ERROR if self.method == CHARACTERS else family.error
            off = self.text * share + self.scripts * _SCRIPTS_ERROR + family.slack + (1 if family.exact else 0)
        low = self.text + self.known + self.unsure[1] - off
        high = self.text + self.known + self.unsure[2] + off
        return Count(
            tokens=tokens,
            low=min(tokens, max(0, int(low))),
            high=max(tokens, round(high)),
            method=self.method,
            exact=self.exact,
        )


def count_text(text: str, provider: str, model: str) -> Count:
    """How many tokens a text alone has for a model; without the frame of a message.

    Args:
        text: Any text.
        provider: The provider's name.
        model: The model, in the provider's words.
    """
    counter = _Counter(family_of(provider, model), model)
    counter.text = counter.of(text)
    return counter.done()


def count_request(
    request: Request | EmbedRequest,
    provider: str,
    model: str,
    *,
    facts: ModelFacts | None = None,
    dialect: str | None = None,
) -> Count:
    """How many input tokens a request has for a model.

    What the provider adds by itself cannot be counted: earlier turns that it keeps (`previous_response_id`), cached
    contents by reference, what its hosted tools find. Only the upper bound knows of it.

    Args:
        request: What is about to be sent.
        provider: The provider's name.
        model: The model, in the provider's words.
        facts: What the catalog says of it.
        dialect: The wire format that it is sent in; by default the best that the catalog names, or that of the request.
    """
    counter = _Counter(family_of(provider, model), model)
    if isinstance(request, EmbedRequest):
        counter.text = sum(counter.of(item) if isinstance(item, str) else len(item) for item in request.inputs)
        return counter.done()
    _messages(counter, request.messages)
    if _thinks(request) and any(counter.family.thinking):
        counter.add(counter.family.thinking)
    if from_elsewhere(request):
        counter.add(_ELSEWHERE)
    if request.tools:
        spoken = dialect or (facts.dialects[0] if facts is not None and facts.dialects else request.source)
        _tools(counter, request, chat=spoken != "openai_responses")
    if request.output is not None and request.output.kind != "text":
        _output(counter, request.output)
    return counter.done()


def _thinks(request: Request) -> bool:
    asked = request.reasoning
    return asked is not None and asked.effort != "none" and bool(asked.effort or asked.budget)


def _messages(counter: _Counter, messages: list[Message]) -> None:
    family = counter.family
    framed = [each for each in messages if not (family.system_is_free and each.role in {"system", "developer"})]
    number = len(framed)
    if family.prefilled and number > 1 and framed[-1].role == "assistant":
        number -= 1
    counter.known += family.frame + family.message * number
    if family.system and framed and any(each.role in {"system", "developer"} for each in messages):
        counter.known += family.system
    for message in messages:
        if message.role == "assistant":
            counter.known += family.answered
        if message.name and family.name:
            counter.text += counter.of(message.name)
            counter.known += family.name
        # An empty message is a part all the same.
        counter.known += family.part * max(1, len(message.parts))
        for part in message.parts:
            _part(counter, part)


def _part(counter: _Counter, part: Part) -> None:
    if isinstance(part, MediaPart):
        text = written(part)
        if text is None:
            counter.add(media_tokens(part, counter.family.images, counter.model))
        else:
            # A document of text is shown as such, with its name and a frame.
            counter.text += counter.of(text)
            counter.add(Guess(20, 0, 400))
    elif isinstance(part, ToolCallPart):
        said = counter.of(part.name) + counter.of(part.arguments)
        counter.text += said
        counter.add(Guess(8, -0.3 * said, 30 + said + _opaque(part.wire)))
    elif isinstance(part, ToolResultPart):
        counter.add(Guess(4, 0, 40))
        for inner in part.content:
            _part(counter, inner)
    elif isinstance(part, ReasoningPart):
        # Providers drop the thoughts of earlier turns, but for those of the turn that goes on.
        counter.add(Guess(0, 0, counter.of(part.text) + 100 + _opaque(part.wire)))
    elif isinstance(part, ProviderPart):
        size = counter.of(_document(part.data))
        counter.add(Guess(size, 0, 2 * size + 50))
    else:
        counter.text += counter.of(part.text)


def _opaque(wire: Wire | None) -> float:
    """The most tokens that sealed thoughts can be: they are sent back, and a part of them is read again."""
    return len(_document(wire.fields)) / 3 if wire is not None else 0.0


def _tools(counter: _Counter, request: Request, *, chat: bool) -> None:
    family = counter.family
    own = [tool for tool in request.tools if tool.hosted is None]
    for tool in request.tools:
        if tool.hosted is not None:
            # Their descriptions are the provider's secret, and what they find is input of the next turn.
            size = counter.of(_document(tool.hosted))
            counter.add(Guess(size + 300, 0, size + _HOSTED))
    if not own:
        return
    if family.tool_form == "typescript":
        size = counter.of(typescript(own))
        longest = max(size, sum(_definition(counter, own)))
    else:
        size = longest = sum(_definition(counter, own))
    share = family.tool_share
    counter.add(Guess(size * share.tokens, size * share.low, longest * share.high))
    counter.add(family.tools)
    counter.add(Guess(*(each * (len(own) - 1) for each in family.more_tools)))
    if request.tool_choice is not None and request.tool_choice.mode in {"required", "tool"}:
        counter.add(family.forced)
    if family.tool_form == "typescript" and family.answered and chat:
        counter.add(_CHAT_TOOLS)


def _definition(counter: _Counter, tools: Iterable[Tool]) -> Iterable[float]:
    for tool in tools:
        yield counter.of(tool.name) + counter.of(tool.description or "") + counter.of(_document(tool.parameters))


def _output(counter: _Counter, output: OutputFormat) -> None:
    size = counter.of(_document(output.schema))
    if size:
        share, family = counter.family.schema_share, counter.family
        counter.add(Guess(size * share.tokens, size * share.low, size * share.high))
        counter.add(family.schema)
    else:
        counter.add(Guess(0, 0, 40))


def _document(value: JSON) -> str:
    if not value:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""  # what is no JSON is refused with a better message when it is encoded

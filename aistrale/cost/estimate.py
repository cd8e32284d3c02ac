"""What an exchange used that ended before its provider said so.

Answers are counted with the encoding where this process has loaded it already, else by their length: what ends here
ends on the way of a call, which is no place to load anything. Very long texts are always taken by their length.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.cost.tokens import encodings
from aistrale.cost.tokens.by_length import estimate_request, estimate_tokens
from aistrale.cost.tokens.families import family_of
from aistrale.types import EmbedRequest, ReasoningPart, RefusalPart, TextPart, ToolCallPart, Usage

if TYPE_CHECKING:
    from aistrale.types import Completion, Part, Request

# Characters that are counted in less than a millisecond or so.
_QUICK: Final = 10_000
# Tokens in another vocabulary for one of o200k, in prose; `tokens/foreign.py` knows better, and has to be loaded.
_MORE: Final = {"claude-3": 1.12, "claude-4.7": 1.47, "gemini": 1.03}


def estimate_usage(request: Request, answer: Completion, reported: Usage | None) -> Usage:
    """The tokens of a stream that was cut, left or never counted.

    What the provider has reported so far stands, unless it is less than half of what was delivered: then it is the
    count of a beginning (Anthropic counts one token of output before the first), and only its input is true.

    Args:
        request: What was sent.
        answer: What was delivered.
        reported: The provider's last word, if it gave one.

    Returns:
        Tokens with `source` "estimated", or `reported` itself.
    """
    parts = [part for choice in answer.choices for part in choice.message.parts]
    model = answer.model or request.model
    thought = _tokens([part.text for part in parts if isinstance(part, ReasoningPart)], model)
    visible = _tokens([_said(part) for part in parts if not isinstance(part, ReasoningPart)], model)
    if reported is None:
        return Usage(input=prompt_tokens(request), output=visible, reasoning=thought or None, source="estimated")
    if 2 * (reported.output_total or 0) >= visible + thought:
        return reported
    return replace(
        reported,
        output=max(visible, reported.output or 0),
        reasoning=max(thought, reported.reasoning or 0) or None,
        source="estimated",
    )


def prompt_tokens(request: Request | EmbedRequest) -> int:
    """About how many tokens a request brings."""
    return estimate_request(request)[0]


def _said(part: Part) -> str:
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        return part.text
    if isinstance(part, ToolCallPart):
        return part.name + part.arguments
    return ""


def _tokens(texts: list[str], model: str) -> int:
    if not encodings.loaded() or sum(map(len, texts)) > _QUICK:
        return sum(map(estimate_tokens, texts))
    counted = sum(map(encodings.count, texts))
    return round(counted * _MORE.get(family_of("", model).method, 1.0))

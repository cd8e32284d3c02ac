"""What an exchange used that ended before its provider said so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aistrale.cost.prices import price_usage
from aistrale.cost.tokens import estimate_request, estimate_tokens
from aistrale.types import EmbedRequest, ReasoningPart, RefusalPart, TextPart, ToolCallPart, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from aistrale.core.call import Call, Target
    from aistrale.types import Completion, Part, Request


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
    thought = sum(estimate_tokens(part.text) for part in parts if isinstance(part, ReasoningPart))
    visible = sum(_said(part) for part in parts if not isinstance(part, ReasoningPart))
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


def most_cost(call: Call, target: Target) -> Decimal | None:
    """The most that an attempt can cost, in US dollars, as far as its prompt can be estimated.

    None where the price is unknown, or where neither the request nor the catalog limits the answer.
    """
    request, facts = call.request, target.facts
    most: int | None = 0
    if not isinstance(request, EmbedRequest):
        most = request.max_tokens or (facts.max_output if facts is not None else None)
    if most is None:
        return None
    usage = Usage(input=prompt_tokens(request), output=most, source="estimated")
    return price_usage(target.provider.name, target.model, usage).usd


def _said(part: Part) -> int:
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        return estimate_tokens(part.text)
    if isinstance(part, ToolCallPart):
        return estimate_tokens(part.name + part.arguments)
    return 0

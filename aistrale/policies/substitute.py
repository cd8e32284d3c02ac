"""Whether another model can take a call over, and what it costs beside the one that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.tokens.by_length import estimate_request
from aistrale.types import MediaPart, Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import Cost, Request

# Three tokens of input to one of output, the usual mix of chats.
_USUAL_MIX: Final = Usage(input=3_000, output=1_000)
# Prompts are estimated by their length, and may have so many times as many tokens.
_MORE: Final = 1.3


def usual_price(price: Callable[..., Cost], provider: str, model: str) -> Decimal | None:
    """What a model costs, to compare it with others: US dollars for a usual mix of tokens; None where that is unknown.

    Args:
        price: Prices usage, as `aistrale.cost.price_usage` does.
        provider: Who serves it.
        model: Its name there.
    """
    return price(provider, model, _USUAL_MIX).usd


def can_serve(facts: ModelFacts | None, request: Request, *, unknown: bool) -> bool:
    """Whether a model takes what a request holds: its tools, its media, its schema, its length.

    Args:
        facts: Of the model; None where nothing is known of it.
        request: What is asked.
        unknown: The answer where it is not known whether the model takes such tools or media.
    """
    if facts is None:
        return unknown
    if request.tools and not (unknown if facts.tools is None else facts.tools):
        return False
    media = {part.media for message in request.messages for part in message.parts if isinstance(part, MediaPart)}
    if media and not (unknown if facts.input is None else media <= frozenset(facts.input)):
        return False
    if request.output is not None and request.output.kind == "json_schema" and facts.structured in {"json", "prompt"}:
        return False
    tokens, most = estimate_request(request)
    room = facts.max_input or facts.context
    return (room is None or tokens * _MORE < room) and (
        most is None or facts.max_output is None or most <= facts.max_output
    )

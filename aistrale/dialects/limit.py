"""The limit of an answer's length in a body that is on the wire already, as its format says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.types import JSONObject

FIELDS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens", "generationConfig", "generation_config")
"""Where the formats say it; who sends one of these as a field of their own limits the answer themselves."""


def limited(body: JSONObject, dialect: str, tokens: int, field: str) -> JSONObject:
    """A copy of a body that asks for no longer an answer.

    Args:
        body: Of a chat request; it is not changed.
        dialect: Its format, as `Dialect.NAME`.
        tokens: Of each alternative.
        field: What the OpenAI chat dialect calls it at the target, `Profile.max_tokens_field`.
    """
    if dialect == "gemini_generate":
        name = "generation_config" if "generation_config" in body else "generationConfig"
        config = body.get(name)
        given = config if isinstance(config, dict) else {}
        word = "max_output_tokens" if "max_output_tokens" in given else "maxOutputTokens"
        return {**body, name: {**given, word: tokens}}
    if dialect == "openai_responses":
        return {**body, "max_output_tokens": tokens}
    if dialect == "anthropic_messages":
        return {**body, "max_tokens": tokens}
    return {**body, next((name for name in FIELDS[:2] if body.get(name) is not None), field): tokens}

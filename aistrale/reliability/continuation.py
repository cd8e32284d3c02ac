"""How another model is asked to go on with an answer, and when it must not be asked.

Where the model takes it, what was delivered stands as the beginning of its own answer. Elsewhere a turn of the user
quotes it: newer models refuse to have words put into their mouths (Anthropic's guide "Prefill Claude's response").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.types import Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.dialects.base import Profile
    from aistrale.types import JSONObject, Request

# Fields that ask for more than text, as callers write them into `extra`, or as they stand in a body that was decoded.
_MORE_THAN_TEXT: Final = frozenset(
    {
        "audio", "candidateCount", "conversation", "functions", "function_call", "generationConfig", "logprobs",
        "modalities", "n", "output_config", "output_format", "previous_response_id", "prediction", "response_format",
        "responseLogprobs", "responseMimeType", "responseModalities", "responseSchema", "text", "tool_choice", "tools",
        "top_logprobs", "web_search_options",
    }
)  # fmt: skip
# What a model is left with at least where a limit was nearly used up: OpenAI's Responses API takes no less.
_LEAST_TOKENS: Final = 16
_WORDS: Final = (
    "The answer to this broke off. This is all of it so far:\n"
    "<answer_so_far>\n{text}\n</answer_so_far>\n"
    "Go on exactly where it stops, in its language, style and format. "
    "Write only what follows: no repetition, no introduction, no remark about the interruption."
)


def may_continue(request: Request) -> bool:
    """Whether an answer to the request could be put together from the words of two models.

    Only plain text can: one alternative, no tools, no schema, no log probabilities.
    """
    structured = request.output is not None and request.output.kind != "text"
    if request.tools or structured or request.logprobs is not None or (request.n or 1) != 1:
        return False
    return not (_asks_for_more(request.extra) or (request.wire is not None and _asks_for_more(request.wire.fields)))


def _asks_for_more(fields: JSONObject) -> bool:
    return any(fields[name] not in (None, [], {}) for name in fields.keys() & _MORE_THAN_TEXT)


def takes_prefill(request: Request, profile: Profile, text: str) -> bool:
    """Whether the target can be given the beginning of its own answer."""
    # A thinking model begins with its thoughts, so nothing can stand before them.
    thinks = request.reasoning is not None and request.reasoning.effort != "none" and request.reasoning.budget != 0
    return profile.prefill and not thinks and bool(text.strip())


def continuation(request: Request, text: str, count: Callable[[str], int], *, prefill: bool) -> Request:
    """The request for the rest of an answer; the given one is not changed.

    Args:
        request: What was asked.
        text: What was delivered of the answer. When that is nothing, the same is asked again.
        count: Estimates the tokens of a text; they are taken from the limit of the answer.
        prefill: Whether the text stands as the beginning of the model's answer.
    """
    if not text:
        return request
    limit = request.max_tokens
    if limit is not None:
        limit = max(limit - count(text), min(limit, _LEAST_TOKENS))
    if prefill:
        # Anthropic refuses a beginning that ends with white space; what comes of it twice is found as an overlap.
        messages = [*request.messages, Message.assistant(text.rstrip())]
    else:
        messages = _with_quote(request.messages, _WORDS.format(text=text))
    return replace(request, messages=messages, max_tokens=limit)


def _with_quote(messages: list[Message], words: str) -> list[Message]:
    """The conversation with a demand of the user at its end.

    It joins the user's last turn, where there is one: the chat templates of some open models take no two in a row.
    """
    last = messages[-1] if messages else None
    if last is None or last.role != "user" or last.wire is not None:
        return [*messages, Message.user(words)]
    return [*messages[:-1], replace(last, parts=[*last.parts, TextPart(f"\n\n{words}")])]

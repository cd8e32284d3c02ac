"""What a request from elsewhere asks for and Gemini does not have, and the fields that it says in its own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aistrale.dialects._gemini_names import NAME, own, put

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSONObject, Request

_TIERS = {
    "flex": "flex",
    "standard": "standard",
    "priority": "priority",
    "default": "standard",
    "standard_only": "standard",
}
# Vertex AI: keys and values of labels.
_LABEL = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
# What another dialect keeps on its servers, or runs there: it cannot be continued here, and must not be guessed.
_STORED = frozenset(
    {
        "previous_response_id",
        "conversation",
        "previous_interaction_id",
        "container",
        "mcp_servers",
        "web_search_options",
        "prompt",
        "background",
    }
)
# Says how the answer travels or is filed, or asks for another provider's state, not what the answer is.
_TRANSPORT = frozenset({"stream_options", "store", "betas", "stream", "include"})


def report_losses(request: Request, loss: Loss) -> None:
    """Refuse or record what cannot be said; to be called for requests that were not decoded from this dialect.

    Args:
        request: The request.
        loss: Takes what cannot be said.

    Raises:
        InvalidRequestError: State, tools or options that must not be left out.
    """
    if request.logit_bias:
        loss.refuse("logit_bias", "Gemini has no logit bias")
    if request.parallel_tool_calls is False:
        loss.unsupported("parallel_tool_calls", "Gemini cannot be kept from calling several tools at once")
    if request.user is not None:
        loss.drop("user", "Gemini has no field for the user of the application")
    hints = [part for message in request.messages for part in message.parts if getattr(part, "cache", None)]
    if hints or any(tool.cache for tool in request.tools):
        loss.drop("cache", "Gemini caches prefixes by itself; hints were left out")
    if request.cache_key is not None:
        loss.drop("cache_key", "Gemini caches prefixes by itself; the key was left out")
    for index, message in enumerate(request.messages):
        if message.name is not None:
            loss.drop(f"messages[{index}].name", "Gemini has no names of participants")
    if request.wire is None or own(request.wire):
        return
    for key, value in request.wire.fields.items():
        if not value or key in _TRANSPORT:
            continue
        if key in _STORED:
            loss.refuse(key, "it refers to state or tools of another provider, which Gemini cannot reach")
        loss.drop(key, "Gemini has no counterpart")


def write_service(body: JSONObject, request: Request, loss: Loss, words: list[str]) -> None:
    """Write the service tier, and metadata as labels.

    Args:
        body: Gets the fields.
        request: The request.
        loss: Takes what cannot be said.
        words: The request's form.
    """
    native = request.source == NAME
    tier = request.service_tier
    if tier is not None and tier != "auto":
        known = tier if native else _TIERS.get(tier)
        if known is None:
            loss.unsupported("service_tier", f"Gemini has no tier {tier!r}")
        else:
            put(body, "serviceTier", known, words)
    if request.metadata is None:
        return
    fit = {key: value for key, value in request.metadata.items() if native or _fits_label(key, value)}
    for key in request.metadata.keys() - fit.keys():
        loss.drop(f"metadata.{key}", "it does not fit a label: at most 63 of a-z, 0-9, _ and -")
    if fit or native:
        body["labels"] = {**fit}


def _fits_label(key: str, value: str) -> bool:
    return bool(key) and key[0].isalpha() and bool(_LABEL.fullmatch(key)) and bool(_LABEL.fullmatch(value))

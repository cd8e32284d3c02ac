"""What an exchange says about its price besides the usage: hosted tools that were used, refusals, where it was served.

Answers say it in other places than their usage, each provider in its own. It is read from the decoded answer, so that
whole answers and streams, unified calls and those of official SDKs are the same.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aistrale.types import Completion, ProviderPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.core.call import Target
    from aistrale.types import JSON, Choice, Embeddings, JSONObject

# Each region has a host of its own (OpenAI data residency guide).
_REGION: Final = re.compile(r"https?://([a-z]{2})\.api\.openai\.com(?:[:/]|$)", re.IGNORECASE)
# Groq's compound systems say which tools they ran; only searches have a fee of their own.
_SEARCHED: Final = frozenset({"search", "web_search", "browser_search"})
# OpenAI's chat models that search the web before every answer, without saying so.
_SEARCHER: Final = re.compile(r"-search-(?:preview|api)")


def gather(target: Target, answer: Completion | Embeddings, conditions: dict[str, str]) -> None:
    """Write what an answer says about its price into an attempt's conditions, in the words of `cost.meter`.

    Args:
        target: Who answered.
        answer: The answer, or what has arrived of it.
        conditions: Takes what is found; what stands there stays.
    """
    provider = target.provider.name
    if provider == "openai" and (region := region_of(target.base_url)):
        conditions.setdefault("data_residency", region)
    tier = None if answer.wire is None else answer.wire.fields.get("service_tier")
    if isinstance(tier, str):
        conditions.setdefault("service_tier", tier)
    reader = _READERS.get(provider)
    if reader is not None and isinstance(answer, Completion):
        for name, value in reader(target, answer).items():
            conditions.setdefault(name, value)


@lru_cache(maxsize=256)
def region_of(base_url: str) -> str | None:
    """The region whose data residency an OpenAI base URL stands for; None for the global one and for other hosts."""
    found = _REGION.match(base_url)
    return found[1].lower() if found is not None else None


def _openai(target: Target, answer: Completion) -> dict[str, str]:
    if target.dialect != "openai_responses":
        searched = _SEARCHER.search(answer.model or target.model)
        return {"web_search_calls": "1"} if searched is not None and answer.choices else {}
    searches = files = 0
    for data in _items(answer):
        kind = data.get("type")
        if kind == "web_search_call":
            action = data.get("action")
            # Opening a page and looking for words in it are no searches; without an action it is an older answer.
            searches += not isinstance(action, dict) or action.get("type") == "search"
        elif kind == "file_search_call":
            files += 1
    fields = {} if answer.wire is None else answer.wire.fields
    used = fields.get("tool_usage")
    if isinstance(used, dict):
        searches = _count(used.get("web_search"), "num_requests") or searches
    found = {"web_search_calls": searches, "file_search_calls": files}
    told = {name: str(uses) for name, uses in found.items() if uses}
    if isinstance(used, dict) and _count(images := used.get("image_gen"), "total_tokens"):
        told["image_generation"] = json.dumps({"model": _painter(fields.get("tools")), "usage": images})
    return told


def _items(answer: Completion) -> Iterator[JSONObject]:
    for choice in answer.choices:
        for part in choice.message.parts:
            if type(part) is ProviderPart:
                yield part.data


def _count(node: JSON, name: str) -> int:
    uses = node.get(name) if isinstance(node, dict) else None
    return uses if isinstance(uses, int) else 0


def _painter(tools: JSON) -> str | None:
    """The model that the image tool was told to use."""
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("type") == "image_generation" and isinstance(tool.get("model"), str):
            return str(tool["model"])
    return None


def _anthropic(_: Target, answer: Completion) -> dict[str, str]:
    for choice in answer.choices:
        if choice.finish_reason == "content_filter" and choice.wire is not None and choice.wire.form == "refusal":
            said = any(type(part) is ProviderPart or getattr(part, "text", True) for part in choice.message.parts)
            return {"stop_reason": "refusal"} if said else {"stop_reason": "refusal", "empty": "yes"}
    return {}


def _gemini(_: Target, answer: Completion) -> dict[str, str]:
    queries, grounded, mapped = 0, False, False
    for choice in answer.choices:
        grounding = _field(choice, "groundingMetadata")
        if not isinstance(grounding, dict):
            continue
        asked, chunks = grounding.get("webSearchQueries"), grounding.get("groundingChunks")
        queries += len(asked) if isinstance(asked, list) else 0
        kinds = (
            [kind for chunk in chunks if isinstance(chunk, dict) for kind in chunk] if isinstance(chunks, list) else []
        )
        grounded = grounded or "web" in kinds or bool(queries)
        mapped = mapped or "maps" in kinds
    found = {"web_search_queries": queries, "grounded_prompts": int(grounded), "maps_grounding": int(mapped)}
    return {name: str(uses) for name, uses in found.items() if uses}


def _groq(_: Target, answer: Completion) -> dict[str, str]:
    told: dict[str, str] = {}
    breakdown = None if answer.wire is None else answer.wire.fields.get("usage_breakdown")
    if isinstance(breakdown, dict) and breakdown.get("models"):
        told["usage_breakdown"] = json.dumps(breakdown)
    searches = 0
    for choice in answer.choices:
        ran = _field(choice, "executed_tools")
        for tool in ran if isinstance(ran, list) else ():
            searches += isinstance(tool, dict) and tool.get("type") in _SEARCHED
    if searches:
        told["web_search_calls"] = str(searches)
    return told


def _field(choice: Choice, name: str) -> JSON:
    """What a choice says under a name that the hub has no word for; a stream gathers it in `delta`."""
    message = choice.message.wire
    if message is not None and name in message.fields:
        return message.fields[name]
    if choice.wire is None:
        return None
    delta = choice.wire.fields.get("delta")
    return choice.wire.fields.get(name) or (delta.get(name) if isinstance(delta, dict) else None)


_READERS: Final[dict[str, Callable[[Target, Completion], dict[str, str]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "groq": _groq,
}

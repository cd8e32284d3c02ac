"""The most that an attempt can cost, worked out before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.cost.budgets.store import EXACT, ZERO
from aistrale.cost.facts import region_of
from aistrale.cost.tokens.by_length import estimate_request
from aistrale.types import EmbedRequest, MediaPart, TextPart, ToolResultPart, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from aistrale.core.call import Target
    from aistrale.types import Cost, Part, Request

MILLION: Final = 1_000_000

# From tokens by four characters each to the most that they are: code has about three characters to a token, and the
# tokenizers of Claude since 4.7 make up to 1.65 times as many as o200k does.
_UPPER: Final[Mapping[str, tuple[int, int]]] = {"anthropic": (2, 1)}
_USUAL_UPPER: Final = (4, 3)
# What a provider adds on its own account: its frame around a conversation, and its instructions for the use of tools
# (several hundred tokens at Anthropic, "Tool use: pricing").
_FRAME: Final = 16
_TOOLS: Final[Mapping[str, int]] = {"anthropic": 750}
_USUAL_TOOLS: Final = 120
# What Anthropic's encoder asks for where neither the caller nor the catalog says how long an answer may be.
_ANTHROPIC_OUTPUT: Final = 4096
# Service tiers that cost less than the usual one, and may be served, and billed, as the usual one.
_CHEAPER: Final = frozenset({"flex", "batch"})
# Lifetimes of cached prompts that have a rate of their own.
_LONG: Final = ("1h", "12h")
# How often a search tool without a limit is taken to be used; three in one answer is the most that was recorded.
_SEARCHES: Final = 3
_SAMPLE: Final = 1000
_REMEMBERED: Final = 1024


class Price(Protocol):
    """Prices decoded usage."""

    def __call__(self, provider: str, model: str, usage: Usage, /, **conditions: str) -> Cost:
        """See aistrale.cost.price_usage."""
        ...


@dataclass(slots=True)
class Load:
    """What an attempt may use at most, in tokens.

    Args:
        input: Of the prompt, its upper end.
        output: Of the answer, all alternatives together; None where nothing limits it.
        limited: Whether the caller limited the answer.
        alternatives: How many answers were asked for.
        thinks: Whether the model thinks before it answers, unless it is told not to.
    """

    input: int
    output: int | None
    limited: bool
    alternatives: int = 1
    thinks: bool = False


@dataclass(slots=True, frozen=True)
class Rates:
    """What a load costs at a target; US dollars.

    Args:
        input: The whole prompt.
        output: One token of output.
        reason: Why they are unknown, and then 0; None where they are known.
    """

    input: Decimal = ZERO
    output: Decimal = ZERO
    reason: str | None = None

    def most(self, tokens: int) -> Decimal:
        """The prompt and so many tokens of output."""
        return EXACT.add(self.input, EXACT.multiply(self.output, tokens))


def load(request: Request | EmbedRequest, target: Target) -> Load:
    """What a request may use at a target."""
    provider = target.provider.name
    tokens, _ = estimate_request(request)
    times, by = _UPPER.get(provider, _USUAL_UPPER)
    tokens = -(-tokens * times // by)
    if isinstance(request, EmbedRequest):
        return Load(tokens, 0, limited=True)
    tokens += _FRAME
    if request.tools:
        tokens += _TOOLS.get(provider, _USUAL_TOOLS)
    alternatives = max(request.n or 1, 1)
    most, facts = request.max_tokens, target.facts
    if most is None and facts is not None:
        most = facts.max_output or facts.context
    if most is None and provider == "anthropic":
        most = _ANTHROPIC_OUTPUT
    output = None if most is None else most * alternatives
    thinks = facts is not None and facts.reasoning in {"effort", "level"}
    return Load(tokens, output, request.max_tokens is not None, alternatives, thinks)


class Bounds:
    """Prices loads with the client's own prices.

    Args:
        price: The client's price function.
    """

    def __init__(self, price: Price) -> None:
        self._price = price
        self._dearest: dict[tuple[object, ...], tuple[str, str]] = {}
        self._units: dict[tuple[object, ...], Decimal] = {}

    def rates(self, request: Request | EmbedRequest, target: Target, tokens: int) -> Rates:
        """The dearest rates that can apply to a request; about 8 microseconds for a model that was seen before.

        Args:
            request: What is asked.
            target: Where.
            tokens: Of the prompt; decides about rates of long prompts.
        """
        provider, model = target.provider.name, target.model
        dearest = Rates(reason=f"no price of {provider}/{model} is known")
        for conditions in _conditions(request, target):
            found = self._rates(request, target, tokens, conditions)
            if found.reason is not None:
                if conditions and conditions.get("service_tier") in _CHEAPER and dearest.reason is None:
                    continue
                return found
            if dearest.reason is not None or found.most(MILLION) > dearest.most(MILLION):
                dearest = found
        return dearest

    def _rates(self, request: Request | EmbedRequest, target: Target, tokens: int, conditions: dict[str, str]) -> Rates:
        provider, model = target.provider.name, target.model
        into, out = self._buckets(request, target, conditions)
        prompt = self._priced(target, {into: max(tokens, 1)}, conditions)
        if prompt.usd is None:
            return Rates(reason=prompt.reason or "its price is not known")
        if isinstance(request, EmbedRequest):
            return Rates(prompt.usd)
        whole = prompt.usd
        if request.tools and (fees := _fees(request)):
            dearer = self._priced(target, {into: max(tokens, 1)}, {**conditions, **fees}).usd
            whole = whole if dearer is None else max(whole, dearer)
        # Which rates hold for an answer depends on its prompt's length too, and shows in what the prompt costs.
        key = (provider, model, out, EXACT.divide(prompt.usd, max(tokens, 1)), *conditions.items(), _day())
        unit = self._units.get(key)
        if unit is None:
            both = self._priced(target, {into: max(tokens, 1), out: MILLION}, conditions)
            if both.usd is None:
                return Rates(reason=both.reason or "its price is not known")
            if len(self._units) >= _REMEMBERED:
                self._units.clear()
            unit = self._units[key] = EXACT.scaleb(EXACT.subtract(both.usd, prompt.usd), -6)
        return Rates(whole, unit)

    def _priced(self, target: Target, tokens: dict[str, int], conditions: dict[str, str]) -> Cost:
        usage = Usage(**tokens, source="estimated")  # type: ignore[arg-type]  # the names of buckets
        return self._price(target.provider.name, target.model, usage, **conditions)

    def _buckets(self, request: Request | EmbedRequest, target: Target, conditions: dict[str, str]) -> tuple[str, str]:
        """The dearest kinds of input and output tokens that can come of a request."""
        into, out = _candidates(request, target)
        key = (target.provider.name, target.model, *conditions.values(), *into, *out, _day())
        found = self._dearest.get(key)
        if found is None:
            if len(self._dearest) >= _REMEMBERED:
                self._dearest.clear()
            found = self._dearest[key] = (
                self._dearest_of(target, into, conditions),
                self._dearest_of(target, out, conditions),
            )
        return found

    def _dearest_of(self, target: Target, buckets: tuple[str, ...], conditions: dict[str, str]) -> str:
        best, most = buckets[0], ZERO
        for bucket in buckets:
            usd = self._priced(target, {bucket: _SAMPLE}, conditions).usd
            if usd is not None and usd > most:
                best, most = bucket, usd
        return best


def _day() -> int:
    # What is remembered of prices holds for a day: they change at midnight UTC.
    return int(time() // 86_400)


_TEXT: Final = (("input", "cache_write"), ("output",))


def _candidates(request: Request | EmbedRequest, target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The kinds of tokens that a request can bring, and its answer."""
    if isinstance(request, EmbedRequest):
        return ("input",), ("output",)
    into: tuple[str, ...]
    out: tuple[str, ...]
    into, out = _TEXT
    kinds, lifetimes = _special(request)
    if kinds or lifetimes:
        into += tuple(f"cache_write_{ttl}" for ttl in _LONG if ttl in lifetimes)
        into += tuple(f"{kind}_input" for kind in ("audio", "image") if kind in kinds)
    given = None if target.facts is None else target.facts.output
    if given is not None and len(given) > 1:
        out += tuple(f"{kind}_output" for kind in ("audio", "image") if kind in given)
    return into, out


def _special(request: Request) -> tuple[set[str], set[str]]:
    """Kinds of media in a prompt, and for how long the provider's cache is asked to keep things: both cost more."""
    kinds: set[str] = set()
    lifetimes: set[str] = {"12h"} if "prompt_cache_retention" in request.extra else set()
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart) and part.cache is None:
                continue
            hint = getattr(part, "cache", None)
            if hint is not None and hint.ttl is not None:
                lifetimes.add(hint.ttl)
            inner: list[Part] = part.content if isinstance(part, ToolResultPart) else [part]
            kinds.update(each.media for each in inner if isinstance(each, MediaPart))
    for tool in request.tools:
        if tool.cache is not None and tool.cache.ttl is not None:
            lifetimes.add(tool.cache.ttl)
    return kinds, lifetimes


def _fees(request: Request) -> dict[str, str]:
    """How often tools that the provider runs may search the web, which is charged by the use.

    As often as the tool itself is limited (Anthropic's `max_uses`), else as often as answers are known to.
    """
    uses = 0
    for tool in request.tools:
        hosted = tool.hosted
        if hosted is None or not any("search" in word for word in (*hosted, str(hosted.get("type", "")))):
            continue
        most = hosted.get("max_uses")
        uses += most if isinstance(most, int) else _SEARCHES
    return {} if not uses else {"web_search_calls": str(uses), "web_search_queries": str(uses), "grounded_prompts": "1"}


def _conditions(request: Request | EmbedRequest, target: Target) -> list[dict[str, str]]:
    """What may be billed: the usual, and what was asked for."""
    usual = _USUAL
    if target.provider.name == "openai" and (region := region_of(target.base_url)) is not None:
        usual = [{"data_residency": region}]
    if isinstance(request, EmbedRequest) or (request.service_tier is None and not request.extra):
        return usual
    asked: dict[str, str] = dict(usual[0])
    tier = request.service_tier or request.extra.get("service_tier")
    if isinstance(tier, str) and tier not in {"auto", "default", "standard", "standard_only", "on_demand"}:
        asked["service_tier"] = tier
    speed = request.extra.get("speed")
    if isinstance(speed, str):
        asked["speed"] = speed
    geo = request.extra.get("inference_geo")
    if isinstance(geo, str):
        asked["inference_geo"] = geo
    return usual if asked == usual[0] else [usual[0], asked]


_USUAL: Final[list[dict[str, str]]] = [{}]

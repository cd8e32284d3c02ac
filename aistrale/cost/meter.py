"""The meter: what an exchange used, from the provider's own usage object and what else was said about it.

What comes out says everything that a price needs and nothing else: `aistrale.cost.pricing` turns it into dollars with
any price book, now or years later. What is not known stays unknown, with the reason; it is never taken for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from aistrale.cost.book.names import provider_name
from aistrale.cost.meter_conditions import Said, plain_conditions, read_conditions, whole_number
from aistrale.cost.meter_formats import (
    Line,
    Units,
    anthropic_lines,
    breakdown_lines,
    details,
    gemini_lines,
    measured_lines,
    openai_lines,
)
from aistrale.dialects.shape import MalformedBody, as_object
from aistrale.types import Usage

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

__all__ = ["Line", "Metered", "meter"]

# Which rate a bucket of Usage is charged at. Thinking is output; what a provider's own tools add is input.
BUCKETS: Final = {
    "input": "input",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_5m": "cache_write",
    "cache_write_30m": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "cache_write_12h": "cache_write_12h",
    "output": "output",
    "reasoning": "output",
    "audio_input": "audio_input",
    "audio_output": "audio_output",
    "image_input": "image_input",
    "image_output": "image_output",
    "tool_input": "input",
}
_counts = attrgetter(*BUCKETS)

_CLAUDE: Final = frozenset(
    {"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use", "iterations"}
)
# Where usage objects tell the lifetimes of what was written to a cache themselves.
_LIFETIMES: Final = frozenset({"cache_creation", "input_tokens_details", "iterations"})
_CHAT: Final = frozenset({"prompt_tokens", "completion_tokens"})
_SNAKE: Final = re.compile(r"_(\w)")
_LOWER_BOUND: Final = "the stream broke off; at least this much was used"
_NO_PROMPT: Final = "the prompt was not counted; at least this much was used"


@dataclass(slots=True, frozen=True)
class Metered:
    """What an exchange used, ready to be priced.

    Args:
        lines: What each model used. Without a line nobody knows, and `reason` says why; a line without units is not
            billed.
        conditions: What chooses other rates, lower case: `service_tier`, `processing`, `speed`, `inference_provider`,
            `inference_geo`, `data_residency`, `stop_reason`. The usual ones are left out.
        estimated: Whether counts had to be estimated, or are only a lower bound.
        reason: Why that is so, why nothing is billed, or why nothing is known.
    """

    lines: tuple[Line, ...] = ()
    conditions: dict[str, str] = field(default_factory=dict)
    estimated: bool = False
    reason: str | None = None

    def to_json(self) -> JSONObject:
        """The same as JSON, compact: what has its usual value is left out. Decimals are written as text."""
        lines: list[JSON] = []
        for line in self.lines:
            node: JSONObject = {
                "units": {name: str(n) if isinstance(n, Decimal) else n for name, n in line.units.items()}
            }
            if line.model is not None:
                node["model"] = line.model
            if line.prompt is not None:
                node["prompt"] = line.prompt
            lines.append(node)
        body: JSONObject = {"lines": lines}
        if self.conditions:
            body["conditions"] = {**self.conditions}
        if self.estimated:
            body["estimated"] = True
        if self.reason is not None:
            body["reason"] = self.reason
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> Metered:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is not of that form.
        """
        try:
            lines = tuple(_line(node) for node in cast("list[JSONObject]", body.get("lines", [])))
            conditions = dict(cast("dict[str, str]", body.get("conditions", {})))
        except (TypeError, KeyError, AttributeError, ValueError, InvalidOperation) as error:
            raise ValueError("what was metered is not in a form that this version knows") from error
        return cls(lines, conditions, body.get("estimated") is True, cast("str | None", body.get("reason")))


def _line(node: JSONObject) -> Line:
    units = cast("dict[str, int | str]", node["units"])
    return Line(
        cast("str | None", node.get("model")),
        cast("int | None", node.get("prompt")),
        {name: Decimal(amount) if isinstance(amount, str) else amount for name, amount in units.items()},
    )


def meter(provider: str, model: str, usage: Usage | Mapping[str, object] | None, **conditions: object) -> Metered:
    """What an exchange used.

    Args:
        provider: The provider's name.
        model: The model, in the provider's words.
        usage: The provider's usage object, verbatim, or decoded; of a stream that broke off an object with what was
            seen of it (`message_start`, `message_delta`, `received_text_chars`). None where it gave none.
        conditions: What the usage does not say: `service_tier` of the answer, `processing="batch"`, `speed`,
            `inference_provider`, `inference_geo`, `data_residency`; how often hosted tools were used
            (`web_search_calls`, `web_search_queries`, `grounded_prompts`, `file_search_calls`, `maps_grounding`);
            `http_status`, `stop_reason`, `empty` (nothing was said), `aborted`; Groq's `usage_breakdown`, and of
            OpenAI's image tool `image_generation` (`model`, `usage`); `cache_ttl` ("1h", "12h") of what was written to
            a cache; `audio_seconds` or `characters` of what is not counted in tokens. What the usage says goes before.

    Returns:
        Lines of disjoint units; none where nobody knows, with the reason.

    Raises:
        MalformedBody: A verbatim object does not have the shape of any format.
    """
    provider = provider_name(provider)
    status = whole_number(conditions.pop("http_status", None))
    if status is not None and status >= 400:
        return _free(f"refused with status {status}")
    decoded = usage if isinstance(usage, Usage) else None
    raw, broke = _unwrapped(usage) if not isinstance(usage, Usage) else (usage.raw or {}, False)
    said = read_conditions(raw, conditions)
    if isinstance(said, str):
        return Metered(reason=said)
    if provider == "openai" and "moderation" in model:
        return _free("moderation is free of charge")
    chosen = said.chosen
    try:
        lines = _lines_of(provider, model, decoded, raw, said)
    except MalformedBody as error:
        if decoded is None:
            raise
        # A provider's odd answer must not break the call that it answers.
        lines = f"what was used cannot be read ({error})"
    if isinstance(lines, str):
        return Metered(conditions=chosen, reason=lines)
    if said.refused and "claude" in model.lower() and (said.empty or not _made(lines)):
        chosen["stop_reason"] = "refusal"
    if said.fees:
        _charge(lines, said.fees)
    if decoded is not None and decoded.source == "estimated":
        return Metered(tuple(lines), chosen, estimated=True, reason="the tokens are estimated")
    bound = _LOWER_BOUND if broke or said.aborted else _NO_PROMPT if any(map(_lacks_prompt, lines)) else None
    return Metered(tuple(lines), chosen, estimated=bound is not None, reason=bound)


def ledger_form(provider: str, model: str, usage: Usage, conditions: Mapping[str, object]) -> dict[str, object]:
    """What the ledger must keep of an exchange beside its columns of tokens, so that it can be priced again.

    Returns:
        Nothing where the columns say it all, the conditions alone where they say all the counts, else all that was
        metered; `aistrale.cost.pricing.metered_of` reads each.
    """
    plain = plain_conditions(usage, conditions) if conditions or usage.raw is not None else ()
    if plain is None or usage.cache_write_1h or usage.cache_write_12h:
        return cast("dict[str, object]", meter(provider, model, usage, **conditions).to_json())
    return {"conditions": dict(plain)} if plain else {}


def _free(reason: str) -> Metered:
    return Metered((Line(None, None, {}),), reason=reason)


def _lines_of(provider: str, model: str, decoded: Usage | None, raw: JSONObject, said: Said) -> list[Line] | str:
    """The lines, or why there are none."""
    lines = [] if said.breakdown is None else breakdown_lines(said.breakdown)
    if not lines:
        lines = _decoded_lines(provider, model, decoded) if decoded is not None else _told(provider, model, raw, said)
    if not lines:
        return "the provider reported no usage"
    if said.images is not None and not _paint(lines, said.images):
        return "which model made the images is not known"
    return lines


def _told(provider: str, model: str, raw: JSONObject, said: Said) -> list[Line]:
    lines = _read(provider, model, {**said.measured, **raw})
    if said.lifetime is not None and _LIFETIMES.isdisjoint(raw):
        for line in lines:
            if written := line.units.pop("cache_write", 0):
                line.units[f"cache_write_{said.lifetime}"] = written
    return lines


def _decoded_lines(provider: str, model: str, decoded: Usage) -> list[Line]:
    if decoded.raw and decoded.source == "reported":
        try:
            return _read(provider, model, decoded.raw) or bucket_lines(decoded)
        except MalformedBody:
            # It could be decoded, so its sums are right; what says more about them is not.
            pass
    return bucket_lines(decoded)


def _made(lines: list[Line]) -> int | Decimal:
    return sum(line.units.get("output", 0) for line in lines)


def _lacks_prompt(line: Line) -> bool:
    """Whether there is an answer and nothing that it answers, as in the last event of a stream alone."""
    return "output" in line.units and not any("input" in unit or unit.startswith("cache") for unit in line.units)


def _charge(lines: list[Line], fees: dict[str, int]) -> None:
    """Uses of hosted tools belong to the model that was asked."""
    first = lines[0]
    if first.model is None:
        lines[0] = Line(None, first.prompt, {**first.units, **fees})
    else:
        lines.append(Line(None, None, {**fees}))


def _paint(lines: list[Line], images: JSON) -> bool:
    """Add what OpenAI's image tool used, by its own model; False where that is not told."""
    node = images if isinstance(images, dict) else {}
    model, made = node.get("model"), openai_lines(details(node, "usage"))
    lines += [Line(str(model), line.prompt, line.units) for line in made]
    return model is not None or not made


def _read(provider: str, model: str, raw: JSONObject) -> list[Line]:
    if any(name.endswith("TokenCount") for name in raw) or "trafficType" in raw or "total_input_tokens" in raw:
        return gemini_lines(raw)
    if _CHAT.isdisjoint(raw) and (provider == "anthropic" or "claude" in model.lower() or not _CLAUDE.isdisjoint(raw)):
        return anthropic_lines(raw)
    return openai_lines(raw, beside=provider == "gemini") or measured_lines(raw)


def bucket_lines(usage: Usage) -> list[Line]:
    """The buckets of decoded usage as a line; none where nothing is known."""
    units: Units = {}
    for bucket, tokens in zip(BUCKETS, _counts(usage), strict=True):
        if tokens is not None:
            unit = BUCKETS[bucket]
            units[unit] = units.get(unit, 0) + tokens
    return [Line(None, usage.input_total or 0, units)] if units else []


def _unwrapped(usage: Mapping[str, object] | None) -> tuple[JSONObject, bool]:
    """The usage object itself, and whether it is only what was seen of a stream that broke off."""
    if usage is None:
        return {}, False
    told = {str(key): value for key, value in usage.items()} if isinstance(usage, Mapping) else usage
    raw = as_object(cast("JSON", told), "usage")
    if any(name.endswith("_token_count") for name in raw):
        # As Google's SDK writes it.
        raw = cast("JSONObject", _camel(raw))
    # The last event but one of Anthropic's streams has the final counts.
    broke = "received_text_chars" in raw or ("message_start" in raw and "message_delta" not in raw)
    if "x_groq" in raw and raw.get("usage") is None:
        # Groq's streams say the same twice: here, and in a chunk of its own.
        raw = details(raw, "x_groq")
    inner: JSONObject = {}
    for name in ("usage", "usageMetadata", "message_start", "message_delta"):
        if raw.get(name) is not None:
            node = details(raw, name)
            node = details(node, "message") or node
            inner.update({key: value for key, value in (details(node, "usage") or node).items() if value is not None})
    return inner or raw, broke


def _camel(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {_SNAKE.sub(lambda found: found[1].upper(), key): _camel(each) for key, each in value.items()}
    return [_camel(each) for each in value] if isinstance(value, list) else value

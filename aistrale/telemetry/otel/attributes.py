"""From a call, an attempt and its answer to the attributes of their spans."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.modalities import modality_counts
from aistrale.types import EmbedRequest, ProviderPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.core.call import Attempt, Call, Context, Target
    from aistrale.core.reply import Reply
    from aistrale.store.records import CallRow
    from aistrale.telemetry.otel.conventions import Operation, Profile
    from aistrale.types import Choice, Completion, Embeddings, Part, Usage

Value: TypeAlias = "str | bool | int | float | Sequence[str]"
Attributes: TypeAlias = dict[str, "Value"]

_OPENAI: Final = frozenset({"openai", "azure.ai.openai"})
_ERRORS: Final = 400
_PORTS: Final = {"https": 443, "http": 80}
CANCELLED: Final = "CancelledError"
"""What a cancelled attempt has as its type of error, whichever exception it was that cancelled it."""

OTHER: Final = "_OTHER"
NO_END: Final = ("error",)
"""Why a stream ended of which nobody will say it any more."""


# --- what is known before anything is sent ---------------------------------------------------------------------------


def operation_of(call: Call, target: Target) -> Operation:
    """What the conventions call the exchange."""
    if isinstance(call.request, EmbedRequest):
        return "embeddings"
    return "generate_content" if target.dialect == "gemini_generate" else "chat"


@lru_cache(maxsize=1024)
def provider_of(name: str, base_url: str) -> str:
    """The conventions' name of a provider, by where it is asked, else by our name of it.

    Args:
        name: Ours.
        base_url: Where it is asked.
    """
    host = urlsplit(base_url).hostname or ""
    for ending, known in words.HOSTS:
        if host == ending.removeprefix(".") or host.endswith(ending):
            return known
    return words.PROVIDERS.get(name, name)


@lru_cache(maxsize=1024)
def server_of(base_url: str) -> tuple[str, int] | None:
    """Host and port of a URL; None where it has none."""
    parts = urlsplit(base_url)
    if not parts.hostname:
        return None
    return parts.hostname, parts.port or _PORTS.get(parts.scheme, 443)


def speaks_openai(target: Target) -> bool:
    """Whether it is one of OpenAI's own services, which have attributes of their own."""
    return provider_of(target.provider.name, target.base_url) in _OPENAI


def identity(call: Call, target: Target) -> Attributes:
    """What spans and metrics share: operation, provider, model, server."""
    return dict(_identity(operation_of(call, target), target.provider.name, target.base_url, target.model))


@lru_cache(maxsize=1024)
def _identity(operation: Operation, provider: str, base_url: str, model: str) -> Attributes:
    found: Attributes = {
        words.OPERATION: operation,
        words.PROVIDER: provider_of(provider, base_url),
        words.REQUEST_MODEL: model,
    }
    server = server_of(base_url)
    if server is not None:
        found[words.SERVER_ADDRESS], found[words.SERVER_PORT] = server
    return found


def attempt_attributes(call: Call, attempt: Attempt) -> Attributes:
    """Our own: which attempt it is, and why there is more than one."""
    found: Attributes = {
        words.CALL_ID: call.id,
        words.ATTEMPT: attempt.number,
        words.TARGET: attempt.target.name,
    }
    if call.route:
        found[words.ROUTE] = call.route
    if attempt.number > 1:
        before = [other.error for other in call.attempts if other.number < attempt.number]
        # Nothing has failed yet: it was begun beside one that is under way.
        found[words.RETRY_REASON] = next((error for error in reversed(before) if error), "hedge")
    return found


def call_attributes(call: Call) -> Attributes:
    """Our own, of a call that begins."""
    found: Attributes = {words.CALL_ID: call.id, words.ASKED: call.asked}
    if call.route:
        found[words.ROUTE] = call.route
    return {**found, **context_attributes(call.context)}


def context_attributes(context: Context) -> Attributes:
    """Our own, of who calls and for whom."""
    found: Attributes = {}
    for name, value in (
        (words.CALL_NAME, context.name),
        (words.USER, context.user),
        (words.WORKSPACE, context.workspace),
        (words.PROJECT, context.project),
        (words.SESSION, context.session),
    ):
        if value:
            found[name] = value
    for name, tag in context.tags.items():
        found[words.TAG + name] = tag
    return found


# --- what is known at the end ----------------------------------------------------------------------------------------


def row_attributes(row: CallRow) -> Attributes:
    """Our own, of a call that is over. Never what it used: its attempts carry that, and backends sum over all spans."""
    found: Attributes = {words.OUTCOME: row.outcome, words.ATTEMPTS: row.attempts}
    if row.degraded:
        found[words.DEGRADED] = row.degraded
    if row.lossy:
        found[words.LOSSY] = tuple(row.lossy)
    if row.optimized:
        found[words.OPTIMIZED] = tuple(row.optimized)
    return found


def outcome_attributes(attempt: Attempt) -> Attributes:
    """Our own, of an attempt that is over."""
    found: Attributes = {words.OUTCOME: attempt.outcome or "error"}
    if attempt.status is not None:
        found[words.STATUS] = attempt.status
    if attempt.request_id:
        found[words.REQUEST_ID] = attempt.request_id
    if attempt.usage is not None and attempt.usage.source == "estimated":
        found[words.ESTIMATED] = True
    cost = attempt.cost
    if cost is not None and cost.usd is not None:
        found[words.COST] = float(cost.usd)
    elif cost is not None and cost.reason:
        found[words.COST_REASON] = cost.reason
    return found


def error_type(attempt: Attempt) -> str | None:
    """The class of an attempt's error, of which there are few; None where it did not fail.

    An answer that its reader gave up is no failure.
    """
    if attempt.outcome == "cancelled":
        return CANCELLED
    if attempt.outcome in {"error", "interrupted"}:
        return attempt.error or OTHER
    return None


def answer_attributes(call: Call, attempt: Attempt, reply: Reply, profile: Profile) -> Attributes:
    """What an answer says of itself, or what of it has come."""
    seen = reply.accumulated
    if isinstance(call.request, EmbedRequest):
        return _vectors(seen.embeddings)
    answer = seen.result()
    found: Attributes = {}
    if answer.id:
        found[words.RESPONSE_ID] = answer.id
    if model := attempt.response_model or answer.model:
        found[words.RESPONSE_MODEL] = model
    dialect = attempt.target.dialect
    reasons = [finish_reason(choice, dialect) for choice in answer.choices]
    if not seen.ended and call.stream:
        reasons = reasons or list(NO_END)
    if reasons:
        found[words.FINISH_REASONS] = tuple(reasons)
    if call.stream and attempt.first_token is not None and profile.details:
        found[words.FIRST_CHUNK] = attempt.first_token
    if profile.renamed and any(_is_compaction(part) for choice in answer.choices for part in choice.message.parts):
        found[words.COMPACTED] = True
    if speaks_openai(attempt.target):
        _openai_answer(answer, found)
    return found


def _is_compaction(part: Part) -> bool:
    """Whether the provider has put a summary in the place of what was said before."""
    return isinstance(part, ProviderPart) and part.data.get("type") == "compaction"


def broke_off(attempt: Attempt) -> bool:
    """Whether an answer had begun, by its status, of which nothing was handed on."""
    return attempt.outcome != "success" and attempt.status is not None and attempt.status < _ERRORS


def finish_reason(choice: Choice, dialect: str) -> str:
    """Why a choice ended, in the words that OpenTelemetry's own instrumentations use for its provider."""
    reason = choice.finish_reason
    if dialect == "anthropic_messages":
        return words.FINISH_ANTHROPIC.get(reason, reason)
    if dialect == "gemini_generate":
        raw = None if choice.wire is None else choice.wire.fields.get("finishReason")
        return raw.lower() if isinstance(raw, str) and raw else words.FINISH_GEMINI.get(reason, reason)
    return words.FINISH_OPENAI.get(reason, reason)


def _vectors(embeddings: Embeddings | None) -> Attributes:
    if embeddings is None:
        return {}
    found: Attributes = {words.RESPONSE_MODEL: embeddings.model} if embeddings.model else {}
    if embeddings.vectors:
        found[words.DIMENSIONS] = len(embeddings.vectors[0])
    return found


def _openai_answer(answer: Completion, found: Attributes) -> None:
    fields = {} if answer.wire is None else answer.wire.fields
    for name, key in ((words.OPENAI_RESPONSE_TIER, "service_tier"), (words.OPENAI_FINGERPRINT, "system_fingerprint")):
        value = fields.get(key)
        if isinstance(value, str) and value:
            found[name] = value


def usage_attributes(usage: Usage | None, profile: Profile, cache_tokens: str, *, embedding: bool) -> Attributes:
    """What was used, as the conventions count: cached tokens are part of the input, reasoning is part of the output.

    Args:
        usage: In disjoint buckets.
        profile: Which names there are.
        cache_tokens: See OTelSettings.
        embedding: Whether vectors were asked for, which have no output.
    """
    if usage is None:
        return {}
    found: dict[str, int | None] = {words.INPUT_TOKENS: usage.input_total}
    if not embedding:
        found[words.OUTPUT_TOKENS] = usage.output_total
        if profile.details:
            found[words.CACHE_READ_TOKENS] = usage.cache_read
            for name in cache_names(profile, cache_tokens):
                found[name] = usage.cache_write_total
            found[words.REASONING_TOKENS] = usage.reasoning
        if profile.renamed:
            found.update({f"{words.USAGE}{name}": count for name, count in modality_counts(usage).items()})
    return {name: count for name, count in found.items() if count is not None}


def cache_names(profile: Profile, cache_tokens: str) -> tuple[str, ...]:
    """What tokens that were written to a cache are called."""
    if cache_tokens == "both":
        return (words.CACHE_WRITE_TOKENS, words.CACHE_CREATION_TOKENS)
    if cache_tokens == "auto":
        return (profile.cache_write,)
    return (words.CACHE_WRITE_TOKENS if cache_tokens == "write" else words.CACHE_CREATION_TOKENS,)


def sendable(attributes: Attributes) -> Attributes:
    """The same, without what exporters cannot send: half of a surrogate pair makes them lose whole batches."""
    # Nearly all can be sent as they are, and that is seen at once.
    for name, value in attributes.items():
        if isinstance(value, str):
            plain = value.isascii()
        else:
            plain = isinstance(value, (int, float)) or all(map(str.isascii, value))
        if not (plain and name.isascii()):
            return {_text(name): _sendable(value) for name, value in attributes.items()}
    return attributes


def _sendable(value: Value) -> Value:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bool, int, float)):
        return value
    return tuple(_text(item) for item in value)


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

"""Tokens are counted once: who else stands around a call and counts, and what instrumentations beneath ours are told.

Three kinds of vendors' instrumentations may stand around a call: those that leave a mark in OpenTelemetry's context
(OpenTelemetry's own, by `opentelemetry-util-genai`), those whose span of a model call is the current one (Logfire,
OpenInference, OpenLLMetry, the anthropic package itself), and those that do neither and are found on the stack.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.stack import found_on_stack
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from aistrale.core.call import Call

# The keys of opentelemetry-util-genai 1.3, and the class of what stands there; it is beta, so nothing of it is certain.
_INFERENCE: Final = ("opentelemetry.genai.client.inference.context", "InferenceData")
_EMBEDDING: Final = ("opentelemetry.genai.client.embedding.context", "EmbeddingData")
_UTIL: Final = "opentelemetry.util.genai.invocation"
_MUTE: Final = "suppress_instrumentation"
# Operations of the conventions that use tokens themselves; an agent's or a workflow's span only stands around them.
_MODEL_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content"})
_EMBEDDING_OPERATIONS: Final = frozenset({"embeddings"})
# Attributes that only spans of model calls have, where they name no operation.
_MODEL_MARKS: Final = (
    words.REQUEST_MODEL,
    "gen_ai.system",
    "langfuse.observation.model.name",
    "llm.model_name",
    "llm.request.type",
)
# Those that make spans and no metric of the conventions, by how the names of their scopes begin.
_UNMEASURED: Final = ("openinference.", "logfire", "langfuse", "com.anthropic.sdk.")


@dataclass(slots=True, frozen=True)
class Counter:
    """Who counts the tokens of a call instead of us.

    Args:
        name: Of an instrumentation, or of its mark.
        measures: Whether it gives metrics too, so that ours would count twice.
        span: Its span of the call where that is in nobody's context, for ours to stand beneath.
    """

    name: str
    measures: bool
    span: Span | None = None


def muted() -> bool:
    """Whether somebody wants silence: OpenTelemetry's exporters while they send, or a user."""
    return any(otel_context.get_value(key) for key in mute_keys())


def counted_by(call: Call) -> Counter | None:
    """Who counts the tokens of a call that begins; None where nobody does."""
    vectors = isinstance(call.request, EmbedRequest)
    key, _ = _EMBEDDING if vectors else _INFERENCE
    span = get_current_span()
    scope = _scope_of(span)
    if scope == words.SCOPE and not is_function(span):
        # A call in the midst of another one of ours, whose marks these are.
        return None
    if otel_context.get_value(key) is not None:
        return Counter("opentelemetry-util-genai", measures=True)
    if _is_model_span(span, vectors=vectors):
        return Counter(scope, measures=not scope.startswith(_UNMEASURED))
    found = found_on_stack(call)
    if isinstance(found, str):
        return Counter(found, measures=False)
    return None if found is None else Counter(_scope_of(found), measures=False, span=found)


def is_function(span: Span) -> bool:
    """Whether a span of ours is that of a decorated function, around which or inside of which others may count."""
    return words.FUNCTION in (getattr(span, "attributes", None) or {})


def _scope_of(span: Span) -> str:
    """The instrumentation that made a span; some wrap the SDK's, and some spans are not the SDK's at all."""
    inner = getattr(span, "span", span)
    scope = getattr(inner, "instrumentation_scope", None) or getattr(span, "instrumentation_scope", None)
    return getattr(scope, "name", None) or "opentelemetry"


def _is_model_span(span: Span, *, vectors: bool) -> bool:
    """Whether it is the span of a call of a model, of the same kind as ours."""
    attributes = (getattr(span, "attributes", None) or {}) if span.is_recording() else {}
    operation = attributes.get(words.OPERATION)
    if operation is not None:
        return operation in (_EMBEDDING_OPERATIONS if vectors else _MODEL_OPERATIONS)
    kind = attributes.get("openinference.span.kind")
    if kind is not None:
        return bool(kind == ("EMBEDDING" if vectors else "LLM"))
    return any(mark in attributes for mark in _MODEL_MARKS)


def beneath(context: Context, call: Call, *, mute: bool) -> Context:
    """The context of an attempt that we count, in which nested instrumentations do not.

    Args:
        context: With the attempt's span.
        call: Says what is asked for.
        mute: Whether all instrumentations are to be silent, not only those that count tokens.
    """
    key, name = _EMBEDDING if isinstance(call.request, EmbedRequest) else _INFERENCE
    make = _holder(name)
    if make is not None:
        context = otel_context.set_value(key, make(), context)
    if mute:
        for own in mute_keys():
            context = otel_context.set_value(own, True, context)  # noqa: FBT003 - a value
    return context


def unmarked(context: Context) -> Context:
    """The context of a function that is called: in the midst of a call of ours they are ours, not those of others."""
    span = get_current_span(context)
    if _scope_of(span) == words.SCOPE and not is_function(span):
        for key, _ in (_INFERENCE, _EMBEDDING):
            if otel_context.get_value(key, context) is not None:
                context = otel_context.set_value(key, None, context)
    return context


_mutes: list[str] = []


def _holder(name: str) -> Callable[[], object] | None:
    """The class of what OpenTelemetry's instrumentations look for; None where none of them is there.

    It is never imported here: an instrumentation that looks for it has done so.
    """
    return getattr(sys.modules.get(_UTIL), name, None)


def mute_keys() -> list[str]:
    """The keys of a context under which instrumentations are told to be silent."""
    if not _mutes:
        # The second one has a random part, and stands in a private place.
        _mutes.extend({_MUTE, getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", _MUTE)})
    return _mutes

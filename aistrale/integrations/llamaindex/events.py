"""What LlamaIndex's events and the results of its spans say of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import Response
from llama_index.core.instrumentation.events.embedding import (
    EmbeddingEndEvent,
    EmbeddingStartEvent,
    SparseEmbeddingEndEvent,
    SparseEmbeddingStartEvent,
)
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.events.query import QueryEndEvent, QueryStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools.types import ToolOutput
from llama_index_instrumentation.events.span import SpanDropEvent

from aistrale.integrations.llamaindex.content import (
    answer_content,
    messages_content,
    text_content,
    tool_output,
    tools_content,
)
from aistrale.integrations.llamaindex.kinds import provider_of_class
from aistrale.integrations.llamaindex.tracker import UnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llama_index_instrumentation.base import BaseEvent

    from aistrale.integrations.llamaindex.tracker import Step, Tracker


def returned(step: Step, instance: object, result: object) -> None:
    """What a span gives back, which ends it."""
    run = step.run
    if run is None:
        return
    if isinstance(result, list) and result and all(isinstance(item, NodeWithScore) for item in result):
        run.documents = len(result)
    if step.type == "llm" and run.model is None:
        # Of classes that tell no events of their own.
        run.model = model_of(instance)
    if run.capture and step.type == "tool" and isinstance(result, ToolOutput):
        run.output = tool_output(result.content)


def failure(result: object) -> BaseException | None:
    """The error of a tool that gave it back instead of raising it."""
    return (result.exception or UnknownError()) if isinstance(result, ToolOutput) and result.is_error else None


def model_of(instance: object) -> str | None:
    """What a model says that it is; None where it does not."""
    metadata = getattr(instance, "metadata", None)
    name = getattr(metadata, "model_name", None)
    return name if isinstance(name, str) and name != "unknown" else None


# --- events ---------------------------------------------------------------------------------------------------------


def _llm_started(tracker: Tracker, event: LLMChatStartEvent | LLMCompletionStartEvent) -> None:
    structured = event.model_dict.get("class_name") == "structured_llm"
    step = tracker.told(event.span_id, "chain" if structured else "llm")
    run = None if step is None else step.run
    if run is None or run.type != "llm":
        return
    _named(event.model_dict, step)
    if run.capture:
        if isinstance(event, LLMChatStartEvent):
            run.input = messages_content(event.messages)
        else:
            run.input = text_content("user", event.prompt)
        run.tools = tools_content(event.additional_kwargs.get("tools"))


def _named(model_dict: Mapping[str, object], step: Step | None) -> None:
    run = None if step is None else step.run
    if run is None:
        return
    # Releases before `to_payload` tell a model's fields here, of which most classes have this one.
    name = model_dict.get("model_name") or model_dict.get("model")
    if run.model is None and isinstance(name, str) and name != "unknown":
        run.model = name
    if run.provider is None and step is not None and not step.entered:
        run.provider = provider_of_class(model_dict.get("class_name"))


def _piece_came(tracker: Tracker, event: LLMChatInProgressEvent | LLMCompletionInProgressEvent) -> None:
    step = tracker.find(event.span_id)
    if step is not None:
        response = event.response
        tracker.piece(step, content=bool(response.delta) or _says_something(response))


def _says_something(response: object) -> bool:
    message = getattr(response, "message", None)
    return isinstance(message, ChatMessage) and any(block.block_type != "text" for block in message.blocks)


def _llm_ended(tracker: Tracker, event: LLMChatEndEvent | LLMCompletionEndEvent) -> None:
    step = tracker.find(event.span_id)
    if step is None or step.over:
        return
    if step.run is not None and step.run.type == "llm" and step.run.capture:
        step.run.output = answer_content(event.response)
    if step.type != "chain":
        tracker.answered(step, event.response)
    elif not step.entered:
        tracker.end(step)


def _raised(tracker: Tracker, event: ExceptionEvent) -> None:
    step = tracker.find(event.span_id)
    if step is not None and step.type == "llm":
        tracker.end(step, event.exception)


def _dropped(tracker: Tracker, event: SpanDropEvent) -> None:
    step = tracker.find(event.span_id)
    # Where a span stands behind it, the error itself comes next.
    if step is not None and not step.entered:
        tracker.end(step, UnknownError())


def _embedding_started(tracker: Tracker, event: EmbeddingStartEvent) -> None:
    step = tracker.told(event.span_id, "embedding")
    _named(event.model_dict, step)


def _query_started(tracker: Tracker, event: QueryStartEvent) -> None:
    _asked(tracker.told(event.span_id, "query"), event.query)


def _synthesis_started(tracker: Tracker, event: SynthesizeStartEvent) -> None:
    _asked(tracker.told(event.span_id, "chain"), event.query)


def _retrieval_started(tracker: Tracker, event: RetrievalStartEvent) -> None:
    _asked(tracker.told(event.span_id, "retriever"), event.str_or_query_bundle)


def _asked(step: Step | None, query: object) -> None:
    if step is not None and step.run is not None and step.run.capture:
        step.run.input = text_content("user", query.query_str if isinstance(query, QueryBundle) else query)


def _answered(tracker: Tracker, event: QueryEndEvent | SynthesizeEndEvent) -> None:
    step = tracker.find(event.span_id)
    # What is still to be streamed must not be read here.
    if step is not None and step.run is not None and step.run.capture and isinstance(event.response, Response):
        step.run.output = text_content("assistant", event.response.response)
    _over(tracker, step)


def _retrieved(tracker: Tracker, event: RetrievalEndEvent) -> None:
    step = tracker.find(event.span_id)
    if step is not None and step.run is not None:
        step.run.documents = len(event.nodes)
    _over(tracker, step)


def _embedded(tracker: Tracker, event: EmbeddingEndEvent | SparseEmbeddingEndEvent) -> None:
    _over(tracker, tracker.find(event.span_id))


def _over(tracker: Tracker, step: Step | None) -> None:
    if step is not None and not step.entered:
        tracker.end(step)


def _cancelled(tracker: Tracker, event: BaseEvent) -> None:
    step = tracker.find(event.span_id)
    if step is not None:
        tracker.end(step, GeneratorExit())


def _takes() -> dict[type, Callable[[Tracker, Any], None]]:
    takes: dict[type, Callable[[Tracker, Any], None]] = {
        LLMChatStartEvent: _llm_started,
        LLMCompletionStartEvent: _llm_started,
        LLMChatInProgressEvent: _piece_came,
        LLMCompletionInProgressEvent: _piece_came,
        LLMChatEndEvent: _llm_ended,
        LLMCompletionEndEvent: _llm_ended,
        ExceptionEvent: _raised,
        SpanDropEvent: _dropped,
        EmbeddingStartEvent: _embedding_started,
        SparseEmbeddingStartEvent: _embedding_started,
        EmbeddingEndEvent: _embedded,
        SparseEmbeddingEndEvent: _embedded,
        QueryStartEvent: _query_started,
        QueryEndEvent: _answered,
        SynthesizeStartEvent: _synthesis_started,
        SynthesizeEndEvent: _answered,
        RetrievalStartEvent: _retrieval_started,
        RetrievalEndEvent: _retrieved,
    }
    try:
        from workflows.runtime.types.step_function import SpanCancelledEvent
    except ImportError:
        # Releases of its workflows that tell of no cancellation.
        return takes
    return {**takes, SpanCancelledEvent: _cancelled}


TAKES: Final = _takes()
"""Who takes in an event, by its class."""

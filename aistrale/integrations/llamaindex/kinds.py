"""What a span of LlamaIndex is to us: a step of a kind, or the framework's own business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llama_index.core.agent.workflow import AgentWorkflow
from llama_index.core.agent.workflow.base_agent import BaseWorkflowAgent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.tools.types import BaseTool, BaseToolAsyncAdapter
from llama_index.core.workflow import Workflow
from llama_index_instrumentation import DispatcherSpanMixin

if TYPE_CHECKING:
    from aistrale.telemetry.events import RunType

# Behind a span's name: a hyphen and a UUID.
_TAIL: Final = 37
_ANSWERS: Final = frozenset(
    {
        "chat",
        "achat",
        "stream_chat",
        "astream_chat",
        "complete",
        "acomplete",
        "stream_complete",
        "astream_complete",
    }
)
_STRUCTURED: Final = frozenset(
    {"structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict"}
)
_VECTORS: Final = frozenset(
    {
        "get_query_embedding",
        "aget_query_embedding",
        "get_text_embedding",
        "aget_text_embedding",
        "get_text_embedding_batch",
        "aget_text_embedding_batch",
    }
)
# By class, the first that fits; the methods that are a step, which others of the class only do a part of.
_STEPS: Final[tuple[tuple[type, frozenset[str], RunType], ...]] = (
    (StructuredLLM, _ANSWERS, "chain"),
    (BaseLLM, _ANSWERS, "llm"),
    (BaseLLM, _STRUCTURED, "chain"),
    (BaseEmbedding, _VECTORS, "embedding"),
    (BaseSparseEmbedding, _VECTORS, "embedding"),
    (BaseRetriever, frozenset({"retrieve", "aretrieve"}), "retriever"),
    (BaseQueryEngine, frozenset({"query", "aquery"}), "query"),
    (BaseSynthesizer, frozenset({"synthesize", "asynthesize"}), "chain"),
    (BaseTool, frozenset({"__call__", "call", "acall"}), "tool"),
    (BaseChatEngine, frozenset({"chat", "achat", "stream_chat", "astream_chat"}), "chain"),
    (BaseNodePostprocessor, frozenset({"_postprocess_nodes", "_apostprocess_nodes"}), "chain"),
    (BaseWorkflowAgent, frozenset({"run"}), "agent"),
    (AgentWorkflow, frozenset({"run"}), "agent"),
    (Workflow, frozenset({"run"}), "chain"),
    (IngestionPipeline, frozenset({"run", "arun"}), "chain"),
)
# Functions of the framework that only pass work on.
_PLUMBING: Final = frozenset({"run_jobs", "run_jobs.<locals>.worker"})
# The providers of our price book by the package that a class comes from, and by the name that it is serialised under.
_PACKAGES: Final = {
    "openai": "openai",
    "azure_openai": "azure",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "google_genai": "gemini",
    "groq": "groq",
    "huggingface_api": "huggingface",
}
_CLASSES: Final = {
    "openai_llm": "openai",
    "openai_responses_llm": "openai",
    "azure_openai_llm": "azure",
    "OpenAIEmbedding": "openai",
    "AzureOpenAIEmbedding": "azure",
    "Anthropic_LLM": "anthropic",
    "Gemini": "gemini",
    "GenAI": "gemini",
    "Google_GenAI": "gemini",
    "GeminiEmbedding": "gemini",
    "GoogleGenAIEmbedding": "gemini",
    "Groq": "groq",
    "HuggingFaceInferenceAPI": "huggingface",
}
_ANYBODY: Final = frozenset({"openai_like", "litellm"})
"""Packages whose classes ask whomever they are told to."""


def label(span_id: str) -> str:
    """What a span is called: its id without the part that makes it unique."""
    return span_id[:-_TAIL] if len(span_id) > _TAIL else span_id


def kind_of(instance: object, name: str) -> RunType | None:
    """The kind of step that a span is; None for what is no step of its own.

    Args:
        instance: Whose method it is; None for functions, and for the steps of workflows.
        name: Its label.
    """
    method = name.rpartition(".")[2]
    if instance is None:
        return None if name in _PLUMBING else "chain"
    if isinstance(instance, BaseToolAsyncAdapter):
        return None
    for owner, methods, kind in _STEPS:
        if method in methods and isinstance(instance, owner):
            return kind
    if isinstance(instance, DispatcherSpanMixin) or type(instance).__module__.partition(".")[0] == "llama_index":
        return None
    # Who decorates a method of a class that is none of the framework's wants to see it.
    return "chain"


def name_of(instance: object, kind: RunType, name: str) -> str:
    """What a step is called: tools and agents by the names that they were given."""
    if kind == "tool":
        own = getattr(getattr(instance, "metadata", None), "name", None)
        return own if isinstance(own, str) and own else name
    if kind == "agent" and isinstance(instance, BaseWorkflowAgent):
        return instance.name
    return name


def description_of(instance: object, kind: RunType) -> str | None:
    """What a tool is for."""
    own = getattr(getattr(instance, "metadata", None), "description", None) if kind == "tool" else None
    return own if isinstance(own, str) and own else None


def provider_of(instance: object) -> str | None:
    """Who is asked by a model's class, as far as that is certain; never a guess, since prices hang on it."""
    for cls in type(instance).__mro__:
        parts = cls.__module__.split(".")
        if parts[:2] not in (["llama_index", "llms"], ["llama_index", "embeddings"]) or len(parts) < 3:
            continue
        package = parts[2]
        base = getattr(instance, "api_base", None)
        if package in _ANYBODY or (package == "openai" and base and "api.openai.com" not in str(base)):
            return None
        return _PACKAGES.get(package, package)
    return None


def provider_of_class(class_name: object) -> str | None:
    """The same by the name that a class is serialised under, where the object itself is out of reach."""
    return _CLASSES.get(class_name) if isinstance(class_name, str) else None

"""LlamaIndex on top of aistrale, and seen by it; needs the extra `aistrale[llamaindex]`.

llm = AistraleLLM("openai/gpt-5-mini")
handle = instrument()

Written for llama-index-core from 0.14.20 on; tested with 0.14.20 and 0.14.25.
"""

from __future__ import annotations

try:
    import llama_index.core  # noqa: F401 - everything below builds on it
except ImportError as error:
    raise ImportError('LlamaIndex is not installed: pip install "aistrale[llamaindex]"') from error

from aistrale.integrations.llamaindex.embedding import AistraleEmbedding
from aistrale.integrations.llamaindex.handlers import (
    AistraleEventHandler,
    AistraleSpanHandler,
    Instrumentation,
    instrument,
    uninstrument,
)
from aistrale.integrations.llamaindex.legacy import AistraleLegacyCallbackHandler
from aistrale.integrations.llamaindex.llm import AistraleLLM

__all__ = [
    "AistraleEmbedding",
    "AistraleEventHandler",
    "AistraleLLM",
    "AistraleLegacyCallbackHandler",
    "AistraleSpanHandler",
    "Instrumentation",
    "instrument",
    "uninstrument",
]

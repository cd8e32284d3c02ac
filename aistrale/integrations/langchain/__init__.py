"""LangChain and LangGraph: a callback handler that tells sinks of every step, a chat model, and embeddings.

    from aistrale.integrations.langchain import AistraleCallbackHandler, AistraleEmbeddings, ChatAistrale

Needs `pip install "aistrale[langchain]"`.
"""

from __future__ import annotations

try:
    import langchain_core as _langchain_core
except ImportError as error:
    raise ImportError('LangChain is not installed; run: pip install "aistrale[langchain]"') from error

from aistrale.integrations.langchain.callbacks import AistraleCallbackHandler
from aistrale.integrations.langchain.chat_model import ChatAistrale
from aistrale.integrations.langchain.embeddings import AistraleEmbeddings

__all__ = ["AistraleCallbackHandler", "AistraleEmbeddings", "ChatAistrale"]

del _langchain_core

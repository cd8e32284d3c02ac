"""Frameworks that sit on top of aistrale, or beside it; each needs its extra, and loads at its own import.

from aistrale.integrations.langchain import AistraleCallbackHandler, AistraleEmbeddings, ChatAistrale
"""

# needs: langchain_core
"""Retrieval with LangChain: embeddings and answers through aistrale.

Needs `pip install "aistrale[langchain]"`.
"""

from __future__ import annotations

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler, AistraleEmbeddings, ChatAistrale
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import RunFinished

events = MemorySink()
aistrale.init(sinks=[events], instrument=False)

store = InMemoryVectorStore(AistraleEmbeddings(model="openai/text-embedding-3-small"))
store.add_documents(
    [
        Document("Orders are shipped within two days."),
        Document("Returns are free for thirty days."),
        Document("Gift cards never expire."),
    ]
)


def joined(documents: list[Document]) -> str:
    """The texts of documents."""
    return "\n".join(document.page_content for document in documents)


prompt = ChatPromptTemplate.from_template("Answer from this:\n{context}\n\nQuestion: {question}")
chain = (
    {"context": store.as_retriever(search_kwargs={"k": 2}) | joined, "question": RunnablePassthrough()}
    | prompt
    | ChatAistrale(model="openai/gpt-5-mini")
    | StrOutputParser()
)
for piece in chain.stream("How long may I return things?", {"callbacks": [AistraleCallbackHandler()]}):
    print(piece, end="", flush=True)
print()

for event in events.of(RunFinished):
    print(event.type, event.name, event.documents or "")

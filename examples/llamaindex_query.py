# needs: llama_index.core
"""Ask a few documents with LlamaIndex, through aistrale, and see what it did step by step.

Needs `pip install "aistrale[llamaindex]"`, and OPENAI_API_KEY for the vectors and the answers.
"""

from __future__ import annotations

from llama_index.core import Document, VectorStoreIndex

import aistrale
from aistrale.integrations.llamaindex import AistraleEmbedding, AistraleLLM, instrument
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import RunFinished

steps = MemorySink()
with aistrale.Client(sinks=[steps]) as client:
    handle = instrument(client)
    embedding = AistraleEmbedding("openai/text-embedding-3-small", client=client)
    llm = AistraleLLM("openai/gpt-5-mini", client=client)

    documents = [
        Document(text="The warehouse in Bergen opens at seven and closes at four."),
        Document(text="The warehouse in Oslo is open day and night."),
        Document(text="Returns are taken in Bergen only."),
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)

    answer = index.as_query_engine(llm=llm, similarity_top_k=2).query("When can I bring something back?")
    print(answer)
    for source in answer.source_nodes:
        print(f"  {source.score:.2f}  {source.text}")

    # The same, piece by piece.
    streamed = index.as_query_engine(llm=llm, streaming=True).query("Which warehouse is open at night?")
    for piece in streamed.response_gen:
        print(piece, end="")
    print()

    handle.uninstrument()
    client.flush()
    for event in steps.events:
        if isinstance(event, RunFinished):
            print(f"{event.type:10} {event.name:45} {event.latency * 1000:7.1f} ms  {event.outcome}")

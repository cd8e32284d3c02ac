"""The same program with and without handlers: equal results, and every token counted once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager

import aistrale
from aistrale.integrations.llamaindex import (
    AistraleEmbedding,
    AistraleLegacyCallbackHandler,
    AistraleLLM,
    instrument,
    uninstrument,
)
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import AttemptFinished, RunFinished

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    "Oslo is the capital of Norway. It lies at a fjord.",
    "Bergen is the second city of Norway. It rains there.",
    "Paris is the capital of France.",
]
QUESTIONS = ["What is the capital of Norway?", "Where does it rain?", "What is the capital of France?"]


def rag(client, callbacks=None) -> list[object]:
    """Answers, sources and scores, sync, streamed and async."""
    manager = CallbackManager(callbacks or [])
    embedding = AistraleEmbedding("openai/text-embedding-3-small", client=client, callback_manager=manager)
    llm = AistraleLLM("anthropic/claude-haiku-4-5", client=client, callback_manager=manager)
    documents = [Document(text=text, id_=str(number)) for number, text in enumerate(DOCUMENTS)]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding, callback_manager=manager)
    whole, streamed = index.as_query_engine(llm=llm), index.as_query_engine(llm=llm, streaming=True)
    results: list[object] = []
    for question in QUESTIONS:
        answer = whole.query(question)
        results.append([str(answer), [(node.text, node.score) for node in answer.source_nodes]])
        results.append(list(streamed.query(question).response_gen))

    async def ask():
        answers = await asyncio.gather(*(whole.aquery(question) for question in QUESTIONS))
        await client.as_async().close()
        return [str(answer) for answer in answers]

    results.append(asyncio.run(ask()))
    return results


def test_handlers_change_nothing(sim):
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        without = rag(client)
        bodies = sorted(json.dumps(request.body, sort_keys=True) for request in sim.requests)
    sim.reset()
    with aistrale.Client(**sim.settings(), ledger="off", sinks=[MemorySink()], capture=True) as client:
        instrument(client)
        assert rag(client, [AistraleLegacyCallbackHandler(client)]) == without
        assert sorted(json.dumps(request.body, sort_keys=True) for request in sim.requests) == bodies


def test_every_token_is_counted_once(sim):
    sink = MemorySink()
    with aistrale.Client(**sim.settings(), ledger="off", sinks=[sink]) as client:
        instrument(client)
        rag(client)
        uninstrument()
        assert client.flush()
        attempts = [event.row for event in sink.events if isinstance(event, AttemptFinished)]
        steps = [event for event in sink.events if isinstance(event, RunFinished)]
        assert len(attempts) == len(sim.requests)
        sent = [request.completion.usage for request in sim.requests if request.operation == "chat"]
        told = [row for row in attempts if row.provider == "anthropic"]
        assert sum(row.output or 0 for row in told) == sum(usage.output_total for usage in sent)
        # Steps add nothing to that: those that are calls of ours point at them, and nothing else asked a model.
        assert sum(step.input_tokens or 0 for step in steps) == 0
        assert {step.call_id for step in steps if step.type in {"llm", "embedding"}} == {
            event.call_id for event in sink.events if isinstance(event, AttemptFinished)
        }
        assert all(step.cost is None for step in steps)


def test_without_the_library_the_error_names_the_extra():
    source = (
        "import sys; sys.modules['llama_index'] = None\n"
        "try:\n    from aistrale.integrations.llamaindex import AistraleLLM\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert 'pip install "aistrale[llamaindex]"' in done.stdout

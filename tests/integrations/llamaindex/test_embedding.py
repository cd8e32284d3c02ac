"""AistraleEmbedding against the simulator."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.storage.kvstore import SimpleKVStore

from aistrale.errors import AistraleError, ContextLengthError
from aistrale.integrations.llamaindex import AistraleEmbedding, instrument
from aistrale.testing import Fault
from tests.integrations.llamaindex.models import runs

MODELS = ["openai/text-embedding-3-small", "gemini/gemini-embedding-001"]


@pytest.fixture(params=MODELS)
def embedding(request, client):
    return AistraleEmbedding(request.param, client=client)


def test_texts_and_queries(embedding, client):
    expected = client.embed(["one", "two"], model=embedding.model).vectors
    assert embedding.get_text_embedding("one") == expected[0]
    assert embedding.get_query_embedding("two") == expected[1]
    assert embedding.get_text_embedding_batch(["one", "two"]) == expected


def test_async(embedding, client):
    expected = client.embed(["one", "two"], model=embedding.model).vectors

    async def ask():
        assert await embedding.aget_text_embedding("one") == expected[0]
        assert await embedding.aget_query_embedding("two") == expected[1]
        assert await embedding.aget_text_embedding_batch(["one", "two"]) == expected
        await client.as_async().close()

    asyncio.run(ask())


def test_a_batch_is_one_request(client, sim):
    embedding = AistraleEmbedding(MODELS[0], client=client)
    embedding.get_text_embedding_batch([f"text {index}" for index in range(250)])
    assert [len(each.request.inputs) for each in sim.requests] == [100, 100, 50]


def test_options_reach_the_provider(client, sim):
    embedding = AistraleEmbedding(
        MODELS[1], client=client, dimensions=16, query_task="RETRIEVAL_QUERY", text_task="RETRIEVAL_DOCUMENT"
    )
    assert len(embedding.get_text_embedding("one")) == 16
    assert sim.last.request.task == "RETRIEVAL_DOCUMENT"
    embedding.get_query_embedding("one")
    assert sim.last.request.task == "RETRIEVAL_QUERY"
    AistraleEmbedding(MODELS[0], client=client, options={"user": "u1"}).get_text_embedding("one")
    assert sim.last.request.user == "u1"


def test_the_frameworks_cache_is_asked_first(client, sim):
    embedding = AistraleEmbedding(MODELS[0], client=client, embeddings_cache=SimpleKVStore())
    first = embedding.get_text_embedding_batch(["one", "two"])
    assert embedding.get_text_embedding_batch(["one", "two"]) == first
    assert sim.stats()["requests"] == 1


def test_errors_are_those_of_aistrale(client, sim):
    embedding = AistraleEmbedding(MODELS[0], client=client)
    sim.script(Fault(kind="context_length"))
    with pytest.raises(ContextLengthError):
        embedding.get_text_embedding("one")
    with pytest.raises(AistraleError, match=r"texts\[0\] must be non-empty text"):
        embedding.get_text_embedding(" ")


def test_serialised_it_is_its_options_and_no_key(client):
    embedding = AistraleEmbedding(MODELS[0], client=client, dimensions=8)
    key = client._engine.target(MODELS[0]).key.reveal()
    assert key not in json.dumps(embedding.to_dict()) + repr(embedding) + str(pickle.dumps(embedding))
    again = AistraleEmbedding.from_dict(embedding.to_dict())
    assert (again.model, again.dimensions, again.model_name) == (MODELS[0], 8, MODELS[0])
    assert len(copy.deepcopy(embedding).get_text_embedding("one")) == 8
    assert pickle.loads(pickle.dumps(embedding))._handle.client is None  # noqa: S301 - our own bytes
    assert isinstance(embedding, BaseEmbedding)


def test_its_name_is_that_of_the_model_that_is_taken(client):
    assert AistraleEmbedding(provider="openai", client=client).model_name.startswith("openai/")


def test_steps_of_one_call_carry_its_id(client, sink):
    handle = instrument(client)
    embedding = AistraleEmbedding(MODELS[0], client=client, embed_batch_size=2)
    embedding.get_text_embedding_batch(["one", "two"])
    embedding.get_text_embedding_batch(["one", "two", "three"])
    embedding.get_query_embedding("one")
    one, several, query = runs(client, sink)
    assert one.call_id
    assert query.call_id
    assert several.call_id is None
    assert {run.type for run in (one, several, query)} == {"embedding"}
    assert {(run.provider, run.model) for run in (one, several, query)} == {("openai", "text-embedding-3-small")}
    assert {run.input_tokens for run in (one, several, query)} == {None}
    handle.uninstrument()

"""`AistraleEmbedding`: every embedding model that aistrale reaches, for LlamaIndex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.instrumentation.span import active_span_id

from aistrale.core.runtime import run_sync
from aistrale.integrations.given import check_client, check_fields
from aistrale.integrations.llamaindex.asking import Handle, embed

if TYPE_CHECKING:
    from aistrale.client import AsyncClient, Client
    from aistrale.options import EmbedOptions, Options

# The most that every provider takes in one request (Gemini API reference, batchEmbedContents).
_BATCH = 100


class AistraleEmbedding(BaseEmbedding):
    """An embedding model of LlamaIndex whose calls go through aistrale.

    It holds no key: those are the client's. Serialised, it is its options; unpickled, it asks the process-wide client.

    Args:
        model: `provider/model`, or a name that the catalog knows; None for the default of the first provider that has a
            key.
        client: A `Client` or an `AsyncClient`, for sync and async calls alike; None for the process-wide client.
        provider: As in `aistrale.EmbedOptions`.
        dimensions: Length of the vectors, for models that can shorten them.
        query_task: What a query's vector is for, in Gemini's words: RETRIEVAL_QUERY, ...; for other providers None.
        text_task: The same of a document's: RETRIEVAL_DOCUMENT, ...
        options: Further options of each call; help(aistrale.EmbedOptions) lists them.
        embed_batch_size: Texts in a request.
        values: Fields of LlamaIndex's own: callback_manager, num_workers, embeddings_cache, ...

    Raises:
        ImportError: LlamaIndex is not installed; the extra is `aistrale[llamaindex]`.
    """

    model: str | None = Field(default=None, description="provider/model, or a model's name.")
    provider: str | None = Field(default=None, description="The provider, in place of the one of the model's name.")
    dimensions: int | None = Field(default=None, description="Length of the vectors.", gt=0)
    query_task: str | None = Field(default=None, description="What a query's vector is for.")
    text_task: str | None = Field(default=None, description="What a document's vector is for.")
    options: dict[str, Any] = Field(default_factory=dict, description="Further options of each call.")
    _handle: Handle = PrivateAttr(default_factory=Handle)

    def __init__(
        self,
        model: str | None = None,
        *,
        client: Client | AsyncClient | None = None,
        provider: str | None = None,
        dimensions: int | None = None,
        query_task: str | None = None,
        text_task: str | None = None,
        options: dict[str, Any] | None = None,
        embed_batch_size: int = _BATCH,
        **values: Any,  # noqa: ANN401 - the framework's own fields
    ) -> None:
        check_fields(type(self), values)
        check_client(client)
        handle = Handle(client)
        if values.get("model_name") is None:
            where = cast("Options", {"model": model, "provider": provider})
            targets = handle.targets(where, embedding=True)
            values["model_name"] = model or (targets[0].name if targets else "unknown")
        values |= {"model": model, "provider": provider, "dimensions": dimensions, "options": options or {}}
        values |= {"query_task": query_task, "text_task": text_task, "embed_batch_size": embed_batch_size}
        super().__init__(**values)
        self._handle = handle

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is serialised."""
        return "AistraleEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed([query], self.query_task)[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._aembed([query], self.query_task))[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed([text], self.text_task)[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aembed([text], self.text_task))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts, self.text_task)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._aembed(texts, self.text_task)

    def _embed(self, texts: list[str], task: str | None) -> list[list[float]]:
        engine, span = self._handle.engine, active_span_id.get()
        return run_sync(embed(engine, engine.sync_runtime(), texts, self._options(task), span)).vectors

    async def _aembed(self, texts: list[str], task: str | None) -> list[list[float]]:
        engine, span = self._handle.engine, active_span_id.get()
        return (await embed(engine, engine.async_runtime(), texts, self._options(task), span)).vectors

    def _options(self, task: str | None) -> EmbedOptions:
        own = {"model": self.model, "provider": self.provider, "dimensions": self.dimensions, "task": task}
        return cast(
            "EmbedOptions", {**self.options, **{name: value for name, value in own.items() if value is not None}}
        )

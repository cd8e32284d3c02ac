"""AistraleEmbeddings: LangChain's embeddings over the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field

from aistrale.client import AsyncClient, Client
from aistrale.core.runtime import run_sync
from aistrale.default import get_engine
from aistrale.errors import AistraleError
from aistrale.integrations.langchain.errors import standardise
from aistrale.turns import embed_call

if TYPE_CHECKING:
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.options import EmbedOptions


class AistraleEmbeddings(BaseModel, Embeddings):
    """Vectors through aistrale, in requests of at most `batch_size` texts, one after the other.

    Args:
        model: `provider/model` or a name that the catalog knows; None takes the client's default.
        route: A route's name, instead of a model.
        dimensions: Length of the vectors, for models that can shorten them.
        task: What documents' vectors are for, in Gemini's words (RETRIEVAL_DOCUMENT, ...).
        query_task: What a query's vector is for; `task` by default.
        batch_size: Most texts of one request.
        timeout: Seconds that each request may take in all, retries included.
        options: Further options of `aistrale.embed`, see help(aistrale.EmbedOptions).
        client: Makes the calls; None for the process-wide client at the time of each call.

    Raises:
        ValidationError: A field is unknown or of a wrong type.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str | None = None
    route: str | None = None
    dimensions: int | None = None
    task: str | None = None
    query_task: str | None = None
    batch_size: int = Field(default=128, ge=1)
    timeout: float | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    client: Client | AsyncClient | None = Field(default=None, exclude=True, repr=False)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors for texts, in their order.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree; it is one of LangChain's standard errors, too.
        """
        engine = get_engine(self.client)
        return run_sync(self._embed(engine, engine.sync_runtime(), texts, self.task))

    def embed_query(self, text: str) -> list[float]:
        """A vector for a question; errors as for embed_documents."""
        engine = get_engine(self.client)
        return run_sync(self._embed(engine, engine.sync_runtime(), [text], self.query_task or self.task))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors for texts, on the event loop itself; errors as for embed_documents."""
        engine = get_engine(self.client)
        return await self._embed(engine, engine.async_runtime(), texts, self.task)

    async def aembed_query(self, text: str) -> list[float]:
        """A vector for a question, on the event loop itself; errors as for embed_documents."""
        engine = get_engine(self.client)
        return (await self._embed(engine, engine.async_runtime(), [text], self.query_task or self.task))[0]

    async def _embed(self, engine: Engine, runtime: Runtime, texts: list[str], task: str | None) -> list[list[float]]:
        options, vectors = self._options(task), list[list[float]]()
        try:
            for batch in self._batches(texts):
                vectors += (await engine.embed(embed_call(engine, runtime, batch, options))).vectors
        except AistraleError as error:
            standardise(error)
            raise
        return vectors

    def _batches(self, texts: list[str]) -> list[list[str]]:
        return [texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size)]

    def _options(self, task: str | None) -> EmbedOptions:
        own = {
            "model": self.model,
            "route": self.route,
            "dimensions": self.dimensions,
            "task": task,
            "deadline": self.timeout,
        }
        told = {name: value for name, value in own.items() if value is not None}
        return cast("EmbedOptions", {**told, **self.options})

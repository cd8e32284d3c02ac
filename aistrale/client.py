"""The clients: thin faces over one engine; sync and async differ only in how they step it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, cast

from aistrale import turns, upkeep
from aistrale.conversation import Session
from aistrale.core.runtime import run_sync
from aistrale.engine import Engine
from aistrale.errors import AistraleError
from aistrale.options import Options, Prompt, build_embed_request
from aistrale.streams import AsyncStream, Stream, stream_call

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from aistrale.checks import Setting
    from aistrale.core.call import Call
    from aistrale.core.pipeline import Pipeline
    from aistrale.core.runtime import Runtime
    from aistrale.options import EmbedOptions
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.single import Redacted
    from aistrale.reliability.breaker_types import BreakerSnapshot
    from aistrale.reliability.gate import GateSnapshot
    from aistrale.routing.health import Health
    from aistrale.scope import ContextValues
    from aistrale.store import LedgerHandle, NullLedger
    from aistrale.types import Completion, Embeddings
    from aistrale.upkeep import Warmed


class _Face:
    """What both clients share.

    Args:
        settings: See aistrale.config.Settings; unknown names are errors.
    """

    def __init__(self, _engine: Engine | None = None, /, **settings: Setting) -> None:
        self._engine = _engine or Engine(settings)
        if _engine is None and self._engine.settings.probe is not None:
            self._probing = upkeep.Probing(self._engine)
            self._engine.on_call = self._probing.wake

    @property
    def pipeline(self) -> Pipeline:
        """The policies in their order; `pipeline.describe()` shows them."""
        return self._engine.pipeline

    @property
    def ledger(self) -> LedgerHandle | NullLedger:
        """The durable record of calls, attempts, tokens and money."""
        return self._engine.ledger

    def flush(self, timeout: float = 5.0) -> bool:
        """Move what is journalled into the ledger; whether that was done within `timeout` seconds."""
        return self._engine.ledger.flush(timeout)

    def health(self) -> dict[str, Health]:
        """How every target that was ever called does: a score of 0 to 100 and its parts, by `provider/model`."""
        return upkeep.health(self._engine)

    def breakers(self) -> dict[str, BreakerSnapshot]:
        """The circuit breaker of every target that was ever called, by `provider/model`."""
        return upkeep.breakers(self._engine)

    def queues(self) -> dict[str, GateSnapshot]:
        """The limits and the queue of every target that was ever called, by `provider/model`."""
        return upkeep.queues(self._engine)

    def force_breaker(self, target: str, state: Literal["open", "closed", "metrics_only"] | None) -> None:
        """Set the state of a target's breaker by hand, for maintenance or an emergency.

        Args:
            target: `provider/model`.
            state: "open": nothing passes. "closed": everything passes. "metrics_only": everything passes and is
                counted. None: automatic again.

        Raises:
            ConfigurationError: There is no such target or state.
        """
        upkeep.force_breaker(self._engine, target, state)

    def session(self, *, system: str | None = None, **context: Unpack[ContextValues]) -> Session:
        """A conversation that remembers its turns; see Session."""
        return Session(self._engine, system, context)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Client(_Face):
    """The blocking client; safe to share between threads, and on both sides of a fork.

    Nothing is opened before the first call. Use it as a context manager, or call close.

    Args:
        **settings: help(aistrale.Settings) lists them; unknown names are errors.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """

    _async: AsyncClient | None = None

    def run(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """Answer a prompt.

        Args:
            prompt: Text, a Message, or a conversation of Messages and OpenAI-style dicts.
            **options: Model, tools, output, deadline, ...; help(aistrale.Options) lists them.

        Returns:
            The answer with its tokens, cost and attempts; `print` shows its text.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree.
        """
        return run_sync(turns.run(self._engine, self._engine.sync_runtime(), prompt, options))[0]

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Stream:
        """Answer a prompt piece by piece; the request is sent when the stream is entered or first iterated.

        Args:
            prompt: As for run.
            **options: As for run, but for `max_tool_rounds`.

        Returns:
            A context manager and iterator of events; print every event's `.text`, then see `.completion`.

        Raises:
            AistraleError: At once for what cannot be sent; when it is entered or iterated for everything else.
        """
        return Stream(self._engine, stream_call(self._engine, self._engine.sync_runtime(), prompt, options), options)

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Vectors for texts, in their order.

        Args:
            texts: One text or several.
            **options: help(aistrale.EmbedOptions) lists them.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree.
        """
        engine = self._engine
        return run_sync(engine.embed(embed_call(engine, engine.sync_runtime(), texts, options)))

    def warmup(self, *models: str) -> list[Warmed]:
        """Connect now, so that the first call need not: names, TLS, and one request without key or body an origin.

        Args:
            *models: Models and routes; none for what a call that names none would take.

        Returns:
            One entry per origin; a problem is told there and raises nothing.

        Raises:
            ConfigurationError: There is no such model, or its key is missing.
        """
        return run_sync(upkeep.warm_up(self._engine, self._engine.sync_runtime(), models))

    def scan(self, text: str) -> list[Finding]:
        """What is sensitive in a text: start, end, type and score of each finding, in order.

        Args:
            text: Any. Looked at with the recognizers, types and allowed values of the setting `privacy`, whether or not
                calls are redacted.
        """
        return upkeep.scan(self._engine, text)

    def redact(self, text: str) -> Redacted:
        """A text without what is sensitive in it: `.text`; `.restore(other)` puts the originals into another one.

        Args:
            text: As for scan; replaced as the setting `privacy` says.

        Raises:
            RedactionError: It holds more values than a vault can keep.
        """
        return upkeep.redact(self._engine, text)

    def as_async(self) -> AsyncClient:
        """The async face of this client: same settings, ledger and pipeline."""
        if self._async is None:
            self._async = AsyncClient(self._engine)
        return self._async

    def close(self) -> None:
        """Close the connections and ship the journal; the client can be used again afterwards."""
        run_sync(self._engine.close_sync())
        self._engine.ledger.flush(2.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Face):
    """The async client, for asyncio and trio; safe to share between tasks and event loops.

    Args:
        **settings: help(aistrale.Settings) lists them; unknown names are errors.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """

    async def run(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """Answer a prompt; see Client.run."""
        return (await turns.run(self._engine, self._engine.async_runtime(), prompt, options))[0]

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> AsyncStream:
        """Answer a prompt piece by piece; `async with client.stream(...) as stream`, without await."""
        return AsyncStream(
            self._engine, stream_call(self._engine, self._engine.async_runtime(), prompt, options), options
        )

    async def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Vectors for texts, in their order."""
        engine = self._engine
        return await engine.embed(embed_call(engine, engine.async_runtime(), texts, options))

    async def warmup(self, *models: str) -> list[Warmed]:
        """Connect now, so that the first call need not; see Client.warmup."""
        return await upkeep.warm_up(self._engine, self._engine.async_runtime(), models)

    async def scan(self, text: str) -> list[Finding]:
        """What is sensitive in a text, found in a worker thread; see Client.scan."""
        found = await self._engine.async_runtime().invoke(upkeep.scan, self._engine, text)
        return cast("list[Finding]", found)

    async def redact(self, text: str) -> Redacted:
        """A text without what is sensitive in it, made in a worker thread; see Client.redact."""
        redacted = await self._engine.async_runtime().invoke(upkeep.redact, self._engine, text)
        return cast("Redacted", redacted)

    async def close(self) -> None:
        """Close this loop's connections; the client can be used again afterwards."""
        await self._engine.close_async()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def embed_call(engine: Engine, runtime: Runtime, texts: str | Sequence[str], options: EmbedOptions) -> Call:
    """An embedding call. Raises ConfigurationError or InvalidRequestError for what cannot be sent."""
    whole = cast("Options", options)
    try:
        return engine.call(build_embed_request(texts, options), whole, runtime)
    except AistraleError as error:
        engine.refused(error, whole, runtime, "embedding")
        raise

"""Calls of ours that LlamaIndex asks for: made here, written once for sync and async, and told to those who follow."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from aistrale import turns
from aistrale.default import get_engine
from aistrale.errors import ConfigurationError
from aistrale.streams import AsyncStream, Stream, stream_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.client import AsyncClient, Client
    from aistrale.core.call import Call, Target
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.options import EmbedOptions, Options
    from aistrale.types import Completion, Embeddings, Message


@dataclass(slots=True)
class OwnCall:
    """A call of ours inside a step of LlamaIndex.

    Args:
        call_id: As the ledger has it.
        provider: Who answered.
        model: Which model.
    """

    call_id: str
    provider: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, call: Call) -> Self:
        """A call that begins; until it is answered its first target stands for who answers."""
        target = call.targets[0]
        return cls(call.id, target.provider.name, target.model)

    def ended(self, answer: Completion | Embeddings) -> None:
        """It was answered."""
        self.provider = answer.provider or self.provider
        # As the target has it: the price book and the ledger know it by that name.
        self.model = answer.target.partition("/")[2] or self.model


class Follower(Protocol):
    """Who wants to know which calls a step consists of."""

    def called(self, span_id: str, own: OwnCall) -> None:
        """A call begins inside a span; must not raise."""
        ...


followers: weakref.WeakSet[Follower] = weakref.WeakSet()


def tell(span_id: str | None, own: OwnCall) -> None:
    """Tell everybody that a call belongs to a span."""
    if span_id is not None:
        for follower in list(followers):
            follower.called(span_id, own)


class Handle:
    """Which client is asked: a given one, or the process-wide one at the time of the call.

    A copy asks the same client. One that was pickled asks the process-wide client, since keys and connections do not
    travel.

    Args:
        client: None for the process-wide client.
    """

    __slots__ = ("client",)

    def __init__(self, client: Client | AsyncClient | None = None) -> None:
        self.client = client

    @property
    def engine(self) -> Engine:
        """The client's engine. Raises ConfigurationError where the process-wide client cannot be set up."""
        return get_engine(self.client)

    def targets(self, options: Options, *, embedding: bool = False) -> list[Target]:
        """Where calls with these options go; empty where that is not known, or something is missing for it."""
        try:
            return self.engine.targets(options, "embedding" if embedding else "chat")[0]
        except ConfigurationError:
            # The call itself says what is wrong; asking what a model can do must not.
            return []

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Handle], tuple[()]]:
        return Handle, ()


async def ask(
    engine: Engine, runtime: Runtime, messages: list[Message], options: Options, span_id: str | None
) -> Completion:
    """Answer a conversation.

    Args:
        engine: The client's.
        runtime: Blocking or async.
        messages: In the hub's words.
        options: As for `Client.run`.
        span_id: LlamaIndex's span around it.

    Raises:
        AistraleError: As for `Client.run`.
    """
    if options.get("output") is not None or options.get("max_tool_rounds"):
        completion, _ = await turns.run(engine, runtime, messages, options)
        own = OwnCall(completion.call_id)
        own.ended(completion)
        tell(span_id, own)
        return completion
    call = turns.chat_call(engine, runtime, messages, options)
    own = OwnCall.of(call)
    tell(span_id, own)
    completion = await engine.complete(call)
    own.ended(completion)
    return completion


def open_stream(
    engine: Engine, messages: list[Message], options: Options, span_id: str | None
) -> tuple[Stream, OwnCall]:
    """A stream that is not sent yet, and the call that it is; arguments and errors as for ask."""
    call = stream_call(engine, engine.sync_runtime(), messages, options)
    own = OwnCall.of(call)
    tell(span_id, own)
    return Stream(engine, call, options), own


def open_async_stream(
    engine: Engine, messages: list[Message], options: Options, span_id: str | None
) -> tuple[AsyncStream, OwnCall]:
    """The same on an event loop."""
    call = stream_call(engine, engine.async_runtime(), messages, options)
    own = OwnCall.of(call)
    tell(span_id, own)
    return AsyncStream(engine, call, options), own


async def embed(
    engine: Engine, runtime: Runtime, texts: Sequence[str], options: EmbedOptions, span_id: str | None
) -> Embeddings:
    """Vectors for texts; arguments and errors as for ask and `Client.embed`."""
    call = turns.embed_call(engine, runtime, texts, options)
    own = OwnCall.of(call)
    tell(span_id, own)
    embeddings = await engine.embed(call)
    own.ended(embeddings)
    return embeddings

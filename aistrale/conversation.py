"""A conversation that remembers its turns, and says in the ledger that they belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aistrale import turns
from aistrale.core.ids import new_id
from aistrale.core.runtime import run_sync
from aistrale.errors import ConfigurationError
from aistrale.options import build_messages
from aistrale.scope import context, current, extended
from aistrale.streams import AsyncStream, Stream, stream_call

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Unpack

    from aistrale.core.call import Context
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.options import Options, Prompt
    from aistrale.privacy.protection import Protection
    from aistrale.privacy.vault import Vault
    from aistrale.scope import ContextValues
    from aistrale.types import Completion, Message


class Session:
    """A conversation. A turn is remembered when its answer is complete; a failed turn leaves no trace in the memory.

    One session is one conversation: use it from one thread or task at a time. As a context manager, sync or async, it
    also sets its context for everything that is called inside the block.

    Args:
        engine: The client's engine.
        system: Instructions that stand above the whole conversation.
        values: Context of the calls; `session` gets a fresh id unless it is given.
    """

    def __init__(self, engine: Engine, system: str | None, values: ContextValues) -> None:
        self._engine = engine
        self._values: ContextValues = {"session": new_id(), **values}
        self._blocks: list[AbstractContextManager[Context]] = []
        self._system = system
        self.messages: list[Message] = []
        """The conversation so far, without the instructions; may be edited between turns."""

    @property
    def id(self) -> str:
        """What the ledger rows of this conversation carry in their session column."""
        return self._values.get("session") or ""

    def run(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """The next turn; see Client.run."""
        return run_sync(self._turn(self._engine.sync_runtime, prompt, options))

    async def run_async(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """The next turn on an event loop; see AsyncClient.run."""
        return await self._turn(self._engine.async_runtime, prompt, options)

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Stream:
        """The next turn, piece by piece; see Client.stream. It is remembered when it was read to its end."""
        conversation = self._conversation(prompt)
        with context(**self._values):
            call = stream_call(self._engine, self._engine.sync_runtime(), conversation, self._with_system(options))
        return Stream(self._engine, call, options, lambda answer: self._remember([*conversation, answer.message]))

    def stream_async(self, prompt: Prompt, **options: Unpack[Options]) -> AsyncStream:
        """The next turn, piece by piece, on an event loop."""
        conversation = self._conversation(prompt)
        with context(**self._values):
            call = stream_call(self._engine, self._engine.async_runtime(), conversation, self._with_system(options))
        return AsyncStream(self._engine, call, options, lambda answer: self._remember([*conversation, answer.message]))

    async def _turn(self, runtime: Callable[[], Runtime], prompt: Prompt, options: Options) -> Completion:
        conversation = self._conversation(prompt)
        with context(**self._values):
            answer, messages = await turns.run(self._engine, runtime(), conversation, self._with_system(options))
        self._remember(messages[1:] if self._with_system(options).get("system") else messages)
        return answer

    def _conversation(self, prompt: Prompt) -> list[Message]:
        return [*self.messages, *build_messages(prompt)]

    def _with_system(self, options: Options) -> Options:
        return options if self._system is None or "system" in options else {**options, "system": self._system}

    def _remember(self, messages: list[Message]) -> None:
        self.messages = messages

    @property
    def vault(self) -> Vault:
        """What was redacted in this conversation, with its placeholders.

        To go on elsewhere or later, keep `session.vault.seal(key, session.id)`, open another session of the same id
        and set its vault to `Vault.unseal(blob, key, session.id)`.

        Raises:
            ConfigurationError: Nothing is redacted: the setting `privacy` is off.
        """
        return self._protection().vault(self._context())

    @vault.setter
    def vault(self, vault: Vault) -> None:
        self._protection().keep(self._context(), vault)

    def _protection(self) -> Protection:
        if self._engine.protection is None:
            raise ConfigurationError(
                "a session has no vault where nothing is redacted", field="privacy", hint='Set privacy="redact".'
            )
        return self._engine.protection

    def _context(self) -> Context:
        return extended(current(), self._values)

    def clear(self) -> None:
        """Forget the turns, and what was redacted in them; the instructions stay."""
        self.messages = []
        if self._engine.protection is not None:
            self._engine.protection.forget(self._context())

    def __enter__(self) -> Self:
        block = context(**self._values)
        block.__enter__()
        self._blocks.append(block)
        return self

    def __exit__(self, *_: object) -> None:
        if self._blocks:
            self._blocks.pop().__exit__(None, None, None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __repr__(self) -> str:
        return f"<Session {self.id}: {len(self.messages)} messages>"

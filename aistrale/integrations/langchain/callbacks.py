"""AistraleCallbackHandler: tells sinks of every step that LangChain and LangGraph take."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler

from aistrale.integrations.content import said, tool_asked
from aistrale.integrations.langchain import reading
from aistrale.integrations.langchain.stack import run_on_stack
from aistrale.integrations.reports import Reports
from aistrale.integrations.runs import LIMIT, TTL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from langchain_core.agents import AgentAction, AgentFinish
    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult

    from aistrale.client import AsyncClient, Client
    from aistrale.integrations.runs import Run
    from aistrale.telemetry.events import RunType, TelemetryEvent

Told = TypeVar("Told", bound="Callable[..., None]")


def _guarded(method: Told) -> Told:
    """The method without its errors: what cannot be told must not trouble what is told of."""

    @functools.wraps(method)
    def guarded(self: AistraleCallbackHandler, /, *args: object, **kwargs: object) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - whatever it is, the application goes on
            self.reports.failed(method.__name__)

    return cast("Told", guarded)


class AistraleCallbackHandler(BaseCallbackHandler):
    """Sends a `run.finished` event for every step to the client's sinks: models, tools, retrievers, chains, agents.

    One handler serves any number of threads, tasks and event loops: `config={"callbacks": [handler]}`. It runs inline
    and waits for nothing, and the program's results are the same with it and without it. Steps are told apart by
    LangChain's ids alone. A step that never ends (LangChain does not tell of every end: a cancelled task, a sibling of
    a failed one) is given up after `ttl` seconds without a sign of life, with the outcome "incomplete".

    Tokens are told of models that others call; runs of ChatAistrale have the `call_id` of the call, which is counted
    where it was made. Error texts, headers and bodies are never told, only the class of an error.

    Args:
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        emit: Where events go, instead of the client's sinks; must not wait or raise.
        capture: Whether what is said is told, redacted; None for what `aistrale.context(capture=...)` and the client's
            setting `capture` say.
        ttl: Seconds without a sign of life after which a step is given up.
        limit: Most steps that are followed at once; above it the oldest are given up.
        clock: Monotonic seconds.
    """

    run_inline = True
    raise_error = False

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        emit: Callable[[TelemetryEvent], None] | None = None,
        capture: bool | None = None,
        ttl: float = TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.reports = Reports(
            "langchain",
            client=client,
            emit=emit,
            capture=capture,
            ttl=ttl,
            limit=limit,
            clock=clock,
            asking=lambda: run_on_stack(self.reports.runs) or self.reports.latest(),
        )
        """What it follows; `reports.runs` are the steps under way."""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Frameworks copy configurations; a copy of this would not know of the steps that this one follows.
        return self

    # --- models ------------------------------------------------------------------------------------------------------

    @_guarded
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """A chat model is asked."""
        run = self._begin("llm", serialized, kwargs, run_id, parent_run_id, tags)
        if run is not None:
            reading.asked(run, metadata or {}, kwargs)
            if run.capture:
                reading.conversation(run, messages[0] if messages else [], kwargs)

    @_guarded
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """A model that completes text is asked."""
        run = self._begin("llm", serialized, kwargs, run_id, parent_run_id, tags)
        if run is not None:
            reading.asked(run, metadata or {}, kwargs)
            if run.capture:
                run.input = [said("user", prompt) for prompt in prompts]

    @_guarded
    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: object,
    ) -> None:
        """A piece of an answer has come; the empty one at its end is none."""
        run = self.reports.runs.get(str(run_id))
        if run is not None and run.first_token is None:
            self.reports.piece(run, content=reading.has_content(token, chunk))

    @_guarded
    def on_stream_event(
        self,
        event: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: object,
    ) -> None:
        """An event of the newer streams, which come instead of tokens."""
        run = self.reports.runs.get(str(run_id))
        if run is None:
            return
        if run.first_token is None:
            self.reports.piece(run, content=reading.brings_content(event))
        reading.ended(run, event)

    @_guarded
    def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: object,
    ) -> None:
        """A model has answered."""
        run = self.reports.runs.get(str(run_id))
        if run is not None:
            reading.answered(run, response)
            self.reports.end(run.id)

    @_guarded
    def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: object,
    ) -> None:
        """A model has failed, or its stream was given up; what came before that is counted."""
        run = self.reports.runs.get(str(run_id))
        if run is None:
            return
        # Headers and bodies of the provider's response stand there as well; only known fields are read.
        reading.answered(run, kwargs.get("response"))
        run.call_id = getattr(error, "call_id", None) or run.call_id
        self.reports.end(run.id, error)

    # --- chains and agents -------------------------------------------------------------------------------------------

    @_guarded
    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """A chain, a graph or a node of one begins."""
        kind: RunType = "agent" if reading.is_agent(metadata or {}, kwargs) else "chain"
        run = self._begin(kind, serialized, kwargs, run_id, parent_run_id, tags, metadata)
        if run is not None and run.capture:
            run.input = [said("user", reading.data(inputs))]

    @_guarded
    def on_chain_end(
        self, outputs: object, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """It is over."""
        run = self.reports.runs.get(str(run_id))
        if run is not None:
            if run.capture:
                run.output = [said("assistant", reading.data(outputs))]
            self.reports.end(run.id)

    @_guarded
    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """It has failed; a graph that stops to ask somebody has not."""
        self.reports.end(str(run_id), None if reading.is_pause(error) else error)

    @_guarded
    def on_agent_action(
        self, action: AgentAction, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """The chain of that id is an agent."""
        if (run := self.reports.runs.get(str(run_id))) is not None:
            run.type = "agent"

    @_guarded
    def on_agent_finish(
        self, finish: AgentFinish, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """Likewise."""
        if (run := self.reports.runs.get(str(run_id))) is not None:
            run.type = "agent"

    # --- tools and retrievers ----------------------------------------------------------------------------------------

    @_guarded
    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """A tool is run."""
        run = self._begin("tool", serialized, kwargs, run_id, parent_run_id, tags)
        if run is not None and run.capture:
            run.input = [tool_asked(run.name, input_str if inputs is None else inputs)]

    @_guarded
    def on_tool_end(self, output: object, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object) -> None:
        """It has answered."""
        run = self.reports.runs.get(str(run_id))
        if run is not None:
            if run.capture:
                run.output = [reading.tool_answered(output)]
            self.reports.end(run.id)

    @_guarded
    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """It has failed."""
        self.reports.end(str(run_id), None if reading.is_pause(error) else error)

    @_guarded
    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """Documents are looked for."""
        run = self._begin("retriever", serialized, kwargs, run_id, parent_run_id, tags)
        if run is not None and run.capture:
            run.input = [said("user", query)]

    @_guarded
    def on_retriever_end(
        self, documents: Sequence[Document], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """They were found."""
        run = self.reports.runs.get(str(run_id))
        if run is not None:
            run.documents = len(documents)
            if run.capture:
                run.output = [said("tool", document.page_content) for document in documents]
            self.reports.end(run.id)

    @_guarded
    def on_retriever_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """They could not be."""
        self.reports.end(str(run_id), error)

    # --- signs of life -----------------------------------------------------------------------------------------------

    @_guarded
    def on_text(self, text: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object) -> None:
        """A step goes on."""
        self.reports.runs.get(str(run_id))

    @_guarded
    def on_retry(
        self, retry_state: object, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: object
    ) -> None:
        """A step is tried again, which LangChain tells as steps of their own."""
        self.reports.runs.get(str(run_id))

    @_guarded
    def on_custom_event(self, name: str, data: object, *, run_id: UUID, **kwargs: object) -> None:
        """The application says something of a step of its own."""
        self.reports.runs.get(str(run_id))

    def _begin(  # noqa: PLR0917 - what LangChain tells of every step
        self,
        kind: RunType,
        serialized: Mapping[str, Any] | None,
        told: Mapping[str, Any],
        run_id: UUID,
        parent: UUID | None,
        tags: list[str] | None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run | None:
        name = reading.name_of(serialized, told) or kind
        above = None if parent is None else str(parent)
        table = serialized or {}
        return self.reports.begin(
            str(run_id),
            kind,
            name,
            above,
            tuple(tags or ()),
            conversation=reading.conversation_of(metadata or {}),
            tool_call_id=reading.text(told.get("tool_call_id")),
            description=reading.text(table.get("description")) if kind == "tool" else None,
        )


def tell_call(run_manager: object, call_id: str) -> None:
    """Tell our handlers among those of a run which call it is, before it is sent: some runs never end.

    Args:
        run_manager: LangChain's; None where it gives none.
        call_id: Our id of the call.
    """
    for _, run in _followed(run_manager):
        run.ours, run.call_id = True, call_id


def tell_end(run_manager: object, error: BaseException) -> None:
    """Tell them that it is over, where LangChain does not; what it tells later is the second time."""
    for reports, run in _followed(run_manager):
        try:
            reports.end(run.id, error)
        except Exception:  # noqa: BLE001 - it must not take the place of what ended the run
            reports.failed("a cancellation")


def _followed(run_manager: object) -> Iterator[tuple[Reports, Run]]:
    run_id = str(getattr(run_manager, "run_id", None))
    for handler in getattr(run_manager, "handlers", ()):
        if isinstance(handler, AistraleCallbackHandler) and (run := handler.reports.runs.get(run_id)) is not None:
            yield handler.reports, run

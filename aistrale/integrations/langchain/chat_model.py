"""ChatAistrale: LangChain's chat model over the client, so that its calls have routes, policies, ledger and sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import ensure_config
from pydantic import ConfigDict, Field, model_validator

from aistrale import default
from aistrale.client import AsyncClient, Client  # noqa: TC001 - pydantic reads the annotations
from aistrale.core.runtime import run_sync
from aistrale.errors import AistraleError
from aistrale.integrations.given import where_keys_go
from aistrale.integrations.langchain.answers import PROVIDER, Pieces, chat_result
from aistrale.integrations.langchain.callbacks import tell_call, tell_end
from aistrale.integrations.langchain.errors import standardise
from aistrale.integrations.langchain.messages import messages_from
from aistrale.integrations.langchain.options import FIELDS, call_options, choice_of, tool_table
from aistrale.integrations.langchain.profile import profile_of
from aistrale.integrations.langchain.reading import conversation_of
from aistrale.integrations.langchain.structured import structured
from aistrale.prompts import invalid
from aistrale.scope import context, current
from aistrale.spending import count_tokens
from aistrale.streams import AsyncStream, Stream, stream_call
from aistrale.turns import chat_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable

    from aistrale.core.call import Call
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.integrations.langchain.options import BindableTool
    from aistrale.options import Options
    from aistrale.scope import ContextValues

# Where applications tell LangChain which conversation a run belongs to, the most explicit first.


class ChatAistrale(BaseChatModel):
    """A chat model whose calls go through aistrale: every provider, with retries, failover, budgets and redaction.

    Tokens and money of its calls are counted by the client; `AistraleCallbackHandler` knows its runs and does not count
    them again. Where a run's metadata names a conversation (`session_id`, `thread_id`, `conversation_id`), it is the
    session of the call, unless `aistrale.context` names one.

    Args:
        model: `provider/model`, a name that the catalog knows, or a route's name; None takes the client's default.
        route: A route's name, instead of a model.
        temperature: 0 to 2.
        top_p: 0 to 1.
        top_k: How many tokens are sampled from.
        max_tokens: Most tokens that an answer may have, thinking included.
        stop: Texts at which the model stops.
        seed: Makes sampling repeatable, as far as the provider promises it.
        n: How many alternatives `generate` gets; streams have one.
        reasoning: An effort word or a budget in tokens.
        parallel_tool_calls: Whether the model may call several tools at once.
        timeout: Seconds that a call may take in all, retries and failover included; the client's timeout holds besides.
        max_retries: Most repetitions at one target; None for what the client's setting `retry` says. LangChain itself
            repeats nothing, unless `with_retry` makes it.
        streaming: Whether `invoke` reads a stream, too.
        options: Further options of `aistrale.run`, see help(aistrale.Options).
        client: Makes the calls; None for the process-wide client at the time of each call. Keys and addresses of
            providers are settings of the client. It is not part of what is serialised.

    Raises:
        ValidationError: A field is unknown or of a wrong type.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str | None = None
    route: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    n: int | None = None
    reasoning: str | int | None = None
    parallel_tool_calls: bool | None = None
    timeout: float | None = None
    max_retries: int | None = Field(default=None, ge=0)
    streaming: bool = False
    options: dict[str, Any] = Field(default_factory=dict)
    client: Client | AsyncClient | None = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _explain(cls, values: object) -> object:
        """Say where keys go: it is the first thing that people look for."""
        if isinstance(values, dict) and (said := where_keys_go(cast("dict[str, object]", values))) is not None:
            raise ValueError(said)
        return values

    # --- what LangChain asks about -----------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "aistrale-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = (*FIELDS, "timeout", "max_retries")
        told = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {"model": self.model or self.route, **told, **self.options}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain can write it down: everything but the client."""
        return True

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: object) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = PROVIDER
        params.setdefault("ls_model_name", str(kwargs.get("route") or self.route or ""))
        return params

    def _resolve_model_profile(self) -> Any:  # noqa: ANN401 - releases before 1.1 have no ModelProfile
        return None if self.model is None else profile_of(self.model)

    def get_num_tokens(self, text: str) -> int:
        """How many tokens a text has, counted as the model's family does; nothing is sent."""
        if not text.strip():
            return 0
        return count_tokens(default.get_engine(self.client), text, self._named()).tokens

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[BindableTool] | None = None
    ) -> int:
        """How many input tokens a conversation has, tools included; nothing is sent."""
        options = self._named()
        if tools:
            options["tools"] = cast("Any", [tool_table(tool) for tool in tools])
        return count_tokens(default.get_engine(self.client), messages_from(messages), options).tokens

    def _named(self) -> Options:
        return cast("Options", {name: value for name in ("model", "route") if (value := getattr(self, name))})

    # --- tools and output --------------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[BindableTool],
        *,
        tool_choice: str | bool | dict[str, object] | None = None,
        strict: bool | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call.

        Args:
            tools: BaseTools, typed functions, pydantic classes, TypedDicts, or definitions in any provider's words.
            tool_choice: "auto", "none", "any" or "required", a tool's name, or a table that names one.
            strict: Whether the provider is asked to enforce the tools' schemas.
            **kwargs: Bound as well.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = choice_of(tool_choice)
        return self.bind(tools=[tool_table(tool, strict=strict) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        strict: bool | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with answers of a given form.

        Args:
            schema: A pydantic class, whose instances are returned; or a TypedDict, a JSON Schema or an OpenAI tool, for
                which dicts are.
            include_raw: Return a dict of "raw", "parsed" and "parsing_error" instead of raising when parsing fails.
            method: "json_schema" enforces it in the strongest way that the provider has; "function_calling" forces a
                tool call; "json_mode" asks for any JSON object, whose form the prompt must describe.
            strict: Whether the provider is asked to enforce the schema.
            **kwargs: None are known.

        Raises:
            ValueError: There is no such method or argument.
        """
        if kwargs:
            raise ValueError(f"unknown arguments: {', '.join(kwargs)}")
        return structured(self, schema, method=method, strict=strict, include_raw=include_raw)

    # --- calls -------------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        engine = default.get_engine(self.client)
        return run_sync(self._answer(engine, engine.sync_runtime(), messages, self._told(kwargs, stop), run_manager))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        engine = default.get_engine(self.client)
        try:
            return await self._answer(engine, engine.async_runtime(), messages, self._told(kwargs, stop), run_manager)
        except AistraleError:
            raise
        except BaseException as error:
            # LangChain tells nobody of a cancellation here.
            tell_end(run_manager, error)
            raise

    async def _answer(
        self,
        engine: Engine,
        runtime: Runtime,
        messages: list[BaseMessage],
        options: Options,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    ) -> ChatResult:
        call = self._call(engine, runtime, messages, options, run_manager)
        try:
            return chat_result(await engine.complete(call))
        except AistraleError as error:
            standardise(error, call.id)
            raise

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> Iterator[ChatGenerationChunk]:
        engine = default.get_engine(self.client)
        options = self._told(kwargs, stop)
        call = self._call(engine, engine.sync_runtime(), messages, options, run_manager, stream=True)
        pieces = Pieces(call.id, blocks=self.output_version == "v1")
        try:
            with Stream(engine, call, {}) as stream:
                for event in stream:
                    yield from pieces.feed(event)
            yield pieces.last(stream.completion)
        except AistraleError as error:
            standardise(error, call.id)
            raise

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        engine = default.get_engine(self.client)
        options = self._told(kwargs, stop)
        call = self._call(engine, engine.async_runtime(), messages, options, run_manager, stream=True)
        pieces = Pieces(call.id, blocks=self.output_version == "v1")
        try:
            async with AsyncStream(engine, call, {}) as stream:
                async for event in stream:
                    for piece in pieces.feed(event):
                        yield piece
            yield pieces.last(stream.completion)
        except AistraleError as error:
            standardise(error, call.id)
            raise

    def __getstate__(self) -> dict[Any, Any]:
        if self.client is not None:
            raise TypeError("a ChatAistrale with a client of its own cannot be pickled: the client holds keys")
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # Connections and memories of targets are not copied with the model that uses them.
        memo = {} if memo is None else memo
        memo[id(self.client)] = self.client
        return super().__deepcopy__(memo)

    def _told(self, given: dict[str, object], stop: list[str] | None) -> Options:
        own = {**{name: getattr(self, name) for name in FIELDS}, "timeout": self.timeout, **self.options}
        return call_options(own, given, stop)

    def _call(
        self,
        engine: Engine,
        runtime: Runtime,
        messages: list[BaseMessage],
        options: Options,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
        *,
        stream: bool = False,
    ) -> Call:
        """The call, made but not sent. Raises what `aistrale.run` raises for what cannot be sent."""
        try:
            # The context is read when the call is made, so it need not be held across a yield or an await.
            with context(**_context(run_manager)):
                if stream and (options.get("n") or 1) > 1:
                    raise invalid("n", "does not go with a stream, which has one alternative")
                make = stream_call if stream else chat_call
                call = make(engine, runtime, messages_from(messages), options)
        except AistraleError as error:
            standardise(error)
            raise
        if self.max_retries is not None:
            call.most_attempts = self.max_retries + 1
        tell_call(run_manager, call.id)
        return call


def _context(run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> ContextValues:
    if current().session is not None:
        return {}
    # LangChain gives no manager to streams, and none of what is configurable to managers; what the graph or the chain
    # around the model was started with is known all the same.
    around = ensure_config()
    own = {} if run_manager is None else run_manager.metadata
    told = {**(around.get("configurable") or {}), **(around.get("metadata") or {}), **own}
    session = conversation_of(told)
    return {} if session is None else {"session": session}

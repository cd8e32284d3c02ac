"""`AistraleLLM`: every model that aistrale reaches, as a language model of LlamaIndex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from llama_index.core.base.llms.generic_utils import (
    achat_to_completion_decorator,
    astream_chat_to_completion_decorator,
    chat_to_completion_decorator,
    stream_chat_to_completion_decorator,
)
from llama_index.core.base.llms.types import ChatMessage, LLMMetadata, MessageRole
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.instrumentation.span import active_span_id
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM

from aistrale.core.runtime import run_sync
from aistrale.errors import ConfigurationError
from aistrale.integrations.given import check_client, check_fields
from aistrale.integrations.llamaindex.answers import Assembler, chat_response, first_call_only, tool_selections
from aistrale.integrations.llamaindex.asking import Handle, ask, open_async_stream, open_stream
from aistrale.integrations.llamaindex.blocks import to_messages, tool_definitions
from aistrale.types import ToolChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.base.llms.types import (
        ChatResponse,
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponse,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
    )
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.tools.types import BaseTool

    from aistrale.client import AsyncClient, Client
    from aistrale.core.call import Target
    from aistrale.options import Options

F = TypeVar("F", bound="Callable[..., object]")


def _told_as_chat(function: F) -> F:
    """The framework's decorator, which types nothing."""
    return cast("F", llm_chat_callback()(function))


def _told_as_completion(function: F) -> F:
    return cast("F", llm_completion_callback()(function))


class AistraleLLM(FunctionCallingLLM):
    """A language model of LlamaIndex whose calls go through aistrale, with all of its policies.

    It holds no key: those are the client's. Serialised, it is its options; unpickled, it asks the process-wide client.

    Args:
        model: `provider/model`, a name that the catalog knows, or a route's name; None for what a call that names none
            would take.
        client: A `Client` or an `AsyncClient`, for sync and async calls alike; None for the process-wide client.
        provider: As in `aistrale.Options`, like the next three.
        route: A route's name.
        temperature: 0 to 2; None leaves it to the provider.
        max_tokens: Most tokens of an answer.
        options: Further options of each call; help(aistrale.Options) lists them.
        context_window: Tokens; None for what the catalog says, of a route the least of its targets.
        is_function_calling_model: Whether it calls tools; None for what the catalog says.
        values: Fields of LlamaIndex's own: system_prompt, callback_manager, output_parser, ...

    Raises:
        ImportError: LlamaIndex is not installed; the extra is `aistrale[llamaindex]`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=("pydantic_model_",))

    model: str | None = Field(default=None, description="provider/model, a model's or a route's name.")
    provider: str | None = Field(default=None, description="The provider, in place of the one of the model's name.")
    route: str | None = Field(default=None, description="A route's name, in place of model and provider.")
    temperature: float | None = Field(default=None, description="0 to 2.", ge=0, le=2)
    max_tokens: int | None = Field(default=None, description="Most tokens of an answer.", gt=0)
    options: dict[str, Any] = Field(default_factory=dict, description="Further options of each call.")
    context_window: int | None = Field(default=None, description="Tokens, in place of what the catalog says.", gt=0)
    is_function_calling_model: bool | None = Field(default=None, description="In place of what the catalog says.")
    _handle: Handle = PrivateAttr(default_factory=Handle)

    def __init__(
        self,
        model: str | None = None,
        *,
        client: Client | AsyncClient | None = None,
        provider: str | None = None,
        route: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        options: dict[str, Any] | None = None,
        context_window: int | None = None,
        is_function_calling_model: bool | None = None,
        **values: Any,  # noqa: ANN401 - the framework's own fields
    ) -> None:
        check_fields(type(self), values)
        check_client(client)
        super().__init__(
            model=model,
            provider=provider,
            route=route,
            temperature=temperature,
            max_tokens=max_tokens,
            options=options or {},
            context_window=context_window,
            is_function_calling_model=is_function_calling_model,
            **values,
        )
        self._handle = Handle(client)

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is serialised."""
        return "AistraleLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What the catalog knows of the model, or of the targets of the route together."""
        options = self._options({})
        targets = self._handle.targets(options)
        return LLMMetadata(
            context_window=self._window(targets),
            num_output=self._outputs(targets),
            is_chat_model=True,
            is_function_calling_model=self._calls_tools(targets),
            model_name=self.model or self.route or (targets[0].name if targets else "unknown"),
        )

    def _window(self, targets: list[Target]) -> int:
        known = [each.facts.context for each in targets if each.facts is not None and each.facts.context]
        return self.context_window or min(known, default=DEFAULT_CONTEXT_WINDOW)

    def _outputs(self, targets: list[Target]) -> int:
        asked = self.max_tokens or self.options.get("max_tokens")
        if isinstance(asked, int):
            return asked
        # LlamaIndex keeps this much of the window free. Models that may answer as long as their whole window is would
        # have no room for a prompt.
        known = [each.facts.max_output for each in targets if each.facts is not None and each.facts.max_output]
        return min([*known, self._window(targets) // 4]) if known else DEFAULT_NUM_OUTPUTS

    def _calls_tools(self, targets: list[Target]) -> bool:
        if self.is_function_calling_model is not None:
            return self.is_function_calling_model
        return all(each.facts is None or each.facts.tools is not False for each in targets)

    # --- calls ---------------------------------------------------------------------------------------------------

    @_told_as_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401 - options
        """Answer a conversation.

        Args:
            messages: LlamaIndex's.
            **kwargs: Options of this call; help(aistrale.Options) lists them.

        Returns:
            The answer; `raw` has its tokens, cost and call id.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree.
        """
        return self._chat(messages, **kwargs)

    @_told_as_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:  # noqa: ANN401
        """Answer a conversation piece by piece; the request is sent when the first piece is asked for."""
        return self._stream_chat(messages, **kwargs)

    @_told_as_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401
        """Answer a conversation without blocking the event loop; see chat."""
        return await self._achat(messages, **kwargs)

    @_told_as_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:  # noqa: ANN401
        """Answer a conversation piece by piece on an event loop; see stream_chat."""
        return await self._astream_chat(messages, **kwargs)

    @_told_as_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ANN401, FBT001, FBT002 - the framework's signature
        """Answer a text, which becomes the message of a user; see chat."""
        return chat_to_completion_decorator(self._chat)(prompt, **kwargs)

    @_told_as_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:  # noqa: ANN401, FBT001, FBT002
        """Answer a text piece by piece; see stream_chat."""
        return stream_chat_to_completion_decorator(self._stream_chat)(prompt, **kwargs)

    @_told_as_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ANN401, FBT001, FBT002
        """Answer a text without blocking the event loop; see chat."""
        return await achat_to_completion_decorator(self._achat)(prompt, **kwargs)

    @_told_as_completion
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> CompletionResponseAsyncGen:
        """Answer a text piece by piece on an event loop; see stream_chat."""
        return await astream_chat_to_completion_decorator(self._astream_chat)(prompt, **kwargs)

    # Not decorated, so that a completion is told of once.

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401
        engine, span = self._handle.engine, active_span_id.get()
        return chat_response(
            run_sync(ask(engine, engine.sync_runtime(), to_messages(messages), self._options(kwargs), span))
        )

    async def _achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ANN401
        engine, span = self._handle.engine, active_span_id.get()
        return chat_response(
            await ask(engine, engine.async_runtime(), to_messages(messages), self._options(kwargs), span)
        )

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:  # noqa: ANN401
        # Here and not in the generator, which runs when this span is over.
        stream, own = open_stream(
            self._handle.engine, to_messages(messages), self._options(kwargs), active_span_id.get()
        )

        def pieces() -> ChatResponseGen:
            assembler = Assembler()
            with stream:
                for event in stream:
                    if (piece := assembler.feed(event)) is not None:
                        yield piece
                own.ended(stream.completion)
                yield chat_response(stream.completion, delta="")

        return pieces()

    async def _astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:  # noqa: ANN401
        stream, own = open_async_stream(
            self._handle.engine, to_messages(messages), self._options(kwargs), active_span_id.get()
        )

        async def pieces() -> ChatResponseAsyncGen:
            assembler = Assembler()
            async with stream:
                async for event in stream:
                    if (piece := assembler.feed(event)) is not None:
                        yield piece
                own.ended(stream.completion)
                yield chat_response(stream.completion, delta="")

        return pieces()

    def _options(self, kwargs: dict[str, Any]) -> Options:
        """Everything that a call is told; what the call says goes before what the model says."""
        options: dict[str, Any] = {**self.options}
        own = ("model", "provider", "route", "temperature", "max_tokens")
        options.update({name: value for name in own if (value := getattr(self, name)) is not None})
        options.update(kwargs)
        if options.get("tools") is not None:
            options["tools"] = tool_definitions(options["tools"])
        if "tool_choice" in options:
            options["tool_choice"] = _tool_choice(options["tool_choice"])
        return cast("Options", options)

    # --- tools ---------------------------------------------------------------------------------------------------

    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: FBT001, FBT002
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        tool_required: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        messages = [*(chat_history or [])]
        if user_msg is not None:
            messages.append(
                ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
            )
        choice = kwargs.pop("tool_choice", None)
        prepared: dict[str, Any] = {"messages": messages, **kwargs}
        if not tools:
            return prepared
        prepared["tools"] = tool_definitions(tools)
        if choice is not None or tool_required:
            prepared["tool_choice"] = "required" if choice is None else choice
        if not allow_parallel_tool_calls and self._can_hold_back(kwargs):
            prepared.setdefault("parallel_tool_calls", False)
        return prepared

    def _can_hold_back(self, kwargs: dict[str, Any]) -> bool:
        """Whether all targets can be told to call one tool at a time; where not, the surplus is cut off the answer."""
        targets = self._handle.targets(self._options({name: kwargs[name] for name in _WHERE if name in kwargs}))
        return bool(targets) and all("parallel_tool_calls" not in each.profile.unsupported for each in targets)

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> ChatResponse:
        return response if allow_parallel_tool_calls else first_call_only(response)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> list[ToolSelection]:
        """The tools that an answer asks for.

        Args:
            response: Whole, or a piece of a stream.
            error_on_no_tool_call: Whether none is an error.
            **kwargs: Not used; the framework's signature.

        Raises:
            ValueError: There is none.
        """
        selections = tool_selections(response.message)
        if not selections and error_on_no_tool_call:
            raise ValueError("the model called no tool; set tool_required=True, or choose a model that calls tools")
        return selections


_WHERE = ("model", "provider", "route")


def _tool_choice(choice: object) -> str | ToolChoice | None:
    """A choice of tools in any of the shapes that are passed around in LlamaIndex."""
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
        choice = name if isinstance(name, str) else choice.get("type")
    if choice is None or isinstance(choice, ToolChoice):
        return choice
    if not isinstance(choice, str):
        raise ConfigurationError("tool_choice must be text, a table or a ToolChoice", field="tool_choice")
    return "required" if choice == "any" else choice

"""Calls that are made but not sent, and several of them behind one `run`: the tool loop, and the one repair turn."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from aistrale.errors import AistraleError, ConfigurationError, OutputValidationError
from aistrale.options import build_embed_request, build_request
from aistrale.policies.meter import add_cost, add_usage
from aistrale.types import Message, TextPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.core.call import Call
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.options import EmbedOptions, Options, Prompt
    from aistrale.types import Completion, Request, Tool, ToolCallPart


async def run(engine: Engine, runtime: Runtime, prompt: Prompt, options: Options) -> tuple[Completion, list[Message]]:
    """Answer a prompt: run the tools that were allowed to run, and validate the output that was asked for.

    The answer's usage, cost and attempts cover every round.

    Returns:
        The answer, and the conversation with it at its end.

    Raises:
        OutputValidationError: The answer does not fit the output type, also after one repair turn.
    """
    try:
        request = build_request(prompt, options)
        rounds = tool_rounds(options, request, runtime)
        call = engine.call(request, options, runtime)
    except AistraleError as error:
        engine.refused(error, options, runtime)
        raise
    until = _until(options, call)
    completion = await engine.complete(call)
    while rounds > 0 and completion.tool_calls:
        rounds -= 1
        results = [await _run_tool(runtime, request.tools, call) for call in completion.tool_calls]
        request = _continued(request, completion, Message("tool", list(results)))
        completion = await _again(engine, runtime, request, options, completion, until)
    if options.get("output") is not None and not completion.tool_calls:
        completion = await _validated(engine, runtime, request, completion, options, until)
    return completion, [*request.messages, completion.message]


def chat_call(engine: Engine, runtime: Runtime, prompt: Prompt, options: Options) -> Call:
    """A call of one exchange, made but not sent; without tool loop and repair turn.

    Raises:
        ConfigurationError: As for `Client.run`; so is the next one. The ledger and sinks are told.
        InvalidRequestError: The prompt or an option has a wrong value.
    """
    try:
        return engine.call(build_request(prompt, options), options, runtime)
    except AistraleError as error:
        engine.refused(error, options, runtime)
        raise


def embed_call(engine: Engine, runtime: Runtime, texts: str | Sequence[str], options: EmbedOptions) -> Call:
    """An embedding call, made but not sent; errors as for chat_call."""
    whole = cast("Options", options)
    try:
        return engine.call(build_embed_request(texts, options), whole, runtime)
    except AistraleError as error:
        engine.refused(error, whole, runtime, "embedding")
        raise


def tool_rounds(options: Options, request: Request, runtime: Runtime) -> int:
    """How many rounds of tool calls may run. Raises ConfigurationError when a tool cannot be run here."""
    rounds = options.get("max_tool_rounds", 0)
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 0:
        raise ConfigurationError("max_tool_rounds must be a whole number of at least 0", field="max_tool_rounds")
    if rounds:
        for index, tool in enumerate(request.tools):
            if tool.function is None and tool.hosted is None:
                raise ConfigurationError(
                    f"tools[{index}] ({tool.name}) has no function to run",
                    field=f"tools[{index}]",
                    hint="Give a Python function, or leave max_tool_rounds at 0 and run the tool yourself.",
                )
            if runtime.blocking and inspect.iscoroutinefunction(tool.function):
                raise ConfigurationError(
                    f"tools[{index}] ({tool.name}) is async",
                    field=f"tools[{index}]",
                    hint="Use AsyncClient (run_async) for async tools.",
                )
    return rounds


async def _run_tool(runtime: Runtime, tools: list[Tool], call: ToolCallPart) -> ToolResultPart:
    from aistrale.functions import call_arguments, result_text

    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None or tool.function is None:
        return _failed(call, f"there is no tool named {call.name}")
    try:
        arguments = call_arguments(tool, call.arguments)
    except ValueError as error:
        # The model sees what is wrong with its arguments and can correct them in the next round.
        return _failed(call, str(error))
    try:
        value = await runtime.invoke(tool.function, **arguments)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's tool raises is the model's to hear
        return _failed(call, f"{type(error).__name__}: {error}")
    return ToolResultPart(call.id, [TextPart(result_text(value))], name=call.name)


def _failed(call: ToolCallPart, text: str) -> ToolResultPart:
    return ToolResultPart(call.id, [TextPart(text)], is_error=True, name=call.name)


def _until(options: Options, call: Call) -> float | None:
    """The instant by which all rounds must be over; None where only the settings limit each of them."""
    limits = [limit for limit in (options.get("deadline"), call.context.deadline) if limit is not None]
    return call.started + min(limits) if limits else None


async def _again(  # noqa: PLR0917 - what a round needs
    engine: Engine, runtime: Runtime, request: Request, options: Options, before: Completion, until: float | None
) -> Completion:
    """One more exchange in what is left of the time; the answer's usage, cost and attempts cover those before."""
    if until is not None:
        options = {**options, "deadline": until - runtime.now()}
    return _add(before, await engine.complete(engine.call(request, options, runtime)))


async def _validated(  # noqa: PLR0917 - what a round needs
    engine: Engine, runtime: Runtime, request: Request, completion: Completion, options: Options, until: float | None
) -> Completion:
    from aistrale.typed import repair_message

    try:
        return parse(completion, options)
    except OutputValidationError as error:
        if completion.finish_reason != "stop":
            raise
        repair = Message.user(repair_message(error))
    request = _continued(request, completion, repair)
    completion = await _again(engine, runtime, request, options, completion, until)
    return parse(completion, options)


def parse(completion: Completion, options: Options) -> Completion:
    """Validate the answer's text into `completion.output`. Raises OutputValidationError."""
    from aistrale.typed import parse_output

    try:
        completion.output = parse_output(options.get("output"), completion.text)
    except OutputValidationError as error:
        error.provider, error.target, error.request_id = completion.provider, completion.target, completion.request_id
        if completion.finish_reason == "length":
            error.hint = "The answer was cut off: raise max_tokens."
        elif completion.finish_reason == "content_filter":
            error.hint = "The model refused; there is no output to validate."
        raise
    return completion


def _continued(request: Request, completion: Completion, *messages: Message) -> Request:
    return replace(request, messages=[*request.messages, completion.message, *messages])


def _add(before: Completion, after: Completion) -> Completion:
    after.usage = add_usage(before.usage, after.usage)
    after.cost = add_cost(before.cost, after.cost)
    after.attempts = [*before.attempts, *after.attempts]
    return after

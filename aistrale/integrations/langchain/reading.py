"""What LangChain tells of a step, read carefully: every integration fills in its own part of it, or none."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue

from aistrale.integrations.content import copied, cut, said
from aistrale.integrations.langchain.answers import PROVIDER
from aistrale.integrations.langchain.spoken import spoken
from aistrale.integrations.langchain.state import KEY
from aistrale.integrations.reports import merged
from aistrale.integrations.runs import RunUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.integrations.runs import Run
    from aistrale.types import JSON

# What LangGraph raises to stop and ask somebody, or to go on elsewhere.
_PAUSES: Final = frozenset({"GraphBubbleUp", "GraphInterrupt", "NodeInterrupt", "ParentCommand"})
# Deltas of langchain_protocol's MessagesData, each with the field that holds what it adds.
_DELTAS: Final = {"text-delta": "text", "reasoning-delta": "reasoning", "tool-call-delta": "args", "data-delta": "data"}
# How far messages are looked for in the states of graphs, and how many items of each list.
_DEPTH: Final = 4
_MOST: Final = 101
SESSIONS: Final = ("session_id", "thread_id", "conversation_id")
"""What names a conversation in a run's metadata; the first that is there."""

_CALLS: Final = frozenset({"tool_call", "tool_call_chunk", "server_tool_call", "server_tool_call_chunk"})


def name_of(serialized: Mapping[str, Any] | None, told: Mapping[str, Any]) -> str:
    """What LangChain calls a step; "" where it says nothing."""
    if name := told.get("name"):
        return str(name)
    table = serialized or {}
    if name := table.get("name"):
        return str(name)
    path = table.get("id")
    return str(path[-1]) if isinstance(path, list) and path else ""


def conversation_of(told: Mapping[str, Any]) -> str | None:
    """The conversation that a run belongs to, by its metadata; None where that says nothing."""
    for name in SESSIONS:
        value = told.get(name)
        if isinstance(value, (str, int)) and str(value):
            return str(value)
    return None


def is_agent(metadata: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a chain is a whole agent: its parts inherit the metadata, but have names of their own."""
    if metadata.get("ls_integration") != "langchain_create_agent":
        return False
    return told.get("name") in {"LangGraph", metadata.get("lc_agent_name")}


def is_pause(error: BaseException) -> bool:
    """Whether it is no failure, but LangGraph's way to stop and ask."""
    return any(kind.__name__ in _PAUSES for kind in type(error).__mro__)


# --- questions -------------------------------------------------------------------------------------------------------


def asked(run: Run, metadata: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Who is asked, as far as it is known before the answer."""
    params = told.get("invocation_params")
    params = params if isinstance(params, dict) else {}
    run.provider = text(metadata.get("ls_provider"))
    run.model = text(metadata.get("ls_model_name"), params.get("model"), params.get("model_name"))
    run.ours = run.provider == PROVIDER
    if run.ours:
        # Who it will be is the route's to decide.
        run.provider = None


def conversation(run: Run, messages: Iterable[BaseMessage], told: Mapping[str, Any]) -> None:
    """What is asked, copied: messages are live objects of the application."""
    if run.ours:
        return
    for message in messages:
        if message.type == "system":
            run.system.extend(_parts(spoken(message)))
        else:
            run.input.append(spoken(message))
    params = told.get("invocation_params")
    tools = params.get("tools") if isinstance(params, dict) else None
    if isinstance(tools, list):
        run.tools = [copied(tool) for tool in tools]


def _parts(message: JSON) -> list[JSON]:
    parts = message.get("parts") if isinstance(message, dict) else None
    return parts if isinstance(parts, list) else []


def data(value: object) -> JSON:
    """What goes in and out of a step, copied; messages in it as messages, without what providers say around them."""
    return copied(_with_messages(value, _DEPTH))


def _with_messages(value: object, depth: int) -> object:
    if isinstance(value, BaseMessage):
        return spoken(value)
    if isinstance(value, PromptValue):
        value = value.to_messages()
    if depth and isinstance(value, dict):
        return {key: _with_messages(item, depth - 1) for key, item in islice(value.items(), _MOST)}
    if depth and isinstance(value, (list, tuple)):
        return [_with_messages(item, depth - 1) for item in islice(value, _MOST)]
    return value


def tool_answered(output: object) -> JSON:
    """A tool's result."""
    content = getattr(output, "content", output)
    part: dict[str, JSON] = {"type": "tool_call_response", "response": data(content)}
    if call_id := text(getattr(output, "tool_call_id", None)):
        part["id"] = call_id
    return {"role": "tool", "parts": [part]}


# --- pieces ----------------------------------------------------------------------------------------------------------


def has_content(token: object, chunk: object) -> bool:
    """Whether a piece adds anything; the one that only ends the stream does not."""
    if isinstance(token, str):
        if token:
            return True
    elif isinstance(token, list) and any(_adds(block) for block in token):
        return True
    message = getattr(chunk, "message", None)
    return bool(getattr(message, "tool_call_chunks", None))


def _adds(block: object) -> bool:
    if not isinstance(block, dict):
        return bool(block)
    kind = block.get("type")
    return bool(block.get(str(kind))) if kind in {"text", "reasoning", "thinking"} else True


def brings_content(event: object) -> bool:
    """The same for an event of the newer streams."""
    if not isinstance(event, dict):
        return False
    if event.get("event") == "content-block-delta":
        delta = event.get("delta") or {}
        return bool(delta.get(_DELTAS.get(str(delta.get("type")), "")))
    if event.get("event") == "content-block-start":
        return (event.get("content") or {}).get("type") in _CALLS
    return False


def ended(run: Run, event: object) -> None:
    """Take from the last event what a run that is never read to its end would not tell otherwise."""
    if isinstance(event, dict) and event.get("event") == "message-finish":
        run.usage = usage_of(event.get("usage")) or run.usage
        _identify(run, event.get("metadata"))


# --- answers ---------------------------------------------------------------------------------------------------------


def answered(run: Run, response: object) -> None:
    """What an LLMResult tells: model, usage, content; of a failed run what had come until then."""
    generations = [item for row in getattr(response, "generations", None) or () for item in row]
    output = getattr(response, "llm_output", None)
    output = output if isinstance(output, dict) else {}
    usages: list[RunUsage] = []
    for generation in generations:
        message = getattr(generation, "message", None)
        _identify(run, getattr(message, "response_metadata", None))
        info = getattr(generation, "generation_info", None)
        info = info if isinstance(info, dict) else {}
        usage = usage_of(getattr(message, "usage_metadata", None) or info.get("usage_metadata"))
        if usage is not None:
            usages.append(usage)
    _identify(run, output)
    run.usage = merged(usages) or usage_of(output.get("token_usage") or output.get("usage")) or run.usage
    if run.usage is not None and not run.usage.billed:
        # It came out of LangChain's cache: the call that the message tells of was another one.
        run.cost, run.call_id = Decimal(0), None
    if run.capture and not run.ours:
        run.output = [_output(generation) for generation in generations]


def _output(generation: object) -> JSON:
    message = getattr(generation, "message", None)
    if message is None:
        return said("assistant", cut(getattr(generation, "text", "")))
    told = spoken(message)
    reason = (getattr(message, "response_metadata", None) or {}).get("finish_reason")
    return {**told, "finish_reason": reason} if isinstance(told, dict) and isinstance(reason, str) else told


def _identify(run: Run, metadata: object) -> None:
    """Who answered: what an answer says of itself stands over what was asked for."""
    if not isinstance(metadata, dict):
        return
    own = metadata.get(KEY)
    if isinstance(own, dict):
        run.ours = True
        run.call_id = text(own.get("call_id")) or run.call_id
        provider, _, model = (text(own.get("target")) or "").partition("/")
        run.provider, run.model = provider or run.provider, model or run.model
        return
    run.model = text(metadata.get("model_name"), metadata.get("model")) or run.model
    named = text(metadata.get("model_provider"))
    if named is not None and named != PROVIDER:
        run.provider = named


def usage_of(told: object) -> RunUsage | None:
    """Counts from LangChain's `usage_metadata`, or from the older `token_usage`; None where nothing is counted."""
    if not isinstance(told, dict):
        return None
    given = _count(told, "input_tokens", "prompt_tokens")
    made = _count(told, "output_tokens", "completion_tokens")
    if given is None and made is None:
        return None
    inputs, outputs = _table(told, "input_token_details"), _table(told, "output_token_details")
    short, long = _count(inputs, "ephemeral_5m_input_tokens"), _count(inputs, "ephemeral_1h_input_tokens")
    timed = [
        count
        for name, count in inputs.items()
        if name.startswith("ephemeral_") and isinstance(count, int) and not isinstance(count, bool)
    ]
    written = _count(inputs, "cache_creation", "cache_write")
    if timed:
        # Where the lifetimes are told, the sum stands in none of the two keys, or in both.
        written = max(written or 0, sum(timed))
    cost = told.get("total_cost")
    return RunUsage(
        input=given,
        output=made,
        cache_read=_count(inputs, "cache_read"),
        cache_write=written,
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=_count(outputs, "reasoning"),
        audio_input=_count(inputs, "audio"),
        audio_output=_count(outputs, "audio"),
        # LangChain writes this onto what comes out of its cache, beside the old counts.
        billed=not (isinstance(cost, (int, float)) and cost == 0),
    )


def _count(table: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = table.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _table(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def text(*values: object) -> str | None:
    """The first of some values that is a text and not empty."""
    return next((value for value in values if isinstance(value, str) and value), None)

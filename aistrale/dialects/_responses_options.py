"""OpenAI Responses: tools, tool choice, output format and reasoning, both ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.dialects._responses_content import NAME, form, node_fields, optional_text, ours, text_at, word
from aistrale.dialects.shape import as_bool, as_list, as_object, rest
from aistrale.types import REASONING_EFFORTS, OutputFormat, Reasoning, Tool, ToolChoice, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject

_TOOL_FIELDS: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_SCHEMA_FIELDS: Final = frozenset({"type", "name", "schema", "strict", "description"})
# How summaries of the thoughts are asked for: today, and formerly.
_SUMMARIES: Final = ("summary", "generate_summary")
_MODES: Final = frozenset({"auto", "none", "required"})
# Up to how many tokens of thought each effort is taken to stand for, where the caller gave a budget instead of a word.
_BUDGETS: Final = ((0, "none"), (1024, "minimal"), (4096, "low"), (12288, "medium"))


# --- tools ---------------------------------------------------------------------------------------------------------


def decode_tool(value: JSON, field: str) -> Tool:
    """Read a tool: a function, or else a tool that OpenAI hosts or interprets (custom tools among them)."""
    tool = as_object(value, field)
    if tool.get("type") == "function":
        parameters, strict = tool.get("parameters"), tool.get("strict")
        return Tool(
            text_at(tool, "name", field),
            description=optional_text(tool, "description", field),
            parameters=None if parameters is None else as_object(parameters, f"{field}.parameters"),
            strict=None if strict is None else as_bool(strict, f"{field}.strict"),
            wire=Wire(NAME, rest(tool, _TOOL_FIELDS)),
        )
    name = tool.get("name", tool.get("server_label", tool.get("type")))
    description = tool.get("description")
    return Tool(
        name if type(name) is str else "",
        description=description if type(description) is str else None,
        hosted=tool,
        wire=Wire(NAME, {}, "hosted"),
    )


def encode_tools(tools: Sequence[Tool], loss: Loss) -> list[JSON]:
    """Write the tools. Raises InvalidRequestError for one that another provider hosts."""
    return [_encode_tool(tool, f"tools[{at}]", loss) for at, tool in enumerate(tools)]


def _encode_tool(tool: Tool, path: str, loss: Loss) -> JSONObject:
    if tool.hosted is not None:
        return _encode_hosted(tool, tool.hosted, path, loss)
    body: JSONObject = {"type": "function", "name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.parameters is not None:
        body["parameters"] = tool.parameters
    if tool.strict is not None:
        body["strict"] = tool.strict
    if ours(tool.wire):
        return {**node_fields(tool.wire), **body}
    if tool.cache is not None:
        loss.drop(f"{path}.cache", "A tool cannot carry a cache breakpoint; caching stays automatic.")
    # Both keys are required, and an absent `strict` would mean true.
    body.setdefault("parameters", {"type": "object", "properties": {}})
    body.setdefault("strict", False)
    return body


def _encode_hosted(tool: Tool, hosted: JSONObject, path: str, loss: Loss) -> JSONObject:
    custom = hosted.get("custom")
    if tool.wire is not None and tool.wire.dialect == "openai_chat" and type(custom) is dict:
        hosted = {"type": "custom", **custom}
        grammar = custom.get("format")
        if type(grammar) is dict and type(grammar.get("grammar")) is dict:
            hosted["format"] = {"type": "grammar", **cast("JSONObject", grammar["grammar"])}
    elif not ours(tool.wire):
        loss.refuse(path, f"The tool {tool.name!r} is hosted by another provider and has no counterpart here.")
    if tool.description is not None and hosted.get("description") != tool.description:
        return {**hosted, "description": tool.description}
    return hosted


def decode_tool_choice(value: JSON) -> ToolChoice:
    """Read `tool_choice`: a word, or an object that names tools."""
    if type(value) is str:
        if value in _MODES:
            return ToolChoice(cast("Literal['auto', 'none', 'required']", value), wire=Wire(NAME, {}, "word"))
        return ToolChoice("auto", wire=Wire(NAME, {"choice": value}, "verbatim"))
    choice = as_object(value, "tool_choice")
    kind = word(choice, "type")
    if kind in {"function", "custom"} and "name" in choice:
        wire = Wire(NAME, rest(choice, {"type", "name"}), kind)
        return ToolChoice("tool", [text_at(choice, "name", "tool_choice")], wire)
    if kind == "allowed_tools":
        mode = choice.get("mode")
        names = _allowed_names(choice)
        known: Literal["auto", "tool"] = "auto" if mode == "auto" else "tool"
        return ToolChoice(known, names, Wire(NAME, {"choice": choice}, "allowed"))
    name = choice.get("name") or choice.get("server_label") or kind
    return ToolChoice("tool", [name] if type(name) is str else [], Wire(NAME, {"choice": choice}, "verbatim"))


def _allowed_names(choice: JSONObject) -> list[str]:
    entries = [as_object(entry, "tool_choice.tools[]") for entry in as_list(choice.get("tools"), "tool_choice.tools")]
    names = (entry.get("name") or entry.get("server_label") or entry.get("type") for entry in entries)
    return [name for name in names if type(name) is str]


def encode_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> JSON:
    """Write `tool_choice`.

    Args:
        choice: What the caller wants.
        tools: The request's tools, which tell whether a name means a function.
    """
    notation = form(choice.wire)
    if notation in {"verbatim", "allowed"} and choice.wire is not None:
        # The hub keeps mode and names; as long as they say the same, the object that said so is written again.
        kept = choice.wire.fields["choice"]
        again = decode_tool_choice(kept)
        if (again.mode, again.names) == (choice.mode, choice.names):
            return kept
    if choice.mode != "tool" and not choice.names:
        return choice.mode
    if notation in {"function", "custom"} and len(choice.names) == 1 and choice.mode == "tool":
        return {**node_fields(choice.wire), "type": notation, "name": choice.names[0]}
    entries = [_named(name, tools) for name in choice.names]
    if choice.mode == "tool" and len(entries) == 1:
        return entries[0]
    if choice.mode == "none":
        return "none"
    allowed = cast("list[JSON]", entries)
    return {"type": "allowed_tools", "mode": "auto" if choice.mode == "auto" else "required", "tools": allowed}


def _named(name: str, tools: Sequence[Tool]) -> JSONObject:
    for tool in tools:
        if tool.name == name and tool.hosted is not None:
            kind = tool.hosted.get("type")
            if kind == "mcp":
                return {"type": "mcp", "server_label": name}
            return {"type": "custom", "name": name} if kind == "custom" else {"type": kind}
    return {"type": "function", "name": name}


# --- output format -------------------------------------------------------------------------------------------------


def decode_output(format: JSON) -> OutputFormat | None:
    """Read `text.format`; None for a kind that the hub has no word for."""
    value = as_object(format, "text.format")
    kind = word(value, "type")
    if kind == "json_schema":
        schema, strict = value.get("schema"), value.get("strict")
        return OutputFormat(
            "json_schema",
            schema=None if schema is None else as_object(schema, "text.format.schema"),
            name=optional_text(value, "name", "text.format"),
            strict=None if strict is None else as_bool(strict, "text.format.strict"),
            description=optional_text(value, "description", "text.format"),
            wire=Wire(NAME, rest(value, _SCHEMA_FIELDS)),
        )
    if kind in {"json_object", "text"}:
        known = cast("Literal['json_object', 'text']", kind)
        return OutputFormat(known, wire=Wire(NAME, rest(value, {"type"})))
    return None


def encode_output(output: OutputFormat, profile: Profile, loss: Loss) -> JSONObject | None:
    """Write `text.format`; None where the target cannot enforce one."""
    if output.kind == "text" or ours(output.wire):
        return _format(output)
    if profile.structured in {"tool", "prompt"}:
        loss.drop("output", "The target cannot enforce an output format; ask for it in the prompt.")
        return None
    if output.kind == "json_schema" and profile.structured == "json":
        loss.emulate("output", "The target enforces JSON but no schema; the schema was left out.")
        return {"type": "json_object"}
    return _format(output)


def _format(output: OutputFormat) -> JSONObject:
    body: JSONObject = {"type": output.kind}
    if output.kind == "json_schema":
        known = ours(output.wire)
        if output.name is not None or not known:
            body["name"] = output.name if known else re.sub(r"[^A-Za-z0-9_-]", "_", output.name or "output")[:64]
        if output.schema is not None or not known:
            body["schema"] = output.schema or {}
        if output.strict is not None:
            body["strict"] = output.strict
        if output.description is not None:
            body["description"] = output.description
    return {**node_fields(output.wire), **body}


# --- reasoning -----------------------------------------------------------------------------------------------------


def decode_reasoning_options(value: JSON) -> Reasoning:
    """Read `reasoning`."""
    options = as_object(value, "reasoning")
    # A word with spaces in it is none that is known, and stays as it is.
    told = [name for name in _SUMMARIES if word(options, name).split() == [word(options, name)]]
    return Reasoning(
        effort=optional_text(options, "effort", "reasoning"),
        include=True if told else None,
        wire=Wire(NAME, rest(options, {"effort", *told}), " ".join(f"{name}={word(options, name)}" for name in told)),
    )


def encode_reasoning_options(reasoning: Reasoning, profile: Profile, loss: Loss) -> JSONObject:
    """Write `reasoning`; empty where there is nothing to ask for."""
    body = node_fields(reasoning.wire)
    if reasoning.include:
        told = dict(item.split("=", 1) for item in form(reasoning.wire).split())
        body.update(told or {"summary": "auto"})
    effort = reasoning.effort
    if not ours(reasoning.wire):
        effort = _foreign_effort(reasoning, profile, loss)
        if profile.thinking == "none":
            return {}
    if effort is not None and profile.efforts and effort not in profile.efforts:
        nearest = _nearest(effort, profile.efforts)
        loss.emulate("reasoning.effort", f"{effort} became {nearest}, the nearest effort that the model takes.")
        effort = nearest
    if effort is not None:
        body["effort"] = effort
    return body


def _foreign_effort(reasoning: Reasoning, profile: Profile, loss: Loss) -> str | None:
    effort = reasoning.effort
    if profile.thinking == "none":
        if effort not in {None, "none"} or reasoning.budget or reasoning.include:
            loss.unsupported("reasoning", "The model cannot be asked to reason.")
        return None
    if reasoning.budget is not None:
        if effort is None:
            effort = next((word for limit, word in _BUDGETS if reasoning.budget <= limit), "high")
        loss.emulate("reasoning.budget", f"There is no budget in tokens; the effort {effort} was asked for instead.")
    if effort is not None and effort not in REASONING_EFFORTS:
        loss.unsupported("reasoning.effort", f"Accepted: {', '.join(REASONING_EFFORTS)}.")
        return None
    return effort


def _nearest(effort: str, accepted: Sequence[str]) -> str:
    """The accepted effort that is closest on the ladder, the lower of two that are equally close."""
    known = [word for word in accepted if word in REASONING_EFFORTS]
    if effort not in REASONING_EFFORTS or not known:
        return accepted[-1]
    place = REASONING_EFFORTS.index(effort)
    return min(known, key=lambda word: abs(REASONING_EFFORTS.index(word) - place))

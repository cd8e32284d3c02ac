"""Tools and tool choice of the Anthropic Messages format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import NAME, Out, decode_cache, finish_block, is_native, within
from aistrale.dialects.shape import MalformedBody, as_object, as_str, get_bool, get_object, get_str, leftover, rest
from aistrale.types import Tool, ToolChoice, Wire

if TYPE_CHECKING:
    from typing import Literal

    from aistrale.types import JSON, JSONObject, Request

_FUNCTION = ("name", "description", "input_schema", "strict", "cache_control")
_MODES: dict[str, Literal["auto", "none", "required", "tool"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "tool",
}
_KINDS = {mode: kind for kind, mode in _MODES.items()}


def decode_tools(tools: list[JSON]) -> list[Tool]:
    """Decode the body's `tools`."""
    decoded: list[Tool] = []
    for index, tool in enumerate(tools):
        try:
            decoded.append(_decode_tool(as_object(tool, "")))
        except MalformedBody as error:
            raise within(f"tools[{index}]", error) from None
    return decoded


def _decode_tool(tool: JSONObject) -> Tool:
    fields: JSONObject = {}
    cache = decode_cache(tool, fields)
    kind = get_str(tool, "type")
    if kind not in (None, "custom"):
        hosted = {key: value for key, value in tool.items() if key != "cache_control" or value is None}
        return Tool(get_str(tool, "name") or "", hosted=hosted, cache=cache, wire=Wire(NAME, fields))
    fields.update(rest(tool, _FUNCTION))
    return Tool(
        as_str(tool.get("name"), "name"),
        get_str(tool, "description"),
        get_object(tool, "input_schema"),
        get_bool(tool, "strict"),
        cache=cache,
        wire=leftover(NAME, fields, "" if tool.get("input_schema") is not None else "bare"),
    )


def encode_tools(tools: list[Tool], out: Out) -> list[JSONObject]:
    """Encode tools; a tool that another provider hosts is refused."""
    return [_encode_tool(tool, f"tools[{index}]", out) for index, tool in enumerate(tools)]


def _encode_tool(tool: Tool, path: str, out: Out) -> JSONObject:
    if tool.hosted is not None:
        if not is_native(tool.wire):
            out.loss.refuse(path, "a tool that another provider hosts does not exist here")
        hosted = dict(tool.hosted)
        if hosted.get("name") is not None:
            hosted["name"] = tool.name
        return finish_block(hosted, tool.cache, tool.wire, path, out)
    block: JSONObject = {"name": tool.name}
    if tool.description is not None:
        block["description"] = tool.description
    if tool.parameters is not None:
        block["input_schema"] = tool.parameters if out.native else {"type": "object", **tool.parameters}
    elif not (is_native(tool.wire) and tool.wire is not None and tool.wire.form == "bare"):
        block["input_schema"] = {"type": "object", "properties": {}}
    if tool.strict is not None:
        block["strict"] = tool.strict
    return finish_block(block, tool.cache, tool.wire, path, out)


def decode_choice(choice: JSONObject | None, fields: JSONObject) -> tuple[ToolChoice | None, bool | None]:
    """Decode `tool_choice`.

    Returns:
        The choice, and whether parallel calls are allowed; None each where nothing was said. A choice of a kind that is
        not known goes into `fields`, verbatim.
    """
    if choice is None:
        return None, None
    kind = choice.get("type")
    mode = _MODES.get(kind) if type(kind) is str else None
    if mode is None:
        fields["tool_choice"] = choice
        return None, None
    try:
        disabled = get_bool(choice, "disable_parallel_tool_use")
        names = [as_str(choice.get("name"), "name")] if mode == "tool" else []
    except MalformedBody as error:
        raise within("tool_choice", error) from None
    modelled = ["type", "disable_parallel_tool_use"] + (["name"] if names else [])
    wire = leftover(NAME, rest(choice, modelled))
    return ToolChoice(mode, names, wire), None if disabled is None else not disabled


def encode_choice(request: Request, body: JSONObject, out: Out) -> None:
    """Write `tool_choice`; a choice among some of the tools narrows the body's `tools`."""
    choice = request.tool_choice
    parallel = request.parallel_tool_calls
    if choice is None:
        if parallel is not False or not request.tools:
            return
        choice = ToolChoice("auto")
    if not request.tools and choice.mode in ("auto", "none") and not out.native:
        return  # refused without tools, and true anyway
    kind = _KINDS[choice.mode]
    named: JSONObject = {"type": kind}
    if choice.mode == "tool" and len(choice.names) == 1:
        named["name"] = choice.names[0]
    elif choice.mode == "tool" or choice.names:
        named["type"] = "any" if choice.mode == "tool" else kind
        if choice.names:
            _narrow(choice.names, body, out)
    if parallel is not None and (not parallel or out.native) and (kind != "none" or out.native):
        named["disable_parallel_tool_use"] = not parallel
    body["tool_choice"] = finish_block(named, None, choice.wire, "tool_choice", out)


def _narrow(names: list[str], body: JSONObject, out: Out) -> None:
    tools = body.get("tools")
    if type(tools) is list:
        kept = [tool for tool in tools if type(tool) is dict and tool.get("name") in names]
        if kept != tools:
            body["tools"] = [*kept]
            out.loss.emulate("tool_choice.names", "tools outside the choice are not sent")

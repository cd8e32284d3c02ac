"""Tools, tool choice and structured output of the OpenAI chat dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_parts import drop_cache, read_list
from aistrale.dialects._chat_wire import NAME, Context, is_own, note, take_object, words_of
from aistrale.dialects.shape import as_bool, as_object, as_str, get_str, kept, rest
from aistrale.types import OutputFormat, Tool, ToolChoice, Wire

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict"})
_SCHEMA_FIELDS: Final = frozenset({"name", "schema", "strict", "description"})
# Places of the schema in a `json_object` format: Hugging Face's own backend, llama.cpp.
_INLINE_SCHEMAS: Final = ("value", "schema")


# --- tools -----------------------------------------------------------------------------------------------------------


def decode_tools(body: JSONObject) -> list[Tool]:
    """`tools` and the legacy `functions`. Raises MalformedBody."""
    tools = [_tool(item, f"tools[{index}]") for index, item in enumerate(read_list(body.get("tools"), "tools"))]
    for index, item in enumerate(read_list(body.get("functions"), "functions")):
        path = f"functions[{index}]"
        tools.append(_function(as_object(item, path), path, {}, ["functions"]))
    return tools


def _tool(value: JSON, path: str) -> Tool:
    body = as_object(value, path)
    kind = body.get("type")
    if kind == "function" or (kind is None and type(body.get("function")) is dict):
        words = [] if kind == "function" else ["no_type"]
        function = as_object(body.get("function"), f"{path}.function")
        return _function(function, f"{path}.function", rest(body, {"type", "function"}), words)
    custom = body.get("custom")
    named = custom if kind == "custom" and type(custom) is dict else body
    name = named.get("name")
    description = named.get("description")
    return Tool(
        name if type(name) is str else str(kind),
        description=description if type(description) is str else None,
        hosted=body,
        wire=Wire(NAME),
    )


def _function(body: JSONObject, path: str, fields: JSONObject, words: list[str]) -> Tool:
    parameters = body.get("parameters")
    inner = rest(body, _FUNCTION)
    if inner:
        fields["function"] = inner
    return Tool(
        as_str(body.get("name"), f"{path}.name"),
        description=_optional_str(body, "description", path),
        parameters=None if parameters is None else as_object(parameters, f"{path}.parameters"),
        strict=None if body.get("strict") is None else as_bool(body["strict"], f"{path}.strict"),
        wire=note(fields, words),
    )


def _optional_str(body: JSONObject, key: str, path: str) -> str | None:
    return None if body.get(key) is None else as_str(body[key], f"{path}.{key}")


def encode_tools(tools: list[Tool], words: list[str], context: Context) -> JSONObject:
    """`tools`, and `functions` for those that came from there."""
    current: list[JSON] = []
    legacy: list[JSON] = []
    for index, tool in enumerate(tools):
        if tool.cache is not None and not context.own:
            drop_cache(f"tools[{index}].cache", context)
        if tool.wire is not None and tool.wire.dialect != NAME and tool.hosted is None:
            for name, value in tool.wire.fields.items():
                if value not in (None, [], {}, "", False):
                    context.loss.drop(f"tools[{index}].{name}", f"an option of {tool.wire.dialect}'s tools alone")
        if tool.hosted is not None:
            current.append(_write_hosted(tool, f"tools[{index}]", context))
        elif "functions" in words_of(tool.wire):
            legacy.append(_write_function(tool, take_object(kept(tool.wire, NAME), "function")))
        else:
            fields = kept(tool.wire, NAME)
            function = _write_function(tool, take_object(fields, "function"))
            kind: JSONObject = {} if "no_type" in words_of(tool.wire) else {"type": "function"}
            current.append({**fields, **kind, "function": function})
    body: JSONObject = {}
    if current or "no_tools" in words:
        body["tools"] = current
    if legacy or "no_functions" in words:
        body["functions"] = legacy
    return body


def _write_function(tool: Tool, noted: JSONObject) -> JSONObject:
    body: JSONObject = {**noted, "name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.parameters is not None:
        body["parameters"] = tool.parameters
    if tool.strict is not None:
        body["strict"] = tool.strict
    return body


def _write_hosted(tool: Tool, where: str, context: Context) -> JSONObject:
    hosted = tool.hosted or {}
    if not is_own(tool.wire):
        context.loss.refuse(where, f"the hosted tool {tool.name!r} exists at its own provider only")
    body = dict(hosted)
    custom = body.get("custom")
    target = dict(custom) if body.get("type") == "custom" and type(custom) is dict else body
    if type(target.get("name")) is str:
        target["name"] = tool.name
    if tool.description is not None:
        target["description"] = tool.description
    if target is not body:
        body["custom"] = target
    return body


# --- tool choice -----------------------------------------------------------------------------------------------------


def decode_tool_choice(body: JSONObject) -> ToolChoice | None:
    """`tool_choice` or the legacy `function_call`; None when neither is there or its shape is unknown."""
    value = body.get("tool_choice")
    if type(value) is str:
        return ToolChoice(value) if value in {"auto", "none", "required"} else None  # type: ignore[arg-type]  # checked here
    if type(value) is dict:
        return _named(value)
    legacy = body.get("function_call")
    if type(legacy) is str and legacy in {"auto", "none"}:
        return ToolChoice(cast("object", legacy), wire=note({}, ["function_call"]))  # type: ignore[arg-type]  # checked here
    if type(legacy) is dict and type(legacy.get("name")) is str:
        wire = note(rest(legacy, {"name"}), ["function_call"])
        return ToolChoice("tool", [cast("str", legacy["name"])], wire)
    return None


def _named(value: JSONObject) -> ToolChoice | None:
    allowed = value.get("allowed_tools")
    if value.get("type") == "allowed_tools" and type(allowed) is dict:
        return _allowed(value, allowed)
    for key in ("function", "custom"):
        inner = value.get(key)
        if type(inner) is dict and type(inner.get("name")) is str:
            usual = value.get("type") == key
            fields = rest(value, {"type", key} if usual else {key})
            if extra := rest(inner, {"name"}):
                fields[key] = extra
            words = [*(["custom"] if key == "custom" else []), *([] if usual else ["no_type"])]
            return ToolChoice("tool", [cast("str", inner["name"])], note(fields, words))
    return None


def _allowed(value: JSONObject, allowed: JSONObject) -> ToolChoice | None:
    mode = allowed.get("mode")
    names: list[str] = []
    kinds: list[str] = []
    tools = allowed.get("tools")
    for item in tools if type(tools) is list else []:
        kind = item.get("type") if type(item) is dict else None
        inner = cast("JSONObject", item).get(kind) if type(kind) is str and kind in {"function", "custom"} else None
        if type(inner) is not dict or inner.keys() != {"name"} or len(cast("JSONObject", item)) != 2:
            return None
        names.append(as_str(inner["name"], "tool_choice.allowed_tools.tools.name"))
        kinds.append(cast("str", kind))
    if type(mode) is not str or mode not in {"auto", "required"} or not names:
        return None
    fields = rest(value, {"type", "allowed_tools"})
    if extra := rest(allowed, {"mode", "tools"}):
        fields["allowed_tools"] = extra
    words = ["allowed_tools", *(f"custom={name}" for name, kind in zip(names, kinds, strict=True) if kind == "custom")]
    return ToolChoice("auto" if mode == "auto" else "tool", names, note(fields, words))


def encode_tool_choice(choice: ToolChoice) -> JSONObject:
    """The choice as `tool_choice`, or as `function_call` where it came from there."""
    words, fields = words_of(choice.wire), kept(choice.wire, NAME)
    if "function_call" in words:
        if choice.mode == "tool" and choice.names:
            return {"function_call": {**fields, "name": choice.names[0]}}
        return {"function_call": "auto" if choice.mode == "required" else choice.mode}
    if not choice.names or choice.mode in {"none", "required"}:
        return {"tool_choice": "required" if choice.mode == "tool" else choice.mode}
    if choice.mode == "tool" and len(choice.names) == 1 and "allowed_tools" not in words:
        kind = "custom" if "custom" in words else "function"
        inner = {**take_object(fields, kind), "name": choice.names[0]}
        typed: JSONObject = {} if "no_type" in words else {"type": kind}
        return {"tool_choice": {**fields, **typed, kind: inner}}
    tools: list[JSON] = []
    for name in choice.names:
        kind = "custom" if f"custom={name}" in words else "function"
        tools.append({"type": kind, kind: {"name": name}})
    mode = "auto" if choice.mode == "auto" else "required"
    allowed: JSONObject = {**take_object(fields, "allowed_tools"), "mode": mode, "tools": tools}
    return {"tool_choice": {**fields, "type": "allowed_tools", "allowed_tools": allowed}}


# --- structured output -----------------------------------------------------------------------------------------------


def decode_output(body: JSONObject) -> OutputFormat | None:
    """`response_format`; None when it is not there or its type is unknown."""
    value = body.get("response_format")
    if type(value) is not dict:
        return None
    kind = value.get("type")
    if kind == "text":
        return OutputFormat("text", wire=note(rest(value, {"type"})))
    if kind == "json_object":
        for key in _INLINE_SCHEMAS:
            inline = value.get(key)
            if type(inline) is dict:
                wire = note(rest(value, {"type", key}), [f"inline={key}"])
                return OutputFormat("json_schema", schema=inline, wire=wire)
        return OutputFormat("json_object", wire=note(rest(value, {"type"})))
    if kind != "json_schema":
        return None
    path = "response_format.json_schema"
    inner = as_object(value.get("json_schema"), path)
    fields = rest(value, {"type", "json_schema"})
    if extra := rest(inner, _SCHEMA_FIELDS):
        fields["json_schema"] = extra
    schema = inner.get("schema")
    return OutputFormat(
        "json_schema",
        schema=None if schema is None else as_object(schema, f"{path}.schema"),
        name=get_str(inner, "name"),
        strict=None if inner.get("strict") is None else as_bool(inner["strict"], f"{path}.strict"),
        description=get_str(inner, "description"),
        wire=note(fields),
    )


def encode_output(output: OutputFormat, context: Context) -> JSONObject:
    """`response_format`, as strong as the target takes it."""
    words, fields = words_of(output.wire), kept(output.wire, NAME)
    if output.kind == "text":
        # Text is what every model answers unasked.
        return {"response_format": {**fields, "type": "text"}} if context.own else {}
    if output.kind == "json_object":
        return {"response_format": {**fields, "type": "json_object"}}
    inline = next((word[7:] for word in words if word.startswith("inline=")), None)
    if inline is not None:
        return {"response_format": {**fields, "type": "json_object", inline: output.schema or {}}}
    strength = context.profile.structured
    if strength != "schema":
        context.loss.emulate("output.schema", "the target does not enforce a schema; it is asked for JSON only")
        return {"response_format": {"type": "json_object"}} if strength == "json" else {}
    inner = take_object(fields, "json_schema")
    name = output.name if output.name is not None or context.own else "answer"
    told = {"name": name, "description": output.description, "schema": output.schema, "strict": output.strict}
    inner.update({key: cast("JSON", value) for key, value in told.items() if value is not None})
    return {"response_format": {**fields, "type": "json_schema", "json_schema": inner}}

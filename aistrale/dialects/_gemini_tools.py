"""Gemini's `tools` and `toolConfig`, both ways.

`tools` is a list of entries, each with function declarations or a hosted tool or both. The hub has a flat list: a tool
whose form has the word "join" stands in the same entry as the one before it.

Source: Gemini API reference, `Tool`, `FunctionDeclaration`, `FunctionCallingConfig`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aistrale.dialects._gemini_names import (
    NAME,
    both,
    many,
    own,
    put,
    snake,
    take,
    value_of,
    words_of,
)
from aistrale.dialects._gemini_schema import back_to_gemini, to_json_schema
from aistrale.dialects.shape import MalformedBody, as_list, as_object, as_str, kept, rest
from aistrale.types import Tool, ToolChoice, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject

_DECLARATIONS = both("functionDeclarations")
_DECLARATION = frozenset({"name", "description"}) | both("parameters", "parametersJsonSchema")
_CONFIG = both("functionCallingConfig")
_CALLING = frozenset({"mode"}) | both("allowedFunctionNames")
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
    "MODE_UNSPECIFIED": "auto",
}


def decode_tools(value: JSON) -> tuple[list[Tool], bool]:
    """The tools, and whether `tools` was a single entry instead of a list."""
    entries, single = many(value, "tools")
    tools: list[Tool] = []
    for index, item in enumerate(entries):
        tools.extend(_entry(as_object(item, f"tools[{index}]"), f"tools[{index}]"))
    return tools, single


def _entry(entry: JSONObject, field: str) -> list[Tool]:
    tools: list[Tool] = []
    words: list[str] = []
    declarations = take(entry, "functionDeclarations", words)
    if declarations is not None:
        items, single = many(declarations, f"{field}.functionDeclarations")
        if single:
            words.append("single")
        for index, item in enumerate(items):
            where = f"{field}.functionDeclarations[{index}]"
            tools.append(_declaration(as_object(item, where), where, words))
    nulls: list[str] = []
    for key, value in entry.items():
        if value is None:
            nulls.append(_one_word(key, field))
        elif key not in _DECLARATIONS:
            tools.append(Tool(snake(key), hosted={key: value}, wire=Wire(NAME)))
    if not tools:
        # An entry without content has to be remembered somewhere for the body to come out the same.
        return [Tool("", hosted=entry, wire=Wire(NAME))]
    for tool in tools[1:]:
        _add_word(tool, "join")
    for key in nulls:
        _add_word(tools[0], f"null={key}")
    for key in _DECLARATIONS & entry.keys():
        if entry[key] == []:
            _add_word(tools[0], f"empty={key}")
    return tools


def _one_word(name: str, field: str) -> str:
    """A name that can be remembered among words. Raises MalformedBody for one that has blanks."""
    if name.split() != [name]:
        raise MalformedBody(f"{field}.{name!r}", "a name without blanks")
    return name


def _add_word(tool: Tool, word: str) -> None:
    wire = tool.wire or Wire(NAME)
    tool.wire = Wire(NAME, wire.fields, f"{wire.form} {word}".strip())


def _declaration(body: JSONObject, field: str, entry_words: list[str]) -> Tool:
    words = list(entry_words)
    fields = rest(body, _DECLARATION)
    description = body.get("description")
    tool = Tool(
        as_str(body.get("name"), f"{field}.name"),
        None if description is None else as_str(description, f"{field}.description"),
    )
    schema = take(body, "parametersJsonSchema", words)
    openapi = take(body, "parameters", words)
    if schema is not None:
        tool.parameters = as_object(schema, f"{field}.parametersJsonSchema")
        words.append("schema")
        if openapi is not None:
            fields["parameters"] = openapi
    elif openapi is not None:
        original = as_object(openapi, f"{field}.parameters")
        tool.parameters = to_json_schema(original, f"{field}.parameters")
        words.append("openapi")
        fields["parameters"] = original
    tool.wire = Wire(NAME, fields, " ".join(words))
    return tool


def encode_tools(tools: list[Tool], loss: Loss) -> list[JSON]:
    """The entries of `tools`; functions from elsewhere go into one entry."""
    entries: list[JSONObject] = []
    functions: JSONObject | None = None
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        if tool.hosted is not None and not own(tool.wire):
            loss.refuse(path, f"{tool.name!r} is hosted by another provider; Gemini does not have it")
        words = words_of(tool.wire)
        if own(tool.wire):
            joins = "join" in words and bool(entries)
            entry = entries[-1] if joins else {}
            if not joins:
                entries.append(entry)
        elif functions is None:
            entry = {}
            entries.append(entry)
        else:
            entry = functions
        entry.update({word.removeprefix("null="): None for word in words if word.startswith("null=")})
        entry.update({word.removeprefix("empty="): [] for word in words if word.startswith("empty=")})
        if tool.hosted is not None:
            entry.update(tool.hosted)
        else:
            _declare(entry, _write_declaration(tool, path, loss), words)
            functions = entry
    return [*entries]


def _declare(entry: JSONObject, declaration: JSONObject, words: list[str]) -> None:
    name = next((key for key in entry if key in _DECLARATIONS and entry[key] is not None), None)
    if name is None:
        put(entry, "functionDeclarations", declaration if "single" in words else [declaration], words)
        return
    present = entry[name]
    entry[name] = [*(present if type(present) is list else [present]), declaration]


def _write_declaration(tool: Tool, path: str, loss: Loss) -> JSONObject:
    words = words_of(tool.wire)
    fields = kept(tool.wire, NAME)
    original = fields.pop("parameters", None) if "openapi" in words else None
    body: JSONObject = {**fields, "name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.parameters is not None:
        if "openapi" in words:
            body["parameters"] = back_to_gemini(tool.parameters, original, path)
        else:
            put(body, "parametersJsonSchema", tool.parameters, words)
    if tool.strict and not own(tool.wire):
        loss.drop(f"{path}.strict", "Gemini has no strict mode for one function; arguments are not guaranteed to fit")
    return body


def decode_choice(config: JSONObject) -> tuple[ToolChoice | None, JSONObject]:
    """The tool choice of a `toolConfig`, and what else stands there."""
    outer: list[str] = []
    leftovers = rest(config, _CONFIG)
    calling = take(config, "functionCallingConfig", outer)
    if calling is None:
        return None, leftovers
    body = as_object(calling, "toolConfig.functionCallingConfig")
    words = list(outer)
    mode = body.get("mode")
    names = take(body, "allowedFunctionNames", words)
    allowed = None if names is None else as_list(names, "toolConfig.functionCallingConfig.allowedFunctionNames")
    choice = ToolChoice("auto")
    if mode is not None:
        raw = as_str(mode, "toolConfig.functionCallingConfig.mode")
        if len(raw.split()) != 1:
            raise MalformedBody("toolConfig.functionCallingConfig.mode", "one of AUTO, ANY, NONE, VALIDATED")
        choice.mode = _MODES.get(raw.upper(), "auto")
        words.append(f"mode={raw}")
    if allowed is not None:
        choice.names = [as_str(name, "toolConfig.functionCallingConfig.allowedFunctionNames") for name in allowed]
        words.append("names")
        if choice.names and choice.mode == "required":
            choice.mode = "tool"
    choice.wire = Wire(NAME, rest(body, _CALLING), " ".join(["config", *words]))
    return choice, leftovers


def encode_choice(choice: ToolChoice) -> JSONObject:
    """The `functionCallingConfig` for a tool choice, under its name."""
    words = words_of(choice.wire)
    body = kept(choice.wire, NAME)
    mode = value_of(words, "mode")
    unsaid = mode is None and own(choice.wire) and choice.mode == "auto"
    if mode is None or _wanted(choice) != _MODES.get(mode.upper(), "auto"):
        mode = _mode(choice)
    if not unsaid:
        body["mode"] = mode
    if choice.names or "names" in words:
        put(body, "allowedFunctionNames", [*choice.names], words)
    config: JSONObject = {}
    put(config, "functionCallingConfig", body, words)
    return config


def _wanted(choice: ToolChoice) -> str:
    return "required" if choice.mode == "tool" else choice.mode


def _mode(choice: ToolChoice) -> str:
    if choice.mode == "none":
        return "NONE"
    if choice.mode != "auto":
        return "ANY"
    # AUTO takes no list of names; VALIDATED is the mode that leaves the model free and restricts the names.
    return "VALIDATED" if choice.names else "AUTO"

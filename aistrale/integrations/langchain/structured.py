"""Structured output: the model bound to a form, and LangChain's own parsers behind it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.runnables import Runnable

METHODS = ("json_schema", "function_calling", "json_mode")


def structured(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: Literal["json_schema", "function_calling", "json_mode"],
    strict: bool | None,
    include_raw: bool,
) -> Runnable[LanguageModelInput, Any]:
    """See ChatAistrale.with_structured_output."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}")
    tool = convert_to_openai_tool(schema)
    told = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": tool}}
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser: Runnable[Any, Any]
    if method == "function_calling":
        name = cast("str", tool["function"]["name"])
        llm = model.bind_tools([schema], tool_choice=name, strict=strict, **told)
        if is_class:
            parser = PydanticToolsParser(tools=[cast("Any", schema)], first_tool_only=True)
        else:
            parser = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    else:
        llm = model.bind(response_format=_form(tool["function"], method, strict), **told)
        parser = PydanticOutputParser(pydantic_object=cast("Any", schema)) if is_class else JsonOutputParser()
    if not include_raw:
        return llm | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _form(function: dict[str, Any], method: str, strict: bool | None) -> dict[str, Any]:  # noqa: FBT001 - as the caller has it
    """A table, not an object of ours: LangChain's cache tells calls apart by how their arguments look as text."""
    if method == "json_mode":
        return {"type": "json_object"}
    schema = {"name": function["name"], "schema": function["parameters"]}
    if function.get("description"):
        schema["description"] = function["description"]
    if strict is not None:
        schema["strict"] = strict
    return {"type": "json_schema", "json_schema": schema}

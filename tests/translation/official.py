"""The official SDKs of today as judges of the bodies that are written in their format."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache

import pydantic

from aistrale.dialects import anthropic_messages, gemini_generate, openai_chat, openai_responses
from tests.translation.gate import differs

# Gone from the SDK with Anthropic's version of October 2026; the API still takes them for the models before it.
_EARLIER = ("temperature", "top_p", "top_k")


def package(codec: object) -> str:
    """The SDK that judges a format."""
    return {anthropic_messages: "anthropic", gemini_generate: "google.genai"}.get(codec, "openai")


def request_problem(codec: object, body: dict) -> str:
    """Why the SDK would not send this body, "" if it would: a wrong type, or a field that it does not know."""
    body = {key: value for key, value in body.items() if codec is not anthropic_messages or key not in _EARLIER}
    if codec is gemini_generate:
        return _google_problem(body)
    try:
        taken = _consumed(_params(codec).validate_python(body))
    except pydantic.ValidationError as error:
        return _told(error)
    return differs(taken, body)


def answer_problem(codec: object, body: dict) -> str:
    """Why the SDK would not read this body, "" if it would."""
    try:
        _answer(codec).model_validate(body)
    except pydantic.ValidationError as error:
        return _told(error)
    return ""


def _told(error: pydantic.ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:8])


def _consumed(value: object) -> object:
    """The value with its lazily validated iterables made lists, which validates them."""
    if isinstance(value, dict):
        return {key: _consumed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, Iterator)):
        return [_consumed(item) for item in value]
    return value


@cache
def _params(codec: object) -> pydantic.TypeAdapter:
    if codec is openai_chat:
        from openai.types.chat.completion_create_params import CompletionCreateParams as Params
    elif codec is openai_responses:
        from openai.types.responses.response_create_params import ResponseCreateParams as Params
    else:
        from anthropic.types.message_create_params import MessageCreateParams as Params
    return pydantic.TypeAdapter(Params)


@cache
def _answer(codec: object) -> type[pydantic.BaseModel]:
    if codec is openai_chat:
        from openai.types.chat import ChatCompletion as Answer
    elif codec is openai_responses:
        from openai.types.responses import Response as Answer
    elif codec is anthropic_messages:
        from anthropic.types import Message as Answer
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from google.genai.types import GenerateContentResponse as Answer
    return Answer


def _google_problem(body: dict) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.genai import types
    try:
        for content in [*body["contents"], *filter(None, [body.get("systemInstruction")])]:
            types.Content.model_validate(content)
        for tool in body.get("tools", []):
            types.Tool.model_validate(tool)
        types.ToolConfig.model_validate(body.get("toolConfig", {}))
        types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    except pydantic.ValidationError as error:
        return _told(error)
    known = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "labels"}
    return ", ".join(body.keys() - known)

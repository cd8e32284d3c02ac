"""The official SDKs as callers: each asks one question through a transport in memory, and tells what it got.

A caller's two ways of asking are written once for its blocking and its async client (`Judge`). What it got is told in
the same words by all of them (`Said`), read off the objects that the SDK gives to the application.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from aistrale.dialects import anthropic_messages, gemini_generate, openai_chat, openai_responses

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from tests.sdks.judging import Judge

# The hub's words for those that the formats have for the same end.
_ENDS = {
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "MAX_TOKENS": "length",
    "refusal": "content_filter",
    "SAFETY": "content_filter",
}
ASK = [{"role": "user", "content": "Say hello, please."}]


@dataclass(slots=True)
class Alternative:
    """One answer: its text and refusal, name and arguments of each call with its id, and why it ended (hub's word)."""

    text: str = ""
    refusal: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    finish: str = ""

    def call(self, id: str | None, name: str, arguments: object) -> None:
        self.ids.append(id)
        self.calls.append((name, canonical(arguments)))

    def ended(self, word: str | None) -> None:
        self.finish = _ENDS.get(word or "", word or self.finish)


@dataclass(slots=True)
class Said:
    """What an SDK told the application.

    Args:
        alternatives: The answers, by their index.
        input: Input tokens in all, as this SDK's format counts them; 0 where it tells none.
        output: Output tokens in all, thinking included.
        failure: Why it failed, "" if it did not.
        odd: What the SDK told in two ways that do not agree.
    """

    alternatives: dict[int, Alternative] = field(default_factory=dict)
    input: int = 0
    output: int = 0
    failure: str = ""
    odd: str = ""

    def at(self, index: int | None) -> Alternative:
        return self.alternatives.setdefault(index or 0, Alternative())


def canonical(arguments: object) -> str:
    """Arguments independent of how their JSON is written; broken JSON as it is."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return arguments
    return json.dumps(arguments, sort_keys=True)


def number(*counts: int | None) -> int:
    return sum(count or 0 for count in counts)


class Caller:
    """One SDK and one of its ways to ask.

    Attributes:
        name: As in the table.
        package: What has to be installed.
        http: Its HTTP library: no client of the other family is taken.
        codec: Its wire format.
        alternatives: Whether its format has room for more than one answer.
    """

    name: str
    package: str
    http = "httpx2"
    codec: ModuleType
    alternatives = True

    def __init__(self, judge: Judge, answer) -> None:
        self.judge = judge
        family = import_module(self.http)
        self.transport = family.MockTransport(answer)
        self.client = self.open(judge.pick(family.Client, family.AsyncClient))

    def open(self, client_of):
        """The SDK's client over an HTTP client that is made by `client_of`."""
        raise NotImplementedError

    async def close(self) -> None:
        await self.judge.get(self.client.close())

    async def ask(self, said: Said) -> None:
        """A plain call."""
        raise NotImplementedError

    async def ask_streamed(self, said: Said) -> None:
        """A streamed call, through the SDK's own accumulator where it has one."""
        raise NotImplementedError


def read_chat(said: Said, answer) -> None:
    """A whole answer of a chat SDK."""
    for choice in answer.choices:
        read_message(said.at(choice.index), choice.message)
        said.at(choice.index).ended(choice.finish_reason)
    count_chat(said, answer.usage)


def read_message(told: Alternative, message) -> None:
    told.text += message.content or ""
    told.refusal += getattr(message, "refusal", None) or ""
    for call in message.tool_calls or []:
        if call.type == "custom":
            told.call(call.id, call.custom.name, {"input": call.custom.input})
        else:
            told.call(call.id, call.function.name, call.function.arguments)
    legacy = getattr(message, "function_call", None)
    if legacy is not None:
        told.call(None, legacy.name, legacy.arguments)


def count_chat(said: Said, usage) -> None:
    if usage is not None:
        said.input, said.output = number(usage.prompt_tokens), number(usage.completion_tokens)


async def read_chunks(said: Said, chunks) -> None:
    """A streamed answer of a chat SDK without an accumulator of its own, put together as its documentation shows."""
    calls: dict[tuple[int, int], list[str]] = {}
    try:
        async for chunk in chunks:
            count_chat(said, getattr(getattr(chunk, "x_groq", None), "usage", None) or chunk.usage)
            for choice in chunk.choices:
                told, delta = said.at(choice.index), choice.delta
                told.text += delta.content or ""
                told.refusal += getattr(delta, "refusal", None) or ""
                for call in delta.tool_calls or []:
                    made = calls.setdefault((choice.index, call.index), ["", "", ""])
                    made[0] += call.id or ""
                    made[1] += call.function.name or ""
                    made[2] += call.function.arguments or ""
                told.ended(choice.finish_reason)
    finally:
        for (index, _), made in calls.items():
            said.at(index).call(*made)


async def each(stream):
    """The items of a stream of either colour."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


class OpenAIChat(Caller):
    name, package, codec = "openai chat", "openai", openai_chat

    def open(self, client_of):
        openai = import_module("openai")
        made = self.judge.pick(openai.OpenAI, openai.AsyncOpenAI)
        return made(api_key="k", max_retries=0, http_client=client_of(transport=self.transport))

    async def ask(self, said: Said) -> None:
        read_chat(said, await self.judge.get(self.client.chat.completions.create(model="gpt-5-mini", messages=ASK)))

    async def ask_streamed(self, said: Said) -> None:
        asked = {"model": "gpt-5-mini", "messages": ASK, "stream_options": {"include_usage": True}}
        async with self.judge.inside(self.client.chat.completions.stream(**asked)) as stream:
            begun = False
            try:
                async for _ in each(stream):
                    begun = True
            finally:
                if begun:
                    read_chat(said, stream.current_completion_snapshot)


class OpenAIResponses(OpenAIChat):
    name, codec, alternatives = "openai responses", openai_responses, False

    async def ask(self, said: Said) -> None:
        _read_response(said, await self.judge.get(self.client.responses.create(model="gpt-5-mini", input="Hello.")))

    async def ask_streamed(self, said: Said) -> None:
        spelled: dict[tuple, str] = {}
        last = None
        try:
            async with self.judge.inside(self.client.responses.stream(model="gpt-5-mini", input="Hello.")) as stream:
                async for event in each(stream):
                    _spell(spelled, event)
                    if event.type == "error":
                        said.failure = event.message
                    last = getattr(event, "response", last)
        finally:
            told = ["".join(text for (kind, *_), text in spelled.items() if kind == each) for each in _DELTAS.values()]
            if said.failure or last is None or last.status in {"in_progress", "queued"}:
                said.at(0).text, said.at(0).refusal = told[:2]
            else:
                _read_response(said, last)
                whole = said.at(0)
                if told[:2] != [whole.text, whole.refusal]:
                    said.odd = "the deltas spell another text than the last event"
                if _spelled_calls(spelled) != _whole_calls(last):
                    said.odd = "the deltas spell other arguments than the last event"


_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "call",
    "response.custom_tool_call_input.delta": "call",
}


def _spell(spelled: dict[tuple, str], event) -> None:
    kind = _DELTAS.get(event.type)
    if kind is not None:
        place = (kind, event.output_index, getattr(event, "content_index", 0))
        spelled[place] = spelled.get(place, "") + event.delta


def _spelled_calls(spelled: dict[tuple, str]) -> list[str]:
    return [text for (kind, *_), text in sorted(spelled.items()) if kind == "call" and text]


def _whole_calls(response) -> list[str]:
    told = [getattr(item, "arguments", None) or getattr(item, "input", None) for item in _calls(response)]
    return [text for text in told if text]


def _calls(response) -> list:
    return [item for item in response.output if item.type in {"function_call", "custom_tool_call"}]


def _read_response(said: Said, response) -> None:
    told = said.at(0)
    for item in response.output:
        for content in item.content if item.type == "message" else ():
            told.text += content.text if content.type == "output_text" else ""
            told.refusal += content.refusal if content.type == "refusal" else ""
    for item in _calls(response):
        custom = item.type == "custom_tool_call"
        told.call(item.call_id, item.name, {"input": item.input} if custom else item.arguments)
    told.ended(response.incomplete_details.reason if response.incomplete_details else None)
    if told.calls and not told.finish:
        told.ended("tool_calls")
    if response.usage is not None:
        said.input, said.output = number(response.usage.input_tokens), number(response.usage.output_tokens)
    if response.status == "failed":
        said.failure = response.error.message if response.error else "failed"


class Anthropic(Caller):
    name, package, codec, alternatives = "anthropic", "anthropic", anthropic_messages, False
    _ASKED = {"model": "claude-haiku-4-5", "max_tokens": 1000, "messages": ASK}  # noqa: RUF012 - it stays as it is

    def open(self, client_of):
        anthropic = import_module("anthropic")
        made = self.judge.pick(anthropic.Anthropic, anthropic.AsyncAnthropic)
        return made(api_key="k", max_retries=0, http_client=client_of(transport=self.transport))

    async def ask(self, said: Said) -> None:
        self._read(said, await self.judge.get(self.client.messages.create(**self._ASKED)))

    async def ask_streamed(self, said: Said) -> None:
        async with self.judge.inside(self.client.messages.stream(**self._ASKED)) as stream:
            begun = False
            try:
                async for _ in each(stream):
                    begun = True
            finally:
                if begun:
                    self._read(said, stream.current_message_snapshot)

    @staticmethod
    def _read(said: Said, message) -> None:
        told = said.at(0)
        for block in message.content:
            if block.type == "text":
                told.text += block.text
            elif block.type == "tool_use":
                told.call(block.id, block.name, block.input)
        told.ended(message.stop_reason)
        usage = message.usage
        said.input = number(usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        said.output = number(usage.output_tokens)


class Gemini(Caller):
    name, package, codec = "gemini", "google.genai", gemini_generate

    def open(self, client_of):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            genai = import_module("google.genai")
        self.types = genai.types
        self.http_client = client_of(transport=self.transport)
        place = self.judge.pick("httpx_client", "httpx_async_client")
        self.whole = genai.Client(api_key="k", http_options=self.types.HttpOptions(**{place: self.http_client}))
        return self.judge.pick(self.whole, self.whole.aio)

    async def close(self) -> None:
        await self.judge.get(self.judge.pick(self.whole.close, self.whole.aio.aclose)())
        if self.judge.colour == "async":
            self.whole.close()

    def _asked(self) -> dict:
        by_hand = self.types.AutomaticFunctionCallingConfig(disable=True)
        config = self.types.GenerateContentConfig(automatic_function_calling=by_hand)
        return {"model": "gemini-2.5-flash", "contents": "Hello.", "config": config}

    async def ask(self, said: Said) -> None:
        self._read(said, [await self.judge.get(self.client.models.generate_content(**self._asked()))])

    async def ask_streamed(self, said: Said) -> None:
        stream = await self.judge.get(self.client.models.generate_content_stream(**self._asked()))
        async for chunk in each(stream):
            self._read(said, [chunk])

    @staticmethod
    def _read(said: Said, chunks: Iterable) -> None:
        for chunk in chunks:
            for candidate in chunk.candidates or []:
                told = said.at(candidate.index)
                for part in (candidate.content and candidate.content.parts) or []:
                    told.text += (not part.thought and part.text) or ""
                    if part.function_call:
                        told.call(part.function_call.id, part.function_call.name, part.function_call.args or {})
                reason = candidate.finish_reason and candidate.finish_reason.value
                told.ended("tool_calls" if reason == "STOP" and told.calls else reason)
            usage = chunk.usage_metadata
            if usage is not None:
                said.input = number(usage.prompt_token_count, usage.tool_use_prompt_token_count)
                said.output = number(usage.candidates_token_count, usage.thoughts_token_count)


class Groq(Caller):
    name, package, codec, http = "groq", "groq", openai_chat, "httpx"

    def open(self, client_of):
        groq = import_module("groq")
        made = self.judge.pick(groq.Groq, groq.AsyncGroq)
        return made(api_key="k", max_retries=0, http_client=client_of(transport=self.transport))

    def _asked(self, **more):
        return self.client.chat.completions.create(model="openai/gpt-oss-20b", messages=ASK, **more)

    async def ask(self, said: Said) -> None:
        read_chat(said, await self.judge.get(self._asked()))

    async def ask_streamed(self, said: Said) -> None:
        await read_chunks(said, each(await self.judge.get(self._asked(stream=True))))


class HuggingFace(Caller):
    name, package, codec = "hugging face", "huggingface_hub", openai_chat

    def open(self, client_of):
        hub = import_module("huggingface_hub")
        http = import_module("huggingface_hub.utils._http")
        self.put = self.judge.pick(hub.set_client_factory, hub.set_async_client_factory)
        self.default = self.judge.pick(http.default_client_factory, http.default_async_client_factory)
        before = self.judge.pick(http.hf_request_event_hook, http.async_hf_request_event_hook)
        hooks = {"request": [before], "response": self.judge.pick([], [http.async_hf_response_event_hook])}
        # There is no client to pass in: the process has one.
        self.put(lambda: client_of(transport=self.transport, event_hooks=hooks, follow_redirects=True, timeout=None))
        made = self.judge.pick(hub.InferenceClient, hub.AsyncInferenceClient)
        return made(base_url="https://router.huggingface.co/v1", api_key="hf_k")

    async def close(self) -> None:
        await super().close()
        self.put(self.default)

    def _asked(self, **more):
        return self.client.chat_completion(model="openai/gpt-oss-120b", messages=ASK, **more)

    async def ask(self, said: Said) -> None:
        read_chat(said, await self.judge.get(self._asked()))

    async def ask_streamed(self, said: Said) -> None:
        stream = await self.judge.get(self._asked(stream=True, stream_options={"include_usage": True}))
        await read_chunks(said, each(stream))


CALLERS: tuple[type[Caller], ...] = (OpenAIChat, OpenAIResponses, Anthropic, Gemini, Groq, HuggingFace)

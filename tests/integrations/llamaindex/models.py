"""Models of LlamaIndex that are none of ours, for what has to be followed without a call of aistrale behind it."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from aistrale.telemetry.events import RunFinished

QUESTION = [ChatMessage("What is the capital of Norway?")]


def stands_in(package: str):
    """Makes a class look as if it came out of one of LlamaIndex's packages for vendors."""

    def moved(cls):
        # Only now: annotations are looked up in the module of the class.
        cls.__module__ = f"llama_index.llms.{package}.base"
        return cls

    return moved


class Own(CustomLLM):
    """Answers with given words and a given raw answer; a class of the application's."""

    model: str = "gpt-5-mini"
    words: tuple[str, ...] = ("Oslo", " it", " is.")
    raw: Any = None
    fails_at: int | None = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model)

    def _check(self, index: int) -> None:
        if self.fails_at == index:
            raise RuntimeError("the secret is sesame")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._check(0)
        return CompletionResponse(text="".join(self.words), raw=self.raw)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any):
        def pieces():
            text = ""
            for index, word in enumerate(self.words):
                self._check(index)
                text += word
                yield CompletionResponse(text=text, delta=word, raw=self.raw if word is self.words[-1] else None)

        return pieces()


@stands_in("openai")
class Vendor(Own):
    """The same as a class of LlamaIndex's for OpenAI."""


class Router(LLM):
    """A model whose every answer is made by another one, of which it tells no usage itself."""

    model: str = "router"
    inner: Any = None
    times: int = 1

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="router", is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        answers = [self.inner.chat(messages) for _ in range(self.times)]
        return ChatResponse(message=answers[-1].message)

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        answer = await self.inner.achat(messages)
        return ChatResponse(message=answer.message)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any):
        # Asks when the first piece is wanted, as asynchronous streams of the framework's base class do.
        def pieces():
            for piece in self.inner.stream_chat(messages):
                yield ChatResponse(message=piece.message, delta=piece.delta)

        return pieces()

    async def astream_chat(self, messages: Any, **kwargs: Any): ...

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any): ...

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any): ...

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any): ...

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any): ...


def runs(client, sink, *types: str) -> list[RunFinished]:
    """What the sink was told of steps, those of some types or all."""
    assert client.flush()
    told = [event for event in sink.events if isinstance(event, RunFinished)]
    return [event for event in told if not types or event.type in types]

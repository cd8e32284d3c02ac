from __future__ import annotations

from types import SimpleNamespace

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}


class VendorError(Exception):
    """As vendors' SDKs have it: with the whole response."""

    def __init__(self) -> None:
        super().__init__("no: mail ada@example.org")
        self.response = SimpleNamespace(
            headers={"x-secret": "sk-live-1234567890"},
            json=lambda: {"error": "ada@example.org"},
            status_code=429,
        )


class FakeChat(BaseChatModel):
    """Somebody else's model: what it is asked decides how it fares.

    "bad" fails; anything else is answered in three pieces.
    """

    usage: dict = USAGE
    model_name: str = "gpt-4.1-mini"
    provider: str = "openai"
    alternatives: int = 1

    @property
    def _llm_type(self):
        return "fake"

    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": self.provider, "ls_model_name": self.model_name, "ls_model_type": "chat"}

    def _message(self):
        metadata = {"model_name": self.model_name, "model_provider": self.provider, "finish_reason": "stop"}
        return AIMessage("one two three", usage_metadata=self.usage, response_metadata=metadata)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if "bad" in messages[-1].text:
            raise VendorError
        return ChatResult(generations=[ChatGeneration(message=self._message()) for _ in range(self.alternatives)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)

    def _pieces(self, messages):
        if "bad" in messages[-1].text:
            raise VendorError
        metadata = {"model_name": self.model_name, "model_provider": self.provider}
        yield AIMessageChunk("", response_metadata=metadata, usage_metadata=self.usage)
        for text in ("one ", "two ", "three"):
            yield AIMessageChunk(text)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self._pieces(messages):
            yield ChatGenerationChunk(message=piece)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self._pieces(messages):
            yield ChatGenerationChunk(message=piece)

"""One question asked through each official SDK, blocking and async, of the simulator or of whatever its URL leads to."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import pytest

PROVIDERS = ["openai", "anthropic", "gemini", "groq", "huggingface"]
ANSWER = "This is a simulated answer to: Say hello, please."
ASK = [{"role": "user", "content": "Say hello, please."}]
MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "openai/gpt-oss-20b",
    "huggingface": "openai/gpt-oss-120b",
}
_CLASSES = {
    "openai": ("OpenAI", "AsyncOpenAI"),
    "anthropic": ("Anthropic", "AsyncAnthropic"),
    "groq": ("Groq", "AsyncGroq"),
    "huggingface": ("InferenceClient", "AsyncInferenceClient"),
}


_PACKAGES = {"gemini": "google-genai", "huggingface": "huggingface_hub"}


def release_of(provider):
    """The installed version of a provider's SDK, as two numbers."""
    try:
        major, minor = version(_PACKAGES.get(provider, provider)).split(".")[:2]
    except PackageNotFoundError:
        pytest.skip(f"the SDK of {provider} is not installed")
    return int(major), int(minor)


def need_covered(provider):
    """Skip where the SDK takes another way than those that are covered."""
    if release_of(provider) < (1, 0) and provider == "huggingface":
        pytest.skip("huggingface_hub below 1.0 speaks through requests and aiohttp, which are not covered")


def ask_no_registry(tmp_path, monkeypatch):
    """Newer SDKs of Hugging Face ask the Hub once a day for a list; here they find one from today."""
    cached = tmp_path / "harnesses.json"
    cached.write_text('{"standardEnvVars": [], "harnesses": {}}')
    if find_spec("huggingface_hub"):
        monkeypatch.setattr("huggingface_hub.constants.AGENT_HARNESSES_PATH", str(cached), raising=False)


class Asker:
    """One SDK's client, and the same question in its own words.

    Args:
        provider: Whose SDK.
        judge: Blocking or async.
        sim: Where it leads.
        options: Of the client; `http_client` is put where the SDK takes it.
    """

    def __init__(self, provider, judge, sim, **options):
        self.provider = provider
        self.judge = judge
        self.client = self._made(sim.base_url(provider), options)

    def _made(self, url, options):
        if self.provider == "gemini":
            genai = pytest.importorskip("google.genai")
            http = options.pop("http_client", None)
            given = {} if http is None else {self.judge.pick("httpx_client", "httpx_async_client"): http}
            if given and not given.keys() <= genai.types.HttpOptions.model_fields.keys():
                pytest.skip("this google-genai takes no HTTP client")
            return genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url, **given), **options)
        sdk = pytest.importorskip("huggingface_hub" if self.provider == "huggingface" else self.provider)
        return getattr(sdk, self.judge.pick(*_CLASSES[self.provider]))(base_url=url, api_key="k", **options)

    async def ask(self):
        """The text of the answer."""
        model, get = MODELS[self.provider], self.judge.get
        if self.provider == "gemini":
            side = self.judge.pick(self.client, self.client.aio)
            return (await get(side.models.generate_content(model=model, contents=ASK[0]["content"]))).text
        if self.provider == "anthropic":
            answer = await get(self.client.messages.create(model=model, max_tokens=100, messages=ASK))
            return answer.content[0].text
        if self.provider == "huggingface":
            return (await get(self.client.chat_completion(model=model, messages=ASK))).choices[0].message.content
        answer = await get(self.client.chat.completions.create(model=model, messages=ASK))
        return answer.choices[0].message.content

    async def close(self):
        if self.provider == "gemini":
            # Older ones have no way to be closed.
            if hasattr(self.client.aio, "aclose"):
                await self.client.aio.aclose()
            if hasattr(self.client, "close"):
                self.client.close()
            return
        if hasattr(self.client, "close"):
            await self.judge.get(self.client.close())
        hub = import_module("huggingface_hub") if self.provider == "huggingface" else None
        if hasattr(hub, "close_session"):
            # The blocking client's session belongs to the process.
            hub.close_session()

"""LangChain's own standard suites, offline: the models talk to the simulator.

What is skipped or replaced, and why:

- `test_init_from_env`: no key or address is a field of the model; they belong to the client, which reads them from the
  environment itself. `standard_chat_model_params` has an `api_key` for the same reason, which is taken out here; that
  giving one says where it belongs is tested in test_chat_model.py.
- `test_serdes`: the model is written down as it should be, but `allowed_objects="all"` means the packages that
  langchain-core lists. Reading it back with `allowed_objects=[ChatAistrale]` is tested in test_chat_model.py.
- `test_stream_time`: a benchmark against recorded cassettes; what a stream costs is measured by our own benchmarks.
- The three tests with images, documents and sounds fetch files from the internet; they get bytes of the same types.
- JSON mode and the value of `magic_function`: the simulator fits schemas but does not read prompts; it is told what
  these tests' prompts ask for.
- Sounds: Gemini takes them; the other two models do not (`supports_audio_inputs`). Images by URL: Gemini fetches none.
- Usage details of audio and of caches: providers tell them only of requests that the suites do not make; the buckets
  are tested in test_answers.py. Reasoning is left to the provider that the simulator lets think.
- Video inputs (`supports_video_inputs`) have no test in the suites yet.
- Image and document results of tools: those providers whose formats carry them.
"""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("langchain_tests")
pytest.importorskip("langchain_core")

from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

import aistrale
from aistrale.integrations.langchain import AistraleEmbeddings, ChatAistrale
from aistrale.testing import Say, simulator

# Of the suites only those that are coroutines are anyio's; there is no second runner of async tests beside ours.
pytestmark = pytest.mark.anyio

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FILES = {"pdf": b"%PDF-1.4\n%%EOF\n", "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ", "png": PNG}


@pytest.fixture
def process_wide():
    """The process-wide client, which models without a client of their own use."""
    with simulator() as sim:
        aistrale.init(**sim.settings(), instrument=False, ledger="off")
        yield sim
        aistrale.shutdown()


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch):
    def get(url: str, **_: object) -> SimpleNamespace:
        content = FILES[url.rpartition(".")[2]]
        return SimpleNamespace(content=content, raise_for_status=lambda: None)

    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "nobody: nothing is fetched")
    monkeypatch.setattr("langchain_tests.integration_tests.chat_models.httpx.get", get)


class Unit(ChatModelUnitTests):
    chat_model_class = ChatAistrale

    @property
    def chat_model_params(self):
        return {"model": "openai/gpt-4.1-mini"}

    @property
    def standard_chat_model_params(self):
        params = super().standard_chat_model_params
        del params["api_key"]
        return params


class TestUnit(Unit):
    @pytest.mark.xfail(raises=ValueError, reason="langchain-core loads only classes of its own list of packages")
    def test_serdes(self, model, snapshot):
        super().test_serdes(model, snapshot)


@pytest.mark.usefixtures("process_wide")
class Integration(ChatModelIntegrationTests):
    chat_model_class = ChatAistrale
    model_name = ""
    other_model = ""
    details = ()

    @property
    def chat_model_params(self):
        return {"model": self.model_name, "max_tokens": 4000}

    @property
    def model_override_value(self):
        return self.other_model

    @property
    def supports_json_mode(self):
        return True

    @property
    def supports_image_inputs(self):
        return True

    @property
    def supports_image_urls(self):
        return True

    @property
    def supports_pdf_inputs(self):
        return True

    @property
    def supports_anthropic_inputs(self):
        return True

    @property
    def supported_usage_metadata_details(self):
        return {"invoke": list(self.details), "stream": list(self.details)}

    def invoke_with_reasoning_output(self, *, stream=False):
        model = self.chat_model_class(**self.chat_model_params, reasoning=1024)
        if not stream:
            return model.invoke("Think.")
        full = None
        for chunk in model.stream("Think."):
            full = chunk if full is None else full + chunk
        return full

    @pytest.fixture(autouse=True)
    def _told(self, request, process_wide):
        name = request.node.originalname
        if name == "test_json_mode":
            joke = json.dumps({"setup": "Why?", "punchline": "Because."})
            process_wide.outage(step=Say(text=joke), operation="chat")
        if name in {"test_tool_calling", "test_tool_calling_async"}:
            process_wide.outage(step=Say(tool_calls=[("magic_function", {"input": 3})]), operation="chat")


class TestOpenAI(Integration):
    model_name = "openai/gpt-4.1-mini"
    other_model = "gpt-4.1"


class TestAnthropic(Integration):
    model_name = "anthropic/claude-sonnet-4-5"
    other_model = "claude-opus-4-5"
    details = ("reasoning_output",)

    @property
    def supports_image_tool_message(self):
        return True

    @property
    def supports_pdf_tool_message(self):
        return True


class TestGemini(Integration):
    model_name = "gemini/gemini-2.5-flash"
    other_model = "gemini-2.5-pro"
    details = ("reasoning_output",)

    @property
    def supports_audio_inputs(self):
        return True

    @property
    def supports_image_urls(self):
        return False


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    embeddings_class = AistraleEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "openai/text-embedding-3-small"}


@pytest.mark.usefixtures("process_wide")
class TestEmbeddings(EmbeddingsIntegrationTests):
    embeddings_class = AistraleEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "openai/text-embedding-3-small", "batch_size": 2}

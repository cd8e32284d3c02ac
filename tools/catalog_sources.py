"""Readers of the packages from which the catalog is made; used by `refresh_catalog.py` alone.

Nothing is imported but genai-prices, and nothing is fetched: files of installed packages are read.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row: TypeAlias = dict[str, Any]

SDK_FILES = {
    "openai": ("openai", ["types/shared/chat_model.py", "types/shared/responses_model.py", "types/embedding_model.py"]),
    "anthropic": ("anthropic", ["types/model.py"]),
    "gemini": ("google.genai", ["_gaos/types/interactions/model.py"]),
    "groq": ("groq", ["types/chat/completion_create_params.py"]),
}
MODEL_NAME = {
    "openai": r"(gpt-|o\d|chatgpt-|codex-|text-embedding-|computer-use)",
    "anthropic": r"claude-",
    "gemini": r"(gemini-|gemma-)",
    "groq": r"(llama|meta-llama/|openai/|qwen/|moonshotai/|compound|gemma|groq/|mixtral|deepseek)",
}
LITELLM_PREFIX = {"openai": "", "anthropic": "", "gemini": "gemini/", "groq": "groq/"}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def package_folder(name: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed; see the head of this file")
    return Path(spec.origin).parent


def literals(tree: ast.AST) -> Iterator[str]:
    """Every text inside a `Literal[...]`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            for item in ast.walk(node.slice):
                if isinstance(item, ast.Constant) and isinstance(item.value, str):
                    yield item.value


def sdk_models(provider: str) -> dict[str, Row]:
    """The model names in an SDK's types, with the retirements that it announces."""
    package, files = SDK_FILES[provider]
    found: dict[str, Row] = {}
    for file in files:
        source = (package_folder(package) / file).read_text(encoding="utf-8")
        for name in literals(ast.parse(source)):
            if re.match(MODEL_NAME[provider], name):
                found.setdefault(name, {"responses_only": "responses_model" in file})
        # OpenAI tells it in the docstring: - "a", "b": Announced shutdown date: 2027-04-01.
        flat = re.sub(r"\s+", " ", source)
        for names, day in re.findall(r'- ((?:"[^"]+",? ?)+): Announced shutdown date: (\d{4}-\d\d-\d\d)', flat):
            for name in re.findall(r'"([^"]+)"', names):
                found.setdefault(name, {})["retires"] = day
    if provider == "anthropic":
        source = (package_folder(package) / "_data" / "deprecated_models.py").read_text(encoding="utf-8")
        for name, day in re.findall(r'"(claude-[^"]+)": "([^"]+)"', source):
            written = re.sub(r"(\d)(st|nd|rd|th)", r"\1", day)
            found.setdefault(name, {})["retires"] = (
                datetime.strptime(written, "%B %d, %Y").replace(tzinfo=UTC).date().isoformat()
            )
    return found


def litellm_models() -> Row:
    """The table of litellm."""
    file = package_folder("litellm") / "model_prices_and_context_window_backup.json"
    table: Row = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    return table


def openai_reasoning(name: str, entry: Mapping[str, Any]) -> Row:
    """How an OpenAI model thinks."""
    if not entry.get("supports_reasoning") or "-chat" in name:
        return {"reasoning": "none"} if "supports_reasoning" in entry or "supports_function_calling" in entry else {}
    levels = entry.get("reasoning_effort_levels")
    basic = {"low", "medium", "high"}
    efforts = list(
        levels or [word for word in EFFORTS if entry.get(f"supports_{word}_reasoning_effort", word in basic)]
    )
    # A model that can be told not to think takes temperature and top_p as long as it does not.
    return {"reasoning": "effort", "efforts": efforts, "sampling": "none" in efforts}


def anthropic_reasoning(entry: Mapping[str, Any]) -> Row:
    """How a Claude model thinks."""
    facts: Row = {"sampling": entry.get("supports_sampling_params", True), "stop": True}
    if entry.get("supports_adaptive_thinking"):
        efforts = [] if entry.get("thinking_always_on") else ["none"]
        efforts += ["low", "medium", "high"]
        efforts += [word for word in ("xhigh", "max") if entry.get(f"supports_{word}_reasoning_effort")]
        facts |= {"reasoning": "adaptive", "efforts": efforts}
    elif entry.get("supports_reasoning"):
        facts["reasoning"] = "budget"
    else:
        facts["reasoning"] = "none"
    return facts


def gemini_reasoning(name: str, entry: Mapping[str, Any]) -> Row:
    """How a Gemini model thinks."""
    facts: Row = {"stop": True, "sampling": entry.get("supports_sampling_params", True)}
    if re.match(r"gemini-([3-9]|(pro|flash)(-lite)?-latest)", name) and entry.get("supports_reasoning"):
        efforts = ["low", "medium", "high"]
        if entry.get("supports_minimal_reasoning_effort", "pro" not in name):
            efforts.insert(0, "minimal")
        if entry.get("supports_xhigh_reasoning_effort"):
            efforts.append("xhigh")
        facts |= {"reasoning": "level", "efforts": efforts}
    elif name.startswith("gemini-2.5") and entry.get("supports_reasoning"):
        facts["reasoning"] = "budget"
    elif name.startswith("gemini-"):
        facts["reasoning"] = "none"
    return facts


def abilities(provider: str, name: str, entry: Mapping[str, Any]) -> Row:
    """What litellm's table says about a model, in the catalog's words."""
    facts: Row = {}
    if not entry:
        return facts
    if entry.get("mode") == "embedding":
        facts["kind"] = "embedding"
    media = {
        "image": entry.get("supports_vision"),
        "audio": entry.get("supports_audio_input"),
        "document": entry.get("supports_pdf_input"),
        "video": entry.get("supports_video_input"),
    }
    for word in entry.get("supported_modalities", []):
        media[word] = True
    facts["input"] = ["text", *(word for word in ("image", "audio", "document", "video") if media.get(word))]
    facts["output"] = list(entry.get("supported_output_modalities", ["text"]))
    facts["max_input"] = entry.get("max_input_tokens")
    if facts.get("kind") == "embedding":
        facts |= {"dimensions": entry.get("output_vector_size"), "output": None}
        return facts
    facts["max_output"] = entry.get("max_output_tokens")
    facts["streaming"] = entry.get("supports_native_streaming", True)
    for field, key in (
        ("tools", "supports_function_calling"),
        ("parallel_tools", "supports_parallel_function_calling"),
    ):
        if key in entry:
            facts[field] = entry[key]
    if provider == "anthropic":
        facts["structured"] = "schema" if entry.get("supports_native_structured_output") else "tool"
        facts |= anthropic_reasoning(entry)
    else:
        schema = entry.get("supports_response_schema")
        weaker = "json" if facts.get("tools") else "prompt"
        known = schema is not None or facts.get("tools")
        facts["structured"] = "schema" if schema else weaker if known else None
        if provider == "openai":
            facts |= openai_reasoning(name, entry)
        elif provider == "gemini":
            facts |= gemini_reasoning(name, entry)
    return facts


def kind_of(name: str, provider: str) -> str:
    """What a model does, by its name."""
    for pattern, kind in (
        (r"embedding|embed-", "embedding"),
        (r"realtime|-live|live-", "realtime"),
        (r"tts|whisper|transcribe|orpheus", "audio"),
        (r"(^|chat)gpt-image", "image"),
        (r"instruct$|davinci|babbage", "completion" if provider == "openai" else "chat"),
    ):
        if re.search(pattern, name):
            return kind
    return "chat"


def family_of(name: str) -> str:
    """The line that a model belongs to, by its name."""
    bare = name.rpartition("/")[2].lower()
    found = re.match(
        r"claude-(?:\d-\d-|\d-)?(?:[a-z]+)|(?:chat)?gpt-?[\d.]+o?|gpt-[a-z]+|o\d|gemini-[\d.]+|gemini|[a-z]+", bare
    )
    return re.sub(r"^claude-[\d-]+", "claude-", found[0]) if found else bare

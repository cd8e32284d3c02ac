"""Readers of the packages from which the catalog is made; used by `refresh_catalog.py` alone.

Nothing is imported but genai-prices, and nothing is fetched: files of installed packages are read.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from datetime import UTC, date, datetime
from decimal import Context, Decimal
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
UNITS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cache_read_audio",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "web_searches_kcount": "web_search",
}
LITELLM_UNITS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "output_cost_per_token": "output",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
}
ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens$")
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


def number(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros, and without the noise of somebody's binary fractions."""
    return format(Context(prec=10).create_decimal(value).normalize(), "f") if value else "0"


def genai_table(price: object) -> Row:
    """One price map of genai-prices: the base rates, and the rates beyond a length of prompt."""
    rates: dict[str, str] = {}
    above: dict[int, dict[str, str]] = {}
    for field, unit in UNITS.items():
        value = getattr(price, field, None)
        if value is None:
            continue
        rates[unit] = number(getattr(value, "base", value))
        for tier in getattr(value, "tiers", ()):
            above.setdefault(tier.start, {})[unit] = number(tier.price)
    table: Row = {"rates": rates}
    if above:
        table["above"] = [{"tokens": start, "rates": above[start]} for start in sorted(above)]
    return table


def start_of(price: object) -> date:
    """The first day of a dated price."""
    return getattr(getattr(price, "constraint", None), "start_date", None) or date.min


def genai_rates(info: Any, as_of: date) -> list[Row]:  # noqa: ANN401 - of genai-prices
    """The periods of a model's prices, the oldest first, each with its variants."""
    prices = info.prices if isinstance(info.prices, list) else [info.prices]
    dated = [(start_of(price), getattr(price, "prices", price)) for price in sorted(prices, key=start_of)]
    periods: list[Row] = []
    for index, (start, price) in enumerate(dated):
        end = dated[index + 1][0] if index + 1 < len(dated) else date.max
        period = genai_table(price)
        if not period["rates"]:
            continue
        if start != date.min:
            period["from"] = start.isoformat()
        chosen: dict[str, Row] = {}
        for variant in sorted(info.price_variants or [], key=start_of):
            # The date of a variant is mostly the day on which somebody checked it, not the day on which it
            # began: in the current period it holds throughout, in an earlier one only if it had been seen by
            # then.
            seen = start_of(variant)
            if seen < end and (seen <= max(start, as_of)):
                table = genai_table(variant.prices)
                if table["rates"] or table.get("above"):
                    chosen[json.dumps(variant.when, sort_keys=True)] = {"if": dict(variant.when), **table}
                else:
                    chosen[json.dumps(variant.when, sort_keys=True)] = {"if": dict(variant.when), "rates": {}}
        if chosen:
            period["when"] = list(chosen.values())
        periods.append(period)
    return periods


def litellm_table(entry: Mapping[str, Any], suffix: str = "") -> Row:
    """The rates of one entry of litellm's table, those of a variant with its suffix (`_batches`, `_flex`, ...)."""
    rates: dict[str, str] = {}
    above: dict[int, dict[str, str]] = {}
    for field, value in entry.items():
        if not field.endswith(suffix) or isinstance(value, (str, bool, list, dict)) or value is None:
            continue
        bare = field.removesuffix(suffix)
        tier = ABOVE.match(bare)
        unit = LITELLM_UNITS.get(tier[1] if tier else bare)
        if unit is None:
            continue
        amount = number(Decimal(value) * 1_000_000)
        if tier:
            above.setdefault(int(tier[2]) * 1000, {})[unit] = amount
        else:
            rates[unit] = amount
    table: Row = {"rates": rates}
    if above:
        table["above"] = [{"tokens": start, "rates": above[start]} for start in sorted(above)]
    return table


def litellm_rates(entry: Mapping[str, Any]) -> list[Row]:
    """The current prices of one entry, with its variants."""
    period = litellm_table(entry)
    search = (entry.get("search_context_cost_per_query") or {}).get("search_context_size_medium")
    if search is not None:
        period["rates"]["web_search"] = number(Decimal(search) * 1000)
    when = []
    for suffix, condition in (
        ("_batches", {"processing": "batch"}),
        ("_flex", {"service_tier": "flex"}),
        ("_priority", {"service_tier": "priority"}),
    ):
        table = litellm_table(entry, suffix)
        if table["rates"]:
            when.append({"if": condition, **table})
    if when:
        period["when"] = when
    # Its zeros stand for "free of charge" and for "not known" alike.
    return [period] if Decimal(period["rates"].get("input", 0)) else []


def fill_gaps(periods: list[Row], entry: Mapping[str, Any], as_of: date) -> None:
    """Add to the newest prices the units and the variants that only litellm has."""
    newest = periods[-1]
    # litellm knows today's prices alone, hence nothing of a period that is yet to come.
    if newest.get("from", "") <= as_of.isoformat():
        listed = {json.dumps(variant["if"]) for variant in newest.get("when", [])}
        for whole in litellm_rates(entry):
            for variant in whole.get("when", []):
                if json.dumps(variant["if"]) not in listed:
                    newest.setdefault("when", []).append(variant)
    extra = litellm_table(entry)
    for unit in ("audio_input", "audio_output", "cache_write_12h", "image_output"):
        if unit in extra["rates"]:
            newest["rates"].setdefault(unit, extra["rates"][unit])
    beyond = {tier["tokens"]: tier["rates"] for tier in extra.get("above", [])}
    for tier in newest.get("above", []):
        for unit, amount in beyond.get(tier["tokens"], {}).items():
            if unit == "cache_write_12h":
                tier["rates"].setdefault(unit, amount)


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

"""What it costs to price an exchange, to collect what its answer says about the price, and to load the price book.

    python benchmarks/cost_pricing.py [--rounds 7] [--calls 5000]

Microseconds a call: the median round and the best one. Usage is decoded, with the provider's own object beside it, as
every answer brings it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

from aistrale.core.call import Target
from aistrale.cost import price, price_usage
from aistrale.cost.book.price_book import price_book, shipped_book
from aistrale.cost.facts import gather
from aistrale.cost.meter import ledger_form
from aistrale.cost.shape import Shaper
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import Profile
from aistrale.providers import get_provider
from aistrale.types import Choice, Completion, Message, Request, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.types import JSONObject, Usage

OPENAI: JSONObject = {
    "prompt_tokens": 1200,
    "completion_tokens": 345,
    "total_tokens": 1545,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0},
}
ANTHROPIC: JSONObject = {
    "input_tokens": 176,
    "cache_read_input_tokens": 1024,
    "cache_creation_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 345,
    "service_tier": "standard",
    "inference_geo": "global",
    "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
}
PASSES: JSONObject = {
    **ANTHROPIC,
    "iterations": [
        {"type": "message", "input_tokens": 100, "output_tokens": 300},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2500, "output_tokens": 22},
        {"type": "message", "input_tokens": 1100, "output_tokens": 45},
    ],
}
GEMINI: JSONObject = {
    "promptTokenCount": 1200,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1200}],
    "candidatesTokenCount": 217,
    "thoughtsTokenCount": 128,
    "totalTokenCount": 1545,
    "serviceTier": "standard",
}


def decoded(dialect: str, usage: JSONObject) -> Usage:
    """The usage as the dialect reads it."""
    bodies: dict[str, JSONObject] = {
        "openai_chat": {"object": "chat.completion", "choices": [], "usage": usage},
        "anthropic_messages": {"type": "message", "content": [], "usage": usage},
        "gemini_generate": {"usageMetadata": usage},
    }
    found = chat_dialect(dialect).decode_response(bodies[dialect]).usage
    if found is None:
        raise SystemExit("the usage was not read")
    return found


def cases() -> list[tuple[str, Callable[[], object]]]:
    """What is measured."""
    openai, gemini = decoded("openai_chat", OPENAI), decoded("gemini_generate", GEMINI)
    claude, passes = decoded("anthropic_messages", ANTHROPIC), decoded("anthropic_messages", PASSES)
    target = Target(
        name="openai/gpt-6-sol",
        provider=get_provider("openai"),
        model="gpt-6-sol",
        dialect="openai_chat",
        base_url="https://api.openai.com/v1",
        profile=Profile(provider="openai", model="gpt-6-sol"),
    )
    answer = Completion(
        model="gpt-6-sol",
        choices=[Choice(Message.assistant("Hello"), "stop")],
        wire=Wire("openai_chat", {"service_tier": "default"}),
    )
    request = Request(model="gpt-6-sol", messages=[Message.system("Be brief."), Message.user("How are you today?")])
    llama = "meta-llama/Llama-3.3-70B-Instruct"
    return [
        ("OpenAI", lambda: price_usage("openai", "gpt-5-mini", openai, service_tier="default")),
        ("OpenAI, model with tiers", lambda: price_usage("openai", "gpt-6-sol", openai, service_tier="default")),
        ("OpenAI, flex", lambda: price_usage("openai", "gpt-6-sol", openai, service_tier="flex")),
        ("Anthropic", lambda: price_usage("anthropic", "claude-sonnet-4-6", claude)),
        ("Gemini", lambda: price_usage("gemini", "gemini-2.5-flash", gemini)),
        (
            "Hugging Face, backend known",
            lambda: price_usage("huggingface", llama, openai, inference_provider="together"),
        ),
        ("Anthropic, three passes, two models", lambda: price_usage("anthropic", "claude-sonnet-5", passes)),
        ("OpenAI, verbatim usage", lambda: price("openai", "gpt-5-mini", OPENAI)),
        ("what the answer says besides", lambda: gather(target, answer, {})),
        ("what the ledger keeps", lambda: ledger_form("openai", "gpt-6-sol", openai, {"service_tier": "default"})),
        ("the shape of the request", partial(Shaper(None), request)),
    ]


def measured(call: Callable[[], object], rounds: int, calls: int) -> tuple[float, float]:
    """Microseconds a call: the median of the rounds and the best."""
    call()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        taken.append((time.perf_counter() - start) / calls * 1e6)
    return statistics.median(taken), min(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    median, best = measured(shipped_book, options.rounds, 3)
    print(f"{f'price book {price_book().label}: read':<52}{median / 1000:7.2f} ms  {best / 1000:7.2f} ms")
    for name, call in cases():
        median, best = measured(call, options.rounds, options.calls)
        print(f"{name:<52}{median:7.2f} us  {best:7.2f} us")


if __name__ == "__main__":
    main()

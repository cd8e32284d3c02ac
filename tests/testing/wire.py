"""The same small question in every wire format, with the path where each provider takes it."""

from __future__ import annotations

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello you"}]}
ASKED = {
    "openai": ("/openai/v1/chat/completions", CHAT),
    "responses": ("/openai/v1/responses", {"model": "m", "input": "Hello you"}),
    "anthropic": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 100}),
    "gemini": (
        "/gemini/v1/models/m:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hello you"}]}]},
    ),
    "groq": ("/groq/openai/v1/chat/completions", CHAT),
    "huggingface": ("/huggingface/v1/chat/completions", CHAT),
}


def question(name, *, stream=False):
    """Path and body."""
    path, body = ASKED[name]
    if not stream:
        return path, body
    if name == "gemini":
        return path.replace("generateContent", "streamGenerateContent") + "?alt=sse", body
    return path, {**body, "stream": True}

"""The recorded traffic that stands beside the repository, and which codec each exchange belongs to."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.core.sse import SSE, SSEParser
from aistrale.dialects import (
    anthropic_messages,
    gemini_embed,
    gemini_generate,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from aistrale.dialects.base import ANY

if TYPE_CHECKING:
    from types import ModuleType

    from aistrale.types import Event, Request

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
FAMILIES = ("openai", "anthropic", "google", "groq", "huggingface")
CHATS = (openai_chat, openai_responses, anthropic_messages, gemini_generate)
_BY_ENDPOINT = {
    "chat/completions": openai_chat,
    "responses": openai_responses,
    "messages": anthropic_messages,
    "messages/count_tokens": anthropic_messages,
    "generateContent": gemini_generate,
    "streamGenerateContent": gemini_generate,
    "countTokens": gemini_generate,
    "batchEmbedContents": gemini_embed,
    "embedContent": gemini_embed,
}
# A reply ends with one of these; what follows in the same recording is another one.
_ENDS = {
    "message_stop",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.error",
}


@dataclass(slots=True, frozen=True)
class Exchange:
    """One recorded exchange; bodies are text, "" for none."""

    ident: str
    provider: str
    endpoint: str
    streamed: bool
    model: str
    fidelity: str
    url: str
    status: int
    headers: dict[str, str]
    request: str
    response: str

    @property
    def codec(self) -> ModuleType | None:
        """The module that reads it; None for an endpoint that is none of ours."""
        if "/threads/" in self.url:
            return None  # the Assistants API: its `messages` are stored objects, not a chat
        if self.endpoint == "embeddings":
            return gemini_embed if self.provider.startswith("google") else openai_embeddings
        return _BY_ENDPOINT.get(self.endpoint)

    @property
    def counts_tokens(self) -> bool:
        """Whether it asks how many tokens a request has, and nothing more."""
        return self.endpoint in {"messages/count_tokens", "countTokens"} or self.url.endswith("/input_tokens")

    @property
    def succeeded(self) -> bool:
        """Whether it carries a whole, successful answer."""
        return self.status == 200 and bool(self.response)

    @property
    def group(self) -> tuple[str, str]:
        """Provider and endpoint, the row of the tables."""
        return self.provider, self.endpoint


@cache
def exchanges() -> tuple[Exchange, ...]:
    """Every recorded exchange; none where the recordings are not part of the checkout."""
    found = []
    for family in FAMILIES:
        path = TRAFFIC / f"{family}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                found += [_exchange(json.loads(line)) for line in lines]
    return tuple(found)


def _exchange(record: dict) -> Exchange:
    return Exchange(
        ident=record["ident"],
        provider=record["provider"],
        endpoint=record["endpoint"],
        streamed=bool(record["sse"]) or _is_array(record),
        model=record["model"] or "",
        fidelity=record["fidelity"],
        url=record["url"] or "",
        status=record["status"],
        headers={name: values[0] for name, values in (record["response_headers"] or {}).items()},
        request=_text(record["request_body"]),
        response=_text(record["response_body"]),
    )


def _text(body: object) -> str:
    if isinstance(body, dict):
        return base64.b64decode(body["base64"]).decode("utf-8", "replace")
    return body if isinstance(body, str) else ""


def _is_array(record: dict) -> bool:
    """Gemini streams as one JSON array unless SSE is asked for."""
    return record["endpoint"] == "streamGenerateContent" and _text(record["response_body"]).lstrip().startswith("[")


def chats() -> list[Exchange]:
    """The exchanges in which a model answered, or would have."""
    return [each for each in exchanges() if each.codec in CHATS and not each.counts_tokens]


def read_request(each: Exchange) -> Request:
    """The exchange's request, in the hub's words."""
    assert each.codec is not None
    in_url = each.codec is gemini_generate
    return each.codec.decode_request(
        json.loads(each.request), model=each.model or None, stream=each.streamed if in_url else None
    )


def frames(each: Exchange, cut: list[int] | None = None) -> list[SSE]:
    """The wire events of a streamed answer.

    Args:
        each: The exchange.
        cut: Sizes in bytes of the pieces in which the answer arrives, repeated as needed; None for all at once.
    """
    data = each.response.encode()
    pieces, start, number = [], 0, 0
    while start < len(data):
        size = cut[number % len(cut)] if cut else len(data)
        pieces.append(data[start : start + size])
        start, number = start + size, number + 1
    if each.codec is gemini_generate and each.response.lstrip().startswith("["):
        splitter = gemini_generate.ArraySplitter()
        return [element for piece in pieces for element in splitter.feed(piece)]
    parser = SSEParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.finish()


def replies(wire: list[SSE]) -> list[list[SSE]]:
    """The wire events of each reply: some fixtures string several together."""
    found: list[list[SSE]] = [[]]
    for event in wire:
        found[-1].append(event)
        if event.event in _ENDS:
            found.append([])
    return [reply for reply in found if reply]


def decode(codec: ModuleType, wire: list[SSE]) -> list[Event]:
    """The hub events of one streamed reply."""
    decoder = codec.event_decoder(ANY)
    events = [event for frame in wire for event in decoder.feed(frame)]
    return [*events, *decoder.finish()]

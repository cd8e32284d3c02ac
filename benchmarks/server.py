"""A provider that costs nothing: canned answers over keep-alive connections, from a process of its own.

It answers the paths of OpenAI's chat completions and of Anthropic's messages with about 300 tokens and the headers
that such services send, or with a stream of 200 pieces where the body asks for one. Words before `/v1` in the path
change how:

    ms20      the answer, or the first byte of a stream, comes after 20 milliseconds
    pace0.4   a stream comes piece by piece with 0.4 milliseconds between them, instead of in one go

so a client is given `http://127.0.0.1:PORT/ms20/v1` as its base URL. Requests are not parsed beyond what framing
needs: what is measured is the client.

    python benchmarks/server.py    prints its port and serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECES = 200
WORDS = "The river that runs beneath the old town carries more than water and stories of those who crossed it. "
TEXT = (WORDS * 17)[:1730]  # with its envelope a body of about 2.4 KB, 300 tokens by the usual encodings
COMMON = (
    "Date: Sun, 22 Nov 2026 10:11:12 GMT\r\n"
    "Connection: keep-alive\r\n"
    "Server: cloudflare\r\n"
    "CF-RAY: 9a1b2c3d4e5f6789-AMS\r\n"
    "cf-cache-status: DYNAMIC\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    'alt-svc: h3=":443"; ma=86400\r\n'
    "Via: 1.1 google\r\n"
)
OPENAI = (
    "access-control-expose-headers: X-Request-ID\r\n"
    "openai-organization: org-0000000000000000\r\n"
    "openai-processing-ms: 812\r\n"
    "openai-version: 2020-10-01\r\n"
    "x-envoy-upstream-service-time: 830\r\n"
    "x-ratelimit-limit-requests: 10000\r\n"
    "x-ratelimit-limit-tokens: 2000000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\n"
    "x-ratelimit-remaining-tokens: 1999720\r\n"
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
)
ANTHROPIC = (
    "anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n"
    "anthropic-ratelimit-input-tokens-limit: 2000000\r\n"
    "anthropic-ratelimit-input-tokens-remaining: 1999000\r\n"
    "anthropic-ratelimit-input-tokens-reset: 2026-11-22T10:11:13Z\r\n"
    "anthropic-ratelimit-output-tokens-limit: 400000\r\n"
    "anthropic-ratelimit-output-tokens-remaining: 399000\r\n"
    "anthropic-ratelimit-output-tokens-reset: 2026-11-22T10:11:13Z\r\n"
    "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
    "x-robots-tag: none\r\n"
    "x-envoy-upstream-service-time: 830\r\n"
)
CHAT = {
    "id": "chatcmpl-CQ1a2b3c4d5e6f7g8h9i0j",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 211,
        "completion_tokens": 300,
        "total_tokens": 511,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
}
MESSAGE = {
    "id": "msg_01ABCDEFGHIJKLMNOPQRSTUV",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 211,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 300,
        "service_tier": "standard",
    },
}


def plain(extra: str, answer: object) -> bytes:
    """A whole response with its head."""
    body = json.dumps(answer).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode() + (
        (COMMON + extra).encode() + b"\r\n" + body
    )


def chunked(extra: str, events: list[str]) -> list[bytes]:
    """The head of a stream, its events as chunks, and its end."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in (text.encode() for text in events)]
    return [(head + COMMON + extra + "\r\n").encode(), *chunks, b"0\r\n\r\n"]


def chat_events() -> list[str]:
    """A stream of chat completions: role, pieces, finish, usage, end marker."""

    def event(choices: list[object], usage: object = None) -> str:
        frame = {
            "id": CHAT["id"],
            "object": "chat.completion.chunk",
            "created": CHAT["created"],
            "model": CHAT["model"],
            "service_tier": "default",
            "system_fingerprint": CHAT["system_fingerprint"],
            "choices": choices,
            "usage": usage,
            "obfuscation": "p8Q2xLk0",
        }
        return f"data: {json.dumps(frame, separators=(',', ':'))}\n\n"

    def choice(delta: dict[str, object], finish: str | None = None) -> list[object]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    return [
        event(choice({"role": "assistant", "content": "", "refusal": None})),
        *[event(choice({"content": f" piece{number}"})) for number in range(PIECES)],
        event(choice({}, "stop")),
        event([], CHAT["usage"]),
        "data: [DONE]\n\n",
    ]


def message_events() -> list[str]:
    """A stream of messages: start, one block in pieces, stop."""

    def event(kind: str, **fields: object) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, separators=(',', ':'))}\n\n"

    start = {**MESSAGE, "content": [], "stop_reason": None}
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" piece{number}"})
            for number in range(PIECES)
        ],
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 300}),
        event("message_stop"),
    ]


class Route:
    """What one path answers."""

    def __init__(self, path: str) -> None:
        before, _, rest = path.partition("/v1/")
        words = before.split("/")
        anthropic = rest == "messages"
        self.delay = sum(float(word.removeprefix("ms")) for word in words if word.startswith("ms")) / 1000
        self.pace = sum(float(word.removeprefix("pace")) for word in words if word.startswith("pace")) / 1000
        self.plain = plain(ANTHROPIC, MESSAGE) if anthropic else plain(OPENAI, CHAT)
        self.stream = chunked(ANTHROPIC, message_events()) if anthropic else chunked(OPENAI, chat_events())
        self.burst = b"".join(self.stream)


@lru_cache(maxsize=64)
def route(path: bytes) -> Route:
    """The route of a path, built once."""
    return Route(path.decode())


class Provider(asyncio.Protocol):
    """One connection; answers a request as soon as its body is complete."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"\ncontent-length:")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
        chosen = route(head.split(b" ", 2)[1])
        streamed = b'"stream":true' in body or b'"stream": true' in body
        if chosen.delay:
            self.loop.call_later(chosen.delay, self.answer, chosen, streamed)
        else:
            self.answer(chosen, streamed)

    def answer(self, chosen: Route, streamed: bool) -> None:  # noqa: FBT001 - a callback
        """Write the whole answer, or begin to."""
        if self.transport.is_closing():
            return
        if not streamed:
            self.transport.write(chosen.plain)
        elif chosen.pace:
            self.piece(chosen, 0)
        else:
            self.transport.write(chosen.burst)

    def piece(self, chosen: Route, at: int) -> None:
        """Write one piece and come back for the next."""
        if at < len(chosen.stream) and not self.transport.is_closing():
            self.transport.write(chosen.stream[at])
            self.loop.call_later(chosen.pace, self.piece, chosen, at + 1)


def pin(core: int) -> None:
    """Keep client and server out of each other's way where the system allows it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server in a process of its own; gives `http://127.0.0.1:PORT`."""
    command = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - ourselves
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


async def serve() -> None:
    """Serve until standard input ends, which it does when the parent goes, however it goes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    pin(1)
    asyncio.run(serve())

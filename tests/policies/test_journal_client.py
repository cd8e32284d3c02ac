"""What answers say about their price, from the wire to the ledger, in a whole client."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import pytest

import aistrale
from aistrale.cost.book.price_book import price_book
from aistrale.cost.pricing import reprice

OPENAI = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-6-sol",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {"prompt_tokens": 10_000, "completion_tokens": 1000, "total_tokens": 11_000},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "service_tier": "default",
    "output": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        },
    ],
    "usage": {"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000},
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 2390,
        "output_tokens": 121,
        "iterations": [
            {"type": "message", "input_tokens": 1128, "output_tokens": 110},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2518, "output_tokens": 22},
            {"type": "message", "input_tokens": 1262, "output_tokens": 11},
        ],
    },
}
GEMINI = {
    "modelVersion": "gemini-3.5-flash-lite",
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "Hello"}]},
            "finishReason": "STOP",
            "groundingMetadata": {"webSearchQueries": ["a", "b", "c"]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 200, "totalTokenCount": 300},
}
LLAMA = {
    **OPENAI,
    "model": "meta-llama/Llama-3.3-70B-Instruct",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
EU = {"openai": {"api_key": "k", "region": "eu"}}
CASES = [
    ("openai/gpt-6-sol", OPENAI, {}, {}, "0.03"),
    # Asked for as priority, answered as default.
    ("openai/gpt-6-sol", {**OPENAI, "service_tier": "default"}, {}, {}, "0.03"),
    ("openai/gpt-6-sol", {**OPENAI, "service_tier": "flex"}, {}, {}, "0.015"),
    ("openai/gpt-6-sol", OPENAI, {}, EU, "0.033"),
    ("anthropic/claude-sonnet-5", CLAUDE, {}, {}, "0.01913"),
    ("gemini/gemini-3.5-flash-lite", GEMINI, {}, {}, "0.04253"),
    (
        "huggingface/meta-llama/Llama-3.3-70B-Instruct",
        LLAMA,
        {"x-inference-provider": "together"},
        {},
        "0.00156",
    ),
]


def stream_of(body):
    """The same answer in the pieces of a stream."""
    if "candidates" in body:
        return sse(body)
    if body.get("type") == "message":
        start = {**body, "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
        return sse(
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": body["usage"]},
            {"type": "message_stop"},
        )
    head = {key: body[key] for key in ("id", "created", "model", "service_tier") if key in body}
    head["object"] = "chat.completion.chunk"
    delta = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [
        {**head, "choices": [delta]},
        {**head, "choices": [last]},
        {**head, "choices": [], "usage": body["usage"]},
    ]
    return sse(*chunks) + "data: [DONE]\n\n"


def sse(*bodies):
    return "".join(
        (f"event: {body['type']}\n" if "type" in body else "") + f"data: {json.dumps(body)}\n\n" for body in bodies
    )


@pytest.fixture
def client(tmp_path):
    made = []

    def open_client(body, headers, providers):
        def handler(request):
            asked = b'"stream":true' in request.content.replace(b" ", b"") or "alt=sse" in str(request.url)
            kind = "text/event-stream" if asked else "application/json"
            content = stream_of(body) if asked else json.dumps(body)
            return httpx.Response(200, headers={**headers, "content-type": kind}, content=content)

        keys = {name: {"api_key": "k"} for name in ("openai", "anthropic", "gemini", "huggingface")}
        made.append(
            aistrale.Client(
                providers={**keys, **providers},
                transport=httpx.MockTransport(handler),
                http="httpx",
                ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            )
        )
        return made[0]

    yield open_client
    for each in made:
        each.close()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_an_answer_costs_what_it_says(client, case, streamed):
    model, body, headers, providers, expected = case
    opened = client(body, headers, providers)
    if streamed:
        with opened.stream("Hi", model=model) as stream:
            assert "".join(stream.texts()) == "Hello"
        answer = stream.completion
    else:
        answer = opened.run("Hi", model=model)
    assert answer.cost.usd == Decimal(expected)
    assert (answer.cost.book, answer.cost.estimated) == (price_book().label, False)
    assert opened.flush()
    (row,) = opened.ledger.attempts(answer.call_id)
    assert (Decimal(row.cost), row.book) == (answer.cost.usd, answer.cost.book)
    assert reprice(row, price_book()).usd == answer.cost.usd


def test_searches_of_hosted_tools_are_billed(client):
    opened = client(RESPONSE, {}, {"openai": {"api_key": "k", "api": "openai_responses"}})
    answer = opened.run("Hi", model="openai/gpt-5")
    assert answer.cost.usd == Decimal("0.01125")

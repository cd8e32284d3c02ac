"""Every recorded request through the transport: it arrives as it was sent, and its answer comes back as it was given."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from urllib.parse import urlsplit

import pytest

import aistrale
from aistrale.dialects import anthropic_messages, gemini_embed, gemini_generate, openai_chat
from aistrale.dropin.endpoints import is_vendor
from aistrale.dropin.transport import Transport
from aistrale.providers.base import ask_for_usage
from tests.translation import recordings

AGENTS = {"groq": "Groq/Python 1.7.0", "huggingface": "unknown/None; hf_hub/2.4.0; python/3.11"}
BY_CODEC = {
    anthropic_messages: "Anthropic/Python 2.12.0",
    gemini_generate: "google-genai-sdk/3.4.0 gl-python/3.11",
    gemini_embed: "google-genai-sdk/3.4.0 gl-python/3.11",
}


# Streams whose senders count unasked: as their callers have not asked, they are not given the counts.
COUNTED = {"9887e3af0d7f6abc", "1c98f2a095ec8346"}
# The caller hears that it has got nothing; the bare SDKs take such a stream for an answer.
TRUNCATED = {"0ae44f6e83898521"}


def sent_for(one):
    """The request that arrives: where it asks for a stream of OpenAI's, Azure's or Hugging Face's, it asks for counts."""
    document = json.loads(one.request)
    host = urlsplit(one.url).hostname
    if one.codec is openai_chat and document.get("stream") and is_vendor(host):
        return ask_for_usage(document, "openai_chat")
    return document


def exchanges():
    found = [
        one
        for one in recordings.exchanges()
        if one.request and one.url and one.codec is not None and not one.counts_tokens
    ]
    if not found:
        pytest.skip(f"no recorded traffic at {recordings.TRAFFIC}")
    return found


class Upstream:
    """A provider that gives the recorded answer, and keeps what it was asked."""

    def __init__(self, library):
        self.library = library
        self.exchange = None
        self.got = None

    def __call__(self, request):
        self.got = request
        one = self.exchange
        kind = "text/event-stream" if one.streamed and one.status == 200 else "application/json"
        headers = {**{name: value for name, value in one.headers.items() if name != "content-length"}}
        headers["content-type"] = kind
        return self.library.Response(one.status, headers=headers, content=one.response.encode())


def request_of(library, number, one):
    agent = AGENTS.get(one.provider) or BY_CODEC.get(one.codec, "OpenAI/Python 3.54.0")
    headers = {"user-agent": agent, "authorization": f"Bearer key-{number}", "content-type": "application/json"}
    return library.Request("POST", one.url, headers=headers, content=one.request.encode())


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    client = aistrale.Client(ledger="off", retry=False, breaker=False, limits=False)
    yield client._engine
    client.close()


@pytest.mark.parametrize("family", ["httpx", "httpx2"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_is_recorded_goes_out_and_comes_back_as_it_was(engine, family, colour):
    library = pytest.importorskip(family)
    upstream = Upstream(library)
    through = Transport(lambda: engine, library.MockTransport(upstream))
    wrong, seen = {}, Counter()

    async def played(client, request):
        if colour == "sync":
            with client.stream(request.method, request.url, headers=request.headers, content=request.content) as got:
                return got.status_code, b"".join(got.iter_bytes())
        async with client.stream(request.method, request.url, headers=request.headers, content=request.content) as got:
            return got.status_code, b"".join([piece async for piece in got.aiter_bytes()])

    async def everything():
        client = (library.Client if colour == "sync" else library.AsyncClient)(transport=through)
        # A quarter each is enough for every combination of library and colour; together they are all.
        share = ["httpx", "httpx2"].index(family) * 2 + ["sync", "async"].index(colour)
        for number, one in enumerate(exchanges()):
            if number % 4 != share:
                continue
            upstream.exchange, upstream.got = one, None
            status, body = await played(client, request_of(library, number, one))
            seen[one.provider] += 1
            if upstream.got is None or json.loads(upstream.got.content) != sent_for(one):
                wrong[one.ident] = "another request arrived"
            elif str(upstream.got.url) != str(library.URL(one.url)):
                wrong[one.ident] = "another URL"
            elif one.ident in COUNTED:
                chunks = [event for event in one.response.split("\n\n") if '"choices":[]' not in event]
                assert body == "\n\n".join(chunks).encode()
            elif (status, body) != (one.status, one.response.encode()) and one.ident not in TRUNCATED:
                wrong[one.ident] = f"{one.provider} {one.endpoint}: {status} for {one.status}"
        if colour == "sync":
            client.close()
        else:
            await client.aclose()

    asyncio.run(everything())
    assert sum(seen.values()) > 500
    assert wrong == {}

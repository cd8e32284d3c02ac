"""Our own connections under a plain transport of httpx or httpx2, and everything that keeps us from using them."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import weakref

import pytest
import respx

import aistrale
from aistrale.core.exchange import HttpRequest
from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.dropin.shortcut import shortcut
from aistrale.dropin.transport import Transport

httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")
LIBRARIES = [httpx, httpx2]


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def library(request):
    return request.param


def found(transport, *, blocking=True):
    return shortcut(transport.handle_request if blocking else transport.handle_async_request, blocking=blocking)


def test_a_plain_transport_is_stood_in_for_by_one_client_of_ours(library):
    transport = library.HTTPTransport()
    ours = found(transport)
    assert isinstance(ours, SyncHttp)
    assert found(transport) is ours
    assert found(library.HTTPTransport()) is not ours
    assert isinstance(found(library.AsyncHTTPTransport(), blocking=False), AsyncHttp)


def test_its_certificates_are_kept(library):
    context = ssl.create_default_context()
    ours = found(library.HTTPTransport(verify=context))
    assert ours._places.context() is context


def test_what_was_set_up_otherwise_is_left_to_the_library(library):
    class Own(library.HTTPTransport):
        pass

    others = [
        Own(),
        library.HTTPTransport(proxy="http://127.0.0.1:9"),
        library.HTTPTransport(uds="/nowhere"),
        library.HTTPTransport(local_address="127.0.0.1"),
        library.HTTPTransport(retries=2),
        library.HTTPTransport(limits=library.Limits(max_connections=5)),
        library.MockTransport(lambda _: library.Response(200)),
    ]
    assert [found(transport) for transport in others] == [None] * len(others)


def test_what_is_no_bound_method_is_called_as_it_is():
    assert shortcut(lambda request: request, blocking=True) is None


def test_a_mock_that_comes_later_is_noticed_and_one_that_goes_too(library):
    using = "httpcore" if library is httpx else "httpcore2"
    if using == "httpcore2":
        pytest.importorskip("pytest_httpx2", reason="respx knows httpcore2 only through pytest-httpx2")
    transport = library.HTTPTransport()
    ours = found(transport)
    assert ours is not None
    with respx.mock(using=using):
        assert found(transport) is None
    assert found(transport) is ours


def test_a_method_that_was_replaced_is_called(library, monkeypatch):
    transport = library.HTTPTransport()
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda self, request: library.Response(200))
    assert found(transport) is None


def test_our_connections_go_with_the_transport(library):
    transport = library.HTTPTransport()
    ours = weakref.ref(found(transport))
    assert ours() is not None
    del transport
    gc.collect()
    assert ours() is None


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("leave", ["close", "exit"])
def test_our_connections_are_closed_with_the_librarys_and_made_anew_after_that(library, leave, colour, sim):
    transport = library.HTTPTransport() if colour == "sync" else library.AsyncHTTPTransport()
    url = f"{sim.base_url('openai')}/chat/completions"
    asked = HttpRequest("POST", url, [("authorization", "Bearer k")], b'{"model": "m", "messages": []}')
    until = time.monotonic() + 30

    async def body():
        ours = found(transport, blocking=colour == "sync")
        await (await ours.open(asked, connect_until=until, until=until)).read(until)
        assert ours.stats()["idle"] == 1
        if colour == "sync":
            transport.close() if leave == "close" else transport.__exit__()
        else:
            await (transport.aclose() if leave == "close" else transport.__aexit__())
        assert ours.stats()["idle"] == 0
        after = found(transport, blocking=colour == "sync")
        assert after is not ours
        await (await after.open(asked, connect_until=until, until=until)).read(until)
        await after.close()

    asyncio.run(body())


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_call_over_it_is_the_same_call(library, colour, sim):
    client = aistrale.Client(**sim.settings(), ledger="off")
    inner = library.HTTPTransport() if colour == "sync" else library.AsyncHTTPTransport()
    through = Transport(lambda: client._engine, inner)
    url = f"{sim.base_url('openai')}/chat/completions"
    agent = {"user-agent": "OpenAI/Python 3", "x-own": "kept", "authorization": "Bearer k"}
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}

    def check(answer):
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "This is a simulated answer to: Hello"
        assert answer.headers["x-request-id"] == sim.requests[-1].request_id
        assert sim.requests[-1].headers["x-own"] == "kept"

    if colour == "sync":
        with library.Client(transport=through) as http:
            for _ in range(2):
                check(http.post(url, json=body, headers=agent))
            assert found(inner).stats()["reused"] == 1
    else:

        async def twice():
            async with library.AsyncClient(transport=through) as http:
                for _ in range(2):
                    check(await http.post(url, json=body, headers=agent))
                assert found(inner, blocking=False).stats()["reused"] == 1

        asyncio.run(twice())
    client.close()

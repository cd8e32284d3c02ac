"""Other ways than a direct plain connection: TLS, proxies, and transports that the caller brings."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import importlib.util
import ipaddress
import socket
import ssl
import sys
import threading
import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aistrale.core.http import (
    AsyncHttp,
    HttpClosed,
    HttpConnectError,
    HttpDecodeError,
    HttpProtocolError,
    HttpTimeout,
    HttpTLSError,
    SyncHttp,
)
from aistrale.core.proxy import ProxyRules, is_loopback
from aistrale.errors import ConfigurationError

PROMPT = 5.0
MODULES = {"httpx": httpx}
if importlib.util.find_spec("httpx2") is not None:
    MODULES["httpx2"] = importlib.import_module("httpx2")


def make_certificate(path, names, issuer=None):
    """Writes a key and a certificate; gives the certificate and the key to sign others with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(key if issuer is None else issuer[1], hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return certificate, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority: its file, and a function that makes a server's TLS settings."""
    folder = tmp_path_factory.mktemp("tls")
    root = make_certificate(folder / "root.pem", ["root.test"])

    def context_for(*names):
        path = folder / f"{names[0]}.pem"
        make_certificate(path, names, root)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    return folder / "root.pem", context_for


def echo(peer):
    while (request := peer.request()) is not None:
        peer.answer(request.split(b" ", 2)[1])


# TLS.


def test_tls(drive, serve, authority, fetch):
    root, context_for = authority
    server = serve(echo, context_for("127.0.0.1"))

    async def scenario(client):
        for path in (b"/a", b"/b"):
            assert await fetch(client, server.url + path.decode(), body=b"x" * 300_000) == path
        assert (client.stats()["opened"], client.stats()["reused"]) == (1, 1)

    drive(scenario, verify=str(root))


def test_tls_without_verification(drive, serve, authority, fetch):
    server = serve(echo, authority[1]("127.0.0.1"))

    async def scenario(client):
        return await fetch(client, f"{server.url}/x")

    assert drive(scenario, verify=False) == b"/x"


def test_own_tls_settings(drive, serve, authority, fetch):
    root, context_for = authority
    server = serve(echo, context_for("127.0.0.1"))

    async def scenario(client):
        return await fetch(client, f"{server.url}/x")

    assert drive(scenario, verify=ssl.create_default_context(cafile=root)) == b"/x"


def test_authority_from_the_environment(drive, serve, authority, fetch, monkeypatch):
    from aistrale.core import target

    root, context_for = authority
    server = serve(echo, context_for("127.0.0.1"))
    monkeypatch.setattr(target, "_contexts", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(root))

    async def scenario(client):
        return await fetch(client, f"{server.url}/x")

    assert drive(scenario) == b"/x"
    monkeypatch.setattr(target, "_contexts", {})
    with pytest.raises(HttpTLSError):
        drive(scenario, trust_env=False)


def test_clients_share_their_tls_settings(family):
    one, two = SyncHttp(http=family), SyncHttp(http=family)
    assert one._places.context() is two._places.context()
    assert one._places.context() is not SyncHttp(http=family, verify=False)._places.context()


@pytest.mark.parametrize("trouble", ["unknown authority", "wrong name"])
def test_certificate_that_is_not_acceptable(drive, serve, authority, post, trouble):
    root, context_for = authority
    server = serve(echo, context_for("127.0.0.1" if trouble == "unknown authority" else "other.test"))

    async def scenario(client):
        with pytest.raises(HttpTLSError) as caught:
            await post(client, server.url)
        assert (caught.value.phase, caught.value.sent) == ("tls", False)
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert client.stats()["active"] == 0

    drive(scenario, verify=True if trouble == "unknown authority" else str(root))
    assert server.requests == []


def test_server_without_tls(drive, serve, post):
    def script(peer):
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = serve(script)

    async def scenario(client):
        with pytest.raises(HttpTLSError) as caught:
            await post(client, server.url.replace("http:", "https:"))
        assert caught.value.phase == "tls"

    drive(scenario, verify=False)


def test_handshake_cut_off(drive, serve, post):
    server = serve(lambda peer: peer.sock.recv(10))

    async def scenario(client):
        with pytest.raises(HttpConnectError) as caught:
            await post(client, server.url.replace("http:", "https:"))
        assert (caught.value.phase, caught.value.sent) == ("tls", False)
        assert client.stats()["active"] == 0

    drive(scenario, verify=False)


def test_handshake_that_stalls(drive, serve, post):
    server = serve(lambda peer: peer.until_gone())

    async def scenario(client):
        start = time.monotonic()
        with pytest.raises(HttpTimeout) as caught:
            await post(client, server.url.replace("http:", "https:"), connect_within=0.3)
        assert 0.3 <= time.monotonic() - start < PROMPT
        assert (caught.value.phase, caught.value.sent) == ("tls", False)

    drive(scenario, verify=False)


def test_deadline_over_tls(drive, serve, authority, post):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while peer.send(b"x"):
            peer.pause(0.02)

    server = serve(script, authority[1]("127.0.0.1"))

    async def scenario(client):
        response = await post(client, server.url)
        start = time.monotonic()
        with pytest.raises(HttpTimeout):
            await response.read(start + 0.3)
        assert 0.3 <= time.monotonic() - start < PROMPT

    drive(scenario, verify=False)


def test_bytes_beyond_the_body_over_tls(drive, serve, authority, fetch):
    def script(peer):
        peer.request()
        peer.answer(b"%d" % peer.number)
        if peer.number == 0:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            peer.server.sent.release()
        peer.until_gone()

    server = serve(script, authority[1]("127.0.0.1"))
    server.sent = threading.Semaphore(0)

    async def scenario(client):
        assert await fetch(client, server.url) == b"0"
        assert server.sent.acquire(timeout=PROMPT)
        assert await fetch(client, server.url) == b"1"

    drive(scenario, verify=False)


# Proxies.


def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for sock in (source, sink):
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue


def proxy_to(port):
    """A script of a forward and CONNECT proxy that leads everything to one port."""

    def script(peer):
        while (request := peer.request()) is not None:
            method, target, _ = request.split(b" ", 2)
            with socket.create_connection(("127.0.0.1", port)) as origin:
                if method == b"CONNECT":
                    peer.send(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                    back = threading.Thread(target=relay, args=(origin, peer.sock), daemon=True)
                    back.start()
                    relay(peer.sock, origin)
                    back.join(PROMPT)
                    return
                assert target.startswith(b"http://")
                path = b"/" + target.split(b"/", 3)[3]
                origin.sendall(request.replace(target, path, 1))
                peer.send(origin.recv(65536))

    return script


def test_plain_request_through_a_proxy(drive, serve, echo_server, fetch):
    proxy = serve(proxy_to(echo_server.port))

    async def scenario(client):
        for path in ("a", "b"):
            assert await fetch(client, f"http://origin.test/{path}") == b"/" + path.encode()
        assert (client.stats()["opened"], client.stats()["reused"]) == (1, 1)

    drive(scenario, proxy=f"http://us%40er:p%3Ass@127.0.0.1:{proxy.port}")
    assert proxy.requests[0].startswith(b"POST http://origin.test:80/a HTTP/1.1\r\nHost: origin.test\r\n")
    assert b"Proxy-Authorization: Basic dXNAZXI6cDpzcw==" in proxy.requests[0]


def test_tls_through_a_proxy(drive, serve, authority, fetch):
    root, context_for = authority
    origin = serve(echo, context_for("origin.test"))
    proxy = serve(proxy_to(origin.port))

    async def scenario(client):
        for path in ("a", "b"):
            assert await fetch(client, f"https://origin.test/{path}") == b"/" + path.encode()
        assert (client.stats()["opened"], client.stats()["reused"]) == (1, 1)

    drive(scenario, verify=str(root), proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
    assert proxy.requests[0].split(b"\r\n")[:3] == [
        b"CONNECT origin.test:443 HTTP/1.1",
        b"Host: origin.test:443",
        b"Proxy-Authorization: Basic dXNlcjpwYXNz",
    ]
    assert b"Proxy-Authorization" not in origin.requests[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "status 407"),
        (b"SSH-2.0\r\n\r\n", "HTTP"),
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "endless"),
    ],
)
def test_proxy_that_declines(drive, serve, post, answer, message):
    def script(peer):
        peer.request()
        peer.send(answer)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.until_gone()

    proxy = serve(script)

    async def scenario(client):
        with pytest.raises(HttpConnectError, match=message) as caught:
            await post(client, "https://origin.test/")
        assert not caught.value.sent
        assert client.stats()["active"] == 0

    drive(scenario, verify=False, proxy=f"http://user:secret@127.0.0.1:{proxy.port}")


def test_proxy_that_stalls(drive, serve, post):
    proxy = serve(lambda peer: peer.until_gone())

    async def scenario(client):
        start = time.monotonic()
        with pytest.raises(HttpTimeout):
            await post(client, "https://origin.test/", connect_within=0.3)
        assert 0.3 <= time.monotonic() - start < PROMPT

    drive(scenario, verify=False, proxy=f"http://127.0.0.1:{proxy.port}")


def test_loopback_never_goes_through_a_proxy(drive, echo_server, fetch, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def scenario(client):
        return await fetch(client, f"{echo_server.url}/direct")

    assert drive(scenario) == b"/direct"
    assert drive(scenario, proxy="http://127.0.0.1:1") == b"/direct"


def test_proxy_of_the_environment_is_read_once(drive, serve, echo_server, fetch, monkeypatch):
    proxy = serve(proxy_to(echo_server.port))
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")

    async def scenario(client):
        monkeypatch.delenv("HTTP_PROXY")
        return await fetch(client, "http://origin.test/x")

    assert drive(scenario) == b"/x"


def test_proxy_with_tls_goes_through_the_library(drive, serve, authority, echo_server, fetch):
    proxy = serve(proxy_to(echo_server.port), authority[1]("127.0.0.1"))

    async def scenario(client):
        return await fetch(client, "http://origin.test/x")

    assert drive(scenario, verify=False, proxy=f"https://127.0.0.1:{proxy.port}") == b"/x"


def test_socks_proxy_without_the_package_for_it(drive, post, monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)

    async def scenario(client):
        with pytest.raises(ConfigurationError, match="socksio"):
            await post(client, "http://origin.test/")

    drive(scenario, verify=False, proxy="socks5://127.0.0.1:1080")


@pytest.mark.parametrize("proxy", ["ftp://h:1", "h:8080", "http://", "secret"])
def test_proxy_that_is_none(proxy):
    with pytest.raises(ConfigurationError, match=r"^proxy: ") as caught:
        SyncHttp(proxy=proxy)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("http", "a.test", "http://plain:1"),
        ("https", "a.test", "http://secure:2"),
        ("https", "x.internal.test", None),
        ("https", "exact.test", None),
        ("https", "localhost", None),
        ("https", "api.localhost", None),
        ("https", "127.9.9.9", None),
        ("https", "::1", None),
    ],
)
def test_rules_of_the_environment(monkeypatch, scheme, host, expected):
    monkeypatch.setenv("http_proxy", "http://plain:1")
    monkeypatch.setenv("https_proxy", "http://secure:2")
    monkeypatch.setenv("no_proxy", ".internal.test, exact.test")
    assert ProxyRules(None, trust_env=True).proxy_for(scheme, host) == expected
    assert ProxyRules(None, trust_env=False).proxy_for(scheme, host) is None


@pytest.mark.parametrize("host", ["127.example.com", "localhost.example.com", "10.0.0.1", "example.com"])
def test_what_only_looks_like_loopback(host):
    assert not is_loopback(host)


# Transports of the caller.


def mock(family, handler):
    return MODULES[family].MockTransport(handler)


def test_mock_transport(drive, family, fetch):
    seen = []

    def handler(request):
        seen.append(request)
        return MODULES[family].Response(201, headers=[("x-a", "1"), ("x-a", "2")], json={"a": 1})

    async def scenario(client):
        from aistrale.core.http import HttpRequest

        request = HttpRequest("POST", "https://api.test/v1?x=1", [("X-Key", "k"), ("Host", "other")], b"{}")
        response = await client.open(request, connect_until=None, until=None)
        assert response.status == 201
        assert response.headers["x-a"] == "1, 2"
        assert await response.read(None) in (b'{"a":1}', b'{"a": 1}')
        assert await response.next_chunk(None) == b""

    drive(scenario, transport=mock(family, handler))
    (request,) = seen
    assert (request.method, str(request.url), request.content) == ("POST", "https://api.test/v1?x=1", b"{}")
    assert request.headers["host"] == "api.test"
    assert request.headers["accept-encoding"] == "gzip, deflate"
    assert request.headers["x-key"] == "k"
    assert request.headers["content-length"] == "2"


def test_library_is_recognised_by_the_transport(drive, family, post):
    """A transport of one library is served with its own classes although the client prefers the other."""
    other = "httpx" if family == "httpx2" else "httpx2"
    pytest.importorskip(other, reason=f"{other} is not installed in this environment")
    module = MODULES[other]

    def handler(request):
        assert isinstance(request, module.Request)
        return module.Response(204)

    class Mine(module.MockTransport):
        pass

    async def scenario(client):
        return (await post(client, "http://api.test/")).status

    assert drive(scenario, transport=Mine(handler)) == 204


def test_streams_of_a_transport(drive, family, colour, post):
    module = MODULES[family]
    closed = []

    class Stream(module.SyncByteStream, module.AsyncByteStream):
        def __iter__(self):
            yield from (b"one", b"", b"two")

        async def __aiter__(self):
            for piece in (b"one", b"", b"two"):
                yield piece

        def close(self):
            closed.append(colour)

        async def aclose(self):
            closed.append(colour)

    def handler(request):
        return module.Response(200, stream=Stream())

    async def scenario(client):
        response = await post(client, "http://api.test/")
        assert await response.next_chunk(time.monotonic() + PROMPT) == b"one"
        assert await response.next_chunk(None) == b"two"
        assert await response.next_chunk(None) == b""
        response = await post(client, "http://api.test/")
        await response.close()

    drive(scenario, transport=mock(family, handler))
    assert closed == [colour, colour]


def test_coded_answer_of_a_transport(drive, family, fetch):
    def handler(request):
        body = gzip.compress(b"text") if request.url.path == "/good" else b"broken"
        return MODULES[family].Response(
            200, headers={"content-encoding": "gzip"}, stream=MODULES[family].ByteStream(body)
        )

    async def scenario(client):
        assert await fetch(client, "http://api.test/good") == b"text"
        with pytest.raises(HttpDecodeError):
            await fetch(client, "http://api.test/bad")

    drive(scenario, transport=mock(family, handler))


@pytest.mark.parametrize(
    ("name", "kind", "phase", "sent"),
    [
        ("ConnectError", HttpConnectError, "connect", False),
        ("ConnectTimeout", HttpTimeout, "connect", False),
        ("PoolTimeout", HttpTimeout, "connect", False),
        ("ProxyError", HttpConnectError, "connect", False),
        ("ReadTimeout", HttpTimeout, "headers", True),
        ("WriteTimeout", HttpTimeout, "write", True),
        ("ReadError", HttpClosed, "headers", True),
        ("WriteError", HttpClosed, "headers", True),
        ("RemoteProtocolError", HttpProtocolError, "headers", True),
    ],
)
def test_errors_of_a_transport(drive, family, post, name, kind, phase, sent):  # noqa: PLR0917
    def handler(request):
        raise getattr(MODULES[family], name)("detail of the answer")

    async def scenario(client):
        with pytest.raises(kind) as caught:
            await post(client, "http://user.test/")
        assert (caught.value.phase, caught.value.sent) == (phase, sent)
        assert "detail" not in str(caught.value)

    drive(scenario, transport=mock(family, handler))


def test_errors_of_a_stream(drive, family, post):
    module = MODULES[family]

    class Stream(module.SyncByteStream, module.AsyncByteStream):
        def __iter__(self):
            yield b"one"
            raise module.ReadError("gone")

        async def __aiter__(self):
            yield b"one"
            raise module.ReadError("gone")

    async def scenario(client):
        response = await post(client, "http://api.test/")
        assert await response.next_chunk(None) == b"one"
        with pytest.raises(HttpClosed) as caught:
            await response.next_chunk(None)
        assert caught.value.phase == "body"

    drive(scenario, transport=mock(family, lambda request: module.Response(200, stream=Stream())))


def test_mistakes_of_a_mock_are_seen(drive, family, post):
    def handler(request):
        raise AssertionError("the test's own assertion")

    async def scenario(client):
        with pytest.raises(AssertionError, match="own"):
            await post(client, "http://api.test/")

    drive(scenario, transport=mock(family, handler))


def test_real_transport_of_the_library(drive, family, colour, echo_server, fetch):
    module = MODULES[family]
    transport = module.HTTPTransport() if colour == "blocking" else module.AsyncHTTPTransport()

    async def scenario(client):
        try:
            for path in ("a", "b"):
                assert await fetch(client, f"{echo_server.url}/{path}") == b"/" + path.encode()
        finally:
            if colour == "blocking":
                transport.close()
            else:
                await transport.aclose()

    drive(scenario, transport=transport)
    assert echo_server.connections == 1


def test_deadline_of_an_async_transport(family, post):
    async def handler(request):
        await asyncio.sleep(60)

    async def main():
        client = AsyncHttp(http=family, transport=mock(family, handler))
        start = time.monotonic()
        with pytest.raises(HttpTimeout):
            await post(client, "http://api.test/", within=0.2)
        assert 0.2 <= time.monotonic() - start < PROMPT
        await client.close()

    asyncio.run(main())


def test_deadline_is_handed_to_a_blocking_transport(family, post, run_blocking):
    def handler(request):
        seen.update(request.extensions["timeout"])
        return MODULES[family].Response(200)

    seen = {}
    client = SyncHttp(http=family, transport=mock(family, handler))
    run_blocking(post(client, "http://api.test/", within=3.0, connect_within=1.0))
    assert 2.0 < seen["read"] <= 3.0
    assert 0.0 < seen["connect"] <= 1.0


@pytest.mark.parametrize(("client", "method"), [(SyncHttp, "handle_request"), (AsyncHttp, "handle_async_request")])
def test_object_that_is_no_transport(client, method):
    with pytest.raises(TypeError, match=method):
        client(transport=object())


def test_respx_sees_our_requests(drive, fetch):
    """Applications that mock the HTTP library in their tests need no transport of ours."""
    import respx

    async def scenario(client):
        with respx.mock(using="httpcore") as router:
            route = router.post("https://api.test/v1").respond(200, json={"mocked": True})
            assert b"mocked" in await fetch(client, "https://api.test/v1", headers=[("X-Key", "k")], body=b"{}")
            assert b"mocked" in await fetch(client, "https://api.test/v1")
        assert route.call_count == 2
        assert route.calls[0].request.headers["x-key"] == "k"
        assert route.calls[0].request.content == b"{}"
        assert client.stats()["idle"] == 0

    drive(scenario, http="httpx")


# What is loaded when.


def test_nothing_of_a_library_is_loaded_before_its_first_use():
    import subprocess

    code = (
        "import sys; from aistrale.core.http import SyncHttp, AsyncHttp; SyncHttp();"
        "print([m for m in ('httpx', 'httpx2', 'httpcore', 'httpcore2', 'h11', 'anyio', 'trio', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""One try over real sockets: what counts, what is not followed, and where it goes."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aistrale.telemetry.webhooks.addresses import Rules, read_rules
from aistrale.telemetry.webhooks.outbound import Outbound
from tests.telemetry.webhooks.receiver import Receiver

HOST = "hooks.example.com"
HEADERS = [("webhook-id", "msg_1")]
LOCAL = Rules(private=True)


def at(address):
    """A name server that says this."""
    return lambda host, port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def post(url, rules=LOCAL, timeout=20.0, body=b"{}", **more):
    out = Outbound(url, rules, **more)
    try:
        return out(HEADERS, body, timeout)
    finally:
        out.close()


def test_it_posts_the_bytes_with_the_headers():
    with Receiver() as receiver:
        answer = post(receiver.url("/hook?team=3"), body=b'{"a":1}', headers=[("authorization", "Bearer x")])
        (got,) = receiver.wait(1)
    assert answer.delivered
    assert (answer.status, answer.error) == (204, None)
    assert 0 < answer.seconds < 20
    assert (got.path, got.body) == ("/hook?team=3", b'{"a":1}')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["authorization"] == "Bearer x"
    assert got.headers["user-agent"].startswith("aistrale/")
    assert "transfer-encoding" not in got.headers


def test_a_connection_serves_several_messages():
    with Receiver() as receiver:
        out = Outbound(receiver.url(), LOCAL)
        assert [out(HEADERS, b"{}", 20.0).status for _ in range(5)] == [204] * 5
        assert out._http.stats()["opened"] == 1
        out.close()
        assert out(HEADERS, b"{}", 20.0).status == 204
        out.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status):
    with Receiver() as inside:

        def redirect(handler):
            handler.send_response(status)
            handler.send_header("location", inside.url("/secret"))
            handler.send_header("content-length", "0")
            handler.end_headers()

        with Receiver(redirect) as receiver:
            answer = post(receiver.url())
        assert (answer.delivered, answer.status) == (False, status)
        assert inside.got == []


def test_an_answer_without_end_is_not_read():
    stop = threading.Event()

    def endless(handler):
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            while not stop.is_set():
                handler.wfile.write(block)
        except OSError:
            pass
        handler.close_connection = True

    with Receiver(endless) as receiver:
        answer = post(receiver.url(), timeout=15.0)
        stop.set()
    assert answer.delivered
    assert answer.seconds < 10


def test_a_head_without_end_is_a_failure():
    stop = threading.Event()

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while not stop.is_set():
                handler.wfile.write(b"x-filler: " + b"y" * 1000 + b"\r\n")
        except OSError:
            pass
        handler.close_connection = True

    with Receiver(endless) as receiver:
        answer = post(receiver.url(), timeout=15.0)
        stop.set()
    assert (answer.status, answer.error) == (None, "HttpProtocolError")


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n", b"x"])
def test_a_receiver_that_is_slow_is_given_up_in_time(drip):
    done = threading.Event()

    def slow(handler):
        handler.wfile.write(drip)
        done.wait(30)
        handler.close_connection = True

    with Receiver(slow) as receiver:
        answer = post(receiver.url(), timeout=0.3)
        done.set()
    assert answer.status is None
    assert answer.error == "HttpTimeout"
    assert answer.seconds < 10


def test_nobody_there_is_a_failure():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        answer = post(f"http://127.0.0.1:{sock.getsockname()[1]}/")
    assert (answer.status, answer.error) == (None, "HttpConnectError")


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120.0), ("0", 0.0), ("-1", None), ("soon", None), ("1e300", None), ("nan", None)]
)
def test_retry_after_is_read_where_it_is_credible(value, seconds):
    def busy(handler):
        handler.send_response(503)
        handler.send_header("retry-after", value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    with Receiver(busy) as receiver:
        assert post(receiver.url()).retry_after == seconds


def test_a_public_name_with_a_private_address_is_not_connected_to():
    with Receiver() as receiver:
        answer = post(
            f"https://{HOST}:{receiver.port}/", rules=read_rules(False, [receiver.port]), resolver=at("127.0.0.1")
        )
        assert (answer.status, answer.error) == (None, "AddressRefused")
        assert receiver.got == []


def test_a_name_that_changes_its_address_is_judged_at_every_connection_and_never_looked_up_twice_for_one():
    asked = []

    def rebinding(host, port):
        asked.append(host)
        # The first answer is let pass, and used; whoever looked again to connect would get the second.
        return at("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(host, port)

    with Receiver() as receiver:
        url = f"http://{HOST}:{receiver.port}/"
        rules = read_rules(["127.0.0.1"])
        out = Outbound(url, rules, resolver=rebinding)
        assert out(HEADERS, b"{}", 20.0).status == 204
        assert asked == [HOST]
        assert receiver.wait(1)[0].headers["host"] == f"{HOST}:{receiver.port}"
        out.close()
        assert out(HEADERS, b"{}", 20.0).error == "AddressRefused"
        assert len(asked) == 2
        assert len(receiver.got) == 1
        out.close()


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with Receiver() as receiver, Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        assert post(f"http://{HOST}:{receiver.port}/", resolver=at("127.0.0.1")).status == 204
        assert proxy.got == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of HOST, self-signed; the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_the_name_stands_in_tls_and_in_the_request_whatever_the_address(certificate):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with Receiver(context=context) as receiver:
        url = receiver.url("/", host=HOST, scheme="https")
        trusting = ssl.create_default_context(cafile=str(certificate))
        assert post(url, resolver=at("127.0.0.1"), verify=trusting).status == 204
        assert names == [HOST]
        assert receiver.got[0].headers["host"] == f"{HOST}:{receiver.port}"
        # Not vouched for, and vouched for under another name.
        assert post(url, resolver=at("127.0.0.1")).error == "HttpTLSError"
        other = receiver.url("/", host="other.example.com", scheme="https")
        assert post(other, resolver=at("127.0.0.1"), verify=trusting).error == "HttpTLSError"
        assert len(receiver.got) == 1


def test_authorities_that_cannot_be_read_are_a_failure_of_the_try(tmp_path):
    answer = post(f"https://{HOST}/", resolver=at("127.0.0.1"), verify=str(tmp_path / "nowhere.pem"))
    assert answer.status is None
    assert answer.error is not None

"""Signatures, against the specification's own examples, the reference library, and everything that is not authentic."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import AistraleError, ConfigurationError
from aistrale.webhooks import ReplayGuard, WebhookVerificationError, new_key_pair, new_secret, sign, verify

NOW = 1_795_000_000
SECRET = "whsec_" + base64.b64encode(b"an invented secret of 32 bytes..").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes......").decode()
BODY = b'{"type":"provider.failed","timestamp":"2026-11-19T01:46:40.123Z","data":{"provider":"openai"}}'


def signed(body=BODY, at=NOW, secret=SECRET, message_id="msg_1"):
    return sign(secret, message_id, at, body)


def reason(body, headers, secret=SECRET, **more):
    with pytest.raises(WebhookVerificationError) as caught:
        verify(body, headers, secret, **{"now": NOW, **more})
    return caught.value.reason


def test_an_authentic_message_is_read():
    message = verify(BODY, signed(), SECRET, now=NOW + 3)
    assert (message.id, message.type, message.data, message.test) == (
        "msg_1",
        "provider.failed",
        {"provider": "openai"},
        False,
    )
    assert message.timestamp == datetime(2026, 11, 19, 1, 46, 40, 123_000, UTC)
    assert message.sent_at == datetime.fromtimestamp(NOW, UTC)


def test_the_scheme_is_that_of_the_specification():
    # A known answer: HMAC-SHA256 over "id.timestamp.body", computed with openssl.
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    headers = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,d5PJaLhU6hQf9TLleqdn97PBQffdITHtAOuMMHkRQ4U=",
    }


def test_the_reference_library_takes_what_we_sign_and_we_take_what_it_signs():
    standardwebhooks = pytest.importorskip("standardwebhooks")
    theirs = standardwebhooks.Webhook(SECRET)
    now = datetime.now(UTC)
    headers = sign([OTHER, SECRET], "msg_1", int(now.timestamp()), BODY)
    assert theirs.verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        theirs.verify(BODY + b" ", headers)
    signature = theirs.sign("msg_2", now, BODY.decode())
    own = {"webhook-id": "msg_2", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert verify(BODY, own, SECRET).id == "msg_2"


@given(body=st.binary(max_size=200), at=st.integers(min_value=0, max_value=9_999_999_999))
def test_the_reference_library_signs_alike_whatever_is_signed(body, at):
    standardwebhooks = pytest.importorskip("standardwebhooks")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    theirs = standardwebhooks.Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), text)
    assert signed(body, at)["webhook-signature"] == theirs


def test_what_is_tampered_with_is_refused():
    headers = signed()
    assert reason(BODY.replace(b"openai", b"gemini"), headers) == "signature"
    assert reason(BODY, {**headers, "webhook-id": "msg_2"}) == "signature"
    assert reason(BODY, {**headers, "webhook-timestamp": str(NOW + 1)}) == "signature"
    assert reason(BODY, headers, OTHER) == "signature"
    parsed = json.dumps(json.loads(BODY)).encode()
    assert parsed != BODY
    assert reason(parsed, headers) == "signature"


@given(at=st.integers(min_value=0, max_value=len(BODY) - 1), bit=st.integers(min_value=0, max_value=7))
def test_every_bit_of_the_body_counts(at, bit):
    changed = bytearray(BODY)
    changed[at] ^= 1 << bit
    assert reason(bytes(changed), signed()) == "signature"


@pytest.mark.parametrize(
    ("away", "fresh"), [(300, True), (301, False), (-300, True), (-301, False), (86400 * 400, False)]
)
def test_five_minutes_are_allowed_in_both_directions(away, fresh):
    headers = signed(at=NOW - away)
    if fresh:
        assert verify(BODY, headers, SECRET, now=NOW).id == "msg_1"
    else:
        assert reason(BODY, headers) == "stale"
    assert verify(BODY, headers, SECRET, now=NOW, tolerance=10**9).id == "msg_1"


@pytest.mark.parametrize("more", [{"now": float("nan")}, {"tolerance": float("nan")}])
def test_a_time_that_is_no_number_lets_nothing_pass(more):
    with pytest.raises(WebhookVerificationError) as caught:
        verify(BODY, signed(), SECRET, **{"now": NOW, **more})
    assert caught.value.reason == "stale"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_or_empty_is_named(name):
    headers = signed()
    without = {key: value for key, value in headers.items() if key != name}
    for bad in (without, {**headers, name: ""}, {**headers, name: "  "}):
        with pytest.raises(WebhookVerificationError, match=name) as caught:
            verify(BODY, bad, SECRET, now=NOW)
        assert caught.value.reason == "headers"
        assert isinstance(caught.value, AistraleError)


@pytest.mark.parametrize("value", ["1e9", "-5", "+5", "nan", "17٣", "1" * 13, "1 2", "0x10", "1795000000.0"])
def test_a_time_that_is_no_whole_number_is_refused(value):
    assert reason(BODY, {**signed(), "webhook-timestamp": value}) == "headers"


@pytest.mark.parametrize(
    "signature",
    ["v1", "v1,", "v1,***", "v2,{}", "v1a,{}", ",{}", "v1,{}x", "v1;{}", "{}", "v1,AAAA", "v1," + "A" * 5000],
)
def test_signatures_that_are_none_are_passed_over(signature):
    text = signed()["webhook-signature"].partition(",")[2]
    assert reason(BODY, {**signed(), "webhook-signature": signature.format(text)}) == "signature"
    both = f"{signature.format(text)} v1,{text}"
    assert verify(BODY, {**signed(), "webhook-signature": both}, SECRET, now=NOW).id == "msg_1"


def test_a_flood_of_signatures_is_not_looked_at():
    good = signed()["webhook-signature"]
    assert reason(BODY, {**signed(), "webhook-signature": "v1,AAAA " * 1000 + good}) == "signature"


def test_secrets_are_rotated_without_a_gap():
    both = sign([OTHER, SECRET], "msg_1", NOW, BODY)
    assert both["webhook-signature"].count("v1,") == 2
    assert verify(BODY, both, SECRET, now=NOW) == verify(BODY, both, OTHER, now=NOW)
    assert verify(BODY, signed(), [OTHER, SECRET], now=NOW).id == "msg_1"


def test_a_pair_of_keys_signs_where_receivers_cannot():
    private, public = new_key_pair()
    headers = sign(private, "msg_1", NOW, BODY)
    assert headers["webhook-signature"].startswith("v1a,")
    assert verify(BODY, headers, public, now=NOW) == verify(BODY, headers, private, now=NOW)
    assert reason(BODY + b" ", headers, public) == "signature"
    assert reason(BODY, headers, new_key_pair()[1]) == "signature"
    with pytest.raises(ConfigurationError, match="public key cannot sign"):
        sign(public, "msg_1", NOW, BODY)
    mixed = sign([SECRET, private], "msg_1", NOW, BODY)
    assert verify(BODY, mixed, SECRET, now=NOW) == verify(BODY, mixed, public, now=NOW)


def test_a_private_key_may_have_its_public_half_behind_it():
    private, public = new_key_pair()
    halves = [base64.b64decode(each.partition("_")[2]) for each in (private, public)]
    long = "whsk_" + base64.b64encode(b"".join(halves)).decode()
    assert verify(BODY, sign(long, "msg_1", NOW, BODY), public, now=NOW).id == "msg_1"


def test_a_symmetric_signature_is_never_taken_for_one_of_a_pair():
    _, public = new_key_pair()
    # Whoever signs with the public key as if it were a shared secret.
    forged = sign("whsec_" + public.partition("_")[2], "msg_1", NOW, BODY)["webhook-signature"]
    assert reason(BODY, {**signed(), "webhook-signature": forged}, public) == "signature"
    assert reason(BODY, {**signed(), "webhook-signature": forged.replace("v1,", "v1a,")}, public) == "signature"


@pytest.mark.parametrize("name", ["Webhook-Id", "WEBHOOK-ID", "HTTP_WEBHOOK_ID", "http-webhook-id"])
def test_headers_are_found_however_a_framework_writes_them(name):
    headers = signed()
    headers[name] = headers.pop("webhook-id")
    assert verify(BODY, headers, SECRET, now=NOW).id == "msg_1"
    pairs = [(key.encode(), value.encode()) for key, value in signed().items()]
    assert verify(BODY, [*pairs, (b"cookie", b"a"), (b"cookie", b"b")], SECRET, now=NOW).id == "msg_1"
    environ = {
        **{f"HTTP_{key.upper().replace('-', '_')}": value for key, value in signed().items()},
        "wsgi.version": (1, 0),
    }
    assert verify(BODY, environ, SECRET, now=NOW).id == "msg_1"


def test_a_header_with_two_values_is_refused():
    pairs = [*signed().items(), ("Webhook-Id", "msg_2")]
    assert reason(BODY, pairs) == "headers"
    assert verify(BODY, [*signed().items(), ("Webhook-Id", "msg_1")], SECRET, now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"type":1,"timestamp":"2026-11-19T01:46:40Z","data":{}}', b"[" * 100_000,
     b'{"type":"a","timestamp":"2026-11-19T01:46:40","data":{}}', b'{"type":"a","timestamp":"soon","data":{}}',
     b'{"type":"a","timestamp":"2026-11-19T01:46:40Z","data":[]}', b'{"type":"a","timestamp":"0001-01-01T00:00:00+14:00","data":{}}'],
)  # fmt: skip
def test_what_is_authentic_but_no_message_says_so(body):
    assert reason(body, signed(body)) == "payload"


@pytest.mark.parametrize("secret", ["whsec_!!!", "", "whsec_", "whpk_AAAA", "whsk_AAAA", [], None, 5])
def test_a_malformed_secret_is_an_error_of_the_settings_that_does_not_quote_it(secret):
    with pytest.raises(ConfigurationError) as caught:
        verify(BODY, signed(), secret, now=NOW)
    assert "AAAA" not in str(caught.value)
    assert "!!!" not in str(caught.value)


def test_short_secrets_are_not_signed_with():
    short = "whsec_" + base64.b64encode(b"23 bytes are not enough").decode()
    with pytest.raises(ConfigurationError, match="23 bytes"):
        sign(short, "msg_1", NOW, BODY)
    long = "whsec_" + base64.b64encode(b"x" * 65).decode()
    with pytest.raises(ConfigurationError, match="65 bytes"):
        sign(long, "msg_1", NOW, BODY)


def test_new_secrets_are_long_and_differ():
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(len(base64.b64decode(each.removeprefix("whsec_"))) == 32 for each in made)


def test_what_came_before_is_refused_once_it_was_authentic():
    guard = ReplayGuard()
    assert reason(BODY, signed(), OTHER, seen=guard) == "signature"
    assert verify(BODY, signed(), SECRET, now=NOW, seen=guard).id == "msg_1"
    assert reason(BODY, signed(at=NOW + 5), seen=guard) == "replayed"
    guard.forget("msg_1")
    assert verify(BODY, signed(), SECRET, now=NOW, seen=guard).id == "msg_1"


def test_the_guard_is_bounded_and_lets_one_of_many_threads_through():
    guard = ReplayGuard(limit=3)
    assert [guard.add(each) for each in "abcda"] == [True, True, True, True, True]
    assert guard.add("d") is False
    new = []
    threads = [Thread(target=lambda: new.append(guard.add("same"))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(new) == [False] * 7 + [True]

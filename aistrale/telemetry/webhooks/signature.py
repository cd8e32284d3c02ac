"""Signatures of webhooks, both sides: Standard Webhooks 1.0.0, symmetric (`v1`) and asymmetric (`v1a`).

What is signed is `{id}.{timestamp}.{body}`, the body byte for byte as it is sent. A receiver that has parsed it and
written it anew has other bytes and so another signature: give `verify` what came over the wire.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

from aistrale.errors import ConfigurationError, WebhookVerificationError
from aistrale.providers.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aistrale.types import JSONObject

TOLERANCE: Final = 300.0
"""Seconds that a message's time may lie in the past or in the future."""

SYMMETRIC: Final = "whsec_"
SIGNING: Final = "whsk_"
PUBLIC: Final = "whpk_"

_HINT: Final = "`aistrale webhooks secret` makes a new one."
# The specification: at least 24 bytes, at most 64. Receivers take what their sender has given them.
_LEAST, _MOST = 24, 64
_KEY_SIZE: Final = 32
# Rotation needs two; more than these are somebody's attempt to have us compute.
_SIGNATURES: Final = 20
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")

Headers: TypeAlias = "Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]"
Secrets: TypeAlias = "str | Secret | Sequence[str | Secret]"


class Key(Protocol):
    """One key of a sender or a receiver."""

    version: str

    def sign(self, content: bytes) -> bytes:
        """The signature; ValueError where the key can only verify."""
        ...

    def fits(self, content: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        ...


class _Shared:
    version = "v1"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, hashlib.sha256).digest()

    def fits(self, content: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(content), signature)


class _Pair:
    """Ed25519; `private` is the seed, None where only the public half is known."""

    version = "v1a"

    def __init__(self, private: bytes | None, public: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

        self._private = None if private is None else Ed25519PrivateKey.from_private_bytes(private)
        self._public = (
            Ed25519PublicKey.from_public_bytes(public or b"") if self._private is None else self._private.public_key()
        )

    def sign(self, content: bytes) -> bytes:
        if self._private is None:
            raise ValueError("a public key cannot sign")
        return self._private.sign(content)

    def fits(self, content: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._public.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def public(self) -> bytes:
        return self._public.public_bytes_raw()


def read_keys(given: Secrets, *, field: str, signing: bool) -> tuple[Key, ...]:
    """The keys of one or several secrets.

    Args:
        given: "whsec_..." (shared), "whsk_..." (private) or "whpk_..." (public); several for a rotation.
        field: Where they came from, for the error.
        signing: Whether they must be able to sign; a shared one then must be as long as the specification asks for.

    Raises:
        ConfigurationError: There is none, or one is malformed; never quotes it.
    """
    found: tuple[str | Secret, ...] = ()
    if isinstance(given, (str, Secret)):
        found = (given,) if given else ()
    elif isinstance(given, (list, tuple)):
        found = tuple(given)
    if not found:
        # Often a variable that is not set: None.
        raise ConfigurationError(f"{field}: there is no secret", field=field, hint=_HINT)
    return tuple(_read_key(each.reveal() if isinstance(each, Secret) else each, field, signing) for each in found)


def _read_key(text: object, field: str, signing: bool) -> Key:  # noqa: FBT001 - only called above
    if not isinstance(text, str):
        raise ConfigurationError(f"{field}: a secret is text", field=field, hint=_HINT)
    text = text.strip()
    prefix = next((each for each in (SYMMETRIC, SIGNING, PUBLIC) if text.startswith(each)), "")
    data = _decode(text.removeprefix(prefix))
    if data is None:
        raise ConfigurationError(f"{field}: the secret is not in base64", field=field, hint=_HINT)
    if prefix == PUBLIC:
        if signing:
            hint = "The sender needs the private half, whsk_...; the public one is for receivers."
            raise ConfigurationError(f"{field}: a public key cannot sign", field=field, hint=hint)
        if len(data) == _KEY_SIZE:
            return _Pair(None, data)
    elif prefix == SIGNING:
        # Some write the public half behind it.
        if len(data) in {_KEY_SIZE, 2 * _KEY_SIZE}:
            return _Pair(data[:_KEY_SIZE])
    elif (_LEAST if signing else 1) <= len(data) <= (_MOST if signing else len(data)):
        return _Shared(data)
    raise ConfigurationError(
        f"{field}: the secret has {len(data)} bytes; shared ones have {_LEAST} to {_MOST}, keys {_KEY_SIZE}",
        field=field,
        hint=_HINT,
    )


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def new_secret() -> str:
    """A new shared secret, `whsec_...`, of 32 random bytes. Sender and receiver have the same."""
    return SYMMETRIC + base64.b64encode(secrets.token_bytes(_KEY_SIZE)).decode()


def new_key_pair() -> tuple[str, str]:
    """A new pair of Ed25519 keys: the sender's `whsk_...`, and `whpk_...` for receivers, who only verify with it."""
    seed = secrets.token_bytes(_KEY_SIZE)
    public = _Pair(seed).public()
    return SIGNING + base64.b64encode(seed).decode(), PUBLIC + base64.b64encode(public).decode()


def _content(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode(), timestamp, body)


def signature_headers(keys: Sequence[Key], message_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """The three headers of a message; only two where there is no key.

    Args:
        keys: Each signs; during a rotation the new one and the old one.
        message_id: Without a full stop.
        timestamp: Of this attempt, Unix seconds.
        body: As it is sent.
    """
    headers = [("webhook-id", message_id), ("webhook-timestamp", str(timestamp))]
    if keys:
        content = _content(message_id, timestamp, body)
        signed = (f"{key.version},{base64.b64encode(key.sign(content)).decode()}" for key in keys)
        headers.append(("webhook-signature", " ".join(signed)))
    return headers


def sign(secret: Secrets, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of a message: to test a receiver with.

    Args:
        secret: One, or several.
        message_id: Its id, without a full stop.
        timestamp: When it is sent, Unix seconds.
        body: The bytes that are sent.

    Raises:
        ConfigurationError: A secret is malformed.
    """
    keys = read_keys(secret, field="secret", signing=True)
    return dict(signature_headers(keys, message_id, timestamp, body))


# --- the receiver's side ----------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class WebhookMessage:
    """A message that is authentic.

    Args:
        id: The same however often the message is sent: what it is known by if it comes twice.
        type: What happened: "inference.completed", ...
        timestamp: When it happened, aware UTC.
        sent_at: When this attempt was sent, aware UTC.
        data: The facts.
        test: Whether it is a sample that `aistrale webhooks test` has sent.
    """

    id: str
    type: str
    timestamp: datetime
    sent_at: datetime
    data: JSONObject
    test: bool = False


class ReplayGuard:
    """Remembers which messages came, so that each is worked on once; for one process, from any of its threads.

    Several processes need a place that they share: anything that says atomically whether an id is new, such as
    `SET id 1 NX` of Redis or a unique column.

    Args:
        limit: Most ids that are kept, at least 1; the oldest go. About 150 bytes each.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, message_id: str) -> bool:
        """Remember an id; whether it is new."""
        with self._lock:
            if message_id in self._ids:
                return False
            self._ids[message_id] = None
            if len(self._ids) > self._limit:
                del self._ids[next(iter(self._ids))]
            return True

    def forget(self, message_id: str) -> None:
        """Forget an id, since working on its message failed: it will be sent again."""
        with self._lock:
            self._ids.pop(message_id, None)


def verify(
    body: bytes | str,
    headers: Headers,
    secret: Secrets,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
    seen: ReplayGuard | None = None,
) -> WebhookMessage:
    """Check that a webhook is authentic and fresh, and read it.

    Args:
        body: The request's body as it came, not parsed.
        headers: The request's headers, as a mapping or as pairs; case does not matter. Those of WSGI
            (`HTTP_WEBHOOK_ID`) and of ASGI (pairs of bytes) are understood.
        secret: What the sender signs with: `whsec_...`, or the public half `whpk_...` of its key. Several while it is
            changed; one must fit.
        tolerance: Seconds that the message's time may lie in the past or in the future, at least 0. It is the time of
            the attempt: what is sent again is signed again.
        now: Unix seconds; the present by default.
        seen: Refuses a message that came before. Such a one is to be answered with 2xx, or it will be sent again.

    Raises:
        WebhookVerificationError: It must not be worked on; `reason` says why.
        ConfigurationError: The secret is malformed.
    """
    keys = read_keys(secret, field="secret", signing=False)
    raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)
    message_id, timestamp, signatures = _three(headers)
    instant = time.time() if now is None else now
    away = instant - timestamp
    # So that no time passes that is no number.
    if not abs(away) <= tolerance:
        where = f"{abs(away):.0f} s in the {'past' if away > 0 else 'future'}"
        hint = "Look at the clocks of both machines." if abs(away) < 24 * 3600 else None
        raise WebhookVerificationError(
            f"the webhook was sent {where}; {tolerance:g} s are allowed", reason="stale", hint=hint
        )
    content = _content(message_id, timestamp, raw)
    # All are looked at, so that the time taken does not say which fitted.
    fitting = [
        key.fits(content, signature) for version, signature in signatures for key in keys if key.version == version
    ]
    if not any(fitting):
        raise WebhookVerificationError(
            "the webhook has no signature of this secret",
            reason="signature",
            hint="Verify the body as it came, byte for byte, and with the secret of this very endpoint.",
        )
    message = _read(raw, message_id, timestamp)
    if seen is not None and not seen.add(message_id):
        raise WebhookVerificationError(
            "the webhook came before", reason="replayed", hint="Answer with 2xx and do nothing."
        )
    return message


def _three(headers: Headers) -> tuple[str, int, list[tuple[str, bytes]]]:
    """The id, the time and the signatures that the headers tell."""
    found = _lowered(headers)
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not found.get(name)]
    if missing:
        raise WebhookVerificationError(f"the webhook has no header {', '.join(missing)}", reason="headers")
    message_id, timestamp = found["webhook-id"], found["webhook-timestamp"]
    if _ID.fullmatch(message_id) is None:
        raise WebhookVerificationError("the header webhook-id is malformed", reason="headers")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise WebhookVerificationError("the header webhook-timestamp is no whole number of seconds", reason="headers")
    signatures = []
    for entry in found["webhook-signature"].split()[:_SIGNATURES]:
        version, comma, text = entry.partition(",")
        data = _decode(text) if comma else None
        if data is not None:
            signatures.append((version, data))
    return message_id, int(timestamp), signatures


def _lowered(headers: Headers) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    for name, value in pairs:
        key = _text(name).lower().replace("_", "-").removeprefix("http-")
        if not key.startswith("webhook-"):
            continue
        text = _text(value).strip()
        if found.setdefault(key, text) != text:
            # What one part of the way reads first, another reads last.
            raise WebhookVerificationError(f"the header {key} is there twice", reason="headers")
    return found


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read(raw: bytes, message_id: str, timestamp: int) -> WebhookMessage:
    try:
        payload = cast("JSONObject", json.loads(raw))
        kind, data = payload["type"], payload["data"]
        at = datetime.fromisoformat(str(payload["timestamp"]))
        if not isinstance(kind, str) or not isinstance(data, dict) or at.tzinfo is None:
            raise ValueError  # noqa: TRY301 - one message for all that it can be
        at, sent_at = at.astimezone(UTC), datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        raise WebhookVerificationError(
            "the webhook is authentic, but not a JSON object of type, timestamp and data", reason="payload"
        ) from None
    return WebhookMessage(
        id=message_id,
        type=kind,
        timestamp=at,
        sent_at=sent_at,
        data=data,
        test=payload.get("test") is True,
    )

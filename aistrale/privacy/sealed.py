"""Encryption for what privacy keeps: sealed vaults, and tokens that stand in texts.

AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D: at most 2^32 messages with one key). Everything that stands
beside the ciphertext is authenticated with it, each item with its length, so that no two different sets of items are
the same bytes.

`cryptography` is imported inside the functions: it takes a moment to load, and most processes never need it here.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from aistrale.errors import ConfigurationError, DecryptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY_BYTES: Final = 32
PREFIX: Final = "aie1."
"""How every token begins."""

_MAGIC: Final = b"AISV\x01\x01"
_NONCE: Final = 12
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_VERSION: Final = 1
_AES_256_GCM: Final = 1
# No conversation unpacks to more, whatever a blob says.
_MOST_UNPACKED: Final = 512 * 2**20
_MOST_TOKEN: Final = 64 * 2**20


@dataclass(slots=True)
class State:
    """What a vault is made of."""

    secret: bytes
    taken: list[str]
    words: dict[str, str]
    counts: dict[str, int]
    placeholders: dict[tuple[str, str, bool], str]
    forms: dict[tuple[str, str], tuple[str, int, int]]
    fakes: dict[tuple[str, str], str]
    max_entries: int
    max_bytes: int
    used: int


def check_key(key: object) -> bytes:
    """The key, if it is one.

    Raises:
        ConfigurationError: It is not 32 bytes.
    """
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"the key must be {KEY_BYTES} bytes", field="key", hint="Make one with os.urandom(32), and keep it safe."
        )
    return key


def seal(state: Sequence[object], key: bytes, conversation: str) -> bytes:
    """Encrypt a vault's state."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(check_key(key))
    nonce = os.urandom(_NONCE)
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)
    return _MAGIC + nonce + cipher.encrypt(nonce, packed, _bound(_MAGIC, conversation))


def unseal(blob: bytes, key: bytes, conversation: str) -> State:
    """Decrypt a vault's state."""
    check_key(key)
    try:
        return _state(json.loads(_unpacked(blob, key, conversation)))
    except Exception:  # noqa: BLE001 - which step failed is nobody's business
        raise DecryptionError(
            "the sealed vault cannot be opened: its key or conversation is another, or it was changed"
        ) from None


def _unpacked(blob: bytes, key: bytes, conversation: str) -> bytes:
    if not blob.startswith(_MAGIC):
        raise ValueError
    packed = _open(key, blob[len(_MAGIC) :], _bound(_MAGIC, conversation))
    return zlib.decompressobj().decompress(packed, _MOST_UNPACKED)


def _state(state: list[object]) -> State:
    secret, taken, words, counts, placeholders, forms, fakes, limits = state
    most, size, used = cast("list[int]", limits)
    made = cast("list[tuple[str, str, bool, str]]", placeholders)
    ways = cast("list[tuple[str, str, str, int, int]]", forms)
    return State(
        bytes.fromhex(cast("str", secret)),
        cast("list[str]", taken),
        cast("dict[str, str]", words),
        cast("dict[str, int]", counts),
        {(type_, value, number): placeholder for type_, value, number, placeholder in made},
        {(type_, same): (word, count, many) for type_, same, word, count, many in ways},
        {(type_, value): fake for type_, value, fake in cast("list[tuple[str, str, str]]", fakes)},
        most,
        size,
        used,
    )


def key_id(key: bytes) -> str:
    """What tells keys apart without telling anything about them."""
    return hmac.new(key, b"aistrale key id", sha256).hexdigest()[:8]


def encrypt(value: str, type_: str, key: bytes) -> str:
    """A token that holds a value, and its type, which cannot be exchanged.

    Layout, before base64url: version, algorithm, length and key id, length and type, nonce, ciphertext and tag.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    name = key_id(key).encode()
    kind = type_.encode("utf-8", "surrogatepass")[:255]
    head = bytes((_VERSION, _AES_256_GCM, len(name))) + name + bytes((len(kind),)) + kind
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(check_key(key)).encrypt(nonce, value.encode("utf-8", "surrogatepass"), PREFIX.encode() + head)
    return PREFIX + base64.urlsafe_b64encode(head + nonce + sealed).rstrip(b"=").decode()


def decrypt(token: str, key: bytes | Mapping[str, bytes]) -> str:
    """The value in a token that the mode "encrypt" made.

    Args:
        token: `aie1.` and base64url.
        key: The key; or several, by their key ids.

    Raises:
        ConfigurationError: The key is not one.
        DecryptionError: It is not such a token, it was changed, or the key is another.
    """
    keys = {key_id(check_key(key)): key} if isinstance(key, bytes) else key
    try:
        head, sealed, name = _parts(token)
        found = check_key(keys[name])
        return _open(found, sealed, PREFIX.encode() + head).decode("utf-8", "surrogatepass")
    except ConfigurationError:
        raise
    except (ValueError, KeyError, IndexError):
        raise DecryptionError("the token cannot be opened: its key is another, or it was changed") from None


def _parts(token: str) -> tuple[bytes, bytes, str]:
    """A token's head, what is sealed, and the id of its key."""
    text = token[len(PREFIX) :]
    # Python's decoder passes over what is no base64.
    if len(token) > _MOST_TOKEN or not token.startswith(PREFIX) or _BASE64URL.fullmatch(text) is None:
        raise ValueError
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if (raw[0], raw[1]) != (_VERSION, _AES_256_GCM):
        raise ValueError
    named = 3 + raw[2]
    end = named + 1 + raw[named]
    return raw[:end], raw[end:], raw[3:named].decode()


def _open(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except InvalidTag:
        raise ValueError from None


def _bound(head: bytes, conversation: str) -> bytes:
    name = conversation.encode("utf-8", "surrogatepass")
    return len(head).to_bytes(4, "big") + head + len(name).to_bytes(4, "big") + name

"""Addresses of crypto currencies: those with a checksum, and Ethereum's form."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {character: value for value, character in enumerate(_BASE58)}
# Ripple has the same letters in an order of its own.
_RIPPLE_VALUES: Final = {
    character: value for value, character in enumerate("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz")
}
# What 25 bytes in base58check begin with: Bitcoin, Litecoin, Dogecoin, Dash, Tron. Zcash's have 26 bytes.
_BASE58_SHAPE: Final = re.compile(r"[123mnLMDAX9T][1-9A-HJ-NP-Za-km-z]{24,34}")
_ZCASH_SHAPE: Final = re.compile(r"t[13][1-9A-HJ-NP-Za-km-z]{33}")
_RIPPLE_SHAPE: Final = re.compile(r"r[1-9A-HJ-NP-Za-km-z]{24,34}")
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_VALUES: Final = {character: value for value, character in enumerate(_BECH32)}
_BECH32_SHAPE: Final = re.compile(r"(bc|tb|ltc|addr|cosmos|osmo|stake)1([02-9ac-hj-np-z]{14,100})")
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS: Final = frozenset({1, 0x2BC830A3})
_HEX_SHAPE: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_CUES: Final = cues(
    "wallet wallets address eth ethereum ether erc bsc polygon token usdt usdc crypto send metamask contract",
)
_OTHERS: Final = cues("sha hash commit digest")


class Crypto:
    """Addresses to which crypto currencies are sent."""

    name = "crypto"
    types = ("CRYPTO",)
    triggers = Triggers(tokens=range(25, 110))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The address that a word is."""
        value = candidate.value
        if not _is_address(value):
            if _HEX_SHAPE.fullmatch(value) is None or candidate.near(_OTHERS) or len(set(value.lower())) < 8:
                return ()
            score = 0.85 if candidate.near(_CUES) else 0.5
            return (Finding(candidate.start, candidate.end, "CRYPTO", score, self.name),)
        return (Finding(candidate.start, candidate.end, "CRYPTO", 1.0, self.name),)


def _is_address(value: str) -> bool:
    if _BASE58_SHAPE.fullmatch(value):
        return _base58check(value, _BASE58_VALUES, 25)
    if value[0] == "t" and _ZCASH_SHAPE.fullmatch(value):
        return _base58check(value, _BASE58_VALUES, 26)
    if value[0] == "r" and _RIPPLE_SHAPE.fullmatch(value):
        return _base58check(value, _RIPPLE_VALUES, 25)
    lower = value.lower()
    match = _BECH32_SHAPE.fullmatch(lower)
    return match is not None and value in (lower, value.upper()) and _bech32(match.group(1), match.group(2))


def _base58check(value: str, values: dict[str, int], size: int) -> bool:
    """Whether the last four of so many bytes are the first of the double SHA-256 of the others."""
    number = 0
    for character in value:
        number = number * 58 + values[character]
    if number.bit_length() > size * 8:
        return False
    data = number.to_bytes(size, "big")
    # Each leading zero byte is one leading first letter, and there are no others.
    first = next(iter(values))
    if len(value) - len(value.lstrip(first)) != len(data) - len(data.lstrip(b"\0")):
        return False
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _bech32(prefix: str, data: str) -> bool:
    """Whether the last six characters are the checksum of Bech32 or Bech32m (BIP 173, BIP 350)."""
    values = [ord(character) >> 5 for character in prefix]
    values.append(0)
    values += [ord(character) & 31 for character in prefix]
    values += [_BECH32_VALUES[character] for character in data]
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                checksum ^= generator
    return checksum in _BECH32_ENDS


RECOGNIZERS = (Crypto(),)

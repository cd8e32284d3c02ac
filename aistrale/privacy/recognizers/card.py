"""Payment card numbers (ISO/IEC 7812: 12 to 19 digits, issuer's prefix, Luhn check digit)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.checksums import luhn
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_CUES: Final = cues(
    "card cards credit debit visa mastercard maestro amex discover diners jcb unionpay mir rupay elo cc pan ccn",
    "cvv cvc karte kreditkarte carte tarjeta carta cartão kaart kart kort karta payment charge charged",
)
_CARD: Final = cues(
    "card cards credit debit kreditkarte karte carte tarjeta carta cartão kaart kort karta cc",
)
_OTHERS: Final = cues("imei iccid isbn ean gtin upc barcode tracking")
# Each row: lengths, and prefixes of those issuers: single ones or ranges with equally many digits.
_ISSUERS: Final = (
    (frozenset({13, 16, 19}), ("4",)),  # Visa
    (frozenset({16}), ("51-55", "2221-2720")),  # Mastercard
    (frozenset({15}), ("34", "37")),  # American Express
    (frozenset({14, 15, 16, 17, 18, 19}), ("36", "300-305", "3095", "38-39")),  # Diners Club
    (frozenset({16, 17, 18, 19}), ("6011", "644-649", "65")),  # Discover
    (frozenset({16, 17, 18, 19}), ("35",)),  # JCB
    (frozenset({15}), ("2131", "1800")),  # JCB
    (frozenset({16, 17, 18, 19}), ("62", "81")),  # UnionPay, RuPay
    (frozenset({16}), ("60", "82", "508", "353", "356")),  # RuPay
    (frozenset({16, 17, 18, 19}), ("2200-2204",)),  # Mir
    (frozenset({16}), ("9792",)),  # Troy
    (frozenset({16}), ("4011", "4312", "4389", "4514", "4576", "5041", "5066-5067", "509", "6277", "6362-6363")),  # Elo
    (
        frozenset({16, 18, 19}),
        ("6334", "6767", "4903", "4905", "4911", "4936", "564182", "633110", "6333", "6759"),
    ),  # Switch, Solo
    (
        frozenset({12, 13, 14, 15, 16, 17, 18, 19}),
        ("50", "56-58", "63", "67", "6040-6099", "61", "66", "68-69"),
    ),  # Maestro
    (frozenset({16}), ("6304", "6706", "6709", "6771")),  # Laser
    (frozenset({16}), ("5019", "4571")),  # Dankort
    (frozenset({16}), ("636", "637-639")),  # InstaPayment, InterPayment
    (frozenset({15}), ("1",)),  # UATP
)
# Numbers of these lengths and issuers are often something else: article numbers, ids, phone numbers.
_WEAK_LENGTHS: Final = frozenset({12, 13, 17, 18})
_GROUPED: Final = re.compile(
    r"(?<!\d)(?:"
    r"\d{4}([ .-])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?"
    r"|\d{4}([ .-])\d{6}\2\d{4,5}"
    r"|\d{3}([ .-])\d{3}\3\d{3}\3\d{3}(?:\3\d{3}(?:\3\d{3}(?:\3\d)?)?)?"
    r"|\d{4}([ .-])\d{4}\4\d{5}"
    r"|\d{6}([ .-])\d{6,13}"
    r"|\d{8}([ .-])\d{8}"
    r"|\d([ .-])\d(?:\7\d){10,17}"
    r"|\d{12,19}"
    r")(?!\d)"
)
# A longer row of numbers is a table.
_LONGEST_ROW: Final = 100
_MOST_DIGITS: Final = 19
_STRIP: Final = str.maketrans("", "", " .-")


def _prefixes() -> dict[int, frozenset[str]]:
    """For each length the prefixes that a card of that length may have."""
    found: dict[int, set[str]] = {}
    for lengths, ranges in _ISSUERS:
        for one in ranges:
            least, _, most = one.partition("-")
            for length in lengths:
                found.setdefault(length, set()).update(map(str, range(int(least), int(most or least) + 1)))
    return {length: frozenset(prefixes) for length, prefixes in found.items()}


_PREFIXES: Final = _prefixes()


class Card:
    """Card numbers, bare or in groups."""

    name = "card"
    types = ("CREDIT_CARD",)
    triggers = Triggers(digits=range(12, 20))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The card numbers in a number."""
        digits, start, end = candidate.digits, candidate.start, candidate.end
        if len(digits) == end - start:
            score = _score(candidate, digits) if _may_begin(candidate.text, start) else 0.0
            return (Finding(start, end, "CREDIT_CARD", score, self.name),) if score else ()
        if end - start > _LONGEST_ROW or (len(digits) > _MOST_DIGITS and end - start >= 2 * len(digits) - 1):
            # The latter: single digits, more of them than a card has.
            return ()
        found = []
        text = candidate.text
        done = start - 1
        for match in _GROUPED.finditer(text, start, end):
            score = _score(candidate, match.group().translate(_STRIP))
            # What comes right after a card is the next one.
            if score and not _continues(text, match, start if match.start() - 1 != done else match.start(), end):
                done = match.end()
                found.append(Finding(match.start(), match.end(), "CREDIT_CARD", score, self.name))
        return found


def _score(candidate: Candidate, digits: str) -> float:
    """How sure it is that these digits are a card's; 0 for no card."""
    length = len(digits)
    prefixes = _PREFIXES.get(length)
    if prefixes is None or not luhn(digits) or not _OTHERS.isdisjoint(candidate.said) or len(set(digits)) < 2:
        return 0.0
    if not (
        digits[:1] in prefixes
        or digits[:2] in prefixes
        or digits[:4] in prefixes
        or digits[:3] in prefixes
        or digits[:6] in prefixes
    ):
        # Shops, banks and test data have prefixes of their own.
        return 0.85 if candidate.near(_CARD) else 0.0
    if length in _WEAK_LENGTHS or (length < 16 and digits[0] in "1256"):
        return 1.0 if candidate.near(_CUES) else 0.5 if candidate.alone else 0.0
    return 1.0


def _may_begin(text: str, start: int) -> bool:
    """Whether what stands before lets a number begin here: not the fraction `0.4111...` or `,4111...`."""
    return not start or text[start - 1] not in ".," or not (start > 1 and text[start - 2].isdigit())


def _continues(text: str, match: re.Match[str], start: int, end: int) -> bool:
    """Whether it is only a part of a longer number: of a fraction, or of a row of groups like its own."""
    first, last = match.span()
    parted = next((group for group in match.groups() if group), "")
    if first > start and (
        text[first - 1] in ".-/" or (parted and text[first - 1] == parted and _group(text, first - 2, -1) == 4)
    ):
        return True
    return last < end and (
        text[last] == "-" or (parted != "" and text[last] == parted and _group(text, last + 1, 1) == 4)
    )


def _group(text: str, at: int, step: int) -> int:
    """How many digits the group has that begins or ends there; at most 5."""
    count = 0
    while count < 5 and 0 <= at < len(text) and text[at].isdigit():
        count += 1
        at += step
    return count


RECOGNIZERS = (Card(),)

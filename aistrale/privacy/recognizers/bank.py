"""Bank accounts without an IBAN: routing numbers and accounts (US), sort codes and accounts (UK)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.checksums import aba
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_ROUTING_CUES: Final = cues("routing aba rtn transit wire ach fedwire deposit bank")
_ROUTING: Final = re.compile(r"(?<![\d-])(?:\d{9}|\d{4}-\d{4}-\d)(?![\d-])")
# Right before the number: `account 123, routing 021000021` has one account.
_ACCOUNT: Final = re.compile(
    r"(?<![a-z])(?:accounts?|acct|acc|a/c)(?:\W{1,3}(?:number|numbers|no|nr|num|id|is|was|of|with|ending)){0,4}\W{0,4}\Z"
)
# What `_ACCOUNT` begins with and what names a sort code: without one of these words there is nothing.
_NAMES: Final = cues("account accounts acct acc c sort sorting sortcode sortcodes")
_NOT_BANK: Final = cues("user twitter github email service aws azure support customer card")
_MOST_DIGITS: Final = 17
_SORT_CUES: Final = frozenset({"sort", "sortcode"})
_SORT: Final = re.compile(r"(?<![\d-])(\d{2}([ -])\d{2}\2\d{2}|\d{6})(?![\d-])")


class Routing:
    """ABA routing numbers: nine digits with a check digit that one number in ten has."""

    name = "aba_routing"
    types = ("ABA_ROUTING_NUMBER",)
    triggers = Triggers(digits=(9,), cues=_ROUTING_CUES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, with words or emptiness around it."""
        digits = candidate.digits
        if len(digits) == 9:
            # 00: the government, 01 to 12: districts, 21 to 32: thrift institutions, 61 to 72: electronic, 80: cheques.
            district = int(digits[:2])
            if not (district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80):
                return ()
            if (
                not aba(digits)
                or digits == "000000000"
                or _ROUTING.fullmatch(candidate.text, candidate.start, candidate.end) is None
            ):
                return ()
            score = 1.0 if candidate.near(_ROUTING_CUES) else 0.5 if candidate.alone else 0.0
            if score:
                return (Finding(candidate.start, candidate.end, "ABA_ROUTING_NUMBER", score, self.name),)
        return ()


class BankAccount:
    """Account numbers behind words that say so: 8 to 17 digits in the United States, 8 in Britain; and sort codes."""

    name = "bank_account"
    types = ("US_BANK_NUMBER", "UK_BANK_ACCOUNT", "UK_SORT_CODE")
    triggers = Triggers(digits=range(6, 18), cues=_NAMES)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number behind such words."""
        start, end, count = candidate.start, candidate.end, len(candidate.digits)
        bare = count == end - start
        if count > _MOST_DIGITS:
            return ()
        if count == 6:
            if "sort" in candidate.before and _SORT.fullmatch(candidate.text, start, end) is not None:
                return (Finding(start, end, "UK_SORT_CODE", 0.85, self.name),)
            return ()
        before = candidate.before
        if count < 8 or ("acc" not in before and "a/c" not in before) or not (bare or _in_groups(candidate.value)):
            return ()
        if _ACCOUNT.search(before) is None or (candidate.near(_NOT_BANK) and not candidate.near(_MONEY)):
            return ()
        kind = "UK_BANK_ACCOUNT" if count == 8 and candidate.near(_SORT_CUES) else "US_BANK_NUMBER"
        return (Finding(start, end, kind, 0.85, self.name),)


_MONEY: Final = frozenset({"bank", "checking", "savings", "routing", "sort"})


def _in_groups(value: str) -> bool:
    """Whether one kind of separator parts it, and not the dots of a version or the slashes of a date."""
    return not ("." in value or "/" in value or "(" in value or ("-" in value and " " in value))


RECOGNIZERS = (Routing(), BankAccount())

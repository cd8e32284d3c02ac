"""Telephone numbers by the plans of all countries, through the library `phonenumbers` (extra `aistrale[phone]`).

Surer than the patterns of `phone` about national numbers, and slower: to be used instead of it, or beside it, by those
who know the regions of their users.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.phone import said_to_be_phone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aistrale.privacy.recognizer import Candidate


class PhoneNumbers:
    """Numbers that exist by their country's plan.

    Args:
        regions: Countries (ISO 3166-1 alpha-2) whose national numbers are known too. Each costs a parse per number.

    Raises:
        ImportError: `phonenumbers` is not installed.
    """

    name = "phone_numbers"
    types = ("PHONE_NUMBER",)
    triggers = Triggers(digits=range(6, 16))

    def __init__(self, regions: Sequence[str] = ("US", "GB", "DE", "FR", "IN")) -> None:
        try:
            self._library = import_module("phonenumbers")
        except ImportError as error:
            message = "PhoneNumbers needs the library phonenumbers; install it with: pip install 'aistrale[phone]'"
            raise ImportError(message) from error
        unknown = sorted(set(regions) - set(self._library.SUPPORTED_REGIONS))
        if unknown:
            message = f"regions: {', '.join(unknown)} is none; use two capital letters, such as US or DE"
            raise ValueError(message)
        self.regions = tuple(regions)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The number, if one of the plans has it."""
        text, start, end = candidate.text, candidate.start, candidate.end
        if len(candidate.digits) > self._longest:
            return ()
        grouped = len(candidate.digits) < end - start
        while start and text[start - 1] in "+(" and candidate.start - start < len("(+"):
            start -= 1
        value = text[start:end]
        if "+" in value:
            return (Finding(start, end, "PHONE_NUMBER", 1.0, self.name),) if self._exists(value, None) else ()
        score = said_to_be_phone(candidate, grouped=grouped) or (0.5 if grouped or candidate.alone else 0.0)
        if not score or not any(self._exists(value, region) for region in self.regions):
            return ()
        return (Finding(start, end, "PHONE_NUMBER", score, self.name),)

    _longest = 15

    def _exists(self, value: str, region: str | None) -> bool:
        try:
            return bool(self._library.is_valid_number(self._library.parse(value, region)))
        except self._library.NumberParseException:
            return False


RECOGNIZERS = ()

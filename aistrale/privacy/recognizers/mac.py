"""Hardware addresses (EUI-48, EUI-64) with colons, dashes or dots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# Each begins with the first separator, which the search jumps to.
_FORMS: Final = (
    (":", 2, re.compile(r":[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){4}(?:(?::[0-9A-Fa-f]{2}){2})?(?![\w:])")),
    ("-", 2, re.compile(r"-[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){4}(?:(?:-[0-9A-Fa-f]{2}){2})?(?!\w|-\w)")),
    (".", 4, re.compile(r"\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?!\w|\.\w)")),
)
_FIRST: Final = {size: re.compile(rf"(?<![\w:.-])[0-9A-Fa-f]{{{size}}}") for size in (2, 4)}


class Mac:
    """Addresses of network cards."""

    name = "mac"
    types = ("MAC_ADDRESS",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All hardware addresses of a text."""
        text = candidate.text
        found = []
        for separator, size, pattern in _FORMS:
            for match in pattern.finditer(text):
                start = match.start() - size
                if start < 0 or _FIRST[size].match(text, start, match.start()) is None:
                    continue
                digits = text[start : match.end()].replace(separator, "")
                # All bits alike are "everybody" and "nobody"; digits alone in dots or dashes are a number in groups.
                if len(set(digits)) < 2 or (separator != ":" and digits.isdigit() and not _named(text, start)):
                    continue
                found.append(Finding(start, match.end(), "MAC_ADDRESS", 0.9, self.name))
        return found


_NAME: Final = re.compile(r"(?:\bmac\b|hardware|physical|ethernet|bssid|wlan|wifi)", re.IGNORECASE)


def _named(text: str, start: int) -> bool:
    return _NAME.search(text, max(0, start - 40), start) is not None


RECOGNIZERS = (Mac(),)

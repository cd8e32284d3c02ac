"""Universally unique identifiers (RFC 9562); they name things as often as persons: not reported by default."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_UUID: Final = re.compile(r"-[0-9A-Fa-f]{4}-[1-8][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}(?![\w-])")
_FIRST: Final = re.compile(r"(?<![\w-])[0-9A-Fa-f]{8}")


class Uuid:
    """UUIDs in their usual form."""

    name = "uuid"
    types = ("UUID",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All UUIDs of a text."""
        text = candidate.text
        return [
            Finding(match.start() - 8, match.end(), "UUID", 0.4, self.name)
            for match in _UUID.finditer(text)
            if match.start() >= 8 and _FIRST.match(text, match.start() - 8, match.start()) is not None
        ]


RECOGNIZERS = (Uuid(),)

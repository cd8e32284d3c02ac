"""E-mail addresses (RFC 5321 section 4.1.2, as far as people use it; internationalised ones by RFC 6531)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import LOOK_BACK, Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_LOCAL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+\Z")
_DOMAIN: Final = re.compile(r"(?:[\w](?:[\w-]{0,61}\w)?\.){1,8}[^\W\d_](?:[\w-]{0,61}\w)?")


class Email:
    """Addresses with a domain."""

    name = "email"
    types = ("EMAIL_ADDRESS",)
    triggers = Triggers(literals=("@",))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The address around an @."""
        text, at = candidate.text, candidate.start
        before = _LOCAL.search(text, max(0, at - LOOK_BACK), at)
        after = _DOMAIN.match(text, at + 1, at + 256)
        if before is None or after is None:
            return ()
        return (Finding(before.start(), after.end(), "EMAIL_ADDRESS", 1.0, self.name),)


RECOGNIZERS = (Email(),)

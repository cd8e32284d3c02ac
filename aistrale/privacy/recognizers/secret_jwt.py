"""JSON Web Tokens (RFC 7519; signed ones by RFC 7515, encrypted ones by RFC 7516)."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# `{"` in base64 is eyJ. An encrypted token has five parts, an unsigned one an empty third.
_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]{7,4096}(?:\.[A-Za-z0-9_-]{0,8192}){1,4}={0,2}")
_LEAST: Final = 10
_FIELDS: Final = (b'"alg"', b'"typ"', b'"enc"', b'"kid"')
_GLUE: Final = frozenset("-_.")


class JsonWebToken:
    """Tokens whose header says by what they are signed; such whose header cannot be read have three parts."""

    name = "secret_jwt"
    types = ("SECRET",)
    triggers = Triggers(literals=("eyJ",))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The token that begins there."""
        text, at = candidate.text, candidate.start
        if at and (text[at - 1].isalnum() or text[at - 1] in _GLUE):
            return ()
        match = _TOKEN.match(text, at)
        if match is None:
            return ()
        dot = text.index(".", at)
        score = 1.0 if _header(text[at:dot]) else 0.85
        if match.end() - dot < _LEAST or (score < 1 and match.group().count(".") < 2):
            return ()
        return (Finding(at, _end(match), "SECRET", score, self.name),)


def _header(part: str) -> bool:
    try:
        header = a2b_base64(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4))
    except Error:
        return False
    return any(field in header for field in _FIELDS)


def _end(match: re.Match[str]) -> int:
    """The end without the full stop of a sentence; an unsigned token ends in one of its own."""
    token = match.group()
    return match.end() - (token.endswith(".") and token.count(".") > 2)


RECOGNIZERS = (JsonWebToken(),)

"""Passwords in URLs and connection strings, and signatures of shared access."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_shape import filler, randomness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# RFC 3986 section 3.2.1, and the characters that people forget to encode. A password holds no slash, or the last @
# would be unknown.
_USERINFO: Final = re.compile(r"[^\s/@:\"'`<>\\]{0,128}(?::(?P<password>[^\s/\"'`<>\\]{1,200}))?@(?=[\w\[.%*$-])")
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9%+/_-]{40,120}={0,2}")
_USER_OPTION: Final = re.compile(r"[ =\t]{0,3}[\"']?[\w.@{}\\-]{1,64}[\"']?:[\"']?(?P<password>[^\s\"'`]{3,128})")
# An address and a password, as lists of leaked ones have them: `jo@example.com:...`, `jo@example.com / ...`.
_COMBINED: Final = re.compile(
    r"@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?:[:|;] ?| / )"
    r"(?P<password>(?=[^\s/]{0,31}?[0-9])(?=[^\s/]{0,31}?[A-Z])(?=[^\s/]{0,31}?[!@#$%^&*?+~])[^\s/\"'`<>]{6,40})"
)
_COMMAND: Final = 400
_LONG: Final = 20


class ConnectionSecret:
    """The password of `scheme://user:password@host` and of `curl -u user:password`, `sig=` of shared access."""

    name = "secret_connection"
    types = ("SECRET", "PASSWORD")
    triggers = Triggers(literals=("://", "@", "&sig=", "curl"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The secret that stands there."""
        text, at, end = candidate.text, candidate.start, candidate.end
        trigger = candidate.value
        if trigger == "://":
            return self._url(text, end)
        if trigger == "@":
            combined = _COMBINED.match(text, at)
            if combined is None:
                return ()
            start, end = combined.span("password")
            return self._both(start, start + len(text[start:end].rstrip(".,;)")))
        if trigger == "&sig=":
            signature = _SIGNATURE.match(text, end)
            return () if signature is None else (Finding(*signature.span(), "SECRET", 0.95, self.name),)
        return self._option(text, end)

    def _option(self, text: str, at: int) -> Iterable[Finding]:
        """The password of curl's option for a user, within the length of a long command."""
        for name in (" -u", " --user"):
            place = text.find(name, at, at + _COMMAND)
            option = _USER_OPTION.match(text, place + len(name)) if place >= 0 else None
            if option is not None and not filler(option["password"]):
                start, end = option.span("password")
                while end - start > 1 and text[end - 1] in "})":
                    end -= 1
                return self._both(start, end)
        return ()

    def _url(self, text: str, at: int) -> Iterable[Finding]:
        user = _USERINFO.match(text, at, at + 330)
        if user is None:
            return ()
        start, end = user.span("password")
        if start < 0:
            name = text[at : user.end() - 1]
            if len(name) < _LONG or not randomness(name):
                return ()
            return (Finding(at, user.end() - 1, "SECRET", 0.85, self.name),)
        return () if filler(text[start:end]) or text[start] in "{$%[(" else self._both(start, end)

    def _both(self, start: int, end: int) -> Iterable[Finding]:
        return (
            Finding(start, end, "SECRET", 1.0, self.name),
            Finding(start, end, "PASSWORD", 1.0, self.name),
        )


RECOGNIZERS = (ConnectionSecret(),)

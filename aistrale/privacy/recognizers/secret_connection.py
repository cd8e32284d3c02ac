"""Passwords in URLs and connection strings, and signatures of shared access."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_companion import COMPANION
from aistrale.privacy.recognizers.secret_shape import filler, naming, randomness, template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# RFC 3986 section 3.2.1, and the characters that people forget to encode. A password holds no slash, or the last @
# would be unknown.
_USERINFO: Final = re.compile(
    r"(?P<user>[^\s/@:\"'`<>\\]{0,128})(?::(?P<password>[^\s/\"'`<>\\]{1,200}))?@(?=[\w\[.%*$-])"
)
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9%+/_-]{40,120}={0,2}")
_USER_OPTION: Final = re.compile(
    r"[ =\t]{0,3}(?P<q>[\"'])?(?P<user>[\w.@{}\\~!$%-]{0,80})[\"']?:"
    r"(?:[\"']?(?P<password>[^\s\"'`]{3,128})|(?(q)[\"']|(?=\s|\Z)))"
)
# Several hosts, each with a user and a password: `user:secret@one:1,user:secret@two:2/...`.
_NEXT_HOST: Final = re.compile(r"@[\w.-]{1,128}(?::\d{1,5})?,([^\s/@:]{1,128}):([^\s/@,]{1,128})(?=@)")
# Where an address and the secrets that open it stand in one string, the address is one half of a pair.
_ENDPOINT: Final = re.compile(
    r"([^\s;\"'`<>]{1,128}+);[ ]?(?:Id=(?P<id>[^\s;\"']{1,80});[ ]?Secret=|SharedAccess|AccessKey=|AccountKey=)"
)
_DIRECTORY: Final = re.compile(
    r"([^\s\"']{1,128})[\"'],\s{0,24}[\"']([^\s\"',]{1,80})[\"'],\s{0,24}[\"']([^\s\"']{4,80})[\"']"
)
# An address and a password, as lists of leaked ones have them: `jo@example.com:...`, `jo@example.com / ...`.
_COMBINED: Final = re.compile(
    r"@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?:[:|;] ?| / )"
    r"(?P<password>(?=[^\s/]{0,31}?[0-9])(?=[^\s/]{0,31}?[A-Z])(?=[^\s/]{0,31}?[!@#$%^&*?+~])[^\s/\"'`<>]{6,40})"
)
_COMMAND: Final = 400
_LONG: Final = 20
_SCHEME: Final = 16
_SEMICOLON: Final = 130
_DIRECTORIES: Final = ("LDAP", "LDAPS", "WINNT")
_SAID: Final = frozenset({"pass", "passwd", "password", "pw", "pwd"})


class ConnectionSecret:
    """The password of `scheme://user:password@host` and of `curl -u user:password`, `sig=` of shared access."""

    name = "secret_connection"
    types = ("SECRET", "PASSWORD")
    triggers = Triggers(literals=("://", "&sig=", "curl"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The secret that stands there."""
        text, end = candidate.text, candidate.end
        trigger = candidate.value
        if trigger == "://":
            return self._url(text, end)
        if trigger == "&sig=":
            signature = _SIGNATURE.match(text, end)
            return () if signature is None else (Finding(*signature.span(), "SECRET", 0.95, self.name),)
        return self._option(text, end)

    def _option(self, text: str, at: int) -> Iterable[Finding]:
        """The user and password of curl's option for them, within the length of a long command."""
        for name in ("-u", "--user"):
            place = text.find(name, at, at + _COMMAND)
            option = _USER_OPTION.match(text, place + len(name)) if place > 0 and text[place - 1].isspace() else None
            if option is None or filler(option["password"] or option["user"]):
                continue
            found = [] if template(option["user"]) else self._user(*option.span("user"))
            if option["password"] is None:
                # A key in place of the user has an empty password.
                return found if _strong(option["user"]) else ()
            start, end = option.span("password")
            while end - start > 1 and text[end - 1] in "})":
                end -= 1
            return (*found, *self._both(start, end))
        return ()

    def _url(self, text: str, at: int) -> Iterable[Finding]:
        user = _USERINFO.match(text, at, at + 330)
        if user is None:
            return self._address(text, at)
        start, end = user.span("password")
        if start < 0:
            name = text[at : user.end() - 1]
            if len(name) < _LONG or not randomness(name):
                return ()
            return (Finding(at, user.end() - 1, "SECRET", 0.85, self.name),)
        if filler(text[start:end]) or text[start] in "{$%[(":
            return ()
        # Documentation says user and password; no one is called so.
        found = [] if text[start:end] in _SAID and naming(user["user"]) else self._user(*user.span("user"))
        while (more := _NEXT_HOST.search(text, start, user.end())) is not None:
            found += [*self._both(start, more.start()), *self._user(*more.span(1))]
            start = more.start(2)
        return (*found, *self._both(start, end))

    def _address(self, text: str, at: int) -> Iterable[Finding]:
        """The address that a key beside it opens, and who opens a directory (LDAP) as programs are told it."""
        endpoint = _ENDPOINT.match(text, at) if text.find(";", at, at + _SEMICOLON) >= 0 else None
        scheme = text[max(0, at - 8) : at - 3].upper()
        if endpoint is None and not scheme.endswith(_DIRECTORIES):
            return ()
        begin = at - 3
        while begin > 0 and at - begin < _SCHEME and text[begin - 1].isalnum():
            begin -= 1
        if endpoint is not None:
            found = self._user(begin, endpoint.end(1))
            return found if endpoint["id"] is None else found + self._user(*endpoint.span("id"))
        directory = _DIRECTORY.match(text, at)
        if directory is None or filler(directory[3]):
            return ()
        return (
            *self._user(begin, directory.end(1)),
            *self._user(*directory.span(2)),
            *self._both(*directory.span(3)),
        )

    def _user(self, start: int, end: int) -> list[Finding]:
        return [Finding(start, end, "SECRET", COMPANION, self.name)] if end > start else []

    def _both(self, start: int, end: int) -> Iterable[Finding]:
        return _password(start, end, self.name)


class LeakedPassword:
    """The password behind an address, as lists of leaked ones have them."""

    name = "secret_leaked"
    types = ("SECRET", "PASSWORD")
    # The pattern begins with the @, which it finds faster than it could be asked about each.
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All of a text."""
        text = candidate.text
        if "@" not in text:
            return ()
        found: list[Finding] = []
        for match in _COMBINED.finditer(text):
            start, end = match.span("password")
            found += _password(start, start + len(text[start:end].rstrip(".,;)")), self.name)
        return found


def _password(start: int, end: int, name: str) -> tuple[Finding, Finding]:
    return Finding(start, end, "SECRET", 1.0, name), Finding(start, end, "PASSWORD", 1.0, name)


def _strong(said: str) -> bool:
    """Whether it has digits and signs or both cases, as what is no name."""
    return len(said) > 7 and any(map(str.isdigit, said)) and not said.isalnum() | said.islower() | said.isupper()


RECOGNIZERS = (ConnectionSecret(), LeakedPassword())

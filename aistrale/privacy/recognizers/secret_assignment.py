"""Secrets that a name gives away: `password = ...`, `"apiKey": "..."`, `--token ...`, "my password is ..."."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_companion import COMPANION, companions, ids
from aistrale.privacy.recognizers.secret_shape import filler, naming, plausible, randomness, template, wordy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_SCORE: Final = 0.85

# What a name contains, in the order in which the text is gone over. Each pass over 100 KB takes some 0.05 ms.
_STEMS: Final = (b"pass", b"pw", b"secret", b"token", b"key", b"auth", b"bearer", b"credential", b"dentified ")
_PASSWORD_STEMS: Final = frozenset({b"pass", b"pw", b"dentified "})

# What makes a stem a word of its own, by stem; from the stem on, without regard to case.
_NAMES: Final = {
    b"pass": re.compile(r"(?i:pass(?:words?|wds?|wort|word_hash|phrase|code|wrd|w)?)(?![a-z]|[A-Z]{2})"),
    b"pw": re.compile(r"(?i:pwd?s?)(?![a-z]|[A-Z]{2})"),
    b"secret": re.compile(r"(?i:secrets?)(?!ar)"),
    b"token": re.compile(r"(?i:tokens?)(?!iz|is)"),
    b"key": re.compile(r"(?i:keys?)(?!(?i:board|word|stone|note|frame|pad|ring|space|error|up|down|press|code))"),
    b"auth": re.compile(r"(?i:auth(?:orization|entication|code|data)?)(?![a-z])"),
    b"bearer": re.compile(r"(?i:bearer)(?![a-z])"),
    b"credential": re.compile(r"(?i:credentials?)(?![a-z])"),
    b"dentified ": re.compile(r"(?i:dentified (?:with [\w'\"]{1,40} )?(?:by|as))(?=[ \t])"),
}

# From a name to its value: the rest of the name, then how the value is tied to it.
_TIE: Final = re.compile(
    r"(?:[.\-][A-Za-z0-9_]{1,24})?+"
    r"(?:"
    r"(?P<assign>\\{0,3}+[\"'`)\]*]{0,3}+[ \t]{0,16}+"
    r"(?::[ \t]{0,2}[A-Za-z_][A-Za-z0-9_\[\].,?]{0,30}+(?: \| ?[A-Za-z]{3,8})?[ \t]?=(?=[ \t]*[^\s=])"
    r"|:=|[=-]>|[=!]={1,2}|=|::?|\uff1a)[ \t]{0,16}+)"
    r"|(?P<attribute>[\"'][ \t]{1,4}(?:value|content|default|defaultValue)[ \t]?=[ \t]?)"
    r"|(?P<element>>)"
    r"|(?P<call>[\"']?(?:[ \t]?,|\)?[ \t]?\()[ \t]{0,8}(?=\\?[\"'`]))"
    r"|(?P<space>[\"']?[ \t]{1,4}"
    r"(?:(?:is|was|are|to|of|as|set to|value|key|for (?:the )?(?:user )?[\"']?[\w.@-]{1,40}[\"']?(?: is)?)[ \t:]{1,4})?"
    # A word of prose is no value: it takes a quote, a digit, a sign or length.
    r"(?=\\{0,3}[\"'`]|[^\s\"'`]{0,31}?[0-9!@#$%^&*?+~]|[^\s\"'`]{16}|(?:[Bb]earer|[Bb]asic|[Tt]oken) ))"
    r")"
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_]*+")
# What there must be at least for a value, by how much the name alone says.
_SOME: Final = re.compile(r"[^A-Za-z0-9\n]{0,8}?[^\s\"'`<>,;&]{3}")
_MORE: Final = re.compile(
    r"[^A-Za-z0-9\n\"'`]{0,8}[rbufNL@]{0,2}"
    r"(?:[\"'`]?[A-Za-z]{3,6}[ \t=]{1,3}[^\s\"'`]{8}|\"{1,3}[^\"\s]{8}|'{1,3}[^'\s]{8}|`[^`\s]{8}|[^\s\"'`<>,;&]{8})"
)
# Names of what is about a secret and none: `password_length`, `tokenCount`, `key_file`.
_REST: Final = re.compile(
    r"(?:(?i:(?<=[_.-])(?:ids?|names?|types?|url|uri|path|files?|count|len|length|size|limit|ttl|expir[a-z]{1,8}|endpoint"
    r"|version|format|algorithm|alg|label|prefix|hint|index|field|column|policy))"
    r"|(?:Ids?|Names?|Types?|Url|Uri|Path|Files?|Count|Length|Size|Limit|Expir[a-z]{1,8}|Endpoint|Version|Format|Label))\Z"
)
_LONG_NAME: Final = 32
_SCHEME: Final = re.compile(r"(?:[Bb]earer|BEARER|[Bb]asic|[Tt]oken|[Aa]pi[Kk]ey|[Dd]igest|Key)(?:[ \t]+|=)")
_OPENING: Final = re.compile(r"(?:[rbufNL@]{0,2}(?=\\{0,3}[\"'`]))?(?P<slashes>\\{0,3})(?P<quote>[\"'`]{0,3})")
# An ampersand ends it where another parameter or an entity follows.
_BARE: Final = re.compile(r"(?:[^\s\"'`<>,;&]{1,512}|&(?![\w-]{1,40}=|amp;|quot;|[lg]t;)){1,4}")
_CALL: Final = re.compile(
    r"[A-Za-z_]\(|[\[{]|\A[$%(]|::|\)\.|\A[A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{0,40}){1,8}\Z(?<!\d\d\d)|->|=>|\|\|"
)
_NAMED: Final = re.compile(r"[A-Za-z_][a-z_]*\d{0,2}")
_DISORDER: Final = re.compile(r"\d[A-Za-z]+\d|[A-Za-z]\d+[A-Za-z]|[A-Za-z]\d{4}|\d[A-Z]{3}")
_SPECIAL: Final = re.compile(r"[!@#$%^&*?+~=]")
# KEY=value of an environment file, and the pairs of a connection string.
_METHOD: Final = re.compile(r"base\d\d|md5|sha\d|utf-?\d|crypt|argon|pbkdf|-character|\d\d-bit")
_KINDS: Final = re.compile(
    r"(?i)(?:api|access|secret|private|auth|client|app|service|master|shared|account|encryption|signing|consumer|licen[cs]e)"
    r"[_\- ]?\Z"
)
_ENVIRONMENT: Final = re.compile(r"(?:^|[\s\"'])[A-Z][A-Z0-9_]{2,48}=\Z")
_PAIRS: Final = re.compile(r"\w=[^;=\n]{1,64};[\w \"'&]{0,40}\Z")
_OPTION: Final = re.compile(r"(?:^|[\s\"'])--?[A-Za-z][\w-]{0,32}\Z")
_LOGIN: Final = re.compile(r"\b(?:login|user)[ \t]+\S{1,64}\s+\Z")
_PAIR: Final = re.compile(r"[^\n]{0,80}?\S@\S{3,64}[ \t]?[/:|][ \t]?(\S{6,64})")
_ARGUMENTS: Final = re.compile(r"s?\([ \t]?[\"']([^\"'\n]{1,64})[\"'],[ \t]{0,4}[\"']([^\"'\s]{4,64})[\"']")
# `--deskey answer-17.bin`: where the key is. `--recv-keys` takes fingerprints.
_FILE: Final = re.compile(r"[\w-]\.[a-z]{2,4}\Z")
_SIGNED: Final = re.compile(r"\w{2,64}[!@#$^&*+~][\w!@#$^&*+~-]{0,64}")
# How much of a value is judged, and how far on the next may begin in a refused one.
_JUDGED: Final = 256
_LONGEST: Final = 2048


class _Value(NamedTuple):
    """What stands at the end of a tie.

    Args:
        start: Where it begins.
        end: Where it ends.
        text: What it says.
        quoted: Whether quotes stand around it.
        tie: By what it is tied to its name: "assign", "attribute", "element", "call", "space".
        scheme: Whether the name of an HTTP authentication scheme stands before it.
    """

    start: int
    end: int
    text: str
    quoted: bool
    tie: str
    scheme: bool


class AssignedSecret:
    """Values of names such as password, secret, token, key and auth."""

    name = "secret_assignment"
    types = ("SECRET", "PASSWORD")
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All of them in a text."""
        text = candidate.text
        found: list[Finding] = []
        identifier = _IDENTIFIER.match
        # Bytes, since lower case keeps their places, and since they are the quickest to search.
        low = text.encode("ascii", "replace").lower()
        for stem in _STEMS:
            at = low.find(stem)
            names = _NAMES[stem]
            while at >= 0:
                done = at + len(stem)
                name = names.match(text, at)
                if name is not None and _begins(text, at, stem, name.end()):
                    done = self._named(text, at, name.end(), stem, found)
                elif text[done : done + 1].isalnum():
                    end = identifier(text, done).end()  # type: ignore[union-attr]  # it matches the empty string
                    done = end if end - at > 2 * _LONG_NAME else done
                at = low.find(stem, done)
        ids(text, low, found)
        return found

    def _named(self, text: str, at: int, end: int, stem: bytes, found: list[Finding]) -> int:
        """Take the value of a name; gives where to go on."""
        if stem == b"credential":
            self._pair(text, end, found)
            return end
        whole = _IDENTIFIER.match(text, end).end()  # type: ignore[union-attr]  # it matches the empty string
        listed = text.startswith(("recv-", "RECV-"), at - 5)
        tie = _TIE.match(text, whole) if whole - end <= _LONG_NAME and not listed else None
        if tie is None or not (_SOME if stem in _PASSWORD_STEMS else _MORE).match(text, tie.end()):
            return whole
        value = _value(text, tie)
        rest = _REST.search(text, end, whole)
        if value is None or (rest is not None and (rest[0].lower() != "id" or randomness(value.text) < 2)):
            return tie.end()
        if stem in _PASSWORD_STEMS:
            behind = found[-1].end if found and found[-1].end <= at else 0
            sure = _is_password(text, at, end, value, stem)
            if sure:
                self._both(value.start, value.end, found)
            companions(text, at, (value.start, value.end), found, behind, sure=sure)
            if sure:
                return value.end
        elif _is_secret(value, _weak(text, at, stem), text):
            behind = found[-1].end if found and found[-1].end <= at else 0
            found.append(Finding(value.start, value.end, "SECRET", _SCORE, self.name))
            companions(text, at, (value.start, value.end), found, behind, sure=True)
            return value.end
        return tie.end() if value.quoted else min(value.end, tie.end() + _JUDGED)

    def _pair(self, text: str, end: int, found: list[Finding]) -> None:
        """Take the second of a pair: `credentials: jo@example.com / ...`, `NetworkCredential("jo", "...")`."""
        pair = _PAIR.match(text, end)
        if pair is not None and _strong(pair[1].rstrip(".,)")):
            start = pair.start(1)
            self._both(start, start + len(pair[1].rstrip(".,)")), found)
        pair = _ARGUMENTS.match(text, end)
        if pair is not None and not filler(pair[2]) and not naming(pair[2]):
            self._both(*pair.span(2), found)
            if not template(pair[1]):
                found.append(Finding(*pair.span(1), "SECRET", COMPANION, self.name))

    def _both(self, start: int, end: int, found: list[Finding]) -> None:
        found.append(Finding(start, end, "SECRET", _SCORE, self.name))
        found.append(Finding(start, end, "PASSWORD", _SCORE, self.name))


def _begins(text: str, at: int, stem: bytes, end: int) -> bool:
    """Whether a stem begins a word, as far as that tells something: not that of "compass"."""
    if at == 0 or stem not in _PASSWORD_STEMS or stem == b"dentified ":
        return True
    before = text[at - 1]
    if not before.isalpha() or (before.islower() and text[at].isupper()):
        return True
    return end - at > len(stem) or text[end : end + 1] in "=:\"'"


def _value(text: str, tie: re.Match[str]) -> _Value | None:
    kind = tie.lastgroup or ""
    start = tie.end()
    scheme = _SCHEME.match(text, start + (text[start : start + 1] in "\"'"))
    if scheme is not None:
        start = scheme.end()
    opening = _OPENING.match(text, start)
    quote = opening["quote"] if opening is not None else ""
    if opening is None or not quote:
        bare = _BARE.match(text, start)
        if bare is None:
            return None
        stop = _trimmed(text, start, bare.end())
        return _Value(
            start,
            stop,
            text[start : min(stop, start + _JUDGED)],
            scheme is not None and tie[0][-1:] in "\"'",
            kind,
            scheme is not None,
        )
    start = opening.end()
    stop = text.find(opening["slashes"] + quote, start, start + _LONGEST)
    if stop < 0 or "\n" in text[start:stop]:
        return None
    return _Value(
        start, stop, text[start : min(stop, start + _JUDGED)], quoted=True, tie=kind, scheme=scheme is not None
    )


def _trimmed(text: str, start: int, end: int) -> int:
    """The end of a bare value without what closes or ends what it stands in."""
    while end > start + 1 and (
        text[end - 1] in ".:\\"
        or (text[end - 1] in ")]}" and text.find("([{"[")]}".index(text[end - 1])], start, end) < 0)
    ):
        end -= 1
    return end


def _is_password(text: str, at: int, end: int, value: _Value, stem: bytes) -> bool:
    """Whether people would use it as a password, by how firmly it is tied to a name that says so."""
    said = value.text
    if (
        len(said) < 4
        or filler(said)
        or naming(said)
        or "://" in said
        or (said[0] in "/-\\<" and not _SPECIAL.search(said))
    ):
        return False
    if value.tie == "space" and stem != b"dentified ":
        return _told(text, at, end, value)
    if value.quoted:
        if " " in said:
            return said.count(" ") < 3 and _strong(said) and said[-1] not in ".:!?"
        if _NAMED.fullmatch(said) is not None:
            return value.tie in ("assign", "attribute") and len(said) > (5 if _mixed(said) else 6) and "_" not in said
        tied = value.tie == "assign" and (not wordy(said) or _SIGNED.fullmatch(said) is not None)
        return tied or _strong(said) or _mixed(said) or plausible(said, 12)
    if _CALL.search(said):
        return False
    if value.tie == "assign":
        before = text[max(0, value.start - 96) : value.start]
        if _ENVIRONMENT.search(before) or (
            text.startswith(";", value.end) and _PAIRS.search(text, max(0, at - 96), at)
        ):
            return True
        # `password=args1)` is a name in a program; `password: hunter2` and `password=hunter2` on a line's end are none.
        named = _NAMED.fullmatch(said) is not None and not _ends(text, value)
        return _strong(said) or (_mixed(said) and not named)
    return value.tie == "element" or (stem == b"dentified " and _mixed(said)) or _strong(said)


def _ends(text: str, value: _Value) -> bool:
    """Whether a bare value is tied as in a configuration and ends as one does there."""
    tied = text[value.start - 1 : value.start] == "=" or text[value.start - 2 : value.start] == ": "
    return tied and (value.end == len(text) or text[value.end] in " \t\r\n&;")


def _told(text: str, at: int, end: int, value: _Value) -> bool:
    """Whether a password stands after the word with nothing but a space or "is" between: prose, options, SQL."""
    said = value.text
    if end - at == len("pass") and not _mixed(said):
        return False
    if value.quoted:
        firm = text[at] == "P" or text.find(" is ", end, value.start) >= 0
        return (" " not in said or _strong(said)) and (_strong(said) or _mixed(said) or firm)
    if _CALL.search(said):
        return False
    if _OPTION.search(text, max(0, at - 40), at + 2) or _LOGIN.search(text, max(0, at - 80), at):
        return _mixed(said) or _strong(said)
    if text.find(" is ", end, value.start) >= 0 and _mixed(said) and said[0].isalpha() and len(said) > 5:
        return _METHOD.search(said.lower()) is None
    return _strong(said) or (text[at] == "P" and text.startswith(";", value.end) and _mixed(said))


def _mixed(said: str) -> bool:
    """Whether it has letters and digits."""
    return any(map(str.isdigit, said)) and any(map(str.isalpha, said))


def _disordered(said: str) -> bool:
    """Whether digits stand between letters: a short value that is no name with a number after it."""
    return _DISORDER.search(said) is not None and not wordy(said)


def _strong(said: str) -> bool:
    """Whether it is as services demand passwords: letters with digits and signs, or with digits and in both cases."""
    if len(said) < 6 or not any(map(str.isalpha, said)):
        return False
    special = _SPECIAL.search(said) is not None
    if not any(map(str.isdigit, said)):
        return special and said[0] not in "$%&*=@" and not said.islower() and said[-1] != "="
    return special or (said.lower() != said and said.upper() != said)


def _basic(said: str) -> bool:
    """Whether it is a name and a password as HTTP's Basic scheme joins them (RFC 7617)."""
    try:
        return b":" in a2b_base64(said, strict_mode=True)
    except Error:
        return False


def _weak(text: str, at: int, stem: bytes) -> bool:
    """Whether a name says little: any "key" that is not one of an API, of access, ..."""
    return stem == b"auth" or (stem == b"key" and _KINDS.search(text, max(0, at - 16), at) is None)


def _is_secret(value: _Value, weak: bool, text: str) -> bool:  # noqa: FBT001
    """Whether it is the value of a token or key, by how firmly it is tied to the name."""
    said = value.text
    if " " in said or "://" in said or said[:1] in "$%/<{[(-@*" or (value.tie == "space" and _FILE.search(said)):
        return False
    if value.scheme:
        return _basic(said) or (plausible(said, 8) and not _CALL.search(said))
    if value.quoted:
        if value.tie in ("assign", "attribute"):
            if not weak and _SIGNED.fullmatch(said) is not None and not filler(said):
                return True
            return plausible(said, 14 if weak else 8) and (not weak or randomness(said) > 0 or not wordy(said))
        return plausible(said, 16) and (randomness(said) > 0 or len(said) >= 20)
    if _CALL.search(said) or text.startswith("(", value.end):
        return False
    if value.tie == "space":
        return plausible(said, 16) and (not wordy(said) or randomness(said) > 0)
    if not plausible(said, 12 if weak else 8):
        return False
    return (
        (len(said) > 15 and (_NAMED.fullmatch(said) is None or not wordy(said)))
        or randomness(said) > 0
        or _disordered(said)
    )


RECOGNIZERS = (AssignedSecret(),)

"""Addresses of the Internet Protocol, with a zone or the length of a prefix (RFC 791, RFC 4291, RFC 4632)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Candidate, Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_MOST_DIGITS: Final = 14
_LONGEST_ROW: Final = 80
_V4: Final = re.compile(
    rf"(?<![\d.]){_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}(?:/(?:3[0-2]|[12]?[0-9])(?![\d/.]))?(?!\d|\.\d)"
)
# Four numbers with dots are a version behind these, and where a file's name goes on after them.
_VERSION_BEFORE: Final = re.compile(
    r"(?:(?<![a-z])(?:v|ver|version|versions|release|rev|revision|build|firmware|section|chapter|clause|rfc|oid|pip|update|upgrade"
    r"|upgraded to|updated to|bump|bumped to)[\s.:=#]{0,3}"
    r"|(?:identifier|oid|object)\W{1,16}|(?:[=<>~!]=|[~^])\s?|[a-z]/|[a-z0-9]-|§\s?|\(v|\^)\Z"
)
_FILE_AFTER: Final = re.compile(
    r"(?:-[a-z]|\.(?:tar|tgz|zip|whl|exe|dmg|msi|deb|rpm|jar|dll|so|post|dev|rc|gem|nupkg)\b|[ab]\d|rc\d)"
)
_CUES: Final = cues(
    "ip ips ipv address addr host hosts server servers dns gateway router ping client remote connect connecting",
    "connected subnet network netmask route localhost listen listening bind src dst source destination proxy nat",
    "loopback resolver nameserver interface broadcast unspecified multicast login peer endpoint firewall blocked",
)
_NEWER_CUES: Final = cues("ipv ip src dst unspecified loopback address addr bind listen")
# Up to so long, and with a first number of one digit, sections and versions are commoner.
_SHORT: Final = 9
_ALIKE: Final = frozenset({"0.0.0.0", "1.1.1.1", "8.8.8.8", "9.9.9.9", "4.4.4.4"})  # noqa: S104 - a text to be found

# It begins with a colon, which the search jumps to, and then is the gap or one of many groups.
_V6: Final = re.compile(r":(?::(?!:)|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}[:.])")
_REST: Final = re.compile(r"[0-9A-Fa-f:]{0,46}(?:(?:\.[0-9]{1,3}){3})?")
_BEHIND: Final = re.compile(r"(?:%[A-Za-z0-9_.-]{1,16})?(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])(?![\d/]))?")
_HEX: Final = "0123456789abcdefABCDEF:"
_EMBEDDED: Final = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
_GROUP: Final = re.compile(r"[0-9A-Fa-f]{1,4}")


class Ipv4:
    """Four numbers with dots."""

    name = "ipv4"
    types = ("IP_ADDRESS",)
    triggers = Triggers(groups=(4,))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The address in a number."""
        text, start = candidate.text, candidate.start
        count = len(candidate.digits)
        if (
            candidate.end - start > _LONGEST_ROW
            or text.count(".", start, candidate.end) < 3
            or (count > _MOST_DIGITS and candidate.end - start >= 2 * count - 1)
        ):
            return ()
        # Behind another number and a space, a dash or a slash too: `80 10.0.0.1`.
        match = _V4.search(text, start, candidate.end)
        if match is None:
            return ()
        start, end = match.span()
        if start > 1 and text[start - 1] in ".:" and text[start - 2].isdigit():
            return ()
        value = match.group()
        place = candidate if start == candidate.start else Candidate(text, start, end)
        if text[end : end + 1] in "-._abr" and _FILE_AFTER.match(place.text, end):
            return ()
        if _VERSION_BEFORE.search(place.before) and "//" not in place.before[-3:]:
            return ()
        value = value.partition("/")[0]
        if value[1] == "." and len(value) <= _SHORT and value not in _ALIKE and not place.near(_CUES):
            return ()
        return (Finding(start, end, "IP_ADDRESS", 0.9, self.name),)


class Ipv6:
    """Groups of hexadecimal digits with colons."""

    name = "ipv6"
    types = ("IP_ADDRESS",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All addresses of a text."""
        text = candidate.text
        found = []
        done = 0
        for match in _V6.finditer(text):
            at = match.start()
            if at < done:
                continue
            least = max(done, at - 40)
            before = text[least:at]
            start = at - len(before) + len(before.rstrip(_HEX))
            rest = _REST.match(text, at)
            done = end = at if rest is None else rest.end()
            while end > at and text[end - 1] in ":." and not text.endswith("::", start, end):
                end -= 1
            if end > at and self._is(text, start, end):
                behind = _BEHIND.match(text, end)
                end = end if behind is None else behind.end()
                found.append(Finding(start, end, "IP_ADDRESS", 0.9, self.name))
                done = max(done, end)
        return found

    def _is(self, text: str, start: int, end: int) -> bool:
        """Whether it is an address, and no name or slice of a program."""
        value = text[start:end]
        if (start and (text[start - 1].isalnum() or text[start - 1] in "_.")) or (
            end < len(text) and _goes_on(text, end)
        ):
            return False
        if not _valid(value):
            return False
        head, gap, tail = value.partition("::")
        if not gap:
            return True
        if _is_slice(text, start):
            return False
        if value == "::":
            place = Candidate(text, start, end)
            prefix = _BEHIND.match(text, end)
            return (prefix is not None and prefix.end() > end and text[end] == "/") or place.near(_NEWER_CUES)
        if value == "::1":
            return True
        groups = [group for side in (head, tail) for group in side.split(":") if group]
        telling = len(groups) > 2 or (
            any(len(group) > 2 for group in groups) and any(map(str.isdigit, value)) and bool(head)
        )
        return telling or "." in value or Candidate(text, start, end).near(_CUES) or text[end : end + 1] == "/"


def _goes_on(text: str, end: int) -> bool:
    """Whether a word or another group follows, so that it is a part of something else."""
    following = text[end]
    return following.isalnum() or following in "_:" or (following == "." and text[end + 1 : end + 2].isdigit())


def _is_slice(text: str, start: int) -> bool:
    """Whether a bracket of code stands before it: `a[::1]`, `f()::x`; that of `[::1]:80` has no name before it."""
    if not start or text[start - 1] not in ")][":
        return False
    return text[start - 1] != "[" or (start > 1 and (text[start - 2].isalnum() or text[start - 2] in "_)]"))


def _valid(value: str) -> bool:
    """Whether it is an address by RFC 4291 section 2.2: eight groups, or fewer around one gap, the last two as IPv4."""
    if "." in value:
        front, _, last = value.rpartition(":")
        if _EMBEDDED.fullmatch(last) is None:
            return False
        value = front + ":0:0"
    head, gap, tail = value.partition("::")
    if "::" in tail or tail.startswith(":") or (gap and (head.endswith(":") or tail.endswith(":"))):
        return False
    groups = (
        [*head.split(":"), *tail.split(":")]
        if head and tail and gap
        else (head or tail).split(":")
        if (head or tail)
        else []
    )
    if not all(_GROUP.fullmatch(group) for group in groups):
        return False
    return len(groups) < 8 if gap else len(groups) == 8


RECOGNIZERS = (Ipv4(), Ipv6())

"""E-mail addresses (RFC 5321 section 4.1.2 as far as people use it; internationalised ones by RFC 6531)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import LOOK_BACK, Triggers
from aistrale.privacy.recognizers.url import real_tld

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# It begins with the @, which the search jumps to; what stands before that is looked at only where a domain follows.
_AT: Final = re.compile(
    r"@(?<=[\w+\-\"]@)"
    r"((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8})"
    r"(xn--[A-Za-z0-9-]{1,58}[A-Za-z0-9]|[^\W\d_]{2,63})"
    r"(?![^\W\d_])"
)
# RFC 5322 allows more than that before the @. What it leaves out (`=`, `/`, `{`, ...) parts an address from what
# stands before it far more often than it is part of one.
_LOCAL: Final = re.compile(r"[\w.+'-]{1,64}\Z")
# Pieces of the commands below.
_COMMANDS: Final = ("sh", "scp", "sync", "sftp")
_QUOTED: Final = re.compile(r'(?<![\w"])"(?=[^"]{0,62}\w)[\w.+\-()!#$&\' ]{1,62}"\Z')
# `https://user:secret@host` and `git@host:owner/repository`: the @ of a place, not of a person.
_USER_OF_URL: Final = re.compile(r"://[^\s/?#@]{0,64}(?:@[^\s/?#@,;]{0,32})?\Z")
_COMMAND: Final = re.compile(r"\b(?:ssh|scp|rsync|sftp|mosh)\s(?:-[\w-]{1,16}\s(?:\d{1,5}\s)?){0,4}\Z")


class Email:
    """Addresses with a domain."""

    name = "email"
    types = ("EMAIL_ADDRESS",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All addresses of a text."""
        text = candidate.text
        if "@" not in text:
            return ()
        found = []
        done = 0
        for match in _AT.finditer(text):
            at, end = match.start(), match.end(2)
            start = _start(text, max(done, at - LOOK_BACK), at)
            if start < 0:
                continue
            real = real_tld(match.group(2))
            if real or _certain(text, match):
                if end < len(text) and text[end] in "(:" and _is_place(text, end, real=real):
                    continue
                if _is_login(text, start):
                    continue
                found.append(Finding(start, end, "EMAIL_ADDRESS", 1.0 if real else 0.5, self.name))
                done = end
        return found


def _start(text: str, least: int, at: int) -> int:
    """Where the part before the @ begins; -1 for nowhere."""
    if text[at - 1] == '"':
        quoted = _QUOTED.search(text, least, at)
        return -1 if quoted is None else quoted.start()
    words = text[least:at].rsplit(None, 1)
    local = _LOCAL.search(words[-1]) if words else None
    if local is None:
        return -1
    value = local.group().rpartition("..")[2]
    value = value.lstrip(".'+-")
    return at - len(value) if value else -1


def _is_login(text: str, start: int) -> bool:
    """Whether what stands before makes it the user of a URL or of a command that connects."""
    least = start - LOOK_BACK if start > LOOK_BACK else 0
    before = text[least:start]
    if "://" in before and _USER_OF_URL.search(before):
        return True
    if not before[-1:].isspace() or not any(map(before.__contains__, _COMMANDS)):
        return False
    return _COMMAND.search(text, least, start) is not None


def _certain(text: str, match: re.Match[str]) -> bool:
    """Whether it is an address though it ends in no top-level domain, and no `package@1.2.rc` or product of code."""
    end = match.end()
    return (
        not match.group(1)[0].isdigit()
        and (end >= len(text) or (text[end] not in "([=-" and not text[end].isdigit()))
        and text[match.start() - 1] != "]"
    )


def _is_place(text: str, end: int, *, real: bool) -> bool:
    """Whether a bracket is that of a call, `w@x.sum(1)`, or a colon begins a path: `git@host.example:owner/name`."""
    if text[end] == "(":
        return not real
    return (
        end + 1 < len(text)
        and (text[end + 1].isalnum() or text[end + 1] in "/~.")
        and "/" in text[end : end + LOOK_BACK].split(None, 1)[0]
    )


RECOGNIZERS = (Email(),)

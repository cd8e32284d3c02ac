"""Private keys in textual encodings (RFC 7468, OpenSSH, RFC 9580 for OpenPGP), and hashes of passwords."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_companion import COMPANION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_HEAD: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_FOOT: Final = re.compile(r"-----END [A-Z0-9 ]{4,48}-----")
# Of a key without its end, what follows in lines of base64.
_BODY: Final = re.compile(
    r"(?:[ \t]{0,16}(?:\\r|\\n|\r|\n|[A-Za-z0-9+/=]{20,128}|[A-Za-z-]{3,16}: [^\n]{0,80})){0,200}"
)
_CONTENT: Final = re.compile(r"[A-Za-z0-9+/=]{20}")
_NEAR: Final = 400
_TORN: Final = 20
_LONGEST: Final = 16384
# modular crypt format: the scheme between dollars, parameters, salt and hash.
_HASH: Final = re.compile(
    r"\$(?:2[abxy]\$\d{2}\$[./A-Za-z0-9]{50,54}"
    r"|(?:[156789y]|apr1|md5|P|H|sha1)\$[./A-Za-z0-9=,$-]{24,160}"
    r"|(?:argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]{0,12}|bcrypt-sha256|7|gy)\$[./A-Za-z0-9=,+$-]{30,300}"
    r"|krb5[a-z]{2,8}\$[^\s]{40,4096})"
)
# htpasswd and shadow have a user in the line before the hash.
_USER: Final = re.compile(r"(?:\A|[\s\"'])([A-Za-z_][\w.@-]{0,63}):\Z")


class PrivateKey:
    """Keys between their BEGIN and END lines; of a torn one what is left."""

    name = "secret_pem"
    types = ("SECRET",)
    triggers = Triggers(literals=("-----BEGIN",))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The key that begins there."""
        text = candidate.text
        head = _HEAD.match(text, candidate.start)
        if head is None:
            return ()
        # A header without a key is talk about keys, unless the text ends there.
        torn = len(text) - head.end() < _TORN
        if not torn and _CONTENT.search(text, head.end(), head.end() + _NEAR) is None:
            return ()
        end = text.find("-----", head.end(), head.end() + _LONGEST)
        foot = _FOOT.match(text, end) if end >= 0 else None
        if foot is None:
            body = _BODY.match(text, head.end())
            return (Finding(head.start(), head.end() if body is None else body.end(), "SECRET", 1.0, self.name),)
        return (Finding(head.start(), foot.end(), "SECRET", 1.0, self.name),)


class PasswordHash:
    """Hashes in modular crypt format, and Kerberos tickets as tools print them for guessing."""

    name = "secret_hash"
    types = ("SECRET",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All of them in a text."""
        text = candidate.text
        found: list[Finding] = []
        if "$" not in text:
            return found
        for match in _HASH.finditer(text):
            start = match.start()
            user = _USER.search(text, max(0, start - 80), start) if text[start - 1 : start] == ":" else None
            if user is not None:
                found.append(Finding(*user.span(1), "SECRET", COMPANION, self.name))
            found.append(Finding(start, match.end(), "SECRET", 1.0, self.name))
        return found


RECOGNIZERS = (PrivateKey(), PasswordHash())

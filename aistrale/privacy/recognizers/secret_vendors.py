"""Keys and tokens that name their issuer, and random values beside a word that says that they are secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_entropy import by_context
from aistrale.privacy.recognizers.secret_formats import CLASSES, MARKED, PREFIXED, SHAPED
from aistrale.privacy.recognizers.secret_shape import filler, plausible, randomness, template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

_SCORE: Final = 0.95
# What has an issuer's format and is an example, by the look of it.
_LIKE: Final = 0.6
_EXAMPLE: Final = re.compile(r"(?i)example|foobar|undefined")
_GLUE: Final = frozenset("-_.")
# A digit before a letter in a word of twenty characters and more: random values have it, words do not. The
# look-behind and the fixed length keep it linear.
_TRIGGER: Final = re.compile(
    r"[0-9](?:[A-Za-z_](?:(?<=[A-Za-z0-9_\-+/.]{10})|[A-Za-z0-9_\-+/.~]{8})|(?![0-9])(?<=[A-Za-z0-9_-]{20}))"
)
_REST: Final = re.compile(r"[A-Za-z0-9_\-+/.~%:|$=!]{0,1024}")
_DATA: Final = re.compile(r"[A-Za-z0-9_\-+/=]*")
_JOINED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/.~%:|$=!")
_PIECE: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9/.-]")
_SCHEME: Final = re.compile(r"https?://(?:[A-Za-z0-9-]{1,32}\.)?\Z")
# How far a token may begin before the digit that gave it away, and how many of its parts are looked at.
_LOOK: Final = 200
_MOST_PIECES: Final = 24
# Beginnings so short, or so much like words, that what follows must look random.
_SHORT: Final = 4
_LIKE_WORDS: Final = (
    "test_ live_ key- API- prod- rel- api- mob- sdk- sess- beam_ polar_ hawk. napi_ neon_ age1 lmnr_ dapi"
)
_WORDS: Final = frozenset(_LIKE_WORDS.split())
# What a token can begin with that begins with a number: two digits, or one and a stroke.
_DIGITS: Final = (
    *(f"{number:02d}" for number in range(100)),
    *(f"{number}{sign}" for number in range(10) for sign in "/-"),
)


def _tables() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The formats by the two characters that they begin with."""
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for row in PREFIXED.splitlines():
        *prefixes, rest = row.partition("#")[0].split() or [""]
        for prefix in prefixes:
            body = CLASSES[rest[0]]
            pattern = re.compile(f"{re.escape(prefix)}({body}{{{rest[1:]},2048}})")
            table.setdefault(prefix[:2], []).append((prefix, pattern))
    for pair, expression in SHAPED:
        pattern = re.compile(f"({expression})")
        for key in _DIGITS if pair == "00" else (pair,):
            table.setdefault(key, []).append(("", pattern))
    for formats in table.values():
        formats.sort(key=lambda entry: -len(entry[0]))
    return table


_TABLE: Final = _tables()
_MARKED: Final = tuple((mark, re.compile(expression)) for mark, expression in MARKED)
_DOTTED: Final = re.compile(r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}")


class VendorSecret:
    """What an issuer's documented format, or a word beside a random value, tells to be a secret."""

    name = "secret_vendors"
    types = ("SECRET",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All of them in a text."""
        text = candidate.text
        found: list[Finding] = []
        done = 0
        search = _TRIGGER.search
        while (hit := search(text, done)) is not None:
            at = hit.start()
            start = at
            least = max(done, at - _LOOK)
            while start > least and text[start - 1] in _JOINED:
                start -= 1
            end = _REST.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty string
            if not self._known(text, start, end, found) and (place := by_context(text, start, at, end)) is not None:
                found.append(Finding(*place, "SECRET", 0.8, self.name))
            done = _DATA.match(text, end).end() if end - at >= 1024 else end  # type: ignore[union-attr]
        return found

    def _known(self, text: str, start: int, end: int, found: list[Finding]) -> bool:
        """Take what has the format of an issuer from a run of characters; whether there was any."""
        done = start
        for count, piece in enumerate(_PIECE.finditer(text, start, end)):
            formats = _TABLE.get(piece.group())
            at = piece.start()
            if formats is None or at < done:
                continue
            if count >= _MOST_PIECES:
                break
            for prefix, pattern in formats:
                match = pattern.match(text, at)
                if match is None or _inside(prefix, text, at):
                    continue
                score = _score(prefix, match.group(1))
                if score:
                    done = match.end()
                    if not prefix and (scheme := _SCHEME.search(text, max(0, at - 48), at)):
                        at = scheme.start()
                    found.append(Finding(at, _tidy(text, done), "SECRET", score, self.name))
                    break
        return done > start or self._marked(text, start, end, found)

    def _marked(self, text: str, start: int, end: int, found: list[Finding]) -> bool:
        """Take what an issuer marked further on than at the beginning."""
        token = text[start:end]
        for mark, pattern in _MARKED:
            if mark in token and (match := pattern.search(text, start, end)):
                found.append(Finding(*match.span(), "SECRET", _SCORE, self.name))
                return True
        if token.count(".") > 1 and (match := _DOTTED.search(text, start, end)) and randomness(match.group()):
            found.append(Finding(*match.span(), "SECRET", _SCORE, self.name))
            return True
        return False


class Digitless:
    """Tokens of a few formats in which a digit need not be."""

    name = VendorSecret.name
    types = ("SECRET",)
    triggers = Triggers(literals=("AKIA", "xox"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The token that begins there."""
        text, at = candidate.text, candidate.start
        if at and (text[at - 1].isalnum() or text[at - 1] == "_"):
            return ()
        for prefix, pattern in _TABLE[text[at : at + 2]]:
            match = pattern.match(text, at)
            score = _score(prefix, match.group(1)) if match is not None else 0
            if match is not None and score:
                return (Finding(at, _tidy(text, match.end()), "SECRET", score, self.name),)
        return ()


def _inside(prefix: str, text: str, at: int) -> bool:
    """Whether a beginning that is like a word goes on one: the `key-` of `my-key-`."""
    return prefix in _WORDS and at > 0 and text[at - 1] in "-_"


def _score(prefix: str, body: str) -> float:
    """How sure it is that what follows a prefix is a value; 0 for a word or what is to be replaced by a value."""
    if not prefix:
        return _SCORE
    if len(prefix) < _SHORT or prefix in _WORDS:
        plain = len(body) >= 20 and "_" not in body and "-" not in body and plausible(body, 20)
        return _SCORE if plain or randomness(body) else 0.0
    if len(set(body)) > 3 and not filler(body):
        return _SCORE
    # A documented example has the issuer's format too, and nothing is lost by hiding it.
    return 0.0 if len(set(body) - _GLUE) < 3 or template(_EXAMPLE.sub("", body)) else _LIKE


def _tidy(text: str, end: int) -> int:
    """The end without the full stop of a sentence and the like."""
    while text[end - 1] in ".=-%~/" and not text.endswith(("==", "="), end - 2, end):
        end -= 1
    return end


RECOGNIZERS = (VendorSecret(), Digitless())

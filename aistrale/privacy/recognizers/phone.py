"""Telephone numbers of all countries, as people write them (ITU-T E.123 and habits).

A number that begins with `+` says what it is. National numbers do not: a few shapes hardly anything else has (area code
in brackets, 3-3-4, a leading zero and groups); for the rest words around it have to tell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# Country codes (ITU-T E.164, list of assigned codes): one, two and three digits.
_TWO: Final = cues(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84",
    "86 90 91 92 93 94 95 98",
)
_THREE: Final = cues(
    "211 212 213 216 218 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376",
    "377 378 379 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592",
    "593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691",
    "692 800 808 850 852 853 855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971",
    "972 973 974 975 976 977 979 992 993 994 995 996 998",
) | frozenset(map(str, range(220, 270)))
# How many digits follow the code, where that is worth knowing: the codes that most numbers have.
_LENGTHS: Final = {
    "1": (10, 10),
    "7": (10, 10),
    "33": (9, 9),
    "34": (9, 9),
    "44": (7, 10),
    "55": (8, 11),
    "86": (7, 12),
    "91": (8, 13),
}
_SHORTEST: Final = 4
_LONGEST: Final = 15

_NOUNS: Final = cues(
    "phone phones telephone telephones tel tele mobile cell cellphone fax faxes sms whatsapp viber wechat hotline",
    "helpline landline voicemail pager callback handset msisdn switchboard telefon telefonnummer rufnummer handy",
    "handynummer mobil mobilnummer mobiltelefon telefax festnetz durchwahl téléphone portable mobile teléfono",
    "telefono móvil movil celular telefone telemóvel cellulare recapito telefoon telefoonnummer gsm cep telefonu",
    "telefonum numaram telepono puhelin puhelinnumero telefonszám komórka тел телефон мобильный",
    "電話 电话 手机 携帯 전화 הטלפון טלפון هاتف جوال फोन",
)
_VERBS: Final = cues(
    "call calls called calling dial dialed dialled ring text texted texting message messages messaged answering",
    "reach reached contact contacted registered callback ruf anrufen appeler appelez llamar chiamare bellen",
    "ara",
)
_COUNTING: Final = frozenset({"0123456789", "1234567890", "123456789", "12345678"})
_LABELS: Final = cues(
    "desk office home work direct main line emergency ops backup phone tel mobile mob cell fax ph m t f p cep contact"
)
_BETWEEN: Final = " \t\r\n:=.#+(\"'|*"
# "call me on ...", "send messages to ..."
_LINKS: Final = frozenset({"on", "at", "to", "via", "unter", "sur", "registered"})
_FILLERS: Final = frozenset({"number", "numbers", "no", "nr", "num", "id", "is", "was"})
_AFTER: Final = re.compile(
    r"\W{1,3}(?:office|fax|mobile|home|work|cell|desk|direct|phone|tel)(?![^\W_])", re.IGNORECASE
)
# Words right before a number that make it another kind of number.
_OTHER: Final = cues(
    "ssn social security account acct card order invoice ticket case routing zip postcode license licence",
    "passport policy tracking serial ref reference po sku isbn issn ean vat tax iban imei npi mrn pin part model",
    "item product version build sequence id ids doi pmid code token nhs tin ein patent port page pages bytes size",
    "lines timestamp epoch seed hash",
)
# A longer row of numbers is a table.
_LONGEST_ROW: Final = 48
_EXTENSION: Final = re.compile(r",?\s?(?:x|ext\.?|extension|durchwahl|poste)\s?\d{1,6}(?!\w)", re.IGNORECASE)
_WITH_EXTENSION: Final = re.compile(r"(\d[\d .\-()/]{6,22}?)x\d{1,6}")
_NO_DIGITS: Final = bytes(code if chr(code).isdigit() else 32 for code in range(128)).ljust(256)
_DIGITS: Final = re.compile(r"\d+")
# 3-3-4 of the North American plan, also as a part of a row of numbers.
_AMERICAN: Final = re.compile(r"(?<![\d.\-/])(?:1[ .-])?([2-9]\d\d)(\) ?|[ .-])(\d{3})([ .-])(\d{4})(?![\d/]|[.-]\d)")
_NOT_BEFORE: Final = frozenset("-./$€£#")
_LONGEST_BARE: Final = 13
_CODE_LIKE: Final = re.compile(r"-[A-Za-z]{1,2}(?![A-Za-z])|-?\d")
_TURKISH: Final = re.compile(r"(?:90|0)?[2-5]\d{9}")
_PHILIPPINE: Final = re.compile(r"(?:63|0)9\d{9}")


class Phone:
    """Numbers with a country code, and national ones."""

    name = "phone"
    types = ("PHONE_NUMBER", "TR_PHONE_NUMBER", "PH_MOBILE_NUMBER")
    triggers = Triggers(digits=range(6, 16), tokens=range(9, 26))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The numbers in a number."""
        text, start, end, digits = candidate.text, candidate.start, candidate.end, candidate.digits
        if not digits:
            return self._extended(candidate)
        before = text[start - 1] if start else ""
        if before == "+" or (before == "(" and text[start - 2 : start - 1] == "+"):
            found = self._international(candidate)
            if found:
                return found
        if before in _NOT_BEFORE or (text[end : end + 1] == "-" and _CODE_LIKE.match(text, end)):
            return ()
        if len(digits) < end - start:
            return self._grouped(candidate)
        return self._bare(candidate) if len(digits) <= _LONGEST_BARE else ()

    def _international(self, candidate: Candidate) -> list[Finding]:
        text, start = candidate.text, candidate.start
        while start and text[start - 1] in "+(":
            start -= 1
            if candidate.start - start == 2:
                break
        if start and (text[start - 1].isalnum() or text[start - 1] in "_+"):
            return []
        best = 0
        digits = ""
        for group in _DIGITS.finditer(text, candidate.start, candidate.end):
            digits += group.group()
            if len(digits) > _LONGEST + 1:
                break
            if valid(digits):
                best = group.end()
        if not best or (text[start + 2 : start + 3] == "." and text.count(".", start, best) == 1):
            # None, or a fraction with its sign.
            return []
        kinds = self._kinds("".join(_DIGITS.findall(text, candidate.start, best)), certain=True)
        return self._give(text, start, best, 0.85, kinds)

    def _extended(self, candidate: Candidate) -> Iterable[Finding]:
        text, start = candidate.text, candidate.start
        if not text[start].isdigit():
            return ()
        match = _WITH_EXTENSION.fullmatch(text, start, candidate.end)
        if match is None:
            return ()
        digits = "".join(_DIGITS.findall(match.group(1)))
        if not 7 <= len(digits) <= _LONGEST:
            return ()
        while start and text[start - 1] in "+(" and candidate.start - start < 2:
            start -= 1
        return (Finding(start, candidate.end, "PHONE_NUMBER", 0.85, self.name),)

    def _bare(self, candidate: Candidate) -> Iterable[Finding]:
        """Digits without separators: only words, or the trunk prefix of mobile networks, tell."""
        digits, count = candidate.digits, len(candidate.digits)
        score = 0.0
        if count >= 7:
            score = said_to_be_phone(candidate, grouped=False)
        kinds = self._kinds(digits, certain=False) if count in (10, 11, 12) else ()
        if not score:
            american = count == 10 and digits[0] in "23456789" and digits[3] in "23456789"
            if (candidate.alone and (kinds or american)) or (
                count == 11 and digits[0] == "0" and digits[1] in "579" and not _is_other(candidate)
            ):
                score = 0.5
        if not score:
            return ()
        if not candidate.alone and not (count == 11 and digits[1] in "59"):
            kinds = ()
        return self._give(candidate.text, candidate.start, candidate.end, score, kinds)

    def _grouped(self, candidate: Candidate) -> Iterable[Finding]:
        text, start, end, digits = candidate.text, candidate.start, candidate.end, candidate.digits
        if text.count("/", start, end) > 1 or (text[start + 4] == "-" == text[start + 7 : start + 8]):
            # A date; its parts are no area codes.
            return ()
        count = len(digits)
        if count > _LONGEST:
            return self._american(candidate)
        groups = text[start:end].encode().translate(_NO_DIGITS).decode().split()
        if len(groups) > 7:
            return ()
        sizes = list(map(len, groups))
        if _is_date(groups, sizes, text, start):
            return ()
        bracket = start > 0 and text[start - 1] == "(" and text[start + sizes[0]] == ")"
        score = 0.0
        if count >= 6 and _may_be(text[start:end], groups, sizes):
            score = said_to_be_phone(candidate, grouped=True)
        if not score and not _is_other(candidate) and _is_shape(text, start, end, groups, sizes, bracket=bracket):
            score = 0.5
        kinds = self._kinds(digits, certain=False) if candidate.alone else ()
        if not score and not kinds:
            return self._american(candidate) if len(groups) > 3 else ()
        score = score or 0.5
        if bracket:
            start -= 1
        return self._give(text, start, end, score, kinds)

    def _american(self, candidate: Candidate) -> Iterable[Finding]:
        text = candidate.text
        size = candidate.end - candidate.start
        if size > _LONGEST_ROW or size >= 2 * len(candidate.digits) - 1:
            return ()
        found: list[Finding] = []
        for match in _AMERICAN.finditer(text, candidate.start, candidate.end):
            if match.group(2)[0] == ")" or match.group(2) == match.group(4) != " ":
                found += self._give(text, match.start(), match.end(), 0.5, ())
        return found

    def _kinds(self, digits: str, *, certain: bool) -> tuple[str, ...]:
        """The types beside the common one that numbers of two countries have."""
        if certain:
            if digits.startswith("90") and _TURKISH.fullmatch(digits):
                return ("TR_PHONE_NUMBER",)
            return ("PH_MOBILE_NUMBER",) if digits.startswith("63") and _PHILIPPINE.fullmatch(digits) else ()
        if _TURKISH.fullmatch(digits):
            return ("TR_PHONE_NUMBER",)
        return ("PH_MOBILE_NUMBER",) if _PHILIPPINE.fullmatch(digits) else ()

    def _give(self, text: str, start: int, end: int, score: float, kinds: tuple[str, ...]) -> list[Finding]:
        extension = _EXTENSION.match(text, end, end + 24) if end < len(text) else None
        if extension is not None:
            end = extension.end()
        return [Finding(start, end, kind, score, self.name) for kind in ("PHONE_NUMBER", *kinds)]


def said_to_be_phone(candidate: Candidate, *, grouped: bool) -> float:
    """How sure the words around a number make it that it is a telephone's; 0 where they do not tell.

    Args:
        candidate: The number.
        grouped: Whether it is written in groups, which tells more than bare digits do.
    """
    digits, said = candidate.digits, candidate.said
    score = 0.0
    if not _NOUNS.isdisjoint(said) or _AFTER.match(candidate.text, candidate.end) or (said and _is_labelled(candidate)):
        score = 0.85
    elif not _VERBS.isdisjoint(said) and (
        grouped or (len(digits) > 9 and digits[0] != "1") or (said[-1] in _LINKS and not _VERBS.isdisjoint(said[-4:]))
    ):
        score = 0.7
    if score and (digits in _COUNTING or len(set(digits)) == 1 or _is_other(candidate)):
        return 0.0
    return score


def valid(digits: str) -> bool:
    """Whether digits with the country code before them may be a number: the code is assigned, the length possible.

    Args:
        digits: Without the `+`; the zero that some write in brackets behind the code may be among them.
    """
    code = digits[:1] if digits[:1] in ("1", "7") else digits[:2] if digits[:2] in _TWO else digits[:3]
    if len(code) == 3 and code not in _THREE:
        return False
    count = len(digits) - len(code)
    least, most = _LENGTHS.get(code, (_SHORTEST + len(code) // 3, _LONGEST - len(code)))
    return least <= count <= most or (digits[len(code) : len(code) + 1] == "0" and least <= count - 1 <= most)


def _is_labelled(candidate: Candidate) -> bool:
    """Whether it stands behind `Office:` or the like, or behind `my ... number is`."""
    said, before = candidate.said, candidate.before
    if said[-1] == "is" and "number" in said[-2:] and "my" in said[-5:-2]:
        return True
    tail = before.rstrip(_BETWEEN)
    return (":" in before[len(tail) :] or "=" in before[len(tail) :] or said[-1] in _FILLERS) and (
        tail.endswith(said[-1]) and _nearest(said) in _LABELS
    )


def _nearest(said: list[str]) -> str:
    """The last word that names something."""
    for word in said[:-4:-1]:
        if word not in _FILLERS:
            return word
    return ""


def _is_other(candidate: Candidate) -> bool:
    """Whether the word right before it says that it is another kind of number."""
    if _nearest(candidate.said) not in _OTHER:
        return False
    before = candidate.before
    return before[-1] != "\n" and any(map(str.isalpha, before[-5:]))


def _is_date(groups: list[str], sizes: list[int], text: str, start: int) -> bool:
    """Whether it is a date, with or without an hour behind it."""
    if (
        len(groups) >= 3
        and sizes[0] == 4
        and sizes[1] <= 2
        and sizes[2] <= 2
        and groups[0][:2] in ("19", "20")
        and text[start + 4] in "-./"
    ):
        return True
    if len(groups) >= 3 and sizes[0] <= 2 and sizes[1] <= 2 and sizes[2] == 4 and groups[2][:2] in ("19", "20"):
        return True
    return len(groups) == 2 and sizes == [4, 4] and groups[0][:2] in ("19", "20") and groups[1][:2] in ("19", "20")


def _may_be(value: str, groups: list[str], sizes: list[int]) -> bool:
    """Whether a number with words for it around it is written like one: no fractions, no lists of single digits."""
    if "." in value and (len(groups) < 3 or min(sizes) < 2):
        return False
    if sizes == [3, 2, 4] and " " not in value:
        return False
    return len(groups) <= 6 and max(sizes) <= 8 and sizes.count(1) <= 2 and sizes[-1] > 1


def _is_shape(text: str, start: int, end: int, groups: list[str], sizes: list[int], *, bracket: bool) -> bool:
    """Whether hardly anything but telephone numbers is written like that."""
    count = sum(sizes)
    if len(set("".join(groups))) == 1:
        return False
    if sizes in ([3, 3, 4], [1, 3, 3, 4]):
        area, exchange = groups[-3], groups[-2]
        if len(sizes) == 4 and groups[0] != "1":
            return groups[0] == "0" and bracket is False
        if area[0] in "01" and not bracket:
            return area[0] == "0" and area[1] != "0"
        separators = set(text[start:end]) - set("0123456789")
        return separators != {" "} or (exchange[0] not in "01" and not (area[1:] == "00" and exchange[1:] == "00"))
    if bracket:
        return 7 <= count <= 12 and sizes[0] <= 5 and len(sizes) <= 5 and groups[0][:2] not in ("19", "20")
    if groups[0].startswith("00"):
        return count >= 10 and valid("".join(groups)[2:])
    if groups[0][0] != "0" or not 9 <= count <= 12 or sizes == [3, 2, 4] or "/" in text[start + sizes[0] + 1 : end]:
        return False
    if groups[0] == "0":
        return len(groups) >= 3 and text[start + 1 : start + 3] in (" (", "-(") and 10 <= count <= 11
    if len(sizes) == 2 and count < 10 and (sizes == [5, 4] or text[start + sizes[0]] == " "):
        # A postcode, or two numbers of an address.
        return False
    return min(sizes) >= 2 and len(sizes) <= 5 and sizes[0] <= 5


RECOGNIZERS = (Phone(),)

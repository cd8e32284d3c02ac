"""URLs, and names of hosts that end in a top-level domain that is no word of a programming language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import LOOK_BACK, Candidate, Triggers
from aistrale.privacy.recognizers._cues import cues

if TYPE_CHECKING:
    from collections.abc import Iterable

# Country codes (ISO 3166-1, and those that the root zone has beside them) under which people write bare names.
_COUNTRIES: Final = cues(
    "ac ad ae af ag al am ao aq ar at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw bz ca cd cf cg",
    "ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm dz ec ee eg er es et eu fi fj fk fo fr ga gd gg gh gi",
    "gl gm gn gp gq gr gs gu gw gy hk hm hn ht hu id ie il im iq ir je jm jo jp ke kg kh ki km kn kp kr kw ky kz",
    "la lb lc li lk lr ls lu lv ly ma mc mg mh mk mm mn mo mp mq mr mt mu mv mw mx my mz nc ne nf ng ni nl np nu",
    "nz om pa pe pf pg ph pk pn pr pt pw qa ro ru rw sa sb sd se sg si sk sl sm sn sr ss st su sv sx sy sz tc td",
    "tg th tj tk tm tn tr tt tw tz ua ug uk us uy uz va ve vg vi vn vu wf ws ye yt za zm zw",
)
# Those that are also a file's ending, a word of code or of English: more than a name with a dot is asked for.
_AMBIGUOUS: Final = cues(
    "ai app as at bar bio blog build by bz care cc cf cloud club cm co cv cx data date day design dev do done edu fm",
    "fun fund ga game games ge gl group guide gt gu hk host hr id im in info int io is it kg ki kim la lat life",
    "link live lol lt mc md me media mk ml mm mo mobi mp ms mt mu my name ne net new news ng ni no nr nu observer",
    "om one online page ph photo pl pm pn post pr press pro ps pub pw py qa re red rest rs run sale sc school sh shop",
    "show si site sk so social space sr ss st store study style su support sx sy systems tc team tech tf th tk tip",
    "to today tools top tv va vc video vote watch web website wiki win work works world wtf xyz zip zone",
) - {"net", "edu"}
_SURE: Final = (
    cues(
        "com net org edu gov mil biz arpa coop museum aero jobs travel cat tel asia berlin london paris nyc",
    )
    | _COUNTRIES
) - _AMBIGUOUS
# Second levels under which countries register names: `co.uk`, `com.br`. No code says that by chance.
_SECOND: Final = cues("ac co com edu go gob gouv gov mil ne net nom or org sch asn id")

# Not beyond the `](` of a link of Markdown.
_PATH: Final = r"""[^\s"'<>`\x00-\x1f\\^{|}\]]{0,2048}(?:\](?!\()[^\s"'<>`\x00-\x1f\\^{|}\]]{0,512}){0,8}"""
# It begins with what the search jumps to.
_SCHEME: Final = re.compile(
    r"://(?<=[A-Za-z]://)"
    r"(?:[^\s/?#@\"'<>]{1,128}@)?"
    r"((?:[^\W_](?:[\w-]{0,61}\w)?\.){1,10}(?:xn--[\w-]{1,58}|[^\W\d_]{2,63}))"
    r"(?![\w-])\.?(?::\d{1,5})?"
    rf"([/?#]{_PATH})?"
)
_NAME_OF_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}\Z")
_DOT: Final = re.compile(
    r"\.(?<=[^\W_]\.)([A-Za-z]{2,18})(?![\w@(=\[-])(?!\.[\w(])"
    rf"(:\d{{2,5}}(?!\d))?(/{_PATH})?"
)
_LABELS: Final = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){0,8}[^\W_](?:[^\W_]|-){0,62}")
_NO_LABEL: Final = re.compile(r"[^\w.-]")
_OBJECTS: Final = cues("self this cls args opts np pd os sys obj super event e node")
_CUES: Final = cues("website websites site sites domain domains webpage homepage visit browse")
_TRAILING: Final = ".,;:!?'*_"


def real_tld(value: str) -> bool:
    """Whether it is a top-level domain that the package knows of: all countries' and the usual generic ones."""
    folded = value.lower()
    return folded in _SURE or folded in _AMBIGUOUS or folded.startswith("xn--")


class Url:
    """Addresses of the web, with a scheme or without one."""

    name = "url"
    types = ("URL",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """All URLs of a text."""
        text = candidate.text
        if "." not in text:
            return ()
        found: list[Finding] = []
        if "://" in text:
            for match in _SCHEME.finditer(text):
                scheme = _NAME_OF_SCHEME.search(text, max(0, match.start() - 16), match.start())
                if scheme is not None:
                    found.append(Finding(scheme.start(), _end(text, match), "URL", 0.6, self.name))
        # The dots of what has a scheme are done; both come in the order of the text.
        schemes = iter(tuple(found))
        current = next(schemes, None)
        for match in _DOT.finditer(text):
            dot = match.start()
            while current is not None and current.end <= dot:
                current = next(schemes, None)
            if current is not None and current.start <= dot:
                continue
            start = _bare(text, match)
            if start >= 0:
                found.append(Finding(start, _end(text, match), "URL", 0.5, self.name))
        return found


def _bare(text: str, match: re.Match[str]) -> int:
    """Where a name begins that ends in a top-level domain; -1 where it is something else."""
    tld = match.group(1)
    folded = tld.lower()
    sure = folded in _SURE
    if not sure and folded not in _AMBIGUOUS:
        return -1
    start, name = _name(text, match.start())
    if start < 0 or not (tld.islower() or tld.isupper()):
        return -1
    if name[:4].lower() == "www.":
        return start
    last = name.rpartition(".")[2].lower()
    if last == name.lower() and (last.isdigit() or last in _OBJECTS):
        return -1
    if sure and (len(tld) > 2 or (last in _SECOND and "." in name)):
        return start
    # `THE END.AT LAST` is a full stop without a space; `x.de` of code has a short or strange name.
    if (tld.isupper() and not name.isupper()) or len(last) < 2:
        return -1
    if (sure or match.group(3)) and len(last) >= 4 and "_" not in name:
        return start
    place = Candidate(text, start, match.end(1))
    return start if place.alone or not _CUES.isdisjoint(place.said[-3:]) else -1


def _name(text: str, dot: int) -> tuple[int, str]:
    """The labels before the last dot and where they begin; -1 where they are no name of a host."""
    least = max(0, dot - LOOK_BACK)
    row = text[least:dot].rsplit(None, 1)[-1]
    start = dot - len(row)
    for other in _NO_LABEL.finditer(row):
        start = dot - len(row) + other.end()
    if (
        (start > 0 and text[start - 1] in "@/\\$:#+")
        or start == least > 0
        or _LABELS.fullmatch(text, start, dot) is None
    ):
        return -1, ""
    return start, text[start:dot]


def _end(text: str, match: re.Match[str]) -> int:
    """Where it ends: what closes a sentence or a bracket that was opened before it is no part of it."""
    start, end = match.span()
    while end > start:
        last = text[end - 1]
        if last in _TRAILING or (last in ")]" and not _opened(text, start, end, last)):
            end -= 1
        else:
            break
    return end


def _opened(text: str, start: int, end: int, closing: str) -> bool:
    opening = "(" if closing == ")" else "["
    return text.count(opening, start, end) >= text.count(closing, start, end)


RECOGNIZERS = (Url(),)

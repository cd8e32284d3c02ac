"""Random values beside a word that says that they are secret, or right after the name of a service that issues such."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.recognizers.secret_services import AMBIGUOUS, SERVICES
from aistrale.privacy.recognizers.secret_shape import filler, plausible, randomness, wordy

# What a value may consist of, once it is known to be one.
_CORE: Final = re.compile(r"[A-Za-z0-9_\-+/.~]{1,1024}={0,2}")
_BREAK: Final = frozenset("%:|$=!")
# The words that say it, in what stands before or in the value's own beginning: `acme_api_key`, `secret-key-3fe...`.
_CUE: Final = re.compile(
    r"secret|token|passw|pwd|api_?-?\s?key|apikey|access|private|cred(?:ential)?s?\b|bearer|auth|key|license|licence|webhook"
    r"|_pat\b|\bpat\b|unseal|crumb|login\b|passphrase|\bapi\W{1,4}\Z"
)
# What each of them holds, with letters that are rare first: a search for these takes a tenth of the time.
_STEM: Final = re.compile(r"k(?:e[ny])|s(?:ec|eal)|pa(?:ss|t)|a(?:uth|cce|pi)|priv|cred|pwd|bear|lic|hook|crumb|login")
_TIGHT: Final = re.compile(r"(?:secret|token|key|access|private|password)[a-z]{0,12}[\s\"'`:=>_\-]{1,6}\Z")
_GLUED: Final = re.compile(r"(?i)(?:secret|token|key|private|access|auth|pat|password)[_\-.]{1,2}(?=[A-Za-z0-9])")
_GROUPS: Final = re.compile(r"[0-9A-Za-z]{4,12}(?:-[0-9A-Za-z]{4,12}){3,8}")
# What makes a random value something else: a checksum, a version, an identifier that is no secret.
_PUBLIC: Final = re.compile(
    r"sha-?\d|md5|hash|integrity|checksum|digest|commit|\brev|fingerprint|etag|blob|\bcrc|thumbprint|signature|public|nonce"
    r"|\bsalt\b|keyid|key_id|key id|[#@/\\]\Z|keyboard|monkey|author\b|authors|issue|recv-keys"
    r"|accessib|tokeniz|accession|def \Z"
)
_WORD: Final = re.compile(r"(?<![a-z])[a-z]{2,}")
_OTHER: Final = frozenset(
    {
        "id",
        "ids",
        "request",
        "uuid",
        "guid",
        "trace",
        "version",
        "session",
        "user",
        "account",
        "expected",
        "number",
        "name",
    }
)
_NAME: Final = re.compile(r"[a-z][a-z0-9]{1,24}")
_LINK: Final = re.compile(r"[\s\"'`:=>,(\[\-_.|]{1,12}\Z")
_QUOTED: Final = re.compile(r"[a-z_][\"']?[ \t]{0,8}(?::|=|:=|=>)[ \t]{0,8}[\"'`]\Z")
_PATH: Final = re.compile(r"(?i)(?:hooks?|tokens?|keys?|secrets?|apikey|auth)/(?:[\w-]{1,40}/)?\Z")
_PLAIN: Final = re.compile(r"[0-9a-fA-F-]*")
_LINKS: Final = frozenset(" \t\"'`:=>,([-_.|")
_QUOTES: Final = frozenset("\"'`")
_LONG: Final = 24
_SHORT: Final = 32
_BEFORE: Final = 48
_LEAST: Final = 16
_LAST: Final = 20
_MOST: Final = 1024


def by_context(text: str, start: int, at: int, end: int) -> tuple[int, int] | None:
    """The place of a secret that only the words around it give away; None where there is none.

    Args:
        text: The whole text.
        start: Where the run of characters begins that it may consist of.
        at: A digit of it.
        end: Where the run ends.
    """
    begin = at
    while begin > start and text[begin - 1] not in _BREAK:
        begin -= 1
    core = _CORE.match(text, begin, end)
    if core is None or core.end() - begin < _LEAST:
        return None
    finish = core.end()
    while finish > begin and text[finish - 1] in "._-/~+":
        finish -= 1
    if "://" in text[max(start, begin - 2) : begin + 3]:
        return _segment(text, begin, at, finish)
    begin = _after_name(text, begin, finish)
    said = _said(text[max(0, begin - _BEFORE) : begin].lower())
    value = text[begin:finish]
    if not said or not _LEAST <= len(value) <= _MOST or filler(value):
        return None
    level = rank = randomness(value)
    if level and len(value) >= _LONG and (level > 1 or _PLAIN.fullmatch(value) is None):
        # Such a value in quotes needs no word: neither a hash nor an identifier has every letter.
        rank += 2
    if rank >= said:
        return (begin, finish) if _bare(value, level) else None
    # Right after the word that says it, what is no name may be one that merely looks little random.
    held = not level and _TIGHT.search(text[max(0, begin - _BEFORE) : begin].lower()) and plausible(value, _LEAST)
    return (begin, finish) if held and not wordy(value) and "/" not in value and "." not in value else None


def _after_name(text: str, begin: int, finish: int) -> int:
    """Where the value begins in a run that names it first: `acme-secret-key-3fe...`, `refiner-123e4567-...`."""
    run = text[begin:finish]
    if "-" not in run and "_" not in run and "." not in run:
        return begin
    for glued in _GLUED.finditer(text, begin, min(finish, begin + _BEFORE)):
        if finish - glued.end() >= _LEAST:
            begin = glued.end()
    run = text[begin:finish]
    if "-" not in run:
        return begin
    first, _, rest = run.partition("-")
    if first.lower() in SERVICES and len(rest) >= _LEAST:
        return begin + len(first) + 1
    if _GROUPS.fullmatch(run):
        return begin
    head, _, last = run.rpartition("-")
    if len(last) >= _LAST and len(head) <= _BEFORE and _CUE.search(head.lower()) and randomness(last):
        return finish - len(last)
    return begin


def _segment(text: str, begin: int, at: int, finish: int) -> tuple[int, int] | None:
    """A secret in the path of an address, after a word that says so: `/webhook/3fe...`, `/api/token/3fe...`."""
    begin = max(begin, text.rfind("/", begin, at) + 1)
    slash = text.find("/", at, finish)
    finish = finish if slash < 0 else slash
    value = text[begin:finish]
    named = _PATH.search(text, max(0, begin - _BEFORE), begin) is not None
    return (begin, finish) if named and len(value) >= _LEAST and randomness(value) and not wordy(value) else None


def _bare(value: str, level: int) -> bool:
    """Whether it is a value of its own and no path, address or name."""
    if "/" in value or "." in value:
        if value.startswith(("/", ".")):
            return False
        return level > 1 and len(value) >= 2 * _LEAST and not any(map(wordy, value.replace(".", "/").split("/")))
    return True


def _said(before: str) -> int:
    """How random a value must look after these words to be a secret; 0 where they do not say so.

    Returns:
        1, 2: as `randomness` tells; 3: so, long and no mere hexadecimal number.
    """
    line = before[before.rfind("\n") + 1 :]
    if len(line.strip("\"' \t")) < 3:  # nothing is said in that line, so perhaps in a short one before it
        line = before.rstrip("\"' \t\n")
        line = line[line.rfind("\n") + 1 :]
        if len(line) > _SHORT:
            # "Use this password to go on:" and then the password in a line of its own.
            return int(line.endswith(":") and _CUE.search(line) is not None and _PUBLIC.search(line) is None)
    cues = [cue.end() for cue in _CUE.finditer(line)] if _STEM.search(line) is not None else None
    if cues:
        # "the token endpoint refused request 3fe..." says nothing about what may be an identifier.
        words = _WORD.findall(line, cues[-1])
        return (
            0 if _PUBLIC.search(line) else 1 + (len(words) > 1 + (line[-1:] in _QUOTES) or not _OTHER.isdisjoint(words))
        )
    if line[-1:] not in _LINKS:
        return 0
    names = _NAME.findall(line)[-3:]
    if not SERVICES.isdisjoint(names) or "".join(names) in SERVICES or "".join(names[1:]) in SERVICES:
        need = 1
    elif not AMBIGUOUS.isdisjoint(names[-2:]):
        need = 2
    else:
        quoted = _QUOTED.search(line[-24:]) if line[-1] in _QUOTES else None
        need = 0 if quoted is None or not _OTHER.isdisjoint(names) else 1 if "=" in quoted[0] else 3
    return 0 if need and (_LINK.search(line[-13:]) is None or _PUBLIC.search(line)) else need

"""What the value of a secret looks like, and what merely stands in its place: shared by the recognizers of secrets."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

# The commonest pairs of letters of English: words consist of them, random letters by a sixth.
_COMMON: Final = """
    th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic
    ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un
    lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev
    ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu
    rn sc gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt
    ak pu ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af hu nn eo vo rv nf
    xp gn sm fl iz ok nl my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd pt
"""
_PAIRS: Final = frozenset(_COMMON.split())
# How much of a value is looked at: it does not become wordier further on.
_SEEN: Final = 64
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAME: Final = re.compile(r"[A-Za-z_\-. ]+\d{0,2}")
_TURNS: Final = re.compile(r"\d(?=[A-Za-z])|[A-Za-z](?=\d)")
_FLIPS: Final = re.compile(r"[a-z](?=[A-Z])|[A-Z]{2}(?=[a-z])")
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_UUID: Final = re.compile(r"[0-9A-Za-z]{8}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{12}")
_GROUPS: Final = re.compile(r"[0-9A-Za-z]{4,12}(?:-[0-9A-Za-z]{4,12}){3,8}")
_FILLER: Final = re.compile(
    r"(?i)(?:x{4}|\*{3}|\.{3}|#{4}|_{4}|<[^<>]*>|\A\$\{?\w|\$\{|\{\{|%\(\w+\)s|%\{|%s\b|\A%\w+%\Z|\{[\w.]*\}|\\[ux(]|@\{?[a-z]+\}"
    r"|your[_\- ]|_here\b|replace[_\-]?me|change[_\-]?me|change[_\-]?it|placeholder|redacted|insert[_\-]|dummy|todo\b"
    r"|example|foobar|undefined)"
)
# Words that a name consists of which merely says what stands there.
_SAYING: Final = """
    password passwd pass pwd passphrase passcode pw secret secrets token tokens key keys api apikey auth access user
    username login my your the new old a an is of for this that some any no none null nil true false empty default
    test testing string str int bool bytes text value values name field input type hidden required optional invalid
    valid client account admin root email mail db database host id csrf xsrf refresh bearer basic oauth session
    private public master encrypted hash hashed salt plain raw current confirm confirmation reset repeat again forgot
    change update smtp ftp ssh http https url uri path file env config settings param params arg args self header
    headers cookie request response data json xml form query body get set has must should can will and or not with
    without in on at to from by error missing wrong incorrect expired enter type label placeholder prompt protected
    strength length min max hint reuse policy manager field sample demo dev prod local foo bar baz
"""
_NAMING: Final = frozenset(_SAYING.split())


def filler(value: str) -> bool:
    """Whether it says that a secret is to be put there: `<your-key>`, `xxxx`, `${TOKEN}`, `changeme`."""
    value = value[:_SEEN]
    return len(set(value)) < max(3, min(4, len(value) // 8)) or _FILLER.search(value) is not None


def template(value: str) -> bool:
    """Whether it says what is to be put there, however short it is: `<user>`, `${USER}`, `your-name`."""
    return _FILLER.search(value[:_SEEN]) is not None


def naming(value: str) -> bool:
    """Whether it consists of words that say what stands there: `user_password`, `accessToken`, `None`."""
    value = value[:_SEEN].rstrip(":.!? ")
    return _NAME.fullmatch(value) is not None and all(part.lower() in _NAMING for part in _PARTS.findall(value))


def wordy(value: str) -> bool:
    """Whether its letters come as in words: a name in a program, a path, prose."""
    pairs = common = 0
    for run in _LETTERS.findall(value[:_SEEN]):
        low = run.lower()
        for one, other in pairwise(low):
            pairs += 1
            common += one + other in _PAIRS
    return pairs > 5 and common >= pairs * 0.72


def randomness(value: str) -> int:
    """How random it looks.

    Returns:
        2: letters of both cases and digits in disorder, which nothing but a random value has; 1: may be a random value,
        a hash or an identifier too; 0: no sign of it.
    """
    value = value[:_SEEN]
    if len(set(value)) < 7:
        return 0
    if _UUID.fullmatch(value) or (_GROUPS.fullmatch(value) and sum(map(str.isdigit, value)) > 5):
        return 1
    turns = len(_TURNS.findall(value))
    if _HEX.fullmatch(value):
        return 1 if turns >= (4 if len(value) < 32 else 2) and len(value) >= 16 else 0
    if not turns:
        return 0
    flips = len(_FLIPS.findall(value))
    size = len(value)
    if turns >= 3 and flips >= 2 and turns + flips >= size // 6 and not wordy(value):
        return 2
    return 1 if turns >= 3 and turns + flips >= size // 8 and not wordy(value) else 0


def plausible(value: str, least: int) -> bool:
    """Whether it may be a secret where a word directly before says that it is one: letters and digits that are no name.

    Args:
        value: What stands there.
        least: The fewest characters of it.
    """
    if len(value) < least or filler(value) or naming(value):
        return False
    seen = value[:_SEEN]
    digits = sum(map(str.isdigit, seen))
    if "." in seen and not any(map(str.isalpha, seen)):
        return False
    if digits == len(seen):
        return len(value) >= max(least, 16)
    if digits:
        return not (wordy(value) and digits < 5) or randomness(value) > 0
    return len(value) >= max(least, 16) and not wordy(value)

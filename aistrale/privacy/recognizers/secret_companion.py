"""The other half of a credential: the user beside a password, the id beside a secret, what names an account.

Whoever holds one half of a pair needs only the other, so the half that is no secret by itself goes with the one that
is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers.secret_shape import naming, plausible, randomness, template, wordy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

COMPANION: Final = 0.8
"""The score of what is no secret but belongs to one."""

# How far before and after a password its user may stand, and over how many lines.
_BEFORE: Final = 280
_AFTER: Final = 120
_LINES: Final = 4
_USER: Final = re.compile(
    r"(?P<dash>--?)?"
    r"(?P<name>(?i:user(?:[_ -]?(?:name|id))?|(?<![a-z])(?:uid|usr|machine)"
    r"|login(?:[_ -]?name)?|account_?name|access_?key_?name|principal"
    r"|(?:client|app|application|token|consumer|access_?key|(?<=;))[_.-]?id)(?![a-zA-Z]))"
    r"(?:(?P<tie>\\{0,3}[\"'`)\]]{0,2}[ \t]{0,16}(?:=>|:=|={1,2}|:)[ \t]{0,16}|[\"'][ \t]{1,4}value[ \t]?=[ \t]?|>)"
    r"|(?P<space>[ \t]{1,8}(?![\w.-]{1,40}[=:])))"
    r"(?:(?P<quoting>\\{0,3}[\"'`])(?P<quoted>[^\s\"'`\\]{2,80})(?=\\{0,3}[\"'`])|(?P<bare>[^\s\"'`<>;,&(){}]{2,80}))"
)
_CODE: Final = re.compile(r"[({\[$%<#]|\A[A-Za-z_]\w{0,40}\.[a-z_]\w{0,40}\Z(?<![a-z]\.(?:com|org|net))|\A\W*\Z")
_NAME: Final = re.compile(r"[a-z_]+")
_PASSWORD_FOLLOWS: Final = re.compile(r"\s{1,40}(?:account\s{1,8}\S{1,64}\s{1,40})?password\s")
_LOGIN_FOLLOWS: Final = re.compile(r"\s{1,40}login\s")
_TOLD: Final = re.compile(r"user [\"']([\w.@-]{1,40})[\"']")

# Whose id a name says: `client_id`, `appId`, `AWSAccountId`. The id of a user or of a request is another matter.
_WHOSE: Final = re.compile(
    r"(?:(?P<aws>(?:aws|amazon)[_.-]?account)|client|app|application|consumer|tenant|subscription|reporter|account_?s|key"
    r"|token|credential)[_.-]?\Z"
)
_ID: Final = re.compile(rb"id(?=[\"'`\]\\=:>]| [=:])")
_ID_VALUE: Final = re.compile(
    r"id\\{0,3}[\"'`\])]{0,2}[ \t]{0,8}(?:=>|:=|={1,2}|:|>)[ \t]{0,8}(?P<quote>\\{0,3}[\"'`])?"
    r"(?P<value>[A-Za-z0-9_.~+/=-]{6,128})(?(quote)(?=\\{0,3}[\"'`])|(?![\w(.\[{\"'`-]))",
    re.IGNORECASE,
)
_ACCOUNT: Final = re.compile(r"\d{12}")
_NUMBER_OF_APP: Final = re.compile(r"\d{15,18}")
_DISORDER: Final = re.compile(r"\d[A-Za-z]+\d|[A-Za-z]\d+[A-Za-z]")

# Resources of an account as AWS names them; `aws` in place of the account is what all have.
_ARN: Final = re.compile(
    r"arn:aws(?:-[a-z-]{2,8})?:(?:(?P<s3>s3)|[a-z0-9-]{2,32}):[a-z0-9-]{0,24}:(?:(?P<account>\d{12})|):"
    r"(?P<resource>[^\s\"'`<>,;()\[\]{}$%]{2,256})"
)
_ENVIRONMENT: Final = re.compile(
    r"(?<=[A-Z0-9])_USER(?:_?NAME)?=(?P<quote>[\"'])?(?P<value>[\w.\\@+-]{2,80})(?(quote)(?=[\"']))"
)
_OPTIONS: Final = re.compile(
    r" -u ?(?P<q>[\"']?)(?P<user>[A-Za-z_][^\s\"'`:=]{1,80})(?P=q) {1,4}-p ?(?P<r>[\"']?)"
    r"(?P<password>[^\s\"'`]{3,128})(?P=r)(?=\s|\Z|[\"'`;])"
)
_NET_USE: Final = re.compile(
    r"/user:(?P<q>[\"']?)(?P<user>[^\s\"':]{2,80})(?P=q)(?: {1,4}(?![/\"'-])(?P<password>[^\s\"']{4,128}))?"
)


def companions(text: str, name: int, value: tuple[int, int], found: list[Finding], least: int, *, sure: bool) -> None:
    """Add the user or id that belongs to a password or secret.

    Args:
        text: The whole text.
        name: Where the name of the password begins.
        value: Where its value begins and ends.
        found: Where they go.
        least: Where the one before ended, whose user stands before that.
        sure: Whether the value was taken for a password; else only what is plainly a pair counts.
    """
    start, end = value
    told = _TOLD.search(text, name, start)
    if told is not None:
        found.append(_half(*told.span(1)))
        return
    bare = text[start - 1 : start] not in "\"'`"
    for user in _USER.finditer(text, max(0, name - _BEFORE, least), name):
        if text.count("\n", user.end(), name) <= _LINES:
            _add(text, user, found, bare=bare, sure=sure)
    after = _USER.search(text, end, min(len(text), end + _AFTER)) if sure else None
    if after is not None and text.count("\n", end, after.start()) <= _LINES:
        _add(text, after, found, bare=bare, sure=True)


def _add(text: str, user: re.Match[str], found: list[Finding], *, bare: bool, sure: bool) -> None:
    group = "bare" if user["quoted"] is None else "quoted"
    value = user[group].rstrip(".")
    begin = user.start(group)
    stop = begin + len(value)
    following = text[stop : stop + 1]
    host = user["name"].lower() == "machine"
    if len(value) < 2 or template(value) or (not host and _CODE.search(value)):
        return
    if user["space"] is not None:
        good = _spaced(text, user, stop) and (sure or group == "bare" or _credible(text, user, value))
    elif group == "quoted":
        good = sure or following == ";" or (not bare and _credible(text, user, value))
    else:
        good = following not in ",)(:" if following else True
        good = good and (sure or following == ";" or (bare and following in "\r\n" and _configured(text, user, value)))
    if good:
        found.append(_half(begin, stop))


def _spaced(text: str, user: re.Match[str], stop: int) -> bool:
    """Whether a name and a value with nothing but space between are those of an option or of a file for logins."""
    name = user["name"].lower()
    if user["quoted"] is not None or user["dash"]:
        return name != "machine"
    follows = {"login": _PASSWORD_FOLLOWS, "machine": _LOGIN_FOLLOWS}.get(name)
    return follows is not None and follows.match(text, stop) is not None


def _credible(text: str, user: re.Match[str], value: str) -> bool:
    """Whether a user in quotes is one though the password beside it is none that people would use."""
    return not naming(value) or text.rfind("credential", max(0, user.start() - 80), user.start()) >= 0


def _configured(text: str, user: re.Match[str], value: str) -> bool:
    """Whether it is the line of a configuration and not the assignment of one variable to another."""
    firm = text[user.start("bare") - 1] != " " or _NAME.fullmatch(value) is None
    return firm and not naming(value) and (user.start() == 0 or text[user.start() - 1] in "\n \t_")


def ids(text: str, low: bytes, found: list[Finding]) -> None:
    """Add the ids of clients, applications, keys and cloud accounts that stand beside their names.

    Args:
        text: The whole text.
        low: The same in ASCII and lower case, a byte for each character.
        found: Where they go.
    """
    for hit in _ID.finditer(low):
        at = hit.start()
        whose = _WHOSE.search(low[max(0, at - 24) : at].decode("ascii"))
        match = None if whose is None else _ID_VALUE.match(text, at)
        if whose is None or match is None:
            continue
        value = match["value"]
        quoted = match["quote"] is not None
        if whose["aws"]:
            good = _ACCOUNT.fullmatch(value) is not None
        elif value.isdigit():
            good = _NUMBER_OF_APP.fullmatch(value) is not None and whose[0][:3] in ("app", "cli", "con")
        else:
            good = plausible(value, 6) and not wordy(value) and _is_id(value, quoted=quoted)
        if good:
            found.append(_half(*match.span("value")))


def _is_id(value: str, *, quoted: bool) -> bool:
    if randomness(value):
        return True
    if "-" in value or "_" in value or "." in value or "/" in value:
        return False
    return _DISORDER.search(value) is not None and (quoted or not value[0].isalpha() or len(value) > 9)


def _half(start: int, end: int) -> Finding:
    return Finding(start, end, "SECRET", COMPANION, "secret_companion")


class Companion:
    """Names of resources and users that belong to credentials by the form in which they stand."""

    name = "secret_companion"
    types = ("SECRET", "PASSWORD")
    triggers = Triggers(literals=("arn:aws", "_USER", " -u ", "/user:"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """What stands there."""
        text, at = candidate.text, candidate.start
        trigger = candidate.value
        if trigger == "arn:aws":
            return _resource(text, at)
        if trigger == "_USER":
            match = _ENVIRONMENT.match(text, at)
            if match is None or template(match["value"]) or match["value"].isdigit():
                return ()
            return (_half(*match.span("value")),)
        pair = (_OPTIONS if trigger == " -u " else _NET_USE).match(text, at)
        return () if pair is None else _user_and_password(pair)


def _resource(text: str, at: int) -> Iterable[Finding]:
    arn = _ARN.match(text, at)
    if arn is None or template(arn["resource"]) or not (arn["account"] or arn["s3"] or "/" in arn["resource"]):
        return ()
    end = arn.end()
    while text[end - 1] in ".:!?\\":
        end -= 1
    return (_half(at, end),)


def _user_and_password(pair: re.Match[str]) -> Iterable[Finding]:
    user, password = pair["user"], pair["password"]
    if user[0] in "$%<{" or template(user):
        return ()
    found = [_half(*pair.span("user"))]
    if password is None:
        return found
    # `-p 8080:80` publishes a port, `-p $X` and `-p %X%` say where the password is.
    if password[0] in "$%<{-" or template(password):
        return found
    if password[0].isdigit() and not any(map(str.isalpha, password)):
        return ()
    start, end = pair.span("password")
    found += [Finding(start, end, kind, COMPANION, "secret_companion") for kind in ("SECRET", "PASSWORD")]
    return found


RECOGNIZERS = (Companion(),)

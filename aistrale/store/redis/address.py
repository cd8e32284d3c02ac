"""Where the Redis is, and how a fleet calls itself there: the setting `state`, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = ("redis", "rediss", "unix")
ACCEPTED: Final = (
    "Accepted are redis://[user:password@]host[:port][/db], rediss://... and unix://[:password@]/path[?db=0], "
    "with ?prefix=name, &timeout=seconds and &processes=number."
)

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DEFAULT_TIMEOUT: Final = 0.05
_OWN: Final = ("prefix", "timeout", "processes")


@dataclass(slots=True, frozen=True, repr=False)
class Address:
    """A Redis and a fleet.

    Args:
        url: For the client library, without what is ours; it may hold a password.
        prefix: The fleet's name. Processes with the same one share everything. "default".
        timeout: Most seconds that a call waits for an answer, and for a connection, more than 0. 0.05.
        processes: How many processes share while Redis has never been reached, at least 1. 1.
    """

    url: str
    prefix: str = "default"
    timeout: float = _DEFAULT_TIMEOUT
    processes: int = 1

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read the setting.

        Raises:
            ConfigurationError: It is not understood; says what is accepted and never repeats it, as it may hold a
                password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise wrong("the address cannot be read") from None
        if parts.scheme not in SCHEMES:
            raise wrong(f"the address begins with none of {', '.join(f'{each}://' for each in SCHEMES)}")
        if parts.scheme == "unix" and not unquote(parts.path).strip("/"):
            raise wrong("the path of the socket is missing")
        if parts.scheme != "unix" and port == 0:
            raise wrong("0 is no port")
        if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
            raise wrong("the database is not a number")
        query = parse_qsl(parts.query)
        own = {name: value for name, value in query if name in _OWN}
        rest = urlencode([(name, value) for name, value in query if name not in _OWN])
        url = f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if rest else ''}{rest}"
        prefix = own.get("prefix", "default")
        if not _PREFIX.fullmatch(prefix):
            raise wrong("prefix must be 1 to 64 letters, digits, '_', '.', ':' or '-'")
        return cls(url, prefix, _timeout(own), _processes(own))

    @property
    def shown(self) -> str:
        """The address without its password."""
        parts = urlsplit(self.url)
        place = parts.path if parts.scheme == "unix" else f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        return f"{parts.scheme}://{place}?prefix={self.prefix}"

    @property
    def secret(self) -> str | None:
        """The password, as it must not be seen anywhere."""
        password = urlsplit(self.url).password
        return unquote(password) if password else None

    def key(self, *parts: str) -> str:
        """The name of a key of this fleet."""
        # In braces: what belongs together would stay in one place wherever keys are parted by them.
        return f"aistrale:{{{self.prefix}}}:{':'.join(parts)}"

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def _timeout(own: Mapping[str, str]) -> float:
    try:
        seconds = float(own.get("timeout", _DEFAULT_TIMEOUT))
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds <= 60.0:
        raise wrong("timeout must be a number of seconds from 0.001 to 60")
    return seconds


def _processes(own: Mapping[str, str]) -> int:
    text = own.get("processes", "1")
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise wrong("processes must be a whole number, at least 1")
    return int(text)


def wrong(what: str) -> ConfigurationError:
    """The error for a setting that is not understood."""
    return ConfigurationError(f"state: {what}", field="state", hint=ACCEPTED)

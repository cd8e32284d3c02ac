"""Sends webhooks: `webhook:https://host/path`, or a WebhookSink where there is more to say. See docs/webhooks.md."""

from __future__ import annotations

import enum
import hashlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from aistrale.errors import ConfigurationError
from aistrale.providers.secret import Secret
from aistrale.telemetry.webhooks.addresses import check_url, read_rules
from aistrale.telemetry.webhooks.deliverer import Deliverer
from aistrale.telemetry.webhooks.log import FILE_NAME, WebhookLog, default_path
from aistrale.telemetry.webhooks.messages import TYPES, kinds, message_of
from aistrale.telemetry.webhooks.outbound import Answer, Outbound
from aistrale.telemetry.webhooks.schedule import DELAYS
from aistrale.telemetry.webhooks.signature import read_keys, signature_headers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.webhooks.messages import Message
    from aistrale.telemetry.webhooks.signature import Key, Secrets

SECRET_VARIABLE: Final = "AISTRALE_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
TIMEOUT: Final = 20.0
"""Seconds for one try; the specification recommends 15 to 30."""

_OPTION: Final = "aistrale_"
_NONE: Final = "none"
_OPTIONS: Final = ("name", "secret", "secret_env", "types")
_HEADER: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")
_OURS: Final = frozenset({"content-type", "content-length", "host", "user-agent", "connection", "transfer-encoding"})


class Environment(enum.Enum):
    """Says that the secret is to be read from a variable."""

    SECRET = SECRET_VARIABLE


class WebhookSink:
    """Tells an endpoint what happened, by Standard Webhooks: signed, and kept on disk while it is tried for three days.

    What it has taken survives the process and is delivered at least once, always with the same `webhook-id`; several
    processes that send to the same endpoint share the work. What the receiver answers is never kept.

    Args:
        url: Where to, `https://host/path`.
        secret: "whsec_..." (shared) or "whsk_..." (private key); several sign while they are changed, separated by
            blanks in a variable. Read from AISTRALE_WEBHOOK_SECRET by default. None sends unsigned messages, which
            anybody could have sent.
        types: Which messages, of `aistrale.telemetry.webhooks.messages.TYPES`; None for all.
        name: What it is called in logs and by `aistrale webhooks`; the host by default. Two endpoints at the same host
            need names.
        headers: Further headers, such as one that lets a gateway pass. Kept as secret as the secret.
        timeout: Seconds for one try, more than 0.
        allow_private: True to send to private addresses and this machine too, or a list of hosts and networks.
            Otherwise only public addresses are connected to. http is only for this machine.
        ports: Ports beside 443 and 8443.
        queue: Most messages that wait, at least 1; what comes then is dropped and counted.
        threads: Most tries at the same time, at least 1.
        verify: As for `SyncHttp`: authorities of your own.
        delays: Seconds before each try, from the first on.
        directory: Where messages are kept; None for the platform's data directory (AISTRALE_HOME).

    Raises:
        ConfigurationError: An argument is wrong, or there is no secret; names the argument and quotes none.
    """

    durable = True

    def __init__(
        self,
        url: str,
        *,
        secret: Secrets | Environment | None = Environment.SECRET,
        types: Collection[str] | None = None,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        allow_private: bool | Collection[str] = False,
        ports: Collection[int] = (),
        queue: int = 10_000,
        threads: int = 4,
        verify: bool | str | ssl.SSLContext = True,
        delays: Sequence[float] = DELAYS,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        rules = read_rules(allow_private, ports)
        host = check_url(url, rules)
        self.types = _types(types)
        self.kinds = kinds(self.types)
        self.name = name or f"webhook:{host}"
        self.timeout = _above("timeout", timeout)
        self._keys = _keys(secret)
        self._out = Outbound(url, rules, headers=_headers(headers), verify=verify)
        self.log = WebhookLog(_path(directory))
        self._deliverer = Deliverer(
            # What is still to be sent belongs to the place; a new address is a new endpoint.
            hashlib.sha256(url.encode()).hexdigest()[:32],
            self.name,
            self.log,
            self._out,
            keys=self._keys,
            timeout=self.timeout,
            queue=_whole("queue", queue),
            delays=tuple(delays) or DELAYS,
            threads=_whole("threads", threads),
        )

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of an address such as "webhook:https://host/path?aistrale_types=provider.failed,dlp.violation".

        What begins with `aistrale_` in its query is ours and is not sent: `aistrale_types` (with commas, or with `+`
        where commas part sinks), `aistrale_name`, `aistrale_secret_env` (the variable that has the secret) and
        `aistrale_secret=none`.

        Raises:
            ConfigurationError: The address is wrong, or there is no secret.
        """
        bare, options = _options(url.partition(":")[2].strip())
        secret: Secrets | Environment | None = Environment.SECRET
        if "secret" in options:
            if options["secret"] != _NONE or "secret_env" in options:
                raise ConfigurationError(
                    "webhook: aistrale_secret can only be none; a secret does not belong in an address",
                    field="secret",
                    hint=f"Put it into {SECRET_VARIABLE}, or name a variable with aistrale_secret_env.",
                )
            secret = None
        elif "secret_env" in options:
            secret = _from_variable(options["secret_env"])
        types = options["types"].replace(",", " ").split() if "types" in options else None
        return cls(bare, secret=secret, types=types, name=options.get("name") or None)

    def __repr__(self) -> str:
        return f"<WebhookSink {self.name}>"

    def attach(self, emit: Callable[[TelemetryEvent], None]) -> None:
        """Tell of deliveries, and send what an earlier process has left."""
        self._deliverer.emit = emit
        self._deliverer.start()

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Keep the messages of a batch on disk; they are sent from there.

        Raises:
            sqlite3.Error, OSError: They cannot be written.
        """
        made = (message_of(event) for event in events)
        messages = [message for message in made if message is not None and message.type in self.types]
        if messages:
            self._deliverer.put(messages)

    def flush(self, timeout: float) -> bool:
        """Send what is due within `timeout` seconds; False where messages still wait, safely."""
        return self._deliverer.flush(timeout)

    def send_once(self, message: Message) -> Answer:
        """Send a message now and once, without keeping it: to see whether the endpoint works."""
        headers = signature_headers(self._keys, message.id, int(time.time()), message.body)
        return self._out(headers, message.body, self.timeout)

    def close(self) -> None:
        """Let go of threads, connections and the file; a later event begins anew."""
        self._deliverer.close()
        self._out.close()
        self.log.close()


def _options(url: str) -> tuple[str, dict[str, str]]:
    """The address without what is ours in its query, byte for byte, and that."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("webhook: the address is malformed", field="url") from None
    kept, found = list[str](), dict[str, str]()
    for item in parts.query.split("&") if parts.query else ():
        name = unquote(item.partition("=")[0])
        if not name.startswith(_OPTION):
            kept.append(item)
            continue
        option = name.removeprefix(_OPTION)
        if option not in _OPTIONS:
            known = ", ".join(f"{_OPTION}{each}" for each in _OPTIONS)
            raise ConfigurationError(f"webhook: {name} is no option", field="url", hint=f"Known: {known}.")
        found.update((key.removeprefix(_OPTION), value) for key, value in parse_qsl(item, keep_blank_values=True))
    return urlunsplit(parts._replace(query="&".join(kept))), found


def _keys(secret: Secrets | Environment | None) -> tuple[Key, ...]:
    if secret is None:
        return ()
    if isinstance(secret, Environment):
        secret = _from_variable(secret.value)
    return read_keys(secret, field="secret", signing=True)


def _from_variable(name: str) -> list[Secret]:
    found = [Secret(each) for each in os.environ.get(name, "").replace(",", " ").split()]
    if not found:
        raise ConfigurationError(
            f"webhook: there is no secret to sign with; {name if name.isidentifier() else 'the variable'} is not set",
            field="secret",
            hint="`aistrale webhooks secret` makes a new one; secret=None sends unsigned messages.",
        )
    return found


def _types(given: Collection[str] | None) -> frozenset[str]:
    if given is None:
        return frozenset(TYPES)
    if isinstance(given, str) or not given:
        raise ConfigurationError("webhook: types must be a list of types", field="types")
    for each in given:
        if each not in TYPES:
            raise ConfigurationError(
                f"webhook: {str(each)[:50]!r} is no type of message", field="types", hint=f"Known: {', '.join(TYPES)}."
            )
    return frozenset(given)


def _headers(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    for name, value in (given or {}).items():
        plain = isinstance(name, str) and isinstance(value, str)
        if not plain or _HEADER.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ConfigurationError("webhook: a header is malformed", field="headers")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise ConfigurationError(f"webhook: the header {name} is not to be set", field="headers")
    return tuple((given or {}).items())


def _above(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ConfigurationError(f"webhook: {name} must be a number more than 0", field=name)
    return float(value)


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"webhook: {name} must be a whole number, at least 1", field=name)
    return value


def _path(directory: str | os.PathLike[str] | None) -> Path:
    path = default_path() if directory is None else Path(directory).expanduser().absolute() / FILE_NAME
    if path is None:
        raise ConfigurationError(
            "webhook: there is no directory to keep messages in", field="directory", hint="Set AISTRALE_HOME."
        )
    return path

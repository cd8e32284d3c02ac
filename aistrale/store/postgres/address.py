"""Where the PostgreSQL is: the setting `ledger="postgresql://..."`, read."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = ("postgresql", "postgres")
SCHEMA: Final = "aistrale"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
# The parameter key words of libpq 18 ("Database Connection Control Functions"), without those that are set here.
_OPTIONS: Final = frozenset({
    "application_name", "channel_binding", "connect_timeout", "dbname", "fallback_application_name", "gssdelegation",
    "gssencmode", "gsslib", "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
    "keepalives_interval", "krbsrvname", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
    "oauth_client_id", "oauth_issuer", "oauth_scope", "options", "passfile", "port", "require_auth", "requirepeer",
    "service", "sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile", "sslmode",
    "sslnegotiation", "sslrootcert", "sslsni", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "target_session_attrs", "tcp_user_timeout", "user", *_SECRETS,
})  # fmt: skip


@dataclass(slots=True, frozen=True, repr=False)
class Address:
    """A database, and the schema in it that the ledger is in.

    Args:
        options: Parameters of libpq by their key words; may hold a password.
        schema: Where the tables are.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    schema: str = SCHEMA

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `postgresql://user:password@host:port/database?schema=name`.

        As libpq has it, everything may be missing: what the address does not say, the environment does (`PGHOST`,
        `PGPASSWORD`, ...), a password file, or a service. Several hosts are parted by commas.

        Raises:
            ConfigurationError: It is not understood; the address is not repeated, as it may hold a password.
        """
        scheme, _, rest = text.partition("://")
        rest, _, query = rest.partition("?")
        authority, _, path = rest.partition("/")
        if scheme.lower() not in SCHEMES:
            raise wrong("the address is not understood")
        if re.search(r"[\x00-\x20\x7f]", text) or "\0" in unquote(text):
            raise wrong("there are blanks or control characters in the address")
        options = dict(_asked(query))
        schema = options.pop("schema", SCHEMA)
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise wrong("schema must be 1 to 63 of a-z, 0-9 and '_', and begin with neither a digit nor pg_")
        userinfo, _, hosts = authority.rpartition("@")
        user, _, password = userinfo.partition(":")
        found = {**_hosts(hosts), "user": user, "password": password, "dbname": path}
        options = {name: unquote(value) for name, value in found.items() if value} | options
        return cls(options, schema)

    @property
    def shown(self) -> str:
        """The address without its password."""
        told = self.options
        user = f"{quote(told['user'])}@" if "user" in told else ""
        hosts = (told.get("host") or told.get("hostaddr") or "").split(",")
        ports = told.get("port", "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        pairs = [(quote(host, safe=":/"), f":{port}" if port else "") for host, port in zip(hosts, ports, strict=False)]
        if any(host.startswith("/") for host in hosts):
            # The directory of a socket would look like a database there.
            places, more = "", f"&host={','.join(host for host, _ in pairs)}"
        else:
            places, more = ",".join(f"[{host}]{port}" if ":" in host else f"{host}{port}" for host, port in pairs), ""
        service = f"&service={quote(told['service'])}" if "service" in told else ""
        database = quote(told.get("dbname", ""))
        return f"postgresql://{user}{places}/{database}?schema={self.schema}{more}{service}"

    @property
    def identity(self) -> str:
        """Sixteen characters that are the same for the same schema of the same database, whoever connects how.

        Users and passwords change; rows that wait for a database are to be found all the same.
        """
        say = self._say
        parts = (
            (say("host", "PGHOST") or say("hostaddr", "PGHOSTADDR")).lower(),
            say("port", "PGPORT") or "5432",
            say("dbname", "PGDATABASE") or say("user", "PGUSER"),
            say("service", "PGSERVICE"),
            self.schema,
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _say(self, option: str, variable: str) -> str:
        return self.options.get(option) or os.environ.get(variable) or ""

    def hide(self, text: str) -> str:
        """A text, such as an error of the driver, without what is secret in this address."""
        for name in _SECRETS:
            for secret in {self.options.get(name), os.environ.get("PGPASSWORD") if name == "password" else None}:
                if secret:
                    text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def _asked(query: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in _OPTIONS and name != "schema":
            # Not repeated unless it looks like a name: what is misplaced may be a password.
            told = f"the parameter {name!r}" if re.fullmatch(r"[a-z_]{1,30}", name) else "a parameter"
            raise wrong(f"{told} of the address is not known")
        if name in found:
            raise wrong(f"{name} stands twice in the address")
        if value:
            found[name] = value
    if not found.get("connect_timeout", "0").isdecimal():
        raise wrong("connect_timeout must be a whole number of seconds")
    return found


def _hosts(text: str) -> dict[str, str]:
    """The hosts and their ports, each list parted by commas, as libpq wants them; still quoted."""
    hosts, ports = [], []
    for each in text.split(",") if text else []:
        host, port = each, ""
        if each.startswith("["):
            host, bracket, port = each[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise wrong("a host of the address is not understood")
            port = port.removeprefix(":")
        elif ":" in each:
            host, _, port = each.partition(":")
        if port and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
            raise wrong("a port of the address is no number from 1 to 65535")
        hosts.append(host)
        ports.append(port)
    return {"host": ",".join(hosts), "port": ",".join(ports) if any(ports) else ""}


def wrong(what: str) -> ConfigurationError:
    """The error for a setting that is not understood."""
    return ConfigurationError(
        f"ledger: {what}.",
        field="ledger",
        hint=(
            'Accepted are "off", "sqlite:///path" and '
            '"postgresql://user:password@host:port/database?schema=name", with the parameters of libpq.'
        ),
    )

"""Which places a webhook may go to: by default public addresses only.

An address of a webhook is often somebody else's choice, and what answers inside a network answers whoever asks from
inside.

The rules are about numeric addresses, at the moment of connecting: a name is looked up once, every address that it has
must be allowed, and the connection goes to one of exactly those. However a host is spelt, and whatever a name server
says the next time, makes no difference.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from aistrale.core.exchange import HttpConnectError
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from aistrale.core.sockets import AddressInfo

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS: Final = frozenset({443, 8443})

# IANA's registries of special-purpose addresses; written out, since what Python's ipaddress knows of them differs from
# release to release. The last of the first group is where Azure's machines ask for their own secrets.
_SPECIAL4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",
        ),
    )
)  # fmt: skip
# Only this block is for hosts of the public network at all.
_GLOBAL6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL6: Final = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
# What stands in the last 32 bits is where packets end.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# There, too, where networks do so among themselves.
_EMBEDDING: Final = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# Never meant, whatever is allowed: everybody, nobody, and where clouds keep the secrets of their machines.
_NEVER: Final[tuple[Network, ...]] = (
    *map(ipaddress.IPv4Network, ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32")),
    *map(ipaddress.IPv6Network, ("::/128", "fe80::/10", "fec0::/10", "ff00::/8")),
    *map(ipaddress.IPv6Network, ("fd00:ec2::254/128", "fd20:ce::254/128")),
)  # fmt: skip
_METADATA: Final = (ipaddress.IPv4Address("100.100.100.200"), ipaddress.IPv4Address("192.0.0.192"))
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BLANK: Final = re.compile(r"[\x00-\x20\x7f\\]")


class AddressRefused(HttpConnectError):
    """The name leads to an address that webhooks must not go to."""


@dataclass(slots=True, frozen=True)
class Rules:
    """What is allowed beyond public addresses and the usual ports.

    Args:
        private: True for all private networks and this machine.
        hosts: Names of hosts that may have private addresses.
        networks: Networks that are allowed.
        ports: Ports that are allowed at public addresses, besides 443 and 8443.
    """

    private: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()

    @property
    def strict(self) -> bool:
        """Whether nothing is allowed beyond public addresses."""
        return not (self.private or self.hosts or self.networks)


def read_rules(allow_private: bool | Collection[str], ports: Collection[int] = ()) -> Rules:  # noqa: FBT001 - as given
    """The rules of the sink's arguments.

    Args:
        allow_private: True, or names of hosts and networks ("10.2.0.0/16").
        ports: Further ports.

    Raises:
        ConfigurationError: They are nothing of that kind.
    """
    for port in ports:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise ConfigurationError("webhook: ports must be numbers from 1 to 65535", field="ports")
    if isinstance(allow_private, bool):
        return Rules(private=allow_private, ports=frozenset(ports))
    hosts, networks = set[str](), list[Network]()
    given = [allow_private] if isinstance(allow_private, str) else [*allow_private]
    for each in given:
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError:
            if not isinstance(each, str) or not each or "/" in each or _BLANK.search(each):
                raise ConfigurationError(
                    "webhook: allow_private must be True, or a list of names of hosts and networks",
                    field="allow_private",
                ) from None
            hosts.add(each.lower().rstrip("."))
    return Rules(hosts=frozenset(hosts), networks=tuple(networks), ports=frozenset(ports))


def check_url(url: str, rules: Rules) -> str:
    """Check what can be told from the address alone; gives the name of its host.

    Raises:
        ConfigurationError: It is no address for a webhook. It is never quoted: what stands behind the host may be a
            secret.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _wrong("the address is malformed") from None
    if _BLANK.search(url) or not url.isascii():
        raise _wrong("the address has characters that must be percent-encoded, or the host ones that must be in IDNA")
    if parts.scheme not in {"https", "http"} or not host or "%" in host:
        raise _wrong("the address is not https://host/path")
    if parts.username is not None or parts.password is not None:
        raise _wrong("credentials do not belong in the address", "Give them as headers={'authorization': ...}.")
    if parts.fragment:
        raise _wrong("the address has a fragment, which is never sent")
    if parts.scheme == "http" and rules.strict:
        raise _wrong("only https is sent to", "http is for this very machine, with allow_private=True.")
    if rules.strict and port not in {None, *PORTS, *rules.ports}:
        raise _wrong(f"port {port} is not one of 443 and 8443", "Allow it with ports=[...].")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
            # Octal, hexadecimal, in one number: what a resolver makes of it, a reader does not see.
            raise _wrong("the host is a number that is not written as an address") from None
        return host
    reason = refusal(address, host, rules, plain=parts.scheme == "http")
    if reason is not None:
        raise _wrong(f"{host} is {reason}", "Allow it with allow_private if it is yours.")
    return host


def _wrong(text: str, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError(f"webhook: {text}", field="url", hint=hint)


def allowed(host: str, port: int, found: Iterable[AddressInfo], rules: Rules, *, plain: bool) -> Sequence[AddressInfo]:
    """The addresses of a host, if all of them may be connected to.

    Args:
        host: Its name.
        port: The port.
        found: What it was looked up as.
        rules: What is allowed.
        plain: Whether without TLS.

    Raises:
        AddressRefused: One may not: then it is not the host's other addresses that are meant.
    """
    infos = list(found)
    for info in infos:
        address = ipaddress.ip_address(str(info[4][0]).partition("%")[0])
        reason = refusal(address, host, rules, plain=plain)
        if reason is None and port not in {*PORTS, *rules.ports} and is_public(address):
            reason = "public, where only ports 443 and 8443 are sent to"
        if reason is not None:
            raise AddressRefused(f"{host} leads to an address that is {reason}; nothing was sent", phase="resolve")
    return infos


def refusal(address: Address, host: str, rules: Rules, *, plain: bool) -> str | None:
    """Why an address is not connected to; None where it is."""
    own = inner(address)
    if plain and not own.is_loopback:
        return "not this machine, where http would be read by others"
    if any(own in network for network in rules.networks if network.version == own.version):
        return None
    if is_public(own):
        return None
    if any(_is_never_meant(each) for each in (own, *_carried(own))):
        return "not one of a host"
    if rules.private or host.rstrip(".") in rules.hosts:
        return None
    return "not public"


def _is_never_meant(address: Address) -> bool:
    return address in _METADATA or any(address in network for network in _NEVER if network.version == address.version)


def _carried(address: Address) -> Iterable[Address]:
    """The IPv4 addresses to which older ways between the two networks bring packets for an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if not address.is_loopback and any(address in network for network in _EMBEDDING):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def inner(address: Address) -> Address:
    """The address that is meant: the IPv4 one where it is only written as an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether it is one of a host in the public network."""
    own = inner(address)
    if isinstance(own, ipaddress.IPv4Address):
        return not any(own in network for network in _SPECIAL4)
    return own in _GLOBAL6 and not any(own in network for network in _SPECIAL6)

"""Plain socket work that every way of waiting shares."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]

# RFC 8305 section 5 recommends 250 ms between the attempts to the addresses of one name.
STAGGER: Final = 0.25
IN_PROGRESS: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


def is_address(host: str) -> bool:
    """Tell a numeric IP address from a name that must be looked up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def interleave(found: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Order addresses so that the families alternate, starting with the resolver's first choice (RFC 8305)."""
    found = list(dict.fromkeys(found))
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    mixed: list[AddressInfo] = []
    while first or other:
        mixed += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return mixed


def open_socket(info: AddressInfo) -> socket.socket:
    """A non-blocking TCP socket for an address, set up for requests and streams of small pieces."""
    sock = socket.socket(info[0], info[1], info[2])
    sock.settimeout(0.0)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that vanished behind a NAT would otherwise never be noticed where no deadline is set.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the resolver; blocks."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def is_readable(sock: socket.socket) -> bool:
    """True if a read would not block: data or the end is there. On an idle connection both mean: do not use it."""
    if sock.fileno() < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def extra_info(sock: socket.socket | None, info: str) -> object:
    """Answer httpcore's questions about a stream."""
    if sock is None:
        return None
    if info == "ssl_object":
        return sock if isinstance(sock, ssl.SSLSocket) else None
    if info == "socket":
        return sock
    if info == "is_readable":
        return is_readable(sock)
    if info == "client_addr":
        return sock.getsockname()
    if info == "server_addr":
        return sock.getpeername()
    return None

"""Which proxy, if any, leads to a host."""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOPBACK: Final = frozenset({"localhost", "localhost.localdomain", "::1", "[::1]"})


def is_loopback(host: str) -> bool:
    """True for the names and addresses of this machine: 127.0.0.0/8, ::1, localhost and names below it."""
    host = host.lower().rstrip(".")
    parts = host.split(".")
    numeric = len(parts) == 4 and all(part.isdigit() for part in parts)
    return host in _LOOPBACK or host.endswith(".localhost") or (numeric and parts[0] == "127")


class ProxyRules:
    """The proxies of one client, read once when it is made.

    Args:
        proxy: URL of the proxy for every host beyond loopback, or None to let the environment decide.
        trust_env: Whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (or the system's own settings on macOS
            and Windows) are looked at.

    Raises:
        ConfigurationError: The URL is not one of a proxy (http, https, socks5 or socks5h with a host).
    """

    __slots__ = ("_explicit", "_found")

    def __init__(self, proxy: str | None, *, trust_env: bool) -> None:
        self._explicit = None if proxy is None else check_proxy(proxy, "proxy")
        self._found: dict[str, str] = {}
        # urllib.request takes 20 ms to import, so it is asked only where it could know something.
        relevant = sys.platform in ("darwin", "win32") or any(
            name.lower().endswith("_proxy") and value for name, value in os.environ.items()
        )
        if proxy is None and trust_env and relevant:
            from urllib.request import getproxies

            self._found = getproxies()

    def proxy_for(self, scheme: str, host: str) -> str | None:
        """The URL of the proxy for a host, or None to go there directly.

        Args:
            scheme: "http" or "https".
            host: Name or address without port.

        Raises:
            ConfigurationError: The environment names a proxy that is not one.
        """
        if is_loopback(host):
            return None
        if self._explicit is not None:
            return self._explicit
        if not self._found:
            return None
        import urllib.request

        # Has no entry in the type stubs, though Python has used it since 3.5 wherever NO_PROXY is honoured.
        bypassed: Callable[[str, dict[str, str]], object] = vars(urllib.request)["proxy_bypass_environment"]
        if bypassed(host, self._found):
            return None
        found = self._found.get(scheme) or self._found.get("all")
        if not found:
            return None
        # curl, and so the habit of the world, takes `host:port` for an http proxy.
        return check_proxy(found if "://" in found else f"http://{found}", f"{scheme.upper()}_PROXY")


def check_proxy(url: str, source: str) -> str:
    """Check that a URL is one of a proxy.

    Args:
        url: The URL; it may hold credentials, so it is never repeated in a message.
        source: The setting that it came from, for the message.

    Returns:
        The URL.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https", "socks5", "socks5h"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{source}: not the URL of a proxy; use http://, https://, socks5:// or socks5h:// with a host",
            field=source,
        )
    return url


def basic_authorization(parts: SplitResult) -> bytes | None:
    """Value of Proxy-Authorization for the credentials in a URL, or None where it has none."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return b"Basic " + base64.b64encode(pair.encode())

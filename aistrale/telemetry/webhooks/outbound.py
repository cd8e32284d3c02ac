"""Sends one message once: to a checked address, within a time, without following anybody anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from aistrale._version import __version__
from aistrale.core.http import HttpError, HttpRequest, SyncHttp
from aistrale.core.network_sync import SyncWire
from aistrale.core.runtime import run_sync
from aistrale.dialects.headers import retry_after
from aistrale.telemetry.webhooks.addresses import allowed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from aistrale.core.network import Tunnel
    from aistrale.core.sockets import AddressInfo
    from aistrale.telemetry.webhooks.addresses import Rules

Resolver: TypeAlias = "Callable[[str, int], Sequence[AddressInfo]]"

_CONNECT_SECONDS: Final = 10.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """What came of one try.

    Args:
        status: HTTP status; None where there was no answer.
        error: Class of the error, where there was none.
        retry_after: Seconds that the receiver asks to wait.
        seconds: How long it took.
    """

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    seconds: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken the message: 200 to 299, nothing else."""
        return self.status is not None and 200 <= self.status < 300


class Send(Protocol):
    """Sends a message once; never raises for what the receiver or the network does."""

    def __call__(self, headers: list[tuple[str, str]], body: bytes, timeout: float) -> Answer:
        """What came of it, within `timeout` seconds."""
        ...


class _CheckedWire(SyncWire):
    """Connects to nothing but what the rules allow, however the name was looked up."""

    __slots__ = ("_plain", "_resolver", "_rules")

    def __init__(self, tunnel: Tunnel | None, rules: Rules, resolver: Resolver | None, *, plain: bool) -> None:
        super().__init__(tunnel)
        self._rules = rules
        self._resolver = resolver
        self._plain = plain

    def _resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        found = super()._resolve(host, port) if self._resolver is None else self._resolver(host, port)
        return allowed(host, port, found, self._rules, plain=self._plain)


class _CheckedHttp(SyncHttp):
    def __init__(self, rules: Rules, resolver: Resolver | None, verify: bool | str | ssl.SSLContext) -> None:  # noqa: FBT001 - as SyncHttp has it
        # A proxy of the environment would look names up itself, and connect to whatever it finds.
        super().__init__(verify=verify, trust_env=False)
        self._rules = rules
        self._resolver = resolver

    def _wire(self, tunnel: Tunnel | None, *, tls: bool) -> SyncWire:
        return _CheckedWire(tunnel, self._rules, self._resolver, plain=not tls)


class Outbound:
    """The way to one address. Its body is not read: all that counts stands in the head of the answer.

    Args:
        url: Checked by `addresses.check_url`.
        rules: Where it may lead.
        headers: Further headers of the application.
        verify: As for `SyncHttp`.
        resolver: Looks names up; the system's by default.
    """

    def __init__(
        self,
        url: str,
        rules: Rules,
        *,
        headers: Sequence[tuple[str, str]] = (),
        verify: bool | str | ssl.SSLContext = True,
        resolver: Resolver | None = None,
    ) -> None:
        self._url = url
        self._headers = (("content-type", "application/json"), ("user-agent", f"aistrale/{__version__}"), *headers)
        self._rules = rules
        self._resolver = resolver
        self._verify = verify
        self._http: SyncHttp | None = self._make()

    def __call__(self, headers: list[tuple[str, str]], body: bytes, timeout: float) -> Answer:
        """See `Send`."""
        http = self._http
        if http is None:
            http = self._http = self._make()
        begun = time.monotonic()
        until = begun + timeout
        request = HttpRequest("POST", self._url, [*self._headers, *headers], body)
        answer: dict[str, Any] = {}
        try:
            response = run_sync(http.open(request, connect_until=min(until, begun + _CONNECT_SECONDS), until=until))
            answer["status"] = response.status
            if response.status >= 300:
                answer["retry_after"] = retry_after(response.headers.lowered, time.time())
            run_sync(response.close())
        except (HttpError, OSError, ValueError) as error:
            # The last two: authorities that cannot be read, and what no address may hold.
            if "status" not in answer:
                answer["error"] = type(error).__name__
        return Answer(**answer, seconds=time.monotonic() - begun)

    def _make(self) -> SyncHttp:
        return _CheckedHttp(self._rules, self._resolver, self._verify)

    def close(self) -> None:
        """Close idle connections; the next message opens others."""
        http, self._http = self._http, None
        if http is not None:
            run_sync(http.close())

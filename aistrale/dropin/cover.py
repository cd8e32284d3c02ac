"""Putting the transports of one HTTP client behind ours; what sends stays its own: proxies, certificates, mocks."""

# ruff: noqa: ANN401 - the clients of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aistrale.default import get_engine
from aistrale.dropin.transport import Transport
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def covered(inner: Any) -> Any:
    """Our transport around another one; one of ours stays as it is."""
    return inner if isinstance(inner, Transport) else Transport(get_engine, inner)


def cover_client(client: Any, cover: Callable[[Any], Any] = covered) -> None:
    """Put every transport of an httpx or httpx2 client, also those to proxies, behind ours.

    Args:
        client: Of either library, blocking or async; kept as it is but for the transports.
        cover: What is put around each of them.

    Raises:
        ConfigurationError: It is a client of another library.
    """
    attributes = vars(client) if hasattr(client, "__dict__") else {}
    if "_transport" not in attributes or not isinstance(attributes.get("_mounts"), dict):
        raise ConfigurationError(
            f"its HTTP client, a {type(client).__module__}.{type(client).__qualname__}, is none of httpx or httpx2",
            field="client",
            hint="Update the SDK, or give it a client of httpx or httpx2.",
        )
    client._transport = cover(client._transport)  # noqa: SLF001 - there is no public way to change it later
    for pattern, transport in list(client._mounts.items()):  # noqa: SLF001
        # None: no proxy for these hosts, so the client's first transport is taken.
        if transport is not None:
            client._mounts[pattern] = cover(transport)  # noqa: SLF001
    _cover_per_loop(client, cover)


def _cover_per_loop(client: Any, cover: Callable[[Any], Any]) -> None:
    """google-genai's async client sends through further clients, one per event loop, that it makes of one class."""
    make = getattr(client, "_inner_client_cls", None)
    if make is None:
        return

    def made(**arguments: Any) -> Any:
        inner = make(**arguments)
        cover_client(inner, cover)
        return inner

    if "_inner_client_cls" not in vars(client):
        client._inner_client_cls = made  # noqa: SLF001
    for inner in list(getattr(client, "_loop_clients", {}).values()):
        cover_client(inner, cover)

"""Our own connections in place of those of a plain transport, which take several times the processor time.

Only where nothing but the library itself stands between the SDK and the network: no proxy, no recorder, no mock, no
settings of its own but those that our connections keep (its certificates). Everything else is sent as it would be
without us.
"""

# ruff: noqa: ANN401, SLF001 - the transports of httpx and httpx2 have no public way to be asked how they were made

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, ref

from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.core.runtime import run_sync
from aistrale.core.worker import on_fork

if TYPE_CHECKING:
    from collections.abc import Callable

_CORES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}
# Fewer connections than httpx allows by default are a limit that somebody chose.
_FEWEST: Final = 100
# What a pool of the core library is asked, and what it must say.
_EXPECTED: Final = {
    "_proxy": None, "_uds": None, "_local_address": None, "_retries": 0, "_http1": True, "_http2": False,
}  # fmt: skip


@dataclass(slots=True, frozen=True)
class _Plain:
    """A transport that can be stood in for.

    Args:
        http: Our connections, with its certificates.
        classes: Classes below it, their method, and what that was: a mock that comes later is noticed.
    """

    http: SyncHttp | AsyncHttp
    classes: tuple[tuple[type, str, object], ...]


class _Known:
    """What was found out about transports; kept as long as they live."""

    def __init__(self) -> None:
        self.found: WeakKeyDictionary[Any, _Plain | None] = WeakKeyDictionary()
        self.lock = threading.Lock()
        on_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self.lock = threading.Lock()


_known = _Known()


def shortcut(send: Callable[[Any], Any], *, blocking: bool) -> SyncHttp | AsyncHttp | None:
    """Connections of ours to send over instead.

    Args:
        send: The transport's method, bound to it.
        blocking: Whether it is the blocking one.

    Returns:
        Our client; None where the request must go through `send`.
    """
    transport = getattr(send, "__self__", None)
    if transport is None:
        return None
    method = "handle_request" if blocking else "handle_async_request"
    try:
        plain = _known.found[transport]
    except KeyError:
        plain = _look(transport, send, method, blocking=blocking)
        with _known.lock:
            found = _known.found.setdefault(transport, plain)
            if plain is not None and found is plain:
                _close_with(transport, plain.http)
        plain = found
    except TypeError:
        return None
    if plain is None:
        return None
    for cls, name, function in plain.classes:
        if cls.__dict__.get(name) is not function:
            return None
    return plain.http


def _look(transport: Any, send: Any, method: str, *, blocking: bool) -> _Plain | None:
    library = type(transport).__module__.partition(".")[0]
    core_name = _CORES.get(library)
    wanted = "HTTPTransport" if blocking else "AsyncHTTPTransport"
    if core_name is None or type(transport).__name__ != wanted or vars(transport).keys() != {"_pool"}:
        return None
    core, pool = import_module(core_name), transport._pool
    prefix = "" if blocking else "Async"
    pool_class, connection = getattr(core, f"{prefix}ConnectionPool"), getattr(core, f"{prefix}HTTPConnection")
    if type(pool) is not pool_class or not _is_librarys(getattr(send, "__func__", None), library):
        return None
    if any(getattr(pool, name, missing) != said for name, said in _EXPECTED.items() for missing in (object(),)):
        return None
    backend = type(pool._network_backend)
    if not backend.__module__.startswith(core_name) or pool._max_connections < _FEWEST:
        return None
    below = tuple((cls, method, cls.__dict__.get(method)) for cls in (pool_class, connection))
    if not all(_is_librarys(function, core_name) for _, _, function in below):
        return None
    make = SyncHttp if blocking else AsyncHttp
    http = make(http="httpx2" if library == "httpx2" else "httpx", verify=pool._ssl_context or True, trust_env=False)
    return _Plain(http, below)


def _close_with(transport: Any, http: SyncHttp | AsyncHttp) -> None:
    """Close our connections when the library closes its own; a later request makes new ones, as it would there."""
    # Weak, so that a client that is dropped goes at once, and not with the garbage collector.
    owner, pool_ = ref(transport), ref(transport._pool)

    def forget() -> Any:
        pool, transport = pool_(), owner()
        if transport is not None:
            _known.found.pop(transport, None)
        if pool is not None:
            vars(pool).pop(name, None)
        return pool

    def close() -> None:
        pool = forget()
        run_sync(http.close())
        if pool is not None:
            pool.close()

    async def aclose() -> None:
        pool = forget()
        await http.close()
        if pool is not None:
            await pool.aclose()

    # On the pool, because every way to close or leave a transport ends there.
    name = "close" if isinstance(http, SyncHttp) else "aclose"
    setattr(transport._pool, name, close if isinstance(http, SyncHttp) else aclose)


def _is_librarys(function: Any, library: str) -> bool:
    """Whether a function is the library's own, seen through what we put around it ourselves."""
    while (inner := getattr(function, "__wrapped__", None)) is not None and function.__code__.co_filename == _PATCH:
        function = inner
    code = getattr(function, "__code__", None)
    return code is not None and library in Path(code.co_filename).parts


_PATCH: Final = str(Path(__file__).with_name("patch.py"))

"""What holds for every test: no network but loopback, a fresh home, and none of the user's keys or settings."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A job in the background is started with Ctrl-C switched off, which its children inherit; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Times on a busy machine say nothing about the code, so no example is too slow. The examples are the same in every run
# of the same test, so that a run decides about the change that it is made for; HYPOTHESIS_EXPLORE looks for others.
settings.register_profile("untimed", deadline=None, derandomize="HYPOTHESIS_EXPLORE" not in os.environ)
settings.load_profile("untimed")

# Anything that gives a key, names an endpoint, or leads traffic elsewhere, for us or for a vendor's SDK.
_FOREIGN_PREFIXES = (
    "AISTRALE_",
    "ANTHROPIC_",
    "AZURE_OPENAI_",
    "GEMINI_",
    "GOOGLE_",
    "GROQ_",
    "HF_",
    "HUGGING",
    "OPENAI_",
    "OTEL_",
)
# Where tests meet the clock of the machine: sockets, processes, time limits of fractions of a second, and comparisons of
# the time that texts of two lengths take. On a machine that is busy for a moment such a limit passes before the thread
# that it waits for has run at all, so a failure there counts when it comes three times. What was run again stands in the
# summary: a test that often does is broken.
_REAL_CLOCKS = (
    "acceptance",
    "cli",
    "colours",
    "core",
    "dropin",
    "faults",
    "integrations",
    "policies/test_budget_load.py",
    "privacy",
    "providers",
    "reliability/test_gate_threads.py",
    "sdks",
    "store",
    "telemetry",
    "test_upkeep.py",
    "testing",
)
_TIMES = 3
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class OutsideNetworkError(BaseException):
    """A test reached for the network; not an Exception, so that error handling does not take it for an outage."""


class NetworkGuard:
    """Refuses sockets and name look-ups that lead beyond loopback, and remembers what it refused.

    The memory is what makes it loud: a refusal in a thread, or one that was caught and retried, still fails the test.
    """

    def __init__(self) -> None:
        self.blocked: list[str] = []

    def refuse(self, what: str) -> None:
        self.blocked.append(what)
        raise OutsideNetworkError(f"{what}: tests may reach loopback only; use the simulator or a local server")

    def install(self) -> None:
        """Wraps the functions where every library ends: asyncio, trio, anyio and http clients call these."""
        for name in ("connect", "connect_ex"):
            self._wrap(socket.socket, name, lambda _sock, address: address)
        self._wrap(socket.socket, "sendto", lambda _sock, _data, *rest: rest[-1])
        for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            self._wrap(socket, name, lambda host: (host, 0))
        # A numeric address asks no name server; where it leads is judged when it is connected to.
        self._wrap(socket, "getaddrinfo", lambda host, *_rest, **_more: None if is_numeric(host) else (host, 0))

    def _wrap(self, owner: object, name: str, address_of: Callable[..., object]) -> None:
        original = getattr(owner, name)

        def guarded(*args: object, **kwargs: object) -> object:
            address = address_of(*args, **kwargs)
            if not is_loopback(address):
                if args and isinstance(args[0], socket.socket):
                    args[0].close()  # libraries close after an OSError only, and a leak would be reported instead
                self.refuse(f"{name}({address!r})")
            return original(*args, **kwargs)

        setattr(owner, name, guarded)


def is_numeric(host: object) -> bool:
    try:
        ipaddress.ip_address(_text(host))
    except ValueError:
        return False
    return True


def is_loopback(address: object) -> bool:
    """True for what stays on this machine: no host, loopback addresses, `localhost`, and Unix sockets."""
    if not isinstance(address, tuple):
        return True
    host = _text(address[0])
    if host in {"", "localhost"}:
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Python below 3.13 does not look inside ::ffff:127.0.0.1.
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def _text(host: object) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    return text.partition("%")[0]


_guard = NetworkGuard()

# Thousands of tests and five SDKs are loaded to stay. The collector would look at them again and again while they come,
# and at each full collection of a test after that.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    timed = tuple(str(here / place) for place in _REAL_CLOCKS)
    for item in items:
        if str(item.path).startswith(timed):
            item.add_marker(pytest.mark.flaky(reruns=_TIMES - 1))


def pytest_configure(config: pytest.Config) -> None:
    # Before any test module is imported: SDKs read the environment when they are imported.
    for name in list(os.environ):
        if name.startswith(_FOREIGN_PREFIXES) or name.lower() in _PROXIES:
            del os.environ[name]
    _guard.install()
    _load_own_plugin(config)


def _load_own_plugin(config: pytest.Config) -> None:
    """From a bare checkout there is no installed entry point, so the package's own fixtures are loaded here."""
    name = "aistrale.testing.pytest_plugin"
    with contextlib.suppress(ModuleNotFoundError):
        if not config.pluginmanager.has_plugin("aistrale") and importlib.util.find_spec(name):
            config.pluginmanager.import_plugin(name)


@pytest.fixture(autouse=True)
def network_guard() -> Iterator[NetworkGuard]:
    """Fails the test that reached beyond loopback, also where the refusal was swallowed.

    A test that wants to be refused takes what happened with `network_guard.blocked.clear()`.
    """
    _guard.blocked.clear()
    yield _guard
    blocked = list(_guard.blocked)
    _guard.blocked.clear()
    if blocked:
        pytest.fail(f"the test reached beyond loopback: {', '.join(blocked)}")


@pytest.fixture(autouse=True, scope="module")
def _forget_encodings() -> Iterator[None]:
    """Encodings that a module of tests has loaded are forgotten behind it: others expect estimates by length."""
    yield
    encodings = sys.modules.get("aistrale.cost.tokens.encodings")
    if encodings is not None:
        encodings._process._ready.clear()


@pytest.fixture(autouse=True)
def aistrale_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test: ledger, journals and keys never meet those of the user or of a neighbour."""
    home = tmp_path / "aistrale-home"
    monkeypatch.setenv("AISTRALE_HOME", str(home))
    # The Hugging Face SDK would otherwise find the token of whoever is logged in.
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface-home"))
    return home

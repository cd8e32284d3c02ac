"""What `aistrale doctor` looks at. Nothing is sent, and what was not there before is not there afterwards."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from aistrale._version import __version__
from aistrale.errors import AistraleError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.config import Settings
    from aistrale.engine import Engine
    from aistrale.store import LedgerHandle, NullLedger
    from aistrale.store.redis.fleet import Fleet
    from aistrale.types import JSON, JSONObject

SDKS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google-genai",
    "groq": "groq",
    "huggingface": "huggingface_hub",
}
EXTRAS = (
    "httpx2",
    "anyio",
    "trio",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "prometheus-client",
    "sentry-sdk",
    "langchain-core",
    "llama-index-core",
    "redis",
    "psycopg",
)
LIBRARIES = (
    "click",
    "cryptography",
    "httpx",
    "numpy",
    "opentelemetry-api",
    "platformdirs",
    "pydantic",
    "rich",
    "tenacity",
    "tiktoken",
)

_REDIS_SECONDS = 2.0


class Findings:
    """What is wrong (`problems`) and what is worth knowing (`notes`), in the order in which it was found."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []

    def broken(self, error: AistraleError) -> None:
        """Remember an error as a problem; aistrale's errors hold no keys."""
        self.problems.append(str(error))


def examine() -> JSONObject:
    """Everything that can be seen without sending anything.

    Returns:
        system, settings, providers, packages, money, ledger, sinks, state, proxies, notes, problems; all may be shown
        to anybody.
    """
    from aistrale.engine import Engine

    found = Findings()
    engine: Engine | None = None
    try:
        engine = Engine({})
    except AistraleError as error:
        found.broken(error)
    except ImportError as error:
        # A setting asks for a library that an extra brings.
        found.problems.append(str(error))
    report: JSONObject = {
        "system": _system(engine.settings.http if engine is not None else "auto", found),
        "settings": _settings(found),
        "providers": cast("JSON", _providers(engine, found)),
        "packages": {
            "sdks": {name: _version(package) for name, package in SDKS.items()},
            "extras": {name: _version(name) for name in EXTRAS},
            "libraries": _libraries(found),
        },
        "money": _money(engine.settings if engine is not None else None, found),
        "ledger": _ledger(engine.ledger, found) if engine is not None else {},
        "sinks": _sinks(engine.settings) if engine is not None else {},
        "state": _state(engine.fleet, found) if engine is not None else {},
        "proxies": _proxies(engine.settings if engine is not None else None, found),
    }
    report["notes"] = cast("JSON", found.notes)
    report["problems"] = cast("JSON", found.problems)
    return report


def _system(family: str, found: Findings) -> JSONObject:
    from aistrale.core.target import HttpFamily, library

    http = None
    try:
        http = library(cast("HttpFamily", family)).name
    except AistraleError as error:
        found.broken(error)
    return {
        "aistrale": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "http": None if http is None else f"{http} {_version(http)}",
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _libraries(found: Findings) -> JSONObject:
    versions: JSONObject = {name: _version(name) for name in LIBRARIES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        found.problems.append(f"not installed: {', '.join(missing)}; install aistrale again")
    return versions


# --- settings ---------------------------------------------------------------------------------------------------------


def _settings(found: Findings) -> JSONObject:
    """Which file and variables are read, and the names of what they set; values may be secret."""
    from aistrale.config import ENVIRONMENT

    path, keys = None, list[str]()
    with suppress(ConfigurationError):  # it was met, and reported, when the settings were loaded
        path, table = _file()
        keys = sorted(_names(table))
    known = {f"AISTRALE_{name.upper()}" for name in (*ENVIRONMENT, "config", "home", "privacy_key", "webhook_secret")}
    ours = sorted(name for name, value in os.environ.items() if name.startswith("AISTRALE_") and value.strip())
    unread = [name for name in ours if name not in known]
    if unread:
        found.notes.append(f"nothing reads {', '.join(unread)}")
    return {
        "file": None if path is None else str(path),
        "keys": cast("JSON", keys),
        "environment": cast("JSON", [name for name in ours if name in known]),
    }


def _file() -> tuple[Path | None, Mapping[str, object]]:
    """The settings file that is in force, and its content."""
    from aistrale.config import find_file

    return find_file() or (None, {})


def _names(table: Mapping[str, object], prefix: str = "") -> Iterable[str]:
    for name, value in table.items():
        # Names of headers are the user's own words, and no settings.
        if isinstance(value, dict) and value and name != "headers":
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


# --- providers --------------------------------------------------------------------------------------------------------


def _providers(engine: Engine | None, found: Findings) -> list[JSONObject]:
    from aistrale.providers import PROVIDERS

    configured = tuple(engine.settings.providers) if engine is not None else ()
    rows = [_provider(name, engine, found) for name in dict.fromkeys((*PROVIDERS, *configured))]
    if not any(row["ready"] for row in rows):
        found.notes.append("no provider has a key; `aistrale demo` needs none")
    return rows


def _provider(name: str, engine: Engine | None, found: Findings) -> JSONObject:
    from aistrale.config import ProviderSettings
    from aistrale.providers import get_provider
    from aistrale.providers.catalog import default_model
    from aistrale.providers.secret import find_key

    row: JSONObject = {"name": name, "key": None, "endpoint": None, "model": default_model(name), "ready": False}
    own = engine.settings.providers.get(name, ProviderSettings()) if engine is not None else ProviderSettings()
    try:
        provider = engine.provider(name) if engine is not None else get_provider(name)
        row["endpoint"] = without_secrets(provider.endpoint(os.environ, base_url=own.base_url, region=own.region))
        key = find_key(provider, os.environ, own.api_key)
    except AistraleError as error:
        found.broken(error)
        return row
    if key is not None:
        set_ = (variable for variable in provider.env_keys if os.environ.get(variable, "").strip())
        row["key"] = "settings" if own.api_key is not None else next(set_, "saved login")
    elif not provider.needs_key:
        row["key"] = "not needed"
    row["ready"] = row["key"] is not None
    return row


def without_secrets(url: str) -> str:
    """A URL without user, password, query and fragment; any of them may hold a secret."""
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(not a URL)"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _proxies(settings: Settings | None, found: Findings) -> JSONObject:
    from urllib.request import getproxies

    from aistrale.core.proxy import ProxyRules

    if settings is not None:
        try:
            rules = ProxyRules(settings.proxy, trust_env=settings.trust_env)
            for scheme in ("http", "https"):
                rules.proxy_for(scheme, "example.org")
        except ConfigurationError as error:
            found.problems.append(error.message)
    if settings is not None and settings.proxy is not None:
        return {"setting": without_secrets(settings.proxy)}
    seen = getproxies()
    if settings is not None and not settings.trust_env:
        if seen:
            found.notes.append("trust_env is off: proxies of the environment are not used")
        return {}
    return {name: value if name == "no" else without_secrets(value) for name, value in seen.items()}


# --- money ------------------------------------------------------------------------------------------------------------


def _money(settings: Settings | None, found: Findings) -> JSONObject:
    """Whose prices calls are priced with, and how many of the user's own prices and budgets there are."""
    from aistrale.cost.book.price_book import PriceBook, shipped_book, stored_path

    book, path = shipped_book(), stored_path()
    stored = path is not None and os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where it may not look
    if path is not None and stored:
        try:
            other = PriceBook.load(path)
            book = other if other.as_of >= book.as_of else book
        except ConfigurationError as error:
            found.notes.append(f"prices are those that came with aistrale: {error}")
    prices = settings.prices if settings is not None else ()
    return {
        "price book": (book.with_prices(prices) if prices else book).label,
        "stored": str(path) if stored else None,
        "own prices": len(prices),
        "budgets": len(settings.budgets) if settings is not None else 0,
    }


# --- ledger -----------------------------------------------------------------------------------------------------------


def _ledger(ledger: LedgerHandle | NullLedger, found: Findings) -> JSONObject:
    status = ledger.status()
    report: JSONObject = {"mode": status.mode, "path": status.path}
    if status.mode == "off":
        found.notes.append("the ledger is off: `aistrale cost` has nothing to show")
        return report
    if status.journal is None or status.journal.directory is None:
        found.problems.append("ledger: there is no directory for it. Set AISTRALE_HOME.")
        return report
    journal = Path(status.journal.directory)
    reason = unwritable(journal.parent)
    report["writable"] = reason is None
    if reason is not None:
        found.problems.append(f"ledger: {journal.parent} cannot be written ({reason}). Set AISTRALE_HOME or ledger.")
    report.update(calls=0, attempts=0, unsettled=0)
    # A database that is no file can only be asked; that creates nothing.
    if status.mode != "sqlite" or journal.exists() or (status.path is not None and Path(status.path).exists()):
        try:
            kinds = ledger.summary("kind")
            report["calls"] = sum(row.calls for row in kinds)
            report["attempts"] = sum(row.attempts for row in kinds)
            report["unsettled"] = len(ledger.open_intents())
        except AistraleError as error:
            found.broken(error)
    after = ledger.status()
    shipper = after.shipper
    # A journal whose rows are all in the database is empty.
    report["journal"] = {
        "directory": str(journal),
        "waiting_bytes": shipper.backlog_bytes if shipper is not None else 0,
        "damaged": shipper.skipped + shipper.undecodable if shipper is not None else 0,
        "held": shipper.held if shipper is not None else 0,
    }
    report["degraded"] = after.degraded
    if after.degraded:
        found.problems.append(f"ledger: {after.degraded}")
    ledger.close()
    return report


# --- sinks and shared state -------------------------------------------------------------------------------------------


def _sinks(settings: Settings) -> JSONObject:
    """What each sink is, and its guarantee; not where it leads, which may hold a key."""
    return {
        sink.name or "-": f"{type(sink.to).__name__}, {sink.guarantee.replace('_', ' ')}" for sink in settings.sinks
    }


def _state(fleet: Fleet | None, found: Findings) -> JSONObject:
    if fleet is None:
        return {"kind": "memory"}
    address, trouble = fleet.address.shown, fleet.connection.trouble(_REDIS_SECONDS)
    if trouble is not None:
        found.problems.append(f"state: {address} does not answer: {trouble}. Calls go on without it.")
    return {"kind": "redis", "address": address, "answers": trouble is None}


def unwritable(directory: Path) -> str | None:
    """Why no file can be made in a directory that may not exist yet; None when one can. Leaves nothing behind.

    Args:
        directory: An absolute path.
    """
    made = []
    try:
        for folder in reversed((directory, *directory.parents)):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                made.append(folder)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return error.strerror or type(error).__name__
    finally:
        with suppress(OSError):  # another process has begun to use it
            for folder in reversed(made):
                folder.rmdir()
    return None

"""Settings: keywords over environment over file, checked by hand so that the first call loads no validation library.

Sources, the stronger first: keywords of `init`, `Client`, `AsyncClient`; environment variables `AISTRALE_*`; the file
named by `AISTRALE_CONFIG`, else the nearest `aistrale.toml` or `pyproject.toml` with a `[tool.aistrale]` table, from
the working directory upwards. A whole setting is taken from one source; only `providers` and `routes` are merged by
name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from aistrale.core.call import Clocks
from aistrale.errors import ConfigurationError
from aistrale.providers.secret import Secret, as_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.policies.retry import Backoff
    from aistrale.providers.base import Provider

Setting: TypeAlias = object
"""A raw value from a keyword, the environment or a file."""

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
ENVIRONMENT = (
    "model",
    "default_route",
    "ledger",
    "timeout",
    "http",
    "trust_env",
    "verify",
    "proxy",
    "on_lossy",
    "on_unsupported",
)


@dataclass(slots=True, frozen=True, kw_only=True)
class ProviderSettings:
    """What the application says about one provider.

    Args:
        api_key: Instead of the provider's environment variable.
        base_url: Instead of the provider's own address.
        region: One of the provider's regions.
        api: Which of its chat dialects to speak, for example "openai_responses".
        api_version: One of its API versions.
        headers: Further headers of every request.
        compatible: Makes a new provider of this name that speaks the given dialect at `base_url` ("openai_chat", ...).
        provider: A Provider object, for one that is defined in code.
    """

    api_key: Secret | None = None
    base_url: str | None = None
    region: str | None = None
    api: str | None = None
    api_version: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    compatible: str | None = None
    provider: Provider | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class RouteSettings:
    """A named list of targets.

    Args:
        targets: `provider/model` names, in the order in which they are tried.
        strategy: "priority": the first that works.
    """

    targets: tuple[str, ...]
    strategy: Literal["priority"] = "priority"


@dataclass(slots=True, frozen=True, kw_only=True)
class Settings:
    """Everything that can be set, checked.

    Args:
        providers: Per provider.
        routes: Named lists of targets; a route's name can stand wherever a model's name can.
        default_route: Taken when a call names neither model nor route.
        model: Taken when there is no default route either; else the first provider that has a key gives one.
        timeout: Seconds that a call may take; None for no limit. Short for `clocks={"total": ...}`.
        clocks: The four clocks, see Clocks.
        retry: How often and when to try again; None never does.
        ledger: "sqlite:///path", "off", or None for the platform's data directory (AISTRALE_HOME).
        http: "auto" takes httpx2 where it is installed, else httpx.
        trust_env: Honour HTTP(S)_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.
        verify: Check certificates: True, False, or a path of a CA bundle.
        proxy: URL of a proxy for everything but loopback.
        transport: An httpx or httpx2 transport object instead of our own connections (sync clients).
        async_transport: The same for async clients.
        on_lossy: "warn" records on the answer what a translation cannot carry; "error" refuses it.
        on_unsupported: "error" refuses an option that the model cannot take; "drop" drops and lists it.
    """

    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    routes: Mapping[str, RouteSettings] = field(default_factory=dict)
    default_route: str | None = None
    model: str | None = None
    timeout: float | None = 60.0
    clocks: Clocks = field(default_factory=Clocks)
    retry: Backoff | None = None
    ledger: str | None = None
    http: Literal["auto", "httpx", "httpx2"] = "auto"
    trust_env: bool = True
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    transport: object = None
    async_transport: object = None
    on_lossy: Literal["warn", "error"] = "warn"
    on_unsupported: Literal["error", "drop"] = "error"


def load(
    keywords: Mapping[str, Setting], environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> Settings:
    """Read and check all sources.

    Args:
        keywords: What the application passed.
        environ: The environment; `os.environ` when None.
        directory: Where the search for a file begins; the working directory when None.

    Raises:
        ConfigurationError: A key or value is wrong; `field` names it.
    """
    env = os.environ if environ is None else environ
    found = find_file(env, directory)
    merged: dict[str, Setting] = dict(found[1]) if found is not None else {}
    for name in ENVIRONMENT:
        if text := env.get(f"AISTRALE_{name.upper()}", "").strip():
            merged[name] = text
    for name, value in keywords.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(name), dict)
        if name in {"providers", "routes"} and both_tables:
            merged[name] = {**cast("dict[str, Setting]", merged[name]), **cast("dict[str, Setting]", value)}
        else:
            merged[name] = value
    return check(merged)


def check(raw: Mapping[str, Setting]) -> Settings:
    """Check one table of settings. Raises ConfigurationError."""
    known = [item.name for item in fields(Settings)]
    values: dict[str, object] = {}
    for name, value in raw.items():
        if name not in known:
            raise unknown_key(name, known)
        values[name] = _CHECKS[name](name, value)
    clocks = cast("Clocks", values.get("clocks", Clocks()))
    if "timeout" in values:
        clocks = replace(clocks, total=cast("float | None", values["timeout"]))
    values["clocks"] = clocks
    values["timeout"] = clocks.total
    if "retry" not in values:
        from aistrale.policies.retry import Backoff

        values["retry"] = Backoff()
    settings = Settings(**values)  # type: ignore[arg-type]  # every value went through its check
    if settings.default_route is not None and settings.default_route not in settings.routes:
        raise ConfigurationError(
            f"default_route: there is no route {settings.default_route!r}",
            field="default_route",
            hint=f"Routes: {', '.join(settings.routes) or 'none'}.",
        )
    return settings


def unknown_key(name: str, known: list[str], where: str = "setting") -> ConfigurationError:
    """The error for a name that nothing reads, with the names that come close."""
    near = get_close_matches(name, known, n=2)
    meant = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}."
    return ConfigurationError(f"unknown {where} {name!r}", field=name, hint=meant)


def find_file(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> tuple[Path, Mapping[str, Setting]] | None:
    """The settings file that is in force and its unchecked content; None when there is none.

    Args:
        environ: The environment; `os.environ` when None.
        directory: Where the search begins; the working directory when None.

    Raises:
        ConfigurationError: `AISTRALE_CONFIG` names a file that cannot be read, or a file is no TOML.
    """
    env = os.environ if environ is None else environ
    named = env.get("AISTRALE_CONFIG", "").strip()
    if named:
        return Path(named), _read(Path(named), required=True)
    try:
        start = Path.cwd() if directory is None else directory
    except OSError:
        return None
    for folder in (start, *start.parents):
        for name in ("aistrale.toml", "pyproject.toml"):
            if content := _read(folder / name, required=False):
                return folder / name, content
    return None


def _read(path: Path, *, required: bool) -> Mapping[str, Setting]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        if required:
            raise ConfigurationError(
                f"AISTRALE_CONFIG: {path.name} cannot be read ({type(error).__name__})", field="AISTRALE_CONFIG"
            ) from error
        return {}
    if path.name == "pyproject.toml" and "tool.aistrale" not in text:
        return {}
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path.name} is no valid TOML: {error}", field=path.name) from error
    if path.name == "pyproject.toml":
        tool = document.get("tool", {})
        document = tool.get("aistrale", {}) if isinstance(tool, dict) else {}
    return cast("Mapping[str, Setting]", document)


def _wrong(name: str, expected: str) -> ConfigurationError:
    # The value is not repeated: it may be a key in the wrong place.
    return ConfigurationError(f"{name} must be {expected}", field=name)


def _text(name: str, value: Setting) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "non-empty text")
    return value.strip()


def _optional_text(name: str, value: Setting) -> str | None:
    return None if value is None else _text(name, value)


def _word(*accepted: str) -> Callable[[str, Setting], str]:
    def checked(name: str, value: Setting) -> str:
        if value not in accepted:
            raise _wrong(name, f"one of {', '.join(map(repr, accepted))}")
        return str(value)

    return checked


def _flag(name: str, value: Setting) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise _wrong(name, "true or false")


def _flag_or_path(name: str, value: Setting) -> bool | str:
    if isinstance(value, str) and value.lower() not in _TRUE | _FALSE:
        if not Path(value).exists():
            raise _wrong(name, "true, false or the path of an existing CA bundle")
        return value
    return _flag(name, value)


def _seconds(name: str, value: Setting) -> float | None:
    if value is None or (isinstance(value, str) and value.lower() in {"none", "off"}):
        return None
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # TypeError is caught
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < float("inf"):
        raise _wrong(name, "a positive number of seconds, or none")
    return number


def _table(name: str, value: Setting) -> dict[str, Setting]:
    if not isinstance(value, dict) or any(not isinstance(key, str) for key in value):
        raise _wrong(name, "a table")
    return cast("dict[str, Setting]", value)


def _clocks(name: str, value: Setting) -> Clocks:
    if isinstance(value, Clocks):
        return value
    table = _table(name, value)
    known = [item.name for item in fields(Clocks)]
    for key in table:
        if key not in known:
            raise unknown_key(f"{name}.{key}", [f"{name}.{item}" for item in known], "clock")
    return Clocks(**{key: _seconds(f"{name}.{key}", item) for key, item in table.items()})


def _retry(name: str, value: Setting) -> Backoff | None:
    from aistrale.policies.retry import Backoff

    if value is None or value is False:
        return None
    if isinstance(value, Backoff):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"attempts": value}
    table = _table(name, value)
    known = [item.name for item in fields(Backoff)]
    checked = dict(table)
    for key, item in table.items():
        if key not in known:
            raise unknown_key(f"{name}.{key}", [f"{name}.{entry}" for entry in known])
        if key == "attempts" and (type(item) is not int or item < 1):
            raise _wrong(f"{name}.attempts", "a whole number of at least 1")
        if key in {"base", "cap"}:
            checked[key] = _seconds(f"{name}.{key}", item)
            if checked[key] is None:
                raise _wrong(f"{name}.{key}", "a positive number of seconds")
        if key in {"wait", "stop"} and not callable(item):
            raise _wrong(f"{name}.{key}", "a tenacity strategy")
    return Backoff(**checked)  # type: ignore[arg-type]  # checked key by key


def _providers(name: str, value: Setting) -> dict[str, ProviderSettings]:
    return {key: _provider(f"{name}.{key}", item) for key, item in _table(name, value).items()}


def _provider(name: str, value: Setting) -> ProviderSettings:
    from aistrale.providers.base import Provider

    if isinstance(value, ProviderSettings):
        return value
    if isinstance(value, Provider):
        return ProviderSettings(provider=value)
    table = dict(_table(name, value))
    known = [item.name for item in fields(ProviderSettings)]
    for key in table:
        if key not in known:
            raise unknown_key(f"{name}.{key}", [f"{name}.{entry}" for entry in known])
    checked: dict[str, object] = {}
    for key, item in table.items():
        path = f"{name}.{key}"
        if item is None:
            continue
        if key == "api_key":
            checked[key] = as_secret(cast("str", item), field=path)
        elif key == "headers":
            headers = _table(path, item)
            checked[key] = {header: _text(f"{path}.{header}", text) for header, text in headers.items()}
        elif key == "provider":
            if not isinstance(item, Provider):
                raise _wrong(path, "a Provider")
            checked[key] = item
        else:
            checked[key] = _text(path, item)
    return ProviderSettings(**checked)  # type: ignore[arg-type]  # checked key by key


def _routes(name: str, value: Setting) -> dict[str, RouteSettings]:
    return {key: _route(f"{name}.{key}", item) for key, item in _table(name, value).items()}


def _route(name: str, value: Setting) -> RouteSettings:
    if isinstance(value, RouteSettings):
        return value
    table = {"targets": value} if isinstance(value, (list, tuple)) else _table(name, value)
    for key in table:
        if key not in {"targets", "strategy"}:
            raise unknown_key(f"{name}.{key}", [f"{name}.targets", f"{name}.strategy"])
    targets = table.get("targets")
    if not isinstance(targets, (list, tuple)) or not targets:
        raise _wrong(f"{name}.targets", "a list of provider/model names")
    names = tuple(_text(f"{name}.targets[{index}]", item) for index, item in enumerate(targets))
    if len(set(names)) != len(names):
        raise _wrong(f"{name}.targets", "a list without repetitions")
    _word("priority")(f"{name}.strategy", table.get("strategy", "priority"))
    return RouteSettings(targets=names)


def _transport(method: str) -> Callable[[str, Setting], object]:
    def checked(name: str, value: Setting) -> object:
        if value is not None and (isinstance(value, type) or not callable(getattr(value, method, None))):
            raise _wrong(name, f"an httpx or httpx2 transport object, with the method {method}()")
        return value

    return checked


_CHECKS: Mapping[str, Callable[[str, Setting], object]] = {
    "providers": _providers,
    "routes": _routes,
    "default_route": _optional_text,
    "model": _optional_text,
    "timeout": _seconds,
    "clocks": _clocks,
    "retry": _retry,
    "ledger": _optional_text,
    "http": _word("auto", "httpx", "httpx2"),
    "trust_env": _flag,
    "verify": _flag_or_path,
    "proxy": _optional_text,
    "transport": _transport("handle_request"),
    "async_transport": _transport("handle_async_request"),
    "on_lossy": _word("warn", "error"),
    "on_unsupported": _word("error", "drop"),
}

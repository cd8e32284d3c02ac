"""One check per setting: from the raw value of a keyword, a variable or a file to what the engine works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.config import SDKS
from aistrale.config.targets import providers, routes, targets
from aistrale.config.values import (
    Setting,
    flag,
    flag_or_path,
    function,
    is_off,
    money,
    number,
    optional,
    optional_text,
    record,
    seconds,
    table,
    text,
    whole,
    word,
    words,
    wrong,
)
from aistrale.core.call import Clocks, StreamRules
from aistrale.errors import ConfigurationError
from aistrale.reliability.backoff import Backoff
from aistrale.reliability.breaker_types import BreakerSettings
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.reliability.limits import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.cost.book.overrides import OwnPrice
    from aistrale.cost.budgets.settings import BudgetSettings
    from aistrale.cost.optimization.settings import OptimizeSettings
    from aistrale.policies.cache import CacheSettings
    from aistrale.policies.degrade import DegradeSettings
    from aistrale.policies.hedge import HedgeSettings
    from aistrale.privacy.settings import PrivacySettings
    from aistrale.routing.probe import ProbeSettings
    from aistrale.telemetry.settings import SinkSettings

_INFINITE = float("inf")
_POSITIVE = number(0, _INFINITE, above=True)

_clocks = record(Clocks, dict.fromkeys(("connect", "first_token", "between_tokens", "total"), seconds))

_STREAM_MODES = ("restart_before_first_token", "buffered", "hold_back", "resume", "raise")
_stream_rules = record(
    StreamRules,
    {
        "mode": word(*_STREAM_MODES),
        "hold_back": whole(1),
        "min_rate": optional(_POSITIVE),
        "rate_window": _POSITIVE,
        "max_resumes": whole(1, 10),
        "max_buffer": whole(1),
    },
)


def streams(name: str, value: Setting) -> StreamRules:
    """How streams survive: a mode alone, or a table."""
    return _stream_rules(name, {"mode": value} if isinstance(value, str) else value)


_backoff = record(
    Backoff, {"attempts": whole(1), "base": _POSITIVE, "cap": _POSITIVE, "wait": function, "stop": function}
)


def _retry(name: str, value: Setting) -> Backoff | None:
    if is_off(value):
        return None
    attempts = isinstance(value, int) and not isinstance(value, bool)
    return _backoff(name, {"attempts": value} if attempts else {} if value is True else value)


_any_number = number(-_INFINITE, _INFINITE)
# The ranges are the dataclass's own to check.
_breaker_settings = record(
    BreakerSettings,
    {
        "window": _any_number,
        "slices": whole(1),
        "minimum": whole(1),
        "rate": _any_number,
        "in_a_row": whole(1),
        "last_in_a_row": whole(1),
        "slow_rate": _any_number,
        "base": _any_number,
        "cap": _any_number,
        "healthy": _any_number,
        "closes_after": whole(1),
        "lease": _any_number,
        "trickle": _any_number,
    },
)


def _breaker(name: str, value: Setting) -> BreakerSettings | None:
    return None if is_off(value) else _breaker_settings(name, {} if value is True else value)


_budget = record(RetryBudgetSettings, {"tokens": _any_number, "ratio": _any_number})

_rate = optional(_any_number)
_limit = record(
    LimitSettings,
    {
        "concurrency": lambda name, value: value if value in {"auto", None} else whole(1)(name, value),
        "max_concurrency": optional(whole(1)),
        "min_concurrency": whole(1),
        "decrease": _any_number,
        "rpm": _rate,
        "tpm": _rate,
        "itpm": _rate,
        "otpm": _rate,
        "burst": _any_number,
        "queue": whole(0),
        "queue_timeout": _rate,
        "ageing": _any_number,
    },
)


def _limits(name: str, value: Setting) -> dict[str, LimitSettings]:
    """By target, provider and "default"; fields that stand here by themselves are those of "default"; off is empty."""
    if is_off(value):
        return {}
    if isinstance(value, LimitSettings):
        value = {"default": value}
    given = table(name, value)
    common = {key: item for key, item in given.items() if not isinstance(item, (dict, LimitSettings))}
    if common and "default" in given:
        raise wrong(name, f"either fields or tables by name; {next(iter(common))} stands beside default")
    limits = {key: _limit(f"{name}.{key}", item) for key, item in given.items() if key not in common}
    return {"default": _limit(name, common), **limits}


def _hedge(name: str, value: Setting) -> HedgeSettings | None:
    from aistrale.policies.hedge import HedgeSettings

    if is_off(value):
        return None
    checked = record(
        HedgeSettings,
        {
            "delay": optional(_POSITIVE),
            "percentile": number(0, 1, above=True),
            "min_delay": _POSITIVE,
            "extra": whole(1, 4),
            "max_cost": optional(money),
        },
    )
    return checked(name, {} if value is True else value)


def _cache(name: str, value: Setting) -> CacheSettings | None:
    from aistrale.policies.cache import CacheSettings

    if is_off(value):
        return None
    span = number(0, _INFINITE)
    checked = record(
        CacheSettings,
        {
            "ttl": span,
            "stale": span,
            "store": text,
            "max_entries": whole(1),
            "max_bytes": whole(1),
            "single_flight": flag,
        },
    )
    return checked(name, {} if value is True else value)


def _degrade(name: str, value: Setting) -> DegradeSettings | None:
    from aistrale.policies.degrade import STEPS, DegradeSettings

    if is_off(value):
        return None

    def models(where: str, given: Setting) -> tuple[str, ...]:
        return (text(where, given),) if isinstance(given, str) else targets(where, given)

    checked = record(
        DegradeSettings,
        {
            "steps": words(*STEPS),
            "model": optional(models),
            "canned": lambda where, given: given if callable(given) else optional_text(where, given),
        },
    )
    return checked(name, {} if value is True else value)


def _probe(name: str, value: Setting) -> ProbeSettings | None:
    from aistrale.routing.probe import ProbeSettings

    if is_off(value):
        return None
    checked = record(ProbeSettings, {"every": number(1, _INFINITE), "share": number(0, 1, above=True)})
    return checked(name, {} if value is True else value)


def _prices(_name: str, value: Setting) -> tuple[OwnPrice, ...]:
    from aistrale.cost.book.overrides import own_prices

    return own_prices(value)


def _budgets(name: str, value: Setting) -> tuple[BudgetSettings, ...]:
    from aistrale.config.budgets import check_budgets

    return check_budgets(name, value)


def _optimize(name: str, value: Setting) -> OptimizeSettings | None:
    from aistrale.cost.optimization.settings import check_optimize

    return check_optimize(name, value)


def _sinks(name: str, value: Setting) -> tuple[SinkSettings, ...]:
    from aistrale.config.sinks import check_sinks

    return check_sinks(name, value)


def _state(name: str, value: Setting) -> str | None:
    address = optional_text(name, value)
    if address is None or address == "memory":
        return None
    if not address.startswith(("redis://", "rediss://", "unix://")):
        # Never quoted: it may hold a password.
        raise wrong(name, '"memory", "redis://host:6379/0", "rediss://..." or "unix:///path"')
    return address


def _privacy(name: str, value: Setting) -> PrivacySettings | None:
    if is_off(value):
        return None
    from aistrale.config.privacy import read_privacy

    return read_privacy(name, value)


def _transport(method: str) -> Callable[[str, Setting], object]:
    def checked(name: str, value: Setting) -> object:
        if value is not None and (isinstance(value, type) or not callable(getattr(value, method, None))):
            raise wrong(name, f"an httpx or httpx2 transport object, with the method {method}()")
        return value

    return checked


_sdks = words(*SDKS)


def _instrument(name: str, value: Setting) -> bool | tuple[str, ...]:
    if isinstance(value, str):
        names = [item.strip() for item in value.split(",")]
        value = names if set(names) & set(SDKS) else value
    if isinstance(value, (list, tuple)):
        # Nobody means to set up interception of nothing.
        return _sdks(name, value) or False
    try:
        return flag(name, value)
    except ConfigurationError:
        raise wrong(name, f"true, false or a list of {', '.join(map(repr, SDKS))}") from None


CHECKS: Mapping[str, Callable[[str, Setting], object]] = {
    "providers": providers,
    "routes": routes,
    "default_route": optional_text,
    "model": optional_text,
    "timeout": seconds,
    "clocks": _clocks,
    "retry": _retry,
    "retry_budget": _budget,
    "breaker": _breaker,
    "limits": _limits,
    "hedge": _hedge,
    "streams": streams,
    "cache": _cache,
    "degrade": _degrade,
    "probe": _probe,
    "privacy": _privacy,
    "prices": _prices,
    "budgets": _budgets,
    "optimize": _optimize,
    "on_event": optional(function),
    "sinks": _sinks,
    "capture": flag,
    "state": _state,
    "ledger": optional_text,
    "http": word("auto", "httpx", "httpx2"),
    "trust_env": flag,
    "verify": flag_or_path,
    "proxy": optional_text,
    "transport": _transport("handle_request"),
    "async_transport": _transport("handle_async_request"),
    "on_lossy": word("warn", "error"),
    "on_unsupported": word("error", "drop"),
    "instrument": _instrument,
    "disabled": flag,
}

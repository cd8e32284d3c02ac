"""The checks of the settings `providers` and `routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.config import ProviderSettings, RouteSettings
from aistrale.config.values import function, number, optional, record, table, text, unknown_key, word, words, wrong
from aistrale.providers.secret import as_secret
from aistrale.routing.strategies import STRATEGIES

if TYPE_CHECKING:
    from aistrale.config.values import Setting


def _provider_object(name: str, value: Setting) -> Setting:
    from aistrale.providers.base import Provider

    if not isinstance(value, Provider):
        raise wrong(name, "a Provider")
    return value


def _headers(name: str, value: Setting) -> dict[str, str]:
    return {header: text(f"{name}.{header}", item) for header, item in table(name, value).items()}


_provider_settings = record(
    ProviderSettings,
    {
        **dict.fromkeys(("base_url", "region", "api", "api_version", "compatible"), text),
        "api_key": lambda name, value: as_secret(cast("str", value), field=name),
        "headers": _headers,
        "provider": _provider_object,
    },
)


def _provider(name: str, value: Setting) -> ProviderSettings:
    from aistrale.providers.base import Provider

    if isinstance(value, Provider):
        return ProviderSettings(provider=value)
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if item is not None}
    return _provider_settings(name, value)


def providers(name: str, value: Setting) -> dict[str, ProviderSettings]:
    """What is said about providers, by their names."""
    return {key: _provider(f"{name}.{key}", item) for key, item in table(name, value).items()}


def targets(name: str, value: Setting) -> tuple[str, ...]:
    """Names of the form provider/model, at least one, none twice."""
    if not isinstance(value, (list, tuple)) or not value:
        raise wrong(name, "a list of provider/model names")
    names = tuple(text(f"{name}[{index}]", item) for index, item in enumerate(value))
    if len(set(names)) != len(names):
        raise wrong(name, "a list without repetitions")
    return names


def _weights(name: str, value: Setting) -> dict[str, float]:
    return {key: number(0, float("inf"))(f"{name}.{key}", item) for key, item in table(name, value).items()}


def _predicates(name: str, value: Setting) -> tuple[Setting, ...]:
    given = value if isinstance(value, (list, tuple)) else [value]
    return tuple(function(f"{name}[{index}]", item) for index, item in enumerate(given))


_route_settings = record(
    RouteSettings,
    {
        "targets": targets,
        "strategy": word(*STRATEGIES),
        "weights": _weights,
        "when_all_down": optional(word("wait", "fail", "last_resort")),
        "fail_over_on": words(
            "authentication", "permission", "model_not_found", "invalid_request", "content_filter", "refusal"
        ),
        "fail_if": _predicates,
    },
)


def _route(name: str, value: Setting) -> RouteSettings:
    if isinstance(value, RouteSettings):
        return value
    given = {"targets": value} if isinstance(value, (list, tuple)) else table(name, value)
    if "targets" not in given:
        raise wrong(f"{name}.targets", "a list of provider/model names")
    route = _route_settings(name, given)
    for target in route.weights:
        if target not in route.targets:
            raise unknown_key(f"{name}.weights.{target}", [f"{name}.weights.{item}" for item in route.targets])
    return route


def routes(name: str, value: Setting) -> dict[str, RouteSettings]:
    """Routes by their names; each is a list of targets or a table."""
    return {key: _route(f"{name}.{key}", item) for key, item in table(name, value).items()}

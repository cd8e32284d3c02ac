"""Scenarios as TOML: read and checked field by field."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.config import Settings
from aistrale.config.values import flag, seconds, table, text, unknown_key, whole, word, wrong
from aistrale.core.call import Clocks
from aistrale.errors import ConfigurationError
from aistrale.simulation.overriding import overridden
from aistrale.simulation.policies import NAMES, ROUTE, settings_for
from aistrale.simulation.reading import Reader, distribution, not_negative, positive, share
from aistrale.simulation.scenario import Outage, OutageKind, Quota, Scenario, Surge, TargetSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = ("error", "brownout", "slow", "refused", "unreachable", "black_hole", "cut")
_status: Final = whole(400, 599)
_at_least_one: Final = whole(1)
# What concerns the process, its files, its wire and the calls has no meaning for a simulated policy.
_ELSEWHERE: Final = frozenset(
    {
        "providers",
        "routes",
        "default_route",
        "model",
        "timeout",
        "clocks",
        "ledger",
        "http",
        "trust_env",
        "verify",
        "proxy",
        "transport",
        "async_transport",
        "on_lossy",
        "on_unsupported",
        "on_event",
        "privacy",
        "probe",
    }
)
SETTINGS: tuple[str, ...] = (*(item.name for item in fields(Settings) if item.name not in _ELSEWHERE), "route")
"""The settings of aistrale that a policy of a scenario can have; `route` holds the settings of the route."""


def load(path: Path | str, overrides: Mapping[str, object] | None = None) -> Scenario:
    """Read a scenario from a TOML file.

    Args:
        path: The file.
        overrides: Values to set before it is checked, by field: `{"targets[0].outages[0].end": 90}`.

    Raises:
        ConfigurationError: The file cannot be read, or a field is wrong; the message names it.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})", field="scenario") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}", field="scenario") from error
    return parse(document, overrides)


def parse(document: Mapping[str, object], overrides: Mapping[str, object] | None = None) -> Scenario:
    """Check a scenario.

    Args:
        document: Its tables.
        overrides: See `load`.

    Raises:
        ConfigurationError: A field is missing, wrong or unknown; the message names it as `scenario.targets[0].latency`.
    """
    reader = Reader(overridden(document, overrides or {}), "scenario")
    clients = reader.table("clients") or Reader({}, reader.at("clients"))
    calls = reader.table("calls") or Reader({}, reader.at("calls"))
    targets = _targets(reader)
    policies = reader.get("policies", partial(_policies, [target.name for target in targets]), {})
    scenario = Scenario(
        title=reader.get("title", text, "a scenario"),
        duration=reader.get("duration", positive, 240.0),
        seed=reader.get("seed", whole(0), 1),
        bucket=reader.get("bucket", positive, 5.0),
        clients=clients.get("count", _at_least_one, 100),
        rate=clients.get("rate", positive, 0.4),
        surges=tuple(map(_surge, clients.rows("surges"))),
        clocks=_clocks(calls),
        stream=calls.get("stream", flag, default=False),
        input_tokens=calls.get("input_tokens", whole(0), 500),
        output_tokens=calls.get("output_tokens", whole(0), 200),
        targets=targets,
        compare=_compare(reader, [*policies, *NAMES]),
        policies=policies,
    )
    for part in (reader, clients, calls):
        part.close()
    return scenario


def _clocks(reader: Reader) -> Clocks:
    usual = Clocks()
    return Clocks(
        connect=reader.get("connect", seconds, usual.connect),
        first_token=reader.get("first_token", seconds, usual.first_token),
        between_tokens=reader.get("between_tokens", seconds, usual.between_tokens),
        total=reader.get("deadline", seconds, usual.total),
    )


def _span(reader: Reader) -> tuple[float, float]:
    start, end = reader.need("start", not_negative), reader.need("end", not_negative)
    if end <= start:
        raise wrong(reader.at("end"), f"later than start ({start:g})")
    return start, end


def _surge(reader: Reader) -> Surge:
    start, end = _span(reader)
    surge = Surge(start=start, end=end, factor=reader.need("factor", not_negative))
    reader.close()
    return surge


def _targets(reader: Reader) -> tuple[TargetSpec, ...]:
    targets = tuple(map(_target, reader.rows("targets")))
    if not targets or len({target.name for target in targets}) != len(targets):
        raise wrong(reader.at("targets"), "a list of tables, at least one, of different names")
    return targets


def _target(reader: Reader) -> TargetSpec:
    target = TargetSpec(
        name=reader.need("name", _name),
        latency=reader.need("latency", distribution),
        first_token=reader.get("first_token", distribution, None),
        servers=reader.get("servers", _at_least_one, None),
        capacity=reader.get("capacity", positive, None),
        queue=reader.get("queue", whole(0), None),
        full_status=reader.get("full_status", _status, 503),
        cancels=reader.get("cancels", flag, default=False),
        refusal=reader.get("refusal", not_negative, 0.02),
        pieces=reader.get("pieces", _at_least_one, 10),
        price=_price(reader.table("price")),
        quota=_quota(reader.table("quota")),
        outages=tuple(map(_outage, reader.rows("outages"))),
    )
    reader.close()
    if target.capacity is not None and target.servers is not None:
        raise wrong(reader.at("capacity"), "left out where servers is given")
    if target.capacity is not None and target.latency.mean <= 0:
        raise wrong(reader.at("capacity"), "left out where latency is zero")
    for index, outage in enumerate(target.outages):
        if outage.kind == "brownout" and target.capacity is None and target.servers is None:
            raise wrong(
                f"{reader.at('outages')}[{index}].kind", "another one where neither servers nor capacity is given"
            )
    return target


def _name(path: str, value: object) -> str:
    name = text(path, value)
    provider, _, model = name.partition("/")
    if not provider or not model:
        raise wrong(path, "provider/model")
    return name


def _outage(reader: Reader) -> Outage:
    kind = cast("OutageKind", reader.need("kind", word(*_KINDS)))
    start, end = _span(reader)
    if kind == "error":
        outage = Outage(
            kind=kind,
            start=start,
            end=end,
            share=reader.get("share", share, 1.0),
            status=reader.get("status", _status, 503),
            retry_after=reader.get("retry_after", not_negative, None),
        )
    elif kind == "brownout":
        outage = Outage(kind=kind, start=start, end=end, capacity=reader.get("capacity", share, 0.1))
    elif kind == "slow":
        outage = Outage(kind=kind, start=start, end=end, factor=reader.get("factor", positive, 10.0))
    else:
        outage = Outage(kind=kind, start=start, end=end, share=reader.get("share", share, 1.0))
    reader.close()
    return outage


def _price(reader: Reader | None) -> tuple[Decimal, Decimal] | None:
    if reader is None:
        return None
    # By way of text: 0.25 dollars are 0.25, not the nearest binary fraction.
    given, made = (Decimal(str(reader.need(name, not_negative))) for name in ("input", "output"))
    reader.close()
    return given, made


def _quota(reader: Reader | None) -> Quota | None:
    if reader is None:
        return None
    quota = Quota(
        requests=reader.get("requests", _at_least_one, None),
        tokens=reader.get("tokens", _at_least_one, None),
        window=reader.get("window", positive, 60.0),
        refill=cast('Literal["window", "steady"]', reader.get("refill", word("window", "steady"), "window")),
    )
    reader.close()
    if quota.requests is None and quota.tokens is None:
        raise wrong(reader.path, "a table with requests or tokens")
    return quota


def _policies(targets: list[str], path: str, value: object) -> dict[str, Settings]:
    return {name: _settings(targets, f"{path}.{name}", item) for name, item in table(path, value).items()}


def _settings(targets: list[str], path: str, value: object) -> Settings:
    found = table(path, value)
    for key in found:
        if key not in SETTINGS:
            raise unknown_key(f"{path}.{key}", [f"{path}.{name}" for name in SETTINGS], "field")
    try:
        return settings_for(found, targets)
    except ConfigurationError as error:
        # The route stands alone here, and among others in the settings that were checked.
        field, message = (text.replace(f"routes.{ROUTE}", "route") for text in (error.field or "", error.message))
        raise ConfigurationError(f"{path}: {message}", field=f"{path}.{field}", hint=error.hint) from error


def _compare(reader: Reader, known: list[str]) -> tuple[str, ...]:
    def names(path: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise wrong(path, "a list of names of policies")
        for index, name in enumerate(value):
            if name not in known:
                raise unknown_key(f"{path}[{index}]: {name}", known, "policy")
        return tuple(value)

    return reader.get("compare", names, tuple(known))

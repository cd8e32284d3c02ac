"""Settings: keywords over environment over file, checked by hand so that the first call loads no validation library.

Sources, the stronger first: keywords of `init`, `Client`, `AsyncClient`; environment variables `AISTRALE_*`; the file
named by `AISTRALE_CONFIG`, else the nearest `aistrale.toml` or `pyproject.toml` with a `[tool.aistrale]` table, from
the working directory upwards. A whole setting is taken from one source; only `providers` and `routes` are merged by
name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from aistrale.config.values import Setting, unknown_key
from aistrale.core.call import Clocks, StreamRules
from aistrale.errors import ConfigurationError
from aistrale.policies.failover import FailoverRules, WhenAllDown
from aistrale.reliability.backoff import Backoff
from aistrale.reliability.breaker_types import BreakerSettings
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.reliability.limits import LimitSettings
from aistrale.routing.strategies import RouteRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.cost.book.overrides import OwnPrice
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.budgets.settings import BudgetSettings
    from aistrale.cost.optimization.optimizer import OptimizeEvent
    from aistrale.cost.optimization.settings import OptimizeSettings
    from aistrale.policies.cache import CacheSettings
    from aistrale.policies.degrade import DegradeSettings
    from aistrale.policies.hedge import HedgeSettings
    from aistrale.policies.hold import Predicate
    from aistrale.privacy.event import PrivacyEvent
    from aistrale.privacy.settings import PrivacySettings
    from aistrale.providers.base import Provider
    from aistrale.providers.secret import Secret
    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.routing.probe import ProbeSettings
    from aistrale.telemetry.settings import SinkSettings

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
    "instrument",
    "privacy",
    "sinks",
    "capture",
    "state",
    "disabled",
)

SDKS = ("openai", "anthropic", "gemini", "groq", "huggingface")
"""The official SDKs that `instrument` can name."""


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
        targets: `provider/model` names.
        strategy: In which order they are tried: "priority" (as they stand here), "round_robin", "weighted",
            "least_in_flight", "latency" (peak-EWMA of two random ones), "health" (the highest score). Targets with an
            open breaker come last in every strategy.
        weights: For "weighted": target names with their shares; a target that is not named has 1.
        when_all_down: "wait", "fail" or "last_resort", see FailoverRules. None (the default) waits like "wait", but for
            an open breaker at most a second.
        fail_over_on: Errors that go to the next target although they are raised at once by default, see FailoverRules;
            "refusal" also sends an answer that the provider's safety system cut off to the next target.
        fail_if: Functions of the finished answer; an answer for which one is true counts as a failure of its target.
            Streams are only judged in "buffered" mode.
    """

    targets: tuple[str, ...]
    strategy: str = "priority"
    weights: Mapping[str, float] = field(default_factory=dict)
    when_all_down: WhenAllDown | None = None
    fail_over_on: tuple[str, ...] = ()
    fail_if: tuple[Predicate, ...] = ()

    @property
    def rule(self) -> RouteRule:
        """What the strategy reads of it."""
        return RouteRule(strategy=self.strategy, weights=self.weights)

    @property
    def failover(self) -> FailoverRules:
        """What failover reads of it."""
        fail_over_on = frozenset(self.fail_over_on)
        if self.when_all_down is None:
            return FailoverRules(fail_over_on=fail_over_on)
        # Who asks for it waits as long as there is time.
        return FailoverRules(when_all_down=self.when_all_down, breaker_patience=float("inf"), fail_over_on=fail_over_on)


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
        retry: How often and when to try again, see Backoff; None never does.
        retry_budget: What retries and hedges of one provider may spend, see RetryBudgetSettings.
        breaker: When a failing target is left alone, see BreakerSettings; None never leaves one alone.
        limits: How many calls at once and per minute, see LimitSettings; by target, by provider, and under "default"
            for the others; False sends everything at once, throttled or not.
        hedge: A second attempt beside a slow one, see HedgeSettings; None (the default) starts none.
        streams: How streams survive a break, see StreamRules.
        cache: Remembered answers of identical requests, see CacheSettings; None (the default) remembers none.
        degrade: What is answered when every target has failed, see DegradeSettings; None (the default): the error.
        probe: Tiny requests to targets that had no calls for long, see ProbeSettings; None (the default) sends none.
        privacy: What is redacted, and which rules hold for data: "off" (the default), "redact" for the default
            PrivacySettings, or a table with their fields.
        prices: Prices of your own, laid over the price book, see `aistrale.cost.book.overrides.own_prices`:
            `[{"model": "openai/gpt-6-luna", "input": "1.10", "output": "4"}]`.
        budgets: How much may be spent, by whom, in which time, see BudgetSettings:
            `[{"scope": "project:shop", "limit": "5.00", "period": "day"}]`.
        optimize: What may be changed automatically to pay less, and how far, see OptimizeSettings; None (the default)
            changes nothing.
        on_event: Gets a BreakerEvent for every change of a breaker's state, a PrivacyEvent for everything that was
            decided about data, a BudgetEvent for thresholds and refusals of budgets, and an OptimizeEvent for what was
            optimised; it must not block.
        sinks: Where events go: addresses such as "console", "jsonl:calls.jsonl", "otlp", "prometheus:9464",
            "webhook:https://...", sinks of your own, or tables with the fields of
            `aistrale.telemetry.settings.SinkSettings`; none by default. In a variable, addresses with commas between.
        capture: Whether sinks get what was asked and answered, redacted, whether or not it is redacted on its way to
            providers; False by default.
        state: What several processes share: "memory" (the default) is nothing, "redis://host:6379/0" (or "rediss://",
            "unix://") shares breakers, rate limits, budgets, health and, where it is on, the cache.
        ledger: "sqlite:///path", "postgresql://user@host/database", "off", or None for the platform's data directory
            (AISTRALE_HOME).
        http: "auto" takes httpx2 where it is installed, else httpx.
        trust_env: Honour HTTP(S)_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.
        verify: Check certificates: True, False, or a path of a CA bundle.
        proxy: URL of a proxy for everything but loopback.
        transport: An httpx or httpx2 transport object instead of our own connections (sync clients).
        async_transport: The same for async clients.
        on_lossy: "warn" records on the answer what a translation cannot carry; "error" refuses it.
        on_unsupported: "error" refuses an option that the model cannot take; "drop" drops and lists it.
        instrument: Which official SDKs `init` covers: True for all, False for none, or a list of "openai", "anthropic",
            "gemini", "groq" and "huggingface" (in a variable: with commas). Clients of your own (`Client`) cover none.
        disabled: A switch for emergencies, best in the variable AISTRALE_DISABLED: calls of the official SDKs go
            straight to their providers, with nothing of what is set here (redaction and budgets neither), and no sink
            is told of anything. `run` and its like go on as they are.
    """

    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    routes: Mapping[str, RouteSettings] = field(default_factory=dict)
    default_route: str | None = None
    model: str | None = None
    timeout: float | None = 60.0
    clocks: Clocks = field(default_factory=Clocks)
    retry: Backoff | None = field(default_factory=Backoff)
    retry_budget: RetryBudgetSettings = field(default_factory=RetryBudgetSettings)
    breaker: BreakerSettings | None = field(default_factory=BreakerSettings)
    limits: Mapping[str, LimitSettings] = field(default_factory=lambda: {"default": LimitSettings()})
    hedge: HedgeSettings | None = None
    streams: StreamRules = field(default_factory=StreamRules)
    cache: CacheSettings | None = None
    degrade: DegradeSettings | None = None
    probe: ProbeSettings | None = None
    privacy: PrivacySettings | None = None
    prices: tuple[OwnPrice, ...] = ()
    budgets: tuple[BudgetSettings, ...] = ()
    optimize: OptimizeSettings | None = None
    on_event: Callable[[BreakerEvent | PrivacyEvent | BudgetEvent | OptimizeEvent], None] | None = None
    sinks: tuple[SinkSettings, ...] = ()
    capture: bool = False
    state: str | None = field(default=None, repr=False)
    ledger: str | None = None
    http: Literal["auto", "httpx", "httpx2"] = "auto"
    trust_env: bool = True
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    transport: object = None
    async_transport: object = None
    on_lossy: Literal["warn", "error"] = "warn"
    on_unsupported: Literal["error", "drop"] = "error"
    instrument: bool | tuple[str, ...] = True
    disabled: bool = False


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
    if key := env.get("AISTRALE_PRIVACY_KEY", "").strip():
        from aistrale.config.privacy import with_key

        merged["privacy"] = with_key(merged.get("privacy"), key)
    return check(merged)


def check(raw: Mapping[str, Setting]) -> Settings:
    """Check one table of settings. Raises ConfigurationError."""
    # Imported here: the checks build the records that are defined above.
    from aistrale.config.checks import CHECKS

    known = [item.name for item in fields(Settings)]
    values: dict[str, object] = {}
    for name, value in raw.items():
        if name not in known:
            raise unknown_key(name, known)
        values[name] = CHECKS[name](name, value)
    clocks = cast("Clocks", values.get("clocks", Clocks()))
    if "timeout" in values:
        clocks = replace(clocks, total=cast("float | None", values["timeout"]))
    values["clocks"] = clocks
    values["timeout"] = clocks.total
    if values.get("disabled"):
        values["sinks"], values["instrument"] = (), False
    settings = Settings(**values)  # type: ignore[arg-type]  # every value went through its check
    if settings.default_route is not None and settings.default_route not in settings.routes:
        raise ConfigurationError(
            f"default_route: there is no route {settings.default_route!r}",
            field="default_route",
            hint=f"Routes: {', '.join(settings.routes) or 'none'}.",
        )
    return settings


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

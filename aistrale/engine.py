"""What a client is behind its face: settings, ledger, connections, pipeline, and the verbs, written once."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar, cast

from aistrale.accounts import Accounts
from aistrale.config import ProviderSettings, load
from aistrale.config.checks import streams
from aistrale.config.values import unknown_key
from aistrale.core.call import Call, Clocks, Target
from aistrale.core.http import AsyncHttp, SyncHttp
from aistrale.core.output import unwrap
from aistrale.core.runtime import AsyncRuntime, SyncRuntime
from aistrale.core.worker import on_fork
from aistrale.errors import ConfigurationError
from aistrale.policies import build
from aistrale.policies.assemble import memory, optimizing, protecting, reliability, spending
from aistrale.policies.encode import Encode
from aistrale.policies.journal import Journal
from aistrale.policies.meter import UNSENT, Meter, attempt_infos, refusal, total_cost
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.catalog import default_model, lookup, resolve
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.secret import find_key, require_key
from aistrale.reporting import Reporting
from aistrale.scope import current, note
from aistrale.store import open_ledger
from aistrale.types import Completion, EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.config import Settings
    from aistrale.config.values import Setting
    from aistrale.core.http import HttpFamily
    from aistrale.core.pipeline import Pipeline, Policy
    from aistrale.core.reply import Reply
    from aistrale.core.runtime import Runtime
    from aistrale.errors import AistraleError
    from aistrale.options import Options
    from aistrale.privacy.protection import Protection
    from aistrale.providers.base import Provider
    from aistrale.providers.catalog import Kind, ModelFacts
    from aistrale.store.redis.fleet import Fleet
    from aistrale.types import Embeddings, Request

_REMEMBERED_TARGETS: Final = 1024
Answer = TypeVar("Answer", Completion, "Embeddings")


class WireOptions(TypedDict):
    """What both kinds of connections are made with."""

    http: HttpFamily
    verify: bool | str
    trust_env: bool
    proxy: str | None


class Engine:
    """Shared by every face of one client; nothing is opened before the first call.

    Args:
        keywords: Settings as keywords, see Settings.
    """

    def __init__(self, keywords: Mapping[str, Setting]) -> None:
        self.settings: Settings = load(keywords)
        self.ledger = open_ledger(self.settings.ledger)
        self.protection = _protection(self.settings)
        self.reporting = Reporting(self.settings, self.protection)
        self.fleet = _fleet(self.settings)
        self.states = memory(self.settings, self.reporting.breaker, self.fleet)
        counters = None if self.fleet is None or not self.settings.budgets else self.fleet.budgets
        self.accounts = Accounts(self.settings, self.ledger, self.reporting, counters)
        journal = Journal(self.ledger, self.accounts.price, self.accounts.settled, shape=self.accounts.shape)
        target_of = _weakly(self.target)
        policies: dict[str, Policy] = {
            **self.reporting.policies,
            "meter": Meter(self.ledger, journal.settle),
            **({} if self.protection is None else protecting(self.protection, self.reporting.privacy)),
            **reliability(
                self.settings,
                self.states,
                target_of=target_of,
                bound=self.accounts.most,
                price=self.accounts.price,
                answers=None if self.fleet is None else self.fleet.answers,
            ),
            **spending((), price=self.accounts.price, book=self.accounts.budgets),
            **optimizing(self.settings, self.accounts.optimizer, target_of=target_of, price=self.accounts.price),
            "encode": Encode(),
            "journal": journal,
        }
        self.pipeline: Pipeline = build(policies)
        self.on_call: Callable[[], None] | None = None
        """Is told of every call; the prober sleeps until then."""
        self._lock = threading.Lock()
        self._targets: dict[str, Target] = {}
        self._sync: SyncRuntime | None = None
        self._async: AsyncRuntime | None = None
        on_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        # Another thread of the parent may have held it when the process forked.
        self._lock = threading.Lock()

    # --- connections ---------------------------------------------------------------------------------------------

    def sync_runtime(self) -> SyncRuntime:
        """The blocking runtime, made at first use."""
        if self._sync is None:
            with self._lock:
                self._sync = self._sync or SyncRuntime(self._sync_http())
        return self._sync

    def async_runtime(self) -> AsyncRuntime:
        """The async runtime, made at first use; it keeps one set of connections per event loop."""
        if self._async is None:
            with self._lock:
                self._async = self._async or AsyncRuntime(self._async_http())
        return self._async

    def _sync_http(self) -> SyncHttp:
        return SyncHttp(**self._wire(), transport=self.settings.transport)

    def _async_http(self) -> AsyncHttp:
        return AsyncHttp(**self._wire(), transport=self.settings.async_transport)

    def _wire(self) -> WireOptions:
        settings = self.settings
        return {
            "http": settings.http,
            "verify": settings.verify,
            "trust_env": settings.trust_env,
            "proxy": settings.proxy,
        }

    # --- targets -------------------------------------------------------------------------------------------------

    def targets(self, options: Options, kind: Kind = "chat") -> tuple[list[Target], str | None]:
        """The targets that the options ask for, in order, and the route's name if there is one.

        Args:
            options: Model, provider, route.
            kind: Decides which default model is taken where the options name none.

        Raises:
            ConfigurationError: A name is unknown, a key is missing, or options exclude each other.
        """
        model, provider, route = options.get("model"), options.get("provider"), options.get("route")
        if route is not None and (model is not None or provider is not None):
            raise ConfigurationError("route excludes model and provider", field="route")
        if model is not None and not model.strip():
            raise ConfigurationError("model is empty", field="model", hint="Write provider/model.")
        if provider is not None:
            name = self.provider(provider).name
            model = self._model_of(name, kind) if model is None else model.removeprefix(f"{name}/")
            return [self.target(f"{name}/{model}")], None
        if route is None and model is None and kind == "chat":
            route = current().route or self.settings.default_route
        if route is None and model in self.settings.routes:
            route = model
        if route is None:
            configured = self.settings.model if kind == "chat" else None
            return [self.target(model or configured or self._first_model(kind))], None
        if route not in self.settings.routes:
            raise unknown_key(route, list(self.settings.routes), "route")
        return [self.target(name) for name in self.settings.routes[route].targets], route

    def target(self, name: str) -> Target:
        """The target of a model's name; made once. Raises ConfigurationError."""
        found = self._targets.get(name)
        if found is None:
            # A bound is enough: who asks for so many models lets others choose their names.
            if len(self._targets) >= _REMEMBERED_TARGETS:
                self._targets.clear()
            found = self._targets[name] = self._make_target(name)
        return found

    def _make_target(self, name: str) -> Target:
        prefix, _, rest = name.partition("/")
        facts: ModelFacts | None
        if prefix in self.settings.providers and rest:
            provider_name, model = prefix, rest
            facts = lookup(provider_name, model)
        else:
            provider_name, model, facts = resolve(name, known=tuple(self.settings.providers))
        own = self.settings.providers.get(provider_name, ProviderSettings())
        provider = self.provider(provider_name)
        key = require_key(provider, os.environ, own.api_key)
        headers = [
            ("content-type", "application/json"),
            ("user-agent", _user_agent()),
            *provider.headers,
            *(provider.auth_headers(key.reveal()) if key is not None else []),
            *((header.lower(), value) for header, value in own.headers.items()),
        ]
        dialect = own.api or _best_dialect(provider, facts)
        if dialect not in provider.dialects:
            raise ConfigurationError(
                f"providers.{provider_name}.api: {provider_name} speaks {', '.join(provider.dialects)}",
                field=f"providers.{provider_name}.api",
                provider=provider_name,
            )
        return Target(
            name=f"{provider.name}/{model}",
            provider=provider,
            model=model,
            dialect=dialect,
            base_url=provider.endpoint(os.environ, base_url=own.base_url, region=own.region),
            profile=replace(provider.profile(model, facts), provider=provider.name, model=model),
            key=key,
            region=own.region,
            facts=facts,
            headers=tuple(headers),
        )

    def provider(self, name: str) -> Provider:
        """The provider of that name, as the settings shape it. Raises ConfigurationError."""
        own = self.settings.providers.get(name)
        if own is not None and own.provider is not None:
            return own.provider
        if own is not None and own.compatible is not None:
            if own.base_url is None:
                field = f"providers.{name}.base_url"
                raise ConfigurationError(f"{field} is missing", field=field, provider=name)
            return openai_compatible(name, own.base_url, dialect=own.compatible)
        provider = get_provider(name)
        return provider.choose_version(os.environ, own.api_version if own is not None else None)

    def _model_of(self, provider: str, kind: Kind) -> str:
        model = default_model(provider, kind)
        if model is None:
            raise ConfigurationError(
                f"model: {provider} has no default {kind} model", field="model", provider=provider, hint="Give model=."
            )
        return model

    def _first_model(self, kind: Kind) -> str:
        for name in PROVIDERS:
            if default_model(name, kind) is None:
                continue
            own = self.settings.providers.get(name, ProviderSettings())
            if find_key(self.provider(name), os.environ, own.api_key) is not None:
                return f"{name}/{self._model_of(name, kind)}"
        names = [key for name in PROVIDERS for key in get_provider(name).env_keys[:1]]
        raise ConfigurationError(
            "no model is chosen and no provider has a key",
            field="model",
            hint=f"Set one of {', '.join(names)}, or model= and a key; `aistrale demo` needs neither.",
        )

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, request: Request | EmbedRequest, options: Options, runtime: Runtime) -> Call:
        """A call of the request, ready for the pipeline. Raises ConfigurationError for unknown names."""
        targets, route = self.targets(options, "embedding" if isinstance(request, EmbedRequest) else "chat")
        return self.call_to(targets, request, options, runtime, route=route)

    def call_to(
        self,
        targets: list[Target],
        request: Request | EmbedRequest,
        options: Options,
        runtime: Runtime,
        *,
        route: str | None = None,
        clocks: Clocks | None = None,
    ) -> Call:
        """A call of the request to these targets.

        Args:
            targets: In order.
            request: Made for this call.
            options: What else was asked for.
            runtime: Blocking or async.
            route: Whose targets they are.
            clocks: In place of the settings'.
        """
        # The request was made for this call; written once here, it need not be copied for its first target.
        request.model = targets[0].model
        context = current()
        if self.on_call is not None:
            self.on_call()
        if self.fleet is not None:
            self.fleet.start()
        deadline = options.get("deadline")
        clocks = self.settings.clocks if clocks is None else clocks
        if deadline is not None:
            clocks = replace(clocks, total=deadline if clocks.total is None else min(clocks.total, deadline))
        call = Call(
            request,
            targets,
            runtime,
            clocks=clocks,
            context=context,
            route=route,
            asked=options.get("model") or route or targets[0].name,
            on_lossy=options.get("on_lossy", self.settings.on_lossy),
            on_unsupported=options.get("on_unsupported", self.settings.on_unsupported),
        )
        note(call.id)
        if call.stream:
            rules = options.get("streams")
            call.streaming = self.settings.streams if rules is None else streams("streams", rules)
        return call

    def refused(self, error: AistraleError, options: Options, runtime: Runtime, kind: Kind = "chat") -> None:
        """Record a call that could not even begin, so that the ledger says what became of it."""
        asked = options.get("model") or options.get("route") or options.get("provider")
        row = refusal(
            error,
            at=runtime.wall(),
            kind="chat" if kind == "chat" else "embed",
            asked=asked if isinstance(asked, str) else "",
            context=current(),
        )
        note(row.call_id)
        self.ledger.append(row)
        if self.reporting.observer is not None:
            self.reporting.observer.refused(row)

    async def complete(self, call: Call) -> Completion:
        """Run a call to its end."""
        reply = await self.pipeline(call)
        completion = await reply.completion()
        return finish(call, completion)

    async def embed(self, call: Call) -> Embeddings:
        """Run an embedding call to its end."""
        reply = await self.pipeline(call)
        await reply.completion()
        embeddings = cast("Embeddings", reply.accumulated.embeddings)
        return finish(call, embeddings)

    async def open(self, call: Call) -> Reply:
        """Begin a streamed call; its first content is there."""
        return await self.pipeline(call)

    async def close_sync(self) -> None:
        """Close the blocking connections; calls under way and later ones get new ones."""
        with self._lock:
            old = self._sync.renew(self._sync_http()) if self._sync is not None else None
        if old is not None:
            await old.close()
        if self.fleet is not None:
            self.fleet.close()

    async def close_async(self) -> None:
        """Close the async connections; calls under way and later ones get new ones."""
        with self._lock:
            old = self._async.renew(self._async_http()) if self._async is not None else None
        if old is not None:
            await old.close()
        if self.fleet is not None:
            await self.async_runtime().invoke(self.fleet.close)


def finish(call: Call, answer: Answer) -> Answer:
    """Write onto an answer what the call knows of it: who answered, what it cost, which attempts it took."""
    answer.call_id = call.id
    answer.degraded = call.degraded
    answer.attempts = attempt_infos(call)
    answer.cost = total_cost(call)
    attempt = call.attempt
    if attempt is None or call.degraded in UNSENT:
        # Remembered or canned: nobody was asked for this answer, and it says itself where it comes from.
        return answer
    prepared = call.prepared[attempt.target.name]
    answer.provider = attempt.target.provider.name
    answer.target = attempt.target.name
    answer.request_id = attempt.request_id
    answer.lossy = prepared.lossy
    if isinstance(answer, Completion):
        unwrap(answer, prepared.answer)
    return answer


def _weakly(target_of: Callable[[str], Target]) -> Callable[[str], Target]:
    """The same without a hold on the engine.

    Policies that kept it would make a ring, and a client that is dropped would keep its connections until that is
    collected.
    """
    method = weakref.WeakMethod(target_of)

    def found(name: str) -> Target:
        of = method()
        if of is None:
            raise ConfigurationError("the client is gone", field="model", hint="Keep it as long as calls run.")
        return of(name)

    return found


def _fleet(settings: Settings) -> Fleet | None:
    if settings.state is None:
        return None
    from aistrale.store.redis.fleet import Fleet

    return Fleet(settings.state)


def _protection(settings: Settings) -> Protection | None:
    if settings.privacy is None:
        return None
    # The recognizers' word lists are loaded here, before a process forks and before the first call waits for them.
    from aistrale.privacy.protection import Protection

    return Protection(settings.privacy)


def _best_dialect(provider: Provider, facts: ModelFacts | None) -> str:
    """The provider's default dialect, unless the catalog knows that the model answers only in others."""
    able = facts.dialects if facts is not None else ()
    return provider.dialect if not able or provider.dialect in able else able[0]


def _user_agent() -> str:
    from aistrale._version import __version__

    return f"aistrale/{__version__}"

"""A model call of an official SDK in the hub's words, and where it may go."""

# ruff: noqa: ANN401 - the objects of httpx and httpx2 have the same shape and no common class

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from aistrale.core.call import Call, Clocks, Prepared, Target
from aistrale.core.exchange import MANAGED_HEADERS, HttpRequest
from aistrale.dialects import chat_dialect, embed_dialect
from aistrale.dialects.limit import limited
from aistrale.dialects.shape import MalformedBody, dump_json
from aistrale.dropin.counts import asking, asks, refused
from aistrale.dropin.relay import Relay
from aistrale.errors import AistraleError, BudgetExceeded, ConfigurationError, RedactionError
from aistrale.policies.texts import rewrite_body
from aistrale.providers.catalog import lookup, resolve
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.secret import Secret
from aistrale.scope import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.runtime import Runtime
    from aistrale.dialects.base import Dialect, EmbedDialect
    from aistrale.dropin.endpoints import Endpoint
    from aistrale.engine import Engine
    from aistrale.policies.texts import Change
    from aistrale.providers.base import Provider
    from aistrale.types import EmbedRequest, JSONObject, Request

ROUTE_HEADER: Final = "x-aistrale-route"
# Where a key may stand in the requests of the five SDKs.
_KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
# What the request ends with below the base URL of its SDK, by dialect.
_PATHS: Final = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "openai_embeddings": "/embeddings",
    "anthropic_messages": "/messages",
}
# Headers that hold a digest or a signature of the body.
_SIGNED: Final = ("content-md5", "digest", "content-digest", "signature", "x-amz-content-sha256")
_REMEMBERED: Final = 1024


class Incoming:
    """One request of an SDK.

    Args:
        engine: Whose settings hold.
        endpoint: What it is.
        request: The httpx or httpx2 request; its body has been read.
        headers: Its headers, by their names in lower case.
        document: Its body.
        send: Sends it over the SDK's own connections.
        blocking: Whether the SDK's client is the blocking one.

    Raises:
        MalformedBody: The body is not of the format; whoever it is for will say so better.
    """

    __slots__ = (
        "_asks",
        "_engine",
        "_own",
        "_relays",
        "_siblings",
        "_url",
        "_whole",
        "blocking",
        "codec",
        "document",
        "endpoint",
        "headers",
        "hub",
        "skipped",
    )

    def __init__(
        self,
        engine: Engine,
        endpoint: Endpoint,
        request: Any,
        headers: Mapping[str, str],
        document: JSONObject,
        *,
        send: Callable[[Any], Any],
        blocking: bool,
    ) -> None:
        self._engine = engine
        self.headers = headers
        self.endpoint = endpoint
        self.document = document
        self.blocking = blocking
        find = chat_dialect if endpoint.operation == "chat" else embed_dialect
        self.codec: Dialect | EmbedDialect = find(endpoint.dialect)
        self.hub = self._decoded(document)
        if not self.hub.model:
            raise MalformedBody("model", "a model")
        self._url = str(request.url)
        limits: Mapping[str, float | None] = request.extensions.get("timeout") or {}
        relay = Relay(request, send, blocking=blocking, limits=limits)
        self._own = _own_target(engine, endpoint, self.hub.model, self._url, headers)
        self._asks = getattr(self.hub, "stream", False) and self._may_ask(request.url.host)
        self._relays: dict[str, Relay] = {self._own.place: self._asking(relay, document)}
        self._siblings: dict[str, tuple[str, str | None]] = {}
        self._whole: dict[str, Relay] = {}
        """Of targets that are relayed to with another model: the URL, and the body's model where it has one."""
        self.skipped: list[str] = []
        """Targets of the route that this call could not go to, with the reason."""

    def relay_of(self, target: Target) -> Relay | None:
        """The relay to a target; None for one that the call is translated for."""
        return self._relays.get(target.place)

    # --- where it may go -----------------------------------------------------------------------------------------

    def call(self, runtime: Runtime, request: Any) -> Call:
        """The call, ready for the pipeline.

        Raises:
            ConfigurationError: The route that it asks for does not exist, or none of its targets can be used.
        """
        route = self._route()
        targets = [self._own] if route is None else self._targets(route)
        if not targets:
            raise ConfigurationError(
                f"no target of route {route!r} can take this call: {'; '.join(self.skipped)}", field="route"
            )
        timeout, stream = request.extensions.get("timeout") or {}, getattr(self.hub, "stream", False)
        clocks = _clocks(self._engine.settings.clocks, timeout, stream=stream)
        asked = self.hub.model
        call = self._engine.call_to(targets, copy(self.hub), {"model": asked}, runtime, route=route, clocks=clocks)
        call.inbound, call.on_unsupported = self, "soft"
        return call

    def _route(self) -> str | None:
        """The route that the header, the context, or a route named like the model asks for."""
        routes = self._engine.settings.routes
        asked = self.headers.get(ROUTE_HEADER) or current().route
        if asked is not None:
            if asked not in routes:
                raise ConfigurationError(
                    f"route {asked!r} does not exist", field="route", hint=f"Routes: {', '.join(routes) or 'none'}."
                )
            return asked
        if not routes:
            return None
        model = self.hub.model
        for name in (model, f"{self._own.provider.name}/{model}"):
            if name in routes:
                return name
        wild = [name for name in routes if any(mark in name for mark in "*?[")]
        # The most particular pattern first: the one with the most that is no wildcard.
        for name in sorted(wild, key=lambda name: -len(name.strip("*?"))):
            if fnmatchcase(model, name) or fnmatchcase(self._own.name, name):
                return name
        return None

    def _targets(self, route: str) -> list[Target]:
        targets = []
        for name in self._engine.settings.routes[route].targets:
            try:
                target = self._target(name)
            except AistraleError as error:
                # Without a key for the stand-in the call is still as good as it was without a route.
                self._skip(name, error)
                continue
            targets.append(target)
        return targets

    def _target(self, name: str) -> Target:
        engine, own = self._engine, self._own
        prefix, _, rest = name.partition("/")
        known = engine.settings.providers
        provider, model = (prefix, rest) if prefix in known and rest else resolve(name, known=tuple(known))[:2]
        if self.endpoint.operation == "embed" and (provider, model) != (own.provider.name, own.model):
            raise ConfigurationError("vectors of another model lie in another space")
        if provider != own.provider.name:
            return engine.target(name)
        if model == own.model:
            return own
        return self._sibling(model)

    def _sibling(self, model: str) -> Target:
        """Another model of the same provider, asked over the SDK's own connections."""
        own, endpoint = self._own, self.endpoint
        if endpoint.provider in {"azure", "huggingface"} and endpoint.model is not None:
            raise ConfigurationError("the URL names another deployment")
        target = _with_model(own, model)
        if endpoint.model is not None:
            self._siblings[target.place] = self._url.replace(f"/{endpoint.model}:", f"/{model}:"), None
        else:
            self._siblings[target.place] = self._url, model
        self._relays[target.place] = self._rewritten(target.place)
        return target

    def _rewritten(self, place: str, change: Callable[[JSONObject], JSONObject] | None = None) -> Relay:
        """The relay to a place with the body as it is now, or changed."""
        url, model = self._siblings.get(place, (self._url, None))
        document = self.document if model is None else {**self.document, "model": model}
        if change is not None:
            document = change(document)
        return self._asking(self._relays[self._own.place].instead(url, dump_json(document).encode()), document)

    def _may_ask(self, host: str) -> bool:
        """Whether the token counts of a stream are to be asked for where the caller does not say."""
        if self._signed() is not None:
            return False
        own = self._own
        return asks(self._engine, self.endpoint, own.provider, base=own.base_url, host=host, url=self._url)

    def _asking(self, relay: Relay, document: JSONObject) -> Relay:
        body = asking(relay.content, document) if self._asks else None
        return relay if body is None else relay.asking(body, partial(refused, self._engine, self._url))

    def _limited(self, target: Target, limit: int | None) -> Relay:
        """The relay to a target with another limit of the answer, or again as it came."""
        whole = self._whole.setdefault(target.place, self._relays[target.place])
        if limit is None:
            return whole
        signed = self._signed()
        if signed is not None:
            raise BudgetExceeded(
                f"the budget pays for {limit} tokens of answer, and the request's header {signed} signs it as it is",
                provider=self._own.provider.name,
                hint="Limit the answer before signing, or raise the budget.",
            )
        field = target.profile.max_tokens_field
        return self._rewritten(target.place, lambda body: limited(body, self.endpoint.dialect, limit, field))

    def _signed(self) -> str | None:
        return next((name for name in _SIGNED if name in self.headers), None)

    # --- Inbound -------------------------------------------------------------------------------------------------

    def rewrite(self, change: Change) -> Request | EmbedRequest:
        """Change every text of the body, for all targets; the request that it has become.

        What the caller asked for stays as it was, since some formats repeat it in their answers.

        Raises:
            RedactionError: It must change, and is signed.
        """
        document = cast("JSONObject", json.loads(dump_json(self.document)))
        if not rewrite_body(document, self.codec.text_slots, change):
            return copy(self.hub)
        signed = self._signed()
        if signed is not None:
            raise RedactionError(
                f"the request has to be redacted, and its header {signed} signs it as it is",
                provider=self._own.provider.name,
                hint="Redact before signing, or leave this client out of instrument=.",
            )
        self.document = document
        self._relays = {place: self._rewritten(place) for place in self._relays}
        return self._decoded(document)

    def _decoded(self, document: JSONObject) -> Request | EmbedRequest:
        endpoint = self.endpoint
        if endpoint.operation == "chat":
            chat = cast("Dialect", self.codec)
            return chat.decode_request(document, model=endpoint.model, stream=endpoint.stream)
        return cast("EmbedDialect", self.codec).decode_request(document, model=endpoint.model)

    def relay(self, target: Target, limit: int | None = None) -> Prepared | None:
        """The request as it came, for a target that understands it; None where it must be translated.

        Args:
            target: Where it goes.
            limit: Most tokens of answer that it may ask for, in place of what it says; None for as it is.

        Raises:
            BudgetExceeded: It must be limited, and is signed.
        """
        relay = self._relays.get(target.place)
        if relay is None:
            return None
        if limit is not None or target.place in self._whole:
            relay = self._relays[target.place] = self._limited(target, limit)
        # What is sent is the SDK's own request; its size is what the stream's reader goes by.
        return Prepared(HttpRequest("POST", self._url, [], relay.content), self.codec, target.profile, opener=relay)

    def refused(self, target: Target, error: AistraleError) -> None:
        """Note a target that the call cannot be translated for; it is asked about once for each time it is tried."""
        self._skip(target.name, error)

    def _skip(self, name: str, error: AistraleError) -> None:
        told = f"{name}: {error}"
        if told not in self.skipped:
            self.skipped.append(told)


def read(content: bytes) -> JSONObject | None:
    """The body of a request, if it is a JSON object."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if type(document) is dict else None


def _clocks(own: Clocks, timeout: Mapping[str, float | None], *, stream: bool) -> Clocks:
    """The caller's timeouts as clocks; where the caller has none, the settings' hold, but none for the whole call.

    A caller's `read` is the longest silence that it puts up with, so an answer in one piece must have come by then,
    whoever gives it.
    """
    read = timeout.get("read")
    connect = timeout.get("connect")
    return Clocks(
        connect=own.connect if connect is None else connect,
        first_token=own.first_token if read is None or not stream else read,
        between_tokens=own.between_tokens if read is None else read,
        total=None if stream else read,
    )


_targets: WeakKeyDictionary[Engine, dict[tuple[object, ...], Target]] = WeakKeyDictionary()


def _own_target(engine: Engine, endpoint: Endpoint, model: str, url: str, headers: Mapping[str, str]) -> Target:
    """The target that the SDK itself means: its provider, its base URL, its key."""
    key = next((value for name in _KEY_HEADERS if (value := headers.get(name)) is not None), "")
    base = _base_url(url, endpoint)
    memo = (endpoint.provider, endpoint.dialect, model, base, key)
    known = _targets.setdefault(engine, {})
    found = known.get(memo)
    if found is None:
        if len(known) >= _REMEMBERED:
            known.clear()
        found = known[memo] = _make_target(engine, endpoint, model, base, key, url, headers)
    return found


def _make_target(  # noqa: PLR0917 - what a target is made of
    engine: Engine, endpoint: Endpoint, model: str, base: str, key: str, url: str, headers: Mapping[str, str]
) -> Target:
    provider = _provider(engine, endpoint, base)
    secret = Secret(key.removeprefix("Bearer ")) if key else None
    facts = lookup(provider.name, model)
    target = Target(
        provider=provider,
        model=model,
        dialect=endpoint.chat,
        base_url=base,
        profile=replace(provider.profile(model, facts), provider=provider.name, model=model),
        key=secret,
        facts=facts,
        headers=tuple(
            (name, value)
            for name, value in headers.items()
            if name not in MANAGED_HEADERS and not name.startswith(("x-stainless", "x-aistrale"))
        ),
        name=f"{provider.name}/{model}",
    )
    try:
        configured = engine.target(target.name)
    except AistraleError:
        configured = None
    if configured is not None and _same_account(configured, target, endpoint, url):
        return target
    return replace(target, account=blake2b(f"{base} {key}".encode(), digest_size=4).hexdigest())


def _same_account(configured: Target, own: Target, endpoint: Endpoint, url: str) -> bool:
    """Whether the settings mean the same key and place as the SDK."""
    keys = [target.key.reveal() for target in (configured, own) if target.key is not None]
    operation = endpoint.operation
    stream = bool(endpoint.stream)
    dialect = endpoint.dialect if operation == "chat" else None
    if len(set(keys)) > 1 or (dialect is not None and dialect not in configured.provider.dialects):
        return False
    try:
        meant = configured.provider.url(configured.base_url, operation, own.model, stream=stream, dialect=dialect)
    except ConfigurationError:
        return False
    return meant.partition("?")[0] == url.partition("?")[0]


def _with_model(own: Target, model: str) -> Target:
    facts = lookup(own.provider.name, model)
    name = own.provider.name
    profile = replace(own.provider.profile(model, facts), provider=name, model=model)
    return replace(own, model=model, facts=facts, profile=profile, name=f"{name}/{model}")


def _provider(engine: Engine, endpoint: Endpoint, base: str) -> Provider:
    """The provider of the settings that has this base URL, else the SDK's own."""
    for name, own in engine.settings.providers.items():
        if own.base_url is not None and own.base_url.rstrip("/") == base:
            return engine.provider(name)
    if endpoint.provider == "azure":
        return openai_compatible("azure", base, auth="api-key", dialects=("openai_responses",))
    return engine.provider(endpoint.provider)


def _base_url(url: str, endpoint: Endpoint) -> str:
    """The base URL of the SDK's client."""
    bare = url.partition("?")[0]
    path = _PATHS.get(endpoint.dialect)
    if path is not None and bare.endswith(path):
        bare = bare.removesuffix(path)
        return bare.removesuffix("/v1") if endpoint.provider == "anthropic" else bare
    scheme, _, rest = bare.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"

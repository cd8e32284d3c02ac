"""What a provider is: data plus small hooks.

A provider speaks one or more dialects at some address, takes a key, and has its own errors and limits. It
does no I/O: the client asks it for URLs, headers, a profile and a verdict on an error, and sends the request
itself. Each module of this package holds one `PROVIDER`; the dialects know nothing of providers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from aistrale.dialects.base import Profile
from aistrale.errors import ConfigurationError
from aistrale.providers.verdict import classify as default_classify
from aistrale.providers.wordings import Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.errors import APIError
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import JSON, ErrorInfo, JSONObject

Operation: TypeAlias = Literal["chat", "embed", "count_tokens"]

_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?$")


def bearer(key: str) -> list[tuple[str, str]]:
    """The key as `Authorization: Bearer`."""
    return [("authorization", f"Bearer {key}")]


def header_key(name: str) -> Callable[[str], list[tuple[str, str]]]:
    """A hook that puts the key into a header of its own, for example `api-key`."""
    return lambda key: [(name, key)]


def no_saved_key(environ: Mapping[str, str]) -> str | None:  # noqa: ARG001 - a hook's signature
    """The provider's tools save no login."""
    return None


def same_body(body: JSONObject, dialect: str) -> JSONObject:  # noqa: ARG001 - a hook's signature
    """A streamed request looks like any other."""
    return body


def ask_for_usage(body: JSONObject, dialect: str) -> JSONObject:
    """Ask for token counts at the end of a chat stream; without that the provider reports none.

    What the caller wrote is kept, also `include_usage: false`. The body is not changed; a copy is returned.
    """
    if dialect != "openai_chat":
        return body
    options = body.get("stream_options")
    if options is None:
        return {**body, "stream_options": {"include_usage": True}}
    if type(options) is dict and "include_usage" not in options:
        return {**body, "stream_options": {**options, "include_usage": True}}
    return body


def has_error(body: JSON) -> bool:
    """Whether a body that came with status 200 is an error.

    Answers carry `"error": null` in some formats, hence the value is looked at, and a list with one error
    object is one too.
    """
    if type(body) is list and len(body) == 1:
        body = body[0]
    if type(body) is not dict:
        return False
    if body.get("type") == "error":
        return True
    return body.get("error") not in (None, "", [], {}) and not any(
        body.get(key) for key in ("choices", "candidates", "content", "output", "embeddings", "data")
    )


def silent_quota(info: ErrorInfo) -> Quota:  # noqa: ARG001 - a hook's signature
    """The provider's errors do not say when a quota is renewed, nor that it is one model's alone."""
    return Quota()


def plain_profile(model: str, facts: ModelFacts | None) -> Profile:
    """A profile that knows only what the catalog knows."""
    return with_facts(Profile(model=model), facts)


def with_facts(profile: Profile, facts: ModelFacts | None) -> Profile:
    """Lay what the catalog knows about the model over a provider's assumption; the unknown stays."""
    if facts is None:
        return profile
    refused = set(profile.unsupported)
    if facts.tools is False:
        refused |= {"tools", "tool_choice", "parallel_tool_calls"}
    if facts.parallel_tools is False:
        refused.add("parallel_tool_calls")
    return replace(
        profile,
        max_output=facts.max_output or profile.max_output,
        sampling=profile.sampling if facts.sampling is None else facts.sampling,
        stop=profile.stop if facts.stop is None or facts.stop else 0,
        thinking=facts.reasoning or profile.thinking,
        efforts=() if facts.reasoning == "none" else facts.efforts or profile.efforts,
        structured=facts.structured or profile.structured,
        media=profile.media if facts.input is None else frozenset(facts.input) - {"text"},
        unsupported=frozenset(refused),
    )


@dataclass(slots=True, frozen=True, kw_only=True, eq=False)
class Provider:
    """A place that answers requests. Holds no key.

    Args:
        name: As in `name/model`, lower case.
        dialects: The chat dialects it speaks, the default first.
        paths: Path below the base URL per dialect; `<dialect>:stream` where streaming has another one;
            `embed` and `count_tokens` where it has them. `{model}` stands for the model; a leading `/../`
            leaves out the version at the end of a base URL.
        base_url: Where it listens.
        embed_dialect: Format of its embedding requests, None when it has none.
        count_dialect: The chat dialect in which it counts tokens, None when it cannot.
        env_keys: Environment variables that may hold the key; the first that is set wins.
        env_base_url: Environment variable that replaces the base URL.
        regions: Base URL per region, for data residency.
        versions: API versions that `at_version` takes, spelled as the provider does; the default first.
        at_version: Gives the same provider with another API version.
        env_version: Environment variable that chooses the API version.
        key_hint: Where to get a key, one sentence.
        needs_key: Whether requests without a key are pointless.
        headers: Headers that every request carries, in lower case.
        auth_headers: The headers that carry the key.
        saved_key: Finds a key that the provider's own tools saved; reads a file, hence is asked last.
        model_path: Writes a model's name as it stands in a URL, before quoting.
        profile: What one of its models can take.
        codes: Its error codes and types that mean more than their status, as (status or None for any, word).
        classify: Judges an error body.
        quota: What an error about a used-up quota says beyond that.
        stream_request: Last changes to the body of a streamed request.
        is_error_body: Whether a body with status 200 is an error.
    """

    name: str
    dialects: tuple[str, ...]
    paths: Mapping[str, str]
    base_url: str
    embed_dialect: str | None = None
    count_dialect: str | None = None
    env_keys: tuple[str, ...] = ()
    env_base_url: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    at_version: Callable[[str], Provider] | None = None
    env_version: str | None = None
    key_hint: str = ""
    needs_key: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    auth_headers: Callable[[str], list[tuple[str, str]]] = bearer
    saved_key: Callable[[Mapping[str, str]], str | None] = no_saved_key
    model_path: Callable[[str], str] = str
    profile: Callable[[str, ModelFacts | None], Profile] = plain_profile
    classify: Callable[[ErrorInfo], type[APIError]] = default_classify
    quota: Callable[[ErrorInfo], Quota] = silent_quota
    stream_request: Callable[[JSONObject, str], JSONObject] = same_body
    is_error_body: Callable[[JSON], bool] = has_error

    @property
    def dialect(self) -> str:
        """The dialect it speaks unless told otherwise."""
        return self.dialects[0]

    def url(
        self,
        base_url: str,
        operation: Operation,
        model: str,
        *,
        stream: bool = False,
        dialect: str | None = None,
    ) -> str:
        """The URL of one request.

        Args:
            base_url: From `endpoint`. A version or prefix at its end that the path repeats is written once,
                so that the base URLs of the official SDKs work as they are.
            operation: What is asked for.
            model: The model, in the provider's words.
            stream: Whether the answer shall be streamed.
            dialect: Which of `dialects` the chat body is in; the default one when not given.

        Raises:
            ConfigurationError: The provider has no such operation or dialect, or the model's name cannot
                stand in a URL.
        """
        path = self._path(operation, dialect or self.dialect, stream=stream)
        if "{model}" not in path:
            return _join(base_url, path)
        name = self.model_path(model)
        if not name or any(part in {"", ".", ".."} for part in name.split("/")):
            raise ConfigurationError(
                f"model {model!r} cannot stand in a URL",
                field="model",
                provider=self.name,
                hint="Check its name.",
            )
        return _join(base_url, path.replace("{model}", quote(name, safe="/:@")))

    def _path(self, operation: Operation, dialect: str, *, stream: bool) -> str:
        if operation != "chat":
            path = self.paths.get(operation)
            if path is None:
                what = "embeddings" if operation == "embed" else "token counting"
                raise ConfigurationError(f"{self.name} has no {what}", field="provider", provider=self.name)
            return path
        path = (self.paths.get(f"{dialect}:stream") if stream else None) or self.paths.get(dialect)
        if path is None:
            raise ConfigurationError(
                f"{self.name} does not speak {dialect}; it speaks {', '.join(self.dialects)}",
                field=f"providers.{self.name}.api",
                provider=self.name,
            )
        return path

    def endpoint(self, environ: Mapping[str, str], *, base_url: str | None = None, region: str | None = None) -> str:
        """The base URL: the setting, else the region's, else the environment's, else the provider's own.

        Args:
            environ: The environment; `os.environ` in production.
            base_url: What the settings say.
            region: A key of `regions`; cannot go with `base_url`.

        Raises:
            ConfigurationError: The region is unknown, both are given, or the URL is none.
        """
        here = f"providers.{self.name}"
        if region is not None:
            if base_url is not None:
                raise ConfigurationError(
                    f"{here}: region and base_url exclude each other",
                    field=f"{here}.region",
                    provider=self.name,
                )
            if region not in self.regions:
                known = ", ".join(self.regions) or "none"
                raise ConfigurationError(
                    f"{here}.region: {region!r} is not a region of {self.name}; known: {known}",
                    field=f"{here}.region",
                    provider=self.name,
                )
            return self.regions[region]
        if base_url is not None:
            return checked_url(base_url, f"{here}.base_url", self.name)
        if self.env_base_url and (value := environ.get(self.env_base_url, "").strip()):
            return checked_url(value, self.env_base_url, self.name)
        return self.base_url

    def choose_version(self, environ: Mapping[str, str], version: str | None = None) -> Provider:
        """This provider speaking the API version of the setting, else of the environment, else its default.

        Raises:
            ConfigurationError: The provider does not know the version.
        """
        where = f"providers.{self.name}.api_version"
        if version is None and self.env_version:
            version = environ.get(self.env_version, "").strip() or None
            where = self.env_version
        if version is None:
            return self
        if version not in self.versions or self.at_version is None:
            known = ", ".join(self.versions) or "it has only one"
            raise ConfigurationError(
                f"{where}: {version!r} is not an API version of {self.name}; known: {known}",
                field=where,
                provider=self.name,
            )
        return self.at_version(version)


def checked_url(url: str, field_: str, provider: str) -> str:
    """A base URL from a setting, checked.

    Raises:
        ConfigurationError: It is no http or https URL, or holds a user, a password or a fragment.
    """
    # The URL is not repeated in the messages: it may carry a password or a key in its query.
    parts = None
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if parts is None or not valid:
        raise ConfigurationError(f"{field_} must be an http or https URL with a host", field=field_, provider=provider)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ConfigurationError(
            f"{field_} must not hold a user, a password or a fragment",
            field=field_,
            provider=provider,
            hint="Give the key as api_key.",
        )
    return url.strip()


@lru_cache(maxsize=1024)
def _join(base_url: str, path: str) -> str:
    """Put a path below a base URL; segments that both have at the border are written once."""
    base, _, base_query = base_url.partition("?")
    path, _, query = path.partition("?")
    left = base.rstrip("/").split("/")
    host = 3 if "://" in base else 0
    if path.startswith("/../"):
        path = path[3:]
        left = left[:-1] if len(left) > host and _VERSION.match(left[-1]) else left
    right = path.strip("/").split("/")
    # A version in the base URL is the caller's choice and replaces the path's own.
    if len(left) > host and _VERSION.match(left[-1]) and _VERSION.match(right[0]):
        right = right[1:]
    for size in range(min(len(left) - host, len(right)), 0, -1):
        if left[-size:] == right[:size]:
            right = right[size:]
            break
    joined = "&".join(part for part in (query, base_query) if part)
    return "/".join(left + right) + (f"?{joined}" if joined else "")

"""The names under which a provider and its models may stand in a price book.

Bills, logs and other libraries write them in other ways than the APIs do. A spelling is only ever another way to write
a name: whether there is such a model, the book says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.providers import ALIASES, PROVIDERS
from aistrale.providers.catalog import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Google sells the same models at the same prices by two ways; these are the words for them in other libraries and in
# OpenTelemetry's semantic conventions (`gen_ai.provider.name`).
_GOOGLE: Final = (
    "google-gla",
    "google-genai",
    "google_genai",
    "google-vertex",
    "google_vertexai",
    "vertex",
    "vertexai",
    "vertex_ai",
    "gcp.gemini",
    "gcp.gen_ai",
    "gcp.vertex_ai",
)
_PROVIDERS: Final = {**{name: name for name in PROVIDERS}, **ALIASES, **dict.fromkeys(_GOOGLE, "gemini")}
# What stands before a model where one name says both.
_PREFIXES: Final = {
    ours: tuple(f"{name}/" for name, meant in _PROVIDERS.items() if meant == ours) for ours in PROVIDERS
}
# Answers of OpenAI's old completion models name a build: gpt-3.5-turbo-instruct:20230824-v2.
_BUILD: Final = re.compile(r":\d{8}-v\d+$")
_DOTTED: Final = re.compile(r"(?<=\d)\.(?=\d)")
# The line before the version, or behind it, as Anthropic itself did up to 3.7.
_LINE_FIRST: Final = re.compile(r"claude-([a-z]+)-(\d(?:-\d)?)(?=$|[-@])")
_VERSION_FIRST: Final = re.compile(r"claude-(\d(?:-\d)?)-([a-z]+)(?=$|[-@])")


def provider_name(provider: str) -> str:
    """A provider's name here; one that nobody knows stays as it is."""
    return _PROVIDERS.get(provider) or _PROVIDERS.get(provider.strip().lower(), provider)


def model_names(provider: str, model: str) -> list[str]:
    """The names that a model may stand under, lower case, the most exact first.

    Args:
        provider: As `provider_name` gives it.
        model: The model, in whatever words.
    """
    lower = model.strip().lower()
    found: dict[str, None] = {}
    for name in _bare(provider, lower):
        found.update(dict.fromkeys(spellings(provider, name)))
    return list(found)


def _bare(provider: str, name: str) -> Iterator[str]:
    yield name
    for prefix in _PREFIXES.get(provider, ()):
        if name.startswith(prefix):
            yield name.removeprefix(prefix)
    if provider == "openai":
        yield _BUILD.sub("", name)
    if provider in {"anthropic", "gemini"}:
        # Google names models by paths, and by "@default" the version that it takes.
        last = name.rpartition("/")[2].removesuffix("@default").removesuffix("@latest")
        yield last
        if "claude" in last:
            dashed = _DOTTED.sub("-", last)
            yield dashed
            yield _LINE_FIRST.sub(r"claude-\2-\1", dashed)
            yield _VERSION_FIRST.sub(r"claude-\2-\1", dashed)

"""Which models there are and what they can do.

The facts stand in `catalog.json` beside this file; `tools/refresh_catalog.py` writes it, nothing else does,
and nothing is ever fetched. It is read once, at the first question. A model that the catalog does not know
can be used all the same when its provider is named: `openai/gpt-99`.
"""

from __future__ import annotations

import json
import pkgutil
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from aistrale.errors import ConfigurationError
from aistrale.providers import ALIASES, PROVIDERS, is_provider, unknown_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSONObject

Kind: TypeAlias = Literal["chat", "embedding", "completion", "image", "audio", "realtime"]

# What providers put behind a model's name and what does not make another model: the day of a snapshot, a
# revision.
_SNAPSHOT = re.compile(r"(?:-\d{4}-\d\d-\d\d|[-@]\d{8}|-preview-\d\d-(?:\d\d|\d{4})|-exp-\d\d-\d\d|-00\d|-latest)$")


@dataclass(slots=True, frozen=True, kw_only=True, eq=False)
class ModelFacts:
    """What is known about a model. None is unknown, not no.

    Args:
        provider: Who serves it.
        id: Its name there.
        aliases: Further names of the same model there, snapshots included.
        kind: What it does.
        family: The line that it belongs to.
        dialects: The chat dialects in which it can be asked, the best first; empty when all of its
            provider's.
        context: Size of the context window, tokens.
        max_input: Longest prompt, tokens, where it is less than the window.
        max_output: Longest answer, tokens, thinking included.
        input: Kinds of content it takes: text, image, audio, document, video.
        output: Kinds of content it gives.
        tools: Whether it calls tools.
        parallel_tools: Whether it calls several at once.
        structured: Strongest way to enforce a schema.
        reasoning: How thinking is asked for; "none" when it does not think or does so as it likes.
        efforts: Effort words it takes, lowest first; empty when nothing is known.
        sampling: Whether it takes temperature and top_p (some only while they do not think).
        stop: Whether it takes stop sequences.
        streaming: Whether its answers can be streamed.
        dimensions: Length of its vectors.
        shortens: Whether shorter vectors can be asked for.
        retires: The day on which it is, or was, switched off.
        deprecated: Its provider advises against it.
        successor: What its provider advises instead.
        current: One of the models that its provider offers for general use today.
        weights: Name shared by servings of the same open weights at different providers.
        backends: For a router: who can be chosen to serve it.
        as_of: The day on which the facts were collected.
        source: Where they come from.
        blended: What it costs, roughly, to compare it with others: US dollars per million tokens, three of input to
            one of output, the usual mix of chats; of a router at its first backend. Prices stand in
            `aistrale.cost.book.price_book`.
    """

    provider: str
    id: str
    aliases: tuple[str, ...] = ()
    kind: Kind = "chat"
    family: str = ""
    dialects: tuple[str, ...] = ()
    context: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    input: tuple[str, ...] | None = None
    output: tuple[str, ...] | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    structured: Literal["schema", "tool", "json", "prompt"] | None = None
    reasoning: Literal["effort", "budget", "adaptive", "level", "none"] | None = None
    efforts: tuple[str, ...] = ()
    sampling: bool | None = None
    stop: bool | None = None
    streaming: bool | None = None
    dimensions: int | None = None
    shortens: bool | None = None
    retires: date | None = None
    deprecated: bool = False
    successor: str | None = None
    current: bool = False
    weights: str | None = None
    backends: tuple[str, ...] = ()
    as_of: date
    source: tuple[str, ...] = ()
    blended: float | None = None

    @property
    def name(self) -> str:
        """`provider/model`."""
        return f"{self.provider}/{self.id}"

    def retired(self, day: date) -> bool:
        """Whether it was switched off by that day, as far as is known."""
        return self.retires is not None and self.retires <= day


_LISTS = ("aliases", "dialects", "input", "output", "efforts", "backends")


class Catalog:
    """The models, by provider and name.

    Args:
        data: The content of `catalog.json`.
    """

    def __init__(self, data: JSONObject) -> None:
        self.as_of = date.fromisoformat(cast("str", data["as_of"]))
        self.sources = tuple(cast("list[str]", data["sources"]))
        self._defaults = cast("dict[str, dict[str, str]]", data["defaults"])
        self._rows: dict[tuple[str, str], JSONObject] = {}
        self._made: dict[int, ModelFacts] = {}
        self._index: dict[tuple[str, str], JSONObject] = {}
        self._bare: dict[str, list[str]] = {}
        for row in cast("list[JSONObject]", data["models"]):
            provider, id_ = cast("str", row["provider"]), cast("str", row["id"])
            self._rows[provider, id_] = row
            for name in (id_, *cast("list[str]", row.get("aliases", ()))):
                self._index[provider, name.lower()] = row
                owners = self._bare.setdefault(name.lower(), [])
                if provider not in owners:
                    owners.append(provider)

    def __iter__(self) -> Iterator[ModelFacts]:
        """Every model, in the order of the data: by provider, newest and most capable first where that is known."""
        return map(self._facts, self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def models(self, provider: str | None = None, kind: Kind | None = None) -> list[ModelFacts]:
        """The models of a provider and a kind; all where not given."""
        provider = ALIASES.get(provider, provider) if provider else None
        wanted = (
            row
            for row in self._rows.values()
            if (provider is None or row["provider"] == provider) and (kind is None or row.get("kind", "chat") == kind)
        )
        return [self._facts(row) for row in wanted]

    def get(self, provider: str, model: str) -> ModelFacts | None:
        """The facts of a model under any of its names; an unknown snapshot has those of its model."""
        provider = ALIASES.get(provider, provider)
        for name in spellings(provider, model.lower()):
            row = self._index.get((provider, name))
            if row is not None:
                return self._facts(row)
        return None

    def owners(self, model: str) -> list[str]:
        """The providers that have a model of that very name, the vendors before those that serve open weights."""
        found = self._bare.get(model.lower(), [])
        return sorted(found, key=lambda name: PROVIDERS.index(name) if name in PROVIDERS else len(PROVIDERS))

    def names(self) -> list[str]:
        """Every name, as `provider/model`."""
        return [f"{provider}/{id_}" for provider, id_ in self._rows]

    def default(self, provider: str, kind: Kind = "chat") -> str | None:
        """The model to take when a provider is named and no model."""
        return self._defaults.get(ALIASES.get(provider, provider), {}).get(kind)

    def _facts(self, row: JSONObject) -> ModelFacts:
        made = self._made.get(id(row))
        if made is None:
            made = self._made[id(row)] = _facts(row, self.as_of, self.sources)
        return made


def _facts(row: JSONObject, as_of: date, sources: tuple[str, ...]) -> ModelFacts:
    values: dict[str, object] = dict(row)
    for name in _LISTS:
        if name in values:
            values[name] = tuple(cast("list[str]", values[name]))
    if "retires" in values:
        values["retires"] = date.fromisoformat(cast("str", values["retires"]))
    values["source"] = tuple(sources[index] for index in cast("list[int]", values.get("source", [])))
    return ModelFacts(as_of=as_of, **values)  # type: ignore[arg-type]  # our own data, checked by its tests


def spellings(provider: str, model: str) -> Iterator[str]:
    """The name itself, then the names under which the same model may stand in the catalog."""
    yield model
    if provider == "huggingface":
        yield model.partition(":")[0]
        return
    bare = model.removeprefix("models/").removeprefix("openai/" if provider == "openai" else "models/")
    if bare.startswith("ft:"):
        # ft:MODEL:ORGANISATION:NAME:ID
        bare = ":".join(bare.split(":")[:2])
    yield bare
    shorter = _SNAPSHOT.sub("", bare)
    while shorter != bare:
        yield shorter
        bare, shorter = shorter, _SNAPSHOT.sub("", shorter)


@cache
def catalog() -> Catalog:
    """The catalog; read at the first call, about 5 ms."""
    data = pkgutil.get_data("aistrale.providers", "catalog.json")
    if data is None:
        raise ConfigurationError("catalog.json is missing from the installation", hint="Install aistrale again.")
    return Catalog(cast("JSONObject", json.loads(data)))


def lookup(provider: str, model: str) -> ModelFacts | None:
    """The facts of a provider's model, None when the catalog does not know it."""
    return catalog().get(provider, model)


def default_model(provider: str, kind: Kind = "chat") -> str | None:
    """The model to take when only the provider is given, None when there is none."""
    return catalog().default(provider, kind)


def resolve(name: str, *, known: tuple[str, ...] = ()) -> tuple[str, str, ModelFacts | None]:
    """Find out which provider and model a name means.

    Args:
        name: `provider/model`; the model may hold slashes (`huggingface/meta-llama/Llama-3.3-70B-Instruct`)
            and need not be in the catalog. Or a name that the catalog knows: `gpt-5-mini`,
            `models/gemini-2.5-pro`. Where several providers have it, the one that made it comes first.
        known: Further providers' names, from the settings.

    Returns:
        Provider, model in the provider's words, and the facts or None.

    Raises:
        ConfigurationError: The name is empty, its provider or the bare name is unknown; close names are
            given.
    """
    text = name.strip()
    prefix, slash, rest = text.partition("/")
    prefix = prefix if prefix in known else ALIASES.get(prefix.lower(), prefix.lower())
    if slash and rest and (prefix in known or prefix in PROVIDERS):
        return prefix, rest, lookup(prefix, rest)
    owners = _owners(text)
    if owners:
        model = text.removeprefix("models/")
        return owners[0], model, lookup(owners[0], model)
    if slash and rest and is_provider(prefix):
        return prefix, rest, None
    raise _unknown(text, prefix if slash and rest else "", known)


def _owners(text: str) -> list[str]:
    every = catalog()
    found = every.owners(text)
    if found or not text:
        return found
    return [provider for provider in PROVIDERS if every.get(provider, text) is not None]


def _unknown(name: str, prefix: str, known: tuple[str, ...]) -> ConfigurationError:
    if not name:
        return ConfigurationError("model: the name is empty", field="model", hint="Write provider/model.")
    if prefix and not name.startswith("models/"):
        return unknown_provider(prefix, [*PROVIDERS, *known], field="model")
    from difflib import get_close_matches

    names = {each.partition("/")[2].lower(): each for each in catalog().names()}
    near = [names[match] for match in get_close_matches(name.lower(), names, n=3, cutoff=0.6)]
    meant = f"Did you mean {', '.join(near)}? " if near else ""
    return ConfigurationError(
        f"model: {name!r} is not in the catalog",
        field="model",
        hint=f"{meant}Write provider/model to use a model that the catalog does not know.",
    )


def equivalents(model: str) -> list[str]:
    """Comparable models at other providers, as `provider/model`, the most alike first.

    Alike are first servings of the same open weights, then each provider's current model that can do what
    this one can and costs most nearly the same.

    Args:
        model: A name that resolve() takes.

    Returns:
        At most one model per provider beyond the same weights; empty for a model that the catalog does not
        know.

    Raises:
        ConfigurationError: The name cannot be resolved.
    """
    facts = resolve(model)[2]
    if facts is None:
        return []
    others = [each for each in catalog() if each.provider != facts.provider and each.kind == facts.kind]
    same = [each for each in others if facts.weights is not None and each.weights == facts.weights]
    # Vectors of different models cannot be compared, hence no embedding model replaces another one.
    nearest = [] if facts.kind == "embedding" else _nearest(facts, [each for each in others if each.current])
    return list(dict.fromkeys(each.name for each in (*same, *nearest)))


def _nearest(facts: ModelFacts, candidates: list[ModelFacts]) -> list[ModelFacts]:
    best: dict[str, tuple[float, ModelFacts]] = {}
    for each in candidates:
        if facts.tools and not each.tools:
            continue
        distance = _distance(facts, each)
        if each.provider not in best or distance < best[each.provider][0]:
            best[each.provider] = (distance, each)
    return [each for _, each in sorted(best.values(), key=lambda item: item[0])]


def _distance(one: ModelFacts, other: ModelFacts) -> float:
    from math import log

    price = 9.0 if not one.blended or not other.blended else abs(log(one.blended / other.blended))
    blind = "image" in (one.input or ()) and "image" not in (other.input or ())
    return price + 2.0 * blind

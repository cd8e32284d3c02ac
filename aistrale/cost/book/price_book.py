"""The price book: what every model costs, when and under which conditions, with where each price was read.

The prices stand in `prices.json.gz` beside this file; `tools/refresh_prices.py` writes it from the sources that NOTICE
names. It is read at the first question, never at import, and nothing is fetched. `aistrale prices update` stores a
newer book in the data directory, which is then taken instead. What a bill was computed with is named by the book's
label, so that it can be computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from datetime import date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from aistrale.core.home import data_directory
from aistrale.cost.book.check import FORMAT
from aistrale.cost.book.names import model_names, provider_name
from aistrale.cost.book.rows import USUAL, BookModel, BookRow, Rates, Tier, periods_under, rows_of
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aistrale.cost.book.overrides import OwnPrice
    from aistrale.types import JSONObject

__all__ = ["BookModel", "BookRow", "PriceBook", "Rates", "Tier", "price_book"]

FILE_NAME = "prices.json.gz"
_SHIPPED = Path(__file__).with_name(FILE_NAME)
# Of the uncompressed data; the shipped book has a few hundred thousand bytes.
LARGEST = 16_000_000
_REMEMBERED = 4096
# Words behind a model by which Hugging Face's router is told how to choose a backend (Inference Providers
# documentation); none is one.
_POLICIES = frozenset({"auto", "fastest", "cheapest", "preferred"})
_logger = logging.getLogger("aistrale")


class PriceBook:
    """Prices by provider and model.

    Args:
        data: The content of a price book.
        digest: The first 12 hexadecimal digits of the SHA-256 of its bytes.
        own: Prices of one's own that are laid over it.

    Attributes:
        as_of: The day on which the prices were collected.
        digest: Names the content, own prices included.
        label: `as_of+digest`, with `+own` behind it when own prices are laid over the book.
        sources: Where the prices come from.
        data: What was read; not to be changed.
    """

    def __init__(self, data: JSONObject, digest: str, *, own: tuple[OwnPrice, ...] = ()) -> None:
        self.data = data
        self._own = own
        self.as_of = date.fromisoformat(cast("str", data["as_of"]))
        self.sources = tuple(cast("list[str]", data["sources"]))
        self.digest = digest
        self.label = f"{self.as_of}+{digest}{'+own' if own else ''}"
        self._models = cast("list[JSONObject]", data["models"])
        self._index: dict[tuple[str, str], JSONObject] = {}
        for model in self._models:
            provider = cast("str", model["provider"])
            for name in (cast("str", model["id"]), *cast("list[str]", model.get("aliases", ()))):
                self._index[provider, name.lower()] = model
        self._known: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[Rates, ...] | str] = {}

    def __repr__(self) -> str:
        return f"<PriceBook {self.label}>"

    def __len__(self) -> int:
        return len(self._models)

    @classmethod
    def load(cls, source: str | Path | bytes) -> PriceBook:
        """Read a book.

        Args:
            source: A file, or its content; compressed or not.

        Raises:
            ConfigurationError: It cannot be read, is damaged, or is no price book.
        """
        name = "the price book" if isinstance(source, bytes) else f"the price book {source}"
        try:
            packed = source if isinstance(source, bytes) else Path(source).read_bytes()
            content = unpacked(packed)
            data = json.loads(content)
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise _unreadable(name, "is in no format that this version knows")
            return cls(data, hashlib.sha256(content).hexdigest()[:12])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise _unreadable(name, f"cannot be read ({reason})") from error

    def rates(self, provider: str, model: str, conditions: Mapping[str, str]) -> tuple[Rates, ...] | str:
        """What a model costs.

        Args:
            provider: The provider's name.
            model: The model in the provider's words: an alias, a snapshot, a tuned model; at Hugging Face with the
                backend (`org/name:backend`). Other ways to write it are known too, see `aistrale.cost.book.names`.
            conditions: What changes the price, lower case: `service_tier`, `processing`, `speed`,
                `inference_provider` (Hugging Face's backend). Empty for the usual price.

        Returns:
            The rates, the newest first, or why there are none, one sentence.
        """
        return self.periods(provider, model, tuple(conditions.items()))

    def periods(self, provider: str, model: str, chosen: tuple[tuple[str, str], ...]) -> tuple[Rates, ...] | str:
        """As rates, for conditions as pairs; every call is priced by it, so what was asked before is remembered."""
        key = (provider, model, chosen)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._rates(provider_name(provider), model, dict(chosen))
        return found

    def _rates(self, provider: str, model: str, asked: Mapping[str, str]) -> tuple[Rates, ...] | str:
        conditions = {name: value for name, value in asked.items() if value not in USUAL.get(name, ())}
        names = model_names(provider, model)
        row = self._row(provider, names)
        backend = conditions.pop("inference_provider", "")
        if provider == "huggingface":
            backend = backend or model.partition(":")[2].lower()
        found = self._listed(provider, model, row, "" if backend in _POLICIES else backend, conditions)
        if self._own:
            found = self._own_laid_over(found, provider, names, row, backend, conditions)
        if isinstance(found, str) and provider == "gemini" and any("claude" in name for name in names):
            # Google sells them at Anthropic's prices, unless the book has its own.
            elsewhere = self._rates("anthropic", model, asked)
            return found if isinstance(elsewhere, str) else elsewhere
        return found

    def _row(self, provider: str, names: list[str]) -> JSONObject | None:
        return next((row for name in names if (row := self._index.get((provider, name))) is not None), None)

    def _own_laid_over(  # noqa: PLR0917 - what _rates knows of the model
        self,
        listed: tuple[Rates, ...] | str,
        provider: str,
        names: list[str],
        row: JSONObject | None,
        backend: str,
        conditions: dict[str, str],
    ) -> tuple[Rates, ...] | str:
        from aistrale.cost.book.overrides import lay_over

        if row is not None:
            names += [name.lower() for name in (row["id"], *cast("list[str]", row.get("aliases", ())))]  # type: ignore[union-attr]
        if backend:
            names += [f"{name.partition(':')[0]}:{backend}" for name in names]
        return lay_over(listed, [own for own in self._own if own.means(provider, names)], conditions)

    def _listed(
        self, provider: str, model: str, row: JSONObject | None, backend: str, conditions: dict[str, str]
    ) -> tuple[Rates, ...] | str:
        if row is None:
            return f"the price book has no {provider}/{model}"
        periods = cast("list[JSONObject] | None", row.get("periods"))
        if periods is None:
            if not backend:
                bare = model.partition(":")[0]
                return f"which backend served {provider}/{model} is not known; name it as {bare}:BACKEND"
            periods = cast("dict[str, list[JSONObject]]", row["backends"]).get(backend)
            if periods is None:
                return f"no price of {provider}/{model} at the backend {backend} is known"
        found = periods_under(periods, conditions)
        if not found:
            words = ", ".join(f"{name}={value}" for name, value in conditions.items())
            return f"no price of {provider}/{model}{f' with {words}' if words else ''} is known"
        return found

    def models(self, provider: str | None = None) -> Iterator[BookModel]:
        """Every model, or a provider's, as listed, without own prices; of a router one for each backend."""
        wanted = None if provider is None else provider_name(provider)
        for model in self._models:
            if wanted is None or model["provider"] == wanted:
                yield from self._made(model)

    def find(self, provider: str, model: str) -> list[BookModel]:
        """The rows of a model under any of its names; of a router one for each backend; empty when unknown."""
        provider = provider_name(provider)
        row = self._row(provider, model_names(provider, model))
        backend = model.partition(":")[2].lower() if provider == "huggingface" else ""
        return [] if row is None else [each for each in self._made(row) if not backend or each.backend == backend]

    def _made(self, model: JSONObject) -> Iterator[BookModel]:
        backends = cast("dict[str | None, list[JSONObject]]", model.get("backends") or {None: model.get("periods", [])})
        for backend, periods in backends.items():
            yield BookModel(
                provider=cast("str", model["provider"]),
                id=cast("str", model["id"]),
                backend=backend,
                aliases=tuple(cast("list[str]", model.get("aliases", ()))),
                rows=rows_of(periods, self.sources),
            )

    def with_prices(self, own: Sequence[OwnPrice]) -> PriceBook:
        """The same book with prices of one's own laid over it; they come after those already there."""
        if not own:
            return self
        from aistrale.cost.book.overrides import canonical

        every = (*self._own, *own)
        digest = hashlib.sha256(self.digest.encode() + canonical(own)).hexdigest()[:12]
        return PriceBook(self.data, digest, own=every)


def unpacked(packed: bytes) -> bytes:
    """Uncompress a book, not beyond LARGEST; what is not compressed stays as it is.

    Raises:
        ValueError: It is too large, or ends too early.
        zlib.error: It is damaged.
    """
    if packed[:2] != b"\x1f\x8b":
        content, ended = packed, True
    else:
        # Reads the gzip trailer too, and checks its sum.
        reader = zlib.decompressobj(wbits=31)
        content = reader.decompress(packed, LARGEST + 1)
        ended = reader.eof
    if len(content) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    if not ended:
        raise ValueError("it ends too early")
    return content


def _unreadable(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} {what}.", hint="`aistrale prices update --undo` goes back to the book that came with aistrale."
    )


def stored_path() -> Path | None:
    """Where `aistrale prices update` stores a book; None where an account has no home directory."""
    directory = data_directory()
    return None if directory is None else directory / FILE_NAME


def shipped_book() -> PriceBook:
    """The book that came with this version."""
    return PriceBook.load(_SHIPPED)


_lock = Lock()
_books: dict[str, PriceBook] = {}


def _renew_lock() -> None:
    # Another thread of the parent may have been reading the book when the process forked.
    global _lock  # noqa: PLW0603 - a lock belongs to the process
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def price_book() -> PriceBook:
    """The book that calls are priced with: the stored one, or the shipped one where that is newer.

    Read once per process, in a few milliseconds. A stored book that cannot be read is logged and left alone.
    """
    found = _books.get("current")
    if found is None:
        with _lock:
            found = _books.get("current")
            if found is None:
                found = _books["current"] = _current()
    return found


def forget() -> None:
    """Read the book again at the next question; for tests, and after an update in the same process."""
    _books.clear()


def _current() -> PriceBook:
    shipped = shipped_book()
    path = stored_path()
    # `isfile` is false where one may not look.
    if path is None or not os.path.isfile(path):  # noqa: PTH113
        return shipped
    try:
        stored = PriceBook.load(path)
    except ConfigurationError as error:
        _logger.warning("%s Prices are those of %s.", error, shipped.as_of)
        return shipped
    return stored if stored.as_of >= shipped.as_of else shipped

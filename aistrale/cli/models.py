"""`aistrale models`: which models the catalog knows, what they can do, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import click

from aistrale.cli import _screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.providers.catalog import ModelFacts
    from aistrale.types import JSONObject

# Few enough to stay below the prompt sizes from which on some models charge more.
_SAMPLE = 1000
_MILLION = 1_000_000
_KINDS = ("chat", "embedding", "completion", "image", "audio", "realtime")
_RIGHT = ("context", "out", "$ in", "$ out")
# Left out where a terminal is too narrow for them.
_ABILITIES = ("takes", "tools", "schema", "thinks")


@click.command("models", short_help="What can be asked, and for how much.")
@click.option("-p", "--provider", help="Only this provider's.")
@click.option("--search", metavar="WORDS", help="Only those whose names hold all of these words.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only those that do this.")
@click.option("--current", is_flag=True, help="Only what the providers offer for general use today.")
@click.option("--all", "everything", is_flag=True, help="Also those that were switched off.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *, provider: str | None, search: str | None, kind: str | None, current: bool, everything: bool, as_json: bool
) -> None:
    """List the models of the catalog: context and longest answer in tokens, US dollars per million tokens.

    The catalog comes with aistrale; nothing is fetched. A model that it does not know can be asked all the same, as
    provider/model.
    """
    from aistrale.providers import ALIASES, get_provider
    from aistrale.providers.catalog import catalog

    # Asked for by its name, so that a wrong one is an error and not an empty list.
    name = None if provider is None else get_provider(ALIASES.get(provider, provider)).name
    today = datetime.now(UTC).date()
    words = (search or "").lower().split()
    found = [
        facts
        for facts in catalog()
        if (name is None or facts.provider == name)
        and (kind is None or facts.kind == kind)
        and (facts.current or not current)
        and (everything or not facts.retired(today))
        and all(word in _haystack(facts) for word in words)
    ]
    as_of = catalog().as_of.isoformat()
    book = _book()
    if as_json:
        document: JSONObject = {"as_of": as_of, "book": book.label}
        document["models"] = [as_document(facts, book) for facts in found]
        _screen.document(document)
        return
    if found:
        header = ["model", *_RIGHT[:2], *_ABILITIES, *_RIGHT[2:], "retires"]
        shown = [name for name in header if not (_screen.is_narrow() and name in _ABILITIES)]
        rows = [dict(zip(header, _cells(facts, book), strict=True)) for facts in found]
        _screen.table(shown, [[row[name] for name in shown] for row in rows], right=_RIGHT)
    _screen.note(f"{len(found)} models; US dollars per million tokens; facts of {as_of}")
    _screen.note(f"price book {book.label}")


def _book() -> PriceBook:
    """The prices that calls are priced with: the user's own are laid over the book."""
    from aistrale.config import load
    from aistrale.cost.book.price_book import price_book

    own = load({}).prices
    return price_book().with_prices(own) if own else price_book()


def _haystack(facts: ModelFacts) -> str:
    return " ".join((facts.name, facts.family, *facts.aliases)).lower()


def per_million(
    facts: ModelFacts, bucket: str, backend: str | None = None, book: PriceBook | None = None
) -> Decimal | None:
    """US dollars for a million tokens of a bucket in an exchange of usual size; None when not known.

    Args:
        facts: The model.
        bucket: "input" or "output".
        backend: Of a router: who serves it.
        book: Whose prices; those of `aistrale.cost.book.price_book.price_book` where None.
    """
    from aistrale.cost.prices import price_usage
    from aistrale.types import Usage

    usage = Usage(input=_SAMPLE) if bucket == "input" else Usage(output=_SAMPLE)
    model = facts.id if backend is None else f"{facts.id}:{backend}"
    usd = price_usage(facts.provider, model, usage, book=book).usd
    return None if usd is None else (usd * (_MILLION // _SAMPLE)).normalize()


def _range(facts: ModelFacts, bucket: str, book: PriceBook) -> str:
    """The price; of a router the lowest and the highest of its backends."""
    asked = facts.backends or (None,)
    known = [usd for backend in asked if (usd := per_million(facts, bucket, backend, book)) is not None]
    if not known:
        return "unknown"
    low, high = min(known), max(known)
    return f"{low:f}" if low == high else f"{low:f}-{high:f}"


def _cells(facts: ModelFacts, book: PriceBook) -> list[str]:
    return [
        facts.name,
        _size(facts.context),
        _size(facts.max_output),
        _kinds(facts.input),
        {True: "yes", False: "no", None: "?"}[facts.tools],
        facts.structured or "?",
        facts.reasoning or "?",
        _range(facts, "input", book),
        "-" if facts.kind == "embedding" else _range(facts, "output", book),
        facts.retires.isoformat() if facts.retires else "deprecated" if facts.deprecated else "-",
    ]


@cache
def _kinds(names: Sequence[str] | None) -> str:
    """What a model takes besides text, in few letters."""
    return "?" if names is None else ",".join(names)


def _size(tokens: int | None) -> str:
    """Tokens in few characters."""
    if tokens is None:
        return "?"
    if tokens >= _MILLION:
        return f"{tokens / _MILLION:.3g}M"
    return f"{round(tokens / _SAMPLE)}K" if tokens >= _SAMPLE else str(tokens)


def as_document(facts: ModelFacts, book: PriceBook | None = None) -> JSONObject:
    """A model as `--json` prints it: None is unknown; prices in US dollars per million tokens, as text."""
    backends: JSONObject = {backend: _prices(facts, backend, book) for backend in facts.backends}
    return {
        "name": facts.name,
        "provider": facts.provider,
        "id": facts.id,
        "aliases": [*facts.aliases],
        "kind": facts.kind,
        "family": facts.family,
        "context": facts.context,
        "max_input": facts.max_input,
        "max_output": facts.max_output,
        "input": None if facts.input is None else [*facts.input],
        "output": None if facts.output is None else [*facts.output],
        "tools": facts.tools,
        "parallel_tools": facts.parallel_tools,
        "structured": facts.structured,
        "reasoning": facts.reasoning,
        "efforts": [*facts.efforts],
        "dimensions": facts.dimensions,
        "price": _prices(facts, None, book),
        "backends": backends,
        "retires": None if facts.retires is None else facts.retires.isoformat(),
        "deprecated": facts.deprecated,
        "successor": facts.successor,
        "current": facts.current,
    }


def _prices(facts: ModelFacts, backend: str | None, book: PriceBook | None) -> JSONObject:
    known = {bucket: per_million(facts, bucket, backend, book) for bucket in ("input", "output")}
    return {bucket: None if usd is None else f"{usd:f}" for bucket, usd in known.items()}

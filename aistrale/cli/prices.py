"""`aistrale prices`: what models cost, what changed, and a newer price book on request."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from aistrale.cli import _screen
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.cost.book.changes import Change
    from aistrale.cost.book.overrides import OwnPrice
    from aistrale.cost.book.price_book import BookModel, BookRow, PriceBook, Rates
    from aistrale.types import JSONObject

_SHOWN_CHANGES = 40
# What is not charged per token, and what one of it is.
_NOTES = {
    "web_search": "US dollars per 1,000 searches",
    "file_search": "US dollars per 1,000 searches of files",
    "maps_grounding": "US dollars per 1,000 prompts grounded on maps",
    "audio_hours": "US dollars per hour of audio",
    "audio_min_seconds": "seconds are charged at least",
    "request": "US dollars per request",
    "geo_us": "times everything, where inference stays in the US",
    "residency": "times everything, with data residency",
}


@click.group("prices", short_help="What models cost, and what changed.")
def command() -> None:
    """Show the price book, compare it, and take a newer one.

    The book comes with aistrale; nothing is fetched but by `update`.
    """


def _day(_ctx: click.Context, _param: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no day; write 2026-11-27") from None


@command.command("show", short_help="What a model costs, and where that was read.")
@click.argument("model")
@click.option("--at", "day", callback=_day, metavar="DATE", help="Prices of another day, past or to come.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(*, model: str, day: date | None, as_json: bool) -> None:
    """Show what MODEL costs: US dollars per million tokens, and where the price was read.

    MODEL is provider/model or a bare name; at Hugging Face with the backend, provider/org/model:backend, or without
    it for all of them. Prices of your own, from the settings, are laid over.
    """
    from aistrale.cost.book.price_book import price_book

    book = price_book().with_prices(_own())
    provider, name = _find(book, model)
    at = day or datetime.now(UTC).date()
    found = book.find(provider, name)
    if as_json:
        _screen.document(_document(book, provider, name, found, at))
        return
    backends: Sequence[str | None] = [each.backend for each in found] or [None]
    for index, backend in enumerate(backends):
        if index:
            _screen.say()
        _show(
            book,
            provider,
            name if backend is None else f"{name.partition(':')[0]}:{backend}",
            found[index : index + 1],
            at,
        )
    _screen.note(f"US dollars per million tokens on {at}; price book {book.label}")


def _own() -> Sequence[OwnPrice]:
    """The prices of the settings."""
    from aistrale.config import load
    from aistrale.cost.book.overrides import own_prices

    return own_prices(getattr(load({}), "prices", None))


def _find(book: PriceBook, model: str) -> tuple[str, str]:
    """The provider and the name that a word means, in the catalog or in the book."""
    from aistrale.providers import ALIASES, PROVIDERS
    from aistrale.providers.catalog import resolve

    provider, slash, rest = model.strip().partition("/")
    provider = ALIASES.get(provider.lower(), provider.lower())
    if not (slash and rest and provider in PROVIDERS):
        # Names that the catalog does not have, such as those of models that make images.
        owners = [each for each in PROVIDERS if book.find(each, model.strip())]
        provider, rest = (owners[0], model.strip()) if owners else resolve(model)[:2]
    # Of a router's model without its backend there are the backends' prices, but not one of its own.
    if not book.find(provider, rest) and isinstance(reason := book.rates(provider, rest, {}), str):
        raise ConfigurationError(reason, field="model", hint="Give it a price in the setting `prices`.")
    return provider, rest


def _show(book: PriceBook, provider: str, name: str, models: Sequence[BookModel], at: date) -> None:
    _screen.heading(f"{provider}/{name}")
    lines = _lines(book, provider, name, models, at)
    units = list(dict.fromkeys(unit for _, rates in lines for unit in rates if unit not in _NOTES))
    if units:
        order = sorted(units, key=_place)
        cells = [[words, *(_plain(rates.get(unit)) for unit in order)] for words, rates in lines]
        _screen.table(["", *order], cells, right=order)
    else:
        _screen.say("no price per token is known")
    usual = lines[0][1] if lines else {}
    for unit, words in _NOTES.items():
        if unit in usual:
            _screen.say(f"{unit}: {_plain(usual[unit])} {words}")
    for row in (row for model in models for row in model.rows if not row.when):
        also = f"; {', '.join(row.agree)} agree" if row.agree else ""
        _screen.note(f"{_span(row)}: {row.source}, checked {row.checked_on}{also}")


def _place(unit: str) -> int:
    from aistrale.cost.book.rows import PER_MILLION

    return PER_MILLION.index(unit) if unit in PER_MILLION else len(PER_MILLION)


def _lines(
    book: PriceBook, provider: str, name: str, models: Sequence[BookModel], at: date
) -> list[tuple[str, dict[str, Decimal]]]:
    """Conditions in words, with the rates that hold under them on a day."""
    found: list[tuple[str, dict[str, Decimal]]] = []
    seen: list[dict[str, str]] = [{}]
    seen += [dict(row.when) for model in models for row in model.rows if row.when]
    for when in (dict(words) for words in dict.fromkeys(tuple(sorted(each.items())) for each in seen)):
        rates = _on(book.rates(provider, name, when), at)
        if rates is None:
            continue
        words = " ".join(when.values()) or "usual"
        found.append((words, dict(rates.rates)))
        found += [(f"{words}, over {tier.above:,} tokens", dict(tier.rates)) for tier in reversed(rates.tiers)]
    return found


def _on(found: tuple[Rates, ...] | str, at: date) -> Rates | None:
    from aistrale.cost.book.rows import EPOCH

    if isinstance(found, str):
        return None
    number = at.toordinal() - EPOCH
    now = next((each for each in found if each.start <= number), None)
    return now if now is not None and now.rates else None


def _span(row: BookRow) -> str:
    if row.start is None and row.end is None:
        return "always"
    first = "" if row.start is None else f"since {row.start}"
    return f"{first} until {row.end}".strip() if row.end else first


def _plain(value: Decimal | None) -> str:
    # Without trailing zeros, which a discount leaves behind.
    return "-" if value is None else f"{value.normalize():f}"


def _document(book: PriceBook, provider: str, name: str, models: Sequence[BookModel], at: date) -> JSONObject:
    def rows(model: BookModel | None) -> list[JSONObject]:
        asked = name if model is None or model.backend is None else f"{name.partition(':')[0]}:{model.backend}"
        chosen = [] if model is None else [model]
        return [
            {"when": words, **{unit: _plain(rate) for unit, rate in rates.items()}}
            for words, rates in _lines(book, provider, asked, chosen, at)
        ]

    listed: list[BookModel | None] = [*models] or [None]
    return {
        "book": book.label,
        "model": f"{provider}/{name}",
        "at": at.isoformat(),
        "prices": [
            {
                "backend": None if model is None else model.backend,
                "rates": [*rows(model)],
                "history": [] if model is None else [_history(row) for row in model.rows],
            }
            for model in listed
        ],
    }


def _history(row: BookRow) -> JSONObject:
    return {
        "from": None if row.start is None else row.start.isoformat(),
        "to": None if row.end is None else row.end.isoformat(),
        "when": {**row.when},
        "rates": {unit: f"{rate:f}" for unit, rate in row.rates.items()},
        "above": [
            {"tokens": tier.above, "rates": {unit: f"{rate:f}" for unit, rate in tier.rates.items()}}
            for tier in row.tiers
        ],
        "source": row.source,
        "checked_on": row.checked_on.isoformat(),
        "agree": [*row.agree],
    }


@command.command("diff", short_help="What another price book says otherwise.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False), required=False)
@click.option("--at", "day", callback=_day, metavar="DATE", help="Compare the prices of another day.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def diff(*, file: str | None, day: date | None, as_json: bool) -> None:
    """Show what changed between the book that came with aistrale and the stored one, or FILE.

    FILE is a price book, or the data that genai-prices publishes.
    """
    from aistrale.cost.book.changes import changes
    from aistrale.cost.book.price_book import PriceBook, shipped_book, stored_path

    today = datetime.now(UTC).date()
    old = shipped_book()
    path = stored_path()
    if file is not None:
        new = _read(_file(file), old, today)[0]
    elif path is not None and path.is_file():
        new = PriceBook.load(path)
    else:
        raise ConfigurationError("no other price book is stored.", hint="Name a FILE, or run `aistrale prices update`.")
    _report(old, new, list(changes(old, new, day or today)), as_json=as_json)


@command.command("update", short_help="Take a newer price book; the one command that fetches.")
@click.option("--from", "source", metavar="FILE|URL", help="Where it is; by default what genai-prices publishes.")
@click.option("--force", is_flag=True, help="Also where a price moves more than tenfold.")
@click.option("--undo", is_flag=True, help="Go back to the book that came with aistrale.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def update(*, source: str | None, force: bool, undo: bool, as_json: bool) -> None:
    """Take a newer price book, and say what changed.

    Everything in it is checked first. It is stored in the data directory (AISTRALE_HOME) and holds for every later
    process until a version of aistrale brings a newer one.
    """
    from aistrale.cost.book import update as book_update
    from aistrale.cost.book.changes import changes, large
    from aistrale.cost.book.price_book import forget, shipped_book

    if undo:
        if source is not None:
            raise click.UsageError("--undo takes no --from")
        removed = book_update.remove()
        forget()
        label = shipped_book().label
        if as_json:
            _screen.document({"removed": removed, "book": label})
        else:
            _screen.say(f"{'removed; ' if removed else 'nothing was stored; '}prices are those of {label}")
        return
    today = datetime.now(UTC).date()
    shipped = shipped_book()
    old = _present(shipped)
    new, kept = _read(_fetched(source), old, today)
    if new.as_of < shipped.as_of:
        hint = "It would never be used: the newer book is."
        raise ConfigurationError(
            f"that book, of {new.as_of}, is older than the one that came with aistrale.", hint=hint
        )
    found = list(changes(old, new, today))
    moved = large(found)
    if moved and not force:
        shown = "; ".join(_words(each) for each in moved[:3])
        hint = "Look with `aistrale prices diff FILE`; take it with --force if it is true."
        raise ConfigurationError(f"{len(moved)} prices move more than tenfold ({shown}).", hint=hint)
    path = book_update.store(new)
    forget()
    _report(old, new, found, as_json=as_json)
    for name in kept:
        _screen.note(f"{name}: the correction of the shipped book was kept against it")
    _screen.note(f"stored as {path}; `aistrale prices update --undo` removes it")


def _present(shipped: PriceBook) -> PriceBook:
    """What the update is compared with: the stored book, where it can be read."""
    from aistrale.cost.book.price_book import price_book

    current = price_book()
    return current if current.as_of >= shipped.as_of else shipped


def _read(content: bytes, old: PriceBook, today: date) -> tuple[PriceBook, list[str]]:
    from aistrale.cost.book.update import read_update

    return read_update(content, old, today)


def _file(name: str) -> bytes:
    from pathlib import Path

    from aistrale.cost.book.price_book import LARGEST

    try:
        with Path(name).expanduser().open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read ({error.strerror or type(error).__name__}).") from None
    if len(content) > LARGEST:
        raise ConfigurationError(f"{name} is larger than {LARGEST} bytes.")
    return content


def _fetched(source: str | None) -> bytes:
    from aistrale.cost.book.genai import URL

    place = URL if source is None else source.strip()
    if "://" not in place:
        return _file(place)
    from aistrale.cli._fetch import fetch

    return fetch(place)


def _report(old: PriceBook, new: PriceBook, found: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        _screen.document({"from": old.label, "to": new.label, "changes": [_change(each) for each in found]})
        return
    for each in found[:_SHOWN_CHANGES]:
        _screen.say(_screen.one_line(_words(each)))
    if len(found) > _SHOWN_CHANGES:
        _screen.say(f"... and {len(found) - _SHOWN_CHANGES} more; --json has them all")
    _screen.note(f"{len(found)} differences between {old.label} and {new.label}")


def _words(change: Change) -> str:
    what = f"{change.model}{f' ({change.when})' if change.when else ''}"
    if change.unit is None:
        return f"{what}: {'new' if change.before is None else 'not listed any more'}"
    long = f" over {change.above:,} tokens" if change.above is not None else ""
    return f"{what}: {change.unit}{long} {_plain(change.before)} -> {_plain(change.after)}"


def _change(change: Change) -> JSONObject:
    whole = change.unit is None
    return {
        "model": change.model,
        "when": change.when,
        "unit": change.unit,
        "above": change.above,
        "before": None if whole or change.before is None else _plain(change.before),
        "after": None if whole or change.after is None else _plain(change.after),
        "change": "added" if change.before is None else "removed" if change.after is None else "changed",
    }

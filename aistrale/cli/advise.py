"""`aistrale advise`: what could be changed to pay less, from the ledger; and a prompt without what nobody needs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aistrale.cli import _screen
from aistrale.cli.cost import moment
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.cost.advice.advise import Advice
    from aistrale.store.protocol import Exchange
    from aistrale.types import JSONObject

STDIN: Final = "-"
_PERIOD: Final = "30d"
# A longer text is no prompt that any model takes.
_LONGEST: Final = 16 * 1024 * 1024
_NOTHING: Final = "nothing to advise: no saving above the threshold with enough evidence in {calls} since {since}"


def _since(_ctx: click.Context, _param: click.Parameter, value: str) -> datetime:
    found = moment(value)
    if found >= datetime.now(UTC) - timedelta(seconds=1):
        raise click.BadParameter(f"{value!r} is not in the past")
    return found


@click.command("advise", short_help="What could be changed to pay less, from the ledger.")
@click.option(
    "--since",
    callback=_since,
    default=_PERIOD,
    show_default=True,
    metavar="30d|DATE",
    help="Look at what began since: 12h, 30d, 4w, or a day.",
)
@click.option(
    "--least",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="USD",
    help="Leave out what saves less in 30 days.",
)
@click.option(
    "--prompt", metavar="FILE", help="Show instead what a prompt can do without, as a diff; - reads standard input."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, since: datetime, least: float, prompt: str | None, as_json: bool) -> None:
    """Show what could be changed to pay less, each with its evidence and what it would save in 30 days.

    The ledger holds sizes, times and costs and no content, so advice says what it cannot know. Nothing is changed.
    """
    if prompt is not None:
        _shorten(prompt, as_json=as_json)
        return
    from aistrale.config import load
    from aistrale.cost.advice.advise import advise, total
    from aistrale.cost.book.price_book import price_book
    from aistrale.store import open_ledger

    settings = load({})
    ledger = open_ledger(settings.ledger)
    if ledger.status().mode == "off":
        raise ConfigurationError(
            "the ledger is off, nothing is recorded", field="ledger", hint="Take ledger = 'off' out of the settings."
        )
    book = price_book().with_prices(settings.prices) if settings.prices else price_book()
    now = datetime.now(UTC)
    count = 0

    def counted() -> Iterator[Exchange]:
        nonlocal count
        for exchange in ledger.exchanges(since=since):
            count += 1
            yield exchange

    try:
        found = advise(counted(), book, now=now, days=(now - since).total_seconds() / 86_400, least=least)
    finally:
        ledger.close()
    if as_json:
        low, high, overlapping = total(found)
        _screen.document(
            {
                "since": since.isoformat(),
                "exchanges": count,
                "book": book.label,
                "advice": [as_document(each) for each in found],
                "total": {"low": f"{low:f}", "high": f"{high:f}", "overlapping": overlapping},
            }
        )
    else:
        _show(found, count, since)


def as_document(advice: Advice) -> JSONObject:
    """A piece of advice as `--json` prints it: US dollars in 30 days as text."""
    return {
        "rule": advice.rule,
        "title": advice.title,
        "action": advice.action,
        "provider": advice.provider,
        "model": advice.model,
        "route": advice.route,
        "name": advice.name,
        "evidence": dict(advice.evidence),
        "days": advice.days,
        "saving": f"{advice.saving:f}",
        "low": f"{advice.low:f}",
        "high": f"{advice.high:f}",
        "how": advice.how,
        "confidence": advice.confidence,
        "caveats": list(advice.caveats),
    }


def _show(found: Sequence[Advice], count: int, since: datetime) -> None:
    from aistrale.cost.advice.advise import total

    if not found:
        _screen.note(_NOTHING.format(calls=f"{count:,} attempts", since=f"{since:%Y-%m-%d %H:%M} UTC"))
        return
    for number, each in enumerate(found, 1):
        if number > 1:
            _screen.say()
        _screen.heading(f"{number}. {_screen.one_line(each.title)}")
        where = [f"{each.provider}/{each.model}"]
        where += [f"route {each.route}"] if each.route else []
        where += [f"name {each.name}"] if each.name else []
        _line("where", ", ".join(where))
        _line("do", each.action)
        _line("saves", _amount(each))
        _line("how", each.how)
        _line("seen", f"{_evidence(each)}; over {each.days:.1f} days")
        for caveat in each.caveats:
            _line("but", caveat)
    low, high, overlapping = total(found)
    _screen.note(
        f"together ${low} to ${high} in 30 days"
        + (", less than the sum: some of it concerns the same calls" if overlapping else "")
    )


def _line(label: str, text: str) -> None:
    _screen.say(f"   {label:<6} {_screen.one_line(text)}")


def _amount(advice: Advice) -> str:
    if not advice.high:
        return "nothing directly"
    return f"about ${advice.saving} in 30 days (${advice.low} to ${advice.high}; confidence: {advice.confidence})"


def _evidence(advice: Advice) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_seen(name, value)}" for name, value in advice.evidence.items())


def _seen(name: str, value: str | float) -> str:
    # What a cost is in stands nowhere else: evidence are plain numbers.
    dollars = "$" if name.partition("_")[0] == "cost" else ""
    return f"{dollars}{value:,}" if isinstance(value, (int, float)) else f"{dollars}{value}"


# --- a prompt --------------------------------------------------------------------------------------------------------


def _shorten(name: str, *, as_json: bool) -> None:
    from aistrale.cost.optimization.compact import compact
    from aistrale.cost.tokens.by_length import estimate_tokens

    text = _read(name)
    found = compact(text)
    before = estimate_tokens(text)
    if as_json:
        _screen.document(
            {
                "text": found.text,
                "tokens_before": before,
                "tokens_saved": found.saved_tokens,
                "edits": [{"at": edit.at, "rule": edit.rule, "old": edit.old, "new": edit.new} for edit in found.edits],
            }
        )
        return
    if not found.edits:
        _screen.note(f"nothing to leave out: about {before:,} tokens")
        return
    _screen.write(f"{found.diff('standard input' if name == STDIN else name)}\n")
    rules = ", ".join(dict.fromkeys(edit.rule for edit in found.edits))
    _screen.note(f"about {found.saved_tokens:,} of {before:,} tokens can be left out ({rules})")


def _read(name: str) -> str:
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"--prompt: {name} cannot be read ({reason})", field="prompt") from None
    if len(data) > _LONGEST:
        raise ConfigurationError(f"--prompt: {name} has more than {_LONGEST // 2**20} MiB", field="prompt")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"--prompt: {name} is not UTF-8 text", field="prompt") from None

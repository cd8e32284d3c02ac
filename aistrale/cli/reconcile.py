"""`aistrale reconcile`: a provider's invoice or usage export beside the ledger."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aistrale.cli import _reports
from aistrale.cli.cost import conditions, reading
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from aistrale.cost.invoices.cells import DayOrder, DecimalMark

DIFFERS = 1
_STDIN = "-"


def _decimal(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise click.BadParameter(f"{value!r} is no amount of US dollars; write 0.01 or 5")
    return number


def _rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise click.BadParameter(f"{value!r} is no rate; write what one US dollar is in the file's currency, as 0.86")
    return number


def _provider(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    from aistrale.config import load
    from aistrale.providers import ALIASES, PROVIDERS

    if value is None:
        return None
    name = ALIASES.get(value, value)
    known = tuple(dict.fromkeys((*PROVIDERS, *load({}).providers)))
    # Asked about a name that nobody has, the ledger would have nothing, and every line would differ.
    if name not in known:
        raise click.BadParameter(f"{value!r} is no provider; known are {', '.join(known)}")
    return name


def _format(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    from aistrale.cost.invoices.layouts import FORMATS

    if value is None or value in FORMATS:
        return value
    raise click.BadParameter(f"{value!r} is no format; use one of {', '.join(FORMATS)}")


@click.command("reconcile", short_help="A provider's invoice beside the ledger.")
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "form",
    callback=_format,
    metavar="FORMAT",
    help="openai, openai-usage, anthropic, anthropic-usage, google, focus, groq, generic; found out by default.",
)
@click.option("--provider", callback=_provider, help="Whose file it is, where it does not tell.")
@click.option("--date", metavar="COLUMN", help="The column of the day.")
@click.option("--model", metavar="COLUMN", help="The column of the model.")
@click.option("--amount", metavar="COLUMN", help="The column of the money.")
@click.option(
    "--decimal", "mark", type=click.Choice([".", ","]), help="What stands before fractions; found out by default."
)
@click.option("--day-order", type=click.Choice(["dmy", "mdy"]), help="Of dates like 03/04/2026.")
@click.option(
    "--rate", callback=_rate, metavar="NUMBER", help="Where amounts are not in US dollars: how much one US dollar is."
)
@click.option("--zone", metavar="NAME", help="Whose days they are: UTC, America/Los_Angeles, ...")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100, max_open=True),
    default=1.0,
    show_default=True,
    metavar="%",
    help="Of an amount of the file: how much ours may differ from it.",
)
@click.option(
    "--least",
    callback=_decimal,
    default="0.01",
    show_default=True,
    metavar="USD",
    help="How much ours may differ whatever the amount.",
)
@click.option("--where", multiple=True, callback=conditions, metavar="KEY=VALUE", help="Only this part of the ledger.")
@click.option("--all", "everything", is_flag=True, help="Show lines that agree, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the lines as CSV.")
def command(
    *,
    file: str,
    form: str | None,
    provider: str | None,
    date: str | None,
    model: str | None,
    amount: str | None,
    mark: DecimalMark | None,
    day_order: DayOrder | None,
    rate: Decimal | None,
    zone: str | None,
    tolerance: float,
    least: Decimal,
    where: dict[str, str | None],
    everything: bool,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Compare a provider's invoice or usage export (CSV) with the ledger, by day and model.

    Shows what differs and the likely reasons. Exit code: 0 when all agrees within the tolerance, 1 when something
    differs, 2 for a file that cannot be read. FILE is - for standard input.
    """
    from aistrale.cost.invoices.invoice import Reading, read_invoice
    from aistrale.cost.invoices.reconcile import reconcile

    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot both be printed")
    how = Reading(
        format=form, provider=provider, date=date, model=model, amount=amount, decimal=mark, day_order=day_order,
        rate=rate, zone=zone,
    )  # fmt: skip
    invoice = read_invoice(_read(file), how)
    with reading() as ledger:
        found = reconcile(ledger, invoice, tolerance=tolerance / 100, least=least, where=where)
    shape = "json" if as_json else "csv" if as_csv else "table"
    _reports.show_reconciliation(found, shape, everything=everything)
    return 0 if found.agrees else DIFFERS


def _read(name: str) -> bytes:
    from aistrale.cost.invoices.table import LARGEST

    try:
        if name == _STDIN:
            return sys.stdin.buffer.read(LARGEST + 1)
        with Path(name).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{name} cannot be read ({reason})", field="FILE") from None

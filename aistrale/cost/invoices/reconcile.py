"""Our ledger against a provider's invoice: by day and model, with the likely reasons of what differs.

What the ledger has no price for is left out of our side and said to be so; it is never taken for zero.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

from aistrale.cost.invoices.cells import Span
from aistrale.cost.invoices.invoice import Invoice, zone_named
from aistrale.cost.invoices.models import Within, article, model_key
from aistrale.cost.invoices.reasons import Side, explain
from aistrale.cost.report import plain_cell
from aistrale.cost.saved import amount
from aistrale.errors import ConfigurationError
from aistrale.providers import ALIASES
from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.cost.invoices.invoice import Charge
    from aistrale.store.protocol import LedgerQueries
    from aistrale.types import JSONObject

TOLERANCE: Final = 0.01
"""How much of the provider's amount a difference may be, by default."""

LEAST: Final = Decimal("0.01")
"""US dollars that a difference may always be, by default."""

_LONGEST: Final = 366 * 5


@dataclass(slots=True, kw_only=True)
class Line:
    """A day (or month, or period) and a model on both sides.

    Args:
        first: The first day.
        last: The last day.
        model: As the ledger or else the invoice names it; None for all models, where the invoice names none.
        ours: US dollars by the ledger, without attempts of unknown price.
        theirs: US dollars by the invoice.
        attempts: Ours.
        unpriced: How many of them have no known price.
        within: Whether the difference is within the tolerance.
        reasons: What is likely behind a difference, a sentence each.
    """

    first: date
    last: date
    model: str | None
    ours: Decimal
    theirs: Decimal
    attempts: int = 0
    unpriced: int = 0
    within: bool = True
    reasons: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal:
        """US dollars that the provider charges more than the ledger says."""
        return EXACT.subtract(self.theirs, self.ours)


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """An invoice beside the ledger.

    Args:
        format: Of the file.
        provider: Whose it is; None for several.
        first: The first day.
        last: The last day.
        zone: Whose days.
        lines: By day, then the largest difference first.
        ours: US dollars by the ledger.
        theirs: US dollars by the invoice: use and tools, before credits and tax.
        unpriced: Our attempts of unknown price.
        within: Whether the two totals agree within the tolerance.
        tools: US dollars that the invoice charges for tools apart from models.
        unnamed: US dollars of use of which the invoice names no model, while it names others.
        credits: US dollars given back, negative.
        tax: US dollars of tax.
        adjustments: US dollars of rounding and corrections.
        others: Lines about other services, and their US dollars.
        notes: What had to be assumed, a sentence each.
    """

    format: str
    provider: str | None
    first: date
    last: date
    zone: str
    lines: list[Line]
    ours: Decimal
    theirs: Decimal
    unpriced: int = 0
    within: bool = True
    tools: Decimal = Decimal(0)
    unnamed: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    adjustments: Decimal = Decimal(0)
    others: tuple[int, Decimal] = (0, Decimal(0))
    notes: list[str] = field(default_factory=list)

    @property
    def difference(self) -> Decimal:
        """US dollars that the provider charges more than the ledger says."""
        return EXACT.subtract(self.theirs, self.ours)

    @property
    def agrees(self) -> bool:
        """Whether the totals and every line are within the tolerance."""
        return self.within and all(line.within for line in self.lines)

    def to_csv(self) -> str:
        """The lines (RFC 4180), US dollars exact."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(
            ["first", "last", "model", "ours", "theirs", "difference", "attempts", "unpriced", "within", "reasons"]
        )
        for line in self.lines:
            money = [amount(usd) for usd in (line.ours, line.theirs, line.difference)]
            counts = [line.attempts, line.unpriced, str(line.within).lower()]
            days = [line.first.isoformat(), line.last.isoformat()]
            writer.writerow([*days, plain_cell(line.model), *money, *counts, plain_cell("; ".join(line.reasons))])
        return out.getvalue()

    def to_json(self) -> str:
        """Everything as one JSON document, US dollars as text."""
        return json.dumps(self.as_document(), indent=2, ensure_ascii=False)

    def as_document(self) -> JSONObject:
        """What `to_json` writes."""
        money = ("ours", "theirs", "difference", "tools", "unnamed", "credits", "tax", "adjustments")
        return {
            "format": self.format,
            "provider": self.provider,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "zone": self.zone,
            "agrees": self.agrees,
            "within": self.within,
            **{name: amount(getattr(self, name)) for name in money},
            "unpriced": self.unpriced,
            "others": {"rows": self.others[0], "usd": amount(self.others[1])},
            "notes": [*self.notes],
            "lines": [
                {
                    "first": line.first.isoformat(),
                    "last": line.last.isoformat(),
                    "model": line.model,
                    "ours": amount(line.ours),
                    "theirs": amount(line.theirs),
                    "difference": amount(line.difference),
                    "attempts": line.attempts,
                    "unpriced": line.unpriced,
                    "within": line.within,
                    "reasons": [*line.reasons],
                }
                for line in self.lines
            ],
        }

    def __str__(self) -> str:
        days = f"{self.first} to {self.last}"
        sums = f"ours ${amount(self.ours)}, theirs ${amount(self.theirs)}, difference ${amount(self.difference)}"
        rows = [f"{self.provider or self.format}, {days} ({self.zone}): {sums}"]
        for line in self.lines:
            if line.within:
                continue
            day = f"{line.first}" if line.first == line.last else f"{line.first} to {line.last}"
            rows.append(
                f"  {day}  {line.model or 'all models'}: ours ${amount(line.ours)}, theirs ${amount(line.theirs)}, "
                f"difference ${amount(line.difference)}"
            )
            rows += [f"    {reason}" for reason in line.reasons]
        return "\n".join([*rows, *self.notes])


def reconcile(
    ledger: LedgerQueries,
    invoice: Invoice,
    *,
    tolerance: float = TOLERANCE,
    least: Decimal = LEAST,
    where: Mapping[str, str | None] | None = None,
) -> Reconciliation:
    """Compare an invoice with the ledger.

    Args:
        ledger: Ours.
        invoice: Theirs, from `aistrale.cost.invoices.invoice.read_invoice`.
        tolerance: How much of their amount a difference may be, 0 to 1.
        least: US dollars that a difference may always be.
        where: Values that dimensions of the ledger must have: a project, where the invoice is of one.

    Raises:
        ConfigurationError: The invoice has no charges or is about too long a time, or a dimension is unknown.
        LedgerUnavailable: The ledger cannot be read.
    """
    if not 0 <= tolerance < 1:
        raise ConfigurationError("tolerance must be a share from 0 to 1.", field="tolerance")
    with localcontext(EXACT):
        return _Comparison(ledger, invoice, where).result(tolerance, least)


class _Comparison:
    """Both sides, by the same days and models."""

    def __init__(self, ledger: LedgerQueries, invoice: Invoice, where: Mapping[str, str | None] | None) -> None:
        self._invoice = invoice
        self._charges = [charge for charge in invoice.charges if charge.kind in {"usage", "tool"}]
        if not self._charges:
            raise ConfigurationError("the file has no charges for use.", field="FILE")
        self.first = min(charge.days.first for charge in self._charges)
        self.last = max(charge.days.last for charge in self._charges)
        if (self.last - self.first).days > _LONGEST:
            raise ConfigurationError(
                f"the file reaches from {self.first} to {self.last}; are its dates read rightly?", field="FILE"
            )
        self._names: dict[str, str] = {}
        self._sides: dict[tuple[Span, str | None], Side] = defaultdict(Side)
        self._tools: dict[Span, Decimal] = defaultdict(Decimal)
        self._unnamed = Decimal(0)
        # A file writes all amounts alike, but for zeros at the end.
        self._rounding = Decimal(5).scaleb(-max(charge.places for charge in self._charges) - 1)
        self._by_day = all(charge.days.first == charge.days.last for charge in self._charges)
        self._by_month = all(
            (charge.days.first.year, charge.days.first.month) == (charge.days.last.year, charge.days.last.month)
            for charge in self._charges
        )
        self._named = any(charge.label for charge in self._charges if charge.kind == "usage")
        rows = list(self._ours(ledger, where or {}))
        self._read_theirs(rows)
        self._read_ours(rows)

    def _ours(self, ledger: LedgerQueries, where: Mapping[str, str | None]) -> Iterable[tuple[date, str, str, Side]]:
        zone = zone_named(self._invoice.zone)
        since = datetime.combine(self.first, time(), zone)
        until = datetime.combine(self.last + timedelta(days=1), time(), zone)
        provider = self._invoice.provider
        filters = dict(where)
        if provider is not None:
            filters["provider"] = ALIASES.get(provider, provider)
        in_utc = self._invoice.zone == "UTC"
        for row in ledger.spend(("day" if in_utc else "hour", "provider", "model"), since, until, where=filters):
            moment, seller, model = row.key
            if moment is None or seller is None or model is None:
                continue
            day = date.fromisoformat(moment) if in_utc else _local(moment, zone)
            side = Side(ours=row.cost, attempts=row.attempts, unpriced=row.unpriced, estimated=row.estimated_cost)
            yield day, seller, model.removeprefix(f"{seller}/"), side

    def _read_theirs(self, rows: Iterable[tuple[date, str, str, Side]]) -> None:
        known = Within({model_key(model) for _, _, model, _ in rows} | self._listed())
        for charge in self._charges:
            span = self._span(charge.days)
            key = self._key(charge, known)
            if key is None and charge.kind == "tool":
                self._tools[span] += charge.usd
                if self._named:
                    continue
            elif key is None and self._named:
                self._unnamed += charge.usd
                continue
            side = self._sides[span, key if self._named else None]
            side.theirs += charge.usd
            side.charges += 1
            side.batch = side.batch or charge.batch
            side.rounding += self._rounding

    def _listed(self) -> set[str]:
        if not self._invoice.free:
            return set()
        from aistrale.cost.book.price_book import price_book

        return {model_key(model.id) for model in price_book().models(self._invoice.provider)}

    def _key(self, charge: Charge, known: Within) -> str | None:
        if charge.label is None:
            return None
        if self._invoice.free or charge.kind == "tool":
            found = known.find(charge.label)
            if found is not None or charge.kind == "tool":
                return found
        name = article(charge.label)
        key = model_key(name)
        self._names.setdefault(key, name)
        return key

    def _read_ours(self, rows: Iterable[tuple[date, str, str, Side]]) -> None:
        theirs = {key for _, key in self._sides}
        sellers = {seller for _, seller, model, _ in rows if model_key(model) in theirs}
        for day, seller, model, found in rows:
            if self._invoice.provider is None and self._named and seller not in sellers:
                # A file about several providers need not be about all of ours.
                continue
            key = model_key(model) if self._named else None
            if key is not None:
                self._names[key] = f"{seller}/{model}" if self._invoice.provider is None else model
            self._sides[self._span(Span(day, day)), key].add(found)

    def _span(self, days: Span) -> Span:
        if self._by_day:
            return days
        if not self._by_month:
            return Span(self.first, self.last)
        first = days.first.replace(day=1)
        after = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        return Span(max(first, self.first), min(after - timedelta(days=1), self.last))

    def result(self, tolerance: float, least: Decimal) -> Reconciliation:
        """The lines, with reasons, and the totals."""
        share = Decimal(str(tolerance))
        lines = []
        for (span, key), side in self._sides.items():
            within = abs(side.difference) <= max(least, share * abs(side.theirs), side.rounding)
            name = None if key is None else self._names.get(key, key)
            lines.append(
                Line(
                    first=span.first, last=span.last, model=name, ours=side.ours, theirs=side.theirs,
                    attempts=side.attempts, unpriced=side.unpriced, within=within,
                    reasons=() if within else tuple(explain(self._sides, (span, key), self._tools)),
                )
            )  # fmt: skip
        lines.sort(key=lambda line: (line.first, -abs(line.difference), line.model or ""))
        ours = sum((side.ours for side in self._sides.values()), Decimal(0))
        apart = sum(self._tools.values(), Decimal(0)) if self._named else Decimal(0)
        theirs = sum((side.theirs for side in self._sides.values()), Decimal(0)) + apart + self._unnamed
        return Reconciliation(
            format=self._invoice.format, provider=self._invoice.provider, first=self.first, last=self.last,
            zone=self._invoice.zone, lines=lines, ours=ours, theirs=theirs,
            unpriced=sum(side.unpriced for side in self._sides.values()),
            within=abs(theirs - ours) <= max(least, share * abs(theirs)),
            tools=sum(self._tools.values(), Decimal(0)), unnamed=self._unnamed,
            credits=self._kind("credit"), tax=self._kind("tax"), adjustments=self._kind("adjustment"),
            others=self._invoice.others, notes=list(self._notes()),
        )  # fmt: skip

    def _kind(self, kind: str) -> Decimal:
        return sum((charge.usd for charge in self._invoice.charges if charge.kind == kind), Decimal(0))

    def _notes(self) -> Iterable[str]:
        yield from self._invoice.notes
        unpriced = sum(side.unpriced for side in self._sides.values())
        if unpriced:
            yield f"{unpriced} of our attempts have no known price; our sums leave them out"
        if not self._by_day:
            yield "the file has charges for more than a day, so days cannot be compared"
        if not self._named:
            yield "the file names no models; all of a day are compared together"
        for kind in ("credit", "tax", "adjustment"):
            if total := self._kind(kind):
                yield f"${amount(total)} of {kind} stand apart from what was used"
        if self._tools and self._named:
            fees = sum(self._tools.values(), Decimal(0))
            yield f"${amount(fees)} of tool fees stand apart from models; ours are within them"
        if self._unnamed:
            yield f"${amount(self._unnamed)} are of use of which the file names no model"
        if self._invoice.others[0]:
            yield f"{self._invoice.others[0]} lines (${amount(self._invoice.others[1])}) are about other services"


def _local(hour: str, zone: object) -> date:
    moment = datetime.fromisoformat(hour)
    return moment.astimezone(zone).date()  # type: ignore[arg-type]  # made by zone_named

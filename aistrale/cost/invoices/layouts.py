"""Where the exports of providers keep what.

Where the columns come from: FOCUS is the FinOps Open Cost and Usage Specification 1.x (focus.finops.org); Google's
`usage_start_time`, `sku.description`, `cost`, `currency` are those of the BigQuery billing export (Google Cloud
documentation), the others those of the cost table that its console writes; OpenAI's and Anthropic's are those of files
that their consoles write, for which there is no reference. Groq documents no export: any table with a date, a model and
an amount is understood, and the columns can be named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True, frozen=True)
class Layout:
    """Where a kind of file keeps what.

    Args:
        name: Its name.
        provider: Whose it is; None where the file or the caller has to say.
        needs: Columns, as plain names, that tell it from others; of each group one.
        date: The first day, the best column first.
        end: The end of the period.
        end_is_last: Whether that is the last day, not the first after it.
        model: What was used, the best column first; several are read together where `free` holds.
        amount: Money, the best column first. Without one the tokens are priced by us.
        currency: The code of the currency.
        kind: What sort of charge it is.
        free: Whether the model stands somewhere within a text.
        service: The service; others than `services` are not models.
        services: Words, one of which the service has to hold; empty for all.
        zone: Whose days they are.
    """

    name: str
    provider: str | None
    needs: tuple[tuple[str, ...], ...]
    date: tuple[str, ...]
    amount: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    end_is_last: bool = False
    currency: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    free: bool = False
    service: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    zone: str = "UTC"


_DATE: Final = (
    "date", "day", "usage date", "date utc", "period", "start date", "start time", "timestamp", "time", "created at",
    "month",
)  # fmt: skip
_MODEL: Final = (
    "model",
    "model name",
    "model id",
    "model version",
    "line item",
    "description",
    "sku",
    "product",
    "item",
)
_AMOUNT: Final = (
    "cost usd", "amount usd", "total cost usd", "total cost", "cost", "amount", "spend", "spend usd", "total", "charge",
    "price", "usd", "net amount",
)  # fmt: skip
_GOOGLE: Final = ("gemini", "vertex", "generative language", "agent platform")

LAYOUTS: Final = (
    Layout(
        "openai", "openai", (("amount value",), ("start time", "start time iso")),
        date=("start time", "start time iso"), amount=("amount value",), model=("line item",),
        currency=("amount currency",),
    ),
    Layout(
        "openai-usage", "openai", (("num model requests",), ("input tokens",), ("output tokens",), ("model",)),
        date=("start time", "start time iso"), model=("model",),
    ),
    Layout(
        "anthropic", "anthropic", (("usage date utc",), ("cost usd",)),
        date=("usage date utc",), amount=("cost usd",), model=("model", "model version"),
        kind=("cost type", "token type"),
    ),
    Layout(
        "anthropic-usage", "anthropic",
        (("usage date utc",), ("usage input tokens no cache",), ("usage output tokens",)),
        date=("usage date utc",), model=("model version", "model"),
    ),
    Layout(
        "focus", None, (("billedcost", "billed cost"), ("chargeperiodstart", "charge period start")),
        date=("chargeperiodstart", "charge period start"), end=("chargeperiodend", "charge period end"),
        amount=("billedcost", "billed cost"), currency=("billingcurrency", "billing currency"),
        model=("resourcename", "skumeter", "chargedescription", "skuid", "resourceid"), free=True,
        kind=("chargecategory", "charge category"),
        service=("serviceprovidername", "providername", "publishername", "servicename"),
        services=("openai", "anthropic", "groq", "hugging", *_GOOGLE),
    ),
    Layout(
        "google", "gemini",
        (("sku description",), ("unrounded cost", "cost", "subtotal", "unrounded subtotal"), ("service description",)),
        date=("usage start time", "usage start date"), end=("usage end time", "usage end date"), end_is_last=True,
        amount=("unrounded subtotal", "subtotal", "unrounded cost", "cost"), currency=("currency",),
        model=("sku description",), free=True, kind=("credit type", "cost type"), service=("service description",),
        services=_GOOGLE, zone="America/Los_Angeles",
    ),
    Layout(
        "groq", "groq", (_DATE, _AMOUNT, _MODEL), date=_DATE, amount=_AMOUNT, model=_MODEL, currency=("currency",)
    ),
    Layout("generic", None, (_DATE, _AMOUNT), date=_DATE, amount=_AMOUNT, model=_MODEL, currency=("currency",)),
)  # fmt: skip
FORMATS: Final = tuple(layout.name for layout in LAYOUTS)
"""What can be read, by name."""

# Groq's has nothing of its own: it has to be named.
DETECTED: Final = tuple(layout for layout in LAYOUTS if layout.name != "groq")

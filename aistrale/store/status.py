"""Whether the ledger works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aistrale.store.journal import JournalStatus
    from aistrale.store.shipper import ShipperStatus


@dataclass(slots=True, kw_only=True)
class LedgerStatus:
    """Whether the ledger works, for `aistrale doctor` and the curious.

    Args:
        mode: "sqlite", "postgresql" or "off".
        path: The database: its file, or its address without the password; None when there is no place for one.
        degraded: Why rows are not, or not yet, where they should be; None when all is well.
        journal: What the journal of this process says; None when off.
        shipper: What the shipper of this process says; None before it has run.
    """

    mode: Literal["sqlite", "postgresql", "off"]
    path: str | None = None
    degraded: str | None = None
    journal: JournalStatus | None = None
    shipper: ShipperStatus | None = None

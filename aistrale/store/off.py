"""The ledger that is off."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from aistrale.store.status import LedgerStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aistrale.store.protocol import Exchange, Sample, SpendRow, SummaryRow, UnsettledAttempt
    from aistrale.store.records import AttemptRow, CallRow, CountRow, Row, ScoreRow


class NullLedger:
    """`ledger="off"`: takes everything, keeps nothing."""

    def append(self, *rows: Row) -> bool:
        """Nothing is promised by this ledger, and so nothing is lost: True."""
        return True

    def flush(self, timeout: float = 5.0) -> bool:
        """Nothing waits: True."""
        return True

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """No rows."""
        return []

    def calls(self, limit: int = 50) -> list[CallRow]:
        """No rows."""
        return []

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """No rows."""
        return []

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """No rows."""
        return []

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """None."""
        return iter(())

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """None."""
        return iter(())

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """None."""
        return iter(())

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """No rows."""
        return []

    def scores(self, call_id: str) -> list[ScoreRow]:
        """No rows."""
        return []

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """Nothing."""
        return Decimal(0)

    def open_intents(self) -> list[UnsettledAttempt]:
        """No rows."""
        return []

    def status(self) -> LedgerStatus:
        """Off."""
        return LedgerStatus(mode="off")

    def close(self) -> None:
        """Nothing is open."""

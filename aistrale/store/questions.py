"""The questions of `LedgerQueries`, answered by a database that understands SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from aistrale.store.protocol import Exchange, Sample, SpendRow, SummaryRow, UnsettledAttempt
from aistrale.store.queries import (
    CACHED,
    Place,
    attempt_of,
    avoided,
    check_dimensions,
    choose,
    exchange_of,
    exchange_statement,
    newest,
    spend,
)
from aistrale.store.records import AttemptRow, CallRow, CountRow, IntentRow, ScoreRow
from aistrale.store.summary import seconds_of, summarize
from aistrale.store.tables import TABLES, load, names_of
from aistrale.store.words import SQLITE, Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from aistrale.store.queries import Chosen, Form

R = TypeVar("R", IntentRow, AttemptRow, CallRow, ScoreRow, CountRow)

EXCHANGES: Final = 1000
"""How many exchanges are read at once."""
# More rows than any table has; the largest limit that both databases take.
_ALL: Final = (1 << 63) - 1


class Questions:
    """What can be asked of the tables; a subclass knows how to ask its database."""

    _words: Words = SQLITE

    def _ask(self, query: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows of an answer; none where there are no tables yet. Raises `LedgerUnavailable`."""
        raise NotImplementedError

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """See `LedgerQueries.summary`."""
        return summarize(self._ask, by, since, until, self._words)

    def calls(self, limit: int = 50) -> list[CallRow]:
        """See `LedgerQueries.calls`."""
        return self._rows(CallRow, "ORDER BY at DESC, call_id DESC LIMIT :most", most=limit if limit >= 0 else _ALL)

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """See `LedgerQueries.attempts`."""
        return self._rows(AttemptRow, "WHERE call_id = :call ORDER BY attempt", call=call_id)

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """See `LedgerQueries.spend`."""
        check_dimensions(by)
        chosen = choose(since, until, where, words=self._words)
        return spend(self._ask, by, chosen)

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """See `LedgerQueries.exchanges`."""
        return map(exchange_of, self._read("exchange", choose(since, until, where, words=self._words), limit))

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """See `LedgerQueries.cached`."""
        chosen = choose(since, until, where, words=self._words)
        chosen.conditions.append(CACHED)
        return map(attempt_of, self._read("attempt", chosen))

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """See `LedgerQueries.samples`."""
        return map(Sample._make, self._read("sample", choose(since, until, where, words=self._words)))

    def _read(self, form: Form, chosen: Chosen, limit: int | None = None) -> Iterator[Sequence[Any]]:
        """The columns of attempts, in batches, between which nothing is locked."""
        left = float("inf") if limit is None else limit
        if left <= 0:
            return
        place = None if limit is None else newest(self._ask, chosen, limit)
        including = True
        while left > 0:
            size = int(min(EXCHANGES, left))
            query = exchange_statement(chosen, place, size, including=including, form=form)
            found = self._ask(query, chosen.values)
            yield from found
            if len(found) < size:
                return
            left -= size
            place, including = Place(*found[-1][:3]), False

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """See `LedgerQueries.counts`."""
        condition = "WHERE at >= :since ORDER BY at DESC, call_id DESC, attempt DESC LIMIT :most"
        low = seconds_of("since", since, float("-inf"))
        return self._rows(CountRow, condition, since=low, most=max(0, limit))[::-1]

    def scores(self, call_id: str) -> list[ScoreRow]:
        """See `LedgerQueries.scores`."""
        return self._rows(ScoreRow, "WHERE call_id = :call ORDER BY name", call=call_id)

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """See `LedgerQueries.avoided`."""
        chosen = choose(since, until, where, alone=True, words=self._words)
        return avoided(self._ask, chosen)

    def _unsettled(self, condition: str, values: Mapping[str, object]) -> list[UnsettledAttempt]:
        """The intents that a condition is true of, oldest first."""
        query = f"SELECT writer, {names_of(IntentRow)} FROM intents WHERE {condition} ORDER BY at, call_id, attempt"  # noqa: S608
        return [
            UnsettledAttempt(intent=load(IntentRow, columns), writer=writer)
            for writer, *columns in self._ask(query, values)
        ]

    def _rows(self, cls: type[R], condition: str, **bound: object) -> list[R]:
        query = f"SELECT {names_of(cls)} FROM {TABLES[cls]} {condition}"  # noqa: S608 - constants
        return [load(cls, columns) for columns in self._ask(query, bound)]

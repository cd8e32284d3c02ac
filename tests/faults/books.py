"""The books of calls that nobody waited for: left, cancelled, interrupted, or made in other processes."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from contextlib import closing

from aistrale.store.records import CallRow, IntentRow
from tests.faults import play as playing
from tests.faults.matrix import HTTPS


def play_left(case, server, directory, *, streamed):
    """Play a case whose calls are not waited for in all its modes; the runs, of which I3 is checked."""
    for colour, http in itertools.product(case.colours, HTTPS):
        run = playing.start(case, server, directory, colour=colour, http=http, streamed=streamed)
        playing.go(run)
        playing.check_idle(run)
        yield run


def check_rows(run, outcomes):
    """I2 without a caller to ask: one row for each call, one intent and one settled row for each attempt.

    Args:
        run: Whose rows.
        outcomes: How many calls must have ended in which way; all their attempts likewise.
    """
    calls, attempts = run.rows_of(CallRow), run.attempts()
    assert Counter(row.outcome for row in calls) == Counter(outcomes), "I2: other outcomes"
    assert len({row.call_id for row in calls}) == len(calls), "I2: a call is there twice"
    settled = Counter((row.call_id, row.attempt) for row in attempts)
    assert set(settled.values()) <= {1}, "I2: an attempt is settled twice"
    assert Counter((row.call_id, row.attempt) for row in run.rows_of(IntentRow)) == settled, "I2: intents and rows"
    assert Counter(row.call_id for row in attempts) == Counter(
        {row.call_id: row.attempts for row in calls if row.attempts}
    )


def check_file(path, *, calls=None, outcomes=None, most=None, acknowledged=(), unsettled=0):
    """I2 in a ledger's file, into which all journals were shipped.

    Args:
        path: The file.
        calls: How many calls must be there with which outcome.
        outcomes: Where that is a matter of time: the outcomes that there may be.
        most: How many calls there are, unless some were never begun.
        acknowledged: Ids of calls that must be there.
        unsettled: How many attempts may be without an outcome, because their process was killed.
    """
    with closing(sqlite3.connect(path)) as ledger:

        def ask(query):
            return ledger.execute(query).fetchall()

        found = dict(ask("SELECT outcome, count(*) FROM calls GROUP BY outcome"))
        if calls is not None:
            assert found == {outcome: count for outcome, count in calls.items() if count}
        if outcomes is not None:
            assert set(found) <= set(outcomes)
            assert sum(found.values()) <= most
        assert ask("SELECT call_id FROM calls GROUP BY call_id HAVING count(*) > 1") == []
        assert ask("SELECT call_id FROM attempts GROUP BY call_id, attempt HAVING count(*) > 1") == []
        assert ask("SELECT count(*) FROM rejected") == [(0,)]
        known = dict(ask("SELECT call_id, outcome FROM calls"))
        assert {known.get(call) for call in acknowledged} <= {"success"}
        left = ask("SELECT count(*) FROM intents WHERE settled = 0")[0][0]
        assert left <= unsettled, f"I2: {left} attempts have no outcome"
        if not unsettled:
            told = ask("SELECT sum(attempts) FROM calls")[0][0] or 0
            assert ask("SELECT count(*) FROM attempts") == ask("SELECT count(*) FROM intents") == [(told,)]

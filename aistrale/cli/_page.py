"""`aistrale cost --html`: the ledger and the budgets of the settings as one page, written whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aistrale.cli import _screen
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.cost.budgets.book import BudgetStatus, Rule
    from aistrale.cost.budgets.settings import BudgetSettings
    from aistrale.store.protocol import LedgerQueries

STDOUT: Final = "-"
MOST: Final = 20
"""So many of the values of a budget that counts each by itself are shown, those that spent most."""

_DAYS: Final = 90


def show_page(
    ledger: LedgerQueries,
    settings: Sequence[BudgetSettings],
    name: str,
    *,
    since: datetime | None,
    where: Mapping[str, str | None],
) -> None:
    """Write the page and say where it is.

    Args:
        ledger: What was spent.
        settings: Budgets whose standing is read from the ledger; none is shown beside a part of the spend.
        name: The file, or "-" for standard output.
        since: Aware; from when on models and anomalies are looked for, 90 days ago where None.
        where: Only attempts with these values, by dimension.

    Raises:
        ConfigurationError: The file cannot be written.
        LedgerUnavailable: The ledger cannot be read.
    """
    from aistrale.cost.charts.page import page
    from aistrale.cost.outlook import look_ahead

    now = datetime.now(UTC)
    days = _DAYS if since is None else max((now.date() - since.astimezone(UTC).date()).days, 1)
    budgets, notes = standing(settings, ledger)
    if where and settings:
        budgets, notes = [], ["budgets are not shown beside a part of the spend; leave --where out to see them"]
    title = ", ".join(["Spending", *(f"{key}={value or ''}" for key, value in where.items())])
    text = page(look_ahead(ledger, now=now, days=days, where=where, budgets=budgets), title=title)
    if name == STDOUT:
        _screen.raw(text)
    else:
        path = write_whole(name, text)
        _screen.note(f"written to {path} ({len(text.encode()) / 1000:,.0f} kB)")
    for note in notes:
        _screen.note(note)


def standing(
    settings: Sequence[BudgetSettings], ledger: LedgerQueries, now: float | None = None
) -> tuple[list[BudgetStatus], list[str]]:
    """What the budgets of the settings stand at by the ledger alone: this process spends nothing.

    Args:
        settings: The budgets.
        ledger: What was spent.
        now: Unix seconds; the present by default.

    Returns:
        The budgets in their order, and what is not among them, in words.

    Raises:
        LedgerUnavailable: The ledger cannot be read.
    """
    from aistrale.cost.budgets.book import BudgetBook, Rule

    instant = time.time() if now is None else now
    rules = [Rule(each) for each in settings]
    passing = [rule.settings.title for rule in rules if rule.per]
    named = [rule.settings.title for rule in rules if not rule.per and rule.scope.where("") is None]
    notes = [f"not shown, since they count single calls or sessions: {', '.join(passing)}"] if passing else []
    notes += [f"not shown, since the ledger keeps no names of budgets: {', '.join(named)}"] if named else []
    shown = [rule.settings for rule in rules if not rule.per and rule.scope.where("") is not None]
    book = BudgetBook(shown, ledger=ledger, clock=lambda: instant)
    for rule in book.rules:
        if rule.scope.value is not None:
            continue
        values = _spenders(rule, ledger, instant)
        if len(values) > MOST:
            notes.append(f"{rule.settings.title}: of {len(values):,}, the {MOST} that spent most are shown")
        book.learn([rule.counter(value, "", instant) for value in values[:MOST]])
    return book.status(), notes


def _spenders(rule: Rule, ledger: LedgerQueries, now: float) -> list[str]:
    """Who counts for a budget that counts each by itself, the largest spender first."""
    slot = rule.counter("", "", now)
    since = now - slot.length if slot.length else slot.start
    rows = ledger.spend(tuple(rule.scope.where("") or ()), datetime.fromtimestamp(since, UTC))
    return [row.key[0] for row in rows if row.key[0] is not None]


def write_whole(name: str, text: str) -> Path:
    """Write a file: whole or not at all; what stood there stays until it is replaced.

    Args:
        name: The file; a link is followed.
        text: Its content.

    Returns:
        Its path from the root.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            # A pipe or a device, in whose place no file may be put.
            path.write_text(text, encoding="utf-8")
            return path
        path = Path(os.path.realpath(path))
        draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            with suppress(OSError):  # there is none yet, or it is not ours
                draft.chmod(path.stat().st_mode & 0o7777)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"--html: {name} cannot be written ({reason})", field="html", hint="Name a file in a folder of yours, or -."
        ) from None
    return path

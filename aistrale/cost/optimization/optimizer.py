"""Automatic optimisation: changes that save money, on a share of the calls, taken back when quality falls.

A change begins with a small share of the calls. The share doubles as long as calls with the change are scored as well,
and succeed as often, as those without it; as soon as they do not, the share goes to zero and stays there until it is
reset. What was taken back is remembered in a file beside the ledger, so that no restart forgets it.

This module decides and remembers; the policy of the same name carries it out.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from aistrale.core.worker import on_fork
from aistrale.cost.optimization.settings import OptimizeSettings, check_optimize
from aistrale.cost.optimization.state import STATE_FILE, Shares
from aistrale.cost.optimization.trial import Rules, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["COMPACT", "OptimizeEvent", "OptimizeSettings", "Optimizer", "Status", "check_optimize"]

COMPACT: Final = "compact"
_log = logging.getLogger("aistrale.optimize")
# Sessions whose arm, and calls whose changes, are remembered; of older ones scores are not counted.
_REMEMBERED: Final = 10_000


@dataclass(slots=True, frozen=True, kw_only=True)
class OptimizeEvent:
    """Something was changed automatically, or the share of such changes was.

    Args:
        what: "applied": a call was changed. "ramped": the share rose. "undone": the change was taken back. "reset":
            somebody allowed it again.
        change: "compact", "model:A>B" or "cheaper:ROUTE".
        share: Share of the calls that have the change from now on.
        reason: Why it was taken back.
        call_id: Of the ledger's row, of a call that was changed.
        saved_tokens: About how many tokens of its prompt were saved; None where that is not what it saves.
        at: When, aware UTC.
    """

    what: Literal["applied", "ramped", "undone", "reset"]
    change: str
    share: float
    reason: str | None = None
    call_id: str | None = None
    saved_tokens: int | None = None
    at: datetime


class Status(NamedTuple):
    """Where a change stands.

    Args:
        change: Its name, as in OptimizeEvent.
        share: Share of the calls that have it.
        undone: Why it was taken back; None while it runs.
        calls: Calls with it, and without it, in this process.
        success: Their success rates; None where there were none.
        quality: Their mean scores; None where there are none.
        evidence: Against it, by scores and by successes; 40 takes it back.
    """

    change: str
    share: float
    undone: str | None
    calls: tuple[int, int]
    success: tuple[float | None, float | None]
    quality: tuple[float | None, float | None]
    evidence: tuple[float, float]


class Optimizer:
    """Says which calls are changed, and learns from what becomes of them. Safe for threads.

    Args:
        settings: What may be changed.
        directory: Where shares and what was taken back are kept between processes: the directory of the ledger. None
            keeps them in memory.
        listener: Is told of everything; what it raises is logged and goes no further.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        settings: OptimizeSettings,
        *,
        directory: Path | None = None,
        listener: Callable[[OptimizeEvent], None] | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.settings = settings
        self._shares = Shares(None if directory is None else directory / STATE_FILE)
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._trials: dict[str, Trial] = {}
        self._arms: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._calls: OrderedDict[str, dict[str, bool]] = OrderedDict()
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        # Another thread may have held it.
        self._lock = threading.Lock()

    # --- what is done to a call ---------------------------------------------------------------------------------------

    def chosen(self, change: str, *, session: str | None, call_id: str) -> bool:
        """Whether a call that can have a change has it. A session keeps what it began with, until it is taken back.

        Args:
            change: Its name, as in OptimizeEvent.
            session: The call's session, if it has one.
            call_id: The call.
        """
        with self._lock:
            self._refresh()
            trial = self._trial(change)
            if trial.undone is not None:
                return False
            if session is None:
                return _draw(change, call_id) < trial.share
            key = change, session
            found = self._arms.get(key)
            if found is None:
                found = _draw(change, session) < trial.share
            self._arms[key] = found
            self._arms.move_to_end(key)
            while len(self._arms) > _REMEMBERED:
                self._arms.popitem(last=False)
            return found

    def applied(self, change: str, call_id: str, saved_tokens: int | None = None) -> None:
        """A call was changed."""
        with self._lock:
            share = self._trial(change).share
        self._tell(OptimizeEvent(
            what="applied", change=change, share=share, call_id=call_id, saved_tokens=saved_tokens, at=self._now()
        ))  # fmt: skip

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def settle(self, call_id: str, changes: Mapping[str, bool], *, succeeded: bool | None) -> None:
        """A call that could have had changes has ended.

        Args:
            call_id: The call.
            changes: Which changes it could have had, and whether it had them.
            succeeded: Whether it was answered; None where its end says nothing, as when the application left.
        """
        events = []
        with self._lock:
            self._calls[call_id] = dict(changes)
            while len(self._calls) > _REMEMBERED:
                self._calls.popitem(last=False)
            if succeeded is not None:
                for change, treated in changes.items():
                    trial = self._trial(change)
                    events.append(self._event(change, trial, trial.settle(treated=treated, succeeded=succeeded)))
        self._tell(*events)

    def score(self, call_id: str, score: float) -> bool:
        """An answer was scored.

        Args:
            call_id: The call.
            score: 0 to 1.

        Returns:
            Whether the call is remembered as one that could have been changed.
        """
        events = []
        with self._lock:
            changes = self._calls.get(call_id)
            for change, treated in (changes or {}).items():
                trial = self._trial(change)
                events.append(self._event(change, trial, trial.scored(min(max(score, 0.0), 1.0), treated=treated)))
        self._tell(*events)
        return changes is not None

    def status(self) -> list[Status]:
        """Where all changes stand that calls could have had so far, or that are remembered, by name."""
        with self._lock:
            self._refresh()
            for change in self._shares.changes():
                self._trial(change)
            return [
                Status(
                    change,
                    trial.share,
                    trial.undone,
                    (trial.treated.calls, trial.untreated.calls),
                    (trial.treated.success, trial.untreated.success),
                    (trial.treated.quality, trial.untreated.quality),
                    trial.evidence,
                )
                for change, trial in sorted(self._trials.items())
            ]

    def reset(self, change: str | None = None) -> None:
        """Allow a change again, or all of them, from the first share on and with nothing held against it.

        Args:
            change: Its name; None for all that anything is known of.
        """
        events = []
        with self._lock:
            self._refresh(force=True)
            names = [change] if change is not None else sorted({*self._shares.changes(), *self._trials})
            self._shares.drop(names)
            for name in names:
                self._trials[name] = Trial(self._rules(name))
                self._forget(name)
                events.append(OptimizeEvent(
                    what="reset", change=name, share=self._trials[name].share, at=self._now()
                ))  # fmt: skip
        self._tell(*events)

    # --- inside, under the lock ---------------------------------------------------------------------------------------

    def _rules(self, change: str) -> Rules:
        own = self.settings
        return Rules(
            share=own.share,
            max_share=max(own.max_share, own.share),
            min_quality=own.min_quality,
            min_success=own.min_success,
            min_calls=own.min_calls,
            needs_scores=change != COMPACT,
        )

    def _trial(self, change: str) -> Trial:
        trial = self._trials.get(change)
        if trial is None:
            share, undone = self._shares.get(change)
            rules = self._rules(change)
            trial = self._trials[change] = Trial(rules, share=min(share, rules.max_share), undone=undone)
        return trial

    def _event(self, change: str, trial: Trial, what: str | None) -> OptimizeEvent | None:
        if what is None:
            return None
        if what == "undone":
            self._forget(change)
        self._shares.put(change, trial.share, trial.undone, self._now())
        return OptimizeEvent(
            what=cast("Literal['ramped', 'undone']", what),
            change=change,
            share=trial.share,
            reason=trial.undone,
            at=self._now(),
        )

    def _refresh(self, *, force: bool = False) -> None:
        """Notice what other processes have decided."""
        undone, allowed = self._shares.refresh(self._clock(), force=force)
        for change, reason in undone.items():
            trial = self._trials.get(change)
            if trial is not None and trial.undone is None:
                trial.undone, trial.share = reason, 0.0
                self._forget(change)
        for change in allowed:
            self._trials.pop(change, None)

    def _forget(self, change: str) -> None:
        """Let sessions begin anew."""
        self._arms = OrderedDict((key, arm) for key, arm in self._arms.items() if key[0] != change)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _tell(self, *events: OptimizeEvent | None) -> None:
        for event in events:
            if event is None:
                continue
            level = logging.WARNING if event.what == "undone" else logging.DEBUG if event.call_id else logging.INFO
            _log.log(
                level,
                "%s %s%s: share %.0f %%%s",
                event.change,
                event.what,
                f" to call {event.call_id}" if event.call_id else "",
                100 * event.share,
                f", {event.reason}" if event.reason else "",
            )
            if self._listener is None:
                continue
            try:
                self._listener(event)
            except Exception as error:  # noqa: BLE001 - the application's own code
                _log.warning("on_event raised %s for %s", type(error).__name__, event.change)


def _draw(change: str, key: str) -> float:
    """A number of 0 to 1 that a change and a session or call always have; as a share rises, none of its own leave."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=b"optimize", salt=_salt(change))
    return int.from_bytes(digest.digest(), "big") / 2**64


def _salt(change: str) -> bytes:
    # Changes are drawn independently of each other.
    return blake2b(change.encode("utf-8", "surrogatepass"), digest_size=16).digest()

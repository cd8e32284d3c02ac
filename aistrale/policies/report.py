"""Tells what was decided about data: to the application, to the log, and to the call's row; never the data."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.privacy.event import PrivacyEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aistrale.core.call import Call
    from aistrale.privacy.dlp import Action, Direction, Hit

_log = logging.getLogger("aistrale.privacy")
_LEVELS: Final = {"block": logging.WARNING, "warn": logging.WARNING}


@dataclass(slots=True, frozen=True)
class Report:
    """Where decisions are told.

    Args:
        listener: The application's `on_event`; what it raises is logged and goes no further.
        dry_run: Whether nothing but the telling is done.
    """

    listener: Callable[[PrivacyEvent], None] | None = None
    dry_run: bool = False

    def hits(self, call: Call, hits: Iterable[Hit], direction: Direction) -> None:
        """Tell what rules have decided."""
        for hit in hits:
            self.tell(call, hit.rule, hit.action, direction, hit.types, dry_run=self.dry_run)

    def tell(
        self,
        call: Call,
        rule: str,
        action: Action,
        direction: Direction,
        types: Mapping[str, int],
        *,
        dry_run: bool = False,
    ) -> None:
        """Tell one decision.

        Args:
            call: The call.
            rule: Which rule or setting.
            action: What is done.
            direction: About what is sent, or answered.
            types: Distinct values by type.
            dry_run: Whether it is not done.
        """
        # What is replaced on the way out is counted where it is replaced.
        if direction == "in" or dry_run or action in {"block", "warn"}:
            _count(call, f"{'dry.' if dry_run else ''}{direction}.{action}", types)
        target = call.target if call.attempt is None else call.attempt.target
        event = PrivacyEvent(
            rule=rule,
            action=action,
            direction=direction,
            types=types,
            call_id=call.id,
            provider=target.provider.name,
            target=target.name,
            dry_run=dry_run,
        )
        _log.log(
            _LEVELS.get(action, logging.INFO),
            "%s%s %s of call %s: rule %s, %s",
            "dry run: " if dry_run else "",
            action,
            "what is sent" if direction == "out" else "the answer",
            call.id,
            rule,
            listed(types),
        )
        if self.listener is not None:
            try:
                self.listener(event)
            except Exception as error:  # noqa: BLE001 - the application's own code
                _log.warning("on_event raised %s for call %s", type(error).__name__, call.id)


def _count(call: Call, what: str, types: Mapping[str, int]) -> None:
    """Add to what the call's row will say."""
    if call.judged is None:
        call.judged = Counter()
    for kind, count in types.items():
        call.judged[f"{what}.{kind}"] += count


def listed(types: Mapping[str, int]) -> str:
    """Types and how many values of each, in words."""
    return ", ".join(f"{count} {kind}" for kind, count in types.items())

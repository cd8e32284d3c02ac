"""What is told when something was decided about data; never the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.privacy.dlp import Action, Direction


@dataclass(slots=True, frozen=True, kw_only=True)
class PrivacyEvent:
    """A rule about data was applied to a call.

    Args:
        rule: The rule's name; "media" for the setting of that name, "on_error" where a failure was let pass.
        action: What was done: "block", "encrypt", "redact", "warn"; in a dry run, what would have been done.
        direction: "out": about what is sent. "in": about what was answered.
        types: Distinct values by type.
        call_id: Of the ledger's row.
        provider: Who would be, or was, asked.
        target: As `provider/model`.
        dry_run: Whether it was only reported.
    """

    rule: str
    action: Action
    direction: Direction
    types: Mapping[str, int] = field(default_factory=dict)
    call_id: str = ""
    provider: str | None = None
    target: str | None = None
    dry_run: bool = False

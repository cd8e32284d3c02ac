"""Street addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk


def street_at(run: Run, walk: Walk) -> bool:
    """Report the address that a run is part of; whether it is."""
    return False

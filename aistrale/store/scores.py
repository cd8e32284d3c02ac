"""What the application thinks of an answer, into the ledger."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from aistrale.errors import ConfigurationError
from aistrale.store.records import ScoreRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.store.records import Row

_LONGEST = 200


class _Log(Protocol):
    def append(self, *rows: Row) -> bool: ...


def score(
    ledger: _Log, call_id: str, value: float, name: str = "quality", *, wall: Callable[[], float] = time.time
) -> bool:
    """Record how good the answer to a call was; a later score of the same name replaces an earlier one.

    Args:
        ledger: Where to.
        call_id: Id of the call: `Completion.id`.
        value: 0 (useless) to 1 (perfect).
        name: What was judged.
        wall: Epoch seconds.

    Returns:
        True when it is acknowledged, see `aistrale.store.journal`.

    Raises:
        ConfigurationError: The id or the name is empty or too long, or the value is not from 0 to 1.
    """
    for field, text in (("call_id", call_id), ("name", name)):
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise ConfigurationError(f"{field} must be a text of 1 to {_LONGEST} characters.", field=field)
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not 0 <= value <= 1 or not math.isfinite(value):
        raise ConfigurationError("value must be a number from 0 (useless) to 1 (perfect).", field="value")
    return ledger.append(ScoreRow(call_id=call_id, name=name, at=wall(), score=float(value)))

"""What an application that calls an official SDK can ask about the call it has just made."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from aistrale.policies.meter import attempt_infos, total_cost, total_usage
from aistrale.types import Cost

if TYPE_CHECKING:
    from aistrale.core.call import Call
    from aistrale.types import AttemptInfo, Usage


class LastCall:
    """What became of the last model call of the running code; a stream's is complete when it has been read."""

    __slots__ = ("_call", "error", "skipped")

    def __init__(self, skipped: list[str]) -> None:
        self._call: Call | None = None
        self.skipped = skipped
        """Targets of the route that this call could not go to, each with the reason."""
        self.error: str | None = None
        """The class of the error that it ended with."""

    def begun(self, call: Call) -> None:
        """The call is on its way."""
        self._call = call

    @property
    def call_id(self) -> str:
        """Our id of the call, which its ledger rows carry; "" for one that could not even begin."""
        return "" if self._call is None else self._call.id

    @property
    def target(self) -> str:
        """Who answered, or was asked last, written `provider/model`."""
        call = self._call
        if call is None:
            return ""
        return (call.target if call.attempt is None else call.attempt.target).name

    @property
    def route(self) -> str | None:
        """The route that it took."""
        return None if self._call is None else self._call.route

    @property
    def attempts(self) -> list[AttemptInfo]:
        """Every exchange, in order."""
        return [] if self._call is None else attempt_infos(self._call)

    @property
    def usage(self) -> Usage | None:
        """The tokens of all attempts."""
        return None if self._call is None else total_usage(self._call)

    @property
    def cost(self) -> Cost:
        """What they cost together, in US dollars."""
        return Cost(None, "not begun") if self._call is None else total_cost(self._call)

    @property
    def degraded(self) -> str | None:
        """How the answer is less than what was asked for; None for a fresh one."""
        return None if self._call is None else self._call.degraded

    @property
    def lossy(self) -> list[str]:
        """What the target's wire format could not carry, as fields of the request."""
        prepared = None if self._call is None else self._call.prepared.get(self.target)
        return [] if prepared is None else [item.field for item in prepared.lossy]

    def __repr__(self) -> str:
        return f"<LastCall {self.call_id} {self.target} attempts={len(self.attempts)} {self.cost}>"


_last: ContextVar[LastCall | None] = ContextVar("aistrale_last_call", default=None)


def last_call() -> LastCall | None:
    """What became of the last call that this thread or task made through an official SDK; None before the first."""
    return _last.get()


def begin(skipped: list[str]) -> LastCall:
    """The record of a call that begins now."""
    last = LastCall(skipped)
    _last.set(last)
    return last

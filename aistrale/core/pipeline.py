"""The pipeline: policies in order, outer to inner, each wrapped around the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from aistrale.core.call import Call
    from aistrale.core.reply import Reply

Next: TypeAlias = "Callable[[Call], Coroutine[object, object, Reply]]"


class Policy(Protocol):
    """A step around a call, written once for every runtime.

    It may act before `await call_next(call)`, after it, instead of it, or several times. It waits only with
    `call.runtime.sleep`, holds no lock across an await, and hangs taps and close callbacks on the reply to see the rest
    of a stream.
    """

    def __call__(self, call: Call, call_next: Next, /) -> Coroutine[object, object, Reply]:
        """Handle the call; return the reply."""
        ...


class Place(Protocol):
    """What `describe` reads of a policy, where it offers it."""

    def describe(self) -> str:
        """The policy's settings in one line, without secrets."""
        ...


class Pipeline:
    """Policies composed once; calling it runs a call through all of them.

    Args:
        places: Name and policy of every place, outer to inner; None marks a place that nothing fills.
        send: The innermost step: one exchange with the target.
    """

    def __init__(self, places: Sequence[tuple[str, Policy | None]], send: Next) -> None:
        self.places = tuple(places)
        step = send
        for _, policy in reversed(self.places):
            if policy is not None:
                step = _wrap(policy, step)
        self._step = step

    def __call__(self, call: Call) -> Coroutine[object, object, Reply]:
        """Run the call."""
        return self._step(call)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies that are there, outer to inner."""
        return tuple(policy for _, policy in self.places if policy is not None)

    def describe(self) -> str:
        """The order and the settings, one line a place, outer to inner."""
        width = max((len(name) for name, _ in self.places), default=0)
        lines = [f"{name:<{width}}  {_describe(policy)}" for name, policy in self.places]
        return "\n".join([*lines, f"{'send':<{width}}  one exchange with the target"])


def _wrap(policy: Policy, step: Next) -> Next:
    return lambda call: policy(call, step)


def _describe(policy: Policy | None) -> str:
    if policy is None:
        return "-"
    describe = getattr(policy, "describe", None)
    return f"{type(policy).__name__}: {describe()}" if callable(describe) else type(policy).__name__

"""What a backend wants on spans beside the conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call
    from aistrale.telemetry.instrument import Step
    from aistrale.telemetry.otel.attributes import Attributes


class Flavour(Protocol):
    """What a backend wants on spans beside the conventions."""

    usage: bool
    """Whether the conventions' tokens are on spans at all; False where the backend has a form of its own for them."""

    def call(self, call: Call, *, rooted: bool, named: bool = False) -> Attributes:
        """Of a call that begins.

        Args:
            call: It.
            rooted: Whether its span has none above it that goes elsewhere.
            named: Whether a span of ours above it has named the trace.
        """
        ...

    def step(self, step: Step, *, rooted: bool) -> Attributes:
        """Of a step of a framework, or a decorated function, that begins.

        Args:
            step: It.
            rooted: As above.
        """
        ...

    def attempt(self, call: Call, attempt: Attempt, *, counted: bool) -> Attributes:
        """Of an attempt that is over.

        Args:
            call: Its call.
            attempt: Settled.
            counted: Whether its tokens are counted here.
        """
        ...


class Plain:
    """Nothing beside the conventions."""

    usage = True

    def call(self, call: Call, *, rooted: bool, named: bool = False) -> Attributes:
        """None."""
        return {}

    def step(self, step: Step, *, rooted: bool) -> Attributes:
        """None."""
        return {}

    def attempt(self, call: Call, attempt: Attempt, *, counted: bool) -> Attributes:
        """None."""
        return {}

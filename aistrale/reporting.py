"""What one client tells of its calls: to its sinks, and to the application's `on_event`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.config import Settings
    from aistrale.core.pipeline import Policy
    from aistrale.cost.budgets.event import BudgetEvent
    from aistrale.cost.optimization.optimizer import OptimizeEvent
    from aistrale.privacy.event import PrivacyEvent
    from aistrale.privacy.protection import Protection
    from aistrale.reliability.breaker_types import BreakerEvent
    from aistrale.telemetry.hub import Hub
    from aistrale.telemetry.instrument import Instrument
    from aistrale.telemetry.observer import Observer
    from aistrale.telemetry.status import DeliveryStatus

T = TypeVar("T")


class Reporting:
    """The telling side of one client. Without sinks nothing of telemetry is loaded.

    Args:
        settings: The client's.
        protection: What redacts its calls; None where nothing does.
    """

    def __init__(self, settings: Settings, protection: Protection | None = None) -> None:
        self.hub: Hub | None = None
        self.observer: Observer | None = None
        self.instruments: tuple[Instrument, ...] = ()
        """What makes spans, of the sinks that do."""
        self.policies: dict[str, Policy] = {}
        listener = settings.on_event
        self.breaker: Callable[[BreakerEvent], None] | None = listener
        self.privacy: Callable[[PrivacyEvent], None] | None = listener
        self.budget: Callable[[BudgetEvent], None] | None = listener
        self.optimized: Callable[[OptimizeEvent], None] | None = listener
        if settings.sinks:
            self._open(settings, protection)

    def flush(self, timeout: float) -> bool:
        """Bring events to their sinks; whether that was done within `timeout` seconds."""
        return self.hub is None or self.hub.flush(timeout)

    def status(self) -> list[DeliveryStatus]:
        """What became of the events of each sink."""
        return [] if self.hub is None else self.hub.status()

    def close(self) -> None:
        """Bring events to their sinks and let go of them; a later call begins anew."""
        if self.hub is not None:
            self.hub.close()

    def _open(self, settings: Settings, protection: Protection | None) -> None:
        from aistrale.policies.telemetry import Telemetry
        from aistrale.policies.trace import Trace
        from aistrale.telemetry.content import Capture
        from aistrale.telemetry.hub import Hub
        from aistrale.telemetry.observer import Observer

        self.hub = Hub(settings.sinks)
        # Where calls are redacted, requests are seen as they are sent; what a model says is new text in any case.
        own = None if protection is None else protection.settings
        screened = own is not None and own.redact and own.on_error == "block"
        capture = Capture(always=settings.capture, redact=partial(_harmless, protection), screened=screened)
        observer = self.observer = Observer(self.hub.emit, capture)
        instruments = self.instruments = self.hub.instruments
        self.policies = {"telemetry": Telemetry(observer, instruments), "trace": Trace(instruments)}
        listener = settings.on_event
        self.breaker = _both(listener, observer.breaker)
        self.privacy = _both(listener, observer.privacy)
        self.budget = _both(listener, observer.budget)
        self.optimized = _both(listener, observer.optimized)


def _both(first: Callable[[T], None] | None, second: Callable[[T], None]) -> Callable[[T], None]:
    if first is None:
        return second

    def told(event: T) -> None:
        try:
            second(event)
        finally:
            # Last, since it is the application's and may raise.
            first(event)

    return told


def _harmless(protection: Protection | None, text: str) -> str:
    # Loaded by the first text that is captured.
    from aistrale.privacy.single import harmless

    return harmless(protection, text)

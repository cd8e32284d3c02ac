"""Key holds: after news that concerns a key and not a target (rejected, out of money), nothing more is sent with it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from aistrale.errors import AuthenticationError, QuotaExceededError

if TYPE_CHECKING:
    import random

    from aistrale.errors import APIError

# What a provider that refuses for money is given when it does not say until when.
QUOTA_HOLD: Final = 600.0
# A limit that is said to last for weeks can be raised by hand at any moment: somebody looks once an hour.
QUOTA_LONGEST: Final = 3600.0
# A rejected key is asked about again soon, since somebody may be mending it at this moment; the pause doubles.
_FIRST: Final = 5.0
_LONGEST: Final = 300.0
_MAX_EXPONENT: Final = 16


@dataclass(slots=True, frozen=True)
class Hold:
    """Why nothing is sent.

    Args:
        error: The class of the provider's refusal.
        since: When it came, in monotonic seconds.
        until: When the key is tried again.
    """

    error: type[APIError]
    status: int | None
    code: str | None
    since: float
    until: float

    @property
    def reason(self) -> Literal["rejected", "quota"]:
        """In a word."""
        return "rejected" if issubclass(self.error, AuthenticationError) else "quota"

    def refusal(self, provider: str, target: str, now: float) -> APIError:
        """A fresh error like the one that began the hold; it says that nothing was sent."""
        wait = max(self.until - now, 0.0)
        rejected = self.reason == "rejected"
        return self.error(
            f"not sent: {provider} {'rejected this key' if rejected else 'refused for lack of quota or credit'} "
            f"{max(now - self.since, 0.0):.0f} s ago",
            status=self.status,
            provider=provider,
            target=target,
            code=self.code,
            retry_after=wait,
            hint=f"{'Correct the key' if rejected else 'Add credit or raise the limit'}; "
            f"it is tried again in {wait:.0f} s, or at once in a new client.",
        )


class KeyHold:
    """The hold of one provider's key, if there is one.

    Args:
        rng: Jitter, so that processes do not come back together.
    """

    __slots__ = ("_count", "_lock", "_rng", "hold")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        # Re-entrant: a finalizer may settle a call inside whatever this thread does under the lock.
        self._lock = threading.RLock()
        self._count = 0
        self.hold: Hold | None = None
        """The last hold; it may be over."""

    def check(self, now: float) -> Hold | None:
        """The hold that is in force."""
        hold = self.hold
        return hold if hold is not None and now < hold.until else None

    def refused(self, error: APIError, wait: float | None, now: float) -> None:
        """The provider said something about the key.

        Args:
            error: What it said: a rejection or an exhausted quota.
            wait: Seconds until it may change, where the provider said so.
            now: Monotonic seconds.
        """
        with self._lock:
            if isinstance(error, QuotaExceededError):
                seconds = QUOTA_HOLD if wait is None else min(wait, QUOTA_LONGEST)
            else:
                pause = min(_LONGEST, _FIRST * 2.0 ** min(self._count, _MAX_EXPONENT))
                seconds = pause * self._rng.uniform(0.5, 1.5)
                self._count += 1
            until = now + seconds
            # Calls that were under way together bring the same news; a longer hold is not shortened by it.
            if self.hold is None or until > self.hold.until:
                self.hold = Hold(type(error), error.status, error.code, now, until)

    def hear(self, hold: Hold) -> None:
        """Another process that shares state was refused; a longer hold is not shortened by it."""
        with self._lock:
            if self.hold is None or hold.until > self.hold.until:
                self.hold = hold

    def worked(self) -> None:
        """The key was accepted."""
        if self.hold is not None:
            with self._lock:
                self.hold = None
                self._count = 0

    def after_fork(self) -> None:
        """A new lock for a forked child; what is known of the key stays true."""
        self._lock = threading.RLock()

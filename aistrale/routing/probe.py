"""Probes: a small call to a target that had no traffic, so that its health is known before it is needed.

Passive statistics say nothing about a fallback that nobody calls. A probe is a real call and costs money, hence it is
off unless asked for, comes at most every few minutes, and only as a small share of the calls that were made anyway.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, on_fork
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Target
    from aistrale.routing.health import TargetStats

# Probes that can be saved up: what may still be sent after the traffic has ended.
_MOST_SAVED: Final = 3.0
# A target whose probes fail is asked half as often after each, down to an eighth.
_MOST_DOUBLINGS: Final = 3
_SHORTEST_PAUSE: Final = 1.0
_LONGEST_DELAY: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """When a target without traffic is probed.

    Args:
        every: Seconds without traffic after which a target is probed, and between two probes; at least 1.
        share: Most probes, as a share of all calls of the client; above 0, at most 1.

    Raises:
        ConfigurationError: A number is out of its range.
    """

    every: float = 300.0
    share: float = 0.01

    def __post_init__(self) -> None:
        if not self.every >= 1.0:
            raise ConfigurationError("every: not 1 second or more", field="every")
        if not 0.0 < self.share <= 1.0:
            raise ConfigurationError("share: not above 0 and up to 1", field="share")


class _Watch:
    """What is known about one target's probes."""

    __slots__ = ("calls", "failures", "since")

    def __init__(self, since: float, calls: int) -> None:
        self.since = since
        self.calls = calls
        self.failures = 0


class Probes:
    """Decides which targets are due for a probe. Used by one thread.

    Calls earn probes: `share` of one each. So probes never exceed that share of the calls made so far, and when the
    traffic ends the probing ends soon after.
    """

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._saved = 0.0
        self._watched: dict[str, _Watch] = {}

    def due(self, stats: Mapping[str, TargetStats], now: float) -> list[str]:
        """The targets to probe now, the longest idle first; each counts as probed.

        Args:
            stats: Of every target that should be kept an eye on, by its name.
            now: Monotonic seconds.
        """
        self._earn(stats, now)
        waits = sorted((self._wait(name, own, now), name) for name, own in stats.items())
        names = [name for wait, name in waits if wait <= 0.0][: int(self._saved)]
        self._saved -= len(names)
        for name in names:
            self._watched[name].since = now
        return names

    def probed(self, name: str, own: TargetStats, now: float, *, ok: bool) -> None:
        """A probe that was due has been sent; it earns nothing, and failing makes the next one wait longer."""
        watch = self._watched[name]
        watch.calls, watch.since = own.calls, now
        watch.failures = 0 if ok else watch.failures + 1

    def pause(self, stats: Mapping[str, TargetStats], now: float) -> float | None:
        """Seconds until `due` is worth asking again; None when further calls have to be made first."""
        if int(self._saved) < 1 or not stats:
            return None
        return max(_SHORTEST_PAUSE, min(self._wait(name, own, now) for name, own in stats.items()))

    def _earn(self, stats: Mapping[str, TargetStats], now: float) -> None:
        for name in self._watched.keys() - stats.keys():
            del self._watched[name]
        made = 0
        for name, own in stats.items():
            watch = self._watched.get(name)
            if watch is None:
                watch = self._watched[name] = _Watch(now, own.calls)
            new = max(0, own.calls - watch.calls)
            if new:
                made += new
                watch.calls, watch.failures = own.calls, 0
        self._saved = min(_MOST_SAVED, self._saved + made * self._settings.share)

    def _wait(self, name: str, own: TargetStats, now: float) -> float:
        watch = self._watched[name]
        seen = now if own.in_flight else watch.since if own.last_seen is None else own.last_seen
        idle = now - max(watch.since, seen)
        return self._settings.every * 2.0 ** min(watch.failures, _MOST_DOUBLINGS) - idle


class Prober:
    """Sends probes from a background thread, which runs only as long as there is traffic to earn them.

    Args:
        settings: How often.
        targets: The targets to keep an eye on with their statistics; asked anew each time.
        send: Makes a small call to a target through the client, whose policies record how it went; gives whether an
            answer came. It must bound its own time and raise nothing for a target that fails.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        *,
        targets: Callable[[], Mapping[str, tuple[Target, TargetStats]]],
        send: Callable[[Target], bool],
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._send = send
        self._now = now
        self._probes = Probes(settings)
        self._closed = False
        step = weakref.WeakMethod(self.step)

        def weak_step() -> float | None:
            # A worker that held its owner would keep it, and the client behind it, alive.
            method = step()
            return method() if method is not None else None

        delay = min(_LONGEST_DELAY, settings.every / 10.0)
        self._worker = Worker(weak_step, name="aistrale-prober", delay=delay)
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        # What the parent's calls have earned is the parent's: or every child would spend it once more.
        self._probes = Probes(self._settings)

    def wake(self) -> None:
        """Say that a call is being made; costs an attribute look-up most of the time."""
        if not self._closed:
            self._worker.wake()

    def close(self, timeout: float | None = None) -> None:
        """Send no more; the probe under way is finished.

        Args:
            timeout: Seconds to wait for it; None waits as long as it takes.
        """
        self._closed = True
        self._worker.close(timeout)

    def step(self) -> float | None:
        """Send what is due, for the worker; returns seconds until the next look, None to wait for traffic."""
        targets = self._targets()
        stats = {name: own for name, (_, own) in targets.items()}
        probes = self._probes
        for name in probes.due(stats, self._now()):
            if self._closed:
                return None
            target, own = targets[name]
            ok = self._send(target)
            probes.probed(name, own, self._now(), ok=ok)
        return probes.pause(stats, self._now())

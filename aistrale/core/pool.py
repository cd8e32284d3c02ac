"""Idle connections on a stack per origin: O(1) to take and to give back, however many there are."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aistrale.core.network import Wire
    from aistrale.core.transport import Foreign

# What a forked child has inherited is kept, closed, instead of collected: finalizers of asyncio's transports and
# generators would complain, or wake the loop of the parent through a pipe that both share.
_forgotten: list[object] = []


class Link:
    """One connection: httpcore's object, the wire beneath it, and how it was used."""

    __slots__ = ("connection", "idle_since", "key", "uses", "wire")

    def __init__(self, key: object, connection: Any, wire: Wire) -> None:  # noqa: ANN401 - of either library
        self.key = key
        self.connection = connection
        self.wire = wire
        self.uses = 0
        self.idle_since = 0.0

    def reusable(self) -> bool:
        """True if the last exchange is complete on both sides and has left nothing behind."""
        wire = self.wire
        if wire.closed or wire.eof or not self.connection.is_idle():
            return False
        # Bytes after the end of a response (a wrong Content-Length, an answer nobody asked for) wait in h11's
        # buffer, where they would be taken for the next response. httpcore has no public way to ask for them; in
        # a version where these names are gone, the check in _Http._exchange remains.
        parser = getattr(getattr(self.connection, "_connection", None), "_h11_state", None)
        return parser is None or not parser.trailing_data[0]


class Pool:
    """The connections of one client, or of one client in one event loop.

    Args:
        max_idle: How many idle connections are kept per origin.
        idle_expiry: Seconds after which an idle connection is not used any more.
    """

    __slots__ = (
        "_expiry",
        "_idle",
        "_links",
        "_lock",
        "_max_idle",
        "closed",
        "foreign",
        "guard",
        "opened",
        "retried",
        "reused",
    )

    def __init__(self, max_idle: int, idle_expiry: float) -> None:
        self._max_idle = max_idle
        self._expiry = idle_expiry
        self._lock = threading.Lock()
        self._idle: dict[object, deque[Link]] = {}
        # Every connection that exists. Adding and removing are atomic, because finalizers do it too and must
        # not wait for the lock.
        self._links: set[Link] = set()
        self.foreign: dict[str, Foreign] = {}
        self.guard: AsyncGenerator[None] | None = None
        self.closed = False
        self.opened = 0
        self.reused = 0
        self.retried = 0

    def take(self, key: object) -> Link | None:
        """The most recently used idle connection to an origin that still looks alive."""
        doomed: list[Link] = []
        found = None
        with self._lock:
            stack = self._idle.get(key)
            if stack:
                now = monotonic()
                while stack:
                    link = stack.pop()
                    if now - link.idle_since > self._expiry:
                        # Everything beneath is older still.
                        doomed += [link, *stack]
                        stack.clear()
                    elif link.wire.stale():
                        # One system call (1 us), every time: it saves most replacements of connections that
                        # died, and bytes that came too late for the last exchange cannot enter the next.
                        doomed.append(link)
                    else:
                        self.reused += 1
                        link.wire.idle = False
                        found = link
                        break
        for link in doomed:
            self.discard(link)
        return found

    def add(self, key: object, connection: Any, wire: Wire) -> Link:  # noqa: ANN401
        """Take a new connection into the books."""
        link = Link(key, connection, wire)
        self._links.add(link)
        with self._lock:
            self.opened += 1
        return link

    def release(self, link: Link) -> None:
        """Give a connection back after an exchange; it is closed where it cannot or need not be kept."""
        if self.closed or not link.reusable():
            self.discard(link)
            return
        doomed = None
        link.idle_since = now = monotonic()
        link.wire.idle = True
        with self._lock:
            stack = self._idle.get(link.key)
            if stack is None:
                stack = self._idle[link.key] = deque()
            stack.append(link)
            oldest = stack[0]
            if len(stack) > self._max_idle or now - oldest.idle_since > self._expiry:
                doomed = stack.popleft()
        if doomed is not None:
            self.discard(doomed)

    def discard(self, link: Link) -> None:
        """Close a connection at once (in the event loop that it belongs to, if any)."""
        self._links.discard(link)
        link.wire.drop()

    def abandon(self, link: Link) -> None:
        """Close a connection from anywhere, finalizers included."""
        self._links.discard(link)
        link.wire.abandon()

    def _take_all(self) -> list[Link]:
        with self._lock:
            links = [link for stack in self._idle.values() for link in stack]
            self._idle.clear()
        return links

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self.closed = True
        for link in self._take_all():
            self.discard(link)

    def abandon_idle(self) -> None:
        """Close what is idle, from outside of the event loop; what is in use is closed when it is given back."""
        self.closed = True
        # No lock: this runs in finalizers too, perhaps in a thread that holds it.
        for link in list(self._links):
            if link.wire.idle:
                self.abandon(link)

    def abandon_all(self) -> None:
        """Close everything, after the event loop has ended."""
        self.closed = True
        for link in list(self._links):
            self.abandon(link)

    def forget(self) -> None:
        """In a forked child: close this process' descriptors and leave the connections to the parent."""
        self._lock = threading.Lock()
        links, self._links, self._idle = self._links, set(), {}
        _forgotten.append((links, self.foreign, self.guard))
        self.foreign, self.guard = {}, None
        for link in links:
            link.wire.forget()

    def stats(self) -> dict[str, int]:
        """Counts of connections."""
        links = list(self._links)
        idle = sum(link.wire.idle for link in links)
        return {
            "idle": idle,
            "active": len(links) - idle,
            "opened": self.opened,
            "reused": self.reused,
            "retried": self.retried,
        }

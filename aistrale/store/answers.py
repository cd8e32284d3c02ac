"""Where remembered answers are kept: in memory, in an SQLite file that processes share, or in the Redis of a fleet.

A store keeps bytes under a key for a while and within bounds; what the bytes mean and how old is too old is not its
business. It may lose everything at any time, and never fails a call: what goes wrong reads as "not remembered".
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aistrale.core.exclusive import Exclusive
from aistrale.core.worker import check_fork, on_fork
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.store.answers_sqlite import SQLiteAnswers

MEMORY: Final = "memory"
AUTO: Final = "auto"
SHARED: Final = "redis"
_SQLITE: Final = "sqlite:///"
_ACCEPTED: Final = (
    'Accepted are "auto", "memory", "sqlite:///relative/path", "sqlite:////absolute/path", and "redis" where the '
    "setting `state` names one."
)
# What an entry costs beside its bytes: the key, the tuple, its place in the table.
OVERHEAD: Final = 300


class Entry(NamedTuple):
    """A remembered answer.

    Args:
        data: What `pack` made of it.
        at: When it was given, Unix seconds.
        expires: From when on it serves nobody, Unix seconds.
    """

    data: bytes
    at: float
    expires: float

    @property
    def size(self) -> int:
        """What it counts for, bytes."""
        return len(self.data) + OVERHEAD


class Answers(Protocol):
    """Keeps answers. No method raises."""

    @property
    def slow(self) -> bool:
        """Whether `get` touches a file or another machine, so that an event loop leaves it to a thread."""
        ...

    def get(self, key: str, now: float) -> Entry | None:
        """What is kept under a key and has not expired at `now`, Unix seconds."""
        ...

    def put(self, key: str, entry: Entry) -> None:
        """Keep an answer, in place of an older one; never waits, and may be called from finalizers."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def flush(self) -> None:
        """Wait until what was put is where other processes find it."""
        ...

    def close(self) -> None:
        """Free files and threads; it may be used again afterwards."""
        ...


class Unwritten:
    """Answers on their way to where they are kept; the oldest make room. Safe between threads.

    Args:
        most: Most bytes that wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._one = Exclusive()
        self._entries: dict[str, Entry] = {}
        self.bytes = 0
        """How many wait."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """What waits under a key."""
        return self._one.run(lambda: self._entries.get(key))

    def put(self, key: str, entry: Entry) -> None:
        """Take an answer, in place of an older one of the same key; also from finalizers."""
        self._one.post(lambda: self._put(key, entry))

    def first(self, count: int) -> list[tuple[str, Entry]]:
        """Those that came first; they wait until they are `done`."""
        return self._one.run(lambda: list(islice(self._entries.items(), count)))

    def done(self, batch: Sequence[tuple[str, Entry]]) -> None:
        """These are written, or given up; newer ones of the same keys go on waiting."""
        self._one.run(lambda: self._done(batch))

    def clear(self) -> None:
        """Forget all."""
        self._one.run(lambda: self._done(list(self._entries.items())))

    def _put(self, key: str, entry: Entry) -> None:
        self._drop(key)
        self._entries[key] = entry
        self.bytes += entry.size
        while self.bytes > self._most:
            self._drop(next(iter(self._entries)))

    def _done(self, batch: Sequence[tuple[str, Entry]]) -> None:
        for key, entry in batch:
            if self._entries.get(key) is entry:
                self._drop(key)

    def _drop(self, key: str) -> None:
        before = self._entries.pop(key, None)
        self.bytes -= 0 if before is None else before.size


class MemoryAnswers:
    """Answers in the memory of this process; the least recently used make room.

    A forked child begins with none: what a thread of the parent was doing to the table as it forked is not known.

    Args:
        max_entries: Most answers, at least 1.
        max_bytes: Most bytes that they take; a larger answer is not kept.
    """

    slow = False

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._reset()
        on_fork(self._reset)

    def _reset(self) -> None:
        self._exclusive = Exclusive()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._bytes

    def get(self, key: str, now: float) -> Entry | None:
        """See `Answers.get`."""
        check_fork()
        return self._exclusive.run(lambda: self._get(key, now))

    def _get(self, key: str, now: float) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """See `Answers.put`."""
        check_fork()
        self._exclusive.post(lambda: self._put(key, entry))

    def _put(self, key: str, entry: Entry) -> None:
        if key in self._entries:
            self._drop(key)
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        self._bytes -= self._entries.pop(key).size

    def clear(self) -> None:
        """See `Answers.clear`."""
        check_fork()
        self._exclusive.run(self._clear)

    def _clear(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def flush(self) -> None:
        """There are no other processes to wait for."""

    def close(self) -> None:
        """Nothing is open."""


def open_answers(setting: str, *, max_entries: int, max_bytes: int) -> MemoryAnswers | SQLiteAnswers:
    """The store that a setting asks for; a file is opened at the first use.

    Args:
        setting: "memory" or "auto", or "sqlite:///path" (relative to the current directory; with a fourth slash
            absolute; `~` is the home directory).
        max_entries: Most answers, at least 1.
        max_bytes: Most bytes that they take.

    Raises:
        ConfigurationError: The setting, field `cache.store`, is neither.
    """
    if setting in {MEMORY, AUTO}:
        return MemoryAnswers(max_entries=max_entries, max_bytes=max_bytes)
    path = _path_of(setting)
    from aistrale.store.answers_sqlite import SQLiteAnswers

    return SQLiteAnswers(path, max_entries=max_entries, max_bytes=max_bytes)


def _path_of(setting: object) -> Path:
    # Never quoted: an address may hold a password.
    name = setting.removeprefix(_SQLITE) if isinstance(setting, str) and setting.startswith(_SQLITE) else ""
    if name in {"", ":memory:"} or "\0" in name:
        raise ConfigurationError("cache.store: the address is not understood.", field="cache.store", hint=_ACCEPTED)
    try:
        path = Path(name).expanduser().absolute()
    except (OSError, RuntimeError):
        raise ConfigurationError(
            "cache.store: the home or current directory is not known.", field="cache.store", hint=_ACCEPTED
        ) from None
    return path

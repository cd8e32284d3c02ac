"""The way to Redis: scripts are sent at once or not at all, and whoever asks never waits for long.

One failure is enough to leave Redis alone: everything goes on without it, and whoever looks after the connection
(`aistrale.store.redis.fleet`) tries in the background until it can be reached, and has been told what it missed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aistrale.core.worker import importing, on_fork
from aistrale.store.redis.address import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    import redis

    from aistrale.store.redis.address import Address

Reply: TypeAlias = "list[object]"

_log = logging.getLogger("aistrale.state")
# Seconds that the first call waits for a connection, where the timeout is short: a process that starts is slow.
_FIRST: Final = 1.0
# Seconds in which the log tells of one outage; a Redis that comes and goes would fill it.
_QUIET: Final = 10.0
# The client library's names for what only a cluster says.
_CLUSTER: Final = frozenset({"MovedError", "AskError", "ClusterDownError", "ClusterCrossSlotError"})


class Away(Exception):
    """Redis cannot be asked; whoever catches it goes on without."""


class Script:
    """A script that Redis runs as one.

    Args:
        text: In Lua.
    """

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True, frozen=True, kw_only=True)
class StateStatus:
    """How a client's shared state stands.

    Args:
        kind: "memory" or "redis".
        address: Where it is, without a password; empty for "memory".
        connected: Whether other processes can be reached; True for "memory", which has none.
        since: From when on that is so, aware UTC; None before anything was tried.
        processes: How many share it, this one included, as far as is known.
        errors: How often Redis failed, in all.
        last_error: Why, the last time; None where it never did.
        pending: What waits to be told to Redis: settlements of budgets, answers, news.
    """

    kind: str
    address: str = ""
    connected: bool = True
    since: datetime | None = None
    processes: int = 1
    errors: int = 0
    last_error: str | None = None
    pending: int = 0


class Connection:
    """Connections of one process to Redis, made at first use; safe between threads and after a fork.

    Args:
        address: Where.
        join: Is called before the first script is sent, and again each time that Redis has been away: makes this
            process known there. Whatever it raises means that Redis is away.

    Raises:
        ConfigurationError: An option in the address is not understood.
        ImportError: The client library is missing.
    """

    def __init__(self, address: Address, join: Callable[[], None]) -> None:
        self.address = address
        self._join = join
        self.down = False
        """Whether Redis is left alone. Read on hot paths."""
        self.era = 0
        """Changes whenever `down` does."""
        self.processes = address.processes
        """How many processes share, as was last heard."""
        self.joined = False
        self.errors = 0
        self.last_error: str | None = None
        self.since: float | None = None
        self._warned = -_QUIET
        self._quiet = False
        self.lost: Callable[[], None] = lambda: None
        """Is told when Redis is left alone; must not block."""
        with importing():
            self._redis = _library()
        try:
            self._options = self._redis.connection.parse_url(address.url)
        except ValueError:
            raise wrong("the options of the address are not understood") from None
        self._check_options()
        self._reset()
        on_fork(self._reset)

    def _check_options(self) -> None:
        # The library reads them when it connects, and then nobody looks: it would be as if Redis were away.
        try:
            self._make(self.address.timeout).connection_pool.make_connection()
        except (TypeError, ValueError, self._redis.exceptions.RedisError) as error:
            named = [name for name in self._options if f"'{name}'" in str(error)]
            raise wrong(f"{named[0] if named else 'one'} is no option of such a connection to Redis") from None

    def _reset(self) -> None:
        # Sockets that a child inherits are the parent's; it makes its own.
        self._client: redis.Redis | None = None
        self._lock = threading.Lock()
        self._joining = threading.RLock()
        self.joined = self.down = False
        self.era += 1

    # --- asking ------------------------------------------------------------------------------------------------------

    def run(self, script: Script, keys: Sequence[str], args: Sequence[object]) -> Reply:
        """Run a script; for at most about the timeout, and the first time a second, or twice the timeout.

        Args:
            script: Which one.
            keys: Its KEYS, whole.
            args: Its ARGV: text, bytes or numbers.

        Returns:
            What it answers: bytes and whole numbers.

        Raises:
            Away: Redis is left alone, or has just failed.
        """
        self.ready()
        return self.ask(script, keys, args)

    def ready(self) -> None:
        """Have this process known, if it is not yet.

        Raises:
            Away: Redis is left alone, or has just failed.
        """
        if self.down:
            raise Away
        if not self.joined:
            self.join_in_time()

    def join_in_time(self, *, again: bool = False) -> None:
        """Join, but wait for it no longer than a call may: looking up a name takes as long as the system likes.

        Args:
            again: Whether also while Redis is left alone.

        Raises:
            Away: It cannot be reached.
        """
        joining = threading.Thread(target=self._try_to_join, kwargs={"again": again}, name="aistrale-join", daemon=True)
        try:
            joining.start()
        except RuntimeError:
            # At the end of the interpreter, or where there are no more threads.
            self.rejoin(again=again)
            return
        limit = max(2 * self.address.timeout, _FIRST)
        joining.join(limit)
        if joining.is_alive() and not self.joined:
            self.failed(TimeoutError(f"no connection within {limit:g} s"))
        if not self.joined:
            raise Away

    def _try_to_join(self, *, again: bool) -> None:
        with contextlib.suppress(Away):
            self.rejoin(again=again)

    def ask(self, script: Script, keys: Sequence[str], args: Sequence[object]) -> Reply:
        """As `run`, without asking whether Redis is left alone; for those who find out.

        Raises:
            Away: It failed.
        """
        era = self.era
        try:
            client = self.client()
            send = cast("Callable[..., object]", client.execute_command)
            try:
                reply = send("EVALSHA", script.sha, len(keys), *keys, *args)
            except self._redis.exceptions.NoScriptError:
                reply = send("EVAL", script.text, len(keys), *keys, *args)
        except (self._redis.exceptions.RedisError, OSError, ValueError, IndexError, TypeError) as error:
            self.failed(error, era)
            raise Away from error
        if not isinstance(reply, list):
            self.failed(ValueError("an answer that makes no sense"), era)
            raise Away
        return cast("Reply", reply)

    def rejoin(self, *, again: bool = False) -> None:
        """Make this process known, unless another thread has done so meanwhile.

        Args:
            again: Whether also while Redis is left alone.

        Raises:
            Away: It cannot be reached.
        """
        with self._joining:
            if self.joined:
                return
            if self.down and not again:
                raise Away
            try:
                self._join()
            except Away:
                raise
            except Exception as error:
                self.failed(error)
                raise Away from error
            with self._lock:
                back, self.down, self.joined = self.down, False, True
                self.era += 1
                self.since = time.time()
        if back:
            _log.log(logging.DEBUG if self._quiet else logging.INFO, "shared state: Redis is back")

    def client(self) -> redis.Redis:
        """The client library's client. Raises its errors."""
        client = self._client
        if client is None:
            with self._lock:
                client = self._client = self._client or self._make(self.address.timeout)
        return client

    def listener(self) -> redis.Redis:
        """A client of its own, for whoever listens for long; the caller closes it."""
        return self._make(self.address.timeout)

    def trouble(self, seconds: float) -> str | None:
        """Why Redis does not answer within so many seconds; None if it does. Does not join the fleet."""
        client = self._make(seconds)
        try:
            client.ping()
        except (self._redis.exceptions.RedisError, OSError) as error:
            return self._explain(error)
        finally:
            client.connection_pool.disconnect()
        return None

    def _make(self, timeout: float) -> redis.Redis:
        library = self._redis
        ours = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # One layer decides when to try again, and it is not this one.
            "retry": library.retry.Retry(library.backoff.NoBackoff(), 0),
            "retry_on_error": [],
            "protocol": 2,
        }
        pool = library.ConnectionPool(**{**self._options, **ours})
        return cast("redis.Redis", library.Redis(connection_pool=pool))

    # --- failing -----------------------------------------------------------------------------------------------------

    def failed(self, error: BaseException, era: int | None = None) -> None:
        """Leave Redis alone.

        Args:
            error: Why.
            era: When it was asked: what fails late does not speak of now. None: now.
        """
        text = self._explain(error)
        with self._lock:
            self.errors += 1
            self.last_error = text
            if era is not None and era != self.era:
                return
            news = not self.down
            self.down, self.joined = True, False
            if news:
                self.era += 1
                self.since = time.time()
        if news:
            now = time.monotonic()
            self._quiet = now - self._warned < _QUIET
            self._warned = self._warned if self._quiet else now
            _log.log(
                logging.DEBUG if self._quiet else logging.WARNING, "shared state: going on without Redis (%s)", text
            )
            self.lost()

    def _explain(self, error: BaseException) -> str:
        text = str(error)
        if type(error).__name__ in _CLUSTER:
            text = "Redis Cluster is not supported: give the address of a single Redis"
        elif isinstance(error, self._redis.exceptions.TimeoutError):
            text = f"no answer within {self.address.timeout:g} s; ?timeout= in the address sets another limit"
        if secret := self.address.secret:
            text = text.replace(secret, "***")
        return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__

    def status(self, pending: int = 0) -> StateStatus:
        """How it stands."""
        return StateStatus(
            kind="redis",
            address=self.address.shown,
            connected=self.joined and not self.down,
            since=None if self.since is None else datetime.fromtimestamp(self.since, UTC),
            processes=self.processes,
            errors=self.errors,
            last_error=self.last_error,
            pending=pending,
        )

    def close(self) -> None:
        """Close the sockets; it may be used again afterwards."""
        with self._lock:
            client, self._client = self._client, None
            self.joined = False
        if client is not None:
            client.connection_pool.disconnect()


def _library() -> ModuleType:
    try:
        import redis
        import redis.backoff
        import redis.connection
        import redis.retry
    except ImportError as error:
        raise ImportError('state="redis://..." needs the package redis: pip install "aistrale[redis]"') from error
    return redis

"""A PostgreSQL server that a test starts, kills and starts again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

_START_SECONDS = 60.0
# A language of its own, so that nothing depends on the order that "C" has.
_INITDB = ("--username=owner", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu",
           "--icu-locale=en", "--no-sync", "--no-instructions")  # fmt: skip
_SETTINGS = {
    "listen_addresses": "", "fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
    "autovacuum": "off", "shared_buffers": "16MB", "max_connections": "40",
}  # fmt: skip
_HBA = "local all secret scram-sha-256\nlocal all all trust\n"


def _programs() -> Path | None:
    """Where Debian has the newest server, else what is on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


PROGRAMS = _programs()
REASON = "no PostgreSQL server is installed, or there is nobody but root to run it"


def account() -> dict[str, int] | None:
    """Whose the server is: it refuses to be root's."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid}
    return None


class PostgresServer:
    """The server; it may be killed and started again.

    Args:
        directory: Where everything is; its path must be short, as that of a socket is.
    """

    def __init__(self, directory: Path) -> None:
        assert PROGRAMS is not None
        self.directory = directory
        self._bin = PROGRAMS
        self._account = account() or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._hung: list[int] = []
        if self._account:
            os.chown(directory, self._account["user"], self._account["group"])
        self._run("initdb", "-D", str(directory / "data"), *_INITDB)
        (directory / "data" / "pg_hba.conf").write_text(_HBA)

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / name, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **self._account,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        settings = _SETTINGS | {"unix_socket_directories": str(self.directory)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._process is None or self._process.poll() is not None:
                # After a kill, the memory of the old one is in use until the last of its children has noticed.
                with (self.directory / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        [self._bin / "postgres", "-D", self.directory / "data", *options], cwd="/", stdout=log,
                        stderr=log, env={"LC_ALL": "C.UTF-8"}, **self._account,
                    )  # fmt: skip
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def hang(self) -> None:
        """Connections stand, nothing is answered."""
        with self.connect() as connection:
            pids = [
                pid
                for (pid,) in connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                )
            ]
        self._hung = [self._process.pid, *pids]
        self._tell(signal.SIGSTOP)

    def go_on(self) -> None:
        self._tell(signal.SIGCONT)
        self._hung = []

    def _tell(self, number: int) -> None:
        for pid in self._hung:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, number: int = signal.SIGQUIT) -> None:
        self.go_on()
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=60)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.directory), user="owner", dbname="postgres", autocommit=True)

    def address(self, schema: str, user: str = "owner", **options: str) -> str:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://{user}@/postgres?host={self.directory}&schema={schema}{more}"

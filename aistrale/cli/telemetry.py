"""`aistrale telemetry`: what waits for sinks, and events as they come."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aistrale.cli import _screen
from aistrale.errors import AistraleError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.cli._following import FileTail, SpoolTail
    from aistrale.telemetry._spool_files import SpoolStatus
    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.settings import SinkSettings
    from aistrale.types import JSONObject

_POLL_SECONDS = 0.2
_UNITS = ("B", "KB", "MB", "GB")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@click.group("telemetry", short_help="What waits for sinks, and events as they come.")
def command() -> None:
    """Look at the sinks of the settings, at what waits on disk for them, and at events."""


@command.command("status", short_help="The sinks of the settings, and what waits on disk.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(*, as_json: bool) -> None:
    """Show the sinks of the settings, and every spool on this machine's disk: those of all processes that share a home.

    What waits in the memory of other processes is not known here. Exits with 0 also where something is in the way.
    """
    from aistrale.core.home import data_directory
    from aistrale.telemetry._spool_files import spool_directories, spool_status

    data = data_directory()
    found = {} if data is None else spool_directories(data)
    spools = [spool_status(name, path) for name, path in found.items()]
    problem = None
    sinks: tuple[SinkSettings, ...] = ()
    try:
        sinks = _sinks()
    except AistraleError as error:
        # A sink that cannot be set up is no reason not to show what waits.
        problem = str(error)
    if as_json:
        _screen.document(
            {"sinks": [_sink(own) for own in sinks], "problem": problem, "spools": [_spool(each) for each in spools]}
        )
        return
    _show(sinks, spools)
    if problem is not None:
        _screen.note(f"problem: {problem}")


def _sinks() -> tuple[SinkSettings, ...]:
    from aistrale.config import load

    try:
        return load({}).sinks
    except ImportError as error:
        raise ConfigurationError(f"sinks: {error}", field="sinks") from None


def _sink(own: SinkSettings) -> JSONObject:
    # Not the address, which may hold a key.
    return {
        "name": own.name,
        "type": type(own.to).__name__,
        "guarantee": own.guarantee,
        "queue": own.queue,
        "batch": own.batch,
        "interval": own.interval,
    }


def _spool(each: SpoolStatus) -> JSONObject:
    return {
        "sink": each.name,
        "path": str(each.path),
        "events": each.events,
        "bytes": each.bytes,
        "oldest": None if each.oldest is None else _moment(each.oldest),
        "error": each.error,
        "error_at": None if each.error_at is None else _moment(each.error_at),
    }


def _show(sinks: Sequence[SinkSettings], spools: Sequence[SpoolStatus]) -> None:
    _screen.heading("Sinks of the settings")
    if sinks:
        rows = [
            [own.name or "-", type(own.to).__name__, own.guarantee.replace("_", " "), f"{own.interval:g} s"]
            for own in sinks
        ]
        _screen.table(["sink", "type", "guarantee", "interval"], rows)
    else:
        _screen.say("none")
    _screen.say()
    _screen.heading("Waiting on disk, of all processes")
    if not spools:
        _screen.say("nothing")
        return
    now = time.time()
    rows = [
        [
            each.name,
            _screen.count(each.events),
            _size(each.bytes),
            "-" if each.oldest is None else _ago(now - each.oldest),
            "-" if each.error is None else f"{each.error}, {_ago(now - (each.error_at or now))}",
        ]
        for each in spools
    ]
    _screen.table(["sink", "events", "size", "oldest", "in the way"], rows, right=("events", "size"))


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _size(number: float) -> str:
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{number:.0f} B"


def _ago(seconds: float) -> str:
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def _checked_kinds(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> frozenset[str]:
    from aistrale.telemetry.events import EVENTS

    for value in values:
        if value not in EVENTS:
            raise click.BadParameter(f"{value!r} is no kind of event; use one of {', '.join(sorted(EVENTS))}")
    return frozenset(values)


@command.command("tail", short_help="The last events, and those that come.")
@click.option(
    "--file", "file", metavar="FILE", help="A file that the sink `jsonl` writes; by default that of the settings."
)
@click.option("--spool", metavar="SINK", help="What waits on disk for a durable sink of this name.")
@click.option(
    "--kind", "kinds", multiple=True, callback=_checked_kinds, metavar="KIND", help="Only these, such as call.finished."
)
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=10, show_default=True, help="How many of the last events."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print events as they are stored, one line of JSON each.")
def tail(
    *, file: str | None, spool: str | None, kinds: frozenset[str], lines: int, follow: bool, as_json: bool
) -> None:
    """Show events, one readable line each: of a file of the sink `jsonl`, or of a spool.

    A file that is put aside by rotation is read to its end. Of a spool those events are shown that wait.
    """
    if file is not None and spool is not None:
        raise click.UsageError("--file and --spool cannot both be read")
    source, path = _source(file, spool)

    def wanted(event: TelemetryEvent) -> bool:
        return not kinds or event.kind in kinds

    try:
        if path.exists():
            _print(source.last(lines, wanted), as_json=as_json)
        elif not follow:
            raise ConfigurationError(f"{path} is not there.", field="--file" if spool is None else "--spool")
        while follow:
            threading.Event().wait(_POLL_SECONDS)
            for event in source.new(wanted):
                _print([event], as_json=as_json)
    except BrokenPipeError:
        # The reader of what we print went away, which is no matter of the file.
        raise
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror or type(error).__name__}).") from None
    finally:
        source.close()
        if source.strange:
            _screen.note(f"{source.strange} entries are no events that this version knows")


def _source(file: str | None, spool: str | None) -> tuple[FileTail | SpoolTail, Path]:
    from aistrale.cli._following import FileTail, SpoolTail
    from aistrale.core.home import data_directory
    from aistrale.telemetry._spool_files import spool_directory

    if spool is not None:
        data = data_directory()
        if data is None:
            raise ConfigurationError("there is no directory for spools.", hint="Set AISTRALE_HOME.")
        path = spool_directory(data, spool)
        return SpoolTail(path), path
    path = Path(file) if file is not None else _settings_file()
    if path.is_dir():
        raise ConfigurationError(f"{path} is a directory.", field="--file")
    return FileTail(path), path


def _settings_file() -> Path:
    from aistrale.telemetry.sinks.jsonl import JSONLinesSink

    for own in _sinks():
        if isinstance(own.to, JSONLinesSink):
            return Path(own.to.path)
    hint = 'Name a file with --file, or a durable sink with --spool; or set sinks = ["jsonl:calls.jsonl"].'
    raise ConfigurationError("the settings have no sink `jsonl`.", field="sinks", hint=hint)


def _print(events: Sequence[TelemetryEvent], *, as_json: bool) -> None:
    from aistrale.telemetry.encoding import encode_line
    from aistrale.telemetry.lines import line_of

    for event in events:
        if as_json:
            _screen.write(f"{encode_line(event).decode('ascii')}\n")
        else:
            _screen.write(f"{_moment(event.at)} {_screen.one_line(line_of(event).text())}\n")

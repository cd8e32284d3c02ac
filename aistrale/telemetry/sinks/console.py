"""One readable line a call, on the terminal: what was asked, how it ended, tokens, cost, time."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self, TextIO

from aistrale.core.worker import importing
from aistrale.telemetry.address import read_address, wrong
from aistrale.telemetry.encoding import encode_line
from aistrale.telemetry.gathered import Gathered
from aistrale.telemetry.lines import NOTABLE, ON_THE_WAY, line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.lines import Line, Mark

_MARKS: Final[dict[Mark, str]] = {"good": "✓", "bad": "✗", "warning": "!", "note": "·"}
# Where the stream's encoding has none of them.
_PLAIN: Final[dict[Mark, str]] = {"good": "ok", "bad": "FAILED", "warning": "!", "note": "-"}
_STYLES: Final[dict[Mark, str]] = {"good": "green", "bad": "bold red", "warning": "yellow", "note": "cyan"}


class ConsoleSink:
    """Writes a line for each call, and for what else is worth one: breakers, budgets, rules about data, dead webhooks.

    What was said is never shown; `json=True` shows what events hold, which is content where capture was asked for.
    Colours are used on terminals only, and not where NO_COLOR is set.

    Args:
        stdout: To standard output in place of standard error.
        json: Every event, of all kinds, as a line of JSON.
        stream: A text stream to write to in place of both. It is not closed.
    """

    name = "console"

    def __init__(self, *, stdout: bool = False, json: bool = False, stream: TextIO | None = None) -> None:
        self.kinds: frozenset[str] | None = None if json else NOTABLE | ON_THE_WAY
        self._stdout = stdout
        self._json = json
        self._given = stream
        self._gathered = Gathered(ON_THE_WAY)
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "console", "console:stdout", "console:json" or "console:stdout:json"."""
        rest, _ = read_address(url, {})
        words = {word.strip() for word in rest.lower().split(":") if word.strip()}
        if not words <= {"stdout", "stderr", "json"} or words >= {"stdout", "stderr"}:
            raise wrong("console takes stdout or stderr, and json", 'Such as "console:stdout" or "console:json".')
        return cls(stdout="stdout" in words, json="json" in words)

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Write them; an error of the stream is raised."""
        with self._lock:
            stream = self._stream()
            if stream is None or not events:
                return
            if self._json:
                stream.write("".join(f"{encode_line(event).decode('ascii')}\n" for event in events))
                stream.flush()
                return
            self._gathered.add(events)
            said = [(event, line_of(event, self._gathered.of(event.call_id))) for event in events]
            shown = [(event.at, line) for event, line in said if line.level >= logging.INFO]
            if shown:
                _show(stream, shown)
                stream.flush()
            self._gathered.forget(event.call_id for event in events if event.kind == "call.finished")

    def after_fork(self) -> None:
        """The lock may be held by a thread that this process does not have."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """The stream belongs to others: nothing to do."""

    def _stream(self) -> TextIO | None:
        # Asked for each time, since applications and test runners replace them; None where there is no console.
        return self._given or (sys.stdout if self._stdout else sys.stderr)


def _show(stream: TextIO, lines: list[tuple[float, Line]]) -> None:
    able = _can(stream, "".join(_MARKS.values()))
    marks, between = (_MARKS, " · ") if able else (_PLAIN, " | ")
    rows = [(_clock(at), marks[line.mark], line, between) for at, line in lines]
    if stream.isatty():
        _show_colours(stream, rows)
        return
    text = "".join(f"{clock} {mark} {line.text(between)}\n" for clock, mark, line, between in rows)
    stream.write(_fitting(stream, text))


def _show_colours(stream: TextIO, rows: list[tuple[str, str, Line, str]]) -> None:
    with importing():
        from rich.console import Console
        from rich.text import Text
    text = Text()
    for clock, mark, line, between in rows:
        style = _STYLES[line.mark]
        text.append(f"{clock} ", "dim").append(f"{mark} ", style).append(line.parts[0], "bold")
        for part in line.parts[1:]:
            text.append(between, "dim").append(_fitting(stream, part), style if line.mark == "bad" else "")
        text.append("\n")
    Console(file=stream, highlight=False, markup=False, emoji=False).print(text, end="", soft_wrap=True)


def _clock(at: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "--:--:--"


def _can(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _fitting(stream: TextIO, text: str) -> str:
    if _can(stream, text):
        return text
    return text.encode("ascii", "backslashreplace").decode("ascii")

"""Where the command line writes: plain text and JSON into a pipe, tables and bold headings on a terminal.

What models and providers say is not trusted: on a terminal its control characters are shown, never obeyed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from decimal import Decimal
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aistrale.errors import AistraleError

_GAP = "  "
_WIDE = 120
_MILLIONTH = Decimal("0.000001")
# C0 but for tab and line feed as Unicode's control pictures; a carriage return could overwrite what was shown.
_SHOWN = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    0x0D: None,
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
_UNSEEN = re.compile("[\x7f-\x9f]")


def prepare() -> None:
    """Let no character that the output cannot encode end the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether somebody looks at the output, or at the given stream."""
    stream = sys.stdout if stream is None else stream
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def clean(text: str) -> str:
    """The text with its control characters made visible."""
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """The text on one line, without control characters."""
    return clean(" ".join(text.split()))


def write(text: str) -> None:
    """Write what a model said, at once: as it is into a pipe, without control characters on a terminal."""
    sys.stdout.write(clean(text) if on_terminal() else text)
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Write a line of our own."""
    sys.stdout.write(f"{text}\n")


def raw(text: str) -> None:
    """Write what programs read, line ends and all; on a terminal without control characters."""
    write(text.replace("\r\n", "\n") if on_terminal() else text)


def heading(text: str) -> None:
    """Write a line that stands out on a terminal."""
    bold = on_terminal() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    say(f"\x1b[1m{clean(text)}\x1b[0m" if bold else clean(text))


def note(text: str) -> None:
    """Write a line about the result to stderr, where it does not get into the result."""
    sys.stdout.flush()
    sys.stderr.write(f"{one_line(text)}\n")
    sys.stderr.flush()


def error(problem: AistraleError) -> None:
    """Write what went wrong, and in a second line what to do next."""
    hint = problem.hint
    text = str(problem)
    if hint:
        text = text.removesuffix(f" {hint}")
        # The period that parts a message from its hint; one of the message's own stays.
        text = text if problem.message.endswith(".") else text.removesuffix(".")
    note(f"error: {text}")
    if hint:
        note(f"hint: {hint}")


def document(value: object) -> None:
    """Write one JSON document: money as text, days and times in ISO 8601."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, default=str)
    say(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Write a table: drawn on a terminal; aligned columns, never cut off, in a pipe.

    Args:
        header: The columns' names.
        rows: The cells.
        right: Names of the columns that are aligned to the right.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if on_terminal():
        _draw(header, cells, right)
        return
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    for row in (header, *cells):
        padded = [
            " " * (width - _width(cell)) + cell if name in right else cell + " " * (width - _width(cell))
            for name, cell, width in zip(header, row, widths, strict=True)
        ]
        say(_GAP.join(padded).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in header:
        if name in right:
            drawn.add_column(name, justify="right", no_wrap=True)
        else:
            drawn.add_column(name, overflow="fold")
    for row in rows:
        # As Text, since a cell may hold what looks like markup.
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    sys.stdout.flush()
    Console(highlight=False).print(drawn)


def is_narrow() -> bool:
    """Whether the output is a terminal too narrow for wide columns."""
    return on_terminal() and get_terminal_size().columns < _WIDE


def dollars(usd: Decimal | None) -> str:
    """An amount of US dollars, exact; "unknown" for None."""
    return "unknown" if usd is None else f"${usd:f}"


def about(usd: Decimal | None) -> str:
    """An amount of US dollars to a millionth, for tables; "unknown" for None."""
    if usd is None:
        return "unknown"
    return "<$0.000001" if 0 < usd < _MILLIONTH else f"${usd:.6f}"


def seconds(value: float | None) -> str:
    """A duration; "-" when there is none."""
    return "-" if value is None else f"{value:.2f} s"


def count(value: int | None) -> str:
    """A number with thousands parted; "-" when it is not known."""
    return "-" if value is None else f"{value:,}"

"""The table in a CSV file, whatever its encoding and delimiter, and wherever it begins.

Files are read whole, within bounds. What stands before the table (Google's cost table has the invoice's number,
currency and rate there) is kept, as are the numbers of the rows, so that errors can name them.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of the largest file."""

MOST_ROWS: Final = 1_000_000
_HEADER_WITHIN: Final = 40
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DELIMITERS: Final = (",", ";", "\t", "|")
_PACKED: Final = ((b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a zip file or an Excel workbook"), (b"%PDF", "a PDF"))
_UNIT: Final = re.compile(r"\s*[(\[][^)\]]*[)\]]\s*$")
_SHOWN: Final = 40


@dataclass(slots=True, kw_only=True)
class Table:
    """A table.

    Args:
        columns: Their names as written.
        rows: Number of the line in the file, from 1, and the cells, as many as columns.
        before: Cells of the lines before the table.
        delimiter: What parts the cells.
        notes: What had to be assumed.
    """

    columns: list[str]
    rows: list[tuple[int, list[str]]]
    before: list[list[str]] = field(default_factory=list)
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)

    def place(self, *names: str) -> int | None:
        """Where the first of some columns is, however it is spelt; None where there is none of them."""
        known = {plain(column): place for place, column in reversed(list(enumerate(self.columns)))}
        return next((known[name] for name in names if name in known), None)

    def cells(self, place: int) -> Iterator[str]:
        """A column."""
        return (cells[place] for _, cells in self.rows)


def plain(column: str) -> str:
    """A column's name without case, unit and the way in which its words are parted: "Cost ($)" is "cost"."""
    return re.sub(r"[\s_.\-]+", " ", _UNIT.sub("", column.strip())).strip().lower()


def read_table(data: bytes, is_header: Callable[[Sequence[str]], bool]) -> Table:
    """Find the table in a file.

    Args:
        data: The file.
        is_header: Whether the names of columns, made plain, are those that are looked for.

    Raises:
        ConfigurationError: It is too large, no text, no table, or has no such header.
    """
    if len(data) > LARGEST:
        raise unusable(f"the file is larger than {LARGEST // (1024 * 1024)} MiB", "Export a shorter period.")
    text, notes = _decoded(data)
    widest: list[str] = []
    for delimiter in _DELIMITERS:
        head = _head(text, delimiter)
        widest = max([widest, *head[:1]], key=len)
        for place, cells in enumerate(head):
            if len(cells) > 1 and is_header([plain(cell) for cell in cells]):
                table = _read(text, delimiter, place)
                table.notes = notes
                return table
    found = ", ".join(shown(cell) for cell in widest[:12] if len(widest) > 1) or "none"
    raise unusable(
        f"the file has none of the tables that are known; its columns are: {found}",
        "Name the columns: --date, --model, --amount.",
    )


def unusable(reason: str, hint: str | None = None) -> ConfigurationError:
    """An error about the file."""
    return ConfigurationError(f"{reason}.", field="FILE", hint=hint)


def bad_cell(row: int, column: str, reason: str, cell: str, hint: str | None = None) -> ConfigurationError:
    """An error about a cell, with its place and a little of what stands there."""
    return unusable(f"row {row}, column {shown(column)}: {shown(cell)} is {reason}", hint)


def shown(text: str) -> str:
    """A cell in a message: short, on one line, in quotes."""
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}...")


def _decoded(data: bytes) -> tuple[str, list[str]]:
    for mark, what in _PACKED:
        if data.startswith(mark):
            raise unusable(f"the file is {what}, not CSV", "Unpack it, or export it as CSV.")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), []
            except UnicodeDecodeError:
                raise unusable(f"the file is damaged: it is no {encoding}") from None
    if b"\0" in data:
        raise unusable("the file is binary, not CSV")
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), ["the file is not UTF-8; it was read as Windows-1252"]


def _head(text: str, delimiter: str) -> list[list[str]]:
    head = []
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            head.append(cells)
            if len(head) >= _HEADER_WITHIN:
                break
    except csv.Error:
        pass
    return head


def _read(text: str, delimiter: str, header: int) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = [next(reader) for _ in range(header)]
    columns = [cell.strip() for cell in next(reader)]
    table = Table(columns=columns, rows=[], before=before, delimiter=delimiter)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(table.rows) >= MOST_ROWS:
                raise unusable(f"the file has more than {MOST_ROWS} rows", "Export a shorter period.")
            extra = cells[len(columns) :]
            if any(cell.strip() for cell in extra):
                raise unusable(
                    f"row {reader.line_num} has {len(cells)} cells, the header {len(columns)}",
                    "Cells that hold the delimiter need quotes.",
                )
            table.rows.append((reader.line_num, cells[: len(columns)] + [""] * (len(columns) - len(cells))))
    except csv.Error as error:
        raise unusable(f"row {reader.line_num} is no CSV: {error}") from None
    return table

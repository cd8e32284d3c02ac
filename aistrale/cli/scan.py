"""`aistrale scan`: what is sensitive in files, for people and for continuous integration."""

from __future__ import annotations

import sys
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aistrale.cli import _screen
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.look import Finder
    from aistrale.privacy.settings import PrivacySettings
    from aistrale.types import JSONObject

LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the largest file that is looked at; it is read whole."""

STDIN: Final = "-"
FOUND: Final = 1
_LOOK_FOR_NUL: Final = 8192
_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_SHOWN_SHARE: Final = 8
_MOST_SHOWN: Final = 2


@dataclass(slots=True, frozen=True)
class Hit:
    """A finding in a file.

    Args:
        file: As it was named.
        finding: What and where, in characters.
        start: Line and column, from 1.
        end: Line and column after the last character.
        value: The text.
    """

    file: str
    finding: Finding
    start: tuple[int, int]
    end: tuple[int, int]
    value: str = field(repr=False)


@dataclass(slots=True)
class Result:
    """What a run has found.

    Args:
        hits: In order.
        skipped: Files that were not looked at, with the reason.
        files: How many were looked at.
    """

    hits: list[Hit] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    files: int = 0


def _named_types(_ctx: click.Context, _param: click.Parameter, value: Sequence[str]) -> frozenset[str]:
    return frozenset(name.strip().upper() for item in value for name in item.split(",") if name.strip())


@click.command("scan", short_help="What is sensitive in files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--types", multiple=True, callback=_named_types, metavar="TYPE,...", help="Only these types.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only findings as sure as this; 0.5.")
@click.option(
    "--fail-on",
    multiple=True,
    callback=_named_types,
    metavar="TYPE,...",
    help="Exit with 1 for findings of these types only; ANY (the default) for all, NONE for no type.",
)
@click.option("--format", "form", type=click.Choice(("table", "json", "sarif")), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--show-values", is_flag=True, help="Print the values themselves, not masked.")
def command(
    *,
    files: tuple[str, ...],
    types: frozenset[str],
    min_score: float | None,
    fail_on: frozenset[str],
    form: str,
    as_json: bool,
    show_values: bool,
) -> int:
    """Look for personal data and secrets in text files, or in standard input (-).

    Own recognizers, types and allowed values are those of the settings (privacy). Exit code: 0 nothing found, 1 found,
    2 wrong usage, or a file that cannot be looked at. Binary files are skipped, with a note.
    """
    settings, scanner = _scanner(types, fail_on - {"ANY", "NONE"}, min_score)
    result = look_at(files, settings, scanner)
    if form == "sarif":
        from aistrale.cli._sarif import sarif

        _screen.document(sarif(result, show_values=show_values))
    elif as_json or form == "json":
        _screen.document(_document(result, show_values=show_values))
    else:
        _table(result, show_values=show_values)
    failing = [hit for hit in result.hits if _fails(hit.finding.type, fail_on)]
    return FOUND if failing else 0


def _scanner(types: frozenset[str], failing: frozenset[str], min_score: float | None) -> tuple[PrivacySettings, Finder]:
    """The settings with the options' say, and a scanner of them. Raises ConfigurationError."""
    from dataclasses import replace

    from aistrale.config import load
    from aistrale.config.values import unknown_key
    from aistrale.privacy.recognizers import default_recognizers
    from aistrale.privacy.scanner import Scanner
    from aistrale.privacy.settings import PrivacySettings, known_types

    settings = load({}).privacy or PrivacySettings()
    known = known_types(settings.recognizers)
    for name in sorted(types | failing):
        if name not in known:
            raise unknown_key(name, sorted(known), "type")
    if types:
        settings = replace(settings, types=types, except_types=frozenset())
    if min_score is not None:
        settings = replace(settings, min_score=min_score)
    return settings, Scanner((*settings.recognizers, *default_recognizers()), min_score=settings.min_score)


def look_at(files: Iterable[str], settings: PrivacySettings, scanner: Finder) -> Result:
    """Look for what is sensitive in files.

    Args:
        files: Paths; "-" for standard input. One that is named twice is looked at once.
        settings: Types and allowed values.
        scanner: Finds.

    Raises:
        ConfigurationError: A file cannot be read, is a folder, or is larger than LIMIT: a check that did not look must
            not pass.
    """
    from aistrale.privacy.single import scan_text

    result = Result()
    for name in dict.fromkeys(files):
        text = _decoded(_read(name))
        if text is None:
            result.skipped[name] = "binary"
            continue
        result.files += 1
        found = scan_text(settings, scanner, text)
        if found:
            result.hits += _placed(name, text, found)
    return result


def _read(name: str) -> bytes:
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(LIMIT + 1)
        else:
            path = Path(name)
            if path.is_dir():
                raise _unread(name, "is a folder", "Name files: git ls-files -z | xargs -0 aistrale scan")
            with path.open("rb") as file:
                data = file.read(LIMIT + 1)
    except OSError as error:
        raise _unread(name, f"cannot be read ({error.strerror or type(error).__name__})") from None
    if len(data) > LIMIT:
        raise _unread(name, f"is larger than {LIMIT // (1024 * 1024)} MiB", "Split it, or pipe parts of it.")
    return data


def _unread(name: str, reason: str, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError(f"{name} {reason}", field="FILE", hint=hint)


def _decoded(data: bytes) -> str | None:
    """The text of a file; None if it is binary."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return None if b"\0" in data[:_LOOK_FOR_NUL] else data.decode("utf-8", "replace")


def _placed(name: str, text: str, findings: Iterable[Finding]) -> Iterable[Hit]:
    """Findings with their lines and columns."""
    starts = [0]
    at = text.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = text.find("\n", at + 1)

    def place(offset: int) -> tuple[int, int]:
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    for finding in findings:
        value = text[finding.start : finding.end]
        yield Hit(name, finding, place(finding.start), place(finding.end), value)


def _fails(kind: str, fail_on: Collection[str]) -> bool:
    return not fail_on or "ANY" in fail_on or kind in fail_on


def shown(value: str, *, clear: bool) -> str:
    """A value, masked unless asked for: at most a quarter of it shows, and never more than two characters at each end.

    Args:
        value: The text.
        clear: Whether it may be shown.
    """
    if clear:
        return value
    count = min(_MOST_SHOWN, len(value) // _SHOWN_SHARE)
    return f"{value[:count]}***{value[len(value) - count :]}"


def _table(result: Result, *, show_values: bool) -> None:
    if result.hits:
        rows = [
            [
                f"{hit.file}:{hit.start[0]}:{hit.start[1]}",
                hit.finding.type,
                f"{hit.finding.score:.2f}",
                shown(hit.value, clear=show_values),
            ]
            for hit in result.hits
        ]
        _screen.table(["place", "type", "score", "value"], rows, right=("score",))
    for name, reason in result.skipped.items():
        _screen.note(f"skipped: {name} ({reason})")
    files = f"{result.files} file{'' if result.files == 1 else 's'}"
    _screen.note(f"{len(result.hits)} finding{'' if len(result.hits) == 1 else 's'} in {files}")


def _document(result: Result, *, show_values: bool) -> JSONObject:
    return {
        "files": result.files,
        "skipped": [{"file": name, "reason": reason} for name, reason in result.skipped.items()],
        "findings": [
            {
                "file": hit.file,
                "type": hit.finding.type,
                "score": hit.finding.score,
                "recognizer": hit.finding.recognizer,
                "line": hit.start[0],
                "column": hit.start[1],
                "end_line": hit.end[0],
                "end_column": hit.end[1],
                "start": hit.finding.start,
                "end": hit.finding.end,
                "value": shown(hit.value, clear=show_values),
            }
            for hit in result.hits
        ],
    }

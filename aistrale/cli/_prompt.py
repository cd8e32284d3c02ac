"""What is asked: the words of the command line and of stdin, files, images, and a schema for the answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from aistrale.cli._screen import on_terminal
from aistrale.errors import InvalidRequestError
from aistrale.media import MAX_FILE, document, image, sniff
from aistrale.types import Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSONObject, Part


def read_prompt(words: str | None, images: Sequence[str], files: Sequence[str]) -> str | Message:
    """The prompt: the words, then what was piped in; files and images stand before them.

    Args:
        words: What stands on the command line; None or "-" takes all of it from stdin.
        images: Paths or URLs.
        files: Paths or URLs.

    Raises:
        click.UsageError: There is nothing to ask, or stdin is no text.
        InvalidRequestError: A file cannot be read or is of an unknown type.
    """
    text = _text(words)
    parts: list[Part] = [*map(_file, files), *map(image, images)]
    return Message.user(*parts, text) if parts else text


def _text(words: str | None) -> str:
    given = None if words == "-" else words
    if words is None and on_terminal(sys.stdin):
        raise click.UsageError("There is no prompt. Give one in quotes, or pipe text in.")
    if given is not None and on_terminal(sys.stdin):
        return given
    piped = _stdin()
    if given is None:
        return piped
    return f"{given}\n\n{piped}" if piped.strip() else given


def _stdin() -> str:
    # None where the program was started without one.
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError("What was piped in is no UTF-8 text. Use --file or --image for files.") from None


def _file(source: str) -> Part:
    """Text goes as text, which every model can read; the rest as a document."""
    if source.startswith(("https://", "http://", "data:")):
        return document(source)
    path = Path(source)
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_FILE else None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequestError(f"file: {path.name} cannot be read ({reason})", param="file") from error
    if content is not None and sniff(content[:32]) is None and b"\0" not in content:
        try:
            text = content.decode("utf-8-sig").rstrip("\n")
            return TextPart(f"{path.name}:\n{text}\n")
        except UnicodeDecodeError:
            pass
    return document(source)


def read_schema(source: str) -> JSONObject:
    """A JSON Schema, given as JSON or as the path of a file.

    Raises:
        click.BadParameter: It cannot be read or is no JSON object.
    """
    text = source
    if not source.lstrip().startswith("{"):
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise click.BadParameter(f"{source!r} cannot be read ({reason})", param_hint="--schema") from error
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"this is no JSON: {error}", param_hint="--schema") from error
    if not isinstance(schema, dict):
        raise click.BadParameter("a JSON Schema must be an object", param_hint="--schema")
    return cast("JSONObject", schema)

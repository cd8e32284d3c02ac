"""OpenAI's byte pair encodings, ready without a network: `tiktoken` does the work, the rank files are shipped.

An encoding is built at its first use, once for a process, by whichever thread asks first while the others wait; a
child that is forked while that goes on builds its own. It takes about half a second and 73 MB, hence nothing on the way
of a call asks for one: `loaded` tells whether it is there already. Nothing is ever fetched, and tiktoken's registry,
cache directory and environment are left alone.

The files are written by `tools/refresh_encodings.py`.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aistrale.core.worker import importing, on_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiktoken import Encoding

Name: TypeAlias = Literal["o200k_base", "cl100k_base"]

# How text is cut into words before they are encoded, and the tokens that stand for no text: facts of the encodings, as
# tiktoken's openai_public.py states them. o200k's parts are in the order in which they are tried.
_CONTRACTED: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERNS: Final[dict[str, str]] = {
    "o200k_base": "|".join(
        (
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTED}",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTED}",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}
_SPECIAL: Final[dict[str, dict[str, int]]] = {
    "o200k_base": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    "cl100k_base": {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
}
# SHA-256 of the rank files in tiktoken's form, as tiktoken itself expects them.
SOURCES: Final[dict[str, str]] = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}

# Characters that are encoded in one go: tiktoken cannot be interrupted, and needs a multiple of it in memory.
PIECE: Final = 100_000
# Merging the pairs of one word takes time that grows with the square of its length (in tiktoken before 0.8), and what
# stands without a break, a hundred thousand times the same letter, is one word. No ordinary word is longer.
RUN: Final = 400
_STEP: Final = RUN // 2
_STRETCHES: Final = re.compile(r"\S++|\s++")
# The last place before which a sign ends a word of letters or digits; there a cut changes no token.
_BORDER: Final = re.compile(r"(?s:.*)(?<=[^\W_])(?=[!-/:-@\[-`{-~\u3000-\u303f\uff00-\uff20])")


class Encodings:
    """The encodings of one process; `encoding` and `loaded` ask the one of this process."""

    def __init__(self) -> None:
        self._ready: dict[str, Encoding] = {}
        self._lock = threading.Lock()
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        # A thread that the child does not have may have held it.
        self._lock = threading.Lock()

    def get(self, name: Name) -> Encoding:
        """See `encoding`."""
        found = self._ready.get(name)
        if found is None:
            with self._lock:
                found = self._ready.get(name)
                if found is None:
                    found = self._ready[name] = _build(name)
        return found

    def loaded(self, name: Name) -> bool:
        """See `loaded`."""
        return name in self._ready


def encoding(name: Name) -> Encoding:
    """An encoding; its first use in a process takes about half a second.

    Not on an event loop: ask in a worker thread.

    Args:
        name: "o200k_base" (GPT-4o and everything after it) or "cl100k_base" (GPT-4, GPT-3.5, embeddings).

    Returns:
        tiktoken's object. Use `count` for texts that others wrote: its own `encode` refuses some and takes for ever
        over others.

    Raises:
        ImportError: tiktoken is not installed or cannot be loaded.
    """
    return _process.get(name)


def loaded(name: Name = "o200k_base") -> bool:
    """Whether the encoding is there already, so that using it costs nothing but the counting."""
    return _process.loaded(name)


def encode(text: str, name: Name = "o200k_base") -> Iterator[list[int]]:
    """The tokens of a text, piece by piece, whatever it holds.

    What looks like a special token is ordinary text, as providers take it; half a surrogate pair counts as the
    replacement character. Texts without any break for more than RUN characters are cut, as the time that they take
    would grow with the square of their length: before a sign where there is one, which changes nothing, else in the
    midst of the word, which adds a token at most.

    Args:
        text: Any text.
        name: The encoding.
    """
    ordinary = encoding(name).encode_ordinary
    for piece in _pieces(text):
        yield ordinary(piece)


def count(text: str, name: Name = "o200k_base") -> int:
    """How many tokens a text has; exact but for the cuts that `encode` makes."""
    return sum(map(len, encode(text, name)))


def ranks(name: Name) -> dict[bytes, int]:
    """The tokens of an encoding with their ranks, read from the shipped file.

    Raises:
        ValueError: The file is damaged.
    """
    with importing():
        import gzip
        from importlib import resources

    packed = gzip.decompress(resources.files("aistrale.cost.tokens").joinpath(f"{name}.ranks.gz").read_bytes())
    number = int.from_bytes(packed[:4], "big")
    found: dict[bytes, int] = {}
    start = 4 + number
    for rank, length in enumerate(packed[4:start]):
        found[packed[start : start + length]] = rank
        start += length
    if start != len(packed) or len(found) != number:
        raise ValueError(f"the rank file of {name} is damaged: install aistrale again")
    return found


def _build(name: Name) -> Encoding:
    with importing():
        from tiktoken import Encoding
    return Encoding(name, pat_str=_PATTERNS[name], mergeable_ranks=ranks(name), special_tokens=_SPECIAL[name])


def _pieces(text: str) -> Iterator[str]:
    start, size = 0, len(text)
    while size - start > PIECE:
        end = _between_words(text, start + PIECE // 2, start + PIECE)
        yield from _short_runs(text[start:end])
        start = end
    yield from _short_runs(text[start:] if start else text)


def _between_words(text: str, low: int, high: int) -> int:
    """The last place where a word ends before a single blank, as a cut there changes no token; else `high`."""
    at = high
    while (at := text.rfind(" ", low, at)) > low:
        if text[at - 1].isalnum() and not text[at + 1].isspace():
            return at
    return high


def _short_runs(piece: str) -> Iterator[str]:
    if not _has_long_run(piece):
        yield piece
        return
    done = 0
    for stretch in _STRETCHES.finditer(piece):
        at, end = stretch.span()
        while end - at > RUN:
            border = _BORDER.match(piece, at + 1, at + RUN)
            at = border.end() if border is not None else at + RUN
            yield piece[done:at]
            done = at
    yield piece[done:]


def _has_long_run(piece: str) -> bool:
    """Whether blanks or other characters may follow each other for more than RUN: one of the steps has no border."""
    if len(piece) <= RUN:
        return False
    return any(len(piece[at : at + _STEP].split(None, 1)) < 2 for at in range(0, len(piece), _STEP))


_process = Encodings()

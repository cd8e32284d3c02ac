"""Finds fakes in a text: the longest one that stands there, between boundaries of words."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.privacy.vault import Vault

_RUN: Final = re.compile(r"[^\W_]+")


class FakeIndex:
    """The fakes of a vault, by the first run of letters and digits in each.

    Args:
        fakes: Each with what it stands for.
    """

    __slots__ = ("_back", "_by_run", "_runs")

    def __init__(self, fakes: dict[str, str]) -> None:
        self._by_run: dict[str, list[tuple[int, str, str]]] = {}
        # How far before its first run a fake may begin: the "+" of a telephone number.
        self._back = 0
        for fake, original in fakes.items():
            run = _RUN.search(fake)
            if run is not None:
                self._by_run.setdefault(run.group(), []).append((run.start(), fake, original))
                self._back = max(self._back, run.start())
        for entries in self._by_run.values():
            entries.sort(key=lambda entry: -len(entry[1]))
        self._runs = sorted(self._by_run)

    @classmethod
    def of(cls, vault: Vault) -> FakeIndex | None:
        """The index of a vault's fakes; None if it has none."""
        fakes = vault.fakes
        return cls(dict(fakes)) if fakes else None

    def search(self, text: str, at: int, limit: int, before: str, *, final: bool) -> tuple[int, int, str | None] | None:
        """The first fake.

        Args:
            text: Where to look.
            at: From where on.
            limit: The first run of it begins before this place.
            before: What stands before `at`.
            final: The text goes no further.

        Returns:
            Start, end and what it stands for; with None for the last where the text ends before that is certain.
        """
        length = len(text)
        for run in _RUN.finditer(text, at):
            if run.start() >= limit:
                break
            for offset, fake, original in self._by_run.get(run.group(), ()):
                start = run.start() - offset
                if start < at or _joins(text[start - 1] if start > at else before, fake[0]):
                    continue
                end = start + len(fake)
                if text.startswith(fake, start):
                    if end < length:
                        if not _joins(text[end], fake[-1]):
                            return start, end, original
                    elif final:
                        return start, end, original
                    else:
                        return start, end, None
                elif not final and end > length and fake.startswith(text[start:]):
                    return start, end, None
            if not final and run.end() == length and self._may_grow(run.group()):
                return max(at, run.start() - self._back), length, None
        if not final and self._back and length - at > 0:
            # The sign that a fake begins with.
            start = max(at, length - self._back)
            if (
                start < limit
                and not text[start:].isalnum()
                and any(fake.startswith(text[start:]) for entries in self._by_run.values() for _, fake, _ in entries)
            ):
                return start, length, None
        return None

    def _may_grow(self, run: str) -> bool:
        place = bisect_left(self._runs, run)
        return place < len(self._runs) and self._runs[place].startswith(run)


def _joins(one: str, other: str) -> bool:
    """Whether two characters side by side make one word."""
    return one.isalnum() and other.isalnum()

"""Finds fakes in a text: the longest one that stands there, between boundaries of words."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from aistrale.privacy.vault import RUN

if TYPE_CHECKING:
    import re

    from aistrale.privacy.vault import Vault


class FakeIndex:
    """The fakes of a vault, by the first run of letters and digits in each.

    Args:
        fakes: Each with what it stands for.
    """

    __slots__ = ("_back", "_by_run", "_runs", "_signs", "count")

    def __init__(self, fakes: dict[str, str]) -> None:
        self.count = len(fakes)
        self._by_run: dict[str, list[tuple[int, str, str]]] = {}
        # How far before its first run a fake may begin: the "+" of a telephone number.
        self._back = 0
        self._signs: set[str] = set()
        for fake, original in fakes.items():
            run = RUN.search(fake)
            if run is not None:
                self._by_run.setdefault(run.group(), []).append((run.start(), fake, original))
                self._back = max(self._back, run.start())
                self._signs.update(fake[:length] for length in range(1, run.start() + 1))
        for entries in self._by_run.values():
            entries.sort(key=lambda entry: -len(entry[1]))
        self._runs = sorted(self._by_run)

    @classmethod
    def of(cls, vault: Vault) -> FakeIndex | None:
        """The index of a vault's fakes; None if it has none."""
        fakes = vault.fakes
        if not fakes:
            return None
        index = vault.index
        if index is None or index.count != len(fakes):
            index = vault.index = cls(dict(fakes))
        return index

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
        for run in RUN.finditer(text, at):
            if run.start() >= limit:
                break
            found = self._at(text, run, at, before, final=final)
            if found is not None:
                return found
        return None if final else self._sign(text, at, limit)

    def _at(
        self, text: str, run: re.Match[str], at: int, before: str, *, final: bool
    ) -> tuple[int, int, str | None] | None:
        """The longest fake that has a run as its first."""
        length = len(text)
        for offset, fake, original in self._by_run.get(run.group(), ()):
            start = run.start() - offset
            if start < at or _joins(text[start - 1] if start > at else before, fake[0]):
                continue
            end = start + len(fake)
            if text.startswith(fake, start):
                if end == length and not final:
                    return start, end, None
                if end == length or not _joins(text[end], fake[-1]):
                    return start, end, original
            elif not final and end > length and fake.startswith(text[start:]):
                return start, end, None
        if not final and run.end() == length and self._may_grow(run.group()):
            return max(at, run.start() - self._back), length, None
        return None

    def _sign(self, text: str, at: int, limit: int) -> tuple[int, int, str | None] | None:
        """What a fake may begin with before its first run, at the end of a text."""
        for start in range(max(at, len(text) - self._back), min(len(text), limit)):
            if text[start:] in self._signs:
                return start, len(text), None
        return None

    def _may_grow(self, run: str) -> bool:
        place = bisect_left(self._runs, run)
        return place < len(self._runs) and self._runs[place].startswith(run)


def _joins(one: str, other: str) -> bool:
    """Whether two characters side by side make one word."""
    return one.isalnum() and other.isalnum()

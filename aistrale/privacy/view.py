"""Other readings of a text in which sensitive values may hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.finding import Finding


class View(Protocol):
    """A reading of a text."""

    @property
    def text(self) -> str:
        """What it reads."""
        ...

    def back(self, finding: Finding) -> Finding | None:
        """The finding's place in the original; None where the original shows it as well."""
        ...


def views(text: str) -> Iterable[View]:
    """The readings of a text beside itself; none for plain text."""
    del text
    return ()

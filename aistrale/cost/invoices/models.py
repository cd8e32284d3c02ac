"""Which model an invoice means: names of the API, names for people, and models within the text of an article."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS: Final = re.compile(r"[a-z0-9]+")
_SNAPSHOT: Final = re.compile(
    r"(?:-(?:20\d{6}|20\d\d-\d\d-\d\d|(?:0[1-9]|1[0-2])-20\d\d|(?:0[1-9]|1[0-2])[0-3]\d|00\d|latest|preview(?:-\d\d-(?:\d\d|20\d\d))?|exp|experimental|batch))+$"
)


def model_key(name: str) -> str:
    """A name by which spellings of a model can be compared: lower case, hyphens, without the date of a snapshot.

    Args:
        name: In the words of the API ("models/gemini-2.5-pro-preview-06-05"), or for people ("Claude Haiku 4.5").
    """
    text = name.lower().strip()
    if text.startswith("ft:"):
        # ft:MODEL:ORGANISATION:NAME:ID
        return f"ft-{model_key(text.split(':')[1])}"
    text = text.rpartition("/")[2].partition(":")[0]
    joined = "-".join(_WORDS.findall(text))
    return _SNAPSHOT.sub("", joined) or joined


def article(label: str) -> str:
    """The model of an article like "gpt-4o-2024-08-06, cached input"."""
    return label.partition(", ")[0].strip()


class Within:
    """Finds the models that are known in texts.

    Args:
        keys: Names made by `model_key`.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        # The longest first, since "gemini-2-5-flash" is the beginning of "gemini-2-5-flash-lite".
        self._keys = sorted({key for key in keys if "-" in key}, key=len, reverse=True)
        self._found: dict[str, str | None] = {}

    def find(self, text: str) -> str | None:
        """The longest name that stands in a text as whole words; None when there is none."""
        if text not in self._found:
            joined = f"-{'-'.join(_WORDS.findall(text.lower()))}-"
            self._found[text] = next((key for key in self._keys if f"-{key}-" in joined), None)
        return self._found[text]

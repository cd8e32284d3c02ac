"""What the engines of aistrale[ner] have in common: names of types, and texts longer than a model takes."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aistrale.privacy.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

Model = TypeVar("Model")

LABELS: Final[Mapping[str, str]] = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "ORG": "ORGANIZATION",
    "ORGANIZATION": "ORGANIZATION",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "LOCATION": "LOCATION",
    "FAC": "LOCATION",
    "NORP": "NRP",
    "NRP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
    "DATE_TIME": "DATE_TIME",
}
"""The labels that models were trained with (OntoNotes, CoNLL), and our types. Others are not reported by default."""


class Lazy(Generic[Model]):
    """A model that the user brought: the object itself, or what makes it, at first use and once.

    Args:
        library: The module that it needs.
        model: The object, or its name.
        make: Makes it of the library and the name.

    Raises:
        ImportError: It is given by name, and the library is not installed.
    """

    def __init__(self, library: str, model: Model | str, make: Callable[[ModuleType, str], Model]) -> None:
        self._library = library
        self._model = model
        self._make = make
        self._lock = threading.Lock()
        # Known at once, not in the middle of a call.
        if isinstance(model, str) and find_spec(library) is None:
            raise ImportError(f"This recognizer needs {library}: pip install 'aistrale[ner]'")

    def get(self) -> Model:
        """The model."""
        with self._lock:
            if isinstance(self._model, str):
                self._model = self._make(import_module(self._library), self._model)
            return self._model


def pieces(text: str, most: int) -> Iterator[tuple[int, str]]:
    """A text in pieces that a model takes, with where each begins; cut at spaces where there are any.

    Args:
        text: The text.
        most: How many characters a piece has at most.
    """
    start = 0
    while start < len(text):
        end = min(len(text), start + most)
        if end < len(text):
            cut = max(text.rfind(space, start + most // 2, end) for space in "\n ")
            end = cut + 1 if cut >= 0 else end
        yield start, text[start:end]
        start = end


def reported(
    spans: Iterable[tuple[int, int, str, float]], labels: Mapping[str, str], *, offset: int, size: int, name: str
) -> Iterator[Finding]:
    """Findings of what a model saw in a piece; not of what lies outside of it, or has a label that nobody asked for.

    Args:
        spans: Start, end, label and score of each.
        labels: The types that labels stand for.
        offset: Where the piece begins in the text.
        size: How long it is.
        name: Who found it.
    """
    for start, end, label, score in spans:
        kind = labels.get(label)
        if kind is not None and 0 <= start < end <= size:
            yield Finding(offset + start, offset + end, kind, min(1.0, max(0.0, float(score))), name)


def types_of(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The types that labels stand for, each once."""
    return tuple(dict.fromkeys(labels.values()))

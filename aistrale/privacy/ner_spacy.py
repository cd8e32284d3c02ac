"""Names of persons, places and organisations, by a spaCy model that you bring (aistrale[ner])."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.privacy.ner import LABELS, Lazy, pieces, reported, types_of
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Candidate

# spaCy refuses texts beyond a million characters, and memory grows with them.
_PIECE: Final = 100_000


class Entity(Protocol):
    """What a pipeline found, as far as we look at it."""

    @property
    def start_char(self) -> int:
        """Its first character."""
        ...

    @property
    def end_char(self) -> int:
        """The character after its last one."""
        ...

    @property
    def label_(self) -> str:
        """What it is."""
        ...


class Document(Protocol):
    """A text that went through a pipeline, as far as we look at it."""

    @property
    def ents(self) -> Iterable[Entity]:
        """What was found."""
        ...


class Pipeline(Protocol):
    """A spaCy pipeline (`spacy.language.Language`), as far as we use it."""

    def __call__(self, text: str, /) -> Document:
        """Look at a text."""
        ...


class SpacyRecognizer:
    """Asks a spaCy pipeline about the whole text.

    Args:
        model: A loaded pipeline, or the name of an installed one ("en_core_web_lg"), which is loaded at first use.
        labels: The types that its labels stand for. Default: persons, places, organisations, groups of people, dates.
        score: How sure a finding is; spaCy itself does not say. 0.6.

    Raises:
        ImportError: A name was given and spaCy is not installed; it names the extra.
    """

    name = "spacy"
    triggers = Triggers(whole=True)

    def __init__(self, model: Pipeline | str, *, labels: Mapping[str, str] = LABELS, score: float = 0.6) -> None:
        self._model: Lazy[Pipeline] = Lazy("spacy", model, _load)
        self._labels = dict(labels)
        self._score = score
        self.types = types_of(labels)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Everything that the pipeline names, in the whole text.

        Raises:
            OSError: There is no installed pipeline of that name (spaCy's error, which says how to get it).
        """
        pipeline = self._model.get()
        for offset, piece in pieces(candidate.text, _PIECE):
            spans = ((one.start_char, one.end_char, one.label_, self._score) for one in pipeline(piece).ents)
            yield from reported(spans, self._labels, offset=offset, size=len(piece), name=self.name)


def _load(library: ModuleType, name: str) -> Pipeline:
    return cast("Pipeline", library.load(name))

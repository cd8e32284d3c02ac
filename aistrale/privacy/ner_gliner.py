"""Names and whatever else you describe in words, by a GLiNER model that you bring (aistrale[ner])."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.privacy.ner import Lazy, pieces, reported, types_of
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Candidate

# These models cut off what is longer than some 384 words, without a word.
_PIECE: Final = 1_200

_LABELS: Final = {"person": "PERSON", "location": "LOCATION", "organization": "ORGANIZATION", "address": "ADDRESS"}


class Extractor(Protocol):
    """A GLiNER model, as far as we use it."""

    def predict_entities(self, text: str, labels: list[str], *, threshold: float) -> list[dict[str, object]]:
        """What it finds: `start`, `end`, `label` and `score` of each."""
        ...


class GlinerRecognizer:
    """Asks a GLiNER model about the whole text.

    Args:
        model: A loaded model, or its name, which is loaded at first use.
        labels: What it shall find, in words, and the types that they stand for. Default: persons, places,
            organisations, addresses.
        threshold: How sure it must be, 0 to 1. 0.5.

    Raises:
        ImportError: A name was given and GLiNER is not installed; it names the extra.
    """

    name = "gliner"
    triggers = Triggers(whole=True)

    def __init__(self, model: Extractor | str, *, labels: Mapping[str, str] = _LABELS, threshold: float = 0.5) -> None:
        self._model: Lazy[Extractor] = Lazy("gliner", model, _load)
        self._labels = dict(labels)
        self._threshold = threshold
        self.types = types_of(labels)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Everything that the model finds, in the whole text."""
        model = self._model.get()
        for offset, piece in pieces(candidate.text, _PIECE):
            found = model.predict_entities(piece, list(self._labels), threshold=self._threshold)
            spans = (
                cast("tuple[int, int, str, float]", (one["start"], one["end"], one["label"], one["score"]))
                for one in found
            )
            yield from reported(spans, self._labels, offset=offset, size=len(piece), name=self.name)


def _load(library: ModuleType, name: str) -> Extractor:
    return cast("Extractor", library.GLiNER.from_pretrained(name))

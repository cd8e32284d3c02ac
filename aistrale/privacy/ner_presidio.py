"""What Presidio's analyzer finds, with the models that you bring (aistrale[ner])."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.privacy.ner import Lazy, pieces, reported
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Candidate

# Its expressions take more than linear time on some texts, and its models have limits.
_PIECE: Final = 50_000

_TYPES: Final = ("PERSON", "LOCATION", "ORGANIZATION", "NRP")


class Result(Protocol):
    """What the analyzer found, as far as we look at it."""

    @property
    def start(self) -> int:
        """Its first character."""
        ...

    @property
    def end(self) -> int:
        """The character after its last one."""
        ...

    @property
    def entity_type(self) -> str:
        """What it is."""
        ...

    @property
    def score(self) -> float:
        """How sure it is."""
        ...


class Analyzer(Protocol):
    """Presidio's AnalyzerEngine, as far as we use it."""

    def analyze(self, text: str, language: str, *, entities: list[str]) -> Iterable[Result]:
        """Look at a text."""
        ...


class PresidioRecognizer:
    """Asks Presidio's analyzer about the whole text.

    Args:
        model: An AnalyzerEngine, or the name of an installed spaCy pipeline ("en_core_web_lg"), of which one is made at
            first use.
        language: The language of the texts, as Presidio calls it. "en".
        types: The types that it is asked for. Default: persons, places, organisations, groups of people; the others
            are found faster without it.

    Raises:
        ImportError: A name was given and Presidio is not installed; it names the extra.
    """

    name = "presidio"
    triggers = Triggers(whole=True)

    def __init__(self, model: Analyzer | str, *, language: str = "en", types: Iterable[str] = _TYPES) -> None:
        self._language = language
        self._model: Lazy[Analyzer] = Lazy("presidio_analyzer", model, self._load)
        self.types = tuple(dict.fromkeys(types))
        self._labels = {kind: kind for kind in self.types}

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Everything of these types that the analyzer finds, in the whole text."""
        analyzer = self._model.get()
        for offset, piece in pieces(candidate.text, _PIECE):
            found = analyzer.analyze(piece, self._language, entities=list(self.types))
            spans = ((one.start, one.end, one.entity_type, one.score) for one in found)
            yield from reported(spans, self._labels, offset=offset, size=len(piece), name=self.name)

    def _load(self, library: ModuleType, name: str) -> Analyzer:
        provider = import_module("presidio_analyzer.nlp_engine").NlpEngineProvider
        models = [{"lang_code": self._language, "model_name": name}]
        engine = provider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
        return cast("Analyzer", library.AnalyzerEngine(nlp_engine=engine, supported_languages=[self._language]))

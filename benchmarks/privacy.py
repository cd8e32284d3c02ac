"""What looking for sensitive text costs, beside the peers that are installed: Presidio and datafog.

Dense text is sentences full of personal data (with `../shared`: labelled ones; else our own), clean text is the licence
of Python. Milliseconds of CPU, the median of the rounds; all engines look at the same text in turns, because neighbours
on the machine disturb all of them alike. "unseen" remembers nothing of the capitalised words met before, as with a text
that is new from end to end; a conversation is mostly what was sent before. The peers find fewer types.

    python benchmarks/privacy.py [--rounds 15] [--strict]

`pip install presidio-analyzer datafog` beside aistrale brings the peers. With `--strict` a figure above its target
makes the exit status 1.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import importlib.util
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.privacy import scan
from aistrale.privacy.protection import Protection
from aistrale.privacy.recognizers import _beside, _plan, address, default_recognizers
from aistrale.privacy.restore import Restorer
from aistrale.privacy.settings import PrivacySettings
from aistrale.privacy.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = Path(__file__).resolve().parents[2] / "shared" / "pii" / "presidio_research_v2.jsonl.gz"
SIZES = {1024: 0.15, 10_240: 1.2, 102_400: 12.0}
"""Characters, and the milliseconds that dense text of that size may take."""
SENTENCES = (
    "Hi, this is Maria Lopez from Hartwell & Sons; please call (212) 555-0187 or write to maria@lopez.example. ",
    "Her card 4111 1111 1111 1111 expires next May, and the order goes to 12 Elm Street, Springfield, IL 62704. ",
    "The invoice of 2026-03-04 is paid from DE89 3704 0044 0532 0130 00, says Dr. Kenji Tanaka, University of Kyoto. ",
    "My social security number is 219-09-9998; the server at 192.0.2.255 logged https://shop.example.org/cart?id=7. ",
    "We met in Lisbon on the 3rd of June and talked about the weather, which nobody there minded at all. ",
)
# Inputs that make careless patterns look at everything again from every place.
HOSTILE = (
    "a", "1", " ", "@", ".", "=", "/", ":", "-", "[", "\\", "%", "&", "1.", "a.", "a@", "1-", "a:b:", "A ", "://", "e1",
    "eyJ",
)  # fmt: skip
HOSTILE_LIMIT = 20.0


def dense(size: int) -> str:
    """Text full of personal data."""
    if SHARED.exists():
        with gzip.open(SHARED, "rt", encoding="utf-8") as lines:
            return " ".join(json.loads(line)["text"] for line in lines)[:size]
    text = "".join(SENTENCES)
    return (text * (size // len(text) + 1))[:size]


def clean(size: int) -> str:
    """Prose in which nobody is named."""
    text = " ".join(__doc__.split()) + " "
    return (text * (size // len(text) + 1))[:size]


def peers() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Other engines that are installed."""
    if importlib.util.find_spec("presidio_analyzer"):
        yield "Presidio, patterns only", presidio()
    if importlib.util.find_spec("datafog"):
        from datafog.processing.text_processing.regex_annotator import RegexAnnotator

        yield "datafog, patterns", RegexAnnotator().annotate


def presidio() -> Callable[[str], object]:
    """Presidio's default recognizers without a language model."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine()
    engine.nlp = {"en": spacy.blank("en")}
    return partial(AnalyzerEngine(nlp_engine=engine).analyze, language="en")


def medians(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of CPU of each, measured in turns."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    gc.disable()
    for _ in range(rounds):
        for name, action in actions.items():
            begin = time.process_time_ns()
            action()
            taken[name].append((time.process_time_ns() - begin) / 1e6)
        gc.collect()
    gc.enable()
    return {name: statistics.median(times) for name, times in taken.items()}


def unseen(text: str) -> None:
    """A scan that remembers nothing."""
    for module in (_beside, _plan, address):
        for value in vars(module).values():
            if isinstance(value, _beside.Memo):
                value.clear()
    scan(text)


def scanning(rounds: int) -> bool:
    """Print what scans cost; whether they keep to their targets."""
    engines: dict[str, Callable[[str], object]] = {"aistrale": scan, "aistrale, unseen": unseen, **dict(peers())}
    kept = True
    print(f"aistrale finds {len({kind for each in default_recognizers() for kind in each.types})} types\n")
    print(f"{'text':<16}{'target':>8}" + "".join(f"{name:>26}" for name in engines))
    for kind, text_of in (("dense", dense), ("clean", clean)):
        for size, target in SIZES.items():
            text = text_of(size)
            # A peer may take seconds for the largest.
            turns = rounds if size < 100_000 else max(3, rounds // 5)
            found = medians({name: partial(engine, text) for name, engine in engines.items()}, turns)
            own = found["aistrale"]
            cells = [
                f"{own:.3f} ms",
                *(f"{found[name]:.3f} ms ({found[name] / own:.1f} x)" for name in list(engines)[1:]),
            ]
            print(f"{kind:<6}{size // 1024:>7} KB{target:>8}" + "".join(f"{cell:>26}" for cell in cells))
            kept &= own <= target
    return kept


def hostile(rounds: int) -> bool:
    """Print what hostile inputs cost; whether all keep to the limit, and grow no faster than they get longer."""
    print(f"\n{len(HOSTILE)} hostile inputs, ms for 100 KB (limit {HOSTILE_LIMIT:g}) and how often that for 10 KB")
    kept = True
    for piece in HOSTILE:
        small, large = ((piece * size)[:size] for size in (10_240, 102_400))
        found = medians({"small": partial(scan, small), "large": partial(scan, large)}, max(3, rounds // 5))
        print(f"  {piece!r:<10}{found['large']:8.2f}{found['large'] / max(found['small'], 0.001):8.1f} x")
        kept &= found["large"] <= HOSTILE_LIMIT
    return kept


def restoring(rounds: int) -> bool:
    """Print what redaction and restoring cost; whether restoring keeps to its targets."""
    protection, vault = Protection(PrivacySettings()), Vault()
    redactor = protection.redactor({})
    text = redactor.redact(dense(2048), vault)
    restorer = Restorer(vault)
    plain = ("word " * 500, ["word "] * 1000)

    def pieces() -> None:
        stream = restorer.stream()
        for piece in plain[1]:
            stream.feed(piece)
        stream.finish()

    found = medians(
        {
            "redact 2 KB": lambda: redactor.redact(dense_2, Vault()),
            "scan 2 KB": lambda: scan(dense_2),
            "restore 2 KB": lambda: restorer.restore(text),
            "restore 2 KB without placeholders": lambda: restorer.restore(plain[0]),
            "restore 1000 streamed pieces": pieces,
            "copy 1000 pieces (baseline)": lambda: [piece for piece in plain[1] if piece],
        },
        rounds * 5,
    )
    print()
    for name, taken in found.items():
        print(f"{name:<36}{taken:10.4f} ms")
    return found["restore 2 KB"] <= 0.05 and found["restore 1000 streamed pieces"] <= 1.0


dense_2 = dense(2048)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    kept = [part(arguments.rounds) for part in (scanning, hostile, restoring)]
    return int(arguments.strict and not all(kept))


if __name__ == "__main__":
    sys.exit(main())

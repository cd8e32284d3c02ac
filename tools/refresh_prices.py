"""Write `aistrale/cost/book/prices.json.gz` from what installed packages know about prices, and say how far they agree.

Run it on purpose; the library never does:

    pip install genai-prices model-prices metergraph-core openai-cost-calculator && pip install --no-deps litellm
    python tools/refresh_prices.py --as-of 2026-11-27 --report /tmp/prices.md

Prices come from genai-prices; litellm fills what it lacks of today's (factors, twelve-hour caches, service tiers),
model-prices gives past ones, and `price_overrides.toml` corrects what is known to be wrong. The result is compared
with litellm, model-prices, metergraph and openai-cost-calculator. A difference of a current price that
`price_waivers.toml` does not judge ends the run with exit code 1, before anything is written.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from price_build import Build, Row  # noqa: E402
from price_compare import Cell, cells, judged, table  # noqa: E402
from price_sources import (  # noqa: E402
    genai_data,
    litellm_models,
    metergraph_models,
    model_prices_models,
    model_prices_snapshot,
    occ_models,
)

from aistrale.cost.book.check import FORMAT, check_book, written  # noqa: E402
from aistrale.cost.book.price_book import PriceBook  # noqa: E402
from aistrale.cost.book.update import packed  # noqa: E402

TARGET = HERE.parent / "aistrale" / "cost" / "book" / "prices.json.gz"
PACKAGES = {
    "genai-prices": ("genai-prices", "MIT"),
    "litellm": ("litellm", "MIT"),
    "model-prices": ("model-prices", "MIT"),
    "metergraph": ("metergraph-core", "Apache-2.0"),
    "occ": ("openai-cost-calculator", "MIT"),
}
RANK = ("openai", "anthropic", "gemini", "groq", "huggingface")


def load(name: str) -> Row:
    """One of the lists beside this file."""
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def content(models: list[Row], sources: list[str], as_of: date, agreed: dict[tuple[str, str], list[str]]) -> bytes:
    """The bytes of the book: the same for the same models."""
    known = {source.split(" ")[0]: index for index, source in enumerate(sources)}

    def finished(model: Row, periods: list[Row]) -> list[Row]:
        rows = []
        for period in periods:
            source = period.get("source", model["source"])
            if source not in known:
                known[source] = len(sources)
                sources.append(source)
            row: Row = {key: period[key] for key in ("from", "to") if key in period}
            row["rates"] = dict(sorted(period["rates"].items()))
            row |= {key: period[key] for key in ("above", "when", "web_search_per") if period.get(key)}
            row |= {"source": known[source], "checked_on": as_of.isoformat()}
            agree = [known[name] for name in agreed.get((model["provider"], model["id"]), ()) if name != source]
            if agree and period is current(periods, as_of):
                row["agree"] = agree
            rows.append(row)
        return rows

    out: list[Row] = []
    for model in sorted(models, key=lambda each: (RANK.index(each["provider"]), each["id"].lower())):
        row = {"provider": model["provider"], "id": model["id"]}
        if model.get("aliases"):
            row["aliases"] = sorted(model["aliases"])
        if model.get("corrected"):
            row["corrected"] = True
        if "backends" in model:
            row["backends"] = {name: finished(model, model["backends"][name]) for name in sorted(model["backends"])}
        else:
            row["periods"] = finished(model, model["periods"])
        out.append(row)
    head = {"format": FORMAT, "as_of": as_of.isoformat(), "sources": sources, "models": out}
    return written(check_book(head))


def current(periods: list[Row], as_of: date) -> Row | None:
    """The period that holds today."""
    return next((each for each in reversed(periods) if each.get("from", "") <= as_of.isoformat()), None)


def agreement(book: PriceBook, every: list[Cell]) -> dict[tuple[str, str], list[str]]:
    """Which sources say the same of each model in every cell that they have."""
    by_model: dict[tuple[str, str], dict[str, bool]] = {}
    for cell in every:
        found = book.find(cell.provider, cell.model)
        if not found:
            continue
        verdicts = by_model.setdefault((cell.provider, found[0].id), {})
        verdicts[cell.source] = verdicts.get(cell.source, True) and cell.equal
    return {key: [name for name in PACKAGES if verdicts.get(name)] for key, verdicts in by_model.items()}


def report(
    book: PriceBook, compared: tuple[list[Cell], list[Cell]], judgement: tuple[list[Cell], list[Row]], size: int
) -> str:
    """What the run found, as Markdown."""
    every, apart = compared
    left, unused = judgement
    models = list(book.models())
    counts = ", ".join(f"{name} {sum(model.provider == name for model in models)}" for name in RANK)
    dated = sum(1 for model in models for row in model.rows if not row.when and row.start is not None)
    rows = sum(len(model.rows) for model in models)
    different = [cell for cell in every if not cell.equal]
    lines = [
        f"# Price book {book.label}",
        "",
        f"{len(models)} models ({counts}), {rows} rows, {dated} dated periods, {size} bytes compressed.",
        "",
        "Equal cells of those compared, today's prices. Each source against a book that takes nothing from it:",
        "",
        *table(apart),
        "",
        "The book as it is:",
        "",
        f"{len(every) - len(different)} of {len(every)} cells equal; {len(different)} differ, {len(left)} unjudged.",
        "",
    ]
    for cell in different:
        word = "NOT JUDGED " if cell in left else ""
        name = f"{cell.source}: {cell.provider}/{cell.model} {cell.column}"
        lines.append(f"- {word}{name}: ours {cell.ours}, theirs {cell.theirs:f}")
    lines += [f"- waiver that nothing needs: {each['provider']} {each['models']} {each['cells']}" for each in unused]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Build the book, compare it, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", type=date.fromisoformat, default=datetime.now(UTC).date())
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--report", type=Path, help="write the agreement there, as Markdown")
    options = parser.parse_args()
    snapshot: Any = model_prices_snapshot()
    others = {
        "litellm": litellm_models(),
        "model-prices": model_prices_models(snapshot, options.as_of),
        "metergraph": metergraph_models(options.as_of),
        "occ": occ_models(options.as_of),
    }
    overrides, genai = load("price_overrides.toml"), genai_data()
    build = Build(options.as_of, others, overrides)
    build.run(genai, snapshot)
    named = [f"{name} {version(package)} ({licence})" for name, (package, licence) in PACKAGES.items()]
    draft = PriceBook.load(content(build.models, list(named), options.as_of, {}))
    every = [cell for name, models in others.items() for cell in cells(draft, name, models, options.as_of)]
    left, unused = judged(every, load("price_waivers.toml")["waiver"])
    plain = content(build.models, list(named), options.as_of, agreement(draft, every))
    apart: list[Cell] = []
    for name, models in others.items():
        # What was taken from a source agrees with it; only the rest says something.
        bare = Build(options.as_of, others, overrides, without=name)
        bare.run(genai, snapshot)
        known = PriceBook.load(content(bare.models, list(named), options.as_of, {}))
        apart += cells(known, name, models, options.as_of)
    book = PriceBook.load(plain)
    data = packed(book)
    text = report(book, (every, apart), (left, unused), len(data))
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    print(text)
    if left or unused:
        sys.exit(f"{len(left)} differences are not judged and {len(unused)} waivers not needed in price_waivers.toml")
    options.out.write_bytes(data)
    print(f"{len(book)} models, {len(plain)} bytes, {len(data)} compressed -> {options.out}")


if __name__ == "__main__":
    main()

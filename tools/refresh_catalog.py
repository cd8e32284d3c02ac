"""Write `aistrale/providers/catalog.json` from what installed packages know about models.

Run it on purpose; the library never does:

    pip install genai-prices && pip install --no-deps litellm openai anthropic google-genai groq
    python tools/refresh_catalog.py --as-of 2026-11-26

In this order of trust: `catalog_overrides.toml` beside it (corrections, each with its reason); genai-prices
(context windows); litellm's table of models (abilities, limits, retirements); the model names and retirements in the
types of the official SDKs. Prices stand in the price book, which `refresh_prices.py` writes; run that first. Of them
the catalog keeps one number, to compare models with each other.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from catalog_sources import (
    LITELLM_PREFIX,
    MODEL_NAME,
    Row,
    abilities,
    family_of,
    kind_of,
    litellm_models,
    sdk_models,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from aistrale.cost.book.price_book import BookModel, shipped_book  # noqa: E402
from aistrale.cost.book.rows import EPOCH  # noqa: E402

TARGET = HERE.parent / "aistrale" / "providers" / "catalog.json"
GENAI_NAME = {"openai": "openai", "anthropic": "anthropic", "gemini": "google", "groq": "groq"}
SNAPSHOT = re.compile(r"(-\d{4}-\d\d-\d\d|-\d{8}|-00\d)$")
SDKS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google-genai", "groq": "groq"}
# The order of the fields in a row, for readable differences between two refreshes.
ORDER = (
    "provider",
    "id",
    "aliases",
    "kind",
    "family",
    "dialects",
    "current",
    "weights",
    "context",
    "max_input",
    "max_output",
    "input",
    "output",
    "tools",
    "parallel_tools",
    "structured",
    "reasoning",
    "efforts",
    "sampling",
    "stop",
    "streaming",
    "dimensions",
    "shortens",
    "deprecated",
    "retires",
    "successor",
    "backends",
    "blended",
    "source",
)


class Builder:
    """Collects the rows of one run."""

    def __init__(self, as_of: date, overrides: Row) -> None:
        from genai_prices.data import providers

        self.as_of = as_of
        self.overrides = overrides
        self.genai = {provider.id: provider for provider in providers}
        self.litellm = litellm_models()
        self.book = shipped_book()
        self.sources = [f"{name} {version(name)} (MIT)" for name in ("genai-prices", "litellm")]

    def provider(self, name: str) -> list[Row]:
        """The rows of one of the four vendors."""
        sdk = sdk_models(name)
        self.sources.append(f"{SDKS[name]} {version(SDKS[name])} (types of the SDK)")
        sdk_source = len(self.sources) - 1
        prefix = LITELLM_PREFIX[name]
        priced = [info.id for info in self.genai[GENAI_NAME[name]].models]
        tabled = [
            key.removeprefix(prefix)
            for key, entry in self.litellm.items()
            if entry.get("litellm_provider") == name
            and key.startswith(prefix)
            and entry.get("mode") in {"chat", "responses", "embedding"}
        ]
        skipped = re.compile("|".join(self.overrides["skip"][name]))
        ids = dict.fromkeys([*sdk, *tabled, *priced, *self.overrides["more"].get(name, [])])
        also = "".join(f"|{pattern}" for pattern in self.overrides["also"].get(name, []))
        allowed = re.compile(f"(ft:)?{MODEL_NAME[name]}{also}")
        return [
            self.row(name, id_, sdk.get(id_), sdk_source)
            for id_ in ids
            if allowed.match(id_) and not skipped.search(id_)
        ]

    def row(self, provider: str, id_: str, sdk: Row | None, sdk_source: int) -> Row:
        """One model."""
        entry: Row = self.litellm.get(LITELLM_PREFIX[provider] + id_) or self.litellm.get(id_) or {}
        if not entry:
            # A name that moves has the abilities of its newest snapshot.
            dated = [key for key in self.litellm if SNAPSHOT.sub("", key) == LITELLM_PREFIX[provider] + id_]
            entry = self.litellm[max(dated)] if dated else {}
        if entry.get("litellm_provider") != provider:
            entry = {}
        info = self.genai[GENAI_NAME[provider]].find_model(id_)
        row: Row = {"provider": provider, "id": id_, "kind": kind_of(id_, provider), "family": family_of(id_)}
        row |= {key: value for key, value in abilities(provider, id_, entry).items() if value is not None}
        # One package rounds the window down, the other knows only the longest prompt.
        known = [limit for limit in ((info and info.context_window), row.get("max_input")) if limit]
        if known:
            row["context"] = max(known)
        if (sdk is not None and sdk.get("responses_only")) or entry.get("mode") == "responses":
            row["dialects"] = ["openai_responses"]
        retires = (sdk or {}).get("retires") or entry.get("deprecation_date")
        if retires:
            row["retires"] = retires
        row["deprecated"] = (
            bool(retires) or bool(info is not None and info.deprecated) or bool(entry.get("successor_model"))
        )
        if entry.get("successor_model"):
            row["successor"] = entry["successor_model"].removeprefix("gemini/")
        row["prices"] = prices_of(self.book.find(provider, id_), id_)
        row["blended"] = self.blended(provider, id_)
        has = (info is not None, bool(entry))
        row["source"] = [index for index, there in enumerate(has) if there] + [sdk_source] * (sdk is not None)
        return self.corrected(row)

    def corrected(self, row: Row) -> Row:
        """Lay the overrides over a row, in the order of the file; the later wins."""
        for rule in self.overrides["set"]:
            if rule["provider"] == row["provider"] and re.fullmatch(rule["id"], row["id"]):
                for key, value in rule.items():
                    if key in {"provider", "id", "why"}:
                        continue
                    if key.startswith("default_"):
                        row.setdefault(key.removeprefix("default_"), value)
                    else:
                        row[key] = value
        if row["provider"] == "groq" or "/" in row["id"] or row["id"].startswith("gemma"):
            bare = row["id"].rpartition("/")[2].lower()
            row["weights"] = self.overrides["weights"].get(bare, bare)
        return row

    def huggingface(self) -> list[Row]:
        """The models that Hugging Face's router serves, with the prices of each backend."""
        found: dict[str, Row] = {}
        for name, provider in self.genai.items():
            if not name.startswith("huggingface_"):
                continue
            backend = name.removeprefix("huggingface_")
            for info in provider.models:
                row = found.setdefault(
                    info.id,
                    {
                        "provider": "huggingface",
                        "id": info.id,
                        "kind": "chat",
                        "family": family_of(info.id),
                        "context": None,
                        "output": ["text"],
                        "backends": [],
                        "source": [0],
                    },
                )
                row["context"] = max(row["context"] or 0, info.context_window or 0) or None
                row["backends"].append(backend)
        for row in found.values():
            row["blended"] = self.blended("huggingface", f"{row['id']}:{row['backends'][0]}")
        return [self.corrected(row) for row in found.values()]

    def blended(self, provider: str, name: str) -> float | None:
        """US dollars per million tokens, three of input to one of output, the usual mix of chats."""
        found = self.book.rates(provider, name, {})
        day = self.as_of.toordinal() - EPOCH
        now = None if isinstance(found, str) else next((each.rates for each in found if each.start <= day), None)
        if now is None or "input" not in now or "output" not in now:
            return None
        return float((3 * now["input"] + now["output"]) / 4) or None

    def unlisted(self, provider: str) -> list[Row]:
        """The models of a provider that no package lists."""
        rows = [{"kind": "chat", "source": [], **row} for row in self.overrides["extra"] if row["provider"] == provider]
        return [self.corrected(row) for row in rows]


def prices_of(found: list[BookModel], name: str) -> list[tuple[object, ...]] | None:
    """The prices of a model, to be compared with those of another; None where none are known."""
    # A name that the book does not list is known to have its model's price by its look alone.
    listed = any(name.lower() == each.lower() for model in found for each in (model.id, *model.aliases))
    rows = [(listed, row.start, row.end, row.rates, row.tiers, row.when) for model in found for row in model.rows]
    return rows or None


def folded(rows: list[Row]) -> list[Row]:
    """Make a snapshot with the same facts and prices an alias of its model."""
    by_name = {row["id"]: row for row in rows}
    kept = []
    for row in rows:
        base = by_name.get(SNAPSHOT.sub("", row["id"]))
        if (
            base is None
            or base is row
            or any(row.get(key) != base.get(key) for key in ("prices", "kind", "dialects", "retires"))
        ):
            kept.append(row)
        else:
            base.setdefault("aliases", []).append(row["id"])
    return kept


def clean(row: Row, names: dict[str, list[str]]) -> Row:
    """Leave out what says nothing, and put the fields in order."""
    current = names.get(row["provider"], [])
    row["current"] = row["id"] in current
    if row["kind"] == "chat":
        row.pop("kind")
    ordered = {key: row[key] for key in ORDER if key in row}
    said = {key: value for key, value in ordered.items() if value not in (None, [], {}, "")}
    return {key: value for key, value in said.items() if value is not False or key not in {"deprecated", "current"}}


def rank(row: Row, current: dict[str, list[str]]) -> tuple[int, int, int]:
    """Current models first, in the order of the overrides; then those that stay, then the retired."""
    names = current.get(row["provider"], [])
    place = names.index(row["id"]) if row["id"] in names else len(names)
    return (0 if place < len(names) else 1, place, 1 if row.get("retires") else 0)


def main() -> None:
    """Build the catalog and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", type=date.fromisoformat, default=datetime.now(UTC).date())
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    overrides: Row = tomllib.loads((HERE / "catalog_overrides.toml").read_text(encoding="utf-8"))
    builder = Builder(options.as_of, overrides)
    rows: list[Row] = []
    for name in (*GENAI_NAME, "huggingface"):
        listed = builder.huggingface() if name == "huggingface" else builder.provider(name)
        own = folded([*listed, *builder.unlisted(name)])
        own.sort(key=lambda row: rank(row, overrides["current"]))
        rows += own
    shared = Counter(row["weights"] for row in rows if "weights" in row)
    for row in rows:
        if shared[row.get("weights")] < 2:
            row.pop("weights", None)
    lines = [json.dumps(clean(row, overrides["current"]), separators=(",", ":"), ensure_ascii=False) for row in rows]
    head = json.dumps(
        {"as_of": options.as_of.isoformat(), "sources": builder.sources, "defaults": overrides["defaults"]}, indent=1
    )
    text = head.removesuffix("\n}") + ',\n "models": [\n' + ",\n".join(lines) + "\n]}\n"
    options.out.write_text(text, encoding="utf-8")
    for name, wanted in overrides["current"].items():
        missing = set(wanted) - {row["id"] for row in rows if row["provider"] == name}
        if missing:
            sys.exit(f"current models of {name} that no source knows: {', '.join(sorted(missing))}")
    print(f"{len(rows)} models, {len(text)} bytes -> {options.out}")


if __name__ == "__main__":
    main()

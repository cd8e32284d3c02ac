"""Build the table of letters that look like ASCII ones, and of the digits of all scripts.

    pip install confusable-homoglyphs
    python tools/refresh_lookalikes.py

Source: the package `confusable-homoglyphs` (MIT), which carries the confusables of Unicode Technical Standard 39
(Unicode License v3; see NOTICE), and Python's own Unicode database for the digits. Only scripts whose letters are mixed
with Latin ones to deceive are taken: the letters of others stand beside Latin words and digits for good reasons.

Writes aistrale/privacy/lookalikes.py; run it again when a source has moved, and look at the diff.
"""

from __future__ import annotations

import json
import string
import sys
import unicodedata
from importlib import resources
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "aistrale" / "privacy" / "lookalikes.py"
SCRIPTS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "LATIN")
WIDTH = 100
# Ordinary Turkish.
ORDINARY = "\u0131"
# Drawn like a small capital or a cursive letter, which the standard does not count.
ALSO = dict(zip("\u043a\u043c\u043d\u0442\u0432\u03b5\u03b7\u03ba\u03c4\u03c9", "kmhtbenktw", strict=True))

HEAD = '''"""Letters that look like ASCII ones, and the digits of all scripts.

Made by tools/refresh_lookalikes.py, not by hand, from the confusables of Unicode Technical Standard 39; see NOTICE.
"""

from __future__ import annotations

from typing import Final
'''


def lookalikes() -> dict[str, str]:
    """Each letter and the ASCII letter or digit that it looks like."""
    text = resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8")
    found = dict(ALSO)
    for plain, others in json.loads(text).items():
        if plain not in string.ascii_letters + string.digits:
            continue
        for other in (row["c"] for row in others):
            if (
                len(other) != 1
                or other.isascii()
                or other in ORDINARY
                or not unicodedata.category(other).startswith("L")
            ):
                continue
            script = unicodedata.name(other, "").split(" ")[0]
            if script not in SCRIPTS or unicodedata.normalize("NFKC", other).isascii():
                continue
            # The standard has one shape for capital I, small l and 1; a capital is meant as a capital.
            found[other] = "I" if plain == "l" and other.isupper() else plain
    return dict(sorted(found.items()))


def zeros() -> str:
    """The zero of each row of ten digits."""
    every = (chr(code) for code in range(0x80, sys.maxunicode + 1))
    return "".join(one for one in every if one.isdecimal() and unicodedata.decimal(one) == 0)


def written(name: str, value: str, purpose: str) -> str:
    """A constant, in lines that fit."""
    lines = [f"\n{name}: Final = (\n"]
    rest = value
    while rest:
        cut = len(rest)
        while len(ascii(rest[:cut])) > WIDTH:
            cut -= 1
        lines.append("    " + ascii(rest[:cut]).replace("'", '"') + "\n")
        rest = rest[cut:]
    return "".join([*lines, f')\n"""{purpose}"""\n'])


def main() -> None:
    """Write the file."""
    found = lookalikes()
    parts = (
        written("LOOKALIKES", "".join(found), "Letters that look like ASCII ones."),
        written("PLAIN", "".join(found.values()), "What each of them looks like."),
        written("ZEROS", zeros(), "The zero of each row of ten digits that is not ASCII."),
    )
    TARGET.write_text(HEAD + "".join(parts), encoding="utf-8")
    print(f"{len(found)} letters, {len(zeros())} rows of digits")


if __name__ == "__main__":
    main()

"""What a docstring says of a function and its arguments, in Google, NumPy or Sphinx style."""

from __future__ import annotations

import re
from typing import Final

_GOOGLE: Final = re.compile(r"^(?:Args|Arguments|Parameters):\s*$", re.MULTILINE)
_NUMPY: Final = re.compile(r"^Parameters\s*\n-{3,}\s*$", re.MULTILINE)
_SPHINX: Final = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+):[ \t]*(.*(?:\n[ \t]+.+)*)", re.MULTILINE)
_ENTRY: Final = re.compile(r"^(\s*)\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_NUMPY_ENTRY: Final = re.compile(r"^(\w+)\s*(?::.*)?$")


def summary_and_arguments(doc: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and the description of each argument.

    Args:
        doc: A docstring, dedented as by `inspect.getdoc`.
    """
    summary = " ".join(doc.strip().split("\n\n")[0].split())
    for marker, reader in ((_GOOGLE, _google), (_NUMPY, _numpy)):
        match = marker.search(doc)
        if match is not None:
            if doc[: match.start()].strip() == "":
                summary = ""
            return summary, reader(doc[match.end() :].splitlines()[1:])
    found = {match[1]: " ".join(match[2].split()) for match in _SPHINX.finditer(doc)}
    return ("" if doc.lstrip().startswith(":param") else summary), found


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name, level = "", -1
    for line in lines:
        if not line.strip():
            continue
        entry = _ENTRY.match(line)
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        if entry is not None and (level < 0 or indent <= level):
            name, level = entry[2], indent
            found[name] = entry[3].strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for position, line in enumerate(lines):
        entry = _NUMPY_ENTRY.match(line)
        following = lines[position + 1] if position + 1 < len(lines) else ""
        if entry is not None and following.startswith("---"):
            break
        if entry is not None and line and not line[0].isspace():
            name = entry[1]
            found[name] = ""
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found

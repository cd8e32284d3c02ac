"""What a docstring says of a function and its arguments, in Google, NumPy or Sphinx style."""

from __future__ import annotations

import re
from typing import Final

_GOOGLE: Final = re.compile(r"^(?:Args|Arguments|Parameters):[ \t]*$", re.MULTILINE)
_NUMPY: Final = re.compile(r"^Parameters[ \t]*\n-{3,}[ \t]*$", re.MULTILINE)
_SPHINX: Final = re.compile(r"^:param\s+(?:[^:]*\s)?\*{0,2}(\w+):[ \t]*(.*(?:\n[ \t]+.+)*)", re.MULTILINE)
# Where the words about the function end, in any style.
_SECTION: Final = re.compile(
    r"^(?:(?:Args|Arguments|Parameters|Returns|Return|Yields|Raises|Examples?|Notes?|Warnings?|See Also):?[ \t]*$"
    r"|:(?:param|type|returns?|rtype|raises)\b|>>> )",
    re.MULTILINE,
)
_ENTRY: Final = re.compile(r"^(\s*)\*{0,2}(\w+)\s*(?:\(.*?\))?:(?:\s+(.*))?$")
_NUMPY_ENTRY: Final = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def summary_and_arguments(doc: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and the description of each argument.

    Args:
        doc: A docstring, dedented as by `inspect.getdoc`.
    """
    section = _SECTION.search(doc)
    words = doc[: section.start()] if section is not None else doc
    summary = " ".join(re.split(r"\n\s*\n", words.strip())[0].split())
    for marker, reader in ((_GOOGLE, _google), (_NUMPY, _numpy)):
        match = marker.search(doc)
        if match is not None:
            return summary, reader(doc[match.end() :].splitlines()[1:])
    return summary, {match[1]: " ".join(match[2].split()) for match in _SPHINX.finditer(doc)}


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name, level = "", -1
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        entry = _ENTRY.match(line)
        if entry is not None and (level < 0 or indent <= level):
            name, level = entry[2], indent
            found[name] = (entry[3] or "").strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for position, line in enumerate(lines):
        following = lines[position + 1] if position + 1 < len(lines) else ""
        if following.startswith("---"):
            break  # the next section's heading
        entry = _NUMPY_ENTRY.match(line)
        if entry is not None:
            names = [name.strip().lstrip("*") for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, ""))
        elif line.strip():
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    return found

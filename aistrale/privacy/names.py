"""Names of files: what of them says something."""

from __future__ import annotations

from typing import Final

_KNOWN: Final = (
    "7z bak bmp csv doc docx eml gif gz heic htm html ics jpeg jpg json jsonl log md mov mp3 mp4 msg odt pdf png "
    "ppt pptx rtf svg tar tif tiff tsv txt vcf wav webp xls xlsx xml yaml yml zip"
)
_EXTENSIONS: Final = frozenset(_KNOWN.split())


def stem(name: str) -> str:
    """A file's name without its extension; the same if it has none that is known."""
    base, dot, extension = name.rpartition(".")
    return base if dot and base and extension.lower() in _EXTENSIONS else name

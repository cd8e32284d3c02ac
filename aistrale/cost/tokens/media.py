"""How many tokens images, sounds, films and documents take, by the rules that providers document.

The size of an image is read from the head of its data where it is part of the request; where it is not, and for
everything else, the answer is a wide interval.
"""

from __future__ import annotations

import base64
import binascii
import re
from math import ceil
from typing import TYPE_CHECKING, Final

from aistrale.cost.tokens.families import Guess

if TYPE_CHECKING:
    from aistrale.types import MediaPart

# What holds the size in every format but JPEG, whose head may be long (a preview, a colour profile).
_HEAD: Final = 64
_JPEG_HEAD: Final = 65_536
_JPEG_SIZE: Final = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf].{3}(..)(..)", re.DOTALL)
# OpenAI's guide to images: tokens of an image at all and of a tile of 512 pixels, by model; and of the models that
# count patches of 32 pixels, at most 1,536 of them, the factor.
_TILES: Final = (
    (("gpt-4o-mini",), 2833, 5667),
    (("o1", "o3"), 75, 150),
    (("gpt-5", "gpt-6"), 70, 140),
    (("",), 85, 170),
)
_PATCHES: Final = ((("gpt-4.1-nano", "gpt-5-nano"), 2.46), (("gpt-4.1-mini", "gpt-5-mini"), 1.62), (("o4-mini",), 1.72))
_MOST_PATCHES: Final = 1536
# Anthropic's guide to vision: width times height over 750, of an image scaled down to 1,568 pixels; since Claude 4.7
# 2,576 pixels and 4,784 tokens.
_ANTHROPIC: Final = {"anthropic": (1568, 1600), "anthropic_large": (2576, 4784)}
# Google's guide to tokens: 258 for an image up to 384 pixels, else for each tile of 768; 3.x has a number of its own by
# resolution. 32 for a second of sound, about 300 of a film, 258 (560 since 3.x) for a page of a document.
_TILE: Final = 258
# Where the pages of a PDF are listed, unless it is compressed; not more of it is looked at than this, bytes.
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_MOST_READ: Final = 4_000_000


def media_tokens(part: MediaPart, rule: str, model: str = "") -> Guess:
    """About how many tokens a part takes.

    Args:
        part: An image, sound, film or document.
        rule: "openai", "anthropic", "anthropic_large", "gemini", "gemini_2.5", "gemini_3"; any other gives the widest
            interval.
        model: The model's name, as OpenAI's rules differ between them.
    """
    if part.media != "image":
        return _other(part)
    size = image_size(part.data) if part.data else None
    if rule == "openai":
        return _openai(part, size, model.lower().rpartition("/")[2])
    if rule in _ANTHROPIC:
        return _anthropic(size, *_ANTHROPIC[rule])
    if rule == "gemini_3":
        return Guess(1120, 258, 2240)
    if rule == "gemini":
        return Guess(_TILE * 5, _TILE, _TILE * 12) if size is None else _exact(_gemini_tiles(*size) * _TILE)
    if rule == "gemini_2.5":
        # The documented tiles would be more for a large image; the recorded ones have 258.
        most = _TILE * 12 if size is None else _gemini_tiles(*size) * _TILE
        return Guess(_TILE, _TILE, most)
    return Guess(765, 85, 5000)


def image_size(data: str) -> tuple[int, int] | None:
    """Width and height, pixels, of an image in base64; None for a format that is none of PNG, GIF, WebP and JPEG."""
    head = _decoded(data, _HEAD)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    elif head[:4] == b"GIF8" and len(head) >= 10:
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
        size = _webp(head)
    elif head[:2] == b"\xff\xd8" and (found := _JPEG_SIZE.search(_decoded(data, _JPEG_HEAD))):
        size = int.from_bytes(found[2], "big"), int.from_bytes(found[1], "big")
    else:
        return None
    return size if min(size) > 0 else None


def _webp(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _decoded(data: str, size: int) -> bytes:
    try:
        return base64.b64decode(data[: -(-size // 3) * 4], validate=False)
    except (binascii.Error, ValueError):
        return b""


def _exact(tokens: float) -> Guess:
    return Guess(tokens, tokens, tokens)


def _openai(part: MediaPart, size: tuple[int, int] | None, model: str) -> Guess:
    factor = next((factor for names, factor in _PATCHES if model.startswith(names)), None)
    if factor is not None:
        if size is None:
            return Guess(1024 * factor, 32 * factor, _MOST_PATCHES * factor)
        return _exact(min(_MOST_PATCHES, ceil(size[0] / 32) * ceil(size[1] / 32)) * factor)
    base, tile = next((base, tile) for names, base, tile in _TILES if model.startswith(names))
    if part.detail == "low":
        return _exact(base)
    if size is None:
        return Guess(base + 4 * tile, base, base + 8 * tile)
    scale = min(1.0, 2048 / max(size), 768 / min(size))
    tiles = ceil(size[0] * scale / 512) * ceil(size[1] * scale / 512)
    return Guess(base + tiles * tile, base, base + tiles * tile)


def _anthropic(size: tuple[int, int] | None, longest: int, most: int) -> Guess:
    if size is None:
        return Guess(800, 30, most)
    scale = min(1.0, longest / max(size))
    tokens = min(most, size[0] * size[1] * scale * scale / 750)
    # Recorded counts are up to a tenth off the documented rule: sizes are rounded to patches.
    return Guess(tokens, tokens * 0.8, min(most, tokens * 1.2 + 20))


def _gemini_tiles(width: int, height: int) -> int:
    if max(width, height) <= 384:
        return 1
    unit = min(768, max(256, int(min(width, height) / 1.5)))
    # And the whole of it once more, small.
    return ceil(width / unit) * ceil(height / unit) + 1


def _other(part: MediaPart) -> Guess:
    size = len(part.data or "") * 3 // 4
    if part.media == "document":
        return _pages(part) if size else Guess(1500, 10, 200_000)
    rate = 32 if part.media == "audio" else 300
    if not size:
        return Guess(60 * rate, 5, 3600 * rate)
    # Bytes of a second: 16,000 in a usual MP3, 176,000 in a WAV, 3,000 in speech at its smallest; films tenfold, and
    # down to pictures that hardly move.
    scale = 1 if part.media == "audio" else 10
    least = min(2_000 * scale, size)
    return Guess(size / (16_000 * scale) * rate, size / (200_000 * scale) * rate / 3, size / least * rate + 5 * rate)


def _pages(part: MediaPart) -> Guess:
    """A document: a page has up to some thousand tokens, fewer where only its text is read."""
    data = _decoded(part.data or "", _MOST_READ)
    pages = max(1, len(_PAGE.findall(data)), len(data) // 200_000)
    return Guess(600 * pages, 5, 4500 * pages + 500)


def written(part: MediaPart) -> str | None:
    """The text of a document that is one (plain, CSV, Markdown, JSON, ...); None for everything else."""
    kind = part.media_type or ""
    if part.media != "document" or not part.data or not (kind.startswith("text/") or kind == "application/json"):
        return None
    return _decoded(part.data, len(part.data)).decode("utf-8", "replace")

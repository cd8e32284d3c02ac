"""Elements of SVG and HTML, escaped by construction, and the frame that every chart stands in.

Small libraries were looked at: none of charted 1.2, leather 0.4, limn-charts 1.1, minilineplot 0.0.8 and pygal 3.1
has a dark mode that follows the reader's; minilineplot and pygal need styles within the chart, which the page's
policy forbids, and pygal a script from elsewhere. Here charts have classes only, which the page's one style sheet
knows.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Value: TypeAlias = "str | float | None"

WIDTH: Final = 960.0
"""Of every chart, in units of its own coordinates; about pixels on a wide screen."""

_BAD: Final = "\N{REPLACEMENT CHARACTER}"
# HTML's void elements, and the shapes that have no text: only these may be closed in one tag in both syntaxes.
_EMPTY: Final = frozenset({"meta", "rect", "line", "path", "circle", "polygon", "polyline"})
# What could turn the text around it: a name may be Arabic, but not reverse what stands beside it.
_TURNS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ELLIPSIS: Final = "…"
# Shares of the font's size, on the wide side: system fonts differ.
_NARROW, _USUAL, _BROAD, _FULL = 0.34, 0.6, 0.95, 1.1


@dataclass(slots=True)
class Element:
    """An element of SVG or HTML.

    Args:
        name: Of the element.
        attributes: By name, in the order in which they are written.
        children: Elements and plain text; text is escaped when it is written.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def write(self) -> str:
        """The element as text that is well-formed XML and HTML."""
        return "".join(_written(self))


def _written(item: Element) -> Iterator[str]:
    inside = "".join(f' {name}="{escape(value)}"' for name, value in item.attributes.items())
    if not item.children and item.name in _EMPTY:
        yield f"<{item.name}{inside}/>"
        return
    yield f"<{item.name}{inside}>"
    for child in item.children:
        if isinstance(child, str):
            yield escape(legal(child), quote=False)
        else:
            yield from _written(child)
    yield f"</{item.name}>"


def element(name: str, /, *children: Element | str | None, **attributes: Value) -> Element:
    """Make an element.

    Args:
        name: Of the element.
        children: Elements and text; None is left out.
        attributes: `_` stands for `-`, a `_` at the end is dropped (`class_`); numbers are written short, None is left
            out.

    Raises:
        ValueError: A number is not finite: nothing of a chart may stand nowhere.
    """
    written = {
        name.rstrip("_").replace("_", "-"): legal(value) if isinstance(value, str) else number(value)
        for name, value in attributes.items()
        if value is not None
    }
    return Element(name, written, [child for child in children if child is not None])


def number(value: float) -> str:
    """A coordinate to a hundredth.

    Raises:
        ValueError: It is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"a chart has no place for {value}")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def legal(text: str) -> str:
    """The text without what XML cannot hold and what could reverse the text around it, each shown as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_legal(char) else _BAD for char in text)


def _is_legal(char: str) -> bool:
    # Characters of XML 1.0, less the C1 controls and the ends of planes, which HTML calls errors.
    code = ord(char)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return char in "\t\n"
    return not (0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code < 0xFDF0 or char in _TURNS)


def short(text: str, most: int = 40) -> str:
    """A name on one line, its middle left out where it is long; what has no visible name is said to have none."""
    line = " ".join(legal(text).split()) or "(no name)"
    if len(line) <= most:
        return line
    end = most // 3
    return line[: most - end - 1] + _ELLIPSIS + line[-end:]


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide a text is, in the units of its font's size; rather too much than too little."""
    return size * sum(map(_char_width, text))


def _char_width(char: str) -> float:
    if unicodedata.combining(char):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return _FULL
    if char in "ijl.,:;|'! ":
        return _NARROW
    return _BROAD if char in "mwMW@%" else _USUAL


@dataclass(slots=True, frozen=True)
class Plot:
    """The part of a chart that data stands in.

    Args:
        left: Its left edge.
        top: Its top; larger values stand higher, hence have smaller coordinates.
        right: Its right edge.
        bottom: Its bottom, where 0 is.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From edge to edge."""
        return self.right - self.left


def text(words: str, x: float, y: float, *, class_: str = "t", anchor: str | None = None) -> Element:
    """A text of a chart; `anchor` is "middle" or "end" where x is not its beginning."""
    return element("text", words, class_=class_, x=x, y=y, text_anchor=anchor)


def hint(words: str) -> Element:
    """What is shown when somebody points at the element that this stands in."""
    return element("title", words)


def path(points: Iterable[tuple[float, float]]) -> str:
    """A line through points, as path data."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def steps(heights: Sequence[float], left: float, slot: float) -> list[tuple[float, float]]:
    """A staircase: each height over its own slot."""
    points: list[tuple[float, float]] = []
    for index, height in enumerate(heights):
        points += [(left + index * slot, height), (left + (index + 1) * slot, height)]
    return points


def chart(key: str, title: str, description: str, height: float, parts: Iterable[Element]) -> Element:
    """A whole chart.

    Args:
        key: Makes its identifiers the page's only ones.
        title: Its name, read by screen readers.
        description: What it shows, in one or two sentences.
        height: As for `WIDTH`.
        parts: What is drawn, from back to front.
    """
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-desc"),
        *parts,
        class_="chart",
        viewBox=f"0 0 {number(WIDTH)} {number(height)}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )


@dataclass(slots=True, frozen=True)
class Entry:
    """One entry of a legend.

    Args:
        label: What it stands for.
        shape: "box" for bars and areas, "line" for lines, "mark" for a mark.
        class_: The class of what it stands for.
        fill: A pattern's reference, where there is one.
        points: The outline of a mark, around (0, 0).
    """

    label: str
    shape: str
    class_: str
    fill: str | None = None
    points: str = ""


_ROW: Final = 20.0
_SWATCH: Final = 16.0


def legend(entries: Sequence[Entry], left: float = 8.0, top: float = 6.0) -> tuple[list[Element], float]:
    """A legend in as many rows as it takes, and where it ends."""
    parts: list[Element] = []
    x, y = left, top
    for entry in entries:
        width = _SWATCH + 6 + text_width(entry.label) + 16
        if x > left and x + width > WIDTH:
            x, y = left, y + _ROW
        parts += [_swatch(entry, x, y), text(entry.label, x + _SWATCH + 6, y + 12)]
        x += width
    return parts, y + (_ROW if entries else 0.0)


def _swatch(entry: Entry, x: float, y: float) -> Element:
    if entry.shape == "line":
        return element("line", class_=entry.class_, x1=x, x2=x + _SWATCH, y1=y + 8, y2=y + 8)
    if entry.shape == "mark":
        place = f"translate({number(x + _SWATCH / 2)} {number(y + 8)})"
        return element("polygon", class_=entry.class_, points=entry.points, transform=place)
    return element("rect", class_=entry.class_, x=x, y=y + 2, width=_SWATCH, height=12, fill=entry.fill)

"""What is asked of a chart, whoever drew it: read back from its text, as a browser would."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from aistrale.cost.charts.chart import text_width

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def parsed(text):
    """A chart or a page as a tree; raises where it is not well-formed."""
    return ET.fromstring(text)  # noqa: S314 - our own text, whose soundness is the question


def classed(tree, class_):
    """The elements of a class, in order."""
    return [item for item in tree.iter() if class_ in item.get("class", "").split()]


def numbers(text):
    return [float(found) for found in NUMBER.findall(text)]


def corners(polygon):
    """The corners of a polygon."""
    flat = numbers(polygon.get("points"))
    return list(zip(flat[::2], flat[1::2], strict=True))


def place(mark):
    """Where a mark stands."""
    return tuple(numbers(mark.get("transform")))


def assert_sound(chart):
    """Nothing is nowhere, nothing is written beyond the edge, and there is a name for those who cannot see it."""
    left, top, width, height = map(float, chart.get("viewBox").split())
    assert (left, top) == (0, 0)
    for item in chart.iter():
        for name, value in item.attrib.items():
            assert not re.search(r"\b(nan|inf|infinity|none)\b", value, re.IGNORECASE), (item.tag, name, value)
        if item.tag == "rect" and "x" in item.attrib:
            x, y, wide, high = (float(item.get(name)) for name in ("x", "y", "width", "height"))
            assert wide >= 0
            assert high >= 0
            assert -0.01 <= x <= x + wide <= width + 0.01
            assert -0.01 <= y <= y + high <= height + 0.01
        if item.tag == "text":
            size = 11.0 if "s" in item.get("class").split() else 12.0
            wide = text_width(item.text, size)
            x, y = float(item.get("x")), float(item.get("y"))
            begin = x - {"middle": wide / 2, "end": wide, None: 0.0}[item.get("text-anchor")]
            assert begin >= -1, item.text
            assert begin + wide <= width + 1, item.text
            assert size * 0.7 <= y <= height - 2, item.text
    assert chart.get("role") == "img"
    names = {item.get("id"): item.text for item in chart if item.tag in {"title", "desc"}}
    assert all(names[key] for key in chart.get("aria-labelledby").split())

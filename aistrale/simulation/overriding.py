"""Changing single fields of a scenario before it is read: what if the outage lasted longer?"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, cast

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP = re.compile(r"([A-Za-z0-9_ -]+)|\[(\d+)\]")


def overridden(document: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, object]:
    """A copy of the document with other values.

    Args:
        document: The scenario's tables.
        overrides: Values by field, as `targets[0].latency`; tables on the way are made where there are none.

    Raises:
        ConfigurationError: A field leads nowhere.
    """
    copy = deepcopy(dict(document))
    for field, value in overrides.items():
        _put(copy, field, value)
    return copy


def _put(document: dict[str, object], field: str, value: object) -> None:
    steps = _steps(field)
    place: object = document
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        fits = isinstance(place, dict) if isinstance(step, str) else isinstance(place, list) and step < len(place)
        if not fits:
            raise ConfigurationError(f"scenario.{field}: there is no such field", field=f"scenario.{field}")
        table = cast("dict[str | int, object]", place)
        if following is None:
            table[step] = value
        elif isinstance(step, str) and isinstance(following, str):
            place = table.setdefault(step, {})
        else:
            place = table.get(step) if isinstance(step, str) else table[step]


def _steps(field: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in field.split("."):
        found = list(_STEP.finditer(part))
        if "".join(match[0] for match in found) != part or not found:
            raise ConfigurationError(
                f"{field!r} is no field of a scenario", field=field, hint="Write it as targets[0].outages[0].end."
            )
        steps.extend(match[1] if match[1] is not None else int(match[2]) for match in found)
    return steps

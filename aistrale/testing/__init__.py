"""Test your application without a provider: a simulator of all of them, faults, and recorded exchanges.

with aistrale.testing.simulator() as sim:
    client = aistrale.Client(**sim.settings())

Names load at first use: pytest imports this package for every one of its users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.testing.block import simulator
    from aistrale.testing.contract import check_recognizer
    from aistrale.testing.faults import GOOD, Broken, Fault, Good, Say, Slow
    from aistrale.testing.script import Scripted
    from aistrale.testing.simulated import Received, Simulator
    from aistrale.testing.sink_contract import check_sink

__all__ = [
    "GOOD",
    "Broken",
    "Fault",
    "Good",
    "Received",
    "Say",
    "Scripted",
    "Simulator",
    "Slow",
    "check_recognizer",
    "check_sink",
    "simulator",
]

_HOMES = {
    "aistrale.testing.block": ("simulator",),
    "aistrale.testing.contract": ("check_recognizer",),
    "aistrale.testing.faults": ("GOOD", "Broken", "Fault", "Good", "Say", "Slow"),
    "aistrale.testing.script": ("Scripted",),
    "aistrale.testing.simulated": ("Received", "Simulator"),
    "aistrale.testing.sink_contract": ("check_sink",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale.testing' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

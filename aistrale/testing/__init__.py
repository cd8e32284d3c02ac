"""Test your application without a provider: a simulator of all of them, faults, and recorded exchanges.

with aistrale.testing.simulator() as sim:
    client = aistrale.Client(**sim.settings())
"""

from __future__ import annotations

from aistrale.testing.faults import GOOD, Broken, Fault, Good, Say, Slow
from aistrale.testing.simulator import Received, Simulator, simulator

__all__ = ["GOOD", "Broken", "Fault", "Good", "Received", "Say", "Simulator", "Slow", "simulator"]

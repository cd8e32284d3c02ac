"""Simulation: what a configuration does to thousands of clients and their providers when something breaks.

Time is virtual, providers are scripted, the policies are the real ones. `aistrale simulate` runs scenarios from TOML
files; this package is the same for programs, and its SimRuntime runs any coroutine of a policy in virtual time.
"""

from __future__ import annotations

from aistrale.simulation.kernel import Cancelled, Kernel
from aistrale.simulation.loading import load, parse
from aistrale.simulation.policies import NAMES, Naive, policies_for
from aistrale.simulation.report import Report
from aistrale.simulation.running import simulate
from aistrale.simulation.runtime import SimRuntime
from aistrale.simulation.scenario import Outage, Quota, Scenario, Surge, TargetSpec
from aistrale.simulation.world import World

__all__ = [
    "NAMES",
    "Cancelled",
    "Kernel",
    "Naive",
    "Outage",
    "Quota",
    "Report",
    "Scenario",
    "SimRuntime",
    "Surge",
    "TargetSpec",
    "World",
    "load",
    "parse",
    "policies_for",
    "simulate",
]

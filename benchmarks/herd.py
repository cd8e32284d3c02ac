"""The tables of docs/simulation.md: every example scenario with every policy. Prints Markdown.

    python benchmarks/herd.py [--seeds 1 2 3] [--outage 90] [--policies none default] [--jobs 2]

Figures are of virtual time and the same on every machine; only how long a run takes is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aistrale.simulation import NAMES, Report, load, simulate

SCENARIOS = Path(__file__).resolve().parents[1] / "examples" / "scenarios"
OUTAGES = ("fast_503", "brownout_short_queue", "brownout_long_queue", "black_hole")
# How long calls are made after the outage, in seconds.
AFTER = 90


def run(job: tuple[str, str, int, int]) -> tuple[Report, float]:
    """One scenario with one policy and seed, its outage cut to `outage` seconds; the report and the CPU time."""
    name, policy, seed, outage = job
    changes: dict[str, object] = {}
    if outage:
        end = 60 + outage
        changes = {"targets[0].outages[0].end": end, "duration": end + AFTER}
    began = time.process_time()
    return simulate(load(SCENARIOS / f"{name}.toml", changes), policy, seed=seed), time.process_time() - began


def spread(values: list[float], form: str) -> str:
    """One figure, or the lowest and the highest of several seeds."""
    shown = [format(value, form) for value in sorted(values)]
    return shown[0] if shown[0] == shown[-1] else f"{shown[0]}-{shown[-1]}"


def cell(reports: list[Report]) -> str:
    """Attempts per call during the outage and after it; recovery; success in the minute after."""
    episodes = [report.episodes[0] for report in reports]
    backs = [episode.back_after for episode in episodes]
    known = [back for back in backs if back is not None]
    back = "never" if not known else f"{spread(known, '.1f')} s" + (" or never" if len(known) < len(backs) else "")
    during = spread([episode.attempts for episode in episodes], ".1f")
    after = spread([episode.attempts_after for episode in episodes], ".1f")
    return f"{during} → {after}, {back}, {spread([100 * episode.ok_after for episode in episodes], '.0f')}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--outage", type=int, default=90)
    parser.add_argument("--policies", nargs="+", default=list(NAMES))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:

        def reports(name: str, policy: str, outage: int) -> list[Report]:
            results = list(pool.map(run, [(name, policy, seed, outage) for seed in options.seeds]))
            took = sum(seconds for _, seconds in results)
            print(f"{name} {policy}: {took:.1f} s of CPU", file=sys.stderr)
            return [report for report, _ in results]

        print(f"| policy | {' | '.join(OUTAGES)} |\n|---|{'---|' * len(OUTAGES)}")
        for policy in options.policies:
            cells = [cell(reports(name, policy, options.outage)) for name in OUTAGES]
            print(f"| {policy} | {' | '.join(cells)} |", flush=True)
        print("\n| policy | answered | attempts/call | p50 | p99 | peak/s |\n|---|---|---|---|---|---|")
        for policy in options.policies:
            found = reports("minute_quota", policy, 0)
            figures = [
                f"{spread([100 * one.ok_share for one in found], '.1f')} %",
                spread([one.amplification for one in found], ".2f"),
                f"{spread([one.p50 or 0.0 for one in found], '.1f')} s",
                f"{spread([one.p99 or 0.0 for one in found], '.1f')} s",
                spread([float(one.peak) for one in found], ",.0f"),
            ]
            print(f"| {policy} | {' | '.join(figures)} |", flush=True)
        print("\n| policy | answered | attempts/call | second target: peak/s | it refused | back after | 60 s after |")
        print("|---|---|---|---|---|---|---|")
        for policy in options.policies:
            found = reports("failover", policy, options.outage)
            episodes = [one.episodes[0] for one in found]
            backs = [episode.back_after for episode in episodes]
            known = [back for back in backs if back is not None]
            figures = [
                f"{spread([100 * episode.ok for episode in episodes], '.1f')} %",
                spread([episode.attempts for episode in episodes], ".2f"),
                spread([float(one.targets[1].peak) for one in found], ",.0f"),
                spread([float(one.targets[1].full) for one in found], ",.0f"),
                f"{spread(known, '.1f')} s" if len(known) == len(backs) else "never",
                f"{spread([100 * episode.ok_after for episode in episodes], '.0f')} %",
            ]
            print(f"| {policy} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()

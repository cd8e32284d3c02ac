"""`aistrale simulate`: what a configuration does to clients and providers when something breaks, in virtual time."""

from __future__ import annotations

import time
import tomllib
from typing import TYPE_CHECKING

import click

from aistrale.cli import _screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aistrale.simulation import Report

_SENT = "sent/call"
_BACK = "back after"
_RIGHT = ("answered", _SENT, "p50", "p99", "peak/s", "wasted", "cost", "meanwhile", "30 s after", _BACK, "60 s after")
_TARGET_RIGHT = ("arrived", "answered", "outage", "quota", "full", "left", "peak/s", "wasted", "cost")


@click.command("simulate", short_help="What happens to a thousand clients when a provider breaks.")
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
@click.option("--policy", "policies", multiple=True, metavar="NAME", help="Only these policies; can be repeated.")
@click.option("--seed", type=click.IntRange(min=0), help="Of all randomness, instead of the scenario's.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field of the scenario, for example targets[0].outages[0].end=90.",
)
@click.option("--targets", "by_target", is_flag=True, help="Also show what each target has seen.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, time lines included.")
def command(
    *,
    scenario: str,
    policies: Sequence[str],
    seed: int | None,
    changes: Sequence[str],
    by_target: bool,
    as_json: bool,
) -> None:
    """Run the scenario of a TOML FILE with several kinds of policies, and compare what they make of it.

    Nothing is sent. The same file and seed give the same figures everywhere.
    """
    from aistrale.simulation import load, simulate
    from aistrale.simulation.policies import contender

    found = load(scenario, dict(map(_change, changes)))
    names = policies or found.compare
    for name in names:
        # Before the first run, since each may take a while.
        contender(name, found.policies, [target.name for target in found.targets])
    reports = []
    for name in names:
        began = time.perf_counter()
        reports.append(simulate(found, name, seed=seed))
        calls = _screen.count(reports[-1].offered)
        _screen.note(f"{name}: {calls} calls simulated in {time.perf_counter() - began:.1f} s")
    if as_json:
        _screen.document({"scenario": found.title, "reports": [report.as_document() for report in reports]})
        return
    _show(found.title, reports, by_target=by_target)


def _change(text: str) -> tuple[str, object]:
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise click.BadParameter(f"{text!r} is no FIELD=VALUE", param_hint="--set")
    return field.strip(), _value(value.strip())


def _value(text: str) -> object:
    """What a TOML file would mean by it; a word that means nothing there is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _show(title: str, reports: Sequence[Report], *, by_target: bool) -> None:
    _screen.heading(title)
    header = ["policy", "answered", _SENT, "p50", "p99", "peak/s", "wasted", "cost"]
    _screen.table(header, [_cells(report) for report in reports], right=_RIGHT)
    rows = [row for report in reports for row in _episodes(report)]
    if rows:
        _screen.say()
        _screen.heading("Outages and surges")
        header = ["policy", "from", "to", "answered", "meanwhile", "30 s after", _BACK, "60 s after"]
        _screen.table(header, rows, right=("from", "to", *_RIGHT))
    if by_target:
        _screen.say()
        _screen.heading("Targets")
        rows = [row for report in reports for row in _targets(report)]
        _screen.table(["policy", "target", *_TARGET_RIGHT], rows, right=_TARGET_RIGHT)
    _screen.say()
    _screen.say("answered, 60 s after: calls answered in time, of those made (in the 60 s after the end).")
    _screen.say("sent/call, meanwhile, 30 s after: attempts per call.")
    _screen.say("back after: from the end until, for good, calls succeed at 95 % of the rate before or more.")


def _cells(report: Report) -> list[str]:
    return [
        report.policy,
        _percent(report.ok_share),
        f"{report.amplification:.2f}",
        _screen.seconds(report.p50),
        _screen.seconds(report.p99),
        _screen.count(report.peak),
        _percent(report.wasted),
        _dollars(report.cost),
    ]


def _episodes(report: Report) -> list[list[str]]:
    return [
        [
            report.policy,
            f"{episode.start:g} s",
            f"{episode.end:g} s",
            _percent(episode.ok),
            f"{episode.attempts:.2f}",
            f"{episode.attempts_after:.2f}",
            "never" if episode.back_after is None else f"{episode.back_after:g} s",
            _percent(episode.ok_after),
        ]
        for episode in report.episodes
    ]


def _targets(report: Report) -> list[list[str]]:
    return [
        [
            report.policy,
            target.name,
            *map(
                _screen.count,
                (
                    target.arrived,
                    target.answered,
                    target.failed,
                    target.refused,
                    target.full,
                    target.abandoned,
                    target.peak,
                ),
            ),
            _percent(target.wasted),
            _dollars(target.cost),
        ]
        for target in report.targets
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _dollars(usd: Decimal | None) -> str:
    return "unknown" if usd is None else f"${usd:.2f}"

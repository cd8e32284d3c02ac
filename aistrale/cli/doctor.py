"""`aistrale doctor`: what is set up, and whether it works. Keys are never printed, not even in part."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from aistrale.cli import _screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSON, JSONObject

BROKEN = 2


@click.command("doctor", short_help="What is set up, and whether it works.")
@click.option("--probe", is_flag=True, help="Send one tiny request to each provider that has a key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, probe: bool, as_json: bool) -> int:
    """Show versions, settings, which keys are there, installed SDKs, the ledger, sinks, shared state, proxies.

    Exits with 0 when aistrale can be used, with 2 when something is broken. A provider without a key is not broken.
    Of keys only the name of the variable is shown.
    """
    from aistrale.cli._checks import examine
    from aistrale.cli._probe import probe_all

    report = examine()
    if probe:
        report["probes"] = cast("JSON", probe_all(report))
    problems = cast("list[str]", report["problems"])
    report["usable"] = not problems
    if as_json:
        _screen.document(report)
    else:
        _show(report)
    return BROKEN if problems else 0


def _show(report: JSONObject) -> None:
    _pairs("System", _part(report, "system"))
    _pairs("Settings", _part(report, "settings"))
    _screen.heading("Providers")
    header = ["provider", "key", "endpoint", "default model"]
    _screen.table(header, [_texts(row, "name", "key", "endpoint", "model") for row in _rows(report, "providers")])
    _screen.say()
    packages = _part(report, "packages")
    for title, name in (("Vendors' SDKs", "sdks"), ("Extras", "extras"), ("Libraries", "libraries")):
        _pairs(title, cast("JSONObject", packages[name]), absent="not installed")
    _pairs("Money", _part(report, "money"))
    _pairs("Ledger", _part(report, "ledger"))
    _pairs("Sinks", _part(report, "sinks"), absent="none")
    _pairs("Shared state", _part(report, "state"))
    _pairs("Proxies", _part(report, "proxies"), absent="none")
    if "probes" in report:
        _screen.heading("Probes")
        header = ["provider", "model", "result"]
        _screen.table(header, [_texts(row, *header) for row in _rows(report, "probes")])
        _screen.say()
    for title, name in (("note", "notes"), ("problem", "problems")):
        for text in cast("list[str]", report[name]):
            _screen.say(f"{title}: {_screen.one_line(text)}")
    _screen.say("aistrale can be used." if report["usable"] else "Something is broken, see above.")


def _part(report: JSONObject, name: str) -> JSONObject:
    return cast("JSONObject", report[name])


def _rows(report: JSONObject, name: str) -> list[JSONObject]:
    return cast("list[JSONObject]", report[name])


def _texts(row: JSONObject, *names: str) -> list[str]:
    return [_text(row[name]) for name in names]


def _pairs(title: str, values: JSONObject, absent: str = "-") -> None:
    """A heading and a line for each value; what is None is said in one line at the end."""
    _screen.heading(title)
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        _screen.say(f"  {_screen.one_line(name).ljust(width)}  {_screen.one_line(_text(value, absent))}")
    if not values:
        _screen.say(f"  {absent}")
    _screen.say()


def _text(value: JSON | Sequence[str], absent: str = "-") -> str:
    if value is None or value in ([], {}):
        return absent
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""The one style sheet of a page, and the policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

LIGHT: Final = {
    "ground": "#ffffff",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d3d9df",
    "axis": "#7b848d",
    "sheet": "#f4f6f8",
    "bar": "#3f6fa8",
    "band": "#e8c9a8",
    "inner": "#d99a5b",
    "median": "#8a4200",
    "limit": "#b3123f",
    "spike": "#b3123f",
    "drop": "#00706b",
    "shift": "#5b2a86",
    "m0": "#2062c5",
    "m1": "#d67008",
    "m2": "#15a08a",
    "m3": "#5a228c",
    "m4": "#894f01",
    "m5": "#072a3b",
    "rest": "#7d858d",
    "weave": "#ffffff",
}
"""Colours on white: text has at least 4.5 : 1 against the ground, what is drawn 3 : 1 (WCAG 2.2, 1.4.3 and 1.4.11), but
for the bands, whose edges are lines of their own. Models differ also for eyes that lack a kind of cone."""

DARK: Final = {
    "ground": "#15181c",
    "ink": "#e8ebee",
    "soft": "#a9b2bb",
    "line": "#343b43",
    "axis": "#808a94",
    "sheet": "#1d2227",
    "bar": "#6fa3dc",
    "band": "#4a3620",
    "inner": "#7d5426",
    "median": "#ffc98a",
    "limit": "#ff7d9c",
    "spike": "#ff7d9c",
    "drop": "#4fd6cb",
    "shift": "#c9a0f0",
    "m0": "#3aa7de",
    "m1": "#d58920",
    "m2": "#8dfce3",
    "m3": "#7570d8",
    "m4": "#b0524e",
    "m5": "#f6d22b",
    "rest": "#98a1aa",
    "weave": "#15181c",
}
"""The same on a dark ground."""

_RULES: Final = """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 20px 24px 48px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 19px; line-height: 1.3; margin: 36px 0 6px; overflow-wrap: anywhere; }
h3 { font-size: 16px; line-height: 1.3; margin: 22px 0 4px; overflow-wrap: anywhere; }
p { margin: 4px 0 10px; max-width: 80ch; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.warn { border-left: 4px solid var(--limit); padding: 2px 0 2px 10px; }
dl { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 8px; padding: 0; }
dl div { background: var(--sheet); border: 1px solid var(--line); border-radius: 8px; padding: 10px 16px;
  min-width: min-content; flex: 1 1 170px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; white-space: nowrap; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
dd.more { white-space: normal; font-size: 13px; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; margin: 6px 0; }
.scroll:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
.chart { display: block; width: 100%; min-width: 860px; height: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; margin: 4px 0; }
caption { text-align: left; color: var(--soft); padding: 4px 0; }
.unseen { font-size: 0; padding: 0; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { border-bottom: 1px solid var(--axis); white-space: nowrap; }
tbody th { font-weight: 500; }
.num { text-align: right; white-space: nowrap; }
.day { white-space: nowrap; }
.name { min-width: 12ch; max-width: 44ch; overflow-wrap: anywhere; }
.words { min-width: 24ch; }
details { margin: 6px 0 14px; }
summary { cursor: pointer; color: var(--soft); }
svg text { fill: var(--ink); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .s { font-size: 11px; paint-order: stroke; stroke: var(--ground); stroke-width: 3px; stroke-linejoin: round; }
svg line { stroke-width: 1; }
.grid { stroke: var(--line); }
.axis { stroke: var(--axis); }
.now { stroke: var(--soft); stroke-dasharray: 3 3; }
.bar { fill: var(--bar); }
.part { fill: var(--ground); stroke: var(--bar); stroke-width: 1; }
.over { pointer-events: none; }
.hatch { stroke: var(--bar); stroke-width: 1.4; fill: none; }
.band { fill: var(--band); stroke: var(--median); stroke-width: 0.4; }
.in { fill: var(--inner); }
.median { fill: none; stroke: var(--median); stroke-width: 2.5; stroke-dasharray: 7 3; }
svg line.median { stroke-width: 2.5; }
.touch { fill: transparent; }
.mark { stroke: var(--ground); stroke-width: 1; }
.spike { fill: var(--spike); }
.drop { fill: var(--drop); }
.shift { fill: var(--shift); }
polygon.out { fill: var(--limit); }
line.out { stroke: var(--limit); stroke-dasharray: 2 3; }
svg line.limit { stroke: var(--limit); stroke-width: 2; }
.sofar { fill: none; stroke: var(--bar); stroke-width: 2.5; stroke-linejoin: round; }
.guess { stroke-dasharray: 2 4; }
svg line.sofar { stroke-width: 2.5; }
.point { fill: var(--bar); stroke: var(--ground); stroke-width: 1.5; }
.track { fill: var(--sheet); stroke: var(--line); }
.reserved { fill: var(--ground); stroke: var(--bar); stroke-width: 1; stroke-dasharray: 3 2; }
.seg { stroke: var(--ground); stroke-width: 0.6; }
.ground.m0 { fill: var(--m0); } .ground.m1 { fill: var(--m1); } .ground.m2 { fill: var(--m2); }
.ground.m3 { fill: var(--m3); } .ground.m4 { fill: var(--m4); } .ground.m5 { fill: var(--m5); }
.ground.m-rest { fill: var(--rest); }
.weave { stroke: var(--weave); stroke-width: 1.1; fill: none; opacity: 0.75; }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  .chart { min-width: 0; }
  .scroll { overflow: visible; }
  section, figure, .keep { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


STYLE: Final = (
    f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ @media not print {{ :root {{ {_variables(DARK)} }} }} }}\n{_RULES}"
)
"""Light and dark as the reader's system has it; on paper always light."""

POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'"
)
"""Content Security Policy Level 3: no script, no image, no font, no connection; only this style, by its hash."""

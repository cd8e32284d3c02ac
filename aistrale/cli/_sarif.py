"""Findings in SARIF 2.1.0 (OASIS), the format in which code hosts take the results of static analysis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from aistrale._version import __version__

if TYPE_CHECKING:
    from aistrale.cli.scan import Hit, Result
    from aistrale.types import JSONObject

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_SURE: Final = 0.85


def sarif(result: Result, *, show_values: bool) -> JSONObject:
    """A log with one run.

    Args:
        result: What was found.
        show_values: Whether messages hold the values themselves.
    """
    kinds = sorted({hit.finding.type for hit in result.hits})
    indices = {kind: index for index, kind in enumerate(kinds)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "aistrale scan",
                        "version": __version__,
                        "rules": [
                            {"id": kind, "shortDescription": {"text": f"Sensitive: {kind.replace('_', ' ').lower()}"}}
                            for kind in kinds
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "note",
                                "message": {"text": f"skipped: {reason}"},
                                "locations": [{"physicalLocation": {"artifactLocation": _artifact(name)}}],
                            }
                            for name, reason in result.skipped.items()
                        ],
                    }
                ],
                "results": [_result(hit, indices, show_values=show_values) for hit in result.hits],
            }
        ],
    }


def _result(hit: Hit, indices: dict[str, int], *, show_values: bool) -> JSONObject:
    from aistrale.cli.scan import shown

    finding = hit.finding
    return {
        "ruleId": finding.type,
        "ruleIndex": indices[finding.type],
        "level": "error" if finding.score >= _SURE else "warning",
        "message": {"text": f"{finding.type} (score {finding.score:.2f}): {shown(hit.value, clear=show_values)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(hit.file),
                    "region": {
                        "startLine": hit.start[0],
                        "startColumn": hit.start[1],
                        "endLine": hit.end[0],
                        "endColumn": hit.end[1],
                        "charOffset": finding.start,
                        "charLength": finding.end - finding.start,
                    },
                }
            }
        ],
    }


def _artifact(name: str) -> JSONObject:
    """Where a file is: relative to where the command ran, where it was named so."""
    if name == "-":
        return {"uri": "stdin"}
    path = Path(name)
    return {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}

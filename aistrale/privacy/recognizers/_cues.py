"""Words around a value that say what it is."""

from __future__ import annotations


def cues(*lines: str) -> frozenset[str]:
    """The words of some lines, as `Candidate.near` takes them.

    Args:
        lines: Words in lower case, with spaces between them.
    """
    return frozenset(" ".join(lines).split())

"""What a recognizer found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Finding:
    """A stretch of text that is sensitive.

    Args:
        start: First character, as Python counts them.
        end: The character after the last one.
        type: What it is, in Presidio's names where it has one: "EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN", "SECRET", ...
        score: How sure it is, 0 to 1. 1.0: format and checksum agree; 0.85: the words around it say so; 0.5: the format
            alone, which something else may share.
        recognizer: Who found it.
    """

    start: int
    end: int
    type: str
    score: float
    recognizer: str = ""

"""Find what is sensitive in a text; for use alone.

from aistrale import privacy
for finding in privacy.scan("Mail me at jo@example.com"):
    print(finding.type, finding.start, finding.end, finding.score)
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.scanner import Scanner


def scan(text: str) -> list[Finding]:
    """Everything sensitive in a text, in order, found by the recognizers that come with the package.

    Args:
        text: Any length; the time grows linearly with it.
    """
    return default_scanner().scan(text)


@cache
def default_scanner() -> Scanner:
    """The scanner with all recognizers that come with the package; made at first use."""
    from aistrale.privacy.recognizers import default_recognizers
    from aistrale.privacy.scanner import Scanner

    return Scanner(default_recognizers())

"""Find what is sensitive in a text, take it out, and put it back; for use alone.

from aistrale import privacy
for finding in privacy.scan("Mail me at jo@example.com"):
    print(finding.type, finding.start, finding.end, finding.score)

vault = privacy.Vault()
redacted = privacy.Redactor(privacy.default_scanner()).redact("Mail me at jo@example.com", vault)
print(redacted, privacy.Restorer(vault).restore(redacted))
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.privacy.custom import Custom, installed_recognizers
    from aistrale.privacy.dlp import Rule
    from aistrale.privacy.event import PrivacyEvent
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.recognizer import Candidate, Recognizer, Triggers
    from aistrale.privacy.recognizers import default_recognizers
    from aistrale.privacy.redactor import Redactor
    from aistrale.privacy.restore import Restorer, RestoreStream
    from aistrale.privacy.scanner import Scanner
    from aistrale.privacy.sealed import decrypt
    from aistrale.privacy.settings import PrivacySettings
    from aistrale.privacy.tap import RestoreTap
    from aistrale.privacy.vault import Vault

__all__ = [
    "Candidate",
    "Custom",
    "Finding",
    "PrivacyEvent",
    "PrivacySettings",
    "Recognizer",
    "Redactor",
    "RestoreStream",
    "RestoreTap",
    "Restorer",
    "Rule",
    "Scanner",
    "Triggers",
    "Vault",
    "decrypt",
    "default_recognizers",
    "default_scanner",
    "installed_recognizers",
    "scan",
]

_HOMES = {
    "aistrale.privacy.custom": ("Custom", "installed_recognizers"),
    "aistrale.privacy.dlp": ("Rule",),
    "aistrale.privacy.event": ("PrivacyEvent",),
    "aistrale.privacy.finding": ("Finding",),
    "aistrale.privacy.recognizer": ("Candidate", "Recognizer", "Triggers"),
    "aistrale.privacy.recognizers": ("default_recognizers",),
    "aistrale.privacy.redactor": ("Redactor",),
    "aistrale.privacy.restore": ("RestoreStream", "Restorer"),
    "aistrale.privacy.scanner": ("Scanner",),
    "aistrale.privacy.sealed": ("decrypt",),
    "aistrale.privacy.settings": ("PrivacySettings",),
    "aistrale.privacy.tap": ("RestoreTap",),
    "aistrale.privacy.vault": ("Vault",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


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


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale.privacy' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""One text at a time, outside of calls: what `client.scan`, `client.redact` and `aistrale scan` do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from aistrale.privacy.placeholder import FULL, LITERAL
from aistrale.privacy.settings import PrivacySettings, known_types

if TYPE_CHECKING:
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.look import Finder
    from aistrale.privacy.protection import Protection
    from aistrale.privacy.vault import Vault


class Redacted:
    """A redacted text, and the way back.

    Args:
        text: Without what was sensitive.
        vault: Knows the originals.
        links: Whether they are restored inside URLs.
    """

    __slots__ = ("_links", "text", "vault")

    def __init__(self, text: str, vault: Vault, *, links: bool = False) -> None:
        self.text = text
        self.vault = vault
        self._links = links

    def restore(self, text: str) -> str:
        """Another text with the originals in place of the placeholders of this one."""
        from aistrale.privacy.restore import Restorer

        return Restorer(self.vault, links=self._links).restore(text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.text)} characters>"


def scan_text(settings: PrivacySettings, scanner: Finder, text: str) -> list[Finding]:
    """What a text holds of the types that the settings speak of, without the values that they allow."""
    own = settings if settings.redact else replace(settings, redact=True)
    return [
        finding
        for finding in scanner.scan(text)
        if own.redacts(finding.type) and text[finding.start : finding.end] not in own.allowed
    ]


def redact_text(protection: Protection, text: str, vault: Vault | None = None) -> Redacted:
    """A text as the settings redact it, also where calls are not redacted; its vault is its own unless one is given."""
    from aistrale.privacy.vault import Vault

    settings = protection.settings
    vault = Vault() if vault is None else vault
    wanted: dict[str, str] = {}
    if not settings.redact:
        types = known_types(settings.recognizers) if settings.types is None else settings.types
        wanted = {kind: settings.mode_of(kind) for kind in types - settings.except_types}
    return Redacted(protection.redactor(wanted).redact(text, vault), vault, links=settings.restore_links)


def harmless(protection: Protection | None, text: str, vault: Vault | None = None) -> str:
    """A text as those may see it who only look on, such as sinks: nothing in it is ever put back.

    Args:
        protection: The client's; None for one that looks for everything.
        text: What was said. Placeholders in it stay as they are: here they cannot be taken for others.
        vault: Numbers the values of several texts that belong together; a new one by default.
    """
    redacted = redact_text(protection or default_protection(), text, vault)
    said = redacted.text
    if f"[[{LITERAL}_" in said:
        for placeholder, original in redacted.vault.originals().items():
            # No more than that: what was typed may have grown to the whole of a link that it stands in.
            if placeholder.startswith(f"[[{LITERAL}_") and FULL.fullmatch(original):
                said = said.replace(placeholder, original)
    return said


@cache
def default_protection() -> Protection:
    """What clients look with that have no privacy settings; made at first use."""
    from aistrale.privacy.protection import Protection

    return Protection(PrivacySettings())

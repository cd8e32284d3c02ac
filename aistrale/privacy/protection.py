"""What the privacy settings come to: one scanner, the redactors, and the vaults of conversations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import on_fork
from aistrale.privacy.look import RuledScanner
from aistrale.privacy.recognizers import default_recognizers
from aistrale.privacy.redactor import Redactor
from aistrale.privacy.scanner import Scanner
from aistrale.privacy.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Context
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.look import Finder
    from aistrale.privacy.settings import PrivacySettings

STRICT: Final = frozenset(
    {
        "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "PASSWORD", "PHONE_NUMBER", "SECRET", "US_ITIN",
        "US_SSN",
    }
)  # fmt: skip
"""Types that are looked for even where no prose is expected: in fields that are not known, in words of a schema."""

_SURE: Final = 0.85
_MOST_CONVERSATIONS: Final = 4096


class Protection:
    """Shared by the policies and the faces of one client.

    Args:
        settings: What the application asked for.
    """

    def __init__(self, settings: PrivacySettings) -> None:
        self.settings = settings
        recognizers = (*settings.recognizers, *default_recognizers())
        self.scanner = Scanner(recognizers, min_score=settings.min_score)
        self._sure = Scanner(recognizers, min_score=max(_SURE, settings.min_score))
        self._redactors: dict[tuple[bool, tuple[tuple[str, str], ...]], Redactor] = {}
        self._vaults: OrderedDict[tuple[str | None, ...], Vault] = OrderedDict()
        self._lock = threading.Lock()
        on_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def describe(self) -> str:
        """One line."""
        own = self.settings
        types = "all types" if own.types is None else f"{len(own.types)} types"
        without = f" but {len(own.except_types)}" if own.except_types else ""
        modes = f", {len(own.modes)} with modes of their own" if own.modes else ""
        return f"{types}{without} as {own.default_mode}{modes}, {'' if own.restore else 'not '}restored"

    # --- redactors -----------------------------------------------------------------------------------------------

    def redactor(self, extra: Mapping[str, str]) -> Redactor:
        """What redacts prose.

        Args:
            extra: Types, and labels of rules, that are to go whatever the settings say, each with its mode; "allow" for
                those that are not.
        """
        return self._made(extra, strict=False)

    def strict(self, extra: Mapping[str, str]) -> Redactor:
        """What redacts texts in which no prose is expected: only what is surely sensitive."""
        return self._made(extra, strict=True)

    def _made(self, extra: Mapping[str, str], *, strict: bool) -> Redactor:
        key = (strict, tuple(sorted(extra.items())))
        found = self._redactors.get(key)
        if found is None:
            # The rules of one client ask for few different sets.
            found = self._redactors[key] = self._make(extra, strict=strict)
        return found

    def _make(self, extra: Mapping[str, str], *, strict: bool) -> Redactor:
        own = self.settings
        wanted = own.types if own.redact else frozenset[str]()
        if strict:
            wanted = STRICT if wanted is None else wanted & STRICT
        scanner: Finder = self._sure if strict else self.scanner
        without = own.except_types
        if extra:
            # What rules ask for may overlap with what the scanner finds, and neither may give way to the other.
            scanner = RuledScanner(scanner, own.rules, _among(wanted, without), extra)
            wanted, without = None, frozenset()
        return Redactor(
            scanner,
            types=wanted,
            except_types=without,
            modes={**own.modes, **{kind: mode for kind, mode in extra.items() if mode != "allow"}},
            default_mode=own.default_mode,
            allow=own.allowed,
            key=None if own.key is None else own.key_bytes(),
        )

    def in_link(self, text: str) -> list[Finding]:
        """What must not leave in a link: neither the link itself nor the signature by which it opens counts."""
        own = self.settings
        wanted = (STRICT if own.types is None else own.types & STRICT) - own.except_types - {"SECRET", "PASSWORD"}
        if not own.redact:
            return []
        return [finding for finding in self._sure.scan(text) if finding.type in wanted]

    # --- vaults --------------------------------------------------------------------------------------------------

    def vault(self, context: Context) -> Vault:
        """The vault of a call: that of its session, else one of its own.

        Sessions of two users, projects or workspaces have nothing in common, even if their names are the same.
        """
        if context.session is None:
            return Vault()
        key = (context.workspace, context.project, context.user, context.session)
        with self._lock:
            found = self._vaults.get(key)
            if found is None:
                found = self._vaults[key] = Vault()
                while len(self._vaults) > _MOST_CONVERSATIONS:
                    self._vaults.popitem(last=False)
            else:
                self._vaults.move_to_end(key)
        return found

    def keep(self, context: Context, vault: Vault) -> None:
        """Go on with a vault that was kept elsewhere. The context must name a session."""
        key = (context.workspace, context.project, context.user, context.session)
        with self._lock:
            self._vaults[key] = vault

    def forget(self, context: Context) -> None:
        """Drop the vault of a session."""
        with self._lock:
            self._vaults.pop((context.workspace, context.project, context.user, context.session), None)


def _among(wanted: frozenset[str] | None, without: frozenset[str]) -> Callable[[str], bool]:
    return lambda kind: (wanted is None or kind in wanted) and kind not in without

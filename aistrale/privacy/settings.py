"""What an application sets about privacy."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, get_args

from aistrale.errors import ConfigurationError
from aistrale.privacy.dlp import ANY
from aistrale.privacy.recognizers import default_recognizers
from aistrale.privacy.scanner import MIN_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.privacy.dlp import Rule
    from aistrale.privacy.recognizer import Recognizer
    from aistrale.providers.secret import Secret

Mode = Literal["placeholder", "mask", "hash", "fake", "drop", "encrypt"]
Media = Literal["allow", "warn", "block"]
OnError = Literal["block", "allow"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
"""What can stand in the place of a value."""

_KEYED: Final = frozenset({"hash", "encrypt"})
_KEY_BYTES: Final = 32


class AllowList:
    """Values that are left alone.

    Args:
        entries: Values, exactly as they are written; "@example.com" stands for the addresses of a domain, in any case.
    """

    __slots__ = ("_domains", "_exact")

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact = frozenset(entries)
        self._domains = tuple(entry.lower() for entry in self._exact if entry.startswith("@"))

    def __contains__(self, value: object) -> bool:
        return value in self._exact or (
            bool(self._domains) and isinstance(value, str) and value.lower().endswith(self._domains)
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class PrivacySettings:
    """What is found and redacted, how, and which rules hold for data.

    Whatever goes wrong while looking or replacing, the call fails with RedactionError and nothing is sent, unless
    `on_error="allow"` says otherwise. What stands in pixels, sounds and files cannot be looked into; see `media`.

    Args:
        redact: Whether values are replaced before anything leaves the process. False leaves that to the rules. True.
        types: The types that are redacted; None (the default) for all that the scanner finds.
        except_types: Types that are not redacted. Empty.
        min_score: How sure a finding must be, 0 to 1: 1.0 format and checksum, 0.85 the words around it, 0.5 the format
            alone. 0.5.
        modes: What replaces values, by type: "placeholder" (`[[EMAIL_ADDRESS_1]]`, restored in the answer), "mask",
            "hash" (keyed: the same value gives the same text everywhere), "fake" (another value of the same form, the
            same one throughout a conversation), "drop", "encrypt" (whoever has the key can read it). Empty.
        default_mode: What replaces the values of the other types. "placeholder".
        allow: Values that are never redacted, exactly as they are written; "@example.com" stands for the addresses of a
            domain. Rules about types leave them alone too. Empty.
        recognizers: Your own, which are asked beside those that come with the package: objects (see
            aistrale.privacy.recognizer.Recognizer), in settings also tables with `name`, `type`, `pattern` or `words`,
            `score`, `context` (see aistrale.privacy.custom.Custom), and names of those that an installed package offers
            under the entry point `aistrale.recognizers` ("all" for every one). Empty.
        key: For "hash" and "encrypt": 32 bytes in base64; AISTRALE_PRIVACY_KEY where it is not given. None.
        restore: Whether answers get the originals back. True.
        restore_links: Whether they get them back inside URLs, link targets and image sources as well, where whoever
            shows the answer would send them on. False.
        media: What becomes of a call with images, sounds or files, which nobody has looked into: "allow"; "warn": an
            event; "block": DLPViolation. "allow".
        rules: About data, see aistrale.privacy.dlp.Rule. Empty.
        dry_run: Whether rules only report what they would do: events and ledger rows, and nothing else. It does not
            concern `redact`. False.
        on_error: "block": a call whose texts could not be looked at or redacted fails. "allow": it is sent, and a
            warning is logged. "block".

    Raises:
        ConfigurationError: A field is wrong; it names the field and what is accepted.
    """

    redact: bool = True
    types: frozenset[str] | None = None
    except_types: frozenset[str] = frozenset()
    min_score: float = MIN_SCORE
    modes: Mapping[str, Mode] = field(default_factory=dict)
    default_mode: Mode = "placeholder"
    allow: tuple[str, ...] = field(default=(), repr=False)
    recognizers: tuple[Recognizer, ...] = ()
    key: Secret | None = None
    restore: bool = True
    restore_links: bool = False
    media: Media = "allow"
    rules: tuple[Rule, ...] = ()
    dry_run: bool = False
    on_error: OnError = "block"
    allowed: AllowList = field(init=False, repr=False, compare=False)
    """`allow`, to ask whether a value is in it."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        object.__setattr__(self, "allowed", AllowList(self.allow))
        if not 0 <= self.min_score <= 1:
            raise _wrong("min_score", "a number from 0 to 1")
        for name, value, accepted in (
            *((f"modes.{kind}", mode, MODES) for kind, mode in self.modes.items()),
            ("default_mode", self.default_mode, MODES),
            ("media", self.media, get_args(Media)),
            ("on_error", self.on_error, get_args(OnError)),
        ):
            if value not in accepted:
                raise _wrong(name, f"one of {', '.join(map(repr, accepted))}")
        self._check_types()
        self._check_rules()
        if self.key is not None:
            self.key_bytes()
        elif keyed := sorted(_KEYED.intersection((self.default_mode, *self.modes.values()))):
            raise _wrong("key", f"given for the mode {keyed[0]!r}", _KEY_HINT)
        elif any(rule.action == "encrypt" for rule in self.rules):
            raise _wrong("key", "given for a rule that encrypts", _KEY_HINT)

    def _check_types(self) -> None:
        named = [
            *(("types", kind) for kind in self.types or ()),
            *(("except_types", kind) for kind in self.except_types),
            *((f"modes.{kind}", kind) for kind in self.modes),
            *((f"rules[{index}].types", kind) for index, rule in enumerate(self.rules) for kind in rule.types - {ANY}),
        ]
        if not named:
            return
        # Not looked up before it must be: the recognizers take a moment to load.
        known = known_types(self.recognizers)
        labels = {rule.matcher.label for rule in self.rules if rule.matcher is not None}
        for name, kind in named:
            if kind in known or (name.startswith("modes.") and kind in labels):
                continue
            near = get_close_matches(kind, sorted(known), n=2)
            meant = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(known))}."
            raise ConfigurationError(f"privacy.{name}: unknown type {kind!r}", field=f"privacy.{name}", hint=meant)

    def _check_rules(self) -> None:
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.name in seen:
                raise _wrong(f"rules[{index}].name", "a name that no other rule has")
            seen.add(rule.name)
        labelled = [(index, rule.matcher.label) for index, rule in enumerate(self.rules) if rule.matcher is not None]
        if not labelled:
            return
        known = known_types(self.recognizers)
        labels: set[str] = set()
        for index, label in labelled:
            if label in known or label in labels:
                raise _wrong(f"rules[{index}].name", f"another name: {label} is a type that others find")
            labels.add(label)

    def key_bytes(self) -> bytes:
        """The key. Raises ConfigurationError when it is none, or there is none."""
        if self.key is None:
            raise _wrong("key", "given", _KEY_HINT)
        text = self.key.reveal()
        try:
            found = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != _KEY_BYTES:
            raise _wrong("key", f"{_KEY_BYTES} bytes in base64", _KEY_HINT)
        return found

    def mode_of(self, kind: str) -> Mode:
        """What replaces the values of a type."""
        return self.modes.get(kind, self.default_mode)

    def redacts(self, kind: str) -> bool:
        """Whether values of a type are replaced whatever the rules say."""
        return self.redact and (self.types is None or kind in self.types) and kind not in self.except_types


_KEY_HINT: Final = (
    'python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())" makes one; '
    "give it as AISTRALE_PRIVACY_KEY."
)


def known_types(recognizers: Iterable[Recognizer] = ()) -> frozenset[str]:
    """The types that can be found.

    Args:
        recognizers: Those beside the ones that come with the package.
    """
    return frozenset(kind for each in (*default_recognizers(), *recognizers) for kind in each.types)


def _wrong(name: str, expected: str, hint: str | None = None) -> ConfigurationError:
    # The value is not repeated: it may be a key in the wrong place.
    return ConfigurationError(f"privacy.{name} must be {expected}", field=f"privacy.{name}", hint=hint)

"""Takes what is sensitive out of texts, and puts something in its place that can be undone, or cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from aistrale.errors import ConfigurationError
from aistrale.privacy.fake_index import FakeIndex
from aistrale.privacy.fakes import fake
from aistrale.privacy.json_text import Document, NumberText, document_of_text, document_of_value
from aistrale.privacy.links import links, may_hold_link
from aistrale.privacy.modes import MODES, REVERSIBLE, drop, keyed_hash, mask
from aistrale.privacy.names import stem
from aistrale.privacy.placeholder import LITERAL, LONGEST, has_opener, typed
from aistrale.privacy.restore import Restorer
from aistrale.privacy.sealed import check_key, encrypt

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Container, Iterable, Mapping

    from aistrale.privacy.finding import Finding
    from aistrale.privacy.vault import Vault
    from aistrale.types import JSON

_KEYED: Final = frozenset({"hash", "encrypt"})
_WHOLE: Final = "TEXT"


class Scans(Protocol):
    """Finds what is sensitive; a Scanner is one."""

    def scan(self, text: str) -> list[Finding]:
        """Everything sensitive in a text, in order."""
        ...


class _Span(NamedTuple):
    """What is to be replaced."""

    start: int
    end: int
    type: str
    mode: str
    types: tuple[str, ...]


class Redactor:
    """Redacts. Stateless, but for the vault that each call is given; use it from any thread.

    Args:
        scanner: Finds what is sensitive.
        types: The types that are redacted; None for all that are found.
        except_types: Types that are not, even so.
        modes: How each type is replaced: "placeholder", "fake" (both undone by a Restorer), "mask", "hash", "drop" or
            "encrypt".
        default_mode: The same for every type that `modes` does not name.
        allow: Values that are not sensitive, as they are written.
        key: 32 bytes, for "hash" and "encrypt".

    Raises:
        ConfigurationError: A mode is unknown, or needs a key.
    """

    def __init__(
        self,
        scanner: Scans,
        *,
        types: frozenset[str] | None = None,
        except_types: frozenset[str] = frozenset(),
        modes: Mapping[str, str] | None = None,
        default_mode: str = "placeholder",
        allow: Container[str] = (),
        key: bytes | None = None,
    ) -> None:
        self._scanner = scanner
        self._types = types
        self._except = except_types
        self._modes = dict(modes or {})
        self._default = default_mode
        self._allow = allow
        self._key = b"" if key is None else check_key(key)
        used = {default_mode, *self._modes.values()}
        for mode in sorted(used - set(MODES)):
            raise ConfigurationError(
                f"{mode!r} is no mode of redaction", field="modes", hint=f"Use {', '.join(MODES)}."
            )
        self._fakes = "fake" in used
        if key is None and used & _KEYED:
            raise ConfigurationError(
                f"the mode {min(used & _KEYED)!r} needs a key", field="key", hint="Give 32 bytes, os.urandom(32)."
            )

    def redact(
        self,
        text: str,
        vault: Vault,
        *,
        kind: Literal["text", "json", "name"] = "text",
        seen: Counter[str] | None = None,
    ) -> str:
        """A text without what is sensitive in it; the same object if nothing is.

        Args:
            text: Any.
            vault: The conversation's; keeps what was taken out.
            kind: "text" for prose; "json" for JSON text, of which strings, numbers and names are looked at, with the
                names as context, and which stays JSON; "name" for a short label or the name of a file.
            seen: Counts what was replaced, by type.

        Raises:
            VaultFull: The vault holds as much as it may.
        """
        if kind == "json":
            document = document_of_text(text)
            if document is not None:
                return document.written(text, self._changes(document, vault, seen))
        if self._fakes:
            vault.note(text)
        return self._replaced(text, self._spans(text, self._found(text, kind), vault), vault, seen)

    def redact_value(self, value: JSON, vault: Vault, *, seen: Counter[str] | None = None) -> JSON:
        """A parsed JSON value without what is sensitive in its strings, numbers and names; itself if nothing is."""
        document = document_of_value(value)
        changes = self._changes(document, vault, seen)
        return document.rebuilt(value, changes) if changes else value

    # --- what is to go -------------------------------------------------------------------------------------------

    def _found(self, text: str, kind: str) -> list[_Span]:
        if kind != "name":
            return self._wanted(text, self._scanner.scan(text))
        # An extension looks like the end of a domain, and an underscore like a part of a name.
        short = stem(text)
        found = self._wanted(text, self._scanner.scan(short))
        if "_" in short:
            found += self._wanted(text, self._scanner.scan(short.replace("_", " ")))
        return found

    def _wanted(self, text: str, found: Iterable[Finding], shift: int = 0) -> list[_Span]:
        spans: list[_Span] = []
        types, without, allow = self._types, self._except, self._allow
        for finding in found:
            type_, start, end = finding.type, finding.start - shift, finding.end - shift
            if (types is not None and type_ not in types) or type_ in without or text[start:end] in allow:
                continue
            spans.append(_Span(start, end, type_, self._modes.get(type_, self._default), (type_,)))
        return spans

    def _spans(self, text: str, spans: list[_Span], vault: Vault) -> list[_Span]:
        """Everything that is to be replaced: no two overlap, and none lies inside a link."""
        if has_opener(text):
            spans += self._typed(text, vault)
        if vault.fakes:
            spans += self._typed_fakes(text, vault)
        if not spans:
            return spans
        if len(spans) > 1:
            spans.sort(key=lambda span: (span.start, -span.end))
            spans = _merged(spans, touching=False)
        if may_hold_link(text):
            spans = _widened(text, spans, links(text))
        return spans

    def _typed(self, text: str, vault: Vault) -> Iterable[_Span]:
        for start, end, word, ours in typed(text, vault.words):
            if ours:
                yield _Span(start, end, LITERAL, "placeholder", ())
            else:
                vault.reserve(word)

    def _typed_fakes(self, text: str, vault: Vault) -> Iterable[_Span]:
        index = FakeIndex.of(vault)
        at = 0
        while index is not None:
            found = index.search(text, at, len(text), text[at - 1 : at], final=True)
            if found is None:
                return
            yield _Span(found[0], found[1], LITERAL, "placeholder", ())
            at = found[1]

    # --- replacing -----------------------------------------------------------------------------------------------

    def _replaced(self, text: str, spans: list[_Span], vault: Vault, seen: Counter[str] | None) -> str:
        if not spans:
            return text
        if seen is not None:
            for span in spans:
                seen.update(span.types)
        fakes = any(span.mode == "fake" for span in spans)
        made, wanted = self._made(text, spans, vault, fakes=fakes)
        if not fakes and not may_hold_link(text):
            return made
        # Both depend on what stands around them, and that is not ours.
        if Restorer(vault).restore(made) == wanted:
            return made
        if fakes:
            made, wanted = self._made(text, spans, vault, fakes=False)
            if Restorer(vault).restore(made) == wanted:
                return made
        return vault.placeholder(_WHOLE, wanted)

    def _made(self, text: str, spans: list[_Span], vault: Vault, *, fakes: bool) -> tuple[str, str]:
        """The redacted text, and what restoring it is to give."""
        out: list[str] = []
        wanted: list[str] = []
        done = 0
        for span in spans:
            kept = text[done : span.start]
            value = text[span.start : span.end]
            out.append(kept)
            wanted.append(kept)
            put = self._put(span, value, vault, text if fakes else None, out)
            out.append(put)
            wanted.append(value if span.mode in REVERSIBLE else put)
            done = span.end
        out.append(text[done:])
        wanted.append(text[done:])
        return "".join(out), "".join(wanted)

    def _put(self, span: _Span, value: str, vault: Vault, text: str | None, out: list[str]) -> str:
        mode, type_ = span.mode, span.type
        if mode == "fake" and text is not None:
            made = fake(type_, value, vault, text)
            if made is not None:
                return made
        elif mode == "mask":
            return mask(type_, value)
        elif mode == "hash":
            return keyed_hash(type_, value, self._key)
        elif mode == "encrypt":
            return encrypt(value, type_, self._key)
        elif mode == "drop":
            return drop("".join(out[-3:])[-LONGEST:])
        return vault.placeholder(type_, value)

    # --- JSON ----------------------------------------------------------------------------------------------------

    def _changes(self, document: Document, vault: Vault, seen: Counter[str] | None) -> dict[int, str]:
        """What leaves of a JSON document become: the text of a string; a NumberText for a number that stays one."""
        if self._fakes:
            vault.note(document.words())
        found: dict[int, list[_Span]] = {}
        for index, finding in document.found(self._scanner.scan(document.text)):
            found.setdefault(index, []).extend(self._wanted(document.leaves[index].text, (finding,)))
        changes: dict[int, str] = {}
        quiet = not vault.fakes and not has_opener(document.text)
        for index, leaf in enumerate(document.leaves):
            if quiet and leaf.secret is None and index not in found:
                continue
            spans = found.get(index, [])
            if not spans and leaf.secret is not None:
                spans = self._wanted(leaf.text, (leaf.secret,))
            if leaf.number:
                if spans:
                    changes[index] = self._number(leaf.text, spans[0], vault, seen)
                continue
            spans = self._spans(leaf.text, spans, vault)
            if spans:
                changes[index] = self._replaced(leaf.text, spans, vault, seen)
        return changes

    def _number(self, text: str, span: _Span, vault: Vault, seen: Counter[str] | None) -> str:
        if seen is not None:
            seen.update(span.types)
        if span.mode == "fake" and text.isdecimal():
            made = fake(span.type, text, vault, text)
            if made is not None and made.isdecimal() and made[0] != "0":
                return NumberText(made)
        if span.mode in REVERSIBLE:
            return vault.placeholder(span.type, text, number=True)
        return self._put(span, text, vault, None, [])


def _merged(spans: list[_Span], *, touching: bool) -> list[_Span]:
    """Overlapping ones become one; its type is that of the first that is none of our own words."""
    merged = spans[:1]
    for span in spans[1:]:
        last = merged[-1]
        if span.start > last.end or (span.start == last.end and not touching):
            merged.append(span)
            continue
        if (span.start, span.end) == (last.start, last.end) and last.types:
            # A value of which nothing tells what it is, reported as each thing that it may be.
            continue
        first = last if last.types or last.type == "URL" else span
        mode = next((each.mode for each in (last, span) if each.mode not in REVERSIBLE), first.mode)
        merged[-1] = _Span(last.start, max(last.end, span.end), first.type, mode, last.types + span.types)
    return merged


def _widened(text: str, spans: list[_Span], where: list[tuple[int, int, bool]]) -> list[_Span]:
    """Whole links in place of what lies inside them, where that is to be undone: nothing is restored inside a link.

    But for the address in `mailto:`, which is restored there, and reads better.
    """
    wide: list[_Span] = []
    at = 0
    changed = False
    for span in spans:
        while at < len(where) and where[at][1] <= span.start:
            at += 1
        start, end, place = span.start, span.end, at
        target = False
        while place < len(where) and where[place][0] < span.end:
            start, end = min(start, where[place][0]), max(end, where[place][1])
            target = target or where[place][2]
            place += 1
        inside = target or (start, end) != (span.start, span.end)
        if inside and span.mode in REVERSIBLE and not _is_address(text, span, start, end):
            wide.append(_Span(start, end, "URL", span.mode, span.types))
            changed = True
        else:
            wide.append(span)
    return _merged(sorted(wide, key=lambda span: (span.start, -span.end)), touching=True) if changed else spans


def _is_address(text: str, span: _Span, start: int, end: int) -> bool:
    return span.type == "EMAIL_ADDRESS" and span.end == end and text[start : span.start].lower() == "mailto:"

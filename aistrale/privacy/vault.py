"""The two-way map between what is sensitive and what stands for it: one for each conversation.

A second way of writing the same value is told apart, so that each comes back as it was, and still says that it is the
same: `jo@example.com` is `[[EMAIL_1]]`, `JO@example.com` is `[[EMAIL_1b]]`.
"""

from __future__ import annotations

import os
import re
import threading
import unicodedata
import weakref
from typing import TYPE_CHECKING, Final, NoReturn

from aistrale.core.worker import on_fork
from aistrale.errors import VaultFull
from aistrale.privacy.placeholder import CLOSED, compact, exact_key, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.privacy.fake_index import FakeIndex

MAX_ENTRIES: Final = 100_000
MAX_BYTES: Final = 64 * 2**20

RUN: Final = re.compile(r"[^\W_]+")
"""Letters and digits without anything between them."""

# Distinct words of one conversation; beyond it there are no more new fakes.
_MOST_SAID: Final = 500_000
# What an entry costs beside its text, about.
_OVERHEAD: Final = 400
_LEAST_DIGITS: Final = 5
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MOST_FORMS: Final = 26 + 26 * 26
# Spelled with and without spaces, and with letters: as one value.
_CODES: Final = frozenset({"CRYPTO", "IBAN_CODE", "MAC_ADDRESS", "SWIFT_CODE", "VIN"})


class _Locks:
    """A child process has no thread that could release a lock that was held when it was forked."""

    def __init__(self) -> None:
        self.vaults: weakref.WeakSet[Vault] = weakref.WeakSet()
        on_fork(self.renew)

    def renew(self) -> None:
        for vault in list(self.vaults):
            vault.renew_lock()


class Vault:
    """What was taken out of one conversation, and what was put in its place.

    It lives in memory, belongs to one conversation and is never part of a request. Use it from any thread.

    Args:
        max_entries: How many values it may hold.
        max_bytes: How many bytes of memory they may take, about.
        secret: What fakes are derived from; random if left out. For tests.
    """

    __slots__ = (
        "__weakref__", "_bytes", "_counts", "_entries", "_fakes", "_fakes_of", "_forms", "_lock", "_numbers",
        "_placeholders", "_said", "_taken", "_values", "_words", "exact", "index", "max_bytes", "max_entries", "secret",
    )  # fmt: skip

    def __init__(
        self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES, secret: bytes | None = None
    ) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.secret = os.urandom(16) if secret is None else secret
        self._bytes = 0
        self._lock = threading.Lock()
        # (type, value, whether it is a number) -> placeholder
        self._placeholders: dict[tuple[str, str, bool], str] = {}
        # look-up key -> (placeholder, value, whether it is a number)
        self._entries: dict[str, tuple[str, str, bool]] = {}
        # (type, canonical value) -> (word, number, how many ways of writing it there are)
        self._forms: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._counts: dict[str, int] = {}
        # Type -> its word here; and the compact words that were typed, or given out, beside the closed ones.
        self._words: dict[str, str] = {}
        self._taken: set[str] = set()
        self._numbers = 0
        self.exact: dict[str, tuple[str, str, bool]] = {}
        """Placeholder -> (placeholder, value, whether it is a number); to be read."""
        self._fakes: dict[str, str] = {}
        self._fakes_of: dict[tuple[str, str], str] = {}
        # The words of what was said where fakes are used, so that no fake is one that somebody means.
        self._said: set[str] = set()
        self.index: FakeIndex | None = None
        """Finds the fakes; kept here by `FakeIndex.of`."""
        # No fake may look like something real.
        self._values: set[str] = set()
        _LOCKS.vaults.add(self)

    def renew_lock(self) -> None:
        """For a forked process."""
        self._lock = threading.Lock()

    # --- writing -------------------------------------------------------------------------------------------------

    def placeholder(self, type: str, value: str, *, number: bool = False) -> str:
        """What stands for a value: always the same in one conversation.

        Args:
            type: The type of the finding, "EMAIL_ADDRESS".
            value: The text, as it was written.
            number: It is a number of a JSON document, and is to be one again when it is restored.

        Raises:
            VaultFull: It holds as much as it may.
        """
        key = (type, value, number)
        found = self._placeholders.get(key)
        if found is not None:
            return found
        with self._lock:
            found = self._placeholders.get(key)
            return self._add(key) if found is None else found

    def _add(self, key: tuple[str, str, bool]) -> str:
        type_, value, number = key
        self._charge(value)
        same = (type_, canonical(type_, value))
        word, count, forms = self._forms.get(same) or (self._word(type_), 0, 0)
        short = compact(word)
        if count == 0 or forms >= _MOST_FORMS:
            count, forms = self._counts.get(short, 0) + 1, 0
            self._counts[short] = count
        self._forms[same] = (word, count, forms + 1)
        letters = _letters(forms)
        made = f"[[{word}_{count}{letters}]]"
        # The last to be written is what readers look for, so that they never find half an entry.
        self._numbers += number
        self._values.add(value)
        self._entries[f"{short}{count}{letters.upper()}"] = self.exact[made] = (made, value, number)
        self._placeholders[key] = made
        return made

    def _word(self, type_: str) -> str:
        """The type's word; another one if that was typed before it was ours, since it must stay what it was."""
        word = self._words.get(type_)
        if word is None:
            word = word_of(type_)
            if compact(word) not in CLOSED:
                given = {compact(other) for other in self._words.values()}
                while compact(word) in self._taken and compact(word) not in given:
                    word += "_X"
                self._taken.add(compact(word))
            self._words[type_] = word
        return word

    def _charge(self, value: str) -> None:
        size = len(value.encode("utf-8", "surrogatepass")) + _OVERHEAD
        if len(self._entries) + len(self._fakes) >= self.max_entries or self._bytes + size > self.max_bytes:
            raise VaultFull(
                f"the conversation has {len(self)} redacted values, and its vault may keep no more",
                hint="Nothing was sent. Begin a new session, or give the vault a higher limit.",
            )
        self._bytes += size

    def reserve(self, word: str) -> None:
        """Never give out placeholders with a word, because somebody typed one.

        Args:
            word: Compact.
        """
        if word not in self._taken:
            with self._lock:
                self._charge(word)
                self._taken.add(word)

    def note(self, text: str) -> None:
        """Remember the words of a text, of which no fake may be made."""
        if len(self._said) < _MOST_SAID:
            self._said.update(RUN.findall(text))

    def was_said(self, fake: str) -> bool:
        """Whether a fake may have stood in a text that was noted."""
        said = self._said
        return len(said) >= _MOST_SAID or all(run in said for run in RUN.findall(fake))

    def add_fake(self, type: str, value: str, fake: str) -> bool:
        """Let a fake stand for a value.

        Returns:
            Whether it does now: neither another value nor a fake has that form.

        Raises:
            VaultFull: It holds as much as it may.
        """
        with self._lock:
            if fake in self._fakes or fake == value or fake in self._values:
                return False
            self._charge(value)
            self._values.add(value)
            self._fakes[fake] = value
            self._fakes_of[type, value] = fake
            return True

    # --- reading -------------------------------------------------------------------------------------------------

    def original(self, placeholder: str) -> str | None:
        """What a placeholder or a fake stands for; None if it is not one of this conversation."""
        key = exact_key(placeholder)
        found = None if key is None else self._entries.get(key)
        return self._fakes.get(placeholder) if found is None else found[1]

    def find(self, key: str) -> tuple[str, str, bool] | None:
        """Look up by word, number and letter: the placeholder, the original, and whether that is a number."""
        return self._entries.get(key)

    def fake_of(self, type: str, value: str) -> str | None:
        """The fake that stands for a value already."""
        return self._fakes_of.get((type, value))

    @property
    def words(self) -> set[str]:
        """The compact words that it has given out beside the closed ones."""
        return {compact(word) for word in list(self._words.values())} - CLOSED

    @property
    def has_numbers(self) -> bool:
        """Whether a number of a JSON document is among the originals."""
        return self._numbers > 0

    @property
    def fakes(self) -> dict[str, str]:
        """Every fake and what it stands for; the vault's own map, to be read."""
        return self._fakes

    def originals(self) -> dict[str, str]:
        """Every placeholder and fake with what it stands for; a copy."""
        with self._lock:
            return {placeholder: value for placeholder, value, _ in self._entries.values()} | self._fakes

    def __len__(self) -> int:
        return len(self._entries) + len(self._fakes)

    def __bool__(self) -> bool:
        # An empty vault is one all the same.
        return True

    def __contains__(self, placeholder: object) -> bool:
        return isinstance(placeholder, str) and self.original(placeholder) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.originals())

    def __repr__(self) -> str:
        counts = ", ".join(f"{word} {count}" for word, count in sorted(self._counts.items()))
        return f"<Vault: {len(self)} values{f' ({counts})' if counts else ''}>"

    # --- keeping -------------------------------------------------------------------------------------------------

    def seal(self, key: bytes, conversation: str) -> bytes:
        """Everything in it, encrypted (AES-256-GCM), to be kept until the conversation goes on.

        Args:
            key: 32 bytes.
            conversation: Its id; what was sealed for one cannot be opened for another.

        Raises:
            ConfigurationError: The key is not one.
        """
        from aistrale.privacy.sealed import seal

        with self._lock:
            state: list[object] = [
                self.secret.hex(), sorted(self._taken), self._words, self._counts,
                [[*key_, made] for key_, made in self._placeholders.items()],
                [[*same, *form] for same, form in self._forms.items()],
                [[*of, fake] for of, fake in self._fakes_of.items()],
                [self.max_entries, self.max_bytes, self._bytes],
            ]  # fmt: skip
            return seal(state, key, conversation)

    @classmethod
    def unseal(cls, blob: bytes, key: bytes, conversation: str) -> Vault:
        """The vault that was sealed.

        Args:
            blob: What `seal` gave.
            key: The same key.
            conversation: The same id.

        Raises:
            ConfigurationError: The key is not one.
            DecryptionError: It is not a sealed vault, it was changed, or key or conversation are others.
        """
        from aistrale.privacy.sealed import unseal

        state = unseal(blob, key, conversation)
        vault = cls(max_entries=state.max_entries, max_bytes=state.max_bytes, secret=state.secret)
        vault._bytes = state.used
        vault._taken = set(state.taken)
        vault._words = state.words
        vault._counts = state.counts
        vault._forms = state.forms
        vault._placeholders = state.placeholders
        for (_, value, number), made in state.placeholders.items():
            vault._entries[exact_key(made) or made] = (made, value, number)
            vault._numbers += number
            vault._values.add(value)
        for (type_, value), fake in state.fakes.items():
            vault._fakes[fake] = value
            vault._fakes_of[type_, value] = fake
            vault._values.add(value)
        return vault

    def _refuse(self) -> NoReturn:
        raise TypeError("a vault cannot be copied or pickled: use seal(key, conversation), which encrypts it")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse()

    def __copy__(self) -> NoReturn:
        self._refuse()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self._refuse()


_LOCKS: Final = _Locks()


def canonical(type_: str, value: str) -> str:
    """What all ways of writing a value have in common."""
    plain = unicodedata.normalize("NFKC", value).casefold()
    digits = "".join(character for character in plain if character.isdecimal())
    if len(digits) >= _LEAST_DIGITS and not any(character.isalpha() for character in plain):
        return digits
    if type_ in _CODES:
        return "".join(character for character in plain if character.isalnum())
    return " ".join(plain.split())


def _letters(form: int) -> str:
    """Nothing for the first way of writing a value, then b, c, ..., z, aa, ab, ..."""
    if form == 0:
        return ""
    if form < len(_LETTERS):
        return _LETTERS[form]
    return _LETTERS[form // len(_LETTERS) - 1] + _LETTERS[form % len(_LETTERS)]

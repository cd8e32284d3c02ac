"""Redact: what is sensitive in a request leaves as placeholders, and comes back as it was in the answer.

It stands outside the cache, the targets and the attempts: one call is redacted once, whoever answers it. A request of
an SDK is redacted in its own wire format, so that nothing of it changes but the texts in which something was found.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, cast

from aistrale.errors import AistraleError, RedactionError
from aistrale.policies.texts import is_large, rewrite, rewrite_body
from aistrale.privacy.restore import Restorer
from aistrale.privacy.tap import RestoreTap
from aistrale.types import EmbedRequest, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.dialects.base import TextSlot
    from aistrale.policies.report import Report
    from aistrale.policies.texts import Kind
    from aistrale.privacy.protection import Protection
    from aistrale.privacy.vault import Vault
    from aistrale.types import Event, JSONObject

_log = logging.getLogger("aistrale.privacy")


class Redact:
    """Puts placeholders in place of what is sensitive, and hangs the restoring tap on the reply.

    Args:
        protection: Finds, and remembers.
        report: Where it is told.
    """

    def __init__(self, protection: Protection, report: Report) -> None:
        self._protection = protection
        self._report = report

    def describe(self) -> str:
        """One line."""
        return self._protection.describe()

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Redact, ask, restore."""
        settings = self._protection.settings
        vault = call.vault = self._protection.vault(call.context)
        stumbled = await self._try(call, vault)
        if stumbled is not None:
            # Raised here, since an error's context would quote the text that was stumbled over.
            if settings.on_error == "block":
                raise RedactionError(
                    f"redaction failed ({stumbled}), so nothing was sent",
                    hint='privacy = {"on_error": "allow"} sends such calls as they are.',
                )
            _log.warning("redaction of call %s failed (%s); it is sent as it is", call.id, stumbled)
        # What rules have decided has been told.
        elif own := {kind: count for kind, count in (call.redacted or {}).items() if kind not in call.redact_types}:
            self._report.tell(call, "redact", "redact", "out", own)
        if call.redacted and call.observer is not None:
            call.observer.redacted(call, call.redacted)
        reply = await call_next(call)
        if settings.restore and len(vault) and not isinstance(call.request, EmbedRequest):
            call.screened = True
            restorer = Restorer(vault, links=settings.restore_links)
            reply.tap(_Restoring(call, restorer))
        return reply

    async def _try(self, call: Call, vault: Vault) -> str | None:
        """Redact; the class of the error if that failed."""
        try:
            if not call.runtime.blocking and is_large(call.request):
                await call.runtime.invoke(self._redact, call, vault)
            else:
                self._redact(call, vault)
        except AistraleError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the texts were not redacted
            return type(error).__name__
        return None

    def _redact(self, call: Call, vault: Vault) -> None:
        change = _Redacting(self._protection, call, vault)
        if call.inbound is not None:
            call.request = call.inbound.rewrite(change)
        else:
            call.request = rewrite(call.request, change)


class _Redacting:
    """The change that redacts each text.

    Args:
        protection: Finds.
        call: Says which types are to go besides, and counts what went.
        vault: Keeps the originals.
    """

    def __init__(self, protection: Protection, call: Call, vault: Vault) -> None:
        self._protection = protection
        self._vault = vault
        self._seen: Counter[str] = Counter()
        call.redacted = self._seen
        self._redactor = protection.redactor(call.redact_types)
        self._strict = protection.strict(call.redact_types)

    def __call__(self, path: str, kind: Kind, text: str, /) -> str:
        """The text without what is sensitive in it."""
        if kind == "link":
            self._check_link(path, text)
            return text
        if kind == "value":
            return self._strict.redact(text, self._vault, kind="name", seen=self._seen)
        return self._redactor.redact(text, self._vault, kind=kind, seen=self._seen)

    def _check_link(self, path: str, text: str) -> None:
        found = sorted({finding.type for finding in self._protection.in_link(text)})
        if found:
            raise RedactionError(
                f"{path} is a link that holds {', '.join(found)}",
                hint="A link cannot be redacted and still lead anywhere: send the file itself, or a link without it.",
            )


class _Restoring:
    """The restoring tap, which also restores the provider's own answer beside what was read from it.

    Args:
        call: Whose answer it is.
        restorer: Knows the originals.
    """

    __slots__ = ("_call", "_restorer", "_tap")

    def __init__(self, call: Call, restorer: Restorer) -> None:
        self._call = call
        self._restorer = restorer
        output = None if isinstance(call.request, EmbedRequest) else call.request.output
        self._tap = RestoreTap(restorer, structured=output is not None and output.kind != "text")

    def feed(self, event: Event) -> Iterable[Event]:
        """Restore an event."""
        events = self._tap.feed(event)
        if type(event) is not Whole:
            return events
        return [self._with_raw(each) for each in events]

    def _with_raw(self, event: Event) -> Event:
        raw = event.completion.raw if isinstance(event, Whole) else None
        attempt = self._call.attempt
        if raw is None or attempt is None:
            return event
        codec = self._call.prepared[attempt.target.name].codec
        cast("Whole", event).completion.raw = restored(raw, codec.text_slots, self._restorer)
        return event

    def finish(self) -> Iterable[Event]:
        """What is still held back."""
        return self._tap.finish()


def restored(body: JSONObject, slots: Callable[[JSONObject], Iterator[TextSlot]], restorer: Restorer) -> JSONObject:
    """A copy of a body in a wire format with the originals in place of their placeholders."""
    copy = cast("JSONObject", json.loads(json.dumps(body)))

    def restore(_: str, kind: Kind, text: str, /) -> str:
        return restorer.restore(text, json=kind == "json")

    rewrite_body(copy, slots, restore)
    return copy

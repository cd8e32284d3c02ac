"""Guard: rules about data are applied to what is sent and to what is answered.

It stands outside redaction: it looks at what the application wrote, tells redaction what is to be replaced besides, and
sees answers as the application would get them, with the originals restored.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from aistrale.errors import DLPViolation, RedactionError
from aistrale.policies.report import Report, listed
from aistrale.policies.screen import Judge, Screen, mask, replaced
from aistrale.policies.texts import is_large, rewrite_body, texts
from aistrale.privacy.dlp import Where, judge
from aistrale.privacy.look import look
from aistrale.privacy.matcher import label_of
from aistrale.privacy.scanner import Scanner
from aistrale.types import EmbedRequest, MediaPart, TextPart, ToolResultPart, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aistrale.core.call import Call
    from aistrale.core.pipeline import Next
    from aistrale.core.reply import Reply
    from aistrale.dialects.base import TextSlot
    from aistrale.policies.texts import Kind
    from aistrale.privacy.dlp import Direction, Hit, Rule, Verdict
    from aistrale.privacy.settings import PrivacySettings
    from aistrale.types import Event, JSONObject, Part, Request

_log = logging.getLogger("aistrale.privacy")
_CHANGING: Final = frozenset({"redact", "encrypt", "block"})
# What a link may hold, being one.
_LINK: Final = frozenset({"URL", "DOMAIN_NAME"})
_SURE: Final = 0.85
# Characters from which on an event loop is not kept waiting.
_LARGE: Final = 32 * 1024
MEDIA: Final = "media"
"""Stands in the place of a rule's name for the setting of that name."""


class Guard:
    """Applies the rules of the privacy settings.

    Args:
        settings: The rules and what else holds for them.
        scanner: Finds the types.
        report: Where decisions are told.
    """

    def __init__(self, settings: PrivacySettings, scanner: Scanner, report: Report) -> None:
        self._settings = settings
        self._scanner = scanner
        self._sure = Scanner(scanner.recognizers, min_score=max(_SURE, settings.min_score))
        self._report = report

    def describe(self) -> str:
        """One line."""
        own = self._settings
        rules = f"{len(own.rules)} rule{'' if len(own.rules) == 1 else 's'}" + (" (dry run)" if own.dry_run else "")
        return f"{rules}, media: {own.media}, errors: {own.on_error}"

    async def __call__(self, call: Call, call_next: Next, /) -> Reply:
        """Judge the request, ask, judge the answer.

        Raises:
            DLPViolation: A rule blocks the request, or an answer that is not streamed.
            RedactionError: The rules could not be applied, and nothing was sent.
        """
        request = call.request
        user = call.context.user or request.user
        where = Where(user=user, project=call.context.project, route=call.route)
        self._check_media(call)
        if any(rule.covers("out", where) for rule in self._settings.rules):
            await self._judge_request(call, where)
        reply = await call_next(call)
        rules = [rule for rule in self._settings.rules if rule.covers("in", where)]
        if rules and not isinstance(request, EmbedRequest):
            await self._judge_answer(call, reply, rules, where)
        return reply

    # --- what is sent --------------------------------------------------------------------------------------------

    def _check_media(self, call: Call) -> None:
        wanted = self._settings.media
        if wanted == "allow":
            return
        found = Counter(_unseen(call.request))
        if not found:
            return
        self._report.tell(call, MEDIA, wanted, "out", found)
        if wanted == "block":
            raise violation(call, MEDIA, "out", found, "Nobody has looked into it; privacy.media allows it.")

    async def _judge_request(self, call: Call, where: Where) -> None:
        verdict, failure = None, ""
        try:
            if not call.runtime.blocking and is_large(call.request):
                verdict = cast("Verdict", await call.runtime.invoke(self._verdict, call, where))
            else:
                verdict = self._verdict(call, where)
        except Exception as error:  # noqa: BLE001 - whatever it is, the texts were not looked at
            failure = type(error).__name__
        if verdict is None:
            # Here and not where it was caught: its own words may quote the text that it stumbled over.
            self._excuse(call, failure)
            return
        self._report.hits(call, verdict.hits, "out")
        if self._settings.dry_run:
            return
        if verdict.blocking:
            raise blocked(call, verdict.blocking[0], "out")
        call.redact_types = self._modes(verdict)

    def _excuse(self, call: Call, failure: str) -> None:
        if self._settings.on_error == "block":
            raise RedactionError(
                f"the rules about data could not be applied ({failure}), so nothing was sent",
                hint='privacy = {"on_error": "allow"} sends such calls as they are.',
            )
        _log.warning("the rules about data were not applied to call %s (%s)", call.id, failure)

    def _verdict(self, call: Call, where: Where) -> Verdict:
        rules = [rule for rule in self._settings.rules if rule.covers("out", where)]
        own = self._settings.allowed
        prose: list[tuple[str, str]] = []
        values: list[tuple[str, str]] = []
        links: list[tuple[str, str]] = []
        for path, kind, text in texts(call):
            (links if kind == "link" else values if kind == "value" else prose).append((path, text))
        seen = look(prose, self._scanner, rules, allowed=lambda _, value: value in own, runs=_runs(call.request))
        # Where no prose is expected, only what is sure counts.
        seen += look(values, self._sure, rules, allowed=lambda _, value: value in own)
        # That a link is one is nothing to report.
        linked = look(links, self._sure, rules, allowed=lambda kind, value: kind in _LINK or value in own)
        seen += [replace(value, fixed=True) for value in linked]
        return judge(self._settings.rules, seen, where, "out")

    def _modes(self, verdict: Verdict) -> dict[str, str]:
        """How redaction is to treat what rules have decided about, by type, or by the label of the rule."""
        modes: dict[str, str] = {}
        for decision in verdict.decisions:
            seen, action = decision.seen, decision.action
            for name in (label_of(seen.rule),) if seen.rule else seen.types:
                if action == "encrypt" or (action == "redact" and modes.get(name) != "encrypt"):
                    modes[name] = "encrypt" if action == "encrypt" else self._settings.mode_of(name)
                elif action == "allow":
                    modes.setdefault(name, "allow")
        return modes

    # --- what is answered ----------------------------------------------------------------------------------------

    async def _judge_answer(self, call: Call, reply: Reply, rules: Sequence[Rule], where: Where) -> None:
        settings, changing = self._settings, not self._settings.dry_run
        if changing and any(rule.action in _CHANGING for rule in rules):
            call.screened = True

        def judged(verdict: Verdict) -> None:
            self._report.hits(call, verdict.hits, "in")
            if changing and verdict.blocking:
                raise blocked(call, verdict.blocking[0], "in")

        def failed(name: str) -> None:
            if settings.on_error == "block":
                raise DLPViolation(
                    f"the rules about data could not be applied to the answer ({name})",
                    direction="in",
                    hint='privacy = {"on_error": "allow"} delivers such answers as they are.',
                )
            _log.warning("the rules about data were not applied to the answer of call %s (%s)", call.id, name)

        own = _Own(call)

        def spared(_: str, value: str) -> bool:
            return value in settings.allowed or value in own

        judging = Judge(self._scanner, rules, where, judged=judged, failed=failed, spared=spared, replacing=changing)
        tap = _Guarding(call, judging)
        try:
            if reply.whole and not call.runtime.blocking and len(reply.accumulated.result().text) > _LARGE:
                await call.runtime.invoke(reply.tap, tap)
            else:
                reply.tap(tap)
        except Exception as error:
            await reply.fail(error)
            raise


class _Guarding:
    """The screen over one reply, which also changes the provider's own answer beside what was read from it.

    Args:
        call: Whose answer it is.
        judge: Of the answer.
    """

    __slots__ = ("_call", "_judge", "_screen")

    def __init__(self, call: Call, judge: Judge) -> None:
        self._call = call
        self._judge = judge
        self._screen = Screen(judge)

    def feed(self, event: Event) -> Iterable[Event]:
        """Give on what has been judged."""
        try:
            events = self._screen.feed(event)
            return [self._with_raw(event, each) for each in events] if type(event) is Whole else events
        except DLPViolation as error:
            # The local variables of where it was decided would show the text.
            raise error.with_traceback(None) from None

    def finish(self) -> Iterable[Event]:
        """What is still held back."""
        try:
            return self._screen.finish()
        except DLPViolation as error:
            raise error.with_traceback(None) from None

    def _with_raw(self, before: Event, after: Event) -> Event:
        """The event with its raw answer changed where the answer read from it was."""
        if after is before or not isinstance(after, Whole) or after.completion.raw is None:
            return after
        attempt = self._call.attempt
        prepared = None if attempt is None else self._call.prepared.get(attempt.target.name)
        if prepared is None or not isinstance(before, Whole) or after.completion is before.completion:
            return after
        after.completion.raw = _masked(after.completion.raw, prepared.codec.text_slots, self._judge)
        return after


def _masked(body: JSONObject, slots: Callable[[JSONObject], Iterator[TextSlot]], judge: Judge) -> JSONObject:
    """A copy of a provider's answer with what is to be replaced replaced."""
    copied = cast("JSONObject", json.loads(json.dumps(body)))

    def change(path: str, kind: Kind, text: str, /) -> str:
        spans = [(each.seen.start, each.seen.end, mask(each)) for each in judge.decide(judge.look([(path, text)]))]
        return replaced(text, 0, len(text), spans, json=kind == "json") if spans else text

    rewrite_body(copied, slots, change)
    return copied


def blocked(call: Call, hit: Hit, direction: Direction) -> DLPViolation:
    """The error for what a rule blocks."""
    what = f"{listed(hit.types)} in {hit.places[0]}" + (f" and {len(hit.places) - 1} more" if hit.places[1:] else "")
    return violation(call, hit.rule, direction, hit.types, f"Found: {what}.")


def violation(call: Call, rule: str, direction: Direction, types: Mapping[str, int], hint: str) -> DLPViolation:
    """The error for what a rule or setting blocks; never holds the value."""
    target = call.target if call.attempt is None else call.attempt.target
    what = "the request, so nothing was sent" if direction == "out" else "the answer"
    return DLPViolation(
        f"{'the setting' if rule == MEDIA else 'rule'} {rule!r} blocked {what}: {listed(types)}",
        provider=target.provider.name,
        target=target.name,
        rule=rule,
        direction=direction,
        types=types,
        hint=hint,
    )


def _runs(request: Request | EmbedRequest) -> list[list[tuple[str, str]]]:
    """The texts of each role, in order."""
    if isinstance(request, EmbedRequest):
        return []
    runs: dict[str, list[tuple[str, str]]] = {}
    for index, message in enumerate(request.messages):
        run = runs.setdefault(message.role, [])
        for place, part in enumerate(message.parts):
            path = f"messages[{index}].parts[{place}]"
            if isinstance(part, TextPart):
                run.append((path, part.text))
            elif isinstance(part, ToolResultPart):
                run += [(path, each.text) for each in part.content if isinstance(each, TextPart)]
    return [run for run in runs.values() if len(run) > 1]


def _unseen(request: Request | EmbedRequest) -> Iterator[str]:
    """What a request holds that has no text to look at, by kind."""
    if isinstance(request, EmbedRequest):
        yield from ("TOKENS" for item in request.inputs if not isinstance(item, str))
        return
    parts: list[Part] = [part for message in request.messages for part in message.parts]
    while parts:
        part = parts.pop()
        if isinstance(part, MediaPart):
            yield part.media.upper()
        elif isinstance(part, ToolResultPart):
            parts += part.content


class _Own:
    """The values of the caller that were redacted: what an answer repeats of them is no news to anybody.

    Args:
        call: Its vault is asked when the first value is found.
    """

    __slots__ = ("_call", "_text")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._text: str | None = None

    def __contains__(self, value: str) -> bool:
        if self._text is None:
            vault = self._call.vault
            # A finding may be part of what was redacted, as a postcode of an address.
            self._text = "" if vault is None else "\n".join(vault.originals().values())
        return value in self._text

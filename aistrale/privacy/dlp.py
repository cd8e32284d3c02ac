"""Rules about data: what may leave, what may come in, and what is done about what may not.

Pure: `aistrale.privacy.look` finds what the rules speak of, `judge` decides. Which rule holds for a value, stated once:

1. The strongest action of all rules that match it wins: block, then encrypt, redact, warn. The order in which the rules
   stand decides nothing, so a rule that is added can only make the others stricter.
2. An allow rule takes a value out of the hands of the rules whose scope is wider than its own. A scope is what a rule
   says of user, project and route; it is narrower if it says more of at least one (a name says more than a pattern, a
   pattern more than nothing) and no less of the others. So one project can be given an exception, and an "allow" beside
   a "block" of the same scope, or of a scope of another kind, changes nothing: deny beats allow.
3. What the settings redact without any rule is the widest of all: every allow rule takes a value out of it.

A threshold (`at_least`) counts the distinct values of a call that the rule matches, in all its texts together; below it
the rule does not hold. A value that cannot be replaced where it stands is blocked by the rules that would replace it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from aistrale.errors import ConfigurationError
from aistrale.privacy.matcher import Matcher, label_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

Action = Literal["allow", "warn", "redact", "encrypt", "block"]
Direction = Literal["out", "in"]
Directions = Literal["out", "in", "both"]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
"""What can be done about a value, the weakest first."""

DIRECTIONS: Final[tuple[Directions, ...]] = get_args(Directions)
"""Which way a rule looks: at what is sent, at what is answered, or at both."""

ANY: Final = "*"
"""Among the types of a rule: whatever the scanner finds."""

_STRENGTH: Final = {action: strength for strength, action in enumerate(ACTIONS)}
_PATTERN: Final = frozenset("*?[")


@dataclass(slots=True, frozen=True, kw_only=True)
class Rule:
    """One rule about data. It matches values of its types, of its patterns, and its words: any of them suffices.

    Args:
        name: Its own; stands in events, errors and the ledger, and in the placeholders of what its patterns and words
            find: "project names" redacts to `[[PROJECT_NAMES_1]]`.
        types: Types of findings; "*" for whatever the scanner finds.
        patterns: Regular expressions, matched anywhere, case-sensitive (begin with `(?i)` for the other way). Those
            that can take more than linear time are refused.
        words: Words and phrases, found as whole words in any case.
        at_least: From how many distinct values of a call on it holds, at least 1. 1.
        direction: "out": what is sent. "in": what is answered. "both". "out".
        route: Calls by this route only; a name, or a pattern with `*`, `?` and `[...]`. None for all.
        user: Calls for this user only, likewise: of the context, or of the request's own field.
        project: Calls of this project only, likewise.
        action: "block": the call ends with DLPViolation; nothing was sent, or nothing more is delivered. "encrypt",
            "redact": the value is replaced. "warn": an event. "allow": an exception from wider rules.

    Raises:
        ConfigurationError: A field is wrong, or the rule says nothing.
    """

    name: str
    types: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = field(default=(), repr=False)
    words: tuple[str, ...] = field(default=(), repr=False)
    at_least: int = 1
    direction: Directions = "out"
    route: str | None = None
    user: str | None = None
    project: str | None = None
    action: Action
    matcher: Matcher | None = field(init=False, repr=False, compare=False, default=None)
    """Finds its patterns and words; None where it has neither."""

    def __post_init__(self) -> None:
        """Check it, and read its patterns."""
        where = f"rule {self.name!r}"
        if not label_of(self.name):
            raise ConfigurationError("a rule's name must have a letter or digit", field="name")
        # Tuples and sets are what the fields are; a bare string would be read letter by letter.
        for name in ("types", "patterns", "words"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(isinstance(item, str) and item for item in given):
                raise ConfigurationError(f"{where}: {name} must be a list of texts", field=name)
        object.__setattr__(self, "types", frozenset(self.types))
        if not (self.types or self.patterns or self.words):
            raise ConfigurationError(
                f"{where} says nothing", field="types", hint='Give types (["*"] for all), patterns or words.'
            )
        for name, accepted in (("action", ACTIONS), ("direction", DIRECTIONS)):
            if getattr(self, name) not in accepted:
                raise ConfigurationError(f"{where}: {name} must be one of {', '.join(accepted)}", field=name)
        if type(self.at_least) is not int or self.at_least < 1:
            raise ConfigurationError(f"{where}: at_least must be a whole number of at least 1", field="at_least")
        if self.at_least > 1 and self.action == "allow":
            raise ConfigurationError(f"{where}: an allow rule has no threshold", field="at_least")
        if self.patterns or self.words:
            object.__setattr__(self, "matcher", Matcher(self.name, self.patterns, self.words))

    def covers(self, direction: Direction, where: Where) -> bool:
        """Whether it speaks of calls of this kind."""
        return self.direction in {direction, "both"} and all(
            wanted is None or fnmatchcase(given or "", wanted) for wanted, given in zip(self._scope, where, strict=True)
        )

    def matches(self, seen: Seen) -> bool:
        """Whether it speaks of this value."""
        if seen.rule:
            return seen.rule == self.name
        return not self.types.isdisjoint(seen.types) or ANY in self.types

    def narrower(self, other: Rule) -> bool:
        """Whether its scope is narrower than that of another rule."""
        mine, others = self._ranks, other._ranks
        return mine != others and all(one >= two for one, two in zip(mine, others, strict=True))

    @property
    def _scope(self) -> tuple[str | None, str | None, str | None]:
        return self.user, self.project, self.route

    @property
    def _ranks(self) -> tuple[int, ...]:
        return tuple(0 if said is None else 2 - (not _PATTERN.isdisjoint(said)) for said in self._scope)


class Where(NamedTuple):
    """Whose call it is, and by which route."""

    user: str | None = None
    project: str | None = None
    route: str | None = None


@dataclass(slots=True, frozen=True)
class Seen:
    """A value that was found in a text.

    Args:
        path: Of the text.
        start: First character.
        end: The character after the last one.
        types: What it is; several where nothing tells which of them.
        value: What makes it the same as another one: for numbers their digits, else the text in lower case.
        rule: The rule whose patterns or words found it; "" for a finding of the scanner.
        fixed: Whether it cannot be replaced where it stands: it is part of a link, or spread over several texts. What
            is to be redacted or encrypted there is blocked.
    """

    path: str
    start: int
    end: int
    types: tuple[str, ...]
    value: str = field(repr=False)
    rule: str = ""
    fixed: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class Decision:
    """What is to be done about one value.

    Args:
        seen: The value.
        action: The strongest that holds; "allow" where an exception holds.
        rule: The name of the first rule that asks for it.
    """

    seen: Seen
    action: Action
    rule: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Hit:
    """What one rule decided.

    Args:
        rule: Its name.
        action: What was decided; for a value that cannot be replaced where it stands, "block".
        types: Distinct values by type; of its patterns and words by the label of the rule.
        places: The paths of the texts in which they stand, in order, each once.
    """

    rule: str
    action: Action
    types: Mapping[str, int]
    places: tuple[str, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class Verdict:
    """What the rules say about the values of a call.

    Args:
        decisions: One for each value that a rule which holds matches.
        hits: The same, by rule, in the rules' order; the rules that only allow are not among them.
    """

    decisions: tuple[Decision, ...] = ()
    hits: tuple[Hit, ...] = ()

    @property
    def action(self) -> Action:
        """The strongest; "allow" where nothing is to be done."""
        decided = {hit.action for hit in self.hits}
        for action in reversed(ACTIONS):
            if action in decided:
                return action
        return "allow"

    @property
    def blocking(self) -> tuple[Hit, ...]:
        """The hits that end the call."""
        return tuple(hit for hit in self.hits if hit.action == "block")


def judge(
    rules: Sequence[Rule], seen: Sequence[Seen], where: Where, direction: Direction, *, earlier: Sequence[Seen] = ()
) -> Verdict:
    """Decide about the values of a call; the head of this module says how.

    Args:
        rules: All of them.
        seen: What `look` found in all texts of the call.
        where: Whose call it is.
        direction: Whether the values are sent or answered.
        earlier: What was judged before in the same answer, where it comes piece by piece: it counts for thresholds,
            and what is there again is decided again, but no hit any more.
    """
    speaking = [rule for rule in rules if rule.covers(direction, where)]
    known = {(value.value, value.rule) for value in earlier}
    everything = [*earlier, *seen] if earlier else seen
    holding = [rule for rule in speaking if rule.at_least == 1 or _distinct(rule, everything) >= rule.at_least]
    allowing = [rule for rule in holding if rule.action == "allow"]
    denying = [rule for rule in holding if rule.action != "allow"]
    exceptions = [(rule, _Stretches(rule, seen)) for rule in allowing]
    decisions: list[Decision] = []
    for value in seen:
        allowed = [rule for rule, own in exceptions if rule.matches(value) or own.enclose(value)]
        against = [
            rule
            for rule in denying
            if rule.matches(value) and not any(exception.narrower(rule) for exception in allowed)
        ]
        if against:
            strongest = max(against, key=lambda rule: _STRENGTH[rule.action])
            action = strongest.action
            if value.fixed and action in {"redact", "encrypt"}:
                action = "block"
            decisions.append(Decision(seen=value, action=action, rule=strongest.name))
        elif allowed:
            decisions.append(Decision(seen=value, action="allow", rule=allowed[0].name))
    return Verdict(decisions=tuple(decisions), hits=tuple(_hits(rules, decisions, known)))


class _Stretches:
    """Where the patterns and words of an allow rule stand: what lies in one of them is allowed with it.

    Args:
        rule: The rule.
        seen: All values.
    """

    __slots__ = ("_by_path",)

    def __init__(self, rule: Rule, seen: Sequence[Seen]) -> None:
        self._by_path: dict[str, list[tuple[int, int]]] = {}
        for value in seen:
            if value.rule == rule.name:
                self._by_path.setdefault(value.path, []).append((value.start, value.end))
        for stretches in self._by_path.values():
            stretches.sort()

    def enclose(self, value: Seen) -> bool:
        """Whether one of them covers the value."""
        stretches = self._by_path.get(value.path)
        if not stretches or value.fixed:
            return False
        # Those of one rule do not overlap, so that it can only be the last one that begins before it.
        at = bisect_right(stretches, (value.start, value.end + 1)) - 1
        at = max(at, 0)
        return any(start <= value.start and value.end <= end for start, end in stretches[max(at - 1, 0) : at + 1])


def _distinct(rule: Rule, seen: Sequence[Seen]) -> int:
    return len({value.value for value in seen if rule.matches(value)})


def _hits(rules: Sequence[Rule], decisions: Sequence[Decision], known: Collection[tuple[str, str]]) -> Iterator[Hit]:
    """The decisions of each rule, one hit for each of its actions."""
    by_rule: dict[str, dict[Action, list[Seen]]] = {}
    for decision in decisions:
        if decision.action != "allow" and (decision.seen.value, decision.seen.rule) not in known:
            by_rule.setdefault(decision.rule, {}).setdefault(decision.action, []).append(decision.seen)
    for rule in rules:
        for action, values in by_rule.get(rule.name, {}).items():
            distinct = {(label_of(value.rule) if value.rule else value.types[0], value.value) for value in values}
            yield Hit(
                rule=rule.name,
                action=action,
                types=dict(sorted(Counter(kind for kind, _ in distinct).items())),
                places=tuple(dict.fromkeys(value.path for value in values)),
            )

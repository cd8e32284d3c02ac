"""Whose calls a budget counts: everybody's, or those of one user, project, model, tag and so on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.providers import ALIASES
from aistrale.providers.catalog import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.core.call import Context, Target

KINDS: Final = ("workspace", "project", "user", "session", "tag", "model", "provider", "route", "name", "budget")
ACCEPTED: Final = (
    f"'global' or KIND:VALUE with KIND one of {', '.join(KINDS)} (tags as tag:KEY=VALUE), VALUE '*' for each"
)
# What can only be meant as an amount of money, and not as a name.
_AMOUNT: Final = re.compile(r"\s*[-+$€£]?\s*[.,]?[0-9]")
EACH: Final = "*"
OF_TARGETS: Final = frozenset({"model", "provider"})
"""Kinds that are known only once a target is chosen."""


@dataclass(slots=True, frozen=True)
class Scope:
    """Whose calls are counted.

    Args:
        kind: "global", or one of KINDS.
        value: The one that is meant; None for each one by itself.
        tag: The tag's key.
    """

    kind: str
    value: str | None = None
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read it as it stands in settings.

        Raises:
            ValueError: It is none; the message says what is accepted.
        """
        if text == "global":
            return cls("global", "")
        kind, _, value = text.partition(":")
        tag = ""
        if kind == "tag":
            tag, _, value = value.partition("=")
        if kind not in KINDS or not value or (kind == "tag" and not tag):
            raise ValueError(ACCEPTED)
        if kind == "budget" and is_amount(value):
            raise ValueError("'budget:NAME' with a name that does not begin with a digit or a currency sign")
        if kind == "model" and value != EACH and not all(value.partition("/")):
            raise ValueError("'model:PROVIDER/MODEL' or 'model:*'")
        return cls(kind, None if value == EACH else _canonical(kind, value), tag)

    @property
    def of_target(self) -> bool:
        """Whether it depends on where a call goes."""
        return self.kind in OF_TARGETS

    def of(self, context: Context, route: str | None, target: Target | None) -> str | None:
        """Which value a call counts for; None when this is not about it.

        Args:
            context: Whose call it is.
            route: By which route it goes.
            target: Where it goes; None as long as nobody knows.
        """
        kind = self.kind
        if kind == "global":
            return ""
        if kind == "tag":
            found = context.tags.get(self.tag)
        elif kind in OF_TARGETS:
            found = None if target is None else _TARGETS[kind](target)
        else:
            found = route if kind == "route" else getattr(context, kind)
            if kind == "budget" and found is not None and is_amount(found):
                return None
        return found if found is not None and self.value in {None, found} else None

    def written(self, value: str) -> str:
        """The scope with its value, as messages and the status name it."""
        if self.kind == "global":
            return "global"
        return f"tag:{self.tag}={value}" if self.kind == "tag" else f"{self.kind}:{value}"

    def where(self, value: str) -> Mapping[str, str] | None:
        """How the ledger is asked for the calls of a value; None where it does not keep what would be asked for."""
        if self.kind == "global":
            return {}
        if self.kind == "budget":
            return None
        return {f"tag:{self.tag}" if self.kind == "tag" else self.kind: value}


def is_amount(budget: str) -> bool:
    """Whether a context's budget is, or was meant as, an amount and not a name."""
    return _AMOUNT.match(budget) is not None


def _model(target: Target) -> str:
    # One model has several names, and one budget.
    return f"{target.provider.name}/{target.model if target.facts is None else target.facts.id}"


def _provider(target: Target) -> str:
    return target.provider.name


_TARGETS: Final[Mapping[str, Callable[[Target], str]]] = {"model": _model, "provider": _provider}


def _canonical(kind: str, value: str) -> str:
    """A target's value as targets spell it themselves."""
    if kind == "provider":
        return ALIASES.get(value, value)
    if kind != "model":
        return value
    provider, _, model = value.partition("/")
    provider = ALIASES.get(provider, provider)
    facts = lookup(provider, model)
    return f"{provider}/{model if facts is None else facts.id}"

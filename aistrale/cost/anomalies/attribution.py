"""Who spent the excess, and why: more calls, longer calls, or dearer tokens.

Each value of a dimension (a model, a provider, a route, a user, a tag) is charged with the difference between what it
cost during the anomaly and before; the differences sum to the excess to the last digit. Within a value the difference
is split by the logarithmic mean Divisia index, which is exact and leaves nothing over (Ang, "The LMDI approach to
decomposition analysis: a practical guide", Energy Policy 33, 2005).

Which dimension tells the story is decided as in Adtributor (Bhagwan et al., "Adtributor: Revenue Debugging in
Advertising Systems", NSDI 2014): the few values that together explain most of the excess, and of the dimensions that
have such a few the one whose shares changed in the most surprising way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Generic, TypeVar

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Contribution", "Explanation", "Spend", "attribute", "explain"]

K = TypeVar("K")

LEAST_POWER = 0.1  # Adtributor: a value that explains less is not named
ENOUGH_POWER = 0.67  # Adtributor: values that together explain so much are an explanation
_GRAIN = Decimal("1e-12")  # the parts of a split and what is scaled are rounded to this; sums stay exact
_ZERO = Decimal(0)


@dataclass(slots=True, frozen=True)
class Spend:
    """What one value of a dimension cost in one window.

    Args:
        usd: US dollars.
        calls: Calls; 0 where that is not known.
        tokens: Tokens of all kinds; 0 where that is not known.
    """

    usd: Decimal
    calls: float = 0
    tokens: float = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.usd + other.usd, self.calls + other.calls, self.tokens + other.tokens)


NOTHING = Spend(_ZERO)


@dataclass(slots=True, frozen=True)
class Contribution(Generic[K]):
    """What one value of a dimension did to the spend.

    Args:
        key: The value.
        before: Its spend before, scaled to the length of the anomaly, in US dollars.
        during: Its spend during the anomaly, in US dollars.
        excess: `during` less `before`; over all values they sum to the excess.
        power: Its part of the excess: 0.8 is 80 %, below 0 it worked against it; 0 where there is no excess.
        surprise: How much its share of the whole changed: its term of the Jensen-Shannon divergence, at least 0.
        calls: Part of `excess` that comes from more (or fewer) calls, in US dollars.
        tokens: Part that comes from more tokens for each call.
        price: Part that comes from more dollars for each token; where tokens are not known, for each call.
    """

    key: K
    before: Decimal
    during: Decimal
    excess: Decimal
    power: float
    surprise: float
    calls: Decimal
    tokens: Decimal
    price: Decimal

    @property
    def reason(self) -> str:
        """What happened, one plain sentence."""
        name = "what has no name" if self.key is None else str(self.key)
        if not self.before:
            return f"{name} is new and spent {self.during:,.2f} USD."
        more = "more" if self.excess >= 0 else "less"
        parts = (("calls", self.calls), ("tokens per call", self.tokens), ("price", self.price))
        told = ", ".join(
            f"{part:+,.2f} by {what}" for what, part in parts if abs(part) >= Decimal("0.1") * abs(self.excess)
        )
        share = f" ({self.power:.0%} of the excess)" if self.power else ""
        return f"{name} spent {abs(self.excess):,.2f} USD {more} than before{share}: {told or 'nothing changed'}."


@dataclass(slots=True, frozen=True)
class Explanation:
    """How well one dimension explains an excess.

    Args:
        dimension: Its name.
        values: All its values, those that explain most first.
        leading: The few of them that explain the excess.
        power: The part of the excess that `leading` explains.
        surprise: How surprising their change of shares is; higher is the better explanation.
    """

    dimension: str
    values: tuple[Contribution[str | None], ...]
    leading: tuple[Contribution[str | None], ...]
    power: float
    surprise: float


def attribute(before: Mapping[K, Spend], during: Mapping[K, Spend], *, scale: float = 1.0) -> list[Contribution[K]]:
    """Charge the values of one dimension with the excess.

    Args:
        before: What each value cost in a usual window.
        during: What each value cost in the anomalous one.
        scale: Length of the anomalous window over the length of the usual one: 1/28 for a day against four weeks.

    Returns:
        One for each value that stands on either side, those that push the spend the way it went first. Their `excess`
        sums to the whole excess exactly.

    Raises:
        ConfigurationError: `scale` is not a number above 0, or an amount is below 0 or no number.
    """
    if not 0.0 < scale < math.inf:
        raise ConfigurationError("scale must be a number above 0.", field="scale")
    factor = Decimal(repr(float(scale)))
    pairs: dict[K, tuple[Spend, Spend]] = {}
    for key in [*before, *(key for key in during if key not in before)]:
        old, new = before.get(key, NOTHING), during.get(key, NOTHING)
        for one in (old, new):
            if not (one.usd.is_finite() and one.usd >= 0 and 0 <= one.calls < math.inf and 0 <= one.tokens < math.inf):
                raise ConfigurationError(f"The spend of {key!r} is below 0 or no number.", field="before, during")
        if scale != 1.0:
            old = Spend((old.usd * factor).quantize(_GRAIN), old.calls * scale, old.tokens * scale)
        pairs[key] = old, new
    total_old = sum((old.usd for old, _ in pairs.values()), _ZERO)
    total_new = sum((new.usd for _, new in pairs.values()), _ZERO)
    excess = total_new - total_old
    found = [
        Contribution(
            key,
            old.usd,
            new.usd,
            new.usd - old.usd,
            float((new.usd - old.usd) / excess) if excess else 0.0,
            _surprise(_part(old.usd, total_old), _part(new.usd, total_new)),
            *_split(old, new),
        )
        for key, (old, new) in pairs.items()
    ]
    return sorted(found, key=lambda one: one.excess, reverse=excess >= 0)


def explain(
    names: Sequence[str],
    before: Mapping[tuple[str | None, ...], Spend],
    during: Mapping[tuple[str | None, ...], Spend],
    *,
    scale: float = 1.0,
) -> list[Explanation]:
    """Find the dimension that explains an excess best.

    Args:
        names: Names of the dimensions, in the order in which their values stand in the keys.
        before: What each combination of values cost in a usual window.
        during: The same for the anomalous one.
        scale: As for `attribute`.

    Returns:
        One for each dimension, the best explanation first: those whose `leading` values explain two thirds of the
        excess stand before those that do not, the more surprising before the less. Dimensions with one value explain
        nothing and stand last.

    Raises:
        ConfigurationError: A key has another length than `names`; else as for `attribute`.
    """
    for key in [*before, *during]:
        if len(key) != len(names):
            raise ConfigurationError(
                f"A key has {len(key)} values, but there are {len(names)} dimensions.", field="before, during"
            )
    found = [
        _explanation(name, attribute(_along(before, place), _along(during, place), scale=scale))
        for place, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: (len(one.values) > 1, one.power >= ENOUGH_POWER, one.surprise), reverse=True)


def _along(spend: Mapping[tuple[str | None, ...], Spend], place: int) -> dict[str | None, Spend]:
    sums: dict[str | None, Spend] = defaultdict(lambda: NOTHING)
    for key, one in spend.items():
        sums[key[place]] += one
    return dict(sums)


def _explanation(name: str, values: Sequence[Contribution[str | None]]) -> Explanation:
    leading: list[Contribution[str | None]] = []
    power = 0.0
    # The most surprising first, as Adtributor does: a value that is large anyway explains much and tells little.
    for one in sorted(values, key=lambda one: one.surprise, reverse=True):
        if power >= ENOUGH_POWER:
            break
        if one.power >= LEAST_POWER:
            leading.append(one)
            power += one.power
    leading.sort(key=lambda one: one.power, reverse=True)
    return Explanation(name, tuple(values), tuple(leading), power, math.fsum(one.surprise for one in leading))


def _part(usd: Decimal, total: Decimal) -> float:
    return float(usd / total) if total else 0.0


def _surprise(old: float, new: float) -> float:
    middle = 0.5 * (old + new)
    terms = (0.5 * share * math.log(share / middle) for share in (old, new) if share > 0.0)
    return max(0.0, math.fsum(terms))


def _split(old: Spend, new: Spend) -> tuple[Decimal, Decimal, Decimal]:
    """The parts of the difference that come from calls, from tokens per call, and from dollars per token."""
    excess = new.usd - old.usd
    if not old.usd or not new.usd:
        # It came or it went, with all its calls: there is no price to compare.
        return excess, _ZERO, _ZERO
    if not old.calls or not new.calls:
        return _ZERO, _ZERO, excess
    # The logarithmic mean of both amounts turns ratios of factors into dollars that add up.
    ratio = math.log(new.usd / old.usd)
    mean = float(excess) / ratio if abs(ratio) > 1e-9 else float(old.usd)
    calls = _dollars(mean * math.log(new.calls / old.calls))
    tokens = _ZERO
    if old.tokens and new.tokens:
        tokens = _dollars(mean * math.log((new.tokens / new.calls) / (old.tokens / old.calls)))
    return calls, tokens, excess - calls - tokens


def _dollars(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_GRAIN)

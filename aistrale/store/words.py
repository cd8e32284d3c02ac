"""What the questions to the ledger say differently to SQLite and to PostgreSQL, and nothing of which is said twice.

Parameters are written `:name` for both. Texts are templates of `str.format`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    Ask: TypeAlias = Callable[[str, Mapping[str, object]], Sequence[Sequence[Any]]]

TIMES: Final = ("minute", "hour", "day", "month")
"""What moments are grouped by, in UTC."""

# A path finds a key faster, but not every SQLite finds one that JSON writes with escapes.
_PLAIN_TAG: Final = re.compile(r"[A-Za-z0-9_ .:/@+-]+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """The words of one database.

    Args:
        times: Of each of `TIMES` the text of a moment `{at}`, epoch seconds.
        tag: The value of one tag of a call `c`; `{name}` is the parameter with its name.
        tag_by_path: The same where the parameter is a JSON path; None where that is no faster.
        tags: A source with a row for each tag of a call `c`: `tag.key` and `tag.value`.
        amounts: An aggregate of `{amount}`, decimal numbers as text: what `aistrale.store.summary.added` adds up to the
            exact sum.
        distinct: An aggregate of `{text}`: how many different ones there are, in any order.
        spread: An aggregate of `{seconds}`: mean, median and 95th percentile as a JSON array; NULL without any.
    """

    times: Mapping[str, str]
    tag: str
    tag_by_path: str | None
    tags: str
    amounts: str
    distinct: str
    spread: str

    def tag_of(self, tag: str, parameter: str) -> tuple[str, str]:
        """How a tag is asked for: the text, and the value of its parameter."""
        if self.tag_by_path is not None and _PLAIN_TAG.fullmatch(tag) is not None:
            return self.tag_by_path.format(name=f":{parameter}"), f'$."{tag}"'
        return self.tag.format(name=f":{parameter}"), tag


# Whole seconds: strftime would round half a millisecond before midnight into the next day.
_STRFTIME: Final = "strftime('{form}', CAST({{at}} AS INTEGER), 'unixepoch')"
SQLITE: Final = Words(
    times={
        name: _STRFTIME.format(form=form)
        for name, form in zip(TIMES, ("%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:00Z", "%Y-%m-%d", "%Y-%m"), strict=True)
    },
    tag="(SELECT value FROM json_each(c.tags) WHERE key = {name})",
    tag_by_path="json_extract(c.tags, {name})",
    tags="json_each(c.tags) AS tag",
    # Added up in Python, and not one by one from within SQLite, which takes four times as long.
    amounts="group_concat({amount}, ' ')",
    # Functions of `aistrale.store.summary`.
    distinct="distinct_count({text})",
    spread="spread({seconds})",
)
"""SQLite, with the functions of `aistrale.store.queries.add_functions`."""

# Moments that SQLite has no text for have none here: an error would end every question for ever.
_TO_CHAR: Final = (
    "CASE WHEN {{at}} >= -62135596800 AND {{at}} < 253402300800 THEN"
    " to_char(to_timestamp(trunc({{at}})) AT TIME ZONE 'UTC', '{form}') END"
)
POSTGRES: Final = Words(
    times={
        name: _TO_CHAR.format(form=form)
        for name, form in zip(
            TIMES,
            ('YYYY-MM-DD"T"HH24:MI"Z"', 'YYYY-MM-DD"T"HH24:00"Z"', "YYYY-MM-DD", "YYYY-MM"),
            strict=True,
        )
    },
    tag="(c.tags ->> CAST({name} AS text))",
    tag_by_path=None,
    tags="jsonb_each_text(CASE WHEN jsonb_typeof(c.tags) = 'object' THEN c.tags END) AS tag",
    amounts="sum(CAST({amount} AS numeric))",
    distinct="count(DISTINCT {text})",
    spread=(
        "CASE WHEN count({seconds}) > 0 THEN CAST(json_build_array(avg({seconds}),"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY {seconds}),"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY {seconds})) AS text) END"
    ),
)
"""PostgreSQL 12 and later."""

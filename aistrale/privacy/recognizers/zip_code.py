"""Postcodes of any country after a word that announces one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# The forms of the world's postcodes: three to ten digits and letters, in at most two groups.
_CODE: Final = (
    r"(?:[A-Z]{1,2}-)?\d{5}-\d{3,4}|\d{4}-\d{3}|\d{2}-\d{3}|\d{3}-\d{4}|\d{3} \d{2}(?!\d)|\d{4} ?[A-Z]{2}"
    r"|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|(?:[A-Z]{1,2}-?)?\d{3,7}"
)
_AFTER: Final = re.compile(
    r"""(?:[ _-]?(?:codes?|number|no\.?|index))?["']?\s{0,3}"""
    r"""(?:(?:is|was|to|=|:|#|->|-)\s{0,3}|in [A-Z][\w-]{1,20} is )?["']?"""
    rf"({_CODE})(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)


class ZipCode:
    """Postcodes named as such: "ZIP: 94103", "my postal code is 75011", "PLZ 10115"."""

    name = "zip_code"
    types = ("ZIP_CODE",)
    triggers = Triggers(literals=("ZIP", "zip", "Zip", "ostal", "ostcode", "PLZ", "CEP", "ostleitzahl", "incode"))

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """The postcode after the word."""
        text, end = candidate.text, candidate.end
        if candidate.start and text[candidate.start - 1].isalpha() and candidate.value[0] not in "oi":
            return ()
        match = _AFTER.match(text, end)
        if match is None:
            return ()
        return (Finding(match.start(1), match.end(1), "ZIP_CODE", 0.85, self.name),)


RECOGNIZERS = (ZipCode(),)

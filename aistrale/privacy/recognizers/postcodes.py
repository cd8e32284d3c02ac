"""Postcodes that hold letters. They tell where somebody lives, to a street."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.recognizers._national import NEAR, Kind, words

_AREAS: Final = (
    "AB|AL|BA|BB|BD|BF|BH|BL|BN|BR|BS|BT|BX|CA|CB|CF|CH|CM|CO|CR|CT|CV|CW|DA|DD|DE|DG|DH|DL|DN|DT|DY|EC|EH|EN|EX|FK|FY|GL|GU|GY"
    "|HA|HD|HG|HP|HR|HS|HU|HX|IG|IM|IP|IV|JE|KA|KT|KW|KY|LA|LD|LE|LL|LN|LS|LU|ME|MK|ML|NE|NG|NN|NP|NR|NW|OL|OX|PA|PE|PH|PL|PO|PR"
    "|RG|RH|RM|SA|SE|SG|SK|SL|SM|SN|SO|SP|SR|SS|ST|SW|SY|TA|TD|TF|TN|TQ|TR|TS|TW|UB|WA|WC|WD|WF|WN|WR|WS|WV|YO|ZE|[BEGLMNSW]"
)
# Royal Mail, PAF Programmers' Guide: the letters after the first of a district and those of the inward code.
_UK: Final = re.compile(rf"(?:(?:{_AREAS})(?:\d[A-HJKMNPR-Y]|\d\d?)|GIR)\d[ABD-HJLNP-UW-Z]{{2}}")
_CA: Final = re.compile(r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z]\d[ABCEGHJ-NPRSTV-Z]\d")
_UK_CUES: Final = words("postcode postcodes")
_CA_CUES: Final = words("postal postale postcode")
# Less than an address, of which it is a part, and than anything else that the same characters may be.
_BARE: Final = 0.6

KINDS: Final = (
    Kind(
        type="UK_POSTCODE",
        shapes="{A9,A99,AA9,AA99} 9AA; {A9A,AA9A,AAA} <9AA>",
        form=_UK,
        cues=_UK_CUES,
        bare=_BARE,
        most=NEAR,
    ),
    Kind(
        type="UK_POSTCODE",
        shapes="{A9,A99,AA9,AA99,A9A,AA9A,AAA}9AA",
        form=_UK,
        cues=_UK_CUES,
        most=NEAR,
    ),
    Kind(type="CA_POSTAL_CODE", shapes="<A9A> 9A9", form=_CA, cues=_CA_CUES, bare=_BARE, most=NEAR),
    Kind(type="CA_POSTAL_CODE", shapes="A9A9A9; <A9A>-9A9", form=_CA, cues=_CA_CUES, most=NEAR),
)

"""Vehicle registration plates that are one word, or a word beside a word."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.recognizers._national import Kind, words

_PLATE: Final = words("plate plates registration reg rego vrn vrm numberplate numberplates dvla")
_CAR: Final = _PLATE | words("car cars vehicle vehicles registered bike motorcycle van truck taxi parked")
# DVLA, INF104: area and age identifiers of the marks since 2001, and the letters of those before.
_UK_CURRENT: Final = r"[A-HJ-PR-Y][A-HJ-PR-Y](?:0[2-9]|[12]\d|5[1-9]|[67]\d)[A-HJ-PR-Z]{3}"
_UK_PREFIX: Final = r"[A-HJ-NPR-TV-Y][1-9]\d{0,2}[A-HJ-PR-Z]{3}"
_UK_SUFFIX: Final = r"[A-HJ-PR-Z]{3}[1-9]\d{0,2}[A-HJ-NPR-TV-Y]"
IN_STATES: Final = (
    "AN|AP|AR|AS|BR|CG|CH|DD|DL|DN|GA|GJ|HP|HR|JH|JK|KA|KL|LA|LD|MH|ML|MN|MP|MZ|NL|OD|OR|PB|PY"
    "|RJ|SK|TN|TR|TS|TG|UA|UK|UP|WB"
)
"""States and territories as plates write them, parted by `|`."""

KINDS: Final = (
    Kind(
        type="UK_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="AA99AAA; <AA99> AAA; <AA99>-AAA",
        form=re.compile(_UK_CURRENT),
        cues=_CAR,
    ),
    Kind(
        type="UK_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="{A9,A99,A999}AAA; <{A9,A99,A999}> AAA; <{A9,A99,A999}>-AAA",
        form=re.compile(_UK_PREFIX),
        cues=_PLATE,
    ),
    Kind(
        type="UK_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="AAA{9A,99A,999A}; AAA <{9A,99A,999A}>; AAA-<{9A,99A,999A}>",
        form=re.compile(_UK_SUFFIX),
        cues=_PLATE,
    ),
    Kind(
        type="NG_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="AAA999AA; AAA-<999AA>; AAA <999AA>",
        form=re.compile(r"[A-Z]{3}\d{3}[A-Z]{2}"),
        cues=_CAR,
        lands=words("nigeria nigerian"),
    ),
    Kind(
        type="IN_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="AA99A9999; AA99AA9999; AA99AAA9999; AA9A9999; AA9AA9999; AA9AAA9999; AA 99 AA 9999",
        form=re.compile(rf"(?:{IN_STATES})\d{{1,2}}[A-Z]{{1,3}}\d{{4}}"),
        cues=_CAR | words("rto bikes"),
        lands=words("india indian"),
        bare=0.6,
    ),
    Kind(
        type="IN_VEHICLE_REGISTRATION",
        capitals=True,
        shapes="<AA99> AA 9999",
        form=re.compile(rf"(?:{IN_STATES})\d{{1,2}}[A-Z]{{1,3}}\d{{4}}"),
        cues=_CAR,
    ),
    # Marks of before 1989: two or three letters and the number.
    Kind(type="IN_VEHICLE_REGISTRATION", shapes="AA9999; AAA9999", cues=frozenset({"rto"})),
    Kind(
        type="FR_LICENSE_PLATE",
        capitals=True,
        shapes="AA999AA",
        form=re.compile(r"[A-HJ-NP-TV-Z]{2}\d{3}[A-HJ-NP-TV-Z]{2}"),
        cues=words("immatriculation plaque immatriculé immatriculée"),
        alone=False,
    ),
    Kind(
        type="IT_LICENSE_PLATE",
        capitals=True,
        shapes="AA999AA",
        form=re.compile(r"[A-HJ-NPR-TV-Z]{2}\d{3}[A-HJ-NPR-TV-Z]{2}"),
        cues=words("targa targata targato targhe"),
        alone=False,
    ),
    Kind(
        type="ES_LICENSE_PLATE",
        capitals=True,
        shapes="9999AAA",
        form=re.compile(r"\d{4}[B-DF-HJ-NPR-TV-Z]{3}"),
        cues=words("matrícula matricula"),
        alone=False,
    ),
    Kind(
        type="BR_LICENSE_PLATE",
        capitals=True,
        shapes="AAA9A99; AAA9999; AAA-<9999>",
        cues=words("placa placas"),
        alone=False,
    ),
    Kind(
        type="TR_LICENSE_PLATE",
        capitals=True,
        shapes="99{A,AA,AAA}{99,999,9999}; 99A99999",
        form=re.compile(r"(?:0[1-9]|[1-7]\d|8[01])[A-Z]{1,3}\d{2,5}"),
        cues=words("plaka plakası plakasi plakalı plakanın plate plates araç"),  # noqa: RUF001
        lands=words("turkish turkey"),
    ),
)

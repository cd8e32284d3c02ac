"""Passports and identity cards: few have a public checksum, so most count where words name them or alone."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.recognizers._national import Kind, words

_PASS: Final = words("passport passports passportno travel")
# The letters of German serial numbers: no vowels and no letters that look like digits.
_DE_SERIAL: Final = "CFGHJKLMNPRTVWXYZ"


def icao_check(value: str) -> bool:
    """Whether the last digit is the check digit of the rest: weights 7, 3, 1, A = 10 (ICAO Doc 9303, part 3, 4.9)."""
    total = sum(int(character, 36) * (7, 3, 1)[position % 3] for position, character in enumerate(value[:-1]))
    return value[-1] == str(total % 10)


KINDS: Final = (
    Kind(type="UK_PASSPORT", shapes="AA9999999", cues=_PASS),
    Kind(type="UK_PASSPORT", shapes="999999999", cues=words("hmpo"), lands=words("british"), alone=False),
    Kind(type="IT_PASSPORT", shapes="AA9999999", cues=_PASS | words("passaporto passaporti")),
    Kind(
        type="IT_IDENTITY_CARD",
        shapes="AA9999999; AA <9999999>; 9999999AA; AA99999AA",
        cues=words("identità identita carta cie documento"),
        lands=words("italy italian italia italiana"),
    ),
    Kind(
        type="ES_PASSPORT",
        shapes="AAA999999",
        cues=_PASS | words("pasaporte pasaportes"),
        lands=words("spain spanish españa"),
    ),
    Kind(
        type="DE_PASSPORT",
        shapes="*********",
        form=re.compile(rf"[CFGHJKL][0-9{_DE_SERIAL}]{{7}}\d"),
        check=icao_check,
        capitals=True,
        cues=_PASS | words("reisepass pass passnummer reisepassnummer ausweis"),
    ),
    Kind(
        # Written as it stands on the page, without the check digit of the machine-readable zone.
        type="DE_PASSPORT",
        shapes="*********",
        form=re.compile(rf"[CFGHJKL][0-9{_DE_SERIAL}]{{7}}\d"),
        cues=words("reisepass reisepassnummer passnummer"),
        alone=False,
    ),
    Kind(
        type="DE_ID_CARD",
        shapes="**********",
        form=re.compile(rf"[LMNPRTVWXY][0-9{_DE_SERIAL}]{{8}}\d"),
        check=icao_check,
        cues=words("personalausweis ausweis ausweisnummer personalausweisnummer"),
        lands=words("german germany"),
    ),
    Kind(
        type="DE_ID_CARD",
        shapes="*********",
        form=re.compile(rf"[LMNPRTVWXY][0-9{_DE_SERIAL}]{{7}}\d"),
        check=icao_check,
        cues=words("personalausweis ausweis ausweisnummer personalausweisnummer"),
    ),
    Kind(
        type="DE_ID_CARD",
        shapes="*********",
        form=re.compile(rf"(?=[A-Z]\w*\d\w*\d)[LMNPRTVWXY][0-9{_DE_SERIAL}]{{8}}"),
        cues=words("personalausweis ausweisnummer personalausweisnummer"),
        alone=False,
    ),
    Kind(
        type="KR_PASSPORT",
        shapes="A999A9999; A99999999",
        form=re.compile(r"[MSROD]\d{3}[A-Z]?\d{4,5}"),
        cues=_PASS | words("여권 여권번호"),
        lands=words("korean korea 대한민국"),
    ),
    Kind(
        type="IN_PASSPORT",
        shapes="A9999999; A99 99999",
        form=re.compile(r"[A-Z][1-9]\d{5}[1-9]"),
        cues=_PASS | words("पासपोर्ट"),
        lands=words("india indian"),
    ),
    Kind(
        type="PH_PASSPORT",
        shapes="A9999999A; AA9999999",
        form=re.compile(r"[A-Z]\d{7}[A-Z]|[A-Z]{2}\d{7}"),
        cues=words("pasaporte"),
        lands=words("philippine philippines filipino"),
        alone=False,
    ),
    Kind(
        type="FR_PASSPORT",
        shapes="99AA99999",
        cues=_PASS | words("passeport"),
        lands=words("french france français"),
    ),
    Kind(type="CA_PASSPORT", shapes="AA999999", cues=words("passeport"), lands=words("canada canadian"), alone=False),
    Kind(
        type="CN_PASSPORT",
        shapes="A99999999; AA9999999",
        form=re.compile(r"(?:[EGDSPH]|E[A-HJ-NP-Z])\d{7,8}"),
        cues=words("护照 护照号 护照号码"),
        lands=words("chinese china"),
        alone=False,
    ),
    Kind(
        type="JP_PASSPORT",
        shapes="AA9999999",
        cues=words("旅券 旅券番号 パスポート"),
        lands=words("japanese japan"),
        alone=False,
    ),
    Kind(type="PL_PASSPORT", shapes="AA9999999", cues=words("paszport paszportu"), lands=words("polish"), alone=False),
    Kind(type="BR_PASSPORT", shapes="AA999999", cues=words("passaporte"), lands=words("brazilian"), alone=False),
)

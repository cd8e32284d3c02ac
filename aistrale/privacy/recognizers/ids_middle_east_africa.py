"""National ids of the Middle East, Africa, Australia and New Zealand."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn, verhoeff, weighted
from aistrale.privacy.recognizers._dates import is_date, is_ymd
from aistrale.privacy.recognizers._national import Kind, words

_ABN: Final = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
_ACN: Final = (8, 7, 6, 5, 4, 3, 2, 1)
_TFN: Final = (1, 4, 3, 7, 5, 8, 6, 9, 10)
_TFN8: Final = (10, 7, 8, 4, 6, 3, 5, 1)
_MEDICARE: Final = (1, 3, 7, 9, 1, 3, 7, 9)
_IRD: Final = ((3, 2, 7, 6, 5, 4, 3, 2), (7, 4, 3, 2, 5, 2, 7, 6))
_EG_PLACES: Final = frozenset({*range(1, 5), *range(11, 20), *range(21, 30), *range(31, 36), 88})


def za_id(value: str) -> bool:
    """Date, citizen / resident / refugee, 8 or 9, Luhn (Department of Home Affairs, Identification Act 68 of 1997)."""
    return value[10] in "012" and value[11] in "89" and is_ymd(value[:6]) and luhn(value)


def ng_nin(value: str) -> bool:
    """Verhoeff (National Identity Management Commission)."""
    return verhoeff(value) and len(set(value)) > 1


def au_abn(value: str) -> bool:
    """Modulo 89, the first digit less 1 (Australian Business Register, format of the ABN)."""
    return value[0] != "0" and (weighted(value, _ABN) - 10) % 89 == 0


def au_acn(value: str) -> bool:
    """Modulo 10 (Australian Securities and Investments Commission, ACN check digit)."""
    return -weighted(value[:8], _ACN) % 10 == int(value[8]) and len(set(value)) > 1


def au_tfn(value: str) -> bool:
    """Modulo 11, eight or nine digits (Australian Taxation Office)."""
    return weighted(value, _TFN if len(value) == 9 else _TFN8) % 11 == 0 and len(set(value)) > 1


def au_medicare(value: str) -> bool:
    """First digit 2 to 6, ninth modulo 10, an issue that is not 0 (Services Australia; AIHW METeOR 270101)."""
    return value[0] in "23456" and value[9] != "0" and weighted(value[:8], _MEDICARE) % 10 == int(value[8])


def nz_ird(value: str) -> bool:
    """Range, modulo 11 with a second row of weights (Inland Revenue, RWT and NRWT specification)."""
    if not 10_000_000 < int(value) < 200_000_000:
        return False
    padded = value.zfill(9)
    check = -weighted(padded[:8], _IRD[0]) % 11
    if check == 10:
        check = -weighted(padded[:8], _IRD[1]) % 11
    return check == int(padded[8])


def il_id(value: str) -> bool:
    """Luhn (Population and Immigration Authority, mispar zehut)."""
    return luhn(value) and len(set(value)) > 1


def sa_id(value: str) -> bool:
    """1 for citizens, 2 for residents, Luhn (Ministry of Interior, Absher)."""
    return value[0] in "12" and luhn(value)


def ae_id(value: str) -> bool:
    """Country 784, year of birth, Luhn (Federal Authority for Identity and Citizenship)."""
    return value[:3] == "784" and "1900" <= value[3:7] <= "2099" and luhn(value)


def eg_id(value: str) -> bool:
    """Century, date, governorate; the rule of the check digit is not public (Civil Status Organization)."""
    year = int(value[1:3]) + (1900 if value[0] == "2" else 2000)
    dated = value[0] in "23" and is_date(year, int(value[3:5]), int(value[5:7]))
    return dated and int(value[7:9]) in _EG_PLACES


def ir_national(value: str) -> bool:
    """Modulo 11 (National Organization for Civil Registration, code melli)."""
    rest = weighted(value[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(value[9]) == (rest if rest < 2 else 11 - rest) and len(set(value)) > 1


_AUSTRALIA: Final = words("australia australian")
_EMIRATES: Final = words("uae emirates emirati dubai")

KINDS: Final = (
    Kind(
        type="ZA_ID_NUMBER",
        shapes="9999999999999; 999999 9999 999; 999999 9999 99 9; 999999 9999 9 9 9",
        check=za_id,
        cues=words("rsa identiteitsnommer identiteit resident refugee"),
        lands=words("african africa"),
        person=True,
    ),
    Kind(
        type="NG_NIN",
        shapes="99999999999; 9999 999 9999",
        check=ng_nin,
        cues=words("nin nimc national+identification"),
        lands=words("nigeria nigerian"),
    ),
    Kind(
        type="AU_ABN",
        shapes="99999999999; 99 999 999 999",
        check=au_abn,
        cues=words("abn australian+business"),
        lands=_AUSTRALIA,
    ),
    Kind(
        type="AU_ACN",
        shapes="999999999; 999 999 999",
        check=au_acn,
        cues=words("acn arbn company+number"),
        lands=_AUSTRALIA,
    ),
    Kind(
        type="AU_TFN",
        shapes="999999999; 999 999 999; 999-999-999; 99999999; 99 999 999",
        check=au_tfn,
        cues=words("tfn tax+file"),
        lands=_AUSTRALIA,
    ),
    Kind(
        type="AU_MEDICARE",
        shapes="9999999999; 9999 99999 9; 9999-99999-9; 9999 99999 9 9; 99999999999; 9999 99999 9/9",
        check=au_medicare,
        cues=words("medicare irn"),
        lands=_AUSTRALIA,
    ),
    Kind(
        type="NZ_IRD",
        shapes="999999999; 99999999; 999-999-999; 99-999-999",
        check=nz_ird,
        cues=words("ird inland"),
        lands=words("zealand"),
    ),
    Kind(
        type="IL_ID_NUMBER",
        shapes="999999999; 99999999-9; 9-9999999-9",
        check=il_id,
        cues=words("זהות תז teudat zehut"),
        lands=words("israel israeli ישראל"),
    ),
    Kind(
        type="SA_NATIONAL_ID",
        shapes="9999999999",
        check=sa_id,
        cues=words("هوية الهوية إقامة الإقامة iqama"),
        lands=words("saudi ksa السعودية"),
    ),
    Kind(
        type="AE_EMIRATES_ID",
        shapes="999-9999-9999999-9",
        form=re.compile(r"784\d{12}"),
        check=ae_id,
        cues=words("eid الهوية"),
        lands=_EMIRATES,
        loose=True,
        bare=1.0,
    ),
    Kind(
        type="AE_EMIRATES_ID",
        shapes="999999999999999; 999 9999 9999999 9",
        check=ae_id,
        cues=words("eid الهوية"),
        lands=_EMIRATES,
        person=True,
        bare=0.6,
    ),
    Kind(
        type="EG_NATIONAL_ID",
        shapes="99999999999999",
        check=eg_id,
        cues=words("الرقم القومي القومى قومي"),
        lands=words("egypt egyptian مصر"),
        person=True,
    ),
    Kind(
        type="IR_NATIONAL_ID",
        shapes="9999999999; 999-999999-9",
        check=ir_national,
        cues=words("ملی کدملی melli"),
        lands=words("iran iranian ایران"),
    ),
)

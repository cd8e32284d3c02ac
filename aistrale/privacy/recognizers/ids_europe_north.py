"""National ids of the United Kingdom, Ireland, the Nordic and the Baltic countries."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn, weighted
from aistrale.privacy.recognizers._dates import is_date, is_dmy, is_ymd
from aistrale.privacy.recognizers._national import Kind, words

_NHS: Final = (10, 9, 8, 7, 6, 5, 4, 3, 2)
_NO: Final = ((3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
_CPR: Final = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_BALTIC: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3))
_LATVIA: Final = (1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PPS: Final = (8, 7, 6, 5, 4, 3, 2)


def uk_nhs(value: str) -> bool:
    """Modulo 11 (NHS Data Dictionary, NHS number)."""
    check = 11 - weighted(value[:9], _NHS) % 11
    return check % 11 == int(value[9]) and check != 10 and len(set(value)) > 1


def ie_pps(value: str) -> bool:
    """Modulo 23, a second letter counts nine times (Department of Social Protection, PPS number)."""
    second = ord(value[8]) - 64 if value[8:] and value[8] != "W" else 0
    return value[7] == "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(value[:7], _PPS) + 9 * second) % 23]


def se_personnummer(value: str) -> bool:
    """Date (+ 60 in a coordination number), Luhn (Skatteverket, SKV 704)."""
    ten = value[-10:]
    day = int(ten[4:6])
    year = value[:4] if len(value) == 12 else ten[:2]
    if len(value) == 12 and year[:2] not in {"18", "19", "20"}:
        return False
    return is_date(int(year), int(ten[2:4]), day - 60 if day > 60 else day) and luhn(ten)


def se_organisation(value: str) -> bool:
    """Third digit at least 2, so that it is no date, Luhn (Skatteverket, SKV 709)."""
    return value[2] >= "2" and value[0] in "12356789" and luhn(value)


def no_fodselsnummer(value: str) -> bool:
    """Date (day + 40 in a D-number, month + 40 or + 80 for tests), two check digits (Skatteetaten)."""
    day, month = int(value[:2]), int(value[2:4])
    if not is_date(int(value[4:6]), month % 40 or 40, day - 40 if day > 40 else day):
        return False
    return all(-weighted(value[: len(row)], row) % 11 == int(value[len(row)]) for row in _NO)


def dk_cpr(value: str) -> bool:
    """Date; modulo 11, but not so in numbers given since 2007 (CPR-kontoret, Personnummeret i CPR)."""
    return is_dmy(value[:6]) and weighted(value, _CPR) % 11 == 0


def fi_hetu(value: str) -> bool:
    """Date, control character modulo 31 (Digital and Population Data Services Agency, personal identity code)."""
    digits = value[:6] + value[-4:-1]
    return is_dmy(value[:6]) and value[-1] == "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31]


def is_kennitala(value: str) -> bool:
    """Date (day + 40 of a company), modulo 11, century (Þjóðskrá Íslands)."""
    day = int(value[:2])
    return (
        value[9] in "90"
        and is_dmy(f"{day - 40 if day > 40 else day:02}{value[2:6]}")
        and -weighted(value[:8], (3, 2, 7, 6, 5, 4, 3, 2)) % 11 == int(value[8])
    )


def ee_isikukood(value: str) -> bool:
    """Century and sex, date, modulo 11 with a second row of weights (EVS 585:2007; Lithuania alike)."""
    if value[0] not in "12345678" or not is_ymd(value[1:7]):
        return False
    check = weighted(value[:10], _BALTIC[0]) % 11
    if check == 10:
        check = weighted(value[:10], _BALTIC[1]) % 11 % 10
    return check == int(value[10])


def lv_personas_kods(value: str) -> bool:
    """Date, or 32 to 39 at the start since 2017; modulo 11 (Latvia, Cabinet Regulation 94 of 2018)."""
    dated = value[6] in "0129" and is_dmy(value[:6])
    return (dated or "32" <= value[:2] <= "39") and (1101 - weighted(value[:10], _LATVIA)) % 11 % 10 == int(value[10])


_UK: Final = words("uk british britain england scotland wales")
_SWEDEN: Final = words("sweden swedish sverige svensk svenskt svenska")
_NINO_FORM: Final = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")
_HETU_CUES: Final = words(
    "hetu henkilötunnus henkilötunnukseni henkilötunnuksesi henkilötunnuksen henkilotunnus sotu personbeteckning"
)

KINDS: Final = (
    Kind(
        type="UK_NHS",
        shapes="9999999999; 999 999 9999; 999-999-9999",
        check=uk_nhs,
        cues=words("nhs"),
    ),
    Kind(
        type="UK_NINO",
        shapes="AA <99 99 99> A; AA <99 99 99A>; <AA99 99 99A>; <AA99 99 99> A; AA-<99-99-99>-A; AA <999999> A",
        form=_NINO_FORM,
        cues=words("nino ni insurance"),
        lands=_UK,
        bare=0.85,
    ),
    Kind(
        type="UK_NINO",
        shapes="AA999999A; AA <999999A>; <AA999999> A",
        form=_NINO_FORM,
        cues=words("nino ni insurance"),
        lands=_UK,
        bare=0.6,
    ),
    Kind(
        type="IE_PPS",
        shapes="9999999A; 9999999AA",
        form=re.compile(r"\d{7}[A-W][A-IW]?"),
        check=ie_pps,
        cues=words("pps ppsn"),
        lands=words("ireland irish éire"),
    ),
    Kind(
        type="SE_PERSONNUMMER",
        shapes="999999-9999; 99999999-9999; 999999999999; 9999999999",
        check=se_personnummer,
        cues=words("personnummer personnr pnr samordningsnummer personnumret"),
        lands=_SWEDEN,
        person=True,
    ),
    Kind(
        type="SE_ORGANISATIONSNUMMER",
        shapes="999999-9999",
        check=se_organisation,
        cues=words("organisationsnummer orgnummer orgnr företag företaget bolag"),
        lands=_SWEDEN,
        bare=0.6,
    ),
    Kind(
        type="SE_ORGANISATIONSNUMMER",
        shapes="9999999999",
        check=se_organisation,
        cues=words("organisationsnummer orgnummer orgnr"),
        lands=_SWEDEN,
    ),
    Kind(
        type="NO_FODSELSNUMMER",
        shapes="99999999999; 999999 99999",
        check=no_fodselsnummer,
        cues=words("fødselsnummer fodselsnummer personnummer fnr dnummer fødselsnr"),
        lands=words("norway norwegian norge norsk"),
        person=True,
    ),
    Kind(
        type="DK_CPR",
        shapes="999999-9999; 9999999999; 999999 9999",
        form=re.compile(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{6}"),
        check=dk_cpr,
        cues=words("cpr personnummer cprnr cprnummer"),
        lands=words("denmark danish danmark dansk"),
        loose=True,
    ),
    Kind(
        type="FI_PERSONAL_IDENTITY_CODE",
        shapes="999999-999?; 999999A999?",
        form=re.compile(r"\d{6}[A-FU-Y]?\d{3}[0-9A-FHJ-NPR-Y]"),
        check=fi_hetu,
        cues=_HETU_CUES,
        lands=words("finland finnish suomi suomalainen"),
        person=True,
        bare=0.85,
    ),
    Kind(
        type="IS_KENNITALA",
        shapes="999999-9999; 9999999999",
        check=is_kennitala,
        cues=words("kennitala kt kennitölu"),
        lands=words("iceland icelandic ísland"),
        person=True,
    ),
    Kind(
        type="EE_ISIKUKOOD",
        shapes="99999999999",
        check=ee_isikukood,
        cues=words("isikukood isikukoodi"),
        lands=words("estonia estonian eesti"),
        person=True,
    ),
    Kind(
        type="LT_ASMENS_KODAS",
        shapes="99999999999",
        check=ee_isikukood,
        cues=words("asmens kodas kodo"),
        lands=words("lithuania lithuanian lietuva lietuvos"),
        person=True,
    ),
    Kind(
        type="LV_PERSONAS_KODS",
        shapes="999999-99999; 99999999999",
        check=lv_personas_kods,
        cues=words("personas kods"),
        lands=words("latvia latvian latvija latvijas"),
        person=True,
    ),
)

"""National and tax ids of Spain, Portugal, Italy, Greece, Turkey and the western Balkans."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn, mod11_10, weighted
from aistrale.privacy.recognizers._dates import is_date, is_dmy
from aistrale.privacy.recognizers._national import Kind, words

_NIF_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_PT: Final = (9, 8, 7, 6, 5, 4, 3, 2)
_AFM: Final = (256, 128, 64, 32, 16, 8, 4, 2)
_EMSO: Final = (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
# What a character is worth at an odd place of an Italian fiscal code, for 0 to 9 and A to Z.
_CF_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
# Digits of people whose codes would be equal are replaced by these letters.
_CF_LETTERS: Final = str.maketrans("LMNPQRSTUV", "0123456789")
_CF_DIGIT: Final = "[0-9LMNP-V]"


def es_nif(value: str) -> bool:
    """Letter modulo 23 (Real Decreto 1553/2005, Ministerio del Interior)."""
    return value[-1] == _NIF_LETTERS[int(value[:-1]) % 23]


def es_nie(value: str) -> bool:
    """As the NIF, X, Y and Z as 0, 1 and 2 (Orden INT/2058/2008)."""
    return es_nif(str("XYZ".index(value[0])) + value[1:])


def it_fiscal_code(value: str) -> bool:
    """Day (a woman's + 40), check letter modulo 26 (Decreto Ministeriale 23 December 1976)."""
    day = int(value[9:11].translate(_CF_LETTERS))
    if not (1 <= day <= 31 or 41 <= day <= 71):
        return False
    ranks = [ord(character) - (48 if character.isdigit() else 65) for character in value[:15]]
    total = sum(_CF_ODD[rank] for rank in ranks[::2]) + sum(ranks[1::2])
    return ord(value[15]) - 65 == total % 26


def it_vat(value: str) -> bool:
    """Office, Luhn (Agenzia delle Entrate, partita IVA)."""
    office = int(value[7:10])
    return (1 <= office <= 100 or office in (120, 121, 888, 999)) and value[:7] != "0000000" and luhn(value)


def pt_nif(value: str) -> bool:
    """Kind, modulo 11 (Decreto-Lei 14/2013)."""
    rest = weighted(value[:8], _PT) % 11
    return (value[0] in "12356789" or value[:2] == "45") and int(value[8]) == (0 if rest < 2 else 11 - rest)


def gr_afm(value: str) -> bool:
    """Powers of two modulo 11 (Independent Authority for Public Revenue, number AFM)."""
    return weighted(value[:8], _AFM) % 11 % 10 == int(value[8]) and len(set(value)) > 1


def gr_amka(value: str) -> bool:
    """Date, Luhn (IDIKA, number AMKA)."""
    return is_dmy(value[:6]) and luhn(value)


def tr_national_id(value: str) -> bool:
    """Two check digits (General Directorate of Civil Registration)."""
    numbers = [int(digit) for digit in value]
    tenth = (sum(numbers[0:9:2]) * 7 - sum(numbers[1:8:2])) % 10
    return value[0] != "0" and tenth == numbers[9] and sum(numbers[:10]) % 10 == numbers[10]


def emso(value: str) -> bool:
    """Date, modulo 11 (Law on the central population register, ZCRP; the JMBG of its neighbours alike)."""
    year = int(value[4:7]) + (2000 if value[4] < "8" else 1000)
    check = 11 - weighted(value[:12], _EMSO) % 11
    return is_date(year, int(value[2:4]), int(value[:2])) and check % 11 % 10 == int(value[12])


_SPAIN: Final = words("spain spanish españa español española")
_ITALY: Final = words("italy italian italia italiano italiana")
_GREECE: Final = words("greece greek ελλάδα ελληνική")
_NIF_CUES: Final = words("nif dni documento identidad")

KINDS: Final = (
    Kind(
        type="ES_NIF",
        shapes="99999999A; 9999999A; <99999999>-A; <9999999>-A; <99.999.999>-A",
        check=es_nif,
        cues=_NIF_CUES,
        lands=_SPAIN,
    ),
    Kind(
        type="ES_NIE",
        shapes="A9999999A; <A9999999>-A; A-<9999999>-A; A-<9999999A>",
        form=re.compile(r"[XYZ]\d{7}[A-Z]"),
        check=es_nie,
        cues=words("nie extranjero extranjeros extranjera"),
        lands=_SPAIN,
        bare=0.85,
    ),
    Kind(
        type="IT_FISCAL_CODE",
        shapes="****************",
        form=re.compile(rf"[A-Z]{{6}}{_CF_DIGIT}{{2}}[A-EHLMPR-T][0-7LMNP-T]{_CF_DIGIT}[A-Z]{_CF_DIGIT}{{3}}[A-Z]"),
        check=it_fiscal_code,
        cues=words("fiscale codice fiscal cf"),
        lands=_ITALY,
        loose=True,
        bare=1.0,
    ),
    Kind(
        type="IT_VAT_CODE",
        shapes="99999999999; 99999999_999",
        check=it_vat,
        cues=words("iva partita piva"),
        lands=_ITALY,
    ),
    Kind(
        type="PT_NIF",
        shapes="999999999; 999 999 999",
        check=pt_nif,
        cues=words("nif contribuinte nipc"),
        lands=words("portugal portuguese português portuguesa"),
    ),
    Kind(
        type="GR_AFM",
        shapes="999999999",
        check=gr_afm,
        cues=words("αφμ afm φορολογικού φορολογικό"),
        lands=_GREECE,
    ),
    Kind(
        type="GR_AMKA",
        shapes="99999999999",
        check=gr_amka,
        cues=words("αμκα amka"),
        lands=_GREECE,
        person=True,
    ),
    Kind(
        type="TR_NATIONAL_ID",
        shapes="99999999999; 999 999 999 99",
        check=tr_national_id,
        cues=words("tckn kimlik tc vatandaşlık tcno kişi kişinin vatandaş"),  # noqa: RUF001
        lands=words("turkish turkey türkiye türk turkiye"),
        person=True,
    ),
    Kind(
        type="HR_OIB",
        shapes="99999999999",
        check=mod11_10,
        cues=words("oib"),
        lands=words("croatia croatian hrvatska hrvatski"),
    ),
    Kind(
        type="SI_EMSO",
        shapes="9999999999999",
        check=emso,
        cues=words("emšo emso"),
        lands=words("slovenia slovenian slovenija"),
        person=True,
    ),
    Kind(
        type="RS_JMBG",
        shapes="9999999999999",
        check=emso,
        cues=words("jmbg јмбг jmb matični"),
        lands=words("serbia serbian srbija bosnia bosnian montenegro macedonia"),
        person=True,
    ),
)

"""National and tax ids of Poland, Czechia, Slovakia, Hungary, Romania, Bulgaria, Moldova, Ukraine and Russia."""

from __future__ import annotations

from typing import Final

from aistrale.privacy.checksums import weighted
from aistrale.privacy.recognizers._dates import is_date
from aistrale.privacy.recognizers._national import Kind, words

_PESEL: Final = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
_NIP: Final = (6, 5, 7, 2, 3, 4, 5, 6, 7)
_CNP: Final = (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)
_EGN: Final = (2, 4, 8, 5, 10, 9, 7, 3, 6)
_TAJ: Final = (3, 7, 3, 7, 3, 7, 3, 7)
_UP: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
_RNOKPP: Final = (-1, 5, 7, 9, 4, 6, 10, 5, 7)
_INN: Final = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_IDNP: Final = (7, 3, 1, 7, 3, 1, 7, 3, 1, 7, 3, 1)


def pl_pesel(value: str) -> bool:
    """Date (the century in the month), modulo 10 (Ustawa o ewidencji ludności, art. 15)."""
    century, month = divmod(int(value[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(value[:2])
    return is_date(year, month, int(value[4:6])) and weighted(value, _PESEL) % 10 == 0


def pl_nip(value: str) -> bool:
    """Modulo 11 (Ustawa o zasadach ewidencji i identyfikacji podatników)."""
    return value[0] != "0" and weighted(value[:9], _NIP) % 11 == int(value[9])


def cz_rodne_cislo(value: str) -> bool:
    """Date (a woman's month + 50; + 20 more since 2004), all of it modulo 11 (Act 133/2000 Coll.)."""
    month = int(value[2:4]) % 50
    if not is_date(int(value[:2]), month - 20 if month > 20 else month, int(value[4:6])):
        return False
    return int(value) % 11 == 0 or (int(value[:9]) % 11 == 10 and value[9] == "0")


def ro_cnp(value: str) -> bool:
    """Sex and century, date, county, modulo 11 (Legea 105/1996, Codul numeric personal)."""
    rest = weighted(value[:12], _CNP) % 11
    county = int(value[7:9])
    return (
        value[0] in "123456789"
        and is_date(int(value[1:3]), int(value[3:5]), int(value[5:7]))
        and (1 <= county <= 48 or county in (51, 52, 70) or 80 <= county <= 83)
        and (1 if rest == 10 else rest) == int(value[12])
    )


def bg_egn(value: str) -> bool:
    """Date (month + 20 in the 19th, + 40 in the 21st century), modulo 11 (GRAO, ЕГН)."""
    century, month = divmod(int(value[2:4]), 20)
    if century > 2:
        return False
    year = (1900, 1800, 2000)[century] + int(value[:2])
    return is_date(year, month, int(value[4:6])) and weighted(value[:9], _EGN) % 11 % 10 == int(value[9])


def hu_taj(value: str) -> bool:
    """Modulo 10 (1996. évi XX. törvény, TAJ szám)."""
    return weighted(value[:8], _TAJ) % 10 == int(value[8]) and len(set(value)) > 1


def hu_tax_id(value: str) -> bool:
    """Begins with 8, modulo 11 (1996. évi XX. törvény, adóazonosító jel)."""
    return value[0] == "8" and weighted(value[:9], _UP[:9]) % 11 == int(value[9])


def hu_personal(value: str) -> bool:
    """Sex and century, date, modulo 11; weights in reverse for those born since 1997 (1996. évi XX. törvény)."""
    if value[0] not in "12345678" or not is_date(int(value[1:3]), int(value[3:5]), int(value[5:7])):
        return False
    return int(value[10]) in (weighted(value[:10], _UP) % 11, weighted(value[:10], _UP[::-1]) % 11)


def ua_rnokpp(value: str) -> bool:
    """Modulo 11 (State Tax Service of Ukraine, РНОКПП)."""
    return weighted(value[:9], _RNOKPP) % 11 % 10 == int(value[9]) and len(set(value)) > 1


def ru_inn(value: str) -> bool:
    """One check digit of ten, two of twelve digits, modulo 11 (Federal Tax Service, order on the INN of 2012)."""
    places = (9,) if len(value) == 10 else (10, 11)
    return value[:2] != "00" and all(
        weighted(value[:place], _INN[-place:]) % 11 % 10 == int(value[place]) for place in places
    )


def ru_snils(value: str) -> bool:
    """Modulo 101 (Pension Fund of Russia, order 18п of 2005)."""
    total = weighted(value[:9], _UP[:9][::-1]) % 101
    return total % 100 == int(value[9:]) and int(value[:9]) > 1_001_998


def md_idnp(value: str) -> bool:
    """Modulo 10 (Law 273/1994, IDNP)."""
    return value[0] in "02" and weighted(value[:12], _IDNP) % 10 == int(value[12])


_POLAND: Final = words("poland polish polska polski")
_HUNGARY: Final = words("hungary hungarian magyar magyarország")
_RUSSIA: Final = words("russia russian россия рф")

KINDS: Final = (
    Kind(type="PL_PESEL", shapes="99999999999", check=pl_pesel, cues=words("pesel"), lands=_POLAND, person=True),
    Kind(
        type="PL_NIP",
        shapes="999-999-99-99; 999-99-99-999",
        check=pl_nip,
        cues=words("nip podatkowy"),
        lands=_POLAND,
        bare=0.6,
    ),
    Kind(type="PL_NIP", shapes="9999999999", check=pl_nip, cues=words("nip podatkowy"), lands=_POLAND),
    Kind(
        type="CZ_RODNE_CISLO",
        shapes="999999/9999; 9999999999",
        check=cz_rodne_cislo,
        cues=words("rodné rodne rč"),
        lands=words("czech czechia česko česká"),
        person=True,
    ),
    Kind(
        type="SK_RODNE_CISLO",
        shapes="999999/9999; 9999999999",
        check=cz_rodne_cislo,
        cues=words("rodné rodne rč"),
        lands=words("slovak slovakia slovensko slovenská"),
        person=True,
    ),
    Kind(
        type="RO_CNP",
        shapes="9999999999999",
        check=ro_cnp,
        cues=frozenset({"cnp"}),
        lands=words("romania romanian românia român română"),
        person=True,
    ),
    Kind(
        type="BG_EGN",
        shapes="9999999999",
        check=bg_egn,
        cues=words("егн egn"),
        lands=words("bulgaria bulgarian българия"),
        person=True,
    ),
    Kind(
        type="HU_TAJ",
        shapes="999999999; 999 999 999; 999-999-999",
        check=hu_taj,
        cues=words("taj társadalombiztosítási"),
        lands=_HUNGARY,
    ),
    Kind(
        type="HU_TAX_ID",
        shapes="9999999999",
        check=hu_tax_id,
        cues=words("adóazonosító adószám adóazonosítója"),
        lands=_HUNGARY,
    ),
    Kind(
        type="HU_PERSONAL_ID",
        shapes="9-999999-9999; 9 999999 9999; 99999999999",
        check=hu_personal,
        cues=words("személyi személyazonosító"),
        lands=_HUNGARY,
        person=True,
    ),
    Kind(
        type="UA_RNOKPP",
        shapes="9999999999",
        check=ua_rnokpp,
        cues=words("рнокпп іпн ідентифікаційний податків rnokpp ipn"),
        lands=words("ukraine ukrainian україна"),
    ),
    Kind(type="RU_INN", shapes="9999999999; 999999999999", check=ru_inn, cues=words("инн inn"), lands=_RUSSIA),
    Kind(
        type="RU_SNILS",
        shapes="999-999-999 99; 999-999-999-99",
        check=ru_snils,
        cues=words("снилс snils"),
        lands=_RUSSIA,
        bare=0.85,
    ),
    Kind(type="RU_SNILS", shapes="99999999999", check=ru_snils, cues=words("снилс snils"), lands=_RUSSIA),
    Kind(
        type="MD_IDNP",
        shapes="9999999999999",
        check=md_idnp,
        cues=words("idnp"),
        lands=words("moldova moldovan"),
    ),
)

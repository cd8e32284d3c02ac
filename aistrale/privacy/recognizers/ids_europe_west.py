"""National, social security and tax ids of Germany, Austria, Switzerland, France and the Benelux countries."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn, mod11_10, verhoeff, weighted
from aistrale.privacy.recognizers._dates import is_date, is_ymd
from aistrale.privacy.recognizers._national import Kind, words

_RVNR: Final = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_AHV: Final = (1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)
_SVNR: Final = (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)
_BSN: Final = (9, 8, 7, 6, 5, 4, 3, 2, -1)
# Regions of the associations of statutory health insurance physicians, as the first two digits.
_KV: Final = "01|02|03|17|20|35|38|4[6-9]|5[0-2589]|6[0-9]|7[0-389]|80|83|8[5-9]|9[0-689]"


def de_tax_id(value: str) -> bool:
    """At most one digit of the first ten twice or thrice, not in a row; ISO 7064 MOD 11,10 (BZSt, § 139b AO)."""
    first = value[:10]
    repeated = [digit for digit in set(first) if first.count(digit) > 1]
    if value[0] == "0" or len(repeated) > 1:
        return False
    return all(first.count(digit) <= 3 and digit * 3 not in first for digit in repeated) and mod11_10(value)


def de_vat(value: str) -> bool:
    """ISO 7064 MOD 11,10 (Bundeszentralamt für Steuern, USt-IdNr.)."""
    return value[:2] == "DE" and value[2] != "0" and mod11_10(value[2:])


def _cross(products: list[int]) -> int:
    """The sum of the digits of some products of at most two digits."""
    return sum([product // 10 + product % 10 for product in products])


def de_rvnr(value: str) -> bool:
    """Date, cross sums modulo 10, the letter as two digits (VKVV § 2 to 4)."""
    day = int(value[2:4])
    if not is_date(int(value[6:8]), int(value[4:6]), day - 50 if day > 50 else day):
        return False
    digits = f"{value[:8]}{ord(value[8]) - 64:02}{value[9:11]}"
    total = _cross([int(digit) * weight for digit, weight in zip(digits, _RVNR, strict=True)])
    return total % 10 == int(value[11])


def de_kvnr(value: str) -> bool:
    """Weights 1 and 2, cross sums modulo 10, the letter as two digits (§ 290 SGB V, GKV-Spitzenverband)."""
    digits = f"{ord(value[0]) - 64:02}{value[1:9]}"
    total = _cross([int(digit) * (1 + position % 2) for position, digit in enumerate(digits)])
    return total % 10 == int(value[9])


def de_lanr(value: str) -> bool:
    """Seventh digit from weights 4 and 9 (KBV, guideline for § 75 (7) SGB V)."""
    return -weighted(value[:6], (4, 9, 4, 9, 4, 9)) % 10 == int(value[6]) and value[:6] != "000000"


def at_svnr(value: str) -> bool:
    """Fourth digit modulo 11; date, whose month goes to 15 where days ran out (Dachverband, § 31 ASVG)."""
    day, month = int(value[4:6]), int(value[6:8])
    dated = 1 <= day <= 31 and (13 <= month <= 15 or is_date(int(value[8:]), month, day))
    return value[0] != "0" and dated and weighted(value, _SVNR) % 11 == int(value[3])


def ch_ahv(value: str) -> bool:
    """Country 756, EAN-13 (Zentrale Ausgleichsstelle, AHVN13)."""
    return value[:3] == "756" and -weighted(value[:12], _AHV) % 10 == int(value[12])


def fr_nir(value: str) -> bool:
    """97 less the remainder; Corsica's 2A and 2B count 19 and 18 (Insee, Code officiel; décret 82-103)."""
    number = int(value[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(value[13:])


def nl_bsn(value: str) -> bool:
    """The test of eleven (Wet algemene bepalingen burgerservicenummer; Logisch ontwerp BSN)."""
    padded = value.zfill(9)
    return padded[:2] != "00" and weighted(padded, _BSN) % 11 == 0 and len(set(value)) > 1


def be_national(value: str) -> bool:
    """Date (month + 20 or 40 in a BIS number), 97 less the remainder, 2 in front since 2000 (decree of April 1984)."""
    month = int(value[2:4])
    if month > 52 or month % 20 > 12 or int(value[4:6]) > 31:
        return False
    number, check = int(value[:9]), int(value[9:])
    born_since_2000 = value[:2] < "40" and check == 97 - (2_000_000_000 + number) % 97
    return born_since_2000 or check == 97 - number % 97


def lu_nin(value: str) -> bool:
    """Date, Luhn over twelve digits and Verhoeff without the twelfth (Law of 19 June 2013 on identification)."""
    return is_ymd(value[:8]) and luhn(value[:12]) and verhoeff(value[:11] + value[12])


_GERMANY: Final = words("germany german deutschland deutsche deutscher")
_FRANCE: Final = words("france french français française")
_NIR_CUES: Final = words("nir insee sécurité sécu vitale securite")
_NIR_FORM: Final = re.compile(r"[1-478]\d\d(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d\d|2[AB])\d{8}")

KINDS: Final = (
    Kind(
        type="DE_TAX_ID",
        shapes="99999999999; 99 999 999 999",
        check=de_tax_id,
        cues=words("steuer steuerid idnr identifikationsnummer steueridentifikationsnummer steuernummer tin"),
        lands=_GERMANY,
    ),
    Kind(
        type="DE_TAX_NUMBER",
        shapes="9999999999999",
        form=re.compile(r"(?:1[01]|2[1-46-8]|3[0-2]|40|41|5\d)\d\d0\d{8}"),
        cues=words("steuernummer steuernr finanzamt stnr steuer elster"),
        lands=_GERMANY,
    ),
    Kind(
        type="DE_TAX_NUMBER",
        shapes="{99,999}/{999,9999}/{9999,99999}; 99 999 99999; 99999/99999",
        cues=words("steuernummer steuernr finanzamt stnr steuer st+nr"),
        lands=_GERMANY,
    ),
    Kind(
        type="DE_VAT_ID",
        shapes="AA999999999; AA <999999999>; AA <999 999 999>",
        form=re.compile(r"DE\d{9}"),
        check=de_vat,
        cues=words("ust ustid umsatzsteuer vat umsatzsteueridentifikationsnummer idnr"),
        lands=_GERMANY,
        bare=1.0,
    ),
    Kind(
        type="DE_SOCIAL_SECURITY",
        shapes="99999999A999; 99 999999 A 999; <99 999999> A 999",
        check=de_rvnr,
        cues=words(
            "rvnr svnr versicherungsnummer sozialversicherung sozialversicherungsnummer rentenversicherungsnummer"
            " sozialversicherungsausweis rentenversicherung"
        ),
        lands=_GERMANY,
        bare=0.85,
    ),
    Kind(
        type="DE_HEALTH_INSURANCE",
        shapes="A999999999",
        check=de_kvnr,
        cues=words("kvnr krankenversicherung krankenkasse egk versichertennummer krankenversichertennummer gkv"),
        lands=_GERMANY,
    ),
    Kind(
        type="DE_LANR",
        shapes="999999999",
        check=de_lanr,
        cues=words("lanr arztnummer arzt arztes ärztin"),
        lands=_GERMANY,
    ),
    Kind(
        type="DE_BSNR",
        shapes="999999999",
        form=re.compile(rf"(?:{_KV})\d{{7}}"),
        cues=words("bsnr betriebsstättennummer betriebsstätte"),
        lands=_GERMANY,
    ),
    Kind(
        type="AT_SVNR",
        shapes="9999999999; 9999 999999; 9999-999999",
        check=at_svnr,
        cues=words("svnr sozialversicherungsnummer versicherungsnummer sv vsnr"),
        lands=words("austria austrian österreich österreichische"),
        person=True,
    ),
    Kind(
        type="CH_AHV",
        shapes="999.9999.9999.99",
        check=ch_ahv,
        cues=words("ahv avs ahvn"),
        lands=words("switzerland swiss schweiz suisse svizzera"),
        bare=1.0,
    ),
    Kind(
        type="CH_AHV",
        shapes="9999999999999; 999 9999 9999 99",
        check=ch_ahv,
        cues=words("ahv avs ahvn sozialversicherungsnummer"),
        lands=words("switzerland swiss schweiz suisse svizzera"),
        person=True,
    ),
    Kind(
        type="FR_NIR",
        shapes="9 99 99 99 999 999 99; 9-99-99-99-999-999-99; 9999999999999 99; 9 99 99 99 999 999/99; 999999999999999",
        form=_NIR_FORM,
        check=fr_nir,
        cues=_NIR_CUES,
        lands=_FRANCE,
        person=True,
    ),
    Kind(
        # Without a word that names it only what most people have: a month of birth that is one.
        type="FR_NIR",
        shapes="9 99 99 99 999 999 99; 9-99-99-99-999-999-99; 9999999999999 99; 999999999999999",
        form=re.compile(r"[12]\d\d(?:0[1-9]|1[0-2])\d{10}"),
        check=fr_nir,
        bare=0.85,
    ),
    Kind(
        type="FR_NIR",
        shapes="999999A99999999; <9 99 99 9A> 999 999 99",
        form=_NIR_FORM,
        check=fr_nir,
        cues=_NIR_CUES,
        lands=_FRANCE,
        bare=1.0,
    ),
    Kind(
        type="NL_BSN",
        shapes="999999999; 9999.99.999; 9999 99 999; 999 999 999; 99999999",
        check=nl_bsn,
        cues=words("bsn burgerservicenummer sofinummer sofi"),
        lands=words("netherlands dutch nederland nederlandse"),
    ),
    Kind(
        type="BE_NATIONAL_NUMBER",
        shapes="99.99.99-999.99; 99.99.99-999-99; 99.99.99.999.99",
        check=be_national,
        cues=words("rijksregisternummer rijksregister insz niss registre rrn"),
        lands=words("belgium belgian belgië belgique"),
        bare=1.0,
    ),
    Kind(
        type="BE_NATIONAL_NUMBER",
        shapes="99999999999; 999999-999-99; 999999 999 99",
        check=be_national,
        cues=words("rijksregisternummer rijksregister insz niss"),
        lands=words("belgium belgian belgië belgique"),
        person=True,
    ),
    Kind(
        type="LU_NATIONAL_ID",
        shapes="9999999999999; 9999 9999 999 99",
        check=lu_nin,
        cues=words("matricule cns"),
        lands=words("luxembourg luxembourgish"),
        person=True,
    ),
)

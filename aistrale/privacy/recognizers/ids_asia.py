"""National and tax ids of East, South and South-East Asia."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn36, mod11_2, verhoeff, weighted
from aistrale.privacy.recognizers._dates import is_dmy, is_ymd
from aistrale.privacy.recognizers._national import Kind, words

_RRN: Final = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_YMD: Final = r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_BRN: Final = (1, 3, 7, 1, 3, 7, 1, 3)
_MY_NUMBER: Final = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
_TW_LETTERS: Final = {letter: 10 + value for value, letter in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO")}
_TW: Final = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
_NRIC: Final = (2, 7, 6, 5, 4, 3, 2)
_UEN_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
_TH: Final = (13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
# ISO 3166-2:TH.
_TH_PROVINCES: Final = frozenset(
    {*range(10, 28), *range(30, 50), *range(50, 59), *range(60, 68), *range(70, 78), *range(80, 87), *range(90, 97)}
)
_IIN: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2))
_MY_PLACES: Final = frozenset({*range(1, 17), *range(21, 69), 71, 72, 74, *range(75, 80), *range(82, 94), 98, 99})


def in_aadhaar(value: str) -> bool:
    """Verhoeff; begins with 2 to 9 and is no palindrome (UIDAI, Aadhaar numbering scheme)."""
    return value[0] not in "01" and value != value[::-1] and verhoeff(value)


def kr_rrn(value: str) -> bool:
    """Modulo 11; not so for numbers given since October 2020 (Resident Registration Act, enforcement rules)."""
    return (11 - weighted(value[:12], _RRN) % 11) % 10 == int(value[12])


def kr_frn(value: str) -> bool:
    """As that of residents, plus 2 (Immigration Act, enforcement rules)."""
    return (13 - weighted(value[:12], _RRN) % 11) % 10 == int(value[12])


def kr_brn(value: str) -> bool:
    """Modulo 10, the ninth digit times 5 with its carry (National Tax Service, business registration)."""
    ninth = int(value[8]) * 5
    return -(weighted(value[:8], _BRN) + ninth // 10 + ninth) % 10 == int(value[9])


def cn_resident(value: str) -> bool:
    """Province, date, ISO 7064 MOD 11-2 (GB 11643-1999)."""
    return 11 <= int(value[:2]) <= 91 and value[0] in "12345689" and is_ymd(value[6:14]) and mod11_2(value)


def jp_my_number(value: str) -> bool:
    """Modulo 11 (Order of the Ministry of Internal Affairs and Communications 85 of 2014, article 5)."""
    rest = weighted(value[:11], _MY_NUMBER) % 11
    return int(value[11]) == (0 if rest < 2 else 11 - rest) and len(set(value)) > 1


def tw_id(value: str) -> bool:
    """Modulo 10, the letter as two digits (Ministry of the Interior; residents' second digit 8 or 9 since 2021)."""
    digits = str(_TW_LETTERS[value[0]]) + value[1:]
    return value[1] in "1289" and weighted(digits, _TW) % 10 == 0


def hk_id(value: str) -> bool:
    """Modulo 11, a missing first letter counts 36 (Immigration Department, Hong Kong identity card)."""
    numbers = [36 if character == " " else int(character, 36) for character in value.rjust(9)]
    return sum(number * weight for number, weight in zip(numbers, range(9, 0, -1), strict=True)) % 11 == 0


def sg_nric(value: str) -> bool:
    """Modulo 11 with one row of letters for each first letter (Immigration and Checkpoints Authority)."""
    first = value[0]
    rest = (weighted(value[1:8], _NRIC) + {"T": 4, "G": 4, "M": 3}.get(first, 0)) % 11
    letters = "JZIHGFEDCBA" if first in "ST" else "XWUTRQPNJLK" if first == "M" else "XWUTRQPNMLK"
    return value[8] == letters[rest]


def sg_uen(value: str) -> bool:
    """Check letter modulo 11 of the three forms (Accounting and Corporate Regulatory Authority, UEN)."""
    if len(value) == 9:
        return value[8] == "XMKECAWLJDB"[weighted(value[:8], (10, 4, 9, 3, 8, 2, 7, 1)) % 11]
    if value[0].isdigit():
        return value[9] == "ZKCMDNERGWH"[weighted(value[:9], (10, 8, 6, 4, 9, 7, 5, 3, 1)) % 11]
    numbers = [_UEN_LETTERS.find(character) for character in value[:9]]
    total = sum(number * weight for number, weight in zip(numbers, (4, 3, 5, 3, 10, 2, 2, 5, 7), strict=True))
    return value[9] == _UEN_LETTERS[(total - 5) % 11]


def th_tnin(value: str) -> bool:
    """Kind, province, modulo 11 (Department of Provincial Administration)."""
    return (
        value[0] in "12345678"
        and int(value[1:3]) in _TH_PROVINCES
        and (11 - weighted(value[:12], _TH) % 11) % 10 == int(value[12])
    )


def ph_tin(value: str) -> bool:
    """Ninth digit modulo 11; three or five of a branch may follow (Bureau of Internal Revenue)."""
    return weighted(value[:8], (9, 8, 7, 6, 5, 4, 3, 2)) % 11 == int(value[8]) and len(set(value[:9])) > 1


def kz_iin(value: str) -> bool:
    """Date, modulo 11 with a second row of weights (Kazakhstan, order on individual identification numbers)."""
    if value[6] not in "0123456" or not is_ymd(value[:6]):
        return False
    check = weighted(value[:11], _IIN[0]) % 11
    if check == 10:
        check = weighted(value[:11], _IIN[1]) % 11
    return check == int(value[11])


def my_nric(value: str) -> bool:
    """Date and place of birth; there is no check digit (National Registration Regulations 1990)."""
    return is_ymd(value[:6]) and int(value[6:8]) in _MY_PLACES


def id_nik(value: str) -> bool:
    """Province, date (a woman's day + 40); there is no check digit (Ministry of Home Affairs, Law 23/2006)."""
    day = int(value[6:8])
    return (
        11 <= int(value[:2]) <= 97
        and value[12:] != "0000"
        and is_dmy(f"{day - 40 if day > 40 else day:02}{value[8:12]}")
    )


def vn_cccd(value: str) -> bool:
    """Province, century and sex; there is no check digit (Circular 59/2021/TT-BCA)."""
    return 1 <= int(value[:3]) <= 96 and value[3] in "0123"


def lk_nic(value: str) -> bool:
    """Day of the year, a woman's + 500 (Department for Registration of Persons)."""
    old = len(value) == 10
    day = int(value[2:5] if old else value[4:7])
    return (old or value[:2] in {"19", "20"}) and (1 <= day <= 366 or 501 <= day <= 866)


def _born(value: str) -> bool:
    return is_ymd(value[:6])


_INDIA: Final = words("india indian")
_KOREA: Final = words("korea korean 대한민국 한국")
_SINGAPORE: Final = words("singapore singaporean")
_JAPAN: Final = words("japan japanese 日本")
_MALAYSIA: Final = words("malaysia malaysian")
_RRN_CUES: Final = words("rrn 주민등록번호 주민번호 주민등록")
_CN_CUES: Final = words("身份证 身份证号 身份证号码 居民身份证 公民身份号码 sfz shenfenzheng")

KINDS: Final = (
    Kind(
        type="IN_AADHAAR",
        shapes="999999999999; 9999 9999 9999; 9999-9999-9999",
        check=in_aadhaar,
        cues=words("aadhaar aadhar adhaar uidai आधार"),
        lands=_INDIA,
    ),
    Kind(type="IN_AADHAAR", shapes="<9999>:9999:9999", check=in_aadhaar, cues=words("aadhaar aadhar"), lands=_INDIA),
    Kind(
        type="IN_PAN",
        shapes="AAAAA9999A",
        form=re.compile(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]"),
        cues=words("pan"),
        lands=_INDIA,
        bare=0.6,
    ),
    Kind(type="IN_PAN", shapes="AAAAA9999A", cues=words("pan"), lands=_INDIA),
    Kind(
        type="IN_GSTIN",
        shapes="99AAAAA9999A?A?",
        form=re.compile(r"(?:0[1-9]|[12]\d|3[0-8]|9[79])[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]"),
        check=luhn36,
        cues=words("gstin gst goods"),
        lands=_INDIA,
        bare=1.0,
    ),
    Kind(
        # As people write it down: the states of before 2019, whatever the check character.
        type="IN_GSTIN",
        shapes="99AAAAA9999A?A?",
        form=re.compile(r"(?:0[1-9]|[12]\d|3[0-7])[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]"),
        cues=words("gstin gst goods"),
        lands=_INDIA,
        bare=0.6,
    ),
    Kind(type="IN_VOTER", shapes="AAA9999999", cues=words("voter voters vote epic election elector"), lands=_INDIA),
    Kind(
        type="SG_NRIC_FIN",
        shapes="A9999999A",
        form=re.compile(r"[STFGM]\d{7}[A-Z]"),
        check=sg_nric,
        cues=words("nric fin"),
        lands=_SINGAPORE,
        bare=0.85,
        loose=True,
    ),
    Kind(
        type="SG_UEN",
        shapes="A99AA9999A",
        form=re.compile(r"[RST]\d{2}[A-HJ-NP-X]{2}\d{4}[A-HJ-NP-X]"),
        check=sg_uen,
        cues=words("uen acra"),
        lands=_SINGAPORE,
        bare=0.85,
    ),
    Kind(
        type="SG_UEN",
        shapes="99999999A; 999999999A",
        form=re.compile(r"\d{8}[A-EJ-MWX]|(?:18|19|20)\d{7}[CDEGHK-NRWZ]"),
        check=sg_uen,
        cues=words("uen acra"),
        lands=_SINGAPORE,
    ),
    Kind(
        type="KR_RRN",
        shapes="999999-9999999; 9999999999999",
        form=re.compile(rf"{_YMD}[1-4]\d{{6}}"),
        check=kr_rrn,
        cues=_RRN_CUES,
        lands=_KOREA,
        loose=True,
    ),
    Kind(
        type="KR_FRN",
        shapes="999999-9999999; 9999999999999",
        form=re.compile(rf"{_YMD}[5-8]\d{{6}}"),
        check=kr_frn,
        cues=words("frn 외국인등록번호 외국인등록"),
        lands=_KOREA,
        loose=True,
    ),
    Kind(
        type="KR_BRN",
        shapes="999-99-99999; 9999999999",
        check=kr_brn,
        cues=words("brn business+registration 사업자등록번호 사업자번호 사업자"),
        lands=_KOREA,
    ),
    Kind(
        type="CN_RESIDENT_ID",
        shapes="999999999999999999; 99999999999999999A",
        form=re.compile(r"\d{17}[0-9X]"),
        check=cn_resident,
        cues=_CN_CUES,
        lands=words("china chinese 中国"),
        person=True,
        bare=1.0,
    ),
    Kind(
        type="JP_MY_NUMBER",
        shapes="999999999999; 9999 9999 9999; 9999-9999-9999",
        check=jp_my_number,
        cues=words("個人番号 マイナンバー mynumber my+number kojin+bango"),
        lands=_JAPAN,
    ),
    Kind(
        type="TW_NATIONAL_ID",
        shapes="A999999999",
        check=tw_id,
        cues=words("身分證 身分證字號 身份證字號 統一證號"),
        lands=words("taiwan taiwanese 台灣 臺灣 roc"),
        person=True,
    ),
    Kind(
        type="HK_ID_CARD",
        shapes="<A999999>(A); <A999999(9>); <AA999999>(A); <AA999999(9>)",
        form=re.compile(r"[A-Z]{1,2}\d{6}[0-9A]"),
        check=hk_id,
        cues=words("hkid 身份證 身份證號碼"),
        lands=words("hong kong 香港"),
        bare=0.85,
    ),
    Kind(
        type="HK_ID_CARD",
        shapes="A9999999; A999999A; AA9999999; AA999999A",
        form=re.compile(r"[A-Z]{1,2}\d{6}[0-9A]"),
        check=hk_id,
        cues=words("hkid 身份證 身份證號碼"),
        lands=words("hong kong 香港"),
    ),
    Kind(
        type="TH_TNIN",
        shapes="9999999999999; 9-9999-99999-99-9; 9 9999 99999 99 9",
        check=th_tnin,
        cues=words("tnin เลขประจำตัวประชาชน บัตรประชาชน เลขบัตรประชาชน ประชาชน ประจำ"),
        lands=words("thai thailand ไทย"),
    ),
    Kind(
        type="PH_TIN",
        shapes="999-999-999; 999-999-999-999; 999-999-999-99999; 999999999; 999999999999; 999 999 999 999",
        check=ph_tin,
        cues=words("tin bir taxpayer"),
        lands=words("philippine philippines filipino pilipinas"),
    ),
    Kind(
        type="PH_TIN",
        shapes="999-999-999-999",
        form=re.compile(r"\d{9}00\d"),
        check=ph_tin,
        bare=0.6,
    ),
    Kind(
        type="PH_UMID",
        shapes="9999-9999999-9; 999999999999",
        cues=words("umid crn sss gsis"),
        lands=words("philippine philippines filipino"),
        alone=False,
    ),
    Kind(
        type="KZ_IIN",
        shapes="999999999999",
        check=kz_iin,
        cues=words("иин жсн iin"),
        lands=words("kazakhstan kazakh казахстан қазақстан"),
        person=True,
    ),
    Kind(
        type="MY_NRIC",
        shapes="999999-99-9999",
        check=my_nric,
        cues=words("nric mykad ic kad pengenalan"),
        lands=_MALAYSIA,
        bare=0.6,
    ),
    Kind(type="MY_NRIC", shapes="999999999999", check=my_nric, cues=words("nric mykad ic kad"), lands=_MALAYSIA),
    Kind(
        type="ID_NIK",
        shapes="9999999999999999",
        # Most numbers of sixteen digits are cards: the cheap part of the check first.
        form=re.compile(r"[1-9]\d{5}[0-7]\d[01]\d{7}"),
        check=id_nik,
        cues=words("nik ktp kependudukan"),
        lands=words("indonesia indonesian"),
    ),
    Kind(
        type="VN_CCCD",
        shapes="999999999999",
        check=vn_cccd,
        cues=words("cccd cmnd cước công dân"),
        lands=words("vietnam vietnamese việt"),
    ),
    Kind(
        type="PK_CNIC",
        shapes="99999-9999999-9",
        form=re.compile(r"[1-8]\d{12}"),
        cues=words("cnic nicop nadra"),
        lands=words("pakistan pakistani"),
        bare=0.6,
    ),
    Kind(
        type="PK_CNIC",
        shapes="9999999999999",
        form=re.compile(r"[1-8]\d{12}"),
        cues=words("cnic nicop nadra"),
        lands=words("pakistan pakistani"),
        alone=False,
    ),
    Kind(
        type="LK_NIC",
        shapes="999999999A; 999999999999",
        form=re.compile(r"\d{9}[VX]|\d{12}"),
        check=lk_nic,
        cues=words("nic ජාතික"),
        lands=words("lanka lankan"),
    ),
)

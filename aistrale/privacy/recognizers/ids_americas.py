"""National and tax ids of the Americas but the United States."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.checksums import luhn, weighted
from aistrale.privacy.recognizers._dates import is_ymd
from aistrale.privacy.recognizers._national import Kind, words

_CPF: Final = (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)
_CNPJ: Final = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
_CURP_VALUES: Final = {letter: value for value, letter in enumerate("0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ")}
_RFC_VALUES: Final = {letter: value for value, letter in enumerate("0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ")}
_STATES_MX: Final = "AS|BC|BS|CC|CL|CM|CS|CH|DF|DG|GT|GR|HG|JC|MC|MN|MS|NT|NL|OC|PL|QT|QR|SP|SL|SR|TC|TS|TL|VZ|YN|ZS|NE"
_NIT: Final = (41, 37, 29, 23, 19, 17, 13, 7, 3)
_RUC: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
_CUIT_TYPES: Final = frozenset({"20", "23", "24", "25", "26", "27", "30", "33", "34", "50", "51", "55"})
_CI: Final = (2, 9, 8, 7, 6, 3, 4)


def ca_sin(value: str) -> bool:
    """Luhn; 0 and 8 are not given to people (Service Canada, Social Insurance Number)."""
    return value[0] not in "08" and luhn(value)


def _eleven(total: int) -> int:
    """What is missing to a multiple of 11; 10 and 11 become 0."""
    rest = total % 11
    return 0 if rest < 2 else 11 - rest


def br_cpf(value: str) -> bool:
    """Two check digits modulo 11; all digits equal is none (Receita Federal, IN RFB 1548/2015)."""
    return (
        len(set(value)) > 1
        and _eleven(weighted(value[:9], _CPF[1:])) == int(value[9])
        and _eleven(weighted(value[:10], _CPF)) == int(value[10])
    )


def br_cnpj(value: str) -> bool:
    """Two check digits modulo 11; letters count as code - 48 since 2026 (Receita Federal, IN RFB 2229/2024)."""
    numbers = [ord(character) - 48 for character in value]
    if len(set(value)) == 1 or not value[12:].isdigit():
        return False
    first = sum(number * weight for number, weight in zip(numbers[:12], _CNPJ[1:], strict=True))
    second = sum(number * weight for number, weight in zip(numbers[:13], _CNPJ, strict=True))
    return _eleven(first) == numbers[12] and _eleven(second) == numbers[13]


def mx_curp(value: str) -> bool:
    """Date and check digit (RENAPO, Instructivo normativo para la asignación de la CURP, annex)."""
    total = sum(_CURP_VALUES[character] * (18 - position) for position, character in enumerate(value[:17]))
    return is_ymd(value[4:10]) and value[17] == str(-total % 10)


def mx_rfc(value: str) -> bool:
    """Date and check digit modulo 11; a company's has one letter less (SAT, Anexo 1, algoritmo del RFC)."""
    padded = value.rjust(13)
    total = sum(_RFC_VALUES[character] * (13 - position) for position, character in enumerate(padded[:12]))
    return is_ymd(value[-9:-3]) and padded[12] == "0123456789A"[-total % 11]


def ar_cuit(value: str) -> bool:
    """Type, modulo 11 (AFIP, Resolución General 10/1997)."""
    check = min(-weighted(value[:10], _RUC) % 11, 9)
    return value[:2] in _CUIT_TYPES and check == int(value[10])


def cl_rut(value: str) -> bool:
    """Modulo 11 with weights 2 to 7 from the right; K is ten (Registro Civil, RUN)."""
    total = sum(int(digit) * (2 + position % 6) for position, digit in enumerate(reversed(value[:-1])))
    return value[-1] == "0123456789K0"[11 - total % 11]


def co_nit(value: str) -> bool:
    """Modulo 11 with primes as weights (DIAN, Orden administrativa 4 of 1989)."""
    rest = weighted(value[:9], _NIT) % 11
    return int(value[9]) == (rest if rest < 2 else 11 - rest)


def pe_ruc(value: str) -> bool:
    """Type, modulo 11 (SUNAT, Registro Único de Contribuyentes)."""
    check = (11 - weighted(value[:10], _RUC) % 11) % 10
    return value[:2] in {"10", "15", "16", "17", "20"} and check == int(value[10])


def ec_cedula(value: str) -> bool:
    """Province, Luhn (Registro Civil del Ecuador)."""
    return (1 <= int(value[:2]) <= 24 or value[:2] == "30") and value[2] <= "6" and luhn(value)


def uy_ci(value: str) -> bool:
    """Modulo 10 (Dirección Nacional de Identificación Civil)."""
    return -weighted(value[:7], _CI) % 10 == int(value[7])


_BRAZIL: Final = words("brazil brazilian brasil brasileiro brasileira")
_MEXICO: Final = words("mexico mexican méxico mexicano mexicana")
_ARGENTINA: Final = words("argentina argentine argentinian argentino")
_CHILE: Final = words("chile chilean chileno chilena")
_COLOMBIA: Final = words("colombia colombian colombiano colombiana")
_PERU: Final = words("peru perú peruvian peruano peruana")

KINDS: Final = (
    Kind(
        type="CA_SIN",
        shapes="999999999; 999 999 999; 999-999-999",
        check=ca_sin,
        cues=words("sin sins nas social+insurance assurance+sociale"),
        lands=words("canada canadian canadien canadienne"),
    ),
    Kind(
        type="BR_CPF",
        shapes="999.999.999-99; 999999999-99; 999 999 999 99",
        check=br_cpf,
        cues=words("cpf contribuinte"),
        lands=_BRAZIL,
        bare=1.0,
    ),
    Kind(type="BR_CPF", shapes="99999999999", check=br_cpf, cues=words("cpf contribuinte"), lands=_BRAZIL, person=True),
    Kind(type="BR_CNPJ", shapes="99.999.999/9999-99", check=br_cnpj, cues=words("cnpj"), lands=_BRAZIL, bare=1.0),
    Kind(type="BR_CNPJ", shapes="99999999999999", check=br_cnpj, cues=words("cnpj empresa"), lands=_BRAZIL),
    Kind(
        # With letters, as given since 2026.
        type="BR_CNPJ",
        shapes="**************; **.***.***/<9999-99>; **.***.***/****-<99>",
        check=br_cnpj,
        cues=words("cnpj"),
        lands=_BRAZIL,
        bare=0.85,
    ),
    Kind(
        type="MX_CURP",
        shapes="AAAA999999AAAAAA?9",
        form=re.compile(rf"[A-Z][AEIOUX][A-Z]{{2}}\d{{6}}[HMX](?:{_STATES_MX})[B-DF-HJ-NP-TV-Z]{{3}}[0-9A-Z]\d"),
        check=mx_curp,
        cues=words("curp población"),
        lands=_MEXICO,
        bare=1.0,
    ),
    Kind(
        type="MX_RFC",
        shapes="AAAA999999???; AAA999999???",
        form=re.compile(r"[A-Z]{3,4}\d{6}[1-9A-Z]{2}[0-9A]"),
        check=mx_rfc,
        cues=words("rfc contribuyentes contribuyente"),
        lands=_MEXICO,
        bare=0.85,
    ),
    Kind(type="AR_CUIT", shapes="99-99999999-9", check=ar_cuit, cues=words("cuit cuil"), lands=_ARGENTINA, bare=0.85),
    Kind(type="AR_CUIT", shapes="99999999999", check=ar_cuit, cues=words("cuit cuil"), lands=_ARGENTINA),
    Kind(type="AR_DNI", shapes="99.999.999; 99999999", cues=words("dni"), lands=_ARGENTINA, alone=False),
    Kind(
        type="CL_RUT",
        shapes="99.999.999-9; <99.999.999>-A; 9.999.999-9; <9.999.999>-A",
        form=re.compile(r"\d{7,8}[0-9K]"),
        check=cl_rut,
        cues=words("rut"),
        lands=_CHILE,
        bare=0.85,
    ),
    Kind(
        type="CL_RUT",
        shapes="99999999-9; <99999999>-A; 9999999-9; <9999999>-A; 99999999A; 999999999; 9999999A",
        form=re.compile(r"\d{7,8}[0-9K]"),
        check=cl_rut,
        cues=words("rut"),
        lands=_CHILE,
    ),
    Kind(
        type="CO_NIT",
        shapes="999.999.999-9; 999999999-9; 9999999999",
        check=co_nit,
        cues=words("nit dian tributaria"),
        lands=_COLOMBIA,
    ),
    Kind(
        type="CO_CEDULA",
        shapes="9.999.999.999; 99.999.999; 9999999999; 99999999",
        cues=words("cédula cedula ciudadanía"),
        lands=_COLOMBIA,
        alone=False,
    ),
    Kind(type="PE_RUC", shapes="99999999999", check=pe_ruc, cues=words("ruc sunat"), lands=_PERU),
    Kind(type="PE_DNI", shapes="99999999; 99999999-9", cues=words("dni reniec"), lands=_PERU, alone=False),
    Kind(
        type="EC_CEDULA",
        shapes="9999999999; 999999999-9",
        check=ec_cedula,
        cues=words("cédula cedula"),
        lands=words("ecuador ecuadorian ecuatoriano ecuatoriana"),
    ),
    Kind(
        type="DO_CEDULA",
        shapes="999-9999999-9; 99999999999",
        check=luhn,
        cues=words("cédula cedula"),
        lands=words("dominican dominicana dominicano"),
    ),
    Kind(
        type="UY_CI",
        shapes="9.999.999-9",
        check=uy_ci,
        cues=words("ci c+i cédula cedula"),
    ),
    Kind(
        type="UY_CI",
        shapes="9.999.999-9; 9999999-9; 99999999",
        check=uy_ci,
        cues=words("cédula cedula"),
        lands=words("uruguay uruguayan uruguayo uruguaya"),
    ),
)

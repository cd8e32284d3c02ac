"""Driving licences, but those of the United States."""

from __future__ import annotations

import re
from typing import Final

from aistrale.privacy.recognizers._national import Kind, words

_LICENCE: Final = words("driver drivers driving licence licences license licenses")

KINDS: Final = (
    Kind(
        # DVLA: surname, decade, month (+ 50 for a woman), day, year, initials, two characters that nobody explains.
        type="UK_DRIVING_LICENCE",
        shapes="{AAAAA,AAAA9,AAA99,AA999,A9999}999999{AA,A9,99}?AA",
        form=re.compile(
            r"[A-Z][A-Z9]{4}\d(?:0[1-9]|1[0-2]|5[1-9]|6[0-2])(?:0[1-9]|[12]\d|3[01])\d(?:[A-Z]{2}|[A-Z]9|99)[0-9A-Z][A-Z]{2}"
        ),
        cues=_LICENCE | words("dvla"),
        bare=0.85,
    ),
    Kind(
        type="IT_DRIVER_LICENSE",
        shapes="**********",
        form=re.compile(r"[A-Z]{2}\d{7}[A-Z]|U1[B-DF-HJ-NP-TV-Z0-9]{7}[A-Z]"),
        cues=_LICENCE | words("patente guida"),
    ),
    Kind(
        # Region of issue 11 to 28, year, number, check digits by a rule that is not public.
        type="KR_DRIVER_LICENSE",
        shapes="99-99-999999-99; 99 99 999999 99",
        form=re.compile(r"(?:1[1-9]|2[0-8])\d{10}"),
        cues=_LICENCE | words("운전면허 운전면허번호 면허번호"),
        bare=0.6,
    ),
    Kind(
        type="KR_DRIVER_LICENSE",
        shapes="999999999999",
        form=re.compile(r"(?:1[1-9]|2[0-8])\d{10}"),
        cues=words("운전면허 운전면허번호 면허번호"),
        lands=words("korean korea"),
    ),
    Kind(
        type="DE_FUEHRERSCHEIN",
        shapes="***********",
        form=re.compile(r"[A-Z]\d\d[0-9A-Z]{6}\d[0-9A-Z]|[A-Z]{2}\d{8}[0-9A-Z]"),
        cues=words("führerschein führerscheinnummer fuehrerschein fahrerlaubnis"),
    ),
    Kind(
        type="IN_DRIVING_LICENCE",
        shapes="AA99 99999999999; AA9999999999999; AA-<9999999999999>; AA99-99999999999",
        form=re.compile(r"[A-Z]{2}\d{2}(?:19|20)\d{9}"),
        cues=_LICENCE | words("dl"),
        lands=words("india indian"),
    ),
    Kind(
        type="FR_DRIVER_LICENSE",
        shapes="999999999999; 99AA99999",
        form=re.compile(r"\d{12}|\d\d[A-Z]{2}\d{5}"),
        cues=words("permis conduire"),
        alone=False,
    ),
    Kind(
        type="ES_DRIVER_LICENSE",
        shapes="99999999A; 99999999-9",
        cues=words("conducir"),
        alone=False,
    ),
)

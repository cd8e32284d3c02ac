"""Boxes, military post, corners; postcodes; ages."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.age import RECOGNIZERS as AGE
from aistrale.privacy.recognizers.postal import RECOGNIZERS as POSTAL
from aistrale.privacy.recognizers.zip_code import RECOGNIZERS as ZIP_CODE
from aistrale.privacy.scanner import Scanner


def found(recognizers, text):
    return [text[finding.start : finding.end] for finding in Scanner(recognizers).scan(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("send it to P.O. Box 417, please", "P.O. Box 417"),
        ("PO Box 12, Springfield, IL 62701", "PO Box 12, Springfield, IL 62701"),
        ("Postfach 1234", "Postfach 1234"),
        ("habite au 12 bis rue de la Fontaine, 75011 Paris", "12 bis rue de la Fontaine, 75011"),
        ("vive en la calle de los Olivos 7, cerca", "calle de los Olivos 7"),
        ("mora na rua das Flores 12", "rua das Flores 12"),
        ("in Apt. 5 of it", "Apt. 5"),
        ("PSC 1234, Box 5678\nAPO AE 09012", "PSC 1234, Box 5678\nAPO AE 09012"),
        ("USNS Nobody\nFPO AP 96601 is where", "USNS Nobody\nFPO AP 96601"),
        ("at the corner of Main Street and Fifth Avenue, at noon", "the corner of Main Street and Fifth Avenue"),
    ],
)
def test_addresses_without_a_street(text, address):
    assert found(POSTAL, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "Box 5 of the form",
        "a box 3 wide",
        "in the corner of the room and the hall",
        "APO Alpha 5",
        "REPO AE x",
        "sent via Slack to all",
        "the plaza Mayor is big",
        "Suite 2 of three",
    ],
)
def test_no_addresses(text):
    assert found(POSTAL, text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ZIP: 62701", "62701"),
        ("My zip code is 880", "880"),
        ("Postal code 90010-170", "90010-170"),
        ("postcode SW1A 1AA", "SW1A 1AA"),
        ("PLZ 10115", "10115"),
        ('"zipcode": "62701-1234"', "62701-1234"),
    ],
)
def test_postcodes(text, code):
    assert found(ZIP_CODE, text) == [code]


@pytest.mark.parametrize("text", ["gzip 1234 files", "zip 1.25 of it", "a zip file of 2024", "unzip: 12"])
def test_no_postcodes(text):
    assert found(ZIP_CODE, text) == []


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("a 47 year old man", "47"),
        ("a 47-year-old", "47"),
        ("aged 34", "34"),
        ("just turned 50", "50"),
        ("at the age of 72", "72"),
        ("Age: 9", "9"),
    ],
)
def test_ages(text, age):
    assert found(AGE, text) == [age]


@pytest.mark.parametrize(
    "text",
    [
        "Page: 47",
        "message 12",
        "turned 3 times",
        "the 5 old files",
        "max age: 3600",
        "turn 5%",
        "image 33",
        "x_ age1 y",
    ],
)
def test_no_ages(text):
    assert found(AGE, text) == []

"""Persons, organisations, places and addresses. All people and addresses are invented."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizer import Candidate
from aistrale.privacy.recognizers._capitals import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text, kind):
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text) if finding.type == kind]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Please ask Monica Fairweather about it.", ["Monica Fairweather"]),
        ("Kevin had not read the report.", ["Kevin"]),
        ("The letter by J. R. Hollander was lost", ["J. R. Hollander"]),
        ("We met Dr. Zwoxkin and Mrs. Anna van der Velde.", ["Zwoxkin", "Anna van der Velde"]),
        ("MARTIN GONZALEZ signed here", ["MARTIN GONZALEZ"]),
        ("Martin Lindqvist Jr. said so", ["Martin Lindqvist Jr."]),
        ("My name is Ximbala Qorv.", ["Ximbala Qorv"]),
        ("my name is Tobias", ["Tobias"]),
        ("I'm Bozhka Zhilikova, hello", ["Bozhka Zhilikova"]),
        ("Dear Ingrid,", ["Ingrid"]),
        ("bitte an Herrn Jürgen Weißhaupt senden", ["Jürgen Weißhaupt"]),
        ("Quorv Kevin Nordahl came", ["Kevin Nordahl"]),
        ("seen by John Q. Public", ["John Q. Public"]),
        ("Ingrid's bag", ["Ingrid"]),
        ("Will Rodriguez and Mark Petersen", ["Will Rodriguez", "Mark Petersen"]),
        ("The guests: Zorle, Michael and Brzek", ["Zorle", "Michael", "Brzek"]),
        ("Sigrid Nordahl wrote it. Later Nordahl left.", ["Sigrid Nordahl", "Nordahl"]),
        ("Contact Anne-Marie Duchamp-Leroy today", ["Anne-Marie Duchamp-Leroy"]),
        ("signed by Patrick O'Donnell", ["Patrick O'Donnell"]),
        ("Όλγα Παπαδοπούλου και Мария Иванова", ["Όλγα Παπαδοπούλου", "Мария Иванова"]),
        ("follow up with patricia hernandez tomorrow", ["patricia hernandez"]),
    ],
)
def test_persons(text, names):
    assert found(text, "PERSON") == names


@pytest.mark.parametrize(
    "text",
    [
        "Will you mark the task as done in May? Bill the account.",
        "Getting Started With The Configuration Guide",
        "Apache Kafka and Docker Compose run on Ubuntu Linux with Python 3 and Windows 10 Pro.",
        "Dear Customer, Dear Sir or Madam, Hi All, Best Regards",
        "My name is not important. The username is Admin.",
        "Terms Of Service and the Privacy Policy of Amazon S3",
        "class KevinFactory(Base): pass",
        "from Kevin.models import Foo_Bar",
        "GIVEN NAMES ARE NOT REQUIRED",
        "Section 12 Appendix B. Table 3 shows Figure 7.",
        "Java 17 Spring 6 and Node 20 Express 4",
        "It costs 5 US dollars in UK English.",
        "The Gaussian, Fourier and Poisson distributions; a Markov chain.",
        "jenkins, docker and celery run the rest of it",
    ],
)
def test_what_names_nobody(text):
    assert SCANNER.scan(text) == []


def test_programs_need_better_proof():
    code = "\n".join(f"kevin_{line} = Kevin(Ingrid, {line});" for line in range(20)) + "\n# Ingrid\nx = 1;\n"
    assert SCANNER.scan(code) == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("We moved here from Norway", ["Norway"]),
        ("Southern Switzerland is warm", ["Switzerland"]),
        ("I live in New Zealand now", ["New Zealand"]),
        ("She flew to Qorvbruck on Friday", ["Qorvbruck"]),
        ("It rained in Springfield, IL all day", ["Springfield"]),
        ("We met in Victoria, then Victoria called", ["Victoria"]),
        ("He grew up in ROSTOCK.", ["ROSTOCK"]),
        ("Houston, Texas and Lima, Peru", ["Houston", "Texas", "Lima", "Peru"]),
        ("Gary, Indiana is far", ["Gary", "Indiana"]),
        ("Gary, come here", []),
    ],
)
def test_places(text, places):
    assert found(text, "LOCATION") == places


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The address of Fairweather Analytics Inc. is known", ["Fairweather Analytics Inc."]),
        ("invoice of Zwox, LLC", ["Zwox, LLC"]),
        ("Meyer GmbH pays", ["Meyer GmbH"]),
        ("She studied at the University of Nowhere for a year", ["University of Nowhere"]),
        ("I work for Quorvex", ["Quorvex"]),
        ("Zorbix is a design agency based there", ["Zorbix"]),
        ("the office of Harrison, Lindqvist and Moreno", ["Harrison, Lindqvist and Moreno"]),
        ("He was brought to Saint Elmo Hospital.", ["Saint Elmo Hospital"]),
    ],
)
def test_organizations(text, names):
    assert found(text, "ORGANIZATION") == names


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("I live at 14 Maple Street.", "14 Maple Street"),
        (
            "Ship it to 1200 North Ridge Avenue, Suite 5, Springfield, IL 62701",
            "1200 North Ridge Avenue, Suite 5, Springfield, IL 62701",
        ),
        ("Meet me at 9 Birch Lane Apt. 3\nSpringfield\n, IL\n 62701", "9 Birch Lane Apt. 3\nSpringfield\n, IL\n 62701"),
        ("wohnt in der Lindenstraße 12a seit Mai", "Lindenstraße 12a"),
        ("Adresse: Gartenweg 3, 10115 Berlin", "Gartenweg 3, 10115"),
        ("habite au 12 Rue des Lilas", "12 Rue des Lilas"),
        ("Via Garibaldi 22", "Via Garibaldi 22"),
        ("at 221B Birch Street, now", "221B Birch Street"),
        ("vive en Calle Mayor 7", "Calle Mayor 7"),
        ("ul. Polna 14", "ul. Polna 14"),
        ("ask at 12 Birch Lane Apt. 3 there", "12 Birch Lane Apt. 3"),
        ("Kossuth utca 5.", "Kossuth utca 5."),
    ],
)
def test_addresses(text, address):
    assert found(text, "ADDRESS") == [address]


def test_an_envelope_is_given_line_by_line():
    text = "Nadia Ferrante\n7 Via Garibaldi 22\n Apt. 9\n Montalto\n Italy 39011"
    kinds = [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]
    assert kinds == [
        ("PERSON", "Nadia Ferrante"),
        ("ADDRESS", "7"),
        ("ADDRESS", "Via Garibaldi 22"),
        ("ADDRESS", "Apt. 9"),
        ("LOCATION", "Montalto"),
        ("LOCATION", "Italy"),
        ("ADDRESS", "39011"),
    ]


def test_a_line_above_an_address_is_a_name():
    assert found("Gyula Antzal\n12 Maple Street, Springfield, IL 62701", "PERSON") == ["Gyula Antzal"]


def test_peoples_but_not_their_languages():
    assert found("We are proud Norwegian sailors; the Finnish language; text in Danish", "NRP") == ["Norwegian"]


@given(st.text(alphabet="ABab Kevin.St',-\n019ÄßŁжЖ", max_size=80))
def test_any_text_gives_places_within_it(text):
    for finding in SCANNER.scan(text):
        assert 0 <= finding.start < finding.end <= len(text)


@pytest.mark.parametrize(
    "unit",
    [
        "A",
        "Kevin ",
        "Kevin. ",
        "A.",
        "Kevin, ",
        "1 A ",
        "Kevin van ",
        "5 Rue ",
        "A-",
        "A'",
        "Via 1 ",
        "Mr. ",
        "Corp, ",
        "12 Maple Street, ",
        "\nK",
        "K\n1 A 1\n Apt. 1",
    ],
)
def test_time_grows_linearly(unit):
    def seconds(size):
        text = (unit * size)[:size]
        candidate = Candidate(text, 0, len(text))
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            list(RECOGNIZERS[0].recognize(candidate))
            best = min(best, time.process_time() - began)
        return best

    RECOGNIZERS[0].recognize(Candidate("Kevin in Qorv", 0, 13))
    assert seconds(40_000) < 12 * max(seconds(10_000), 0.002)

"""Values that a text hides are found in their place, and ordinary texts of all languages raise no alarm."""

from __future__ import annotations

import base64
import html
import urllib.parse
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy import Candidate, Finding, Scanner, Triggers, default_scanner, scan
from aistrale.privacy.reading import Edit, Reading
from aistrale.privacy.recognizers.card import RECOGNIZERS as CARD
from aistrale.privacy.recognizers.email import RECOGNIZERS as EMAIL
from aistrale.privacy.view import Hints, _edits

VALUES = {
    "EMAIL_ADDRESS": ["wren.hollis@orchard.example.org", "tove_99@post.example.com"],
    "CREDIT_CARD": ["4539 1488 0343 6467", "5105-1051-0510-5100"],
    "US_SSN": ["517-31-8426"],
    "PHONE_NUMBER": ["+1 212-555-0176", "+44 20 7946 0958"],
    "IBAN_CODE": ["FR14 2004 1010 0505 0001 3M02 606", "NL91 ABNA 0417 1643 00"],
    "IP_ADDRESS": ["198.51.100.23", "2001:db8:4f::12:9a"],
}
CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
WIDE = {code: code - 0x20 + 0xFF00 for code in range(0x21, 0x7F)}


def every(value, step, noise):
    return noise.join(value[at : at + step] for at in range(0, len(value), step))


def digits(zero):
    return lambda value: value.translate({0x30 + n: zero + n for n in range(10)})


def signs(form):
    return lambda value: "".join(form(one) if not one.isalnum() else one for one in value)


def middle(value, noise):
    return value[: len(value) // 2] + noise + value[len(value) // 2 :]


KINDS = {
    "zero width space": lambda v: every(v, 3, "\u200b"),
    "zero width joiner": lambda v: every(v, 1, "\u200d"),
    "soft hyphen": lambda v: every(v, 4, "\u00ad"),
    "word joiner": lambda v: every(v, 2, "\u2060"),
    "byte order mark": lambda v: every(v, 5, "\ufeff"),
    "right-to-left mark": lambda v: every(v, 4, "\u200f"),
    "tag": lambda v: every(v, 3, "\U000e0041"),
    "variation selector": lambda v: every(v, 2, "\ufe0f"),
    "supplementary variation selector": lambda v: every(v, 2, "\U000e0100"),
    "strike-through": lambda v: every(v, 1, "\u0336"),
    "acute": lambda v: every(v, 2, "\u0301"),
    "enclosing": lambda v: every(v, 3, "\u20dd"),
    "wide": lambda v: v.translate(WIDE),
    "bold": lambda v: v.translate(
        {**{0x41 + n: 0x1D400 + n for n in range(26)}, **{0x61 + n: 0x1D41A + n for n in range(26)}}
    ),
    "sans-serif digits": digits(0x1D7E2),
    "Arabic digits": digits(0x0660),
    "Persian digits": digits(0x06F0),
    "Bengali digits": digits(0x09E6),
    "Thai digits": digits(0x0E50),
    "no-break": lambda v: v.replace(" ", "\u00a0").replace("-", "\u2011"),
    "narrow no-break": lambda v: v.replace(" ", "\u202f").replace("-", "\u2010"),
    "en dash": lambda v: v.replace("-", "\u2013").replace(" ", "\u2009"),
    "minus": lambda v: v.replace("-", "\u2212").replace(" ", "\u2007"),
    "Cyrillic": lambda v: v.translate(CYRILLIC),
    "decimal entities": signs(lambda c: f"&#{ord(c)};"),
    "all entities": lambda v: "".join(f"&#x{ord(c):x};" for c in v),
    "named entities": lambda v: v.replace("@", "&commat;").replace(".", "&period;").replace(" ", "&nbsp;"),
    "percent": lambda v: urllib.parse.quote(v, safe=""),
    "all percent": lambda v: "".join(f"%{ord(c):02X}" for c in v),
    "JSON escapes": signs(lambda c: f"\\u{ord(c):04x}"),
    "all JSON escapes": lambda v: "".join(f"\\u{ord(c):04X}" for c in v),
    "JSON twice": signs(lambda c: f"\\\\u{ord(c):04x}"),
    "x escapes": signs(lambda c: f"\\x{ord(c):02x}"),
    "braced escapes": signs(lambda c: f"\\u{{{ord(c):x}}}"),
    "all quoted-printable": lambda v: "".join(f"={ord(c):02X}" for c in v),
    "bracketed words": lambda v: v.replace("@", " (at) ").replace(".", " [dot] "),
    "close bracketed words": lambda v: v.replace("@", "[AT]").replace(".", "(dot)"),
    "words": lambda v: v.replace("@", " at ").replace(".", " dot ") if "@" in v or v[3] == "." else v,
    "defanged": lambda v: v.replace("@", "[@]").replace(".", "[.]"),
    "spaced out": lambda v: " ".join(v.replace(" ", "")),
    "line break": lambda v: middle(v, "\n"),
    "Windows line break": lambda v: middle(v, "\r\n"),
    "quoted line break": lambda v: middle(v, "\n> "),
    "escaped line break": lambda v: middle(v, "\\n"),
    "bold mark": lambda v: f"**{v[:4]}**{v[4:]}",
    "italic mark": lambda v: f"{v[:7]}**{v[7:10]}**{v[10:]}",
    "code mark": lambda v: f"`{v[:4]}`{v[4:]}",
    "tags": lambda v: f"<b>{v[:4]}</b>{v[4:]}",
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 without padding": lambda v: base64.b64encode(v.encode()).decode().rstrip("="),
    "URL-safe base64": lambda v: base64.urlsafe_b64encode(f"id={v}?>~".encode()).decode(),
    "hexadecimal": lambda v: v.encode().hex(),
    "capital hexadecimal": lambda v: v.encode().hex().upper(),
}
# A line break before or inside of what another value ends with; the first half is a whole value for itself.
UNSEEN = {
    ("acute", "IBAN_CODE"),
    ("quoted line break", "EMAIL_ADDRESS"),
}
AROUND = ["Please note {} for the file.", '{{"value": "{}"}}', "Dear all,\n{}\nRegards"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_", VALUES)
def test_hidden_value_is_covered(kind, type_):
    for value in VALUES[type_]:
        for around in AROUND:
            plain = around.format(value)
            text = around.format(KINDS[kind](value))
            start = around.format("\x00").index("\x00")
            end = len(text) - (len(around.format("")) - start)
            assert any(one.type == type_ for one in scan(plain)), plain
            seen = {at for one in scan(text) for at in range(one.start, one.end)}
            share = len(seen & set(range(start, end))) / (end - start)
            assert share >= 0.8, ascii(text)


PROSE = {
    "German": "Die Straßenbahn fährt um 7:45 Uhr – für Schüler kostet die Fahrt 2,40 €; „Grüße“ an alle! Der Müll­eimer ist voll.",
    "French": "L’élève a mangé « une pomme » : c’était bon… déjà 15 000 € à payer ; ça va ? Il habite au n° 12, 3ᵉ étage.",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. В 2019 году было 12 000 рублей — USB-кабель и А4.",
    "Greek": "Η γρήγορη αλεπού πηδά πάνω από τον σκύλο. Το 2020 είχαμε 45 % αύξηση· το α2 και το Β12 είναι βιταμίνες.",
    "Chinese": "今天天气很好，我们在2019年去了公园：一共走了12公里。他说：“没问题！”价格是￥３５，第１２页。",
    "Japanese": "今日は２０２０年５月１日です。会議は１０時からです。よろしくお願いします。",
    "Korean": "오늘은 날씨가 좋아서 3시간 동안 공원에서 산책했습니다. 가격은 15,000원입니다.",
    "Arabic": "ذهبنا إلى الحديقة في عام ٢٠١٩ وكان عددنا ١٢ شخصاً، ثم عدنا إلى البيت.",
    "Hindi": "हम १२ बजे पार्क में घूमने गए और २५ लोग थे। मौसम बहुत अच्छा था।",
    "Persian": "می‌خواهم به خانه‌ی شما بیایم؛ ساعت ۵ عصر می‌رسم.",
    "Hebrew": "הלכנו לפארק בשעה 10:30 והיו שם 25 אנשים. מזג האוויר היה נעים.",
    "Thai": "วันนี้อากาศดีมาก เราไปสวนสาธารณะ ๑๒ คน เวลา ๙ โมงเช้า",
    "Turkish": "Işıklar sabah 6'da söner; yağmurlu havada yürüyüş yapmak zordur. Fiyatı 150 liradır.",
    "Vietnamese": "Hôm nay trời đẹp, chúng tôi đi công viên lúc 9 giờ và về nhà lúc 17 giờ.",
    "decomposed": "Der Bu\u0308rger mo\u0308chte fu\u0308r 12 Euro ein Bro\u0308tchen.",
    "emoji": "Great job 👩‍👩‍👧‍👦 ❤️ 1️⃣ 2️⃣ 3️⃣ — see you at 10 🏴\U000e0067\U000e0062\U000e007f!",
}


@pytest.mark.parametrize("language", PROSE)
def test_ordinary_prose_raises_no_alarm(language):
    text = PROSE[language]
    plain = {(one.start, one.end) for one in default_scanner()._find(text)[0]}
    found = [one for one in scan(text) if (one.start, one.end) not in plain]
    assert [(one.type, text[one.start : one.end]) for one in found if one.type not in {"DATE_TIME", "PERSON"}] == []


CODE = [
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 8).decode(),
    "sha256:" + bytes(range(32)).hex() + " " + bytes(range(40, 72)).hex(),
    "x = 1024*1024*1024; y = 2**31-1; z = a[at].b; w = x[dot]; mask=0xdeadbeefcafebabe0123456789abcdef",
    "!function(e,t){return e*t+60*24*365*1e3/4*5*6}(a[1],b[2]);var n=e.x=40,r=t.y=20;",
    "timeout=40example\nretries=20300400500\nx=2Bar",
    'open("C:\\new\\regex\\table.py")  # \\d{3}-\\d{4} \\n \\t',
    "text[at] = value\n@property\ndef x(self): return self.y\n@app.route\n",
    "0 0 1 0 1 1 0 1 0 0\n1 2 3 4 5 6 7 8 9 10\n",
    "12 456 789\n13 556 889\n14 656 989\n15 756 189\n",
    "%d%b%20s %-40s 100%25 &amp;&lt;&nbsp;&copy;",
    "look at the dot com boom; arrive at noon dot",
    "e\u0301te\u0301 \u200b \u200b a\u200b b \ufeff",
]


@pytest.mark.parametrize("text", CODE)
def test_code_and_data_raise_no_alarm(text):
    plain = {(one.start, one.end) for one in default_scanner()._find(text)[0]}
    assert [(one.type, text[one.start : one.end]) for one in scan(text) if (one.start, one.end) not in plain] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Write to Bob at\nbob@example.com please", "bob@example.com"),
        ("jo@example.com\nmary@example.org", "jo@example.com"),
        ('"\\njane@example.com"', "jane@example.com"),
        ("id%20jane@example.com", "jane@example.com"),
        ("邮箱jane@example.com请联系", "jane@example.com"),
        ("token amFuZS5kb2VAZXhhbXBsZS5jb20= end", "amFuZS5kb2VAZXhhbXBsZS5jb20="),
        ("say **4539** 1488 0343 6467 now", "4539** 1488 0343 6467"),
    ],
)
def test_place_is_exact(text, value):
    assert value in [text[one.start : one.end] for one in Scanner((*EMAIL, *CARD)).scan(text)]


def test_the_text_is_found_once():
    found = scan("jane@example.com and wide \uff11 jane@example.org")
    assert [(one.start, one.end) for one in found if one.type == "EMAIL_ADDRESS"] == [(0, 16), (28, 44)]


def test_card_number_is_no_hexadecimal():
    assert list(_edits("card 4735502776853011 and 2623322164608847", Hints())) == []


def test_plain_text_has_no_other_reading():
    plain = "It was the best of times, it was the worst of times. " * 40
    assert list(_edits(plain, Hints())) == []


class Words:
    """Finds every word of ASCII letters: a stand-in for any recognizer."""

    name = "words"
    types = ("WORD",)
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate):
        start = None
        for at, one in enumerate(candidate.text + " "):
            if one.isascii() and one.isalnum():
                start = at if start is None else start
            elif start is not None:
                yield Finding(start, at, "WORD", 1.0)
                start = None


MIXED = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from("ab1 \n@.%&\\=*`<>()[]{}_-+0123456789\u200b\u0336\uff11\u0430\u0663\u00a0\u2013\U000e0041中"),
        st.sampled_from(
            [
                "%40",
                "&#64;",
                "\\u0040",
                "=40",
                " dot ",
                "(at)",
                "**",
                "\r\n",
                "YWJjQGRlZi5jb20uLi4=",
                "6162634064656620",
            ]
        ),
    ),
    max_size=80,
).map("".join)


@given(MIXED)
def test_findings_stay_inside_any_text(text):
    for one in Scanner((Words(), *EMAIL, *CARD)).scan(text):
        assert 0 <= one.start < one.end <= len(text)


@given(
    st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4), st.text(max_size=3)), max_size=8)
)
def test_reading_maps_back(text, places):
    edits = [Edit(min(start, len(text)), min(start + size, len(text)), new) for start, size, new in places]
    reading = Reading(text, edits)
    for start in range(len(reading.text)):
        place = reading.place(start, start + 1)
        if place is None:
            continue
        assert 0 <= place[0] <= place[1] <= len(text)
        if not any(edit.start <= place[0] <= edit.end for edit in edits):
            assert text[place[0] : place[1]] == reading.text[start]


@given(st.text(st.characters(codec="ascii"), max_size=80), st.integers(0, 79))
def test_far_from_an_edit_nothing_is_read_again(filler, at):
    text = filler + "x" * 2000 + "y"
    reading = Reading(text, [Edit(min(at, len(filler)), min(at, len(filler)), "-")])
    assert len(reading.text) < 700
    assert reading.back(replace(Finding(0, 1, "X", 1.0), start=len(reading.text) - 1, end=len(reading.text))) is None


class Counting(Words):
    """Counts how many characters it was shown."""

    def __init__(self):
        self.shown = 0

    def recognize(self, candidate):
        self.shown += len(candidate.text)
        return ()


PUMPED = [
    "%40", "&#64;", "\\u0040", "\\", "\\n1", "=40", "=\n", "(at)", " dot ", " at a dot b", "**a", "`1", "*1", "<b>", "1 ", "1 2 ", "@ ", " @ ",
    "a@\n", "1\n", "12:\n", "1.\n", "\u200b", "a\u0301", "1\uff11", "\u0430a", "a\u0430", "中1", "\u00a01", "1\u2013", "YWJj", "YWJj/", "6162",
    "_1_ ", "-", "a-", "\U000e0041a", "&amp", "+/", "{", "a.b@c\nd.e ", "1 1 1 1 1 1 1 x\n", html.escape("<&>"),
]  # fmt: skip


@pytest.mark.parametrize("unit", PUMPED)
def test_pumped_text_is_read_a_bounded_number_of_times(unit):
    text = unit * (40_000 // len(unit))
    counting = Counting()
    Scanner((counting,)).scan(text)
    # The text, its other reading (a window for each edit, one character longer at most), and both without breaks.
    assert counting.shown <= 16 * len(text) + 4_000

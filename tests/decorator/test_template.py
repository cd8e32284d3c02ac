from __future__ import annotations

import inspect
import string
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import aistrale
from aistrale.decorator.template import Template
from aistrale.errors import ConfigurationError, InvalidRequestError
from aistrale.types import MediaPart, TextPart

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
NAMES = ["a", "b", "größe", "_c"]


def fill(text, function, *args, **kwargs):
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return Template(text, signature.parameters).fill(bound.arguments)


def said(prompt):
    """A prompt in short: its roles, with texts and media in order."""
    return [
        (turn.role, [part.text if isinstance(part, TextPart) else part.media for part in turn.parts]) for turn in prompt
    ]


# --- texts ------------------------------------------------------------------------------------------------------------


TEXTS = st.text(alphabet=string.printable + "{}äß🎉")


@given(st.permutations(NAMES), st.lists(TEXTS, min_size=5, max_size=5), st.lists(st.text(), min_size=4, max_size=4))
def test_it_does_to_texts_what_str_format_does(names, texts, values):
    escaped = [text.replace("{", "{{").replace("}", "}}") for text in texts]
    text = escaped[0] + "".join(f"{{{name}}}{after}" for name, after in zip(names, escaped[1:], strict=True))
    given_values = dict(zip(NAMES, values, strict=True))
    assert fill(text, lambda a, b, größe, _c: None, **given_values) == text.format(**given_values)  # noqa: PLC2401 - names may be


@given(st.text(), st.text())
def test_what_is_filled_in_is_never_read_as_a_template(first, second):
    assert fill("<{a}|{b}|{{a}}>", lambda a, b: None, first, second) == f"<{first}|{second}|{{a}}>"


@given(st.text(alphabet="{}ab. []!:'\"0"))
def test_any_text_is_a_template_or_refused(text):
    function = lambda a, b: None  # noqa: E731 - its signature is what counts
    try:
        template = Template(text, inspect.signature(function).parameters)
    except ConfigurationError:
        with pytest.raises(Exception):  # noqa: B017, PT011 - Python's own has other reasons
            _strict(text)
        return
    values = {"a": "x", "b": "y"}
    assume("." not in text)
    if "[" not in text:
        filled = template.fill(values)
        assert isinstance(filled, str)


def _strict(text):
    """What str.format makes of it, without the formats and conversions that it knows besides."""
    for _, field, form, conversion in string.Formatter().parse(text):
        if (
            form
            or conversion
            or (field is not None and not field.strip().replace(".", "").isidentifier())
            or "]" in (field or "")
        ):
            raise ValueError
    if any(mark in text for mark in "[]:!"):
        raise ValueError
    text.replace("{ ", "{").replace(" }", "}").format(a="x", b="y")


def test_attributes_and_keys():
    doc = SimpleNamespace(title="T", tags=["x", "y"], by={"name": "Ada", 0: "zero"})
    template = "{doc.title} {doc.tags[1]} {doc.tags[-2]} {doc.by[name]} {doc.by['name']} { doc.by[0] }"
    assert fill(template, lambda doc: None, doc) == "T y x Ada Ada zero"


@pytest.mark.parametrize("field", ["doc.none", "doc.tags[5]", "doc.tags[x]", "doc.title.none", "doc[0]"])
def test_an_argument_without_such_a_part_is_refused(field):
    doc = SimpleNamespace(title="T", tags=["x"])
    with pytest.raises(InvalidRequestError, match="is not there") as caught:
        fill(f"{{{field}}}", lambda doc: None, doc)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{c}", "there is no parameter c"),
        ("{}", "names no parameter"),
        ("{0}", "names no parameter"),
        ('{"a": 1}', "names no parameter"),
        ("{a!r}", "names no parameter"),
        ("{a:>10}", "names no parameter"),
        ("{a.b()}", "names no parameter"),
        ("{a.__class__}", "begin with _"),
        ("{a.b._c}", "begin with _"),
        ("one\ntwo {", "lone { in line 2"),
        ("}", "lone } in line 1"),
        ("{a}}", "lone }"),
        ("{a{b}}", "lone {"),
    ],
)
def test_what_is_no_field_is_refused(text, says):
    with pytest.raises(ConfigurationError, match=says.replace("{", r"\{").replace("}", r"\}")):
        Template(text, inspect.signature(lambda a: None).parameters)


def test_anything_is_what_str_says():
    class Named:
        def __str__(self):
            return "{named}"

    assert fill("{a} {b} {c!s}", lambda a, b, c: None, 5, None, Named()) == "5 None {named}"


# --- what is not named ------------------------------------------------------------------------------------------------


def test_what_is_not_named_comes_at_the_end():
    def function(a, b, c, /, d, *rest, e=5, f=None, **more):
        """Of every kind."""

    filled = fill("Do {b}.", function, "A", "B", "C\nC", "D", "r0", "r1", g="G")
    assert filled == "Do B.\n\na: A\n\nc:\nC\nC\n\nd: D\n\nrest[0]: r0\n\nrest[1]: r1\n\ne: 5\n\ng: G"


def test_self_is_nobodys_argument_unless_it_is_named():
    assert fill("Do.", lambda self, a: None, object(), 1) == "Do.\n\na: 1"
    assert fill("Do.", lambda cls: None, object()) == "Do."
    assert fill("{self.name}", lambda self: None, SimpleNamespace(name="N")) == "N"
    assert fill("Do.", lambda a, self: None, 1, 2) == "Do.\n\na: 1\n\nself: 2"


# --- media and messages -----------------------------------------------------------------------------------------------


def test_media_stand_where_they_are_named_or_at_the_end():
    image = aistrale.image(PNG)
    assert said(fill("See {a} and say.", lambda a: None, image)) == [("user", ["See ", "image", " and say."])]
    assert said(fill("See {a} and say.", lambda a: None, [image, image])) == [
        ("user", ["See ", "image", "image", " and say."])
    ]
    assert said(fill("Say.", lambda a, b: None, image, "x")) == [("user", ["Say.", "image", "b: x"])]
    assert said(fill("Say.", lambda *a: None, image, "x", image)) == [("user", ["Say.", "image", "a[1]: x", "image"])]
    assert said(fill("{a}", lambda a: None, MediaPart("image", url="https://x"))) == [("user", ["image"])]


def test_messages_stand_where_they_are_named_or_before_everything_else():
    turns = [aistrale.Message.user("Hi"), aistrale.Message.assistant("Yes?")]
    before = [("user", ["Hi"]), ("assistant", ["Yes?"])]
    assert said(fill("Go on.", lambda a: None, turns)) == [*before, ("user", ["Go on."])]
    assert said(fill("As said:\n{a}\nGo on.", lambda a: None, turns)) == [
        ("user", ["As said:\n"]),
        *before,
        ("user", ["\nGo on."]),
    ]
    assert said(fill("{a}", lambda a: None, turns[0])) == [before[0]]
    assert said(fill("Go on.", lambda *a: None, *turns)) == [*before, ("user", ["Go on."])]
    assert said(fill("Go on.", lambda **a: None, x=turns)) == [*before, ("user", ["Go on."])]


def test_no_messages_say_nothing():
    def function(past: list[aistrale.Message] | None, items: list):
        """Annotations are text here."""

    assert fill("Go on.{past}", function, [], []) == "Go on.\n\nitems: []"
    assert fill("Go on.{past}{items}", function, None, []) == "Go on.[]"
    assert fill("Go on.{items}", function, [], []) == "Go on.[]"

    def evaluated(past):
        """Annotated below."""

    evaluated.__annotations__["past"] = list[aistrale.Message]
    assert fill("Go on.{past}", evaluated, []) == "Go on."

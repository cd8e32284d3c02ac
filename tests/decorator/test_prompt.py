from __future__ import annotations

import asyncio
import dataclasses
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic
import pytest
import trio

import aistrale
from aistrale import default
from aistrale.decorator.prompt import is_empty
from aistrale.errors import (
    AistraleError,
    ConfigurationError,
    DeadlineExceeded,
    InvalidRequestError,
    OutputValidationError,
)
from aistrale.telemetry import MemorySink
from aistrale.testing import Say, simulator
from aistrale.types import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    Hidden = str

ROOT = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture(autouse=True)
def sink(sim):
    aistrale.shutdown()
    sim.reset()
    memory = MemorySink()
    default.init(**sim.settings(), ledger="off", sinks=[memory], routes={"quick": ["groq/llama-3.3-70b-versatile"]})
    yield memory
    aistrale.shutdown()


def prompt_of(sim):
    """What the model was asked, as text."""
    return sim.last.request.messages[-1].text


# --- which functions --------------------------------------------------------------------------------------------------


def doc_only():
    """A prompt."""


def doc_and_dots():
    """A prompt."""
    ...  # noqa: PIE790


def doc_pass_and_comments():
    """A prompt."""
    # Nothing.
    ...  # noqa: PIE790
    pass  # noqa: PIE790
    # Nothing more.


def only_dots(a, b=5): ...


async def async_doc():
    """A prompt."""


async def async_dots(a):
    """A prompt."""
    ...  # noqa: PIE790


def returns():
    """A prompt."""
    return


def returns_none():
    """A prompt."""
    return None  # noqa: RET501


async def async_returns():
    """A prompt."""
    return


def returns_dots():
    """A prompt."""
    return ...


def reads(a):
    """A prompt."""
    a  # noqa: B018


def yields():
    """A prompt."""
    yield


async def yields_async():
    """A prompt."""
    yield


def calls(a):
    """A prompt."""
    a()


EMPTY = [doc_only, doc_and_dots, doc_pass_and_comments, only_dots, async_doc, async_dots]
FULL = [returns, returns_none, async_returns, returns_dots, reads, yields, yields_async, calls, lambda: 5]


@pytest.mark.parametrize("function", EMPTY, ids=lambda function: function.__name__)
def test_empty_functions_are_known(function):
    assert is_empty(function)


@pytest.mark.parametrize("function", FULL, ids=lambda function: function.__name__)
def test_functions_with_a_body_are_known(function):
    assert not is_empty(function)


def test_no_source_is_needed(sim):
    namespace = {"aistrale": aistrale}
    source = '@aistrale.llm\ndef capital(country: str) -> str:\n    """The capital of {country}?"""\n    # typed at a prompt\n'
    exec(compile(source, "<console>", "exec"), namespace)  # noqa: S102 - as a console does
    assert namespace["capital"]("Norway") == "This is a simulated answer to: The capital of Norway?"
    exec(compile("def f(x: int) -> int:\n    '''Double.'''\n    return 2 * x", "<console>", "exec"), namespace)  # noqa: S102
    assert aistrale.llm(namespace["f"])(4) == 8


def test_an_empty_function_without_an_annotation_or_a_docstring_is_a_function(sim):
    def hook(event):
        """Overridden elsewhere."""

    def nothing() -> str: ...

    def none() -> None:
        """Nothing."""

    for function in (hook, nothing, none):
        assert aistrale.llm(user="ada")(function)(*[1] * (function is hook)) is None
    assert sim.requests == []


@pytest.mark.parametrize(
    ("function", "says"),
    [(doc_only, "no return annotation"), (only_dots, "no return annotation"), (returns, "it has a body")],
)
def test_options_for_run_demand_a_prompt_function(function, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        aistrale.llm(model="openai/gpt-5-mini")(function)
    assert caught.value.field == "model"
    assert function.__name__ in str(caught.value)


def test_a_prompt_function_needs_a_docstring():
    def function() -> str: ...

    with pytest.raises(ConfigurationError, match="no docstring"):
        aistrale.llm(model="openai/gpt-5-mini")(function)


def test_docstrings_that_python_removes_are_missed():
    source = "import aistrale\n@aistrale.llm\ndef capital(country: str) -> str:\n    '''The capital of {country}?'''\n"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "python -OO removes docstrings" in done.stderr


def test_a_docstring_that_names_no_parameter_is_refused_at_once():
    with pytest.raises(
        ConfigurationError, match=r"capital: the prompt has \{contry\}, but there is no parameter contry"
    ):

        @aistrale.llm
        def capital(country: str) -> str:
            """The capital of {contry}?"""


# --- what is asked ----------------------------------------------------------------------------------------------------


@aistrale.llm(model="openai/gpt-5-mini", system="Be brief.", max_tokens=77)
def capital(country: str, *, style: str | None = None) -> str:
    """The capital of {country}?

    Answer with its {{name}} only.
    """


def test_the_docstring_is_asked_with_the_options(sim):
    assert capital("Norway {x}", style="terse").startswith("This is a simulated answer to: The capital of Norway {x}?")
    request = sim.last.request
    assert [(turn.role, turn.text) for turn in request.messages] == [
        ("system", "Be brief."),
        ("user", "The capital of Norway {x}?\n\nAnswer with its {name} only.\n\nstyle: terse"),
    ]
    assert (request.model, request.max_tokens) == ("gpt-5-mini", 77)
    capital("Norway")
    assert prompt_of(sim) == "The capital of Norway?\n\nAnswer with its {name} only."


def test_looks_are_kept():
    assert capital.__name__ == "capital"
    assert capital.__doc__.startswith("The capital")
    assert str(inspect.signature(capital)) == "(country: 'str', *, style: 'str | None' = None) -> 'str'"
    assert not inspect.iscoroutinefunction(capital)


@pytest.mark.parametrize("call", [capital, lambda: capital("a", "b"), lambda: capital("a", tone="b")])
def test_wrong_arguments_are_type_errors(call, sim):
    with pytest.raises(TypeError, match="argument"):
        call()
    assert sim.requests == []


def test_media_and_messages_are_passed_on(sim):
    @aistrale.llm(model="openai/gpt-5-mini")
    def describe(past: list[aistrale.Message], picture: object) -> str:
        """What is on {picture}?"""

    describe([aistrale.Message.user("Hi"), aistrale.Message.assistant("Yes?")], aistrale.image(PNG))
    turns = sim.last.request.messages
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert [type(part).__name__ for part in turns[-1].parts] == ["TextPart", "MediaPart", "TextPart"]
    describe([], aistrale.image(PNG))
    assert [turn.role for turn in sim.last.request.messages] == ["user"]


def test_an_argument_without_what_is_asked_of_it(sim, sink):
    @aistrale.llm
    def describe(doc) -> str:
        """About {doc.title}?"""

    with pytest.raises(InvalidRequestError, match=r"doc\.title is not there"):
        describe(5)
    assert sim.requests == []
    assert [event.error for event in sink.of("function.finished")] == ["InvalidRequestError"]


def test_methods(sim):
    class Bot:
        name = "Eve"

        @aistrale.llm
        def method(self, text: str) -> str:
            """Say {text} as {self.name}."""

        @aistrale.llm
        @classmethod
        def above(cls, text: str) -> str:
            """Say {text}."""

        @classmethod
        @aistrale.llm
        def below(cls, text: str) -> str:
            """Say {text} as {cls.name}."""

        @aistrale.llm
        @staticmethod
        def static(text: str) -> str:
            """Say {text} at last."""

        @aistrale.llm
        async def coroutine(self, text: str) -> str:
            """Say {text}."""

        @aistrale.llm
        def words(self, text: str) -> Iterator[str]:
            """Say {text}."""

    bot = Bot()
    before = "This is a simulated answer to: Say "
    assert bot.method("a") == f"{before}a as Eve."
    assert bot.above("a") == Bot.above("a") == f"{before}a."
    assert bot.below("a") == Bot.below("a") == f"{before}a as Eve."
    assert bot.static("a") == Bot.static("a") == f"{before}a at last."
    assert asyncio.run(bot.coroutine("a")) == f"{before}a."
    assert "".join(bot.words("a")) == f"{before}a."


def test_the_context_holds(sim):
    @aistrale.llm(route="quick", deadline=20.0)
    def quick() -> aistrale.Completion:
        """Hello?"""

    assert quick().provider == "groq"

    @aistrale.llm(deadline=0.0)
    def late() -> str:
        """Hello?"""

    with pytest.raises(DeadlineExceeded):
        late()


# --- what is returned -------------------------------------------------------------------------------------------------


class City(pydantic.BaseModel):
    """A place."""

    name: str
    people: int


@dataclasses.dataclass
class Pair:
    """Two of a kind."""

    first: City
    second: City


CITY = '{"name": "Oslo", "people": 700000}'
OSLO = City(name="Oslo", people=700000)


def answering(annotation, *, asynchronous=False):
    """A prompt function with an annotation as it comes without the future import."""
    if asynchronous:

        async def function():
            """Tell."""

    else:

        def function():
            """Tell."""

    function.__annotations__["return"] = annotation
    return aistrale.llm(model="openai/gpt-5-mini")(function)


@pytest.mark.parametrize(
    ("annotation", "said", "returned"),
    [
        (str, CITY, CITY),
        ("str", "Oslo", "Oslo"),
        (City, CITY, OSLO),
        ("City", CITY, OSLO),
        (Pair, f'{{"first": {CITY}, "second": {CITY}}}', Pair(OSLO, OSLO)),
        (list["City"], f"[{CITY}]", [OSLO]),
        ("list[City]", f"[{CITY}]", [OSLO]),
        (int, "5", 5),
        (bool, "true", True),
        (Literal["a", "b"], '"b"', "b"),
        (int | None, "null", None),
        (typing.Optional[str], '"x"', "x"),  # noqa: UP045 - as many write it
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Annotated[int, pydantic.Field(gt=3)], "4", 4),
    ],
)
def test_the_answer_is_read_into_the_annotated_type(sim, annotation, said, returned):
    for _ in range(2):
        sim.script(Say(text=said))
    assert answering(annotation)() == returned
    assert asyncio.run(answering(annotation, asynchronous=True)()) == returned


def test_the_whole_completion(sim):
    for annotation in (aistrale.Completion, "aistrale.Completion", "Completion"):
        answer = answering(annotation)()
        assert isinstance(answer, aistrale.Completion)
        assert answer.usage is not None


def test_an_answer_that_does_not_fit(sim):
    for _ in range(2):
        sim.script(Say(text='{"name": 5}'))
    with pytest.raises(OutputValidationError):
        answering(City)()


def test_a_local_class(sim):
    class Local(pydantic.BaseModel):
        """Known here only."""

        a: int

    @aistrale.llm
    def local() -> Local:
        """Tell."""

    class Bot:
        @aistrale.llm
        def ask(self) -> list[Local]:
            """Tell."""

    sim.script(Say(text='{"a": 1}'))
    assert local() == Local(a=1)
    sim.script(Say(text='[{"a": 2}]'))
    assert Bot().ask() == [Local(a=2)]


@aistrale.llm
def of_later() -> Later:
    """Tell."""


class Later(pydantic.BaseModel):
    """Defined below its use."""

    a: int


def test_a_class_that_is_defined_later(sim):
    sim.script(Say(text='{"a": 1}'))
    assert of_later() == Later(a=1)


def test_an_annotation_that_means_nothing_at_run_time(sim):
    @aistrale.llm
    def hidden() -> Hidden:
        """Tell."""

    with pytest.raises(ConfigurationError, match=r"return annotation of .*hidden cannot be read") as caught:
        hidden()
    assert "Hidden" in caught.value.hint
    assert sim.requests == []


def test_a_type_that_nobody_can_describe(sim):
    with pytest.raises(ConfigurationError, match="output"):
        answering(threading_lock())()


def threading_lock():
    class Opaque:
        """No data."""

    return Opaque


# --- streams ----------------------------------------------------------------------------------------------------------

WORDS = ["This ", "is ", "a ", "simulated ", "answer ", "to: ", "Say ", "it."]


@aistrale.llm
def words(text: str) -> Iterator[str]:
    """Say {text}."""


@aistrale.llm
def words_async(text: str) -> AsyncIterator[str]:
    """Say {text}."""


@aistrale.llm
async def words_awaited(text: str) -> AsyncIterator[str]:
    """Say {text}."""


def test_text_is_streamed(sim, sink):
    assert [*words("it")] == WORDS
    assert sim.last.request.stream

    async def whole():
        return [word async for word in words_async("it")], [word async for word in await words_awaited("it")]

    assert asyncio.run(whole()) == (WORDS, WORDS)
    assert trio.run(whole) == (WORDS, WORDS)
    assert inspect.isgenerator(words("it"))
    assert inspect.iscoroutinefunction(words_awaited)
    told = sink.of("function.finished")
    assert [(event.name, event.outcome, len(event.calls)) for event in told] == [
        (name, "success", 1) for name in ("words", "words_async", "words_awaited", "words_async", "words_awaited")
    ]


@pytest.mark.parametrize("call", [words, lambda: words_async("a", "b")])
def test_wrong_arguments_of_streams_are_type_errors_at_once(call):
    with pytest.raises(TypeError, match="argument"):
        call()


def test_a_stream_that_is_left_early(sim, sink):
    for _ in words("it"):
        break

    async def left():
        made = words_async("it")
        async for _ in made:
            break
        await made.aclose()

    asyncio.run(left())
    assert [event.outcome for event in sink.of("function.finished")] == ["cancelled", "cancelled"]
    assert {event.row.outcome for event in sink.of("call.finished")} == {"abandoned"}


def test_generators_may_be_annotated_as_such(sim):
    @aistrale.llm
    def blocking() -> Generator[str, None, None]:
        """Say it."""

    @aistrale.llm
    def asynchronous() -> AsyncGenerator[str, None]:
        """Say it."""

    async def whole():
        return [word async for word in asynchronous()]

    assert [*blocking()] == asyncio.run(whole()) == WORDS


def test_a_stream_that_is_decorated_twice_is_asked_once_with_its_own_options(sim):
    @aistrale.llm(user="ada")
    @aistrale.llm(model="anthropic/claude-haiku-4-5")
    def words(text: str) -> Iterator[str]:
        """Say {text}."""

    assert "Say hello." in "".join(words("hello"))
    assert [each.provider for each in sim.requests] == ["anthropic"]


@pytest.mark.parametrize("annotation", ["Iterator[int]", typing.AsyncIterator[bytes], "typing.Iterator[City]"])
def test_only_text_is_streamed(annotation):
    with pytest.raises(ConfigurationError, match="only text can be streamed"):
        answering(annotation)


def test_an_async_function_gives_no_blocking_iterator():
    with pytest.raises(ConfigurationError, match="AsyncIterator"):
        answering("Iterator[str]", asynchronous=True)


def test_tools_are_not_run_in_a_stream():
    with pytest.raises(ConfigurationError, match="max_tool_rounds"):

        @aistrale.llm(max_tool_rounds=1)
        def function() -> Iterator[str]:
            """Say it."""


# --- tools ------------------------------------------------------------------------------------------------------------


def stock(fruit: str) -> int:
    """How many there are."""
    return len(fruit)


CALL = ToolCallPart("call_1", "stock", '{"fruit": "pears"}')


def test_tools_are_run(sim):
    @aistrale.llm(tools=[stock], max_tool_rounds=2)
    def ask(fruit: str) -> str:
        """How many {fruit} are there?"""

    sim.script(Say(tool_calls=[CALL]))
    sim.script(Say(text="Five."))
    assert ask("pears") == "Five."
    assert sim.last.request.messages[-1].role == "tool"


def test_calls_that_nobody_runs_are_no_answer(sim):
    @aistrale.llm(tools=[stock])
    def ask(fruit: str) -> str:
        """How many {fruit} are there?"""

    @aistrale.llm(tools=[stock])
    def stream(fruit: str) -> Iterator[str]:
        """How many {fruit} are there?"""

    @aistrale.llm(tools=[stock])
    def whole(fruit: str) -> aistrale.Completion:
        """How many {fruit} are there?"""

    for _ in range(3):
        sim.script(Say(tool_calls=[CALL]))
    with pytest.raises(AistraleError, match="the model calls tools") as caught:
        ask("pears")
    assert "max_tool_rounds" in caught.value.hint
    with pytest.raises(AistraleError, match="the model calls tools"):
        [*stream("pears")]
    assert [call.name for call in whole("pears").tool_calls] == ["stock"]


# --- what sinks are told ---------------------------------------------------------------------------------------------


def test_arguments_and_answers_are_kept_when_that_is_asked_for(sim, sink):
    @aistrale.llm(capture=True, user="ada")
    def city(name: str) -> City:
        """About {name}."""

    sim.script(Say(text=CITY))
    assert city("joe@example.com") == OSLO
    (event,) = sink.of("function.finished")
    assert (event.user, event.inputs) == ("ada", {"name": "[[EMAIL_1]]"})
    assert event.output == {"name": "[[LOCATION_1]]", "people": 700000}
    assert event.calls == tuple(told.row.call_id for told in sink.of("call.finished"))

"""Every recorded answer, given to every other provider's SDK in its own format, arrives there; `pytest -s` shows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from aistrale.types import Choice, Completion, Message, TextPart, ToolCallPart, Usage
from tests.dropin.crossing import Case, Figures, cases, misses, sweep
from tests.dropin.official_callers import CALLERS, Alternative, Anthropic, OpenAIChat, Said
from tests.sdks.judging import Judge
from tests.translation.recordings import TRAFFIC

SOUND = "a spoken answer: callers of this SDK cannot ask for one, and do not look where its words stand"
# Why an answer does not arrive as it is, by its recording and the SDK.
EXPLAINED = {
    ("1795eb9f539cc051", "groq"): SOUND,
    ("1795eb9f539cc051", "hugging face"): SOUND,
}
TEXT = "a text completion, of the API before chat"
NUMBERS = (
    "64fb0ae74a504f73",
    "da984b6d2625d8a0",
    "4a75924f34b4a64e",
    "e66bc414c154fd8b",
    "8a6c8b485403fc51",
    "0752f313e143d022",
    "96aa6d190c695412",
)
PIECES = ("a119afa7c5384b02", "7a6bd04f97283ad4", "5712265142946a0a")
# Why the hub reads a recording otherwise than the SDK of the provider that it came from.
READ_OTHERWISE = {
    ("7eb09547682b26b9", "openai chat"): "its helper forgets the counts when another chunk follows theirs",
    ("3f067bfa159aef61", "openai chat"): "another server's: each piece of a call repeats its name",
    ("1795eb9f539cc051", "openai chat"): "a spoken answer: the words stand in `audio`, where the reader does not look",
    ("58290c6e8a060edb", "openai chat"): TEXT,
    ("54b8bcbc075b10b8", "openai chat"): TEXT,
    ("8a2c3e9d89502e71", "openai responses"): "its helper refuses a stream that begins with `response.queued`",
    ("1bc783542ca95689", "openai responses"): "another server's: its helper refuses ids that change on the way",
    ("142c4acc625edee6", "openai responses"): "its helper refuses a tool search that gets another call id at its end",
    ("3a731d3e14409194", "anthropic"): "two streams in one, the first of them cut off: the SDK reads on",
    **dict.fromkeys([(ident, "gemini") for ident in NUMBERS], "for gRPC: the SDK reads no reasons as numbers"),
    **dict.fromkeys([(ident, "gemini") for ident in PIECES], "the SDK leaves it to its caller to join arguments"),
    ("5e70cf7eac9e2ccb", "gemini"): "not framed as events",
    ("6fc8b99804c7e327", "gemini"): "its last chunk counts no candidates: we add up those of the turns before it",
    ("2f2b9a066b93d06e", "gemini"): "its author replaced the signature by a text that is no base64",
}
SHARE = 0.99
FEW = 20


@pytest.fixture(scope="module")
def recorded() -> list[Case]:
    found = list(cases())
    if not found:
        pytest.skip(f"no recorded traffic at {TRAFFIC}")
    return found


@pytest.fixture
def no_registry(tmp_path, monkeypatch):
    """Hugging Face's SDK asks the Hub for a list by which it completes its user agent; here it finds one from today."""
    constants = pytest.importorskip("huggingface_hub.constants")
    cached = tmp_path / "harnesses.json"
    cached.write_text('{"standardEnvVars": [], "harnesses": {}}')
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(cached))


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def caller(request):
    for package in (request.param.package, request.param.http):
        pytest.importorskip(package, reason="the SDK is not installed", exc_type=ImportError)
    if request.param.package == "huggingface_hub":
        request.getfixturevalue("no_registry")
    return request.param


def check(figures: Figures, caller_name: str, explained: dict[tuple[str, str], str], share: float) -> None:
    print(f"\n{figures.table(caller_name)}")  # noqa: T201 - the figures are asked for with -s
    odd = {(ident, caller_name): found for ident, found in figures.odd.items()}
    assert {key: found for key, found in odd.items() if key not in explained} == {}
    # What came to be right is no exception any more.
    assert {key for key in explained if key[1] == caller_name} <= odd.keys()
    assert figures.share >= share
    shares = {key: figures.equal[key] / count for key, count in figures.all.items() if count >= FEW}
    assert {key: each for key, each in shares.items() if each < share} == {}


def test_answers_of_every_other_provider_arrive(recorded, caller) -> None:
    crossed = [case for case in recorded if case.source != caller.name]
    figures = asyncio.run(sweep(caller, crossed, Judge("sync")))
    check(figures, caller.name, EXPLAINED, SHARE)
    assert min(figures.had[what] for what in ("text", "calls", "token counts")) > len(crossed) / 5
    assert figures.had["failure"] > 0


# A helper of OpenAI's writes items of recorded web searches that its own classes do not fit.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_the_hub_reads_an_answer_as_the_sdk_of_its_provider_does(recorded, caller) -> None:
    """The measure itself is measured: what the hub accumulates is what the provider's own SDK tells."""
    own = [case for case in recorded if case.source == caller.name and case.recorded]
    check(asyncio.run(sweep(caller, own, Judge("sync"))), caller.name, READ_OTHERWISE, share=0.9)


def test_async_clients_are_told_the_same(recorded, caller) -> None:
    some: dict[tuple[str, str], list[Case]] = {}
    for case in recorded:
        few = some.setdefault((case.source, case.kind), [])
        if case.source != caller.name and len(few) < 5 and (case.ident, caller.name) not in EXPLAINED:
            few.append(case)
    figures = asyncio.run(sweep(caller, [case for few in some.values() for case in few], Judge("async")))
    assert figures.odd == {}
    assert figures.all.total() > FEW


def told() -> Said:
    """What a chat SDK tells of the answer of `answered`."""
    alternative = Alternative("ok", "", [("get", '{"a": 1}')], ["call_1"], "tool_calls")
    return Said({0: alternative}, input=7, output=5)


def answered() -> Case:
    message = Message("assistant", [TextPart("ok"), ToolCallPart("call_1", "get", '{"a":1}')])
    completion = Completion(choices=[Choice(message, "tool_calls")], usage=Usage(input=7, output=5))
    return Case("1", "gemini", None, completion)


def test_what_is_the_same_is_no_miss() -> None:
    assert misses(answered(), OpenAIChat, told()) == []


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("text", {"text": "o"}),
        ("text", {"refusal": "no"}),
        ("calls", {"calls": []}),
        ("calls", {"calls": [("get", '{"a": 2}')]}),
        ("calls", {"calls": [("got", '{"a": 1}')]}),
        ("ids", {"ids": ["call_2"]}),
        ("finish", {"finish": "stop"}),
    ],
)
def test_what_differs_in_an_answer_is_a_miss(word, change) -> None:
    said = told()
    said.alternatives[0] = replace(said.alternatives[0], **change)
    assert [found.split()[0] for found in misses(answered(), OpenAIChat, said)] == [word]


@pytest.mark.parametrize(
    ("word", "change"), [("tokens:", {"input": 0}), ("tokens:", {"output": 6}), ("failure:", {"failure": "broken"})]
)
def test_what_differs_around_it_is_a_miss(word, change) -> None:
    assert [found.split()[0] for found in misses(answered(), OpenAIChat, replace(told(), **change))] == [word]


def test_alternatives_count_where_the_format_has_room_for_them() -> None:
    case = answered()
    case.completion.choices.append(Choice(Message("assistant", [TextPart("other")]), "stop", 1))
    assert misses(case, Anthropic, told()) == []
    assert [found.split()[0] for found in misses(case, OpenAIChat, told())] == ["text"]

"""What is learned about counts, and the sampler that teaches it."""

from __future__ import annotations

import gc
import math
import random
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.tokens import encodings
from aistrale.cost.tokens.calibration import Calibration, Sampler, is_plain
from aistrale.cost.tokens.counters import Count
from aistrale.store.records import CountRow
from aistrale.types import EmbedRequest, MediaPart, Message, OutputFormat, Request, Tool, Wire

MODEL = "anthropic", "claude-sonnet-5"


def count(tokens=1000, *, exact=False):
    return Count(tokens=tokens, low=tokens - 300, high=tokens + 300, method="claude-4.7", exact=exact)


def row(counted, actual, number=0):
    return CountRow(
        call_id=f"c{number}", attempt=1, at=number, provider=MODEL[0], model=MODEL[1], counted=counted, actual=actual
    )


@pytest.mark.parametrize("truth", [0.6, 0.9, 1.0, 1.2, 1.7, 2.2])
def test_it_converges_to_what_providers_report(truth):
    noise = random.Random(3)
    learned = Calibration()
    for _ in range(300):
        counted = noise.randint(50, 5000)
        learned.observe(*MODEL, counted, round(counted * truth * noise.lognormvariate(0, 0.03)))
    known = learned.learned(*MODEL)
    assert known.factor == pytest.approx(truth, rel=0.03)
    assert known.calls == 300
    # 1.645 deviations of three percent.
    assert known.spread == pytest.approx(math.expm1(1.645 * 0.03), rel=0.4)


def test_it_follows_a_provider_that_changes():
    learned = Calibration()
    for truth in (1.0, 1.45):
        for _ in range(100):
            learned.observe(*MODEL, 1000, round(1000 * truth))
    assert learned.factor(*MODEL) == pytest.approx(1.45, rel=0.03)


def test_an_odd_call_does_little():
    learned = Calibration()
    for _ in range(50):
        learned.observe(*MODEL, 1000, 1100)
    before = learned.factor(*MODEL)
    learned.observe(*MODEL, 10, 1_000_000)
    assert learned.factor(*MODEL) == pytest.approx(before, rel=0.02)


def test_what_may_be_chance_is_not_corrected():
    noise = random.Random(5)
    learned = Calibration()
    for _ in range(10):
        learned.observe(*MODEL, 1000, noise.randint(950, 1050))
    assert learned.factor(*MODEL) == pytest.approx(1.0, abs=0.015)


def test_models_are_apart_and_unknown_ones_are_left_alone():
    learned = Calibration()
    for _ in range(20):
        learned.observe(*MODEL, 1000, 1500)
    assert learned.factor("anthropic", "claude-haiku-4-5") == 1.0
    assert learned.corrected("anthropic", "claude-haiku-4-5", count()) == count()
    assert learned.corrected(*MODEL, count()).tokens == pytest.approx(1500, rel=0.08)


def test_an_exact_count_is_not_corrected():
    learned = Calibration()
    for _ in range(20):
        learned.observe(*MODEL, 1000, 1500)
    assert learned.corrected(*MODEL, count(exact=True)) == count(exact=True)


def test_bounds_become_those_that_were_seen():
    learned = Calibration()
    for number in range(60):
        learned.observe(*MODEL, 1000, 1000 + number % 3)
    corrected = learned.corrected(*MODEL, count())
    assert corrected.low >= 960
    assert corrected.high <= 1040


@given(st.lists(st.tuples(st.integers(-5, 10**9), st.integers(-5, 10**9)), max_size=40))
def test_factors_are_bounded_and_bounds_are_in_order(pairs):
    learned = Calibration()
    for counted, actual in pairs:
        learned.observe(*MODEL, counted, actual)
    known = learned.learned(*MODEL)
    assert 1 / 2.5 - 1e-9 <= known.factor <= 2.5 + 1e-9
    assert known.spread >= 0
    corrected = learned.corrected(*MODEL, count())
    assert 0 <= corrected.low <= corrected.tokens <= corrected.high


def test_the_ledger_is_read_once_and_at_the_first_question():
    asked = []

    def rows():
        asked.append(1)
        return [row(1000, 1500, number) for number in range(30)]

    learned = Calibration(rows)
    learned.observe("openai", "gpt-5", 10, 10)
    assert not asked
    assert learned.factor(*MODEL) > 1.4
    assert learned.learned("openai", "gpt-5").calls == 1
    assert learned.factor(*MODEL) > 1.4
    assert len(asked) == 1


def test_a_ledger_that_cannot_be_read_is_asked_again():
    answers = [OSError("busy"), [row(1000, 1500)] * 30]

    def rows():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    learned = Calibration(rows)
    with pytest.raises(OSError, match="busy"):
        learned.factor(*MODEL)
    assert learned.factor(*MODEL) > 1.4


def test_threads_may_share_it():
    learned = Calibration()

    def work():
        for _ in range(500):
            learned.observe(*MODEL, 100, 120)
            learned.learned(*MODEL)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert learned.learned(*MODEL).calls == 2000


def asked(**options):
    return Request(model="gpt-4o", messages=[Message.user("What is the capital of France?")], **options)


class Sampling:
    """A sampler without its thread."""

    def __init__(self, monkeypatch, *, loaded=True):
        monkeypatch.setattr(encodings, "loaded", lambda _name="o200k_base": loaded)
        self.rows = []
        self.calibration = Calibration()
        self.sampler = Sampler(self.calibration, self.rows.append, now=lambda: 5.0)
        self.wakes = 0
        self.sampler._worker.wake = self.wake

    def wake(self):
        self.wakes += 1

    def offer(self, number=1, request=None, *, model="gpt-4o", actual=15):
        for each in range(number):
            self.sampler.offer((f"c{each}", 1), "openai", model, request or asked(), actual)


def test_a_sample_is_counted_and_written_down(monkeypatch):
    sampling = Sampling(monkeypatch)
    sampling.offer()
    assert sampling.wakes == 1
    assert sampling.rows == []
    assert sampling.sampler.step() is None
    assert sampling.rows == [
        CountRow(call_id="c0", attempt=1, at=5.0, provider="openai", model="gpt-4o", counted=14, actual=15)
    ]
    assert sampling.calibration.learned("openai", "gpt-4o").calls == 1


def test_nothing_is_done_where_no_encoding_is_loaded(monkeypatch):
    sampling = Sampling(monkeypatch, loaded=False)
    sampling.offer(100)
    assert (sampling.wakes, len(sampling.sampler._waiting), sampling.sampler.dropped) == (0, 0, 0)


def test_the_first_twenty_of_a_model_and_then_one_of_thirty_two(monkeypatch):
    sampling = Sampling(monkeypatch)
    for model in ("gpt-4o", "gpt-5"):
        for _ in range(20 + 320):
            sampling.offer(model=model)
            sampling.sampler.step()
    assert len(sampling.rows) == 2 * (20 + 10)


def test_what_waits_is_bounded_and_drops_are_counted(monkeypatch):
    sampling = Sampling(monkeypatch)
    for model in range(10):
        sampling.offer(20, model=f"gpt-{model}")
    assert len(sampling.sampler._waiting) == 64
    assert sampling.sampler.dropped == 200 - 64


@pytest.mark.parametrize(
    "request_",
    [
        asked(tools=[Tool("f")]),
        asked(output=OutputFormat("json_object")),
        asked(extra={"previous_response_id": "r"}),
        asked(wire=Wire("openai_responses", {"conversation": "c"})),
        Request(model="gpt-4o", messages=[Message.user(MediaPart("image", url="u"))]),
        EmbedRequest(model="e", inputs=[[1, 2]]),
    ],
)
def test_only_plain_text_is_counted(monkeypatch, request_):
    assert not is_plain(request_)
    sampling = Sampling(monkeypatch)
    sampling.offer(request=request_)
    sampling.sampler.step()
    assert sampling.rows == []


def test_a_call_without_reported_tokens_teaches_nothing(monkeypatch):
    sampling = Sampling(monkeypatch)
    sampling.offer(actual=0)
    sampling.sampler.step()
    assert sampling.rows == []


def test_embeddings_are_plain():
    assert is_plain(EmbedRequest(model="e", inputs=["a"]))


def test_the_thread_counts_and_ends(monkeypatch):
    monkeypatch.setattr(encodings, "loaded", lambda _name="o200k_base": True)
    counted = threading.Event()
    sampler = Sampler(Calibration(), lambda _row: counted.set(), now=lambda: 5.0)
    sampler._worker.delay = 0.0
    sampler.offer(("c", 1), "openai", "gpt-4o", asked(), 15)
    assert counted.wait(30)
    sampler.close(30)
    assert not sampler._worker.alive


def test_a_sampler_that_is_forgotten_leaves_nothing(monkeypatch):
    sampling = Sampling(monkeypatch)
    reference = weakref.ref(sampling.sampler)
    del sampling
    gc.collect()
    assert reference() is None

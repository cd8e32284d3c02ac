from __future__ import annotations

import gzip
import http.client
import json

import pytest

import aistrale
from aistrale import errors
from aistrale.testing import Broken, Fault, Slow
from tests.testing.wire import ASKED, question

TARGETS = {
    "openai": "openai/gpt-5-mini",
    "anthropic": "anthropic/claude-haiku-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "groq": "groq/openai/gpt-oss-20b",
    "huggingface": "huggingface/openai/gpt-oss-120b",
}
# What a provider's body tells of a kind; a provider without a word of its own for it says less.
CLASSES = {
    "authentication": errors.AuthenticationError,
    "permission": errors.PermissionDeniedError,
    "rate_limit": errors.RateLimitError,
    "quota": errors.QuotaExceededError,
    "invalid_request": errors.InvalidRequestError,
    "context_length": errors.ContextLengthError,
    "content_filter": errors.ContentFilterError,
    "model_not_found": errors.ModelNotFoundError,
    "overloaded": errors.OverloadedError,
    "server": errors.ServerError,
}
VAGUE = {
    *(
        (provider, kind)
        for provider in ("anthropic", "gemini", "huggingface")
        for kind in ("context_length", "content_filter")
    ),
    # Its documentation names no code for it.
    ("groq", "content_filter"),
}


def fresh(sim):
    """A client that remembers no earlier fault: it would leave a throttling target alone for a while."""
    return aistrale.Client(**sim.settings(), ledger="off", retry=None, breaker=None)


def answered(client, model, *, streamed):
    return client.stream("Hello", model=model).result() if streamed else client.run("Hello", model=model)


@pytest.fixture
def client(sim):
    with fresh(sim) as made:
        yield made


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("provider", TARGETS)
def test_each_kind_is_worded_so_that_its_provider_is_understood(sim, provider, kind):
    for streamed in (False, True):
        sim.script(Fault(kind=kind))
        with fresh(sim) as client, pytest.raises(errors.APIError) as caught:
            answered(client, TARGETS[provider], streamed=streamed)
        expected = errors.InvalidRequestError if (provider, kind) in VAGUE else CLASSES[kind]
        assert type(caught.value) is expected
        assert caught.value.status == sim.last.status


STATUSES = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    413: errors.InvalidRequestError,
    422: errors.InvalidRequestError,
    429: errors.RateLimitError,
    498: errors.OverloadedError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.OverloadedError,
    504: errors.ServerError,
    529: errors.OverloadedError,
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("provider", TARGETS)
def test_each_status_is_sent_and_understood(sim, client, provider, status):
    sim.script(Fault(status=status))
    with pytest.raises(errors.APIError) as caught:
        client.run("Hello", model=TARGETS[provider])
    assert caught.value.status == sim.last.status == status
    if status == 498 and provider != "groq":
        # Only Groq's; elsewhere nobody says what it means.
        return
    assert type(caught.value) is STATUSES[status]


@pytest.mark.parametrize("provider", TARGETS)
@pytest.mark.parametrize("kind", ["rate_limit", "overloaded"])
def test_how_long_to_wait_stands_where_the_provider_puts_it(sim, client, ask, provider, kind):
    sim.script(Fault(kind=kind, retry_after=7.5))
    with pytest.raises(errors.APIError) as caught:
        client.run("Hello", model=TARGETS[provider])
    assert caught.value.retry_after == 7.5
    sim.script(Fault(kind=kind, retry_after=7.5))
    answer = ask(*question(provider))
    told_in_body = provider == "gemini" or (provider, kind) == ("huggingface", "overloaded")
    assert ("retry-after" in answer.headers) is not told_in_body
    assert (b"7.5" in answer.body) is told_in_body


def test_words_headers_and_bodies_of_a_fault_can_be_given(sim, ask):
    path, body = question("openai")
    sim.script(
        Fault(status=400, code="mine", type="own", headers={"X-Request-ID": "mine", "x-more": "1"}),
        Fault(status=502, body=b"<html>", headers={"content-type": "text/html"}),
        Fault(status=500, body={"detail": "odd"}),
    )
    first, second, third = (ask(path, body) for _ in range(3))
    assert first.json["error"] == {"message": "a simulated error", "type": "own", "param": None, "code": "mine"}
    assert (first.headers["x-request-id"], first.headers["x-more"]) == ("mine", "1")
    assert (second.status, second.body, second.headers["content-type"]) == (502, b"<html>", "text/html")
    assert third.json == {"detail": "odd"}


@pytest.mark.parametrize("wrong", [{}, {"status": 200}, {"status": 99}, {"status": 600}])
def test_a_fault_must_be_one(wrong):
    with pytest.raises(ValueError, match="Fault"):
        Fault(**wrong)


def test_groq_shows_what_the_model_wrote_in_vain(sim, ask):
    sim.script(Fault(status=400, code="tool_use_failed"))
    assert ask(*question("groq")).json["error"]["failed_generation"] == ""


# --- wrecks -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=ASKED)
def name(request):
    return request.param


def good(ask, name, *, stream=False):
    return ask(*question(name, stream=stream)).body


def test_a_reset_before_the_headers(sim, ask, name):
    for stream in (False, True):
        sim.script(Broken(wreck="reset"))
        with pytest.raises(ConnectionResetError):
            ask(*question(name, stream=stream))


def test_a_close_before_the_headers(sim, ask, name):
    for stream in (False, True):
        sim.script(Broken(wreck="close"))
        with pytest.raises(http.client.RemoteDisconnected):
            ask(*question(name, stream=stream))


@pytest.mark.parametrize("wreck", ["stall", "stall_early"])
def test_nothing_more_comes(sim, ask, name, wreck):
    for stream in (False, True):
        sim.script(Broken(wreck=wreck))
        with pytest.raises(TimeoutError):
            ask(*question(name, stream=stream), timeout=0.05)


def test_less_comes_than_was_said(sim, ask, name):
    whole = good(ask, name)
    for wreck in ("close_early", "short"):
        sim.script(Broken(wreck=wreck))
        with pytest.raises(http.client.IncompleteRead) as caught:
            ask(*question(name))
        assert caught.value.partial == whole[: len(whole) // 2]


@pytest.mark.parametrize("after", [-1, 0, 2])
def test_a_stream_breaks_off_after_some_pieces(sim, ask, name, after):
    sim.script(Broken(wreck="truncate", after=after))
    truncated = good(ask, name, stream=True)
    assert truncated.count(b"\n\n") == after + 1
    assert good(ask, name, stream=True).startswith(truncated)
    sim.script(Broken(wreck="close_early", after=after))
    with pytest.raises(http.client.IncompleteRead) as caught:
        good(ask, name, stream=True)
    assert caught.value.partial in {truncated, b""}
    sim.script(Broken(wreck="reset_early", after=after))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        good(ask, name, stream=True)


def test_the_end_is_missing_however_much_is_let_through(sim, ask, name):
    whole = good(ask, name, stream=True)
    sim.script(Broken(wreck="truncate", after=1000))
    assert len(good(ask, name, stream=True)) < len(whole)


def test_json_that_is_none(sim, ask, name):
    sim.script(Broken(wreck="bad_json"))
    with pytest.raises(json.JSONDecodeError):
        json.loads(good(ask, name))
    sim.script(Broken(wreck="bad_json"))
    assert b'data: {"broken":\n\n' in good(ask, name, stream=True)


def test_gzip_that_is_none(sim, ask, name):
    for stream in (False, True):
        sim.script(Broken(wreck="bad_gzip"))
        answer = ask(*question(name, stream=stream))
        assert answer.headers["content-encoding"] == "gzip"
        with pytest.raises(EOFError):
            gzip.decompress(answer.body)


def test_a_page_instead_of_an_answer(sim, ask, name):
    for stream in (False, True):
        sim.script(Broken(wreck="html"))
        answer = ask(*question(name, stream=stream))
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html")


@pytest.mark.parametrize("error", [None, Fault(kind="rate_limit", message="Slow down.")])
def test_an_error_with_a_good_status(sim, ask, name, error):
    words = b"Slow down." if error else b"had an error while processing"
    sim.script(Broken(wreck="error_in_200", error=error))
    answer = ask(*question(name))
    assert answer.status == 200
    assert words in answer.body
    assert "error" in answer.json
    for wreck in ("error_in_200", "error_midway"):
        sim.script(Broken(wreck=wreck, error=error))
        events = good(ask, name, stream=True).split(b"\n\n")
        assert words in events[-2]
        assert (len(events) == 2) is (wreck == "error_in_200")


def test_an_empty_answer(sim, ask, name):
    sim.script(Broken(wreck="empty"), Broken(wreck="empty"))
    assert b"simulated" not in good(ask, name)
    assert good(ask, name, stream=True) == b""


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_answer_that_drips(sim, ask, name, size):
    for stream in (False, True):
        whole = good(ask, name, stream=stream)
        sim.script(Slow(drip=size))
        path, body = question(name, stream=stream)
        assert ask(path, body).body == whole


@pytest.mark.parametrize("provider", TARGETS)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_client_reads_a_dripping_stream_as_any_other(sim, client, provider, size):
    sim.script(Slow(drip=size))
    answer = client.stream("Hello, says 'Ada'. \u2028 \U0001f600", model=TARGETS[provider]).result()
    assert answer.text == sim.last.completion.text
    assert answer.usage.total == sim.last.completion.usage.total

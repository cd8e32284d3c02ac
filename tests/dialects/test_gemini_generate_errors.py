"""Errors of the Gemini API, both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.dialects import gemini_generate as gemini
from aistrale.types import (
    ErrorInfo,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def error_body(code, status, *details, message="Something is wrong."):
    return {
        "error": {"code": code, "message": message, "status": status, **({"details": list(details)} if details else {})}
    }


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}


def quota(name):
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": name}]}


@pytest.mark.parametrize(
    ("status", "word", "details", "kind"),
    [
        (400, "INVALID_ARGUMENT", [], "invalid_request"),
        (400, "INVALID_ARGUMENT", [{"reason": "API_KEY_INVALID"}], "authentication"),
        (400, "FAILED_PRECONDITION", [], "permission"),
        (401, "UNAUTHENTICATED", [], "authentication"),
        (402, "RESOURCE_EXHAUSTED", [], "quota"),
        (403, "PERMISSION_DENIED", [], "permission"),
        (404, "NOT_FOUND", [], "model_not_found"),
        (413, "INVALID_ARGUMENT", [], "invalid_request"),
        (429, "RESOURCE_EXHAUSTED", [RETRY], "rate_limit"),
        (429, "RESOURCE_EXHAUSTED", [quota("GenerateRequestsPerMinutePerProject"), RETRY], "rate_limit"),
        (429, "RESOURCE_EXHAUSTED", [quota("GenerateRequestsPerDayPerProject"), RETRY], "quota"),
        (500, "INTERNAL", [], "server"),
        (503, "UNAVAILABLE", [], "overloaded"),
        (504, "DEADLINE_EXCEEDED", [], "server"),
        (418, "WHAT", [], "unknown"),
    ],
)
def test_kinds_of_errors(status, word, details, kind):
    body = error_body(status, word, *details)
    for shape in (body, [body]):
        error = gemini.decode_error(status, {"X-Request-Id": "q1"}, json.dumps(shape).encode())
        assert (error.status, error.kind, error.type, error.message) == (status, kind, word, "Something is wrong.")
        assert error.request_id == "q1"
        assert error.retry_after == (34.4 if RETRY in details else None)
        assert gemini.encode_error(error) == (status, body)


def test_what_errors_say():
    fields = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "contents[0].parts"}]}
    body = error_body(400, "INVALID_ARGUMENT", fields, {"reason": "API_KEY_INVALID"})
    error = gemini.decode_error(400, {"retry-after": "7"}, json.dumps(body).encode())
    assert (error.param, error.code, error.retry_after) == ("contents[0].parts", "API_KEY_INVALID", 7)
    assert gemini.decode_error(400, {}, json.dumps(error_body(400, "X")).encode()).code == "400"


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>", "server"),
        (b"", "", "server"),
        (b"\xff", "�", "server"),
        (b"[]", "", "server"),
        (b'"text"', "", "server"),
        (b'{"error": "text"}', "text", "server"),
        (b'{"error": {"code": [], "message": {}, "status": 1, "details": {"a": 1}}}', "", "server"),
        (b'{"error": {"details": [1, {"violations": 3, "retryDelay": 1, "fieldViolations": [4]}]}}', "", "server"),
    ],
)
def test_broken_errors_are_read_all_the_same(body, message, kind):
    error = gemini.decode_error(502, {}, body)
    assert (error.message, error.kind, error.status) == (message, kind, 502)
    assert gemini.encode_error(error)[1]["error"]["status"] == "UNAVAILABLE"


@settings(deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps({"error": value}).encode()))
def test_decoding_an_error_never_raises(body):
    assert gemini.decode_error(None, {}, body).status is None or body


def test_an_error_inside_a_success_has_the_status_of_its_code():
    assert gemini.decode_error(200, {}, json.dumps(error_body(503, "UNAVAILABLE")).encode()).status == 503
    assert gemini.decode_error(None, {}, b'{"error": {"status": "NOT_FOUND"}}').status == 404


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"error": {}}, True),
        ([{"error": {}}], True),
        ([], False),
        ({}, False),
        ({"error": None}, False),
        ({"candidates": []}, False),
    ],
)
def test_error_bodies_are_recognised(body, answer):
    assert gemini.is_error_body(body) is answer


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (529, "overloaded", (503, "UNAVAILABLE")),
        (498, "overloaded", (503, "UNAVAILABLE")),
        (401, "authentication", (401, "UNAUTHENTICATED")),
        (None, "content_filter", (400, "INVALID_ARGUMENT")),
        (None, "rate_limit", (429, "RESOURCE_EXHAUSTED")),
        (200, "server", (500, "INTERNAL")),
        (418, "unknown", (418, "INVALID_ARGUMENT")),
        (599, "server", (599, "INTERNAL")),
    ],
)
def test_errors_from_elsewhere(status, kind, expected):
    foreign = {"error": {"message": "m", "type": "t", "code": None}}
    code, body = gemini.encode_error(ErrorInfo(status, "No.", kind=kind, retry_after=2.5, body=foreign))
    assert (code, body["error"]["status"]) == expected
    assert body["error"]["code"] == code
    assert body["error"]["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}]
    assert gemini.decode_error(code, {}, json.dumps(body).encode()).retry_after == 2.5

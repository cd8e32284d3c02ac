from __future__ import annotations

import json

import pytest

from aistrale.dialects import anthropic_messages as dialect
from aistrale.types import (
    ErrorInfo,
)
from tests.dialects.anthropic_messages_cases import (
    answer,
)


def failure(type_, message="m", **details):
    inner = {"type": type_, "message": message} | ({"details": details} if details else {})
    return json.dumps({"type": "error", "error": inner, "request_id": "req_body"}).encode()


@pytest.mark.parametrize(
    ("status", "type_", "code", "kind"),
    [
        (400, "invalid_request_error", None, "invalid_request"),
        (400, "invalid_request_error", "contract_spend_limit_reached", "quota"),
        (401, "authentication_error", None, "authentication"),
        (402, "billing_error", None, "quota"),
        (403, "permission_error", None, "permission"),
        (404, "not_found_error", None, "model_not_found"),
        (404, "not_found_error", "file_expired", "unknown"),
        (404, "something", None, "unknown"),
        (409, "conflict_error", None, "unknown"),
        (413, "request_too_large", None, "invalid_request"),
        (429, "rate_limit_error", None, "rate_limit"),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "quota"),
        (500, "api_error", None, "server"),
        (503, "api_error", None, "overloaded"),
        (504, "timeout_error", None, "server"),
        (529, "overloaded_error", None, "overloaded"),
        (529, "authentication_error", None, "overloaded"),
    ],
)
def test_errors_are_judged_by_status_then_code(status, type_, code, kind):
    raw = failure(type_, **({"error_code": code} if code else {}))
    error = dialect.decode_error(status, {"Request-Id": "req_header"}, raw)
    assert (error.status, error.type, error.code, error.kind) == (status, type_, code, kind)
    assert (error.message, error.request_id) == ("m", "req_body")
    assert dialect.encode_error(error) == (status, json.loads(raw))


def test_headers_of_an_error():
    headers = {"retry-after": "7", "x-should-retry": "false", "request-id": "req_1"}
    error = dialect.decode_error(429, headers, b'{"error":{"type":"rate_limit_error","message":"m"}}')
    assert (error.retry_after, error.should_retry, error.request_id) == (7.0, False, "req_1")


def test_an_error_inside_an_answer_gets_the_status_of_its_type():
    error = dialect.decode_error(200, {}, failure("overloaded_error"))
    assert (error.status, error.kind) == (529, "overloaded")
    assert dialect.decode_error(None, {}, failure("of_tomorrow")).kind == "unknown"


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"null", b'{"error":3}', b"\xff", b'{"error":{"type":[]}}', b"{" * 9000]
)
def test_unreadable_errors(raw):
    error = dialect.decode_error(502, {}, raw)
    assert (error.status, error.kind, error.message) == (502, "server", "")
    assert dialect.encode_error(error)[0] == 502


def test_errors_in_the_shapes_of_proxies():
    assert dialect.decode_error(502, {}, b'{"error":"no upstream"}').message == "no upstream"
    assert dialect.decode_error(403, {}, b'{"message":"signature expired"}').message == "signature expired"


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (ErrorInfo(400, "m", kind="authentication"), 401, "authentication_error"),
        (ErrorInfo(404, "m", kind="model_not_found", type="invalid_request_error"), 404, "not_found_error"),
        (ErrorInfo(429, "m", kind="quota"), 429, "rate_limit_error"),
        (ErrorInfo(498, "m", kind="overloaded"), 529, "overloaded_error"),
        (ErrorInfo(503, "m", kind="overloaded"), 503, "overloaded_error"),
        (ErrorInfo(422, "m", kind="invalid_request"), 422, "invalid_request_error"),
        (ErrorInfo(502, "m", kind="server"), 502, "api_error"),
        (ErrorInfo(None, "m", kind="rate_limit"), 429, "rate_limit_error"),
        (ErrorInfo(None, ""), 500, "api_error"),
    ],
)
def test_errors_from_elsewhere(error, status, type_):
    error.request_id = "req_1"
    told, encoded = dialect.encode_error(error)
    assert told == status
    assert encoded["type"] == "error"
    assert encoded["error"]["type"] == type_
    assert encoded["error"]["message"]
    assert encoded["request_id"] == "req_1"
    assert dialect.is_error_body(encoded)


def test_what_is_an_error_body():
    assert dialect.is_error_body({"error": {"type": "x"}})
    for other in (answer(), {"error": "x"}, {"type": "message", "error": {}}, [], None, "error"):
        assert not dialect.is_error_body(other)

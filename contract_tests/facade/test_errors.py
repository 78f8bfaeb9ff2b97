"""A failed response becomes one error with a message of bounded length; every error survives pickle."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import venice_billing
from venice_billing import (
    AdminKeyRequiredError,
    AnotherAccountError,
    APIConnectionError,
    APIError,
    AuthenticationError,
    BillingTimeoutError,
    ClientClosedError,
    CursorRejectedError,
    DecodeError,
    EndpointRetiredError,
    ExportError,
    InsufficientBalanceError,
    InvalidParameterError,
    InvalidRequestError,
    LedgerError,
    LedgerUnavailableError,
    MonthOpenError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServerError,
    VeniceError,
)
from venice_billing._headers import retry_after
from venice_billing.errors import bounded, error_for
from venice_billing.testing.faults import HTML_ERROR

NOW = 1_790_000_000.0
RETIRED = {
    "Link": '</api/v1/billing/usage-history>; rel="successor-version"',
    "Sunset": "Wed, 16 Sep 2026 00:00:00 GMT",
}


def api_error(status: int, body: bytes = b'{"error": "no"}', **options: Any) -> APIError:
    error = error_for(status, options.pop("headers", {}), body, **options)
    assert isinstance(error, APIError)
    return error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, APIError),
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, InsufficientBalanceError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIError),
        (410, EndpointRetiredError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (418, APIError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, BillingTimeoutError),
        (520, ServerError),
        (522, ServerError),
        (526, ServerError),
        (599, ServerError),
        (999, ServerError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b'{"error": "no"}', HTML_ERROR, b"", b"\xff\xfe", b"[1]", b'"no"', b"null", b"{" * 9000],
    ids=["json", "html", "empty", "not-utf8", "list", "text", "null", "broken"],
)
def test_each_status_has_its_class_whatever_the_body(status: int, kind: type[VeniceError], body: bytes) -> None:
    error = error_for(status, {"Content-Type": "text/html"}, body)
    assert type(error) is kind
    assert error.status_code == status
    assert 0 < len(str(error)) <= 520
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": "bad pageSize"}, "bad pageSize"),
        (400, {"error": {"message": "bad model", "type": "invalid", "code": None}}, "bad model"),
        (400, {"error": {"type": "invalid"}}, "Bad Request"),
        (400, {"message": "only this"}, "only this"),
        (400, {"error": ""}, "Bad Request"),
        (400, {"error": None}, "Bad Request"),
        (400, {}, "Bad Request"),
        (522, {}, "no explanation given"),
        (400, {"error": "two\nlines\tand   spaces"}, "two lines and spaces"),
    ],
)
def test_message_is_found_in_every_shape_of_error(status: int, body: Any, message: str) -> None:
    assert api_error(status, json.dumps(body).encode()).message == message


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (502, HTML_ERROR, f"Bad gateway (an HTML page of {len(HTML_ERROR)} bytes, no JSON)"),
        (502, b"<html><body>no title</body></html>", "Bad Gateway (an HTML page of 34 bytes, no JSON)"),
        (502, b"upstream is gone", "upstream is gone"),
        (500, b"", "Internal Server Error"),
        (522, b"", "no explanation given"),
    ],
)
def test_body_without_json_is_summarized(status: int, body: bytes, message: str) -> None:
    assert api_error(status, body).message == message


def test_redirect_error_names_the_target_that_is_not_followed() -> None:
    error = api_error(302, b"", headers={"Location": "https://elsewhere.invalid/"})
    assert "https://elsewhere.invalid/" in error.message
    assert "not followed" in error.message


def test_details_are_kept_as_sent() -> None:
    details = {"_errors": [], "pageSize": {"_errors": ["too small"]}}
    issues = [{"path": ["pageSize"], "message": "too small"}]
    assert api_error(400, json.dumps({"error": "bad", "details": details}).encode()).details == details
    both = api_error(400, json.dumps({"error": "bad", "details": details, "issues": issues}).encode()).details
    assert both == {"details": details, "issues": issues}
    openai_style = {"message": "bad", "type": "t", "param": "p", "code": "c"}
    assert api_error(400, json.dumps({"error": openai_style}).encode()).details == openai_style
    assert api_error(400).details is None


@given(
    status=st.integers(100, 999).filter(lambda status: not 200 <= status < 300),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "x-ratelimit-resets", "Link", "Sunset", "location", "X-Request-Id"]),
        st.text(max_size=40),
    ),
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=2000),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["error", "details", "issues", "message", "x"]), inner)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_failed_response_maps_to_an_error(status: int, headers: dict[str, str], body: bytes) -> None:
    error = error_for(status, headers, body, now=NOW)
    assert len(str(error)) <= 520
    assert pickle.loads(pickle.dumps(error)).args == error.args
    if isinstance(error, EndpointRetiredError):
        assert error.successor is None or isinstance(error.successor, str)
        assert error.sunset is None or error.sunset.tzinfo is UTC
    if isinstance(error, RateLimitError):
        assert error.retry_after is None or error.retry_after >= 0


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Admin API key required", AdminKeyRequiredError),
        ("an ADMIN key is needed", AdminKeyRequiredError),
        ("Authentication failed", AuthenticationError),
        ("administrator", AuthenticationError),
    ],
)
def test_inference_key_and_wrong_key_raise_different_errors(message: str, kind: type[APIError]) -> None:
    assert type(api_error(401, json.dumps({"error": message}).encode())) is kind


def test_only_a_400_to_a_continuation_rejects_the_cursor() -> None:
    assert type(api_error(400, continuation=True)) is CursorRejectedError
    assert type(api_error(400, continuation=False)) is InvalidRequestError
    assert type(api_error(422, continuation=True)) is InvalidRequestError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "7, 3600, 8"}, 3600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, 1e15),
        ({"retry-after": "1" + "0" * 15}, 1e15),
        ({"retry-after": "0" * 400 + "7"}, 7.0),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2020 14:13:50 GMT"}, 0.0),
        ({"x-ratelimit-reset-requests": "1790000012"}, 12.0),
        ({"x-ratelimit-resets": "1790000009500"}, 9.5),
        ({"x-ratelimit-resets": "1789999999000"}, 0.0),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "1790000012"}, 12.0),
        ({"retry-after": "20", "x-ratelimit-resets": "1790000009500"}, 20.0),
    ],
)
def test_retry_after_is_the_longest_wait_of_any_header(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
    error = error_for(429, headers, b"", now=NOW)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("link", "successor"),
    [
        ('</api/v1/billing/usage-history>; rel="successor-version"', "/api/v1/billing/usage-history"),
        ("</next>; rel=successor-version", "/next"),
        ('</docs>; rel="help", </next>; rel="successor-version"; type="x"', "/next"),
        ('</next>; type="x"; REL="successor-version"', "/next"),
        ('</docs>; rel="help"', None),
        ("", None),
    ],
)
def test_the_successor_is_read_from_the_link_header(link: str, successor: str | None) -> None:
    error = api_error(410, headers={"LINK": link} if link else {})
    assert isinstance(error, EndpointRetiredError)
    assert error.successor == successor


@pytest.mark.parametrize(
    ("sunset", "moment"),
    [("Wed, 16 Sep 2026 00:00:00 GMT", datetime(2026, 9, 16, tzinfo=UTC)), ("gone", None), ("", None)],
)
def test_the_sunset_is_read_as_an_instant(sunset: str, moment: datetime | None) -> None:
    error = api_error(410, headers={"Sunset": sunset})
    assert isinstance(error, EndpointRetiredError)
    assert error.sunset == moment


def test_header_names_are_lower_case_and_the_request_id_is_found() -> None:
    error = api_error(500, headers={"CF-Ray": "abc", "X-Odd": "1"})
    assert error.headers == {"cf-ray": "abc", "x-odd": "1"}
    assert error.request_id == "abc"
    assert api_error(500).request_id is None


SAMPLES: list[VeniceError] = [
    VeniceError("plain"),
    *(
        error_for(status, {**RETIRED, "retry-after": "3"}, b'{"error": "no", "details": {"a": 1}}', now=NOW)
        for status in (302, 400, 401, 402, 403, 404, 410, 429, 500, 504)
    ),
    error_for(401, {}, b'{"error": "Admin API key required"}'),
    error_for(400, {}, b'{"error": "Cursor expired"}', continuation=True),
    InvalidParameterError("limit", object(), "a whole number"),
    APIConnectionError("ConnectError: refused"),
    BillingTimeoutError("no whole answer within 10 s"),
    ClientClosedError("the client is closed"),
    ResponseValidationError("missing", field="data[3].amount"),
    DecodeError("data[3].amount", "missing"),
    AnotherAccountError("the key is that of another account"),
    ExportError("usage.csv: No space left on device"),
    LedgerError("venice.duckdb: a DuckDB file, but no ledger"),
    LedgerUnavailableError("venice.duckdb: in use by another process"),
    MonthOpenError("2026-10 may still change", month="2026-10", reason="late_charges", closable_at=datetime.now(UTC)),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_survives_pickle_and_copy(error: VeniceError) -> None:
    """With its text, every attribute, and the checkpoint that a walk has set on the error."""
    error.checkpoint = "vb1.place"
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
        assert again.checkpoint == "vb1.place"


def test_every_error_class_is_among_the_samples() -> None:
    classes = {
        value
        for name in dir(venice_billing)
        if inspect.isclass(value := getattr(venice_billing, name)) and issubclass(value, VeniceError)
    }
    assert classes == {type(error) for error in SAMPLES}
    assert all(issubclass(kind, VeniceError) for kind in classes)


def test_an_error_outside_a_walk_has_no_checkpoint() -> None:
    assert VeniceError("x").checkpoint is None


def test_a_validation_error_names_the_field() -> None:
    error = ResponseValidationError("expected a number, got null", field="data[3].amount")
    assert str(error) == "data[3].amount: expected a number, got null"
    assert (error.field, error.problem) == ("data[3].amount", "expected a number, got null")
    assert str(ResponseValidationError("not JSON")) == "the answer: not JSON"


@given(st.text(), st.integers(1, 100))
def test_bounded_text_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = bounded(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_bounded_text_says_when_it_was_cut() -> None:
    assert bounded("abcdef", 4) == "abc…"
    assert bounded(" " * 1000 + "x", 10) == "…"


def test_410_says_what_to_call_instead() -> None:
    """If the history is the named successor; a long message is cut, the advice is not."""
    link = '</api/v1/billing/usage-history>; rel="successor-version"'
    error = error_for(410, {"link": link}, json.dumps({"error": "Gone. " * 200}).encode())
    assert str(error).startswith("HTTP 410: Gone. Gone.")
    assert str(error).endswith("; call get_usage_history() for a page, or iter_usage() for the charges of a range")
    assert "get_usage_history" not in str(error_for(410, {}, b""))
    assert "get_usage_history" not in str(error_for(410, {"link": link.replace("usage-history", "other")}, b""))

"""The generated codec: exact, strict about documented fields, tolerant of undocumented ones."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_billing._runtime import codec
from venice_billing_api import AuthenticatedClient, Client, errors, types
from venice_billing_api.api.billing import (
    get_billing_balance,
    get_billing_usage,
    get_billing_usage_analytics,
    get_billing_usage_history,
)
from venice_billing_api.errors import DecodeError, UnexpectedStatus
from venice_billing_api.models import (
    Currency,
    DailySeriesPoint,
    DetailedError,
    ErrorObject,
    HistoryCurrency,
    LegacyCurrency,
    SortOrder,
    StandardError,
    UsageEntry,
    UsageHistoryPage,
)
from venice_billing_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON = {"content-type": "application/json"}
_OPERATIONS = [get_billing_balance, get_billing_usage, get_billing_usage_analytics, get_billing_usage_history]


def _entry(**changes: Any) -> dict[str, Any]:
    return {
        "amount": Decimal("-0.10"),
        "currency": "USD",
        "inferenceDetails": None,
        "notes": "API",
        "pricePerUnitUsd": Decimal("2.80"),
        "sku": "some-model-llm-output-mtoken",
        "timestamp": "2026-06-15T19:05:10.504Z",
        "units": Decimal("0.000227"),
        **changes,
    }


def _details(**changes: Any) -> dict[str, Any]:
    return {"completionTokens": 1, "inferenceExecutionTime": 2, "promptTokens": None, "requestId": "r", **changes}


def _without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


# ---------------------------------------------------------------- JSON text


@pytest.mark.parametrize(
    "text", ["0.1", "-0.10", "1.000", "123456789012345678901234.5", "1E-7", "0.000000000000000001"]
)
def test_a_number_with_a_fraction_keeps_its_digits(text: str) -> None:
    assert codec.decode_json(text.encode()).as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" ", b"{", b"{} {}", b"nul", b"<html></html>", b"[1,]", b"'a'"),
        *(b"NaN", b"Infinity", b'{"a": -Infinity}', b'"\xff"', b"\xff\xfe1", b"1" * 5000, b"[" * 100_000),
        *(b'{"a":' * 100_000, b"1e9999999999999999999999"),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_invalid_json_is_a_decode_error(content: bytes) -> None:
    with pytest.raises(DecodeError) as raised:
        codec.decode_json(content)
    assert raised.value.location == ""
    assert len(str(raised.value)) < 200


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_decode_or_raise_a_decode_error(content: bytes) -> None:
    with contextlib.suppress(DecodeError):
        codec.decode_json(content)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("text", ["1e400", "1e31", "-1e31", "1e-101", "1" * 40, "1e999999"])
def test_a_number_of_absurd_size_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match=r"amount: expected a number of a sane size"):
        UsageEntry.from_dict(_entry(amount=codec.decode_json(text.encode())))


@pytest.mark.parametrize(
    ("value", "expected"), [(3, "3"), (0.1, "0.1"), (Decimal("1.50"), "1.50"), (1e-7, "1E-7"), (0, "0"), (-0.0, "-0.0")]
)
def test_a_number_is_read_exactly(value: Any, expected: str) -> None:
    assert str(UsageEntry.from_dict(_entry(amount=value)).amount) == expected


@pytest.mark.parametrize("value", [True, False, "1", None, [], {}, float("nan"), float("inf"), Decimal("NaN"), b"1"])
def test_other_values_are_refused_as_numbers(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^amount: expected a number"):
        UsageEntry.from_dict(_entry(amount=value))


@pytest.mark.parametrize("value", [3, 3.0, Decimal("3.0"), Decimal("3e0")])
def test_an_integer_may_be_written_with_a_fraction_of_zero(value: Any) -> None:
    read = UsageEntry.from_dict(_entry(inferenceDetails=_details(completionTokens=value)))
    assert read.inference_details is not None
    assert read.inference_details.completion_tokens == 3
    assert type(read.inference_details.completion_tokens) is int


@pytest.mark.parametrize("value", [3.5, Decimal("3.5"), "3", True, [], 10**40, Decimal("1e40")])
def test_other_values_are_refused_as_integers(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^inferenceDetails\.completionTokens: expected an integer"):
        UsageEntry.from_dict(_entry(inferenceDetails=_details(completionTokens=value)))


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-15T19:05:10.504Z", datetime(2026, 6, 15, 19, 5, 10, 504_000, UTC)),
        ("2026-06-15T21:05:10+02:00", datetime(2026, 6, 15, 19, 5, 10, tzinfo=UTC)),
        ("2026-06-15T19:05:10.123456789Z", datetime(2026, 6, 15, 19, 5, 10, 123_456, UTC)),
        ("2026-06-15t19:05:10z", datetime(2026, 6, 15, 19, 5, 10, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_an_instant_in_utc(text: str, expected: datetime) -> None:
    read = codec.parse_datetime(text)
    assert read == expected
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("2026-06-15T19:05:10", "2026-06-15", "", "Z", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:59:60Z"),
        *("0001-01-01T00:00:00+01:00", "2026-06-15T19:05:10+99:00", "0000-01-01T00:00:00Z"),
    ],
)
def test_texts_that_are_no_instant_are_refused(text: str) -> None:
    with pytest.raises(DecodeError, match=r"^timestamp: expected a time"):
        UsageEntry.from_dict(_entry(timestamp=text))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, 0, 0, 0, 5_000, UTC), "2026-01-02T00:00:00.005Z"),
        (datetime(2026, 1, 2, 0, 0, 0, 5_001, UTC), "2026-01-02T00:00:00.005001Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_a_z(instant: datetime, expected: str) -> None:
    assert codec.format_datetime(instant) == expected


def test_a_naive_datetime_is_never_sent() -> None:
    with pytest.raises(ValueError, match="naive"):
        get_billing_usage_history.build_request(start_timestamp=datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_round_trips(instant: datetime) -> None:
    assert codec.parse_datetime(codec.format_datetime(instant)) == instant


# ---------------------------------------------------------------- models


def test_a_page_round_trips() -> None:
    entry = _entry(inferenceDetails=_details(novel={"deep": [1]}), apiKeyId=None, another=[{"a": None}])
    page = {"data": [entry, _entry(apiKeyId="k")], "nextCursor": None, "extra": True}
    assert UsageHistoryPage.from_dict(page).to_dict() == page


def test_reading_does_not_change_its_input() -> None:
    page = {"data": [_entry(inferenceDetails=_details())], "nextCursor": None}
    before = copy.deepcopy(page)
    UsageHistoryPage.from_dict(page)
    assert page == before


@pytest.mark.parametrize("name", _entry())
def test_the_error_names_a_missing_field(name: str) -> None:
    page = {"data": [_entry(), _without(_entry(), name)], "nextCursor": None}
    with pytest.raises(DecodeError) as raised:
        UsageHistoryPage.from_dict(page)
    assert (raised.value.location, raised.value.problem) == (f"data[1].{name}", "missing")


@pytest.mark.parametrize("name", ["sku", "notes", "currency", "timestamp", "amount", "units", "pricePerUnitUsd"])
def test_the_error_names_a_null_that_is_not_allowed(name: str) -> None:
    with pytest.raises(DecodeError) as raised:
        UsageEntry.from_dict(_entry(**{name: None}))
    assert raised.value.location == name
    assert raised.value.problem.endswith("got null")


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_other_values_are_refused_as_objects(body: Any) -> None:
    with pytest.raises(DecodeError, match=r"^the body: expected an object, got "):
        UsageEntry.from_dict(body)


def test_an_incomplete_nullable_object_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"^inferenceDetails\.promptTokens: missing$"):
        UsageEntry.from_dict(_entry(inferenceDetails=_without(_details(), "promptTokens")))


def test_absent_and_null_are_distinguished() -> None:
    assert UsageEntry.from_dict(_entry()).api_key_id is UNSET
    assert UsageEntry.from_dict(_entry(apiKeyId=None)).api_key_id is None
    assert "apiKeyId" not in UsageEntry.from_dict(_entry()).to_dict()


def test_entries_compare_by_value_and_are_frozen() -> None:
    """Equal rows are equal and have equal hashes, also with unknown fields; they cannot be changed."""
    one, two = UsageEntry.from_dict(_entry(x=[1])), UsageEntry.from_dict(_entry(x=[1]))
    assert one == two
    assert len({one, two, UsageEntry.from_dict(_entry(sku="other"))}) == 2
    assert one != UsageEntry.from_dict(_entry(x=[2]))
    with pytest.raises(AttributeError):
        one.sku = "changed"  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_page_survives_copying_and_pickling(copied: Callable[[Any], Any]) -> None:
    page = UsageHistoryPage.from_dict({"data": [_entry(currency="SHELLS")], "nextCursor": "c"})
    again = copied(page)
    assert again == page
    assert again.data[0].api_key_id is UNSET
    assert isinstance(again.data[0].api_key_id, Unset)


def test_a_daily_series_keeps_names_and_exact_amounts() -> None:
    point = DailySeriesPoint.from_dict({"date": 1705276800000, "date ": 1, "My key": Decimal("0.30")})
    assert point.date == 1705276800000
    assert point.additional_properties == {"date ": Decimal(1), "My key": Decimal("0.30")}
    with pytest.raises(DecodeError, match=r"^My key: expected a number, got text 'x'$"):
        DailySeriesPoint.from_dict({"date": 1, "My key": "x"})


def test_the_excerpt_in_an_error_is_bounded() -> None:
    with pytest.raises(DecodeError) as raised:
        UsageEntry.from_dict(_entry(amount="x" * 10_000))
    assert len(raised.value.problem) < 130
    assert pickle.loads(pickle.dumps(raised.value)).location == "amount"


# ---------------------------------------------------------------- open enums


def test_an_unknown_currency_is_kept_as_text() -> None:
    shells = Currency("SHELLS")
    assert shells == "SHELLS" == str(shells) == f"{shells}" == shells.value
    assert isinstance(shells, Currency)
    assert {shells: 1}["SHELLS"] == 1
    assert repr(shells) == "Currency('SHELLS')"
    assert pickle.loads(pickle.dumps(shells)) == shells
    assert "SHELLS" not in [member.value for member in Currency]


def test_a_known_currency_hashes_as_its_text() -> None:
    assert {SortOrder.ASC: 1}["asc"] == 1  # type: ignore[index]
    assert Currency("USD") is Currency.USD


@pytest.mark.parametrize("value", [1, None, [], {}, True])
def test_other_values_are_refused_as_currencies(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^currency: expected a Currency"):
        UsageEntry.from_dict(_entry(currency=value))


# ---------------------------------------------------------------- undocumented fields and values


_DRIFTED = {"data": [_entry(currency="SHELLS", novel=1)], "nextCursor": None}


def _told() -> list[tuple[str, str]]:
    """Read a page with undocumented fields and values, and return the notices about them."""
    told: list[tuple[str, str]] = []
    codec.read_with_notice(lambda *what: told.append(what), UsageHistoryPage.from_dict, _DRIFTED)
    return told


def test_unknown_fields_and_values_are_noticed() -> None:
    assert _told() == [("Currency value", "SHELLS"), ("field of UsageEntry", "novel")]


def test_a_notice_callback_is_reset_after_reading() -> None:
    told = _told()
    UsageHistoryPage.from_dict(_DRIFTED)
    assert len(told) == 2
    with pytest.raises(DecodeError):
        codec.read_with_notice(lambda *_: None, UsageHistoryPage.from_dict, {})
    assert codec._notice.get() is codec._ignore


def test_an_interrupt_anywhere_leaves_no_notice_callback_set() -> None:
    interrupted = 0
    while _is_interrupted(interrupted):
        assert codec._notice.get() is codec._ignore, f"instruction {interrupted}"
        interrupted += 1
    assert interrupted > 10


def _is_interrupted(position: int) -> bool:
    """Read with a notice callback and a KeyboardInterrupt at one instruction; return whether it was reached."""
    reached = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal reached
        if frame.f_code.co_filename != codec.__file__:
            return trace
        frame.f_trace_opcodes = True
        if event == "opcode":
            reached += 1
            if reached == position + 1:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        codec.read_with_notice(lambda *_: None, str, 1)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize("operation", _OPERATIONS)
def test_omitted_parameters_are_not_sent(operation: Any) -> None:
    request = operation.build_request()
    assert request.get("params", {}) == {}
    assert request["method"] == "get"
    assert request["headers"] == {"Accept": "application/json"}


def test_parameters_are_sent_under_their_contract_names() -> None:
    request = get_billing_usage.build_request(
        currency=LegacyCurrency.VCU,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        limit=5,
        page=2,
        sort_order=SortOrder.ASC,
        accept="text/csv",
    )
    assert request["url"] == "/billing/usage"
    assert request["headers"] == {"Accept": "text/csv"}
    sent = dict(httpx.Request(request["method"], "https://venice.test", params=request["params"]).url.params)
    assert sent == {
        "currency": "VCU",
        "startDate": "2026-01-01T00:00:00.000Z",
        "limit": "5",
        "page": "2",
        "sortOrder": "asc",
    }


# ---------------------------------------------------------------- responses

_PAGE = b'{"data": [], "nextCursor": null}'


def _parse(status_code: int, content: bytes = b"", headers: dict[str, str] | None = None) -> Any:
    return get_billing_usage_history.parse_response(
        status_code=status_code, headers=_JSON if headers is None else headers, content=content
    )


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
def test_the_content_type_is_case_insensitive(name: str) -> None:
    assert _parse(200, _PAGE, {name: "Application/JSON; charset=utf-8"}) == UsageHistoryPage([], None)
    assert _parse(200, b"a,b\n", {name: "text/csv"}) == b"a,b\n"


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/html"}, {"content-type": "application/jsonl"}])
def test_a_success_of_another_content_type_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(DecodeError, match="expected application/json or text/csv, got"):
        _parse(200, _PAGE, headers)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b'{"data": {}, "nextCursor": null}'])
def test_a_success_that_breaks_the_contract_is_refused(content: bytes) -> None:
    with pytest.raises(DecodeError):
        _parse(200, content)


@pytest.mark.parametrize(
    ("status_code", "content", "expected"),
    [
        (401, b'{"error": "Admin API key required"}', StandardError("Admin API key required")),
        (400, b'{"error": {"message": "m", "code": 7}}', DetailedError(ErrorObject("m", code=7))),
        *((code, b"<html>", None) for code in (400, 401, 402, 403, 404, 429, 500, 502, 503, 504)),
        *((code, b'{"error": "x"}', None) for code in (100, 204, 302, 418, 520, 522, 599, 999)),
        (500, b'{"message": "x"}', None),
        (500, b"\xff", None),
    ],
)
def test_an_error_body_is_parsed_or_none(status_code: int, content: bytes, expected: Any) -> None:
    assert _parse(status_code, content, {"content-type": "text/html"}) == expected


def test_an_error_body_round_trips() -> None:
    body = {
        "error": {"message": "m", "param": None},
        "details": {"_errors": [], "a": {"_errors": ["b"]}},
        "issues": [1],
    }
    assert DetailedError.from_dict(body).to_dict() == body


# ---------------------------------------------------------------- clients


def _transport(status_code: int, content: bytes = _PAGE) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status_code, headers=_JSON, content=content))


def _client(status_code: int = 200, *, raises: bool = False) -> AuthenticatedClient:
    arguments = {"transport": _transport(status_code)}
    return AuthenticatedClient(token="secret", httpx_args=arguments, raise_on_unexpected_status=raises)


def test_the_token_is_sent_and_hidden_in_every_repr() -> None:
    client = _client()
    assert client.get_httpx_client().headers["Authorization"] == "Bearer secret"
    assert "secret" not in repr(client)
    assert "secret" not in repr(client.with_headers({"a": "b"}))
    client.get_httpx_client().close()


def test_the_base_url_is_that_of_the_contract() -> None:
    assert Client().base_url == AuthenticatedClient(token="secret").base_url == "https://api.venice.ai/api/v1"
    assert Client("https://venice.test").base_url == "https://venice.test"


def test_an_authenticated_client_is_a_client() -> None:
    client = AuthenticatedClient("https://venice.test", token="secret", headers={"a": "b"})
    assert isinstance(client.with_timeout(1), Client)
    assert isinstance(client.with_timeout(1), AuthenticatedClient)
    assert client == client.with_headers({})
    with pytest.raises(AttributeError):
        client.tokens = "secret"  # type: ignore[attr-defined]


def test_the_package_uses_its_exported_errors_and_types() -> None:
    with pytest.raises(errors.DecodeError):
        UsageEntry.from_dict({})
    assert UsageEntry.from_dict(_entry()).api_key_id is types.UNSET
    with _client() as client:
        assert isinstance(get_billing_usage_history.sync_detailed(client=client), types.Response)


def test_a_call_returns_any_status() -> None:
    with _client(522) as client:
        answer = get_billing_usage_history.sync_detailed(client=client)
    assert (answer.status_code, answer.parsed) == (522, None)


def test_a_call_parses_its_response() -> None:
    with _client() as client:
        assert get_billing_usage_history.sync(client=client, currency=HistoryCurrency.USD) == UsageHistoryPage([], None)


@pytest.mark.anyio
async def test_an_async_call_parses_its_response() -> None:
    async with _client() as client:
        assert await get_billing_usage_history.asyncio(client=client) == UsageHistoryPage([], None)


@pytest.mark.parametrize(("status_code", "raises"), [(522, True), (500, False)])
def test_only_an_undocumented_status_is_unexpected(*, status_code: int, raises: bool) -> None:
    with _client(status_code, raises=True) as client:
        if not raises:
            assert get_billing_usage_history.sync(client=client) is None
            return
        with pytest.raises(UnexpectedStatus) as raised:
            get_billing_usage_history.sync(client=client)
    assert pickle.loads(pickle.dumps(raised.value)).status_code == 522


def test_each_copy_of_a_client_has_its_own_settings() -> None:
    client = _client()
    assert client.with_timeout(1.5).timeout == 1.5
    assert client.with_cookies({"a": "b"}).cookies == {"a": "b"}
    assert client.with_headers({"a": "b"}).headers == {"a": "b"}
    assert (client.timeout, client.cookies, client.headers) == (10.0, {}, {})


@pytest.mark.parametrize("operation", _OPERATIONS)
def test_the_four_ways_to_call_take_the_same_arguments(operation: Any) -> None:
    built = set(inspect.signature(operation.build_request).parameters)
    for name in ("sync", "sync_detailed", "asyncio", "asyncio_detailed"):
        assert set(inspect.signature(getattr(operation, name)).parameters) == built | {"client"}


def test_importing_the_package_imports_no_async_library() -> None:
    program = (
        "import sys, json, venice_billing_api.api.billing.get_billing_usage as _; print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = set(json.loads(done.stdout)) - _loaded_by_httpx()
    assert loaded.isdisjoint({"anyio", "asyncio", "dateutil", "httpcore", "trio"})


def _loaded_by_httpx() -> set[str]:
    program = "import sys, json, httpx; print(json.dumps([*sys.modules]))"
    return set(json.loads(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout))

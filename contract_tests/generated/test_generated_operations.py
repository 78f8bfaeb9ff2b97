"""Operations of the generated layer: requests as the contract has them, responses by status and media type, clients."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from venice_billing_api import AuthenticatedClient, Client, errors, types
from venice_billing_api.api.billing import (
    get_billing_balance,
    get_billing_usage,
    get_billing_usage_analytics,
    get_billing_usage_history,
)
from venice_billing_api.errors import DecodeError, UnexpectedStatus
from venice_billing_api.models import (
    DetailedError,
    ErrorObject,
    HistoryCurrency,
    LegacyCurrency,
    SortOrder,
    StandardError,
    UsageEntry,
    UsageHistoryPage,
)

_JSON = {"content-type": "application/json"}


_OPERATIONS = [get_billing_balance, get_billing_usage, get_billing_usage_analytics, get_billing_usage_history]


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
    assert isinstance(types.UNSET, types.Unset)
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

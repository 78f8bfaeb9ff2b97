"""FakeVenice refuses wrong keys, methods, paths and parameters as the API does, and logs each request."""

from __future__ import annotations

from base64 import urlsafe_b64decode

import httpx
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import ANALYTICS, BALANCE, HISTORY, USAGE, connect
from venice_billing.testing import FakeVenice


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


@pytest.mark.parametrize("filter_", ["pageSize=10", "currency=USD", "endTimestamp=2026-10-01T00:00:00Z"])
def test_continuation_with_another_parameter_is_a_400(fake: FakeVenice, filter_: str) -> None:
    client = connect(fake)
    cursor = client.get(HISTORY, params={"pageSize": 10}).json()["nextCursor"]
    response = client.get(f"{HISTORY}?cursor={cursor}&{filter_}")
    assert (response.status_code, list(response.json()["details"])) == (400, ["_errors", "cursor"])


def test_a_cursor_is_opaque_and_signed(fake: FakeVenice) -> None:
    client = connect(fake)
    cursor = client.get(HISTORY, params={"pageSize": 10}).json()["nextCursor"]
    assert httpx.codes.is_success(client.get(HISTORY, params={"cursor": cursor}).status_code)
    assert len(cursor) <= 512
    tampered = [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1 :] for n in range(len(cursor))]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = cursor[:-1] + alphabet[alphabet.index(cursor[-1]) ^ 1]
    assert urlsafe_b64decode(same_bytes + "=") == urlsafe_b64decode(cursor + "=")
    foreign = connect(FakeVenice(300, now=NOW, admin_key="another")).get(HISTORY, params={"pageSize": 10}).json()
    for refused in [*tampered, same_bytes, cursor[:-1], cursor + "A", "x", foreign["nextCursor"]]:
        response = client.get(HISTORY, params={"cursor": refused})
        assert response.status_code == 400
        assert "cursor" in response.json()["details"]


REFUSED = [
    (HISTORY, "cursor=a.b", "cursor"),
    (HISTORY, "cursor=", "cursor"),
    (HISTORY, f"cursor={'a' * 513}", "cursor"),
    (HISTORY, "pageSize=9", "pageSize"),
    (HISTORY, "pageSize=1001", "pageSize"),
    (HISTORY, "pageSize=10.5", "pageSize"),
    (HISTORY, "pageSize=%2010", "pageSize"),
    (HISTORY, "pageSize=10&pageSize=10", "pageSize"),
    (HISTORY, "currency=VCU", "currency"),
    (HISTORY, "currency=usd", "currency"),
    (HISTORY, "startTimestamp=2026-10-01", "startTimestamp"),
    (HISTORY, "startTimestamp=2026-10-01T00:00:00%2B00:00", "startTimestamp"),
    (HISTORY, "startTimestamp=2026-02-30T00:00:00Z", "startTimestamp"),
    (HISTORY, f"startTimestamp=2026-10-01T00:00:00.{'0' * 30}Z", "startTimestamp"),
    (HISTORY, "startTimestamp=2026-10-01T00:00:00Z&endTimestamp=2026-10-01T00:00:00Z", "endTimestamp"),
    (HISTORY, "page=1", "page"),
    (USAGE, "limit=0", "limit"),
    (USAGE, "limit=501", "limit"),
    (USAGE, "page=0", "page"),
    (USAGE, "sortOrder=up", "sortOrder"),
    (USAGE, "currency=EUR", "currency"),
    (USAGE, "startDate=2026-10-02T00:00:00Z&endDate=2026-10-01T00:00:00Z", "endDate"),
    (USAGE, "startDate=yesterday", "startDate"),
    (USAGE, "pageSize=10", "pageSize"),
    (ANALYTICS, "lookback=0d", "lookback"),
    (ANALYTICS, "lookback=7", "lookback"),
    (ANALYTICS, "lookback=7d%0A", "lookback"),
    (ANALYTICS, "lookback=%D9%A7d", "lookback"),
    (ANALYTICS, "startDate=2026-10-01", "endDate"),
    (ANALYTICS, "endDate=2026-10-01", "startDate"),
    (ANALYTICS, "startDate=2026-10-02&endDate=2026-10-01", "startDate"),
    (ANALYTICS, "startDate=2026-13-01&endDate=2026-13-02", "startDate"),
    (ANALYTICS, "lookback=7d&startDate=2026-10-01&endDate=2026-10-02", "lookback"),
    (BALANCE, "currency=USD", "currency"),
]


@pytest.mark.parametrize(("path", "query", "parameter"), REFUSED)
def test_invalid_query_is_a_400_that_names_the_parameter(path: str, query: str, parameter: str) -> None:
    response = connect(FakeVenice(10, now=NOW, original="alive")).get(f"{path}?{query}")
    assert response.status_code == 400
    document = response.json()
    assert document["error"]
    assert document["details"][parameter]["_errors"]
    assert [parameter] in [issue["path"] for issue in document["issues"]]


@pytest.mark.parametrize("path", [HISTORY, USAGE, ANALYTICS, BALANCE])
def test_each_path_checks_the_key(path: str) -> None:
    fake = FakeVenice(10, now=NOW, original="alive")
    assert connect(fake).get(path).status_code == 200
    for authorization in [None, "Bearer wrong", "Basic fake-admin-key", "Bearer "]:
        headers = {} if authorization is None else {"authorization": authorization}
        response = httpx.Client(transport=fake.transport()).get(f"https://fake.test/api/v1{path}", headers=headers)
        assert (response.status_code, list(response.json())) == (401, ["error"])
    response = connect(fake, fake.inference_key).get(path)
    if path == ANALYTICS:
        assert response.status_code == 200
    else:
        assert response.status_code == 401
        assert response.json() == {"error": "Admin API key required"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "QUERY"])
@pytest.mark.parametrize("path", [HISTORY, USAGE, ANALYTICS, BALANCE])
def test_methods_other_than_get_are_refused(fake: FakeVenice, method: str, path: str) -> None:
    response = connect(fake).request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_other_paths_are_not_found(fake: FakeVenice) -> None:
    response = connect(fake).get("/billing/invoices")
    assert (response.status_code, list(response.json())) == (404, ["error"])
    assert connect(FakeVenice(1, history=False)).get(HISTORY).status_code == 404


def test_the_retired_ledger_names_its_successor(fake: FakeVenice) -> None:
    for query in ["", "?limit=1", "?limit=wrong"]:
        response = connect(fake).get(USAGE + query)
        assert response.status_code == 410
        assert response.headers["link"] == '</api/v1/billing/usage-history>; rel="successor-version"'
        assert response.headers["deprecation"] == "@1783555200"
        assert response.headers["sunset"] == "Wed, 16 Sep 2026 00:00:00 GMT"
        assert "usage-history" in response.json()["error"]


def test_request_log_holds_the_query_but_no_key(fake: FakeVenice) -> None:
    connect(fake, fake.inference_key).get(HISTORY, params=[("pageSize", "10"), ("pageSize", "20")])
    (seen,) = fake.requests
    assert (seen.number, seen.method, seen.host, seen.path) == (1, "GET", "fake.test", f"/api/v1{HISTORY}")
    assert seen.params == (("pageSize", "10"), ("pageSize", "20"))
    assert (seen.key, seen.status, seen.time) == ("inference", 401, NOW.timestamp())
    assert fake.inference_key not in repr(seen)

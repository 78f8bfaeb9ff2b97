"""FakeVenice follows the contract: its HTTP responses are checked with plain httpx."""

from __future__ import annotations

import csv
import io
import json
from base64 import urlsafe_b64decode
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HISTORY, USAGE = "/billing/usage-history", "/billing/usage"
ANALYTICS, BALANCE = "/billing/usage-analytics", "/billing/balance"
Row = dict[str, Any]


def connect(fake: FakeVenice, key: str | None = None) -> httpx.Client:
    headers = {"authorization": f"Bearer {key or fake.admin_key}"}
    return httpx.Client(base_url="https://fake.test/api/v1", headers=headers, transport=fake.transport())


def exact(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return json.loads(response.content, parse_float=Decimal)


def walk(client: httpx.Client, **params: str | int) -> Iterator[list[Row]]:
    asked: dict[str, str | int] = params
    while asked is not None:
        page = exact(client.get(HISTORY, params=asked))
        yield page["data"]
        if page["nextCursor"] is None:
            return
        asked = {"cursor": page["nextCursor"]}


def rows_of(client: httpx.Client, **params: str | int) -> list[Row]:
    return [row for page in walk(client, **params) for row in page]


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


def test_same_seed_gives_the_same_ledger() -> None:
    assert FakeVenice(500, seed=7, now=NOW).ledger == FakeVenice(500, seed=7, now=NOW).ledger
    assert FakeVenice(500, seed=7, now=NOW).ledger != FakeVenice(500, seed=8, now=NOW).ledger


def test_generated_rows_resemble_real_ones() -> None:
    rows = FakeVenice(5000, now=NOW).ledger
    timestamps = [row["timestamp"] for row in rows]
    assert len(rows) == 5000
    assert timestamps == sorted(timestamps)
    assert min(timestamps) >= "2026-08-03T12:00:00.000Z"
    assert max(timestamps) < "2026-11-01T12:00:00.000Z"
    assert {row["currency"] for row in rows} == {"USD", "DIEM", "BUNDLED_CREDITS", "VCU", "EARNED_CREDITS"}
    requests = Counter(row["inferenceDetails"]["requestId"] for row in rows if row["inferenceDetails"])
    assert max(requests.values()) > 2, "one request yields several rows"
    assert max(Counter(json.dumps(row, default=str) for row in rows).values()) > 1, "identical rows are two charges"
    assert max(Counter(timestamps).values()) > 1
    granted = [row for row in rows if row["amount"] > 0]
    assert granted
    assert all(row["apiKeyId"] is None for row in granted)
    assert {",", '"', "\n"} <= set("".join(row["notes"] for row in rows))
    assert max(-row["amount"].as_tuple().exponent for row in rows) >= 8


@pytest.mark.parametrize("page_size", [10, 299, 300, 1000])
def test_a_walk_delivers_the_ledger_digit_for_digit(fake: FakeVenice, page_size: int) -> None:
    rows = rows_of(connect(fake), pageSize=page_size)
    assert rows == fake.ledger
    assert [str(row["amount"]) for row in rows] == [str(row["amount"]) for row in fake.ledger]
    assert len(fake.requests) == -(-300 // page_size)


def test_money_is_sent_as_it_was_given() -> None:
    amounts = ["-0.1234567890123456789", "-3", "-0.10", "1e-9"]
    fake = FakeVenice([{"timestamp": f"2026-10-01T00:00:0{n}Z", "amount": text} for n, text in enumerate(amounts)])
    assert [row["amount"] for row in rows_of(connect(fake))] == [Decimal(text) for text in amounts]
    assert b'"amount":-0.1234567890123456789,' in connect(fake).get(HISTORY).content


def test_a_float_is_refused_as_money() -> None:
    with pytest.raises(TypeError, match="amount"):
        FakeVenice([{"timestamp": "2026-10-01T00:00:00Z", "amount": -0.1}])


def test_csv_pages_hold_the_rows_of_the_json_pages(fake: FakeVenice) -> None:
    client, rows, params = connect(fake), [], {"pageSize": "120"}
    while params:
        page = client.get(HISTORY, params=params, headers={"accept": "text/csv"})
        assert page.headers["content-type"].startswith("text/csv")
        assert page.headers["content-disposition"] == (
            "attachment; filename=billing-usage-history-20261101T120000000Z.csv"
        )
        rows += list(csv.DictReader(io.StringIO(page.text, newline="")))
        params = {"cursor": page.headers["x-next-cursor"]} if "x-next-cursor" in page.headers else {}
    expected = [(row["timestamp"], str(row["amount"]), row["notes"], row["apiKeyId"] or "") for row in fake.ledger]
    assert [(row["timestamp"], row["amount"], row["notes"], row["apiKeyId"]) for row in rows] == expected


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("application/json, text/csv", True),
        ("Text/CSV;q=0.5", True),
        ("text/csv;q=0", False),
        ("application/json", False),
        ("*/*", False),
        ("text/html", False),
    ],
)
def test_csv_is_sent_only_if_accept_names_it(fake: FakeVenice, accept: str, *, is_csv: bool) -> None:
    response = connect(fake).get(HISTORY, headers={"accept": accept})
    assert response.headers["content-type"].startswith("text/csv" if is_csv else "application/json")


def test_adjacent_windows_give_each_row_exactly_once(fake: FakeVenice) -> None:
    client = connect(fake)
    middle = fake.ledger[150]["timestamp"]
    first, second = rows_of(client, endTimestamp=middle), rows_of(client, startTimestamp=middle)
    assert first + second == fake.ledger
    assert first == fake.rows(end=middle)
    assert second[0]["timestamp"] == middle


def test_a_cursor_carries_the_filters(fake: FakeVenice) -> None:
    end = "2026-10-20T00:00:00Z"
    rows = rows_of(connect(fake), currency="DIEM", endTimestamp=end, pageSize=10)
    assert len(rows) > 20
    assert rows == fake.rows(currency="DIEM", end=end)
    assert all(request.params[0][0] == "cursor" for request in fake.requests[1:])


def test_usage_booked_during_a_walk_shifts_no_page() -> None:
    """A late booking behind the walk is not delivered, one ahead of it is, and nothing comes twice."""
    fake = FakeVenice(100, now=NOW)
    before = fake.ledger
    pages = walk(connect(fake), pageSize=50)
    rows = next(pages)
    fake.book({"amount": "-1"}, late=timedelta(days=89))
    fresh = fake.book()
    rows += [row for page in pages for row in page]
    assert rows == [*before, fresh]
    assert len(fake.ledger) == 102


def test_late_booking_comes_last_among_rows_of_one_instant() -> None:
    timestamp = "2026-10-01T00:00:00.000Z"
    fake = FakeVenice([{"timestamp": timestamp, "amount": -1}, {"timestamp": timestamp, "amount": -2}])
    fake.book({"timestamp": timestamp, "amount": -3})
    assert [int(row["amount"]) for row in fake.ledger] == [-1, -2, -3]


def test_a_page_may_end_among_charges_booked_at_one_instant() -> None:
    fake = FakeVenice(5, now=NOW)
    for number in range(35):
        fake.book({"amount": -number})
    assert rows_of(connect(fake), pageSize=10) == fake.ledger


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


@pytest.mark.parametrize(
    ("order", "turned"), [({}, True), ({"sortOrder": "desc"}, True), ({"sortOrder": "asc"}, False)]
)
def test_original_ledger_has_numbered_pages(order: dict[str, str], *, turned: bool) -> None:
    fake = FakeVenice(450, now=NOW, original="alive")
    rows: list[Row] = []
    for page in (1, 2, 3, 4):
        response = connect(fake).get(USAGE, params={"page": page, **order})
        body = exact(response)
        assert body["pagination"] == {"limit": 200, "page": page, "total": 450, "totalPages": 3}
        assert response.headers["x-pagination-total-pages"] == "3"
        rows += body["data"]
    assert rows == (fake.ledger[::-1] if turned else fake.ledger)


def test_pages_of_the_original_ledger_shift_when_usage_arrives() -> None:
    fake = FakeVenice(20, now=NOW, original="alive")
    first = exact(connect(fake).get(USAGE, params={"limit": 10}))["data"]
    fake.book()
    second = exact(connect(fake).get(USAGE, params={"limit": 10, "page": 2}))["data"]
    assert second[0] == first[-1]


def test_the_original_ledger_filters_and_writes_csv() -> None:
    fake = FakeVenice(2000, now=NOW, original="alive")
    params = {"currency": "VCU", "limit": "5", "endDate": "2026-08-06T00:00:00+02:00"}
    expected = fake.rows(currency="VCU", end="2026-08-05T22:00:00Z")[::-1][:5]
    assert len(expected) == 5
    assert exact(connect(fake).get(USAGE, params=params))["data"] == expected
    page = connect(fake).get(USAGE, params=params, headers={"accept": "text/csv"})
    assert page.headers["content-disposition"] == "attachment; filename=billing_usage.csv"
    assert page.headers["x-pagination-limit"] == "5"
    assert [row["timestamp"] for row in csv.DictReader(io.StringIO(page.text))] == [r["timestamp"] for r in expected]


def spend(rows: list[Row], currencies: set[str], where: Callable[[Row], bool] = lambda _: True) -> Decimal:
    return -sum(
        (r["amount"] for r in rows if r["amount"] < 0 and r["currency"] in currencies and where(r)),
        Decimal(0),
    )


def test_analytics_are_the_sums_of_the_ledger() -> None:
    fake = FakeVenice(3000, now=NOW)
    answer = exact(connect(fake).get(ANALYTICS, params={"lookback": "30d"}))
    rows = fake.rows(start=NOW - timedelta(days=30))
    dollars, diem = {"USD", "BUNDLED_CREDITS"}, {"DIEM"}
    assert answer["lookback"] == "30d"
    for part in ("byModel", "byKey"):
        assert sum(item["totalUsd"] for item in answer[part]) == spend(rows, dollars)
        assert sum(item["totalDiem"] for item in answer[part]) == spend(rows, diem)
    assert sum(item["USD"] for item in answer["byDate"]) == spend(rows, dollars)
    day = answer["byDate"][3]
    assert day["DIEM"] == spend(rows, diem, lambda row: row["timestamp"].startswith(day["date"]))
    key = answer["byKey"][1]
    assert key["totalUsd"] == spend(rows, dollars, lambda row: row["apiKeyId"] == key["apiKeyId"])
    model = next(item for item in answer["byModel"] if item["modelName"] == "GLM 5.1")
    assert model["totalUsd"] == spend(rows, dollars, lambda row: row["sku"].startswith("zai-org-glm-5-1-"))
    assert {part["type"] for part in model["breakdown"]} == {"Input", "Output", "Cache Read"}
    assert sum(part["diem"] for part in model["breakdown"]) == model["totalDiem"]
    assert answer["topModels"] == [item["modelName"] for item in answer["byModel"]][:8]


def test_analytics_series_are_by_day_and_name() -> None:
    fake = FakeVenice(
        [
            {"timestamp": "2026-10-30T23:59:59.999Z", "amount": "-1.5", "currency": "DIEM", "apiKeyId": "k1"},
            {"timestamp": "2026-10-31T00:00:00.000Z", "amount": "-0.25", "currency": "BUNDLED_CREDITS"},
            {
                "timestamp": "2026-10-31T00:00:00.000Z",
                "amount": "9",
                "currency": "USD",
                "sku": "account-credit",
            },
        ],
        now=NOW,
    )
    answer = exact(connect(fake).get(ANALYTICS, params={"startDate": "2026-10-30", "endDate": "2026-10-31"}))
    friday, saturday = 1793318400000, 1793404800000
    assert answer["lookback"] == "2026-10-30:2026-10-31"
    assert answer["byKeyDaily"] == [{"date": friday, "k1": Decimal("1.5")}, {"date": saturday}]
    assert answer["byKeyDailyUsd"] == [{"date": friday}, {"date": saturday, "Web App": Decimal("0.25")}]
    assert answer["byModelDaily"][0] == {"date": friday, "GLM 5.1": Decimal("1.5")}
    assert (
        exact(connect(fake).get(ANALYTICS, params={"startDate": "2026-10-29", "endDate": "2026-10-29"}))["byDate"] == []
    )


def test_a_lookback_over_90_days_is_clamped_silently(fake: FakeVenice) -> None:
    client = connect(fake)
    assert (
        client.get(ANALYTICS, params={"lookback": "90d"}).json()
        == client.get(ANALYTICS, params={"lookback": "36500d"}).json()
    )


def test_the_balance_follows_the_ledger_until_it_is_set() -> None:
    fake = FakeVenice([{"timestamp": "2026-10-01T00:00:00Z", "amount": "25"}], now=NOW)
    fake.book({"amount": "-0.75"})
    fake.book({"amount": "-1.5", "currency": "DIEM"})
    assert (
        exact(connect(fake).get(BALANCE))
        == fake.balance
        == {
            "canConsume": True,
            "consumptionCurrency": "DIEM",
            "balances": {"diem": Decimal("98.5"), "usd": Decimal("24.25")},
            "diemEpochAllocation": Decimal(100),
        }
    )
    fake.balance = {**fake.balance, "balances": {"diem": None, "usd": None}, "consumptionCurrency": None}
    assert exact(connect(fake).get(BALANCE))["balances"] == {"diem": None, "usd": None}


def test_request_log_holds_the_query_but_no_key(fake: FakeVenice) -> None:
    connect(fake, fake.inference_key).get(HISTORY, params=[("pageSize", "10"), ("pageSize", "20")])
    (seen,) = fake.requests
    assert (seen.number, seen.method, seen.host, seen.path) == (1, "GET", "fake.test", f"/api/v1{HISTORY}")
    assert seen.params == (("pageSize", "10"), ("pageSize", "20"))
    assert (seen.key, seen.status, seen.time) == ("inference", 401, NOW.timestamp())
    assert fake.inference_key not in repr(seen)


def test_refund_names_its_request() -> None:
    """By which it is told from a grant."""
    notes = "Refund of a failed generation"
    refunds = [row for row in FakeVenice(5_000, now=NOW).ledger if row["notes"] == notes]
    assert refunds
    assert all(row["amount"] > 0 and row["inferenceDetails"]["requestId"] for row in refunds)

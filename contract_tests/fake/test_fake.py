"""FakeVenice's ledger and its pages follow the contract: JSON, CSV, cursors, numbered pages; seen with plain httpx."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import HISTORY, USAGE, Row, connect, exact, rows_of, walk
from venice_billing.testing import FakeVenice, demo_account


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


def test_same_seed_gives_the_same_ledger() -> None:
    assert FakeVenice(500, seed=7, now=NOW).ledger == FakeVenice(500, seed=7, now=NOW).ledger
    assert FakeVenice(500, seed=7, now=NOW).ledger != FakeVenice(500, seed=8, now=NOW).ledger


@pytest.mark.parametrize("fake", [FakeVenice(3000, now=NOW), demo_account(NOW)], ids=["seeded", "demo"])
def test_generated_rows_would_pass_the_checks_of_given_rows(fake: FakeVenice) -> None:
    assert FakeVenice(fake.ledger, now=NOW).ledger == fake.ledger


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


def test_refund_names_its_request() -> None:
    """By which it is told from a grant."""
    notes = "Refund of a failed generation"
    refunds = [row for row in FakeVenice(5_000, now=NOW).ledger if row["notes"] == notes]
    assert refunds
    assert all(row["amount"] > 0 and row["inferenceDetails"]["requestId"] for row in refunds)

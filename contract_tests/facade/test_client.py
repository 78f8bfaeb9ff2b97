"""Single calls of both clients against FakeVenice: every method, and the errors that belong to one."""

from __future__ import annotations

import csv
import io
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, as_wire, receive, row, timestamps
from venice_billing import (
    AdminKeyRequiredError,
    AuthenticationError,
    Balance,
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    RateLimitError,
    UsageAnalytics,
    UsageCsv,
    UsageHistoryPage,
    UsagePage,
    _drift,
)
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, faults

pytestmark = pytest.mark.anyio

MONTH = {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}


def records(document: bytes) -> int:
    return len(list(csv.reader(io.StringIO(document.decode("utf-8-sig"), newline="")))) - 1


async def test_balance(fake: FakeVenice, face: Face) -> None:
    fake.balance = {
        "canConsume": True,
        "consumptionCurrency": "DIEM",
        "balances": {"diem": None, "usd": Decimal("0.10000000000000000001")},
        "diemEpochAllocation": 100,
    }
    balance = await face.call("get_balance")
    assert isinstance(balance, Balance)
    assert balance.balances.usd == Decimal("0.10000000000000000001"), "digit for digit"
    assert balance.balances.diem is None
    assert balance.consumption_currency == "DIEM"
    (request,) = fake.requests
    assert (request.path, request.params, request.key) == ("/api/v1/billing/balance", (), "admin")
    assert request.headers["accept"] == "application/json"


async def test_analytics(fake: FakeVenice, face: Face) -> None:
    analytics = await face.call("get_usage_analytics", lookback="30d")
    assert isinstance(analytics, UsageAnalytics)
    assert analytics.lookback == "30d"
    await face.call("get_usage_analytics", start_date=NOW.date() - timedelta(days=1), end_date="2026-11-01T00:00Z")
    await face.call("get_usage_analytics")
    assert [dict(request.params) for request in fake.requests] == [
        {"lookback": "30d"},
        {"startDate": "2026-10-31", "endDate": "2026-11-01"},
        {},
    ]


async def test_a_page_of_the_history(fake: FakeVenice, face: Face) -> None:
    page = await face.call("get_usage_history", start_timestamp=MONTH["start"], page_size=10, currency="USD")
    assert isinstance(page, UsageHistoryPage)
    assert as_wire(page.data) == fake.rows(start=MONTH["start"], currency="USD")[:10]
    following = await face.call("get_usage_history", cursor=page.next_cursor)
    assert as_wire(following.data) == fake.rows(start=MONTH["start"], currency="USD")[10:20]
    first, second = fake.requests
    assert dict(first.params) == {"startTimestamp": "2026-09-01T00:00:00.000Z", "pageSize": "10", "currency": "USD"}
    assert dict(second.params) == {"cursor": page.next_cursor}, "a continuation sends the cursor alone"


async def test_a_page_of_the_history_as_csv(fake: FakeVenice, face: Face) -> None:
    page = await face.call("get_usage_history", format="csv", page_size=10)
    assert isinstance(page, UsageCsv)
    assert isinstance(page, bytes)
    assert page.startswith(b"timestamp,")
    assert records(page) == 10
    assert page.filename == "billing-usage-history-20261101T120000000Z.csv"
    assert page.pagination is None
    last = await face.call("get_usage_history", format="csv", cursor=page.next_cursor)
    assert last.next_cursor is not None
    assert [request.headers["accept"] for request in fake.requests] == ["text/csv", "text/csv"]


async def test_a_page_of_the_original_ledger(flavour: Flavour) -> None:
    fake = FakeVenice(300, now=NOW, original="alive")
    face = flavour.connect(fake)
    page = await face.call("get_usage", limit=7, page=2, sort_order="asc", start_date=MONTH["start"])
    assert isinstance(page, UsagePage)
    rows = fake.rows(start=MONTH["start"])
    assert as_wire(page.data) == rows[7:14]
    assert (page.pagination.limit, page.pagination.page, page.pagination.total) == (7, 2, len(rows))
    document = await face.call("get_usage", format="csv", limit=7)
    assert records(document) == 7
    assert (document.pagination.limit, document.pagination.total) == (7, 300)
    assert (document.filename, document.next_cursor) == ("billing_usage.csv", None)


async def test_the_original_ledger_is_retired(face: Face) -> None:
    with pytest.raises(EndpointRetiredError) as caught:
        await face.call("get_usage")
    assert caught.value.successor == "/api/v1/billing/usage-history"
    assert caught.value.sunset == datetime(2026, 9, 16, tzinfo=UTC)


async def test_rejected_cursor_raises_cursor_rejected_error(face: Face) -> None:
    with pytest.raises(CursorRejectedError):
        await face.call("get_usage_history", cursor="no-such-cursor")


@pytest.mark.parametrize("end", ["12:05", None])
@pytest.mark.parametrize("format_", ["json", "csv"])
async def test_hanging_narrow_window_is_requested_as_part_of_a_day(
    flavour: Flavour, format_: str, end: str | None
) -> None:
    now = NOW + timedelta(minutes=8)
    rows = [row(timestamp) for timestamp in timestamps(NOW - timedelta(hours=30), range(0, 30 * 3600 + 400, 60))]
    fake = FakeVenice(rows, now=now, quirks=Quirks(narrow_window_hangs=True))
    face = flavour.connect(fake)
    until = f"2026-11-01T{end}:00Z" if end else None
    page = await face.call("get_usage_history", format=format_, start_timestamp=NOW, end_timestamp=until, page_size=50)
    expected = fake.rows(start=NOW, end=until)
    assert page.next_cursor is None
    if format_ == "json":
        assert as_wire(page.data) == expected
    else:
        assert records(page) == len(expected)
    assert fake.clock.time() - now.timestamp() < 12, "one deadline, and an answer"
    walk = face.client.iter_usage_history(start_timestamp=NOW, end_timestamp=until)
    assert as_wire(await receive(walk)) == expected


async def test_a_widened_csv_page_keeps_its_records_apart(flavour: Flavour) -> None:
    """The result joins several pages, each of which may end without a line break."""
    around = [row(timestamp) for timestamp in timestamps(NOW - timedelta(hours=25), range(0, 25 * 3600, 240))]
    fake = FakeVenice([*around, *map(row, timestamps(NOW, range(300)))], now=NOW + timedelta(minutes=8))
    fake.quirks = Quirks(narrow_window_hangs=True, csv_layouts=[CsvLayout(final_line_break=False)])
    end = NOW + timedelta(minutes=5)
    page = await flavour.connect(fake).call(
        "get_usage_history", format="csv", start_timestamp=NOW, end_timestamp=end, page_size=50
    )
    assert records(page) == len(fake.rows(start=NOW, end=end)) == 300


async def test_hang_that_widening_does_not_avoid_is_a_timeout(flavour: Flavour) -> None:
    """On an account without charges every request hangs; the advice is only for windows of less than a day."""
    fake = FakeVenice(0, now=NOW, quirks=Quirks(empty_result_hangs=True))
    face = flavour.connect(fake)
    for start, is_advised in ((NOW - timedelta(days=2), False), (NOW - timedelta(minutes=5), True)):
        del fake.requests[:]
        with pytest.raises(BillingTimeoutError) as caught:
            await face.call("get_usage_history", start_timestamp=start)
        assert ("at least a day" in str(caught.value)) == is_advised
        assert len(fake.requests) <= 1 + 4


async def test_wrong_and_inference_keys(fake: FakeVenice, flavour: Flavour) -> None:
    weak = flavour.connect(fake, api_key=fake.inference_key)
    with pytest.raises(AdminKeyRequiredError):
        await weak.call("get_balance")
    assert await weak.call("get_usage_analytics")
    with pytest.raises(AuthenticationError) as caught:
        await flavour.connect(fake, api_key="wrong-key").call("get_balance")
    assert type(caught.value) is AuthenticationError


async def test_unknown_fields_and_values_are_kept_and_logged_once(
    fake: FakeVenice, face: Face, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_drift, "_noted", set())
    fake.quirks.faults = lambda seen: faults.unknown_fields() if seen.number % 2 else faults.unknown_currency("SHELLS")
    with caplog.at_level(logging.INFO, "venice_billing"):
        for _ in range(2):
            page = await face.call("get_usage_history", page_size=10)
            assert page.additional_properties["newField"] == {"since": "tomorrow"}
            assert page.data[0].additional_properties["newField"] == [1, Decimal("2.50"), None]
            page = await face.call("get_usage_history", page_size=10)
            assert page.data[0].currency == "SHELLS"
    assert [(record.name, record.levelname) for record in caplog.records] == [("venice_billing", "INFO")] * 3
    said = sorted(record.getMessage() for record in caplog.records)
    assert [text.rpartition(": ")[2] for text in said] == [
        "Currency value 'SHELLS'",
        "field of UsageEntry 'newField'",
        "field of UsageHistoryPage 'newField'",
    ]


async def test_rate_limit_over_max_wait_is_raised_with_its_seconds(fake: FakeVenice, face: Face) -> None:
    fake.quirks = Quirks(rate_limit_every=1, rate_limit_seconds=3600)
    with pytest.raises(RateLimitError) as caught:
        await face.call("get_balance")
    assert caught.value.retry_after == 3600
    assert len(fake.requests) == 1

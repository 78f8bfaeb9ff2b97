"""Both clients against FakeVenice: every method, walks with their checkpoints, and the errors."""

from __future__ import annotations

import csv
import io
import logging
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_tests.support.flavours import HISTORY, NOW, ORIGINAL, Face, Flavour, as_wire, receive, row, timestamps
from venice_billing import (
    AdminKeyRequiredError,
    AuthenticationError,
    Balance,
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UsageAnalytics,
    UsageCsv,
    UsageHistoryPage,
    UsagePage,
    VeniceError,
    _drift,
)
from venice_billing._config import Setup
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, VirtualClock, faults

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


@pytest.mark.parametrize("page_size", [10, 37, 1000, None])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_walks_deliver_the_ledger(fake: FakeVenice, face: Face, order: str, page_size: int | None) -> None:
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    for method in ("iter_usage", "iter_usage_history"):
        walk = getattr(face.client, method)(sort_order=order, page_size=page_size)
        assert as_wire(await receive(walk)) == expected
        pages = await receive(walk, pages=True)
        assert as_wire([entry for page in pages for entry in page]) == expected
        assert all(0 < len(page) <= (page_size or 1000) for page in pages)


async def test_default_orders_of_both_walks(fake: FakeVenice, face: Face) -> None:
    assert as_wire(await receive(face.client.iter_usage(), 5)) == fake.ledger[::-1][:5]
    assert as_wire(await receive(face.client.iter_usage_history(), 5)) == fake.ledger[:5]


async def test_filters_of_walks(fake: FakeVenice, face: Face) -> None:
    expected = fake.rows(currency="DIEM", start=MONTH["start"], end=MONTH["end"])
    assert expected
    history = face.client.iter_usage_history(
        currency="DIEM", start_timestamp="2026-09-01", end_timestamp="2026-10-01", page_size=20
    )
    assert as_wire(await receive(history)) == expected
    usage = face.client.iter_usage(currency="DIEM", start_date="2026-09-01", end_date="2026-10-01", max_items=7)
    assert as_wire(await receive(usage)) == expected[::-1][:7]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 600])
async def test_checkpoint_resumes_with_exactly_the_rest(
    fake: FakeVenice, flavour: Flavour, order: str, count: int
) -> None:
    """In another client, with another page size, after every cursor of the first client has expired."""
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    walk = flavour.connect(fake).client.iter_usage_history(sort_order=order, page_size=100)
    assert as_wire(await receive(walk, count)) == expected[:count]
    checkpoint = walk.checkpoint
    fake.quirks.cursor_lives_seconds = 0.0
    fake.clock.advance(3600)
    fake.quirks.cursor_lives_seconds = None
    other = flavour.connect(fake).client
    for method in (other.iter_usage_history, other.iter_usage):
        assert as_wire(await receive(method(checkpoint=checkpoint, page_size=70))) == expected[count:]


async def test_a_checkpoint_after_max_items_and_by_pages(fake: FakeVenice, face: Face) -> None:
    walk = face.client.iter_usage_history(max_items=25, page_size=10)
    assert len(await receive(walk)) == 25
    rest = face.client.iter_usage_history(checkpoint=walk.checkpoint)
    assert as_wire(await receive(rest)) == fake.ledger[25:]
    assert len(await receive(walk, 2, pages=True)) == 2
    rest = face.client.iter_usage_history(checkpoint=walk.checkpoint)
    assert as_wire(await receive(rest)) == fake.ledger[20:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_an_error_in_a_walk_carries_the_checkpoint(fake: FakeVenice, face: Face, order: str) -> None:
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    fake.quirks.faults = lambda request: faults.status(402) if request.number == 4 else None
    walk = face.client.iter_usage_history(sort_order=order, page_size=50)
    received: list[Any] = []
    with pytest.raises(VeniceError) as caught:
        await receive(walk, into=received)
    assert caught.value.checkpoint == walk.checkpoint
    rest = await receive(face.client.iter_usage_history(checkpoint=caught.value.checkpoint))
    assert as_wire(received + rest) == expected


async def test_each_iteration_starts_its_own_walk(fake: FakeVenice) -> None:
    walk = fake.client().iter_usage_history(page_size=10)
    one, two = iter(walk), iter(walk)
    assert [next(one).timestamp, next(two).timestamp] == [next(iter(walk)).timestamp] * 2
    assert next(one) == next(two)


async def test_a_walk_sends_nothing_before_it_is_iterated(fake: FakeVenice, face: Face) -> None:
    walk = face.client.iter_usage()
    assert walk.checkpoint
    assert fake.requests == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "quirks",
    [
        {"dead_cursor_every": 2},
        {"repeat_cursor_every": 2},
        {"cursor_lives_requests": 0},
        {"rate_limit_every": 3, "rate_limit_headers": ("x-ratelimit-resets",)},
        {"gzip": True},
        {"narrow_window_hangs": True, "empty_result_hangs": True},
    ],
    ids=lambda quirks: next(iter(quirks)),
)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_walks_are_exact_under_each_quirk(
    flavour: Flavour, order: str, quirks: dict[str, Any], concurrency: int
) -> None:
    fake = FakeVenice(400, now=NOW, quirks=Quirks(**quirks))
    walk = flavour.connect(fake).client.iter_usage(sort_order=order, page_size=60, concurrency=concurrency)
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])


async def test_page_with_its_own_cursor_is_not_delivered_twice(flavour: Flavour) -> None:
    instants = timestamps(NOW - timedelta(days=3), [0, 60, 120])
    fake = FakeVenice([row(instant) for instant in instants for _ in range(10)], now=NOW)
    fake.quirks.repeat_cursor_every = 2
    entries = await receive(flavour.connect(fake).client.iter_usage_history(page_size=10))
    assert as_wire(entries) == fake.ledger


async def test_slow_local_clock_loses_no_charge(fake: FakeVenice, flavour: Flavour) -> None:
    """The server decides where an open range ends, so the newest charge comes first although our clock is slow."""
    fake.book()
    face = flavour.connect(fake, _setup=Setup(clock=VirtualClock(NOW - timedelta(hours=1)), owns_http_client=True))
    assert as_wire(await receive(face.client.iter_usage(), 1)) == fake.ledger[-1:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_missing_history_falls_back_to_the_original_ledger(flavour: Flavour, order: str) -> None:
    fake = FakeVenice(500, now=NOW, original="alive", history=False)
    face = flavour.connect(fake)
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    assert as_wire(await receive(face.client.iter_usage(sort_order=order, page_size=100))) == expected
    assert {request.path for request in fake.requests[1:]} == {ORIGINAL}
    with pytest.raises(NotFoundError):
        await receive(face.client.iter_usage_history())


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_walk_falls_back_when_the_history_retires_midway(flavour: Flavour, order: str) -> None:
    fake = FakeVenice(500, now=NOW, original="alive")
    fake.quirks.faults = lambda seen: faults.status(410) if seen.path == HISTORY and seen.number > 4 else None
    walk = flavour.connect(fake).client.iter_usage(sort_order=order, page_size=60)
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])
    assert ORIGINAL in {request.path for request in fake.requests}


async def test_error_has_a_checkpoint_when_both_ledgers_are_gone(flavour: Flavour) -> None:
    fake = FakeVenice(500, now=NOW, original="alive", history=False)
    fake.quirks.faults = lambda seen: faults.status(410) if seen.path == ORIGINAL and seen.number > 3 else None
    client = flavour.connect(fake).client
    with pytest.raises(NotFoundError) as caught:
        await receive(client.iter_usage(page_size=100))
    fake.quirks.faults = ()
    rest = await receive(client.iter_usage(checkpoint=caught.value.checkpoint))
    assert as_wire(rest) == fake.ledger[::-1][200:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_new_usage_does_not_shift_a_walk_of_the_original_ledger(flavour: Flavour, order: str) -> None:
    """Charges booked behind the walk shift the pages; the walk still delivers each earlier charge exactly once."""
    fake = FakeVenice(300, now=NOW, original="alive", history=False)
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    (passed,) = timestamps(NOW, [-3600 if order == "desc" else -89 * 86_400])
    fake.quirks.arrivals = lambda seen: [row(passed)] if seen.number > 2 else []
    client = flavour.connect(fake).client
    assert as_wire(await receive(client.iter_usage(sort_order=order, page_size=40))) == expected
    assert len(fake.ledger) > 305


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


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_earliest_and_latest_datetimes_are_valid_bounds(
    fake: FakeVenice, face: Face, order: str, concurrency: int
) -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    for start, end in ((first, None), (None, last), (first, last)):
        walk = face.client.iter_usage_history(
            start_timestamp=start, end_timestamp=end, sort_order=order, concurrency=concurrency
        )
        assert len(await receive(walk)) == 600
    tomorrow = face.client.iter_usage_history(start_timestamp=NOW + timedelta(days=1), sort_order=order)
    assert await receive(tomorrow) == []


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


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_early_break_leaves_no_request_and_no_thread(fake: FakeVenice, face: Face, concurrency: int) -> None:
    """A walk that the caller has left sends no more requests, and none of its threads is left."""
    await receive(face.client.iter_usage_history(page_size=10, concurrency=concurrency), 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("venice-billing")]
    sent = len(fake.requests)
    await face.call("get_balance")
    assert len(fake.requests) == sent + 1


async def test_dead_end_is_a_server_error_with_the_last_timestamp(flavour: Flavour) -> None:
    fake = FakeVenice([row("2026-10-01T00:00:00.000Z")] * 2500, now=NOW, quirks=Quirks(dead_cursor_every=1))
    client = flavour.connect(fake).client
    with pytest.raises(ServerError, match="2026-10-01T00:00:00"):
        await receive(client.iter_usage_history(page_size=1000))

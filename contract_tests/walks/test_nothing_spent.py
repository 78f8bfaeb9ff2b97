"""A range without charges gives an empty result, even where the ledger hangs on empty or narrow ranges."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Flavour, as_wire, receive, row, timestamps
from venice_billing import BillingTimeoutError
from venice_billing._walk.types import DAY, Bounds
from venice_billing._walk.widening import Landmarks, wider_queries
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ORDERS = ("asc", "desc")
CONCURRENCIES = (1, 8)
MONTHS = {
    "before all charges": ("2026-03-01", "2026-04-01"),
    "between two charges": ("2026-08-01", "2026-09-01"),
    "after all charges": ("2026-10-05", "2026-11-01"),
    "after all charges, open": ("2026-10-05", None),
    "only an end, before all charges": (None, "2026-03-01"),
    "today": ("2026-11-01", None),
    "tomorrow": ("2026-11-02", "2026-11-03"),
    "a quarter of an hour ago": ("2026-11-01T11:50:00Z", None),
    "five minutes between two charges": ("2026-08-10T10:00:00Z", "2026-08-10T10:05:00Z"),
    "a minute a long time ago": ("2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"),
}


def hanging() -> Quirks:
    """Return the quirks of a ledger that hangs on empty or narrow ranges."""
    return Quirks(empty_result_hangs=True, narrow_window_hangs=True)


def account(**options: Any) -> FakeVenice:
    """Return an account with charges in USD in July and September, the last one weeks ago."""
    rng = random.Random(3)
    july = timestamps(
        datetime.fromisoformat("2026-07-03T00:00:00Z"), sorted(rng.uniform(0, 20 * 86_400) for _ in range(40))
    )
    autumn = timestamps(
        datetime.fromisoformat("2026-09-05T00:00:00Z"), sorted(rng.uniform(0, 20 * 86_400) for _ in range(40))
    )
    return FakeVenice([row(timestamp) for timestamp in july + autumn], now=NOW, quirks=hanging(), **options)


def pages_of(fake: FakeVenice) -> int:
    """Return how many requests followed a cursor or were answered."""
    return sum(1 for seen in fake.requests if seen.status is not None)


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("month", MONTHS)
async def test_an_empty_range_is_an_empty_walk(flavour: Flavour, month: str, order: str, concurrency: int) -> None:
    fake = account()
    start, end = MONTHS[month]
    walk = flavour.connect(fake).client.iter_usage_history(
        start_timestamp=start, end_timestamp=end, sort_order=order, concurrency=concurrency
    )
    assert await receive(walk) == []
    assert len(fake.requests) <= 1 + 4 + pages_of(fake)
    assert len(fake.requests) <= 8


@pytest.mark.parametrize("month", MONTHS)
async def test_an_empty_range_is_an_empty_page_and_a_csv_of_only_a_header(flavour: Flavour, month: str) -> None:
    fake = account()
    face = flavour.connect(fake)
    start, end = MONTHS[month]
    page = await face.call("get_usage_history", start_timestamp=start, end_timestamp=end)
    assert (page.data, page.next_cursor) == ([], None)
    assert len(fake.requests) <= 1 + 4
    document = await face.call("get_usage_history", format="csv", start_timestamp=start, end_timestamp=end)
    assert document.startswith(b"timestamp,sku,")
    assert document.count(b"\n") == 1
    assert document.next_cursor is None


@pytest.mark.parametrize("concurrency", CONCURRENCIES)
@pytest.mark.parametrize("month", ["between two charges", "after all charges", "today"])
async def test_an_empty_range_is_an_export_of_only_a_header(
    flavour: Flavour, tmp_path: Path, month: str, concurrency: int
) -> None:
    start, end = MONTHS[month]
    export = await flavour.connect(account()).call(
        "export_usage_csv",
        tmp_path / "usage.csv",
        start_timestamp=start,
        end_timestamp=end,
        concurrency=concurrency,
    )
    assert export.rows == 0
    assert (tmp_path / "usage.csv").read_text().startswith("timestamp,sku,")


@pytest.mark.parametrize(
    "bounds", [(None, None), ("2026-09-01", "2026-10-01"), (None, "2026-09-10"), ("2026-10-20", None)]
)
@pytest.mark.parametrize("concurrency", CONCURRENCIES)
@pytest.mark.parametrize("order", ORDERS)
async def test_an_unused_currency_is_an_empty_walk(
    flavour: Flavour, bounds: tuple[str | None, str | None], order: str, concurrency: int
) -> None:
    """The account hangs on every query for that currency, so the last query covers all currencies."""
    fake = account()
    walk = flavour.connect(fake).client.iter_usage_history(
        currency="DIEM",
        start_timestamp=bounds[0],
        end_timestamp=bounds[1],
        sort_order=order,
        concurrency=concurrency,
        page_size=10,
    )
    assert await receive(walk) == []
    assert len(fake.requests) <= 1 + 4


async def test_an_unused_currency_is_an_empty_page_and_an_empty_export(flavour: Flavour, tmp_path: Path) -> None:
    face = flavour.connect(account())
    assert (await face.call("get_usage_history", currency="DIEM")).data == []
    assert (await face.call("get_usage_history", currency="DIEM", format="csv")).count(b"\n") == 1
    assert (await face.call("export_usage_csv", tmp_path / "usage.csv", currency="DIEM")).rows == 0
    assert (tmp_path / "usage.csv").read_bytes().count(b"\n") == 1


async def test_csv_without_a_currency_column_cannot_be_filtered_by_currency(flavour: Flavour) -> None:
    fake = account()
    header = ",".join(["timestamp", *(f"column{number}" for number in range(11))])
    fake.quirks.csv_layouts = [CsvLayout(header=header)]
    with pytest.raises(Exception, match="no column names the currency"):
        await flavour.connect(fake).call("get_usage_history", currency="DIEM", format="csv")


@pytest.mark.parametrize("order", ORDERS)
async def test_a_currency_used_once_is_found_among_the_others(flavour: Flavour, order: str) -> None:
    """It is filtered from a long ledger page by page; pages without a row of the currency still count as progress."""
    rows = [row(timestamp) for timestamp in timestamps(NOW - timedelta(days=40), range(0, 5000 * 60, 60))]
    rows[4000] = {**rows[4000], "currency": "DIEM"}
    fake = FakeVenice(rows, now=NOW)
    hang = faults.hang()
    fake.quirks.faults = lambda seen: hang if seen.param("currency") else None
    walk = flavour.connect(fake).client.iter_usage_history(currency="DIEM", sort_order=order)
    assert as_wire(await receive(walk)) == fake.rows(currency="DIEM") != []
    assert len(fake.requests) <= (1 + 1 + 5 if order == "asc" else 30)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("month", ["before all charges", "between two charges", "after all charges", "today"])
async def test_an_empty_range_of_the_original_ledger_is_an_empty_walk(flavour: Flavour, month: str, order: str) -> None:
    start, end = MONTHS[month]
    for currency in (None, "DIEM"):
        fake = account(original="alive", history=False)
        walk = flavour.connect(fake).client.iter_usage(
            start_date=start, end_date=end, sort_order=order, currency=currency
        )
        assert await receive(walk) == []
        assert len(fake.requests) <= 1 + 1 + 4 + 1


async def test_an_account_without_a_charge_is_a_timeout_everywhere(flavour: Flavour, tmp_path: Path) -> None:
    """Such an account answers no query at all, and a wrong zero would be worse than an error."""
    fake = FakeVenice(0, now=NOW, quirks=hanging())
    face = flavour.connect(fake)
    month: dict[str, Any] = {"start_timestamp": "2026-09-01", "end_timestamp": "2026-10-01"}
    for arguments in ({}, month):
        for walk in (
            face.client.iter_usage_history(**arguments),
            face.client.iter_usage_history(**arguments, sort_order="desc"),
            face.client.iter_usage_history(**arguments, concurrency=8),
            face.client.iter_usage_history(**arguments, currency="USD"),
        ):
            del fake.requests[:]
            with pytest.raises(BillingTimeoutError) as caught:
                await receive(walk)
            assert "at least a day" not in str(caught.value)
            assert len(fake.requests) <= 1 + 4
        with pytest.raises(BillingTimeoutError):
            await face.call("get_usage_history", **arguments)
        with pytest.raises(BillingTimeoutError):
            await face.call("export_usage_csv", tmp_path / "usage.csv", **arguments)


async def test_an_empty_ledger_that_answers_a_wider_query_is_empty(flavour: Flavour) -> None:
    fake = FakeVenice(0, now=NOW, quirks=Quirks(narrow_window_hangs=True))
    page = await flavour.connect(fake).call("get_usage_history", start_timestamp=NOW - timedelta(minutes=5))
    assert page.data == []
    assert len(fake.requests) == 2


async def test_an_accidental_hang_gives_no_wrong_zero(flavour: Flavour) -> None:
    """The result holds the rows of the range, no matter how many of the queries hang by accident."""
    fake = account()
    september = fake.rows(start="2026-09-01T00:00:00Z", end="2026-10-01T00:00:00Z")
    for hanging in range(1, 5):
        fake.quirks = Quirks(faults=[faults.hang()] * hanging)
        walk = flavour.connect(fake).client.iter_usage_history(start_timestamp="2026-09-01", end_timestamp="2026-10-01")
        assert as_wire(await receive(walk)) == september
        fake.quirks.faults = [faults.hang()] * hanging
        page = await flavour.connect(fake).call(
            "get_usage_history", start_timestamp="2026-09-01", end_timestamp="2026-10-01", page_size=10
        )
        assert as_wire(page.data) == september


async def test_a_504_is_not_bridged_by_wider_queries(flavour: Flavour) -> None:
    """A 504 means that the range is already too long, so no wider range is requested."""
    fake = account()
    fake.quirks.faults = lambda _: faults.status(504)
    with pytest.raises(BillingTimeoutError) as caught:
        await receive(flavour.connect(fake).client.iter_usage_history(start_timestamp="2026-09-01"))
    assert caught.value.status_code == 504
    assert len(fake.requests) == 1


async def test_dead_cursors_on_the_way_to_a_range_are_bridged(flavour: Flavour) -> None:
    """Reading continues where the cursor died, not at the beginning of the ledger."""
    rows = [row(timestamp) for timestamp in timestamps(NOW - timedelta(days=40), range(0, 20_000 * 60, 60))]
    fake = FakeVenice(rows, now=NOW)
    start = NOW - timedelta(days=24)
    fake.quirks = Quirks(dead_cursor_every=2)
    fake.quirks.faults = lambda seen: (
        faults.hang() if (seen.param("startTimestamp") or "") > "2026-10-07" or seen.param("endTimestamp") else None
    )
    walk = flavour.connect(fake).client.iter_usage_history(start_timestamp=start, end_timestamp=start + timedelta(1))
    assert await receive(walk) == []


@given(
    hours=st.lists(st.integers(1, 24 * 120), min_size=1, max_size=30),
    diem=st.lists(st.integers(1, 24 * 120), max_size=4),
    window=st.tuples(st.integers(1, 24 * 130), st.integers(1, 24 * 20)),
    currency=st.sampled_from([None, "USD", "DIEM", "BUNDLED_CREDITS"]),
    order=st.sampled_from(ORDERS),
    is_open=st.booleans(),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_range_of_any_ledger_yields_its_rows(
    *,
    hours: list[int],
    diem: list[int],
    window: tuple[int, int],
    currency: str | None,
    order: Literal["asc", "desc"],
    is_open: bool,
) -> None:
    rows = [row(timestamp) for timestamp in timestamps(NOW, [-3600 * hour for hour in hours])]
    rows += [row(timestamp, currency="DIEM") for timestamp in timestamps(NOW, [-3600 * hour for hour in diem])]
    fake = FakeVenice(rows, now=NOW, quirks=hanging())
    start = NOW - timedelta(hours=window[0])
    end = None if is_open else start + timedelta(hours=window[1])
    truth = fake.rows(currency=currency, start=start, end=end)
    with fake.client() as client:
        walk = client.iter_usage_history(
            currency=currency,
            start_timestamp=start,
            end_timestamp=end,
            sort_order=order,
            page_size=10,
        )
        assert as_wire(list(walk)) == (truth if order == "asc" else truth[::-1])
        page = client.get_usage_history(currency=currency, start_timestamp=start, end_timestamp=end)
        assert as_wire(page.data) == truth
        document = client.get_usage_history(format="csv", currency=currency, start_timestamp=start, end_timestamp=end)
        assert document.count(b"\n") == 1 + len(truth)


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("start", [None, NOW - timedelta(minutes=5), NOW - timedelta(days=3), NOW + timedelta(days=3)])
@pytest.mark.parametrize("width", [None, timedelta(minutes=5), timedelta(days=40)])
@pytest.mark.parametrize("known", [None, NOW - timedelta(days=300)])
def test_wider_queries_are_few_and_contain_the_range(
    start: datetime | None, width: timedelta | None, known: datetime | None, *, filtered: bool
) -> None:
    """There are at most four, none narrower than a day and none repeated; each contains the range."""
    bounds = Bounds(start, None if width is None else (start or NOW) + width)
    queries = list(wider_queries(bounds, NOW, filtered=filtered, known=known))
    assert len(queries) <= 4
    assert len(set(queries)) == len(queries)
    for query in queries:
        begin, end = query.bounds.start, query.bounds.end
        assert end is None
        assert begin is None or (begin <= NOW - DAY and (start is not None and begin <= start))
    if filtered or bounds != Bounds():
        assert queries[-1].bounds == Bounds()
        assert queries[-1].any_currency == filtered


def test_a_landmark_is_the_nearest_known_charge_before() -> None:
    landmarks = Landmarks()
    for day in range(1000):
        landmarks.add(NOW + timedelta(days=day))
    assert landmarks.before(NOW + timedelta(days=990)) == NOW + timedelta(days=989)
    assert landmarks.before(NOW) is None
    assert landmarks.before(None) is None

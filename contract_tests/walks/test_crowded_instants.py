"""More charges at one instant than 200 pages hold: a walk continues with the largest pages, and still ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW, ORIGINAL, Flavour, as_wire, receive, row
from contract_tests.support.memory_ledger import EVERYTHING, START, MemoryLedger, Row, received
from venice_billing import BillingTimeoutError, CursorRejectedError, ServerError, VeniceError
from venice_billing._walk.sequential import sequential
from venice_billing._walk.tracker import STALLED_PAGES
from venice_billing._walk.types import Bounds, Page, Position
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing._call import Steps
    from venice_billing._walk.types import Order

pytestmark = pytest.mark.anyio

CROWD = 10 * STALLED_PAGES + 105
"""More charges than a walk by pages of ten gets past."""
CHECKS = 1
"""At a crowded instant a walk is reopened once, to settle whether equal rows at a page border are several charges."""
MOST_REQUESTS = STALLED_PAGES + 20
ORDERS = pytest.mark.parametrize("order", ["asc", "desc"])
AT_ONCE = pytest.mark.parametrize("concurrency", [1, 4])


@pytest.fixture
def fake() -> FakeVenice:
    return crowded()


def crowded(**options: Any) -> FakeVenice:
    """Return an account with five charges before and five after a crowded instant; every third charge differs."""
    instants = [
        *(f"2026-09-14T0{hour}:00:00.000Z" for hour in range(5)),
        *["2026-09-15T00:00:00.000Z"] * CROWD,
        *(f"2026-09-16T0{hour}:00:00.000Z" for hour in range(5)),
    ]
    rows = [row(instant, notes=f"note {number % 3}") for number, instant in enumerate(instants)]
    return FakeVenice(rows, now=NOW, **options)


def in_order(fake: FakeVenice, order: str) -> list[Any]:
    return list(fake.ledger if order == "asc" else fake.ledger[::-1])


@ORDERS
@AT_ONCE
async def test_a_walk_in_small_pages_gets_past_a_crowded_instant(
    flavour: Flavour, fake: FakeVenice, order: str, concurrency: int
) -> None:
    walk = flavour.connect(fake).client.iter_usage_history(page_size=10, sort_order=order, concurrency=concurrency)
    assert as_wire(await receive(walk)) == in_order(fake, order)
    assert len(fake.requests) <= MOST_REQUESTS


@AT_ONCE
async def test_an_export_in_small_pages_gets_past_a_crowded_instant(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, concurrency: int
) -> None:
    face = flavour.connect(fake)
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=10, concurrency=concurrency)
    assert export.rows == len(fake.ledger)
    whole = await face.call("get_usage_history", format="csv", page_size=1000)
    assert (tmp_path / "usage.csv").read_bytes().startswith(bytes(whole))


async def test_an_export_resumes_within_a_crowded_instant(flavour: Flavour, fake: FakeVenice, tmp_path: Path) -> None:
    fake.quirks.faults = lambda seen: faults.status(403) if seen.number > 4 else None
    face = flavour.connect(fake)
    path = tmp_path / "usage.csv"
    with pytest.raises(VeniceError):
        await face.call("export_usage_csv", path, page_size=10)
    fake.quirks.faults = ()
    export = await face.call("export_usage_csv", path, page_size=10)
    assert export.rows == len(fake.ledger)
    assert 1000 <= export.resumed_rows < CROWD


@ORDERS
async def test_original_pages_get_past_a_crowded_instant(flavour: Flavour, order: str) -> None:
    fake = crowded(original="alive", history=False)
    walk = flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order)
    assert as_wire(await receive(walk)) == in_order(fake, order)
    assert {seen.param("limit") for seen in fake.requests if seen.path == ORIGINAL} == {"10", "500", "250"}


@ORDERS
@AT_ONCE
@pytest.mark.parametrize("count", [700, CROWD - 5], ids=["some received", "more received than 200 pages hold"])
async def test_a_checkpoint_in_a_crowded_instant_resumes_in_small_pages(
    flavour: Flavour, fake: FakeVenice, order: str, concurrency: int, count: int
) -> None:
    client = flavour.connect(fake).client
    walk = client.iter_usage_history(sort_order=order, max_items=count)
    first = await receive(walk)
    rest = client.iter_usage_history(checkpoint=walk.checkpoint, page_size=10, concurrency=concurrency)
    assert as_wire(first + await receive(rest)) == in_order(fake, order)


@ORDERS
async def test_a_checkpoint_in_a_crowded_instant_resumes_in_original_pages(flavour: Flavour, order: str) -> None:
    fake = crowded(original="alive", history=False)
    client = flavour.connect(fake).client
    walk = client.iter_usage(sort_order=order, max_items=CROWD - 5)
    first = await receive(walk)
    rest = client.iter_usage(checkpoint=walk.checkpoint, page_size=10)
    assert as_wire(first + await receive(rest)) == in_order(fake, order)


@pytest.mark.parametrize("format", ["json", "csv"])
async def test_a_single_page_of_a_hanging_range_reads_a_crowded_instant(
    flavour: Flavour, fake: FakeVenice, format: str
) -> None:
    """Wider queries find the range, and use the largest pages from the start."""
    fake.quirks.faults = lambda seen: faults.hang() if seen.param("endTimestamp") else None
    asked = {"start_timestamp": "2026-09-15", "end_timestamp": "2026-09-16", "page_size": 10, "format": format}
    page = await flavour.connect(fake).call("get_usage_history", **asked)
    assert (len(page.data) if format == "json" else page.count(b"\n") - 1) == CROWD


def crowd(rows: int, *, later: bool = True) -> list[Row]:
    """Return `rows` rows of one instant, and optionally one a day later."""
    return [*[Row(START, "same")] * rows, *[Row(START + timedelta(days=1), "later")] * later]


@ORDERS
@pytest.mark.parametrize(
    ("crowded_rows", "sizes"),
    [
        ([Row(START, f"row {number}") for number in range(CROWD)], [10, 1000]),
        (crowd(CROWD, later=False), [10, 1000, 500]),
    ],
    ids=["different charges", "equal charges"],
)
def test_a_walk_keeps_large_pages_after_a_crowded_instant(
    order: Order, crowded_rows: list[Row], sizes: list[int]
) -> None:
    """Equal charges at the borders of the largest pages are counted in pages of half the size."""
    rows = crowded_rows + [Row(START + timedelta(days=sign * days), "far") for days in range(1, 40) for sign in (1, -1)]
    ledger = MemoryLedger(rows)
    walked = received(sequential(ledger, EVERYTHING, order, Position(), 10))
    assert walked == (ledger.rows if order == "asc" else ledger.rows[::-1])
    assert ledger.sizes == sizes


def test_pages_of_only_known_rows_switch_to_the_largest_page_size() -> None:
    """The position does not move then, and no page size but the largest would help."""
    ledger = MemoryLedger(crowd(CROWD))
    position = Position(START, {"same": CROWD - 1})
    assert received(sequential(ledger, EVERYTHING, "asc", position, 10)) == ledger.rows[-2:]
    assert ledger.sizes == [10, 1000, 500]


@pytest.mark.parametrize(
    "rows",
    [crowd(20 * STALLED_PAGES + 19), crowd(20 * STALLED_PAGES + 20, later=False)],
    ids=["then a later row", "then nothing"],
)
def test_an_instant_may_fill_200_of_the_largest_pages(rows: list[Row]) -> None:
    ledger = MemoryLedger(rows)
    ledger.largest_page = 20
    assert received(sequential(ledger, EVERYTHING, "asc", Position(), 10)) == ledger.rows


@pytest.mark.parametrize("page_size", [10, 20, 1000, None])
def test_an_instant_beyond_200_of_the_largest_pages_is_an_error(page_size: int | None) -> None:
    ledger = MemoryLedger(crowd(20 * STALLED_PAGES + 20), 20)
    ledger.largest_page = 20
    capped = page_size and min(page_size, 20)
    with pytest.raises(ServerError, match="does not end"):
        received(sequential(ledger, EVERYTHING, "asc", Position(), capped))
    assert ledger.sizes == ([10, 20] if page_size == 10 else [capped] * (1 + CHECKS))
    assert ledger.requests <= 2 * STALLED_PAGES + 2 + 2 * CHECKS


class HangsUnlessOpen(MemoryLedger):
    """Answers only ranges without an end, with pages of ten rows."""

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        if bounds.end is not None:
            raise BillingTimeoutError("no answer")
        return (yield from super().open(EVERYTHING, order, page_size))


def test_wider_queries_are_not_repeated_with_larger_pages() -> None:
    """They use the largest pages from the start."""
    ledger = HangsUnlessOpen(crowd(CROWD), 10)
    with pytest.raises(ServerError, match="does not end"):
        received(sequential(ledger, Bounds(START, START + timedelta(days=2)), "asc", Position(), 10))
    assert ledger.requests == STALLED_PAGES + 1 + 2 * CHECKS


def test_empty_pages_do_not_count_as_a_crowded_instant() -> None:
    """Larger pages would be empty too."""
    ledger = MemoryLedger(crowd(10_000), 10, lambda _, page: Page([], page.following, page.state))
    with pytest.raises(ServerError, match="does not end"):
        received(sequential(ledger, EVERYTHING, "asc", Position(), 10))
    assert ledger.requests == 1 + STALLED_PAGES  # the first empty page is asked for again


def test_empty_pages_within_one_instant_do_not_prolong_a_walk() -> None:
    ledger = MemoryLedger(
        crowd(100_000), 10, lambda number, page: Page([], page.following, page.state) if number % 2 else page
    )
    ledger.largest_page = 20
    with pytest.raises(ServerError, match="does not end"):
        received(sequential(ledger, EVERYTHING, "asc", Position(), 10))
    assert ledger.requests <= 2 * STALLED_PAGES + 4 + 4 * CHECKS


def test_dead_cursors_in_a_received_crowded_instant_are_an_error() -> None:
    """A walk does not alternate forever between a page size that ends in the instant and one that fails within it."""

    def spoil(_: int, page: Page[Row]) -> Page[Row]:
        if page.state[2] == 1000 and page.state[1] > 1000:  # type: ignore[index]
            raise CursorRejectedError("rejected", status_code=400)
        return page

    ledger = MemoryLedger(crowd(1000 * STALLED_PAGES), 10, spoil)
    position = Position(START, {"same": 1000 * STALLED_PAGES})
    with pytest.raises(ServerError, match="reopenings"):
        received(sequential(ledger, EVERYTHING, "asc", position, 10))
    assert ledger.sizes == [10, 1000, 1000, 993, 1000, 993, 986, 979]


@pytest.mark.parametrize(
    ("page_size", "sizes"),
    [
        (10, [10, 10, 500, 10, 500, 493, 486]),
        (500, [500, 500, 493, 486, 479]),
        (None, [500, 500, 493, 486, 479]),
    ],
)
async def test_each_reopening_of_original_pages_uses_another_page_size(
    flavour: Flavour, page_size: int | None, sizes: list[int]
) -> None:
    """The ledger's largest page size comes first, then smaller ones: the server caps larger ones to the largest."""
    fake = FakeVenice([row("2026-09-15T00:00:00.000Z")] * 1200, now=NOW, original="alive", history=False)
    fake.quirks.faults = lambda seen: faults.status(500) if seen.param("page") not in {None, "1"} else None
    client = flavour.connect(fake, max_retries=0).client
    with pytest.raises(ServerError, match="reopenings"):
        await receive(client.iter_usage(page_size=page_size, sort_order="asc"))
    assert [int(str(seen.param("limit"))) for seen in fake.requests if seen.param("page") == "1"] == sizes

"""Servers that make no progress: every way of reading ends in an error after a bounded number of pages.

The error names the position and carries a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.support.flavours import NOW, ORIGINAL, Face, Flavour, as_wire, receive, row, timestamps
from contract_tests.support.memory_ledger import EVERYTHING, START, MemoryLedger, Row, backwards, ledger_rows, received
from venice_billing import BillingTimeoutError, ResponseValidationError, ServerError, VeniceError
from venice_billing._walk.sequential import sequential
from venice_billing._walk.tracker import STALLED_PAGES
from venice_billing._walk.types import Bounds, Order, Page, Position
from venice_billing.testing import FakeVenice, SeenRequest, faults
from venice_billing.testing._account import complete_row
from venice_billing.testing._text import CSV_COLUMNS, to_csv_record, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing._call import Steps
    from venice_billing.testing._responses import Response

pytestmark = pytest.mark.anyio

MONTH = {"start_timestamp": "2026-09-01", "end_timestamp": "2026-10-01"}
Way = Callable[[Face, "Path"], Awaitable[Any]]
WALKS: dict[str, Way] = {
    f"{order}, {concurrency} at once": lambda face, _, order=order, concurrency=concurrency: receive(
        face.client.iter_usage_history(sort_order=order, concurrency=concurrency, page_size=10, **MONTH)
    )
    for order in ("asc", "desc")
    for concurrency in (1, 8)
} | {
    "export": lambda face, folder: face.call("export_usage_csv", folder / "a.csv", page_size=10, **MONTH),
    "export, 8 at once": lambda face, folder: face.call(
        "export_usage_csv", folder / "a.csv", page_size=10, concurrency=8, **MONTH
    ),
}
PAGES: dict[str, Way] = {
    "one page": lambda face, _: face.call("get_usage_history", **MONTH),
    "one CSV page": lambda face, _: face.call("get_usage_history", format="csv", **MONTH),
}


def endless(timestamp: str | None) -> Callable[[SeenRequest], faults.Fault]:
    """Answer every request with ten rows of one instant, or with none, and with a new cursor."""
    rows = [] if timestamp is None else [complete_row(row(timestamp))] * 10

    def fault(seen: SeenRequest) -> faults.Fault:
        cursor = f"cursor-{seen.number}"

        def change(answer: Response) -> Response:
            fine = evolve(answer, status=200)
            if "csv" in seen.headers.get("accept", ""):
                lines = [",".join(CSV_COLUMNS), *map(to_csv_record, rows)]
                body = "".join(f"{line}\n" for line in lines).encode()
                return faults.body(body, content_type="text/csv").apply(fine).with_header("x-next-cursor", cursor)
            document: dict[str, Any] = {"data": rows, "nextCursor": cursor}
            if seen.path == ORIGINAL:
                page = int(seen.param("page") or 1)
                document["pagination"] = {"limit": 10, "page": page, "total": 10**9, "totalPages": 10**8}
            return faults.body(to_json(document).encode(), content_type="application/json").apply(fine)

        return faults.Fault("endless", change)

    return fault


def hanging_first(then: Callable[[SeenRequest], faults.Fault]) -> Callable[[SeenRequest], faults.Fault]:
    """Let every request with an end hang, so that wider ranges are requested."""
    return lambda seen: faults.hang() if seen.param("endTimestamp") else then(seen)


@pytest.mark.parametrize("way", WALKS)
@pytest.mark.parametrize("timestamp", [None, "2026-09-30T12:00:00.000Z"], ids=["empty pages", "one instant"])
async def test_a_walk_without_progress_ends_in_an_error(
    flavour: Flavour, tmp_path: Path, way: str, timestamp: str | None
) -> None:
    fake = FakeVenice(0, now=NOW)
    fake.quirks.faults = endless(timestamp)
    with pytest.raises(ServerError, match="does not end") as caught:
        await WALKS[way](flavour.connect(fake), tmp_path)
    has_nothing_to_continue = way.startswith("export") and timestamp is None
    assert (caught.value.checkpoint is None) is has_nothing_to_continue
    assert STALLED_PAGES <= len(fake.requests) <= 2 * STALLED_PAGES + 10


@pytest.mark.parametrize("way", [*WALKS, *PAGES])
@pytest.mark.parametrize("timestamp", [None, "2026-08-15T00:00:00.000Z"], ids=["empty pages", "pages before the range"])
async def test_a_wider_query_without_progress_ends_in_an_error(
    flavour: Flavour, tmp_path: Path, way: str, timestamp: str | None
) -> None:
    """Its pages are followed towards the range, but not forever."""
    fake = FakeVenice(0, now=NOW)
    fake.quirks.faults = hanging_first(endless(timestamp))
    with pytest.raises(VeniceError) as caught:
        await (WALKS | PAGES)[way](flavour.connect(fake), tmp_path)
    assert isinstance(caught.value, ServerError | ResponseValidationError)
    assert len(fake.requests) <= 2 * STALLED_PAGES + 20


@pytest.mark.parametrize("way", ["asc, 1 at once", "asc, 8 at once", "desc, 1 at once", "export"])
async def test_pages_entirely_before_the_range_are_refused(flavour: Flavour, tmp_path: Path, way: str) -> None:
    fake = FakeVenice(0, now=NOW)
    fake.quirks.faults = endless("2026-08-15T00:00:00.000Z")
    with pytest.raises(ResponseValidationError, match="range asked for") as caught:
        await WALKS[way](flavour.connect(fake), tmp_path)
    assert (caught.value.checkpoint is None) is (way == "export")  # it has nothing to continue
    assert len(fake.requests) == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("timestamp", [None, "2026-09-30T12:00:00.000Z"], ids=["empty pages", "one instant"])
async def test_original_pages_without_progress_end_in_an_error(
    flavour: Flavour, order: str, timestamp: str | None
) -> None:
    fake = FakeVenice(0, now=NOW, original="alive", history=False)
    fake.quirks.faults = lambda seen: endless(timestamp)(seen) if seen.path == ORIGINAL else None
    walk = flavour.connect(fake).client.iter_usage(sort_order=order, start_date="2026-09-01", end_date="2026-10-01")
    with pytest.raises(ServerError, match="does not end") as caught:
        await receive(walk)
    assert caught.value.checkpoint == walk.checkpoint
    assert len(fake.requests) <= STALLED_PAGES + 10


async def test_the_checkpoint_resumes_once_the_server_has_recovered(flavour: Flavour) -> None:
    """The rows of the one instant were genuine charges: they were delivered, and are not delivered again."""
    fake = FakeVenice([row("2026-09-15T00:00:00.000Z")] * 2500, now=NOW)
    fake.quirks.faults = endless("2026-09-15T00:00:00.000Z")
    client = flavour.connect(fake).client
    walk = client.iter_usage_history(page_size=10, **MONTH)
    received_first: list[Any] = []
    with pytest.raises(ServerError, match="does not end") as caught:
        await receive(walk, into=received_first)
    assert len(received_first) == 10 * STALLED_PAGES
    fake.quirks.faults = ()
    rest = await receive(client.iter_usage_history(page_size=1000, checkpoint=caught.value.checkpoint, **MONTH))
    assert as_wire(received_first + rest) == fake.ledger


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("empty", [1, 2, 7])
async def test_empty_first_pages_with_a_cursor_are_followed(flavour: Flavour, order: str, empty: int) -> None:
    """Also newest first, where the first request could make the ledger look empty."""
    fake = FakeVenice([row(timestamp) for timestamp in timestamps(NOW, range(-5000, 0, 100))], now=NOW)

    later: list[bytes] = []

    def delayed(seen: SeenRequest) -> faults.Fault | None:
        """Send `empty` empty pages before the first page of a query."""
        token = seen.param("cursor") or ""
        number = int(token.removeprefix("empty-")) if token.startswith("empty-") else 0
        if seen.param("cursor") is not None and not token.startswith("empty-"):
            return None
        if number == empty:
            return faults.Fault("at last", lambda answer: evolve(answer, status=200, body=later[-1]))

        def change(answer: Response) -> Response:
            if number == 0:
                later.append(answer.body)
            body = json.dumps({"data": [], "nextCursor": f"empty-{number + 1}"}).encode()
            return faults.body(body, content_type="application/json").apply(evolve(answer, status=200))

        return faults.Fault("empty at first", change)

    fake.quirks.faults = delayed
    walk = flavour.connect(fake).client.iter_usage_history(sort_order=order)
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])


class NarrowHangs(MemoryLedger):
    """Answers ranges without an end with the whole ledger; other ranges hang."""

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        if bounds.end is not None:
            raise BillingTimeoutError("no answer")
        return (yield from super().open(EVERYTHING, order, page_size))


def test_a_wider_query_that_begins_far_away_reaches_the_range() -> None:
    """It takes many more pages than the bound: as long as timestamps advance, there is progress."""
    rows = [Row(START + timedelta(minutes=number), f"row {number}") for number in range(25 * STALLED_PAGES)]
    ledger = NarrowHangs(rows, 10)
    assert received(sequential(ledger, Bounds(rows[-5].at, rows[-2].at), "asc", Position())) == rows[-5:-2]
    assert ledger.requests > 2 * STALLED_PAGES


def test_newest_first_follows_an_empty_first_page() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return Page([], "cursor-0", (ledger.rows, 0, 10)) if number == 1 else page

    ledger = MemoryLedger(ledger_rows(0, 10, 20), 10, spoil)
    assert received(backwards(ledger)) == ledger.rows[::-1]

"""Pages that repeat rows of the page before: every way of reading gives each charge once, or an error.

Rows have no id, so a row that came twice looks like two equal charges. Only counting tells them apart.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW, ORIGINAL, Flavour, as_wire, receive, row, timestamps
from contract_tests.support.memory_ledger import START, MemoryLedger, Row, received
from contract_tests.support.page_orders import WALKS, OffsetPages
from venice_billing import ResponseValidationError
from venice_billing._walk.lost import BrokenWalkError
from venice_billing._walk.sequential import sequential
from venice_billing._walk.start import oldest_first
from venice_billing._walk.types import Bounds, Page, Position
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venice_billing._call import Steps
    from venice_billing.testing import SeenRequest

pytestmark = pytest.mark.anyio

AT_ONCE = pytest.mark.parametrize("concurrency", [1, 8])
OVERLAPS = pytest.mark.parametrize(
    "overlap", [{"overlap": 1}, {"overlap": 3}, {"overlap": 1, "behind_a_new_row": True}], ids=str
)


def one_by_one() -> FakeVenice:
    """Return an account with charges at different times, on many more pages than a walk checks for equal charges."""
    instants = timestamps(NOW, range(-1200 * 500, 0, 1200))
    return FakeVenice([row(at, notes=f"charge {number}") for number, at in enumerate(instants)], now=NOW)


def at_one_instant(count: int = 35) -> FakeVenice:
    """Return an account with different charges at one instant, and some before and after it."""
    instants = [*["2026-09-14T00:00:00.000Z"] * 5, *["2026-09-15T00:00:00.000Z"] * count, "2026-09-17T00:00:00.000Z"]
    return FakeVenice([row(at, notes=f"charge {number}") for number, at in enumerate(instants)], now=NOW)


@pytest.mark.parametrize("overlap", [1, 3])
@pytest.mark.parametrize("way", WALKS)
async def test_a_cursor_that_includes_the_last_rows_repeats_no_charge(flavour: Flavour, way: str, overlap: int) -> None:
    fake = one_by_one()
    fake.quirks.faults = OffsetPages(fake, overlap=overlap).fault
    entries = await receive(flavour.connect(fake).client.iter_usage_history(page_size=10, **WALKS[way]))
    assert as_wire(entries) == (fake.ledger if way.startswith("asc") else fake.ledger[::-1])


@AT_ONCE
async def test_a_cursor_that_includes_the_last_row_repeats_no_charge_in_an_export(
    flavour: Flavour, tmp_path: Path, concurrency: int
) -> None:
    fake = one_by_one()
    fake.quirks.faults = OffsetPages(fake, overlap=1).fault
    face = flavour.connect(fake)
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=10, concurrency=concurrency)
    assert export.rows == len(fake.ledger)


@OVERLAPS
@pytest.mark.parametrize("way", WALKS)
async def test_charges_at_one_instant_come_once(flavour: Flavour, way: str, overlap: dict[str, Any]) -> None:
    """Wherever on the next page they are repeated."""
    fake = at_one_instant()
    fake.quirks.faults = OffsetPages(fake, **overlap).fault
    entries = await receive(flavour.connect(fake).client.iter_usage_history(page_size=10, **WALKS[way]))
    assert sorted(entry.notes for entry in entries) == sorted(each["notes"] for each in fake.ledger)


@AT_ONCE
@OVERLAPS
async def test_records_at_one_instant_come_once(
    flavour: Flavour, tmp_path: Path, concurrency: int, overlap: dict[str, Any]
) -> None:
    fake = at_one_instant()
    fake.quirks.faults = OffsetPages(fake, **overlap).fault
    face = flavour.connect(fake)
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=10, concurrency=concurrency)
    assert export.rows == len(fake.ledger)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_original_pages_that_overlap_are_refused(flavour: Flavour, order: str) -> None:
    """They have more entries than their total says."""
    fake = FakeVenice(one_by_one().ledger[:95], now=NOW, original="alive", history=False)
    fake.quirks.faults = repeating_last_rows()
    walk = flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order)
    with pytest.raises(ResponseValidationError, match="their total is"):
        await receive(walk)


def repeating_last_rows() -> Callable[[SeenRequest], faults.Fault | None]:
    """Let each page of the original ledger begin with the last row of the page before."""
    last: list[Any] = []

    def repeat(document: Any) -> None:
        page = document["data"]
        if document["pagination"]["page"] > 1:
            page.insert(0, last[-1])
        last.append(page[-1])

    return lambda seen: faults.edit(repeat) if seen.path == ORIGINAL else None


class Overlapping(MemoryLedger):
    """Pages of at most 20 rows, each of which begins with the last row of the page before."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__(rows, 20)
        self.largest_page = 20

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        yield from ()
        assert isinstance(page.state, tuple)
        chosen, end, size = page.state
        return self._page(chosen, end - 1, size)


@pytest.mark.parametrize("count", [21, 39, 40, 77, 200])
@pytest.mark.parametrize("names", [1, 7, 1000])
@pytest.mark.parametrize("later", [0, 1, 30])
@pytest.mark.parametrize("page_size", [None, 10])
def test_more_rows_at_an_instant_than_the_largest_page_has_are_refused_if_pages_overlap(
    count: int, names: int, later: int, page_size: int | None
) -> None:
    rows = [Row(START, f"row {number % names}") for number in range(count)]
    rows += [Row(START + timedelta(days=1 + number), "later") for number in range(later)]
    with pytest.raises(BrokenWalkError, match="pages overlap"):
        received(sequential(Overlapping(rows), Bounds(), "asc", Position(), page_size))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_row_that_came_twice_does_not_use_up_the_checks(concurrency: int) -> None:
    """Only borders between equal charges do; here a row comes twice at more than 200 borders."""
    rows = [Row(START + timedelta(hours=number), f"row {number}") for number in range(2000)]
    ledger = Overlapping(rows)
    end = rows[-1].at + timedelta(hours=1)
    walk = oldest_first(ledger, Bounds(), Position(), now=end, page_size=10, concurrency=concurrency)
    assert received(walk) == rows

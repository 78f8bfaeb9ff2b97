"""Pages out of order: every way of reading gives the whole ledger or an error, and never a part of it in silence.

A walk reads on at the time of its last row, so rows of an earlier time that no page has had yet would be lost.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Flavour, as_wire, receive, row, timestamps
from contract_tests.support.memory_ledger import START, MemoryLedger, Row, ledger_rows, received
from contract_tests.support.page_orders import KINDS, WALKS, OffsetPages, disordered
from venice_billing import ResponseValidationError
from venice_billing._walk.sequential import sequential
from venice_billing._walk.start import oldest_first
from venice_billing._walk.types import Bounds, Page, Position
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

    from contract_tests.support.page_orders import Kind
    from venice_billing._walk.types import Order

pytestmark = pytest.mark.anyio


def account(count: int = 400) -> FakeVenice:
    """Return an account with a charge every 20 minutes."""
    rows = [
        row(at, notes=f"charge {number}") for number, at in enumerate(timestamps(NOW, range(-1200 * count, 0, 1200)))
    ]
    return FakeVenice(rows, now=NOW)


def check_reason(error: ResponseValidationError) -> None:
    """Check that an error says that pages, or rows of a page, are out of order."""
    assert "out of order" in str(error) or "ascend in time" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WALKS)
async def test_a_walk_over_disordered_pages_is_whole_or_an_error(flavour: Flavour, way: str, kind: Kind) -> None:
    fake = account()
    fake.quirks.faults = disordered(fake, kind)
    walk = flavour.connect(fake).client.iter_usage_history(page_size=10, **WALKS[way])
    try:
        entries = await receive(walk)
    except ResponseValidationError as error:
        check_reason(error)
        assert error.checkpoint == walk.checkpoint  # noqa: PT017 - either outcome is right
        return
    assert as_wire(entries) == (fake.ledger if way.startswith("asc") else fake.ledger[::-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_an_export_of_disordered_pages_is_whole_or_an_error(
    flavour: Flavour, tmp_path: Path, concurrency: int, kind: Kind
) -> None:
    """After the error, the next export starts over: rows may be missing from the partial file."""
    fake, target = account(), tmp_path / "usage.csv"
    face = flavour.connect(fake)
    fake.quirks.faults = disordered(fake, kind)
    try:
        done = await face.call("export_usage_csv", target, page_size=10, concurrency=concurrency)
    except ResponseValidationError as error:
        check_reason(error)
        assert not target.exists()
        fake.quirks.faults = ()
        done = await face.call("export_usage_csv", target, page_size=10, concurrency=concurrency)
        assert done.resumed_rows == 0
    assert done.rows == len(fake.ledger)
    assert all(f"charge {number}" in target.read_text() for number in range(len(fake.ledger)))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_with_unknown_rows_from_before_is_refused(flavour: Flavour, kind: Kind) -> None:
    """The walk by cursors always meets the page that goes back."""
    fake = account(60)
    fake.quirks.faults = disordered(fake, kind)
    with pytest.raises(ResponseValidationError, match="out of order"):
        await receive(flavour.connect(fake).client.iter_usage_history(page_size=10))


@pytest.mark.parametrize("late", [1, 2, 5])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_late_booking_that_shifts_the_pages_repeats_no_row(
    flavour: Flavour, tmp_path: Path, late: int, concurrency: int
) -> None:
    """Pages by offset: after a late booking, a page begins with the last rows of the page before."""
    face, pages = None, None
    for export in (False, True):
        fake = account(60)
        pages = OffsetPages(fake, late=late)
        fake.quirks.faults = pages.fault
        face = flavour.connect(fake)
        before = [text["notes"] for text in fake.ledger]
        if export:
            target = tmp_path / "usage.csv"
            await face.call("export_usage_csv", target, page_size=10, concurrency=concurrency, resume=False)
            notes = [line.split(",")[6] for line in target.read_text().splitlines()[1:]]
        else:
            walk = face.client.iter_usage_history(page_size=10, concurrency=concurrency)
            notes = [entry.notes for entry in await receive(walk)]
        counts = Counter(notes)
        assert not Counter(before) - counts, "no charge is lost"
        assert max(counts.values()) == 1, "no charge is repeated"


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_that_repeats_the_last_row_is_settled_by_counting(order: Order) -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return evolve(page, rows=[*last, *page.rows]) if number == 2 else page

    ledger = MemoryLedger(ledger_rows(0, 10, 20, 30, 40, 50), 2, spoil)
    truth = ledger.rows if order == "asc" else ledger.rows[::-1]
    last = truth[1:2]
    assert received(sequential(ledger, Bounds(), order, Position())) == truth
    assert len(ledger.opened) == 2


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 7))
def test_equal_charges_at_page_borders_are_all_delivered(seconds: list[int], size: int) -> None:
    rows = [Row(START + timedelta(seconds=second), "same") for second in seconds]
    ledger = MemoryLedger(rows, size)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows


@pytest.mark.parametrize("instants", [1, 400])
def test_equal_charges_at_page_borders_cost_few_requests(instants: int) -> None:
    """Each page border lies between two equal charges."""
    rows = [Row(START + timedelta(seconds=number * instants // 800), "same") for number in range(800)]
    ledger = MemoryLedger(rows, 5)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows
    assert ledger.requests <= 160 * 1.15 + 5


def test_the_windows_of_a_walk_share_the_limit_of_such_requests() -> None:
    rows = [Row(START + timedelta(hours=number // 2), "same") for number in range(4000)]
    ledger = MemoryLedger(rows, 5)
    walk = oldest_first(ledger, Bounds(), Position(), now=rows[-1].at + timedelta(hours=1), page_size=5, concurrency=8)
    assert received(walk) == ledger.rows
    assert ledger.requests <= 800 * 1.4


@pytest.mark.parametrize("back", [1, 2])
def test_pages_that_come_again_are_not_refused(back: int) -> None:
    """All their rows were delivered lately."""

    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return evolve(page, rows=ledger.rows[2 * (3 - back) : 2 * (4 - back)]) if number == 4 else page

    ledger = MemoryLedger(ledger_rows(*range(0, 120, 10)), 2, spoil)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows


def test_a_page_whose_rows_came_only_once_before_is_refused_if_it_has_them_twice() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return evolve(page, rows=[ledger.rows[2]] * 2) if number == 3 else page

    ledger = MemoryLedger(ledger_rows(*range(0, 120, 10)), 2, spoil)
    with pytest.raises(ResponseValidationError, match=r"1 entries from before .* out of order"):
        received(sequential(ledger, Bounds(), "asc", Position()))

"""Newest first over a ledger that pages only forwards: windows tile the range, none is narrow, few pages are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.support.memory_ledger import (
    NOW,
    START,
    MemoryLedger,
    Row,
    backwards,
    batches,
    ledger_rows,
    received,
)
from venice_billing import (
    BillingTimeoutError,
)
from venice_billing._walk.types import NARROWEST, Page


def test_a_charge_ahead_of_the_clients_clock_is_delivered_backwards() -> None:
    """The ledger decides where an open range ends: the client's clock may be slow."""
    ledger = MemoryLedger([*ledger_rows(0, 10), Row(NOW + timedelta(hours=5), "after")], 10)
    assert received(backwards(ledger)) == ledger.rows[::-1]


def uneven_ledger() -> list[Row]:
    """A quiet year with a few charges, then most of the charges within an hour, then a quiet month."""
    quiet = [Row(START - timedelta(days=360 - 40 * number), f"quiet {number}") for number in range(9)]
    busy = [Row(START + timedelta(seconds=number), f"busy {number}") for number in range(3600)]
    after = [Row(START + timedelta(days=1 + number), f"after {number}") for number in range(28)]
    return quiet + busy + after


@pytest.mark.parametrize("page_size", [10, 100, 1000])
def test_windows_are_never_narrow_and_read_no_row_more_than_twice(page_size: int) -> None:
    ledger = MemoryLedger(uneven_ledger(), page_size)
    assert received(backwards(ledger)) == ledger.rows[::-1]
    _probe, *windows = ledger.opened
    assert all(bounds.end - bounds.start >= NARROWEST for bounds in windows if bounds.start and bounds.end)
    assert all(bounds.start for bounds in windows)
    assert [bounds.end for bounds in windows].count(None) == 1, "only the newest window is open, for new charges"
    assert ledger.rows_sent <= 2 * len(ledger.rows) + 10
    assert min(bounds.start for bounds in windows if bounds.start) >= ledger.rows[0].at - NARROWEST, (
        "no window reaches into the empty time before the first charge"
    )


@given(data=st.data())
@settings(max_examples=50)
def test_windows_tile_the_range_at_any_density(data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.sampled_from([0.0, 0.5, 30.0, 1800.0, 90_000.0, 500_000.0]), min_size=1, max_size=120))
    rows, at = [], NOW
    for number, gap in enumerate(gaps):
        at -= timedelta(seconds=gap)
        rows.append(Row(at - timedelta(seconds=1), f"row {number}"))
    ledger = MemoryLedger(rows, 3)
    assert received(backwards(ledger)) == ledger.rows[::-1]
    assert all(bounds.end - bounds.start >= NARROWEST for bounds in ledger.opened[1:] if bounds.start and bounds.end)


def test_walking_backwards_keeps_only_a_few_pages_in_memory() -> None:
    held: list[int] = []

    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        held.append(page.state[1])  # type: ignore[index] # rows read of this window so far
        return page

    rows = [Row(START + timedelta(minutes=2 * number), f"row {number}") for number in range(20_000)]
    page_size = 100
    ledger = MemoryLedger(rows, page_size, spoil)
    walk = backwards(ledger, now=START + timedelta(minutes=40_001))
    sizes = [len(step.rows) for step in batches(walk)]
    assert sum(sizes) == len(rows)
    assert max(sizes) <= page_size
    assert max(held) <= 5 * page_size
    assert len(held) < 2 * len(rows) / page_size


def test_a_window_that_hangs_because_it_is_empty_is_widened() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        if not page.rows:
            raise BillingTimeoutError("no answer")
        return page

    ledger = MemoryLedger([*ledger_rows(0, 10), Row(NOW - timedelta(hours=1), "late")], 10, spoil)
    assert received(backwards(ledger)) == ledger.rows[::-1]


def test_an_empty_ledger_is_walked_by_one_small_request() -> None:
    ledger = MemoryLedger([], 100)
    assert received(backwards(ledger)) == []
    assert ledger.requests == 1

"""A damaged ledger with a gap between the stretches of its syncs: no month there is complete, and a sync fills it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.ledger.statement.months import DAY, recorded, refused, sync
from contract_tests.support.flavours import NOW
from venice_billing import LedgerError, MonthOpenError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from venice_billing.ledger import Ledger

FIRST, SECOND = datetime(2026, 9, 5, tzinfo=UTC), datetime(2026, 10, 10, tzinfo=UTC)
ROWS = [{"timestamp": NOW - hours * timedelta(hours=3), "amount": "-1"} for hours in range(8 * 90, 0, -1)]


def account(at: datetime) -> FakeVenice:
    return FakeVenice([row for row in ROWS if str(row["timestamp"]) < str(at)], now=at)


def damage(ledger: Ledger, *statements: str) -> None:
    with ledger._database.transaction() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def damaged(ledger: Ledger) -> Ledger:
    """Return a ledger that has lost its second sync, and the rows that this one added."""
    for at in (FIRST, SECOND, NOW):
        sync(ledger, account(at))
    damage(
        ledger,
        "DELETE FROM syncs WHERE sync = 2",
        "DELETE FROM usage_rows WHERE timestamp >= '2026-09-05 00:00:00+00' AND timestamp < '2026-10-07 21:00:00+00'",
    )
    return ledger


def test_coverage_ends_at_the_gap(damaged: Ledger) -> None:
    coverage = damaged.coverage()
    assert coverage.until == FIRST
    assert [stretch.sync for stretch in coverage.stretches] == [1, 3]


def test_month_with_a_gap_is_not_complete(damaged: Ledger) -> None:
    match = r"no sync has read what was booked from 2026-09-05T00:00:00.000Z to 2026-10-07T21:00:00.000Z: sync again"
    refused(damaged, "2026-09", match)
    with pytest.raises(MonthOpenError) as caught:
        damaged.close("2026-09")
    assert (caught.value.reason, caught.value.closable_at) == ("not_reread", None)
    refused(damaged, "2026-10", match, allow_incomplete=True)
    assert damaged.close("2026-08").is_complete
    assert not damaged.close("2026-09", allow_incomplete=True).is_complete
    assert len(recorded(damaged)) == 2


def test_next_sync_fills_the_gap(damaged: Ledger) -> None:
    fake = account(NOW)
    sync(damaged, fake)
    assert texts(damaged.entries()) == texts(walked(fake))
    assert damaged.coverage().until == NOW
    september = damaged.close("2026-09")
    assert (september.is_complete, september.count) == (True, 30 * 8)


def test_gap_at_the_beginning_is_filled_by_reading_everything(ledger: Ledger) -> None:
    for at in (FIRST, SECOND):
        sync(ledger, account(at))
    damage(
        ledger,
        "DELETE FROM syncs WHERE sync = 1",
        "DELETE FROM usage_rows WHERE timestamp < '2026-09-02 00:00:00+00'",
    )
    assert ledger.coverage().until is None
    with pytest.raises(LedgerError, match="from the beginning of the account to 2026-09-0"):
        ledger.statement("2026-09")
    fake = account(SECOND + DAY)
    sync(ledger, fake)
    assert texts(ledger.entries()) == texts(walked(fake))
    assert ledger.coverage().until == SECOND + DAY

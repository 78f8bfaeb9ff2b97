"""A sync on a machine whose clock ran ahead claims time that has not come yet: it is not believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.statement.months import DAY, recorded, sync
from venice_billing import MonthOpenError
from venice_billing.ledger import Ledger, _closings, _history
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
AHEAD = datetime(2026, 12, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_closings, "_now", lambda: NOW)
    monkeypatch.setattr(_history, "clock", lambda: NOW)


@pytest.fixture
def account() -> FakeVenice:
    return FakeVenice(900, days=70, now=NOW)


def synced_at(ledger: Ledger, account: FakeVenice, at: datetime) -> None:
    """Sync on a machine whose clock says that time."""
    sync(ledger, FakeVenice(account.ledger, now=at))


@pytest.mark.parametrize(("month", "reason"), [("2026-11", "not_over"), ("2026-10", "late_charges")])
def test_month_is_not_closed_by_a_sync_in_the_future(
    ledger: Ledger, account: FakeVenice, month: str, reason: str
) -> None:
    """Nobody knows when the sync really was: charges of October may have come since."""
    synced_at(ledger, account, AHEAD)
    with pytest.raises(MonthOpenError, match=r"2026-12-20.*later than now, so a clock was or is wrong") as caught:
        ledger.close(month)
    assert (caught.value.reason, recorded(ledger)) == (reason, [])
    assert not ledger.statement(month).is_complete
    assert ledger.coverage().until == NOW


def test_next_sync_with_a_right_clock_settles_it(ledger: Ledger, account: FakeVenice) -> None:
    synced_at(ledger, account, AHEAD)
    synced_at(ledger, account, NOW)
    coverage = ledger.coverage()
    assert (coverage.until, [stretch.synced_at for stretch in coverage.stretches]) == (NOW, [NOW, NOW])
    assert ledger.close("2026-10").is_complete
    with pytest.raises(MonthOpenError, match="2026-11 is not over before"):
        ledger.close("2026-11")


def test_charges_after_a_sync_in_the_future_are_no_late_ones(ledger: Ledger, account: FakeVenice) -> None:
    synced_at(ledger, account, AHEAD)
    account.clock.advance(86400)
    account.book({"sku": "new"})
    account.clock.advance(60)
    sync(ledger, account)
    assert (len(ledger), ledger.adjustments()) == (901, [])


def test_charge_of_a_closed_month_is_an_adjustment_whatever_the_clock(ledger: Ledger, account: FakeVenice) -> None:
    synced_at(ledger, account, NOW)
    ledger.close("2026-10")
    slow = FakeVenice(account.ledger, now=NOW - 40 * DAY)
    slow.book({"sku": "late", "timestamp": NOW - 30 * DAY})
    sync(ledger, slow, full=True)
    assert [adjustment.entry.sku for adjustment in ledger.adjustments()] == ["late"]


def test_clocks_that_differ_by_minutes_are_right(ledger: Ledger, account: FakeVenice) -> None:
    synced_at(ledger, account, NOW + 5 * MINUTE)
    assert ledger.coverage().until == NOW + 5 * MINUTE
    assert ledger.close("2026-10").is_complete


def test_ledger_that_is_opened_again_believes_no_more(tmp_path: Path, account: FakeVenice) -> None:
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        synced_at(ledger, account, AHEAD)
    with Ledger(tmp_path / "venice.duckdb") as ledger, pytest.raises(MonthOpenError, match="clock"):
        ledger.close("2026-10")

"""An account whose October is over, and a ledger of it."""

from __future__ import annotations

import pytest

from contract_tests.ledger.statement.months import MACHINE, sync
from contract_tests.support.flavours import NOW
from venice_billing.ledger import Ledger, _closings, _history
from venice_billing.testing import FakeVenice


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MACHINE, "time", NOW)
    monkeypatch.setattr(_closings, "_now", MACHINE)
    monkeypatch.setattr(_history, "clock", MACHINE)


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(900, days=70, now=NOW)


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    """A ledger that was synced when October was over, and again three days later."""
    sync(ledger, fake)
    fake.clock.advance(3 * 86400)
    sync(ledger, fake)
    return ledger

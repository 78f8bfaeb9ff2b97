"""An account, and a ledger of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.support.flavours import NOW
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from venice_billing.ledger import Ledger


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    with fake.client() as client:
        ledger.sync(client)
    return ledger

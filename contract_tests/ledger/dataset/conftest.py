"""An account of three months and two currencies, a ledger of it, and a folder for its dataset."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.dataset.contents import AUGUST, SEPTEMBER
from contract_tests.support.flavours import NOW
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(
        [
            {
                "timestamp": moment,
                "sku": f"m{number}-llm-input-mtoken",
                "amount": Decimal("-0.25"),
                "currency": currency,
            }
            for number, (moment, currency) in enumerate(
                [(AUGUST, "USD"), (AUGUST, "DIEM"), (SEPTEMBER, "USD"), (SEPTEMBER, "USD"), (NOW, "USD")]
            )
        ],
        now=NOW,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dataset"

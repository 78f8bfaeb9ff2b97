"""Fixtures of the tests of the ledger, which are skipped where DuckDB is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("duckdb", reason="needs the extra `ledger`")

from contract_tests.support.flavours import NOW
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "venice.duckdb") as opened:
        yield opened


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    """Return a ledger of the account."""
    with fake.client() as client:
        ledger.sync(client)
    return ledger

"""Fixtures of the tests of the ledger, which are skipped where DuckDB is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("duckdb", reason="needs the extra `ledger`")

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venice_billing.testing import FakeVenice


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "venice.duckdb") as opened:
        yield opened


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    """Return a ledger of the account."""
    with fake.client() as client:
        ledger.sync(client)
    return ledger

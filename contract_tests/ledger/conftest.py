"""Fixtures of the tests of the ledger, which are skipped where DuckDB is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("duckdb", reason="needs the extra `ledger`")

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "venice.duckdb") as opened:
        yield opened

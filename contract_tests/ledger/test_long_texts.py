"""Rows of some kilobytes: what is held in memory at once is bounded in bytes, not in rows alone."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.odd_entries import FIELDS as ODD_FIELDS
from contract_tests.support.flavours import NOW
from venice_billing import UsageEntry
from venice_billing.ledger import Ledger, _entries
from venice_billing.ledger._staging import Staging, Stretch
from venice_billing.ledger._swap import swap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES, ROWS, LENGTH = 40, 500, 2500  # together more than DuckDB has memory for
COUNT = PAGES * ROWS
FIELDS: dict[str, dict[str, Any]] = {"notes": {"notes": "n" * LENGTH}, "unknown field": {"foo": ["x" * LENGTH]}}


def page(first: int, fields: dict[str, Any]) -> bytes:
    """Return a page as a sync keeps it; every row is another one."""
    entries = [
        UsageEntry.from_dict(
            {
                "timestamp": (NOW - timedelta(minutes=COUNT - number)).isoformat(),
                "sku": "m-llm-input-mtoken",
                "amount": -number,
                "currency": "USD",
                "notes": "",
                "pricePerUnitUsd": 1,
                "units": 1,
                "inferenceDetails": None,
                **fields,
            }
        )
        for number in range(first, first + ROWS)
    ]
    return _entries.page(entries, first)


def read(query: str) -> list[Any]:
    with duckdb.connect() as connection:
        rows: list[Any] = connection.execute(query).fetchall()
    return rows


def synced(ledger: Ledger, fields: dict[str, Any]) -> None:
    """Give a ledger the pages of a sync that has come to its end."""
    stretch = Stretch(None, NOW, is_full=True, owner="", sync=1)
    staging = Staging(ledger.path)
    try:
        staging.begin(stretch)
        for first in range(0, COUNT, ROWS):
            staging.append(page(first, fields), ROWS, "")
        with ledger._database.transaction() as cursor:
            swap(cursor, stretch, staging.documents(), rows=COUNT, settled_until=None)
        staging.discard()
    finally:
        staging.close()


@pytest.fixture(scope="module", params=FIELDS)
def filled(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with Ledger(tmp_path_factory.mktemp("long") / "venice.duckdb") as ledger:
        synced(ledger, FIELDS[request.param])
        yield ledger


def test_sync_takes_long_rows_over(filled: Ledger) -> None:
    assert len(filled) == COUNT
    assert filled.statement("2026-10").count > 1000


@pytest.mark.parametrize(("name", "format"), [("a.parquet", "parquet"), ("dataset", "dataset")])
def test_long_rows_are_written_as_parquet(filled: Ledger, tmp_path: Path, name: str, format: Any) -> None:
    assert filled.export(tmp_path / name, format).rows == COUNT
    files = tmp_path / name if name == "a.parquet" else tmp_path / name / "**" / "*.parquet"
    found = read(f"SELECT count(*), sum(amount) FROM read_parquet('{files}')")
    assert (found[0][0], int(found[0][1])) == (COUNT, -sum(range(COUNT)))


def test_long_rows_are_written_as_focus(filled: Ledger, tmp_path: Path) -> None:
    assert filled.export(tmp_path / "focus.parquet", "focus").rows == COUNT
    found = read(f"SELECT count(*), sum(x_Amount) FROM '{tmp_path / 'focus.parquet'}'")
    assert (found[0][0], int(found[0][1])) == (COUNT, -sum(range(COUNT)))


def test_long_log_is_reconciled(ledger: Ledger, tmp_path: Path) -> None:
    with (tmp_path / "log.csv").open("w", newline="") as file:
        records = csv.writer(file)
        records.writerow(["request_id", "model"])
        records.writerows((f"r{number}", f"{number}" + "m" * 3 * LENGTH) for number in range(COUNT // 2))
    found = ledger.reconcile(tmp_path / "log.csv", start="2026-01-01")
    assert len(found.not_covered) == COUNT // 2


def test_focus_file_larger_than_the_memory_is_written(tmp_path: Path) -> None:
    """FOCUS names a SKU five times: 150 MB, for which the buffer of DuckDB is larger than its memory here."""
    path = tmp_path / "venice.duckdb"
    with Ledger(path) as ledger:
        load(ledger, [UsageEntry.from_dict({**ODD_FIELDS, "amount": -number}) for number in range(100)])
    longer = "SELECT usage_rows.* REPLACE (repeat('n', 4000) AS sku) FROM usage_rows, range(80)"
    with duckdb.connect(str(path)) as other:
        other.execute(f"INSERT INTO usage_rows {longer}")
    with Ledger(path) as ledger:
        assert ledger.export(tmp_path / "focus.parquet", "focus").rows == 8_100

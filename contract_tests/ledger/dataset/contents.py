"""Entries for a dataset, and what is found in its files."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from contract_tests.ledger.odd_entries import FIELDS
from venice_billing import UsageEntry, _exact

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger
    from venice_billing.testing import FakeVenice

AUGUST, SEPTEMBER = datetime(2026, 8, 3, tzinfo=UTC), datetime(2026, 9, 3, tzinfo=UTC)


def sync(ledger: Ledger, fake: FakeVenice) -> None:
    with fake.client() as client:
        ledger.sync(client, full=True)


def named_alike(*ledgers: Ledger) -> None:
    """Make ledgers one and the same to a dataset, as if the rows of one had become those of the next."""
    for ledger in ledgers:
        with ledger._database.transaction() as cursor:
            cursor.execute("UPDATE venice_ledger SET ledger_id = 'one'")


def entry(amount: str = "-0.5", at: str = "2026-10-01T10:00:00Z", currency: str = "USD", **fields: Any) -> UsageEntry:
    return UsageEntry.from_dict({**FIELDS, "amount": Decimal(amount), "timestamp": at, "currency": currency, **fields})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What a file that was written again would change: its place on the disk, and its time."""
    found = {name: (folder / name).stat() for name in paths(folder)}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def read(folder: Path, columns: str, rest: str = "") -> list[tuple[Any, ...]]:
    with duckdb.connect() as other:
        pattern = f"{folder}/**/*.parquet"
        query = f"SELECT {columns} FROM read_parquet($pattern, hive_partitioning = true) {rest}"
        return other.execute(query, {"pattern": pattern}).fetchall()


def sums(folder: Path) -> dict[tuple[str, str], tuple[Decimal, int]]:
    """Add up the texts of a dataset, of each month and currency."""
    found: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for month, currency, amount in read(folder, "month, currency, amount_text"):
        total, count = found.get((month, currency), (Decimal(0), 0))
        found[month, currency] = (_exact.add(total, Decimal(amount)), count + 1)
    return found


def ledger_sums(ledger: Ledger) -> dict[tuple[str, str], tuple[Decimal, int]]:
    return {(row.month or "", row.currency): (row.net, row.count) for row in ledger.spend("month")}

"""The example of the docs loads an account twice, with changes between, into DuckDB and PostgreSQL: `nox -s warehouse`.

What each warehouse then says is compared with the account: every row, and every sum, to the digit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.paths import ROOT
from contract_tests.warehouse import postgres
from contract_tests.warehouse.account import account, check, later
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

psycopg2: Any = pytest.importorskip("psycopg2")
PROGRAM = ROOT / "docs" / "programs" / "warehouse.py"
SECONDS = 300


class Warehouse:
    """A database, the program that loads it, and what dlt keeps on this machine."""

    def __init__(self, name: str, address: str, connect: Callable[[], Any], folder: Path) -> None:
        self.name = name
        self.address = address
        self.connect = connect
        self.folder = folder

    def load(self, fake: FakeVenice) -> str:
        """Run the program, and return what it prints."""
        done = self.run(fake)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, fake: FakeVenice, **settings: str) -> subprocess.CompletedProcess[str]:
        with fake.serve() as server:
            environment = os.environ | {
                **settings,
                "DESTINATION__CREDENTIALS": self.address,
                "DLT_DATA_DIR": str(self.folder / "dlt"),
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "VENICE_API_KEY": fake.admin_key,
                "VENICE_BASE_URL": server.base_url,
            }
            return subprocess.run(
                [sys.executable, str(PROGRAM), self.name],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )

    def forget(self) -> None:
        """Remove all that dlt keeps on this machine, as if the next load ran on another."""
        shutil.rmtree(self.folder / "dlt")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database, without dlt."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        path = tmp_path / "warehouse.duckdb"
        yield Warehouse("duckdb", str(path), lambda: duckdb.connect(str(path), read_only=True), tmp_path)
        return
    reason = postgres.missing()
    if reason is not None:
        pytest.skip(reason)
    with postgres.running() as address:
        yield Warehouse("postgres", address, lambda: psycopg2.connect(address), tmp_path)


def test_two_loads_say_what_the_account_says(warehouse: Warehouse) -> None:
    before = account()
    warehouse.load(before)
    check(warehouse.query, before)

    after = later(before)
    printed = warehouse.load(after)
    check(warehouse.query, after)
    months = {row["timestamp"][:7] for row in after.ledger}
    assert {line.split()[0] for line in printed.splitlines()} == months
    earliest = [dict(request.params).get("startTimestamp", "") for request in after.requests if request.params]
    assert min(filter(None, earliest)).startswith("2026-10-30")  # two days before the latest known one, whole

    warehouse.forget()
    warehouse.load(after)
    check(warehouse.query, after)
    assert warehouse.query("SELECT count(*) FROM venice.balance") == [(3,)]
    keys = "day, scope, name, currency"
    assert warehouse.query(f"SELECT {keys} FROM venice.analytics GROUP BY {keys} HAVING count(*) > 1") == []

    other = FakeVenice(100, days=10, now=NOW, seed=7)
    for restored in ("true", "false"):  # recognised by dlt's state, or by the table itself
        warehouse.forget()
        refused = warehouse.run(other, RESTORE_FROM_DESTINATION=restored)
        assert (refused.returncode, "the key is that of another account" in refused.stderr) == (1, True), refused.stderr
        check(warehouse.query, after)

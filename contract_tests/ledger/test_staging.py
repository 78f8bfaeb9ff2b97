"""The pages of a sync that is under way: of one process, of one ledger in one state, and as many as were read."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import synced, texts, walked, with_small_pages
from contract_tests.support.flavours import NOW, Face, Flavour, files
from venice_billing import LedgerError, LedgerUnavailableError, PermissionDeniedError
from venice_billing.ledger import Ledger
from venice_billing.ledger._staging import Staging
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venice_billing.ledger import SyncProgress

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_HELD = """
import sys
from pathlib import Path
from venice_billing.ledger import Ledger
from venice_billing.ledger._staging import Staging

staging = Staging(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
staging.close()
"""


async def cut_short(ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the pages of a sync that was cut short, and return their file."""
    with monkeypatch.context() as patch:
        with_small_pages(face, patch)
        fake.quirks.faults = [None] * 5 + [faults.status(403)]
        with pytest.raises(PermissionDeniedError):
            await synced(ledger, face)
    fake.quirks.faults = ()
    return ledger.path.with_name(f"{ledger.path.name}.sync")


async def test_more_rows_than_were_read_are_refused_and_dropped(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await cut_short(ledger, face, fake, monkeypatch)
    with closing(sqlite3.connect(staged)) as other:
        other.execute("INSERT INTO pages (rows, content) SELECT 0, content FROM pages LIMIT 1")
        other.commit()
    with pytest.raises(LedgerError, match=r"600 rows were read, but the pages .* have 610: .* sync again"):
        await synced(ledger, face)
    assert (len(ledger), ledger.coverage().until, staged.exists()) == (0, None, False)
    assert (await synced(ledger, face)).resumed_rows == 0
    assert texts(ledger.entries()) == texts(walked(fake))


@contextmanager
def held_by_another_process(ledger: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _HELD, str(ledger)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate("", timeout=60)
    assert process.returncode == 0


async def test_pages_that_another_process_writes_are_left_alone(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    """Also where the lock of the ledger itself is lost, as after a program has read the file by other means."""
    match = "another process syncs this ledger; wait until it has ended"
    with held_by_another_process(ledger.path), pytest.raises(LedgerUnavailableError, match=match):
        await synced(ledger, face)
    assert fake.requests == []
    assert (await synced(ledger, face)).rows_added == 600


@pytest.mark.parametrize("is_copy", [True, False], ids=["copy", "other ledger"])
async def test_pages_of_a_ledger_are_not_for_a_backup_that_is_put_in_its_place(
    flavour: Flavour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_copy: bool
) -> None:
    """Both have had as many syncs; the pages begin where the newer one ended."""
    times = [NOW - hours * HOUR for hours in range(24 * 40, 0, -1)]

    def at(days: int) -> FakeVenice:
        now = NOW - days * DAY
        return FakeVenice([{"timestamp": time, "amount": "-1"} for time in times if time < now], now=now)

    async def sync(path: Path, days: int) -> None:
        with Ledger(path) as ledger:
            await synced(ledger, flavour.connect(at(days)))

    path, backup = tmp_path / "venice.duckdb", tmp_path / "backup.duckdb"
    if is_copy:
        await sync(path, 30)
        shutil.copy(path, backup)
    await sync(backup, 29)
    await sync(path, 10)
    with Ledger(path) as ledger:
        await cut_short(ledger, flavour.connect(fake := at(3)), fake, monkeypatch)
    shutil.copy(backup, path)
    with Ledger(path) as ledger:
        report = await synced(ledger, flavour.connect(fake := at(0)))
        assert (report.resumed_rows, report.late) == (0, 0)
        assert texts(ledger.entries()) == texts(walked(fake))


async def test_stretch_that_would_leave_a_gap_is_read_anew(flavour: Flavour, ledger: Ledger, fake: FakeVenice) -> None:
    """What was covered is lost to the ledger while the pages are read."""
    await synced(ledger, flavour.connect(fake))

    def lose(_: SyncProgress) -> None:
        with ledger._database.transaction() as cursor:
            cursor.execute("DELETE FROM usage_rows")
            cursor.execute("DELETE FROM syncs")

    fake.clock.advance(3600)
    await synced(ledger, flavour.connect(fake), progress=lose)
    assert texts(ledger.entries()) == texts(walked(fake))


def test_pages_cannot_be_written_while_a_sync_uses_them(tmp_path: Path) -> None:
    staged = tmp_path / "venice.duckdb.sync"
    with (
        closing(Staging(tmp_path / "venice.duckdb")),
        closing(sqlite3.connect(staged, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("DELETE FROM pages")
    assert files(tmp_path) == []

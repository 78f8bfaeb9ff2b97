"""Files of others at the path of a ledger, and beside it: named, refused, and left as they are."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.support.flavours import files
from venice_billing import InvalidParameterError, LedgerError, PermissionDeniedError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs the links of Unix")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "venice.duckdb"


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE notes (text)")
        made.execute("INSERT INTO notes VALUES ('mine')")
        made.commit()


def write_pages(path: Path) -> None:
    """Write a SQLite file with a table that is named like one of a sync."""
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE pages (content TEXT)")
        made.execute("INSERT INTO pages VALUES ('mine')")
        made.commit()


def write_parquet(path: Path) -> None:
    with duckdb.connect() as made:
        made.execute(f"COPY (SELECT 1 AS one) TO '{path}' (FORMAT parquet)")


def refused(path: Path, match: str) -> None:
    with pytest.raises(LedgerError, match=match) as caught:
        Ledger(path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- at the path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.sqlite", write_sqlite),
        ("a.parquet", write_parquet),
        ("a.csv", lambda path: path.write_text("one\n1\n")),
        ("a.json", lambda path: path.write_text('{"one": 1}')),
    ],
)
def test_file_of_another_format_is_no_duckdb_file(tmp_path: Path, name: str, write: Callable[[Path], Any]) -> None:
    path = tmp_path / name
    write(path)
    before = path.read_bytes()
    refused(path, "no DuckDB file; choose another path$")
    assert (path.read_bytes(), files(tmp_path)) == (before, [name])


def test_empty_file_is_told(path: Path) -> None:
    path.touch()
    refused(path, "an empty file; remove it, or choose another path")


def test_duckdb_fetches_no_extension(path: Path) -> None:
    with Ledger(path) as ledger:
        query = "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions' ORDER BY name"
        found = ledger._database.cursor().execute(query).fetchall()
    assert found == [("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false")]


@pytest.mark.parametrize("version", [1, 2])
def test_table_of_the_same_name_makes_no_ledger(path: Path, version: int) -> None:
    with duckdb.connect(str(path)) as other:
        other.execute(f"CREATE TABLE venice_ledger AS SELECT {version} AS schema_version")
    refused(path, "a DuckDB file, but no ledger")
    with duckdb.connect(str(path)) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("venice_ledger",)]


# ---------------------------------------------------------------- beside it


@needs_links
def test_link_in_place_of_the_log_is_not_followed(path: Path, fake: FakeVenice) -> None:
    target, log = path.with_name("mine.txt"), path.with_name("venice.duckdb.wal")
    target.write_text("mine")
    with Ledger(path) as ledger, fake.client() as client:
        log.symlink_to(target)
        with pytest.raises(LedgerError, match=r"venice\.duckdb\.wal: a symbolic link, .* move it away"):
            ledger.sync(client)
    refused(path, r"venice\.duckdb\.wal: a symbolic link, .* move it away")
    assert target.read_text() == "mine"
    log.unlink()
    with Ledger(path) as ledger, fake.client() as client:
        assert ledger.sync(client).rows_added == 600


def test_log_without_its_ledger_is_not_taken_for_the_new_one(path: Path) -> None:
    log = path.with_name("venice.duckdb.wal")
    log.write_bytes(b"of another ledger")
    refused(path, r"venice\.duckdb\.wal: a log, but venice\.duckdb is not there; move the log away")
    assert (log.read_bytes(), files(path.parent)) == (b"of another ledger", ["venice.duckdb.wal"])


@pytest.mark.parametrize(
    "write",
    [lambda path: path.write_text("my notes\n" * 100), write_sqlite, write_pages],
    ids=["text", "SQLite", "SQLite with pages"],
)
def test_file_of_a_users_own_is_no_staging_file(path: Path, fake: FakeVenice, write: Callable[[Path], Any]) -> None:
    mine = path.with_name("venice.duckdb.sync")
    write(mine)
    before = mine.read_bytes()
    with Ledger(path) as ledger, fake.client() as client:
        with pytest.raises(LedgerError, match=r"venice\.duckdb\.sync: not of a sync, .*; move it away"):
            ledger.sync(client)
        assert (mine.read_bytes(), len(ledger)) == (before, 0)
        mine.unlink()
        assert ledger.sync(client).rows_added == 600


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_file_of_a_users_own_is_no_log_of_the_staging_file(path: Path, fake: FakeVenice, ending: str) -> None:
    """SQLite drops a log that it does not know without a word."""
    mine = path.with_name(f"venice.duckdb.sync{ending}")
    mine.write_text("my notes")
    with Ledger(path) as ledger, fake.client() as client:
        with pytest.raises(LedgerError, match=rf"venice\.duckdb\.sync{ending}: no log of SQLite, .*; move it away"):
            ledger.sync(client)
        assert (mine.read_text(), len(ledger)) == ("my notes", 0)
        mine.unlink()
        assert ledger.sync(client).rows_added == 600


def test_log_of_sqlite_is_known_by_its_head(path: Path, large: FakeVenice) -> None:
    """A journal and an index stay after a kill; all of them may be zeros after a power cut."""
    staged = cut_short(path, large)
    for ending in ("-wal", "-shm", "-journal"):
        staged.with_name(f"{staged.name}{ending}").write_bytes(bytes(512))
    assert synced_whole(path, large) > 0


@needs_links
def test_folder_of_a_users_own_that_is_named_like_that_of_a_killed_process_stays(path: Path) -> None:
    mine = path.with_name(".venice.duckdb.new0.mine")
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    Ledger(path).close()
    assert (mine / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
@needs_links
def test_link_in_place_of_a_staging_file_is_refused(path: Path, fake: FakeVenice, ending: str) -> None:
    target = path.with_name("mine.txt")
    target.write_text("mine")
    path.with_name(f"venice.duckdb.sync{ending}").symlink_to(target)
    with Ledger(path) as ledger, fake.client() as client, pytest.raises(LedgerError, match="a symbolic link"):
        ledger.sync(client)
    assert target.read_text() == "mine"


def test_folder_in_place_of_the_staging_file_is_named(path: Path, fake: FakeVenice) -> None:
    path.with_name("venice.duckdb.sync").mkdir()
    with (
        Ledger(path) as ledger,
        fake.client() as client,
        pytest.raises(LedgerError, match=r"a folder, .* move it away"),
    ):
        ledger.sync(client)


def cut_short(path: Path, fake: FakeVenice) -> Path:
    """Leave the staging file of a sync that has read one page of two."""
    with Ledger(path) as ledger, fake.client() as client:
        fake.quirks.faults = [None, faults.status(403)]
        with pytest.raises(PermissionDeniedError):
            ledger.sync(client)
    fake.quirks.faults = ()
    return path.with_name("venice.duckdb.sync")


@pytest.fixture
def large() -> FakeVenice:
    return FakeVenice(1500)


def synced_whole(path: Path, fake: FakeVenice) -> int:
    """Sync, and return how many rows were there already."""
    with Ledger(path) as ledger, fake.client() as client:
        resumed = ledger.sync(client).resumed_rows
        assert texts(ledger.entries()) == texts(walked(fake))
    assert files(path.parent) == ["venice.duckdb"]
    return resumed


def test_staging_file_without_a_mark_is_known_by_its_tables(path: Path, large: FakeVenice) -> None:
    with closing(sqlite3.connect(cut_short(path, large))) as staged:
        staged.execute("PRAGMA application_id = 0")
    assert synced_whole(path, large) > 0


@pytest.mark.parametrize("marked", [True, False])
def test_staging_file_of_a_process_that_was_killed_is_known(path: Path, large: FakeVenice, *, marked: bool) -> None:
    """Then nearly all of it is in the log of SQLite."""
    staged = cut_short(path, large)
    copies = path.with_name("copies")
    copies.mkdir()
    with closing(sqlite3.connect(staged)) as held:
        held.execute("PRAGMA wal_autocheckpoint = 0")
        if not marked:
            held.execute("PRAGMA application_id = 0")
        held.execute("UPDATE pass SET format = format")
        held.commit()
        for name in files(path.parent):
            if name.startswith(staged.name):
                shutil.copy(path.with_name(name), copies)
    for copy in copies.iterdir():
        shutil.move(copy, path.with_name(copy.name))
    copies.rmdir()
    assert synced_whole(path, large) > 0


@pytest.mark.parametrize("damage", [lambda _: b"", lambda content: content[:5000]], ids=["empty", "cut"])
def test_damaged_staging_file_is_fetched_again(path: Path, large: FakeVenice, damage: Callable[[bytes], bytes]) -> None:
    staged = cut_short(path, large)
    staged.write_bytes(damage(staged.read_bytes()))
    assert synced_whole(path, large) == 0


# ---------------------------------------------------------------- what is wrong, in words


@pytest.mark.parametrize("damage", [lambda content: content[:5000], lambda content: content[:-300_000]])
def test_damaged_ledger_says_what_to_do(path: Path, large: FakeVenice, damage: Callable[[bytes], bytes]) -> None:
    with Ledger(path) as ledger, large.client() as client:
        ledger.sync(client)
    path.write_bytes(damage(path.read_bytes()))
    advice = "damaged; restore a copy of it, or move it away and sync a new one"
    with pytest.raises(LedgerError, match=advice), Ledger(path) as ledger:
        list(ledger.entries())


def log_of(path: Path, fake: FakeVenice) -> bytes:
    """Return the log of a sync that was not closed, as after a kill, and take it into the file."""
    with Ledger(path) as ledger, fake.client() as client:
        fake.book({"amount": "-1"})
        ledger.sync(client)
        copied = path.with_name("copied")
        subprocess.run(["cp", f"{path}.wal", copied], check=True, timeout=60)  # not in this process: locks
        return copied.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs cp")
@pytest.mark.parametrize("later", [1, 2])
def test_copy_that_is_restored_beside_another_log_says_what_to_move(path: Path, fake: FakeVenice, later: int) -> None:
    log = path.with_name("venice.duckdb.wal")
    Ledger(path).close()
    old = log_of(path, fake)
    for _ in range(later - 1):
        log_of(path, fake)
    log.write_bytes(old)
    refused(path, "earlier state of it or of another file, .*; move the log away")
    log.unlink()
    with Ledger(path) as ledger:
        assert texts(ledger.entries()) == texts(walked(fake))
    path.unlink()
    Ledger(path).close()
    log.write_bytes(old)
    refused(path, "earlier state of it or of another file, .*; move the log away")


@pytest.mark.skipif(os.name == "nt", reason="needs cp")
def test_damaged_log_says_what_to_move(path: Path, fake: FakeVenice) -> None:
    log = path.with_name("venice.duckdb.wal")
    Ledger(path).close()
    kept = path.read_bytes()
    damaged = bytearray(log_of(path, fake))
    damaged[len(damaged) // 2] ^= 255
    path.write_bytes(kept)
    log.write_bytes(damaged)
    refused(path, "the log beside the file, its name with .wal, is damaged; .* or move the log away: ")
    log.unlink()
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
        assert texts(ledger.entries()) == texts(walked(fake))


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE venice_ledger SET schema_version = 1",
        "UPDATE venice_ledger SET schema_version = 2",
        "DROP VIEW closings",
        "DROP VIEW entries",
        "ALTER TABLE venice_ledger DROP COLUMN ledger_id",
        "ALTER TABLE usage_rows DROP COLUMN notes",
    ],
)
def test_ledger_without_the_tables_of_its_version_says_so(path: Path, edit: str) -> None:
    Ledger(path).close()
    with duckdb.connect(str(path)) as other:
        other.execute(edit)
    refused(path, r"no ledger of version \d, as it says itself, or a damaged one; restore a copy, or move it")


def test_ledger_that_is_closed_while_it_is_read_says_so(path: Path) -> None:
    with Ledger(path) as ledger, FakeVenice(5000).client() as client:
        ledger.sync(client)
        entries = ledger.entries()
        next(entries)
    with pytest.raises(LedgerError, match="closed while it was read"):
        list(entries)


def test_export_without_a_format_names_the_path(path: Path) -> None:
    with Ledger(path) as ledger, pytest.raises(InvalidParameterError, match=r"since bill\.txt does not end in \.csv"):
        ledger.export("bill.txt")


# ---------------------------------------------------------------- a folder that can only be read


@pytest.mark.parametrize("mode", [0o644, 0o444])
@needs_links
def test_ledger_in_a_folder_that_can_only_be_read(
    path: Path, large: FakeVenice, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Root may write any folder, so what the system says of it is what the test sets."""
    with Ledger(path) as ledger, large.client() as client:
        ledger.sync(client)
    temporary = path.with_name("temporary")
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path.chmod(mode)
    monkeypatch.setattr(os, "access", lambda place, _: mode == 0o644 and Path(place) == path)
    before = files(path.parent)
    with Ledger(path) as ledger:
        assert len(list(ledger.entries())) == 1500
        assert files(path.parent) == before
        (spill,) = temporary.iterdir()
        found = ledger._database.cursor().execute("SELECT current_setting('temp_directory')").fetchall()
        assert found == [(str(spill),)]
        with large.client() as client, pytest.raises(LedgerError, match="read-only"):
            ledger.sync(client)
    assert list(temporary.iterdir()) == []

"""The file of a ledger: private, one process at a time, and every failure is one line that says what to do."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.support.flavours import NOW, files
from venice_billing import InvalidParameterError, LedgerError
from venice_billing.ledger import Ledger, _schema
from venice_billing.testing import FakeVenice

VERSIONS = sorted(Path(__file__).parent.glob("version_*.sql"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "venice.duckdb"


def refused(path: Any, match: str) -> None:
    """Opening is refused by one line that names the path."""
    with pytest.raises(LedgerError, match=match) as caught:
        Ledger(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of Unix")
def test_all_files_are_private_at_any_moment(path: Path, fake: FakeVenice) -> None:
    seen: set[tuple[str, int]] = set()

    def look(_: object) -> None:
        seen.update((name, stat.S_IMODE((path.parent / name).stat().st_mode)) for name in files(path.parent))

    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client, progress=look)
        look(None)
        ledger._database.cursor().execute("CHECKPOINT")
        fake.book({"sku": "new"})
        ledger.sync(client, progress=look)
        look(None)
    look(None)
    assert {name for name, _ in seen} >= {"venice.duckdb", "venice.duckdb.sync", "venice.duckdb.wal"}
    assert {(name, mode) for name, mode in seen if mode & 0o077} == set()
    assert files(path.parent) == ["venice.duckdb"]


def test_ledger_is_there_again_after_closing(path: Path, fake: FakeVenice) -> None:
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    with Ledger(str(path)) as ledger:
        assert texts(ledger.entries()) == texts(walked(fake))
        assert (ledger.path, repr(ledger), bool(ledger)) == (path, f"<Ledger {path}>", True)


def test_file_that_is_no_ledger_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)
    refused(path, "no DuckDB file")
    assert path.read_bytes() == b"something else" * 1000
    path.unlink()
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE mine AS SELECT 1 AS one")
    refused(path, "no ledger")
    with duckdb.connect(str(path)) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("mine",)]


def test_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    Ledger(path).close()
    with duckdb.connect(str(path)) as other:
        other.execute("UPDATE venice_ledger SET schema_version = 1000")
    refused(path, "version 1000, but .* pip install --upgrade")
    with duckdb.connect(str(path)) as other:
        other.execute("UPDATE venice_ledger SET schema_version = 0")
    refused(path, "no ledger")


@pytest.mark.parametrize(
    "edit",
    [
        "amount_text = 'abc'",
        "amount_text = NULL",
        "currency = NULL",
        "timestamp = NULL",
        "timestamp = 'infinity'",
        "entry_json = '{'",
    ],
)
def test_row_that_another_program_has_spoilt_is_told(path: Path, fake: FakeVenice, edit: str) -> None:
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    with duckdb.connect(str(path)) as other:
        other.execute(f"UPDATE usage_rows SET {edit} WHERE seq = 7")
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="was edited and is no entry any more"):
        list(ledger.entries())


def test_folder_and_missing_folder_are_told_apart(tmp_path: Path) -> None:
    refused(tmp_path, "a folder")
    refused(tmp_path / "none" / "venice.duckdb", "make it first")


@pytest.mark.parametrize("path", [None, "", " ", 5, b"bytes", "a\0b", ":memory:"])
def test_invalid_path_is_refused_by_name(path: Any) -> None:
    with pytest.raises(InvalidParameterError, match="path must be"):
        Ledger(path)


def test_ledger_in_use_by_another_process_says_by_which(path: Path) -> None:
    Ledger(path).close()
    script = (
        "import sys; from venice_billing.ledger import Ledger; l = Ledger(sys.argv[1]); print('open', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        refused(path, rf"in use by another process \(PID {holder.pid}\); try again")
        holder.communicate()
    Ledger(path).close()


def test_read_only_file_can_be_read_but_not_synced(
    path: Path, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write any file, so the answer of the system is what the test sets."""
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = path.read_bytes()
    with Ledger(path) as ledger, fake.client() as client:
        assert len(ledger) == 600
        requests = len(fake.requests)
        with pytest.raises(LedgerError, match="read-only; make it writable"):
            ledger.sync(client)
        assert len(fake.requests) == requests
    assert (path.read_bytes(), files(path.parent)) == (before, ["venice.duckdb"])


def test_closed_ledger_is_an_error(path: Path, fake: FakeVenice) -> None:
    ledger = Ledger(path)
    ledger.close()
    ledger.close()
    for use in (lambda: list(ledger.entries()), ledger.spend, ledger.relation, lambda: ledger.sync(fake.client())):
        with pytest.raises(LedgerError, match="was closed"):
            use()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_child_after_a_fork_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(path) as ledger:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LedgerError, match="before a fork"):
            ledger.spend()
        monkeypatch.undo()
        assert len(ledger) == 0


_FULL_DISK = """
import resource, signal, sys
from datetime import UTC, datetime
from venice_billing import LedgerError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

def fill(progress):
    if progress.rows >= int(sys.argv[2]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fake = FakeVenice(5000, now=datetime(2026, 11, 1, 12, tzinfo=UTC))
try:
    Ledger(sys.argv[1]).sync(fake.client(), progress=fill)
except LedgerError as error:
    print(error)
"""


@pytest.mark.parametrize("rows", [1000, 5000], ids=["while pages come", "at the end"])
def test_full_disk_is_one_line_and_the_next_sync_goes_on(path: Path, rows: int) -> None:
    """A limit on the size of files stands for the full disk; it holds in a process of its own."""
    pytest.importorskip("resource", reason="needs the resource limits of Unix")
    command = [sys.executable, "-c", _FULL_DISK, str(path), str(rows)]
    limited = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert limited.returncode == 0, limited.stderr
    assert (limited.stdout.count("\n"), str(path) in limited.stdout) == (1, True), limited.stdout
    assert "make room" in limited.stdout
    fake = FakeVenice(5000, now=NOW)
    with Ledger(path) as ledger, fake.client() as client:
        assert len(ledger) == 0
        ledger.sync(client)
        assert texts(ledger.entries()) == texts(walked(fake))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda file: file.stem)
def test_ledger_of_each_version_opens(path: Path, version: Path) -> None:
    """Each file holds the statements that made a ledger of its version, with three rows and an adjustment."""
    with duckdb.connect(str(path)) as made:
        made.execute(version.read_text("utf-8"))
    with Ledger(path) as ledger:
        assert [str(entry.amount) for entry in ledger.entries()] == ["-0.0006356", "1E-30", "25"]
        assert [row["model"] for row in ledger.spend("model").rows()] == ["account-credit", "zai-org-glm-5-1"]
        (adjustment,) = ledger.adjustments()
        assert (adjustment.change, str(adjustment.difference)) == ("late", "1E-30")
        assert [stretch.sync for stretch in ledger.coverage().stretches] == [1, 2]
        fresh = path.with_name("fresh.duckdb")
        with Ledger(fresh) as new:
            for described in (
                "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL",
                "SELECT view_name, sql, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
                "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL",
            ):
                tables = [one._database.cursor().execute(described).fetchall() for one in (ledger, new)]
                assert tables[0] == tables[1]
        statement = ledger.statement("2026-11")
        assert (statement.count, [(row.currency, str(row.net)) for row in statement.totals]) == (
            3,
            [("USD", "24.999364400000000000000000000001")],
        )


def test_id_of_a_ledger_stays_the_same(path: Path) -> None:
    """Also that of an earlier version, which gets one when it is opened first."""
    with duckdb.connect(str(path)) as made:
        made.execute(VERSIONS[0].read_text("utf-8"))
    ids = []
    for opened in (path, path, path.with_name("other.duckdb")):
        with Ledger(opened) as ledger:
            ids.append(ledger._database.ledger_id)
    assert [len(name) for name in ids] == [36] * 3
    assert [name == ids[0] for name in ids] == [True, True, False]


def test_there_is_a_file_of_each_version() -> None:
    assert [file.stem for file in VERSIONS] == [f"version_{number}" for number in range(1, _schema.VERSION + 1)]


def test_ledger_of_an_earlier_version_is_migrated_in_one_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version is made up. A migration that fails leaves the ledger as it was."""
    Ledger(path).close()
    version = _schema.VERSION
    monkeypatch.setattr(_schema, "VERSION", version + 1)
    monkeypatch.setattr(_schema, "MIGRATIONS", {version: ["CREATE TABLE more (one INTEGER)", "no SQL"]})
    refused(path, "syntax error")
    monkeypatch.setattr(_schema, "MIGRATIONS", {version: ["CREATE TABLE more (one INTEGER)"]})
    for _ in range(2):
        with Ledger(path) as ledger:
            found = ledger._database.cursor().execute("SELECT schema_version FROM venice_ledger, more").fetchall()
            assert found == []
            assert ledger._database._version() == version + 1


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_duckdb_is_imported_only_for_a_ledger(tmp_path: Path) -> None:
    script = (
        "import sys, venice_billing; from venice_billing import *; from venice_billing import ledger\n"
        "from venice_billing.testing import FakeVenice\n"
        "with FakeVenice(5).client() as client: assert len(list(client.iter_usage_history())) == 5\n"
        "print('duckdb' in sys.modules)"
    )
    assert run(script) == "False"


def test_missing_duckdb_says_how_to_install_it(path: Path) -> None:
    script = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from venice_billing import LedgerError\nfrom venice_billing.ledger import Ledger\n"
        f"try: Ledger({str(path)!r})\nexcept LedgerError as error: print(error)"
    )
    assert run(script) == "a ledger needs DuckDB: pip install 'venice-billing[ledger]'"
    assert files(path.parent) == []


@pytest.mark.parametrize(
    ("module", "match"),
    [
        ("__version__ = '1.4.5'", "needs DuckDB 2 or later, and found DuckDB 1.4.5: pip install --upgrade"),
        ("mine = True", "found another module of that name, .*duckdb.py"),
        ("raise ImportError('libstdc++.so.6 is too old')", "cannot be imported: libstdc.* is too old"),
    ],
)
def test_other_duckdb_is_told(path: Path, monkeypatch: pytest.MonkeyPatch, module: str, match: str) -> None:
    path.with_name("duckdb.py").write_text(module)
    monkeypatch.delitem(sys.modules, "duckdb")
    monkeypatch.syspath_prepend(path.parent)
    with pytest.raises(LedgerError, match=match):
        Ledger(path)
    sys.modules.pop("duckdb", None)


def test_fetching_times_needs_no_pytz(path: Path, fake: FakeVenice) -> None:
    script = (
        "import sys; sys.modules['pytz'] = None\n"
        "from venice_billing.ledger import Ledger\nfrom venice_billing.testing import FakeVenice\n"
        "fake = FakeVenice(50)\n"
        f"ledger = Ledger({str(path)!r}); ledger.sync(fake.client()); ledger.sync(fake.client())\n"
        "print(len(list(ledger.entries())), ledger.coverage().until is not None, len(ledger.spend('day')) > 1)"
    )
    assert run(script) == "50 True True"

"""What the path of a ledger may be, what may be in its way, and what comes from outside: signals and time zones."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.support.flavours import files
from venice_billing import InvalidParameterError, LedgerError
from venice_billing.ledger import Ledger, _database

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice

_LONG_QUERY = "SELECT count(*) FROM range(20000000000) WHERE range % 7 = 3"


@pytest.mark.skipif(os.name == "nt", reason="needs the links and modes of Unix")
def test_link_is_the_file_that_it_leads_to(tmp_path: Path, fake: FakeVenice) -> None:
    """DuckDB has its log beside the file, not beside the link; both must be private, and go at the end."""
    path, link = tmp_path / "venice.duckdb", tmp_path / "link.duckdb"
    link.symlink_to(path)
    seen: set[tuple[str, int]] = set()
    kept = os.umask(0)
    try:
        with Ledger(link) as ledger, fake.client() as client:
            ledger.sync(client)
            seen.update((name, stat.S_IMODE((tmp_path / name).stat().st_mode)) for name in files(tmp_path))
            assert ledger.path == path
    finally:
        os.umask(kept)
    assert {name for name, _ in seen} >= {"venice.duckdb", "venice.duckdb.wal"}
    assert {(name, mode) for name, mode in seen if mode & 0o077} == set()
    assert files(tmp_path) == ["link.duckdb", "venice.duckdb"]
    with Ledger(path) as ledger:
        assert texts(ledger.entries()) == texts(walked(fake))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs the pipes of Unix")
def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = (
        "import sys\nfrom venice_billing import LedgerError\nfrom venice_billing.ledger import Ledger\n"
        "try: Ledger(sys.argv[1])\nexcept LedgerError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "pipe")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "a pipe or a device; choose another path" in done.stdout


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("x" * 250, "choose a shorter one"),
        ("x" * 300, "choose a shorter"),
        ("x/" * 4000 + "y", "choose a shorter path"),
    ],
    ids=["no room for an ending", "long name", "long path"],
)
def test_long_path_is_told(tmp_path: Path, name: str, match: str) -> None:
    with pytest.raises(LedgerError, match=match):
        Ledger(tmp_path / name)


@pytest.mark.parametrize("name", ["a?b.duckdb", "a\udcff.duckdb"])
def test_path_that_duckdb_cannot_open_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidParameterError, match="path must be the path of a ledger file"):
        Ledger(tmp_path / name)
    assert files(tmp_path) == []


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = tmp_path / "venice.duckdb"
    (tmp_path / "venice.duckdb.tmp").write_text("mine")
    with pytest.raises(LedgerError, match=r"move away what is there \(File exists: .*venice\.duckdb\.tmp\)"):
        Ledger(path)
    assert (tmp_path / "venice.duckdb.tmp").read_text() == "mine"


def test_disk_that_is_full_at_the_beginning_leaves_no_broken_file(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk; it holds in a process of its own."""
    pytest.importorskip("resource", reason="needs the resource limits of Unix")
    script = (
        "import resource, signal, sys\nfrom venice_billing import LedgerError\n"
        "from venice_billing.ledger import Ledger\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: Ledger(sys.argv[1])\nexcept LedgerError as error: print(error)"
    )
    path = tmp_path / "venice.duckdb"
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "make room" in done.stdout
    assert files(tmp_path) == []
    Ledger(path).close()


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
def test_interrupt_of_a_query_is_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB itself raises a RuntimeError then. With one thread, it looks for signals all the time."""
    monkeypatch.setitem(_database._CONFIGURATION, "threads", "1")
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt), ledger._database.reading() as cursor:
                cursor.execute(_LONG_QUERY)
        finally:
            timer.join()
        assert len(ledger) == 0


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_relation_has_the_days_of_utc_on_every_machine(tmp_path: Path, zone: str) -> None:
    script = (
        "import sys\nfrom venice_billing.ledger import Ledger\nfrom venice_billing.testing import FakeVenice\n"
        "fake = FakeVenice([{'timestamp': f'2026-10-01T{hour:02}:30:00Z'} for hour in range(24)])\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    ledger.sync(fake.client())\n"
        "    days = ledger.relation().aggregate(\"CAST(date_trunc('day', timestamp) AS VARCHAR), count(*)\")\n"
        "    print(days.fetchall(), ledger.relation().fetchall()[0][0].utcoffset())"
    )
    command: list[Any] = [sys.executable, "-c", script, tmp_path / "venice.duckdb"]
    environment = {**os.environ, "TZ": zone}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert done.stdout.strip() == "[('2026-10-01 00:00:00+00', 24)] 0:00:00"

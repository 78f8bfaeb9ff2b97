"""A ledger that is open is locked against other processes, whatever this process does with the file meanwhile.

By the rules of POSIX, a process that closes any descriptor of a file gives up its locks on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError, LedgerError, LedgerUnavailableError, VeniceError, _held_files
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venice_billing.ledger import SyncProgress

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs the locks of POSIX")

_OPEN = "with Ledger(sys.argv[1]): print('open')"
_CLOSE = "with Ledger(sys.argv[1]) as ledger: print(ledger.close('2026-09', allow_incomplete=True).revision)"
_SYNC = """
from venice_billing.testing import FakeVenice
fake = FakeVenice(600, now=datetime.fromisoformat(sys.argv[2]))
for _ in range(50):
    fake.book({"amount": "-1", "currency": "USD"})
with Ledger(sys.argv[1]) as ledger, fake.client() as client:
    print(ledger.sync(client).rows_added)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "venice.duckdb"


@pytest.fixture
def account(path: Path) -> FakeVenice:
    """Return an account of which there is a ledger."""
    fake = FakeVenice(600, now=NOW)
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    return fake


def in_another_process(script: str, *arguments: Any) -> str:
    """Run a script that opens the ledger, and return what it printed, or the error of the library."""
    lines = [
        "import sys\nfrom datetime import datetime\nfrom venice_billing import LedgerUnavailableError",
        "from venice_billing.ledger import Ledger\ntry:",
        *(f"    {line}" for line in script.strip().splitlines()),
        "except LedgerUnavailableError as error: print(error)",
    ]
    command = [sys.executable, "-c", "\n".join(lines), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def assert_locked(path: Path) -> None:
    said = in_another_process(_OPEN, path)
    assert f"in use by another process (PID {os.getpid()}); try again when it has ended" in said


# ---------------------------------------------------------------- the lock stays


def test_ledger_that_is_opened_twice_stays_locked_until_both_are_closed(path: Path) -> None:
    first = Ledger(path)
    second = Ledger(path)
    assert_locked(path)
    assert len(second) == 0
    first.close()
    assert_locked(path)
    third = Ledger(path)
    second.close()
    assert_locked(path)
    third.close()
    assert in_another_process(_OPEN, path) == "open\n"


def test_ledger_that_is_read_after_its_closing_stays_locked(path: Path, account: FakeVenice) -> None:
    """DuckDB has the file open as long as a cursor is there."""
    ledger = Ledger(path)
    entries = ledger.entries()
    next(entries)
    ledger.close()
    with Ledger(path) as again:
        assert len(again) == len(account.ledger)
        assert_locked(path)
    del entries
    assert in_another_process(_OPEN, path) == "open\n"


def test_locks_are_kept_where_the_system_lists_no_descriptors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_held_files, "_FOLDERS", {sys.platform: "/there/is/none"})
    with Ledger(path), Ledger(path):
        assert_locked(path)


def use_as_statement(ledger: Ledger, place: Path) -> None:
    ledger.close("2026-09", allow_incomplete=True).write(place.rename(place.with_suffix(".json")))


_USES: dict[str, Callable[[Ledger, Path], object]] = {
    "csv": lambda ledger, place: ledger.export(place, "csv"),
    "parquet": lambda ledger, place: ledger.export(place, "parquet"),
    "focus": lambda ledger, place: ledger.export(place.rename(place.with_suffix(".csv")), "focus"),
    "log": lambda ledger, place: ledger.reconcile(place, format="jsonl"),
    "statement": use_as_statement,
    "ledger": lambda _, place: Ledger(place),
}


@pytest.mark.parametrize("ending", ["", ".wal"])
@pytest.mark.parametrize("use", _USES)
def test_no_use_of_a_file_of_the_ledger_by_another_name_gives_up_the_lock(
    path: Path, account: FakeVenice, use: str, ending: str
) -> None:
    """The lock of the log is one more: DuckDB locks both files."""
    account.book({"amount": "-1"})
    with Ledger(path) as ledger, account.client() as client:
        ledger.sync(client)
        name = path.with_name("other")
        name.hardlink_to(path.with_name(f"{path.name}{ending}"))
        before = locks_of(name)
        with pytest.raises(VeniceError):
            _USES[use](ledger, name)
        assert (len(before), locks_of(next(path.parent.glob("other*")))) == (1, before)
        assert_locked(path)


def locks_of(path: Path) -> list[str]:
    """Return the locks on a file, as Linux tells them."""
    if sys.platform != "linux":
        pytest.skip("needs /proc/locks")
    with open("/proc/locks", encoding="ascii") as lines:  # noqa: PTH123 - not while the file itself is opened
        return [line.split(maxsplit=1)[1] for line in lines if f":{path.stat().st_ino} " in line]


def test_no_leftover_of_an_export_gives_up_the_lock(path: Path) -> None:
    with Ledger(path) as ledger:
        for kind, leftover in (("csv", "all.csv.rewrite0.partial"), ("focus", ".all.parquet.focus000.rows")):
            target = path.with_name("all.csv" if kind == "csv" else "all.parquet")
            path.with_name(leftover).hardlink_to(path)
            with pytest.raises(VeniceError, match=r"not a partial export of yours \(of a ledger that is open"):
                ledger.export(target, kind)  # type: ignore[arg-type]
        assert_locked(path)


def test_file_of_a_dataset_that_is_the_ledger_gives_up_no_lock(path: Path) -> None:
    with Ledger(path) as ledger:
        place = path.with_name("dataset") / "month=2026-09" / "currency=USD"
        place.mkdir(parents=True)
        (place / "entries.parquet").hardlink_to(path)
        with pytest.raises(VeniceError):
            ledger.export(path.with_name("dataset"), "dataset")
        assert (place / "entries.parquet").samefile(path)
        assert_locked(path)


# ---------------------------------------------------------------- what was lost without it


def test_sync_under_way_loses_no_row_to_a_command_of_cron(path: Path) -> None:
    fake = FakeVenice(1500, now=NOW)
    ended: list[subprocess.CompletedProcess[str]] = []
    with fake.serve() as server, Ledger(path) as ledger, fake.client() as client:
        environment = {**os.environ, "VENICE_API_KEY": fake.admin_key, "VENICE_BASE_URL": server.base_url}

        def meanwhile(_: SyncProgress) -> None:
            if not ended:
                with Ledger(path) as other:
                    assert len(other) == 0
                command = [sys.executable, "-m", "venice_billing", "--ledger", str(path), "sync"]
                ended.append(
                    subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
                )

        assert ledger.sync(client, progress=meanwhile).rows_added == 1500
    assert (ended[0].returncode, "in use by another process" in ended[0].stderr) == (3, True), ended[0].stderr
    with Ledger(path) as ledger:
        assert texts(ledger.entries()) == texts(walked(fake))


def test_no_statement_of_another_process_is_recorded_and_lost(path: Path, account: FakeVenice) -> None:
    with Ledger(path) as ledger, Ledger(path), account.client() as client:
        assert "in use by another process" in in_another_process(_CLOSE, path)
        account.book({"amount": "-1"})
        assert ledger.sync(client).rows_added == 1
    assert in_another_process(_CLOSE, path) == "1\n"
    with Ledger(path) as ledger:
        assert ledger.statement("2026-09").is_closed


def test_no_sync_of_another_process_is_undone(path: Path, account: FakeVenice) -> None:
    with Ledger(path) as ledger, Ledger(path), account.client() as client:
        assert "in use by another process" in in_another_process(_SYNC, path, NOW.isoformat())
        account.book({"amount": "-1"})
        assert ledger.sync(client).rows_added == 1
    with Ledger(path) as ledger:
        assert texts(ledger.entries()) == texts(walked(account))


# ---------------------------------------------------------------- two names, two files, two processes


def refused(path: Path, match: str) -> None:
    with pytest.raises(LedgerUnavailableError, match=match) as caught:
        Ledger(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_second_name_of_an_open_ledger_is_refused(path: Path, account: FakeVenice) -> None:
    """DuckDB would take it for another ledger, and each of the two would undo what the other writes."""
    name = path.with_name("second.duckdb")
    name.hardlink_to(path)
    with Ledger(path) as ledger, account.client() as client:
        refused(name, rf"another name of {path}, which is open in this process; use one name")
        assert "in use by another process" in in_another_process(_OPEN, name)
        ledger.sync(client)
        assert_locked(path)
    with Ledger(name) as ledger:
        refused(path, "another name of")
        assert texts(ledger.entries()) == texts(walked(account))


def test_file_that_was_moved_or_replaced_while_open_is_refused(path: Path) -> None:
    """DuckDB would give the ledger that it has under the name, or lock none."""
    Ledger(path).close()
    other = path.with_name("other.duckdb")
    Ledger(other).close()
    with Ledger(path):
        path.rename(path.with_name("moved.duckdb"))
        refused(path.with_name("moved.duckdb"), "another name of")
        refused(path, "still has the file open that was there before; close that ledger first")
        other.rename(path)
        refused(path, "still has the file open that was there before; close that ledger first")
    for name in (path, path.with_name("moved.duckdb")):
        Ledger(name).close()


def test_ledger_that_was_forgotten_or_deleted_is_in_nobodys_way(path: Path) -> None:
    ledger = Ledger(path)
    del ledger
    path.unlink()
    Ledger(path).close()


def test_file_that_the_program_has_open_itself_is_refused(path: Path) -> None:
    """Its closing would give up the lock."""
    Ledger(path).close()
    with path.open("rb"):
        refused(path, "this process has the file open by other means")
    with Ledger(path):
        assert_locked(path)


@pytest.mark.parametrize("is_closed", [False, True], ids=["open in the parent", "closed in the child"])
def test_child_of_a_fork_opens_no_ledger_of_its_parent(path: Path, account: FakeVenice, *, is_closed: bool) -> None:
    """DuckDB would give it that of the parent, without a lock."""
    script = f"""
import os, signal, sys
from venice_billing import LedgerUnavailableError
from venice_billing.ledger import Ledger
ledger = Ledger(sys.argv[1])
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    if {is_closed}:
        ledger.close()
    try:
        Ledger(sys.argv[1])
    except LedgerUnavailableError as error:
        assert "opened before the fork of this process" in str(error)
        sys.exit(7)
    sys.exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(ledger))
"""
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["7", str(len(account.ledger))]


def test_child_of_a_fork_waits_for_no_thread_of_its_parent(path: Path) -> None:
    """A thread that opens a ledger at the moment of the fork is not in the child."""
    script = """
import os, signal, sys, threading
from venice_billing import _held_files
from venice_billing.ledger import Ledger
held, go = threading.Event(), threading.Event()
def hold():
    with _held_files.one_at_a_time():
        held.set()
        go.wait(60)
thread = threading.Thread(target=hold)
thread.start()
assert held.wait(60)
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    Ledger(sys.argv[1]).close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
go.set()
"""
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout == "7\n"


def test_threads_that_open_a_ledger_at_once_keep_it_locked(path: Path) -> None:
    Ledger(path).close()
    start, opened = threading.Barrier(8), []

    def work() -> None:
        start.wait(60)
        opened.append(Ledger(path))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(opened) == 8
    assert_locked(path)
    for ledger in opened:
        ledger.close()


def test_ledger_is_no_log_of_requests(path: Path) -> None:
    with Ledger(path) as ledger, pytest.raises(InvalidParameterError, match="a log, not a file of the ledger itself"):
        ledger.reconcile(path, format="csv")
    with pytest.raises(LedgerError, match="was closed"):
        len(ledger)

"""How a closing is recorded: beside a sync, before a kill, in a file that is read-only or was altered."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.ledger.statement.months import DAY, OCTOBER, sync
from venice_billing import LedgerError, _exact, spend
from venice_billing.ledger import Ledger, _closings

if TYPE_CHECKING:
    from venice_billing.testing import FakeVenice


def test_altered_statement_is_refused(filled: Ledger) -> None:
    filled.close("2026-10")
    filled._database.cursor().execute("UPDATE closed_months SET statement = 'none'")
    with pytest.raises(LedgerError, match="statement of 2026-10 was altered"):
        filled.statement("2026-10")


def test_read_only_ledger_shows_statements_but_closes_nothing(filled: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = filled.close("2026-09")
    filled.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Ledger(filled.path) as ledger:
        assert ledger.statement("2026-09") == closed
        assert ledger.statement("2026-10").revision == 0
        assert ledger.close("2026-09") == closed, "nothing is written, so nothing is refused"
        with pytest.raises(LedgerError, match="read-only; make it writable"):
            ledger.close("2026-10")


def test_closing_during_a_sync_is_refused(filled: Ledger, fake: FakeVenice) -> None:
    said = []

    def meanwhile(_: object) -> None:
        with pytest.raises(LedgerError, match="another sync or closing of this ledger is under way") as caught:
            filled.close("2026-10")
        said.append(str(caught.value))
        assert filled.statement("2026-10").revision == 0

    sync(filled, fake, progress=meanwhile)
    assert len(said) == 1
    assert filled.close("2026-10").is_closed


def test_statement_that_a_sync_overtakes_is_read_again(
    filled: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Totals of one state beside the digest of another would be wrong without a word."""
    whole, syncs = _closings._digest, iter([1])

    def digest(*arguments: Any) -> Any:
        found = whole(*arguments)
        for _ in syncs:
            fake.book({"amount": "-0.25", "currency": "USD"}, late=20 * DAY)
            sync(filled, fake, full=True)
        return found

    monkeypatch.setattr(_closings, "_digest", digest)
    statement = filled.statement("2026-10")
    assert statement.count == sum(row.count for row in statement.totals)
    assert statement.totals == spend.summarize(filled.entries(OCTOBER, "2026-11-01"), ())


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from venice_billing.ledger import Ledger, _closings
_closings._now = lambda: datetime(2026, 11, 4, 12, tzinfo=UTC)
with Ledger(sys.argv[1]) as ledger:
    transaction, at = ledger._database.transaction, int(sys.argv[2])
    if at == 0:
        _closings._record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    elif at == 1:
        class Cursor:
            def __init__(self, inner): self.inner = inner
            def __enter__(self): self.cursor = self.inner.__enter__(); return self.cursor
            def __exit__(self, *error): os.kill(os.getpid(), signal.SIGKILL)
        ledger._database.transaction = lambda **options: Cursor(transaction(**options))
    ledger.close("2026-10")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")
@pytest.mark.parametrize(("at", "is_recorded"), [(0, False), (1, False), (2, True)])
def test_kill_leaves_the_closing_recorded_or_not(filled: Ledger, at: int, *, is_recorded: bool) -> None:
    """Before it is written, within the transaction, and right after it."""
    expected = filled.statement("2026-10")
    filled.close()
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(filled.path), str(at)], timeout=120, check=False)
    assert killed.returncode < 0
    with Ledger(filled.path) as ledger:
        assert len(ledger) == 900
        found = ledger.statement("2026-10")
        assert found == (evolve(expected, revision=1) if is_recorded else expected)
        assert ledger.close("2026-10") == evolve(expected, revision=1)


def test_views_show_closings_in_sql(filled: Ledger) -> None:
    statement = filled.close("2026-10")
    execute = filled._database.cursor().execute
    assert execute("SELECT month, timezone, revision, is_complete, digest, row_count FROM closings").fetchall() == [
        ("2026-10", "UTC", 1, True, statement.digest, statement.count)
    ]
    rows = execute("SELECT currency, net, count FROM closing_totals ORDER BY currency").fetchall()
    assert rows == [(row.currency, _exact.text(row.net), row.count) for row in statement.totals]


_CLOSED_ON_A_FULL_DISK = """
import resource, signal, sys
from venice_billing import LedgerError
from venice_billing.ledger import Ledger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    ledger.close("2026-10")
except LedgerError as error:
    print(error)
"""


def test_full_disk_while_closing_is_one_line_about_the_month(filled: Ledger) -> None:
    """A limit on the size of files stands for the full disk; it holds in a process of its own."""
    pytest.importorskip("resource", reason="needs the resource limits of Unix")
    filled.close()
    command = [sys.executable, "-c", _CLOSED_ON_A_FULL_DISK, str(filled.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("\n") == 1
    assert "the disk is full; make room, and close the month again" in done.stdout

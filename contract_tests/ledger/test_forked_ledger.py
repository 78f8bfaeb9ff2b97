"""A ledger in a forked child: refused, and harmless however the child leaves it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.support.flavours import files
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")

_SCRIPT = """
import os, signal, sys
from venice_billing import LedgerError
from venice_billing.ledger import Ledger

ledger = Ledger(sys.argv[1])
relation = ledger.relation()
entries = ledger.entries()
next(entries)
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    try:
        len(ledger)
    except LedgerError as error:
        assert "before a fork" in str(error)
    {leave}
    sys.exit(7)  # with all that Python does at its end
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(ledger), 1 + sum(1 for _ in entries), flush=True)
ledger.close()
"""


@pytest.mark.parametrize(
    "leave",
    ["pass", "ledger.close()", "ledger.__exit__(None, None, None)", "del ledger, relation, entries"],
    ids=["exit", "close", "with", "forget"],
)
def test_child_leaves_the_ledger_to_its_parent(tmp_path: Path, fake: FakeVenice, leave: str) -> None:
    path = tmp_path / "venice.duckdb"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    command = [sys.executable, "-c", _SCRIPT.format(leave=leave), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["7", "600", "600"]), done.stderr
    with Ledger(path) as ledger:
        assert texts(ledger.entries()) == texts(walked(fake))


_FORKING_SYNC = """
import os, signal, sys
from venice_billing import LedgerError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

fake, ledger, child, parent = FakeVenice(3000), Ledger(sys.argv[1]), None, os.getpid()

def fork_once(progress):
    global child
    if child is None:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

try:
    with fake.client() as client:
        report = ledger.sync(client, progress=fork_once)
except LedgerError as error:
    assert os.getpid() != parent, error
    assert "before a fork" in str(error), error
    assert len(fake.requests) < 3, "more was fetched"
    sys.exit(7)  # with all that Python does at its end
print(report.rows_read, len(ledger), len(fake.ledger), flush=True)
ledger.close()
"""


def test_child_of_a_sync_writes_nothing_among_the_pages_of_its_parent(tmp_path: Path) -> None:
    """Not with asyncio: a child that goes on with an event loop spoils that of its parent, whatever runs in it."""
    path = tmp_path / "venice.duckdb"
    command = [sys.executable, "-c", _FORKING_SYNC, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["7", "3000", "3000", "3000"]), done.stderr
    assert files(tmp_path) == ["venice.duckdb"]

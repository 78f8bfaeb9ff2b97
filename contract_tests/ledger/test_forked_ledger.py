"""A ledger in a forked child: refused, and harmless however the child leaves it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import texts, walked
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

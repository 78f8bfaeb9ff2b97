"""What a process that was killed leaves beside a ledger or an export: the next run removes it, unless it is in use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.flavours import NOW, files
from venice_billing import ExportError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs the locks and signals of Unix")

_HELD = """
import sys
from venice_billing.ledger import Ledger, _focus_file, _schema

def hold(*arguments, **options):
    print("held", flush=True)
    sys.stdin.read()
    return []

{patch}
with Ledger(sys.argv[1]) as ledger:
    ledger.export(sys.argv[2], "focus")
"""
_CREATING = "_schema.creation = hold"
_EXPORTING = "_focus_file.copy_to_parquet = hold"


def held(path: Path, target: Path, patch: str) -> subprocess.Popen[str]:
    """Start a process that stops in the middle."""
    command = [sys.executable, "-c", _HELD.format(patch=patch), str(path), str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def test_half_made_ledger_is_removed_when_its_process_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "venice.duckdb"
    process = held(path, tmp_path / "focus.parquet", _CREATING)
    try:
        (folder,) = files(tmp_path)
        Ledger(path).close()
        assert files(tmp_path) == sorted([folder, "venice.duckdb"]), "a folder in use stays"
    finally:
        kill(process)
    assert files(tmp_path) == sorted([folder, "venice.duckdb"])
    Ledger(path).close()
    assert files(tmp_path) == ["venice.duckdb"]


def test_rows_of_a_killed_focus_export_are_removed_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "focus.parquet"
    paths = [tmp_path / name for name in ("one.duckdb", "other.duckdb")]
    fake = FakeVenice(300, now=NOW)
    for path in paths:
        with Ledger(path) as ledger, fake.client() as client:
            ledger.sync(client)
    process = held(paths[0], target, _EXPORTING)
    try:
        with Ledger(paths[1]) as ledger, pytest.raises(ExportError, match="another export is writing this file"):
            ledger.export(target, "focus")
    finally:
        kill(process)
    left = [name for name in files(tmp_path) if name.endswith(".rows")]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in left] == [0o600]
    with Ledger(paths[0]) as ledger:
        assert ledger.export(target, "focus").rows == 300
    assert files(tmp_path) == ["focus.parquet", "one.duckdb", "other.duckdb"]

"""An export that fails or is killed leaves the file that was there, and no half one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.export.records import FILES
from contract_tests.support.flavours import files
from venice_billing import ExportError
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice


@pytest.mark.parametrize("kind", FILES)
def test_failed_export_leaves_the_old_file(
    filled: Ledger, tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "all"
    target.write_bytes(b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ExportError, match="No space left on device") as caught:
        filled.export(target, kind)
    assert str(target) in str(caught.value)
    assert (target.read_bytes(), files(folder)) == (b"old", ["all"])


_KILLED = """
import os, signal, sys
from venice_billing.ledger import Ledger

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
Ledger(sys.argv[1]).export(sys.argv[2])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
@pytest.mark.parametrize("kind", FILES)
def test_killed_export_leaves_no_half_file_and_the_next_one_cleans_up(
    tmp_path: Path, fake: FakeVenice, kind: str
) -> None:
    path, folder = tmp_path / "venice.duckdb", tmp_path / "out"
    folder.mkdir()
    target = folder / f"all.{kind}"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    killed = subprocess.run([sys.executable, "-c", _KILLED, path, target], timeout=120, check=False)
    assert killed.returncode == -9
    (left,) = files(folder)
    assert left.endswith(".partial")
    assert stat.S_IMODE((folder / left).stat().st_mode) == 0o600
    with Ledger(path) as ledger:
        ledger.export(target)
    assert files(folder) == [target.name]


_LIMITED = """
import resource, signal, sys
from venice_billing import ExportError
from venice_billing.ledger import Ledger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
try:
    ledger.export(sys.argv[2], sys.argv[3])
except ExportError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_full_disk_is_one_line(tmp_path: Path, fake: FakeVenice, kind: str) -> None:
    """A limit on the size of files stands for the full disk; it holds in a process of its own."""
    pytest.importorskip("resource", reason="needs the resource limits of Unix")
    path, folder = tmp_path / "venice.duckdb", tmp_path / "out"
    folder.mkdir()
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    command = [sys.executable, "-c", _LIMITED, str(path), str(folder / "all"), kind]
    limited = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert limited.returncode == 0, limited.stderr
    assert (limited.stdout.count("\n"), str(folder / "all") in limited.stdout) == (1, True), limited.stdout
    assert "File too large" in limited.stdout
    assert "make room" in limited.stdout
    assert "next sync" not in limited.stdout
    assert "exception_type" not in limited.stdout, "JSON of DuckDB"
    assert files(folder) == []

"""All benchmarks run once, on a tiny ledger. The figures that they measure are not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_BENCHMARKS = ROOT / "benchmarks"
_FIGURES_OF_OURS = 17


def test_every_benchmark_runs(tmp_path: Path) -> None:
    """All tables are there, each with our own figures in it; peers may be missing where they are not installed."""
    results = tmp_path / "results.md"
    command = [sys.executable, str(_BENCHMARKS / "run.py"), "--quick", "--output", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = results.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## CPU of the whole process, one walk",
        "## Wall time of a walk at 5 ms a page",
        "## CPU of the whole process, one CSV export",
        "## `get_balance`, median of 500 calls, in turn with bare httpx",
        "## Requests of one walk",
        "## Peak memory over the bare import",
        "## Import",
    ]
    rows = [line for line in text.splitlines() if line.startswith(("| **venice-billing**", "| import venice_billing"))]
    assert len(rows) > _FIGURES_OF_OURS
    assert str(tmp_path) not in text


def test_every_job_walks_the_whole_ledger(tmp_path: Path) -> None:
    """The compared jobs do the same work: they read every row once, and both exports write the same bytes."""
    server = subprocess.Popen(
        [sys.executable, str(_BENCHMARKS / "server.py"), "3210", "uneven"], stdout=subprocess.PIPE, text=True
    )
    with server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/api/v1"
            rows = {}
            for job in ("ours", "ours_8", "ours_async_8", "typed", "typed_8", "raw_export", "our_export_8"):
                command = [sys.executable, str(_BENCHMARKS / "jobs.py"), job, url, str(tmp_path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows[job] = json.loads(done.stdout)["rows"]
        finally:
            server.kill()
    assert set(rows.values()) == {3210}, rows
    assert (tmp_path / "raw.csv").read_bytes() == (tmp_path / "ours.csv").read_bytes()


def test_starts_of_the_command_are_measured() -> None:
    """The figures are not tested: they depend on the load."""
    command = [sys.executable, str(_BENCHMARKS / "command_start.py"), "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    names = ["python -I -c pass", *(f"venice-billing {name}" for name in ("--version", "--help", "status"))]
    assert [line.partition("  ")[0] for line in done.stdout.splitlines()[1:]] == names

"""Run jobs in processes of their own, beside a server in another one, and count what they cost."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HERE = Path(__file__).resolve().parent


@frozen
class Run:
    """What one run of a job cost.

    Attributes:
        cpu: Seconds of the whole process, its start included.
        requests: How many the server was asked.
        narrow: How many of them asked for less than a quarter of an hour.
        report: What the job says of itself.
    """

    cpu: float
    requests: int
    narrow: int
    report: dict[str, Any]


@frozen
class Server:
    """A running server."""

    port: int

    def run(self, job: str, delay: float, *, program: Path = _HERE / "jobs.py", folder: Path | None = None) -> Run:
        """Run a job of a program once, with `delay` seconds before each answer; by default in a folder of its own."""
        self._control(delay)
        with tempfile.TemporaryDirectory() as own:
            command = [sys.executable, str(program), job, f"http://127.0.0.1:{self.port}/api/v1", str(folder or own)]
            report, cpu = finished(command)
        counts = self._control(0)
        return Run(cpu, counts["requests"], counts["narrow"], json.loads(report))

    def _control(self, delay: float) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control?delay={delay}") as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


@contextmanager
def compiled() -> Iterator[None]:
    """Let the processes in between keep and find bytecode, whatever the environment says."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, PYTHONPYCACHEPREFIX=folder):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        yield


@contextmanager
def serving(entries: int, shape: str) -> Iterator[Server]:
    """Serve a ledger of this size and shape from another process."""
    command = [sys.executable, str(_HERE / "server.py"), str(entries), shape]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


def median(runs: Sequence[Run], figure: str) -> float:
    """Return the median of a figure: of the runs, or of what their jobs report."""
    return statistics.median(float(getattr(run, figure, None) or run.report.get(figure, 0)) for run in runs)


def import_seconds(statement: str) -> float:
    """Return the seconds that an import takes in a process that has imported nothing else."""
    program = f"from time import perf_counter as now; start = now(); {statement}; print(now() - start)"
    return float(finished([sys.executable, "-W", "ignore", "-c", program])[0])


def is_installed(module: str) -> bool:
    """Tell whether a peer is there to compare with."""
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def finished(command: Sequence[str]) -> tuple[bytes, float]:
    """Run a command; return what it printed and the CPU seconds it used."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, problems = process.stdout, process.stderr
    assert printed is not None
    assert problems is not None
    output, errors = printed.read(), problems.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    printed.close()
    problems.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {errors.decode()[-2000:]}")
    return output, usage.ru_utime + usage.ru_stime

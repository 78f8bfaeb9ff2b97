"""`scripts/_bootstrap.sh` makes .venv once, in its own folder, with any exported variables and during other runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")

TIMEOUT = 120
# A stub for every Python: it logs its commands and their folder. For a new environment it copies itself, after waiting
# for as long as the file `hold` exists.
PYTHON = """#!/bin/bash
case "$*" in
  "-c "*) exit 0 ;;
  -V) echo "Python 3.11.0"; exit 0 ;;
  "-m venv"*)
    echo "venv in $PWD" >>"$STUB_LOG"
    while [[ -e $STUB_HOLD ]]; do sleep 0.05; done
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip"*)
    echo "pip in $PWD ${PIP_TARGET-}${PIP_PREFIX-}${PIP_USER-}${PYTHONPATH-}${PYTHONHOME-}" >>"$STUB_LOG" ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


class Checkout:
    """A copy of the files that the script needs, and a folder on the PATH with a stub of Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "check out"
        (self.folder / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "_bootstrap.sh", self.folder / "scripts")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.folder)
        stub = folder / "bin" / "python3"
        stub.parent.mkdir()
        stub.write_text(PYTHON)
        stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
        self.log = folder / "log"
        self.hold = folder / "hold"
        self.environment = {
            **os.environ,
            "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}",
            "STUB_LOG": str(self.log),
            "STUB_HOLD": str(self.hold),
        }

    def start(self, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "scripts/_bootstrap.sh", "demo"],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **variables: str) -> str:
        process = self.start(**variables)
        said, problems = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, problems
        assert said == ""
        return problems

    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_exported_cdpath_is_ignored(checkout: Checkout, tmp_path: Path) -> None:
    """The folder on CDPATH has its own .venv, which stays unchanged."""
    trap = tmp_path / "trap"
    (trap / "scripts").mkdir(parents=True)
    (trap / ".venv").mkdir()
    (trap / ".venv" / "keep").write_text("another project's")
    checkout.run(CDPATH=str(trap))
    assert (trap / ".venv" / "keep").read_text() == "another project's"
    assert sorted(path.name for path in trap.iterdir()) == [".venv", "scripts"]
    assert (checkout.folder / ".venv" / "bin" / "python").exists()


@pytest.mark.parametrize("name", ["test", "demo"])
def test_scripts_that_start_it_ignore_cdpath_too(checkout: Checkout, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "trap"
    (trap / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / name, checkout.folder / "scripts")
    (checkout.folder / "scripts" / "_bootstrap.sh").write_text('echo "$0 $PWD"; exit 7\n')
    process = subprocess.run(
        ["bash", f"scripts/{name}"],
        cwd=checkout.folder,
        env={**checkout.environment, "CDPATH": str(trap)},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert process.returncode == 7, process.stderr
    assert process.stdout.split()[-2:] == str(checkout.folder).split()
    assert str(trap) not in process.stdout


def test_variables_that_redirect_pip_or_python_are_not_passed_on(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    names = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONPATH", "PYTHONHOME")
    checkout.run(**dict.fromkeys(names, elsewhere))
    assert len(checkout.done()) >= 3
    assert all(line.endswith(f"in {checkout.folder}") for line in map(str.rstrip, checkout.done()))


def test_a_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.run()
    done = checkout.done()
    assert checkout.run() == ""
    assert checkout.done() == done


def says(process: subprocess.Popen[str], text: str) -> bool:
    """Wait for a line with this text or for the end of the output; return whether the line came."""
    assert process.stderr is not None
    return any(text in line for line in process.stderr)


def test_two_runs_at_once_make_one_environment(checkout: Checkout) -> None:
    """The second run names the process it waits for, and then has nothing left to do."""
    checkout.hold.touch()
    first = checkout.start()
    second = None

    def give_up() -> None:
        for process in (first, second):
            if process is not None:
                process.kill()

    watchdog = threading.Timer(TIMEOUT, give_up)
    watchdog.start()
    try:
        assert says(first, "making .venv")
        second = checkout.start()
        assert says(second, f"waiting for another run (process {first.pid})")
        checkout.hold.unlink()
        assert [first.wait(TIMEOUT), second.wait(TIMEOUT)] == [0, 0]
    finally:
        watchdog.cancel()
        checkout.hold.unlink(missing_ok=True)
        give_up()
        for process in (first, second):
            if process is not None:
                process.communicate()
    assert [line.split()[0] for line in checkout.done()].count("venv") == 1
    assert not os.path.lexists(checkout.folder / ".venv.lock")


def test_lock_of_a_killed_run_is_taken_over(checkout: Checkout) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait(TIMEOUT)
    (checkout.folder / ".venv.lock").symlink_to(str(gone.pid))
    checkout.run()
    assert checkout.done()
    assert [path.name for path in checkout.folder.iterdir() if "lock" in path.name] == []


def test_a_run_that_fails_leaves_no_lock(checkout: Checkout) -> None:
    (checkout.folder / "constraints.txt").unlink()
    process = checkout.start()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode != 0
    assert not os.path.lexists(checkout.folder / ".venv.lock")

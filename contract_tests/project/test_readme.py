"""The README is correct: its tour runs as written, and its links lead to files."""

from __future__ import annotations

import re
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.paths import ROOT
from tour import main, tour

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
TEXT = README.read_text("utf-8")


def visible_files() -> list[str]:
    """Return the files in this folder, except caches, which other tests may create at the same time."""
    return sorted(path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__")))


def test_the_tour_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block runs, in order, against a served fake; none changes the environment or this folder."""
    before = visible_files()
    assert tour(README) == TEXT.count("```python\n") >= 7
    assert re.search(r"^2500 .*usage\.csv$", capsys.readouterr().out, re.MULTILINE)
    assert visible_files() == before


def test_tour_runs_without_the_source_tree(tmp_path: Path) -> None:
    """The package session runs the tour with the built wheel: it needs only the program and the README."""
    (tmp_path / "tour.py").write_bytes((ROOT / "scripts" / "tour.py").read_bytes())
    (tmp_path / "README.md").write_text("Before\n\n```python\nprint(6 * 7)\n```\n\nAfter\n")
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "tour.py", "README.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "42\n1 blocks of README.md ran as written\n"


def test_failing_block_is_reported_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "README.md"
    broken.write_text("# Title\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        tour(broken)
    frames = traceback.extract_tb(caught.tb)
    assert [frame.lineno for frame in frames if frame.filename == "README.md"] == [5]


def test_a_readme_without_a_tour_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "README.md"
    empty.write_text("# Title\n")
    assert main([str(empty)]) == 1
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_readme_is_short_enough_to_be_read() -> None:
    """What does not fit is on a page of `docs/`."""
    assert len(TEXT.splitlines()) < 200


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./]+)\)", TEXT))
def test_links_lead_to_files(path: str) -> None:
    assert (ROOT / path).is_file()


def test_commands_exist_and_are_executable() -> None:
    commands = re.findall(r"^(scripts/\w+)", TEXT, re.MULTILINE)
    assert commands == ["scripts/demo", "scripts/test"]
    assert all((ROOT / command).stat().st_mode & 0o100 for command in commands)


@pytest.mark.parametrize("claim", ["not affiliated with Venice.ai", "VENICE_API_KEY", "Never add two currencies"])
def test_required_notices_are_present(claim: str) -> None:
    assert claim in TEXT

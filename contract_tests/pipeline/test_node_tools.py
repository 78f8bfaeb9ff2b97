"""redocly and spectral have no complaint about the contract; where they cannot run, `nox -s lint` says why."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

import lint_contract
from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document
from pipeline.node_tools import ToolUnavailableError, command, is_required

if TYPE_CHECKING:
    from pathlib import Path

_STUB = "#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n"
_needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="the stubs are shell scripts")


@pytest.fixture
def tools() -> None:
    """Skip the test where a linter cannot run."""
    for tool in ("redocly", "spectral"):
        try:
            command(tool)
        except ToolUnavailableError as error:
            if is_required():
                raise
            pytest.skip(str(error))


@pytest.fixture
def failing_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace node and npm by commands that fail, in an environment without tools."""
    for name in ("node", "npm"):
        (tmp_path / name).write_text(_STUB)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.delenv("CI", raising=False)


def test_the_contract_has_no_errors_and_no_warnings(tools: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint_contract.main([]) == 0
    assert capsys.readouterr().out == (
        "redocly: no errors, no warnings\nspectral: no errors, no warnings\n"  # and neither was skipped
    )


def test_a_mere_warning_of_either_is_a_complaint(
    tools: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = load_document(CONTRACT)
    del document["info"]["license"], document["info"]["contact"]
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(document))
    assert lint_contract.main([str(tmp_path / "contract.yaml")]) == 1
    complaints = capsys.readouterr().out
    assert "info-license" in complaints
    assert "info-contact" in complaints


def test_without_node_the_lint_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    assert lint_contract.main([]) == 0
    assert capsys.readouterr().out == (
        "skipped: redocly did not run: there is no node with npm on the PATH\n"
        "skipped: spectral did not run: there is no node with npm on the PATH\n"
    )


@_needs_shell
def test_where_npm_cannot_install_the_lint_goes_on_but_not_on_ci(
    failing_npm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint_contract.main([]) == 0
    assert "skipped: redocly did not run: npm cannot install @redocly/cli@" in capsys.readouterr().out
    assert list((tmp_path / "environment" / "node-tools").iterdir()) == []
    monkeypatch.setenv("CI", "true")
    assert lint_contract.main([]) == 1

"""The workflows: pinned actions, no credentials kept for git, no expression in a shell command, least permissions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
WRITERS = {
    ("live", "issue"): {"issues"},
    ("release", "publish"): {"id-token"},
    ("upstream", "publish"): {"contents", "issues", "pull-requests"},
}
"""The jobs that may write, and what."""

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the sdist has no workflows")
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


@each_workflow
def test_actions_are_pinned_by_commit_and_name_their_version(path: Path) -> None:
    uses = [line.strip() for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert len(uses) == sum("uses" in step for step in steps(path))
    for line in uses:
        assert re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@each_workflow
def test_no_checkout_keeps_credentials(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each_workflow
def test_no_expression_is_written_into_a_shell_command(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@each_workflow
def test_only_known_jobs_write(path: Path) -> None:
    whole = yaml.safe_load(path.read_text("utf-8"))["permissions"]
    for name, job in jobs(path).items():
        granted = job.get("permissions", whole)
        writes = {scope for scope, level in granted.items() if level == "write"}
        assert writes == WRITERS.get((path.stem, name), set()), name


@each_workflow
def test_jobs_that_write_use_no_cache_and_no_secret(path: Path) -> None:
    for name, job in jobs(path).items():
        if (path.stem, name) in WRITERS:
            assert "cache" not in str(job["steps"])
            assert "secrets." not in str(job)

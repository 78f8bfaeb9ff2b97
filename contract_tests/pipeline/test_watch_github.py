"""What the watch publishes, on a GitHub served on loopback: one pull request, one issue of each kind, no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import asdict, evolve

import watch
from contract.diff_rows import Change, Severity
from contract_tests.support.fake_github import REPOSITORY, TOKEN, FakeGitHub
from watching.decision import Observation
from watching.github import BRANCH, COMMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTRACT = "openapi/venice-billing.yaml"
MODULE = "generated/venice_billing_api/models/gone.py"
REQUIRED = Change("getBillingBalance", "parameters.query.tenant", "required parameter added", Severity.BREAKING)
ADDED = evolve(REQUIRED, severity=Severity.COMPATIBLE)
SAME = Observation("1", "d")
FILES: dict[str, str | None] = {CONTRACT: "new\n", MODULE: None}
COMPATIBLE = Observation("1", "d", is_changed=True, substance="s", rows=(ADDED,), files=FILES)
BREAKING = evolve(COMPATIBLE, rows=(REQUIRED,))
DRIFT = {"operation": "getBillingBalance", "location": "responses.200.x", "what": "unknown field", "verdict": "drift"}


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    for name in ("GITHUB_SERVER_URL", "GITHUB_RUN_ID", "VENICE_API_KEY", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with FakeGitHub() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield github


@pytest.fixture
def publish(github: FakeGitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that publishes an observation, and returns what was printed."""

    def publish(observation: Observation, *options: str, code: int = 0) -> str:
        saved = tmp_path / "observation.json"
        saved.write_text(json.dumps(asdict(watch.Saved("https://venice.test/swagger.yaml", observation))))
        assert watch.main(["--saved", str(saved), *options]) == code
        return "".join(capsys.readouterr())

    return publish


def opened(github: FakeGitHub) -> list[tuple[int, str, bool]]:
    """Return number, title, and whether it is a pull request, of all that is open."""
    items = github.items.values()
    return [(each["number"], each["title"], "pull_request" in each) for each in items if each["state"] == "open"]


def test_change_becomes_one_commit_on_the_default_branch_and_a_pull_request(github: FakeGitHub, publish: Any) -> None:
    assert "pull request: opened #1" in publish(COMPATIBLE)
    assert opened(github) == [(1, "Take over a compatible change of the published contract", True)]
    commit = github.commits[github.refs[f"refs/heads/{BRANCH}"]]
    assert (commit["message"], commit["parents"]) == (COMMIT, ["c0"])
    assert github.trees[commit["tree"]] == [
        {"path": CONTRACT, "mode": "100644", "type": "blob", "content": "new\n"},
        {"path": MODULE, "mode": "100644", "type": "blob", "sha": None},
    ]
    assert github.refs["refs/heads/main"] == "c0"


def test_nothing_changed_asks_for_what_is_open_and_writes_nothing(github: FakeGitHub, publish: Any) -> None:
    assert publish(SAME).count("nothing to do") == 2
    assert github.writes == []


def test_second_run_with_the_same_findings_writes_nothing(github: FakeGitHub, publish: Any) -> None:
    publish(BREAKING)
    github.asked.clear()
    assert publish(evolve(BREAKING, version="2", digest="e")).count("says it already") == 2
    assert github.writes == []


def test_other_findings_renew_the_pull_request_and_the_issue(github: FakeGitHub, publish: Any) -> None:
    publish(BREAKING)
    again = evolve(BREAKING, substance="t", files={CONTRACT: "newer\n"})
    assert "pull request: renewed #1\nupstream issue: renewed #2" in publish(again)
    assert [number for number, _, _ in opened(github)] == [1, 2]
    (entry,) = github.trees[github.commits[github.refs[f"refs/heads/{BRANCH}"]]["tree"]]
    assert entry["content"] == "newer\n"
    assert [number for number, _ in github.comments] == [1, 2]
    assert publish(again).count("says it already") == 2


def test_commits_of_others_on_the_branch_survive(github: FakeGitHub, publish: Any) -> None:
    publish(COMPATIBLE)
    ref = f"refs/heads/{BRANCH}"
    github.commits["mine"] = {"message": "Offer it in the facade", "tree": "t9", "parents": [github.refs[ref]]}
    github.refs[ref] = "mine"
    publish(evolve(COMPATIBLE, substance="t"))
    assert github.refs[ref] == "mine"
    assert "left as it is" in github.comments[0][1]


def test_both_are_closed_when_the_documents_agree_and_reopened_anew_when_they_do_not(
    github: FakeGitHub, publish: Any
) -> None:
    publish(BREAKING)
    publish(SAME)
    assert opened(github) == []
    publish(BREAKING)
    assert [number for number, _, _ in opened(github)] == [3, 4]


def test_declined_pull_request_and_issue_are_not_opened_again(github: FakeGitHub, publish: Any) -> None:
    publish(BREAKING)
    github.items[1]["state"] = "closed"
    github.items[2] |= {"state": "closed", "state_reason": "not_planned"}
    assert publish(BREAKING).count("was declined") == 2
    assert len(github.items) == 2


def test_issue_of_somebody_with_the_same_label_is_left_alone(github: FakeGitHub, publish: Any) -> None:
    github.items[1] = {"number": 1, "state": "open", "labels": ["upstream-contract"], "title": "Mine", "body": None}
    publish(BREAKING)
    publish(SAME)
    assert opened(github) == [(1, "Mine", False)]


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "generated/venice_billing_api/../../noxfile.py", "/x"])
def test_no_other_file_is_pushed(github: FakeGitHub, publish: Any, path: str) -> None:
    assert "no generated file" in publish(evolve(COMPATIBLE, files={path: "text"}), code=2)
    assert github.writes == []


def test_refusal_is_told_in_one_line_without_the_token(github: FakeGitHub, publish: Any) -> None:
    github.refuses = lambda method, path: (method, path) == ("POST", "pulls")
    said = publish(COMPATIBLE, code=2)
    (line,) = said.splitlines()
    assert line.startswith(f"watch: POST repos/{REPOSITORY}/pulls: HTTP 403: Resource not accessible")
    assert TOKEN not in said


def test_secrets_of_the_environment_are_in_no_text(
    github: FakeGitHub, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-venice-key-0123456789"
    monkeypatch.setenv("VENICE_API_KEY", key)
    hostile = evolve(BREAKING, rows=(evolve(REQUIRED, kind=f"{key} {TOKEN}"),), notes=(key, TOKEN))
    said = publish(hostile) + publish(hostile, "--dry-run")
    told = said + json.dumps([github.items, github.comments, github.commits])
    assert "parameters.query.tenant" in told
    assert key not in told
    assert TOKEN not in told


def test_dry_run_writes_nothing(github: FakeGitHub, publish: Any) -> None:
    publish(COMPATIBLE)
    github.asked.clear()
    said = publish(BREAKING, "--dry-run")
    assert "pull request: would renew #1 as: Take over a breaking change" in said
    assert "upstream issue: would open: The published document breaks the contract" in said
    assert f"file: {CONTRACT}\nfile: {MODULE} (goes)" in said
    assert "pull request: would close #1" in publish(SAME, "--dry-run")
    assert github.writes == []


def test_dry_run_needs_no_token_and_publishing_does(
    github: FakeGitHub, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert "would open" in publish(BREAKING, "--dry-run")
    assert "GITHUB_TOKEN" in publish(BREAKING, code=2)
    assert github.asked == []


def test_live_report_opens_renews_and_closes_one_issue(
    github: FakeGitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "drift.json"

    def check(**content: Any) -> str:
        report.write_text(json.dumps({"is_red": False, "findings": [], **content}))
        assert watch.main(["--live", str(report)]) == 0
        return capsys.readouterr().out.strip()

    assert check(findings=[DRIFT]) == "live issue: opened #1"
    assert check(findings=[DRIFT], checked_at="later") == "live issue: #1 says it already".replace(
        "issue: ", "issue: nothing to do: "
    )
    assert check(is_red=True, obstacles="the key is refused (401)") == "live issue: renewed #1"
    assert opened(github) == [(1, "The live API fails its check", False)]
    assert "the key is refused (401)" in github.items[1]["body"]
    assert check().startswith("live issue: closed #1")
    assert check(findings=[DRIFT]) == "live issue: opened #2"
    report.unlink()
    assert watch.main(["--live", str(report)]) == 0
    assert "ended without a report" in github.items[2]["body"]


def test_save_is_for_what_is_observed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        watch.main(["--live", "drift.json", "--save", "x.json"])
    assert "--upstream" in capsys.readouterr().err

"""What the watch decides and writes: from findings and from what is open to pull requests and issues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract.diff_rows import Change, Severity
from contract.judgement import Finding, Verdict
from watching.decision import (
    SETTLED,
    Close,
    Existing,
    Kind,
    Leave,
    Notice,
    Observation,
    Open,
    Renew,
    decide_live,
    decide_upstream,
)
from watching.live_report import NO_REPORT, LiveReport, read_live_report
from watching.texts import (
    Origin,
    code,
    fingerprint_in,
    live_notice,
    pull_request_notice,
    upstream_issue_notice,
    without_fingerprint,
)

if TYPE_CHECKING:
    from pathlib import Path

PULL, ISSUE, LIVE = Kind
ADDED = Change("getBillingBalance", "parameters.query.model", "parameter added", Severity.COMPATIBLE)
REQUIRED = Change("getBillingBalance", "parameters.query.tenant", "required parameter added", Severity.BREAKING)
SAME = Observation("20270101.1", "d1")
COMPATIBLE = evolve(SAME, is_changed=True, substance="s", rows=(ADDED,), files={"openapi/venice-billing.yaml": "new"})
BREAKING = evolve(COMPATIBLE, rows=(REQUIRED, ADDED))
RED = evolve(COMPATIBLE, is_suite_green=False, suite=("BROKEN  getBillingBalance  it",))
FAILED = evolve(SAME, is_changed=True, failure="regenerate: no billing operation")
ORIGIN = Origin("https://venice.test/swagger.yaml")
TEXT, CONCERN = Notice("text", "body", "f1"), Notice("concern", "body", "f2")
NO_CONTRACT = "no contract could be made of the published document"
NOT_BREAKING = "nothing in the published document is breaking"


def decided(observation: Observation, pull: Existing | None = None, issue: Existing | None = None) -> Any:
    return tuple(decide_upstream(observation, (TEXT, pull), (CONCERN, issue)))


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (SAME, (Leave(PULL, SETTLED), Leave(ISSUE, SETTLED))),
        (COMPATIBLE, (Open(PULL, TEXT), Leave(ISSUE, NOT_BREAKING))),
        (BREAKING, (Open(PULL, TEXT), Open(ISSUE, CONCERN))),
        (RED, (Open(PULL, TEXT), Open(ISSUE, CONCERN))),
        (FAILED, (Leave(PULL, NO_CONTRACT), Open(ISSUE, CONCERN))),
    ],
    ids=["same", "compatible", "breaking", "red suite", "failed"],
)
def test_nothing_is_open(observation: Observation, expected: Any) -> None:
    assert decided(observation) == expected


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (SAME, (Close(PULL, 7, SETTLED), Close(ISSUE, 8, SETTLED))),
        (COMPATIBLE, (Renew(PULL, 7, TEXT), Close(ISSUE, 8, NOT_BREAKING))),
        (BREAKING, (Renew(PULL, 7, TEXT), Renew(ISSUE, 8, CONCERN))),
        (RED, (Renew(PULL, 7, TEXT), Renew(ISSUE, 8, CONCERN))),
        (FAILED, (Leave(PULL, NO_CONTRACT), Renew(ISSUE, 8, CONCERN))),
    ],
    ids=["same", "compatible", "breaking", "red suite", "failed"],
)
def test_both_are_open_and_say_something_else(observation: Observation, expected: Any) -> None:
    assert decided(observation, Existing(7, "other"), Existing(8, "other")) == expected


def test_open_ones_that_say_it_already_are_left() -> None:
    assert decided(BREAKING, Existing(7, "f1"), Existing(8, "f2")) == (
        Leave(PULL, "#7 says it already"),
        Leave(ISSUE, "#8 says it already"),
    )


def test_declined_notice_is_not_repeated_but_another_is_opened() -> None:
    assert decided(BREAKING, Existing(7, "f1", "declined"), Existing(8, "other", "declined")) == (
        Leave(PULL, "#7 said the same, and was declined"),
        Open(ISSUE, CONCERN),
    )


def test_closed_notice_is_opened_anew_when_its_findings_come_back() -> None:
    assert decided(BREAKING, Existing(7, "f1", "closed"), Existing(8, "f2", "closed")) == (
        Open(PULL, TEXT),
        Open(ISSUE, CONCERN),
    )


def test_commits_of_others_on_the_branch_are_kept() -> None:
    assert decided(COMPATIBLE, Existing(7, "other", holds_other_commits=True))[0] == Renew(
        PULL, 7, TEXT, keeps_branch=True
    )


# ---------------------------------------------------------------- the live check


def finding(verdict: Verdict, what: str = "unknown field") -> Finding:
    return Finding("getBillingBalance", "responses.200", what, verdict)


@pytest.mark.parametrize(
    ("report", "opens"),
    [
        (LiveReport(is_red=False), False),
        (LiveReport(is_red=False, findings=(finding(Verdict.UNANSWERED),)), False),
        (LiveReport(is_red=False, findings=(finding(Verdict.DRIFT),)), True),
        (LiveReport(is_red=True, findings=(finding(Verdict.BROKEN),)), True),
        (LiveReport(is_red=True, obstacles="the key is refused (401)"), True),
    ],
    ids=["clean", "unanswered", "drift", "broken", "refused"],
)
def test_red_check_or_drift_opens_one_issue(report: LiveReport, opens: bool) -> None:  # noqa: FBT001
    notice = live_notice(report, ORIGIN)
    assert isinstance(decide_live(report, notice, None), Open if opens else Leave)
    assert isinstance(decide_live(report, notice, Existing(3, "other")), Renew) is opens
    assert isinstance(decide_live(report, notice, Existing(3, notice.fingerprint)), Leave) is (
        opens or report.is_partial
    )


def test_clean_check_closes_the_issue_and_a_partial_one_leaves_it() -> None:
    clean, partial = LiveReport(is_red=False), LiveReport(is_red=False, findings=(finding(Verdict.UNANSWERED),))
    assert isinstance(decide_live(clean, TEXT, Existing(3, "f")), Close)
    assert isinstance(decide_live(partial, TEXT, Existing(3, "f")), Leave)


def test_live_issue_is_the_same_whatever_went_unanswered_and_whenever_it_was_checked() -> None:
    report = LiveReport(is_red=False, findings=(finding(Verdict.DRIFT),), checked_at="2027-01-01", contract="1")
    later = evolve(report, findings=(finding(Verdict.UNANSWERED, "ServerError"), *report.findings), checked_at="2027-2")
    assert live_notice(report, ORIGIN).fingerprint == live_notice(later, ORIGIN).fingerprint
    other = evolve(report, findings=(finding(Verdict.DRIFT, "unknown value X"),))
    assert live_notice(report, ORIGIN).fingerprint != live_notice(other, ORIGIN).fingerprint


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_check_without_a_report_is_red(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "drift.json").write_text(content)
    assert read_live_report(tmp_path / "drift.json") == LiveReport(is_red=True, obstacles=NO_REPORT)


# ---------------------------------------------------------------- the texts


def test_pull_request_tells_the_diff_and_the_verdicts() -> None:
    notice = pull_request_notice(
        evolve(RED, rows=(REQUIRED, ADDED), notes=("not offered by the facade yet:", "  x")), ORIGIN
    )
    assert "breaking" in notice.title
    assert "| breaking | `getBillingBalance` | `parameters.query.tenant` | `required parameter added` |" in notice.body
    assert "the contract suite is **red**" in notice.body
    assert "BROKEN  getBillingBalance  it" in notice.body
    assert "not offered by the facade yet:\n  x" in notice.body
    assert "`https://venice.test/swagger.yaml`" in notice.body


def test_pull_request_says_the_same_whatever_version_and_digest_are_published() -> None:
    again = evolve(COMPATIBLE, version="20270102.1", digest="d2")
    assert pull_request_notice(again, ORIGIN).fingerprint == pull_request_notice(COMPATIBLE, ORIGIN).fingerprint
    for other in (BREAKING, RED, evolve(COMPATIBLE, substance="t"), evolve(COMPATIBLE, notes=("a line",))):
        assert pull_request_notice(other, ORIGIN).fingerprint != pull_request_notice(COMPATIBLE, ORIGIN).fingerprint


def test_issue_tells_what_is_breaking_and_nothing_else() -> None:
    body = upstream_issue_notice(BREAKING, ORIGIN).body
    assert "parameters.query.tenant" in body
    assert "parameters.query.model" not in body
    assert "no billing operation" in upstream_issue_notice(FAILED, ORIGIN).body


def test_fingerprint_is_read_from_the_body_and_taken_out_of_it() -> None:
    notice = pull_request_notice(COMPATIBLE, ORIGIN)
    assert fingerprint_in(notice.body) == notice.fingerprint
    assert fingerprint_in(None) == fingerprint_in("written by hand") == ""
    assert fingerprint_in(without_fingerprint(notice.body)) == ""
    assert without_fingerprint(notice.body) in notice.body


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("a|b", "`a\\|b`"),
        ("a\\|b", "`a\\¦b`"),
        ("`@someone` fixes #1", "`'@someone' fixes #1`"),
        ("two\nlines", "`two lines`"),
        ("", "(nothing)"),
    ],
)
def test_foreign_text_stays_in_its_code_span(text: str, expected: str) -> None:
    assert code(text) == expected


def test_foreign_text_stays_in_its_code_block() -> None:
    hostile = ("```", "````` @someone", "<!-- watched: " + "0" * 64 + " -->")
    notice = pull_request_notice(evolve(RED, suite=hostile), ORIGIN)
    assert "``````text\n```\n````` @someone\n" in notice.body
    assert fingerprint_in(notice.body) == notice.fingerprint


def test_text_is_as_long_as_github_takes() -> None:
    rows = tuple(Change("o" * 500, "l" * 500, f"{number} {'|' * 500}", Severity.BREAKING) for number in range(500))
    long = evolve(RED, rows=rows, suite=("s" * 500,) * 500, notes=("n" * 500,) * 500)
    body = pull_request_notice(long, ORIGIN).body
    assert len(body) < 65_000
    assert "… and 460 more" in body

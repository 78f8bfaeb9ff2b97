"""Decide what to open, renew or close, from what was observed and what is there already. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from contract.diff_rows import Change, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watching.live_report import LiveReport


class Kind(StrEnum):
    """What a notice is opened as; at most one of each kind is open."""

    PULL_REQUEST = "pull request"
    UPSTREAM_ISSUE = "upstream issue"
    LIVE_ISSUE = "live issue"


@frozen
class Observation:
    """What regenerating from a published document has shown."""

    version: str
    """Its `info.version`; ignored by every decision, like `digest`."""
    digest: str
    is_changed: bool = False
    """Whether the contract made of it differs from the committed one in more than version and digest."""
    substance: str = ""
    """A digest of the contract and the client without version and digest: equal ones share one pull request."""
    rows: tuple[Change, ...] = ()
    is_suite_green: bool = True
    suite: tuple[str, ...] = ()
    """The broken promises, or how else the contract suite failed."""
    notes: tuple[str, ...] = ()
    """What the pipeline said: corrections that no longer fit, additions that the facade does not offer yet."""
    failure: str = ""
    """Why no contract or client could be made of it."""
    files: dict[str, str | None] = field(factory=dict)
    """The regenerated files that differ from the committed ones, by path; None where a file goes."""

    @property
    def is_breaking(self) -> bool:
        """Whether consumers of the contract, or the client itself, break."""
        return not self.is_suite_green or any(row.severity is Severity.BREAKING for row in self.rows)


@frozen
class Notice:
    """The title and the text of a pull request or an issue."""

    title: str
    body: str
    fingerprint: str
    """Equal for notices of the same findings, whatever day or version they name."""


@frozen
class Existing:
    """The latest pull request or issue of its kind."""

    number: int
    fingerprint: str
    state: Literal["open", "closed", "declined"] = "open"
    """`declined`: a maintainer closed it unmerged, or as not planned."""
    holds_other_commits: bool = False
    """Whether others have committed to the branch of the pull request."""


@frozen
class Open:
    """Open a new one."""

    kind: Kind
    notice: Notice


@frozen
class Renew:
    """Replace the text of the open one, which has other findings."""

    kind: Kind
    number: int
    notice: Notice
    keeps_branch: bool = False
    """Whether the branch stays as it is, since a push would drop the commits of others."""


@frozen
class Close:
    """Close the open one, since its reason is gone."""

    kind: Kind
    number: int
    reason: str


@frozen
class Leave:
    """Do nothing."""

    kind: Kind
    reason: str


Action = Open | Renew | Close | Leave

SETTLED = "the published document says what the contract says"


def decide_upstream(
    observation: Observation,
    pull_request: tuple[Notice, Existing | None],
    issue: tuple[Notice, Existing | None],
) -> Sequence[Action]:
    """Return what to do about a published document: first about the pull request, then about the issue."""
    pull, concern = Kind.PULL_REQUEST, Kind.UPSTREAM_ISSUE
    if observation.failure:
        return Leave(pull, "no contract could be made of the published document"), _wanted(concern, *issue)
    if not observation.is_changed:
        return _unwanted(pull, pull_request[1], SETTLED), _unwanted(concern, issue[1], SETTLED)
    if observation.is_breaking:
        return _wanted(pull, *pull_request), _wanted(concern, *issue)
    return _wanted(pull, *pull_request), _unwanted(concern, issue[1], "nothing in the published document is breaking")


def decide_live(report: LiveReport, notice: Notice, existing: Existing | None) -> Action:
    """Return what to do about the report of a live check."""
    if report.is_red or report.drifts:
        return _wanted(Kind.LIVE_ISSUE, notice, existing)
    if report.is_partial:
        return Leave(Kind.LIVE_ISSUE, "the live check found nothing, but some questions were not answered")
    return _unwanted(Kind.LIVE_ISSUE, existing, "the live check found no drift and no broken promise")


def _wanted(kind: Kind, notice: Notice, existing: Existing | None) -> Action:
    if existing is None or existing.state == "closed":
        return Open(kind, notice)
    same = existing.fingerprint == notice.fingerprint
    if existing.state == "declined":
        return Leave(kind, f"#{existing.number} said the same, and was declined") if same else Open(kind, notice)
    if same:
        return Leave(kind, f"#{existing.number} says it already")
    return Renew(kind, existing.number, notice, existing.holds_other_commits)


def _unwanted(kind: Kind, existing: Existing | None, reason: str) -> Action:
    if existing is None or existing.state != "open":
        return Leave(kind, reason)
    return Close(kind, existing.number, reason)

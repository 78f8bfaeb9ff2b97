"""The report that scripts/live.py writes, as far as an issue repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from attrs import frozen

from contract.judgement import Finding, Verdict

if TYPE_CHECKING:
    from pathlib import Path

NO_REPORT = "the check ended without a report"


@frozen
class LiveReport:
    """What a live check found."""

    is_red: bool
    obstacles: str = ""
    """Why something could not be checked at all."""
    findings: tuple[Finding, ...] = ()
    contract: str = ""
    checked_at: str = ""

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Return the broken promises."""
        return tuple(each for each in self.findings if each.verdict is Verdict.BROKEN)

    @property
    def drifts(self) -> tuple[Finding, ...]:
        """Return what the API does beyond the contract."""
        return tuple(each for each in self.findings if each.verdict is Verdict.DRIFT)

    @property
    def is_partial(self) -> bool:
        """Whether some questions were not answered."""
        return any(each.verdict is Verdict.UNANSWERED for each in self.findings)


def read_live_report(path: Path) -> LiveReport:
    """Return the report in a file; where there is none, the check has failed before it could write one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LiveReport)
    except (OSError, msgspec.MsgspecError):
        return LiveReport(is_red=True, obstacles=NO_REPORT)

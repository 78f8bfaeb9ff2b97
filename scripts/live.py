"""Ask the live API a dozen harmless questions and compare every answer with the contract.

Needs VENICE_API_KEY (an ADMIN key; without one it says so and does nothing), heeds VENICE_BASE_URL. It only reads,
pauses between requests, and shows no body. Findings are printed as a table and written as JSON.

Exit code: 0, also when the API has drifted from the document; 1 when it breaks a promise, or nothing was answered.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from attrs import Factory, asdict, define

from contract.judgement import Finding, Judge, Verdict, named
from contract.model import Contract, Operation
from pipeline.documents import load_document
from venice_billing import (
    CursorRejectedError,
    EndpointRetiredError,
    ResponseValidationError,
    VeniceBilling,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTRACT = Path(__file__).resolve().parent.parent / "openapi" / "venice-billing.yaml"
_PAUSE = 3.0
"""Seconds between requests: even if every one failed, 20 failures in 30 seconds are far away."""
_DUE = (EndpointRetiredError, CursorRejectedError)
"""Failures that are the right answer to some of the questions."""


@define
class Record:
    """What was asked and found."""

    asked: Counter[tuple[str, str]] = Factory(Counter)
    """How often which call came to which end."""
    findings: dict[Finding, None] = Factory(dict)
    answered: int = 0

    def note(self, finding: Finding) -> None:
        """Keep a finding once."""
        self.findings[finding] = None

    def of(self, verdict: Verdict) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.verdict is verdict]


class Interview:
    """Calls the public client, and holds every answer against the contract on its way in."""

    def __init__(self, contract: Contract, pause: float) -> None:
        self.record = Record()
        self._judge = Judge(contract)
        self._pause = pause
        self._http = httpx.Client(event_hooks={"response": [self._look]})
        self._client = VeniceBilling(max_retries=0, http_client=self._http)
        self._operation = ""

    def hold(self, now: datetime) -> Record:
        """Ask everything."""
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        week, month, quarter = (today - timedelta(days=days) for days in (7, 30, 90))
        with self._http:
            self._ask("get_balance")
            self._ask("get_usage_analytics", lookback="7d")
            self._ask("get_usage_analytics", start_date=month.date(), end_date=today.date())
            for form in ("json", "csv"):
                page = self._ask("get_usage_history", format=form, start_timestamp=quarter, page_size=100)
                cursor = getattr(page, "next_cursor", None)
                if cursor is not None:
                    self._ask("get_usage_history", format=form, cursor=cursor)
            self._ask("get_usage_history", start_timestamp=week)  # the newest, whatever their currency
            for currency in ("USD", "DIEM", "BUNDLED_CREDITS"):
                self._ask("get_usage_history", currency=currency, start_timestamp=month)
            self._ask("get_usage_history", cursor="not-a-cursor-of-ours")
            for form in ("json", "csv"):
                self._ask("get_usage", format=form, limit=10)
        return self.record

    def _ask(self, method: str, **arguments: Any) -> object:
        if self.record.asked:
            time.sleep(self._pause)
        self._operation = method
        try:
            value: object = getattr(self._client, method)(**arguments)
        except VeniceError as error:
            self._fail(method, error)
            return None
        self.record.asked[method, "answered"] += 1
        self.record.answered += 1
        return value

    def _fail(self, method: str, error: VeniceError) -> None:
        kind = type(error).__name__
        self.record.asked[method, kind] += 1
        if isinstance(error, ResponseValidationError):
            location = self._judge.location(error.field)
            what = f"the client refuses it: {error.problem.partition(', got')[0]}"
            self.record.note(Finding(self._operation, location, _printable(what), Verdict.BROKEN))
        elif isinstance(error, _DUE):
            self.record.answered += 1
        else:
            status = getattr(error, "status_code", None)
            where = "no answer" if status is None else f"responses.{status}"
            self.record.note(Finding(self._operation, where, kind, Verdict.UNANSWERED))

    def _look(self, response: httpx.Response) -> None:
        """Judge an answer before the client reads it."""
        operation = self._of(response.request)
        if operation is None:
            return
        self._operation = operation.name
        response.read()
        content_type = response.headers.get("content-type", "")
        for finding in self._judge.findings(operation, response.status_code, content_type, response.content):
            self.record.note(finding)

    def _of(self, request: httpx.Request) -> Operation | None:
        operations = self._judge.contract.operations
        return next((each for each in operations if request.url.path.endswith(each.path)), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Interview the API and return the exit code."""
    options = _parser().parse_args(arguments)
    if not os.environ.get("VENICE_API_KEY"):
        print("live: skipped, as VENICE_API_KEY is not set")
        return 0
    contract = Contract(load_document(options.contract))
    now = datetime.now(UTC)
    record = Interview(contract, options.pause).hold(now)
    report = _table(record)
    print(report)
    document = {
        "checked_at": now.isoformat(timespec="seconds"),
        "contract": contract.document["info"]["version"],
        "asked": [{"call": call, "end": end, "times": times} for (call, end), times in record.asked.items()],
        "findings": [asdict(finding) for finding in record.findings],
    }
    options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    _summarise(report)
    return 1 if record.of(Verdict.BROKEN) or not record.answered else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contract", type=Path, default=CONTRACT, help="the document to hold the API against")
    parser.add_argument("--output", type=Path, default=Path("drift.json"), help="where the findings go (%(default)s)")
    parser.add_argument("--pause", type=float, default=_PAUSE, help="seconds between requests (%(default)s)")
    return parser


def _table(record: Record) -> str:
    """Return the findings as a Markdown table, which reads as well in a terminal."""
    lines = ["| verdict | operation | where | what |", "|---|---|---|---|"]
    order = list(Verdict)
    worst_first = sorted(record.findings, key=lambda finding: (order.index(finding.verdict), finding.operation))
    lines += [f"| {each.verdict} | {each.operation} | {each.location} | {each.what} |" for each in worst_first]
    counts = {verdict: len(record.of(verdict)) for verdict in Verdict}
    closing = (
        f"{record.asked.total()} requests, {record.answered} answered as documented: "
        f"{counts[Verdict.BROKEN]} broken promises, {counts[Verdict.DRIFT]} drifts, "
        f"{counts[Verdict.UNANSWERED]} unanswered."
    )
    if not record.answered:
        closing += " Nothing could be checked."
    elif counts[Verdict.DRIFT] and not counts[Verdict.BROKEN]:
        closing += " Drift is no failure: the client copes; the contract wants an update."
    return "\n".join([*(lines if record.findings else ()), "", closing]).strip()


def _summarise(report: str) -> None:
    """Add the report to the summary of a CI job, where there is one."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"## Live API against the contract\n\n{report}\n")


def _printable(text: str) -> str:
    """Return a sentence of the client with every word printable."""
    return " ".join(named(word) for word in text.split())


if __name__ == "__main__":
    sys.exit(main())

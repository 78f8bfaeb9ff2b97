"""Ask the live API a dozen harmless questions and compare every answer with the contract.

Needs VENICE_API_KEY (an ADMIN key; without one it says so and does nothing), heeds VENICE_BASE_URL. It only reads,
pauses between requests, and shows no body. Findings are printed as a table and written as JSON.

Exit code: 0, also when the API has drifted from the document; 1 when it breaks a promise, when it refuses the key or
wants an ADMIN key, and when nothing answered 2xx; 2 when the key, the base URL or the contract cannot be used, or the
findings cannot be written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from attrs import Factory, asdict, define, evolve

from contract.document import UnreadableDocumentError
from contract.judgement import Finding, Judge, Verdict, named
from contract.model import Contract, Operation
from pipeline.documents import load_document
from venice_billing import (
    AdminKeyRequiredError,
    AuthenticationError,
    CursorRejectedError,
    EndpointRetiredError,
    InvalidParameterError,
    PermissionDeniedError,
    ResponseValidationError,
    VeniceBilling,
    VeniceError,
)
from venice_billing._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTRACT = Path(__file__).resolve().parent.parent / "openapi" / "venice-billing.yaml"
_LONGEST_PAUSE = 3600.0
_PIECE = 8
"""Characters of the key in a row that are not shown: an API may repeat a key in part."""
_PAUSE = 3.0
"""Seconds between requests: even if every one failed, 20 failures in 30 seconds are far away."""
_EXPECTED_ERRORS = (EndpointRetiredError, CursorRejectedError)
"""Failures that are the right answer to some of the questions."""
_REFUSALS = {
    AuthenticationError: "the key is refused (401)",
    AdminKeyRequiredError: "the key is no ADMIN key (401)",
    PermissionDeniedError: "the key is not permitted (403)",
}
"""What a failure says about the key; while it stands, the operations it befalls cannot be checked."""


@define
class Record:
    """What was asked and found."""

    asked: Counter[tuple[str, str]] = Factory(Counter)
    """How often which call came to which end."""
    findings: dict[Finding, None] = Factory(dict)
    answered: int = 0
    """Calls that ended as documented, a 410 and a rejected cursor included: they need no key."""
    served: int = 0
    """Answers of 2xx."""
    refused: dict[type[VeniceError], dict[str, None]] = Factory(dict)
    """The operations that refused the key, by error."""

    def note(self, finding: Finding) -> None:
        """Keep a finding once."""
        self.findings[finding] = None

    def of(self, verdict: Verdict) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.verdict is verdict]

    def obstacles(self) -> str:
        """Return why something could not be checked at all, in one line; nothing if there is no such reason."""
        reasons = [
            f"{reason}: {', '.join(self.refused[kind])} could not be checked"
            for kind, reason in _REFUSALS.items()
            if kind in self.refused
        ]
        if not self.served:
            reasons.append("nothing answered 2xx")
        return "; ".join(reasons)

    @property
    def is_red(self) -> bool:
        """Whether the check fails."""
        return bool(self.of(Verdict.BROKEN) or self.obstacles())


class Mask:
    """Keeps the key out of what is shown: in the bodies that are judged, and in the texts about them."""

    def __init__(self, key: str) -> None:
        # A finding shows names with their punctuation replaced; a key spelled so must not pass either.
        spellings = (key, named(key))
        self._secrets = tuple(map(Secret, spellings))
        self._pieces = {each[start : start + _PIECE] for each in spellings for start in range(len(each) - _PIECE + 1)}

    def body(self, content: bytes) -> bytes:
        """Return a body with the key masked before names are cut and respelled."""
        return self._secrets[0].masked_bytes(content)

    def finding(self, finding: Finding) -> Finding:
        """Return a finding with the key masked in each of its texts."""
        return evolve(finding, location=self._text(finding.location), what=self._text(finding.what))

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = secret.masked(text)
        return self._without_pieces(text)

    def _without_pieces(self, text: str) -> str:
        hidden = [False] * len(text)
        for start in range(len(text) - _PIECE + 1):
            if text[start : start + _PIECE] in self._pieces:
                hidden[start : start + _PIECE] = [True] * _PIECE
        runs = groupby(zip(hidden, text, strict=True), key=itemgetter(0))
        return "".join("[key]" if is_hidden else "".join(map(itemgetter(1), run)) for is_hidden, run in runs)


class LiveCheck:
    """Calls the public client, and holds every answer against the contract on its way in."""

    def __init__(self, contract: Contract, key: str, pause: float) -> None:
        self.record = Record()
        self._mask = Mask(key)
        self._judge = Judge(contract)
        self._pause = pause
        self._http = httpx.Client(event_hooks={"response": [self._judge_response]})
        self._client = VeniceBilling(key, max_retries=0, http_client=self._http)
        self._operation = ""

    def run(self, now: datetime) -> Record:
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
            self._note(Finding(self._operation, location, _printable(what), Verdict.BROKEN))
        elif isinstance(error, _EXPECTED_ERRORS):
            self.record.answered += 1
        else:
            status = getattr(error, "status_code", None)
            where = "no answer" if status is None else f"responses.{status}"
            self._note(Finding(self._operation, where, kind, Verdict.UNANSWERED))
            if type(error) in _REFUSALS:
                self.record.refused.setdefault(type(error), {})[self._operation] = None

    def _judge_response(self, response: httpx.Response) -> None:
        """Judge an answer before the client reads it."""
        operation = self._operation_of(response.request)
        if operation is None:
            return
        self._operation = operation.name
        response.read()
        self.record.served += response.is_success
        content, content_type = self._mask.body(response.content), response.headers.get("content-type", "")
        for finding in self._judge.findings(operation, response.status_code, content_type, content):
            self._note(finding)

    def _note(self, finding: Finding) -> None:
        self.record.note(self._mask.finding(finding))

    def _operation_of(self, request: httpx.Request) -> Operation | None:
        operations = self._judge.contract.operations
        return next((each for each in operations if request.url.path.endswith(each.path)), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the API and return the exit code."""
    options = _parser().parse_args(arguments)
    key = os.environ.get("VENICE_API_KEY")
    if not key:
        print("live: skipped, as VENICE_API_KEY is not set")
        return 0
    now = datetime.now(UTC)
    try:
        contract = Contract(load_document(options.contract))
        record = LiveCheck(contract, key, options.pause).run(now)
    except (UnreadableDocumentError, InvalidParameterError) as error:  # neither repeats the key
        print(f"live: {error}", file=sys.stderr)
        return 2
    report = _table(record)
    print(report)
    _summarise(report)
    if obstacles := record.obstacles():
        print(f"live: {obstacles}", file=sys.stderr)
    document = _document(record, contract, now)
    try:
        options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"live: --output {options.output}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 1 if record.is_red else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contract", type=Path, default=CONTRACT, help="the document to hold the API against")
    parser.add_argument("--output", type=Path, default=Path("drift.json"), help="where the findings go (%(default)s)")
    parser.add_argument("--pause", type=_seconds, default=_PAUSE, help="seconds between requests (%(default)s)")
    return parser


def _seconds(argument: str) -> float:
    seconds = float(argument)
    if not 0 <= seconds <= _LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"{argument} is not between 0 and {_LONGEST_PAUSE:g} seconds")
    return seconds


def _document(record: Record, contract: Contract, now: datetime) -> dict[str, Any]:
    """Return what is written for other programs."""
    return {
        "checked_at": now.isoformat(timespec="seconds"),
        "contract": contract.document["info"]["version"],
        "is_red": record.is_red,
        "obstacles": record.obstacles(),
        "asked": [{"call": call, "end": end, "times": times} for (call, end), times in record.asked.items()],
        "findings": [asdict(finding) for finding in record.findings],
    }


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
    if obstacles := record.obstacles():
        closing += f" Not checked: {obstacles}."
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

"""`verify`: the ledger against the API's own analytics, by day and currency."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from venice_billing import _exact
from venice_billing._arguments import LOOKBACK_DAYS
from venice_billing._calendar import Period
from venice_billing.cli.amounts import parse_amount
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, UNKNOWN, UsageError
from venice_billing.cli.headings import head_of, title_of
from venice_billing.cli.periods import add_period, is_period_given, period_of
from venice_billing.cli.source import synced_until

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from venice_billing.cli.session import Session
    from venice_billing.ledger.verification import Omission, Verification

EXAMPLES = """examples:
  venice-billing verify                                 the last 90 days
  venice-billing verify --month 2026-10
  venice-billing verify --last 7d --tolerance 0.000001 --format json

Days are those of UTC, as the analytics have them. USD is dollars and bundled credits together;
refunds are not taken off.
exit codes: 0 every figure is equal, 1 one differs, 2 usage, 3 nothing could be compared
"""

_COLUMNS = ("day", "currency", "ledger", "analytics", "difference", "equal")
_REASONS: dict[Omission, str] = {
    "not_covered": "days not covered to their end",
    "recent": "days that ended or changed less than 10 minutes ago",
    "not_answered": "days that the API did not tell",
    "currency": "sums of a day in a currency that the analytics do not have",
}
_DAY = timedelta(days=1)


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--tolerance", metavar="AMOUNT", default="0", help="up to which difference figures are equal (default: 0)"
    )
    add_period(parser, f"the last {LOOKBACK_DAYS} days")


def run(session: Session) -> int:
    """Compare the days, and show each of them."""
    options = session.options
    if options.offline and not session.is_demo:
        raise UsageError("verify --offline: it asks the API")
    if options.timezone not in (None, "UTC"):
        raise UsageError(
            f"--timezone {options.timezone}: verify compares days of UTC alone, as the analytics have them"
        )
    tolerance = parse_amount("--tolerance", options.tolerance, "0.000001")
    period = _period(session)
    synced_until(session)
    found = session.ledger.verify(
        session.client, start=period.first, end=min(period.until, session.now.date() + _DAY), tolerance=tolerance
    )
    session.found = FINDING if found.differences else OK if found.ok else UNKNOWN
    session.show(_document(period, found))
    return session.found


def _period(session: Session) -> Period:
    now = session.now
    if not is_period_given(session.options):
        until = now.date() + _DAY
        return Period.of_days(f"the last {LOOKBACK_DAYS} days", until - _DAY * LOOKBACK_DAYS, until, UTC, "UTC")
    period = period_of(session.options, UTC, "UTC", now)
    if period.start > now:
        raise UsageError(f"{period.name} has not begun: there is nothing to compare")
    if any(moment.time() != time() for moment in (period.start, period.end)):
        raise UsageError(f"{period.name}: verify compares whole days of UTC; leave the time of the day out")
    return period


def _document(period: Period, found: Verification) -> Document:
    differing = {(day.day, day.currency) for day in found.differences}
    rows: list[dict[str, Any]] = [
        {**row, "equal": (row["day"], row["currency"]) not in differing} for row in found.rows()
    ]
    last = max((datetime.fromisoformat(day.day).replace(tzinfo=UTC) + _DAY for day in found.days), default=period.start)
    is_complete = bool(rows) and not found.left_out and last >= period.end
    reasons = Counter(each.reason for each in found.left_out)
    notes = [f"left out: {reasons[reason]} {words}" for reason, words in _REASONS.items() if reasons[reason]]
    verdict = f"{len(differing)} of {len(rows)} figures differ" if rows else "nothing could be compared"
    return Document(
        title=title_of("verification of", period, last, is_complete=is_complete),
        columns=_COLUMNS,
        rows=rows,
        head={
            **head_of(period, last, is_complete=is_complete),
            "ok": found.ok,
            "tolerance": found.tolerance,
            "differences": len(differing),
            "left_out": [
                {
                    "reason": each.reason,
                    "day": each.day,
                    "currency": each.currency,
                    "debits": None if each.debits is None else _exact.text(each.debits),
                }
                for each in found.left_out
            ],
        },
        notes=[verdict, *notes],
    )

"""`adjustments`: what syncs have changed in time that was covered before."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from venice_billing import _exact
from venice_billing._runtime.codec import format_datetime
from venice_billing.cli.document import Document
from venice_billing.cli.errors import OK, UsageError
from venice_billing.cli.periods import parse_moment
from venice_billing.cli.source import synced_until

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from venice_billing.cli.session import Session
    from venice_billing.ledger.results import Adjustment

EXAMPLES = """examples:
  venice-billing adjustments                            all, in the order in which they were seen
  venice-billing adjustments --since 2026-11-01         seen by a sync since then
  venice-billing adjustments --since 2026-11-01 --format csv > changed.csv

A row is late (booked in time that was read before), altered, or vanished. Amounts are signed: a debit is negative.
"""

_COLUMNS = (
    "number",
    "seen_at",
    "change",
    "timestamp",
    "sku",
    "currency",
    "before",
    "after",
    "difference",
    "key",
    "request_id",
    "sync",
)
_SHOWN = ("number", "seen_at", "change", "timestamp", "sku", "currency", "difference")


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("--since", metavar="DATE", help="seen from this day or time on")
    parser.add_argument("--until", metavar="DATE", help="seen before this day or time")


def run(session: Session) -> int:
    """Show the adjustments, a row each."""
    options = session.options
    since, until = (
        None if text is None else parse_moment(option, text, session.zone)
        for option, text in (("--since", options.since), ("--until", options.until))
    )
    if since is not None and until is not None and until <= since:
        raise UsageError(f"--until {options.until}: it must be after --since {options.since}")
    covered = synced_until(session)
    found = [
        one
        for one in session.ledger.adjustments()
        if (since is None or one.seen_at >= since) and (until is None or one.seen_at < until)
    ]
    session.show(_document(session, found, since, until, covered))
    return OK


def _document(
    session: Session, found: Iterable[Adjustment], since: datetime | None, until: datetime | None, covered: datetime
) -> Document:
    rows = [_row(one) for one in found]
    sums: dict[str, Decimal] = defaultdict(lambda: _exact.ZERO)
    for row in rows:
        sums[row["currency"]] = _exact.add(sums[row["currency"]], row["difference"])
    first = "the first sync" if since is None else f"{since.astimezone(session.zone):%Y-%m-%d %H:%M}"
    last = "now" if until is None else f"{until.astimezone(session.zone):%Y-%m-%d %H:%M}"
    is_complete = until is None or covered >= until
    state = f"{'complete' if is_complete else 'not complete'}: the ledger covers all until {covered:%Y-%m-%d %H:%M} UTC"
    demo = "Demo account: " if session.is_demo else ""
    changed = [f"net changed by {_exact.text(amount)} {currency}" for currency, amount in sorted(sums.items())]
    return Document(
        title=f"{demo}{len(rows)} adjustments seen from {first} to {last} ({session.timezone}), {state}",
        columns=_COLUMNS,
        rows=rows,
        head={
            "period": {"start": since, "end": until},
            "timezone": session.timezone,
            "complete": is_complete,
            "until": covered,
            "net_changed": dict(sorted(sums.items())),
            **({"demo": True} if session.is_demo else {}),
        },
        notes=changed or ["no row of time that was covered before has changed"],
        shown=_SHOWN,
    )


def _row(one: Adjustment) -> dict[str, Any]:
    entry = one.entry
    return {
        "number": one.number,
        "seen_at": format_datetime(one.seen_at),
        "change": one.change,
        "timestamp": format_datetime(entry.timestamp),
        "sku": entry.sku,
        "currency": str(entry.currency),
        "before": None if one.before is None else one.before.amount,
        "after": None if one.after is None else one.after.amount,
        "difference": one.difference,
        "key": entry.api_key_id,
        "request_id": entry.inference_details and entry.inference_details.request_id,
        "sync": one.sync,
    }

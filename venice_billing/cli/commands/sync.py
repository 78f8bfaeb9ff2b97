"""`sync`: bring the local ledger up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing.cli.document import Document
from venice_billing.cli.errors import OK, UsageError
from venice_billing.cli.source import sync

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing sync                               make or renew the ledger of the account
  venice-billing sync --full                        read everything again: finds what was booked days late
  venice-billing --ledger ~/venice.duckdb sync
"""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("--full", action="store_true", help="read all of the account again, not only the last days")


def run(session: Session) -> int:
    """Sync the ledger, and say what was found."""
    if session.options.offline:
        raise UsageError("sync --offline: a sync asks the API")
    report = sync(session, full=session.options.full)
    row: dict[str, str | int] = {
        "covered_until": report.covered_until.isoformat(),
        "rows_read": report.rows_read,
        "rows_added": report.rows_added,
        "late": report.late,
        "altered": report.altered,
        "vanished": report.vanished,
    }
    changed = report.late + report.altered + report.vanished
    session.show(
        Document(
            title=f"Synced {session.ledger_path}",
            columns=tuple(row),
            rows=[row],
            head={"ledger": str(session.ledger_path)},
            notes=[f"{changed} rows of time covered before have changed: see `adjustments`"] if changed else [],
        )
    )
    return OK

"""`reconcile`: your own log of requests against the ledger."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from venice_billing._calendar import Period
from venice_billing._held_files import read_head
from venice_billing._runtime.codec import format_datetime
from venice_billing.cli.accounts import first_charge
from venice_billing.cli.demo_log import PLANTED, log_of
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, UNKNOWN, UsageError
from venice_billing.cli.headings import head_of, title_of
from venice_billing.cli.periods import add_period, is_period_given, parse_duration, period_of
from venice_billing.cli.places import expanded
from venice_billing.cli.source import synced_until
from venice_billing.ledger.reconciliation import RequestResult

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from venice_billing.cli.session import Session
    from venice_billing.ledger._records import LogFormat
    from venice_billing.ledger.reconciliation import Reconciliation

EXAMPLES = """examples:
  venice-billing reconcile requests.jsonl
  venice-billing reconcile requests.csv --month 2026-10 --show missing
  zcat log.gz | venice-billing reconcile - --as jsonl --format csv > differences.csv
  venice-billing reconcile --demo                       a made-up log, with planted differences

A record has request_id (or requestId), and may have amount, currency, model and time (or timestamp): what it lacks is
not compared. Amounts are signed as in the ledger: a debit is negative.

exit codes: 0 they agree, 1 a request differs, is missing in the ledger, or unknown to the log, 2 usage, 3 the ledger
does not cover the log yet
"""

_RESULTS: tuple[RequestResult, ...] = get_args(RequestResult)
_DIFFERENT: tuple[RequestResult, ...] = ("differing", "missing", "unknown", "not_covered")
_KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_COLUMNS = ("result", "request_id", "field", "currency", "log", "ledger", "records", "rows", "line", "time")
_SHOWN = ("result", "request_id", "field", "currency", "log", "ledger", "line")
_MOST_SHOWN = 100
_PIPE = "-"
_DEMO_DAYS = timedelta(days=7)
VALUES = {"kind": ("jsonl", "csv"), "show": _RESULTS}


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("log", nargs="?", metavar="LOG", help="a .jsonl or .csv file; - is the standard input")
    parser.add_argument("--as", dest="kind", metavar="FORMAT", help="jsonl or csv, where the name of LOG does not tell")
    parser.add_argument(
        "--show",
        action="append",
        default=[],
        metavar="RESULT",
        help=f"list these alone: {', '.join(_RESULTS)} (default: all but matched)",
    )
    parser.add_argument(
        "--time-tolerance", metavar="15m", default="15m", help="how far times may lie apart (default: 15m)"
    )
    add_period(parser, "from the first request of the log to the last")


def run(session: Session) -> int:
    """Compare the log with the ledger, and list what differs."""
    options = session.options
    tolerance = parse_duration("--time-tolerance", options.time_tolerance)
    shown = _shown(options.show)
    _check_log(session)
    period = period_of(options, session.zone, session.timezone, session.now) if is_period_given(options) else None
    covered = synced_until(session)
    records, kind = _records(session, covered)
    found = session.ledger.reconcile(
        records,
        format=kind,
        start=None if period is None else period.start,
        end=None if period is None else period.end,
        time_tolerance=tolerance,
    )
    is_different = bool(found.differing or found.missing or found.unknown)
    session.found = FINDING if is_different else OK if found.ok else UNKNOWN
    session.show(_document(session, period, found, shown, covered))
    return session.found


def _shown(given: list[str]) -> tuple[RequestResult, ...]:
    names = [name.replace("-", "_") for text in given for name in text.split(",")]
    for name in names:
        if name not in _RESULTS:
            raise UsageError(f"--show {name!r}: one or several of {', '.join(_RESULTS)}")
    return tuple(_RESULTS[_RESULTS.index(cast("RequestResult", name))] for name in dict.fromkeys(names)) or _DIFFERENT


def _check_log(session: Session) -> None:
    """Refuse a log that cannot be read, before anything is sent."""
    log, kind = session.options.log, session.options.kind
    if kind not in (None, *_KINDS.values()):
        raise UsageError(f"--as {kind!r}: jsonl or csv")
    if log is None:
        if not session.is_demo:
            raise UsageError("LOG is missing: a .jsonl or .csv file, or - for the standard input")
        return
    if log == _PIPE:
        if kind is None:
            raise UsageError("reconcile -: give --as jsonl or --as csv")
        if sys.stdin is None:
            raise UsageError("LOG -: standard input is closed; give a .jsonl or .csv file")
        return
    path = expanded("LOG", log)
    if kind is None and path.suffix.lower() not in _KINDS:
        raise UsageError(f"LOG {log!r}: its suffix is none of {', '.join(_KINDS)}: give --as jsonl or --as csv")
    try:
        read_head(path, 0)
    except OSError as error:
        raise UsageError(f"LOG {log!r}: {error.strerror}; give a .jsonl or .csv file, or -") from None


def _records(session: Session, covered: datetime) -> tuple[Any, LogFormat | None]:
    log, kind = session.options.log, session.options.kind
    if log is None:
        start = covered.replace(hour=0, minute=0, second=0, microsecond=0) - _DEMO_DAYS
        return log_of(session.ledger.entries(start)), None
    return (sys.stdin.buffer if log == _PIPE else Path(expanded("LOG", log))), kind


def _beginning(session: Session, covered: datetime) -> datetime:
    """Return when the ledger begins: a log without times is compared with all of it."""
    first = first_charge(session.ledger)
    return covered if first is None else first.timestamp


def _document(
    session: Session,
    period: Period | None,
    found: Reconciliation,
    shown: tuple[RequestResult, ...],
    covered: datetime,
) -> Document:
    stretch = period or Period(
        name="the log",
        start=found.start or _beginning(session, covered),
        end=found.end or covered,
        zone=session.zone,
        timezone=session.timezone,
    )
    is_complete = covered >= stretch.end
    until = min(covered, stretch.end)
    counts = {name: len(getattr(found, name)) for name in (*_RESULTS, "repeated", "without_request")}
    rows = found.rows(*shown)
    is_cut = session.options.format in (None, "table", "md")
    listed = [_texts(row) for row in (islice(rows, _MOST_SHOWN) if is_cut else rows)]
    left = next(iter(rows), None) is not None
    planted = [f"a made-up log, with planted differences: {PLANTED}"] if session.options.log is None else []
    return Document(
        title=title_of("reconciliation of", stretch, until, is_complete=is_complete),
        columns=_COLUMNS,
        rows=listed,
        head={
            **head_of(stretch, until, is_complete=is_complete),
            "ok": found.ok,
            "records": found.records,
            "compared": dict(found.compared),
            "counts": counts,
        },
        notes=[
            f"{found.records} records: "
            + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()),
            "compared: " + ", ".join(f"{name} of {count}" for name, count in found.compared.items()),
            *([f"only the first {_MOST_SHOWN} are listed: --format csv has all"] if left else []),
            *(
                ["what is not covered is later than the ledger: sync, and reconcile again"]
                if counts["not_covered"]
                else []
            ),
            *planted,
        ],
        shown=_SHOWN,
    )


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its times as text; an amount stays one, so that no format takes it for a text."""
    return {name: format_datetime(value) if isinstance(value, datetime) else value for name, value in row.items()}

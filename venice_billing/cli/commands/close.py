"""`close`: close a month, print its statement and write it beside the ledger; or show a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venice_billing import _exact
from venice_billing._calendar import Period, first_of, shifted
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, CommandError, UsageError, code_of
from venice_billing.cli.headings import head_of, title_of
from venice_billing.cli.periods import parse_duration, parse_month
from venice_billing.cli.places import expanded
from venice_billing.cli.source import synced_until
from venice_billing.errors import ExportError, MonthOpenError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable
    from datetime import timedelta
    from pathlib import Path

    from venice_billing.cli.session import Session
    from venice_billing.ledger.statement import StatedChange, Statement

EXAMPLES = """examples:
  venice-billing close last-month                       sync, close, write NAME-2026-10.json and .md beside the ledger
  venice-billing close 2026-10 --output statements/     write them into this folder
  venice-billing close 2026-10 --output - --format md   write no file
  venice-billing close this-month --show                the month so far: nothing is recorded
  venice-billing close 2026-10 --show --revision 1      what was recorded first

To close a month again gives the same statement, or a further revision if its charges have changed since.
exit codes: 0 closed, 1 the month cannot be closed yet, 2 usage, 3 it could not be told
"""

_WORDS = {"last-month": -1, "this-month": 0}
_SUFFIXES = (".json", ".md")
_NO_FILE = "-"
_MOST_CHANGES = 20
_FIGURES = ("debits", "refunds", "purchases", "credits", "net", "count")
_QUIET = ("refunds", "purchases", "credits")
VALUES = {"month": tuple(_WORDS)}


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("month", metavar="MONTH", help=f"a month like 2026-10, or {' or '.join(_WORDS)}")
    parser.add_argument(
        "--output",
        metavar="FILE|FOLDER|-",
        help="where the statement is written: a folder for both files, a .json or .md file, or - for none; default: "
        "beside the ledger. A file with other content is never overwritten",
    )
    parser.add_argument(
        "--show", action="store_true", help="show the statement, or the month so far, and close nothing"
    )
    parser.add_argument("--revision", metavar="N", help="with --show: which statement of a month closed more than once")
    parser.add_argument(
        "--allow-incomplete", action="store_true", help="close a month that is over, though late charges may still come"
    )
    parser.add_argument(
        "--overlap",
        metavar="2d",
        default="2d",
        help="how long late charges are waited for (default: 2d; 0: not at all)",
    )


def run(session: Session) -> int:
    """Close the month, or show its statement; write it, then print it."""
    options = session.options
    month = _month(session)
    _check(session)
    try:
        statement = _shown(session, month) if options.show else _closed(session, month)
    except MonthOpenError as error:
        raise CommandError(_advice(error), FINDING) from error
    session.found = OK
    written, problem = _write(session, statement)
    try:
        _print(session, statement, written)
    finally:
        if problem is not None:  # said also where nobody reads the statement to its end
            raise problem
    return OK


def _month(session: Session) -> str:
    text = session.options.month
    if text not in _WORDS:
        return f"{parse_month('MONTH', text):%Y-%m}" if text[:1].isdigit() else _no_month(text)
    this = first_of("month", session.now.astimezone(session.zone).date())
    return shifted("month", this, _WORDS[text]).isoformat()[:7]


def _no_month(text: str) -> str:
    raise UsageError(f"MONTH {text!r}: a month like 2026-10, or {' or '.join(_WORDS)}")


def _check(session: Session) -> None:
    """Refuse what does not fit, before anything is sent."""
    options = session.options
    _overlap(options)
    if options.revision is not None:
        if not options.show:
            raise UsageError("--revision shows a statement: give --show too")
        _revision(options)
    if options.show and options.allow_incomplete:
        raise UsageError("--allow-incomplete closes a month, and --show closes none")
    output = options.output
    if output in (None, _NO_FILE):
        return
    path = expanded("--output", output)
    is_folder = path.is_dir()
    if output.endswith("/") and not is_folder:
        raise UsageError(f"--output {output!r}: there is no such folder")
    if not is_folder and path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--output {output!r}: a folder that exists, a file that ends in .json or .md, or -")
    if not is_folder and not path.absolute().parent.is_dir():
        raise UsageError(f"--output {output!r}: in a folder that exists")


def _overlap(options: Namespace) -> timedelta:
    from venice_billing.ledger._closings import LONGEST_OVERLAP  # noqa: PLC0415 - the parser needs no ledger

    overlap = parse_duration("--overlap", options.overlap)
    if overlap > LONGEST_OVERLAP:
        raise UsageError(f"--overlap {options.overlap!r}: from 0 to {LONGEST_OVERLAP.days}d")
    return overlap


def _revision(options: Namespace) -> int | None:
    text = options.revision
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UsageError(f"--revision {text!r}: a number from 1 on")
    return int(text)


def _closed(session: Session, month: str) -> Statement:
    options = session.options
    synced_until(session)
    return session.ledger.close(
        month,
        timezone=session.named_timezone,
        overlap=_overlap(options),
        allow_incomplete=options.allow_incomplete,
    )


def _shown(session: Session, month: str) -> Statement:
    """Return the recorded statement as it is; of a month that is not closed, that of now."""
    asked: dict[str, Any] = {
        "timezone": session.named_timezone,
        "overlap": _overlap(session.options),
        "revision": _revision(session.options),
    }
    if session.ledger.coverage().until is not None:
        try:
            statement = session.ledger.statement(month, **asked)
        except MonthOpenError:  # not known as the ledger is; a sync may change that
            pass
        else:
            if statement.is_closed:
                return statement
    synced_until(session)
    return session.ledger.statement(month, **asked)


def _advice(error: MonthOpenError) -> str:
    """Return why a month cannot be closed, and what to do, in the words of the command."""
    at = "" if error.closable_at is None else f"{error.closable_at:%Y-%m-%d %H:%M} UTC"
    if error.reason == "not_over":
        return f"{error.month} is not over before {at}: close it then; --show shows the month so far"
    if error.reason == "late_charges":
        return f"{error.month} may still change: close it at {at} or later, or give --allow-incomplete"
    read = "was read too soon for late charges, or not all of it"
    return f"{error.month} {read}: venice-billing sync --full, then close it again"


def _write(session: Session, statement: Statement) -> tuple[list[Path], CommandError | None]:
    """Write the files, and return which; and what became of one that could not be written."""
    written: list[Path] = []
    for path in _paths(session, statement):
        try:
            written.append(statement.write(path))
        except ExportError as error:
            closed = f"{statement.month} is closed, but " if statement.is_closed else ""
            return written, CommandError(f"{closed}{error}, or name another place with --output", code_of(error))
    return written, None


def _paths(session: Session, statement: Statement) -> list[Path]:
    """Return the files to write: none where nothing was recorded, or the ledger is made up, unless they are named."""
    output = session.options.output
    if output == _NO_FILE or (output is None and (session.options.show or session.is_demo)):
        return []
    ledger = session.ledger.path
    folder = ledger.parent if output is None else expanded("--output", output)
    if output is not None and not folder.is_dir():
        return [folder]
    revision = f"-r{statement.revision}" if statement.revision > 1 else ""
    state = "" if statement.is_closed else "-open"
    return [folder / f"{ledger.stem}-{statement.month}{revision}{state}{suffix}" for suffix in _SUFFIXES]


def _print(session: Session, statement: Statement, written: Iterable[Path]) -> None:
    how = session.options.format or "table"
    if how == "json":
        session.stdout.write(f"{statement.to_json()}\n")
    elif how == "md":
        session.stdout.write(statement.to_markdown())
    else:
        session.show(_document(session, statement))
    for path in written:
        session.say(f"wrote {path}")
    if session.is_demo and session.options.output is None and not session.options.show:
        session.say("the demo account keeps no ledger, so no file is written: --output names a place for them")


def _document(session: Session, statement: Statement) -> Document:
    period = _period(session, statement)
    said = {
        "month": statement.month,
        "timezone": statement.timezone,
        "revision": statement.revision,
        "complete": statement.is_complete,
        "digest": statement.digest,
    }
    rows: list[dict[str, Any]] = [{**said, **row} for row in statement.totals.rows()]
    columns = ("month", "timezone", "revision", "complete", "currency", *_FIGURES, "digest")
    loud = [name for name in _FIGURES if name not in _QUIET or any(row[name] for row in rows)]
    until = min(statement.coverage.covered_until, statement.end)
    kind = f"closed statement (revision {statement.revision}) of" if statement.is_closed else "statement so far of"
    return Document(
        title=title_of(kind, period, until, is_complete=statement.is_complete),
        columns=columns,
        rows=rows,
        head=head_of(period, until, is_complete=statement.is_complete),
        notes=_notes(statement),
        shown=("currency", *loud),
    )


def _period(session: Session, statement: Statement) -> Period:
    return Period(
        name=statement.month,
        start=statement.start,
        end=statement.end,
        zone=session.zone_named(statement.timezone),
        timezone=statement.timezone,
    )


def _notes(statement: Statement) -> list[str]:
    coverage, opening = statement.coverage, statement.opening
    covered_from = "the beginning of the account" if coverage.covered_from is None else f"{coverage.covered_from:%F %R}"
    before = f"{opening.month}, revision {opening.revision}" if opening.month else "none"
    notes = [
        f"{statement.count} charges, digest {statement.digest}",
        f"covered from {covered_from} to {coverage.covered_until:%Y-%m-%d %H:%M} UTC by sync {coverage.sync}",
        f"closed before: {before}",
    ]
    if opening.open_months:
        notes.append(f"earlier months that were not closed: {', '.join(opening.open_months)}")
    notes.append(f"adjustments of months closed before: {len(statement.adjustments) or 'none'}")
    notes += _changes(statement.adjustments)
    if statement.restatement is not None:
        again = statement.restatement
        what = f"{len(again.changes)} changed" if again.changes else "no charge changed; it was not complete then"
        notes.append(f"since revision {again.revision}, digest {again.digest}: {what}")
        notes += _changes(again.changes)
    return notes


def _changes(changes: tuple[StatedChange, ...]) -> list[str]:
    lines = [
        f"  {one.change} {one.timestamp:%Y-%m-%d %H:%M} {one.sku}: {_exact.text(one.difference)} {one.currency}"
        for one in changes[:_MOST_CHANGES]
    ]
    left = len(changes) - _MOST_CHANGES
    return [*lines, f"  ... and {left} more: --format json has all"] if left > 0 else lines

"""`export`: the charges of a period as a file, a dataset, or into a pipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from venice_billing._calendar import Period
from venice_billing.cli.amounts import parse_amount
from venice_billing.cli.currencies import wanted_currency
from venice_billing.cli.document import Document, made_up
from venice_billing.cli.errors import OK, UsageError
from venice_billing.cli.headings import head_of, title_of
from venice_billing.cli.periods import add_period, is_period_given, period_of
from venice_billing.cli.places import expanded
from venice_billing.cli.source import synced_until

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping
    from datetime import datetime

    from venice_billing import CsvProgress
    from venice_billing.cli.session import Session
    from venice_billing.ledger.results import ExportFormat

EXAMPLES = """examples:
  venice-billing export october.csv --month 2026-10          from the ledger, safe in spreadsheets
  venice-billing export api.csv last-month --as api-csv      the API's own columns, without a ledger
  venice-billing export all.parquet --all
  venice-billing export dataset/                             Parquet by month and currency, renewed in place
  venice-billing export bill.csv last-month --as focus --diem-usd 0.25
  venice-billing export - --last 7d --as jsonl | jq .amount

A file appears when it is complete, and only you may read it. An export as api-csv that was cut short goes on where it
stopped, if the same command is given within an hour.
"""

KINDS: Mapping[str, str] = {
    "csv": "the ledger as CSV",
    "jsonl": "the ledger as JSON lines",
    "parquet": "the ledger as one Parquet file",
    "dataset": "the ledger as a folder of Parquet files by month and currency",
    "focus": "the ledger as FOCUS, in CSV or Parquet by the suffix",
    "api-csv": "the API's own CSV, without a ledger",
}
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_PIPE = "-"
_NOT_TO_A_PIPE = {
    "parquet": "it cannot be written to a pipe; give a FILE, or --as csv, jsonl, focus or api-csv",
    "dataset": "it is a folder; give its name, or --as csv, jsonl, focus or api-csv",
}
_VERSIONS = ("1.2", "1.4")
_OPTIONS_OF = {
    "focus_version": ("focus",),
    "diem_usd": ("focus",),
    "account_name": ("focus",),
    "currency": ("api-csv",),
    "no_resume": ("api-csv",),
    "bare_texts": ("csv", "focus"),
}
_CONCURRENCY = 4

VALUES = {"kind": tuple(KINDS), "focus_version": _VERSIONS}


@frozen(kw_only=True)
class Stretch:
    """The time of which charges are written.

    Attributes:
        name: What it is called.
        start: From this time on; None: from the beginning.
        end: Up to this time, excluded; None: to the end.
        period: The period; None: the whole account.
    """

    name: str
    start: datetime | None
    end: datetime | None
    period: Period | None


@frozen(kw_only=True)
class Written:
    """What was written.

    Attributes:
        path: Where; None: into the pipe.
        rows: How many charges.
        size: How many bytes.
        until: Up to when charges were read.
        notes: What else is to be said.
    """

    path: Path | None
    rows: int
    size: int
    until: datetime
    notes: tuple[str, ...] = ()


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("target", metavar="FILE|-", help="the file or the folder to write; - is the standard output")
    kinds = "; ".join(f"{name}: {what}" for name, what in KINDS.items())
    parser.add_argument(
        "--as",
        dest="kind",
        metavar="FORMAT",
        help=f"{kinds}. Default: by the suffix .csv, .jsonl or .parquet; a folder is a dataset; - is csv",
    )
    parser.add_argument(
        "--all", action="store_true", help="the whole account; a dataset is so unless a PERIOD is given"
    )
    focus = parser.add_argument_group("options of --as focus")
    focus.add_argument("--focus-version", metavar="VERSION", help=f"{' or '.join(_VERSIONS)}; default: {_VERSIONS[0]}")
    focus.add_argument("--diem-usd", metavar="PRICE", help="what a DIEM costs in US dollars; default: nothing")
    focus.add_argument("--account-name", metavar="TEXT", help="the billing account; default: the name of the ledger")
    api = parser.add_argument_group("options of --as api-csv")
    api.add_argument("--currency", metavar="CODE", help="this currency alone")
    api.add_argument("--no-resume", action="store_true", help="start over, also after an export that was cut short")
    parser.add_argument(
        "--bare-texts",
        action="store_true",
        help="in csv and focus, leave texts that spreadsheets would run as they are",
    )
    add_period(parser)


def run(session: Session) -> int:
    """Write the charges, and say what was written."""
    options = session.options
    kind = _kind(options)
    _check(session, kind)
    stretch = _stretch(session, kind)
    written = _from_api(session, stretch) if kind == "api-csv" else _from_ledger(session, kind, stretch)
    document = _document(session, kind, stretch, written)
    if written.path is None:
        title = made_up(document).title if session.is_demo else document.title
        session.say("; ".join([title, f"{written.rows} charges, {written.size} bytes", *written.notes]))
    else:
        session.show(document)
    return OK


def _kind(options: Namespace) -> str:
    """Return the format that is named, or that the target leads to."""
    target = options.target
    if options.kind is not None:
        if options.kind not in KINDS:
            raise UsageError(f"--as {options.kind!r}: one of {', '.join(KINDS)}")
        kind = options.kind
    elif target == _PIPE:
        kind = "csv"
    elif target.endswith("/") or Path(target).is_dir():
        kind = "dataset"
    else:
        kind = _SUFFIXES.get(Path(target).suffix.lower(), "")
    if not kind:
        raise UsageError(
            f"FILE {target!r}: its suffix is none of {', '.join(_SUFFIXES)}: give --as with one of {', '.join(KINDS)}"
        )
    if target == _PIPE and kind in _NOT_TO_A_PIPE:
        raise UsageError(f"export - --as {kind}: {_NOT_TO_A_PIPE[kind]}")
    return str(kind)


def _check(session: Session, kind: str) -> None:
    """Refuse what does not fit the format, before anything is sent or written."""
    options = session.options
    for name, kinds in _OPTIONS_OF.items():
        if getattr(options, name) not in (None, False) and kind not in kinds:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} with --as {kind}: it is for --as {' and '.join(kinds)}")
    if options.focus_version not in (None, *_VERSIONS):
        raise UsageError(f"--focus-version {options.focus_version!r}: one of {', '.join(_VERSIONS)}")
    if options.diem_usd is not None:
        parse_amount("--diem-usd", options.diem_usd, "0.25")
    if options.account_name is not None and not options.account_name.strip():
        raise UsageError(f"--account-name {options.account_name!r}: a text that is not empty")
    if kind == "focus" and options.target != _PIPE and Path(options.target).suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"FILE {options.target!r}: FOCUS is a file that ends in .csv or .parquet")
    if options.target == _PIPE and options.format is not None:
        raise UsageError(f"--format {options.format}: it is how a command speaks, and - has the data: give --as")
    if options.target != _PIPE and not _target(session).absolute().parent.is_dir():
        raise UsageError(f"FILE {options.target!r}: in a folder that exists")


def _target(session: Session) -> Path:
    return expanded("FILE", session.options.target)


def _stretch(session: Session, kind: str) -> Stretch:
    options = session.options
    is_given = is_period_given(options)
    if options.all and is_given:
        raise UsageError("--all and a PERIOD: give one of them")
    if options.all or (kind == "dataset" and not is_given):
        return Stretch(name="the whole account", start=None, end=None, period=None)
    period = period_of(options, session.zone, session.timezone, session.now)
    if period.start > session.now:
        raise UsageError(f"{period.name} has not begun: there is nothing to export")
    return Stretch(name=period.name, start=period.start, end=period.end, period=period)


def _from_ledger(session: Session, kind: str, stretch: Stretch) -> Written:
    options = session.options
    until = synced_until(session)
    named = {
        "focus_version": options.focus_version,
        "diem_usd": None if options.diem_usd is None else parse_amount("--diem-usd", options.diem_usd, "0.25"),
        "account": options.account_name,
    }
    chosen: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    session.stdout.flush()
    place: Any = session.stdout.buffer if options.target == _PIPE else _target(session)
    done = session.ledger.export(
        place,
        cast("ExportFormat", kind),
        start=stretch.start,
        end=stretch.end,
        escape_formulas=not options.bare_texts,
        **chosen,
    )
    notes = [f"{len(done.written)} files written, {len(done.removed)} removed"] if kind == "dataset" else []
    return Written(path=done.path, rows=done.rows, size=done.size, until=until, notes=tuple(notes))


def _from_api(session: Session, stretch: Stretch) -> Written:
    currency = wanted_currency(session)
    if session.options.target != _PIPE:
        return _downloaded(session, stretch, _target(session), currency)
    with TemporaryDirectory(prefix="venice-billing-") as folder:  # into the pipe goes the whole, or nothing
        written = _downloaded(session, stretch, Path(folder, "usage.csv"), currency)
        session.stdout.flush()
        with Path(folder, "usage.csv").open("rb") as file:
            shutil.copyfileobj(file, session.stdout.buffer)
    return Written(path=None, rows=written.rows, size=written.size, until=written.until, notes=written.notes)


def _downloaded(session: Session, stretch: Stretch, path: Path, currency: str | None) -> Written:
    # A period that is not over has no end here: what lies behind it would be another export each time.
    end = None if stretch.end is None or stretch.end > session.now else stretch.end
    begin = stretch.start
    with session.progress("export") as update:

        def progress(so_far: CsvProgress) -> None:
            share = None if begin is None else (so_far.latest - begin) / ((end or session.now) - begin)
            update(so_far.rows, share)

        done = session.client.export_usage_csv(
            path,
            currency=currency,
            start_timestamp=begin,
            end_timestamp=end,
            concurrency=_CONCURRENCY,
            resume=not session.options.no_resume,
            progress=progress,
        )
    notes = [f"{done.resumed_rows} charges were there from an export that was cut short"] if done.resumed_rows else []
    return Written(path=done.path, rows=done.rows, size=done.size, until=done.started_at, notes=tuple(notes))


def _document(session: Session, kind: str, stretch: Stretch, written: Written) -> Document:
    period = stretch.period or _whole(session, written.until)
    is_complete = written.until >= period.end
    until = min(written.until, period.end)
    title = title_of("export of", period, until, is_complete=is_complete)
    head = head_of(period, until, is_complete=is_complete)
    if stretch.period is None:
        title = f"export of the whole account up to {until:%Y-%m-%d %H:%M} UTC, complete"
        head["period"] = {"start": None, "end": until}
    row = {"path": "-" if written.path is None else str(written.path), "as": kind}
    figures = {"rows": written.rows, "bytes": written.size}
    return Document(title=title, columns=(*row, *figures), rows=[{**row, **figures}], head=head, notes=written.notes)


def _whole(session: Session, until: datetime) -> Period:
    return Period(name="the whole account", start=until, end=until, zone=session.zone, timezone=session.timezone)

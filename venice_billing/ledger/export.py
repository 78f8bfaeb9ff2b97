"""The ledger out again: one file of CSV, JSON lines, Parquet or FOCUS (`focus.py`), or a dataset (`datasets.py`)."""

from __future__ import annotations

import csv
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venice_billing import _arguments as arguments
from venice_billing._files import write_all
from venice_billing._runtime.codec import format_datetime
from venice_billing._runtime.rows import column_names
from venice_billing._spreadsheets import safe_text
from venice_billing._streams import checked_writer
from venice_billing._targets import replacing
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger import datasets, spending
from venice_billing.ledger._exports import PARQUET_COLUMNS, ExportRequest, copy_to_parquet
from venice_billing.ledger._focus_file import focus_table, write_parquet
from venice_billing.ledger.results import LedgerExport
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from venice_billing._arguments import Moment
    from venice_billing.ledger._database import Database

_LINES_AT_ONCE = 1000
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def export(
    database: Database,
    path: object,
    kind: object,
    start: Moment | None,
    end: Moment | None,
    *,
    escape_formulas: object,
    focus_version: object,
    diem_usd: object,
    account: object,
) -> LedgerExport:
    """Write the entries from `start` on and before `end`, as `kind` says, or the suffix of the path."""
    if not isinstance(escape_formulas, bool):
        raise InvalidParameterError("escape_formulas", escape_formulas, "True or False")
    name: Any = _by_suffix(path) if kind is None else arguments.choice("format", kind, _WRITERS)
    if name != "focus":
        _check_not_given(focus_version=focus_version, diem_usd=diem_usd, account=account)
    request = ExportRequest(
        database=database,
        path=path,
        format=name,
        start=start,
        end=end,
        escape_formulas=escape_formulas,
        focus_version=focus_version,
        diem_usd=diem_usd,
        account=account,
    )
    return _WRITERS[name](request)


def _check_not_given(**options: object) -> None:
    for option, value in options.items():
        if value != _UNLESS_GIVEN[option]:
            raise InvalidParameterError(option, value, "left out, unless the format is 'focus'")


_UNLESS_GIVEN: Mapping[str, object] = {"focus_version": "1.2", "diem_usd": None, "account": None}


def _by_suffix(path: object) -> str:
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix not in _SUFFIXES:
        formats = ", ".join(map(repr, _WRITERS))
        raise InvalidParameterError(
            "format", None, f"one of {formats}, since {path} does not end in {', '.join(_SUFFIXES)}"
        )
    return _SUFFIXES[suffix]


# ---------------------------------------------------------------- lines of text


def _write_csv(request: ExportRequest) -> LedgerExport:
    return _write_lines(request, _records(request))


def _write_jsonl(request: ExportRequest) -> LedgerExport:
    return _write_lines(request, (f"{entry.to_json()}\n" for entry in _entries(request)), header="")


def _entries(request: ExportRequest) -> Iterator[UsageEntry]:
    where, values = request.within
    return spending.read(request.database, where, values, spending.IN_ORDER)


class _Echo:
    """Gives back what is written to it: `csv.writer` then returns each record."""

    def write(self, record: str) -> str:
        return record


_record: Callable[[Any], str] = csv.writer(_Echo()).writerow  # as RFC 4180 has it, with CR LF
_CSV_HEADER = _record(column_names(UsageEntry))


def _records(request: ExportRequest) -> Iterator[str]:
    cell = _safe_cell if request.escape_formulas else _cell
    return (_record([cell(value) for value in entry.row().values()]) for entry in _entries(request))


def _cell(value: Any) -> Any:
    return format_datetime(value) if hasattr(value, "utcoffset") else value


def _safe_cell(value: Any) -> Any:
    return safe_text(value) if isinstance(value, str) else _cell(value)


def _write_focus(request: ExportRequest) -> LedgerExport:
    table = focus_table(request)
    if table.is_parquet:
        return write_parquet(table)
    records = table.records(safe_text if request.escape_formulas else None)
    return _write_lines(request, map(_record, records), header=_record(table.names))


def _write_lines(request: ExportRequest, lines: Iterator[str], header: str = _CSV_HEADER) -> LedgerExport:
    if hasattr(request.path, "write"):
        rows, size = _write_to(checked_writer(request.path), lines, header)
        return LedgerExport(path=None, format=request.format, rows=rows, size=size)
    target = request.target()
    with replacing(target) as part:
        rows, size = _write_to(lambda data: write_all(part.file, data), lines, header)
    return LedgerExport(path=target, format=request.format, rows=rows, size=size, written=(target,))


def _write_to(write: Callable[[bytes], object], lines: Iterator[str], header: str) -> tuple[int, int]:
    """Write lines, some at once, and return how many and their size in bytes."""
    rows = size = 0
    some = list(islice(lines, _LINES_AT_ONCE))  # before the header: an error of the ledger then writes nothing
    text = header
    while some or text:
        data = (text + "".join(some)).encode("utf-8", "backslashreplace")  # half a surrogate pair shows as an escape
        write(data)
        rows, size = rows + len(some), size + len(data)
        some, text = list(islice(lines, _LINES_AT_ONCE)), ""
    return rows, size


# ---------------------------------------------------------------- Parquet


def _write_parquet(request: ExportRequest) -> LedgerExport:
    where, values = request.within
    target = request.target()
    query = f"SELECT {PARQUET_COLUMNS} FROM entries WHERE {where} ORDER BY ALL"
    with request.database.snapshot() as cursor, replacing(target) as part:
        with request.database.writing(target):
            rows = copy_to_parquet(cursor, query, values, part.path)
        size = os.fstat(part.file.fileno()).st_size
    return LedgerExport(path=target, format=request.format, rows=rows, size=size, written=(target,))


_WRITERS: Mapping[str, Callable[[ExportRequest], LedgerExport]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
    "dataset": datasets.write,
    "focus": _write_focus,
}

"""The ledger as a folder of Parquet files, one for each month (UTC) and currency: what larger engines read.

    month=2026-10/currency=USD/entries.parquet

A file carries a mark of its content, so an export sees what has changed without a list of its own, which could differ
from the files, and which some engines would take for one of them. What has changed is written beside the dataset; then
each file takes its place by one rename. So a reader, or a kill at any moment, finds each file as it was or as it is,
and the next export does the rest.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._held_files import is_of_open_ledger, read_head
from venice_billing.errors import ExportError, bounded
from venice_billing.ledger._exports import PARQUET_COLUMNS, copy_to_parquet, parquet_marks
from venice_billing.ledger._folders import FILE_NAME, PARQUET_HEAD, files_of, foreign, staging
from venice_billing.ledger.results import LedgerExport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from venice_billing.ledger._exports import ExportRequest

_CONTENT, _RANGE, _LEDGER = "venice_billing_content", "venice_billing_range", "venice_billing_ledger"
_MONTH = "strftime(make_timestamp(epoch_us(timestamp)), '%Y-%m')"
_QUERY = f"SELECT {PARQUET_COLUMNS.replace('*', '* EXCLUDE (currency)', 1)} FROM entries"
_LONGEST_NAME = 255  # bytes: of every common file system
_LONGEST_SHOWN = 40
_TAIL = 1 << 16
_NO_CURRENCY = "__HIVE_DEFAULT_PARTITION__"  # for engines a null; Spark reads no dataset with an empty text here
_UNSAFE = re.compile(r"[^A-Z0-9_\-\x80-\U0010ffff]")


@frozen
class _Part:
    """A month of one currency in the ledger.

    Attributes:
        currency: The currency.
        first: The time of the first row, in microseconds.
        last: The time of the last row.
        rows: How many rows there are.
        content: What marks a file of exactly these rows.
    """

    currency: str
    first: int
    last: int
    rows: int
    content: str


def write(request: ExportRequest) -> LedgerExport:
    """Bring the dataset in a folder up to date, or make it.

    Raises:
        InvalidParameterError: The path is none, or that of a file.
        ExportError: The folder holds something else, or a dataset of another range of time or of another ledger; or it
            cannot be written.
    """
    where, values = request.within
    folder = request.folder()
    files_of(folder)  # before a lock is taken beside what is no dataset
    with staging(folder) as staged, request.database.snapshot() as cursor:
        parts = _parts(cursor, where, values)
        _check_names(folder, parts)
        kept = _kept_files(request, folder, parts)
        new = [path for path, part in parts.items() if kept.get(path) != part.content]
        removed = [path for path in kept if path not in parts]
        with request.database.sorting(cursor):
            for path in new:
                with staged.file(path) as file, request.database.writing(folder):
                    marks = {
                        _CONTENT: parts[path].content,
                        _RANGE: _range(request),
                        _LEDGER: request.database.ledger_id,
                    }
                    _copy(cursor, parts[path], file, marks)
        staged.publish(new, removed)
    return LedgerExport(
        path=folder,
        format=request.format,
        rows=sum(part.rows for part in parts.values()),
        size=sum((folder / path).stat().st_size for path in parts),
        written=tuple(folder / path for path in new),
        removed=tuple(folder / path for path in removed),
    )


def _parts(cursor: duckdb.DuckDBPyConnection, where: str, values: Mapping[str, int]) -> dict[str, _Part]:
    """Return the months and currencies of the ledger, by the paths of their files.

    The mark adds up a hash of each row: unlike an exclusive or, which two identical rows would leave as it was.
    """
    columns = repr(cursor.execute(f"DESCRIBE {_QUERY}").fetchall())
    layout = hashlib.blake2b(columns.encode(), digest_size=8).hexdigest()
    groups = cursor.execute(
        f"""SELECT {_MONTH} AS month, currency, epoch_us(min(timestamp)), epoch_us(max(timestamp)), count(*),
            sum(hash(entries)) FROM entries WHERE {where} GROUP BY month, currency ORDER BY month, currency""",
        dict(values),
    ).fetchall()
    return {
        _path(month, currency): _Part(currency, first, last, rows, f"{layout}-{rows}-{total:x}")
        for month, currency, first, last, rows, total in groups
    }


def _path(month: str, currency: str) -> str:
    return f"month={month}/currency={_as_name(currency)}/{FILE_NAME}"


def _as_name(value: str) -> str:
    """Return a value as engines expect it in the name of a folder.

    Lower case is escaped as well: some file systems do not tell it from upper case. Beyond ASCII nothing is: engines
    disagree about what the escapes would mean.
    """
    if value == _NO_CURRENCY:  # a currency of that name is not the empty one
        return f"%{ord(value[0]):02X}{value[1:]}"
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", value) or _NO_CURRENCY


def _check_names(folder: Path, parts: Mapping[str, _Part]) -> None:
    """Refuse a currency whose escaped name is too long for a folder, before anything is written.

    Raises:
        ExportError: There is one.
    """
    for part in parts.values():
        length = len(os.fsencode(f"currency={_as_name(part.currency)}"))
        if length > _LONGEST_NAME:
            raise ExportError(
                f"{folder}: no folder can be named after the currency {bounded(repr(part.currency), _LONGEST_SHOWN)}: "
                f"{length} bytes, and at most {_LONGEST_NAME} are allowed; export to one file, as parquet"
            )


def _kept_files(request: ExportRequest, folder: Path, parts: Mapping[str, _Part]) -> dict[str, str | None]:
    """Return the files of the folder with the marks of their contents; None for a damaged file to be written again."""
    marks_of: dict[str, str | None] = {}
    ledger = request.database.ledger_id
    for path in files_of(folder):
        if is_of_open_ledger(folder / path):
            raise foreign(folder, path)
        marks = parquet_marks(request.database, folder / path)
        if marks is None and not (path in parts and _is_damaged_file(folder / path, ledger)):
            raise ExportError(
                f"{folder}: holds {path}, which is no Parquet file, or not all of one; if it is of this dataset and "
                "was damaged, remove it and export again, since the ledger has its rows; else name another folder"
            )
        if marks is not None and _CONTENT not in marks:
            raise foreign(folder, path)
        if marks is not None and marks.get(_RANGE) != _range(request):
            raise ExportError(
                f"{folder}: holds a dataset of another range of time; export that range again, or name another folder"
            )
        if marks is not None and marks.get(_LEDGER, ledger) != ledger:
            raise ExportError(f"{folder}: holds a dataset of another ledger; remove it, or name another folder")
        is_complete = marks is not None and _LEDGER in marks  # earlier versions did not say whose a file is
        marks_of[path] = marks[_CONTENT] if marks is not None and is_complete else None
    return marks_of


def _is_damaged_file(path: Path, ledger: str) -> bool:
    """Tell whether a file that cannot be read is empty, or still has the marks of this ledger near its end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    is_ours = _CONTENT.encode() in tail and (ledger.encode() in tail or _LEDGER.encode() not in tail)
    return not size or (is_ours and read_head(path, len(PARQUET_HEAD)) == PARQUET_HEAD)


def _range(request: ExportRequest) -> str:
    """Return the range of time that was asked for, in microseconds since 1970."""
    _, values = request.within
    return f"{values.get('start', '')}..{values.get('end', '')}"


def _copy(cursor: duckdb.DuckDBPyConnection, part: _Part, file: Path, marks: Mapping[str, str]) -> None:
    """Write the rows of a part, in an order that only they decide."""
    where = "timestamp BETWEEN make_timestamptz($first) AND make_timestamptz($last) AND currency = $currency"
    values = {"first": part.first, "last": part.last, "currency": part.currency}
    copy_to_parquet(cursor, f"{_QUERY} WHERE {where} ORDER BY ALL", values, file, marks)

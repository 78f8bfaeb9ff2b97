"""A FOCUS file from a ledger: the rows of CSV as texts, and Parquet, which DuckDB makes of such rows."""

from __future__ import annotations

import csv
import os
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from venice_billing import _exact
from venice_billing._arguments import choice
from venice_billing._files import marked_name, open_own, release
from venice_billing._targets import explained, replacing
from venice_billing._version import __version__
from venice_billing.errors import ExportError, InvalidParameterError
from venice_billing.ledger import spending
from venice_billing.ledger._exports import copy_to_parquet
from venice_billing.ledger._focus_columns import COLUMNS, FOCUS_VERSIONS
from venice_billing.ledger._moments import moment
from venice_billing.ledger.focus import FocusTerms, focus_row
from venice_billing.ledger.results import LedgerExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from venice_billing.ledger._exports import ExportRequest
    from venice_billing.ledger._focus_columns import Column, FocusVersion, Kind
    from venice_billing.ledger.focus import FocusValue

_DOCUMENT = "focus000"  # marks the file of rows on their way
_CSV, _PARQUET = ".csv", ".parquet"
_TYPES: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "digits": "VARCHAR",
    "decimal": "DECIMAL(38, 28)",
    "integer": "BIGINT",
    "time": "TIMESTAMPTZ",
}
_ROOM: Mapping[Kind, tuple[int, int]] = {"decimal": (10, 28), "integer": (18, 0)}
"""The digits before and after the point that a column of Parquet has room for."""

_LONGEST_LINE = 1 << 24  # bytes
_LONGEST_SHOWN = 100


@frozen
class FocusTable:
    """The rows of a ledger as FOCUS has them.

    Attributes:
        request: The export, as it was asked for.
        version: The version of FOCUS.
        terms: What the rows need besides the entries.
        is_parquet: Whether they are to become Parquet.
    """

    request: ExportRequest
    version: FocusVersion
    terms: FocusTerms
    is_parquet: bool

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, in order."""
        return COLUMNS[self.version]

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def records(self, escape: Callable[[str], str] | None = None) -> Iterator[list[Any]]:
        """Yield the rows as CSV has them: numbers and times as text.

        Args:
            escape: What becomes of texts that are neither.
        """
        as_text: dict[Kind, Callable[[Any], Any]] = {"decimal": decimal_text, "time": time_text}
        if escape is not None:
            as_text["text"] = lambda text: None if text is None else escape(text)
        plan = [(column.name, as_text.get(column.kind)) for column in self.columns]
        for row in self._rows():
            yield [row[name] if text_of is None else text_of(row[name]) for name, text_of in plan]

    def _rows(self) -> Iterator[Mapping[str, FocusValue]]:
        where, values = self.request.within
        for entry in spending.read(self.request.database, where, values, spending.IN_ORDER):
            row = focus_row(entry, self.terms)
            yield _checked(row) if self.is_parquet else row


def focus_table(request: ExportRequest) -> FocusTable:
    """Return the rows of an export, none of which was read yet.

    Raises:
        InvalidParameterError: An argument is invalid.
    """
    version = FOCUS_VERSIONS[FOCUS_VERSIONS.index(choice("focus_version", request.focus_version, FOCUS_VERSIONS))]
    account = request.database.path.stem if request.account is None else request.account
    is_parquet = _is_parquet(request.path)
    terms = FocusTerms(account=account, diem_usd=request.diem_usd, charged_at=_charged_at(request))
    return FocusTable(request, version, terms, is_parquet)


def write_parquet(table: FocusTable) -> LedgerExport:
    """Write a Parquet file. On its way there are CSV files: only DuckDB writes Parquet, and only Python knows FOCUS.

    Raises:
        ExportError: A number does not fit Parquet's decimals, or the file cannot be written.
    """
    request = table.request
    target = request.target()
    with explained(target), replacing(target) as part, _document(target) as document:
        with document.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table.records())
        with request.database.reading() as cursor, request.database.writing(target):
            marks = {"focus_version": table.version, "data_generator": f"venice-billing {__version__}"}
            rows = copy_to_parquet(cursor, _query(table.columns), {"document": str(document)}, part.path, marks)
        size = os.fstat(part.file.fileno()).st_size
    return LedgerExport(path=target, format=request.format, rows=rows, size=size, written=(target,))


@contextmanager
def _document(target: Path) -> Iterator[Path]:
    """Give an empty private file beside the target, which is removed at the end.

    A process that is killed leaves it behind, and the next export to the same target takes and removes it.
    """
    path = target.with_name(f".{marked_name(target, _DOCUMENT)}.rows")
    file = open_own(path, locked=True)
    try:
        file.truncate(0)
        yield path
    finally:
        if os.name == "nt":  # there an open file cannot be removed
            release(file)
        with suppress(OSError):
            path.unlink()
        release(file)


def decimal_text(number: Decimal | None) -> str | None:
    """Return a number with every digit, and always with a point: readers take a column without one for integers."""
    if number is None:
        return None
    text = _exact.text(number)
    return text if "." in text else f"{text}.0"


def time_text(moment: datetime | None) -> str | None:
    """Return a time as ISO 8601 has it, in UTC with a Z; without a fraction if it is that of a whole second."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _is_parquet(path: object) -> bool:
    if hasattr(path, "write"):
        return False
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix not in (_CSV, _PARQUET):
        raise InvalidParameterError("path", path, "the path of a file that ends in .csv or .parquet, for FOCUS")
    return suffix == _PARQUET


def _charged_at(request: ExportRequest) -> dict[str, datetime]:
    """Return when the requests were charged that refunds name, as far as the ledger has them."""
    where, values = request.within
    query = f"""SELECT request_id, epoch_us(min(timestamp)) FROM usage_rows
        WHERE kind = 'debit' AND request_id IN (SELECT request_id FROM usage_rows WHERE kind = 'refund' AND {where})
        GROUP BY request_id"""
    with request.database.reading() as cursor:
        found = cursor.execute(query, dict(values)).fetchall()
    return {request_id: moment(charged_at) for request_id, charged_at in found}


def _checked(row: Mapping[str, FocusValue]) -> Mapping[str, FocusValue]:
    """Refuse a row that a file of Parquet would have to round."""
    for name, value in row.items():
        if isinstance(value, Decimal | int):
            kind: Kind = "decimal" if isinstance(value, Decimal) else "integer"
            text = decimal_text(Decimal(value)) or ""
            if not _fits(text, *_ROOM[kind]):
                raise ExportError(
                    f"{name} of the charge of {row['x_Timestamp']} is {text[:_LONGEST_SHOWN]}, which does not fit a "
                    f"{_TYPES[kind]} of Parquet, and is not rounded; export to a .csv file, which holds every digit"
                )
    return row


def _fits(text: str, before: int, after: int) -> bool:
    whole, _, fraction = text.partition(".")
    return len(whole.lstrip("-")) <= before and len(fraction.rstrip("0")) <= after


def _query(columns: Sequence[Column]) -> str:
    """Return the query of typed rows from records as CSV, each of whose numbers fits."""
    casts = ", ".join(f"CAST({column.name} AS {_TYPES[column.kind]}) AS {column.name}" for column in columns)
    texts = ", ".join(f"{column.name}: 'VARCHAR'" for column in columns)
    return f"""SELECT {casts} FROM read_csv($document, columns = {{{texts}}}, auto_detect = false, header = false,
        delim = ',', quote = '"', escape = '"', new_line = '\\r\\n', nullstr = '', parallel = false,
        max_line_size = {_LONGEST_LINE}, buffer_size = {_LONGEST_LINE})"""

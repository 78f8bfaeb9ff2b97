"""A FOCUS file from a ledger: written beside its target and renamed, as CSV or as Parquet by its suffix."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venice_billing import _exact
from venice_billing._arguments import choice
from venice_billing._files import check_length, sync_folder, target_problem
from venice_billing._version import __version__
from venice_billing.errors import ExportError, InvalidParameterError
from venice_billing.ledger import spending
from venice_billing.ledger._focus_columns import COLUMNS, FOCUS_VERSIONS
from venice_billing.ledger._moments import moment
from venice_billing.ledger.focus import FocusTerms, focus_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from venice_billing._arguments import Moment
    from venice_billing.ledger._database import Database
    from venice_billing.ledger._focus_columns import Column, FocusVersion, Kind
    from venice_billing.ledger.focus import FocusValue

_MODE = 0o600  # a bill is private
_CSV, _PARQUET = ".csv", ".parquet"
_TYPES: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "decimal": "DECIMAL(38, 28)",
    "integer": "BIGINT",
    "time": "TIMESTAMPTZ",
}
_ROOM: Mapping[Kind, tuple[int, int]] = {"decimal": (10, 28), "integer": (18, 0)}
"""The digits before and after the point that a column of Parquet has room for."""

_LONGEST_LINE = 1 << 26  # bytes
_LONGEST_SHOWN = 100


def write_focus(
    database: Database,
    path: str | os.PathLike[str],
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    version: str = "1.2",
    diem_usd: Decimal | None = None,
    account: str | None = None,
) -> int:
    """Write the rows of a ledger as a FOCUS file, and return how many there are.

    Args:
        database: The ledger.
        path: The file: `.csv`, or `.parquet`. One that is there is replaced once the new one is complete.
        start: From this time on, included (UTC; a date is its midnight).
        end: Up to this time, excluded.
        version: The version of FOCUS, "1.2" or "1.4".
        diem_usd: What a DIEM that was spent costs in US dollars; None: nothing.
        account: The name of the billing account; the name of the ledger's file unless given.

    Raises:
        ExportError: A number does not fit Parquet's decimals, or the file cannot be written.
        InvalidParameterError: An argument is invalid.
    """
    target = _target(path)
    chosen = _version(version)
    where, values = spending.within(start, end)
    terms = FocusTerms(
        account=database.path.stem if account is None else account,
        diem_usd=diem_usd,
        charged_at=_charged_at(database, where, values),
    )
    rows = (focus_row(entry, terms) for entry in spending.read(database, where, values, spending.IN_ORDER))
    with _replacing(target) as made:
        if target.suffix.lower() == _CSV:
            return _write_csv(made, COLUMNS[chosen], rows)
        document = made.with_suffix(_CSV)
        count = _write_csv(document, COLUMNS[chosen], map(_checked, rows))
        _write_parquet(database, document, made, chosen)
        return count


def _version(version: str) -> FocusVersion:
    return FOCUS_VERSIONS[FOCUS_VERSIONS.index(choice("focus_version", version, FOCUS_VERSIONS))]


def _target(path: object) -> Path:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or "\0" in name or Path(name).suffix.lower() not in (_CSV, _PARQUET):
        raise InvalidParameterError("path", path, "the path of a file that ends in .csv or .parquet")
    target = Path(name).absolute()
    check_length(target)
    if problem := target_problem(target):
        raise ExportError(f"{target}: {problem} is in the way; remove it, or choose another path")
    return target


def _charged_at(database: Database, where: str, values: Mapping[str, int]) -> dict[str, datetime]:
    """Return when the requests were charged that refunds name, as far as the ledger has them."""
    query = f"""SELECT request_id, epoch_us(min(timestamp)) FROM usage_rows
        WHERE kind = 'debit' AND request_id IN (SELECT request_id FROM usage_rows WHERE kind = 'refund' AND {where})
        GROUP BY request_id"""
    with database.reading() as cursor:
        found = cursor.execute(query, dict(values)).fetchall()
    return {request_id: moment(charged_at) for request_id, charged_at in found}


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give the path of a file in a private folder, which becomes the target at the end; on an error nothing changes."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".focus.", dir=target.parent))
        try:
            made = folder / f"rows{target.suffix.lower()}"
            yield made
            made.chmod(_MODE)
            with made.open("rb") as file:
                os.fsync(file.fileno())
            made.replace(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror or error}); try again") from error


def _write_csv(path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, FocusValue]]) -> int:
    plan = [(column.name, _AS_TEXT.get(column.kind)) for column in columns]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([name for name, _ in plan])
        for row in rows:
            writer.writerow([row[name] if as_text is None else as_text(row[name]) for name, as_text in plan])
            count += 1
    return count


def decimal_text(number: Decimal | None) -> str | None:
    """Return a number with every digit, and always with a point: readers take a column without one for integers."""
    if number is None:
        return None
    text = _exact.text(number)
    return text if "." in text else f"{text}.0"


def time_text(moment: datetime | None) -> str | None:
    """Return a time as ISO 8601 has it, in UTC with a Z; without a fraction if it is that of a whole second."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


_AS_TEXT: Mapping[Kind, Callable[[Any], str | None]] = {"decimal": decimal_text, "time": time_text}


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


def _write_parquet(database: Database, document: Path, path: Path, version: FocusVersion) -> None:
    """Make a Parquet file of a CSV file whose numbers all fit."""
    casts = ", ".join(f"CAST({column.name} AS {_TYPES[column.kind]}) AS {column.name}" for column in COLUMNS[version])
    with database.reading() as cursor:
        cursor.execute(
            f"""COPY (SELECT {casts} FROM read_csv($document, header = true, all_varchar = true, delim = ',',
                    quote = '"', escape = '"', new_line = '\\r\\n', nullstr = '', max_line_size = {_LONGEST_LINE},
                    parallel = false, auto_detect = false, columns = {_columns(version)}))
                TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{
                    focus_version: '{version}', data_generator: 'venice-billing {__version__}'}})""",
            {"document": str(document)},
        )


def _columns(version: FocusVersion) -> str:
    return "{" + ", ".join(f"'{column.name}': 'VARCHAR'" for column in COLUMNS[version]) + "}"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")

"""What all exports of the ledger share: the request, what must not be overwritten, and Parquet files by DuckDB."""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING, Any

from attrs import frozen

from venice_billing._targets import checked_path, checked_target
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger import spending

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from venice_billing._arguments import Moment
    from venice_billing.ledger._database import Database
    from venice_billing.ledger.results import ExportFormat

PARQUET_COLUMNS = "* REPLACE (CAST(additional_properties AS VARCHAR) AS additional_properties)"
"""The columns of the view `entries`. Not every engine knows Parquet's own type for JSON; each knows text."""

_ROW_GROUP = "16MB"  # DuckDB's own has 122,880 rows, of any size, in memory; it keeps to this one only roughly


@frozen(kw_only=True)
class ExportRequest:
    """An export as it was asked for.

    Attributes:
        database: The ledger.
        path: The path or file object, as given.
        format: One of the formats.
        start: From this time on, included.
        end: Up to this time, excluded.
        escape_formulas: Whether spreadsheets must take no cell for a formula.
        focus_version: The version of FOCUS, as given.
        diem_usd: What a DIEM costs in US dollars in a FOCUS file, as given.
        account: The name of the account in a FOCUS file, as given.
    """

    database: Database
    path: Any
    format: ExportFormat
    start: Moment | None
    end: Moment | None
    escape_formulas: bool
    focus_version: Any
    diem_usd: Any
    account: Any

    @property
    def within(self) -> tuple[str, dict[str, int]]:
        """The condition of the range of time, and its values."""
        return spending.within(self.start, self.end)

    def target(self) -> Path:
        """Return the path of the file to write.

        Raises:
            InvalidParameterError: The path is none, or that of the ledger itself.
            ExportError: Another user's file is there.
        """
        self._check_other_than_ledger(checked_path(self.path))
        return checked_target(self.path)

    def folder(self) -> Path:
        """Return the path of the folder to write.

        Raises:
            InvalidParameterError: The path is none, or that of the ledger itself.
        """
        target = checked_path(self.path, "folder")
        self._check_other_than_ledger(target)
        return target

    def _check_other_than_ledger(self, target: Path) -> None:
        """Refuse to write over the ledger; what is kept beside it has names that are refused in any case."""
        own = self.database.path
        if target.resolve() == own.resolve():
            raise InvalidParameterError("path", str(target), f"another path than that of the ledger, {own}")


def copy_to_parquet(
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    values: Mapping[str, Any],
    path: Path,
    marks: Mapping[str, str] | None = None,
) -> int:
    """Write the rows of a query to a Parquet file, and return how many.

    Args:
        cursor: Reads the rows.
        query: The query.
        values: Its values.
        path: The file; one that exists is overwritten in place, and keeps its rights.
        marks: Texts to keep in the file beside the rows.
    """
    options = ["FORMAT parquet", "USE_TMP_FILE false", f"ROW_GROUP_SIZE_BYTES '{_ROW_GROUP}'"]
    if marks:
        pairs = ", ".join(f"{name}: {_literal(text)}" for name, text in marks.items())
        options.append(f"KV_METADATA {{{pairs}}}")
    cursor.execute(f"COPY ({query}) TO {_literal(_as_text(path))} ({', '.join(options)})", dict(values))
    count: int = cursor.fetchall()[0][0]
    return count


def parquet_marks(database: Database, path: Path) -> dict[str, str] | None:
    """Return the texts that a Parquet file keeps beside its rows; None if it is no Parquet file, or not all of one."""
    with database.reading() as cursor:
        try:
            marks = cursor.execute(
                "SELECT decode(key), decode(value) FROM parquet_kv_metadata($path)",
                {"path": glob.escape(_as_text(path))},
            ).fetchall()
        except database.any_error:
            return None
    return dict(marks)


def _as_text(path: Path) -> str:
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidParameterError("path", name, "a path in Unicode: DuckDB writes no other") from None
    return name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""`Ledger`: every charge of an account once, on your own disk. What it does is in the other modules of this package.

The class is in one piece, since users look up its methods in one place; most lines are signatures and docstrings.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import IO, TYPE_CHECKING, Any, BinaryIO, overload

from venice_billing.client import AsyncVeniceBilling, VeniceBilling
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger import _closings, _history, spending
from venice_billing.ledger._database import Database
from venice_billing.ledger.export import export as _export
from venice_billing.ledger.reconcile import reconcile
from venice_billing.ledger.sync import Sync
from venice_billing.ledger.verify import Verify

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from datetime import tzinfo
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType
    from typing import Self
    from uuid import UUID

    import duckdb

    from venice_billing._arguments import Moment
    from venice_billing.ledger._focus_columns import FocusVersion
    from venice_billing.ledger._records import LogFormat
    from venice_billing.ledger.reconciliation import Reconciliation, RequestRecord
    from venice_billing.ledger.results import Adjustment, Coverage, ExportFormat, LedgerExport, SyncProgress, SyncReport
    from venice_billing.ledger.statement import Statement
    from venice_billing.ledger.verification import Verification
    from venice_billing.models import UsageEntry
    from venice_billing.spend import Dimension, SpendTable

__all__ = ["Ledger"]

_OVERLAP = _closings.OVERLAP
_TIME_TOLERANCE = timedelta(minutes=15)


class _File(Enum):
    """What `close` is given instead of a month."""

    THE_FILE = "the file"


class Ledger:
    """The ledger of an account in one DuckDB file, which only you may read. Needs the extra `ledger`.

    Rows have no id, so a sync never guesses which is which: it replaces a stretch of time by what the API says of it
    now, and notes what that changed. Numbers are kept to the digit, as text, beside decimals.

    Use it as a context manager, or call `close()`. It may be shared between threads; while it is open, no other process
    can open the file. Without it, `duckdb FILE` shows the same rows in the view `entries`.

    Args:
        path: The file; made if there is none.

    Raises:
        LedgerError: The file is no ledger, is of a newer version, is in use, or cannot be read; or DuckDB is missing.
        InvalidParameterError: The path is none.

    Example:
        >>> from venice_billing.ledger import Ledger
        >>> with Ledger("venice.duckdb") as ledger:
        ...     report = ledger.sync(client)
        ...     table = ledger.spend(by="month")
        >>> report.rows_read, [row.net for row in table if row.currency == "USD"]
        (345, [Decimal('-0.0009746')])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._database = Database(path)

    @property
    def path(self) -> Path:
        """The absolute path of the file."""
        return self._database.path

    @overload
    def sync(
        self,
        client: VeniceBilling,
        *,
        overlap: timedelta = ...,
        full: bool = ...,
        concurrency: int = ...,
        progress: Callable[[SyncProgress], object] | None = ...,
    ) -> SyncReport: ...
    @overload
    def sync(
        self,
        client: AsyncVeniceBilling,
        *,
        overlap: timedelta = ...,
        full: bool = ...,
        concurrency: int = ...,
        progress: Callable[[SyncProgress], object] | None = ...,
    ) -> Awaitable[SyncReport]: ...
    def sync(
        self,
        client: VeniceBilling | AsyncVeniceBilling,
        *,
        overlap: timedelta = _OVERLAP,
        full: bool = False,
        concurrency: int = 1,
        progress: Callable[[SyncProgress], object] | None = None,
    ) -> SyncReport | Awaitable[SyncReport]:
        """Bring the ledger up to date: all of the account the first time, then the latest stretch.

        Charges are booked hours late at times; `overlap` says how far back the latest stretch begins, and `full=True`
        finds all. What a sync changes in time that was covered before is in `adjustments()`. If a sync is cut short, by
        an error, an interrupt or a kill, the ledger is as it was, and the next sync goes on where it stopped.

        Args:
            client: The client to ask; of an async one, the result is to be awaited.
            overlap: How far before the end of what is covered to begin, from `timedelta(0)` on: with that, charges that
                are booked late are found by `full=True` alone.
            full: Whether to read all of the account again.
            concurrency: How many requests may be under way at once, 1 to 16.
            progress: Is called after each page.

        Raises:
            LedgerError: The key is one of another account (then the ledger is as it was), another sync is under way, or
                the file cannot be written.
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: The API failed; the same call goes on. See `venice_billing.errors`.
        """
        _check_client(client)
        sync = Sync(self._database, client, overlap=overlap, full=full, concurrency=concurrency, progress=progress)
        return sync.run() if isinstance(client, VeniceBilling) else sync.run_async()

    def spend(
        self,
        by: Dimension | Iterable[Dimension] = ("month", "model", "currency"),
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        timezone: str | tzinfo = "UTC",
    ) -> SpendTable:
        """Return the totals that `spend.summarize` makes of the same entries, to the digit.

        Args:
            by: One name or several of day, week, month, model, service, sku, key, currency. The currency is always one.
            start: From this time on, included (UTC; a date is its midnight).
            end: Up to this time, excluded.
            timezone: The IANA time zone of days, weeks and months.

        Raises:
            InvalidParameterError: An argument is invalid.
        """
        return spending.total(self._database, by, start, end, timezone)

    def entries(self, start: Moment | None = None, end: Moment | None = None) -> Iterator[UsageEntry]:
        """Iterate over the entries, oldest first, each as the walk gave it, unknown fields included.

        Args:
            start: From this time on, included (UTC; a date is its midnight).
            end: Up to this time, excluded.
        """
        where, values = spending.within(start, end)
        return spending.read(self._database, where, values, spending.IN_ORDER)

    def rows(self, start: Moment | None = None, end: Moment | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`."""
        return (entry.row() for entry in self.entries(start, end))

    def export(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        format: ExportFormat | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        escape_formulas: bool = True,
        focus_version: FocusVersion = "1.2",
        diem_usd: Decimal | None = None,
        account: str | None = None,
    ) -> LedgerExport:
        """Write the entries to a file, or to a dataset of many files, which only you may read.

        `csv` has the columns of `rows()`, `jsonl` an entry as `to_json()` on each line, both oldest first; `parquet`
        has the columns of the view `entries`. A file appears, or is replaced, when it is complete. A `dataset` is a
        folder of Parquet files, `month=2026-10/currency=USD/entries.parquet` (months of UTC): only files of months and
        currencies that have changed are written again, each in one step. `focus` is a bill
        as the FinOps Open Cost and Usage Specification has it, in CSV or Parquet by the suffix: costs there are
        positive, and in US dollars. A number that would have to be rounded in Parquet is refused.

        Args:
            path: The file, or the folder of a dataset; for csv, jsonl and focus also a file object that is open in
                binary mode.
            format: csv, jsonl, parquet, dataset or focus; if None, what the suffix of `path` says.
            start: From this time on, included (UTC; a date is its midnight).
            end: Up to this time, excluded.
            escape_formulas: Whether a text in a CSV file that a spreadsheet would take for a formula gets an apostrophe
                before it.
            focus_version: The version of FOCUS, 1.2 or 1.4.
            diem_usd: What a DIEM that was spent costs in US dollars in a FOCUS file; None: nothing.
            account: The name of the account in a FOCUS file; None: the name of the ledger's file.

        Raises:
            ExportError: The file cannot be written, a number does not fit it, or the folder holds something else than a
                dataset of that range.
            InvalidParameterError: An argument is invalid.
        """
        return _export(
            self._database,
            path,
            format,
            start,
            end,
            escape_formulas=escape_formulas,
            focus_version=focus_version,
            diem_usd=diem_usd,
            account=account,
        )

    def reconcile(
        self,
        records: str
        | os.PathLike[str]
        | IO[Any]
        | Iterable[RequestRecord | UsageEntry | Mapping[str, Any] | str | UUID],
        *,
        format: LogFormat | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        time_tolerance: timedelta = _TIME_TOLERANCE,
    ) -> Reconciliation:
        """Compare your own log of requests with the ledger, by request id.

        A record has a `request_id`, and may have `amount`, `currency`, `model` and `time`; what it does not name (null,
        or empty) is not compared. Amounts are signed as in the ledger: a debit is negative. One request books several
        rows, and the log may have several records of it: both are added up, by currency. A refund is one of the rows,
        so a request that was refunded is compared by what is left. Memory does not grow with the log.

        Args:
            records: The path of a JSONL or CSV file, an open file, or an iterable of dicts, `RequestRecord`s,
                `UsageEntry`s, or request ids. The API's own names `requestId` and `timestamp` are understood too.
            format: "jsonl" or "csv", where the name of a file does not tell.
            start: From this time on, requests of the ledger that are not in the log are `unknown`. By default, from the
                first request of the log on: by its own time, or else by that of its first row in the ledger.
            end: Up to this time, excluded; by default, up to the last request of the log. Where the log names no time,
                and no request of the ledger, both are open.
            time_tolerance: How far a record and the row nearest to it may lie apart. A request later than what the
                ledger covers, less this, is not `missing`, but `not_covered`.

        Raises:
            InvalidParameterError: An argument, or a record, is invalid: it names the line, or the place in the
                iterable. A log without records needs `start` or `end`.
            LedgerError: The file of the ledger, or a temporary one, cannot be used.
        """
        return reconcile(self._database, records, format_=format, start=start, end=end, time_tolerance=time_tolerance)

    @overload
    def verify(
        self,
        client: VeniceBilling,
        *,
        start: Moment | None = ...,
        end: Moment | None = ...,
        tolerance: Decimal | int | str = ...,
    ) -> Verification: ...
    @overload
    def verify(
        self,
        client: AsyncVeniceBilling,
        *,
        start: Moment | None = ...,
        end: Moment | None = ...,
        tolerance: Decimal | int | str = ...,
    ) -> Awaitable[Verification]: ...
    def verify(
        self,
        client: VeniceBilling | AsyncVeniceBilling,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        tolerance: Decimal | int | str = 0,
    ) -> Verification | Awaitable[Verification]:
        """Compare each day with the API's own analytics, in USD and in DIEM: one request for each 90 days.

        The analytics are made of the same bookings by other means: debits by day (UTC), dollars and bundled credits
        together as USD, refunds not taken off. The ledger is added up likewise. They may be 10 minutes old, so a day
        that ended less than that ago, or that a sync changed less than that ago, is left out, as is a day that the
        ledger does not cover to its end. A difference of the last days may be a charge that was booked late since the
        last sync: sync, and verify again.

        Where the API takes too long for a range (504), each half of it is asked for, down to 7 days.

        Args:
            client: The client to ask; of an async one, the result is to be awaited. Any key of the account will do.
            start: The first day; by default 89 days before `end`'s last.
            end: The day after the last; by default tomorrow.
            tolerance: Up to which difference figures count as equal. By default, every digit counts.

        Raises:
            LedgerError: The ledger was never synced, or its file cannot be read.
            InvalidParameterError: An argument is invalid; nothing was sent.
            ResponseValidationError: The analytics tell a day twice, or one that is none.
            VeniceError: The API failed. See `venice_billing.errors`.
        """
        _check_client(client)
        verify = Verify(self._database, client, start=start, end=end, tolerance=tolerance)
        return verify.run() if isinstance(client, VeniceBilling) else verify.run_async()

    def adjustments(self) -> list[Adjustment]:
        """Return what syncs changed in time that was covered before, in the order in which it was seen."""
        return _history.adjustments(self._database)

    def coverage(self) -> Coverage:
        """Return what time the ledger covers, since when, and which sync read which part of it."""
        return _history.coverage(self._database)

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the view `entries` as a relation of DuckDB: `.filter()`, `.df()`, `.pl()`, `.arrow()`.

        It reads the ledger when it is used, so the ledger must still be open then.
        """
        with self._database.errors():
            return self._database.cursor().sql("FROM entries ORDER BY timestamp")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the entries as an Arrow stream: `polars.DataFrame(ledger)`, `pyarrow.table(ledger)`."""
        return self.relation().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        with self._database.reading() as cursor:
            count: int = cursor.execute("SELECT count(*) FROM usage_rows").fetchall()[0][0]
        return count

    def __bool__(self) -> bool:
        return True  # also of a ledger without rows

    @overload
    def close(self) -> None: ...
    @overload
    def close(
        self,
        month: str,
        *,
        timezone: str | tzinfo | None = ...,
        overlap: timedelta = ...,
        allow_incomplete: bool = ...,
    ) -> Statement: ...
    def close(
        self,
        month: str | _File = _File.THE_FILE,
        *,
        timezone: str | tzinfo | None = None,
        overlap: timedelta = _OVERLAP,
        allow_incomplete: bool = False,
    ) -> Statement | None:
        """Close a month, and return its statement; without a month, close the file.

        The statement is recorded. To close the month again gives the same, byte by byte, unless its charges have
        changed since, or it was incomplete then and is complete now: then the result is a further revision, whose
        `restatement` names the changes and the digest before. What was recorded stays.

        A charge that comes late, in a month closed before, is an adjustment in the statement of the month closed next.
        So the first statements of all months count every charge once, whatever was closed again.

        Args:
            month: A month like "2026-10".
            timezone: The IANA time zone of the month; None: that of the months closed before, or UTC for the first.
                All months of a ledger are closed in one zone.
            overlap: How long late charges are waited for, from `timedelta(0)` on: all of the month must have been read
                that long after.
            allow_incomplete: Whether to close a month that is over, but not read that long after, or not to its end.
                The statement says so, and whatever comes later is an adjustment.

        Raises:
            MonthOpenError: The month is not over, or may still change; a `LedgerError` that says when it can be closed.
            LedgerError: The month is before the ledger begins, or is of another zone than months closed before; a sync
                is under way; or the file cannot be written.
            InvalidParameterError: An argument is invalid.

        Example:
            >>> from venice_billing.ledger import Ledger
            >>> with Ledger("venice.duckdb") as ledger:
            ...     report = ledger.sync(client)
            ...     statement = ledger.close("2026-09", allow_incomplete=True)
            >>> statement.count, [row.net for row in statement.totals if row.currency == "USD"]
            (345, [Decimal('-0.0009746')])
            >>> statement.is_complete  # it was covered to its end, but not two days longer
            False
        """
        if isinstance(month, _File):
            if timezone is not None or overlap != _OVERLAP or allow_incomplete:
                raise InvalidParameterError(
                    "month", None, 'a month like "2026-10"; without options, the file is closed'
                )
            self._database.close()
            return None
        return _closings.close(self._database, month, timezone, overlap, allow_incomplete)

    def statement(
        self,
        month: str,
        *,
        timezone: str | tzinfo | None = None,
        overlap: timedelta = _OVERLAP,
        revision: int | None = None,
    ) -> Statement:
        """Return the statement of a month that was closed, as it was recorded; of another month, one of it so far.

        Nothing is recorded. A month that is not closed, the current one too, gives what `close` would say now, with
        `revision` 0; `is_complete` tells whether charges may still come.

        Args:
            month: A month like "2026-10".
            timezone: The IANA time zone of the month; None: that of the months closed before, or UTC.
            overlap: How long late charges are waited for, in a month that is not closed.
            revision: Which statement of a month that was closed more than once; None: the latest.

        Raises:
            LedgerError: The month is not covered at all, or there is no such revision.
            InvalidParameterError: An argument is invalid.
        """
        return _closings.statement(self._database, month, timezone, overlap, revision)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"


def _check_client(client: object) -> None:
    if not isinstance(client, VeniceBilling | AsyncVeniceBilling):
        raise InvalidParameterError("client", type(client), "a VeniceBilling or an AsyncVeniceBilling")

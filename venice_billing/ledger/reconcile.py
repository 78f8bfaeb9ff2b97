"""A log of requests against the ledger: DuckDB sorts both by request id, and they are compared request by request.

Sorting spills to the disk, one request at a time is in memory, and results are spooled, so memory does not grow with
the log. Amounts are added up from their texts, which have every digit.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from venice_billing import _arguments as arguments
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger import _entries, _records
from venice_billing.ledger._moments import microseconds, moment
from venice_billing.ledger._requests import Request
from venice_billing.ledger._spool import Spool, SpooledList
from venice_billing.ledger.reconciliation import FIELDS, RESULTS, ReconciledRequest, Reconciliation
from venice_billing.ledger.spending import within
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from venice_billing._arguments import Moment
    from venice_billing.ledger._database import Database
    from venice_billing.ledger._records import Numbered
    from venice_billing.ledger.reconciliation import ComparedField, RequestRecord, RequestResult

_MICROSECOND = timedelta(microseconds=1)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_RECORDS_AT_ONCE, _CHARACTERS_AT_ONCE, _ROWS_AT_ONCE = 10_000, 4_000_000, 2048

_COLUMNS = {
    "line": "BIGINT",
    "request_id": "VARCHAR",
    "amount": "VARCHAR",
    "currency": "VARCHAR",
    "model": "VARCHAR",
    "instant": "BIGINT",
}
_SHAPE = "[{" + ", ".join(f'"{name}": ["{kind}"]' for name, kind in _COLUMNS.items()) + "}]"
_STAGE = f"""INSERT INTO logged SELECT {", ".join(f"unnest(batch.{name})" for name in _COLUMNS)}
    FROM (SELECT unnest(from_json(CAST($document AS VARCHAR), '{_SHAPE}')) AS batch)"""
_REACH = """SELECT min(instant), max(instant) FROM (SELECT instant FROM logged WHERE instant IS NOT NULL UNION ALL
    SELECT epoch_us(min(timestamp)) FROM usage_rows
    WHERE request_id IN (SELECT request_id FROM logged WHERE instant IS NULL) GROUP BY request_id)"""
_BOTH = """SELECT request_id, is_logged, line, amount, currency, model, instant FROM (
        SELECT request_id, true AS is_logged, line, amount, currency, model, instant FROM logged
        UNION ALL
        SELECT request_id, false, CASE kind WHEN 'refund' THEN 1 ELSE 0 END, amount_text, currency, sku,
            epoch_us(timestamp)
        FROM usage_rows WHERE request_id <> '' AND request_id IN (
            SELECT request_id FROM logged UNION SELECT request_id FROM usage_rows WHERE {where}))
    ORDER BY request_id, is_logged, instant, line"""
"""What is known of each request: first the rows of the ledger, whose `line` tells refunds and `model` is the SKU."""
_WITHOUT_REQUEST = f"""SELECT {_entries.COLUMNS} FROM usage_rows WHERE coalesce(request_id, '') = '' AND {{where}}
    ORDER BY timestamp, seq"""


def reconcile(
    database: Database,
    records: object,
    *,
    format_: object,
    start: Moment | None,
    end: Moment | None,
    time_tolerance: timedelta,
) -> Reconciliation:
    """Compare a log with the ledger."""
    first, last = arguments.window("start", start, "end", end)
    tolerance = arguments.duration("time_tolerance", time_tolerance) // _MICROSECOND
    numbered = _records.read(records, format_)
    with closing(database.cursor()) as cursor:
        count = _stage(database, cursor, numbered)
        if not count and first is None and last is None:
            allowed = "at least one record, unless a start or an end is named"
            raise InvalidParameterError("records", "no record", allowed)
        with database.errors():
            cursor.execute("BEGIN")  # one state of the ledger for all queries
            first, last = _reach(cursor, first, last)
            until = cursor.execute("SELECT epoch_us(max(covered_until)) FROM syncs").fetchall()[0][0]
        lists = _Lists()
        comparison = _Comparison(lists, tolerance, first, until)
        where, values = within(first, last)
        with database.errors():
            cursor.execute(_BOTH.format(where=where), values)
        for request_id, rows in groupby(_fetched(database, cursor), itemgetter(0)):
            comparison.add(request_id, rows)
        with database.errors():
            cursor.execute(_WITHOUT_REQUEST.format(where=where), values)
        for entry in _entries.entries(_fetched(database, cursor)):
            lists.without_request.append(entry)
    lists.flush()
    return Reconciliation(
        **lists.by_result,
        repeated=lists.repeated,
        without_request=lists.without_request,
        records=count,
        compared=comparison.compared,
        start=first,
        end=last,
        covered_until=None if until is None else moment(until),
    )


def _stage(database: Database, cursor: duckdb.DuckDBPyConnection, numbered: Numbered) -> int:
    """Put the records into a temporary table, and return how many there are."""
    with database.errors():
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        cursor.execute(f"CREATE TEMP TABLE logged ({columns})")
    count = 0
    for batch in _batches(numbered):
        records = [record for _, record in batch]
        document = {
            "line": [line for line, _ in batch],
            "request_id": [record.request_id for record in records],
            "amount": [None if record.amount is None else str(record.amount) for record in records],
            "currency": [record.currency for record in records],
            "model": [record.model for record in records],
            "instant": [None if record.time is None else microseconds(record.time) for record in records],
        }
        with database.errors():
            cursor.execute(_STAGE, {"document": msgspec.json.encode([document]).decode()})
        count += len(batch)
    return count


def _batches(numbered: Numbered) -> Iterator[list[tuple[int, RequestRecord]]]:
    """Yield the records, as many at once as DuckDB has memory for."""
    batch: list[tuple[int, RequestRecord]] = []
    size = 0
    for line, record in numbered:
        batch.append((line, record))
        size += sum(map(len, filter(None, (record.request_id, record.currency, record.model))))
        if len(batch) >= _RECORDS_AT_ONCE or size >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _reach(
    cursor: duckdb.DuckDBPyConnection, start: datetime | None, end: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Return the stretch whose requests the log is to know: where it is not given, that of the log's requests.

    The time of a request is that of its record, or else of its first row.
    """
    if start is not None and end is not None:
        return start, end
    first, last = (None if at is None else moment(at) for at in cursor.execute(_REACH).fetchall()[0])
    if start is None and first is not None and (end is None or first < end):
        start = first
    if end is None and last is not None and (start is None or last >= start):
        end = last + _MICROSECOND if last < _LAST_MOMENT else None
    return start, end


def _fetched(database: Database, cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while True:
        with database.errors():
            rows = cursor.fetchmany(_ROWS_AT_ONCE)
        if not rows:
            return
        yield from rows


class _Lists:
    """The results, each in its list."""

    def __init__(self) -> None:
        spool = Spool()
        self.by_result: dict[RequestResult, SpooledList[ReconciledRequest]] = {
            result: _requests(spool, result) for result in RESULTS
        }
        self.repeated = _requests(spool, "repeated")
        self.without_request = SpooledList(
            spool, "without_request", lambda entry: _entries.json_text(entry.to_dict()), UsageEntry.from_json
        )

    def flush(self) -> None:
        for spooled in (*self.by_result.values(), self.repeated):
            spooled.flush()
        self.without_request.flush()


def _requests(spool: Spool, name: str) -> SpooledList[ReconciledRequest]:
    return SpooledList(
        spool,
        name,
        lambda request: msgspec.json.encode(request.to_dict()),
        lambda text: ReconciledRequest.from_dict(msgspec.json.decode(text)),
    )


class _Comparison:
    """Where each request belongs, and of how many requests each field was compared."""

    def __init__(self, lists: _Lists, tolerance: int, start: datetime | None, until: int | None) -> None:
        self._lists = lists
        self._tolerance = tolerance
        self._start = None if start is None else microseconds(start)
        self._until = until
        self.compared: dict[ComparedField, int] = dict.fromkeys(FIELDS, 0)

    def add(self, request_id: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add a request to its list."""
        request = Request(request_id, self._tolerance)
        for _, is_logged, line, amount, currency, model, at in rows:
            if is_logged:
                request.add_record(line, amount, currency, model, at)
            else:
                request.add_row(amount, currency, model, at, is_refund=bool(line))
        reconciled = request.reconciled()
        for name in request.compared:
            self.compared[name] += 1
        result = self._result(request, reconciled)
        if result is not None:
            self._lists.by_result[result].append(reconciled)
        if request.records > 1:
            self._lists.repeated.append(reconciled)

    def _result(self, request: Request, reconciled: ReconciledRequest) -> RequestResult | None:
        """Return where a request belongs; None: in no list, since only later rows of it are in the stretch."""
        if not request.records:
            is_before = self._start is not None and request.first_booked < self._start
            return None if is_before else "unknown"
        if request.rows:
            return "differing" if reconciled.differences else "matched"
        return "missing" if self._is_covered(request.first_logged) else "not_covered"

    def _is_covered(self, at: int | None) -> bool:
        """Tell whether the ledger would have the rows of a request; without a time, it should have."""
        return self._until is not None and (at is None or at + self._tolerance <= self._until)

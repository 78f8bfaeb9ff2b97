"""Rows of the ledger -> the table that `spend.summarize` makes of the same entries, added up by DuckDB.

DuckDB groups by days (or weeks, months) and by what is stored; what a SKU says, and the names of periods, come from the
functions that `spend` uses too. Rows that DuckDB cannot add up exactly are added up from their entries.
"""

from __future__ import annotations

from datetime import UTC, date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from venice_billing import _exact, spend
from venice_billing._arguments import window
from venice_billing._periods import PERIODS
from venice_billing._runtime.sku import split_sku
from venice_billing.ledger import _entries
from venice_billing.ledger._moments import microseconds, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime, tzinfo

    from venice_billing._arguments import Moment
    from venice_billing.ledger._database import Database
    from venice_billing.spend import Dimension, SpendTable

IN_ORDER = "ORDER BY timestamp, seq"
"""The order of entries: of time, and within an instant that of the walk."""

_FIRST_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_ROWS_AT_ONCE = 2048
_STEP = timedelta(hours=6)
_LONGEST = timedelta(days=200 * 366)
"""The stretch to look for changes of an offset in, in 0.3 s; the entries of a longer one are added one by one."""


def total(
    database: Database,
    by: Dimension | Iterable[Dimension],
    start: Moment | None,
    end: Moment | None,
    timezone: str | tzinfo,
) -> SpendTable:
    """Return the totals of the rows from `start` on and before `end`."""
    summary = spend.Summary(by, timezone)
    where, values = within(start, end)
    grouped = _grouped(database, summary, where, values)
    if grouped is None:
        _add(database, summary, where, values)
    else:
        _merge(summary, grouped)
        _add(database, summary, f"{where} AND NOT is_exact", values)
    return summary.table()


def within(start: Moment | None, end: Moment | None) -> tuple[str, dict[str, int]]:
    """Return the condition of a range of time, and its values."""
    first, last = window("start", start, "end", end)
    bounds = {name: microseconds(bound) for name, bound in (("start", first), ("end", last)) if bound}
    conditions = {"start": "timestamp >= make_timestamptz($start)", "end": "timestamp < make_timestamptz($end)"}
    return " AND ".join(conditions[name] for name in bounds) or "true", bounds


def read(database: Database, where: str, values: Mapping[str, int], order: str = "") -> Iterator[Any]:
    """Yield the entries of rows, some thousand in memory at a time."""
    with database.reading() as cursor:
        cursor.execute(f"SELECT {_entries.COLUMNS} FROM usage_rows WHERE {where} {order}", dict(values))
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from _entries.entries(rows)


def _add(database: Database, summary: spend.Summary, where: str, values: Mapping[str, int]) -> None:
    for entry in read(database, where, values):
        summary.add(entry)


def _grouped(
    database: Database, summary: spend.Summary, where: str, values: Mapping[str, int]
) -> list[tuple[Any, ...]] | None:
    """Return (days since 1970, sku, key, currency, kind, sum, count) of each group; None: not exact in DuckDB."""
    with database.reading() as cursor:
        ends = cursor.execute(
            f"SELECT epoch_us(min(timestamp)), epoch_us(max(timestamp)) FROM usage_rows WHERE {where} AND is_exact",
            dict(values),
        ).fetchall()
        if ends[0][0] is None:
            return []
        first, last = map(moment, ends[0])
        periods = set(summary.by) & PERIODS.keys()
        if periods and summary.zone is not UTC and last - first > _LONGEST:
            return None
        columns = ", ".join(
            [
                _days(periods, _offsets(summary.zone, first, last)) if periods else "NULL",
                "sku" if {"sku", "model", "service"} & set(summary.by) else "NULL",
                "api_key_id" if "key" in summary.by else "NULL",
            ]
        )
        query = (
            f"SELECT {columns}, currency, kind, sum(amount), count(*) FROM usage_rows "
            f"WHERE {where} AND is_exact GROUP BY ALL"
        )
        try:
            return cursor.execute(query, dict(values)).fetchall()
        except database.overflow:  # a sum of more than ten digits before the point
            return None


def _days(periods: Collection[str], offsets: list[tuple[int, int]]) -> str:
    """Return the expression of the first day of the finest of some periods, in days since 1970.

    It is an integer, since DuckDB takes half as long again to group by an interval.
    """
    at = "epoch_us(timestamp)"
    shift = str(offsets[-1][1])
    for until, offset in reversed(offsets[:-1]):
        shift = f"CASE WHEN {at} < {until} THEN {offset} ELSE {shift} END"
    local = f"make_timestamp({at if shift == '0' else f'{at} + {shift}'})"
    if len(periods) > 1 or "day" in periods:
        return f"CAST({local} AS DATE) - DATE '1970-01-01'"
    (period,) = periods
    return f"epoch_us(date_trunc('{period}', {local})) // {_DAY // _MICROSECOND}"


def _offsets(zone: tzinfo, first: datetime, last: datetime) -> list[tuple[int, int]]:
    """Return the offsets of a zone in a stretch of time, each with the end of its validity, in microseconds."""
    if zone is UTC:
        return [(0, 0)]
    changes = []
    at, offset = first, _offset(zone, first)
    while at < last:
        following = min(at + _STEP, last)
        if _offset(zone, following) != offset:
            change = _change(zone, at, following)
            changes.append((microseconds(change), offset))
            offset = _offset(zone, following)
        at = following
    return [*changes, (0, offset)]


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """Return the first instant after `low` with another offset than `low` has; `high` has one."""
    offset = _offset(zone, low)
    while high - low > _MICROSECOND:
        middle = low + (high - low) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: tzinfo, instant: datetime) -> int:
    return (instant.astimezone(zone).utcoffset() or timedelta()) // _MICROSECOND


def _merge(summary: spend.Summary, grouped: Iterable[tuple[Any, ...]]) -> None:
    product, periods = lru_cache(None)(split_sku), lru_cache(None)(_periods)
    for day, sku, key, currency, kind, amount, count in grouped:
        says = product(sku) if sku is not None else None
        values: dict[str, str | None] = {"sku": sku, "key": key, "currency": currency}
        if says is not None:
            values |= {"model": says.model, "service": says.service}
        if day is not None:
            values |= periods(day)
        sums = summary.groups.of(tuple([values[name] for name in summary.by]))
        sums.add(kind, Decimal(_exact.text(amount)))  # without the zeros that fill up the column
        sums.count += count


def _periods(day: int) -> dict[str, str]:
    """Return the names of the periods that a day lies in, which is counted from 1970 on."""
    local = _FIRST_DAY + day * _DAY
    return {name: text(local) for name, text in PERIODS.items()}

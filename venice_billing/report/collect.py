"""From the entries of an account, or from its ledger, to the data of a report. Pure, but for reading the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from venice_billing import _exact
from venice_billing._arguments import window
from venice_billing._calendar import Period
from venice_billing._periods import month_range, time_zone
from venice_billing.errors import InvalidParameterError, LedgerError
from venice_billing.report.data import CurrencyReport, EpochUse, Report, RequestSpend
from venice_billing.report.epoch import used_percent
from venice_billing.report.forecast import days_needed, forecast
from venice_billing.report.requests import LargestRequests, largest_of_ledger
from venice_billing.spend import Dimension, SpendRow, SpendTable, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, tzinfo
    from decimal import Decimal

    from venice_billing._arguments import Moment
    from venice_billing.ledger import Ledger
    from venice_billing.models import Balance, UsageAnalytics, UsageEntry
    from venice_billing.report.forecast import Forecast

__all__ = ["build", "first_needed", "key_names", "make_report", "period_before"]

_SOURCE = "a Ledger, or an iterable of UsageEntry"

# Each table of a report: its name, and what it is grouped by.
_OF_PERIOD: Mapping[str, tuple[Dimension, ...]] = {
    "by_day_and_model": ("day", "model", "currency"),
    "by_key": ("key", "currency"),
    "by_service": ("service", "currency"),
}


def make_report(
    source: Ledger | Iterable[UsageEntry],
    month: str | None = None,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    timezone: str | tzinfo = "UTC",
    now: datetime | None = None,
    balance: Balance | None = None,
    key_names: Mapping[str, str] | None = None,
) -> Report:
    """Make the report of a month, or of the time from `start` on and before `end`.

    Entries before the period are compared with it, and the forecast of an unfinished period is made of the seven whole
    days before `now`: give entries from the time on that `first_needed` names; a ledger has them. Entries are read
    once, and not kept.

    Args:
        source: The ledger of an account, or its entries.
        month: A month like "2026-10", in the time zone.
        start: Instead of a month: from this time on, included (UTC; a date is its midnight).
        end: Up to this time, excluded.
        timezone: The IANA time zone of days and of the month.
        now: The time up to which `source` has entries, and when the report is made; the current time if None. What a
            ledger covers is known.
        balance: The balance of the account, which tells the use of the DIEM epoch.
        key_names: The names of API keys, by their ids; `get_usage_analytics().by_key` has those used lately.

    Raises:
        InvalidParameterError: An argument is invalid.
        LedgerError: The ledger was never synced, or cannot be read.

    Example:
        >>> from datetime import UTC, datetime
        >>> from venice_billing.report import make_report
        >>> with_before = client.iter_usage_history(start_timestamp="2026-08-01")
        >>> report = make_report(with_before, "2026-09", now=datetime(2026, 10, 1, tzinfo=UTC))
        >>> [(part.currency, part.totals.debits) for part in report.currencies]
        [('DIEM', Decimal('0.2180108')), ('USD', Decimal('0.0009746'))]
        >>> report.is_complete
        True
    """
    given: object = now
    if given is not None and (not isinstance(given, datetime) or given.tzinfo is None):
        raise InvalidParameterError("now", given, "an aware datetime")
    period = _period(month, start, end, timezone)
    moment = datetime.now(UTC) if now is None else now.astimezone(UTC)
    return build(source, period, moment, balance=balance, key_names=key_names)


def key_names(analytics: UsageAnalytics) -> dict[str, str]:
    """Return the names of the keys that were used, by their ids."""
    return {key.api_key_id: key.description for key in analytics.by_key if key.api_key_id and key.description}


def first_needed(period: Period, until: datetime) -> datetime:
    """Return from when on entries are needed: those of the period before, and of the days of a forecast."""
    before, recent = period_before(period), days_needed(period, until)
    return min(one.start for one in (period, before, recent) if one is not None)


def period_before(period: Period) -> Period | None:
    """Return the period before; None: there is none in the calendar."""
    try:
        return period.before()
    except OverflowError:
        return None


def build(
    source: Ledger | Iterable[UsageEntry],
    period: Period,
    now: datetime,
    *,
    balance: Balance | None = None,
    key_names: Mapping[str, str] | None = None,
    is_demo: bool = False,
    currency: str | None = None,
) -> Report:
    """Make the report of a period; with `currency`, of that one alone."""
    tables = _read(source, period, now)
    until = min(period.end, tables.until)
    forecasts = {one.currency: one for one in _forecasts(tables, period, until)}
    before = period_before(period)
    parts = [
        _part(row, tables, period, until, before, forecasts.get(row.currency))
        for row in _chief_first(tables.of_period["by_service"].totals(), tables.before.totals())
        if currency in (None, row.currency)
    ]
    return Report(
        name=period.name,
        start=period.start,
        end=period.end,
        timezone=period.timezone,
        days=tuple(period.days()),
        until=until,
        is_complete=tables.until >= period.end,
        before_name=None if before is None else before.name,
        made_at=now,
        currencies=tuple(parts),
        epoch=_epoch(balance),
        key_names=dict(key_names or {}),
        is_demo=is_demo,
    )


# ---------------------------------------------------------------- reading


@frozen(kw_only=True)
class _Tables:
    """What was read.

    Attributes:
        of_period: The tables of the period, by the names of `_OF_PERIOD`.
        before: Totals by day of the period before.
        recent: Totals of the days that a forecast is made of.
        requests: The largest requests of each currency.
        until: Up to when charges were read.
    """

    of_period: Mapping[str, SpendTable]
    before: SpendTable
    recent: SpendTable
    requests: Mapping[str, Sequence[RequestSpend]]
    until: datetime


def _read(source: object, period: Period, now: datetime) -> _Tables:
    from venice_billing.ledger import Ledger  # noqa: PLC0415 - entries need no ledger

    if isinstance(source, Ledger):
        return _of_ledger(source, period)
    if not isinstance(source, Iterable):
        raise InvalidParameterError("source", type(source), _SOURCE)
    return _of_entries(source, period, now)


def _of_ledger(ledger: Ledger, period: Period) -> _Tables:
    until = ledger.coverage().until
    if until is None:
        raise LedgerError(f"{ledger.path} was never synced: a report has nothing to tell")

    def table(stretch: Period | None, by: tuple[Dimension, ...]) -> SpendTable:
        if stretch is None or stretch.start >= stretch.end:
            return SpendTable((), by=by, timezone=period.timezone)
        return ledger.spend(by, start=stretch.start, end=stretch.end, timezone=period.zone)

    return _Tables(
        of_period={name: table(period, by) for name, by in _OF_PERIOD.items()},
        before=table(period_before(period), ("day", "currency")),
        recent=table(days_needed(period, until), ("currency",)),
        requests=largest_of_ledger(ledger, period.start, period.end),
        until=until,
    )


def _of_entries(entries: Iterable[UsageEntry], period: Period, now: datetime) -> _Tables:
    of_period = {name: Summary(by, period.zone) for name, by in _OF_PERIOD.items()}
    before, recent = Summary(("day", "currency"), period.zone), Summary(("currency",), period.zone)
    requests = LargestRequests()
    stretches: list[tuple[Period | None, Sequence[Summary | LargestRequests]]] = [
        (period, [*of_period.values(), requests]),
        (period_before(period), [before]),
        (days_needed(period, now), [recent]),
    ]
    for entry in _checked(entries):
        for stretch, sums in stretches:
            if stretch is not None and stretch.start <= entry.timestamp < stretch.end:
                for one in sums:
                    one.add(entry)
    return _Tables(
        of_period={name: summary.table() for name, summary in of_period.items()},
        before=before.table(),
        recent=recent.table(),
        requests=requests.largest(),
        until=now,
    )


def _checked(entries: Iterable[UsageEntry]) -> Iterator[UsageEntry]:
    for entry in entries:
        if not isinstance(getattr(entry, "timestamp", None), datetime):
            raise InvalidParameterError("source", type(entry), _SOURCE)
        yield entry


def _period(month: str | None, start: Moment | None, end: Moment | None, timezone: str | tzinfo) -> Period:
    name, zone = time_zone("timezone", timezone)
    if month is not None:
        if start is not None or end is not None:
            raise InvalidParameterError("month", month, "left out where start and end are given")
        first, last = month_range("month", month, zone)
        return Period(name=month, start=first, end=last, zone=zone, timezone=name)
    if start is None or end is None:
        raise InvalidParameterError("month", month, 'a month like "2026-10", unless start and end are given')
    begin, finish = cast("tuple[datetime, datetime]", window("start", start, "end", end))
    shown = " to ".join(_shown(one, zone) for one in (begin, finish))
    return Period(name=shown, start=begin, end=finish, zone=zone, timezone=name)


def _shown(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}".removesuffix(" 00:00")


# ---------------------------------------------------------------- the parts of the currencies


def _forecasts(tables: _Tables, period: Period, until: datetime) -> list[Forecast]:
    if days_needed(period, until) is None:
        return []
    return forecast(tables.of_period["by_service"].totals(), tables.recent, period, until)


def _chief_first(totals: SpendTable, before: SpendTable) -> list[SpendRow]:
    """Order currencies: those that were charged first, then by the number of bookings. Amounts do not compare.

    Currencies that were charged only in the period before come with zeros.
    """
    named = {row.currency for row in totals}
    gone = [_nothing(row.currency) for row in before if row.debits and row.currency not in named]
    return sorted([*totals, *gone], key=lambda row: (not row.debits, -row.count, row.currency))


def _part(
    totals: SpendRow,
    tables: _Tables,
    period: Period,
    until: datetime,
    before: Period | None,
    expected: Forecast | None,
) -> CurrencyReport:
    currency = totals.currency
    of_period = {name: _of(table, currency) for name, table in tables.of_period.items()}
    by_day_and_model = of_period["by_day_and_model"]
    earlier = _of(tables.before, currency)
    by_day = by_day_and_model.totals("day")
    last = max((row.day for row in by_day if row.day), default="")
    days = [day for day in period.days() if day < _day_after(until, period) or day.isoformat() <= last]
    return CurrencyReport(
        currency=currency,
        totals=totals,
        before=next(iter(earlier.totals()), _nothing(currency)),
        by_day=by_day,
        by_day_and_model=by_day_and_model,
        by_model=_by_cost(by_day_and_model.totals("model")),
        by_key=_by_cost(of_period["by_key"]),
        by_service=_by_cost(of_period["by_service"]),
        cumulative=_cumulative(by_day, days),
        cumulative_before=_cumulative(earlier, () if before is None else tuple(before.days())),
        forecast=expected,
        requests=tuple(tables.requests.get(currency, ())),
    )


def _of(table: SpendTable, currency: str) -> SpendTable:
    return SpendTable([row for row in table if row.currency == currency], by=table.by, timezone=table.timezone)


def _by_cost(table: SpendTable) -> SpendTable:
    return table.sorted_by("debits", "count", descending=True)


def _nothing(currency: str) -> SpendRow:
    zero = _exact.ZERO
    return SpendRow(currency=currency, debits=zero, refunds=zero, purchases=zero, credits=zero, count=0)


def _day_after(until: datetime, period: Period) -> date:
    return evolve(period, start=min(period.start, until), end=until).until


def _cumulative(by_day: SpendTable, days: Sequence[date]) -> tuple[Decimal, ...]:
    debits = {row.day: row.debits for row in by_day}
    sums, so_far = [], _exact.ZERO
    for day in days:
        so_far = _exact.add(so_far, debits.get(day.isoformat(), _exact.ZERO))
        sums.append(so_far)
    return tuple(sums)


def _epoch(balance: Balance | None) -> EpochUse | None:
    used = None if balance is None else used_percent(balance)
    if balance is None or used is None or balance.balances.diem is None:
        return None
    return EpochUse(allocation=balance.diem_epoch_allocation, left=balance.balances.diem, used_percent=used)

"""Where totals come from: the ledger, after a sync, where the account has one; else a walk through the API's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import spend
from venice_billing.cli.errors import UsageError
from venice_billing.report.forecast import Forecast, days_needed, forecast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from venice_billing._calendar import Period
    from venice_billing.cli.session import Session
    from venice_billing.ledger.results import SyncProgress, SyncReport
    from venice_billing.models import UsageEntry
    from venice_billing.spend import Dimension, SpendTable

__all__ = [
    "Totals",
    "entries_of",
    "read_forecast",
    "read_totals",
    "sync",
    "synced_until",
]

_CONCURRENCY = 4


@frozen(kw_only=True)
class Totals:
    """Totals, and what they are made of.

    Attributes:
        table: The totals.
        currency: The currency that they are of; None: all.
        until: Up to when charges were read.
        is_complete: Whether the period has ended, and all of it was read.
        origin: Where they come from, for people.
    """

    table: SpendTable
    currency: str | None
    until: datetime
    is_complete: bool
    origin: str


def read_totals(session: Session, period: Period, by: tuple[Dimension, ...], currency: str | None = None) -> Totals:
    """Return the totals of a period, of one currency or of all.

    Raises:
        UsageError: There is nothing to read offline.
    """
    if period.start >= period.end:
        table = spend.SpendTable((), by=by, timezone=period.timezone)
        return Totals(table=table, currency=currency, until=period.end, is_complete=True, origin="nothing")
    if session.has_ledger:
        return _of_ledger(session, period, by, currency)
    until = min(period.end, session.now)
    table = spend.summarize(entries_of(session, period.start, period.end, currency), by, period.zone)
    return Totals(
        table=table, currency=currency, until=until, is_complete=period.is_complete(session.now), origin="the API"
    )


def entries_of(session: Session, start: datetime, end: datetime, currency: str | None) -> Iterable[UsageEntry]:
    """Return the entries of a stretch of time up to now, read from the API with progress on a terminal.

    Raises:
        UsageError: The API must not be asked.
    """
    if session.options.offline:
        raise UsageError(f"--offline: there is no ledger at {session.ledger_path}; make it with venice-billing sync")
    until = min(end, session.now)
    return () if start >= until else _walk(session, start, until, currency)


def read_forecast(session: Session, period: Period, totals: Totals) -> list[Forecast]:
    """Return the forecasts for the end of a period; none for one that has ended."""
    needed = days_needed(period, totals.until)
    if needed is None or totals.is_complete:
        return []
    recent = read_totals(session, needed, ("currency",), totals.currency)
    return forecast(totals.table, recent.table, period, totals.until)


def sync(session: Session, *, full: bool = False) -> SyncReport:
    """Bring the ledger up to date, with progress on a terminal, and return the report."""
    with session.progress("sync") as update:

        def progress(so_far: SyncProgress) -> None:
            begin = so_far.covered_from
            share = (so_far.latest - begin) / (so_far.covered_until - begin) if begin else None
            update(so_far.rows, share)

        report = session.ledger.sync(session.client, full=full, concurrency=_CONCURRENCY, progress=progress)
    session.is_synced = True
    return report


def synced_until(session: Session) -> datetime:
    """Bring the ledger up to date, unless the command is offline or has done so; return up to when it covers all.

    Raises:
        UsageError: It is empty.
    """
    if not session.options.offline and not session.is_synced:
        sync(session)
    covered = session.ledger.coverage().until
    if covered is None:
        raise UsageError(f"--offline: {session.ledger_path} is empty; fill it with venice-billing sync")
    return covered


def _of_ledger(session: Session, period: Period, by: tuple[Dimension, ...], currency: str | None) -> Totals:
    covered = synced_until(session)
    table = session.ledger.spend(by, start=period.start, end=period.end, timezone=period.zone)
    if currency is not None:
        table = spend.SpendTable(
            [row for row in table if row.currency == currency], by=table.by, timezone=table.timezone
        )
    return Totals(
        table=table,
        currency=currency,
        until=min(period.end, covered),
        is_complete=covered >= period.end,
        origin=f"the ledger {session.ledger_path}",
    )


def _walk(session: Session, start: datetime, end: datetime, currency: str | None) -> Iterator[UsageEntry]:
    walk = session.client.iter_usage_history(
        start_timestamp=start, end_timestamp=end, currency=currency, concurrency=_CONCURRENCY
    )
    rows = 0
    with session.progress("reading the account") as update:
        for page in walk.pages():
            rows += len(page)
            update(rows, (page[-1].timestamp - start) / (end - start) if page else None)
            yield from page

"""Months that were closed: whether one may be, what its statement says, and what is recorded of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from venice_billing import _arguments as arguments
from venice_billing._periods import local_date, month_range, time_zone
from venice_billing._runtime.codec import format_datetime
from venice_billing.errors import InvalidParameterError, LedgerError, LedgerUnavailableError, MonthOpenError
from venice_billing.ledger import _canonical, _history, spending
from venice_billing.ledger._moments import CLOCK_SKEW, microseconds, moment
from venice_billing.ledger._moments import now as _now
from venice_billing.ledger._stated_changes import stated_changes
from venice_billing.ledger.statement import Opening, Restatement, StatedCoverage, Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from venice_billing.errors import OpenReason
    from venice_billing.ledger._database import Database
    from venice_billing.ledger.results import Coverage
    from venice_billing.ledger.statement import StatedChange

OVERLAP = timedelta(days=2)
LONGEST_OVERLAP = timedelta(days=36_500)
_ATTEMPTS = 5  # to read all of a statement between two syncs


@frozen
class _Closing:
    """What is recorded of a closing, besides the statement."""

    number: int
    month: str
    timezone: str
    revision: int
    end: datetime
    is_complete: bool
    digest: str
    last_adjustment: int

    def differs_from(self, statement: Statement) -> bool:
        """Tell whether a statement of the same month says something new: other charges, or that it is complete now."""
        return self.digest != statement.digest or (statement.is_complete and not self.is_complete)


@frozen
class _Period:
    """A month of a time zone."""

    month: str
    timezone: str
    zone: tzinfo
    start: datetime
    end: datetime


@frozen
class _State:
    """What of a ledger a statement depends on: two equal ones have the same rows, adjustments and closings.

    `synced_ahead` is when the latest sync says that it began, if that is later than now.
    """

    last_adjustment: int
    coverage: Coverage
    synced_ahead: datetime | None
    closings: tuple[_Closing, ...]

    def of(self, month: str) -> _Closing | None:
        """Return the latest closing of a month."""
        return next((closing for closing in reversed(self.closings) if closing.month == month), None)


def close(database: Database, month: object, timezone: object, overlap: object, allow_incomplete: object) -> Statement:
    """Return the statement of a month, and record it if there is none yet, or if it has changed since."""
    waited = _checked_overlap(overlap)
    if not isinstance(allow_incomplete, bool):
        raise InvalidParameterError("allow_incomplete", allow_incomplete, "True or False")
    with database.alone():  # a read-only file too: a month that was recorded is only read
        state = _state(database)
        period = _period(month, timezone, state)
        _refuse_another_zone(database, period, state)
        _refuse_unknown_time(database, period, state)
        _refuse_unfinished(database, period, state)
        doubt = _doubt(database, period, state, waited)
        recorded = state.of(period.month)
        statement = _compute(database, period, state, waited, is_complete=doubt is None)
        if recorded is not None and not recorded.differs_from(statement):
            return _recorded(database, recorded)
        if doubt is not None and not allow_incomplete:
            raise doubt
        if recorded is None:
            statement = evolve(statement, revision=1)
        else:
            statement = _restated(database, statement, period, recorded, state)
        _record(database, statement, state)
    return statement


def statement(database: Database, month: object, timezone: object, overlap: object, revision: object) -> Statement:
    """Return the recorded statement of a month; if it is not closed, what closing it would say now."""
    waited = _checked_overlap(overlap)
    number = arguments.optional_integer("revision", revision, 1)

    def read(state: _State) -> Statement:
        period = _period(month, timezone, state)
        closings = [
            closing
            for closing in state.closings
            if (closing.month, closing.timezone) == (period.month, period.timezone)
            and number in {None, closing.revision}
        ]
        if closings:
            return _recorded(database, closings[-1])
        if number is not None:
            raise LedgerError(f"{database.path}: {period.month} has no revision {number} in {period.timezone}")
        _refuse_unknown_time(database, period, state)
        doubt = _doubt(database, period, state, waited)
        return _compute(database, period, state, waited, is_complete=doubt is None)

    return _steady(database, read)


def _steady(database: Database, read: Callable[[_State], Statement]) -> Statement:
    """Return what `read` returns, all of it read from one state of the ledger."""
    for _ in range(_ATTEMPTS):
        state = _state(database)
        result = read(state)
        if _state(database) == state:
            return result
    raise LedgerUnavailableError(f"{database.path}: syncs change it while it is read; try again when they have ended")


def _state(database: Database) -> _State:
    with database.reading() as cursor:
        (last,) = cursor.execute("SELECT coalesce(max(adjustment), 0) FROM changes").fetchall()
        months = cursor.execute(
            "SELECT closing, month, timezone, revision, epoch_us(period_end), is_complete, digest, last_adjustment "
            "FROM closed_months ORDER BY closing"
        ).fetchall()
    closings = [
        _Closing(number, month, timezone, revision, moment(end), is_complete, digest, adjustment)
        for number, month, timezone, revision, end, is_complete, digest, adjustment in months
    ]
    began_at, now = _history.latest_began_at(database), _now()
    ahead = began_at if began_at is not None and began_at > now + CLOCK_SKEW else None
    return _State(last[0], _history.coverage(database, now), ahead, tuple(closings))


def _period(month: object, timezone: object, state: _State) -> _Period:
    if timezone is None:
        timezone = state.closings[0].timezone if state.closings else "UTC"
    name, zone = time_zone("timezone", timezone)
    start, end = month_range("month", month, zone)
    return _Period(str.__str__(cast("str", month)), name, zone, start, end)  # also of a member of an enum


def _refuse_another_zone(database: Database, period: _Period, state: _State) -> None:
    """Refuse months of two zones: they overlap, or leave hours out, so charges would count twice or never."""
    for closing in state.closings:
        if closing.timezone != period.timezone:
            raise LedgerError(
                f"{database.path}: its months are closed in the time zone {closing.timezone} ({closing.month} was), "
                f"and months of {period.timezone} would count some charges twice or never; leave the time zone out. "
                "A statement of another zone can be made, but not closed"
            )


def _refuse_unknown_time(database: Database, period: _Period, state: _State) -> None:
    """Refuse a month of which nothing is known."""
    until = state.coverage.until
    gap = _history.gap(state.coverage)
    if gap is not None and (until is None or period.start >= until):
        raise LedgerError(f"{database.path}: {_gap(gap)}")
    if until is None:
        raise LedgerError(f"{database.path}: nothing is covered yet; sync first")
    if period.start >= until:
        raise MonthOpenError(
            f"{database.path}: {period.month} begins at {format_datetime(period.start)}, and the ledger is covered up "
            f"to {format_datetime(until)}; sync when the month has begun",
            month=period.month,
            reason="not_over",
            closable_at=period.end,
        )
    beginning = _beginning(database, until)
    if period.end <= beginning:
        raise LedgerError(
            f"{database.path}: {period.month} is before the ledger begins, at {format_datetime(beginning)}; the first "
            f"month is {local_date(beginning, period.zone).isoformat()[:7]}"
        )


def _beginning(database: Database, until: datetime) -> datetime:
    """Return the time of the first charge, or of the first sync if that was earlier."""
    with database.reading() as cursor:
        query = "SELECT epoch_us(min(timestamp)), (SELECT epoch_us(min(synced_at)) FROM syncs) FROM usage_rows"
        (row,) = cursor.execute(query).fetchall()
    return min((moment(time) for time in row if time is not None), default=until)


def _refuse_unfinished(database: Database, period: _Period, state: _State) -> None:
    """Refuse a month that is not over: closed by mistake, all its further charges would be adjustments."""
    until = state.coverage.until
    if (until is None or until < period.end) and _now() < period.end:
        clocks = "" if state.synced_ahead is None else f"{_clocks(state.synced_ahead)} "
        raise MonthOpenError(
            f"{database.path}: {period.month} is not over before {format_datetime(period.end)}; {clocks}close it then, "
            f"or use statement({period.month!r}), which shows the month so far",
            month=period.month,
            reason="not_over",
            closable_at=period.end,
        )


def _clocks(synced_ahead: datetime) -> str:
    return (
        f"the latest sync says that it began at {format_datetime(synced_ahead)}, which is later than now, so a clock "
        "was or is wrong: set it right,"
    )


def _doubt(database: Database, period: _Period, state: _State, overlap: timedelta) -> MonthOpenError | None:
    """Return why charges may be missing; None if a sync that began the overlap later read each moment of the month."""
    coverage, awaited = state.coverage, period.end + overlap
    if state.synced_ahead is not None:
        return _may_change(database, period, f"{_clocks(state.synced_ahead)} and sync again", "late_charges", awaited)
    gap = _history.gap(coverage)
    if gap is not None and (coverage.until is None or coverage.until < awaited):
        return _may_change(database, period, _gap(gap), "not_reread", None)
    if coverage.until is None or coverage.until < awaited:
        what = f"sync at {format_datetime(awaited)} or later, when late charges have come"
        return _may_change(database, period, what, "late_charges", awaited)
    for stretch in coverage.stretches:
        is_within = stretch.end > period.start and (stretch.start is None or stretch.start < period.end)
        if is_within and stretch.synced_at < min(stretch.end, period.end) + overlap:
            what = (
                f"what was booked up to {format_datetime(min(stretch.end, period.end))} was last read at "
                f"{format_datetime(stretch.synced_at)}, too soon for late charges; sync with full=True"
            )
            return _may_change(database, period, what, "not_reread", None)
    return None


def _gap(gap: tuple[datetime | None, datetime]) -> str:
    start = "the beginning of the account" if gap[0] is None else format_datetime(gap[0])
    return f"no sync has read what was booked from {start} to {format_datetime(gap[1])}: sync again, which reads it"


def _may_change(
    database: Database, period: _Period, what: str, reason: OpenReason, closable_at: datetime | None
) -> MonthOpenError:
    message = f"{database.path}: {period.month} may still change: {what}; or pass allow_incomplete=True"
    return MonthOpenError(message, month=period.month, reason=reason, closable_at=closable_at)


def _compute(database: Database, period: _Period, state: _State, overlap: timedelta, *, is_complete: bool) -> Statement:
    """Return the statement of a month that was not closed."""
    latest = state.coverage.stretches[-1]
    digest, count = _digest(database, period)
    table = spending.total(database, ("model", "key"), period.start, period.end, period.zone)
    return Statement(
        month=period.month,
        timezone=period.timezone,
        start=period.start,
        end=period.end,
        revision=0,
        is_complete=is_complete,
        coverage=StatedCoverage(
            covered_from=state.coverage.stretches[0].start,
            covered_until=state.coverage.until or latest.end,
            sync=latest.sync,
            synced_at=latest.synced_at,
            overlap=overlap,
        ),
        digest=digest,
        count=count,
        opening=_opening(database, period, state),
        totals=table.totals(),
        by_model=table.totals("model"),
        by_key=table.totals("key"),
        adjustments=_adjustments(database, period, state),
        restatement=None,
    )


def _digest(database: Database, period: _Period) -> tuple[str, int]:
    where, values = spending.within(period.start, period.end)
    return _canonical.digest(database, where, values)


def _opening(database: Database, period: _Period, state: _State) -> Opening:
    table = spending.total(database, "month", None, period.start, period.zone)
    closed = {closing.month for closing in state.closings}
    previous = state.of(max((month for month in closed if month < period.month), default=""))
    return Opening(
        month=previous.month if previous else None,
        revision=previous.revision if previous else None,
        digest=previous.digest if previous else None,
        open_months=tuple(sorted({row.month for row in table if row.month is not None} - closed)),
        totals=table.totals(),
    )


def _adjustments(database: Database, period: _Period, state: _State) -> tuple[StatedChange, ...]:
    """Return what syncs changed in months closed before, since the latest month that was closed.

    Revisions do not matter: each change is listed by the first month that is closed after it was seen.
    """
    first = [closing for closing in state.closings if closing.revision == 1 and closing.month != period.month]
    since = max((closing.last_adjustment for closing in first), default=0)
    return stated_changes(database, "month <> $month", {"month": period.month, "since": since})


def _restated(
    database: Database, statement: Statement, period: _Period, recorded: _Closing, state: _State
) -> Statement:
    """Return the statement of a month that was closed, as the month is now; it keeps the adjustments of the first."""
    first = next(closing for closing in state.closings if closing.month == period.month)
    changes = stated_changes(database, "month = $month", {"month": period.month, "since": recorded.last_adjustment})
    return evolve(
        statement,
        revision=recorded.revision + 1,
        adjustments=_recorded(database, first).adjustments,
        restatement=Restatement(
            revision=recorded.revision, digest=recorded.digest, is_complete=recorded.is_complete, changes=changes
        ),
    )


def _recorded(database: Database, closing: _Closing) -> Statement:
    with database.reading() as cursor:
        texts = cursor.execute(
            "SELECT statement FROM closed_months WHERE closing = $closing", {"closing": closing.number}
        ).fetchall()
    try:
        return Statement.from_json(texts[0][0])
    except ValueError as error:
        raise LedgerError(f"{database.path}: the statement of {closing.month} was altered: {error}") from error


def _record(database: Database, statement: Statement, state: _State) -> None:
    coverage = statement.coverage
    with database.transaction(goes_on=", and close the month again") as cursor:
        cursor.execute(
            """INSERT INTO closed_months VALUES ($closing, $month, $timezone, $revision, make_timestamptz($start),
                make_timestamptz($end), $is_complete, $digest, $count, $sync, $last_adjustment, $statement)""",
            {
                "closing": len(state.closings) + 1,
                "month": statement.month,
                "timezone": statement.timezone,
                "revision": statement.revision,
                "start": microseconds(statement.start),
                "end": microseconds(statement.end),
                "is_complete": statement.is_complete,
                "digest": statement.digest,
                "count": statement.count,
                "sync": coverage.sync,
                "last_adjustment": state.last_adjustment,
                "statement": statement.to_json(),
            },
        )


def _checked_overlap(value: object) -> timedelta:
    if not isinstance(value, timedelta) or not timedelta() <= value <= LONGEST_OVERLAP or value.microseconds:
        allowed = f"a timedelta of whole seconds, from 0 to {LONGEST_OVERLAP.days} days"
        raise InvalidParameterError("overlap", value, allowed)
    return value

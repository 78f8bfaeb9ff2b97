"""Days, weeks and months of a time zone as stretches of time: where they begin, and which lie around a date. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from venice_billing._periods import first_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

Unit = Literal["day", "week", "month"]

_DAY = timedelta(days=1)
_DAYS_OF_A_WEEK = 7
_MONTHS_OF_A_YEAR = 12


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return, in UTC, when a day begins in a zone; where clocks skip its midnight, when they have skipped it.

    Where clocks go back across midnight, some minutes later, the day begins at the first midnight.
    """
    return first_instant(day, zone)


def first_of(unit: Unit, day: date) -> date:
    """Return the first day of the day, week (from Monday on) or month that a date lies in."""
    if unit == "day":
        return day
    return day - _DAY * day.weekday() if unit == "week" else day.replace(day=1)


def shifted(unit: Unit, first: date, number: int) -> date:
    """Return the first day of the unit that begins `number` units after the one that begins at `first`.

    Raises:
        OverflowError: It lies outside the years 1 to 9999.
    """
    if unit != "month":
        return first + _DAY * number * (_DAYS_OF_A_WEEK if unit == "week" else 1)
    months = first.year * _MONTHS_OF_A_YEAR + first.month - 1 + number
    year, month = divmod(months, _MONTHS_OF_A_YEAR)
    if not date.min.year <= year <= date.max.year:
        raise OverflowError("date value out of range")
    return date(year, month + 1, 1)


@frozen(kw_only=True)
class Period:
    """A stretch of time, with the time zone whose days it is made of.

    Attributes:
        name: What it is called: "2026-10", "last 7 days".
        start: When it begins, in UTC; included.
        end: When it ends, in UTC; excluded.
        zone: The time zone of its days.
        timezone: The name of that zone.
    """

    name: str
    start: datetime
    end: datetime
    zone: tzinfo
    timezone: str

    @classmethod
    def of_days(cls, name: str, first: date, until: date, zone: tzinfo, timezone: str) -> Period:
        """Return the period of whole days from `first` on and before `until`."""
        start, end = midnight(first, zone), midnight(until, zone)
        return cls(name=name, start=start, end=end, zone=zone, timezone=timezone)

    @property
    def first(self) -> date:
        """The first day that it lies in."""
        return self.start.astimezone(self.zone).date()

    @property
    def until(self) -> date:
        """The day after the last one that it lies in."""
        last = self.end.astimezone(self.zone).date()
        return last if midnight(last, self.zone) >= self.end else last + _DAY

    def is_complete(self, now: datetime) -> bool:
        """Tell whether it has ended."""
        return self.end <= now

    def days(self) -> Iterator[date]:
        """Iterate over the days that it lies in."""
        day = self.first
        while day < self.until:
            yield day
            day += _DAY

    def before(self) -> Period:
        """Return the period before: of a whole month, the month before; else one of the same length.

        Raises:
            OverflowError: It lies before the year 1.
        """
        first, until = self.first, self.until
        is_of_days = midnight(first, self.zone) == self.start and midnight(until, self.zone) == self.end
        if not is_of_days:
            return evolve(self, name="as long before", start=self.start - (self.end - self.start), end=self.start)
        if first.day == 1 and until == shifted("month", first, 1):
            before = shifted("month", first, -1)
            return Period.of_days(before.isoformat()[:7], before, first, self.zone, self.timezone)
        days = until - first
        name = f"{days.days} days before" if days > _DAY else "the day before"
        return Period.of_days(name, first - days, first, self.zone, self.timezone)

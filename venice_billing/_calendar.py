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
        unit: What it is counted in, as is the period before; None: in months if it begins and ends with one.
    """

    name: str
    start: datetime
    end: datetime
    zone: tzinfo
    timezone: str
    unit: Unit | None = None

    @classmethod
    def of_days(
        cls, name: str, first: date, until: date, zone: tzinfo, timezone: str, unit: Unit | None = None
    ) -> Period:
        """Return the period of whole days from `first` on and before `until`."""
        start, end = midnight(first, zone), midnight(until, zone)
        return cls(name=name, start=start, end=end, zone=zone, timezone=timezone, unit=unit)

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
        """Return the period before: of months, as many months, up to the same day; else one of the same length.

        Raises:
            OverflowError: It lies before the year 1.
        """
        first, until = self.first, self.until
        is_of_days = midnight(first, self.zone) == self.start and midnight(until, self.zone) == self.end
        if not is_of_days:
            return evolve(self, name="as long before", start=self.start - (self.end - self.start), end=self.start)
        is_of_months = first.day == until.day == 1 if self.unit is None else self.unit == "month"
        if is_of_months:
            return self._months_before()
        days = until - first
        name = f"{days.days} days before" if days > _DAY else "the day before"
        return evolve(self, name=name, start=midnight(first - days, self.zone), end=self.start)

    def _months_before(self) -> Period:
        latest = first_of("month", self.until - _DAY)
        number = (latest.year - self.first.year) * _MONTHS_OF_A_YEAR + latest.month - self.first.month + 1
        first, last = shifted("month", self.first, -number), shifted("month", latest, -number)
        end_of_last = shifted("month", last, 1)
        until = end_of_last if self.until.day == 1 else min(last + (self.until - latest), end_of_last)
        name = f"{first.isoformat()[:7]} to {last.isoformat()[:7]}" if number > 1 else first.isoformat()[:7]
        if self.until.day != 1:
            name += f", up to {(until - _DAY).isoformat()}"
        start, end = midnight(first, self.zone), midnight(until, self.zone)
        return evolve(self, name=name, start=start, end=end)

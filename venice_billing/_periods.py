"""Days, ISO weeks and months of a time zone. Pure, but for Python's own look at the time zone database."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALLOWED = 'an IANA time zone like "UTC" or "Europe/Berlin"'
# `ZoneInfo` opens more than the zones of IANA: "right/Europe/Berlin" has leap seconds, "localtime" is another zone on
# each machine, and "europe/berlin" is found on some file systems alone. To list the zones first costs up to 200 ms.
_NAME = re.compile(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Z][A-Za-z0-9_+-]*)*", re.ASCII)

_MONTH_TEXT = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_FARTHEST = timedelta(days=2)  # zones have skipped whole days
_MICROSECOND = timedelta(microseconds=1)


def _day(local: date) -> str:
    return local.isoformat()


def _week(local: date) -> str:
    year, week, _ = local.isocalendar()
    return f"{year:04}-W{week:02}"


def _month(local: date) -> str:
    return local.isoformat()[:7]


PERIODS: Mapping[str, Callable[[date], str]] = {"day": _day, "week": _week, "month": _month}
"""The text of the period that a date lies in: 2026-10-31, 2026-W44 (from Monday on), 2026-10. Texts sort by time."""


def time_zone(parameter: str, value: object) -> tuple[str, tzinfo]:
    """Return a time zone and its name; `value` is the name of an IANA zone, a `ZoneInfo` made from one, or UTC.

    Raises:
        InvalidParameterError: There is no such zone, or the machine has no time zone database.
    """
    if value is UTC:
        return "UTC", UTC
    given = value.key if isinstance(value, zoneinfo.ZoneInfo) else value
    if not isinstance(given, str):
        raise InvalidParameterError(parameter, value, _ALLOWED)
    name = str.__str__(given)  # also of a member of an enum
    try:
        zone = _zone(name)
    except LookupError:
        raise InvalidParameterError(parameter, given, _ALLOWED + _advice(name)) from None
    return name, value if isinstance(value, zoneinfo.ZoneInfo) else zone


def local_date(moment: datetime, zone: tzinfo) -> date:
    """Return the date of an aware moment in a zone; at the edge of the calendar, its date as it is.

    Raises:
        InvalidParameterError: The moment is naive, so its date is that of any zone.
    """
    if moment.tzinfo is None:
        raise InvalidParameterError("timestamp", moment, "an aware datetime")
    try:
        return moment.astimezone(zone).date()
    except OverflowError:  # in the first or last hours of the years 1 to 9999
        return moment.date()


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":  # needs no database
        return UTC
    if not _NAME.fullmatch(name):
        raise LookupError(name)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError) as error:  # of some Pythons for a folder, "Europe", or a file that is no zone
        raise LookupError(name) from error


def _advice(name: str) -> str:
    names = zoneinfo.available_timezones()
    if not names:
        return "; this machine has no time zone database, as is usual on Windows: `pip install tzdata`, or use UTC"
    close = get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    found = [known for known in names if close and known.lower() == close[0]]
    return f"; did you mean {found[0]!r}?" if found else ""


def month_range(parameter: str, value: object, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first instant of a month in a zone, and that of the next month; `value` is a text like "2026-10".

    Where the clocks skip midnight of the first day, the month begins when they do.

    Raises:
        InvalidParameterError: The value is no month.
    """
    match = _MONTH_TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None or not _FIRST_YEAR <= int(match["year"]) <= _LAST_YEAR:
        raise InvalidParameterError(parameter, value, f'a month as text, like "2026-10", {_FIRST_YEAR} to {_LAST_YEAR}')
    year, month = int(match["year"]), int(match["month"])
    return first_instant(date(year, month, 1), zone), first_instant(date(year + month // 12, month % 12 + 1, 1), zone)


def first_instant(day: date, zone: tzinfo) -> datetime:
    """Return, in UTC, the first instant, to the microsecond, whose date in a zone is that day or a later one.

    Clocks that go back across midnight, as those of Newfoundland did at one minute past, have two midnights: it is the
    first one. The rest of the day before, which they show again, is of the new day then, and no charge counts twice.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    high = local.astimezone(UTC)
    if high.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return high
    low = high - _FARTHEST  # clocks skip this midnight
    while high - low > _MICROSECOND:
        middle = low + (high - low) // 2
        if middle.astimezone(zone).date() < day:
            low = middle
        else:
            high = middle
    return high

"""The words and options that name a period, as arguments of a command -> a `Period`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from venice_billing._calendar import Period, Unit, first_of, midnight, shifted
from venice_billing.cli.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable
    from datetime import tzinfo

WORDS = ("today", "yesterday", "this-month", "last-month")

_DAY = timedelta(days=1)
_UNITS: dict[str, Unit] = {"d": "day", "w": "week", "m": "month"}
_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)", re.ASCII)
_LAST = re.compile(r"(?P<number>\d{1,4})(?P<unit>[dwm])", re.ASCII)
_DURATION = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhd])", re.ASCII)
_DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ALLOWED_MONTH = "a month like 2026-10"
_ALLOWED_LAST = "a number of days, weeks or months, like 7d, 4w or 3m"
_ALLOWED_MOMENT = "a date like 2026-10-31, or a time like 2026-10-31T12:00 (with an offset or Z, else in the time zone)"


def add_period(parser: ArgumentParser, unless_given: str = "this month") -> None:
    """Add the arguments that name a period.

    Args:
        parser: The parser of the command.
        unless_given: What is taken without any, as the help says it.
    """
    group = parser.add_argument_group(
        "period", f"{unless_given[:1].upper()}{unless_given[1:]} unless given; weeks begin on Monday."
    )
    group.add_argument("period", nargs="?", metavar="PERIOD", help=f"one of {', '.join(WORDS)}")
    group.add_argument("--month", metavar="YYYY-MM", help="a month")
    group.add_argument(
        "--last",
        metavar="N[d|w|m]",
        help="so many days, weeks or months, the current one included: 7d is today and the six whole days before it",
    )
    group.add_argument("--since", metavar="DATE", help="from this day or time on")
    group.add_argument("--until", metavar="DATE", help="up to this day or time, excluded; without it, until now")


def is_period_given(options: Namespace) -> bool:
    """Tell whether the arguments name a period."""
    return any(getattr(options, name) is not None for name in ("period", "month", "last", "since", "until"))


def parse_duration(option: str, text: str) -> timedelta:
    """Return a duration given as text, like 90s, 15m, 2h or 2d; 0 needs no unit.

    Raises:
        UsageError: It is none.
    """
    match = _DURATION.fullmatch("0s" if text == "0" else text)
    if match is None:
        allowed = "a number of seconds, minutes, hours or days, from 0 on, like 90s, 15m, 2h or 2d"
        raise UsageError(f"{option} {text!r}: {allowed}")
    return timedelta(**{_DURATION_UNITS[match["unit"]]: int(match["number"])})


def period_of(options: Namespace, zone: tzinfo, timezone: str, now: datetime) -> Period:
    """Return the period that the arguments name.

    Raises:
        UsageError: They name none, or more than one.
    """
    named = [name for name in ("period", "month", "last", "since") if getattr(options, name) is not None]
    if options.until is not None and options.since is None:
        raise UsageError(f"--until {options.until}: it needs --since")
    if len(named) > 1:
        given = " and ".join("PERIOD" if name == "period" else f"--{name}" for name in named)
        raise UsageError(f"{given} name a period each: give one of PERIOD, --month, --last, --since")
    read: dict[str, Callable[[], Period]] = {
        "period": lambda: _word(options.period, zone, timezone, now),
        "month": lambda: month_of(options.month, zone, timezone),
        "last": lambda: _last(options.last, zone, timezone, now),
        "since": lambda: _since(options.since, options.until, zone, timezone, now),
    }
    try:
        return read[named[0]]() if named else _word("this-month", zone, timezone, now)
    except OverflowError:
        raise UsageError(f"--{named[0]} {getattr(options, named[0])}: outside the years 1 to 9999") from None


def month_of(text: str, zone: tzinfo, timezone: str) -> Period:
    """Return a month given as text.

    Raises:
        UsageError: It is none.
    """
    first = parse_month("--month", text)
    return Period.of_days(text, first, shifted("month", first, 1), zone, timezone, "month")


def parse_month(option: str, text: str) -> date:
    """Return the first day of a month given as text.

    Raises:
        UsageError: It is none.
    """
    match = _MONTH.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text!r}: {_ALLOWED_MONTH}")
    try:
        return date(int(match["year"]), int(match["month"]), 1)
    except ValueError:
        raise UsageError(f"{option} {text!r}: there is no such month; {_ALLOWED_MONTH}") from None


def _word(word: str, zone: tzinfo, timezone: str, now: datetime) -> Period:
    today = now.astimezone(zone).date()
    month = first_of("month", today)
    if word not in WORDS:
        raise UsageError(f"period {word!r}: one of {', '.join(WORDS)}, or --month, --last, --since")
    first, until = {
        "today": lambda: (today, today + _DAY),
        "yesterday": lambda: (today - _DAY, today),
        "this-month": lambda: (month, shifted("month", month, 1)),
        "last-month": lambda: (shifted("month", month, -1), month),
    }[word]()
    name = first.isoformat()[:7] if word.endswith("month") else word
    return Period.of_days(name, first, until, zone, timezone, "month" if word.endswith("month") else "day")


def _last(text: str, zone: tzinfo, timezone: str, now: datetime) -> Period:
    match = _LAST.fullmatch(text)
    if match is None or not int(match["number"]):
        raise UsageError(f"--last {text!r}: {_ALLOWED_LAST}")
    number, unit = int(match["number"]), _UNITS[match["unit"]]
    current = first_of(unit, now.astimezone(zone).date())
    first = shifted(unit, current, 1 - number)
    name = f"last {number} {unit}s" if number > 1 else f"this {unit}"
    return Period.of_days(name, first, shifted(unit, current, 1), zone, timezone, unit)


def _since(since: str, until: str | None, zone: tzinfo, timezone: str, now: datetime) -> Period:
    start = parse_moment("--since", since, zone)
    end = _end_of(now, zone) if until is None else parse_moment("--until", until, zone)
    if until is None and start >= now:
        raise UsageError(f"--since {since}: it lies in the future")
    if end <= start:
        raise UsageError(f"--until {until}: it must be after --since {since}")
    name = f"the time since {since}" if until is None else f"{since} to {until}"
    return Period(name=name, start=start, end=end, zone=zone, timezone=timezone)


def _end_of(now: datetime, zone: tzinfo) -> datetime:
    return midnight(now.astimezone(zone).date() + _DAY, zone)


def parse_moment(option: str, text: str, zone: tzinfo) -> datetime:
    """Return a date, which is its midnight in a zone, or a time, given as text.

    Raises:
        UsageError: It is none.
    """
    try:
        if _DATE.fullmatch(text):
            return midnight(date.fromisoformat(text), zone)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        reason = f"{error}; " if _DATE.match(text) else ""
        raise UsageError(f"{option} {text!r}: {reason}{_ALLOWED_MOMENT}") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)

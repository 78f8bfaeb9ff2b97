"""Periods: what the words and options of the command line mean, in any time zone."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from venice_billing._calendar import Period, midnight, shifted
from venice_billing._periods import month_range
from venice_billing.cli.errors import UsageError
from venice_billing.cli.periods import add_period, period_of

NOW = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)  # a Sunday
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Africa/Cairo",
)


def options(*arguments: str) -> Namespace:
    parser = ArgumentParser()
    add_period(parser)
    return parser.parse_args(arguments)


def days(*arguments: str, zone: str = "UTC", now: datetime = NOW) -> tuple[str, str]:
    period = period_of(options(*arguments), ZoneInfo(zone), zone, now)
    return period.first.isoformat(), period.until.isoformat()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("2026-11-01", "2026-12-01")),
        (["today"], ("2026-11-29", "2026-11-30")),
        (["yesterday"], ("2026-11-28", "2026-11-29")),
        (["this-month"], ("2026-11-01", "2026-12-01")),
        (["last-month"], ("2026-10-01", "2026-11-01")),
        (["--month", "2024-02"], ("2024-02-01", "2024-03-01")),
        (["--month", "2026-12"], ("2026-12-01", "2027-01-01")),
        (["--last", "1d"], ("2026-11-29", "2026-11-30")),
        (["--last", "7d"], ("2026-11-23", "2026-11-30")),
        (["--last", "1w"], ("2026-11-23", "2026-11-30")),
        (["--last", "4w"], ("2026-11-02", "2026-11-30")),
        (["--last", "1m"], ("2026-11-01", "2026-12-01")),
        (["--last", "3m"], ("2026-09-01", "2026-12-01")),
        (["--last", "12m"], ("2025-12-01", "2026-12-01")),
        (["--since", "2026-11-20"], ("2026-11-20", "2026-11-30")),
        (["--since", "2026-10-15", "--until", "2026-11-01"], ("2026-10-15", "2026-11-01")),
    ],
)
def test_words_and_options_name_whole_days(arguments: list[str], expected: tuple[str, str]) -> None:
    assert days(*arguments) == expected


def test_today_is_that_of_the_time_zone() -> None:
    late = datetime(2026, 11, 29, 23, 30, tzinfo=UTC)
    assert days("today", zone="Europe/Berlin", now=late) == ("2026-11-30", "2026-12-01")
    assert days("today", zone="America/New_York", now=late) == ("2026-11-29", "2026-11-30")
    assert days(zone="Pacific/Apia", now=datetime(2026, 11, 30, 11, tzinfo=UTC)) == ("2026-12-01", "2027-01-01")


def test_times_without_an_offset_are_those_of_the_zone() -> None:
    asked = options("--since", "2026-10-01T12:00", "--until", "2026-10-01T13:00Z")
    period = period_of(asked, ZoneInfo("Europe/Berlin"), "Europe/Berlin", NOW)
    assert period.start == datetime(2026, 10, 1, 10, tzinfo=UTC)
    assert period.end == datetime(2026, 10, 1, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tomorrow"], "period 'tomorrow': one of today, yesterday"),
        (["--month", "2026-13"], "there is no such month"),
        (["--month", "2026-1"], "a month like 2026-10"),
        (["--month", "october"], "a month like 2026-10"),
        (["--month", "0000-01"], "there is no such month"),
        (["--last", "7"], "like 7d, 4w or 3m"),
        (["--last", "0d"], "like 7d, 4w or 3m"),
        (["--last", "-7d"], "like 7d, 4w or 3m"),
        (["--last", "7y"], "like 7d, 4w or 3m"),
        (["--last", "\u0667d"], "like 7d, 4w or 3m"),
        (["--since", "2026-02-30"], "day is out of range"),
        (["--since", "yesterday"], "a date like 2026-10-31"),
        (["--since", "2026-12-24"], "it lies in the future"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "it must be after --since 2026-11-02"),
        (["--since", "2026-11-02", "--until", "2026-11-02"], "it must be after --since 2026-11-02"),
        (["--until", "2026-11-02"], "it needs --since"),
        (["today", "--month", "2026-10"], "PERIOD and --month"),
        (["--month", "2026-10", "--last", "7d"], "--month and --last"),
    ],
)
def test_what_names_no_period_is_refused_with_what_is_allowed(arguments: list[str], message: str) -> None:
    argued = [re.sub("^-(?=[0-9])", "=-", text) for text in arguments]
    if argued != arguments:  # a value that looks like an option is written behind a "="
        argued = ["".join(argued)]
    with pytest.raises(UsageError, match=message):
        period_of(options(*argued), UTC, "UTC", NOW)


@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(date(1990, 1, 1), date(2040, 1, 1)),
    length=st.integers(1, 400),
)
def test_days_of_a_period_partition_it(zone: str, first: date, length: int) -> None:
    info = ZoneInfo(zone)
    period = Period.of_days("some", first, first + timedelta(days=length), info, zone)
    borders = [midnight(day, info) for day in period.days()]
    assert borders == sorted(borders)
    assert borders[0] <= period.start
    assert period.first <= first + timedelta(days=1)  # a zone that skipped the day begins with the next one
    for border, following in zip(borders, [*borders[1:], period.end], strict=True):
        if border < following:
            assert border.astimezone(info).date() <= (following - timedelta(microseconds=1)).astimezone(info).date()


def test_midnight_that_clocks_skip_is_the_first_instant_of_the_day() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    start = midnight(date(2018, 11, 4), zone)  # clocks went from 00:00 to 01:00
    assert start == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert start.astimezone(zone).date() == date(2018, 11, 4)
    assert (start - timedelta(microseconds=1)).astimezone(zone).date() == date(2018, 11, 3)


def test_day_that_a_zone_skipped_is_empty() -> None:
    zone = ZoneInfo("Pacific/Apia")
    assert midnight(date(2011, 12, 30), zone) == midnight(date(2011, 12, 31), zone)


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (["--month", "2026-03"], ("2026-02-01", "2026-03-01", "2026-02")),
        (["--month", "2026-01"], ("2025-12-01", "2026-01-01", "2025-12")),
        (["today"], ("2026-11-28", "2026-11-29", "the day before")),
        (["--last", "7d"], ("2026-11-16", "2026-11-23", "7 days before")),
        (["--last", "30d"], ("2026-10-01", "2026-10-31", "30 days before")),
        (["--last", "2m"], ("2026-08-01", "2026-10-01", "2026-08 to 2026-09")),
        (["--last", "3m"], ("2026-06-01", "2026-09-01", "2026-06 to 2026-08")),
        (["--since", "2026-09-01", "--until", "2026-11-01"], ("2026-07-01", "2026-09-01", "2026-07 to 2026-08")),
        (["--since", "2026-09-02", "--until", "2026-09-04"], ("2026-08-31", "2026-09-02", "2 days before")),
    ],
)
def test_period_before_months_is_as_many_months_and_else_as_many_days(
    arguments: list[str], before: tuple[str, str, str]
) -> None:
    period = period_of(options(*arguments), UTC, "UTC", NOW).before()
    assert (period.first.isoformat(), period.until.isoformat(), period.name) == before
    assert period.until == period_of(options(*arguments), UTC, "UTC", NOW).first


@pytest.mark.parametrize(
    ("arguments", "until", "before"),
    [
        (["this-month"], date(2026, 11, 29), ("2026-10-01", "2026-10-29", "2026-10, up to 2026-10-28")),
        (["--month", "2026-03"], date(2026, 3, 31), ("2026-02-01", "2026-03-01", "2026-02, up to 2026-02-28")),
        (["--last", "3m"], date(2026, 11, 29), ("2026-06-01", "2026-08-29", "2026-06 to 2026-08, up to 2026-08-28")),
    ],
)
def test_whole_days_of_a_month_come_after_the_same_days_of_the_month_before(
    arguments: list[str], until: date, before: tuple[str, str, str]
) -> None:
    period = evolve(period_of(options(*arguments), UTC, "UTC", NOW), end=midnight(until, UTC)).before()
    assert (period.first.isoformat(), period.until.isoformat(), period.name) == before


def test_months_are_shifted_within_the_calendar() -> None:
    assert shifted("month", date(2026, 11, 1), 2) == date(2027, 1, 1)
    assert shifted("month", date(2026, 1, 1), -1) == date(2025, 12, 1)
    with pytest.raises(OverflowError):
        shifted("month", date(9999, 12, 1), 1)


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("America/St_Johns", date(2009, 11, 1), datetime(2009, 11, 1, 2, 30, tzinfo=UTC)),  # back by an hour at 00:01
        ("America/Toronto", date(1919, 3, 31), datetime(1919, 3, 31, 4, 30, tzinfo=UTC)),  # on by an hour at 23:30
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),  # on by an hour at 00:00
        ("Pacific/Apia", date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day that was skipped
        ("Pacific/Apia", date(2011, 12, 31), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_day_begins_at_its_first_midnight_or_when_clocks_have_skipped_it(zone: str, day: date, first: datetime) -> None:
    assert midnight(day, ZoneInfo(zone)) == first


def test_month_of_a_period_is_the_month_of_a_statement() -> None:
    """In Newfoundland, clocks showed the last hour of October 2009 again after a minute of November."""
    for zone in ("America/St_Johns", "America/Sao_Paulo", "Africa/Cairo"):
        for year, month in ((2009, 10), (2009, 11), (2018, 11)):
            name = f"{year}-{month}"
            period = period_of(options("--month", name), ZoneInfo(zone), zone, NOW)
            assert (period.start, period.end) == month_range("month", name, ZoneInfo(zone))

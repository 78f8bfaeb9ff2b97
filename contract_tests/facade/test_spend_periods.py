"""Days, ISO weeks and months are those of the time zone that the caller names."""

from __future__ import annotations

import struct
import sys
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.bookings import entry
from venice_billing import InvalidParameterError, _periods
from venice_billing._periods import local_date
from venice_billing.spend import summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing.spend import Dimension

BERLIN, NEW_YORK, KOLKATA, LORD_HOWE, APIA = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def periods(moment: str, timezone: Any, *by: Dimension) -> list[str]:
    [row] = summarize([entry(timestamp=moment)], by=by, timezone=timezone)
    return [getattr(row, name) for name in by]


@pytest.mark.parametrize(
    ("moment", "timezone", "day"),
    [
        ("2026-10-31T23:59:59.999999Z", "UTC", "2026-10-31"),
        ("2026-11-01T00:00:00Z", "UTC", "2026-11-01"),
        # Berlin: summer time ends on 25 October 2026 at 01:00 UTC, a day of 25 hours.
        ("2026-10-24T21:59:59Z", BERLIN, "2026-10-24"),
        ("2026-10-24T22:00:00Z", BERLIN, "2026-10-25"),
        ("2026-10-25T00:30:00Z", BERLIN, "2026-10-25"),
        ("2026-10-25T01:30:00Z", BERLIN, "2026-10-25"),
        ("2026-10-25T22:59:59Z", BERLIN, "2026-10-25"),
        ("2026-10-25T23:00:00Z", BERLIN, "2026-10-26"),
        # and begins on 29 March, a day of 23 hours.
        ("2026-03-28T22:59:59Z", BERLIN, "2026-03-28"),
        ("2026-03-28T23:00:00Z", BERLIN, "2026-03-29"),
        ("2026-03-29T21:59:59Z", BERLIN, "2026-03-29"),
        ("2026-03-29T22:00:00Z", BERLIN, "2026-03-30"),
        # New York: west of UTC; 1 November 2026 has 25 hours.
        ("2026-11-01T03:59:59Z", NEW_YORK, "2026-10-31"),
        ("2026-11-01T04:00:00Z", NEW_YORK, "2026-11-01"),
        ("2026-11-02T04:59:59Z", NEW_YORK, "2026-11-01"),
        ("2026-11-02T05:00:00Z", NEW_YORK, "2026-11-02"),
        # Half hours: all year, and of summer time alone.
        ("2026-10-31T18:29:59Z", KOLKATA, "2026-10-31"),
        ("2026-10-31T18:30:00Z", KOLKATA, "2026-11-01"),
        ("2026-04-04T12:59:59Z", LORD_HOWE, "2026-04-04"),
        ("2026-04-04T13:00:00Z", LORD_HOWE, "2026-04-05"),
        ("2026-04-05T13:29:59Z", LORD_HOWE, "2026-04-05"),
        ("2026-04-05T13:30:00Z", LORD_HOWE, "2026-04-06"),
        # Apia had no 30 December 2011.
        ("2011-12-30T09:59:59Z", APIA, "2011-12-29"),
        ("2011-12-30T10:00:00Z", APIA, "2011-12-31"),
    ],
)
def test_day_of_a_zone(moment: str, timezone: str, day: str) -> None:
    assert periods(moment, timezone, "day", "month") == [day, day[:7]]


@pytest.mark.parametrize(
    ("moment", "timezone", "week"),
    [
        ("2026-10-25T23:59:59Z", "UTC", "2026-W43"),  # a Sunday
        ("2026-10-26T00:00:00Z", "UTC", "2026-W44"),
        ("2026-10-25T23:00:00Z", BERLIN, "2026-W44"),
        ("2026-10-25T22:59:59Z", BERLIN, "2026-W43"),
        ("2026-12-31T12:00:00Z", "UTC", "2026-W53"),
        ("2027-01-03T12:00:00Z", "UTC", "2026-W53"),
        ("2027-01-04T12:00:00Z", "UTC", "2027-W01"),
        ("2024-12-30T12:00:00Z", "UTC", "2025-W01"),
    ],
)
def test_week_begins_on_monday_of_the_zone(moment: str, timezone: str, week: str) -> None:
    assert periods(moment, timezone, "week") == [week]


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.sampled_from(["UTC", BERLIN, NEW_YORK, KOLKATA, LORD_HOWE, APIA, "Pacific/Kiritimati", "Etc/GMT+12"]),
)
def test_periods_agree_with_the_local_calendar(moment: datetime, name: str) -> None:
    booking = attrs.evolve(entry(), timestamp=moment)
    [row] = summarize([booking], by=("day", "week", "month"), timezone=name)
    local = (moment + (moment.astimezone(ZoneInfo(name)).utcoffset() or timedelta())).replace(tzinfo=None)
    assert row.day == local.strftime("%Y-%m-%d")
    assert row.week == local.strftime("%G-W%V")
    assert row.month == local.strftime("%Y-%m")


@pytest.mark.parametrize(
    ("moment", "timezone", "expected"),
    [
        ("0001-01-01T00:00:00Z", "UTC", ["0001-01-01", "0001-W01", "0001-01"]),
        ("0001-01-01T00:00:00Z", NEW_YORK, ["0001-01-01", "0001-W01", "0001-01"]),
        ("9999-12-31T23:59:59Z", "UTC", ["9999-12-31", "9999-W52", "9999-12"]),
        ("9999-12-31T23:59:59Z", KOLKATA, ["9999-12-31", "9999-W52", "9999-12"]),
    ],
)
def test_edges_of_the_calendar_are_counted(moment: str, timezone: str, expected: list[str]) -> None:
    assert periods(moment, timezone, "day", "week", "month") == expected


def test_naive_time_is_refused() -> None:
    booking = attrs.evolve(entry(), timestamp=datetime(2026, 10, 1))  # noqa: DTZ001 - it is the test
    with pytest.raises(InvalidParameterError, match="timestamp must be an aware datetime"):
        summarize([booking])


@pytest.mark.parametrize(("given", "name"), [(ZoneInfo(BERLIN), BERLIN), (UTC, "UTC"), (ZoneInfo("UTC"), "UTC")])
def test_zone_objects_are_taken_by_their_names(given: Any, name: str) -> None:
    assert summarize([], timezone=given).timezone == name


@pytest.mark.parametrize(
    "name", ["UTC", BERLIN, "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince", "EST5EDT"]
)
def test_table_says_its_zone(name: str) -> None:
    table = summarize([entry()], by="day", timezone=name)
    assert (table.timezone, table.totals().timezone, table.sorted_by("net").timezone) == (name, name, name)
    assert name in repr(table)


def test_every_listed_zone_is_taken() -> None:
    """But for a link to the zone of the machine, which some systems list and IANA does not."""
    for name in zoneinfo.available_timezones() - {"localtime"}:
        assert summarize([], timezone=name).timezone == name


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berln",
        "europe/berlin",
        "Europe",
        "Europe/",
        "/usr/share/zoneinfo/Europe/Berlin",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "right/Europe/Berlin",
        "posix/Europe/Berlin",
        "localtime",
        "zone.tab",
        "CET+1",
        "+02:00",
        "",
        "\x00",
        "A" * 5000,
        "Zürich",
        None,
        2,
        timezone(timedelta(hours=2)),
        timezone.max,
    ],
)
def test_other_zones_are_refused(zone: Any) -> None:
    with pytest.raises(InvalidParameterError, match='timezone must be an IANA time zone like "UTC" or "Europe/Berlin"'):
        summarize([], timezone=zone)


def test_zone_without_a_name_is_refused() -> None:
    nothing_but_utc = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\0"
    with pytest.raises(InvalidParameterError, match="timezone must be"):
        summarize([], timezone=ZoneInfo.from_file(BytesIO(nothing_but_utc)))


@pytest.mark.parametrize(
    ("given", "meant"), [("Europe/Berln", BERLIN), ("europe/berlin", BERLIN), ("america/new_york", NEW_YORK)]
)
def test_misspelt_zone_is_told_the_nearest(given: str, meant: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"did you mean '{meant}'"):
        summarize([], timezone=given)


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take the time zone database away, as on Windows without the package tzdata."""
    path = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    ZoneInfo.clear_cache()
    _periods._zone.cache_clear()  # another test may have drawn the same zone
    for name in ("tzdata", *(name for name in sys.modules if name.startswith("tzdata."))):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    yield
    zoneinfo.reset_tzpath(to=path)
    ZoneInfo.clear_cache()
    _periods._zone.cache_clear()


@pytest.mark.usefixtures("no_database")
def test_without_a_database_the_error_says_what_to_install() -> None:
    with pytest.raises(InvalidParameterError, match="pip install tzdata"):
        summarize([], timezone="America/Toronto")  # a zone that no other test has loaded


@pytest.mark.usefixtures("no_database")
def test_utc_needs_no_database() -> None:
    assert periods("2026-10-31T23:59:59Z", "UTC", "day") == ["2026-10-31"]


def test_date_of_an_aware_moment_in_any_zone() -> None:
    moment = datetime(2026, 10, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
    assert local_date(moment, UTC).isoformat() == "2026-11-01"

"""Which months can be closed, and when: what is covered, time zones, bad arguments."""

from __future__ import annotations

import io
import pickle
import struct
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.odd_entries import FIELDS
from contract_tests.ledger.statement.months import DAY, HOUR, MACHINE, OCTOBER, refused, sync
from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError, LedgerError, MonthOpenError, UsageEntry, spend
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from venice_billing.ledger import Ledger

    pass


@pytest.mark.parametrize(
    ("zone", "month", "start", "end"),
    [
        ("UTC", "2026-12", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("Europe/Zurich", "2026-03", "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        ("Europe/Zurich", "2026-10", "2026-09-30T22:00:00+00:00", "2026-10-31T23:00:00+00:00"),
        ("America/Havana", "2026-11", "2026-11-01T04:00:00+00:00", "2026-12-01T05:00:00+00:00"),  # 00:00 comes twice
        ("America/St_Johns", "2009-10", "2009-10-01T02:30:00+00:00", "2009-11-01T02:30:00+00:00"),  # so does 23:30
        ("America/Asuncion", "2023-10", "2023-10-01T04:00:00+00:00", "2023-11-01T03:00:00+00:00"),  # begins at 01:00
        ("Pacific/Apia", "2011-12", "2011-12-01T10:00:00+00:00", "2011-12-31T10:00:00+00:00"),  # without the 30th
        ("Pacific/Apia", "2011-11", "2011-11-01T10:00:00+00:00", "2011-12-01T10:00:00+00:00"),
        ("Pacific/Kiritimati", "1995-01", "1994-12-31T10:00:00+00:00", "1995-01-31T10:00:00+00:00"),  # without the 31st
    ],
)
def test_month_of_a_zone(ledger: Ledger, zone: str, month: str, start: str, end: str) -> None:
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    tick = timedelta(microseconds=1)
    rows = [
        UsageEntry.from_dict({**FIELDS, "timestamp": at.isoformat(), "sku": name})
        for at, name in [(first - tick, "before"), (first, "first"), (last - tick, "last"), (last, "after")]
    ]
    MACHINE.time = last + 3 * DAY
    load(ledger, rows, until=MACHINE.time)
    statement = ledger.close(month, timezone=zone)
    assert (statement.start, statement.end, statement.timezone) == (first, last, zone)
    assert sorted(row.model or "" for row in statement.by_model) == ["first", "last"]
    assert statement.totals == spend.summarize(rows[1:3], (), zone)
    monthly = spend.summarize(rows, "month", zone)
    assert [row.count for row in monthly if row.month == month] == [2]


def test_charges_of_an_hour_that_comes_twice_across_midnight_count_once(ledger: Ledger) -> None:
    """Newfoundland: after the minute 00:00 of November 2009, clocks showed 23:01 to 24:00 of October again."""
    first = datetime(2009, 11, 1, 1, tzinfo=UTC)
    rows = [
        UsageEntry.from_dict({**FIELDS, "timestamp": (first + number * timedelta(seconds=30)).isoformat()})
        for number in range(360)
    ]
    load(ledger, rows)
    october, november = (ledger.close(month, timezone="America/St_Johns") for month in ("2009-10", "2009-11"))
    assert (october.count, november.count) == (180, 180)
    assert november.opening.totals == october.totals


@pytest.mark.parametrize(
    "month",
    ["2026-13", "2026-00", "10/2026", "2026-1", "2026-10-01", "2026_10", " 2026-10", "2026-10\n", "\u0662026-10",
     "0000-01", "", 202610, None, True, OCTOBER, OCTOBER.date(), b"2026-10"],
)  # fmt: skip
def test_month_that_is_none_is_named(ledger: Ledger, month: Any) -> None:
    for use in (ledger.close, ledger.statement):
        with pytest.raises(InvalidParameterError, match='month must be a month as text, like "2026-10"') as caught:
            use(month)
        assert caught.value.parameter == "month"


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"timezone": "Europe/Zurch"}, "timezone"),
        ({"timezone": 5}, "timezone"),
        ({"overlap": 2}, "overlap"),
        ({"overlap": -DAY}, "overlap"),
        ({"allow_incomplete": 1}, "allow_incomplete"),
    ],
)
def test_bad_option_is_named(filled: Ledger, options: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        filled.close("2026-10", **options)
    assert caught.value.parameter == parameter


def test_close_without_a_month_closes_the_file(filled: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="month"):
        filled.close(timezone="UTC")  # type: ignore[call-overload]
    assert len(filled) == 900
    assert filled.close() is None
    with pytest.raises(LedgerError, match="was closed"):
        filled.close("2026-10")


def test_month_is_refused_until_late_charges_were_waited_for(ledger: Ledger, fake: FakeVenice) -> None:
    refused(ledger, "2026-10", "nothing is covered yet; sync first")
    sync(ledger, fake)
    refused(ledger, "2026-10", r"2026-10 may still change: sync at 2026-11-03T00:00:00.000Z or later")
    fake.clock.advance(36 * 3600 - 1)
    sync(ledger, fake)
    refused(ledger, "2026-10", "2026-11-03T00:00:00.000Z or later")
    fake.clock.advance(1)
    sync(ledger, fake)
    assert ledger.close("2026-10").is_complete


def test_month_is_refused_if_no_sync_looked_for_its_late_charges(ledger: Ledger, fake: FakeVenice) -> None:
    """Covered to its end plus the overlap, but its last days were not read again."""
    fake = FakeVenice([*fake.ledger, {"timestamp": NOW - HOUR, "currency": "USD"}], now=NOW)
    sync(ledger, fake)
    fake.clock.advance(3 * 86400)
    sync(ledger, fake, overlap=timedelta())
    refused(ledger, "2026-10", "too soon for late charges; sync with full=True")
    sync(ledger, fake, full=True)
    assert ledger.close("2026-10").is_complete


def test_month_that_is_open_says_when_it_can_be_closed(ledger: Ledger, fake: FakeVenice) -> None:
    sync(ledger, fake)
    found = []
    for month in ("2026-10", "2026-11", "2027-05"):
        with pytest.raises(MonthOpenError) as caught:
            ledger.close(month)
        found.append((caught.value.month, caught.value.reason, caught.value.closable_at))
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.closable_at) == (str(caught.value), caught.value.closable_at)
    assert found == [
        ("2026-10", "late_charges", datetime(2026, 11, 3, tzinfo=UTC)),
        ("2026-11", "not_over", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2027-05", "not_over", datetime(2027, 6, 1, tzinfo=UTC)),
    ]


def test_overlap_is_what_is_asked_for(ledger: Ledger, fake: FakeVenice) -> None:
    sync(ledger, fake)
    assert ledger.close("2026-10", overlap=12 * HOUR).is_complete
    with pytest.raises(LedgerError, match=r"2026-11-10T00:00:00.000Z or later"):
        ledger.close("2026-09", overlap=40 * DAY)


def test_month_before_the_ledger_is_refused(filled: Ledger) -> None:
    refused(filled, "2020-01", r"before the ledger begins, at 2026-08-\S+; the first month is 2026-08")
    refused(filled, "2026-07", "before the ledger begins", allow_incomplete=True)


def test_current_and_future_months_are_refused_whatever_is_allowed(filled: Ledger) -> None:
    refused(filled, "2026-11", r"not over before 2026-12-01\S+; close it then, or use statement\('2026-11'\)")
    refused(filled, "2026-11", "not over", allow_incomplete=True)
    for month in ("2026-12", "2027-05"):
        refused(filled, month, "sync when the month has begun", allow_incomplete=True)


def test_incomplete_month_is_closed_if_allowed_and_says_so(ledger: Ledger, fake: FakeVenice) -> None:
    sync(ledger, fake)
    statement = ledger.close("2026-10", allow_incomplete=True)
    assert (statement.is_complete, statement.coverage.covered_until) == (False, NOW)
    assert "INCOMPLETE" in statement.to_markdown()
    assert ledger.close("2026-10", allow_incomplete=True).to_json() == statement.to_json()
    assert ledger.close("2026-10").to_json() == statement.to_json(), "nothing new is recorded, so nothing is refused"
    fake.clock.advance(3 * 86400)
    sync(ledger, fake)
    complete = ledger.close("2026-10")
    assert (complete.revision, complete.is_complete, complete.digest) == (2, True, statement.digest)
    assert complete.restatement is not None
    assert (complete.restatement.is_complete, complete.restatement.changes) == (False, ())


def test_another_zone_than_before_is_refused(filled: Ledger) -> None:
    zurich = filled.close("2026-09", timezone="Europe/Zurich")
    assert filled.close("2026-10").timezone == "Europe/Zurich", "the zone of the months closed before"
    assert filled.statement("2026-10").is_closed
    with pytest.raises(
        LedgerError, match=r"closed in the time zone Europe/Zurich \(2026-09 was\).*can be made, but not closed"
    ):
        filled.close("2026-09", timezone="UTC")
    other = filled.statement("2026-09", timezone="UTC")
    assert (other.is_closed, other.timezone, other.digest == zurich.digest) == (False, "UTC", False)


class Months(str, Enum):  # noqa: UP042 - a `StrEnum` has another text
    SEPTEMBER = "2026-09"


class Zones(str, Enum):  # noqa: UP042 - as above
    BERLIN = "Europe/Berlin"


def test_member_of_an_enum_is_the_month_and_the_zone_that_it_names(filled: Ledger) -> None:
    closed = filled.close(Months.SEPTEMBER, timezone=Zones.BERLIN)
    assert (closed.month, closed.timezone) == ("2026-09", "Europe/Berlin")
    assert filled.close("2026-09", timezone="Europe/Berlin") == closed
    assert filled.statement("2026-09").month == "2026-09"


@pytest.mark.parametrize("key", ["local", "localtime", "Mars/Olympus", "right/UTC"])
def test_zone_that_another_machine_does_not_know_by_its_key_is_refused(filled: Ledger, key: str) -> None:
    # The smallest zone file (RFC 9636, version 1): one type of local time, UTC, and no transition.
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    content = b"TZif" + bytes(16) + counts + struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
    zone = ZoneInfo.from_file(io.BytesIO(content), key=key)
    with pytest.raises(InvalidParameterError, match="timezone must be an IANA time zone"):
        filled.close("2026-09", timezone=zone)


def test_overlap_beyond_the_calendar_is_refused(filled: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="overlap must be"):
        filled.close("2026-09", overlap=timedelta(days=3_000_000))

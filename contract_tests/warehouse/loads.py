"""Loads into DuckDB, whatever happens between two of them: too many for the suite, `nox -s warehouse` runs them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.flavours import NOW
from contract_tests.warehouse.account import HOUR, account, check, later
from contract_tests.warehouse.pipelines import start
from venice_billing.dlt_source import venice_billing
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from contract_tests.warehouse.pipelines import Warehouse

DAY = timedelta(days=1)


def test_load_without_changes_changes_nothing(warehouse: Warehouse) -> None:
    fake = account(300, days=10)
    for _ in range(3):
        warehouse.load(fake)
        check(warehouse.query, fake)


def test_load_without_overlap_keeps_each_of_equal_rows(warehouse: Warehouse) -> None:
    """The latest day is read again, and dlt must not drop those of its rows that it has seen."""
    fake = FakeVenice([{"timestamp": NOW, "sku": "one"}] * 3, now=NOW + HOUR)
    for _ in range(2):
        warehouse.load(fake, overlap_days=0)
        check(warehouse.query, fake)
        fake.book({"timestamp": NOW, "sku": "one"})
    warehouse.load(fake, overlap_days=0)
    check(warehouse.query, fake)


def test_latest_days_that_vanished_are_emptied(warehouse: Warehouse) -> None:
    """The last day that was loaded has no rows now, and neither has any day before it in the overlap."""
    before = FakeVenice(200, days=10, now=NOW)
    warehouse.load(before)
    after = FakeVenice(before.rows(end=NOW - 4 * DAY), now=NOW)
    warehouse.load(after, overlap_days=3)
    assert start(after) == "2026-10-29"
    assert warehouse.query("SELECT max(day) FROM venice.usage WHERE day > '2026-10-28'") == [(None,)]
    kept = [row for row in before.ledger if row["timestamp"] < "2026-10-29"]
    assert warehouse.query("SELECT count(*) FROM venice.usage") == [(len(kept),)]


def test_limit_cuts_between_days(warehouse: Warehouse) -> None:
    """The way of dlt to load a part first: the days that are there are whole, and the next load goes on from there."""
    fake = FakeVenice(500, days=10, now=NOW)
    warehouse.load(fake, limit=4)
    (last,) = {day for (day,) in warehouse.query("SELECT max(day) FROM venice.usage")}
    true = [row for row in fake.ledger if row["timestamp"] < (last + DAY).isoformat()]
    assert 0 < len(true) < 500
    assert warehouse.query("SELECT count(*) FROM venice.usage") == [(len(true),)]
    warehouse.load(fake)
    check(warehouse.query, fake)


def test_charge_on_each_side_of_midnight_stays_on_its_day(warehouse: Warehouse) -> None:
    """A late booking in the first millisecond of the first day that is read again, and one just before it."""
    moments = [
        "2026-10-29T23:59:59.999Z",
        "2026-10-30T00:00:00.000Z",
        "2026-10-31T23:59:59.999Z",
        "2026-11-01T00:00:00Z",
    ]
    fake = FakeVenice([{"timestamp": moment} for moment in moments], now=NOW)
    warehouse.load(fake)
    fake.book({"timestamp": moments[1], "sku": "late"})
    warehouse.load(fake)
    check(warehouse.query, fake)
    fake.book({"timestamp": moments[0], "sku": "before the overlap"})
    warehouse.load(fake)
    assert warehouse.query("SELECT count(*) FROM venice.usage WHERE sku = 'before the overlap'") == [(0,)]
    warehouse.load(fake, start_date="2026-10-29", end_date="2026-10-30")
    check(warehouse.query, fake)


def test_range_is_loaded_again_alone(warehouse: Warehouse) -> None:
    """Its emptied days lose their rows, the days around it stay, and the next load goes on where it would have."""
    before = FakeVenice(600, days=30, now=NOW)
    warehouse.load(before)
    kept = [row for row in before.ledger if not "2026-10-10" <= row["timestamp"] < "2026-10-12"]
    after = FakeVenice(kept, now=NOW)
    warehouse.load(after, start_date=date(2026, 10, 9), end_date="2026-10-15")
    check(warehouse.query, after)
    assert start(after) == "2026-10-09"
    again = FakeVenice(kept, now=NOW)
    warehouse.load(again)
    assert start(again) == "2026-10-30"
    check(warehouse.query, again)


def test_start_date_is_where_the_first_load_begins(warehouse: Warehouse) -> None:
    """The second one goes on two days before the latest charge, and finds the same rows."""
    fake = FakeVenice(300, days=30, now=NOW)
    latest = date.fromisoformat(fake.ledger[-1]["timestamp"][:10])
    for first in (date(2026, 10, 20), latest - 2 * DAY):
        fake.requests.clear()
        warehouse.load(fake, start_date="2026-10-20")
        assert start(fake) == first.isoformat()
        assert warehouse.query("SELECT count(*) FROM venice.usage") == [(len(fake.rows(start="2026-10-20T00:00:00Z")),)]


def test_another_machine_goes_on(warehouse: Warehouse) -> None:
    before = account(300, days=10)
    warehouse.load(before)
    warehouse.forget()
    after = later(before)
    warehouse.load(after)
    assert start(after) == "2026-10-30"
    check(warehouse.query, after)


def test_dropped_warehouse_is_loaded_whole(warehouse: Warehouse) -> None:
    fake = FakeVenice(300, days=30, now=NOW)
    warehouse.load(fake)
    warehouse.path.unlink()
    warehouse.load(fake)
    check(warehouse.query, fake)


def test_refresh_loads_everything_anew(warehouse: Warehouse) -> None:
    """What vanished long ago is found so."""
    before = FakeVenice(300, days=30, now=NOW)
    warehouse.load(before)
    after = FakeVenice(before.ledger[7:], now=NOW)
    warehouse.load(after, refresh="drop_data")
    assert start(after) == "all"
    check(warehouse.query, after)


def test_account_without_charges_is_no_error(warehouse: Warehouse) -> None:
    fake = FakeVenice(0, now=NOW)
    warehouse.load(fake, "usage", "balance")
    fake.book({"sku": "first"})
    warehouse.load(fake)
    check(warehouse.query, fake)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_charges_that_arrive_during_a_load_are_there_after_the_next(warehouse: Warehouse, concurrency: int) -> None:
    fake = FakeVenice(300, days=5, now=NOW)
    fake.quirks.arrivals = lambda request: [{"sku": f"arrived-{request.number}"}]
    warehouse.load(fake, concurrency=concurrency)
    fake.quirks.arrivals = None
    warehouse.load(fake)
    check(warehouse.query, fake)


def test_balance_is_appended_and_analytics_are_merged_by_day(warehouse: Warehouse) -> None:
    fake = FakeVenice(300, days=40, now=NOW)
    for _ in range(2):
        warehouse.load(fake, "balance", "analytics")
        fake.clock.advance(3600)
    balances = warehouse.query("SELECT epoch(observed_at), usd, usd_text FROM venice.balance ORDER BY 1")
    usd = fake.balance["balances"]["usd"]
    assert balances == [(NOW.timestamp() + 3600 * hour, usd, str(usd)) for hour in range(2)]
    with fake.client() as client:
        analytics = client.get_usage_analytics(start_date="2026-10-03", end_date="2026-11-01")
    totals = dict(
        warehouse.query("SELECT day, amount FROM venice.analytics WHERE scope = 'total' AND currency = 'USD'")
    )
    assert totals == {date.fromisoformat(day.date): day.usd for day in analytics.by_date}


def test_analytics_of_a_day_that_vanished_are_removed(warehouse: Warehouse) -> None:
    before = FakeVenice(300, days=20, now=NOW)
    warehouse.load(before, "analytics")
    after = FakeVenice(
        [row for row in before.ledger if not row["timestamp"].startswith(("2026-10-20", "2026-11-01"))], now=NOW
    )
    warehouse.load(after, "analytics")
    days = {day for (day,) in warehouse.query("SELECT day FROM venice.analytics")}
    assert not {date(2026, 10, 20), date(2026, 11, 1)} & days
    assert len(days) > 15


def test_limit_of_files_that_insert_is_not_reached(warehouse: Warehouse) -> None:
    """With INSERT statements, DuckDB reads 8.25E-7 as a float: the source asks for Parquet, whatever the run says."""
    fake = account(50, days=5)
    with fake.client() as client:
        warehouse.run(venice_billing(client=client).with_resources("usage"), loader_file_format="insert_values")
    check(warehouse.query, fake)


def test_key_comes_from_the_client_where_dlt_has_none(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeVenice(50, now=NOW)
    with fake.serve() as server:
        monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
        warehouse.run(venice_billing().with_resources("usage"))
    check(warehouse.query, fake)


def test_late_charge_is_found_within_the_overlap_that_is_asked_for(warehouse: Warehouse) -> None:
    fake = FakeVenice(100, days=20, now=NOW)
    warehouse.load(fake)
    fake.book({"sku": "late"}, late=9 * DAY + HOUR)
    warehouse.load(fake)
    with pytest.raises(AssertionError):
        check(warehouse.query, fake)
    warehouse.load(fake, overlap_days=10)
    check(warehouse.query, fake)


@pytest.mark.parametrize("requests", [2, 3])
def test_walk_that_fails_midway_leaves_the_warehouse_as_it_was(warehouse: Warehouse, requests: int) -> None:
    before = account(300, days=10)
    warehouse.load(before)
    after = later(before)
    after.quirks.faults = lambda request: faults.status(401) if request.number >= requests else None
    with pytest.raises(Exception, match="401"):
        warehouse.load(after, overlap_days=20)
    assert len(after.requests) == requests
    check(warehouse.query, before)
    after.quirks.faults = ()
    warehouse.load(after, overlap_days=20)
    check(warehouse.query, after)


@pytest.mark.parametrize("disposition", ["append", "replace"])
@pytest.mark.parametrize("resource", ["usage", "analytics"])
def test_other_write_disposition_is_refused(warehouse: Warehouse, disposition: str, resource: str) -> None:
    """The first would count charges twice, the second keep only the latest days."""
    fake = account(100, days=10)
    warehouse.load(fake, resource)
    before = warehouse.query(f"SELECT count(*) FROM venice.{resource}")
    with pytest.raises(Exception, match=f"write_disposition must be merge .* got '{disposition}'"):
        warehouse.load(fake, resource, write_disposition=disposition)
    assert warehouse.query(f"SELECT count(*) FROM venice.{resource}") == before

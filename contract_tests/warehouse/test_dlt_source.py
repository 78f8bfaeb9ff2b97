"""The dlt source on DuckDB: a day is replaced as a whole or not at all. `nox -s warehouse` runs more of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dlt
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.warehouse.account import account, check, later
from contract_tests.warehouse.pipelines import start
from venice_billing import InvalidParameterError, dlt_source
from venice_billing._dlt_memory import Memory
from venice_billing.dlt_source import venice_billing
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from contract_tests.warehouse.pipelines import Warehouse

DAY = timedelta(days=1)


def test_second_load_finds_late_altered_and_vanished_charges_and_empties_a_day(warehouse: Warehouse) -> None:
    before = account(300, days=10)
    warehouse.load(before)
    check(warehouse.query, before)
    after = later(before)
    warehouse.load(after)
    check(warehouse.query, after)
    assert start(after) == "2026-10-30"
    assert warehouse.query("SELECT count(*) FROM venice.usage WHERE day = '2026-10-31'") == [(0,)]


def test_destination_that_would_append_is_refused(warehouse: Warehouse) -> None:
    with (
        FakeVenice(50, now=NOW).client() as client,
        pytest.raises(Exception, match="destination must be one for which"),
    ):
        warehouse.run(venice_billing(client=client), dlt.destinations.filesystem(str(warehouse.folder / "files")))


@pytest.mark.parametrize("limit", [None, 2])
def test_day_of_many_charges_is_loaded_in_parts_but_never_cut_by_a_limit(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(dlt_source, "_ROWS_AT_ONCE", 7)
    sizes: list[int] = []
    monkeypatch.setattr(Memory, "renew", lambda _, rows: sizes.append(len(rows)))
    fake = FakeVenice(200, days=4, now=NOW)
    warehouse.load(fake, limit=limit)
    ((count, last),) = warehouse.query("SELECT count(*), max(day) FROM venice.usage")
    assert count == len([row for row in fake.ledger if row["timestamp"] < (last + DAY).isoformat()])
    assert (count == 200, max(sizes) <= 7) == (limit is None, limit is None)


def test_rows_can_be_looked_at_without_a_pipeline(warehouse: Warehouse) -> None:
    fake = FakeVenice(50, now=NOW)
    with fake.client() as client:
        rows = list(venice_billing(client=client).resources["usage"])
    assert len([row for row in rows if not row["is_empty_day"]]) == 50


def test_key_and_address_come_from_the_secrets_of_dlt(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the key is in no file that dlt writes."""
    fake = FakeVenice(50, now=NOW, admin_key="a-key-of-dlt")
    with fake.serve() as server:
        monkeypatch.setenv("SOURCES__VENICE_BILLING__API_KEY", "a-key-of-dlt")
        monkeypatch.setenv("SOURCES__VENICE_BILLING__BASE_URL", server.base_url)
        warehouse.run(venice_billing())
        check(warehouse.query, fake)
        monkeypatch.setenv("SOURCES__VENICE_BILLING__API_KEY", "another-key")
        with pytest.raises(Exception, match="401") as caught:
            warehouse.run(venice_billing())
    shown = "".join(map(str, [caught.value, caught.value.__cause__]))
    assert "another-key" not in shown
    files = [path.read_bytes() for path in warehouse.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [content for content in files if re.search(rb"a-key-of-dlt|another-key", content)]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"overlap_days": -1}, "overlap_days must be a whole number from 0"),
        ({"overlap_days": 1.5}, "overlap_days must be a whole number from 0"),
        ({"analytics_days": 91}, "analytics_days must be a whole number from 1 to 90"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1 to 16"),
        ({"start_date": "2026-10-01T01:00:00Z"}, "start_date must be a whole day"),
        ({"start_date": "soon"}, "start_date must be"),
        ({"end_date": "2026-10-01"}, "start_date must be a day earlier than end_date"),
        ({"start_date": "2026-10-01", "end_date": "2026-10-01"}, "start_date must be a day earlier than end_date"),
        ({"client": "key"}, "client must be a VeniceBilling"),
    ],
)
def test_wrong_argument_is_named(warehouse: Warehouse, options: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidParameterError, match=error):
        venice_billing(**options)

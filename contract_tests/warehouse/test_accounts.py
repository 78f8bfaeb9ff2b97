"""One warehouse, several keys: a key of the same account goes on, a key of another account is refused."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW
from contract_tests.warehouse.account import HOUR, account, check
from contract_tests.warehouse.pipelines import start, starts
from venice_billing import AnotherAccountError
from venice_billing.dlt_source import venice_billing
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract_tests.warehouse.pipelines import Warehouse

DAY = timedelta(days=1)
TABLES = ("usage", "balance", "analytics")


def other_account(rows: int = 300) -> FakeVenice:
    return FakeVenice(rows, days=10, now=NOW, seed=7, admin_key="another-admin-key")


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, in turn."""
    while error is not None:
        yield error
        error = error.__cause__


def refuse(warehouse: Warehouse, fake: FakeVenice, *resources: str, **options: Any) -> None:
    """See that a load is refused, and that all tables stay as they are."""
    names = [name for (name,) in warehouse.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'venice'")]
    tables = [name for name in TABLES if name in names]
    before = [sorted(map(repr, warehouse.query(f"SELECT * FROM venice.{table}"))) for table in tables]
    with pytest.raises(Exception, match="the key is that of another account") as caught:
        warehouse.load(fake, *resources, **options)
    errors = list(chain_of(caught.value))
    assert isinstance(errors[-1], AnotherAccountError)
    assert fake.admin_key not in "".join(map(repr, errors))
    after = [sorted(map(repr, warehouse.query(f"SELECT * FROM venice.{table}"))) for table in tables]
    assert after == before


@pytest.mark.parametrize("rows", [300, 0])
def test_other_account_is_refused_and_the_first_one_goes_on(warehouse: Warehouse, rows: int) -> None:
    """With balance and analytics too: a load is refused as a whole. An account without charges is another one."""
    fake = account(300, days=10)
    warehouse.load(fake, *TABLES)
    refuse(warehouse, other_account(rows), *TABLES)
    fake.book({"sku": "new", "amount": "-1"})
    warehouse.load(fake, *TABLES)
    check(warehouse.query, fake)


def test_new_key_of_the_same_account_goes_on(warehouse: Warehouse) -> None:
    before = FakeVenice(300, days=10, now=NOW)
    warehouse.load(before)
    after = FakeVenice(before.ledger, now=NOW, admin_key="a-new-key")
    after.book({"sku": "new"})
    warehouse.load(after)
    check(warehouse.query, after)


def test_range_of_another_account_is_refused(warehouse: Warehouse) -> None:
    """Also where no day of the range was loaded before."""
    warehouse.load(FakeVenice(300, days=10, now=NOW))
    refuse(warehouse, other_account(), start_date="2026-08-01", end_date="2026-08-05")
    refuse(warehouse, other_account(), start_date="2026-10-25", end_date="2026-10-28")


def test_load_of_a_part_of_another_account_is_refused(warehouse: Warehouse) -> None:
    """Reading stops after two days there: the refusal must come before."""
    warehouse.load(FakeVenice(300, days=10, now=NOW), limit=2)
    refuse(warehouse, other_account(), limit=2)


def test_recognition_costs_one_request(warehouse: Warehouse) -> None:
    fake = FakeVenice(300, days=10, now=NOW)
    warehouse.load(fake)
    fake.requests.clear()
    warehouse.load(fake)
    assert starts(fake) == ["2026-11-01", "2026-10-30"]
    assert "cursor" not in dict(fake.requests[1].params)  # so the first page was enough


def test_account_whose_latest_charges_were_altered_or_vanished_goes_on(warehouse: Warehouse) -> None:
    """All amounts are others; and no charge of the latest days is there any more."""
    before = FakeVenice(300, days=10, now=NOW)
    warehouse.load(before)
    altered = FakeVenice([{**row, "amount": "-7"} for row in before.ledger], now=NOW)
    warehouse.load(altered, overlap_days=20)
    check(warehouse.query, altered)
    vanished = FakeVenice(altered.rows(end=NOW - 6 * DAY), now=NOW)
    warehouse.load(vanished, overlap_days=20)
    check(warehouse.query, vanished)


def test_refresh_replaces_the_account(warehouse: Warehouse) -> None:
    warehouse.load(FakeVenice(300, days=30, now=NOW))
    other = other_account()
    warehouse.load(other, refresh="drop_data")
    check(warehouse.query, other)
    refuse(warehouse, FakeVenice(300, days=30, now=NOW))
    again = FakeVenice(300, days=30, now=NOW)
    warehouse.load(again, refresh="drop_resources")
    assert warehouse.query("SELECT count(*) FROM venice.usage") == [(300,)]


def test_other_account_on_another_machine_is_refused(warehouse: Warehouse) -> None:
    """The state that dlt restores from the destination tells the account too."""
    fake = FakeVenice(300, days=10, now=NOW)
    warehouse.load(fake)
    warehouse.forget()
    refuse(warehouse, other_account())
    warehouse.forget()
    warehouse.load(fake)
    assert start(fake) == "2026-10-30"


def test_lost_state_is_made_up_for_by_the_table(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where dlt may not restore its state, the charges in the table tell the account."""
    fake = FakeVenice(300, days=10, now=NOW)
    warehouse.load(fake)
    monkeypatch.setenv("RESTORE_FROM_DESTINATION", "false")
    warehouse.forget()
    refuse(warehouse, other_account())
    warehouse.forget()
    warehouse.load(fake)
    assert start(fake) == "all"
    check(warehouse.query, fake)
    refuse(warehouse, other_account())


def test_pipeline_of_another_name_is_compared_with_the_table(warehouse: Warehouse) -> None:
    warehouse.load(FakeVenice(300, days=10, now=NOW))
    warehouse.name = "another_pipeline"
    refuse(warehouse, other_account())
    refuse(warehouse, other_account(), refresh="drop_data")  # which empties only tables that the pipeline knows


def test_account_without_requests_is_told_by_other_charges(warehouse: Warehouse) -> None:
    one, other = (
        FakeVenice([{"timestamp": NOW - number * HOUR, "sku": "grant", "inferenceDetails": None}], now=NOW)
        for number in (1, 2)
    )
    warehouse.load(one)
    refuse(warehouse, other)
    warehouse.name = "another_pipeline"
    refuse(warehouse, other)
    one.book({"sku": "new"})
    warehouse.load(one)
    check(warehouse.query, one)


def test_equal_grants_do_not_make_two_accounts_one(warehouse: Warehouse) -> None:
    grant = {"timestamp": NOW - 2 * HOUR, "sku": "grant", "amount": "5", "inferenceDetails": None}
    one, other = (FakeVenice([*FakeVenice(50, days=5, now=NOW, seed=seed).ledger, grant], now=NOW) for seed in (1, 2))
    warehouse.load(one)
    refuse(warehouse, other)


def test_first_charges_of_an_account_may_be_anyones(warehouse: Warehouse) -> None:
    """An account without charges leaves nothing to tell it by, and nothing that could be mixed."""
    warehouse.load(FakeVenice(0, now=NOW), *TABLES)
    other = other_account()
    warehouse.load(other)
    check(warehouse.query, other)


def test_state_has_no_key_and_no_text_of_a_charge(warehouse: Warehouse) -> None:
    fake = FakeVenice(300, days=100, now=NOW, admin_key="a-key-in-no-state")
    warehouse.load(fake)
    ((state,),) = warehouse.query(
        "SELECT state FROM venice._dlt_pipeline_state ORDER BY version DESC, created_at DESC LIMIT 1"
    )
    text = zlib.decompress(base64.b64decode(state)).decode()
    known = json.loads(text)["sources"]["venice_billing"]["resources"]["usage"]["known_rows"]
    assert len(known["requests"]) == 4 + 4  # the latest days, and one of each of the months before
    assert fake.admin_key not in text
    assert not [row for row in fake.ledger if row["sku"] in text]


def test_rows_can_be_looked_at_beside_a_pipeline_of_another_account(warehouse: Warehouse) -> None:
    warehouse.load(FakeVenice(300, days=10, now=NOW))
    with other_account().client() as client:
        rows = list(venice_billing(client=client).resources["usage"])
    assert [row for row in rows if not row["is_empty_day"]]

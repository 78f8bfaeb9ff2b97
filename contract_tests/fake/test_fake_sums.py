"""Balance and analytics of FakeVenice are the sums of its ledger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import ANALYTICS, BALANCE, Row, connect, exact
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


def spend(rows: list[Row], currencies: set[str], where: Callable[[Row], bool] = lambda _: True) -> Decimal:
    return -sum(
        (r["amount"] for r in rows if r["amount"] < 0 and r["currency"] in currencies and where(r)),
        Decimal(0),
    )


def test_analytics_are_the_sums_of_the_ledger() -> None:
    fake = FakeVenice(3000, now=NOW)
    answer = exact(connect(fake).get(ANALYTICS, params={"lookback": "30d"}))
    rows = fake.rows(start=NOW - timedelta(days=30))
    dollars, diem = {"USD", "BUNDLED_CREDITS"}, {"DIEM"}
    assert answer["lookback"] == "30d"
    for part in ("byModel", "byKey"):
        assert sum(item["totalUsd"] for item in answer[part]) == spend(rows, dollars)
        assert sum(item["totalDiem"] for item in answer[part]) == spend(rows, diem)
    assert sum(item["USD"] for item in answer["byDate"]) == spend(rows, dollars)
    day = answer["byDate"][3]
    assert day["DIEM"] == spend(rows, diem, lambda row: row["timestamp"].startswith(day["date"]))
    key = answer["byKey"][1]
    assert key["totalUsd"] == spend(rows, dollars, lambda row: row["apiKeyId"] == key["apiKeyId"])
    model = next(item for item in answer["byModel"] if item["modelName"] == "GLM 5.1")
    assert model["totalUsd"] == spend(rows, dollars, lambda row: row["sku"].startswith("zai-org-glm-5-1-"))
    assert {part["type"] for part in model["breakdown"]} == {"Input", "Output", "Cache Read"}
    assert sum(part["diem"] for part in model["breakdown"]) == model["totalDiem"]
    assert answer["topModels"] == [item["modelName"] for item in answer["byModel"]][:8]


def test_analytics_series_are_by_day_and_name() -> None:
    fake = FakeVenice(
        [
            {"timestamp": "2026-10-30T23:59:59.999Z", "amount": "-1.5", "currency": "DIEM", "apiKeyId": "k1"},
            {"timestamp": "2026-10-31T00:00:00.000Z", "amount": "-0.25", "currency": "BUNDLED_CREDITS"},
            {
                "timestamp": "2026-10-31T00:00:00.000Z",
                "amount": "9",
                "currency": "USD",
                "sku": "account-credit",
            },
        ],
        now=NOW,
    )
    answer = exact(connect(fake).get(ANALYTICS, params={"startDate": "2026-10-30", "endDate": "2026-10-31"}))
    friday, saturday = 1793318400000, 1793404800000
    assert answer["lookback"] == "2026-10-30:2026-10-31"
    assert answer["byKeyDaily"] == [{"date": friday, "k1": Decimal("1.5")}, {"date": saturday}]
    assert answer["byKeyDailyUsd"] == [{"date": friday}, {"date": saturday, "Web App": Decimal("0.25")}]
    assert answer["byModelDaily"][0] == {"date": friday, "GLM 5.1": Decimal("1.5")}
    assert (
        exact(connect(fake).get(ANALYTICS, params={"startDate": "2026-10-29", "endDate": "2026-10-29"}))["byDate"] == []
    )


def test_a_lookback_over_90_days_is_clamped_silently(fake: FakeVenice) -> None:
    client = connect(fake)
    assert (
        client.get(ANALYTICS, params={"lookback": "90d"}).json()
        == client.get(ANALYTICS, params={"lookback": "36500d"}).json()
    )


def test_the_balance_follows_the_ledger_until_it_is_set() -> None:
    fake = FakeVenice([{"timestamp": "2026-10-01T00:00:00Z", "amount": "25"}], now=NOW)
    fake.book({"amount": "-0.75"})
    fake.book({"amount": "-1.5", "currency": "DIEM"})
    assert (
        exact(connect(fake).get(BALANCE))
        == fake.balance
        == {
            "canConsume": True,
            "consumptionCurrency": "DIEM",
            "balances": {"diem": Decimal("98.5"), "usd": Decimal("24.25")},
            "diemEpochAllocation": Decimal(100),
        }
    )
    fake.balance = {**fake.balance, "balances": {"diem": None, "usd": None}, "consumptionCurrency": None}
    assert exact(connect(fake).get(BALANCE))["balances"] == {"diem": None, "usd": None}

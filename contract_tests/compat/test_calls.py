"""The billing interface of the old SDK: its documented calls run, and pages and totals are those of the true ledger."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from typing import Any

import httpx
import pytest

from contract_tests.compat.old_sdk import RANGE, collect, connect, mixed_fake, multiset, result, rows_of
from contract_tests.support.flavours import HISTORY, ORIGINAL, Flavour
from venice_billing import errors
from venice_billing.compat import venice_ai, venice_ai_v1
from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.anyio


async def test_documented_calls_run() -> None:
    """The calls of the old page, with its parameters and its names of values."""
    fake = mixed_fake()
    async with venice_ai.VeniceClient(
        fake.admin_key, http_client=httpx.AsyncClient(transport=fake.transport())
    ) as client:
        usage = await client.billing.get_usage(**RANGE, currency="USD", limit=60, page=2, sortOrder="asc")
        truth = fake.rows(currency="USD", start=RANGE["startDate"], end=RANGE["endDate"])
        assert sum(record.amount for record in usage.data) == sum(row["amount"] for row in truth[60:120])
        assert (usage.pagination.total, usage.pagination.totalPages) == (len(truth), -(-len(truth) // 60))
        assert (usage.pagination.limit, usage.pagination.page) == (60, 2)
        entry = usage.data[0]
        assert entry.pricePerUnitUsd == entry.price_per_unit_usd == truth[60]["pricePerUnitUsd"]
        csv = await client.billing.get_usage(format=venice_ai.BillingFormatEnum.CSV, startDate=RANGE["startDate"])
        assert isinstance(csv, bytes)
        assert len(csv.splitlines()) == 1 + len(fake.rows(start=RANGE["startDate"]))
        first = [entry async for entry in client.billing.iter_usage(page_size=100, max_items=3, currency="USD")]
        assert rows_of(first) == fake.rows(currency="USD")[::-1][:3]
        balance = await client.billing.get_balance()
        assert balance.can_consume is balance.canConsume is True
        assert isinstance(balance.balances.usd, Decimal)
        analytics = await client.billing.get_usage_analytics(startDate="2026-10-01", endDate="2026-10-31")
        assert all(isinstance(day.USD, Decimal) and day.diem == day.DIEM and day.date for day in analytics.byDate)
        assert {model.modelName for model in analytics.byModel} >= set(analytics.topModels)
        assert sum(model.totalUsd for model in analytics.byModel) == sum(day.USD for day in analytics.byDate)
        assert len(analytics.byKey) > 0
        assert len(analytics.byModelDaily) > 0


@pytest.mark.parametrize("original", ["retired", "alive"])
@pytest.mark.parametrize("order", [None, "asc", "desc"])
@pytest.mark.parametrize("currency", [None, "USD", "VCU"])
async def test_pages_and_totals_are_those_of_the_ledger(
    flavour: Flavour, original: Any, order: str | None, currency: str | None
) -> None:
    fake = mixed_fake(original=original)
    truth = fake.rows(currency=currency, start=RANGE["startDate"], end=RANGE["endDate"])
    truth = truth if order == "asc" else truth[::-1]
    billing = connect(flavour, fake).billing
    received, page = [], 0
    while page * 75 < len(truth) + 75:
        page += 1
        usage = await result(billing.get_usage(**RANGE, currency=currency, limit=75, page=page, sortOrder=order))
        assert (usage.pagination.total, usage.pagination.total_pages) == (len(truth), -(-len(truth) // 75))
        received += usage.data
    assert multiset(rows_of(received)) == multiset(truth)
    assert [value.timestamp for value in received] == sorted(
        (value.timestamp for value in received), reverse=order != "asc"
    )
    walked = await collect(billing.iter_usage(**RANGE, currency=currency, sortOrder=order))
    assert multiset(rows_of(walked)) == multiset(truth)


async def test_original_endpoint_is_tried_once(flavour: Flavour) -> None:
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    for _ in range(3):
        await result(billing.get_usage(limit=1))
    paths = [request.path for request in fake.requests]
    assert paths.count(ORIGINAL) == 1
    assert set(paths[1:]) == {HISTORY}


async def test_defaults_are_those_of_the_old_endpoint(flavour: Flavour) -> None:
    """Newest first, 200 to a page."""
    fake = mixed_fake()
    usage = await result(connect(flavour, fake).billing.get_usage())
    assert (len(usage.data), usage.pagination.limit, usage.pagination.page) == (200, 200, 1)
    assert usage.data[0].timestamp == max(value.timestamp for value in usage.data)


@pytest.mark.parametrize("currency", ["USD", "VCU"])
async def test_csv_is_the_whole_range_in_one_currency(flavour: Flavour, currency: str) -> None:
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    csv = await result(billing.get_usage(format="csv", currency=currency, **RANGE))
    header, *records = csv.decode().splitlines()
    index = header.split(",").index("currency")
    assert {record.split(",")[index] for record in records} == {currency}
    assert len(records) == len(fake.rows(currency=currency, start=RANGE["startDate"], end=RANGE["endDate"]))


async def test_csv_in_one_currency_has_no_limit_of_records(flavour: Flavour) -> None:
    """The old currency is picked out of the whole range, which is longer than any page."""
    rows = [
        {"timestamp": f"2026-09-{1 + number // 1000:02}T00:00:00.{number % 1000:03}Z", "currency": currency}
        for number, currency in enumerate(["VCU", *["USD"] * 99] * 110)
    ]
    billing = connect(flavour, FakeVenice(rows)).billing
    csv = await result(billing.get_usage(format="csv", currency="VCU", **RANGE))
    header, *records = csv.decode().splitlines()
    index = header.split(",").index("currency")
    assert [record.split(",")[index] for record in records] == ["VCU"] * 110


async def test_history_is_read_page_by_page(flavour: Flavour) -> None:
    """By the methods that later versions of the SDK have."""
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    window = {"startTimestamp": RANGE["startDate"], "endTimestamp": RANGE["endDate"]}
    page = await result(billing.get_usage_history(**window, currency="USD", pageSize=50))
    received = list(page.data)
    while page.nextCursor is not None:
        page = await result(billing.get_usage_history(cursor=page.nextCursor))
        received += page.data
    truth = fake.rows(currency="USD", start=RANGE["startDate"], end=RANGE["endDate"])
    assert rows_of(received) == truth
    csv = await result(billing.get_usage_history(format=venice_ai.BillingFormatEnum.CSV, **window))
    assert len(csv.splitlines()) == 1 + len(fake.rows(start=RANGE["startDate"], end=RANGE["endDate"]))
    assert rows_of(await collect(billing.iter_usage_history(**window, currency="USD"))) == truth
    assert (
        rows_of(await collect(billing.iter_usage_history(**window, currency="VCU", max_items=9)))
        == (fake.rows(currency="VCU", start=RANGE["startDate"])[:9])
    )


async def test_csv_without_a_folder_for_temporary_files(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(errors.ExportError, match="TMPDIR"):
        await result(connect(flavour, mixed_fake()).billing.get_usage(format="csv"))


def test_first_version_has_an_asynchronous_client_too() -> None:
    assert venice_ai_v1.AsyncVeniceClient is venice_ai.VeniceClient

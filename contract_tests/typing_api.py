"""Public calls as users write them, for the type checkers: this file is checked by mypy and pyright and never run.

`assert_type` pins what a user's editor shows; a call that must be an error carries the `type: ignore` that mypy would
report as unused if it were none.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import assert_type
from zoneinfo import ZoneInfo

import httpx
import httpx2
from dlt.extract import DltSource

from venice_billing import (
    APIError,
    AsyncUsageWalk,
    AsyncVeniceBilling,
    Balance,
    Balances,
    BillingTimeoutError,
    ClientClosedError,
    CsvExport,
    Currency,
    EndpointRetiredError,
    EntryPage,
    InvalidParameterError,
    Pagination,
    RateLimitError,
    ResponseValidationError,
    Sku,
    UsageAnalytics,
    UsageCsv,
    UsageEntry,
    UsageHistoryPage,
    UsagePage,
    UsageWalk,
    VeniceBilling,
    VeniceError,
    sku,
    spend,
)
from venice_billing.dlt_source import venice_billing
from venice_billing.ledger import Ledger, Statement


def ledgers(ledger: Ledger) -> None:
    statement = ledger.close("2026-10", timezone=ZoneInfo("Europe/Zurich"), overlap=timedelta(1), allow_incomplete=True)
    assert_type(statement, Statement)
    assert_type(statement.totals, spend.SpendTable)
    assert_type(statement.adjustments[0].difference, Decimal)
    assert_type(ledger.statement("2026-10", revision=1).to_json(), str)
    ledger.close(date(2026, 10, 1))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ledger.close(timezone="UTC")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    ledger.close()


def a_warehouse(client: VeniceBilling) -> None:
    """The types of dlt are its own here: without it, the source would be Any."""
    assert_type(venice_billing("key", start_date="2026-10-01", end_date=date(2026, 11, 1)), DltSource)
    assert_type(venice_billing(client=client, overlap_days=7).with_resources("usage"), DltSource)
    venice_billing(overlap="2d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def construction() -> None:
    with VeniceBilling() as client:
        assert_type(client, VeniceBilling)
        assert_type(client.with_options(timeout=5, max_retries=0, max_wait=0), VeniceBilling)
    VeniceBilling("key", base_url="https://example.com", timeout=2.5, max_retries=1, http_client=httpx.Client()).close()
    VeniceBilling(max_wait=5, default_headers={"User-Agent": "reports/2.1"}).with_options(default_headers={"X-A": "b"})
    VeniceBilling(http_client=httpx2.Client())
    AsyncVeniceBilling(http_client=httpx2.AsyncClient(), default_headers=httpx2.Headers())
    VeniceBilling(http_client=httpx2.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    VeniceBilling(default_headers={"X-A": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    VeniceBilling(http_client=httpx.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncVeniceBilling(http_client=httpx.Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def balance(client: VeniceBilling) -> None:
    balance = client.get_balance()
    assert_type(balance, Balance)
    assert_type(balance.can_consume, bool)
    assert_type(balance.consumption_currency, Currency | None)
    assert_type(balance.balances, Balances)
    assert_type(balance.balances.usd, Decimal | None)
    assert_type(balance.diem_epoch_allocation, Decimal)


def pages(client: VeniceBilling, moment: datetime) -> None:
    page = client.get_usage(currency="USD", start_date=date(2026, 1, 1), limit=10, page=2, sort_order="asc")
    assert_type(page, UsagePage)
    assert_type(page.data, list[UsageEntry])
    assert_type(page.pagination, Pagination)
    assert_type(client.get_usage(format="json"), UsagePage)
    assert_type(client.get_usage(format="csv"), UsageCsv)
    assert_type(client.get_usage_history(start_timestamp="2026-01-01", page_size=10), UsageHistoryPage)
    assert_type(client.get_usage_history(cursor="abc").next_cursor, str | None)
    csv = client.get_usage_history(format="csv", end_timestamp=moment)
    assert_type(csv, UsageCsv)
    assert_type(csv.next_cursor, str | None)
    assert_type(csv.pagination, Pagination | None)
    assert_type(csv.filename, str | None)
    Path("page.csv").write_bytes(csv)
    client.get_usage(format="xml")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.get_usage(sort_order="up")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    client.get_usage_history(limit=10)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def entries(entry: UsageEntry) -> None:
    assert_type(entry.timestamp, datetime)
    assert_type(entry.amount, Decimal)
    assert_type(entry.units * entry.price_per_unit_usd, Decimal)
    assert_type(entry.currency, Currency)
    _text: str = entry.currency
    if entry.inference_details is not None:
        assert_type(entry.inference_details.request_id, str | None)
        assert_type(entry.inference_details.prompt_tokens, int | None)
    entry.amount = Decimal(0)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def analytics(client: VeniceBilling) -> None:
    analytics = client.get_usage_analytics(start_date="2026-01-01", end_date=date(2026, 1, 31))
    assert_type(analytics, UsageAnalytics)
    assert_type(analytics.by_date[0].usd, Decimal)
    assert_type(analytics.by_model[0].total_diem, Decimal)
    assert_type(analytics.by_model_daily[0].additional_properties, dict[str, Decimal])
    assert_type(client.get_usage_analytics(lookback="7d"), UsageAnalytics)


def totals(client: VeniceBilling) -> None:
    table = spend.summarize(client.iter_usage_history(), by=("month", "model"), timezone="Europe/Berlin")
    assert_type(table, spend.SpendTable)
    assert_type(spend.summarize([], "day", ZoneInfo("Europe/Berlin"), kinds=lambda _: "debit"), spend.SpendTable)
    assert_type(table.totals("month").sorted_by("net", descending=True), spend.SpendTable)
    for row in table:
        assert_type(row, spend.SpendRow)
        assert_type(row.month, str | None)
        assert_type(row.currency, str)
        assert_type(row.net, Decimal)
    assert_type(table.to_json(), str)
    spend.summarize([], by="modle")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    spend.summarize([], kinds=lambda _: "gift")  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]


def skus(entry: UsageEntry) -> None:
    assert_type(entry.model, str)
    assert_type(entry.service, str | None)
    assert_type(sku.split_sku(entry.sku), Sku)
    assert_type(sku.split_sku(entry.sku).variant, str | None)
    assert_type(Sku("some-model").recognised, bool)


def walks(client: VeniceBilling) -> None:
    walk = client.iter_usage(page_size=100, max_items=5, currency="USD", start_date=date.min, sort_order="asc")
    assert_type(walk, UsageWalk)
    for entry in walk:
        assert_type(entry, UsageEntry)
    for page in walk.pages():
        assert_type(page, EntryPage)
        assert_type(page[0], UsageEntry)
    assert_type(walk.checkpoint, str)
    assert_type(client.iter_usage_history(checkpoint=walk.checkpoint, sort_order="desc", concurrency=8), UsageWalk)
    assert_type(client.export_usage_csv(Path("usage.csv"), currency="USD", resume=False), CsvExport)
    assert_type(client.export_usage_csv("usage.csv").rows, int)
    assert_type(client.export_usage_csv("usage.csv", resume=timedelta(hours=6)).started_at, datetime)


async def asynchronous() -> None:
    async with AsyncVeniceBilling() as client:
        assert_type(client.with_options(timeout=5), AsyncVeniceBilling)
        assert_type(await client.get_balance(), Balance)
        assert_type(await client.get_usage(), UsagePage)
        assert_type(await client.get_usage(format="csv"), UsageCsv)
        assert_type(await client.get_usage_history(page_size=10), UsageHistoryPage)
        assert_type(await client.get_usage_history(format="csv"), UsageCsv)
        assert_type(await client.get_usage_analytics(lookback="7d"), UsageAnalytics)
        walk = client.iter_usage(currency="DIEM")
        assert_type(walk, AsyncUsageWalk)
        assert_type(await spend.summarize(walk, by="day"), spend.SpendTable)
        async for entry in walk:
            assert_type(entry, UsageEntry)
        async for page in client.iter_usage_history().pages():
            assert_type(page, EntryPage)
        assert_type(await client.export_usage_csv("usage.csv", concurrency=4), CsvExport)
    await client.aclose()


def errors(client: VeniceBilling) -> None:
    try:
        client.get_balance()
    except InvalidParameterError as error:
        assert_type(error.parameter, str)
        _value_error: ValueError = error
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except EndpointRetiredError as error:
        assert_type(error.successor, str | None)
        assert_type(error.sunset, datetime | None)
    except APIError as error:
        assert_type(error.status_code, int | None)
        assert_type(error.message, str)
        assert_type(error.request_id, str | None)
        assert_type(error.body, bytes)
        assert_type(error.headers, dict[str, str])
    except ClientClosedError as error:
        assert_type(error.checkpoint, str | None)
    except BillingTimeoutError as error:
        assert_type(error.status_code, int | None)
    except ResponseValidationError as error:
        assert_type(error.field, str)
    except VeniceError as error:
        assert_type(error.checkpoint, str | None)

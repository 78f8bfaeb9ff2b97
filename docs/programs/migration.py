"""A program of the SDK venice_ai: only the import line was changed."""

import asyncio
import csv

from venice_billing.compat.venice_ai import BillingFormatEnum, VeniceClient


async def main() -> None:
    async with VeniceClient() as client:
        usage = await client.billing.get_usage(
            startDate="2026-10-01T00:00:00Z",
            endDate="2026-11-01T00:00:00Z",
            currency="USD",
            limit=100,
            page=2,
            sortOrder="asc",
        )
        print("page", usage.pagination.page, "of", usage.pagination.totalPages)
        print("sum of the page", sum(record.amount for record in usage.data), "USD")

        text = await client.billing.get_usage(format=BillingFormatEnum.CSV, startDate="2026-10-01T00:00:00Z")
        records = csv.DictReader(text.decode().splitlines(keepends=True))
        print(len(list(records)), "charges as CSV")

        spent = 0
        async for entry in client.billing.iter_usage(page_size=100, currency="USD"):
            if entry.amount < 0:  # a debit; what is positive came in
                spent -= entry.amount
        print("spent", spent, "USD")

        balance = await client.billing.get_balance()
        print("left", balance.balances.usd, "USD; can consume:", balance.can_consume)

        analytics = await client.billing.get_usage_analytics(lookback="30d")
        for day in analytics.byDate[:3]:
            print(day.date, day.USD, day.DIEM)
        for model in analytics.byModel[:3]:
            print(model.modelName, model.totalUsd)


asyncio.run(main())

"""An account, what changes in it between two loads, and what it says itself: to compare a warehouse with."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from contract_tests.support.flavours import NOW
from venice_billing import _exact
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Group: TypeAlias = tuple[str, date]
Sums: TypeAlias = dict[Group, tuple[int, Decimal]]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNFIT = ("1e-30", "12345678901.5")  # amounts that no DECIMAL(38, 28) holds
AMOUNTS = ("-8.250000000000001e-07", "1.2345678901234567890E-8", "-3.0799999999999996e-05", "-9000000000.5", *UNFIT)
ROWS_SQL = (
    "SELECT timestamp, sku, units_text, price_per_unit_usd_text, amount_text, currency, notes, api_key_id, request_id "
    "FROM venice.usage"
)
SUMS_SQL = "SELECT currency, {} AS period, count(*), sum(amount) FROM venice.usage GROUP BY currency, {}"


def account(rows: int = 1500, days: float = 45) -> FakeVenice:
    """Return an account of some weeks, with identical rows, small and large numbers, and unknown fields."""
    fake = FakeVenice(rows, days=days, now=NOW, extra_fields=["region", ".cached"])
    for amount in AMOUNTS:
        fake.book({"sku": "odd", "amount": amount, "currency": "USD"}, late=30 * HOUR)
    for _ in range(3):
        fake.book({"sku": "thrice", "amount": "-0.5", "currency": "DIEM"}, late=20 * HOUR)
    fake.book({"sku": "unknown", "region": {"name": "eu", "factor": Decimal("1.10")}}, late=10 * HOUR)
    return fake


def later(before: FakeVenice) -> FakeVenice:
    """Return the account six hours later: with new and late charges, an altered and a vanished one, an emptied day."""
    kept = before.rows(end=NOW - 2 * DAY)
    latest = before.rows(start=NOW - 2 * DAY)
    emptied = (NOW - DAY).date().isoformat()
    changed = [row for row in latest if not row["timestamp"].startswith(emptied)]
    changed[0] = {**changed[0], "amount": Decimal("-7.123456789012345678901234567")}
    del changed[1]
    after = FakeVenice([*kept, *changed], now=NOW + 6 * HOUR, extra_fields=["region", ".cached"])
    for _ in range(2):
        after.book({"sku": "late", "amount": "-0.25", "currency": "USD"}, late=50 * HOUR)
    after.book({"sku": "new", "amount": "-1E-7", "currency": "USD"})
    return after


def by_day(moment: datetime) -> date:
    """Return the day of a time."""
    return moment.date()


def by_month(moment: datetime) -> date:
    """Return the first day of the month of a time."""
    return moment.date().replace(day=1)


def true_sums(fake: FakeVenice, period: Callable[[datetime], date]) -> Sums:
    """Return the count of all amounts, and the sum of those that fit a decimal, by currency and period."""
    counts: Counter[Group] = Counter()
    sums: defaultdict[Group, Decimal] = defaultdict(Decimal)
    for row in fake.ledger:
        group = row["currency"], period(datetime.fromisoformat(row["timestamp"]))
        counts[group] += 1
        if row["amount"] not in map(Decimal, UNFIT):
            sums[group] = _exact.add(sums[group], row["amount"])
    return {group: (count, sums[group]) for group, count in counts.items()}


def sums(found: Iterable[tuple[Any, ...]]) -> Sums:
    """Return what a warehouse says of the same."""
    return {
        (currency, period.date() if isinstance(period, datetime) else period): (count, amount)
        for currency, period, count, amount in found
    }


def true_rows(fake: FakeVenice) -> Counter[tuple[Any, ...]]:
    """Return every row, and how often there are equal ones."""
    return Counter(
        (
            datetime.fromisoformat(row["timestamp"]),
            row["sku"],
            str(row["units"]),
            str(row["pricePerUnitUsd"]),
            str(row["amount"]),
            row["currency"],
            row["notes"],
            row["apiKeyId"],
            (row["inferenceDetails"] or {}).get("requestId"),
        )
        for row in fake.ledger
    )


def check(query: Callable[[str], Any], fake: FakeVenice) -> None:
    """Compare a warehouse with the account: every row, and every sum by currency, month and day, to the digit."""
    assert Counter((row[0].astimezone(UTC), *row[1:]) for row in query(ROWS_SQL)) == true_rows(fake)
    for period, column in ((by_day, "day"), (by_month, "date_trunc('month', day)")):
        assert sums(query(SUMS_SQL.format(column, column))) == true_sums(fake, period)
    unfit = query("SELECT amount_text FROM venice.usage WHERE amount IS NULL")
    assert {Decimal(text) for (text,) in unfit} <= set(map(Decimal, UNFIT))
    for timestamp, day in query("SELECT timestamp, day FROM venice.usage"):
        assert timestamp.astimezone(UTC).date() == day
    assert query("SELECT count(*) FROM venice.usage WHERE is_empty_day") == [(0,)]
    unknown = [value for (value,) in query("SELECT additional_properties FROM venice.usage WHERE sku = 'unknown'")]
    expected = [{"region": {"name": "eu", "factor": 1.1}}] * sum("region" in row for row in fake.ledger)
    assert [json.loads(value) if isinstance(value, str) else value for value in unknown] == expected

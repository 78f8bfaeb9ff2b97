"""Spend of a month in polars: with a scale of its own choice, polars rounds no amount."""

import sys
from decimal import getcontext

import polars as pl

from venice_billing import VeniceBilling

start, end = sys.argv[1:]  # such as 2026-10-01 2026-11-01; the end is excluded
getcontext().prec = 100  # normalize() rounds to 28 digits otherwise
money = dict.fromkeys(["amount", "units", "price_per_unit_usd"], pl.Decimal(38, 28))

with VeniceBilling() as client:
    rows = client.iter_usage_history(start_timestamp=start, end_timestamp=end, concurrency=4).rows()
    frame = pl.DataFrame(list(rows), schema_overrides=money, infer_schema_length=None)

if frame.select(pl.col(*money).is_null().any()).row(0) != (False, False, False):
    sys.exit("a number has more than 10 digits before the point: choose a smaller scale than 28")

debits = frame.filter(pl.col("amount") < 0)
spent = debits.group_by("currency", "model").agg(-pl.col("amount").sum())
for currency, total in spent.group_by("currency").agg(pl.col("amount").sum()).sort("currency").iter_rows():
    print(currency, f"{total.normalize():f}")
    for _, model, value in spent.filter(currency=currency).top_k(3, by="amount").iter_rows():
        print("   ", model, f"{value.normalize():f}")
